//! What rustls is told: versions, suites, key exchange, and to ask the store in force.

use std::sync::Arc;

use gangway_publish::Reader;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;

use crate::name::normal_name;
use crate::store::Store;

/// The protocol that a CA negotiates to see the answer to a TLS-ALPN-01 challenge (RFC 8737).
pub const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

/// `unrecognized_name` (RFC 6066, section 3) as a fatal alert record, in clear as it is before any key.
///
/// rustls itself ends a handshake without certificate with `access_denied`, so who reads the
/// ClientHello first sends this.
pub const UNRECOGNIZED_NAME_ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Sessions kept for clients of TLS 1.2 that know no tickets; there are few, and each costs about 300 bytes.
const SESSIONS_MAX: usize = 4096;

/// Makes aws-lc-rs the process's provider, with X25519MLKEM768 preferred.
///
/// Must be the first thing a process does with TLS: Pingora installs ring, which has no post-quantum
/// key exchange, wherever it finds none. A second call does nothing.
pub fn install_crypto_provider() {
    let _ = default_provider().install_default();
}

/// A configuration for TLS 1.2 and 1.3 with ALPN `h2` and `http/1.1` that chooses the certificate from
/// the store in force when the handshake happens. One without SNI is served the certificate of
/// `default_name`, if given.
///
/// Each call has session tickets of its own, so that a session is never resumed under another
/// policy; threads that serve the same listener must therefore share one configuration.
pub fn server_config(store: Reader<Store>, default_name: Option<Box<str>>) -> Arc<ServerConfig> {
    let mut config = base(Arc::new(ByName { store, default_name }));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Tickets of keys that change every six hours and are never written anywhere.
    match Ticketer::new() {
        Ok(ticketer) => config.ticketer = ticketer,
        Err(error) => tracing::warn!(%error, "sessions will not be resumed"),
    }
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    // A replayed request must not reach an app, so nothing is taken before the handshake is done.
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// A configuration that answers TLS-ALPN-01 challenges, and nothing else.
///
/// For connections whose ClientHello [`is_challenge`]; they carry no data, so close them after the
/// handshake.
pub fn challenge_config(store: Reader<Store>) -> Arc<ServerConfig> {
    let mut config = base(Arc::new(ByChallenge { store }));
    config.alpn_protocols = vec![ACME_TLS_ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// Whether a CA asks to see the answer to a TLS-ALPN-01 challenge: it offers that protocol alone.
pub fn is_challenge(hello: &ClientHello<'_>) -> bool {
    let mut offered = hello.alpn().into_iter().flatten();
    offered.next() == Some(ACME_TLS_ALPN) && offered.next().is_none()
}

/// Mozilla's "intermediate", of which rustls has everything but finite-field Diffie-Hellman.
fn base(resolver: Arc<dyn ResolvesServerCert>) -> ServerConfig {
    // Given explicitly, so that the key exchange does not depend on who installed a provider first.
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("aws-lc-rs has suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver)
}

#[derive(Debug)]
struct ByName {
    store: Reader<Store>,
    default_name: Option<Box<str>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // An address as SNI arrives here as none, which is what RFC 6066 makes of it.
        let name = hello.server_name().or(self.default_name.as_deref())?;
        self.store.load().value.serve(&normal_name(name), hello.signature_schemes())
    }
}

#[derive(Debug)]
struct ByChallenge {
    store: Reader<Store>,
}

impl ResolvesServerCert for ByChallenge {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.store.load().value.challenge(&normal_name(hello.server_name()?)).cloned()
    }
}
