//! Fields in the form of the `http` crate, which the h2 library asks for, and back.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::message::fields::Fields;

/// The fields without those that concern one connection. Fields that HTTP/2 cannot carry are left out.
pub(super) fn header_map(fields: &Fields, further_len: usize) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len() + further_len);
    for field in fields.iter().filter(|field| !field.kind.is_for_one_hop()) {
        // The name comes in any case and becomes lower case.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(field.name), HeaderValue::from_bytes(field.value)) {
            // Only a head of tens of thousands of fields cannot be added to; such heads are bounded before.
            let _ = map.try_append(name, value);
        }
    }
    map
}

/// Appends the fields of trailers.
pub(super) fn push_trailers(map: &HeaderMap, fields: &mut Fields) {
    for (name, value) in map {
        fields.push(name.as_str().as_bytes(), value.as_bytes().trim_ascii());
    }
}
