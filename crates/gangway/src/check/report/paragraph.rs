//! A finding as one text, for formats that have no fields for its parts.

use gangway_compose::Finding;

/// The message, the help and the effect.
pub(crate) fn paragraph(finding: &Finding) -> String {
    let mut text = finding.message.clone();
    for (name, said) in [("help", &finding.help), ("effect", &finding.effect)] {
        if !said.is_empty() {
            text += &format!("\n{name}: {said}");
        }
    }
    text
}
