//! The decoded length of a string in the Huffman code of HPACK (RFC 7541, section 5.2).

/// How many symbols have a code of each length, by bits; the last one is the end of a string (RFC 7541, appendix B).
const SYMBOLS: [u32; 31] =
    [0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4];

/// The first code of each length: the code is canonical, so codes of one length follow each other.
const FIRST_CODES: [u32; 31] = {
    let mut first = [0; 31];
    let mut len = 1;
    while len < first.len() {
        first[len] = (first[len - 1] + SYMBOLS[len - 1]) << 1;
        len += 1;
    }
    first
};

/// Counts the symbols of a string, whose bytes may come in several pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HuffmanLength {
    /// The bits of a code that has not ended, and their number.
    code: u32,
    code_len: usize,
}

impl HuffmanLength {
    /// The number of symbols that end within the next bytes of the string.
    pub(crate) fn symbols(&mut self, bytes: &[u8]) -> usize {
        let mut symbols = 0;
        for byte in bytes {
            for bit in (0..8).rev() {
                self.code = self.code << 1 | u32::from(byte >> bit & 1);
                self.code_len += 1;
                let is_whole = match (FIRST_CODES.get(self.code_len), SYMBOLS.get(self.code_len)) {
                    (Some(first), Some(count)) => self.code.wrapping_sub(*first) < *count,
                    // No code is that long.
                    _ => true,
                };
                if is_whole {
                    symbols += 1;
                    *self = Self::default();
                }
            }
        }
        symbols
    }
}
