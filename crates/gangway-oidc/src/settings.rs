//! What is known of a provider before it is asked.

use std::fmt;
use std::time::Duration;

/// A provider and how Gangway is known to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProviderSettings {
    /// What routes call it: letters, digits, hyphens and underscores.
    pub name: Box<str>,
    /// The issuer identifier: its URL, exactly as the provider says it.
    pub issuer: Box<str>,
    /// Our name there.
    pub client_id: Box<str>,
    /// Our password there. A client without one is public, and protected by PKCE alone.
    pub client_secret: Option<ClientSecret>,
    /// What is asked for, `openid` among it.
    pub scopes: Vec<Box<str>>,
    /// The claim with the names of the user's groups.
    pub groups_claim: Box<str>,
    /// Whether an e-mail address counts that the provider does not call verified.
    pub trust_email: bool,
    /// How long a log-in lasts, in whole seconds.
    pub session: Duration,
    /// The domain whose hosts share a log-in. Without it each host has its own.
    pub cookie_domain: Option<Box<str>>,
    /// Certificates to trust besides the usual ones, as PEM.
    pub ca_pem: Option<Box<str>>,
}

/// A client secret. Never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct ClientSecret(Box<str>);

impl ClientSecret {
    /// Wraps the text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

/// Whether what is sent to this URL cannot be read on the way: `https`, or `http` on this machine.
pub fn is_secure_url(url: &str) -> bool {
    let Ok(uri) = url.parse::<::http::Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let is_here = matches!(host, "127.0.0.1" | "[::1]" | "localhost");
    !has_user
        && !url.contains('#')
        && match uri.scheme_str() {
            Some("https") => true,
            Some("http") => is_here,
            Some(_) | None => false,
        }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn settings() -> ProviderSettings {
        ProviderSettings {
            name: "home".into(),
            issuer: "https://id.example.org".into(),
            client_id: "gangway".into(),
            client_secret: Some(ClientSecret::new("s3cret")),
            scopes: vec!["openid".into()],
            groups_claim: "groups".into(),
            trust_email: false,
            session: Duration::from_secs(3600),
            cookie_domain: None,
            ca_pem: None,
        }
    }

    #[test]
    fn only_what_nobody_reads_on_the_way_is_secure() {
        for (url, is_secure) in [
            ("https://id.example.org", true),
            ("https://id.example.org:8443/realms/home", true),
            ("http://127.0.0.1:9000/", true),
            ("http://[::1]:9000/", true),
            ("http://localhost/x", true),
            ("http://id.example.org", false),
            ("http://127.0.0.1.example.org", false),
            ("http://localhost@example.org/", false),
            ("https://a@b.org/", false),
            ("https://b.org/#x", false),
            ("ftp://b.org", false),
            ("/authorize", false),
            ("", false),
        ] {
            assert_eq!(is_secure_url(url), is_secure, "{url}");
        }
        assert_eq!(format!("{:?}", ClientSecret::new("hunter2")), "ClientSecret");
    }
}
