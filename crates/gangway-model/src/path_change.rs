//! Changes of a path by its text, as Traefik's middlewares make them: without regard to segments, and told to the
//! application.
//!
//! They work on the path that was matched and confine like [`target_change`](crate::target_change): what is left has one
//! slash in front, and a change that makes a `..` of what was none is refused.

use std::fmt::{self, Display, Formatter};

use gangway_diagnostic::printable;

use crate::path::{SpelledPath, has_dot_segments, hides_parent_segments, push_encoded_char};
use crate::regex_pattern::RegexPattern;
use crate::replacement::Replacement;
use crate::target_change::{Unconfined, join, split};

/// A change of the path of a request. The query stays as it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathChange {
    /// Removes the first of these texts with which the path begins, also in the middle of a segment.
    StripFirst(Vec<Box<str>>),
    /// Removes what the first of these expressions matches, where the path begins with it.
    StripMatch(Vec<RegexPattern>),
    /// Replaces the whole path. Made by [`PathChange::replace`].
    Replace(ReplacedBy),
    /// Replaces every match.
    ReplaceMatches {
        /// Matched against the path in the form in which it is compared.
        pattern: RegexPattern,
        /// The text in place of each match.
        replacement: Replacement,
    },
}

/// A path that can be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplacedBy(Box<str>);

/// What a change made of a target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChangedPath {
    /// The new target, in origin form.
    pub target: String,
    /// What the application learns of it.
    pub told: ToldChange,
}

/// What an application learns of a change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ToldChange {
    /// The text that was removed, for `X-Forwarded-Prefix`.
    Removed(Box<str>),
    /// The path before the change, for `X-Replaced-Path`.
    Replaced(Box<str>),
}

impl ReplacedBy {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PathChange {
    /// Replaces the whole path by this one. What cannot stand in a path, such as `?`, is percent-encoded.
    pub fn replace(path: &str) -> Self {
        Self::Replace(ReplacedBy(join(&sendable(path), "").into()))
    }

    /// The target after the change, or None where the path is not one that is changed.
    pub fn apply(&self, target: &str) -> Result<Option<ChangedPath>, Unconfined> {
        let (path, query) = split(target);
        let spelled = SpelledPath::of(path);
        let normal = spelled.normal();
        let whole = || spelled.as_sent(0..normal.len());
        let stripped = |removed: &str| {
            let rest = spelled.as_sent(removed.len()..normal.len());
            // Dot segments of the client are resolved, so one that is left was made by the removal.
            if has_dot_segments(rest) || (hides_parent_segments(rest) && !hides_parent_segments(path)) {
                return Err(Unconfined);
            }
            Ok(join(rest, query))
        };
        Ok(match self {
            Self::StripFirst(prefixes) => {
                let Some(prefix) = prefixes.iter().find(|prefix| normal.starts_with(&***prefix)) else {
                    return Ok(None);
                };
                let told = ToldChange::Removed(prefix.clone());
                Some(ChangedPath { target: stripped(prefix)?, told })
            }
            Self::StripMatch(patterns) => {
                let begins = |pattern: &RegexPattern| {
                    let found = pattern.regex().find(normal).map(|found| found.as_str());
                    found.filter(|found| !found.is_empty() && normal.starts_with(found))
                };
                let Some(removed) = patterns.iter().find_map(begins) else { return Ok(None) };
                let told = ToldChange::Removed(spelled.as_sent(0..removed.len()).into());
                Some(ChangedPath { target: stripped(removed)?, told })
            }
            Self::Replace(ReplacedBy(path)) => {
                Some(ChangedPath { target: format!("{path}{query}"), told: ToldChange::Replaced(whole().into()) })
            }
            Self::ReplaceMatches { pattern, replacement } => {
                let as_sent = |part| spelled.as_sent(part);
                let Some(new) = replacement.replace_all(pattern.regex(), normal, as_sent) else { return Ok(None) };
                let new = sendable(&new);
                let is_written = |path: &str| has_dot_segments(path) || hides_parent_segments(path);
                if is_written(&new) && !is_written(replacement.as_str()) {
                    return Err(Unconfined);
                }
                Some(ChangedPath { target: join(&new, query), told: ToldChange::Replaced(whole().into()) })
            }
        })
    }
}

/// For people.
impl Display for PathChange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::StripFirst(prefixes) => {
                f.write_str("strip")?;
                prefixes.iter().try_for_each(|prefix| write!(f, " {}", printable(prefix)))
            }
            Self::StripMatch(patterns) => {
                f.write_str("strip")?;
                patterns.iter().try_for_each(|pattern| write!(f, " ~{}", printable(pattern.as_str())))
            }
            Self::Replace(ReplacedBy(path)) => write!(f, "replace by {path}"),
            Self::ReplaceMatches { pattern, replacement } => {
                write!(f, "replace ~{} by {}", printable(pattern.as_str()), printable(replacement.as_str()))
            }
        }
    }
}

/// The path with everything percent-encoded that would end it or cannot be sent.
fn sendable(path: &str) -> String {
    let mut sendable = String::with_capacity(path.len());
    for char in path.chars() {
        if char.is_ascii_graphic() && !matches!(char, '?' | '#') {
            // The client may have sent it, and then it stays as sent.
            sendable.push(char);
        } else {
            push_encoded_char(&mut sendable, char);
        }
    }
    sendable
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> RegexPattern {
        RegexPattern::parse(text, &mut Vec::new()).expect(text)
    }

    fn matches(expression: &str, replacement: &str) -> PathChange {
        let pattern = pattern(expression);
        let replacement = Replacement::parse_go(replacement, pattern.regex());
        PathChange::ReplaceMatches { pattern, replacement }
    }

    fn changed(change: &PathChange, target: &str) -> Result<Option<String>, Unconfined> {
        Ok(change.apply(target)?.map(|changed| changed.target))
    }

    #[test]
    fn the_first_prefix_is_removed_by_its_text() {
        let change = PathChange::StripFirst(vec!["/api".into(), "/api/v1".into(), "/w/".into()]);
        for (target, expected) in [
            ("/api", Some("/")),
            ("/api?q=1", Some("/?q=1")),
            ("/apix", Some("/x")),
            ("/api/v1/x", Some("/v1/x")),
            ("/api//x", Some("/x")),
            ("/%61pi/a%2Fb", Some("/a%2Fb")),
            ("/w/x", Some("/x")),
            ("/w", None),
        ] {
            assert_eq!(changed(&change, target), Ok(expected.map(str::to_owned)), "{target}");
        }
        for target in ["/api../secret", "/api%2e%2e/x", "/api..%2fx"] {
            assert_eq!(changed(&change, target), Err(Unconfined), "{target}");
        }
    }

    #[test]
    fn an_expression_strips_only_where_the_path_begins_with_it() {
        let change = PathChange::StripMatch(vec![pattern("/u/[a-z]+"), pattern("^/(x|y)")]);
        for (target, expected) in
            [("/u/bob/p", Some("/p")), ("/u/bob", Some("/")), ("/x/p", Some("/p")), ("/z/u/bob/p", None)]
        {
            assert_eq!(changed(&change, target), Ok(expected.map(str::to_owned)), "{target}");
        }
    }

    #[test]
    fn a_replaced_path_ends_at_no_question_mark() {
        let fixed = PathChange::replace("/fixed?z=1");
        assert_eq!(changed(&fixed, "/x?q=1"), Ok(Some("/fixed%3Fz=1?q=1".into())));
        assert_eq!(changed(&matches("^/u/(.*)$", "/users?$1"), "/u/bob?q=1"), Ok(Some("/users%3Fbob?q=1".into())));
        assert_eq!(changed(&matches("a", "b"), "/aa/a"), Ok(Some("/bb/b".into())), "every match");
        assert_eq!(changed(&matches("^/(.*)x(.*)$", "/public/$1$2"), "/.x./secret"), Err(Unconfined));
    }

    proptest! {
        #[test]
        fn a_changed_path_stays_in_origin_form(
            target in "/[a/.%2eF;x]{0,12}(\\?[/.a]{0,4})?",
            kind in 0..4_usize,
        ) {
            let changes = [
                PathChange::StripFirst(vec!["/a".into(), "/".into()]),
                PathChange::StripMatch(vec![pattern("/[ax]+")]),
                PathChange::replace("//fixed"),
                matches("/a(.*)", "$1"),
            ];
            if let Ok(Some(changed)) = changes[kind].apply(&target) {
                let (path, query) = split(&changed.target);
                prop_assert!(path.starts_with('/') && !path.starts_with("//"), "{}", changed.target);
                prop_assert!(!has_dot_segments(path), "{}", changed.target);
                prop_assert_eq!(query, split(&target).1);
            }
        }
    }
}
