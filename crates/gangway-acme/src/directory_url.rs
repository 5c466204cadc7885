//! The URL of a CA's directory.

use std::fmt;
use std::sync::Arc;

use crate::storage::safe_name;

/// Short names of CAs, with their directories.
const KNOWN: [(&str, &str); 8] = [
    ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"),
    ("letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
    ("zerossl", "https://acme.zerossl.com/v2/DV90"),
    ("google", "https://dv.acme-v02.api.pki.goog/directory"),
    ("google-staging", "https://dv.acme-v02.test-api.pki.goog/directory"),
    ("buypass", "https://api.buypass.com/acme/directory"),
    ("buypass-staging", "https://api.test4.buypass.no/acme/directory"),
    ("actalis", "https://acme-api.actalis.com/acme/directory"),
];

/// The URL of a CA's directory (RFC 8555, section 7.1.1). It identifies the CA. A clone costs no allocation.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DirectoryUrl(Arc<str>);

impl DirectoryUrl {
    /// Parses an https URL, or one of the known short names of CAs in any case.
    pub fn parse(text: &str) -> Result<Self, UnknownIssuer> {
        let known = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, directory)| *directory);
        let is_url = || text.starts_with("https://") && text.parse::<http::Uri>().is_ok_and(|uri| uri.host().is_some());
        match known {
            Some(directory) => Ok(Self(directory.into())),
            None if is_url() => Ok(Self(text.into())),
            None => Err(UnknownIssuer(text.into())),
        }
    }

    /// Takes a URL from a file on the volume as it is. Older versions may have written one that no longer parses.
    pub fn from_volume(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The short name of the CA, or the host of the URL.
    pub fn issuer_name(&self) -> &str {
        let known = KNOWN.iter().find(|(_, known)| *known == self.as_str()).map(|(name, _)| *name);
        known.unwrap_or_else(|| self.host_and_path().split('/').next().unwrap_or(self.host_and_path()))
    }

    /// Whether the CA's certificates are for tests: no browser trusts them.
    pub fn is_staging(&self) -> bool {
        KNOWN.iter().any(|(name, known)| *known == self.as_str() && name.ends_with("-staging"))
    }

    /// A file name for the CA, as Caddy forms it: host and path with hyphens.
    pub(crate) fn file_name(&self) -> String {
        safe_name(&self.host_and_path().replace('/', "-"))
    }

    fn host_and_path(&self) -> &str {
        self.as_str().split_once("://").map_or(self.as_str(), |(_, rest)| rest)
    }
}

impl fmt::Display for DirectoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
impl From<&str> for DirectoryUrl {
    fn from(text: &str) -> Self {
        Self::from_volume(text)
    }
}

/// The text is neither a URL nor a known name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is neither an https URL nor the name of a CA that is known: {known}", known = known_names())]
pub struct UnknownIssuer(pub Box<str>);

fn known_names() -> String {
    KNOWN.map(|(name, _)| name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_given_by_url_or_by_the_name_of_a_ca() {
        let directory = DirectoryUrl::parse("LetsEncrypt-staging").expect("is known");
        assert_eq!((directory.issuer_name(), directory.is_staging()), ("letsencrypt-staging", true));
        let directory = DirectoryUrl::parse("https://localhost:14000/dir").expect("is a URL");
        assert_eq!((directory.issuer_name(), directory.is_staging()), ("localhost:14000", false));
        assert_eq!(directory.file_name(), "localhost-14000-dir");
        for text in ["letsencrpyt", "http://ca.example.org/dir", "https://", ""] {
            assert!(DirectoryUrl::parse(text).is_err(), "{text}");
        }
    }
}
