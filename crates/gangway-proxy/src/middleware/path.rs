//! What middlewares do to a request target, byte by byte.
//!
//! Routes are matched on a decoded copy, but the original bytes go upstream. So a prefix is removed
//! by walking both at once, and nothing else of the path is decoded or encoded again.

use std::borrow::Cow;

use gangway_model::Middleware;
use gangway_model::path::strip_prefix;

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
                if let Cow::Owned(replaced) = pattern.regex().replace(text, &**replacement) {
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
                pattern: gangway_model::RegexPattern::parse("^/app/v1/(.*)$", &mut Vec::new()).expect("valid"),
                replacement: "/api?p=$1".into(),
            },
        ];
        let rewritten = rewrite(b"/v1/users?x=1", &chain, "").expect("no prefix is removed");
        assert_eq!(&*rewritten.target, b"/api?p=users&x=1");
        assert_eq!(rewritten.prefix, "");
    }
}
