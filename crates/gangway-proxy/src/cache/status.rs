//! `Cache-Status` (RFC 9211): what the cache did with a request.

use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;

const NAME: &[u8] = b"Cache-Status";

/// Why a request went to the application.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Forwarded {
    UriMiss,
    VaryMiss,
    Stale,
    /// The request forbids what is kept.
    Request,
    Method,
    /// For a reason in one word.
    Bypass(&'static str),
}

impl Forwarded {
    fn token(self) -> &'static str {
        match self {
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
            Self::Method => "method",
            Self::Bypass(_) => "bypass",
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CacheOutcome {
    /// Answered with what is kept, which is fresh for so many seconds, or has been stale.
    Hit { ttl: i64 },
    /// Answered with what another request had fetched meanwhile.
    Collapsed(Forwarded),
    /// The application has said by this status that what is kept still holds.
    Validated(Forwarded, u16),
    /// Answered with what is kept in place of an error of the application; none if it gave no answer.
    InsteadOfError(Option<u16>),
    /// Answered by the application.
    Forwarded { why: Forwarded, is_kept: bool },
}

impl CacheOutcome {
    /// As the metric names it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Hit { ttl } if ttl >= 0 => "hit",
            Self::Hit { .. } => "stale",
            Self::Collapsed(_) => "collapsed",
            Self::Validated(..) => "validated",
            Self::InsteadOfError(_) => "stale-if-error",
            Self::Forwarded { why: Forwarded::Bypass(_) | Forwarded::Method, .. } => "bypass",
            Self::Forwarded { .. } => "miss",
        }
    }

    fn text(self) -> String {
        match self {
            Self::Hit { ttl } => format!("Gangway; hit; ttl={ttl}"),
            Self::Collapsed(why) => format!("Gangway; fwd={}; collapsed", why.token()),
            Self::Validated(why, status) => format!("Gangway; fwd={}; fwd-status={status}", why.token()),
            Self::InsteadOfError(Some(status)) => {
                format!("Gangway; fwd=stale; fwd-status={status}; detail=stale-if-error")
            }
            Self::InsteadOfError(None) => "Gangway; fwd=stale; detail=stale-if-error".to_owned(),
            Self::Forwarded { why, is_kept } => {
                let stored = if is_kept { "; stored" } else { "" };
                let detail = match why {
                    Forwarded::Bypass(detail) => format!("; detail={detail}"),
                    Forwarded::UriMiss
                    | Forwarded::VaryMiss
                    | Forwarded::Stale
                    | Forwarded::Request
                    | Forwarded::Method => String::new(),
                };
                format!("Gangway; fwd={}{stored}{detail}", why.token())
            }
        }
    }

    /// Says it to the client, after what caches behind us have said.
    pub(crate) fn tell(self, response: &mut ResponseHead) {
        response.fields.push(NAME, self.text().as_bytes());
    }
}

/// What a cache behind us has said concerns one answer and not those that are kept.
pub(crate) fn forget(fields: &mut Fields) {
    fields.remove_named(NAME);
}
