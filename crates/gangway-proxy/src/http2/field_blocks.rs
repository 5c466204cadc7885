//! Follows the compressed fields of heads and trailers (HPACK, RFC 7541), to notice a pseudo-field in trailers.
//!
//! The h2 library drops a pseudo-field that begins the trailers without a word, though such a message is malformed (RFC
//! 9113, section 8.1). Only as much is decoded as tells pseudo-fields from others: the index of a name, or its first
//! letter. Of the dynamic table the sizes of its entries are followed; no text is kept or compared.

use std::collections::VecDeque;

use crate::http2::huffman::HuffmanLength;

/// The length of each name in the static table (RFC 7541, appendix A).
const STATIC_NAMES: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13, 12, 6, 4,
    4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3, 16,
];

/// The static table begins with this many pseudo-fields.
const STATIC_PSEUDO_FIELDS: usize = 14;

/// The size of the dynamic table at first, and the most that we allow (RFC 9113, section 6.5.2).
const TABLE_SIZE_MAX: usize = 4096;

/// The cost of an entry beside its name and its value (RFC 7541, section 4.1).
const ENTRY_OVERHEAD: usize = 32;

/// The seven bits of a colon in the Huffman code.
const HUFFMAN_COLON: u8 = 0b101_1100;

/// The h2 library gives the connection up before a number gets so large.
const NUMBER_MAX: usize = 1 << 24;

/// Follows the fields of all heads and trailers of one connection.
#[derive(Debug, Default)]
pub(crate) struct FieldBlocks {
    table: DynamicTable,
    state: State,
    /// The field that is being read, if it is not in a table as a whole.
    literal: LiteralField,
    has_pseudo_field: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Start,
    /// The further bytes of a number.
    Number {
        of: NumberOf,
        value: usize,
        shift: u32,
    },
    /// The first byte of the length of a string.
    StringLen(StringOf),
    String {
        of: StringOf,
        left: usize,
        is_huffman: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum NumberOf {
    IndexedField,
    IndexedName,
    TableSize,
    StringLen { of: StringOf, is_huffman: bool },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum StringOf {
    Name,
    Value,
}

#[derive(Clone, Copy, Debug, Default)]
struct LiteralField {
    is_pseudo: bool,
    /// Whether the field enters the dynamic table.
    is_added: bool,
    /// Whether the first byte of the name was seen.
    is_name_begun: bool,
    /// The decoded lengths, which count only if the field is added.
    name_len: usize,
    value_len: usize,
    huffman: HuffmanLength,
}

/// The entries that the client has made, the newest first.
#[derive(Debug)]
struct DynamicTable {
    entries: VecDeque<TableEntry>,
    size: usize,
    size_max: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct TableEntry {
    is_pseudo: bool,
    name_len: usize,
    size: usize,
}

impl FieldBlocks {
    /// Begins with the next head, or the next trailers.
    pub(crate) fn begin(&mut self) {
        self.state = State::Start;
        self.has_pseudo_field = false;
    }

    /// Whether a pseudo-field was seen since [`FieldBlocks::begin`].
    pub(crate) fn has_pseudo_field(&self) -> bool {
        self.has_pseudo_field
    }

    /// Follows the next bytes.
    pub(crate) fn inspect(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            match self.state {
                State::Start => {
                    bytes = rest;
                    self.start(byte);
                }
                State::Number { of, value, shift } => {
                    bytes = rest;
                    let value = value + (usize::from(byte & 0x7f) << shift);
                    if byte & 0x80 != 0 && value < NUMBER_MAX {
                        self.state = State::Number { of, value, shift: (shift + 7).min(21) };
                    } else {
                        self.number(of, value.min(NUMBER_MAX));
                    }
                }
                State::StringLen(of) => {
                    bytes = rest;
                    self.number_in(byte, 0x7f, NumberOf::StringLen { of, is_huffman: byte & 0x80 != 0 });
                }
                State::String { of, left, is_huffman } => {
                    let taken = left.min(bytes.len());
                    let (string, rest) = bytes.split_at(taken);
                    bytes = rest;
                    if of == StringOf::Name && !self.literal.is_name_begun {
                        self.literal.is_name_begun = true;
                        let first = byte;
                        self.literal.is_pseudo = if is_huffman { first >> 1 == HUFFMAN_COLON } else { first == b':' };
                    }
                    if is_huffman && self.literal.is_added {
                        *self.literal.len_of(of) += self.literal.huffman.symbols(string);
                    }
                    self.state = State::String { of, left: left - taken, is_huffman };
                    if taken == left {
                        self.string_ended(of);
                    }
                }
            }
        }
    }

    /// Reads the first byte of a field, or of a new size of the table.
    fn start(&mut self, byte: u8) {
        if byte & 0x80 != 0 {
            return self.number_in(byte, 0x7f, NumberOf::IndexedField);
        }
        if byte & 0xe0 == 0x20 {
            return self.number_in(byte, 0x1f, NumberOf::TableSize);
        }
        let is_added = byte & 0x40 != 0;
        self.literal = LiteralField { is_added, ..LiteralField::default() };
        self.number_in(byte, if is_added { 0x3f } else { 0x0f }, NumberOf::IndexedName);
    }

    /// Reads the number in the bits of `mask`. If all of them are set, it goes on in the next bytes.
    fn number_in(&mut self, byte: u8, mask: u8, of: NumberOf) {
        let value = usize::from(byte & mask);
        if byte & mask == mask {
            self.state = State::Number { of, value, shift: 0 };
        } else {
            self.number(of, value);
        }
    }

    fn number(&mut self, of: NumberOf, value: usize) {
        self.state = match of {
            NumberOf::IndexedField => {
                self.has_pseudo_field |= self.table.entry(value).is_pseudo;
                State::Start
            }
            NumberOf::TableSize => {
                self.table.resize(value);
                State::Start
            }
            NumberOf::IndexedName if value == 0 => State::StringLen(StringOf::Name),
            NumberOf::IndexedName => {
                let named = self.table.entry(value);
                self.literal.is_pseudo = named.is_pseudo;
                self.literal.name_len = named.name_len;
                State::StringLen(StringOf::Value)
            }
            NumberOf::StringLen { of, .. } if value == 0 => return self.string_ended(of),
            NumberOf::StringLen { of, is_huffman } => {
                if is_huffman {
                    self.literal.huffman = HuffmanLength::default();
                } else {
                    *self.literal.len_of(of) = value;
                }
                State::String { of, left: value, is_huffman }
            }
        };
    }

    fn string_ended(&mut self, of: StringOf) {
        self.state = match of {
            StringOf::Name => State::StringLen(StringOf::Value),
            StringOf::Value => {
                self.has_pseudo_field |= self.literal.is_pseudo;
                if self.literal.is_added {
                    self.table.add(&self.literal);
                }
                State::Start
            }
        };
    }
}

impl LiteralField {
    fn len_of(&mut self, of: StringOf) -> &mut usize {
        match of {
            StringOf::Name => &mut self.name_len,
            StringOf::Value => &mut self.value_len,
        }
    }
}

impl DynamicTable {
    /// An entry by its index over both tables. A client that names one that does not exist loses its connection, so it
    /// does not matter what is returned then.
    fn entry(&self, index: usize) -> TableEntry {
        if let Some(name_len) = index.checked_sub(1).and_then(|at| STATIC_NAMES.get(at)) {
            return TableEntry { is_pseudo: index <= STATIC_PSEUDO_FIELDS, name_len: usize::from(*name_len), size: 0 };
        }
        index.checked_sub(STATIC_NAMES.len() + 1).and_then(|at| self.entries.get(at)).copied().unwrap_or_default()
    }

    fn add(&mut self, field: &LiteralField) {
        let size = field.name_len + field.value_len + ENTRY_OVERHEAD;
        self.shrink_to(self.size_max.saturating_sub(size));
        if size <= self.size_max {
            self.size += size;
            self.entries.push_front(TableEntry { is_pseudo: field.is_pseudo, name_len: field.name_len, size });
        }
    }

    fn resize(&mut self, size_max: usize) {
        self.size_max = size_max.min(TABLE_SIZE_MAX);
        self.shrink_to(self.size_max);
    }

    fn shrink_to(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size;
        }
    }
}

impl Default for DynamicTable {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, size_max: TABLE_SIZE_MAX }
    }
}
