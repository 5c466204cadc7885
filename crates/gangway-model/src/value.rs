//! The values of labels. Text becomes a type here.
//!
//! Every function returns the value or a finding about the text. The caller, which knows the label, adds the place
//! and the effect.

use std::time::Duration;

use gangway_diagnostic::Code;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Finding, nearest, quoted};

/// The longest duration. A longer one is a slip.
const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A value, or a finding about its text.
pub(crate) type Parsed<T> = Result<T, Finding>;

/// `true`, `on`, `yes`, or `false`, `off`, `no`, in any case.
pub(crate) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" => Ok(true),
        "false" | "off" | "no" => Ok(false),
        _ => Err(wrong(codes::NOT_BOOLEAN, text, "is not a boolean", "neither yes nor no", "write `true` or `false`")),
    }
}

/// A whole number, negative ones too.
pub(crate) fn integer(text: &str) -> Parsed<i64> {
    text.parse().map_err(|_| {
        let is_number =
            !text.is_empty() && text.trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit());
        let note = if is_number { "too large" } else { "not digits" };
        wrong(codes::NOT_INTEGER, text, "is not a whole number", note, "write a whole number such as `10`")
    })
}

/// A TCP port.
pub(crate) fn port(text: &str) -> Parsed<u16> {
    let help = match text.rsplit([':', '/']).chain(text.split([':', '/'])).find(|part| part.parse::<u16>().is_ok()) {
        Some(number) if text.contains([':', '/']) => format!("write {}, the port inside the container", quoted(number)),
        _ => "write the number of the port at which the application listens, such as `8080`".to_owned(),
    };
    match text.parse() {
        Ok(port) if port > 0 && !text.starts_with('+') => Ok(port),
        _ => Err(wrong(codes::NOT_PORT, text, "is not a port", "a number from 1 to 65535", help)),
    }
}

/// Reads `250ms`, `5s`, `10m`, `1h`, `30d`, or a bare number of seconds. The duration is longer than zero.
///
/// # Errors
///
/// Returns a finding for any other text, with a span relative to it.
pub fn duration(text: &str) -> Result<Duration, Finding> {
    let (digits, unit) = split_number(text);
    let unit_len = match unit {
        "ms" => Some(Duration::from_millis(1)),
        "" | "s" => Some(Duration::from_secs(1)),
        "m" => Some(Duration::from_secs(60)),
        "h" => Some(Duration::from_secs(3600)),
        "d" => Some(Duration::from_secs(86_400)),
        _ => None,
    };
    let number: Option<u32> = digits.parse().ok();
    let duration = unit_len.zip(number).and_then(|(unit, number)| unit.checked_mul(number));
    match duration {
        Some(duration) if duration > Duration::ZERO && duration <= DURATION_MAX => Ok(duration),
        _ => {
            let note = match (unit_len, number) {
                (_, Some(0)) => "longer than nothing is needed",
                (Some(_), _) if !digits.is_empty() => "too long",
                (None, _) if !digits.is_empty() => "the units are ms, s, m, h and d",
                _ => "a number is missing",
            };
            Err(wrong(
                codes::NOT_DURATION,
                text,
                "is not a duration",
                note,
                "write one such as `250ms`, `5s`, `10m` or `1h`",
            ))
        }
    }
}

/// Like [`duration`], but at most `max`; `0` and `off` are zero.
pub(crate) fn duration_up_to(text: &str, max: Duration) -> Parsed<Duration> {
    let (digits, unit) = split_number(text);
    let is_none = digits.parse() == Ok(0_u32) && ["", "ms", "s", "m", "h", "d"].contains(&unit);
    if is_none || text.eq_ignore_ascii_case("off") {
        return Ok(Duration::ZERO);
    }
    let duration = duration(text)?;
    if duration > max {
        let hours = max.as_secs() / 3600;
        let help = format!("write at most `{hours}h`");
        return Err(wrong(codes::NOT_DURATION, text, "is too long", "longer than is possible here", help));
    }
    Ok(duration)
}

/// Parses a number of bytes: `50MB`, `1GiB`, or a bare number. More than zero.
pub fn size(text: &str) -> Parsed<u64> {
    let (digits, unit) = split_number(text);
    let factor: Option<u64> = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kb" => Some(1000),
        "mb" => Some(1000_u64.pow(2)),
        "gb" => Some(1000_u64.pow(3)),
        "tb" => Some(1000_u64.pow(4)),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1 << 40),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    match factor.zip(number).and_then(|(factor, number)| number.checked_mul(factor)) {
        Some(size) if size > 0 => Ok(size),
        size => {
            let (note, help) = match (size, factor) {
                (Some(_), _) => ("nothing could be sent", "leave the label out for no limit".to_owned()),
                (None, None) if ["k", "m", "g", "t"].iter().any(|short| unit.eq_ignore_ascii_case(short)) => {
                    let unit = unit.to_ascii_uppercase();
                    ("thousands or 1,024s?", format!("write `{digits}{unit}B` or `{digits}{unit}iB`"))
                }
                (None, _) => ("a whole number with a unit", "write one such as `50MB` or `1GiB`".to_owned()),
            };
            Err(wrong(codes::NOT_SIZE, text, "is not a size", note, help))
        }
    }
}

/// A status such as `204`, or a range of them with both of its ends, such as `200-399`.
pub(crate) fn statuses(text: &str) -> Parsed<(u16, u16)> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|status| (100..=599).contains(status) && text.len() == 3);
    let range = match text.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)).filter(|(first, last)| first <= last),
        None => number(text).map(|status| (status, status)),
    };
    let help = "write a status such as `204`, or a range such as `200-399`";
    range.ok_or_else(|| wrong(codes::NOT_STATUS, text, "is not a status", "from 100 to 599", help))
}

/// One of a few words, in any case.
pub(crate) fn choice<T: Copy>(text: &str, choices: &[(&'static str, T)]) -> Parsed<T> {
    if let Some((_, value)) = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        return Ok(*value);
    }
    let words = || choices.iter().map(|(word, _)| *word);
    let help = match nearest(text, words()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write {}", or_list(words())),
    };
    Err(wrong(codes::NOT_A_CHOICE, text, "is not one of the possible values", "not known here", help))
}

/// The entries of a list, with their positions; separated by commas or white space.
pub(crate) fn list(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_separator = |char: char| char == ',' || char.is_whitespace();
    split_at(text, move |_, char| is_separator(char))
}

/// Like [`list`], but in an entry that begins with `~` commas and white space inside brackets belong to the
/// expression: `~^/n/[0-9]{1,3}$`.
pub(crate) fn list_of_patterns(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let (mut depth, mut in_class, mut escaped, mut in_expression, mut at_start) = (0_u32, false, false, false, true);
    split_at(text, move |_, char| {
        let is_separator = (char == ',' || char.is_whitespace()) && depth == 0 && !in_class && !escaped;
        if is_separator {
            (in_expression, at_start) = (false, true);
            return true;
        }
        if at_start {
            (in_expression, at_start) = (char == '~', false);
        }
        if in_expression {
            match char {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                ']' if in_class => in_class = false,
                _ if in_class => {}
                '[' => in_class = true,
                '(' | '{' => depth += 1,
                ')' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        false
    })
}

/// Like [`list_of_patterns`], but only commas separate entries, so that one may have several words.
pub(crate) fn list_of_phrases(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut words = list_of_patterns(text).peekable();
    std::iter::from_fn(move || {
        let (start, first) = words.next()?;
        let mut end = start + first.len();
        while let Some((at, word)) = words.next_if(|(at, _)| !text[end..*at].contains(',')) {
            end = at + word.len();
        }
        Some((start, &text[start..end]))
    })
}

/// Words with `or` before the last one, each in backticks.
pub(crate) fn or_list<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    joined(words, "or")
}

/// Words with `and` before the last one, each in backticks.
pub(crate) fn and_list<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    joined(words, "and")
}

fn joined<'w>(words: impl IntoIterator<Item = &'w str>, last: &str) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    match &words[..] {
        [] => String::new(),
        [only] => only.clone(),
        [all @ .., end] => format!("{} {last} {end}", all.join(", ")),
    }
}

/// An error about the whole of a value.
pub(crate) fn wrong(code: Code, text: &str, what: &str, note: &str, help: impl Into<String>) -> Finding {
    Finding::error(code, 0..text.len(), format!("{} {what}", quoted(text)), note, unquoted(text).unwrap_or(help.into()))
}

/// Quotes around a whole value are nearly always a slip: in the list syntax of compose they are part of it.
fn unquoted(text: &str) -> Option<String> {
    let inner = ['"', '\''].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))?;
    Some(format!("write {} without the quotes: here they are part of the value", quoted(inner)))
}

fn split_number(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}

fn split_at(text: &str, mut is_separator: impl FnMut(usize, char) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    let mut ends = text.char_indices().map(|(at, char)| (at, Some(char))).chain([(text.len(), None)]);
    std::iter::from_fn(move || {
        for (at, char) in ends.by_ref() {
            if char.is_none_or(|char| is_separator(at, char)) {
                let entry = (start, &text[start..at]);
                start = at + char.map_or(0, char::len_utf8);
                if !entry.1.is_empty() {
                    return Some(entry);
                }
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_six_words() {
        for text in ["true", "on", "YES"] {
            assert_eq!(boolean(text), Ok(true));
        }
        for text in ["False", "off", "no"] {
            assert_eq!(boolean(text), Ok(false));
        }
        for text in ["1", "", "ja", "\"true\""] {
            assert!(boolean(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotes_in_a_value_are_named() {
        let help = boolean("\"true\"").expect_err("quotes").help;
        assert_eq!(help, "write `true` without the quotes: here they are part of the value");
    }

    #[test]
    fn ports_are_numbers_inside_the_container() {
        assert_eq!(port("8080"), Ok(8080));
        for text in ["0", "65536", "-1", "+80", "web", "", "80 "] {
            assert!(port(text).is_err(), "{text}");
        }
        assert_eq!(port("8080:80").expect_err("two").help, "write `80`, the port inside the container");
        assert_eq!(port("80/tcp").expect_err("protocol").help, "write `80`, the port inside the container");
    }

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        for (text, millis) in
            [("250ms", 250), ("5s", 5000), ("10m", 600_000), ("1h", 3_600_000), ("30", 30_000), ("1d", 86_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "soon", "0", "0s", "-5s", "5 parsecs", "1h30m", "99999999999s", "4000000000d", "1.5s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_bounded_duration_may_be_nothing_and_never_more_than_its_bound() {
        let hour = Duration::from_secs(3600);
        for (text, millis) in [("0", 0), ("off", 0), ("0s", 0), ("250ms", 250), ("1h", 3_600_000)] {
            assert_eq!(duration_up_to(text, hour), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["61m", "soon", "0 parsecs", ""] {
            assert!(duration_up_to(text, hour).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_a_unit_or_are_bytes() {
        for (text, bytes) in
            [("50MB", 50_000_000), ("1GiB", 1 << 30), ("10", 10), ("1kb", 1000), ("2 KiB", 2048), ("7B", 7)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "-5", "0", "50M", "1.5GB", "99999999999999TB", "many"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(size("50m").expect_err("ambiguous").help, "write `50MB` or `50MiB`");
    }

    #[test]
    fn statuses_stand_alone_or_in_ranges() {
        assert_eq!((statuses("204"), statuses("200-399")), (Ok((204, 204)), Ok((200, 399))));
        for text in ["", "20", "600", "399-200", "200-", "+20", "ok"] {
            assert!(statuses(text).is_err(), "{text}");
        }
    }

    #[test]
    fn choices_name_the_nearest() {
        let choices = [("http", 1), ("https", 2)];
        assert_eq!(choice("HTTPS", &choices), Ok(2));
        assert_eq!(choice("htps", &choices).expect_err("unknown").help, "did you mean `https`?");
        assert_eq!(choice("fcgi", &choices).expect_err("unknown").help, "write `http` or `https`");
    }

    #[test]
    fn lists_are_separated_by_commas_or_white_space() {
        let entries = |text| list(text).collect::<Vec<_>>();
        assert_eq!(entries("a, b\n c,,d "), [(0, "a"), (3, "b"), (6, "c"), (9, "d")]);
        assert_eq!(entries(" , "), []);
        assert_eq!(entries("ü,é"), [(0, "ü"), (3, "é")]);
    }

    #[test]
    fn commas_in_an_expression_do_not_end_it() {
        let entries = |text| list_of_patterns(text).map(|(_, entry)| entry).collect::<Vec<_>>();
        assert_eq!(entries("/a,~^/n/[0-9]{1,3}$, =/b"), ["/a", "~^/n/[0-9]{1,3}$", "=/b"]);
        assert_eq!(entries(r"~^/[,(]x\(, /y"), [r"~^/[,(]x\(", "/y"]);
        assert_eq!(entries("/a{1,2}"), ["/a{1", "2}"]);
    }

    #[test]
    fn only_commas_separate_phrases() {
        let entries = |text| list_of_phrases(text).collect::<Vec<_>>();
        assert_eq!(entries(" /a  /b ,, c\n d,"), [(1, "/a  /b"), (11, "c\n d")]);
        assert_eq!(entries("x ~^/n/[0-9]{1, 3}$ y, z"), [(0, "x ~^/n/[0-9]{1, 3}$ y"), (23, "z")]);
        assert_eq!(entries(" , "), []);
    }
}
