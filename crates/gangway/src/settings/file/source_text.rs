//! Byte offsets in the config file → lines and columns.

use std::ops::Range;

use gangway_diagnostic::{FilePosition, Span};

use crate::settings::value::FileSpot;

/// The name and the text of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceText<'s> {
    pub(super) name: &'s str,
    pub(super) text: &'s str,
}

impl SourceText<'_> {
    pub(super) fn position(&self, offset: usize) -> FilePosition {
        let before = &self.text[..self.floor(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        FilePosition {
            file: self.name.into(),
            line: number(before.matches('\n').count()),
            column: number(before[line_start..].chars().count()),
        }
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
        let source = SourceText { name: "f", text };
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
}
