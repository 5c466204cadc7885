//! A service that is asked whether a request may pass: `auth.forward`.

use std::fmt::{self, Display, Formatter};

use http::HeaderName;

use crate::regex_pattern::RegexPattern;

/// How a service is asked whether a request may pass, and what of its answer goes to the application.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ForwardAuth {
    /// As written: a name, or a URL without a password.
    pub service: Box<str>,
    /// None for a service whose ways are not known.
    pub product: Option<AuthProduct>,
    /// The target of the question, in origin form.
    pub target: Box<str>,
    /// The fields of its answers that tell the application who the user is. A client may not send them.
    pub identity: Box<[IdentityField]>,
    /// How it is asked as Traefik would; none for our own way.
    pub rules: Option<Box<ForwardRules>>,
}

/// How Traefik asks a service, and what it makes of the answer.
///
/// The service is asked under its own host. Each answer but success is the client's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ForwardRules {
    /// Only these fields of the request go to the service, in lower case; all where there is no list.
    pub request_fields: Option<Box<[Box<str>]>>,
    /// The cookies of the service that go to the client of a request that passes, in place of the application's.
    pub cookies: Box<[Box<str>]>,
    /// The service gets bodies of as many bytes. Requests with larger ones are refused; none where it gets no body.
    pub body_max: Option<usize>,
    /// Whether the service is asked by the method of the request.
    pub keeps_method: bool,
    /// Answers of the service with larger bodies are refusals.
    pub answer_max: Option<usize>,
    /// Whether a relative `Location` of the service stays as it is, and so is one at the host of the application.
    pub keeps_location: bool,
    /// The field of its answers that names the user, for the access log.
    pub user_field: Option<HeaderName>,
}

/// Bytes of request bodies that a service gets at most, whatever is written: they are held in memory.
pub const FORWARDED_BODY_MAX: usize = 1 << 20;

/// Fields that tell an application who the user is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IdentityField {
    /// By name, in lower case.
    Named(Box<str>),
    /// All whose names begin like this, in lower case.
    Begins(Box<str>),
    /// All in whose names, written like `X-User-Name`, this matches somewhere.
    Matches(RegexPattern),
}

/// Fields that applications believe whatever service is asked.
pub const IDENTITY_OF_ALL: &str = "remote-";

/// A log-in service whose ways are known.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum AuthProduct {
    /// <https://www.authelia.com>
    Authelia,
    /// <https://goauthentik.io>
    Authentik,
    /// <https://tinyauth.app>
    Tinyauth,
    /// <https://oauth2-proxy.github.io/oauth2-proxy>
    Oauth2Proxy,
}

impl AuthProduct {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Authelia, Self::Authentik, Self::Tinyauth, Self::Oauth2Proxy];

    /// Its name, by which labels choose it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authelia => "authelia",
            Self::Authentik => "authentik",
            Self::Tinyauth => "tinyauth",
            Self::Oauth2Proxy => "oauth2-proxy",
        }
    }

    /// The target of the question.
    pub fn target(self) -> &'static str {
        match self {
            Self::Authelia => "/api/authz/forward-auth",
            Self::Authentik => "/outpost.goauthentik.io/auth/traefik",
            Self::Tinyauth => "/api/auth/traefik",
            Self::Oauth2Proxy => "/oauth2/auth",
        }
    }

    /// The path that it serves at the host of each application, without a log-in: its pages are there, or the log-in
    /// comes back there.
    pub fn own_path(self) -> Option<&'static str> {
        match self {
            Self::Authelia | Self::Tinyauth => None,
            Self::Authentik => Some("/outpost.goauthentik.io"),
            Self::Oauth2Proxy => Some("/oauth2"),
        }
    }

    /// The field that names the user; of several the first that is there.
    pub fn user_fields(self) -> &'static [&'static str] {
        match self {
            Self::Authelia | Self::Tinyauth => &["remote-user"],
            Self::Authentik => &["x-authentik-username"],
            Self::Oauth2Proxy => &["x-auth-request-user", "x-auth-request-email"],
        }
    }

    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Authelia => 9091,
            Self::Authentik => 9000,
            Self::Tinyauth => 3000,
            Self::Oauth2Proxy => 4180,
        }
    }

    /// The port at which people log in over TLS, beside [`port`](Self::port).
    pub(crate) fn tls_port(self) -> Option<u16> {
        match self {
            Self::Authentik => Some(9443),
            Self::Oauth2Proxy => Some(4443),
            Self::Authelia | Self::Tinyauth => None,
        }
    }

    /// The fields of its answers that are for the application, beside [`IDENTITY_OF_ALL`].
    pub(crate) fn identity(self) -> &'static [&'static str] {
        match self {
            Self::Authelia => &[],
            Self::Authentik => &["x-authentik-*"],
            // It logs in to applications that know only a name and a password.
            Self::Tinyauth => &["authorization"],
            Self::Oauth2Proxy => &["x-auth-request-*"],
        }
    }

    /// The product whose name this is.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|product| product.name().eq_ignore_ascii_case(name))
    }

    /// The product that the name of a container or a host speaks of.
    pub(crate) fn in_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace('_', "-");
        Self::ALL.into_iter().find(|product| name.contains(product.name()))
    }

    /// The product that answers questions at this target.
    pub(crate) fn of_target(target: &str) -> Option<Self> {
        let begins = |start: &str| target.starts_with(start);
        if begins("/api/authz/") || begins("/api/verify") {
            Some(Self::Authelia)
        } else if begins("/outpost.goauthentik.io/") {
            Some(Self::Authentik)
        } else if begins("/api/auth/") {
            Some(Self::Tinyauth)
        } else if begins("/oauth2/auth") {
            Some(Self::Oauth2Proxy)
        } else {
            None
        }
    }
}

impl IdentityField {
    /// `name`, or `begin*`; both in any case.
    pub(crate) fn new(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match text.strip_suffix('*') {
            Some(begin) => Self::Begins(begin.into()),
            None => Self::Named(text.into()),
        }
    }

    /// Whether an application may take a field with this name for one of these. Some servers make variables of fields,
    /// and take any mark for a hyphen.
    pub fn may_be_read_in(&self, name: &[u8]) -> bool {
        let is_mark = |byte: &u8| !byte.is_ascii_alphanumeric();
        let is_same =
            |(known, byte): (&u8, &u8)| *known == byte.to_ascii_lowercase() || is_mark(known) && is_mark(byte);
        let begins = |known: &str| known.len() <= name.len() && known.as_bytes().iter().zip(name).all(is_same);
        match self {
            Self::Named(known) => known.len() == name.len() && begins(known),
            Self::Begins(known) => begins(known),
            Self::Matches(pattern) => pattern.is_match(&canonical_name(name)),
        }
    }

    /// Whether a field with this name is one of these.
    pub fn is(&self, name: &[u8]) -> bool {
        match self {
            Self::Named(known) => name.eq_ignore_ascii_case(known.as_bytes()),
            Self::Begins(known) => {
                name.get(..known.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(known.as_bytes()))
            }
            // One that is not in this form would be read by the expression, but hardly by an application.
            Self::Matches(pattern) => pattern.is_match(&canonical_name(name)),
        }
    }
}

/// The name as `X-User-Name`, with a hyphen for each mark: as expressions for names are written.
fn canonical_name(name: &[u8]) -> String {
    let mut begins = true;
    let canonical = |byte: &u8| {
        let byte = if byte.is_ascii_alphanumeric() { *byte } else { b'-' };
        let written = if begins { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        begins = byte == b'-';
        char::from(written)
    };
    name.iter().map(canonical).collect()
}

impl Display for IdentityField {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Begins(begin) => write!(f, "{begin}*"),
            Self::Matches(pattern) => write!(f, "~{}", pattern.as_str()),
        }
    }
}

impl ForwardAuth {
    /// Whether the service is asked where a label has written, and not where its product usually answers. Such an
    /// endpoint may be meant for another proxy, which tells the URL in other fields.
    pub fn is_asked_elsewhere(&self) -> bool {
        self.product.is_none_or(|product| product.target() != &*self.target)
    }
}

/// As labels would have it.
impl Display for ForwardAuth {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "auth.forward {}", self.service)?;
        // Nothing is known of a service that is not there.
        if self.target.is_empty() {
            return Ok(());
        }
        match self.product {
            Some(product) => write!(f, " ({}, asked at {})", product.name(), self.target)?,
            None => write!(f, " (asked at {})", self.target)?,
        }
        let identity: Vec<String> = self.identity.iter().map(ToString::to_string).collect();
        write!(f, "; auth.headers {}", identity.join(", "))?;
        self.rules.as_ref().map_or(Ok(()), |rules| rules.fmt(f))
    }
}

/// As it stands behind the service.
impl Display for ForwardRules {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("; as Traefik asks")?;
        if let Some(fields) = &self.request_fields {
            write!(f, ", by no fields but {}", fields.join(" "))?;
        }
        if !self.cookies.is_empty() {
            write!(f, ", passes on cookies {}", self.cookies.join(" "))?;
        }
        if let Some(max) = self.body_max {
            write!(f, ", with bodies up to {max} bytes")?;
        }
        f.write_str(if self.keeps_method { ", by the method of the request" } else { "" })?;
        if let Some(max) = self.answer_max {
            write!(f, ", answers up to {max} bytes")?;
        }
        f.write_str(if self.keeps_location { ", Location as it is" } else { "" })?;
        self.user_field.as_ref().map_or(Ok(()), |name| write!(f, ", the user in {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_known_by_name_and_target() {
        for product in AuthProduct::ALL {
            assert_eq!(AuthProduct::named(product.name()), Some(product));
            assert_eq!(AuthProduct::of_target(product.target()), Some(product));
            assert_eq!(AuthProduct::in_name(&format!("auth-{}-1", product.name())), Some(product));
            assert!(product.own_path().is_none_or(|path| product.target().starts_with(path)));
        }
        assert_eq!(AuthProduct::in_name("home_oauth2_proxy_1"), Some(AuthProduct::Oauth2Proxy));
    }

    #[test]
    fn a_field_is_known_in_every_spelling_that_an_application_may_read() {
        let (named, begins) = (IdentityField::new("X-User"), IdentityField::new("X-Authentik-*"));
        for name in ["X-User", "x_user", "X-USER", "x.user", "X~User", "x_uSer"] {
            assert!(named.may_be_read_in(name.as_bytes()), "{name}");
        }
        for name in ["X-Users", "XUser", "X-Use", "XAUser", "", "Y-User"] {
            assert!(!named.may_be_read_in(name.as_bytes()), "{name}");
        }
        for name in ["X-Authentik-Username", "x_authentik_uid", "x-authentik_", "X.AUTHENTIK.X"] {
            assert!(begins.may_be_read_in(name.as_bytes()), "{name}");
        }
        assert!(!begins.may_be_read_in(b"X-Authentik") && !begins.may_be_read_in(b"x-authenticate-x"));
        let pattern = RegexPattern::parse("^X-Auth-", &mut Vec::new()).expect("valid");
        let matches = IdentityField::Matches(pattern);
        for name in ["X-Auth-User", "x-auth-user", "x_auth_user", "X.AUTH.x"] {
            assert!(matches.may_be_read_in(name.as_bytes()), "{name}");
        }
        assert!(!matches.may_be_read_in(b"Y-X-Auth-User") && matches.is(b"x-auth-id") && !matches.is(b"x-aut"));
        assert!(named.is(b"x-USER") && !named.is(b"x_user") && begins.is(b"X-Authentik-Jwt") && !begins.is(b"x-a"));
    }
}
