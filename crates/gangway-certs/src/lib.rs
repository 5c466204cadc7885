//! Keeps a certificate for every name that needs one, from every source: ACME CAs, the internal CA, and files on the volume.
//!
//! The [keeper](keep) is given names and publishes a [`gangway_tls::Store`]. It knows neither Docker nor routes.
//!
//! Two loops turn until nothing changes any more. The keeper plans over all sources and publishes the names that a public
//! CA is to sign for; the ACME client orders them and publishes what it has; the keeper plans again with that.
//!
//! ```text
//! names ──→ keeper ──names for public CAs──→ ACME client ──→ certificate authorities
//!             │  ↑                               │
//!             │  └──── certificates, findings ───┘
//!             ↓
//!          store, report
//! ```

mod access;
mod certs_folder;
mod client_ca;
mod export;
mod import;
mod internal_ca;
mod keeper;
mod missing;
mod plan;
mod secret;
mod session_tickets;
mod status;
#[cfg(test)]
mod stopping;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gangway_acme::{AcmeSettings, Clock, OnDemandSettings};

pub use access::{Denied, denied};
pub use import::{ImportOutcome, Imported, import};
pub use keeper::{KeeperOutputs, keep};
pub use secret::{SecretError, make_secret, secrets};
pub use status::{CertificateReport, CertificateStatus};

/// What the routes of a table need, and what it is kept on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WantedCertificates {
    /// Names that need a certificate.
    pub names: Vec<WantedName>,
    /// Bundles of authorities that clients' certificates are checked against, by name.
    pub client_cas: BTreeSet<Box<str>>,
    /// Certificates to be written down for others.
    pub exports: BTreeSet<WantedExport>,
    /// Of the names those that nobody could be led to: no certificate is ordered for them, and one that is there
    /// is kept and renewed.
    pub out_of_reach: BTreeSet<Box<str>>,
    /// Why the volume would not outlive the container.
    pub forgotten: Option<VolumeLoss>,
}

/// Why a volume does not outlive the container it is mounted in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VolumeLoss {
    /// It has no name that the next container could ask for.
    Anonymous,
    /// Nothing is mounted there.
    Unmounted,
}

/// A certificate to be written down for others.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct WantedExport {
    /// Below the volume, with `/` between its parts; none of ours.
    pub folder: Box<str>,
    /// Of this name.
    pub name: Box<str>,
}

/// A name that needs a certificate.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct WantedName {
    /// A normal host name, an address, `*.example.org`, or the host patterns `budget.*` and `*`.
    pub name: Box<str>,
    /// Who shall sign it.
    pub issuer: WantedIssuer,
}

/// Who shall sign.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum WantedIssuer {
    /// The internal CA for internal names, a public CA for others.
    Auto,
    /// The internal CA.
    Internal,
}

/// What the keeper is told once.
#[derive(Clone, Debug, Default)]
pub struct KeepSettings {
    /// The volume.
    pub data: PathBuf,
    /// Domains beside the internal ones that the operator lets the internal CA sign for (`--domain`).
    pub internal_domains: Vec<Box<str>>,
    /// The name that clients without SNI are served (`--default-cert`): kept even if no route wants it.
    pub default_certificate: Option<Box<str>>,
    /// Public CAs; none: public names keep their placeholder.
    pub acme: Option<AcmeSettings>,
    /// Who is asked about names that no route lists (`--on-demand`); none: they get no certificate.
    pub on_demand: Option<OnDemandSettings>,
    /// What happens to plain HTTP for a name without a certificate.
    pub plain_http: PlainHttp,
    /// The time of day.
    pub clock: Clock,
}

/// What happens to plain HTTP for a name without a certificate. Only findings state it; the proxy does it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PlainHttp {
    /// It is answered in the clear.
    #[default]
    Served,
    /// It is refused (`--no-plain-fallback`).
    Refused,
}

/// The internal root on the volume, as PEM, for `gangway ca`.
pub fn root_pem(data: &Path) -> Result<String, RootError> {
    let path = data.join(internal_ca::ROOT);
    match std::fs::read_to_string(&path) {
        Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Ok(pem),
        Ok(_) => Err(RootError::Damaged(path)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(RootError::Missing(path)),
        Err(error) => Err(RootError::Unreadable(path, error)),
    }
}

/// Why there is no root to print. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// None was made yet.
    #[error("find the internal root at {}: it is made when `gangway serve` first starts with this data folder", .0.display())]
    Missing(PathBuf),
    /// It is there and cannot be read.
    #[error("read the internal root at {path}: {error}", path = .0.display(), error = .1)]
    Unreadable(PathBuf, std::io::Error),
    /// It is no certificate.
    #[error("read the internal root at {}: it holds no certificate", .0.display())]
    Damaged(PathBuf),
}
