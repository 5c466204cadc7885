//! What handshakes with endpoints need from PEM that users name: roots of their own, and certificates to show.
//!
//! The data plane knows no disk, so the caller reads the files and publishes what comes of them. Until it has said
//! anything about the settings of an endpoint, a handshake waits; where they cannot be had, nothing is sent.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use gangway_model::{ClientCertificate, PemSource, TransportSettings};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};

use crate::upstream::roots;
use crate::upstream::tls_configs::Configs;

/// Everything that a handshake with some settings needs, ready for use.
pub struct EndpointTls(pub(crate) Configs);

/// By settings, what their PEM gave, or why it cannot be used, in a few words without a secret.
#[derive(Clone, Debug, Default)]
pub struct EndpointTlsSet(BTreeMap<Arc<TransportSettings>, Result<Arc<EndpointTls>, Box<str>>>);

/// Why the PEM of some settings cannot be used: the path of the file, or none where it is written out, and what is wrong.
#[derive(Debug)]
pub struct EndpointTlsError {
    /// The file that is at fault, if it is one.
    pub path: Option<Box<str>>,
    /// What is wrong, as it follows the name of the file.
    pub why: String,
}

impl EndpointTls {
    /// Makes it of what `read` gives for each path. Reads the roots of the system where no others are named, so it may
    /// block.
    pub fn new(
        settings: &TransportSettings,
        read: &dyn Fn(&str) -> io::Result<Vec<u8>>,
    ) -> Result<Self, EndpointTlsError> {
        let certificates = settings.certificates.iter().map(|one| certified_key(one, read));
        let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
        let roots = match (settings.verify, settings.roots.is_empty()) {
            (false, _) => None,
            (true, true) => Some(roots::store()),
            (true, false) => Some(own_roots(&settings.roots, read)?),
        };
        Ok(Self(Configs::of_user(roots, Arc::new(Certificates(certificates)))))
    }
}

impl fmt::Debug for EndpointTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndpointTls")
    }
}

impl EndpointTlsSet {
    /// These, by the settings that they are of.
    pub fn new(set: BTreeMap<Arc<TransportSettings>, Result<Arc<EndpointTls>, Box<str>>>) -> Self {
        Self(set)
    }

    /// None where nothing is known of the settings yet.
    pub(crate) fn get(&self, settings: &TransportSettings) -> Option<&Result<Arc<EndpointTls>, Box<str>>> {
        self.0.get(settings)
    }
}

impl EndpointTlsError {
    fn new(source: &PemSource, why: impl Into<String>) -> Self {
        let path = match source {
            PemSource::File(path) => Some(path.clone()),
            PemSource::Text(_) => None,
        };
        Self { path, why: why.into() }
    }
}

impl fmt::Display for EndpointTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "`{path}` {}", self.why),
            None => write!(f, "the PEM that is written out {}", self.why),
        }
    }
}

fn pem(source: &PemSource, read: &dyn Fn(&str) -> io::Result<Vec<u8>>) -> Result<Vec<u8>, EndpointTlsError> {
    match source {
        PemSource::File(path) => {
            read(path).map_err(|error| EndpointTlsError::new(source, format!("cannot be read: {error}")))
        }
        PemSource::Text(text) => Ok(text.as_bytes().to_vec()),
    }
}

fn chain(source: &PemSource, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, EndpointTlsError> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if chain.is_empty() => Err(EndpointTlsError::new(source, "holds no certificate")),
        Ok(chain) => Ok(chain),
        Err(_) => Err(EndpointTlsError::new(source, "is no PEM")),
    }
}

/// All of them count: one that cannot be used may be the one that is needed.
fn own_roots(
    sources: &[PemSource],
    read: &dyn Fn(&str) -> io::Result<Vec<u8>>,
) -> Result<RootCertStore, EndpointTlsError> {
    let mut store = RootCertStore::empty();
    for source in sources {
        for root in chain(source, &pem(source, read)?)? {
            store.add(root).map_err(|_| EndpointTlsError::new(source, "holds a certificate that cannot be a root"))?;
        }
    }
    Ok(store)
}

fn certified_key(
    certificate: &ClientCertificate,
    read: &dyn Fn(&str) -> io::Result<Vec<u8>>,
) -> Result<Arc<CertifiedKey>, EndpointTlsError> {
    let chain = chain(&certificate.chain, &pem(&certificate.chain, read)?)?;
    let about_key = |why| EndpointTlsError::new(&certificate.key, why);
    let key = pem(&certificate.key, read)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| about_key("holds no private key"))?;
    let certified = CertifiedKey::from_der(chain, key, &default_provider());
    certified.map(Arc::new).map_err(|error| {
        about_key(match error {
            rustls::Error::InconsistentKeys(_) => "is not the key of the certificate",
            _ => "holds a private key that cannot be used",
        })
    })
}

/// Certificates to show, in the order in which they are written.
#[derive(Debug)]
pub(crate) struct Certificates(Vec<Arc<CertifiedKey>>);

impl ResolvesClientCert for Certificates {
    fn resolve(&self, _root_hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|one| one.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
