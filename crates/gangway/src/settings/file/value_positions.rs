//! A part of a value → its position in the file, inside quotes and lists.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::flatten::{scalar, source};

/// The positions of all values of a file without syntax errors.
pub(crate) struct ValuePositions<'t> {
    text: &'t str,
    document: Spanned<DeTable<'t>>,
}

impl<'t> ValuePositions<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, document: DeTable::parse_recoverable(text).0 }
    }

    /// The range of `part` of the value that begins at byte `start`. It is the whole value if that contains escapes,
    /// because the file does not show the part then. A list counts as its items with commas between them.
    pub(crate) fn find(&self, start: usize, part: Range<usize>) -> Option<Range<usize>> {
        let value = in_table(self.document.get_ref(), start)?;
        Some(within(value, self.text, part))
    }
}

fn in_table<'v, 't>(table: &'v DeTable<'t>, start: usize) -> Option<&'v Spanned<DeValue<'t>>> {
    table.iter().find_map(|(_, value)| in_value(value, start))
}

fn in_value<'v, 't>(value: &'v Spanned<DeValue<'t>>, start: usize) -> Option<&'v Spanned<DeValue<'t>>> {
    match value.get_ref() {
        DeValue::Table(inner) => in_table(inner, start),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => (value.span().start == start).then_some(value),
    }
}

fn within(value: &Spanned<DeValue<'_>>, text: &str, part: Range<usize>) -> Range<usize> {
    let whole = value.span();
    let DeValue::Array(items) = value.get_ref() else { return within_scalar(value, text, part) };
    let mut before = 0;
    for item in items {
        let len = scalar(item.get_ref()).map_or_else(|| source(item, text).len(), |text| text.len());
        if (before..=before + len).contains(&part.start) {
            return within_scalar(item, text, part.start - before..part.end.min(before + len) - before);
        }
        before += len + ",".len();
    }
    whole
}

fn within_scalar(value: &Spanned<DeValue<'_>>, text: &str, part: Range<usize>) -> Range<usize> {
    let whole = value.span();
    let written = text.get(whole.clone()).unwrap_or_default();
    let inner = ["\"\"\"", "'''", "\"", "'"].into_iter().find_map(|quote| {
        let inner = written.strip_prefix(quote)?.strip_suffix(quote)?;
        Some((quote.len(), inner))
    });
    let (quote_len, inner) = inner.unwrap_or((0, written));
    let is_shown = scalar(value.get_ref()).is_some_and(|value| value == inner) && part.end <= inner.len();
    let start = whole.start + quote_len;
    if is_shown { start + part.start..start + part.end } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_in_every_form_of_a_value() {
        for (value, joined, part) in [
            ("\"one two\"", "one two", "two"),
            ("'one two'", "one two", "two"),
            ("\"\"\"one two\"\"\"", "one two", "two"),
            ("[\"one\", 'two']", "one,two", "two"),
            ("[\n  \"one\", # two\n  \"two\",\n]", "one,two", "two"),
            ("1234", "1234", "34"),
            ("true", "true", "true"),
        ] {
            let text = format!("[routes.a]\nkey = {value}\n");
            let start = text.find(value).expect("the value");
            let at = joined.rfind(part).expect("a part");
            let found = ValuePositions::new(&text).find(start, at..at + part.len()).expect("a value");
            assert_eq!(&text[found.clone()], part, "{value}");
            assert!(found.start >= start, "{value}");
        }
    }

    #[test]
    fn a_value_with_escapes_is_found_as_a_whole() {
        let text = "key = \"a\\tb c\"\n";
        assert_eq!(ValuePositions::new(text).find(6, 2..3), Some(6..14));
        assert_eq!(ValuePositions::new(text).find(7, 0..1), None);
    }
}
