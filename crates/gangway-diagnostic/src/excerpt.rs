//! The line of text that a diagnostic shows, with carets under a part of it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::printable::push_printable;
use crate::span::Span;

/// Characters of a text that are shown; a longer one is cut around the caret.
const SHOWN_MAX: usize = 140;

/// Characters before the caret that stay where a text is cut.
const BEFORE_CARET: usize = 50;

/// The text on one line, cut around the carets where it is long, and the carets under a byte range of it.
///
/// Carets are counted in columns of a terminal: wide characters take two, and a mark that is put onto another
/// character takes none, so what points at the mark points at that character. Right-to-left letters are
/// counted in the order in which they were written, as most terminals show them.
pub(crate) fn excerpt(text: &str, span: Span) -> (String, String) {
    let start = text.floor_char_boundary(span.start);
    let end = text.floor_char_boundary(span.end).max(start);
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

    fn pointed_at(text: &str, start: usize, end: usize) -> (String, String) {
        excerpt(text, Span { start, end })
    }

    #[test]
    fn the_caret_stands_under_the_character_however_it_is_shown() {
        assert_eq!(pointed_at("ü\tx!", 3, 4), ("ü\\tx!".into(), "   ^".into()));
        assert_eq!(pointed_at("ab", 2, 2), ("ab".into(), "  ^".into()));
        assert_eq!(pointed_at("", 5, 9), (String::new(), "^".into()));
        assert_eq!(pointed_at("é", 1, 2), ("é".into(), "^".into()));
    }

    #[test]
    fn carets_are_counted_in_columns_and_not_in_characters() {
        /// The columns under the carets that point at `part`.
        fn columns(text: &str, part: &str) -> std::ops::Range<usize> {
            let start = text.find(part).expect("a part of the text");
            let caret = pointed_at(text, start, start + part.len()).1;
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
        let (line, caret) = pointed_at(&text, 500, 501);
        let at = caret.find('^').expect("a caret");
        assert_eq!(line.chars().nth(at), Some('x'));
        assert!(line.chars().count() <= SHOWN_MAX + 2);
        assert!(line.starts_with('…') && line.ends_with('…'));
    }
}
