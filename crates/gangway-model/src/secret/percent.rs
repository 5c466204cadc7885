//! Percent-encoding, undone for a look at what applications will see.

use std::borrow::Cow;

/// Decodes percent-encoding, as applications do. Other bytes than UTF-8 are replaced.
pub(super) fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(encoded) if byte == b'%' => {
                decoded.push(encoded);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    if decoded == bytes { Cow::Borrowed(text) } else { Cow::Owned(String::from_utf8_lossy(&decoded).into_owned()) }
}
