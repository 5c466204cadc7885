//! Durations as Go writes them, such as `3h59m58.16s`.

use std::time::Duration;

/// No decision lasts for longer, and the clock can add it.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Parses a duration. One below zero, of a decision that has ended, is nothing; a very long one is ten years.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (is_over, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number_len = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (number, behind) = rest.split_at(number_len);
        let unit_len = behind.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(unit_len);
        seconds += number.parse::<f64>().ok()? * unit_seconds(unit)?;
        rest = next;
    }
    if is_over {
        return Some(Duration::ZERO);
    }
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST))
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        // The sign for micro, and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, milliseconds) in [
            ("3h59m58.160530434s", 14_398_161),
            ("1h0m0s", 3_600_000),
            ("2m", 120_000),
            ("1.5h", 5_400_000),
            ("+250ms", 250),
            (".5s", 500),
            ("0", 0),
            ("0s", 0),
            ("-1.032413949s", 0),
            ("-4h", 0),
        ] {
            let read = parse(text).map(|duration| duration.as_secs_f64() * 1e3);
            assert_eq!(read.map(f64::round), Some(f64::from(milliseconds)), "{text}");
        }
        assert_eq!(parse("42\u{b5}s"), Some(Duration::from_micros(42)));
        assert_eq!(parse("42\u{3bc}s"), parse("42us"));
        assert_eq!(parse("7ns"), Some(Duration::from_nanos(7)));
        assert_eq!(parse("99999999999999h"), Some(LONGEST));
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in ["", "-", "4", "h", "4x", "1..5s", "4h ", "1h30", "never", "NaNs", "infs", "1e3s"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
