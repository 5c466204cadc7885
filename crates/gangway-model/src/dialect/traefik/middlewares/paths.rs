//! Middlewares that change the path on its way to the application.

use std::sync::Arc;

use gangway_diagnostic::{Finding, Span};

use super::super::tree::Options;
use super::super::values;
use super::reading::Reading;
use crate::label::Mark;
use crate::path;
use crate::path_change::PathChange;
use crate::regex_pattern::RegexPattern;
use crate::replacement::Replacement;
use crate::route::Middleware;

pub(super) fn add_prefix<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let Some(mark) = options.text("prefix").filter(|mark| !mark.value.trim().is_empty()) else {
        reading.problems.add(options.node.first, values::invalid("no prefix", "add `prefix`"));
        return Vec::new();
    };
    let mut findings = Vec::new();
    let text = mark.value.trim();
    let rooted = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
    let prefix = path::parse_prefix(&rooted, &mut findings);
    findings.into_iter().for_each(|finding| reading.problems.add(mark, finding));
    prefix.map(Middleware::AddPrefix).into_iter().collect()
}

/// The first of the prefixes that the text of the path begins with is removed.
pub(super) fn strip_prefix<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let listed = options.list("prefixes");
    reading.idle(options, &["forceslash"], "a path always begins with a slash");
    let prefixes: Vec<Box<str>> =
        listed.iter().map(|(_, prefix)| *prefix).filter(|prefix| !prefix.is_empty()).map(Into::into).collect();
    // Without any, nothing is removed.
    if prefixes.is_empty() { Vec::new() } else { changing(PathChange::StripFirst(prefixes)) }
}

pub(super) fn strip_prefix_regex<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let listed = options.list("regex");
    let patterns: Vec<RegexPattern> =
        listed.into_iter().filter_map(|(mark, pattern)| expression(mark, pattern, reading)).collect();
    if patterns.is_empty() { Vec::new() } else { changing(PathChange::StripMatch(patterns)) }
}

pub(super) fn replace_path<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let Some(mark) = options.text("path") else {
        reading.problems.add(options.node.first, values::invalid("no path", "add `path`"));
        return Vec::new();
    };
    changing(PathChange::replace(mark.value.trim()))
}

pub(super) fn replace_path_regex<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let (Some(regex), Some(replacement)) = (options.text("regex"), options.text("replacement")) else {
        reading.problems.add(options.node.first, values::invalid("no expression", "add `regex` and `replacement`"));
        return Vec::new();
    };
    let Some(pattern) = expression(regex, regex.value.trim(), reading) else { return Vec::new() };
    let replacement = Replacement::parse_go(replacement.value.trim(), pattern.regex());
    changing(PathChange::ReplaceMatches { pattern, replacement })
}

fn changing(change: PathChange) -> Vec<Middleware> {
    vec![Middleware::PathChange(Arc::new(change))]
}

/// A regular expression.
pub(super) fn expression<'s>(mark: Mark<'s>, pattern: &str, reading: &mut Reading<'_, 's>) -> Option<RegexPattern> {
    let mut findings = Vec::new();
    let pattern = RegexPattern::parse(pattern, &mut findings);
    for finding in findings {
        // It may be one of several in the option.
        reading.problems.add(mark, Finding { span: Span { start: 0, end: 0 }, ..finding });
    }
    pattern
}
