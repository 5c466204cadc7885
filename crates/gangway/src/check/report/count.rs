//! Numbers of findings, in words.

use gangway_compose::{Finding, Level};

/// The number of findings of each level, such as `1 error, 2 warnings`.
pub(crate) fn count(findings: &[Finding]) -> String {
    let words = [Level::Error, Level::Warning, Level::Note].map(|level| {
        let number = findings.iter().filter(|finding| finding.level == level).count();
        (number, level.as_str())
    });
    let words = words.iter().filter(|(number, _)| *number > 0);
    let words: Vec<_> = words.map(|(number, word)| format!("{number} {word}{}", plural(*number))).collect();
    words.join(", ")
}

/// The ending of a noun behind a number.
pub(crate) fn plural(number: usize) -> &'static str {
    if number == 1 { "" } else { "s" }
}
