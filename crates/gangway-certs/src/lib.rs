//! Keeps a certificate for every name that needs one, from every source: ACME CAs, the internal CA, and files on the volume.
//!
//! The [keeper](keep) gets names and publishes a [`gangway_tls::Store`]. It knows neither Docker nor routes.
//!
//! Two loops run until nothing changes any more. The keeper plans over all sources and publishes the names that a
//! public CA must sign for; the ACME client orders them and publishes its certificates; the keeper plans again with
//! those.
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
mod login_keys;
mod login_sessions;
mod missing;
mod named_files;
mod plan;
mod rotating_keys;
mod secret;
mod session_tickets;
mod status;
#[cfg(test)]
mod stopping;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gangway_acme::{AcmeSettings, AdoptedAccount, Clock, OnDemandSettings};
use gangway_publish::Reader;

pub use access::{Denied, denied};
pub use import::{AdoptedCertificate, ImportOutcome, Imported, import};
pub use keeper::{KeeperOutputs, keep};
pub use login_keys::{LOGIN_KEPT_MAX, LOGIN_KEYS_LOOK_EVERY, LoginKey, login_keys};
pub use login_sessions::{RegisteredSession, bound_login_sessions, change_login_sessions, login_sessions};
pub use named_files::{NamedFiles, NamedPair};
pub use secret::{SecretError, make_secret, secrets};
pub use status::{CertificateReport, CertificateStatus};

/// The needs of a table's routes, and facts about the volume.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WantedCertificates {
    /// Names that need a certificate.
    pub names: Vec<WantedName>,
    /// The issuers that are chosen for some of the names, by the names that [`AcmeSettings::named`] has for them.
    pub issuers: BTreeMap<Box<str>, Box<str>>,
    /// Client CAs that routes ask for, by name.
    pub client_cas: BTreeSet<Box<str>>,
    /// Certificates to export for other software.
    pub exports: BTreeSet<WantedExport>,
    /// Those of the names whose containers cannot be reached: no certificate is ordered for them, and an existing
    /// one is kept and renewed.
    pub out_of_reach: BTreeSet<Box<str>>,
    /// The reason why the volume would not outlive the container, if it would not.
    pub forgotten: Option<VolumeLoss>,
}

/// The reasons why a volume does not outlive the container it is mounted in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VolumeLoss {
    /// The volume has no name that the next container could ask for.
    Anonymous,
    /// Nothing is mounted at the path.
    Unmounted,
}

/// A certificate to export for other software.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct WantedExport {
    /// The folder below the volume, with `/` between its parts; not a folder that gangway itself uses.
    pub folder: Box<str>,
    /// The name whose certificate is exported.
    pub name: Box<str>,
}

/// A name that needs a certificate.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct WantedName {
    /// A normal host name, an address, `*.example.org`, or the host patterns `budget.*` and `*`.
    pub name: Box<str>,
    /// The CA that should sign it.
    pub issuer: WantedIssuer,
}

/// The CA that should sign for a name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum WantedIssuer {
    /// The internal CA for internal names, a public CA for others.
    Auto,
    /// The internal CA.
    Internal,
}

/// The keeper's settings, which do not change while it runs.
#[derive(Clone, Debug, Default)]
pub struct KeepSettings {
    /// The volume.
    pub data: PathBuf,
    /// Further domains that the operator lets the internal CA sign for (`--domain`).
    pub internal_domains: Vec<Box<str>>,
    /// The name whose certificate clients without SNI get (`--default-cert`): kept even if no route wants it.
    pub default_certificate: Option<Box<str>>,
    /// The public CAs. If `None`, public names keep their placeholder.
    pub acme: Option<AcmeSettings>,
    /// The service that decides about names that no route lists (`--on-demand`). If `None`, they get no
    /// certificate.
    pub on_demand: Option<OnDemandSettings>,
    /// The treatment of plain HTTP for a name without a certificate.
    pub plain_http: PlainHttp,
    /// Certificates that other software has obtained, to be imported before the first order.
    pub adopted: Vec<AdoptedCertificate>,
    /// Accounts that other software has made, to be used where there is none with their CA.
    pub adopted_accounts: Vec<AdoptedAccount>,
    /// Further files with certificates and client CAs. If `None`, those on the volume are all.
    pub named_files: Option<Reader<NamedFiles>>,
    /// The time of day.
    pub clock: Clock,
}

/// The treatment of plain HTTP for a name without a certificate. Findings only state it; the proxy applies it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PlainHttp {
    /// Requests are answered without TLS.
    #[default]
    Served,
    /// Requests are refused (`--no-plain-fallback`).
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

/// The reason why there is no root to print. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// No root was made yet.
    #[error("find the internal root at {}: it is made when `gangway serve` first starts with this data folder", .0.display())]
    Missing(PathBuf),
    /// The root's file cannot be read.
    #[error("read the internal root at {path}: {error}", path = .0.display(), error = .1)]
    Unreadable(PathBuf, std::io::Error),
    /// The root's file holds no certificate.
    #[error("read the internal root at {}: it holds no certificate", .0.display())]
    Damaged(PathBuf),
}
