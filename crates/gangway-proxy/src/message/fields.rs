//! The fields of a message in the form in which HTTP/1 writes them, with an index of where each stands.
//!
//! The buffers are kept and used again for the next message, so a request on a connection that lasts allocates
//! nothing.

use std::ops::Range;

use gangway_model::FieldValues;
use http::HeaderName;

use crate::message::field_kind::FieldKind;

/// The bytes and the number of fields whose buffers [`Fields::release`] keeps.
const KEPT_BYTES: usize = 4096;
const KEPT_FIELDS: usize = 64;

/// The fields of a message, in their order, with the case of their names as sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    /// Lines of fields, each with CR LF. Other bytes may stand between them; only the index counts.
    bytes: Vec<u8>,
    index: Vec<Position>,
    /// A bit for each kind that may be there. A bit that is not set saves a search.
    kinds: u32,
}

/// Where a field stands. A head is shorter than 64 KiB.
#[derive(Clone, Copy, Debug)]
struct Position {
    kind: FieldKind,
    name_len: u16,
    name: u32,
    value: u32,
    value_end: u32,
    /// The end of the line with its CR LF.
    end: u32,
}

/// One field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Field<'f> {
    pub(crate) kind: FieldKind,
    /// The name, in the case as sent.
    pub(crate) name: &'f [u8],
    /// The value without the white space around it.
    pub(crate) value: &'f [u8],
}

impl Fields {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.index.clear();
        self.kinds = 0;
    }

    /// Empties the fields and gives up the buffers, if they are larger than most messages need. For the fields of a
    /// message that was passed on, while its body is still under way.
    pub(crate) fn release(&mut self) {
        self.clear();
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        if self.index.capacity() > KEPT_FIELDS {
            self.index = Vec::new();
        }
    }

    /// Gives up the buffers, if they are larger than most messages need, for ones of the size of the fields that `keep`
    /// wants. For the fields of a message of which little matters while its exchange goes on.
    pub(crate) fn shrink_to(&mut self, keep: impl FnMut(Field<'_>) -> bool) {
        if self.bytes.capacity() > KEPT_BYTES || self.index.capacity() > KEPT_FIELDS {
            let all = std::mem::take(self);
            self.extend_from(&all, keep);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Notes where a field stands in the bytes that [`Fields::store`] gets later. For parsers.
    #[inline(always)]
    pub(crate) fn note(&mut self, kind: FieldKind, name: Range<usize>, value: Range<usize>, line_end: usize) {
        debug_assert!(name.start <= name.end && name.end <= value.start && value.start <= value.end);
        debug_assert!(value.end <= line_end, "a line ends behind its value");
        // Heads and trailers are bounded far below; a position that does not fit would be a bug. If the last one fits, all do.
        let end = u32::try_from(line_end).expect("a head is shorter than 4 GiB");
        self.kinds |= bit(kind);
        #[expect(clippy::cast_possible_truncation, reason = "no position lies behind the end of its line")]
        let at = |place: usize| place as u32;
        let (start, value, value_end) = (at(name.start), at(value.start), at(value.end));
        let name_len = at(name.end) - start;
        self.index.push(Position {
            kind,
            name_len: u16::try_from(name_len).unwrap_or(u16::MAX),
            name: start,
            value,
            value_end,
            end,
        });
    }

    /// Takes a copy of the bytes in which the noted fields stand.
    pub(crate) fn store(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a field.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_parts(name, &[value]);
    }

    /// Appends a field whose value consists of several parts.
    pub(crate) fn push_parts(&mut self, name: &[u8], value: &[&[u8]]) {
        self.push_known(FieldKind::of(name), name, value);
    }

    /// Appends a field whose kind is known.
    #[inline]
    pub(crate) fn push_known(&mut self, kind: FieldKind, name: &[u8], value: &[&[u8]]) {
        self.push_written(kind, name, |out| {
            for part in value {
                out.extend_from_slice(part);
            }
        });
    }

    /// Appends a field whose value `write` appends to the bytes that it gets.
    pub(crate) fn push_written(&mut self, kind: FieldKind, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(b": ");
        let value_start = self.bytes.len();
        write(&mut self.bytes);
        let value_end = self.bytes.len();
        self.bytes.extend_from_slice(b"\r\n");
        self.note(kind, start..start + name.len(), value_start..value_end, value_end + 2);
    }

    /// Replaces all fields with this name by one.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove_named(name);
        self.push(name, value);
    }

    /// Appends the fields of `other` that `keep` wants.
    pub(crate) fn extend_from(&mut self, other: &Self, mut keep: impl FnMut(Field<'_>) -> bool) {
        for at in &other.index {
            let field = other.field(at);
            if keep(field) {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(&other.bytes[at.name as usize..at.end as usize]);
                // The line stands elsewhere now, by the same distance for each of its parts.
                let moved = |place: u32| start + (place - at.name) as usize;
                self.note(
                    at.kind,
                    start..start + field.name.len(),
                    moved(at.value)..moved(at.value_end),
                    moved(at.end),
                );
            }
        }
    }

    /// Removes the fields that `keep` does not want.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let bytes = &self.bytes;
        self.index.retain(|at| keep(field(bytes, at)));
    }

    pub(crate) fn remove(&mut self, kind: FieldKind) {
        if self.kinds & bit(kind) != 0 {
            self.index.retain(|at| at.kind != kind);
            self.kinds &= !bit(kind);
        }
    }

    pub(crate) fn remove_named(&mut self, name: &[u8]) {
        self.retain(|field| !field.name.eq_ignore_ascii_case(name));
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + Clone {
        self.index.iter().map(|at| self.field(at))
    }

    pub(crate) fn has(&self, kind: FieldKind) -> bool {
        self.kinds & bit(kind) != 0 && self.index.iter().any(|at| at.kind == kind)
    }

    /// The value of the first field of this kind. Meant for kinds that stand for one name.
    pub(crate) fn get(&self, kind: FieldKind) -> Option<&[u8]> {
        self.all(kind).next()
    }

    /// The values of the fields of this kind.
    pub(crate) fn all(&self, kind: FieldKind) -> impl DoubleEndedIterator<Item = &[u8]> {
        let index = if self.kinds & bit(kind) == 0 { &[] } else { &self.index[..] };
        index.iter().filter(move |at| at.kind == kind).map(|at| &self.bytes[at.value as usize..at.value_end as usize])
    }

    /// The values of the fields with this name, in any case.
    pub(crate) fn all_named<'f>(&'f self, name: &'f [u8]) -> impl DoubleEndedIterator<Item = &'f [u8]> {
        self.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    #[cfg(test)]
    pub(crate) fn get_named<'f>(&'f self, name: &'f [u8]) -> Option<&'f [u8]> {
        self.all_named(name).next()
    }

    /// The bytes that the fields take on the wire over HTTP/1.
    pub(crate) fn wire_len(&self) -> usize {
        self.index.iter().map(|at| (at.end - at.name) as usize).sum()
    }

    /// Appends all fields as lines of HTTP/1, without the empty line that ends a head.
    pub(crate) fn write_lines(&self, out: &mut Vec<u8>) {
        // Lines that stand side by side are copied together.
        let mut run = 0..0;
        for at in &self.index {
            let line = at.name as usize..at.end as usize;
            if line.start == run.end {
                run.end = line.end;
            } else {
                out.extend_from_slice(&self.bytes[run]);
                run = line;
            }
        }
        out.extend_from_slice(&self.bytes[run]);
    }

    fn field(&self, at: &Position) -> Field<'_> {
        field(&self.bytes, at)
    }
}

impl FieldValues for Fields {
    fn any_value(&self, name: &HeaderName, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.all_named(name.as_str().as_bytes()).any(test)
    }

    fn count(&self, name: &HeaderName) -> usize {
        self.all_named(name.as_str().as_bytes()).count()
    }
}

fn field<'f>(bytes: &'f [u8], at: &Position) -> Field<'f> {
    let name = at.name as usize;
    Field {
        kind: at.kind,
        name: &bytes[name..name + usize::from(at.name_len)],
        value: &bytes[at.value as usize..at.value_end as usize],
    }
}

fn bit(kind: FieldKind) -> u32 {
    // There are fewer kinds than bits; more of them do not compile.
    const { assert!((FieldKind::Other as u32) < u32::BITS, "each kind has a bit") };
    1 << kind as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(fields: &Fields) -> String {
        let mut out = Vec::new();
        fields.write_lines(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn large_fields_shrink_to_those_that_matter_and_small_ones_stay() {
        let mut fields = Fields::default();
        fields.push(b"Host", b"a.test");
        fields.push(b"X-Small", b"x");
        fields.shrink_to(|field| field.kind == FieldKind::Host);
        assert_eq!(fields.len(), 2);
        fields.push(b"X-Large", &[b'x'; KEPT_BYTES]);
        fields.shrink_to(|field| field.kind == FieldKind::Host);
        assert_eq!((fields.len(), fields.get(FieldKind::Host)), (1, Some(&b"a.test"[..])));
        assert!(fields.bytes.capacity() < 100);
    }

    #[test]
    fn fields_keep_their_order_and_case() {
        let mut fields = Fields::default();
        fields.push(b"Host", b"a");
        fields.push(b"X-a", b"1");
        fields.push(b"x-A", b"2");
        assert_eq!(lines(&fields), "Host: a\r\nX-a: 1\r\nx-A: 2\r\n");
        assert_eq!(fields.all_named(b"X-A").collect::<Vec<_>>(), [b"1", b"2"]);
        fields.set(b"X-A", b"3");
        assert_eq!(lines(&fields), "Host: a\r\nX-A: 3\r\n");
        fields.remove(FieldKind::Host);
        assert_eq!((fields.len(), fields.get(FieldKind::Host)), (1, None));
        assert!(fields.has(FieldKind::Other) && !fields.has(FieldKind::Host) && !fields.has(FieldKind::Via));
        fields.push(b"HOST", b"b");
        fields.retain(|field| field.kind != FieldKind::Other);
        assert_eq!((fields.get(FieldKind::Host), fields.get(FieldKind::Other)), (Some(&b"b"[..]), None));
    }

    #[test]
    fn noted_fields_stand_in_stored_bytes() {
        let head = b"GET / HTTP/1.1\r\nHost:  a \r\nX:y\r\n\r\n";
        let mut fields = Fields::default();
        fields.note(FieldKind::Host, 16..20, 23..24, 27);
        fields.note(FieldKind::Other, 27..28, 29..30, 32);
        fields.store(head);
        assert_eq!(fields.get(FieldKind::Host), Some(&b"a"[..]));
        let mut other = Fields::default();
        other.push(b"First", b"1");
        other.extend_from(&fields, |field| field.name == b"X");
        other.push(b"Last", b"2");
        assert_eq!(lines(&other), "First: 1\r\nX:y\r\nLast: 2\r\n");
        assert_eq!(other.get_named(b"x"), Some(&b"y"[..]));
        assert_eq!(other.wire_len(), lines(&other).len());
    }
}
