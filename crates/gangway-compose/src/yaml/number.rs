//! Plain scalars that compose takes for numbers, and writes in its own form.

/// The text that compose makes of a plain scalar that it takes for a number. None where the two are the same, or
/// where it is no number.
pub(crate) fn normalized(value: &str) -> Option<String> {
    value.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')).then_some(())?;
    let plain = value.replace('_', "");
    let number = integer(&plain).map(|number| number.to_string()).or_else(|| float(&plain))?;
    (number != value).then_some(number)
}

/// Reads an integer as Go does, with the base that its prefix names.
fn integer(plain: &str) -> Option<i64> {
    let (is_negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain.strip_prefix('+').unwrap_or(plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((radix, lower.strip_prefix(prefix)?)))
        .or_else(|| Some((8, lower.strip_prefix('0').filter(|rest| !rest.is_empty())?)))
        .unwrap_or((10, &lower));
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(if is_negative { -number } else { number })
}

/// Writes a float as Go does, with an exponent where it is very large or very small.
fn float(plain: &str) -> Option<String> {
    let is_float = plain.chars().all(|char| char.is_ascii_digit() || matches!(char, '+' | '-' | '.' | 'e' | 'E'));
    let number: f64 = plain.parse().ok().filter(|number: &f64| is_float && number.is_finite())?;
    if number == 0.0 || (1e-4..1e21).contains(&number.abs()) {
        return Some(number.to_string());
    }
    let written = format!("{number:e}");
    let (mantissa, exponent) = written.split_once('e')?;
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    Some(format!("{mantissa}e{sign}{digits:0>2}"))
}
