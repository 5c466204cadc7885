//! A diagnostic as text, the same everywhere.
//!
//! Whatever was written into a label comes out on one line and without a character that could command a
//! terminal or reverse the reading direction.

use std::fmt::{self, Display, Formatter, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Diagnostic, Place};

/// Characters of a text that are shown; a longer one is cut around the caret.
const SHOWN_MAX: usize = 140;

/// Characters before the caret that stay where a text is cut.
const BEFORE_CARET: usize = 50;

impl Display for Diagnostic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}[{}]: {}", self.severity, self.code, printable(&self.message))?;
        writeln!(f, "  in {}", self.place)?;
        f.write_str("  |\n")?;
        if !self.text.is_empty() {
            let (line, caret) = pointed(&self.text, self.span.start, self.span.end);
            writeln!(f, "  | {line}")?;
            writeln!(f, "  | {}", format!("{caret} {}", printable(&self.note)).trim_end())?;
            f.write_str("  |\n")?;
        }
        if !self.help.is_empty() {
            writeln!(f, "  help: {}", printable(&self.help))?;
        }
        write!(f, "  effect: {}", printable(&self.effect))
    }
}

/// ``container `shop-web-1`, label `gangway.host` ``, or ``gangway.toml:3:9, key `routes.nas.host` ``.
impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut key = "key";
        if let Some(at) = self.at() {
            f.write_str(&at)?;
        } else if self.container.is_empty() {
            return self.fmt_outside_files(f);
        }
        if !self.container.is_empty() {
            let comma = if self.file.is_some() { ", " } else { "" };
            write!(f, "{comma}container `{}`", printable(&self.container))?;
            key = "label";
        }
        if !self.label.is_empty() {
            write!(f, ", {key} `{}`", printable(&self.label))?;
        }
        Ok(())
    }
}

impl Place {
    /// The place in a file, such as `gangway.toml:3:9`; none where it is not in one.
    pub fn at(&self) -> Option<String> {
        self.file.as_ref().map(|at| format!("{}:{}:{}", printable(&at.file), at.line, at.column))
    }

    /// ``flag `--http` ``, ``variable `GANGWAY_HTTP` ``, or what else a finding is about, such as a name that needs
    /// a certificate.
    fn fmt_outside_files(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_variable = || self.label.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        let kind = match &*self.label {
            "" => return f.write_str("the configuration"),
            label if label.starts_with("--") => "flag ",
            _ if is_variable() => "variable ",
            _ => "",
        };
        write!(f, "{kind}`{}`", printable(&self.label))
    }
}

/// Text without characters that do something instead of being seen: those are written as their codes.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    text.chars().for_each(|char| push_printable(&mut printable, char));
    printable
}

fn push_printable(text: &mut String, char: char) {
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

/// Invisible ones, and those that reverse the reading direction.
fn is_formatting(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text on one line, cut where it is long, and the carets under a byte range of it: how every finding
/// points, those of compose files included.
///
/// Carets are counted in columns of a terminal: wide characters take two, and a mark that is put onto another
/// character takes none, so what points at the mark points at that character. Right-to-left letters are
/// counted in the order in which they were written, as most terminals show them.
pub fn pointed(text: &str, start: usize, end: usize) -> (String, String) {
    let start = text.floor_char_boundary(start);
    let end = text.floor_char_boundary(end).max(start);
    let before = text[..start].chars().count();
    let cut = if text.chars().nth(SHOWN_MAX).is_some() { before.saturating_sub(BEFORE_CARET) } else { 0 };
    let mut line = String::new();
    if cut > 0 {
        line.push('…');
    }
    // Where in the line the range begins and ends, in bytes.
    let (mut from, mut to) = (None, None);
    let mut rest = text.char_indices().skip(cut);
    for (at, char) in rest.by_ref().take(SHOWN_MAX) {
        for (bound, reached) in [(start, &mut from), (end, &mut to)] {
            if at >= bound {
                reached.get_or_insert(line.len());
            }
        }
        push_printable(&mut line, char);
    }
    let from = from.unwrap_or(line.len());
    let to = to.unwrap_or(line.len()).max(from);
    let from = if line[from..to].width() == 0 && from < to { base(&line, from) } else { from };
    let indent = line[..from].width();
    let carets = line[..to].width().saturating_sub(indent);
    if rest.next().is_some() {
        line.push('…');
    }
    (line, format!("{}{}", " ".repeat(indent), "^".repeat(carets.max(1))))
}

/// Where the character begins that the marks at `at` are put onto.
fn base(line: &str, at: usize) -> usize {
    let mut before = line[..at].char_indices().rev();
    before.find(|(_, char)| char.width().is_some_and(|width| width > 0)).map_or(at, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, FilePosition, Severity, Span};

    fn diagnostic() -> Diagnostic {
        Diagnostic {
            code: Code(104),
            severity: Severity::Error,
            message: "unknown matcher `Hosts`".into(),
            place: Place {
                container: "shop-web-1".into(),
                label: "gangway.routes.web.rule".into(),
                ..Place::default()
            },
            text: "PathPrefix(`/shop`) && Hosts(`shop.example.com`)".into(),
            span: Span { start: 23, end: 28 },
            note: "not a matcher".into(),
            help: "did you mean `Host`?".into(),
            effect: "route `web` is not served; other routes are unaffected".into(),
        }
    }

    #[test]
    fn it_points_at_what_is_meant() {
        assert_eq!(
            diagnostic().to_string(),
            "error[G104]: unknown matcher `Hosts`
  in container `shop-web-1`, label `gangway.routes.web.rule`
  |
  | PathPrefix(`/shop`) && Hosts(`shop.example.com`)
  |                        ^^^^^ not a matcher
  |
  help: did you mean `Host`?
  effect: route `web` is not served; other routes are unaffected"
        );
    }

    #[test]
    fn a_file_is_named_with_its_position() {
        let at = FilePosition { file: "gangway.toml".into(), line: 3, column: 9 };
        let place = Place { label: "routes.nas.host".into(), file: Some(at), ..Place::default() };
        assert_eq!(place.to_string(), "gangway.toml:3:9, key `routes.nas.host`");
    }

    #[test]
    fn what_stands_in_no_file_is_named_for_what_it_is() {
        let shown = |label: &str| Place { label: label.into(), ..Place::default() }.to_string();
        assert_eq!(
            ["--http", "GANGWAY_HTTP", "shop.example.org", ""].map(shown),
            ["flag `--http`", "variable `GANGWAY_HTTP`", "`shop.example.org`", "the configuration"]
        );
    }

    #[test]
    fn no_label_commands_a_terminal() {
        let hostile = "a\u{1b}[2J\u{202e}b\nc\u{9b}d";
        let shown = Diagnostic { text: hostile.into(), message: hostile.into(), ..diagnostic() }.to_string();
        assert!(shown.chars().all(|char| char == '\n' || !(char.is_control() || is_formatting(char))), "{shown:?}");
        assert_eq!(printable(hostile), "a\\u{1b}[2J\\u{202e}b\\nc\\u{9b}d");
    }

    #[test]
    fn the_caret_stands_under_the_character_however_it_is_shown() {
        assert_eq!(pointed("ü\tx!", 3, 4), ("ü\\tx!".into(), "   ^".into()));
        assert_eq!(pointed("ab", 2, 2), ("ab".into(), "  ^".into()));
        assert_eq!(pointed("", 5, 9), (String::new(), "^".into()));
        assert_eq!(pointed("é", 1, 2), ("é".into(), "^".into()));
    }

    #[test]
    fn carets_are_counted_in_columns_and_not_in_characters() {
        /// The columns under the carets that point at `part`.
        fn columns(text: &str, part: &str) -> std::ops::Range<usize> {
            let start = text.find(part).expect("a part of the text");
            let caret = pointed(text, start, start + part.len()).1;
            caret.find('^').expect("a caret")..caret.len()
        }
        assert_eq!(columns("`/日本語`)) || X", "))"), 9..11);
        assert_eq!(columns("日本語", "本"), 2..4);
        assert_eq!(columns("🦀 x", "x"), 3..4);
        // One heart of two characters, which a terminal shows two columns wide.
        assert_eq!(columns("\u{2764}\u{fe0f} x", "x"), 3..4);
        assert_eq!(columns("e\u{301}te\u{301} x", "x"), 4..5);
        assert_eq!(columns("e\u{301}te\u{302}", "\u{302}"), 2..3);
        assert_eq!(columns("日\u{3099}x", "\u{3099}"), 0..2);
        assert_eq!(columns("\u{301}x", "\u{301}"), 0..1);
        assert_eq!(columns("שלום x", "x"), 5..6);
        assert_eq!(columns("שלום", "לו"), 1..3);
        assert_eq!(columns("\tx", "x"), 2..3);
    }

    #[test]
    fn a_long_text_is_cut_around_the_caret() {
        let text = format!("{}x{}", "a".repeat(500), "b".repeat(500));
        let (line, caret) = pointed(&text, 500, 501);
        let at = caret.find('^').expect("a caret");
        assert_eq!(line.chars().nth(at), Some('x'));
        assert!(line.chars().count() <= SHOWN_MAX + 2);
        assert!(line.starts_with('…') && line.ends_with('…'));
    }
}
