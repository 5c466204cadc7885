//! Client CAs: authorities that verify clients' certificates, by the name that routes use for them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

/// Client CAs by name. A value, published with the [`Store`](crate::Store).
pub type ClientCas = BTreeMap<Box<str>, Arc<ClientCa>>;

/// The authorities of one CA file.
pub struct ClientCa {
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

impl ClientCa {
    /// Reads certificates in PEM form.
    ///
    /// # Errors
    ///
    /// If there is no certificate, or one of them cannot be an authority: an operator who lists several must be
    /// able to rely on all of them.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ClientCaError> {
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let roots = roots.map_err(|error| ClientCaError::Damaged(error.to_string()))?;
        if roots.is_empty() {
            return Err(ClientCaError::Empty);
        }
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|error| ClientCaError::Damaged(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::new(default_provider()));
        let verifier = verifier.build().map_err(|error| ClientCaError::Damaged(error.to_string()))?;
        Ok(Self { verifier, roots })
    }

    /// A hash that is equal only for the same authorities in the same order.
    pub(crate) fn print(&self) -> Vec<u8> {
        let mut print = Context::new(&SHA256);
        for root in &self.roots {
            print.update(&(root.len() as u64).to_be_bytes());
            print.update(root);
        }
        print.finish().as_ref().to_vec()
    }

    /// Whether both trust the same authorities.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.roots == other.roots
    }
}

impl fmt::Debug for ClientCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCa").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

/// The reason why a file is not a CA file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClientCaError {
    /// The file holds no certificate.
    #[error("there is no certificate in it")]
    Empty,
    /// A certificate in the file is damaged or not an authority's.
    #[error("a certificate in it cannot be used: {0}")]
    Damaged(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_whole_or_not_at_all() {
        let ca = crate::InternalCa::make(&crate::Scope::default(), crate::UnixTime::from_seconds(1_700_000_000))
            .expect("makes a CA");
        let good = ClientCa::from_pem(ca.root_pem().as_bytes()).expect("a CA file");
        assert!(good.is_same_as(&ClientCa::from_pem(ca.root_pem().as_bytes()).expect("a CA file")));
        assert_eq!(ClientCa::from_pem(b"nothing").err(), Some(ClientCaError::Empty));
        let broken = format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ca.root_pem());
        assert!(matches!(ClientCa::from_pem(broken.as_bytes()), Err(ClientCaError::Damaged(_))));
    }
}
