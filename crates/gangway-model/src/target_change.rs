//! Changes of a request target on its way to an application: `strip-prefix`, `rewrite`, `add-prefix`. A target is in
//! origin form.
//!
//! They work on the path that was matched: `//files/x`, `/x/../files/x` and `/%66iles/x` all lead to the route of
//! `/files`, so they are all changed alike. What a change leaves of the path keeps its bytes as sent. The query is
//! never touched.
//!
//! They confine: no way to write `..` leads out of what was added. Where applications may read one in what is left
//! (`..%2F`, `..;`, `..\`), the target is refused.

use std::fmt::{self, Display, Formatter};

use crate::path::{SpelledPath, has_dot_segments, hides_parent_segments, strip_prefix, without_dot_segments};
use crate::regex_pattern::RegexPattern;
use crate::replacement::Replacement;

/// A path that some applications read as one that leads out of what was added to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unconfined;

/// The reason for a client.
impl Display for Unconfined {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("`..` hides in the path")
    }
}

/// The target without a normalised prefix of its path. None if the path is not below the prefix.
pub fn without_prefix(prefix: &str, target: &str) -> Option<String> {
    let (path, query) = split(target);
    Some(join(&strip_prefix(path, prefix)?, query))
}

/// The target with `added` in front of its path.
pub fn with_prefix(added: &str, target: &str) -> Result<String, Unconfined> {
    let (path, query) = split(target);
    if hides_parent_segments(path) {
        return Err(Unconfined);
    }
    let resolved = without_dot_segments(path);
    let added = added.trim_end_matches('/');
    let slash = if resolved.starts_with('/') { "" } else { "/" };
    Ok(format!("{added}{slash}{resolved}{query}"))
}

/// The target with the part of its path replaced that the expression matches. None if it matches nothing.
pub fn rewritten(
    pattern: &RegexPattern,
    replacement: &Replacement,
    target: &str,
) -> Result<Option<String>, Unconfined> {
    let (path, query) = split(target);
    let spelled = SpelledPath::of(path);
    let normal = spelled.normal();
    let Some(captures) = pattern.regex().captures(normal) else { return Ok(None) };
    let Some(whole) = captures.get(0) else { return Ok(None) };
    let mut new = spelled.as_sent(0..whole.start()).to_owned();
    replacement.expand(&captures, |group| spelled.as_sent(group), &mut new);
    new.push_str(spelled.as_sent(whole.end()..normal.len()));
    // A replacement may bring a query of its own, and the author of the label may write dots.
    let (new_path, own_query) = split(&new);
    let is_written = |path: &str| has_dot_segments(path) || hides_parent_segments(path);
    if is_written(new_path) && !is_written(split(replacement.as_str()).0) {
        return Err(Unconfined);
    }
    Ok(Some(match (own_query, query) {
        ("", query) => join(new_path, query),
        // The client's query follows the replacement's.
        (own, "") => join(new_path, own),
        (own, query) => format!("{}&{}", join(new_path, own), &query[1..]),
    }))
}

/// A target with exactly one slash in front, even if only a query is left. With two, an application that redirects to
/// its own path would send clients to another host.
pub(crate) fn join(path: &str, query: &str) -> String {
    format!("/{}{query}", path.trim_start_matches('/'))
}

/// Splits a target into the path, and the query with its question mark.
pub(crate) fn split(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(expression: &str, replacement: &str, target: &str) -> Result<Option<String>, Unconfined> {
        let pattern = RegexPattern::parse(expression, &mut Vec::new()).expect(expression);
        let replacement = Replacement::parse(replacement, pattern.regex()).expect(replacement);
        rewritten(&pattern, &replacement, target)
    }

    #[test]
    fn every_way_to_write_a_path_is_rewritten_alike() {
        let rewritten = |target| rewrite("^/files/(.*)$", "/public/$1", target);
        for target in
            ["/files/x?q=1", "//files/x?q=1", "/x/../files/x?q=1", "/%66iles/x?q=1", "/./files//../files/x?q=1"]
        {
            assert_eq!(rewritten(target).as_ref().map(Option::as_deref), Ok(Some("/public/x?q=1")), "{target}");
        }
        assert_eq!(rewritten("/other/x?/files/x"), Ok(None));
    }

    #[test]
    fn what_a_rewriting_leaves_is_as_sent() {
        let rewritten = |target| rewrite("^/files/(.*)$", "/public/$1", target).map(Option::unwrap_or_default);
        for (target, sent) in [
            ("/files/a%2Fb%20c?%20", "/public/a%2Fb%20c?%20"),
            ("/%66iles/%61%3Fb", "/public/%61%3Fb"),
            ("/files/%c3%a9,;{x}", "/public/%c3%a9,;{x}"),
            ("/files/http://a//b", "/public/http://a//b"),
            ("/files/", "/public/"),
            ("/files/..//files/%41/./", "/public/%41/"),
        ] {
            assert_eq!(rewritten(target).as_deref(), Ok(sent), "{target}");
        }
        let middle = |target| rewrite("old", "/new", target).map(Option::unwrap_or_default);
        assert_eq!(middle("/%20a/old/%20b?old"), Ok("/%20a//new/%20b?old".to_owned()));
        let host = |target| rewrite("^/old(.*)$", "$1", target).map(Option::unwrap_or_default);
        assert_eq!(host("/old//evil.example"), Ok("/evil.example".to_owned()));
        let query = |target| rewrite("^/u/(?<name>.*)$", "/?user=${name}&p=$$", target).map(Option::unwrap_or_default);
        assert_eq!(query("/u/ann?x=1"), Ok("/?user=ann&p=$&x=1".to_owned()));
        assert_eq!(query("/u/ann"), Ok("/?user=ann&p=$".to_owned()));
    }

    #[test]
    fn no_path_leads_out_of_what_is_added_to_it() {
        for target in ["/../secret", "/%2e%2e/secret", "/a/%2E./..//.%2e/secret", "/./secret"] {
            assert_eq!(with_prefix("/public", target).as_deref(), Ok("/public/secret"), "{target}");
            let rewritten = rewrite("^/(.*)$", "/public/$1", target);
            assert_eq!(rewritten, Ok(Some("/public/secret".to_owned())), "{target}");
        }
        for target in [
            "/..%2fsecret",
            "/x%2F..%2F..%2Fsecret",
            "/..\\secret",
            "/..%5Csecret",
            "/..;/secret",
            "/%2e%2e%3bx/secret",
            "/a/..;x%2Fsecret",
        ] {
            assert_eq!(with_prefix("/public", target), Err(Unconfined), "{target}");
            assert_eq!(rewrite("^/(.*)$", "/public/$1", target), Err(Unconfined), "{target}");
        }
        // What is removed joins what stood apart.
        assert_eq!(rewrite("^/(.*)x(.*)$", "/public/$1$2", "/.x./secret"), Err(Unconfined));
        // Nothing of the client's path is left.
        assert_eq!(rewrite("(?s)^.*$", "/new", "/..%2fx?a"), Ok(Some("/new?a".to_owned())));
        assert_eq!(rewrite("^/(.*)$", "/a/../$1", "/x"), Ok(Some("/a/../x".to_owned())), "the label says so");
    }

    #[test]
    fn a_prefix_is_added_to_the_bytes_as_sent() {
        assert_eq!(with_prefix("/app/", "/a%2Fb//c?x=%20").as_deref(), Ok("/app/a%2Fb//c?x=%20"));
        assert_eq!(with_prefix("/app", "/?/../x").as_deref(), Ok("/app/?/../x"));
        assert_eq!(with_prefix("/app", "*").as_deref(), Ok("/app/*"));
        assert_eq!(with_prefix("/app", "/group%2Fproject;a/..x/x..").as_deref(), Ok("/app/group%2Fproject;a/..x/x.."));
    }

    #[test]
    fn a_prefix_is_removed_and_the_rest_left_as_sent() {
        let stripped = |target: &str| without_prefix("/stash", target);
        for (target, rest) in [
            ("/stash/a%2Fb//c?x=%20", Some("/a%2Fb//c?x=%20")),
            ("/%73tash/x", Some("/x")),
            ("//stash//x", Some("/x")),
            ("/stash?q", Some("/?q")),
            ("/y/../stash/%41/./b", Some("/%41/b")),
            ("/stashed", None),
        ] {
            assert_eq!(stripped(target).as_deref(), rest, "{target}");
        }
    }
}
