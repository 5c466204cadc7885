//! Commands that GitHub's runner reads from a log. Each diagnostic becomes an annotation beside its line.

use std::fmt::Write as _;

use gangway_compose::{SourceDiagnostic, SourceMap};
use gangway_diagnostic::Severity;

use super::paragraph::paragraph;

/// One command a line.
pub(crate) fn github(diagnostics: &[SourceDiagnostic], sources: &SourceMap) -> String {
    let mut out = String::new();
    for found in diagnostics {
        let kind = match found.diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let (start, end) =
            (sources.position(found.span.file, found.span.start), sources.position(found.span.file, found.span.end));
        let file = property(sources.name(found.span.file));
        let _ = write!(out, "::{kind} file={file},line={},endLine={},col={}", start.line, end.line, start.column);
        if start.line == end.line {
            let _ = write!(out, ",endColumn={}", end.column);
        }
        let title = property(&found.diagnostic.code.to_string());
        let _ = writeln!(out, ",title={title}::{}", data(&paragraph(&found.diagnostic)));
    }
    out
}

/// Escapes the text behind the second pair of colons.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_the_command_or_begins_another() {
        assert_eq!(data("100 %\r\n::error::x"), "100 %25%0D%0A::error::x");
        assert_eq!(property("a,b:c\n"), "a%2Cb%3Ac%0A");
    }
}
