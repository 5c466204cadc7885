//! Byte offsets in the config file → lines and columns.

use std::ops::Range;

use gangway_diagnostic::{FilePosition, Span};

use crate::settings::value::FileSpot;

/// Bytes at most that are looked at for one position. Every key of a file has one, so looking at all bytes before it
/// would take a file of ten thousand routes seconds.
const LOOKED_AT_MAX: usize = 256;

/// The name and the text of a file.
#[derive(Clone, Debug)]
pub(super) struct SourceText<'s> {
    pub(super) name: &'s str,
    pub(super) text: &'s str,
    /// The beginnings of lines, and places within long ones, by offset.
    marks: Vec<KnownPosition>,
}

/// A byte of a text whose line and column are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct KnownPosition {
    offset: usize,
    /// Lines and characters of the line before it.
    line: usize,
    column: usize,
}

impl<'s> SourceText<'s> {
    pub(super) fn new(name: &'s str, text: &'s str) -> Self {
        let mut here = KnownPosition { offset: 0, line: 0, column: 0 };
        let mut marks = vec![here];
        let mut next = LOOKED_AT_MAX;
        for (offset, character) in text.char_indices() {
            let behind = offset + character.len_utf8();
            here = match character {
                '\n' => KnownPosition { offset: behind, line: here.line + 1, column: 0 },
                _ => KnownPosition { offset: behind, column: here.column + 1, ..here },
            };
            // One character more must not go beyond the bound.
            if character == '\n' || behind + char::MAX_LEN_UTF8 > next {
                marks.push(here);
                next = behind + LOOKED_AT_MAX;
            }
        }
        Self { name, text, marks }
    }

    pub(super) fn position(&self, offset: usize) -> FilePosition {
        let offset = self.floor(offset);
        let mark = self.mark_before(offset);
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        let column = mark.column + self.text[mark.offset..offset].chars().count();
        FilePosition { file: self.name.into(), line: number(mark.line), column: number(column) }
    }

    /// The position and the line of a range. Only the first line of the range counts.
    pub(super) fn spot(&self, range: Range<usize>) -> FileSpot {
        let start = self.floor(range.start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let within = |offset: usize| (self.floor(offset) - line_start).min(line.len());
        let span = Span { start: within(start), end: within(range.end.max(start)) };
        FileSpot { position: self.position(start), line: line.to_owned(), span }
    }

    /// The last mark that is not behind a place.
    fn mark_before(&self, offset: usize) -> KnownPosition {
        let behind = self.marks.partition_point(|mark| mark.offset <= offset);
        self.marks[behind.saturating_sub(1)]
    }

    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_of_a_text_has_a_place() {
        let text = "ä = 1\r\nb = \"\"\"x\ny\"\"\"\n";
        let source = SourceText::new("f", text);
        for start in 0..=text.len() + 1 {
            for end in start..=text.len() + 1 {
                let spot = source.spot(start..end);
                assert!(spot.span.start <= spot.span.end);
                assert!(spot.line.get(..spot.span.start.min(spot.line.len())).is_some());
            }
        }
        let spot = source.spot(12..20);
        assert_eq!((spot.position.line, spot.position.column, &*spot.line), (2, 5, "b = \"\"\"x"));
    }

    #[test]
    fn a_position_costs_the_same_wherever_it_is() {
        let lines: String = (0..2000).map(|number| format!("[routes.r{number}]\nhost = \"ä{number}\"\n\n")).collect();
        let one_line = format!("routes = {{ {} }}", "ä = { host = \"€\" }, ".repeat(2000));
        for text in [&*lines, &one_line, ""] {
            let source = SourceText::new("f", text);
            for offset in (0..=text.len()).filter(|offset| text.is_char_boundary(*offset)) {
                let mark = source.mark_before(offset);
                assert!(offset - mark.offset <= LOOKED_AT_MAX, "{offset} is far from {mark:?}");
            }
            for offset in (0..=text.len()).step_by(text.len() / 97 + 1) {
                let before = &text[..text.floor_char_boundary(offset)];
                let (line, column) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or(""));
                let position = source.position(offset);
                assert_eq!((position.line as usize, position.column as usize), (line, column.chars().count() + 1));
            }
        }
    }
}
