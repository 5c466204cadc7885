//! The addresses and protocols of listeners.

use std::net::SocketAddr;

/// The addresses that the data plane listens on.
#[derive(Clone, Debug, Default)]
pub struct ListenAddresses {
    /// Addresses for plain HTTP.
    pub http: Vec<SocketAddr>,
    /// Addresses for HTTPS.
    pub https: Vec<SocketAddr>,
}

/// The protocol of a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ListenerProtocol {
    /// Connections begin with a request.
    Plain,
    /// Connections begin with a TLS handshake.
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
