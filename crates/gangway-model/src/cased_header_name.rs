//! The name of a header in the letters in which it was written.

use std::fmt::{self, Display, Formatter};

use http::HeaderName;
use http::header::InvalidHeaderName;

/// The name of a header in the letters in which it was written. HTTP/1 sends them so; in HTTP/2 names are in lower case
/// (RFC 9113, section 8.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CasedHeaderName {
    name: HeaderName,
    written: Box<str>,
}

impl CasedHeaderName {
    /// Fails if the text is no token (RFC 9110, section 5.1).
    pub fn parse(text: &str) -> Result<Self, InvalidHeaderName> {
        HeaderName::from_bytes(text.as_bytes()).map(|name| Self { name, written: text.into() })
    }

    /// The name that headers are compared by.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl From<HeaderName> for CasedHeaderName {
    fn from(name: HeaderName) -> Self {
        Self { written: name.as_str().into(), name }
    }
}

impl Display for CasedHeaderName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
