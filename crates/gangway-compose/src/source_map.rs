//! The texts of all files that were read, and the line and column of each byte.
//!
//! Every diagnostic points into them, so they are kept whole until the report is written.

use std::ops::Range;

use gangway_diagnostic::FilePosition;

/// A file of a [`SourceMap`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FileId(usize);

/// A byte range of one file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FileSpan {
    /// The file that the bytes belong to.
    pub file: FileId,
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl FileSpan {
    /// The bytes `range` of a file. A range that ends before it begins is empty.
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        Self { file, start: range.start, end: range.end.max(range.start) }
    }
}

/// A line and column as editors count them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LineColumn {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
}

/// The files of one load.
#[derive(Debug, Default)]
pub struct SourceMap(Vec<SourceFile>);

#[derive(Debug)]
struct SourceFile {
    name: String,
    text: String,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

impl SourceMap {
    /// Adds a text under the name that reports show.
    pub fn add(&mut self, name: String, text: String) -> FileId {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.0.push(SourceFile { name, text, lines });
        FileId(self.0.len() - 1)
    }

    /// All files, in the order in which they were read.
    pub fn ids(&self) -> impl Iterator<Item = FileId> {
        (0..self.0.len()).map(FileId)
    }

    /// The number of files.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The whole text.
    pub fn text(&self, id: FileId) -> &str {
        &self.0[id.0].text
    }

    /// The name that reports show.
    pub fn name(&self, id: FileId) -> &str {
        &self.0[id.0].name
    }

    /// The line and column of a byte. A byte behind the text counts as its end.
    pub fn position(&self, id: FileId, byte: usize) -> LineColumn {
        let file = &self.0[id.0];
        let byte = floor_boundary(&file.text, byte);
        let line = file.lines.partition_point(|start| *start <= byte);
        let column = file.text[file.lines[line - 1]..byte].chars().count() + 1;
        LineColumn { line, column }
    }

    /// The place at which a span begins.
    pub fn file_position(&self, span: &FileSpan) -> FilePosition {
        let LineColumn { line, column } = self.position(span.file, span.start);
        // A file has at most four million bytes, so both numbers fit.
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        FilePosition { file: self.name(span.file).into(), line: number(line), column: number(column) }
    }

    /// The text of a line without its line break, and the byte at which it begins. `line` is 1-based.
    pub fn line(&self, id: FileId, line: usize) -> (&str, usize) {
        let file = &self.0[id.0];
        let start = file.lines[line - 1];
        let end = file.lines.get(line).copied().unwrap_or(file.text.len());
        (file.text[start..end].trim_end_matches(['\n', '\r']), start)
    }
}

/// The nearest character boundary at or before `byte`.
pub(crate) fn floor_boundary(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        let mut files = SourceMap::default();
        let id = files.add("compose.yaml".into(), "a: b\r\n  ü: x\n".into());
        let at = |byte| {
            let position = files.position(id, byte);
            (position.line, position.column)
        };
        assert_eq!([at(0), at(3), at(6), at(8), at(10)], [(1, 1), (1, 4), (2, 1), (2, 3), (2, 4)]);
        assert_eq!(files.line(id, 1).0, "a: b");
        assert_eq!(files.line(id, 2).0, "  ü: x");
    }

    #[test]
    fn a_position_inside_a_character_or_behind_the_end_does_not_panic() {
        let mut files = SourceMap::default();
        let id = files.add("compose.yaml".into(), "ü".into());
        assert_eq!(files.position(id, 1).column, 1);
        assert_eq!(files.position(id, 99).column, 2);
    }
}
