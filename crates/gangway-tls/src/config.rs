//! What rustls is told: versions, suites, key exchange, and to ask the store in force.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use gangway_publish::Reader;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};

use crate::client_ca::ClientCa;
use crate::name::normal_name;
use crate::resolver::CertificateResolver;
use crate::shared_tickets::SharedTickets;
use crate::store::Store;
use crate::time::UnixTime;

/// The protocol that a CA negotiates to see the answer to a TLS-ALPN-01 challenge (RFC 8737).
const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

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
/// the store in force when the handshake happens. FixedCertificate without SNI is served the certificate of
/// `default_name`, if given.
///
/// Sessions are sealed with the keys that the store shares. Where it has none each call has keys of its
/// own, so threads that serve the same listener should share one configuration.
pub fn server_config(resolver: &CertificateResolver, default_name: Option<Box<str>>) -> Arc<ServerConfig> {
    let config = base(Arc::new(ByName { resolver: resolver.clone(), default_name }));
    serving(config, resolver.store().clone(), Box::default())
}

/// With what every connection for requests has.
fn serving(mut config: ServerConfig, store: Reader<Store>, policy: Box<[u8]>) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Where no keys are shared: some that change every six hours and are never written anywhere.
    match Ticketer::new() {
        Ok(ticketer) => config.ticketer = Arc::new(SharedTickets::new(store, ticketer, policy)),
        Err(error) => tracing::warn!(%error, "sessions will not be resumed"),
    }
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    // A replayed request must not reach an app, so nothing is taken before the handshake is done.
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// What a handshake must come up to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HandshakePolicy<'a> {
    /// TLS 1.2 is not enough.
    pub is_tls13_only: bool,
    /// The client must show a certificate of these authorities.
    pub client_ca: Option<&'a str>,
}

impl HandshakePolicy<'_> {
    /// What tells it from every other, also from one with another bundle of the same name.
    fn text(&self, client_ca: Option<&ClientCa>) -> Box<[u8]> {
        let roots = client_ca.map(ClientCa::print).unwrap_or_default();
        [&[u8::from(self.is_tls13_only)][..], &roots].concat().into()
    }
}

/// The configurations of one listener: one for most hosts, and one for each policy that others have.
///
/// Each has session tickets of its own: a session that was begun under one policy is never resumed under
/// another, nor under another bundle of the same name.
#[derive(Debug)]
pub struct ServerConfigs {
    resolver: CertificateResolver,
    default_name: Option<Box<str>>,
    plain: Arc<ServerConfig>,
    strict: Mutex<HashMap<(bool, Box<str>), PolicyConfig>>,
}

/// A configuration, and the authorities that it was made with.
type PolicyConfig = (Option<Arc<ClientCa>>, Arc<ServerConfig>);

/// Policies come from labels; with more than this all are made anew when they are next asked for.
const POLICIES_MAX: usize = 256;

impl ServerConfigs {
    /// For a listener that serves what the resolver finds; see [`server_config`].
    pub fn new(resolver: CertificateResolver, default_name: Option<Box<str>>) -> Self {
        let plain = server_config(&resolver, default_name.clone());
        Self { resolver, default_name, plain, strict: Mutex::default() }
    }

    /// What serves handshakes under a policy; none where its authorities are not there.
    pub fn under(&self, policy: HandshakePolicy<'_>) -> Option<Arc<ServerConfig>> {
        if policy == HandshakePolicy::default() {
            return Some(Arc::clone(&self.plain));
        }
        let client_ca = match policy.client_ca {
            Some(name) => Some(Arc::clone(self.resolver.store().load().client_ca(name)?)),
            None => None,
        };
        let key = (policy.is_tls13_only, Box::from(policy.client_ca.unwrap_or_default()));
        let mut strict = self.strict.lock();
        let is_same = |known: &Option<Arc<ClientCa>>| match (known, &client_ca) {
            (Some(known), Some(wanted)) => Arc::ptr_eq(known, wanted),
            (None, None) => true,
            _ => false,
        };
        if let Some((_, config)) = strict.get(&key).filter(|(known, _)| is_same(known)) {
            return Some(Arc::clone(config));
        }
        if strict.len() >= POLICIES_MAX {
            strict.clear();
        }
        let versions: &[&'static SupportedProtocolVersion] =
            if policy.is_tls13_only { &[&rustls::version::TLS13] } else { &VERSIONS };
        let resolver = ByName { resolver: self.resolver.clone(), default_name: self.default_name.clone() };
        let config = with(Arc::new(resolver), versions, client_ca.as_ref());
        let config = serving(config, self.resolver.store().clone(), policy.text(client_ca.as_deref()));
        strict.insert(key, (client_ca, Arc::clone(&config)));
        Some(config)
    }
}

impl ServerConfigs {
    /// What serves one handshake for a normal name that nobody claims, for a client who may be told so; none
    /// where no certificate for it can be made now, since too many were made just now.
    ///
    /// Its sessions are not resumed: whoever claims the name next has nothing to do with them.
    pub fn unclaimed(&self, name: &str, instant: Instant) -> Option<Arc<ServerConfig>> {
        let key = self.resolver.unclaimed(name, UnixTime::now(), instant)?;
        let mut config = base(Arc::new(FixedCertificate(key)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Some(Arc::new(config))
    }
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
    with(resolver, &VERSIONS, None)
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

fn with(
    resolver: Arc<dyn ResolvesServerCert>,
    versions: &[&'static SupportedProtocolVersion],
    client_ca: Option<&Arc<ClientCa>>,
) -> ServerConfig {
    // Given explicitly, so that the key exchange does not depend on who installed a provider first.
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("aws-lc-rs has suites for both versions");
    let builder = match client_ca {
        Some(client_ca) => builder.with_client_cert_verifier(Arc::clone(&client_ca.verifier)),
        None => builder.with_no_client_auth(),
    };
    builder.with_cert_resolver(resolver)
}

#[derive(Debug)]
struct ByName {
    resolver: CertificateResolver,
    default_name: Option<Box<str>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // An address as SNI arrives here as none, which is what RFC 6066 makes of it.
        let name = hello.server_name().or(self.default_name.as_deref())?;
        self.resolver.serve(&normal_name(name), hello.signature_schemes(), UnixTime::now())
    }
}

#[derive(Debug)]
struct FixedCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for FixedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct ByChallenge {
    store: Reader<Store>,
}

impl ResolvesServerCert for ByChallenge {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.store.load().challenge(&normal_name(hello.server_name()?)).cloned()
    }
}
