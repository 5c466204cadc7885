//! The files of this machine, for the loader of compose files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gangway_compose::{FileAccess, Input};

/// No configuration is longer.
const TEXT_LEN_MAX: u64 = 4 << 20;

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

impl Disk {
    /// The text of a file, if it can be read and is not far too long for a configuration.
    pub(crate) fn read_text(path: &Path) -> Option<String> {
        let bytes = read_bounded(File::open(path).ok()?, TEXT_LEN_MAX + 1).ok()?;
        String::from_utf8(bytes).ok().filter(|text| u64::try_from(text.len()).is_ok_and(|len| len <= TEXT_LEN_MAX))
    }
}

fn read_bounded(input: impl Read, len_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(len_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}
