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
        let (before, value_len) = match rest {
            // Nearly all fields. What is greater than a space is none, and no tab.
            [b' ', first] if *first > b' ' => (1, rest_len),
            [b' ', first, .., last] if *first > b' ' && *last > b' ' => (1, rest_len),
            _ => {
                let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t');
                let before = rest.iter().take_while(is_space).count();
                (before, before + rest[before..].trim_ascii_end().len())
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_value_is_no_part_of_it() {
        for before in ["", " ", "  ", "\t", " \t "] {
            for value in ["", "x", "xy", "x y", "\u{e9}", "x\ty", "a longer one, of several words"] {
                for after in ["", " ", "\t", " \t "] {
                    let line = format!("Name:{before}{value}{after}\r\n");
                    let field = FieldLine::read(line.as_bytes()).expect("a field");
                    assert_eq!((field.name_len, field.len), (4, line.len() - 2), "{line:?}");
                    assert_eq!(&line[field.value_start..field.value_end], value, "{line:?}");
                }
            }
        }
    }
}
