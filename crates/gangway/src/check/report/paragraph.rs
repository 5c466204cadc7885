//! A diagnostic as one text, for formats that have no fields for its parts.

use gangway_diagnostic::Diagnostic;

/// The message, the help and the effect.
pub(crate) fn paragraph(diagnostic: &Diagnostic) -> String {
    let mut text = diagnostic.message.clone();
    for (name, part) in [("help", &diagnostic.help), ("effect", &diagnostic.effect)] {
        if !part.is_empty() {
            text += &format!("\n{name}: {part}");
        }
    }
    text
}
