//! Failures of orders: the CA's answer, sorted by its remedy.

use gangway_tls::UnixTime;
use instant_acme::{Error, Problem};

use crate::http::{Refused, Unreachable};
use crate::storage::StorageError;

/// One failed attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// The CA's own words, or the system's.
    pub(crate) detail: String,
    /// The earliest time for the next attempt that the CA allows.
    pub(crate) retry_at: Option<UnixTime>,
}

/// The causes of failed orders, sorted by their remedy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FailureKind {
    /// The CA could not connect to us.
    Connection,
    /// The CA reached a server that gave another answer than ours.
    WrongAnswer,
    /// The CA could not look the name up.
    Dns,
    /// A record in the DNS forbids this CA.
    Caa,
    /// The CA's limit for this name is reached.
    RateLimited,
    /// The CA will not sign for this name for any account.
    Rejected,
    /// The CA does not know the account or does not accept it.
    Account,
    /// The record for DNS-01 could not be made, or was not seen.
    DnsProvider,
    /// None of the challenges that the CA offers can be answered here.
    NoChallenge,
    /// The CA's limit for this client is reached, or the CA is overloaded.
    Busy,
    /// The CA cannot be reached.
    Unreachable,
    /// The CA's answer makes no sense, or it took too long.
    Confused,
    /// The certificate cannot be stored.
    Storage,
    /// The process was stopped in the middle.
    Interrupted,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_at: None }
    }

    /// The failure that a problem document describes.
    pub(crate) fn from_problem(problem: &Problem) -> Self {
        let detail = words(problem);
        Self::new(FailureKind::of_problem(problem, &detail), detail)
    }

    /// Whether the CA no longer knows our account.
    pub(crate) fn is_account_gone(&self, error: &Error) -> bool {
        self.kind == FailureKind::Account && is_type(error, "accountDoesNotExist")
    }
}

/// Whether the CA only refused a nonce that was used before; the same request is then sent again.
pub(crate) fn is_bad_nonce(error: &Error) -> bool {
    is_type(error, "badNonce")
}

fn is_type(error: &Error, name: &str) -> bool {
    matches!(error, Error::Api(problem) if type_of(problem) == name)
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        match error {
            Error::Api(problem) => Self::from_problem(problem),
            Error::Timeout(_) => Self::new(FailureKind::Confused, "the CA took too long to decide"),
            Error::Other(other) => {
                if let Some(refused) = other.downcast_ref::<Refused>() {
                    let kind =
                        refused.problem.as_ref().map(|problem| FailureKind::of_problem(problem, &refused.to_string()));
                    let kind = match kind {
                        Some(kind @ (FailureKind::RateLimited | FailureKind::Busy | FailureKind::Rejected)) => kind,
                        _ if refused.is_for_now() => FailureKind::Busy,
                        Some(kind) => kind,
                        None => FailureKind::Confused,
                    };
                    Self { retry_at: refused.retry_at, ..Self::new(kind, refused.to_string()) }
                } else if let Some(unreachable) = other.downcast_ref::<Unreachable>() {
                    Self::new(FailureKind::Unreachable, unreachable.to_string())
                } else {
                    Self::new(FailureKind::Confused, other.to_string())
                }
            }
            other => Self::new(FailureKind::Confused, other.to_string()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::new(FailureKind::Storage, format!("failed to {error}"))
    }
}

impl FailureKind {
    const ALL: [(Self, &str); 14] = [
        (Self::Connection, "connection"),
        (Self::WrongAnswer, "wrong-answer"),
        (Self::Dns, "dns"),
        (Self::Caa, "caa"),
        (Self::RateLimited, "rate-limited"),
        (Self::Rejected, "rejected"),
        (Self::Account, "account"),
        (Self::DnsProvider, "dns-provider"),
        (Self::NoChallenge, "no-challenge"),
        (Self::Busy, "busy"),
        (Self::Unreachable, "unreachable"),
        (Self::Confused, "confused"),
        (Self::Storage, "storage"),
        (Self::Interrupted, "interrupted"),
    ];

    /// The kind's name in files on the volume.
    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("confused", |(_, text)| text)
    }

    /// Parses a name from a file on the volume; an unknown name, of a later version, counts as confused.
    pub(crate) fn parse(text: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == text).map_or(Self::Confused, |(kind, _)| *kind)
    }

    /// Whether every other name would fail at this CA in the same way.
    pub(crate) fn is_of_the_ca(self) -> bool {
        matches!(self, Self::Busy | Self::Unreachable | Self::Account)
    }

    /// Whether another CA would meet the same failure, because its cause lies with the name or with this instance.
    pub(crate) fn is_the_same_elsewhere(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::WrongAnswer
                | Self::Dns
                | Self::DnsProvider
                | Self::NoChallenge
                | Self::Storage
                | Self::Interrupted
        )
    }

    /// Whether the order is over, so that the next attempt needs another order.
    pub(crate) fn ends_the_order(self) -> bool {
        !matches!(
            self,
            Self::Confused | Self::Storage | Self::RateLimited | Self::Busy | Self::Unreachable | Self::Account
        )
    }

    fn of_problem(problem: &Problem, detail: &str) -> Self {
        match type_of(problem) {
            "connection" | "tls" => Self::Connection,
            "unauthorized" | "incorrectResponse" => Self::WrongAnswer,
            "dns" => Self::Dns,
            "caa" => Self::Caa,
            // Let's Encrypt uses one type for limits of a name and of an account.
            "rateLimited"
                if ["new orders", "requests", "registrations", "Service busy"]
                    .iter()
                    .any(|of_us| detail.contains(of_us)) =>
            {
                Self::Busy
            }
            "rateLimited" => Self::RateLimited,
            "rejectedIdentifier" | "unsupportedIdentifier" | "invalidProfile" => Self::Rejected,
            "accountDoesNotExist"
            | "externalAccountRequired"
            | "invalidContact"
            | "unsupportedContact"
            | "userActionRequired" => Self::Account,
            "serverInternal" => Self::Busy,
            _ => Self::Confused,
        }
    }
}

fn type_of(problem: &Problem) -> &str {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind)
}

/// The texts of the document and its parts, on one line.
fn words(problem: &Problem) -> String {
    let mut words = problem.detail.clone().unwrap_or_else(|| type_of(problem).to_owned());
    for part in &problem.subproblems {
        words.push_str(&format!("; {part}"));
    }
    words.retain(|c| !c.is_control());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, detail: &str) -> Problem {
        let text = format!(r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"{detail}"}}"#);
        serde_json::from_str(&text).expect("a problem")
    }

    #[test]
    fn what_the_ca_says_is_kept_and_sorted() {
        let failure = Failure::from_problem(&problem(
            "connection",
            "192.0.2.1: Timeout during connect (likely firewall problem)",
        ));
        assert_eq!(
            (failure.kind, &*failure.detail),
            (FailureKind::Connection, "192.0.2.1: Timeout during connect (likely firewall problem)")
        );
        assert_eq!(Failure::from_problem(&problem("neverHeardOf", "x")).kind, FailureKind::Confused);
    }

    #[test]
    fn a_limit_of_a_name_does_not_stop_the_others() {
        let of_name = Failure::from_problem(&problem(
            "rateLimited",
            "too many certificates (5) already issued for this exact set",
        ));
        let of_us = Failure::from_problem(&problem("rateLimited", "too many new orders (300) from this account"));
        assert!(!of_name.kind.is_of_the_ca() && of_us.kind.is_of_the_ca());
    }

    #[test]
    fn kinds_are_read_as_they_were_written() {
        for (kind, text) in FailureKind::ALL {
            assert_eq!((kind.as_str(), FailureKind::parse(text)), (text, kind));
        }
        assert_eq!(FailureKind::parse("of the future"), FailureKind::Confused);
    }

    #[test]
    fn a_refusal_keeps_when_to_come_back() {
        let refused = Refused {
            status: http::StatusCode::TOO_MANY_REQUESTS,
            retry_at: Some(UnixTime::from_seconds(99)),
            problem: None,
            snippet: "slow down".into(),
        };
        let failure = Failure::from(&Error::Other(Box::new(refused)));
        assert_eq!((failure.kind, failure.retry_at), (FailureKind::Busy, Some(UnixTime::from_seconds(99))));
        let failure = Failure::from(&Error::Other(Box::new(Unreachable("x: connection refused".into()))));
        assert_eq!(failure.kind, FailureKind::Unreachable);
    }
}
