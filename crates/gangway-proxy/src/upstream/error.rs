//! Classifies failures: whether a request is sent again, and how its client is answered.

use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use crate::reply::reason::Reason;
use crate::serving_table::{ActiveEndpoint, DialTarget};
use crate::upstream::attempt::Attempt;

/// How many endpoints are tried for one request, the first included.
pub(crate) const TRIES_MAX: usize = 3;

/// Whether the endpoint could not be reached, rather than failed after it was.
pub(crate) fn is_unreachable(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::ConnectRefused | ErrorType::ConnectTimedout | ErrorType::ConnectNoRoute | ErrorType::ConnectError
    )
}

/// Describes a failed try to reach an endpoint, for people.
pub(crate) fn trouble(error: &Error) -> &str {
    match error.etype() {
        ErrorType::ConnectRefused => "connection refused",
        ErrorType::ConnectTimedout => "no connection in time",
        ErrorType::ConnectNoRoute => "there is no way to its address",
        ErrorType::ConnectError | ErrorType::SocketError => "no connection",
        ErrorType::InvalidCert => "its certificate is not trusted",
        ErrorType::TLSHandshakeFailure | ErrorType::HandshakeError => match TlsFault::of(error) {
            TlsFault::NothingInCommon => "no TLS in common: it may speak only TLS 1.1 or older, or only old ciphers",
            TlsFault::NoTls => "it does not speak TLS there",
            TlsFault::Untrusted => "its certificate is not trusted",
            TlsFault::Other => "the TLS handshake failed",
        },
        ErrorType::TLSHandshakeTimedout => "no TLS handshake in time",
        other => other.as_str(),
    }
}

/// Whether an earlier request used the connection to the endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum UpstreamConnection {
    Fresh,
    Reused,
}

/// Whether a request may be sent again after its connection failed. Nothing of an answer may have come. Besides,
/// either the request is idempotent (RFC 9110, section 9.2.2) and still at hand, or none of its body was read.
pub(crate) fn may_retry(
    session: &mut Session,
    attempt: &Attempt,
    error: &Error,
    upstream_connection: UpstreamConnection,
) -> bool {
    let from_upstream = *error.esource() == ErrorSource::Upstream;
    if !from_upstream || attempt.first_byte.is_some() || attempt.tries >= TRIES_MAX {
        return false;
    }
    // An endpoint that failed after a timeout is not asked the same again.
    if matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout) {
        return false;
    }
    let repeatable = session.req_header().method.is_idempotent() && !session.retry_buffer_truncated();
    let (has_body, none_sent) = (!session.is_body_empty(), session.body_bytes_read() == 0);
    // A request without a body was sent whole. If the connection was idle, the endpoint closed it without reading the
    // request; on a fresh one, the endpoint failed the request itself.
    repeatable || none_sent && (has_body || upstream_connection == UpstreamConnection::Reused)
}

/// The reason for a local reply; none if the client is gone.
pub(crate) fn reason_for(error: &Error, attempt: &Attempt) -> Option<Reason> {
    match error.etype() {
        ErrorType::HTTPStatus(413) => Some(Reason::BodyTooLarge),
        ErrorType::HTTPStatus(400) => Some(Reason::BadRequest),
        _ if *error.esource() == ErrorSource::Downstream => match error.etype() {
            ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed | ErrorType::H2Error => None,
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => None,
            _ => Some(Reason::BadRequest),
        },
        ErrorType::ConnectRefused => Some(Reason::UpstreamRefused),
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Some(Reason::UpstreamTimeout),
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Some(Reason::UpstreamTimeout),
        ErrorType::ConnectNoRoute | ErrorType::ConnectError | ErrorType::SocketError => Some(Reason::UpstreamConnect),
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => {
            Some(Reason::UpstreamTls)
        }
        _ if *error.esource() == ErrorSource::Upstream => Some(Reason::UpstreamProtocol),
        _ if attempt.sent.is_some() => Some(Reason::UpstreamProtocol),
        _ => Some(Reason::Internal),
    }
}

/// Explains a failure to a client on the local network.
pub(crate) fn error_detail(error: &Error, endpoint: Option<&ActiveEndpoint>, attempt: &Attempt) -> String {
    let Some(endpoint) = endpoint else { return error.etype().as_str().to_owned() };
    let address = match &endpoint.target {
        DialTarget::Address => endpoint.peer._address.to_string(),
        DialTarget::Name(name, port) => format!("{name}:{port}"),
    };
    let help = match reason_for(error, attempt) {
        Some(Reason::UpstreamRefused) => {
            ": nothing listens there. Does the app listen on this port, and on all addresses rather than on 127.0.0.1?"
        }
        Some(Reason::UpstreamTls) => TlsFault::of(error).help(endpoint),
        Some(Reason::UpstreamProtocol) if endpoint.peer.is_tls() => {
            ": it does not speak HTTP there, or closed the connection."
        }
        Some(Reason::UpstreamProtocol) => {
            ": it does not speak plain HTTP there, or closed the connection. If it speaks TLS, set `scheme` to `https`."
        }
        _ => "",
    };
    format!("`{}` at {address}: {}{help}", endpoint.name, error.etype().as_str())
}

/// Why TLS with an application failed.
#[derive(Clone, Copy)]
enum TlsFault {
    Untrusted,
    /// There is no common version, key exchange or cipher.
    NothingInCommon,
    NoTls,
    Other,
}

impl TlsFault {
    fn of(error: &Error) -> Self {
        // Pingora keeps errors of rustls only as text.
        let said = error.context.as_ref().map_or("", |context| context.as_str());
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if says(&["invalid peer certificate"]) {
            Self::Untrusted
        } else if says(&["HandshakeFailure", "ProtocolVersion", "InsufficientSecurity", "peer is incompatible"]) {
            // The alerts that servers send, and our own error if a server chooses parameters that were not offered.
            Self::NothingInCommon
        } else if says(&["InvalidContentType", "corrupt message"]) {
            Self::NoTls
        } else {
            Self::Other
        }
    }

    /// What to do about it.
    fn help(self, endpoint: &ActiveEndpoint) -> &'static str {
        match self {
            Self::Untrusted if endpoint.peer.options.verify_cert => {
                ": its certificate is not trusted. Set `verify` to false if it is self-signed."
            }
            Self::Untrusted => {
                ": its certificate cannot be used, although it is not checked. Give the application another one."
            }
            Self::NothingInCommon => {
                ": it has no TLS in common with Gangway, so it cannot be served by https. It may speak only TLS 1.1 or \
                 older, or only RSA key exchange or CBC ciphers. Let it speak TLS 1.2 or newer with ECDHE and AES-GCM \
                 or ChaCha20; or take its port for plain HTTP, and set `scheme` to `http`."
            }
            Self::NoTls => ": it does not speak TLS there. Set `scheme` to `http`, or `port` to where it does.",
            Self::Other => ": TLS with it failed.",
        }
    }
}
