//! The `Location` of a redirection. It is pure, so the answer and `explain` cannot differ.

use std::fmt::{self, Display, Formatter};

use gangway_diagnostic::printable;

use crate::path::strip_prefix;
use crate::route::{RedirectPart, RedirectTarget};

/// The `Location` for a request for exactly the prefix, without a slash: relative links of the app would
/// otherwise lead out of it. `target` is as the client sent it. None for every other request.
pub fn slash_redirect(target: &[u8], prefix: &str) -> Option<Vec<u8>> {
    let (path, query) = split(target);
    if matches!(prefix, "" | "/") || !strip_prefix(std::str::from_utf8(path).ok()?, prefix)?.is_empty() {
        return None;
    }
    // From the path as sent, and never beginning with two slashes: that would name another host.
    let trimmed = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    let mut location = vec![b'/'];
    location.extend_from_slice(&path[trimmed..]);
    location.push(b'/');
    location.extend_from_slice(query);
    Some(location)
}

impl RedirectTarget {
    /// The `Location` for a request to `host`, with the placeholders filled. `target` is as the client sent it.
    pub fn location(&self, host: &str, target: &[u8]) -> Vec<u8> {
        let (path, query) = split(target);
        let query = query.get(1..).unwrap_or_default();
        let mut location: Vec<u8> = Vec::new();
        for part in &self.0 {
            match part {
                RedirectPart::Text(text) => location.extend_from_slice(text.as_bytes()),
                RedirectPart::Host => location.extend_from_slice(host.as_bytes()),
                RedirectPart::Path => {
                    // `https://x/{path}` is written as often as `https://x{path}`.
                    let path = if location.ends_with(b"/") { path.strip_prefix(b"/").unwrap_or(path) } else { path };
                    location.extend_from_slice(path);
                }
                RedirectPart::Query => location.extend_from_slice(query),
            }
        }
        if query.is_empty() && location.ends_with(b"?") {
            location.pop();
        }
        location
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
fn split(target: &[u8]) -> (&[u8], &[u8]) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => target.split_at(at),
        None => (target, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bare_prefix_is_redirected_and_never_to_another_host() {
        let location =
            |target: &str| slash_redirect(target.as_bytes(), "/stash").map(|l| String::from_utf8(l).expect("ASCII"));
        assert_eq!(location("/stash?a=b").as_deref(), Some("/stash/?a=b"));
        assert_eq!(location("//stash").as_deref(), Some("/stash/"));
        assert_eq!(location("/stash/"), None);
        assert_eq!(location("/stashed"), None);
    }

    #[test]
    fn placeholders_are_filled_without_doubled_or_dangling_marks() {
        let target = |parts: &[RedirectPart]| RedirectTarget(parts.to_vec());
        let text = |text: &str| RedirectPart::Text(text.into());
        let with_query = target(&[text("https://new.example/"), RedirectPart::Path, text("?"), RedirectPart::Query]);
        assert_eq!(with_query.location("old", b"/a/b?c"), b"https://new.example/a/b?c");
        assert_eq!(with_query.location("old", b"/a/b"), b"https://new.example/a/b");
        let host = target(&[text("https://www."), RedirectPart::Host, RedirectPart::Path]);
        assert_eq!(host.location("x.org", b"/"), b"https://www.x.org/");
    }
}
