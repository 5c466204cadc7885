//! Forms of values that several readers share.

use super::label::Label;
use super::route_fields::RouteFields;
use crate::rule::FINDINGS_MAX;
use gangway_diagnostic::{Diagnostic, Finding, codes};

/// Reads the entries of a list; the good ones are in force beside bad ones.
pub(super) fn each<'a, T>(
    label: &Label<'a>,
    fields: &mut RouteFields<'a>,
    found: &mut Vec<Diagnostic>,
    what: &str,
    entries: impl Iterator<Item = (usize, &'a str)>,
    parse: impl Fn(&str, &mut Vec<Finding>) -> Option<T>,
) -> Vec<T> {
    let mut findings = Vec::new();
    let mut values = Vec::new();
    for (offset, entry) in entries {
        let mut of_entry = Vec::new();
        values.extend(parse(entry, &mut of_entry));
        findings.extend(of_entry.into_iter().map(|finding| finding.shifted(offset)));
    }
    if values.is_empty() && findings.is_empty() {
        let help = "write at least one entry, or remove the label";
        findings.push(Finding::error(codes::VALUE_EMPTY, 0..label.value().len(), "empty list", "no entry", help));
    }
    // Each brings the whole value along, so a label of a thousand mistakes would say a thousand times its own length.
    let more = findings.len().saturating_sub(FINDINGS_MAX);
    findings.truncate(FINDINGS_MAX);
    if more > 0 {
        let message = format!("{more} more findings about the same label");
        let help = "put right what is shown, and look again";
        findings.push(Finding::error(codes::MORE_FOUND, 0..label.value().len(), message, "more is wrong", help));
    }
    for finding in findings {
        if values.is_empty() {
            fields.found(label, finding, found);
        } else {
            fields.found_in_part(label, finding, what, found);
        }
    }
    values
}

/// A name that leads nowhere else.
pub(super) fn is_file_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_plain)
}
