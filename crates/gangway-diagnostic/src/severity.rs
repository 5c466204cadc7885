//! The severity of a diagnostic.

use std::fmt::{self, Display, Formatter};

/// How much a diagnostic matters. Errors sort first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Something that was asked for is not in force.
    Error,
    /// It is in force, but surely not meant.
    Warning,
    /// Nothing is wrong; the reader may want to know. Only `gangway check` reports notes.
    Note,
}

impl Severity {
    /// `error`, `warning` or `note`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl Display for Severity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
