//! A certificate chain with its key.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::time::ASN1Time;
use x509_parser::x509::{SubjectPublicKeyInfo, X509Name};

use crate::cert_name::CertName;
use crate::name::{is_dns_name, normal_name};
use crate::time::UnixTime;

/// A certificate chain with its key, parsed once.
#[derive(Debug)]
pub struct Bundle {
    /// The chain and the signing key in the form that rustls serves.
    pub key: Arc<CertifiedKey>,
    /// The DNS names and addresses it carries, lower case, wildcards as `*.example.org`.
    pub names: Vec<Box<str>>,
    /// The name of the issuer, in a form for people to read.
    pub issuer: Box<str>,
    /// The serial number in hexadecimal.
    pub serial: Box<str>,
    /// The first second of its validity.
    pub not_before: UnixTime,
    /// The end of its validity.
    pub not_after: UnixTime,
    /// What is sent behind the first certificate, in order. A certificate that cannot be read is sent and not listed.
    pub chain: Arc<[ChainCertificate]>,
    /// The source of the bundle, which decides between two bundles for one name.
    pub origin: Origin,
    /// The private key as it was read, since rustls does not give it back. Not printed.
    pub private: Arc<PrivateKeyDer<'static>>,
}

/// A certificate of a CA in the chain of a bundle.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChainCertificate {
    /// Whose it is, in a form for people to read.
    pub subject: Box<str>,
    /// The end of its validity.
    pub not_after: UnixTime,
}

/// The source of a bundle; the preferred one is last.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Origin {
    /// Self-signed, until the first real one arrives.
    Placeholder,
    /// Signed by the internal CA.
    Internal,
    /// From an ACME CA.
    Acme,
    /// From `certs/` on the volume: the named file.
    Folder(Box<str>),
}

impl Bundle {
    /// Reads a chain and the key that belongs to one of its certificates, at any place in the two texts, which may
    /// be the same text.
    pub fn from_pem(chain: &[u8], key: &[u8], origin: Origin) -> Result<Self, BundleError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| BundleError::BadPem(error.to_string()))?;
        let key = match PrivateKeyDer::from_pem_slice(key) {
            Ok(key) => key,
            Err(rustls::pki_types::pem::Error::NoItemsFound) if is_encrypted(key) => {
                return Err(BundleError::EncryptedKey);
            }
            Err(rustls::pki_types::pem::Error::NoItemsFound) => return Err(BundleError::NoKey),
            Err(error) => return Err(BundleError::BadPem(error.to_string())),
        };
        Self::from_der(chain, key, origin)
    }

    /// Makes a bundle from a chain and a key in DER form.
    ///
    /// The certificate that the key belongs to is put first, since clients refuse any other order.
    pub fn from_der(
        mut chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        origin: Origin,
    ) -> Result<Self, BundleError> {
        if chain.is_empty() {
            return Err(BundleError::NoCertificate);
        }
        let private = Arc::new(key);
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&private)
            .map_err(|error| BundleError::UnusableKey(error.to_string()))?;
        let leaf = leaf_position(&chain, key.as_ref())?;
        chain[..=leaf].rotate_right(1);
        let (_, certificate) = X509Certificate::from_der(&chain[0]).map_err(|error| bad_certificate(&error))?;
        let names = names(&certificate)?;
        let issuer = for_people(certificate.issuer());
        let serial = hexadecimal(certificate.raw_serial());
        let (not_before, not_after) =
            (asn1_time(certificate.validity().not_before), asn1_time(certificate.validity().not_after));
        let behind = chain[1..].iter().filter_map(|der| ChainCertificate::read(der)).collect();
        let key = Arc::new(CertifiedKey::new(chain, key));
        Ok(Self { key, names, issuer, serial, not_before, not_after, chain: behind, origin, private })
    }

    /// The chain in PEM form, the leaf first.
    pub fn chain_pem(&self) -> String {
        self.key.cert.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The key in PEM form, for software that must have it. Secret.
    pub fn key_pem(&self) -> String {
        match &*self.private {
            PrivateKeyDer::Pkcs1(key) => pem("RSA PRIVATE KEY", key.secret_pkcs1_der()),
            PrivateKeyDer::Sec1(key) => pem("EC PRIVATE KEY", key.secret_sec1_der()),
            PrivateKeyDer::Pkcs8(key) => pem("PRIVATE KEY", key.secret_pkcs8_der()),
            _ => String::new(),
        }
    }

    /// Whether `now` lies within its validity.
    pub fn is_valid_at(&self, now: UnixTime) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Whether both have the same origin and chain; the key is then the same as well.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.origin == other.origin && self.key.cert == other.key.cert
    }

    /// Whether clients accept the bundle for a normal name.
    pub fn carries(&self, host: &str) -> bool {
        self.names.iter().any(|name| **name == *host || CertName::parse(name).covers(host))
    }
}

impl ChainCertificate {
    fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let not_after = asn1_time(certificate.validity().not_after);
        Some(Self { subject: for_people(certificate.subject()), not_after })
    }
}

/// An instant as certificates have it.
pub(crate) fn asn1_time(time: ASN1Time) -> UnixTime {
    UnixTime::from_seconds(time.timestamp())
}

/// The text form of RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

/// The position in the chain of the certificate that the key belongs to.
fn leaf_position(chain: &[CertificateDer<'static>], key: &dyn SigningKey) -> Result<usize, BundleError> {
    // Compare only the bits: the same key may be written with different parameters of the algorithm.
    let public = key.public_key().ok_or_else(|| BundleError::UnusableKey("of an unknown kind".into()))?;
    let (_, public) = SubjectPublicKeyInfo::from_der(public.as_ref()).map_err(|error| bad_certificate(&error))?;
    for (position, der) in chain.iter().enumerate() {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| bad_certificate(&error))?;
        if certificate.public_key().subject_public_key == public.subject_public_key {
            return Ok(position);
        }
    }
    Err(BundleError::KeyOfAnother)
}

/// The subject alternative names. The common name is deliberately ignored, as clients ignore it.
fn names(certificate: &X509Certificate<'_>) -> Result<Vec<Box<str>>, BundleError> {
    let extension =
        certificate.subject_alternative_name().map_err(|error| BundleError::BadCertificate(error.to_string()))?;
    let general = extension.map_or(&[][..], |extension| &extension.value.general_names);
    let mut names: Vec<Box<str>> = Vec::new();
    for name in general {
        match name {
            GeneralName::DNSName(name) => {
                let name = normal_name(name);
                if is_dns_name(&name) {
                    names.push(name.into());
                }
            }
            GeneralName::IPAddress(octets) => names.extend(address(octets).map(|address| address.to_string().into())),
            _ => {}
        }
    }
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { Err(BundleError::NoName) } else { Ok(names) }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(octets).ok().map(IpAddr::from)
}

/// `Let's Encrypt YE1` rather than `C=US, O=Let's Encrypt, CN=YE1`.
pub(crate) fn for_people(name: &X509Name<'_>) -> Box<str> {
    let organization = name.iter_organization().find_map(|part| part.as_str().ok());
    let common = name.iter_common_name().find_map(|part| part.as_str().ok());
    match (organization, common) {
        (Some(organization), Some(common)) if !common.contains(organization) => {
            format!("{organization} {common}").into()
        }
        (_, Some(common)) => common.into(),
        (Some(organization), None) => organization.into(),
        (None, None) => name.to_string().into(),
    }
}

/// Formats a number in hexadecimal, without the zero byte that only marks it as positive.
fn hexadecimal(bytes: &[u8]) -> Box<str> {
    let bytes = if let [0, rest @ ..] = bytes
        && !rest.is_empty()
    {
        rest
    } else {
        bytes
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn is_encrypted(key: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];
    marks.iter().any(|mark| key.windows(mark.len()).any(|window| window == *mark))
}

fn bad_certificate(error: &dyn std::fmt::Display) -> BundleError {
    BundleError::BadCertificate(error.to_string())
}

/// The reason why a chain and a key are not a bundle.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BundleError {
    /// The PEM text is cut off or garbled.
    #[error("the PEM text is damaged: {0}")]
    BadPem(String),
    /// The text holds no certificate.
    #[error("no certificate was found")]
    NoCertificate,
    /// A certificate cannot be parsed.
    #[error("a certificate is damaged: {0}")]
    BadCertificate(String),
    /// The certificate carries no DNS name and no address as subject alternative name.
    #[error("the certificate carries no DNS name (subjectAltName)")]
    NoName,
    /// The text holds no key.
    #[error("no private key was found")]
    NoKey,
    /// The key is encrypted with a passphrase.
    #[error("the private key is encrypted with a passphrase")]
    EncryptedKey,
    /// The key is of a kind or size that is not supported.
    #[error("the private key cannot be used: {0}")]
    UnusableKey(String),
    /// The key belongs to none of the certificates.
    #[error("the private key does not belong to the certificate")]
    KeyOfAnother,
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};

    use super::*;

    fn pair(names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, "cn.example.org");
        (params.self_signed(&key).expect("signs").pem(), key.serialize_pem())
    }

    fn read(chain: &str, key: &str) -> Result<Bundle, BundleError> {
        Bundle::from_pem(chain.as_bytes(), key.as_bytes(), Origin::Acme)
    }

    #[test]
    fn names_come_from_the_alternative_names_alone() {
        let (chain, key) = pair(&["B.example.org", "*.a.example.org", "192.0.2.7", "2001:db8::7"]);
        let bundle = read(&chain, &key).expect("a bundle");
        assert_eq!(*bundle.names, ["*.a.example.org", "192.0.2.7", "2001:db8::7", "b.example.org"].map(Box::from));
        assert!(bundle.carries("x.a.example.org") && bundle.carries("b.example.org"));
        assert!(
            !bundle.carries("x.y.a.example.org")
                && !bundle.carries("a.example.org")
                && !bundle.carries("cn.example.org")
        );
        let (chain, key) = pair(&[]);
        assert_eq!(read(&chain, &key).err(), Some(BundleError::NoName), "the common name is no name");
    }

    #[test]
    fn it_is_written_as_it_was_read_and_its_key_is_not_printed() {
        let (chain, key) = pair(&["a.example.org"]);
        let bundle = read(&chain, &key).expect("a bundle");
        assert_eq!((bundle.chain_pem(), bundle.key_pem()), (chain.replace("\r\n", "\n"), key.replace("\r\n", "\n")));
        let inner = key.lines().nth(1).expect("a line");
        assert!(!format!("{bundle:?}").contains(inner));
    }

    #[test]
    fn one_text_may_hold_both_in_any_order() {
        let (chain, key) = pair(&["a.example.org"]);
        for text in [
            format!("{chain}{key}"),
            format!("{key}\n# words between\n{chain}"),
            format!("{chain}{key}").replace('\n', "\r\n"),
        ] {
            assert!(read(&text, &text).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_leaf_comes_first_whatever_the_order_of_the_chain() {
        let ca_key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(CertificateParams::new(["ca.test".to_owned()]).expect("a name"), ca_key)
            .expect("a CA");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(["a.test".to_owned()]).expect("a name").signed_by(&key, &ca).expect("signs");
        let bundle = read(&format!("{}{}", ca.pem(), leaf.pem()), &key.serialize_pem()).expect("a bundle");
        assert_eq!(*bundle.names, [Box::from("a.test")]);
        assert_eq!(bundle.key.cert, [leaf.der().clone(), ca.der().clone()]);
    }

    #[test]
    fn what_is_no_bundle_says_why() {
        let (chain, key) = pair(&["a.example.org"]);
        let (_, other) = pair(&["a.example.org"]);
        assert_eq!(read(&chain, &other).err(), Some(BundleError::KeyOfAnother));
        assert_eq!(read("", &key).err(), Some(BundleError::NoCertificate));
        assert_eq!(read(&chain, "").err(), Some(BundleError::NoKey));
        assert_eq!(read(&chain, &key.replace("PRIVATE", "ENCRYPTED PRIVATE")).err(), Some(BundleError::EncryptedKey));
        assert!(matches!(
            read(&chain[..chain.len() / 2], &key),
            Err(BundleError::BadPem(_) | BundleError::NoCertificate)
        ));
        assert!(matches!(read(&chain, &key[..key.len() / 2]), Err(BundleError::BadPem(_) | BundleError::NoKey)));
        assert!(matches!(
            read("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key),
            Err(BundleError::BadCertificate(_))
        ));
        assert!(matches!(
            read(&chain, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            Err(BundleError::UnusableKey(_))
        ));
    }

    #[test]
    fn cut_or_flipped_text_never_panics() {
        let (chain, key) = pair(&["a.example.org"]);
        for end in 0..chain.len() {
            let _ = read(&chain[..end], &key);
            let mut flipped = chain.clone().into_bytes();
            flipped[end] ^= 1;
            let _ = Bundle::from_pem(&flipped, key.as_bytes(), Origin::Acme);
        }
    }
}
