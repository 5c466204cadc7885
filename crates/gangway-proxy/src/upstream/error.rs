//! Classifies failures: whether a request is sent again, and how its client is answered.

use http::Method;

use crate::reply::local_reply::LocalReply;
use crate::reply::reason::Reason;
use crate::serving_table::ActiveEndpoint;
use crate::stream::downstream::DownstreamError;
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};

/// How many endpoints are tried for one request, the first included.
pub(crate) const TRIES_MAX: usize = 3;

/// Whether the endpoint could not be reached, rather than failed after it was.
pub(crate) fn is_unreachable(kind: UpstreamErrorKind) -> bool {
    match kind {
        UpstreamErrorKind::Refused
        | UpstreamErrorKind::ConnectTimeout
        | UpstreamErrorKind::NoWay
        | UpstreamErrorKind::NameUnknown
        | UpstreamErrorKind::Connect => true,
        UpstreamErrorKind::Exhausted
        | UpstreamErrorKind::TlsUntrusted
        | UpstreamErrorKind::TlsNothingInCommon
        | UpstreamErrorKind::TlsNotSpoken
        | UpstreamErrorKind::TlsUnset
        | UpstreamErrorKind::Tls
        | UpstreamErrorKind::ClosedUnanswered
        | UpstreamErrorKind::Reset
        | UpstreamErrorKind::Unprocessed
        | UpstreamErrorKind::ClosedEarly
        | UpstreamErrorKind::Malformed
        | UpstreamErrorKind::HeadTooLarge
        | UpstreamErrorKind::Timeout
        | UpstreamErrorKind::Drained => false,
    }
}

/// Describes a failed try to reach an endpoint, for people.
pub(crate) fn trouble(kind: UpstreamErrorKind) -> &'static str {
    match kind {
        UpstreamErrorKind::Refused => "connection refused",
        UpstreamErrorKind::ConnectTimeout => "no connection in time",
        UpstreamErrorKind::NoWay => "there is no way to its address",
        UpstreamErrorKind::NameUnknown => "its name cannot be looked up",
        UpstreamErrorKind::Connect => "no connection",
        UpstreamErrorKind::Exhausted => "too many connections are open",
        UpstreamErrorKind::TlsUntrusted => "its certificate is not trusted",
        UpstreamErrorKind::TlsNothingInCommon => {
            "no TLS in common: it may speak only TLS 1.1 or older, or only old ciphers"
        }
        UpstreamErrorKind::TlsNotSpoken => "it does not speak TLS there",
        UpstreamErrorKind::TlsUnset => "files that TLS with it needs cannot be used",
        UpstreamErrorKind::Tls => "the TLS handshake failed",
        UpstreamErrorKind::ClosedUnanswered => "it closed the connection without an answer",
        UpstreamErrorKind::Reset => "it broke the request off without an answer",
        UpstreamErrorKind::Unprocessed => "it refused the request unread",
        UpstreamErrorKind::ClosedEarly => "it closed the connection within its answer",
        UpstreamErrorKind::Malformed => "its answer is malformed",
        UpstreamErrorKind::HeadTooLarge => "the head of its answer is too large",
        UpstreamErrorKind::Timeout => "no answer in time",
        UpstreamErrorKind::Drained => "it has left",
    }
}

/// Whether an earlier request used the connection to the endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum UpstreamConnection {
    Fresh,
    Reused,
}

/// How much of a request's body has left for the endpoint that failed it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodySent {
    /// The request has no body.
    NoBody,
    /// There is a body, and nothing of it was read from the client.
    Nothing,
    /// All that was read from the client is still at hand.
    AtHand,
    /// Some of it is gone.
    Gone,
}

/// How far a request got that an endpoint failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedTry<'a> {
    pub(crate) method: &'a Method,
    /// The number of tries so far, with this one.
    pub(crate) tries: usize,
    /// Whether something of a response had come.
    pub(crate) is_answered: bool,
    pub(crate) body: BodySent,
    pub(crate) connection: UpstreamConnection,
}

/// Whether a request may be sent again after its connection failed. Nothing of an answer may have come. Besides, one of
/// these holds: the endpoint has not acted on the request, the request is idempotent (RFC 9110, section 9.2.2), or none
/// of its body was read and the endpoint has said nothing at all.
pub(crate) fn may_retry(kind: UpstreamErrorKind, failed: FailedTry<'_>) -> bool {
    let (is_untouched, is_silent) = match kind {
        UpstreamErrorKind::Unprocessed => (true, true),
        UpstreamErrorKind::ClosedUnanswered => (false, true),
        UpstreamErrorKind::Reset | UpstreamErrorKind::Malformed | UpstreamErrorKind::HeadTooLarge => (false, false),
        // An endpoint that failed after a timeout is not asked the same again. Failures to connect have rules of their
        // own, since nothing was sent.
        UpstreamErrorKind::Timeout
        | UpstreamErrorKind::ClosedEarly
        | UpstreamErrorKind::Drained
        | UpstreamErrorKind::Refused
        | UpstreamErrorKind::ConnectTimeout
        | UpstreamErrorKind::NoWay
        | UpstreamErrorKind::NameUnknown
        | UpstreamErrorKind::Connect
        | UpstreamErrorKind::Exhausted
        | UpstreamErrorKind::TlsUntrusted
        | UpstreamErrorKind::TlsNothingInCommon
        | UpstreamErrorKind::TlsNotSpoken
        | UpstreamErrorKind::TlsUnset
        | UpstreamErrorKind::Tls => return false,
    };
    if failed.is_answered || failed.tries >= TRIES_MAX {
        return false;
    }
    let is_repeatable = is_untouched || failed.method.is_idempotent();
    match failed.body {
        // The request was sent whole. If the connection was idle, the endpoint closed it without reading the request;
        // on a fresh one, the endpoint failed the request itself.
        BodySent::NoBody => is_repeatable || is_silent && failed.connection == UpstreamConnection::Reused,
        BodySent::Nothing => is_repeatable || is_silent,
        BodySent::AtHand => is_repeatable,
        BodySent::Gone => false,
    }
}

/// The reason for the reply to a request that its endpoint failed.
pub(crate) fn reason_for(kind: UpstreamErrorKind) -> Reason {
    match kind {
        UpstreamErrorKind::Refused => Reason::UpstreamRefused,
        UpstreamErrorKind::ConnectTimeout | UpstreamErrorKind::Timeout => Reason::UpstreamTimeout,
        UpstreamErrorKind::Exhausted => Reason::Overloaded,
        UpstreamErrorKind::NoWay | UpstreamErrorKind::NameUnknown | UpstreamErrorKind::Connect => {
            Reason::UpstreamConnect
        }
        UpstreamErrorKind::TlsUntrusted
        | UpstreamErrorKind::TlsNothingInCommon
        | UpstreamErrorKind::TlsNotSpoken
        | UpstreamErrorKind::TlsUnset
        | UpstreamErrorKind::Tls => Reason::UpstreamTls,
        UpstreamErrorKind::ClosedUnanswered
        | UpstreamErrorKind::Reset
        | UpstreamErrorKind::Unprocessed
        | UpstreamErrorKind::ClosedEarly
        | UpstreamErrorKind::Malformed
        | UpstreamErrorKind::HeadTooLarge
        | UpstreamErrorKind::Drained => Reason::UpstreamProtocol,
    }
}

/// The reply to a client that broke its request off; none if nobody is there to read it.
pub(crate) fn reply_for_client(error: DownstreamError) -> Option<LocalReply> {
    match error {
        DownstreamError::Gone | DownstreamError::Stalled => None,
        DownstreamError::Rejected(rejection) => Some(rejection.into()),
    }
}

/// Explains a failure to a client on the local network.
pub(crate) fn error_detail(error: &UpstreamError, endpoint: &ActiveEndpoint) -> String {
    let help = help(error.kind, endpoint.transport.is_tls(), endpoint.transport.checks_certificate());
    format!("`{}` at {}: {error}{help}", endpoint.name, endpoint.key.address)
}

/// What to do about a failure; empty if nothing is known.
fn help(kind: UpstreamErrorKind, is_tls: bool, is_verified: bool) -> &'static str {
    match kind {
        UpstreamErrorKind::Refused => {
            ": nothing listens there. Does the app listen on this port, and on all addresses rather than on 127.0.0.1?"
        }
        UpstreamErrorKind::TlsUntrusted if is_verified => {
            ": its certificate is not trusted. Set `verify` to false if it is self-signed."
        }
        UpstreamErrorKind::TlsUntrusted => {
            ": its certificate cannot be used, although it is not checked. Give the application another one."
        }
        UpstreamErrorKind::TlsNothingInCommon => {
            ": it has no TLS in common with Gangway, so it cannot be served by https. It may speak only TLS 1.1 or \
             older, or only RSA key exchange or CBC ciphers. Let it speak TLS 1.2 or newer with ECDHE and AES-GCM \
             or ChaCha20; or take its port for plain HTTP, and set `scheme` to `http`."
        }
        UpstreamErrorKind::TlsNotSpoken => {
            ": it does not speak TLS there. Set `scheme` to `http`, or `port` to where it does."
        }
        UpstreamErrorKind::TlsUnset => ". Mend the file; nothing is sent to the application before.",
        UpstreamErrorKind::Tls => ": TLS with it failed.",
        UpstreamErrorKind::ClosedUnanswered | UpstreamErrorKind::ClosedEarly | UpstreamErrorKind::Malformed
            if is_tls =>
        {
            ": it does not speak HTTP there, or closed the connection."
        }
        UpstreamErrorKind::ClosedUnanswered | UpstreamErrorKind::ClosedEarly | UpstreamErrorKind::Malformed => {
            ": it does not speak plain HTTP there, or closed the connection. If it speaks TLS, set `scheme` to `https`."
        }
        UpstreamErrorKind::HeadTooLarge => {
            ", more than Gangway takes. Let the application set fewer or smaller fields, such as cookies."
        }
        UpstreamErrorKind::ConnectTimeout
        | UpstreamErrorKind::NoWay
        | UpstreamErrorKind::NameUnknown
        | UpstreamErrorKind::Connect
        | UpstreamErrorKind::Exhausted
        | UpstreamErrorKind::Reset
        | UpstreamErrorKind::Unprocessed
        | UpstreamErrorKind::Timeout
        | UpstreamErrorKind::Drained => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::rejection::Rejection;

    const LOST: UpstreamErrorKind = UpstreamErrorKind::ClosedUnanswered;

    fn failed(method: &Method, body: BodySent, connection: UpstreamConnection) -> FailedTry<'_> {
        FailedTry { method, tries: 1, is_answered: false, body, connection }
    }

    #[test]
    fn a_request_is_sent_again_only_if_that_cannot_do_it_twice() {
        use BodySent::{AtHand, Gone, NoBody, Nothing};
        use UpstreamConnection::{Fresh, Reused};
        for (method, body, connection, again) in [
            (Method::GET, NoBody, Fresh, true),
            (Method::GET, NoBody, Reused, true),
            (Method::POST, NoBody, Fresh, false),
            (Method::POST, NoBody, Reused, true),
            (Method::PUT, AtHand, Fresh, true),
            (Method::PUT, Gone, Reused, false),
            (Method::POST, Nothing, Fresh, true),
            (Method::POST, Nothing, Reused, true),
            (Method::POST, AtHand, Reused, false),
            (Method::POST, Gone, Reused, false),
        ] {
            let failed = failed(&method, body, connection);
            assert_eq!(may_retry(LOST, failed), again, "{failed:?}");
        }
    }

    #[test]
    fn nothing_is_sent_again_after_an_answer_a_timeout_or_many_tries() {
        let get = failed(&Method::GET, BodySent::NoBody, UpstreamConnection::Reused);
        assert!(may_retry(LOST, get) && may_retry(UpstreamErrorKind::Malformed, get));
        assert!(!may_retry(LOST, FailedTry { is_answered: true, ..get }));
        assert!(!may_retry(LOST, FailedTry { tries: TRIES_MAX, ..get }));
        for body in [BodySent::NoBody, BodySent::Nothing] {
            let post = failed(&Method::POST, body, UpstreamConnection::Reused);
            assert!(may_retry(LOST, post), "{body:?}: the endpoint has not acted on it");
            for kind in [UpstreamErrorKind::Malformed, UpstreamErrorKind::Reset] {
                assert!(!may_retry(kind, post), "{kind:?} {body:?}: whatever it says, it has read the request");
            }
        }
        let post = failed(&Method::POST, BodySent::AtHand, UpstreamConnection::Fresh);
        assert!(may_retry(UpstreamErrorKind::Unprocessed, post), "the endpoint has not acted on it");
        assert!(!may_retry(UpstreamErrorKind::Unprocessed, FailedTry { body: BodySent::Gone, ..post }));
        for kind in [UpstreamErrorKind::Timeout, UpstreamErrorKind::ClosedEarly, UpstreamErrorKind::Drained] {
            assert!(!may_retry(kind, get), "{kind:?}");
        }
    }

    #[test]
    fn who_has_left_gets_no_reply() {
        let reason_for_client = |error| reply_for_client(error).and_then(|reply| reply.reason());
        assert_eq!(reason_for_client(DownstreamError::Gone), None);
        assert_eq!(reason_for_client(DownstreamError::Stalled), None);
        let slow = DownstreamError::Rejected(Rejection::slow_body(1024));
        assert_eq!(reason_for_client(slow), Some(Reason::RequestTimeout));
    }

    #[test]
    fn help_tells_what_to_do() {
        assert!(help(UpstreamErrorKind::TlsUntrusted, true, true).contains("`verify`"));
        assert!(!help(UpstreamErrorKind::TlsUntrusted, true, false).contains("`verify`"));
        assert!(help(UpstreamErrorKind::Malformed, false, true).contains("`https`"));
        assert!(!help(UpstreamErrorKind::Malformed, true, true).contains("`https`"));
        assert!(!help(UpstreamErrorKind::HeadTooLarge, false, true).contains("`https`"), "it does speak HTTP");
    }
}
