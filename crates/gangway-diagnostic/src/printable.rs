//! Foreign text, made safe for a terminal and a log.

use std::fmt::Write as _;

/// The text on one line, without characters that act instead of being seen: each of them is written as its code.
///
/// No label can command a terminal or reverse the reading direction.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    text.chars().for_each(|char| push_printable(&mut printable, char));
    printable
}

/// A piece of the user's text for a message: short, on one line, in backticks.
pub fn quoted(text: &str) -> String {
    /// Longer pieces are cut: the text itself stands above the caret anyway.
    const LEN_MAX: usize = 60;
    let mut quoted = String::with_capacity(text.len().min(LEN_MAX) + 2);
    quoted.push('`');
    for (position, char) in text.chars().enumerate() {
        if position == LEN_MAX {
            quoted.push('…');
            break;
        }
        if char.is_control() {
            quoted.extend(char.escape_default());
        } else {
            quoted.push(char);
        }
    }
    quoted.push('`');
    quoted
}

pub(crate) fn push_printable(text: &mut String, char: char) {
    match char {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        _ if char.is_control() || is_formatting(char) => {
            // Writing into a text cannot fail.
            let _ = write!(text, "\\u{{{:x}}}", u32::from(char));
        }
        _ => text.push(char),
    }
}

/// Invisible characters, and those that reverse the reading direction.
pub(crate) fn is_formatting(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_act_are_written_as_their_codes() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}b\nc\u{9b}d"), "a\\u{1b}[2J\\u{202e}b\\nc\\u{9b}d");
    }
}
