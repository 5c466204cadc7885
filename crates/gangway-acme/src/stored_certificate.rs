//! A certificate on the volume: one file with its key, chain and origin.
//!
//! It is one file, so that no crash can leave a key beside a certificate that it does not belong to. The file is
//! PEM that every tool reads, below one line that only gangway reads.

use std::sync::Arc;

use gangway_tls::{Bundle, BundleError, Origin};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use x509_parser::extensions::ParsedExtension;

use crate::directory_url::DirectoryUrl;
use crate::storage::safe_name;

/// The folder of these files on the volume.
pub const FOLDER: &str = "acme/certificates/";

/// The beginning of the first line.
const HEAD: &str = "# gangway certificate ";
const VERSION: u32 = 1;

/// A certificate of a public CA.
#[derive(Clone, Debug)]
pub struct StoredCertificate {
    /// The chain with its key.
    pub bundle: Arc<Bundle>,
    /// The CA's directory; empty if unknown.
    pub directory: DirectoryUrl,
    /// The account that ordered it. No other account may state that a new certificate replaces it.
    pub account: Box<str>,
    /// The certificate's identifier in the CA's renewal information.
    pub id: Option<CertificateId>,
}

/// The key identifier of the issuer and the serial, each in base64url (RFC 9773, section 4.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateId {
    /// The key identifier of the issuer.
    pub authority: String,
    /// The serial number.
    pub serial: String,
}

/// The content of the first line.
#[derive(Debug, Deserialize, Serialize)]
struct Head {
    version: u32,
    directory: String,
    account: String,
}

/// The storage key of the certificate for a name.
pub fn key_for(name: &str) -> String {
    format!("{FOLDER}{}.pem", safe_name(name))
}

impl StoredCertificate {
    /// A certificate that a CA has issued.
    pub fn new(chain: &str, key: &str, directory: &DirectoryUrl, account: &str) -> Result<Self, BundleError> {
        let bundle = Bundle::from_pem(chain.as_bytes(), key.as_bytes(), Origin::Acme)?;
        let id = bundle.key.cert.first().and_then(CertificateId::of);
        Ok(Self { bundle: Arc::new(bundle), directory: directory.clone(), account: account.into(), id })
    }

    /// Reads the text of a file.
    pub fn read(text: &str) -> Result<Self, StoredCertificateError> {
        let head =
            text.strip_prefix(HEAD).and_then(|rest| rest.lines().next()).ok_or(StoredCertificateError::NoHead)?;
        let head: Head =
            serde_json::from_str(head).map_err(|error| StoredCertificateError::BadHead(error.to_string()))?;
        if head.version > VERSION {
            return Err(StoredCertificateError::Newer(head.version));
        }
        Ok(Self::new(text, text, &DirectoryUrl::from_volume(head.directory), &head.account)?)
    }
}

/// The text of a file.
pub fn write(chain: &str, key: &str, directory: &DirectoryUrl, account: &str) -> String {
    let head = Head { version: VERSION, directory: directory.to_string(), account: account.into() };
    let head = serde_json::to_string(&head).expect("text and numbers can always be written");
    format!("{HEAD}{head}\n{}\n{}\n", key.trim_end(), chain.trim_end())
}

impl CertificateId {
    fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        use base64::Engine;
        use base64::prelude::BASE64_URL_SAFE_NO_PAD;
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let authority = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
            _ => None,
        })?;
        Some(Self {
            authority: BASE64_URL_SAFE_NO_PAD.encode(authority.0),
            serial: BASE64_URL_SAFE_NO_PAD.encode(certificate.raw_serial()),
        })
    }
}

impl std::fmt::Display for CertificateId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.authority, self.serial)
    }
}

/// The reason why a file is not a stored certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StoredCertificateError {
    /// The first line is missing.
    #[error("it does not begin with `{}`", HEAD.trim_end())]
    NoHead,
    /// The first line is damaged.
    #[error("its first line cannot be read: {0}")]
    BadHead(String),
    /// A later version wrote the file. It is left alone, since that version may come back.
    #[error("it was written by a later version of gangway (format {0})")]
    Newer(u32),
    /// The chain or the key is damaged.
    #[error("{0}")]
    Bundle(#[from] BundleError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> String {
        let ca = gangway_tls::InternalCa::make(
            &gangway_tls::Scope::default(),
            gangway_tls::UnixTime::from_seconds(1_700_000_000),
        )
        .expect("makes a CA");
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(["a.test".to_owned()]).expect("a name");
        params.use_authority_key_identifier_extension = true;
        let issuer_key = rcgen::KeyPair::from_pem(&ca.key_pem()).expect("the CA's key");
        let issuer = rcgen::Issuer::from_ca_cert_pem(ca.root_pem(), issuer_key).expect("the CA");
        let chain = params.signed_by(&key, &issuer).expect("signs").pem();
        write(&chain, &key.serialize_pem(), &"https://ca.test/dir".into(), "https://ca.test/acct/1")
    }

    #[test]
    fn what_was_written_is_read_and_is_plain_pem() {
        let file = file();
        let stored = StoredCertificate::read(&file).expect("reads it");
        assert_eq!((stored.directory.as_str(), &*stored.account), ("https://ca.test/dir", "https://ca.test/acct/1"));
        assert_eq!((&stored.bundle.origin, &*stored.bundle.names), (&Origin::Acme, &[Box::from("a.test")][..]));
        let id = stored.id.expect("has one").to_string();
        assert!(id.split('.').all(|part| part.len() > 10) && !id.contains('='), "{id}");
        assert!(file.lines().skip(1).all(|line| line.starts_with("-----") || !line.contains(' ')));
    }

    #[test]
    fn a_damaged_file_says_why_and_a_newer_one_is_no_damage() {
        let file = file();
        assert_eq!(StoredCertificate::read("").err(), Some(StoredCertificateError::NoHead));
        assert!(matches!(
            StoredCertificate::read(&file.replacen('{', "{{", 1)),
            Err(StoredCertificateError::BadHead(_))
        ));
        assert_eq!(
            StoredCertificate::read(&file.replace("\"version\":1", "\"version\":2")).err(),
            Some(StoredCertificateError::Newer(2))
        );
        assert!(matches!(StoredCertificate::read(&file[..file.len() - 60]), Err(StoredCertificateError::Bundle(_))));
    }
}
