//! Findings as JSON.

use gangway_compose::{Finding, SourceMap};
use serde::Serialize;

/// All findings as one JSON array.
pub(crate) fn json(findings: &[Finding], sources: &SourceMap) -> String {
    let rows: Vec<_> = findings.iter().map(|finding| Row::new(finding, sources)).collect();
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
    fn new(finding: &'a Finding, sources: &'a SourceMap) -> Self {
        let at = sources.position(finding.at.file, finding.at.start);
        Self {
            code: finding.code.to_string(),
            severity: finding.level.as_str(),
            file: sources.name(finding.at.file),
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
