//! The names that may have a certificate made by gangway itself.

use std::collections::BTreeSet;

use crate::name::{is_dns_name, parent};

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
        if text == "*" {
            return Some(Self::Any);
        }
        if let Some(domain) = text.strip_prefix("*.") {
            return is_dns_name(domain).then(|| Self::Below(domain.into()));
        }
        let first = text.strip_suffix(".*")?;
        is_dns_name(first).then(|| Self::First(first.into()))
    }

    pub(crate) fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::First(first) => host.strip_prefix(&**first).is_some_and(|rest| rest.starts_with('.')),
            Self::Below(domain) => parent(host) == Some(domain),
        }
    }
}
