//! `Vary`: what a response depends on, for caches.

use crate::message::fields::Fields;

const NAME: &[u8] = b"Vary";

/// The entries of a list in the fields of one name.
pub(crate) fn tokens<'f>(fields: &'f Fields, name: &'f [u8]) -> impl Iterator<Item = &'f [u8]> {
    fields.all_named(name).flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// Adds the name of a field of requests to `Vary`, unless it stands there.
pub(crate) fn add(field: &str, fields: &mut Fields) {
    if tokens(fields, NAME).any(|token| token == b"*" || token.eq_ignore_ascii_case(field.as_bytes())) {
        return;
    }
    let mut value = Vec::new();
    for token in tokens(fields, NAME).filter(|token| !token.is_empty()) {
        value.extend_from_slice(token);
        value.extend_from_slice(b", ");
    }
    value.extend_from_slice(field.as_bytes());
    fields.set(NAME, &value);
}
