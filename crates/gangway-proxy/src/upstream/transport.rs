//! How an endpoint is spoken to.

use gangway_model::Scheme;
use rustls::pki_types::{DnsName, IpAddr as TlsAddress, ServerName};

/// The protocols between TCP and the requests of an endpoint. Connections of equal transports are interchangeable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum EndpointTransport {
    /// HTTP/1.1.
    Plain,
    /// HTTP/2 from the first byte.
    H2c,
    /// TLS, and in it the version of HTTP that both ends prefer.
    Tls(TlsTransport),
}

/// The properties of TLS towards an endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TlsTransport {
    /// The name that the certificate must be for, and that the handshake announces unless it is an address.
    pub(crate) server_name: ServerName<'static>,
    pub(crate) check: CertificateCheck,
}

/// Whether the certificate of an endpoint must be trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CertificateCheck {
    Full,
    /// Only the key counts: it must have signed the handshake.
    KeyOnly,
}

impl EndpointTransport {
    pub(crate) fn new(scheme: Scheme, name: &str, verify: bool) -> Self {
        match scheme {
            Scheme::Http => Self::Plain,
            Scheme::H2c => Self::H2c,
            Scheme::Https => Self::Tls(TlsTransport {
                server_name: server_name(name),
                check: if verify { CertificateCheck::Full } else { CertificateCheck::KeyOnly },
            }),
        }
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether the certificate must be trusted.
    pub(crate) fn checks_certificate(&self) -> bool {
        matches!(self, Self::Tls(TlsTransport { check: CertificateCheck::Full, .. }))
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

    #[test]
    fn a_name_that_is_no_name_matches_no_certificate() {
        let name = |name: &str| match EndpointTransport::new(Scheme::Https, name, true) {
            EndpointTransport::Tls(tls) => tls.server_name.to_str().into_owned(),
            EndpointTransport::Plain | EndpointTransport::H2c => String::new(),
        };
        assert_eq!(name("app.example"), "app.example");
        assert_eq!(name("my_app"), "my_app");
        assert_eq!(name("2001:db8::1"), "2001:db8::1");
        assert_eq!(name("not a name"), "0.0.0.0");
    }
}
