//! Redirections by the whole URL of a request, as Traefik's middlewares make them. Pure, so the answer and `explain`
//! cannot differ.

use std::fmt::{self, Display, Formatter};

use gangway_diagnostic::printable;
use http::Method;

use crate::location::local;
use crate::path::{push_encoded_char, resolved_as_sent};
use crate::regex_pattern::RegexPattern;
use crate::replacement::Replacement;
use crate::target_change::split;

/// Redirects a request where its URL changes by the rule. Every other request goes on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UrlRedirect {
    /// How the URL changes.
    pub change: UrlChange,
    /// Whether GET gets 301 and other methods 308; otherwise GET gets 302 and other methods 307.
    pub is_permanent: bool,
}

/// How a URL changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UrlChange {
    /// Every match of the expression in the URL is replaced.
    Matches {
        /// Matched against `scheme://host[:port]/path[?query]`.
        pattern: RegexPattern,
        /// The text in place of each match.
        replacement: Replacement,
    },
    /// Another scheme and port.
    Scheme {
        /// The scheme, such as `https`.
        scheme: Box<str>,
        /// The port, if it is not the scheme's own.
        port: Option<u16>,
    },
}

/// What a client asked for.
#[derive(Clone, Copy, Debug)]
pub struct RequestedUrl<'a> {
    /// Whether the client's own connection uses TLS.
    pub is_secure: bool,
    /// In the form in which hosts are compared.
    pub host: &'a str,
    /// The port that the client named.
    pub port: Option<u16>,
    /// In origin form. Its dot segments and doubled slashes are resolved before it is looked at.
    pub target: &'a str,
}

impl UrlRedirect {
    /// The status and the `Location` for a request, or None where it goes on.
    pub fn answer(&self, method: &Method, asked: &RequestedUrl<'_>) -> Option<(u16, String)> {
        let location = self.change.location(asked)?;
        let status = match (self.is_permanent, *method == Method::GET) {
            (true, true) => 301,
            (true, false) => 308,
            (false, true) => 302,
            (false, false) => 307,
        };
        Some((status, location))
    }
}

impl UrlChange {
    fn location(&self, asked: &RequestedUrl<'_>) -> Option<String> {
        let scheme = if asked.is_secure { "https" } else { "http" };
        let (path, query) = split(asked.target);
        let path = resolved_as_sent(path);
        // `*` is the only target that does not end the authority in front of it.
        let path = if path.starts_with('/') { &*path } else { "/" };
        let new = match self {
            Self::Matches { pattern, replacement } => {
                let port = asked.port.map(|port| format!(":{port}")).unwrap_or_default();
                let url = format!("{scheme}://{}{port}{path}{query}", asked.host);
                let new = replacement.replace_all(pattern.regex(), &url, |part| &url[part])?;
                (new != url).then_some(new)?
            }
            Self::Scheme { scheme: to, port } => {
                let port = port.filter(|port| Some(*port) != own_port(to));
                let is_there = **to == *scheme && asked.port.filter(|port| Some(*port) != own_port(scheme)) == port;
                let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                (!is_there).then(|| format!("{to}://{}{port}{path}{query}", asked.host))?
            }
        };
        let mut location = String::with_capacity(new.len());
        for char in new.chars() {
            if char.is_ascii_graphic() {
                location.push(char);
            } else {
                push_encoded_char(&mut location, char);
            }
        }
        // The path of a client must not become a host.
        Some(if location.starts_with('/') { local(&location) } else { location })
    }
}

fn own_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// For people.
impl Display for UrlRedirect {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_permanent { "301 or 308, " } else { "302 or 307, " })?;
        match &self.change {
            UrlChange::Matches { pattern, replacement } => {
                write!(f, "~{} to {}", printable(pattern.as_str()), printable(replacement.as_str()))
            }
            UrlChange::Scheme { scheme, port: None } => write!(f, "to {}", printable(scheme)),
            UrlChange::Scheme { scheme, port: Some(port) } => write!(f, "to {} on port {port}", printable(scheme)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, replacement: &str) -> UrlChange {
        let pattern = RegexPattern::parse(expression, &mut Vec::new()).expect(expression);
        let replacement = Replacement::parse_go(replacement, pattern.regex());
        UrlChange::Matches { pattern, replacement }
    }

    fn location(change: &UrlChange, port: Option<u16>, target: &str) -> Option<String> {
        change.location(&RequestedUrl { is_secure: false, host: "a.test", port, target })
    }

    #[test]
    fn groups_are_put_in_as_go_does_it() {
        for (replacement, expected) in [
            ("http://x.test/$1", Some("http://x.test/p")),
            ("http://x.test/$1x", Some("http://x.test/")),
            ("http://x.test/${1}x", Some("http://x.test/px")),
            ("http://x.test/${rest}", Some("http://x.test/p")),
            ("http://x.test/$$1", Some("http://x.test/$1")),
            ("http://x.test/$9", Some("http://x.test/")),
            ("http://x.test/$", Some("http://x.test/$")),
            ("http://x.test/${1", Some("http://x.test/${1")),
            ("http://a.test/$1", None),
        ] {
            let change = matches("^http://a.test/(?P<rest>.*)", replacement);
            assert_eq!(location(&change, None, "/p").as_deref(), expected, "{replacement}");
        }
    }

    #[test]
    fn the_port_belongs_to_the_url_and_no_path_becomes_a_host() {
        assert_eq!(location(&matches("^http://a.test/old", "/new"), Some(81), "/old"), None);
        let path = matches("^https?://[^/]+(/.*)$", "$1");
        assert_eq!(location(&path, None, "//evil.example").as_deref(), Some("/evil.example"));
        assert_eq!(location(&path, None, "/\\evil.example").as_deref(), Some("/evil.example"));
    }

    #[test]
    fn a_scheme_differs_by_itself_or_by_its_port() {
        let to = |scheme: &str, port| UrlChange::Scheme { scheme: scheme.into(), port };
        for (change, port, expected) in [
            (to("https", None), Some(81), Some("https://a.test/x?y")),
            (to("https", Some(443)), None, Some("https://a.test/x?y")),
            (to("https", Some(8443)), None, Some("https://a.test:8443/x?y")),
            (to("http", None), Some(80), None),
            (to("http", None), Some(81), Some("http://a.test/x?y")),
            (to("foo", None), None, Some("foo://a.test/x?y")),
        ] {
            assert_eq!(location(&change, port, "/x?y").as_deref(), expected, "{change:?} {port:?}");
        }
        assert_eq!(location(&to("https", None), None, "/a//b/../c").as_deref(), Some("https://a.test/a/c"));
    }
}
