//! `tracestate` of W3C Trace Context, level 1: what others who take part in a trace have to say. It is passed on, and never
//! understood.

/// Entries of a list.
const ENTRIES_MAX: usize = 32;

/// Bytes of a list that are passed on.
const LEN_MAX: usize = 512;

/// Entries that are longer go first where a list is too long.
const LONG_ENTRY: usize = 128;

/// The value that is passed on, made of those of the fields of one request. Empty where they make no list, or say nothing.
///
/// Of a list that is too long, whole entries are left out: long ones first, then the last ones, as section 3.3.1.5 of the
/// standard says.
pub fn trace_state<'f>(fields: impl Iterator<Item = &'f [u8]>) -> Box<str> {
    let mut entries: Vec<&str> = Vec::new();
    for field in fields {
        let Ok(text) = std::str::from_utf8(field) else { return Box::default() };
        for entry in text.split(',').map(|entry| entry.trim_matches([' ', '\t'])).filter(|entry| !entry.is_empty()) {
            if !is_entry(entry) || entries.len() == ENTRIES_MAX {
                return Box::default();
            }
            entries.push(entry);
        }
    }
    if joined_len(&entries) > LEN_MAX {
        entries.retain(|entry| entry.len() <= LONG_ENTRY);
    }
    while joined_len(&entries) > LEN_MAX {
        entries.pop();
    }
    entries.join(",").into()
}

fn joined_len(entries: &[&str]) -> usize {
    entries.iter().map(|entry| entry.len() + 1).sum::<usize>().saturating_sub(1)
}

/// Whether a text is a key, an equals sign and a value of printable characters.
fn is_entry(entry: &str) -> bool {
    let Some((key, value)) = entry.split_once('=') else { return false };
    let is_of_key = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
    };
    let is_of_value = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'=';
    !key.is_empty() && key.bytes().all(is_of_key) && !value.is_empty() && value.bytes().all(is_of_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed_on(fields: &[&str]) -> String {
        trace_state(fields.iter().map(|field| field.as_bytes())).into()
    }

    #[test]
    fn a_list_is_passed_on_whole_and_what_is_none_is_not() {
        for (fields, expected) in [
            (&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"][..], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
            (&["a=1", "b=2, c=3"], "a=1,b=2,c=3"),
            (&["a=1 , ,\tb=x y"], "a=1,b=x y"),
            (&["tenant@system=1"], "tenant@system=1"),
            (&[""], ""),
            (&[], ""),
            (&["a"], ""),
            (&["a=1,=2"], ""),
            (&["a=1,b="], ""),
            (&["a=1,B=2"], ""),
            (&["a=1,b=2=3"], ""),
            (&["a=1,b=\u{e4}"], ""),
            (&["a=1\u{7}"], ""),
        ] {
            assert_eq!(passed_on(fields), expected, "{fields:?}");
        }
        assert_eq!(trace_state([&b"a=\xff"[..]].into_iter()), Box::default());
    }

    #[test]
    fn a_list_that_is_too_long_loses_long_entries_and_then_the_last_ones() {
        let long = format!("long={}", "x".repeat(200));
        let short: Vec<String> = (0..12).map(|number| format!("k{number:02}={}", "y".repeat(40))).collect();
        let passed = passed_on(&[&format!("{long},{}", short.join(","))]);
        assert!(passed.len() <= LEN_MAX && passed.starts_with("k00=") && !passed.contains("long"), "{passed}");
        assert_eq!(passed.split(',').count(), 11);
        assert_eq!(passed_on(&[&long]), long, "alone it fits");
        let many = vec!["a=1"; ENTRIES_MAX].join(",");
        assert_eq!(passed_on(&[&many]), many);
        assert_eq!(passed_on(&[&many, "a=1"]), "");
    }
}
