//! Replaces the path where a regular expression matches it.

use std::borrow::Cow;

use gangway_model::RegexPattern;

use crate::middleware::upstream_target::{UpstreamTarget, split, with_slash};

pub(crate) fn on_target(pattern: &RegexPattern, replacement: &str, target: &mut UpstreamTarget<'_>) {
    let (path, query) = split(&target.bytes);
    // No expression matches a path that is not UTF-8.
    let Ok(text) = std::str::from_utf8(path) else { return };
    let Cow::Owned(replaced) = pattern.regex().replace(text, replacement) else { return };
    let mut replaced = with_slash(replaced.as_bytes());
    // A replacement may bring a query of its own; the client's follows it.
    if replaced.contains(&b'?') && !query.is_empty() {
        replaced.push(b'&');
        replaced.extend_from_slice(&query[1..]);
    } else {
        replaced.extend_from_slice(query);
    }
    target.bytes = Cow::Owned(replaced);
}
