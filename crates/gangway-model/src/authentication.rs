//! Who has to log in, and how: `auth.*`.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use http::Method;

use gangway_diagnostic::{Finding, codes, quoted};

use crate::address_filter::AddressList;
use crate::forward_auth::ForwardAuth;
use crate::password_hash::PasswordHash;
use crate::path::{PathPattern, other_readings};

/// The realm where none is written.
pub(crate) const REALM_DEFAULT: &str = "restricted";

/// Clients have to log in before a request is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authentication {
    /// How they log in.
    pub method: LoginMethod,
    /// A request to which one of these applies needs no log-in.
    pub skip: Vec<SkipRule>,
}

/// Requests that need no log-in: `auth.skip`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SkipRule {
    /// Those for a path.
    Path(PathPattern),
    /// Those with a method. `GET` includes `HEAD` (RFC 9110, section 9.3.2).
    Method(Method),
    /// Those of clients with an address in this list.
    Client(AddressList),
}

/// What a [`SkipRule`] looks at.
#[derive(Clone, Copy, Debug)]
pub struct SkippableRequest<'a> {
    /// In the form in which paths are compared.
    pub path: &'a str,
    /// None where the application may take the request for one with another method.
    pub method: Option<&'a Method>,
    /// The client's address. None where it may be that of a proxy or a gateway.
    pub client: Option<IpAddr>,
}

/// Fields by which a client asks an application to take a request for one with another method. No rule on methods
/// applies to a request that has one of them.
pub const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// How clients log in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LoginMethod {
    /// By a user name and a password in `Authorization` (RFC 7617).
    Basic(BasicAuth),
    /// As a service says that is asked about each request.
    Forward(ForwardAuth),
}

/// Who is let in by name and password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BasicAuth {
    /// Each name stands once.
    pub users: Vec<BasicUser>,
    /// Names of lists of users on the volume.
    pub lists: Vec<Box<str>>,
    /// The realm in the challenge to clients, without quotes and control characters.
    pub realm: Box<str>,
    /// Whether the application gets `Authorization` too.
    pub keep: bool,
}

/// One user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BasicUser {
    /// Without a colon, and not empty.
    pub name: Box<str>,
    /// The hash of the user's password.
    pub hash: PasswordHash,
}

impl Authentication {
    /// How another service is asked, if one is.
    pub fn forward(&self) -> Option<&ForwardAuth> {
        match &self.method {
            LoginMethod::Forward(forward) => Some(forward),
            LoginMethod::Basic(_) => None,
        }
    }

    /// The first rule by which a request passes without a log-in. Where applications may read its path in several ways,
    /// each reading has to pass: closed on doubt.
    pub fn skipped_by(&self, request: SkippableRequest<'_>) -> Option<&SkipRule> {
        let rule = |path| self.skip.iter().find(|rule| rule.applies_to(SkippableRequest { path, ..request }));
        let first = rule(request.path)?;
        other_readings(request.path).iter().all(|reading| rule(reading).is_some()).then_some(first)
    }
}

impl SkipRule {
    fn applies_to(&self, request: SkippableRequest<'_>) -> bool {
        match self {
            Self::Path(pattern) => pattern.matches(request.path),
            Self::Method(method) => {
                request.method.is_some_and(|asked| asked == method || (asked == Method::HEAD && method == Method::GET))
            }
            Self::Client(clients) => request.client.is_some_and(|client| clients.contains(client)),
        }
    }
}

/// As the label would have it.
impl Display for SkipRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(pattern) => pattern.fmt(f),
            Self::Method(method) => write!(f, "method:{method}"),
            Self::Client(clients) => clients.fmt(f),
        }
    }
}

impl BasicUser {
    /// Reads `user:hash`. The finding never repeats the hash.
    pub fn parse(text: &str) -> Result<Self, Finding> {
        let not =
            |note: &str, help: &str| Finding::error(codes::BASIC_USER, 0..0, "not a user with a hash", note, help);
        let (name, hash) = text
            .split_once(':')
            .ok_or_else(|| not("no colon", "write `user:hash`, as `gangway hash --user` prints it"))?;
        if name.is_empty() || name.chars().any(|char| char.is_control() || char.is_whitespace()) {
            return Err(not("the name is empty", "write a name in front of the colon"));
        }
        let of_user =
            |finding: Finding| Finding { message: format!("{} for user {}", finding.message, quoted(name)), ..finding };
        Ok(Self { name: name.into(), hash: PasswordHash::parse(hash).map_err(of_user)? })
    }
}

/// As labels would have it, without anything secret.
impl Display for Authentication {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.method {
            LoginMethod::Basic(basic) => {
                let users = basic.users.iter().map(|user| user.name.to_string());
                let lists = basic.lists.iter().map(|list| format!("@{list}"));
                write!(f, "auth.basic {}", users.chain(lists).collect::<Vec<_>>().join(", "))?;
            }
            LoginMethod::Forward(forward) => forward.fmt(f)?,
        }
        match &self.skip[..] {
            [] => Ok(()),
            skip => write!(f, "; auth.skip {}", skip.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: SkippableRequest<'_> = SkippableRequest { path: "/", method: Some(&Method::GET), client: None };

    fn skipping(rules: &[SkipRule]) -> Authentication {
        let basic = BasicAuth { users: vec![], lists: vec![], realm: "".into(), keep: false };
        Authentication { method: LoginMethod::Basic(basic), skip: rules.to_vec() }
    }

    fn path(text: &str) -> SkipRule {
        SkipRule::Path(PathPattern::parse(text, &mut Vec::new()).expect("valid"))
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_skipped_only_in_both() {
        let api = skipping(&["/api", "=/status"].map(path));
        for (path, is_skipped) in [
            ("/api", true),
            ("/api/x", true),
            ("/apix", false),
            ("/status", true),
            ("/status/x", false),
            ("/", false),
            ("/api/a%2Fb", true),
            ("/api/..%2Fadmin", false),
            ("/api/..;/admin", false),
            ("/api/..\\admin", false),
            ("/x/..%2Fapi", false),
            ("/api;x", false),
            ("/admin;/api", false),
        ] {
            let request = SkippableRequest { path, ..GET };
            assert_eq!(api.skipped_by(request).is_some(), is_skipped, "{path}");
        }
        assert!(skipping(&[]).skipped_by(GET).is_none());
    }

    #[test]
    fn methods_and_clients_are_skipped_where_they_are_certain() {
        let lan = SkipRule::Client("10.0.0.0/8".parse::<ipnet::IpNet>().into_iter().collect());
        let rules = [SkipRule::Method(Method::GET), SkipRule::Method(Method::OPTIONS), lan];
        let by = |request| skipping(&rules).skipped_by(request).map(ToString::to_string);
        let of = |method| SkippableRequest { method: Some(method), ..GET };
        let get = Some("method:GET".to_owned());
        assert_eq!((by(GET), by(of(&Method::HEAD))), (get.clone(), get));
        assert_eq!(by(of(&Method::OPTIONS)), Some("method:OPTIONS".to_owned()));
        for method in [Some(&Method::POST), Some(&Method::DELETE), None] {
            let request = SkippableRequest { method, ..GET };
            assert_eq!(by(request), None, "{method:?}");
            for (client, is_skipped) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("192.0.2.1", false)] {
                let request = SkippableRequest { client: client.parse().ok(), ..request };
                assert_eq!(by(request), is_skipped.then(|| "10.0.0.0/8".to_owned()), "{client}");
            }
        }
        let head_only = skipping(&[SkipRule::Method(Method::HEAD)]);
        assert!(head_only.skipped_by(GET).is_none() && head_only.skipped_by(of(&Method::HEAD)).is_some());
    }

    #[test]
    fn a_user_has_a_name_and_a_hash() {
        let user = BasicUser::parse("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=").expect("valid");
        assert_eq!(&*user.name, "ann");
        for text in [
            "ann",
            ":{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "ann:",
            "ann:secret-secret",
            "a\u{1}n:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        ] {
            let finding = BasicUser::parse(text).expect_err(text);
            assert!(!format!("{finding:?}").contains("secret-secret"));
        }
    }
}
