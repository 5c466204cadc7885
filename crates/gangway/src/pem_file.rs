//! Files with certificates or keys that a user names.

use std::fs::File;
use std::io::{self, Read as _};

/// More than any chain or bundle of roots needs.
const BYTES_MAX: u64 = 1 << 20;

/// Reads a regular file of at most [`BYTES_MAX`].
pub(crate) fn read(path: &str) -> io::Result<Vec<u8>> {
    // The open of a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}
