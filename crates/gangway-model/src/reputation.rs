//! Whether a client is banned, as somebody outside tells: a CrowdSec engine.
//!
//! That nobody has banned a client and that nobody could be asked are two answers, as with [`Geography`].
//!
//! [`Geography`]: crate::Geography

use crate::geography::{ClientPlace, PlaceKind};

/// What is known of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Judgement {
    /// Nobody has been asked yet, or there is nobody to ask.
    Unknown,
    /// No ban is known.
    Free,
    /// The client is banned.
    Banned {
        /// Who has decided that, such as `cscli` or `CAPI`.
        origin: Box<str>,
    },
    /// It depends on what nobody can tell just now.
    Undecided(PlaceKind),
}

/// Tells who is banned.
pub trait Reputation {
    /// What is known of a client. Its place is looked up only where a ban depends on it.
    fn judge(&self, client: &ClientPlace<'_>) -> Judgement;
}

/// What becomes of a client of whom it is not known whether it is banned, or of a request about which nobody can be
/// asked. The strictest comes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum OnDoubt {
    /// It is answered 503.
    Close,
    /// It is let in.
    Admit,
}

impl OnDoubt {
    /// The value of the label.
    pub fn word(self) -> &'static str {
        match self {
            Self::Close => "closed",
            Self::Admit => "open",
        }
    }
}
