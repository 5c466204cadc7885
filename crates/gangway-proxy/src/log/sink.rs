//! The sink of the access log: standard output, or a file that may be rotated.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

pub(crate) enum Sink {
    Stdout,
    File { path: PathBuf, file: File, inode: u64 },
}

impl Sink {
    pub(crate) fn file(path: PathBuf) -> io::Result<Self> {
        // Other users must not see who visits what.
        let file = OpenOptions::new().create(true).append(true).mode(0o640).open(&path)?;
        let inode = file.metadata()?.ino();
        Ok(Self::File { path, file, inode })
    }

    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::File { file, .. } => file.write_all(lines),
        }
    }

    /// Opens the file anew if its path now names another file or none.
    pub(crate) fn follow_rotation(&mut self) {
        if let Self::File { path, inode, .. } = self
            && std::fs::metadata(&*path).map_or(true, |now| now.ino() != *inode)
        {
            let path = path.clone();
            match Self::file(path) {
                Ok(opened) => *self = opened,
                Err(error) => tracing::warn!(%error, "failed to open the access log anew"),
            }
        }
    }
}
