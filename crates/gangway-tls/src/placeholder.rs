//! Self-signed certificates that are served until real ones arrive.

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::bundle::{Bundle, Origin};
use crate::internal_ca::{InternalCaError, leaf_params};
use crate::time::UnixTime;

/// The name that people read in the certificate when their browser warns of it.
const PLACEHOLDER_NAME: &str = "Gangway placeholder: waiting for a certificate";

/// Makes self-signed certificates, all with one key: no client is meant to trust them.
#[derive(Debug)]
pub struct Placeholders {
    key: KeyPair,
}

impl Placeholders {
    /// A maker of placeholders with a new key.
    pub fn new() -> Result<Self, InternalCaError> {
        Ok(Self { key: KeyPair::generate()? })
    }

    /// Makes a bundle for one name, which may be a wildcard or an address, valid from `now`.
    pub fn bundle(&self, name: &str, now: UnixTime) -> Result<Bundle, InternalCaError> {
        let mut params: CertificateParams = leaf_params(name, now)?;
        params.distinguished_name.push(DnType::CommonName, PLACEHOLDER_NAME);
        params.use_authority_key_identifier_extension = false;
        let certificate = params.self_signed(&self.key)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        Ok(Bundle::from_der(vec![certificate.der().clone()], key, Origin::Placeholder)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_carries_the_name_and_says_what_it_is() {
        let now = UnixTime::from_seconds(1_700_000_000);
        let placeholder = Placeholders::new().expect("makes a key").bundle("example.org", now).expect("signs");
        assert_eq!(*placeholder.names, [Box::from("example.org")]);
        assert_eq!(&*placeholder.issuer, PLACEHOLDER_NAME);
        assert_eq!(placeholder.origin, Origin::Placeholder);
        assert!(placeholder.is_valid_at(now));
    }
}
