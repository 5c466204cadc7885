//! Why an endpoint failed a request.

use std::borrow::Cow;
use std::fmt;

/// Why an endpoint failed a request, with a description for people.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamError {
    pub(crate) kind: UpstreamErrorKind,
    pub(crate) detail: Cow<'static, str>,
}

/// The kinds of failures, as far as they are treated differently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum UpstreamErrorKind {
    /// Nothing listens there.
    Refused,
    /// There was no connection in time.
    ConnectTimeout,
    /// The network knows no way to the address.
    NoWay,
    /// The name of the upstream cannot be looked up.
    NameUnknown,
    /// Another failure to connect.
    Connect,
    /// As many connections are open as may be, so none was tried.
    Exhausted,
    /// The certificate of the endpoint is not trusted.
    TlsUntrusted,
    /// There is no common version, key exchange or cipher.
    TlsNothingInCommon,
    /// The endpoint does not speak TLS.
    TlsNotSpoken,
    /// The handshake needs files that cannot be used, so none was made.
    TlsUnset,
    /// Another failure of the TLS handshake.
    Tls,
    /// The endpoint closed or reset the connection, and nothing of a response had come.
    ClosedUnanswered,
    /// The endpoint has read the request and broken it off without an answer.
    Reset,
    /// The endpoint has said, or it is plain, that it has not acted on the request: any request may be sent again.
    Unprocessed,
    /// The endpoint closed or reset the connection in the middle of its response.
    ClosedEarly,
    /// The response breaks a rule of HTTP.
    Malformed,
    /// The head of the response has more bytes or fields than are taken.
    HeadTooLarge,
    /// There was no response in time, or a pause in its body was too long.
    Timeout,
    /// The endpoint has left and its drain time is over.
    Drained,
}

impl UpstreamErrorKind {
    /// Whether there was an answer that makes no sense. Otherwise there was none, or none to the end.
    pub(crate) fn is_invalid_answer(self) -> bool {
        match self {
            Self::Malformed | Self::HeadTooLarge => true,
            Self::Refused
            | Self::ConnectTimeout
            | Self::NoWay
            | Self::NameUnknown
            | Self::Connect
            | Self::Exhausted
            | Self::TlsUntrusted
            | Self::TlsNothingInCommon
            | Self::TlsNotSpoken
            | Self::TlsUnset
            | Self::Tls
            | Self::ClosedUnanswered
            | Self::Reset
            | Self::Unprocessed
            | Self::ClosedEarly
            | Self::Timeout
            | Self::Drained => false,
        }
    }
}

impl UpstreamError {
    pub(crate) fn new(kind: UpstreamErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
