//! Findings as text for people, and as JSON, SARIF and GitHub's commands for programs.

mod github;
mod sarif;

use std::fmt::Write as _;

use gangway_model::diagnostic::{pointed, printable};
use serde::Serialize;

use super::finding::{Finding, Level, Subject};
use super::source::Files;

pub(super) use github::github;
pub(super) use sarif::sarif;

/// One finding in the form in which diagnostics are written everywhere, with its line of the file.
pub(super) fn text(finding: &Finding, files: &Files) -> String {
    let mut out = String::new();
    let at = files.position(finding.at.file, finding.at.start);
    let _ = writeln!(out, "{}[{}]: {}", finding.level.as_str(), finding.code, printable(&finding.message));
    let _ = write!(out, "  in {}:{}:{}", printable(files.name(finding.at.file)), at.line, at.column);
    let Subject { service, label, key } = &finding.subject;
    for (name, said) in [("service", service), ("label", label), ("key", key)] {
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

/// What is wrong, what to do and what became of it, for programs that show one text.
fn paragraph(finding: &Finding) -> String {
    let mut text = finding.message.clone();
    for (name, said) in [("help", &finding.help), ("effect", &finding.effect)] {
        if !said.is_empty() {
            text += &format!("\n{name}: {said}");
        }
    }
    text
}

/// How many of each kind, in words: `1 error, 2 warnings`.
pub(super) fn count(findings: &[Finding]) -> String {
    let words = [Level::Error, Level::Warning, Level::Note].map(|level| {
        let number = findings.iter().filter(|finding| finding.level == level).count();
        (number, level.as_str())
    });
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
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
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
            severity: finding.level.as_str(),
            file: files.name(finding.at.file),
            line: at.line,
            column: at.column,
            service: finding.subject.service.as_deref(),
            label: finding.subject.label.as_deref(),
            key: finding.subject.key.as_deref(),
            message: &finding.message,
            note: &finding.note,
            help: &finding.help,
            effect: &finding.effect,
        }
    }
}
