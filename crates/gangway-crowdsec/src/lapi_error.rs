//! Why the engine could not be asked.

/// Why the engine could not be asked. No text holds the key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LapiError {
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
