//! How an endpoint is spoken to.

use std::sync::Arc;
use std::time::Duration;

use gangway_model::{Scheme, TransportSettings};
use rustls::pki_types::{DnsName, IpAddr as TlsAddress, ServerName};

/// How an endpoint is spoken to. Connections of equal transports are interchangeable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct EndpointTransport {
    pub(crate) protocol: EndpointProtocol,
    pub(crate) settings: Arc<TransportSettings>,
}

/// The protocols between TCP and the requests of an endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum EndpointProtocol {
    /// HTTP/1.1.
    Plain,
    /// HTTP/2 from the first byte.
    H2c,
    /// TLS, and in it the version of HTTP that both ends prefer. The name is the one that the certificate must be for, and
    /// that the handshake announces unless it is an address.
    Tls(ServerName<'static>),
}

impl EndpointTransport {
    /// `name` is the host of the endpoint, which counts for TLS where the settings name none.
    pub(crate) fn new(scheme: Scheme, name: &str, settings: &Arc<TransportSettings>) -> Self {
        let protocol = match scheme {
            Scheme::Http => EndpointProtocol::Plain,
            Scheme::H2c => EndpointProtocol::H2c,
            Scheme::Https => EndpointProtocol::Tls(server_name(settings.server_name.as_deref().unwrap_or(name))),
        };
        Self { protocol, settings: Arc::clone(settings) }
    }

    /// The time for which an idle connection is kept: what is seen of the endpoint, unless less is written.
    pub(crate) fn idle_at_most(&self, seen: Duration) -> Duration {
        self.settings.idle_timeout.map_or(seen, |written| written.min(seen))
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.protocol, EndpointProtocol::Tls(_))
    }

    /// Whether the certificate must be trusted.
    pub(crate) fn checks_certificate(&self) -> bool {
        self.is_tls() && self.settings.verify
    }
}

/// A name that no certificate can be for stays unmatched by each of them, since the address stands for it.
fn server_name(name: &str) -> ServerName<'static> {
    let unspecified = || ServerName::IpAddress(TlsAddress::V4([0; 4].into()));
    if let Ok(address) = TlsAddress::try_from(name) {
        return ServerName::IpAddress(address);
    }
    DnsName::try_from(name.to_owned()).map_or_else(|_| unspecified(), ServerName::DnsName)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(name: &str, settings: TransportSettings) -> String {
        match EndpointTransport::new(Scheme::Https, name, &Arc::new(settings)).protocol {
            EndpointProtocol::Tls(name) => name.to_str().into_owned(),
            EndpointProtocol::Plain | EndpointProtocol::H2c => String::new(),
        }
    }

    #[test]
    fn a_name_that_is_no_name_matches_no_certificate() {
        let name = |name: &str| announced(name, TransportSettings::default());
        assert_eq!(name("app.example"), "app.example");
        assert_eq!(name("my_app"), "my_app");
        assert_eq!(name("2001:db8::1"), "2001:db8::1");
        assert_eq!(name("not a name"), "0.0.0.0");
    }

    #[test]
    fn a_name_in_the_settings_stands_for_that_of_the_endpoint() {
        let settings = TransportSettings { server_name: Some("nas.internal".into()), ..TransportSettings::default() };
        assert_eq!(announced("192.0.2.9", settings), "nas.internal");
    }
}
