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
        let (_, rest) = bytes.split_at_checked(name_len)?;
        let [b':', rest @ ..] = rest else { return None };
        let rest_len = control_byte(rest)?;
        let (rest, end) = rest.split_at_checked(rest_len)?;
        if name_len == 0 || !end.starts_with(b"\r\n") {
            return None;
        }
        let is_space = |byte: u8| matches!(byte, b' ' | b'\t');
        let before = match rest {
            // Nearly all fields.
            [b' ', first, ..] if !is_space(*first) => 1,
            _ => rest.iter().take_while(|byte| is_space(**byte)).count(),
        };
        let value_len = match rest.last() {
            Some(last) if is_space(*last) => before + rest[before..].trim_ascii_end().len(),
            Some(_) | None => rest_len,
        };
        let rest_start = name_len + 1;
        Some(Self {
            name_len,
            value_start: rest_start + before,
            value_end: rest_start + value_len,
            len: rest_start + rest_len,
        })
    }
}
