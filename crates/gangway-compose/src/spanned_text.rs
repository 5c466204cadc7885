//! A text that knows where each of its bytes was written.
//!
//! A diagnostic points into a label's value, and a report shows the line and column of the file. Quotes, escapes,
//! indentation and variables lie between the two. A [`SpannedText`] therefore consists of pieces: bytes that were
//! copied as they are, or bytes that stand for a range of the file, such as an escape or a variable.

use std::ops::Range;

use crate::source_map::{FileId, FileSpan};

/// A value with its origin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpannedText {
    value: String,
    file: FileId,
    /// All that was written for it, quotes included.
    whole: Range<usize>,
    /// In order and without gaps over `value`.
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Piece {
    /// In the value.
    value: Range<usize>,
    /// In the file.
    source: Range<usize>,
    origin: PieceOrigin,
}

/// How a piece of a value came from the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum PieceOrigin {
    /// Byte by byte.
    Copied,
    /// As a whole, by the syntax of the file: an escape, a folded line.
    Syntax,
    /// As a whole, from a variable: the file does not show the value.
    Variable,
}

impl Piece {
    /// The bytes of the file behind the bytes `part` of the value, as far as they belong to this piece.
    fn source_of(&self, part: Range<usize>) -> Range<usize> {
        match self.origin {
            PieceOrigin::Copied => {
                let start = self.source.start + (part.start - self.value.start);
                start..start + part.len()
            }
            PieceOrigin::Syntax | PieceOrigin::Variable => self.source.clone(),
        }
    }
}

/// The place where a part of a value was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TextLocation {
    /// The bytes of the file.
    pub span: FileSpan,
    /// Whether a variable gave some of the part. The file does not show it then.
    pub from_variable: bool,
}

impl SpannedText {
    /// The bytes `range` of a file, as they stand.
    pub(crate) fn copied(file: FileId, text: &str, range: Range<usize>) -> Self {
        let mut copy = Self::begun(file, range.clone());
        copy.push_copied(&text[range.clone()], range.start);
        copy
    }

    /// A value that is written nowhere literally. All of it points to `whole`.
    pub(crate) fn generated(file: FileId, value: impl Into<String>, whole: Range<usize>) -> Self {
        let value = value.into();
        let pieces = vec![Piece { value: 0..value.len(), source: whole.clone(), origin: PieceOrigin::Syntax }];
        Self { value, file, whole, pieces }
    }

    /// An empty text, to be continued piece by piece.
    pub(crate) fn begun(file: FileId, whole: Range<usize>) -> Self {
        Self { value: String::new(), file, whole, pieces: Vec::new() }
    }

    /// Continues with bytes that stand in the file from `source` on.
    pub(crate) fn push_copied(&mut self, bytes: &str, source: usize) {
        self.push_piece(bytes, source..source + bytes.len(), PieceOrigin::Copied);
    }

    /// Continues with the value of a variable. `reference` is where the file names the variable.
    pub(crate) fn push_variable(&mut self, value: &str, reference: Range<usize>) {
        self.push_piece(value, reference, PieceOrigin::Variable);
    }

    /// Continues with what the syntax of the file makes of `written`.
    pub(crate) fn push_syntax(&mut self, value: &str, written: Range<usize>) {
        self.push_piece(value, written, PieceOrigin::Syntax);
    }

    fn push_piece(&mut self, value: &str, source: Range<usize>, origin: PieceOrigin) {
        let at = self.value.len();
        self.value.push_str(value);
        let end = self.value.len();
        // Scalars arrive character by character, so copies that adjoin become one piece.
        if origin == PieceOrigin::Copied
            && let Some(last) = self.pieces.last_mut()
            && last.origin == PieceOrigin::Copied
            && last.source.end == source.start
        {
            last.value.end = end;
            last.source.end = source.end;
            return;
        }
        self.pieces.push(Piece { value: at..end, source, origin });
    }

    /// Continues with another text and its origin.
    pub(crate) fn push(&mut self, other: &Self) {
        let at = self.value.len();
        self.value.push_str(&other.value);
        self.pieces.extend(other.pieces.iter().map(|piece| Piece {
            value: piece.value.start + at..piece.value.end + at,
            source: piece.source.clone(),
            origin: piece.origin,
        }));
    }

    /// The value, as YAML and variables make it.
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// The file that it was written in.
    pub(crate) fn file(&self) -> FileId {
        self.file
    }

    /// All that was written for it, quotes included.
    pub fn span(&self) -> FileSpan {
        FileSpan::new(self.file, self.whole.clone())
    }

    /// The place where the bytes `part` of the value were written.
    pub fn locate(&self, part: Range<usize>) -> TextLocation {
        let last = part.end.max(part.start + 1) - 1;
        let source = |byte: usize| {
            let piece = self.pieces.get(self.first_piece(byte)).filter(|piece| piece.value.contains(&byte));
            piece.map(|piece| piece.source_of(byte..byte + 1))
        };
        let from_variable = self.pieces[self.first_piece(part.start)..]
            .iter()
            .take_while(|piece| piece.value.start <= last)
            .any(|piece| piece.origin == PieceOrigin::Variable);
        // A caret may stand one past the value, where something is missing.
        let behind = self.pieces.last().map_or(self.whole.end, |piece| piece.source.end);
        let start = source(part.start).map_or(behind, |range| range.start);
        let end = if part.is_empty() { start } else { source(last).map_or(behind, |range| range.end) };
        // Nested variables may be out of order. Only the whole is certain then.
        let range = if start <= end { start..end } else { self.whole.clone() };
        TextLocation { span: FileSpan::new(self.file, range), from_variable }
    }

    /// The bytes `part` of the value, with their origin.
    pub fn slice(&self, part: Range<usize>) -> Self {
        let mut pieces = Vec::new();
        for piece in self.pieces[self.first_piece(part.start)..].iter().take_while(|piece| piece.value.start < part.end)
        {
            let (start, end) = (piece.value.start.max(part.start), piece.value.end.min(part.end));
            if start < end {
                let source = piece.source_of(start..end);
                pieces.push(Piece { value: start - part.start..end - part.start, source, origin: piece.origin });
            }
        }
        let whole = match (pieces.first(), pieces.last()) {
            (Some(first), Some(last)) if first.source.start <= last.source.end => first.source.start..last.source.end,
            _ => {
                let at = self.locate(part.start..part.start).span.start;
                at..at
            }
        };
        Self { value: self.value[part].to_owned(), file: self.file, whole, pieces }
    }

    /// The values that came from variables, each with the reference in the file.
    pub fn variables(&self) -> impl Iterator<Item = (&str, FileSpan)> {
        let of_variables = self.pieces.iter().filter(|piece| piece.origin == PieceOrigin::Variable);
        of_variables.map(|piece| (&self.value[piece.value.clone()], FileSpan::new(self.file, piece.source.clone())))
    }

    /// The index of the first piece that ends behind `byte` of the value.
    fn first_piece(&self, byte: usize) -> usize {
        self.pieces.partition_point(|piece| piece.value.end <= byte)
    }

    /// The texts before and after the first `separator`.
    pub(crate) fn split_once(&self, separator: char) -> Option<(Self, Self)> {
        let at = self.value.find(separator)?;
        Some((self.slice(0..at), self.slice(at + separator.len_utf8()..self.value.len())))
    }
}
