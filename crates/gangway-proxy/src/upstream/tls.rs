//! TLS towards endpoints.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{AlertDescription, ClientConfig, InvalidMessage, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::upstream::key_verifier::KeyVerifier;
use crate::upstream::roots;
use crate::upstream::transport::{CertificateCheck, TlsTransport};

/// The versions of HTTP that a handshake offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HttpOffer {
    Http1,
    Http2OrHttp1,
}

/// The settings of TLS towards endpoints. Clones share them, and with them the sessions that can be resumed.
#[derive(Clone, Default)]
pub(crate) struct UpstreamTls {
    /// Made at the first handshake that needs them, since they are read from files.
    checked: Arc<OnceCell<Configs>>,
    key_only: Arc<OnceLock<Configs>>,
}

#[derive(Clone)]
struct Configs {
    http1: Arc<ClientConfig>,
    http2_or_http1: Arc<ClientConfig>,
}

impl UpstreamTls {
    /// Trusts only these roots.
    #[cfg(test)]
    pub(crate) fn trusting(roots: RootCertStore) -> Self {
        Self { checked: Arc::new(OnceCell::new_with(Some(Configs::checked(roots)))), key_only: Arc::default() }
    }

    /// Makes a handshake. The caller limits the time.
    pub(crate) async fn handshake(
        &self,
        tcp: TcpStream,
        transport: &TlsTransport,
        offer: HttpOffer,
    ) -> Result<TlsStream<TcpStream>, UpstreamError> {
        let config = self.configs(transport.check).await?.of(offer);
        let connector = TlsConnector::from(config);
        connector.connect(transport.server_name.clone(), tcp).await.map_err(|error| tls_error(&error))
    }

    async fn configs(&self, check: CertificateCheck) -> Result<&Configs, UpstreamError> {
        match check {
            CertificateCheck::KeyOnly => Ok(self.key_only.get_or_init(|| Configs::new(Arc::new(KeyVerifier::new())))),
            CertificateCheck::Full => {
                let roots = || async { tokio::task::spawn_blocking(|| Configs::checked(roots::store())).await };
                self.checked.get_or_try_init(roots).await.map_err(|_| {
                    UpstreamError::new(UpstreamErrorKind::Tls, "the roots for certificates cannot be read")
                })
            }
        }
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamTls")
    }
}

impl Configs {
    fn checked(roots: RootCertStore) -> Self {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
        Self::new(verifier.build().expect("the roots are compiled in, so there are some"))
    }

    fn new(verifier: Arc<dyn ServerCertVerifier>) -> Self {
        let mut http1 = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites of all versions")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http2_or_http1 = http1.clone();
        http2_or_http1.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { http1: Arc::new(http1), http2_or_http1: Arc::new(http2_or_http1) }
    }

    fn of(&self, offer: HttpOffer) -> Arc<ClientConfig> {
        Arc::clone(match offer {
            HttpOffer::Http1 => &self.http1,
            HttpOffer::Http2OrHttp1 => &self.http2_or_http1,
        })
    }
}

fn tls_error(error: &io::Error) -> UpstreamError {
    let kind = error.get_ref().and_then(|inner| inner.downcast_ref()).map_or(UpstreamErrorKind::Tls, kind_of);
    UpstreamError::new(kind, format!("the TLS handshake failed: {error}"))
}

fn kind_of(error: &rustls::Error) -> UpstreamErrorKind {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            UpstreamErrorKind::TlsUntrusted
        }
        // The alerts that servers send, and our own error if a server chooses parameters that were not offered.
        rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::InsufficientSecurity,
        )
        | rustls::Error::PeerIncompatible(_) => UpstreamErrorKind::TlsNothingInCommon,
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload
            | InvalidMessage::MessageTooShort,
        ) => UpstreamErrorKind::TlsNotSpoken,
        // The enum is not exhaustive.
        _ => UpstreamErrorKind::Tls,
    }
}

#[cfg(test)]
pub(crate) mod tests;
