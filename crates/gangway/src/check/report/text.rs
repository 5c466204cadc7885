//! Diagnostics in the form in which they are shown to people everywhere, with their line of the file.
//!
//! What may be a secret is masked, as in the log: runners of continuous integration keep what is printed.

use gangway_compose::{SourceDiagnostic, SourceMap};
use gangway_diagnostic::{SourceLine, Span};
use gangway_model::secret::{is_secret_key, masked_line};

/// One diagnostic, and a line break.
pub(crate) fn text(found: &SourceDiagnostic, sources: &SourceMap) -> String {
    let SourceDiagnostic { diagnostic, span } = found;
    let at = sources.file_position(span);
    let (line, start) = sources.line(span.file, sources.position(span.file, span.start).line);
    let part = span.start - start..span.end.min(start + line.len()).saturating_sub(start);
    let is_secret = diagnostic.place.subject().is_some_and(is_secret_key);
    let (line, part) = masked_line(line, part, is_secret);
    let line = SourceLine { number: at.line, text: &line, span: Span { start: part.start, end: part.end } };
    format!("{}\n", diagnostic.in_source(line))
}
