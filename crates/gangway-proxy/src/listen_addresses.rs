//! Where the data plane listens, and for what.

use std::net::SocketAddr;

/// The addresses that are listened on.
#[derive(Clone, Debug, Default)]
pub struct ListenAddresses {
    /// Plain HTTP.
    pub http: Vec<SocketAddr>,
    /// HTTPS.
    pub https: Vec<SocketAddr>,
}

/// What a listener expects first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ListenerProtocol {
    /// A request.
    Plain,
    /// A TLS handshake.
    Tls,
}

impl ListenerProtocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }
}
