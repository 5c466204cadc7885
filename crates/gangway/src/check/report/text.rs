//! Diagnostics in the form in which they are shown to people everywhere, with their line of the file.

use gangway_compose::{SourceDiagnostic, SourceMap};
use gangway_diagnostic::{SourceLine, Span};

/// One diagnostic, and a line break.
pub(crate) fn text(found: &SourceDiagnostic, sources: &SourceMap) -> String {
    let SourceDiagnostic { diagnostic, span } = found;
    let at = sources.file_position(span);
    let (line, start) = sources.line(span.file, sources.position(span.file, span.start).line);
    let part = Span { start: span.start - start, end: span.end.min(start + line.len()).saturating_sub(start) };
    format!("{}\n", diagnostic.in_source(SourceLine { number: at.line, text: line, span: part }))
}
