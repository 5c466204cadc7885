//! Numbers of diagnostics, in words.

use gangway_compose::SourceDiagnostic;
use gangway_diagnostic::Severity;

/// The number of diagnostics of each severity, such as `1 error, 2 warnings`.
pub(crate) fn count(diagnostics: &[SourceDiagnostic]) -> String {
    let words = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let number = diagnostics.iter().filter(|found| found.diagnostic.severity == severity).count();
        (number, severity.as_str())
    });
    let words = words.iter().filter(|(number, _)| *number > 0);
    let words: Vec<_> = words.map(|(number, word)| format!("{number} {word}{}", plural(*number))).collect();
    words.join(", ")
}

/// The ending of a noun behind a number.
pub(crate) fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}
