//! The files of this machine, for the loader of compose files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gangway_compose::{FileAccess, Input};

/// Reads files and standard input of this process.
pub(crate) struct Disk;

impl FileAccess for Disk {
    fn read(&self, input: &Input, len_max: u64) -> io::Result<Vec<u8>> {
        match input {
            Input::Stdin => read_bounded(io::stdin().lock(), len_max),
            Input::Path(path) => read_bounded(File::open(path)?, len_max),
        }
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()
    }
}

fn read_bounded(input: impl Read, len_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(len_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}
