//! The internal CA: certificates for names that no public CA would sign.
//!
//! Its root is constrained by name, so that a thief of its key cannot impersonate the web to people who installed
//! the root: it signs below the [`INTERNAL_DOMAINS`], for private addresses, and for the names that a [`Scope`]
//! adds. A root is never widened in place: a new one is made with the same key and subject, so that all
//! certificates under an already installed root stay valid.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData, SanType, SerialNumber,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use x509_parser::extensions::{GeneralName, GeneralSubtree as ParsedSubtree};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::bundle::{Bundle, BundleError, Origin, asn1_time, for_people};
use crate::name::{INTERNAL_DOMAINS, PRIVATE_NETWORKS, is_dns_name, is_within};
use crate::time::UnixTime;

const DAY: Duration = Duration::from_hours(24);

/// As long as people keep a device on which they installed the root.
const ROOT_LIFETIME: Duration = DAY.saturating_mul(3652);

/// A root is replaced when this much of its lifetime is left: longer than people leave a device switched off.
const ROOT_RENEWAL: Duration = DAY.saturating_mul(365);

/// Short, because renewal needs no person; long enough for a machine that sleeps. Apple refuses more than 825 days,
/// and 398 from public CAs.
const LEAF_LIFETIME: Duration = DAY.saturating_mul(30);

/// Certificates begin this much before now, since a client's clock may be behind ours.
const BACKDATED: Duration = DAY;

/// The names that a root may sign for in addition to the internal domains and private addresses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scope {
    /// Domains with everything below them; they come from the operator, never from a label.
    pub domains: BTreeSet<Box<str>>,
    /// Single labels such as `nas`, without anything below them: `app` is a public domain as well.
    pub hosts: BTreeSet<Box<str>>,
}

/// A CA of our own, constrained by name to internal domains.
#[derive(Debug)]
pub struct InternalCa {
    issuer: Issuer<'static, KeyPair>,
    name: Box<str>,
    root_pem: String,
    permitted: Option<Vec<Subtree>>,
    excluded: Vec<Subtree>,
    not_before: UnixTime,
    not_after: UnixTime,
    is_ours: bool,
}

/// One side of a name constraint.
#[derive(Debug)]
enum Subtree {
    /// A domain and all names below it; with a leading dot only the names below.
    Dns(Box<str>),
    Network {
        address: IpAddr,
        mask: IpAddr,
    },
}

impl InternalCa {
    /// Makes a root with a new key.
    pub fn make(scope: &Scope, now: UnixTime) -> Result<Self, InternalCaError> {
        Self::with_key(&KeyPair::generate()?, scope, now)
    }

    /// Makes a root for an existing key. Its subject is the same each time, so that it takes the place of a root
    /// that was installed.
    pub fn with_key_pem(key_pem: &str, scope: &Scope, now: UnixTime) -> Result<Self, InternalCaError> {
        Self::with_key(&KeyPair::from_pem(key_pem)?, scope, now)
    }

    /// Whether the text holds a key for which a root can be made.
    pub fn is_key_pem(key_pem: &str) -> bool {
        KeyPair::from_pem(key_pem).is_ok()
    }

    /// Whether both sign with the same key, so that certificates of one are also valid under the other.
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.issuer.key().public_key_raw() == other.issuer.key().public_key_raw()
    }

    /// Reads a root and its key, which another tool may have made.
    pub fn load(root_pem: &str, key_pem: &str) -> Result<Self, InternalCaError> {
        let root = CertificateDer::from_pem_slice(root_pem.as_bytes())
            .map_err(|error| InternalCaError::BadRoot(error.to_string()))?;
        let key = KeyPair::from_pem(key_pem)?;
        let (_, certificate) =
            X509Certificate::from_der(&root).map_err(|error| InternalCaError::BadRoot(error.to_string()))?;
        if certificate.public_key().raw != key.subject_public_key_info() {
            return Err(InternalCaError::KeyOfAnother);
        }
        if !certificate.is_ca() {
            return Err(InternalCaError::BadRoot("it is not the certificate of a CA".into()));
        }
        let constraints = certificate
            .name_constraints()
            .map_err(|error| InternalCaError::BadRoot(error.to_string()))?
            .map(|extension| extension.value);
        let permitted = constraints.and_then(|constraints| constraints.permitted_subtrees.as_deref()).map(subtrees);
        let excluded = constraints.and_then(|constraints| constraints.excluded_subtrees.as_deref()).map(subtrees);
        let (not_before, not_after) =
            (asn1_time(certificate.validity().not_before), asn1_time(certificate.validity().not_after));
        let ours = subject(&key);
        let is_ours = certificate.subject().iter_common_name().any(|part| part.as_str() == Ok(ours.as_str()));
        let name = for_people(certificate.subject());
        let issuer = Issuer::from_ca_cert_der(&root, key)?;
        Ok(Self {
            issuer,
            name,
            is_ours,
            root_pem: root_pem.to_owned(),
            permitted,
            excluded: excluded.unwrap_or_default(),
            not_before,
            not_after,
        })
    }

    fn with_key(key: &KeyPair, scope: &Scope, now: UnixTime) -> Result<Self, InternalCaError> {
        let params = root_params(key, scope, now)?;
        let root = params.self_signed(key)?;
        Self::load(&root.pem(), &key.serialize_pem())
    }

    /// A certificate for one name, valid from `now` on.
    pub fn issue(&self, name: &str, now: UnixTime) -> Result<Bundle, InternalCaError> {
        if !self.permits(name) {
            return Err(InternalCaError::NotPermitted(name.into()));
        }
        let key = KeyPair::generate()?;
        let certificate = leaf_params(name, now)?.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // The root is not sent: clients that trust it have it, and others will not trust it.
        Ok(Bundle::from_der(vec![certificate.der().clone()], key, Origin::Internal)?)
    }

    /// Whether clients would accept a certificate of this root for a normal name, a wildcard or an
    /// address.
    pub fn permits(&self, name: &str) -> bool {
        if let Ok(address) = name.parse::<IpAddr>() {
            return self.permitted.as_ref().is_none_or(|all| all.iter().any(|subtree| subtree.has_address(address)))
                && !self.excluded.iter().any(|subtree| subtree.has_address(address));
        }
        // A wildcard covers any label, also labels that no route lists.
        let sample = name.strip_prefix('*').map(|below| format!("0{below}"));
        let name = sample.as_deref().unwrap_or(name);
        is_dns_name(name)
            && self.permitted.as_ref().is_none_or(|all| all.iter().any(|subtree| subtree.has_name(name)))
            && !self.excluded.iter().any(|subtree| subtree.has_name(name))
    }

    /// Whether the root is valid and not due for renewal; otherwise a new one should be made.
    pub fn is_fresh_at(&self, now: UnixTime) -> bool {
        self.not_before <= now && now < self.not_after - ROOT_RENEWAL
    }

    /// Whether this program made the root, so that it may make another one for its key.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// The names that were added by a [`Scope`].
    pub fn scope(&self) -> Scope {
        let mut scope = Scope::default();
        let below_excluded = |name: &str| {
            self.excluded
                .iter()
                .any(|other| matches!(other, Subtree::Dns(other) if other.strip_prefix('.') == Some(name)))
        };
        for subtree in self.permitted.iter().flatten() {
            let Subtree::Dns(name) = subtree else { continue };
            if INTERNAL_DOMAINS.contains(&&**name) {
                continue;
            }
            let set = if below_excluded(name) { &mut scope.hosts } else { &mut scope.domains };
            set.insert(name.clone());
        }
        scope
    }

    /// The name that bundles signed by it show as their issuer.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The root certificate, for clients to install.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The root's private key, for the volume.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The end of the root's validity.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }
}

/// The time to make the next certificate: when a third of its lifetime is left.
pub(crate) fn renewal_time(bundle: &Bundle) -> UnixTime {
    bundle.not_after - bundle.not_after.since(bundle.not_before) / 3
}

impl Scope {
    /// The most names that one root may carry in addition to the internal ones; a root with thousands would be slow
    /// to check.
    pub const NAMES_MAX: usize = 256;

    /// The narrowest scope that covers both.
    pub fn union(mut self, other: &Self) -> Self {
        self.domains.extend(other.domains.iter().cloned());
        self.hosts.extend(other.hosts.iter().cloned());
        self
    }

    /// Whether a root can carry this scope.
    pub fn is_bounded(&self) -> bool {
        self.hosts.len() + self.domains.len() <= Self::NAMES_MAX
    }
}

impl Subtree {
    fn has_name(&self, name: &str) -> bool {
        match self {
            Self::Dns(domain) => match domain.strip_prefix('.') {
                Some(domain) => name != domain && is_within(name, domain),
                None => domain.is_empty() || is_within(name, domain),
            },
            Self::Network { .. } => false,
        }
    }

    fn has_address(&self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::Network { address: IpAddr::V4(network), mask: IpAddr::V4(mask) }, IpAddr::V4(address)) => {
                address.to_bits() & mask.to_bits() == network.to_bits() & mask.to_bits()
            }
            (Self::Network { address: IpAddr::V6(network), mask: IpAddr::V6(mask) }, IpAddr::V6(address)) => {
                address.to_bits() & mask.to_bits() == network.to_bits() & mask.to_bits()
            }
            _ => false,
        }
    }
}

fn subtrees(parsed: &[ParsedSubtree<'_>]) -> Vec<Subtree> {
    parsed.iter().filter_map(|subtree| self::subtree(&subtree.base)).collect()
}

fn subtree(base: &GeneralName<'_>) -> Option<Subtree> {
    match base {
        GeneralName::DNSName(name) => Some(Subtree::Dns(name.to_ascii_lowercase().into())),
        GeneralName::IPAddress(octets) => {
            let (address, mask) = octets.split_at(octets.len() / 2);
            let (address, mask) = match octets.len() {
                8 => (IpAddr::from(<[u8; 4]>::try_from(address).ok()?), IpAddr::from(<[u8; 4]>::try_from(mask).ok()?)),
                32 => {
                    (IpAddr::from(<[u8; 16]>::try_from(address).ok()?), IpAddr::from(<[u8; 16]>::try_from(mask).ok()?))
                }
                _ => return None,
            };
            Some(Subtree::Network { address, mask })
        }
        _ => None,
    }
}

fn root_params(key: &KeyPair, scope: &Scope, now: UnixTime) -> Result<CertificateParams, InternalCaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject(key));
    params.serial_number = Some(serial()?);
    params.not_before = date(now - BACKDATED)?;
    params.not_after = date(now + ROOT_LIFETIME)?;
    // No CA below the root: gangway needs none.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(constraints(scope));
    Ok(params)
}

/// The name constraints of a root. Addresses must be listed as well: constraints on DNS names alone would permit
/// all addresses.
fn constraints(scope: &Scope) -> NameConstraints {
    let domains = INTERNAL_DOMAINS.iter().copied().chain(scope.domains.iter().chain(&scope.hosts).map(|name| &**name));
    let networks = PRIVATE_NETWORKS.iter();
    let networks = networks.map(|network| CidrSubnet::from_addr_prefix(network.addr(), network.prefix_len()));
    NameConstraints {
        permitted_subtrees: domains
            .map(|name| GeneralSubtree::DnsName(name.to_owned()))
            .chain(networks.map(GeneralSubtree::IpAddress))
            .collect(),
        // A permitted `app` would also permit all of `.app`.
        excluded_subtrees: scope.hosts.iter().map(|host| GeneralSubtree::DnsName(format!(".{host}"))).collect(),
    }
}

/// The subject of a root. It is named after its key, so that several roots can be told apart in a trust store, and
/// a new root for the same key takes the place of the old one.
fn subject(key: &KeyPair) -> String {
    let identifier = CertificateParams::default().key_identifier(key);
    let short: String = identifier.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("Gangway internal CA {short}")
}

/// All parameters of a leaf except its signer.
///
/// The subject stays empty, as public CAs leave it: names are only in the alternative names.
pub(crate) fn leaf_params(name: &str, now: UnixTime) -> Result<CertificateParams, InternalCaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(serial()?);
    params.subject_alt_names = vec![match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into()?),
    }];
    params.not_before = date(now - BACKDATED)?;
    params.not_after = date(now + LEAF_LIFETIME)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// A random serial number, also for an old key: Firefox refuses two certificates of one issuer with one serial.
fn serial() -> Result<SerialNumber, InternalCaError> {
    let mut bytes = [0; 16];
    default_provider().secure_random.fill(&mut bytes).map_err(|_| InternalCaError::NoRandomness)?;
    // Fix the top bits, so that the number is positive and DER neither adds nor drops a byte.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// Converts a time. Times before 1970 become 1970: a clock that was never set shows 1970, and backdating would go
/// before it.
fn date(time: UnixTime) -> Result<OffsetDateTime, InternalCaError> {
    OffsetDateTime::from_unix_timestamp(time.max(UnixTime::EPOCH).seconds())
        .map_err(|_| InternalCaError::ImpossibleDate(time.seconds()))
}

/// A failure of the internal CA.
#[derive(Debug, thiserror::Error)]
pub enum InternalCaError {
    /// The root may not sign for this name.
    #[error("the internal CA may not sign for `{0}`: its root is limited to internal names")]
    NotPermitted(Box<str>),
    /// The root certificate cannot be read.
    #[error("the root certificate is damaged: {0}")]
    BadRoot(String),
    /// The root belongs to another key.
    #[error("the root's key does not belong to the root's certificate")]
    KeyOfAnother,
    /// A key or certificate cannot be made or read.
    #[error("{0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate that was made cannot be served.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    NoRandomness,
    /// The clock shows a time that no certificate can carry.
    #[error("the clock shows an impossible time ({0} s since 1970)")]
    ImpossibleDate(i64),
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);

    fn hosts(names: &[&str]) -> Scope {
        Scope { hosts: names.iter().map(|name| Box::from(*name)).collect(), ..Scope::default() }
    }

    #[test]
    fn internal_names_are_permitted_and_no_others() {
        let ca = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
        for name in ["a.localhost", "localhost", "x.y.home.arpa", "*.test", "192.168.1.2", "127.0.0.1", "fd00::1"] {
            assert!(ca.permits(name), "{name}");
        }
        for name in ["example.org", "nas", "notlocalhost", "8.8.8.8", "2001:db8::1", "*", "*.org"] {
            assert!(!ca.permits(name), "{name}");
        }
        assert!(
            matches!(ca.issue("example.org", NOW), Err(InternalCaError::NotPermitted(name)) if &*name == "example.org")
        );
    }

    #[test]
    fn a_single_label_is_permitted_without_what_is_below() {
        let ca = InternalCa::make(&hosts(&["app"]), NOW).expect("makes a CA");
        assert!(ca.permits("app"));
        assert!(!ca.permits("shop.app") && !ca.permits("*.app"));
        assert_eq!(ca.scope(), hosts(&["app"]));
    }

    #[test]
    fn a_domain_of_the_operator_is_permitted_with_what_is_below() {
        let scope = Scope { domains: ["home.example.org".into()].into(), ..Scope::default() };
        let ca = InternalCa::make(&scope, NOW).expect("makes a CA");
        assert!(ca.permits("nas.home.example.org") && ca.permits("*.home.example.org"));
        assert!(!ca.permits("example.org"));
        assert_eq!(ca.scope(), scope);
    }

    #[test]
    fn a_wider_root_has_the_subject_and_key_of_the_old_one_and_another_serial() {
        let old = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
        let new = InternalCa::with_key_pem(&old.key_pem(), &hosts(&["nas"]), NOW).expect("makes another root");
        let parsed = |ca: &InternalCa| {
            let der = CertificateDer::from_pem_slice(ca.root_pem().as_bytes()).expect("PEM");
            let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
            (
                certificate.subject().to_string(),
                certificate.public_key().raw.to_vec(),
                certificate.raw_serial().to_vec(),
            )
        };
        let (old, new) = (parsed(&old), parsed(&new));
        assert_eq!((&old.0, &old.1), (&new.0, &new.1));
        assert_ne!(old.2, new.2);
    }

    #[test]
    fn what_was_stored_is_read_back() {
        let made = InternalCa::make(&hosts(&["nas"]), NOW).expect("makes a CA");
        let read = InternalCa::load(made.root_pem(), &made.key_pem()).expect("reads it");
        assert!(read.permits("nas") && read.is_ours() && read.is_fresh_at(NOW));
        let other = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
        let mixed = InternalCa::load(made.root_pem(), &other.key_pem());
        assert!(matches!(mixed, Err(InternalCaError::KeyOfAnother)));
        assert!(matches!(InternalCa::load("", &made.key_pem()), Err(InternalCaError::BadRoot(_))));
    }

    #[test]
    fn a_leaf_of_ours_is_no_root() {
        let ca = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
        let key = KeyPair::generate().expect("a key");
        let leaf = leaf_params("a.test", NOW).expect("params").signed_by(&key, &ca.issuer).expect("signs");
        let loaded = InternalCa::load(&leaf.pem(), &key.serialize_pem());
        assert!(matches!(loaded, Err(InternalCaError::BadRoot(_))));
    }

    #[test]
    fn a_leaf_is_renewed_with_a_third_of_its_time_left() {
        let ca = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
        let leaf = ca.issue("a.test", NOW).expect("signs");
        assert!(leaf.is_valid_at(NOW) && leaf.not_after.since(NOW) <= 90 * DAY);
        assert!((NOW + 15 * DAY..NOW + 25 * DAY).contains(&renewal_time(&leaf)));
    }

    #[test]
    fn a_clock_that_was_never_set_is_no_obstacle() {
        let unset = UnixTime::from_seconds(5);
        let ca = InternalCa::make(&Scope::default(), unset).expect("makes a CA");
        assert!(ca.is_fresh_at(unset));
        assert!(!ca.is_fresh_at(NOW), "and is written anew when the clock is right");
        assert!(ca.issue("a.test", unset).is_ok());
    }
}
