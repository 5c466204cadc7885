//! Findings as text for people and as JSON for programs.

use std::fmt::Write as _;

use gangway_model::Severity;
use gangway_model::diagnostic::{pointed, printable};
use serde::Serialize;

use super::finding::{Finding, Subject};
use super::source::Files;

/// One finding in the form in which diagnostics are written everywhere, with its line of the file.
pub(super) fn text(finding: &Finding, files: &Files) -> String {
    let mut out = String::new();
    let at = files.position(finding.at.file, finding.at.start);
    let _ = writeln!(out, "{}[{}]: {}", finding.severity, finding.code, printable(&finding.message));
    let _ = write!(out, "  in {}:{}:{}", printable(files.name(finding.at.file)), at.line, at.column);
    let Subject { service, label } = &finding.subject;
    for (name, said) in [("service", service), ("label", label)] {
        if let Some(said) = said {
            let _ = write!(out, ", {name} `{}`", printable(said));
        }
    }
    let number = at.line.to_string();
    let gutter = " ".repeat(number.len());
    let _ = writeln!(out, "\n  {gutter} |");
    let (line, start) = files.line(finding.at.file, at.line);
    let note = printable(&finding.note);
    if !line.is_empty() {
        let (shown, caret) = pointed(line, finding.at.start - start, finding.at.end.min(start + line.len()) - start);
        let note = if finding.value.is_some() { "" } else { &note };
        let _ = writeln!(out, "  {number} | {shown}\n  {gutter} | {}", format!("{caret} {note}").trim_end());
    }
    if let Some((value, part)) = &finding.value {
        let (shown, caret) = pointed(value, part.start, part.end);
        let _ = writeln!(out, "  {gutter} = {shown}\n  {gutter}   {}", format!("{caret} {note}").trim_end());
    }
    let _ = writeln!(out, "  {gutter} |");
    for (name, said) in [("help", &finding.help), ("effect", &finding.effect)] {
        if !said.is_empty() {
            let _ = writeln!(out, "  {name}: {}", printable(said));
        }
    }
    out
}

/// How many of each kind, in words: `1 error, 2 warnings`.
pub(super) fn count(findings: &[Finding]) -> String {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let words = [(errors, "error"), (warnings, "warning")];
    let words = words.iter().filter(|(number, _)| *number > 0);
    let words: Vec<_> = words.map(|(number, word)| format!("{number} {word}{}", plural(*number))).collect();
    words.join(", ")
}

pub(super) fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}

/// All findings as one JSON array.
pub(super) fn json(findings: &[Finding], files: &Files) -> String {
    let rows: Vec<_> = findings.iter().map(|finding| Row::new(finding, files)).collect();
    serde_json::to_string_pretty(&rows).expect("a list of texts and numbers is JSON") + "\n"
}

#[derive(Serialize)]
struct Row<'a> {
    code: String,
    severity: &'static str,
    file: &'a str,
    line: usize,
    column: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    message: &'a str,
    note: &'a str,
    help: &'a str,
    effect: &'a str,
}

impl<'a> Row<'a> {
    fn new(finding: &'a Finding, files: &'a Files) -> Self {
        let at = files.position(finding.at.file, finding.at.start);
        Self {
            code: finding.code.to_string(),
            severity: finding.severity.as_str(),
            file: files.name(finding.at.file),
            line: at.line,
            column: at.column,
            service: finding.subject.service.as_deref(),
            label: finding.subject.label.as_deref(),
            message: &finding.message,
            note: &finding.note,
            help: &finding.help,
            effect: &finding.effect,
        }
    }
}
