//! What handshakes with endpoints are made with.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use crate::upstream::key_verifier::KeyVerifier;

/// The versions of HTTP that a handshake offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HttpOffer {
    Http1,
    Http2OrHttp1,
}

/// One for each offer; they share nothing.
pub(crate) struct Configs {
    http1: Arc<ClientConfig>,
    http2_or_http1: Arc<ClientConfig>,
}

impl Configs {
    /// Checks certificates by these roots.
    pub(crate) fn checked(roots: RootCertStore) -> Self {
        Self::new(trusting(roots))
    }

    pub(crate) fn new(verifier: Arc<dyn ServerCertVerifier>) -> Self {
        Self::offering(builder(verifier).with_no_client_auth())
    }

    /// As users say: only these roots are trusted, or any certificate where there are none.
    pub(crate) fn of_user(roots: Option<RootCertStore>, certificates: Arc<dyn ResolvesClientCert>) -> Self {
        let verifier = roots.map_or_else(|| Arc::new(KeyVerifier::new()) as _, trusting);
        Self::offering(builder(verifier).with_client_cert_resolver(certificates))
    }

    fn offering(mut http1: ClientConfig) -> Self {
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http2_or_http1 = http1.clone();
        http2_or_http1.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { http1: Arc::new(http1), http2_or_http1: Arc::new(http2_or_http1) }
    }

    /// The one that offers these versions of HTTP.
    pub(crate) fn of(&self, offer: HttpOffer) -> Arc<ClientConfig> {
        Arc::clone(match offer {
            HttpOffer::Http1 => &self.http1,
            HttpOffer::Http2OrHttp1 => &self.http2_or_http1,
        })
    }
}

/// There is at least one root, or else nothing could be trusted.
fn trusting(roots: RootCertStore) -> Arc<dyn ServerCertVerifier> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
    verifier.build().expect("there is a root: compiled in, or in each file of a user's")
}

fn builder(verifier: Arc<dyn ServerCertVerifier>) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites of all versions")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
}
