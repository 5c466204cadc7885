//! Which answers are compressed, and how.

use std::fmt::{self, Display, Formatter};

use crate::content_coding::ContentCoding;

/// Smaller answers fit into a packet or two as they are.
pub const COMPRESSED_LEN_MIN: u64 = 1024;

/// How answers are compressed, where clients take it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Compression {
    /// Preferred in this order.
    pub codings: Box<[ContentCoding]>,
    /// Answers with fewer bytes stay as they are.
    pub len_min: u64,
    /// Answers of other types stay as they are.
    pub types: CompressedTypes,
}

/// Types of content, without parameters and in lower case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CompressedTypes {
    /// Those that become much smaller, but for these.
    Worthwhile {
        /// These stay as they are.
        except: Box<[Box<str>]>,
    },
    /// These.
    Only(Box<[Box<str>]>),
}

impl Compression {
    /// By these codings, whatever gains by it.
    pub fn by(codings: impl Into<Box<[ContentCoding]>>) -> Self {
        let types = CompressedTypes::Worthwhile { except: Box::default() };
        Self { codings: codings.into(), len_min: COMPRESSED_LEN_MIN, types }
    }
}

/// As labels would have it.
impl Display for Compression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let codings: Vec<&str> = self.codings.iter().map(|coding| coding.token()).collect();
        f.write_str(&codings.join(", "))?;
        if self.len_min != COMPRESSED_LEN_MIN {
            write!(f, "; from {} bytes", self.len_min)?;
        }
        match &self.types {
            CompressedTypes::Worthwhile { except } if except.is_empty() => Ok(()),
            CompressedTypes::Worthwhile { except } => write!(f, "; not {}", except.join(", ")),
            CompressedTypes::Only(types) => write!(f, "; only {}", types.join(", ")),
        }
    }
}
