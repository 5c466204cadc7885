//! Access to the files that compose files name, as an interface: the crate itself opens none.

use std::io;
use std::path::{Path, PathBuf};

/// The size of the largest file that is read. It bounds the memory of one load, whatever a path leads to.
pub(crate) const FILE_LEN_MAX: u64 = 4 * 1024 * 1024;

/// The number of files that are read for one load, those of `include`, `extends`, `env_file` and `label_file`
/// included.
pub(crate) const FILES_MAX: usize = 256;

/// Read access to files.
pub trait FileAccess {
    /// Reads the first `len_max` bytes, or all where there are fewer.
    ///
    /// # Errors
    ///
    /// The system's error. Its kind is [`io::ErrorKind::NotFound`] where the file does not exist.
    fn read(&self, input: &Input, len_max: u64) -> io::Result<Vec<u8>>;

    /// The absolute path without links and dots, or None where nothing exists at `path`. Two paths with the same
    /// result lead to the same file.
    fn canonical(&self, path: &Path) -> Option<PathBuf>;
}

/// A place to read a compose file from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// Standard input, which can be read once.
    Stdin,
    /// A file at a path, relative to the current folder.
    Path(PathBuf),
}

impl Input {
    /// The name that reports show.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "<stdin>".into(),
            Self::Path(path) => path.display().to_string(),
        }
    }

    /// The folder that relative paths start from. Empty means the current one.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Stdin => PathBuf::new(),
            Self::Path(path) => path.parent().unwrap_or(Path::new("")).to_owned(),
        }
    }
}

/// Reads the whole text without a byte order mark.
pub(crate) fn read_text(files: &dyn FileAccess, input: &Input) -> Result<String, FileError> {
    let bytes = files.read(input, FILE_LEN_MAX + 1).map_err(FileError::Unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > FILE_LEN_MAX) {
        return Err(FileError::TooLong);
    }
    let text = String::from_utf8(bytes).map_err(|error| FileError::NotUtf8(error.utf8_error().valid_up_to()))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Whether two paths lead to the same file, as far as that can be known.
pub(crate) fn is_same_file(files: &dyn FileAccess, one: &Path, other: &Path) -> bool {
    one == other || matches!((files.canonical(one), files.canonical(other)), (Some(one), Some(other)) if one == other)
}

/// A file that cannot be used. The text reads well after `failed to read FILE: `.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system returned an error.
    #[error("{}", without_number(.0))]
    Unreadable(io::Error),
    /// The file is larger than any compose file.
    #[error("it is larger than {} MiB", FILE_LEN_MAX / 1024 / 1024)]
    TooLong,
    /// The text is not UTF-8 from this byte on.
    #[error("byte {0} is not UTF-8")]
    NotUtf8(usize),
    /// Too many files were read before this one.
    #[error("more than {FILES_MAX} files are drawn in")]
    TooMany,
}

impl FileError {
    /// Whether the file does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// The system's words without its number, which ` (os error 2)` adds.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
