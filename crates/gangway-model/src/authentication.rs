//! Who has to log in, and how: `auth.*`.

use std::fmt::{self, Display, Formatter};

use gangway_diagnostic::{Finding, codes, quoted};
use http::{HeaderName, Method};

use crate::address_filter::AddressList;
use crate::forward_auth::ForwardAuth;
use crate::oidc_auth::OidcAuth;
use crate::password_hash::PasswordHash;
use crate::path::{PathPattern, other_readings};
use crate::request_view::{FieldValues, RequestView};

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

/// Requests that need no log-in: one alternative of `auth.skip`.
///
/// Every condition that is present has to hold. At least one is: a rule without conditions would open the route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SkipRule {
    method: Option<Method>,
    path: Option<PathPattern>,
    clients: Option<AddressList>,
}

/// Fields by which a client asks an application to take a request for one with another method. No rule on methods
/// applies to a request that has one of them.
const METHOD_OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// How clients log in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LoginMethod {
    /// By a user name and a password in `Authorization` (RFC 7617).
    Basic(BasicAuth),
    /// As a service says that is asked about each request.
    Forward(ForwardAuth),
    /// At an OpenID provider.
    Oidc(OidcAuth),
}

/// Who is let in by name and password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BasicAuth {
    /// Each name stands once.
    pub users: Vec<BasicUser>,
    /// Names of lists of users on the volume, or whole paths of files.
    pub lists: Vec<Box<str>>,
    /// The realm in the challenge to clients, without control characters.
    pub realm: Box<str>,
    /// Whether the application gets `Authorization` too.
    pub keep: bool,
    /// The request field that tells the application the name of the user. A client may not send it.
    pub user_field: Option<HeaderName>,
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
            LoginMethod::Basic(_) | LoginMethod::Oidc(_) => None,
        }
    }

    /// At which provider clients log in, if at one.
    pub fn oidc(&self) -> Option<&OidcAuth> {
        match &self.method {
            LoginMethod::Oidc(oidc) => Some(oidc),
            LoginMethod::Basic(_) | LoginMethod::Forward(_) => None,
        }
    }

    /// The first rule by which a request passes without a log-in. Where applications may read its path in several ways,
    /// each reading has to pass, and an address counts only where it is certain to be the client's: closed on doubt.
    pub fn skipped_by(&self, request: &RequestView<'_>, is_client_certain: bool) -> Option<&SkipRule> {
        let rule = |path| {
            let request = RequestView { path, ..*request };
            self.skip.iter().find(|rule| rule.applies_to(&request, is_client_certain))
        };
        let first = rule(request.path)?;
        other_readings(request.path).iter().all(|reading| rule(reading).is_some()).then_some(first)
    }
}

impl SkipRule {
    /// Requests with a method. `GET` includes `HEAD` (RFC 9110, section 9.3.2).
    pub fn method(method: Method) -> Self {
        Self { method: Some(method), path: None, clients: None }
    }

    /// Requests for a path.
    pub fn path(pattern: PathPattern) -> Self {
        Self { method: None, path: Some(pattern), clients: None }
    }

    /// Requests of clients with an address in this list.
    pub fn clients(clients: AddressList) -> Self {
        Self { method: None, path: None, clients: Some(clients) }
    }

    /// Requests to which both rules apply; `None` if both have a condition of the same kind.
    pub fn and(self, other: Self) -> Option<Self> {
        fn either<T>(one: Option<T>, other: Option<T>) -> Option<Option<T>> {
            (one.is_none() || other.is_none()).then(|| one.or(other))
        }
        Some(Self {
            method: either(self.method, other.method)?,
            path: either(self.path, other.path)?,
            clients: either(self.clients, other.clients)?,
        })
    }

    /// Whether it looks at the client's address.
    pub fn is_of_clients(&self) -> bool {
        self.clients.is_some()
    }

    fn applies_to(&self, request: &RequestView<'_>, is_client_certain: bool) -> bool {
        let Self { method, path, clients } = self;
        method.as_ref().is_none_or(|method| is_with_method(request, method))
            && path.as_ref().is_none_or(|pattern| pattern.matches(request.path))
            && clients.as_ref().is_none_or(|clients| is_client_certain && clients.contains(request.client))
    }
}

fn is_with_method(request: &RequestView<'_>, method: &Method) -> bool {
    (request.method == method || (request.method == Method::HEAD && method == Method::GET))
        && !overrides_method(request.headers)
}

/// Whether a request with these fields asks the application to take it for one with another method.
pub fn overrides_method(fields: &dyn FieldValues) -> bool {
    METHOD_OVERRIDES.iter().any(|name| fields.count(name) > 0)
}

/// As the label would have it.
impl Display for SkipRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { method, path, clients } = self;
        let method = method.as_ref().map(|method| format!("method:{method}"));
        let (path, clients) = (path.as_ref().map(ToString::to_string), clients.as_ref().map(ToString::to_string));
        let conditions: Vec<String> = [method, path, clients].into_iter().flatten().collect();
        f.write_str(&conditions.join(" "))
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
                if let Some(name) = &basic.user_field {
                    write!(f, "; the user in {name}")?;
                }
            }
            LoginMethod::Forward(forward) => forward.fmt(f)?,
            LoginMethod::Oidc(oidc) => oidc.fmt(f)?,
        }
        match &self.skip[..] {
            [] => Ok(()),
            skip => write!(f, "; auth.skip {}", skip.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::listener::Arrival;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3));

    fn get(headers: &HeaderMap) -> RequestView<'_> {
        RequestView {
            host: "a.org",
            path: "/",
            query: "",
            method: &Method::GET,
            headers,
            client: CLIENT,
            arrival: Arrival::HTTPS,
        }
    }

    fn skipping(rules: &[SkipRule]) -> Authentication {
        let basic = BasicAuth { users: vec![], lists: vec![], realm: "".into(), keep: false, user_field: None };
        Authentication { method: LoginMethod::Basic(basic), skip: rules.to_vec() }
    }

    fn path(text: &str) -> SkipRule {
        SkipRule::path(PathPattern::parse(text, &mut Vec::new()).expect("valid"))
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_skipped_only_in_both() {
        let api = skipping(&["/api", "=/status"].map(path));
        let headers = HeaderMap::new();
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
            let request = RequestView { path, ..get(&headers) };
            assert_eq!(api.skipped_by(&request, true).is_some(), is_skipped, "{path}");
        }
        assert!(skipping(&[]).skipped_by(&get(&headers), true).is_none());
    }

    #[test]
    fn methods_and_clients_are_skipped_where_they_are_certain() {
        let lan = SkipRule::clients("10.0.0.0/8".parse::<ipnet::IpNet>().into_iter().collect());
        let rules = [SkipRule::method(Method::GET), SkipRule::method(Method::OPTIONS), lan];
        let by = |request: RequestView<'_>, is_certain| {
            skipping(&rules).skipped_by(&request, is_certain).map(ToString::to_string)
        };
        let plain = HeaderMap::new();
        let of = |method| RequestView { method, ..get(&plain) };
        for (method, rule) in [
            (&Method::GET, Some("method:GET")),
            (&Method::HEAD, Some("method:GET")),
            (&Method::OPTIONS, Some("method:OPTIONS")),
            (&Method::POST, None),
            (&Method::DELETE, None),
        ] {
            assert_eq!(by(of(method), false).as_deref(), rule, "{method}");
        }
        for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
            let asks_for_another =
                HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(""))]);
            assert_eq!(by(get(&asks_for_another), false), None, "{name}");
            assert_eq!(by(get(&asks_for_another), true).as_deref(), Some("10.0.0.0/8"), "{name}");
        }
        for (client, is_skipped) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("192.0.2.1", false)] {
            let request = RequestView { client: client.parse().expect("an address"), ..of(&Method::POST) };
            assert_eq!(by(request, true), is_skipped.then(|| "10.0.0.0/8".to_owned()), "{client}");
            assert_eq!(by(request, false), None, "{client}");
        }
        let head_only = skipping(&[SkipRule::method(Method::HEAD)]);
        assert!(head_only.skipped_by(&get(&plain), false).is_none());
        assert!(head_only.skipped_by(&of(&Method::HEAD), false).is_some());
    }

    #[test]
    fn all_conditions_of_a_rule_have_to_hold() {
        let lan = || SkipRule::clients("10.0.0.0/8".parse::<ipnet::IpNet>().into_iter().collect());
        let feeds = || SkipRule::method(Method::GET).and(path("/feeds")).expect("of two kinds");
        assert_eq!(feeds().and(path("/api")), None, "paths are alternatives");
        let (feeds, feeds_of_lan) = (skipping(&[feeds()]), skipping(&[lan().and(feeds()).expect("of three kinds")]));
        assert_eq!(feeds_of_lan.skip[0].to_string(), "method:GET /feeds 10.0.0.0/8");
        let plain = HeaderMap::new();
        for (method, path, is_skipped) in [
            (&Method::GET, "/feeds/a", true),
            (&Method::HEAD, "/feeds", true),
            (&Method::POST, "/feeds", false),
            (&Method::GET, "/admin", false),
            // Each of its readings has to be below the path.
            (&Method::GET, "/feeds/..%2Fadmin", false),
        ] {
            let request = RequestView { method, path, ..get(&plain) };
            assert_eq!(feeds.skipped_by(&request, false).is_some(), is_skipped, "{method} {path}");
            assert_eq!(feeds_of_lan.skipped_by(&request, true).is_some(), is_skipped, "{method} {path}");
            assert_eq!(feeds_of_lan.skipped_by(&request, false), None, "{method} {path}");
            let far = RequestView { client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), ..request };
            assert_eq!(feeds_of_lan.skipped_by(&far, true), None, "{method} {path}");
        }
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
