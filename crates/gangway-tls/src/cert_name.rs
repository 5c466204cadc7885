//! The forms of a name that a certificate can be for. No other module takes such a name apart.

use std::fmt;

/// A normal name that a certificate can be for, or a host pattern whose names get certificates, taken apart.
///
/// It borrows the text, so a look-up in a handshake costs no allocation. Its text is what maps are keyed by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CertName<'a> {
    /// The host pattern `*`: every name.
    Any,
    /// The host pattern `budget.*`: every domain below these labels. No certificate can carry it.
    AnyDomain(&'a str),
    /// `*.example.org`: exactly one label before this domain.
    Wildcard(&'a str),
    /// One host name or address.
    Exact(&'a str),
}

impl<'a> CertName<'a> {
    /// Every text has a form. Whether its labels are good is for the caller to check.
    pub fn parse(name: &'a str) -> Self {
        if name == "*" {
            return Self::Any;
        }
        let wildcard = name.strip_prefix("*.").map(Self::Wildcard);
        wildcard.or_else(|| name.strip_suffix(".*").map(Self::AnyDomain)).unwrap_or(Self::Exact(name))
    }

    /// Whether it is a wildcard that a certificate can carry.
    pub fn is_wildcard(self) -> bool {
        matches!(self, Self::Wildcard(_))
    }

    /// Whether it is a host pattern that no certificate can carry.
    pub fn is_pattern(self) -> bool {
        matches!(self, Self::Any | Self::AnyDomain(_))
    }

    /// The domain that a wildcard stands below.
    pub fn wildcard_parent(self) -> Option<&'a str> {
        match self {
            Self::Wildcard(domain) => Some(domain),
            Self::Any | Self::AnyDomain(_) | Self::Exact(_) => None,
        }
    }

    /// Whether it stands for this normal host name.
    pub fn covers(self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::AnyDomain(first) => host.strip_prefix(first).is_some_and(|rest| rest.starts_with('.')),
            Self::Wildcard(domain) => parent(host) == Some(domain),
            Self::Exact(name) => name == host,
        }
    }
}

impl fmt::Display for CertName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::AnyDomain(first) => write!(f, "{first}.*"),
            Self::Wildcard(domain) => write!(f, "*.{domain}"),
            Self::Exact(name) => f.write_str(name),
        }
    }
}

/// The name without its left-most label: the domain of a wildcard that covers the name.
pub(crate) fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent).filter(|parent| !parent.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_parsed_and_written_the_same() {
        for (text, form) in [
            ("*", CertName::Any),
            ("budget.*", CertName::AnyDomain("budget")),
            ("*.example.org", CertName::Wildcard("example.org")),
            ("a.example.org", CertName::Exact("a.example.org")),
            ("2001:db8::1", CertName::Exact("2001:db8::1")),
            ("", CertName::Exact("")),
        ] {
            assert_eq!((CertName::parse(text), form.to_string().as_str()), (form, text));
            assert_eq!(form.is_wildcard(), form.wildcard_parent().is_some(), "{text}");
        }
        assert!(CertName::Any.is_pattern() && CertName::AnyDomain("a").is_pattern());
        assert!(!CertName::Wildcard("a").is_pattern() && !CertName::Exact("a").is_pattern());
    }

    #[test]
    fn a_wildcard_stands_for_one_label_and_a_pattern_for_several() {
        for (name, host, is_covered) in [
            ("*", "a.b", true),
            ("budget.*", "budget.x.lan", true),
            ("budget.*", "budgets.lan", false),
            ("budget.*", "budget", false),
            ("*.a.org", "b.a.org", true),
            ("*.a.org", "c.b.a.org", false),
            ("*.a.org", "a.org", false),
            ("a.org", "a.org", true),
            ("a.org", "b.a.org", false),
        ] {
            assert_eq!(CertName::parse(name).covers(host), is_covered, "{name} {host}");
        }
    }
}
