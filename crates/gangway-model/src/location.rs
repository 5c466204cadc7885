//! The `Location` of a redirection. It is pure, so the answer and `explain` cannot differ.

use std::fmt::{self, Display, Formatter};

use gangway_diagnostic::printable;
use http::Method;

use crate::path::{resolved_as_sent, strip_prefix};

/// Whether a client follows a redirect of a request with this method to where it would have sent the request. Others
/// answer to it with an error (WebSockets, preflights of CORS), or repeat it with another method.
pub fn follows_redirects(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The `Location` for a request for exactly the prefix, without a slash: relative links of the app would
/// otherwise lead out of it. `target` is as the client sent it. None for every other request.
pub fn slash_redirect(target: &str, prefix: &str) -> Option<String> {
    let (path, query) = split(target);
    if matches!(prefix, "" | "/") || !strip_prefix(path, prefix)?.is_empty() {
        return None;
    }
    // Dot segments are resolved: browsers resolve them too, and what remains could begin like another host.
    Some(format!("{}/{query}", local(&resolved_as_sent(path))))
}

/// The `Location` of a request to the host by plain HTTP that is to come again by https. `target` is as the client
/// sent it.
pub fn https_redirect(host: &str, port: u16, target: &str) -> String {
    let port = if port == PublicPorts::default().https { String::new() } else { format!(":{port}") };
    let (path, query) = split(target);
    format!("https://{host}{port}{}{query}", rooted(path))
}

/// A path that names no host: browsers take `//` and `/\` at the beginning for the beginning of one.
pub(crate) fn local(path: &str) -> String {
    format!("/{}", path.trim_start_matches(['/', '\\']))
}

/// A path that ends the authority in front of it. `*` is the only one that does not.
fn rooted(path: &str) -> &str {
    if path.starts_with('/') { path } else { "/" }
}

/// A redirection target, cut at its placeholders.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedirectTarget(pub Vec<RedirectPart>);

/// One piece of a [`RedirectTarget`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RedirectPart {
    /// Copied as it is.
    Text(Box<str>),
    /// `{host}`: the request's host without a port.
    Host,
    /// `{path}`: the request's path as sent.
    Path,
    /// `{query}`: the request's query without the question mark, and nothing where there is none;
    /// a question mark that would end the target then goes too.
    Query,
}

impl RedirectTarget {
    /// The `Location` for a request to `host`, with the placeholders filled. `target` is as the client sent it.
    pub fn location(&self, host: &str, target: &str) -> String {
        let (path, query) = split(target);
        let (path, query) = (rooted(path), query.get(1..).unwrap_or_default());
        let mut location = String::new();
        for part in &self.0 {
            match part {
                RedirectPart::Text(text) => location.push_str(text),
                RedirectPart::Host => location.push_str(host),
                RedirectPart::Path => {
                    // `https://x/{path}` is written as often as `https://x{path}`.
                    let path = if location.ends_with('/') { path.strip_prefix('/').unwrap_or(path) } else { path };
                    location.push_str(path);
                }
                RedirectPart::Query => location.push_str(query),
            }
        }
        if query.is_empty() && location.ends_with('?') {
            location.pop();
        }
        if location.starts_with('/') { local(&location) } else { location }
    }
}

/// As it is written in a label.
impl Display for RedirectTarget {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            RedirectPart::Text(text) => f.write_str(&printable(text)),
            RedirectPart::Host => f.write_str("{host}"),
            RedirectPart::Path => f.write_str("{path}"),
            RedirectPart::Query => f.write_str("{query}"),
        })
    }
}

/// The ports under which clients reach Gangway, for URLs that people read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PublicPorts {
    /// The port of plain HTTP.
    pub http: u16,
    /// The port of HTTPS.
    pub https: u16,
}

impl Default for PublicPorts {
    fn default() -> Self {
        Self { http: 80, https: 443 }
    }
}

impl PublicPorts {
    /// The URL of a host, with or without a path, by plain HTTP.
    pub fn http_url(self, place: &str) -> String {
        url("http", place, self.http, Self::default().http)
    }

    /// The URL of a host, with or without a path, by HTTPS.
    pub fn https_url(self, place: &str) -> String {
        url("https", place, self.https, Self::default().https)
    }
}

fn url(scheme: &str, place: &str, port: u16, default: u16) -> String {
    if port == default {
        return format!("{scheme}://{place}");
    }
    let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    format!("{scheme}://{host}:{port}{path}")
}

/// The path of a target in origin form, and its query with the question mark.
fn split(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bare_prefix_is_redirected_and_never_to_another_host() {
        let location = |target: &str| slash_redirect(target, "/stash");
        assert_eq!(location("/stash?a=b").as_deref(), Some("/stash/?a=b"));
        assert_eq!(location("//stash").as_deref(), Some("/stash/"));
        assert_eq!(location("/%73tash").as_deref(), Some("/%73tash/"));
        for outside in [
            "/\\evil.example/../stash",
            "//evil.example/../stash",
            "/x/..//..\\/../stash",
            "/.//stash",
            "/%5c/..//stash",
        ] {
            assert_eq!(location(outside).as_deref(), Some("/stash/"), "{outside}");
        }
        assert_eq!(location("/stash/"), None);
        assert_eq!(location("/stashed"), None);
    }

    #[test]
    fn only_what_a_client_follows_is_redirected_to_the_slash() {
        assert!(follows_redirects(&Method::GET) && follows_redirects(&Method::HEAD));
        for method in [Method::POST, Method::OPTIONS, Method::PUT, Method::from_bytes(b"PROPFIND").expect("a method")] {
            assert!(!follows_redirects(&method), "{method}");
        }
    }

    #[test]
    fn https_is_at_the_same_place() {
        assert_eq!(https_redirect("a.org", 443, "/x?y"), "https://a.org/x?y");
        assert_eq!(https_redirect("a.org", 8443, "//evil.example"), "https://a.org:8443//evil.example");
        assert_eq!(https_redirect("a.org", 443, "*"), "https://a.org/");
    }

    #[test]
    fn placeholders_are_filled_without_doubled_or_dangling_marks() {
        let target = |parts: &[RedirectPart]| RedirectTarget(parts.to_vec());
        let text = |text: &str| RedirectPart::Text(text.into());
        let with_query = target(&[text("https://new.example/"), RedirectPart::Path, text("?"), RedirectPart::Query]);
        assert_eq!(with_query.location("old", "/a/b?c"), "https://new.example/a/b?c");
        assert_eq!(with_query.location("old", "/a/b"), "https://new.example/a/b");
        let host = target(&[text("https://www."), RedirectPart::Host, RedirectPart::Path]);
        assert_eq!(host.location("x.org", "/"), "https://www.x.org/");
        assert_eq!(host.location("x.org", "*"), "https://www.x.org/");
        let begins = target(&[text("/"), RedirectPart::Query]);
        assert_eq!(begins.location("x.org", "/?/evil.example"), "/evil.example");
        assert_eq!(begins.location("x.org", "/?\\evil.example"), "/evil.example");
    }
}
