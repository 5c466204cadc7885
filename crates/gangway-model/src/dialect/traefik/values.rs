//! The values of Traefik's options: as Go and Traefik read them.

use std::time::Duration;

use gangway_diagnostic::{Finding, codes, quoted};

use crate::value::{Parsed, wrong};

/// Go's `strconv.ParseBool`.
pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(wrong(codes::TRAEFIK_VALUE, text, "is not a boolean", "", "write `true` or `false`")),
    }
}

/// A whole number.
pub(super) fn integer(text: &str) -> Parsed<i64> {
    text.parse()
        .map_err(|_| wrong(codes::TRAEFIK_VALUE, text, "is not a whole number", "", "write a number such as `10`"))
}

/// A whole number that is not negative.
pub(super) fn count(text: &str) -> Parsed<u64> {
    let finding = || wrong(codes::TRAEFIK_VALUE, text, "is not a number of things", "", "write a number such as `10`");
    text.parse().map_err(|_| finding())
}

/// A bare number of seconds, or a duration as Go writes it, such as `1m30s`.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let finding =
        || wrong(codes::TRAEFIK_VALUE, text, "is not a duration", "", "write a duration such as `10s` or `1m30s`");
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.').ok_or_else(finding)?;
        let number: f64 = rest[..digits].parse().map_err(|_| finding())?;
        let behind = &rest[digits..];
        let len = behind.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(behind.len());
        let unit = UNITS.iter().find(|(unit, _)| *unit == &behind[..len]).ok_or_else(finding)?;
        total += number * unit.1;
        rest = &behind[len..];
    }
    if text.is_empty() { Err(finding()) } else { Duration::try_from_secs_f64(total).map_err(|_| finding()) }
}

/// One of several words, in any case.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&'static str, T)]) -> Parsed<T> {
    let chosen = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<String> = choices.iter().map(|(word, _)| quoted(word)).collect();
        let help = format!("write {}", crate::value::or_list(words.iter().map(String::as_str)));
        wrong(codes::TRAEFIK_VALUE, text, "is not among the known words", "", help)
    })
}

/// A finding about the whole of an option.
pub(super) fn invalid(message: impl Into<String>, help: impl Into<String>) -> Finding {
    Finding::error(codes::TRAEFIK_VALUE, 0..0, message, "", help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_go_reads_them() {
        for (text, value) in [("1", Some(true)), ("True", Some(true)), ("f", Some(false)), ("yes", None), ("", None)] {
            assert_eq!(boolean(text).ok(), value, "{text}");
        }
        for (text, millis) in [
            ("10", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1500)),
            ("100ms", Some(100)),
            ("1d", None),
            ("-1", None),
            ("", None),
            ("s", None),
            ("1..2s", None),
        ] {
            assert_eq!(duration(text).ok(), millis.map(Duration::from_millis), "{text}");
        }
    }
}
