//! Fields in the form of the `http` crate, which the h2 library asks for, and back.

use std::cell::RefCell;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::message::field_kind::FieldKind;
use crate::message::fields::{Field, Fields};

/// The fields that a thread remembers, and the longest names and values of them.
const REMEMBERED: usize = 64;
const NAME_MAX: usize = 32;
const VALUE_MAX: usize = 64;

thread_local! {
    static LAST_FIELDS: RefCell<LastFields> = const { RefCell::new(LastFields([const { None }; REMEMBERED])) };
}

/// Fields that were converted lately. Most responses have the same names, many the same values, and to clone what was
/// checked and copied before costs a fraction.
struct LastFields([Option<LastField>; REMEMBERED]);

struct LastField {
    /// The name as it was sent.
    sent_name: [u8; NAME_MAX],
    sent_name_len: usize,
    name: HeaderName,
    value: Option<HeaderValue>,
}

impl LastFields {
    /// A field in the other form. None if HTTP/2 cannot carry it.
    fn convert(&mut self, field: Field<'_>) -> Option<(HeaderName, HeaderValue)> {
        let (Some(first), Some(last), ..=NAME_MAX) = (field.name.first(), field.name.last(), field.name.len()) else {
            return Some((HeaderName::from_bytes(field.name).ok()?, HeaderValue::from_bytes(field.value).ok()?));
        };
        let place = (usize::from(*first) * 5 + usize::from(*last) * 3 + field.name.len()) % REMEMBERED;
        let remembered = match &mut self.0[place] {
            Some(remembered) if remembered.sent_name() == field.name => remembered,
            other => {
                let mut sent_name = [0; NAME_MAX];
                sent_name[..field.name.len()].copy_from_slice(field.name);
                let name = HeaderName::from_bytes(field.name).ok()?;
                other.insert(LastField { sent_name, sent_name_len: field.name.len(), name, value: None })
            }
        };
        let value = if is_remembered(field) {
            remembered.value_of(field.value)?
        } else {
            HeaderValue::from_bytes(field.value).ok()?
        };
        Some((remembered.name.clone(), value))
    }
}

impl LastField {
    fn sent_name(&self) -> &[u8] {
        &self.sent_name[..self.sent_name_len]
    }

    fn value_of(&mut self, sent: &[u8]) -> Option<HeaderValue> {
        if let Some(value) = &self.value
            && value.as_bytes() == sent
        {
            return Some(value.clone());
        }
        let value = HeaderValue::from_bytes(sent).ok()?;
        self.value = Some(value.clone());
        Some(value)
    }
}

/// Whether the value is worth remembering. A length is seldom the same twice, and a cookie concerns one client.
fn is_remembered(field: Field<'_>) -> bool {
    field.value.len() <= VALUE_MAX && !matches!(field.kind, FieldKind::ContentLength | FieldKind::SetCookie)
}

/// The fields without those that concern one connection. Fields that HTTP/2 cannot carry are left out.
pub(super) fn header_map(fields: &Fields, further_len: usize) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len() + further_len);
    LAST_FIELDS.with_borrow_mut(|last| {
        for field in fields.iter().filter(|field| !field.kind.is_for_one_hop()) {
            // The name comes in any case and becomes lower case.
            if let Some((name, value)) = last.convert(field) {
                // Only a head of tens of thousands of fields cannot be added to; such heads are bounded before.
                let _ = map.try_append(name, value);
            }
        }
    });
    map
}

/// Appends the fields of trailers.
pub(super) fn push_trailers(map: &HeaderMap, fields: &mut Fields) {
    for (name, value) in map {
        fields.push(name.as_str().as_bytes(), value.as_bytes().trim_ascii());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The map, as lines.
    fn lines(fields: &[(&str, &str)]) -> Vec<String> {
        let mut all = Fields::default();
        for (name, value) in fields {
            all.push(name.as_bytes(), value.as_bytes());
        }
        let map = header_map(&all, 1);
        map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect()
    }

    #[test]
    fn each_field_is_its_own_whatever_came_before() {
        let long = "x".repeat(VALUE_MAX + 1);
        let names = ["Server", "SERVER", "server", "ETag", "X-Trace", "X-Place", &"n".repeat(NAME_MAX + 1)];
        for value in ["a", "a", "b", "", &long, "a"] {
            for name in names {
                assert_eq!(lines(&[(name, value)]), [format!("{}: {value}", name.to_lowercase())]);
            }
        }
        // Names of one place in memory.
        assert_eq!(lines(&[("abc", "1"), ("axc", "2"), ("abc", "3")]), ["abc: 1", "abc: 3", "axc: 2"]);
        assert_eq!(lines(&[("Connection", "close"), ("Set-Cookie", "a=1"), ("Set-Cookie", "a=2")]).len(), 2);
    }

    #[test]
    fn what_http2_cannot_carry_is_left_out_and_not_remembered() {
        for _ in 0..2 {
            assert_eq!(lines(&[("a b", "1"), ("x", "a\u{1}"), ("x", "y")]), ["x: y"]);
        }
    }
}
