//! Settings for public CAs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::directory_url::{DirectoryUrl, UnknownIssuer};
use crate::dns::DnsSettings;

/// The public CAs to ask, and the settings for orders.
#[derive(Clone, Debug, Default)]
pub struct AcmeSettings {
    /// The CAs in the order in which they are asked; no public certificates are ordered if it is empty.
    pub issuers: Vec<Issuer>,
    /// Those of the CAs that are asked only for names for which they are chosen.
    pub only_chosen: BTreeSet<DirectoryUrl>,
    /// Names under which CAs can be chosen.
    pub named: BTreeMap<Box<str>, DirectoryUrl>,
    /// The e-mail address that CAs get as contact.
    pub email: Option<Box<str>>,
    /// Roots to verify the CA's own API with, in addition to the usual ones, as PEM.
    pub root_pem: Option<Box<str>>,
    /// The certificate profile to ask for, by the CA's name for it.
    pub profile: Option<Box<str>>,
    /// Domains for which one wildcard certificate serves all names, without the `*.`.
    pub wildcards: Vec<Box<str>>,
    /// The challenges that can reach this server, in order of preference.
    pub challenges: Vec<ChallengeKind>,
    /// The provider of records for DNS-01. If there is one, that challenge comes before the others.
    pub dns: Option<DnsSettings>,
    /// The words of the effect in findings about names without a certificate: what clients get instead.
    pub without_certificate: Cow<'static, str>,
}

impl AcmeSettings {
    /// The challenges to try, the preferred one first. The others stay in the list, since a name whose zone the
    /// provider does not keep can still be proven in another way.
    pub(crate) fn possible_challenges(&self) -> Vec<ChallengeKind> {
        let others = self.challenges.iter().copied().filter(|kind| *kind != ChallengeKind::Dns01);
        self.dns.iter().map(|_| ChallengeKind::Dns01).chain(others).collect()
    }
}

/// The ways to prove control of a name to a CA.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ChallengeKind {
    /// By a file at the name, over plain HTTP on port 80.
    Http01,
    /// By a certificate at the name, on port 443.
    TlsAlpn01,
    /// By a record in the DNS.
    Dns01,
}

/// A public CA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issuer {
    /// Its directory.
    pub directory: DirectoryUrl,
    /// The existing account with the CA, if the CA requires one.
    pub external_account: Option<ExternalAccount>,
}

/// The credentials that bind an ACME account to one that was made on the CA's web pages.
#[derive(Clone, Eq, PartialEq)]
pub struct ExternalAccount {
    /// The key's identifier.
    pub id: Box<str>,
    /// The HMAC key in base64url, as CAs hand it out.
    pub key: Box<str>,
}

impl Issuer {
    /// Parses a directory URL or one of the known short names.
    pub fn parse(text: &str) -> Result<Self, UnknownIssuer> {
        Ok(Self { directory: DirectoryUrl::parse(text)?, external_account: None })
    }

    /// The short name, or the host of the directory.
    pub fn name(&self) -> &str {
        self.directory.issuer_name()
    }

    /// Whether its certificates are for tests: no browser trusts them.
    pub fn is_staging(&self) -> bool {
        self.directory.is_staging()
    }
}

impl fmt::Display for ChallengeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "HTTP-01",
            Self::TlsAlpn01 => "TLS-ALPN-01",
            Self::Dns01 => "DNS-01",
        })
    }
}

/// The key stays out of logs.
impl fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccount").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_an_account_is_not_printed() {
        let account = ExternalAccount { id: "kid".into(), key: "secret".into() };
        assert!(!format!("{account:?}").contains("secret"));
    }
}
