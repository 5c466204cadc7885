//! A text that remembers where each of its bytes was written.
//!
//! A diagnostic points into a label's value; people want the line and column of the file. Between the
//! two stand quotes, escapes, indentation and variables, so a [`Text`] is made of pieces: either bytes
//! copied as they are, or bytes made from a range of the file (an escape, a variable).

use std::ops::Range;

use saphyr_parser::ScalarStyle;

use super::source::{FileId, Spot};

/// A value with its origin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Text {
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
    made: Made,
}

/// How a piece of a value came from the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Made {
    /// Byte by byte.
    Copied,
    /// As a whole, by the syntax of the file: an escape, a folded line.
    Written,
    /// As a whole, from a variable: the file does not show the value.
    Variable,
}

/// Where a part of a value was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub(super) spot: Spot,
    /// Some of it came from a variable, so the file does not show it.
    pub(super) from_variable: bool,
}

impl Text {
    /// The bytes of a file as they stand.
    pub(super) fn copied(file: FileId, text: &str, range: Range<usize>) -> Self {
        Self::begun(file, range.clone()).with_copied(&text[range.clone()], range.start)
    }

    /// A value that stands nowhere literally; all of it points to `whole`.
    pub(super) fn made(file: FileId, value: impl Into<String>, whole: Range<usize>) -> Self {
        let value = value.into();
        let pieces = vec![Piece { value: 0..value.len(), source: whole.clone(), made: Made::Written }];
        Self { value, file, whole, pieces }
    }

    /// A YAML scalar, from the value the parser made of `text[range]`.
    pub(super) fn scalar(file: FileId, text: &str, range: Range<usize>, value: &str, style: ScalarStyle) -> Self {
        align(value, text, range.clone(), style).map_or_else(
            || Self::made(file, value, range.clone()),
            |pieces| Self { value: value.to_owned(), file, whole: range.clone(), pieces },
        )
    }

    /// An empty text to be continued piece by piece.
    pub(super) fn begun(file: FileId, whole: Range<usize>) -> Self {
        Self { value: String::new(), file, whole, pieces: Vec::new() }
    }

    /// Continues with bytes that stand in the file from `source` on.
    pub(super) fn with_copied(mut self, bytes: &str, source: usize) -> Self {
        let at = self.value.len();
        self.value.push_str(bytes);
        self.pieces.push(Piece {
            value: at..self.value.len(),
            source: source..source + bytes.len(),
            made: Made::Copied,
        });
        self
    }

    /// Continues with the value of a variable that was named in `reference` of the file.
    pub(super) fn push_variable(&mut self, value: &str, reference: Range<usize>) {
        let at = self.value.len();
        self.value.push_str(value);
        self.pieces.push(Piece { value: at..self.value.len(), source: reference, made: Made::Variable });
    }

    /// Continues with another text, origin and all.
    pub(super) fn push(&mut self, other: &Self) {
        let at = self.value.len();
        self.value.push_str(&other.value);
        self.pieces.extend(other.pieces.iter().map(|piece| Piece {
            value: piece.value.start + at..piece.value.end + at,
            source: piece.source.clone(),
            made: piece.made,
        }));
    }

    /// Continues with what the syntax of the file makes of `written`.
    pub(super) fn push_written(&mut self, value: &str, written: Range<usize>) {
        let at = self.value.len();
        self.value.push_str(value);
        self.pieces.push(Piece { value: at..self.value.len(), source: written, made: Made::Written });
    }

    pub(super) fn as_str(&self) -> &str {
        &self.value
    }

    pub(super) fn file(&self) -> FileId {
        self.file
    }

    /// All that was written for it.
    pub(super) fn whole(&self) -> Spot {
        Spot::new(self.file, self.whole.clone())
    }

    /// Where `part` of the value was written.
    pub(super) fn find(&self, part: Range<usize>) -> Found {
        let last = part.end.max(part.start + 1) - 1;
        let source = |byte: usize| {
            let piece = self.pieces.get(self.first_piece(byte)).filter(|piece| piece.value.contains(&byte));
            piece.map(|piece| match piece.made {
                Made::Copied => {
                    let at = piece.source.start + (byte - piece.value.start);
                    at..at + 1
                }
                _ => piece.source.clone(),
            })
        };
        let from_variable = self.pieces[self.first_piece(part.start)..]
            .iter()
            .take_while(|piece| piece.value.start <= last)
            .any(|piece| piece.made == Made::Variable);
        // A caret may stand one past the value, where something is missing.
        let behind = self.pieces.last().map_or(self.whole.end, |piece| piece.source.end);
        let start = source(part.start).map_or(behind, |range| range.start);
        let end = if part.is_empty() { start } else { source(last).map_or(behind, |range| range.end) };
        // Nested variables may be out of order; then the whole is the honest answer.
        let range = if start <= end { start..end } else { self.whole.clone() };
        Found { spot: Spot::new(self.file, range), from_variable }
    }

    /// A part of the value, which keeps its origin.
    pub(super) fn slice(&self, part: Range<usize>) -> Self {
        let mut pieces = Vec::new();
        for piece in self.pieces[self.first_piece(part.start)..].iter().take_while(|piece| piece.value.start < part.end)
        {
            let (start, end) = (piece.value.start.max(part.start), piece.value.end.min(part.end));
            if start >= end {
                continue;
            }
            let source = match piece.made {
                Made::Copied => {
                    let at = piece.source.start + (start - piece.value.start);
                    at..at + (end - start)
                }
                _ => piece.source.clone(),
            };
            pieces.push(Piece { value: start - part.start..end - part.start, source, made: piece.made });
        }
        let whole = match (pieces.first(), pieces.last()) {
            (Some(first), Some(last)) if first.source.start <= last.source.end => first.source.start..last.source.end,
            _ => {
                let at = self.find(part.start..part.start).spot.start;
                at..at
            }
        };
        Self { value: self.value[part].to_owned(), file: self.file, whole, pieces }
    }

    /// The first piece that ends behind `byte` of the value.
    fn first_piece(&self, byte: usize) -> usize {
        self.pieces.partition_point(|piece| piece.value.end <= byte)
    }

    /// Before and after the first `separator`.
    pub(super) fn split_once(&self, separator: char) -> Option<(Self, Self)> {
        let at = self.value.find(separator)?;
        Some((self.slice(0..at), self.slice(at + separator.len_utf8()..self.value.len())))
    }
}

/// Lays the parsed value over what was written. None where the two do not fit, for then a caret inside
/// would be a guess.
fn align(value: &str, text: &str, range: Range<usize>, style: ScalarStyle) -> Option<Vec<Piece>> {
    let mut range = range;
    let quote = match style {
        ScalarStyle::SingleQuoted => Some('\''),
        ScalarStyle::DoubleQuoted => Some('"'),
        _ => None,
    };
    if let Some(quote) = quote {
        let inner = text.get(range.clone())?.strip_prefix(quote)?.strip_suffix(quote)?;
        range = range.start + 1..range.start + 1 + inner.len();
    }
    let source = text.get(range.clone())?;
    let mut pieces = Vec::new();
    let (mut at, mut from) = (0, 0);
    while at < value.len() {
        let (rest, written) = (value.get(at..)?, source.get(from..)?);
        let (len, taken) = step(rest, written, style)?;
        let made = if rest.get(..len) == written.get(..taken) { Made::Copied } else { Made::Written };
        let start = range.start + from;
        pieces.push(Piece { value: at..at + len, source: start..start + taken, made });
        at += len;
        from += taken;
    }
    merge_copied(&mut pieces);
    source[from..].trim().is_empty().then_some(pieces)
}

/// How many bytes of the value come from how many bytes of what was written, for one step.
fn step(value: &str, written: &str, style: ScalarStyle) -> Option<(usize, usize)> {
    if style == ScalarStyle::SingleQuoted && value.starts_with('\'') {
        return written.starts_with("''").then_some((1, 2));
    }
    if style == ScalarStyle::DoubleQuoted && written.starts_with('\\') {
        let escape = written[1..].chars().next()?;
        let taken = match escape {
            'x' => 4,
            'u' => 6,
            'U' => 10,
            // The line goes on behind the indentation; nothing of it is in the value.
            '\n' | '\r' => return Some((0, written.len() - written[1..].trim_start().len())),
            other => 1 + other.len_utf8(),
        };
        return (taken <= written.len()).then_some((value.chars().next()?.len_utf8(), taken));
    }
    let blank = |text: &str| text.len() - text.trim_start_matches([' ', '\t', '\n', '\r']).len();
    match (blank(value), blank(written)) {
        (0, 0) => {
            let (first, other) = (value.chars().next()?, written.chars().next()?);
            (first == other).then_some((first.len_utf8(), first.len_utf8()))
        }
        (len, taken) if value[..len] == written[..taken] => Some((len, taken)),
        // A line break, folded or not, with the indentation of the next line. Nothing may be left
        // behind it but the end of the value.
        (len, taken) if written[..taken].contains('\n') || written[taken..].is_empty() => Some((len, taken)),
        (len, taken) if value[..len].starts_with(&written[..taken]) && taken > 0 => Some((taken, taken)),
        _ => None,
    }
}

fn merge_copied(pieces: &mut Vec<Piece>) {
    pieces.dedup_by(|next, kept| {
        let joined = next.made == Made::Copied && kept.made == Made::Copied && kept.source.end == next.source.start;
        if joined {
            kept.value.end = next.value.end;
            kept.source.end = next.source.end;
        }
        joined
    });
}
