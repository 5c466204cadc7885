//! The errors of requests to an engine.

use std::time::Duration;

use bollard::errors::Error as DockerError;

use crate::api_version::{ApiVersion, VersionError};
use crate::connect::{ConnectError, without_os_code};
use crate::request::{RequestError, is_too_large};

/// A request fails after this long. The next one starts with a new connection, and perhaps finds another engine.
pub(crate) const READ_MAX: Duration = Duration::from_secs(10);

/// The text as one line that fits into a log, whatever the engine sent.
pub(crate) fn shortened(text: &str) -> String {
    const LEN_MAX: usize = 200;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(LEN_MAX).map(clean).collect()
}

/// A request that failed. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
#[error("{}{cause}", if matches!(cause, Cause::NoConnection(_)) { String::new() } else { format!("{act}: ") })]
pub(crate) struct EngineError {
    /// The act that failed, in the infinitive.
    pub(crate) act: &'static str,
    pub(crate) cause: Cause,
}

/// The cause of a failed request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error("{0}")]
    NoConnection(String),
    #[error("no answer within {} s", READ_MAX.as_secs())]
    Silent,
    #[error("the engine answered {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("the answer is too large to be true")]
    TooLarge,
    #[error("the answer makes no sense: {0}")]
    Nonsense(String),
    #[error("{0}")]
    Broken(String),
    #[error("the engine speaks API {0}, and at least {oldest} is needed", oldest = ApiVersion::OLDEST)]
    TooOld(ApiVersion),
    #[error("the engine closed the stream")]
    Ended,
}

impl From<VersionError> for Cause {
    fn from(error: VersionError) -> Self {
        match error {
            VersionError::Missing => Self::Nonsense("it names no API version".into()),
            VersionError::TooOld(version) => Self::TooOld(version),
        }
    }
}

impl From<RequestError> for Cause {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Connect(error) => Self::NoConnection(error.to_string()),
            RequestError::Http(error) => error.into(),
        }
    }
}

impl From<hyper::Error> for Cause {
    fn from(error: hyper::Error) -> Self {
        if is_too_large(&error) {
            return Self::TooLarge;
        }
        if error.is_parse() {
            return Self::Nonsense(shortened(&with_causes(&error)));
        }
        Self::Broken(with_causes(&error))
    }
}

impl From<DockerError> for Cause {
    fn from(error: DockerError) -> Self {
        match error {
            DockerError::HyperResponseError { err } => err.into(),
            DockerError::IOError { err } if is_too_large(&err) => Self::TooLarge,
            DockerError::IOError { err } => {
                match err.get_ref().and_then(|inner| inner.downcast_ref::<ConnectError>()) {
                    Some(dial) => Self::NoConnection(dial.to_string()),
                    None => Self::Broken(without_os_code(&err)),
                }
            }
            DockerError::RequestTimeoutError => Self::Silent,
            DockerError::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, message: shortened(&message) }
            }
            error @ (DockerError::JsonDataError { .. } | DockerError::JsonSerdeError { .. }) => {
                Self::Nonsense(shortened(&error.to_string()))
            }
            error => Self::Broken(shortened(&error.to_string())),
        }
    }
}

/// An error with its causes: hyper keeps the interesting part in the cause.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_well_after_failed_to() {
        let shown = |act, cause| EngineError { act, cause }.to_string();
        assert_eq!(shown("ping the engine", Cause::Silent), "ping the engine: no answer within 10 s");
        assert_eq!(
            shown("ping the engine", Cause::NoConnection("connect to `a`: connection refused".into())),
            "connect to `a`: connection refused"
        );
        let old = Cause::TooOld(ApiVersion { major: 1, minor: 38 });
        assert_eq!(shown("x", old), "x: the engine speaks API 1.38, and at least 1.40 is needed");
    }
}
