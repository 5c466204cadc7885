//! Evaluates matchers. This runs for every request, so it compares in place. It allocates only to decode a query
//! parameter for a regular expression.

use std::borrow::Cow;

use super::alternative::{Alternative, Test};
use crate::request_view::RequestView;
use crate::rule::Condition;

impl Alternative {
    /// Whether the request passes everything but the host condition.
    pub(crate) fn accepts_path_and_rest(&self, request: &RequestView<'_>) -> bool {
        self.path().matches(request.path) && self.tests().iter().all(|test| test.passes(request))
    }

    /// Whether the request passes.
    pub fn accepts(&self, request: &RequestView<'_>) -> bool {
        self.host().matches(request.host) && self.accepts_path_and_rest(request)
    }
}

impl Test {
    /// Whether the request passes. A test of a client that is not known passes neither way.
    pub fn passes(&self, request: &RequestView<'_>) -> bool {
        let is_unknown =
            self.negated && request.client.is_unspecified() && matches!(self.condition, Condition::ClientIp(_));
        !is_unknown && self.condition.holds(request) != self.negated
    }
}

impl Condition {
    /// Whether it holds for the request.
    pub fn holds(&self, request: &RequestView<'_>) -> bool {
        match self {
            Self::Host(hosts) => hosts.iter().any(|host| host.matches(request.host)),
            Self::HostRegexp(patterns) => patterns.iter().any(|pattern| pattern.is_match(request.host)),
            Self::Path(paths) => paths.iter().any(|path| **path == *request.path),
            Self::PathPrefix(prefixes) => prefixes.iter().any(|prefix| crate::path::begins_with(request.path, prefix)),
            Self::PathRegexp(patterns) => patterns.iter().any(|pattern| pattern.is_match(request.path)),
            Self::Method(methods) => methods.contains(request.method),
            Self::Header(name, value) => request.headers.any_value(name, &mut |field| field == value.as_bytes()),
            Self::HeaderRegexp(name, pattern) => request.headers.any_value(name, &mut |field| {
                // A value that is not UTF-8 matches no expression.
                std::str::from_utf8(field).is_ok_and(|field| pattern.is_match(field))
            }),
            Self::Query(key, None) => values(request.query, key).next().is_some(),
            Self::Query(key, Some(value)) => values(request.query, key).any(|sent| is_encoded_form(sent, value)),
            Self::QueryRegexp(key, pattern) => values(request.query, key).any(|sent| pattern.is_match(&decoded(sent))),
            Self::ClientIp(networks) => {
                let client = request.client.to_canonical();
                networks.iter().any(|network| network.contains(&client))
            }
        }
    }
}

/// The values of a parameter as sent. A parameter without `=` has the empty value.
fn values<'q>(query: &'q str, key: &str) -> impl Iterator<Item = &'q str> {
    query.split('&').filter(|pair| !pair.is_empty()).filter_map(move |pair| {
        let (sent, value) = pair.split_once('=').unwrap_or((pair, ""));
        is_encoded_form(sent, key).then_some(value)
    })
}

fn is_encoded_form(sent: &str, plain: &str) -> bool {
    bytes(sent).eq(plain.bytes())
}

fn decoded(sent: &str) -> Cow<'_, str> {
    if !sent.contains(['%', '+']) {
        return Cow::Borrowed(sent);
    }
    let bytes: Vec<u8> = bytes(sent).collect();
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// The decoded bytes of form encoding. A percent sign that encodes nothing is itself.
fn bytes(sent: &str) -> impl Iterator<Item = u8> {
    let mut rest = sent.as_bytes();
    std::iter::from_fn(move || {
        let (&first, behind) = rest.split_first()?;
        rest = behind;
        match (first, behind) {
            (b'+', _) => Some(b' '),
            (b'%', &[high, low, ref behind @ ..]) => {
                let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let Some((high, low)) = digit(high).zip(digit(low)) else { return Some(b'%') };
                rest = behind;
                Some(high << 4 | low)
            }
            _ => Some(first),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::listener::Arrival;
    use crate::rule::{Term, parse};

    /// What the tests change of a request.
    struct Sent<'a> {
        host: &'a str,
        path: &'a str,
        query: &'a str,
        method: Method,
        fields: &'a [(&'static str, &'a [u8])],
        client: &'a str,
    }

    const PLAIN: Sent<'_> =
        Sent { host: "a.org", path: "/api/v1", query: "", method: Method::GET, fields: &[], client: "192.0.2.7" };

    fn holds(rule: &str, sent: &Sent<'_>) -> bool {
        let mut findings = Vec::new();
        let rule = parse(rule, &mut findings).unwrap_or_else(|| panic!("{findings:?}"));
        let (condition, negated) = match rule.term() {
            Term::Is(condition) => (condition.clone(), false),
            Term::Not(inner) => match inner.term() {
                Term::Is(condition) => (condition.clone(), true),
                _ => panic!("one matcher: {rule}"),
            },
            _ => panic!("one matcher: {rule}"),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in sent.fields {
            headers.append(*name, HeaderValue::from_bytes(value).expect("a field's value"));
        }
        Test { condition, negated }.passes(&RequestView {
            host: sent.host,
            path: sent.path,
            query: sent.query,
            method: &sent.method,
            headers: &headers,
            client: sent.client.parse::<IpAddr>().expect("an address"),
            arrival: Arrival::HTTPS,
        })
    }

    #[test]
    fn several_values_are_alternatives() {
        assert!(holds("Host(`b.org`, `a.org`)", &PLAIN));
        assert!(!holds("Host(`b.org`, `c.org`)", &PLAIN));
        assert!(holds("Method(`post`, `get`)", &PLAIN));
        assert!(holds("ClientIP(`10.0.0.0/8`, `192.0.2.0/24`)", &PLAIN));
    }

    #[test]
    fn host_and_path_are_compared_as_said() {
        assert!(holds("HostRegexp(`^A\\.`)", &PLAIN), "hosts have no case");
        assert!(holds("Path(`/api/v1`)", &PLAIN));
        assert!(!holds("Path(`/api`)", &PLAIN));
        assert!(holds("PathPrefix(`/api/`)", &PLAIN));
        assert!(!holds("PathPrefix(`/ap`)", &PLAIN));
        assert!(holds("PathRegexp(`v[0-9]$`)", &PLAIN));
        assert!(!holds("PathRegexp(`V[0-9]$`)", &PLAIN));
    }

    #[test]
    fn any_field_of_the_name_may_have_the_value() {
        let sent = Sent { fields: &[("x-a", b"1"), ("x-a", b"two"), ("x-b", b"\xff")], ..PLAIN };
        assert!(holds("Header(`X-A`, `two`)", &sent));
        assert!(!holds("Header(`X-A`, `tw`)", &sent));
        assert!(holds("HeaderRegexp(`x-a`, `^t`)", &sent));
        assert!(!holds("HeaderRegexp(`x-b`, `.*`)", &sent));
        assert!(!holds("Header(`X-C`, ``)", &sent));
    }

    #[test]
    fn parameters_are_compared_decoded() {
        let sent = Sent { query: "a=1&b=x+y%2fz&&c&%64=%zz", ..PLAIN };
        assert!(holds("Query(`a`, `1`)", &sent));
        assert!(holds("Query(`a=1`)", &sent));
        assert!(!holds("Query(`a`, `2`)", &sent));
        assert!(holds("Query(`b`, `x y/z`)", &sent));
        assert!(holds("QueryRegexp(`b`, ` y/z$`)", &sent));
        assert!(holds("Query(`b`)", &sent));
        assert!(holds("Query(`c`)", &sent));
        assert!(holds("Query(`c`, ``)", &sent));
        assert!(holds("Query(`d`, `%zz`)", &sent));
        assert!(!holds("Query(`e`)", &sent));
        assert!(!holds("Query(`a`)", &PLAIN));
    }

    #[test]
    fn a_client_is_compared_as_the_address_it_is() {
        assert!(holds("ClientIP(`192.0.2.7`)", &Sent { client: "::ffff:192.0.2.7", ..PLAIN }));
        assert!(holds("ClientIP(`::ffff:192.0.2.0/120`)", &PLAIN));
        let unknown = Sent { client: "0.0.0.0", ..PLAIN };
        assert!(!holds("ClientIP(`10.0.0.0/8`)", &unknown) && !holds("!ClientIP(`10.0.0.0/8`)", &unknown));
        assert!(holds("!ClientIP(`10.0.0.0/8`)", &PLAIN));
        assert!(holds("ClientIP(`2001:db8::/32`)", &Sent { client: "2001:db8::1", ..PLAIN }));
        assert!(!holds("ClientIP(`2001:db8::/32`)", &PLAIN));
    }
}
