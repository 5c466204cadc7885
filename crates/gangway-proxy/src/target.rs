//! What middlewares do to a request target, byte by byte.
//!
//! Routes are matched on a decoded copy, but the original bytes go upstream. So a prefix is removed
//! by walking both at once, and nothing else of the path is decoded or encoded again.

use std::borrow::Cow;

use gangway_model::Middleware;
use gangway_model::path::strip_prefix;
use gangway_model::route::{RedirectPart, RedirectTarget};

/// The path of a target in origin form, and its query with the question mark.
pub(crate) fn split(target: &[u8]) -> (&[u8], &[u8]) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => target.split_at(at),
        None => (target, &[]),
    }
}

/// What a chain of middlewares makes of a target, and the prefix it removed.
#[derive(Debug, PartialEq)]
pub(crate) struct Rewritten<'a> {
    pub(crate) target: Cow<'a, [u8]>,
    /// For `X-Forwarded-Prefix`; empty where none was removed.
    pub(crate) prefix: &'a str,
}

/// Applies those of `middlewares` that change the path. `prefix` is the decoded one that matched.
///
/// None where the prefix cannot be found in the path as sent; a route that matched by it excludes that.
pub(crate) fn rewrite<'a>(target: &'a [u8], middlewares: &[Middleware], prefix: &'a str) -> Option<Rewritten<'a>> {
    let mut rewritten = Rewritten { target: Cow::Borrowed(target), prefix: "" };
    for middleware in middlewares {
        match middleware {
            Middleware::StripPrefix(_) if has_prefix(prefix) => {
                let (path, query) = split(&rewritten.target);
                let mut rest = with_slash(strip_prefix(std::str::from_utf8(path).ok()?, prefix)?.as_bytes());
                rest.extend_from_slice(query);
                rewritten.target = Cow::Owned(rest);
                rewritten.prefix = prefix;
            }
            Middleware::AddPrefix(added) => {
                let mut longer = added.trim_end_matches('/').as_bytes().to_vec();
                longer.extend_from_slice(&rewritten.target);
                rewritten.target = Cow::Owned(longer);
            }
            Middleware::Rewrite { pattern, replacement } => {
                let (path, query) = split(&rewritten.target);
                // A path that is not UTF-8 matches no expression of ours.
                let Ok(text) = std::str::from_utf8(path) else { continue };
                if let Cow::Owned(replaced) = pattern.replace(text, &**replacement) {
                    let mut replaced = with_slash(replaced.as_bytes());
                    // A replacement may bring a query of its own; the client's follows it.
                    if replaced.contains(&b'?') && !query.is_empty() {
                        replaced.push(b'&');
                        replaced.extend_from_slice(&query[1..]);
                    } else {
                        replaced.extend_from_slice(query);
                    }
                    rewritten.target = Cow::Owned(replaced);
                }
            }
            _ => {}
        }
    }
    Some(rewritten)
}

/// Whether there is anything to remove.
fn has_prefix(prefix: &str) -> bool {
    !matches!(prefix, "" | "/")
}

/// A target must begin with a slash, also where nothing but a query is left.
fn with_slash(rest: &[u8]) -> Vec<u8> {
    let mut target = Vec::with_capacity(rest.len() + 1);
    if rest.first() != Some(&b'/') {
        target.push(b'/');
    }
    target.extend_from_slice(rest);
    target
}

/// Where a request for exactly the prefix, without a slash, is sent: relative links of the app would
/// otherwise lead out of it. None where the request is not for that.
pub(crate) fn slash_redirect(target: &[u8], prefix: &str) -> Option<Vec<u8>> {
    let (path, query) = split(target);
    if !has_prefix(prefix) || !strip_prefix(std::str::from_utf8(path).ok()?, prefix)?.is_empty() {
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

/// Fills the placeholders of a redirection.
pub(crate) fn redirect_location(target: &RedirectTarget, host: &str, request_target: &[u8]) -> Vec<u8> {
    let (path, query) = split(request_target);
    let query = query.get(1..).unwrap_or_default();
    let mut location: Vec<u8> = Vec::new();
    for part in &target.0 {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(target: &str, prefix: &str) -> Option<(String, String)> {
        let chain = [Middleware::StripPrefix(vec![prefix.into()])];
        let rewritten = rewrite(target.as_bytes(), &chain, prefix)?;
        Some((String::from_utf8(rewritten.target.into_owned()).expect("ASCII"), rewritten.prefix.to_owned()))
    }

    #[test]
    fn a_prefix_is_removed_and_the_rest_left_as_sent() {
        let stripped = |target: &str| strip(target, "/stash").map(|(target, _)| target);
        assert_eq!(stripped("/stash/a%2Fb//c?x=%20").as_deref(), Some("/a%2Fb//c?x=%20"));
        assert_eq!(stripped("/%73tash/x").as_deref(), Some("/x"));
        assert_eq!(stripped("//stash/x").as_deref(), Some("/x"));
        assert_eq!(stripped("/stash?q").as_deref(), Some("/?q"));
        assert_eq!(stripped("/y/../stash/x").as_deref(), Some("/x"));
        assert_eq!(stripped("/stashed"), None);
    }

    #[test]
    fn paths_are_added_and_replaced_with_the_query_kept() {
        let chain = [
            Middleware::AddPrefix("/app/".into()),
            Middleware::Rewrite {
                pattern: regex::Regex::new("^/app/v1/(.*)$").expect("valid"),
                replacement: "/api?p=$1".into(),
            },
        ];
        let rewritten = rewrite(b"/v1/users?x=1", &chain, "").expect("no prefix is removed");
        assert_eq!(&*rewritten.target, b"/api?p=users&x=1");
        assert_eq!(rewritten.prefix, "");
    }

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
        assert_eq!(redirect_location(&with_query, "old", b"/a/b?c"), b"https://new.example/a/b?c");
        assert_eq!(redirect_location(&with_query, "old", b"/a/b"), b"https://new.example/a/b");
        let host = target(&[text("https://www."), RedirectPart::Host, RedirectPart::Path]);
        assert_eq!(redirect_location(&host, "x.org", b"/"), b"https://www.x.org/");
    }
}
