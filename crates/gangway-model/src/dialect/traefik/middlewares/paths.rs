//! Middlewares that change the path on its way to the application.

use regex::escape;

use super::super::tree::{Node, Options};
use super::super::values;
use super::Reading;
use crate::label::Mark;
use crate::path;
use crate::regex_pattern::RegexPattern;
use crate::replacement::Replacement;
use crate::route::{Middleware, ToldPath};

pub(super) fn add_prefix<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let Some(mark) = options.text("prefix").filter(|mark| !mark.value.trim().is_empty()) else {
        reading.problems.add(options.node.first, values::invalid("no prefix", "add `prefix`"));
        return Vec::new();
    };
    let mut findings = Vec::new();
    let prefix = path::parse_prefix(mark.value.trim(), &mut findings);
    findings.into_iter().for_each(|finding| reading.problems.add(mark, finding));
    prefix.map(Middleware::AddPrefix).into_iter().collect()
}

/// The first of the prefixes that the text of the path begins with is removed.
pub(super) fn strip_prefix<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let listed = options.get("prefixes").map(Node::list).unwrap_or_default();
    let prefixes: Vec<String> = listed.iter().map(|(_, prefix)| escape(prefix.trim_end_matches('/'))).collect();
    reading.idle(options, &["forceslash"], "a path always begins with a slash");
    // Without any, and with an empty one, nothing is removed.
    if prefixes.iter().all(String::is_empty) {
        return Vec::new();
    }
    let pattern = format!("^(?:{})", prefixes.join("|"));
    rewrite((listed[0].0, &pattern), "/", ToldPath::Removed, reading)
}

pub(super) fn strip_prefix_regex<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let listed = options.get("regex").map(Node::list).unwrap_or_default();
    let Some((first, _)) = listed.first() else { return Vec::new() };
    let patterns: Vec<String> = listed.iter().map(|(_, pattern)| format!("(?:{pattern})")).collect();
    rewrite((*first, &format!("^(?:{})", patterns.join("|"))), "/", ToldPath::Removed, reading)
}

pub(super) fn replace_path<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let Some(mark) = options.text("path") else {
        reading.problems.add(options.node.first, values::invalid("no path", "add `path`"));
        return Vec::new();
    };
    rewrite((mark, "^(?s:.*)$"), &mark.value.trim().replace('$', "$$"), ToldPath::Whole, reading)
}

pub(super) fn replace_path_regex<'s>(options: &Options<'_, 's>, reading: &mut Reading<'_, 's>) -> Vec<Middleware> {
    let (Some(pattern), Some(replacement)) = (options.text("regex"), options.text("replacement")) else {
        reading.problems.add(options.node.first, values::invalid("no expression", "add `regex` and `replacement`"));
        return Vec::new();
    };
    rewrite((pattern, pattern.value.trim()), replacement.value.trim(), ToldPath::Whole, reading)
}

fn rewrite<'s>(
    (mark, pattern): (Mark<'s>, &str),
    replacement: &str,
    told: ToldPath,
    reading: &mut Reading<'_, 's>,
) -> Vec<Middleware> {
    let Some(pattern) = expression(mark, pattern, reading) else { return Vec::new() };
    let replacement = reading.problems.take(mark, Replacement::parse(replacement, pattern.regex()));
    replacement.map(|replacement| Middleware::Rewrite { pattern, replacement, told }).into_iter().collect()
}

/// A regular expression; places in what it was made of are no places in the option.
pub(super) fn expression<'s>(mark: Mark<'s>, pattern: &str, reading: &mut Reading<'_, 's>) -> Option<RegexPattern> {
    let mut findings = Vec::new();
    let pattern = RegexPattern::parse(pattern, &mut findings);
    for finding in findings {
        let whole = gangway_diagnostic::Span { start: 0, end: 0 };
        reading.problems.add(mark, gangway_diagnostic::Finding { span: whole, ..finding });
    }
    pattern
}
