//! What a client says about content codings (RFC 9110, section 12.5.3).

use crate::content_coding::ContentCoding;

/// Weights in thousandths, as a client may state them (RFC 9110, section 12.4.2).
type Weight = u16;

/// The coding that the client likes best of those offered. Where it likes several equally, the first offered one. None
/// if it takes none of them, or likes the response better as it is.
pub fn choose<'v>(values: impl Iterator<Item = &'v [u8]>, offered: &[ContentCoding]) -> Option<ContentCoding> {
    let mut stated: [Option<Weight>; ContentCoding::ALL.len()] = [None; ContentCoding::ALL.len()];
    let (mut others, mut identity) = (None, None);
    for element in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        // A weight that cannot be read is none at all: the client is not given what it may not take.
        let weight = parts.find_map(weight).unwrap_or(Some(1000)).unwrap_or(0);
        match coding(name) {
            Some(coding) => stated[coding as usize] = Some(weight),
            None if name == b"*" => others = Some(weight),
            None if name.eq_ignore_ascii_case(b"identity") => identity = Some(weight),
            None => {}
        }
    }
    let weight = |coding: ContentCoding| stated[coding as usize].or(others).unwrap_or(0);
    // The first of those with the greatest weight.
    let best = offered.iter().copied().rev().max_by_key(|coding| weight(*coding))?;
    let is_liked = weight(best) > 0 && identity.is_none_or(|identity| identity <= weight(best));
    is_liked.then_some(best)
}

fn coding(name: &[u8]) -> Option<ContentCoding> {
    // An alias that is still to be recognised (RFC 9110, section 8.4.1.3).
    if name.eq_ignore_ascii_case(b"x-gzip") {
        return Some(ContentCoding::Gzip);
    }
    ContentCoding::ALL.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.token().as_bytes()))
}

/// The weight that a parameter states, if it is one: `Some(None)` for a weight that cannot be read.
fn weight(parameter: &[u8]) -> Option<Option<Weight>> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let (whole, fraction) = match value {
        [whole, b'.', fraction @ ..] => (whole, fraction),
        [whole] => (whole, &[][..]),
        _ => return Some(None),
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return Some(None);
    }
    let thousandths = (0..3).fold(0, |sum, at| {
        let digit = fraction.get(at).map_or(0, |digit| Weight::from(digit - b'0'));
        sum * 10 + digit
    });
    Some(match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str], offered: &[ContentCoding]) -> Option<&'static str> {
        choose(values.iter().map(|value| value.as_bytes()), offered).map(ContentCoding::token)
    }

    #[test]
    fn the_coding_that_the_client_likes_best_is_chosen() {
        for (accepted, chosen) in [
            ("gzip, deflate, br, zstd", Some("zstd")),
            ("gzip, deflate, br", Some("br")),
            ("GZIP", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("gzip;q=1.0, br;q=0.9, zstd;q=0.5", Some("gzip")),
            ("br;q=0.001", Some("br")),
            ("br ; q=0.5 , gzip ; q=0.8", Some("gzip")),
            ("br;Q=0.5, gzip;Q=0.8", Some("gzip")),
            ("*", Some("zstd")),
            ("*;q=0.5, zstd;q=0", Some("br")),
            ("zstd;q=0, br;q=0.0, gzip;q=0.000", None),
            ("gzip;q=0.5, identity", None),
            ("gzip;q=0.5, identity;q=0.5", Some("gzip")),
            ("gzip, *;q=0", Some("gzip")),
            ("identity;q=0", None),
            ("deflate", None),
            ("", None),
            (",,", None),
        ] {
            assert_eq!(of(&[accepted], &ContentCoding::ALL), chosen, "{accepted}");
        }
        assert_eq!(of(&[], &ContentCoding::ALL), None);
        assert_eq!(of(&["br;q=0.5", "gzip"], &ContentCoding::ALL), Some("gzip"), "several fields are one list");
    }

    #[test]
    fn the_order_of_the_route_decides_between_equals_and_nothing_else_is_chosen() {
        let [zstd, brotli, gzip] = ContentCoding::ALL;
        assert_eq!(of(&["gzip, br, zstd"], &[gzip, zstd]), Some("gzip"));
        assert_eq!(of(&["br, zstd;q=0.1"], &[gzip, zstd]), Some("zstd"));
        assert_eq!(of(&["br"], &[gzip]), None);
        assert_eq!(of(&["*;q=0.2, br;q=0.1"], &[brotli, zstd]), Some("zstd"));
    }

    #[test]
    fn a_weight_that_cannot_be_read_is_none() {
        for weight in ["2", "1.5", "1.001", "0.1234", "-1", "", "0,5", "0.x", "00", ".5"] {
            assert_eq!(of(&[&format!("br;q={weight}")], &ContentCoding::ALL), None, "{weight}");
        }
        for weight in ["1", "1.", "1.000", "0.5", "0.001"] {
            assert_eq!(of(&[&format!("br;q={weight}")], &ContentCoding::ALL), Some("br"), "{weight}");
        }
    }
}
