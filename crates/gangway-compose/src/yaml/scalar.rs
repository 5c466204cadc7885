//! A scalar laid over what was written for it, so that each byte of its value has a place.

use std::ops::Range;

use saphyr_parser::ScalarStyle;

use crate::source_map::FileId;
use crate::spanned_text::SpannedText;

/// A scalar from the value that the parser made of `text[range]`.
pub(crate) fn spanned(file: FileId, text: &str, range: Range<usize>, value: &str, style: ScalarStyle) -> SpannedText {
    aligned(file, text, range.clone(), value, style).unwrap_or_else(|| SpannedText::generated(file, value, range))
}

/// Lays the value over what was written. None where the two do not fit, because a caret inside would be a guess.
fn aligned(file: FileId, text: &str, whole: Range<usize>, value: &str, style: ScalarStyle) -> Option<SpannedText> {
    let range = without_quotes(text, whole.clone(), style)?;
    let source = text.get(range.clone())?;
    let mut result = SpannedText::begun(file, whole);
    let (mut at, mut from) = (0, 0);
    while at < value.len() {
        let (rest, written) = (value.get(at..)?, source.get(from..)?);
        let (len, taken) = step(rest, written, style)?;
        let (part, start) = (rest.get(..len)?, range.start + from);
        if written.get(..taken) == Some(part) {
            result.push_copied(part, start);
        } else {
            result.push_syntax(part, start..start + taken);
        }
        at += len;
        from += taken;
    }
    source[from..].trim().is_empty().then_some(result)
}

/// The range between the quotes, where the scalar has any.
fn without_quotes(text: &str, range: Range<usize>, style: ScalarStyle) -> Option<Range<usize>> {
    let quote = match style {
        ScalarStyle::SingleQuoted => '\'',
        ScalarStyle::DoubleQuoted => '"',
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => return Some(range),
    };
    let inner = text.get(range.clone())?.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(range.start + 1..range.start + 1 + inner.len())
}

/// The number of bytes of the value, and of the bytes written for them, in one step.
fn step(value: &str, written: &str, style: ScalarStyle) -> Option<(usize, usize)> {
    if style == ScalarStyle::SingleQuoted && value.starts_with('\'') {
        return written.starts_with("''").then_some((1, 2));
    }
    if style == ScalarStyle::DoubleQuoted && written.starts_with('\\') {
        return escape(value, written);
    }
    let blank = |text: &str| text.len() - text.trim_start_matches([' ', '\t', '\n', '\r']).len();
    match (blank(value), blank(written)) {
        (0, 0) => {
            let (first, other) = (value.chars().next()?, written.chars().next()?);
            (first == other).then_some((first.len_utf8(), first.len_utf8()))
        }
        (len, taken) if value[..len] == written[..taken] => Some((len, taken)),
        // A line break, folded or not, with the indentation of the next line. Only the end of the value may
        // follow where nothing was written behind it.
        (len, taken) if written[..taken].contains('\n') || written[taken..].is_empty() => Some((len, taken)),
        (len, taken) if value[..len].starts_with(&written[..taken]) && taken > 0 => Some((taken, taken)),
        _ => None,
    }
}

/// One step over an escape of a double-quoted scalar.
fn escape(value: &str, written: &str) -> Option<(usize, usize)> {
    let taken = match written[1..].chars().next()? {
        'x' => 4,
        'u' => 6,
        'U' => 10,
        // The line continues behind the indentation. The value has nothing of it.
        '\n' | '\r' => return Some((0, written.len() - written[1..].trim_start().len())),
        other => 1 + other.len_utf8(),
    };
    (taken <= written.len()).then_some((value.chars().next()?.len_utf8(), taken))
}
