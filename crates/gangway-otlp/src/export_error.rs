//! Why the collector took nothing.

use std::time::Duration;

/// Why the collector took nothing. No text holds a field of the file of headers.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ExportError {
    /// The file of headers is missing, unreadable, or none.
    #[error("the file of `--otlp-headers-file` cannot be used: {0}")]
    Headers(String),
    /// The collector was not reached, or was silent.
    #[error("{0}")]
    Unreachable(String),
    /// It answered with this status, and when to come again.
    #[error("it answers {status}")]
    Refused {
        /// The status.
        status: u16,
        /// What `Retry-After` says.
        retry_after: Option<Duration>,
    },
}

impl ExportError {
    /// Whether the same request may be taken later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Headers(_) | Self::Unreachable(_) => true,
            // Those that the specification of OTLP names.
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
        }
    }

    /// The wait that the collector asks for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Headers(_) | Self::Unreachable(_) => None,
        }
    }

    /// Whether both are the same trouble to people.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Refused { status, .. }, Self::Refused { status: other, .. }) => status == other,
            _ => self == other,
        }
    }
}
