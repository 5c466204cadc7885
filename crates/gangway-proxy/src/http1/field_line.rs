//! Reads a field of a head in the form in which nearly all fields are sent, in one pass.

use crate::grammar::{control_byte, token_len};

/// A line of a head that is one field. Positions count from the beginning of the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FieldLine {
    pub(crate) name_len: usize,
    /// The value without the white space around it.
    pub(crate) value_start: usize,
    pub(crate) value_end: usize,
    /// The length of the line without its CR LF.
    pub(crate) len: usize,
}

impl FieldLine {
    /// Reads the line at the beginning of `bytes`. None if it is not whole, or not in the usual form: a name that is a
    /// token, a colon, a value without control bytes but tab, CR LF. The caller then finds out why.
    #[inline(always)]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let name_len = token_len(bytes);
        if name_len == 0 || bytes.get(name_len) != Some(&b':') {
            return None;
        }
        let rest = &bytes[name_len + 1..];
        let rest_len = control_byte(rest)?;
        if rest.get(rest_len..rest_len + 2)? != b"\r\n" {
            return None;
        }
        let is_space = |byte: u8| matches!(byte, b' ' | b'\t');
        let rest = &rest[..rest_len];
        let before = rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest_len);
        let mut value_len = rest_len;
        while value_len > before && is_space(rest[value_len - 1]) {
            value_len -= 1;
        }
        let rest_start = name_len + 1;
        Some(Self {
            name_len,
            value_start: rest_start + before,
            value_end: rest_start + value_len,
            len: rest_start + rest_len,
        })
    }
}
