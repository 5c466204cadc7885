//! Diagnostics as JSON.

use gangway_compose::{SourceDiagnostic, SourceMap};
use gangway_diagnostic::Place;
use serde::Serialize;

/// All diagnostics as one JSON array.
pub(crate) fn json(diagnostics: &[SourceDiagnostic], sources: &SourceMap) -> String {
    let rows: Vec<_> = diagnostics.iter().map(|found| DiagnosticRow::new(found, sources)).collect();
    serde_json::to_string_pretty(&rows).expect("a list of texts and numbers is JSON") + "\n"
}

#[derive(Serialize)]
struct DiagnosticRow<'a> {
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

impl<'a> DiagnosticRow<'a> {
    fn new(found: &'a SourceDiagnostic, sources: &'a SourceMap) -> Self {
        let SourceDiagnostic { diagnostic, span } = found;
        let at = sources.position(span.file, span.start);
        let (service, label, key) = match &diagnostic.place {
            Place::ComposeFile { service, label, .. } => (service.as_deref(), label.as_deref(), None),
            Place::ConfigFile { key, .. } => (None, None, key.as_deref()),
            Place::Configuration | Place::Flag(_) | Place::Variable(_) | Place::Name(_) | Place::Container { .. } => {
                (None, None, None)
            }
        };
        Self {
            code: diagnostic.code.to_string(),
            severity: diagnostic.severity.as_str(),
            file: sources.name(span.file),
            line: at.line,
            column: at.column,
            service,
            label,
            key,
            message: &diagnostic.message,
            note: &diagnostic.note,
            help: &diagnostic.help,
            effect: &diagnostic.effect,
        }
    }
}
