//! The configuration of rustls: versions, suites, key exchange, and the store in force as the source of
//! certificates.

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
/// rustls itself ends a handshake without certificate with `access_denied`, so the code that reads the ClientHello
/// before rustls sends this.
pub const UNRECOGNIZED_NAME_ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Sessions kept for clients of TLS 1.2 that know no tickets; there are few, and each costs about 300 bytes.
const SESSIONS_MAX: usize = 4096;

/// Makes aws-lc-rs the process's provider, with X25519MLKEM768 preferred.
///
/// Must be the first thing a process does with TLS: a library may install another one wherever it finds none, without
/// the post-quantum key exchange. A second call does nothing.
pub fn install_crypto_provider() {
    let _ = default_provider().install_default();
}

/// A configuration for TLS 1.2 and 1.3 with ALPN `h2` and `http/1.1` that chooses the certificate from the store in
/// force when the handshake happens. Clients without SNI get the certificate of `default_name`, if given.
///
/// Sessions are sealed with the keys that the store shares. If it shares none, each call makes keys of its own, so
/// threads that serve the same listener should share one configuration.
pub fn server_config(resolver: &CertificateResolver, default_name: Option<Box<str>>) -> Arc<ServerConfig> {
    let config = base(Arc::new(ByName { resolver: resolver.clone(), default_name }));
    serving(config, resolver.store().clone(), Box::default())
}

/// Adds the settings of every connection that carries requests.
fn serving(mut config: ServerConfig, store: Reader<Store>, policy: Box<[u8]>) -> Arc<ServerConfig> {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Used while no keys are shared: these change every six hours and are never written to disk.
    match Ticketer::new() {
        Ok(ticketer) => config.ticketer = Arc::new(SharedTickets::new(store, ticketer, policy)),
        Err(error) => tracing::warn!(%error, "sessions will not be resumed"),
    }
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    // A replayed request must not reach an app, so no data is accepted before the handshake is done.
    config.max_early_data_size = 0;
    Arc::new(config)
}

/// The requirements of a route on a handshake.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HandshakePolicy<'a> {
    /// Whether TLS 1.2 is refused.
    pub is_tls13_only: bool,
    /// The name of the client CAs one of which must have signed the client's certificate.
    pub client_ca: Option<&'a str>,
}

impl HandshakePolicy<'_> {
    /// A text that differs for every other policy, also for one whose CA file of the same name has other
    /// authorities.
    fn text(&self, client_ca: Option<&ClientCa>) -> Box<[u8]> {
        let roots = client_ca.map(ClientCa::print).unwrap_or_default();
        [&[u8::from(self.is_tls13_only)][..], &roots].concat().into()
    }
}

/// The configurations of one listener: one for most hosts, and one for each policy that others have.
///
/// Each has its own session tickets: a session that was begun under one policy is never resumed under another, nor
/// under another CA file of the same name.
#[derive(Debug)]
pub struct ServerConfigs {
    resolver: CertificateResolver,
    default_name: Option<Box<str>>,
    plain: Arc<ServerConfig>,
    strict: Mutex<HashMap<(bool, Box<str>), PolicyConfig>>,
}

/// A configuration with the authorities that it was made with.
type PolicyConfig = (Option<Arc<ClientCa>>, Arc<ServerConfig>);

/// Policies come from labels. Beyond this number the cache is emptied, and configurations are made again when they
/// are needed.
const POLICIES_MAX: usize = 256;

impl ServerConfigs {
    /// Configurations for a listener that serves the resolver's certificates; see [`server_config`].
    pub fn new(resolver: CertificateResolver, default_name: Option<Box<str>>) -> Self {
        let plain = server_config(&resolver, default_name.clone());
        Self { resolver, default_name, plain, strict: Mutex::default() }
    }

    /// The configuration for handshakes under a policy. `None` if its authorities are missing.
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
    /// The configuration for a handshake for a name that no route has: it shows the certificate of the default name.
    /// `None` where there is none.
    ///
    /// Its sessions are not resumed: they must not carry over to a route that claims the name later.
    pub fn of_default(&self) -> Option<Arc<ServerConfig>> {
        let bundle = self.resolver.make(self.default_name.as_deref()?, UnixTime::now())?;
        Some(one_handshake(Arc::clone(&bundle.key)))
    }

    /// The configuration for one handshake for a normal name that no route claims, for a client that may learn so.
    /// `None` if no certificate for the name can be made now, because too many were made recently.
    ///
    /// Its sessions are not resumed: they must not carry over to a route that claims the name later.
    pub fn unclaimed(&self, name: &str, instant: Instant) -> Option<Arc<ServerConfig>> {
        Some(one_handshake(self.resolver.unclaimed(name, UnixTime::now(), instant)?))
    }
}

/// A configuration that shows this certificate, whatever name is asked for, and whose sessions are not resumed.
fn one_handshake(key: Arc<CertifiedKey>) -> Arc<ServerConfig> {
    let mut config = base(Arc::new(FixedCertificate(key)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// A configuration that only answers TLS-ALPN-01 challenges.
///
/// For connections whose ClientHello [`is_challenge`]; they carry no data, so close them after the
/// handshake.
pub fn challenge_config(store: Reader<Store>) -> Arc<ServerConfig> {
    let mut config = base(Arc::new(ByChallenge { store }));
    config.alpn_protocols = vec![ACME_TLS_ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// Whether the client is a CA that validates a TLS-ALPN-01 challenge: it offers that protocol alone.
pub fn is_challenge(hello: &ClientHello<'_>) -> bool {
    let mut offered = hello.alpn().into_iter().flatten();
    offered.next() == Some(ACME_TLS_ALPN) && offered.next().is_none()
}

/// Mozilla's "intermediate" profile, of which rustls supports everything but finite-field Diffie-Hellman.
fn base(resolver: Arc<dyn ResolvesServerCert>) -> ServerConfig {
    with(resolver, &VERSIONS, None)
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

fn with(
    resolver: Arc<dyn ResolvesServerCert>,
    versions: &[&'static SupportedProtocolVersion],
    client_ca: Option<&Arc<ClientCa>>,
) -> ServerConfig {
    // Set the provider explicitly, so that the key exchange does not depend on the order in which providers are
    // installed.
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
        // rustls reports an address as SNI as if there were no SNI, as RFC 6066 requires.
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
