//! Reads files that a configuration names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A larger configuration is surely another file.
pub(crate) const CONFIGURATION_LEN_MAX: u64 = 4 << 20;

/// Reads a whole text. What is no regular file is not opened: a pipe would let everything wait for somebody who writes.
pub(crate) fn read_text(path: &Path, len_max: u64) -> Result<String, FileReadError> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(FileReadError::NotAFile);
    }
    let mut bytes = Vec::new();
    // One byte more than allowed, which tells a file that is too large from one that just fits.
    File::open(path)?.take(len_max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > len_max) {
        return Err(FileReadError::TooLarge(len_max >> 20));
    }
    String::from_utf8(bytes).map_err(|_| FileReadError::NotUtf8)
}

/// Why a file gives no text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileReadError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is no regular file")]
    NotAFile,
    /// The number of MiB that it may have.
    #[error("it is larger than {0} MiB")]
    TooLarge(u64),
    #[error("it is not UTF-8 text")]
    NotUtf8,
}

impl FileReadError {
    /// Something to do.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "check the path; in a container, the folder of the file must be mounted"
            }
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that Gangway runs as read it"
            }
            Self::Io(_) => "check the path",
            Self::NotAFile | Self::TooLarge(_) | Self::NotUtf8 => "is it the right file?",
        }
    }
}
