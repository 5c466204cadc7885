//! Reads the config file from disk.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use gangway_diagnostic::{Diagnostic, FilePosition, Place, Severity, Span, codes};

/// A larger file is surely a mistake; ten thousand routes take about one MiB.
const FILE_LEN_MAX: u64 = 4 << 20;

/// Reads the whole file.
pub(crate) fn read(path: &Path) -> Result<String, ConfigReadError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(ConfigReadError::Io)?;
    // One byte more than allowed, which tells a file that is too large from one that just fits.
    let len = file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes).map_err(ConfigReadError::Io)?;
    if u64::try_from(len).is_ok_and(|len| len > FILE_LEN_MAX) {
        return Err(ConfigReadError::TooLarge);
    }
    String::from_utf8(bytes).map_err(|_| ConfigReadError::NotUtf8)
}

/// Why the config file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigReadError {
    #[error("{0}")]
    Io(io::Error),
    #[error("it is larger than 4 MiB")]
    TooLarge,
    #[error("it is not UTF-8 text")]
    NotUtf8,
    #[error("it was emptied")]
    Emptied,
}

impl ConfigReadError {
    /// The diagnostic about the file. `effect` says what the error causes.
    pub(crate) fn diagnostic(&self, path: &Path, effect: &str) -> Diagnostic {
        let name = path.display().to_string();
        let help = match self {
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "check the path; in a container, the folder of the file must be mounted"
            }
            Self::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "let the user that Gangway runs as read it"
            }
            Self::Io(_) => "check the path",
            Self::TooLarge | Self::NotUtf8 => "is it the right file?",
            Self::Emptied => "write it again; a line such as `# no routes` means that there are none",
        };
        let at = FilePosition { file: name.as_str().into(), line: 1, column: 1 };
        Diagnostic {
            code: codes::CONFIG_UNREADABLE,
            severity: Severity::Error,
            message: format!("config file `{name}` cannot be read: {self}"),
            place: Place::ConfigFile { key: None, at },
            text: String::new(),
            span: Span::default(),
            note: String::new(),
            help: help.to_owned(),
            effect: effect.to_owned(),
        }
    }
}
