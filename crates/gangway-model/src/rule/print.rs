//! Expressions as canonical text. Parsing the text gives the same expression.

use std::fmt::{self, Display, Formatter, Write};

use ipnet::IpNet;

use super::expression::{Condition, Expression, Term};
use crate::path::escaped;
use crate::regex_pattern::RegexPattern;

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.term() {
            Term::All(parts) => joined(f, parts, " && ", |part| matches!(part.term(), Term::Any(_))),
            Term::Any(parts) => joined(f, parts, " || ", |_| false),
            Term::Not(inner) => {
                let is_matcher = matches!(inner.term(), Term::Is(_));
                if is_matcher { write!(f, "!{inner}") } else { write!(f, "!({inner})") }
            }
            Term::Is(condition) => condition.fmt(f),
        }
    }
}

fn joined(
    f: &mut Formatter<'_>,
    parts: &[Expression],
    operator: &str,
    needs_parentheses: impl Fn(&Expression) -> bool,
) -> fmt::Result {
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            f.write_str(operator)?;
        }
        if needs_parentheses(part) { write!(f, "({part})")? } else { part.fmt(f)? }
    }
    Ok(())
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(hosts) => call(f, "Host", hosts),
            Self::HostRegexp(patterns) => call(f, "HostRegexp", patterns.iter().map(RegexPattern::as_str)),
            Self::Path(paths) => call(f, "Path", paths.iter().map(|path| escaped(path))),
            Self::PathPrefix(paths) => call(f, "PathPrefix", paths.iter().map(|path| escaped(path))),
            Self::PathRegexp(patterns) => call(f, "PathRegexp", patterns.iter().map(RegexPattern::as_str)),
            Self::Method(methods) => call(f, "Method", methods),
            Self::Header(name, value) => call(f, "Header", [name.as_str(), value]),
            Self::HeaderRegexp(name, pattern) => call(f, "HeaderRegexp", [name.as_str(), pattern.as_str()]),
            Self::Query(key, None) => call(f, "Query", [key]),
            Self::Query(key, Some(value)) => call(f, "Query", [key, value]),
            Self::QueryRegexp(key, pattern) => call(f, "QueryRegexp", [key, pattern.as_str()]),
            Self::ClientIp(networks) => call(f, "ClientIP", networks.iter().map(|network| NetworkOrAddress(*network))),
        }
    }
}

/// A network that is one address is written as the address.
struct NetworkOrAddress(IpNet);

impl Display for NetworkOrAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_address = self.0.prefix_len() == self.0.max_prefix_len();
        if is_address { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

fn call(f: &mut Formatter<'_>, name: &str, values: impl IntoIterator<Item = impl Display>) -> fmt::Result {
    f.write_str(name)?;
    f.write_char('(')?;
    let mut text = String::new();
    for (position, value) in values.into_iter().enumerate() {
        if position > 0 {
            f.write_str(", ")?;
        }
        text.clear();
        write!(text, "{value}")?;
        f.write_str(&quoted(&text))?;
    }
    f.write_char(')')
}

/// The text in backticks where possible, otherwise in double quotes with escapes.
fn quoted(text: &str) -> String {
    let is_plain = !text.contains(|char: char| char == '`' || char.is_control());
    if is_plain {
        return format!("`{text}`");
    }
    let mut quoted = String::from('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            _ if char.is_control() => quoted.extend(char.escape_unicode()),
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}
