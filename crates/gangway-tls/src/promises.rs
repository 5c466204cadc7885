//! The names that may have a certificate made by gangway itself.

use std::collections::BTreeSet;

use crate::cert_name::CertName;
use crate::name::is_dns_name;

/// The names that may have a certificate made by gangway itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Promises {
    /// Names, wildcards and addresses that the internal CA signs for.
    pub internal: BTreeSet<Box<str>>,
    /// Names and wildcards that get a placeholder.
    pub placeholders: BTreeSet<Box<str>>,
    /// The host patterns `*`, `budget.*` and `*.localhost`; each internal name below them gets its own certificate.
    pub patterns: BTreeSet<Box<str>>,
}

/// A pattern of names that may be asked for.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum MintPattern {
    /// `*`: any name.
    Any,
    /// `budget.*`: this label followed by any domain.
    First(Box<str>),
    /// `*.localhost`: one label below a domain.
    Below(Box<str>),
}

impl MintPattern {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match CertName::parse(text) {
            CertName::Any => Some(Self::Any),
            CertName::Wildcard(domain) => is_dns_name(domain).then(|| Self::Below(domain.into())),
            CertName::AnyDomain(first) => is_dns_name(first).then(|| Self::First(first.into())),
            CertName::Exact(_) => None,
        }
    }

    pub(crate) fn matches(&self, host: &str) -> bool {
        let form = match self {
            Self::Any => CertName::Any,
            Self::First(first) => CertName::AnyDomain(first),
            Self::Below(domain) => CertName::Wildcard(domain),
        };
        form.covers(host)
    }
}
