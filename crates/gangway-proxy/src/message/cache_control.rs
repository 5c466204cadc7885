//! `Cache-Control` (RFC 9111, section 5.2; RFC 5861).

use std::time::Duration;

/// The largest number of seconds (RFC 9111, section 1.2.2).
const SECONDS_MAX: u64 = 1 << 31;

/// The directives of `Cache-Control` that a shared cache obeys, of a request or a response.
///
/// What is written twice counts in its stricter form, and what cannot be read in its strictest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct CacheControl {
    pub(crate) is_there: bool,
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) private: bool,
    pub(crate) public: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) proxy_revalidate: bool,
    pub(crate) max_age: Option<Duration>,
    pub(crate) s_maxage: Option<Duration>,
    pub(crate) min_fresh: Option<Duration>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
}

impl CacheControl {
    /// Reads the values of all fields of that name.
    pub(crate) fn of<'f>(values: impl Iterator<Item = &'f [u8]>) -> Self {
        let mut control = Self::default();
        for value in values {
            control.is_there = true;
            if !directives(value, |directive| control.note(&directive)) {
                // Nobody can say where a directive ends that is in quotes without an end.
                control.no_store = true;
            }
        }
        control
    }

    /// Whether a client wants an answer of which it is known that it still holds.
    pub(crate) fn demands_fresh(&self) -> bool {
        self.no_cache || self.max_age.is_some() || self.min_fresh.is_some()
    }

    fn note(&mut self, directive: &Directive<'_>) {
        let Directive { name, argument, .. } = *directive;
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let shorter = |known: Option<Duration>| {
            let seconds = Duration::from_secs(argument.and_then(seconds).unwrap_or(0));
            Some(known.map_or(seconds, |known| known.min(seconds)))
        };
        match () {
            () if is("no-store") => self.no_store = true,
            // With an argument they concern single fields, and then a cache may still take them for the whole.
            () if is("no-cache") => self.no_cache = true,
            () if is("private") => self.private = true,
            () if is("public") => self.public = true,
            () if is("must-revalidate") => self.must_revalidate = true,
            () if is("proxy-revalidate") => self.proxy_revalidate = true,
            () if is("max-age") => self.max_age = shorter(self.max_age),
            () if is("s-maxage") => self.s_maxage = shorter(self.s_maxage),
            () if is("stale-while-revalidate") => self.stale_while_revalidate = shorter(self.stale_while_revalidate),
            () if is("stale-if-error") => self.stale_if_error = shorter(self.stale_if_error),
            () if is("min-fresh") => {
                self.min_fresh = Some(Duration::from_secs(argument.and_then(seconds).unwrap_or(SECONDS_MAX)));
            }
            () => {}
        }
    }
}

/// A number of seconds; one that is too large counts as the largest.
fn seconds(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number
        .then(|| std::str::from_utf8(text).ok()?.parse().ok().or(Some(SECONDS_MAX)))?
        .map(|number: u64| number.min(SECONDS_MAX))
}

/// One directive of a `Cache-Control` field (RFC 9111, section 5.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Directive<'a> {
    /// All of it, as written.
    pub(crate) text: &'a [u8],
    /// In any case.
    pub(crate) name: &'a [u8],
    /// Without quotes.
    argument: Option<&'a [u8]>,
}

/// Calls `found` for each directive of a value, up to one whose quotes are not closed. Returns whether all are.
pub(crate) fn directives(value: &[u8], mut found: impl FnMut(Directive<'_>)) -> bool {
    let mut rest = value;
    while !rest.is_empty() {
        let (mut end, mut is_quoted) = (0, false);
        while let Some(byte) = rest.get(end) {
            match byte {
                b'"' => is_quoted = !is_quoted,
                b'\\' if is_quoted => end += 1,
                b',' if !is_quoted => break,
                _ => {}
            }
            end += 1;
        }
        if is_quoted {
            return false;
        }
        let text = rest[..end.min(rest.len())].trim_ascii();
        let mut parts = text.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let argument = parts
            .next()
            .map(<[u8]>::trim_ascii)
            .map(|text| text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text));
        if !name.is_empty() {
            found(Directive { text, name, argument });
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> CacheControl {
        CacheControl::of(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn directives_are_read_in_any_case_with_and_without_quotes() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let there = CacheControl { is_there: true, ..CacheControl::default() };
        for (values, expected) in [
            (&[][..], CacheControl::default()),
            (&[""], there),
            (&["No-Store"], CacheControl { no_store: true, ..there }),
            (&["public,MAX-AGE=60"], CacheControl { public: true, max_age: seconds(60), ..there }),
            (&["public", " s-maxage = \"7\" "], CacheControl { public: true, s_maxage: seconds(7), ..there }),
            (&["private=\"set-cookie, x\", max-age=1"], CacheControl { private: true, max_age: seconds(1), ..there }),
            (&["no-cache=\"a\\\",b\",public"], CacheControl { no_cache: true, public: true, ..there }),
            (&["x=\"no-store\", y=no-store"], there),
            (&["max-age=60, max-age=30"], CacheControl { max_age: seconds(30), ..there }),
            (&["max-age=60", "max-age=x"], CacheControl { max_age: seconds(0), ..there }),
            (&["max-age"], CacheControl { max_age: seconds(0), ..there }),
            (&["max-age=-1"], CacheControl { max_age: seconds(0), ..there }),
            (&["max-age=1.5"], CacheControl { max_age: seconds(0), ..there }),
            (&["max-age=99999999999999999999999"], CacheControl { max_age: seconds(SECONDS_MAX), ..there }),
            (&["max-age=60, x=\"open"], CacheControl { no_store: true, max_age: seconds(60), ..there }),
            (
                &["stale-while-revalidate=5, stale-if-error=6, min-fresh=7"],
                CacheControl {
                    stale_while_revalidate: seconds(5),
                    stale_if_error: seconds(6),
                    min_fresh: seconds(7),
                    ..there
                },
            ),
            (&["must-revalidate;q=1, proxy-revalidate"], CacheControl { proxy_revalidate: true, ..there }),
        ] {
            assert_eq!(read(values), expected, "{values:?}");
        }
    }
}
