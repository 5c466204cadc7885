//! Why a log-in is not finished, or a session not renewed.

/// Why a log-in is not begun or not finished. No variant repeats a secret: texts are for the log and for clients on the local
/// network.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LoginError {
    /// The provider cannot be reached, or is silent, or says that it is out of order.
    #[error("{0}")]
    Unavailable(String),
    /// The provider answered what does not hold.
    #[error("{0}")]
    Invalid(String),
    /// The provider says that the user is not to be let in, or what it says of the user cannot be used.
    #[error("{0}")]
    Denied(String),
    /// The client asks to finish a log-in that it has not begun, or no longer can.
    #[error("{0}")]
    NotBegun(&'static str),
    /// Too many log-ins are being finished, or too many sessions renewed.
    #[error("too many log-ins are under way")]
    Busy,
    /// There is no key for cookies, or no random numbers, or no time.
    #[error("{0}")]
    Closed(&'static str),
}

/// Why a session is not renewed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RenewalError {
    /// The provider does not renew it any more, or says what does not hold: the session has ended.
    #[error("{0}")]
    Ended(String),
    /// The provider could not be asked. What it has said last counts as long as it said then.
    #[error(transparent)]
    Failed(#[from] LoginError),
}

impl LoginError {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}
