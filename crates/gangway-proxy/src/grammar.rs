//! The parts of HTTP's grammar that every version shares: tokens, field values, targets, hosts, lengths.
//!
//! HTTP/1 heads are checked by these before they are parsed, HTTP/2 heads afterwards.

use std::net::Ipv6Addr;
use std::ops::Range;

/// The longest name that DNS can carry, with a final dot.
const HOST_LEN_MAX: usize = 254;

/// The cost of a field beside its bytes, as HTTP/2 counts it (RFC 9113, section 6.5.2). One bound then means the
/// same in all versions.
pub(crate) const FIELD_OVERHEAD: usize = 32;

/// The range of the authority in a target in absolute form.
pub(crate) fn absolute_authority(target: &[u8]) -> Option<Range<usize>> {
    let len_of =
        |scheme: &[u8]| target.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).map(<[u8]>::len);
    let start = len_of(b"http://").or_else(|| len_of(b"https://"))?;
    let len = target[start..].iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(target.len() - start);
    Some(start..start + len)
}

/// The host of an authority without user information (RFC 3986, section 3.2): a name, an IPv4 address, or an
/// IPv6 address in brackets. None for anything else, and for an invalid port.
pub(crate) fn host_of_authority(authority: &[u8]) -> Option<&[u8]> {
    let host_len = if authority.first() == Some(&b'[') {
        let end = authority.iter().position(|byte| *byte == b']')?;
        let address = std::str::from_utf8(&authority[1..end]).ok()?;
        address.parse::<Ipv6Addr>().ok()?;
        end + 1
    } else {
        let len = host_name_len(authority);
        if len == 0 || len > HOST_LEN_MAX {
            return None;
        }
        len
    };
    let (host, rest) = authority.split_at_checked(host_len)?;
    match rest {
        [] | [b':'] => {}
        [b':', digits @ ..] => {
            port(digits)?;
        }
        _ => return None,
    }
    Some(host)
}

/// Parses the port of an authority.
pub(crate) fn port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 {
        return None;
    }
    u16::try_from(decimal(digits)?).ok()
}

/// The length of the host name, or IPv4 address, at the beginning of `bytes`.
fn host_name_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(rest) = bytes.get(len..) {
        // Letters and hyphens many at once, what else may stand in a name one by one.
        if let Some(word) = rest.first_chunk()
            && no_letter_in_word(*word).is_none()
        {
            len += 8;
        } else if rest.first().is_some_and(|byte| is_host(*byte)) {
            len += 1;
        } else {
            break;
        }
    }
    len
}

/// Appends a target to `out`. The bytes that may not stand in a URI but that clients send unencoded in practice, and
/// applications expect, are percent-encoded: high bytes, and some marks. All others go on as they are. Returns whether
/// the target holds no byte that must be refused: spaces, control bytes, and the `#` of a fragment, about which
/// recipients disagree.
pub(crate) fn push_target(target: &[u8], out: &mut String) -> bool {
    let is_odd = |byte: u8| {
        !byte.is_ascii_graphic() | (byte == b'#') | (byte == b'<') | (byte == b'>') | (byte == b'`') | (byte == b'"')
    };
    // Without branches, so that the compiler looks at many bytes at once.
    let (blocks, rest) = target.as_chunks::<16>();
    let has_odd = blocks.iter().any(|block| block.iter().fold(false, |found, byte| found | is_odd(*byte)))
        || rest.iter().any(|byte| is_odd(*byte));
    if !has_odd && let Ok(text) = std::str::from_utf8(target) {
        out.push_str(text);
        return true;
    }
    let mut in_query = false;
    for byte in target {
        match *byte {
            b'<' | b'>' | 0x80.. => push_escape(*byte, out),
            b'`' if !in_query => push_escape(*byte, out),
            b'"' if in_query => push_escape(*byte, out),
            b'#' | ..=b' ' | 0x7f => return false,
            graphic => {
                in_query |= graphic == b'?';
                out.push(char::from(graphic));
            }
        }
    }
    true
}

fn push_escape(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    for digit in [byte >> 4, byte & 15] {
        out.push(char::from(DIGITS[usize::from(digit)]));
    }
}

/// Whether each percent sign of a path is followed by two hexadecimal digits. Decoders disagree about other
/// percent signs, and rules about paths decode; nginx, Caddy and Traefik refuse them too. The query is not
/// checked: only the application decodes it.
pub(crate) fn has_whole_escapes(path: &str) -> bool {
    let bytes = path.as_bytes();
    memchr::memchr_iter(b'%', bytes)
        .all(|at| bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

/// Parses a Content-Length: digits only (RFC 9110, section 8.6), and no more bytes than a file can have. A list of
/// equal numbers is refused.
pub(crate) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let len = decimal(value)?;
    i64::try_from(len).is_ok().then_some(len)
}

/// A number of up to 19 digits.
fn decimal(digits: &[u8]) -> Option<u64> {
    let mut number = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    Some(number)
}

/// `tchar` of RFC 9110, section 5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = alphanumeric_and(b"!#$%&'*+-.^_`|~");
    TOKEN[usize::from(byte)]
}

/// Whether a byte may stand in a name, or in an IPv4 address.
fn is_host(byte: u8) -> bool {
    const HOST: [bool; 256] = alphanumeric_and(b"-._");
    HOST[usize::from(byte)]
}

const fn alphanumeric_and(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

/// The length of the token at the beginning of `bytes`.
#[inline]
pub(crate) fn token_len(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mut len = 0;
    for word in words {
        let Some(first) = no_letter_in_word(*word) else {
            len += 8;
            continue;
        };
        len += first;
        break;
    }
    // Nearly all names of fields consist of letters and hyphens, so this sees no more than the byte behind the token.
    while bytes.get(len).is_some_and(|byte| is_token(*byte)) {
        len += 1;
    }
    len
}

pub(crate) fn all_token(bytes: &[u8]) -> bool {
    token_len(bytes) == bytes.len()
}

/// Whether a field value has no control bytes except tab. High bytes are obsolete, but opaque and harmless.
pub(crate) fn is_value(value: &[u8]) -> bool {
    control_byte(value).is_none()
}

/// The position of the first control byte except tab.
#[inline]
pub(crate) fn control_byte(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        if let Some(first) = control_in_word(*word) {
            return Some(at + first);
        }
        at += 8;
    }
    rest.iter().position(|byte| is_control(*byte)).map(|first| at + first)
}

fn is_control(byte: u8) -> bool {
    (byte < 0x20) & (byte != b'\t') | (byte == 0x7f)
}

/// One in each byte of a word, and the highest bit of each. Bytes of a word are looked at all at once: each has its own
/// bit in a number, and no carry reaches another byte.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = 0x80 * ONES;

/// The first byte of eight that is neither a letter nor a hyphen.
#[inline]
fn no_letter_in_word(bytes: [u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(bytes);
    let low = word & !HIGH;
    let small = low | (0x20 * ONES);
    let is_letter = (small + 0x1f * ONES) & !(small + 0x05 * ONES);
    let is_no_hyphen = (low ^ (u64::from(b'-') * ONES)) + 0x7f * ONES;
    let found = (!is_letter & is_no_hyphen | word) & HIGH;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// The first control byte of eight.
#[inline]
fn control_in_word(bytes: [u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(bytes);
    let low = word & !HIGH;
    let is_below_space = !(low + 0x60 * ONES);
    let is_del = low + ONES;
    let found = (is_below_space | is_del) & !word & HIGH;
    if found == 0 {
        return None;
    }
    let is_no_tab = (low ^ (u64::from(b'\t') * ONES)) + 0x7f * ONES;
    let found = found & is_no_tab;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_goes_on_as_sent_or_encoded_where_no_uri_can_hold_it() {
        for byte in 0..=255_u8 {
            for target in [[b'/', byte, b'x'].to_vec(), [b'/', b'?', byte, b'x'].to_vec()] {
                let mut passed = String::new();
                let shown = target.escape_ascii().to_string();
                if push_target(&target, &mut passed) {
                    // HTTP/2 carries no other ones.
                    let built = http::uri::PathAndQuery::try_from(&*passed);
                    assert!(built.is_ok_and(|built| built.as_str() == passed), "{shown}");
                    let decoded: Vec<u8> = percent_encoding::percent_decode_str(&passed).collect();
                    assert_eq!(decoded, target, "{shown}");
                    let carries = |target: &[u8]| {
                        http::uri::PathAndQuery::try_from(target).is_ok_and(|built| built.as_str().as_bytes() == target)
                    };
                    assert!(passed.as_bytes() == target || byte >= 0x80 || !carries(&target), "{shown}");
                } else {
                    assert!(matches!(byte, 0..=b' ' | b'#' | 0x7f), "{shown}");
                }
            }
        }
    }

    #[test]
    fn control_bytes_are_found_wherever_they_stand() {
        for byte in 0..=255_u8 {
            for len in 1..40 {
                for at in 0..len {
                    for around in [b' ', 0xff, b'\t', 0x80, b'~'] {
                        let mut bytes = vec![around; len];
                        bytes[at] = byte;
                        let expected = (byte.is_ascii_control() && byte != b'\t').then_some(at);
                        assert_eq!(control_byte(&bytes), expected, "{byte} at {at} of {len}");
                    }
                }
            }
        }
        assert_eq!(control_byte(b"0123456789abcdef0123\n\n\0\n"), Some(20));
        assert_eq!(control_byte(b"0123456\x7f\0"), Some(7));
    }

    #[test]
    fn a_token_ends_at_the_first_byte_that_is_none() {
        for byte in 0..=255_u8 {
            let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            for len in 1..20 {
                for at in 0..len {
                    for around in [b'a', b'Z', b'-', b'0', b'_'] {
                        let mut bytes = vec![around; len];
                        bytes[at] = byte;
                        assert_eq!(token_len(&bytes), if is_token { len } else { at }, "{byte} at {at} of {len}");
                    }
                }
            }
        }
        assert_eq!(token_len(b"Content-Type: a"), 12);
        assert_eq!(token_len(b""), 0);
    }

    #[test]
    fn the_grammar_of_hosts() {
        for good in ["a", "a.b", "a_b", "127.0.0.1:80", "[::1]", "[::1]:443", "a:", "xn--bcher-kva.example"] {
            assert!(host_of_authority(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", ":80", "u@a", "a b", "a/", "a:x", "a:99999", "[::1", "[x]", "a\u{e4}", "a,b", "::1"] {
            assert!(host_of_authority(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
