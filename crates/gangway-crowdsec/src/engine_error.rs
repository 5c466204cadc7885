//! Why a part of the engine could not be asked.

use http::StatusCode;

/// Characters of a refusal that are repeated.
const SHOWN_MAX: usize = 120;

/// Why the local API or the AppSec component could not be asked. No text holds the key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The file of the key is missing, unreadable, or no key.
    #[error("the file of the key cannot be used: {0}")]
    Key(String),
    /// The engine does not know the key.
    #[error("it refuses the key with {0}")]
    Refused(u16),
    /// The engine was not reached, or was silent.
    #[error("{0}")]
    Unreachable(String),
    /// The engine answered what makes no sense.
    #[error("its answer makes no sense: {0}")]
    Invalid(String),
}

impl EngineError {
    /// An answer that is none, with the beginning of what it says.
    pub(crate) fn of_answer(status: StatusCode, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN_MAX)]);
        let text: String = text.chars().filter(|char| !char.is_control()).take(SHOWN_MAX).collect();
        Self::Invalid(format!("{} {text}", status.as_u16()).trim_end().to_owned())
    }
}
