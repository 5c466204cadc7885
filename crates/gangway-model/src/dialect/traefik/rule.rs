//! Traefik's rules.
//!
//! The grammar is the one of our own rules. The matchers differ: a path prefix is a prefix of the text, and does not end at
//! a slash; `Query` with one value asks for an empty parameter; and forms of Traefik 2 still stand in many files, which
//! Traefik 3 refuses or takes for something else. Those are read as they were meant, and a finding says so.

use std::ops::Range;

use gangway_diagnostic::{Finding, codes, quoted};
use regex::escape;

use crate::regex_pattern::RegexPattern;
use crate::rule::{Argument, Condition, Expression, parse_with, read_condition};

/// Reads a rule. None where the findings contain an error.
pub(super) fn parse(text: &str, findings: &mut Vec<Finding>) -> Option<Expression> {
    parse_with(read, text, findings)
}

fn read(name: &str, span: Range<usize>, values: &[Argument], findings: &mut Vec<Finding>) -> Option<Condition> {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    let known = ["Host", "HostRegexp", "Path", "PathPrefix", "PathRegexp", "Method", "ClientIP"];
    if values.len() > 1 && known.iter().any(|one| is(one)) {
        let each = values.iter().map(|value| format!("{name}(`{}`)", value.text)).collect::<Vec<_>>().join(" || ");
        findings.push(of_version_2(span.clone(), format!("`{name}` with several values"), format!("write {each}")));
    }
    match name {
        _ if is("HostRegexp") => {
            let anchored = |text: &str| Some(format!("^{}$", placeholders(text, "[^.]+")?));
            regexes(values, anchored, RegexPattern::parse_for_host, findings).map(Condition::HostRegexp)
        }
        _ if is("Path") && values.iter().any(|value| placeholders(&value.text, "[^/]+").is_some()) => {
            let exact = |text: &str| {
                Some(placeholders(text, "[^/]+").map_or_else(|| format!("^{}$", escape(text)), |re| format!("^{re}$")))
            };
            regexes(values, exact, RegexPattern::parse, findings).map(Condition::PathRegexp)
        }
        _ if is("PathPrefix") && !values.is_empty() => prefixes(values, findings),
        _ if is("PathRegexp") => regexes(values, |_| None, RegexPattern::parse, findings).map(Condition::PathRegexp),
        _ if is("Query") && values.len() == 1 && !values[0].text.contains('=') => {
            // The parameter is there and empty.
            let condition = read_condition("Query", span, values, findings)?;
            let Condition::Query(key, None) = condition else { return Some(condition) };
            Some(Condition::Query(key, Some(Box::default())))
        }
        _ if is("Headers") || is("HeadersRegexp") => {
            let now = if is("Headers") { "Header" } else { "HeaderRegexp" };
            findings.push(of_version_2(span.clone(), format!("matcher `{name}`"), format!("write {now}(…)")));
            read_condition(now, span, values, findings)
        }
        _ => {
            let canonical = ["Host", "Path", "Method", "Header", "HeaderRegexp", "Query", "QueryRegexp", "ClientIP"];
            let canonical = canonical.iter().copied().find(|one| is(one)).unwrap_or(name);
            read_condition(canonical, span, values, findings)
        }
    }
}

/// Reads regular expressions. Where `of_old` finds the form of Traefik 2, what it makes of it counts.
fn regexes(
    values: &[Argument],
    of_old: impl Fn(&str) -> Option<String>,
    parse: fn(&str, &mut Vec<Finding>) -> Option<RegexPattern>,
    findings: &mut Vec<Finding>,
) -> Option<Vec<RegexPattern>> {
    let read = |value: &Argument| match of_old(&value.text) {
        None => value.read(findings, parse),
        Some(now) => {
            let help = format!("write {}", quoted(&now));
            if placeholders(&value.text, "").is_some() {
                findings.push(of_version_2(
                    value.span.clone(),
                    format!("{} has a placeholder", quoted(&value.text)),
                    help,
                ));
            }
            let mut of_new = Vec::new();
            let pattern = parse(&now, &mut of_new);
            // Places in the translation are no places in the rule.
            findings.extend(of_new.into_iter().map(|finding| Finding { span: value.span.clone().into(), ..finding }));
            pattern
        }
    };
    let patterns: Vec<_> = values.iter().map(read).collect();
    if patterns.is_empty() { None } else { patterns.into_iter().collect() }
}

/// Prefixes of the text of the path. One that everything begins with is no condition.
fn prefixes(values: &[Argument], findings: &mut Vec<Finding>) -> Option<Condition> {
    if let [value] = values
        && value.text == "/"
    {
        return Some(Condition::PathPrefix(vec!["/".into()]));
    }
    let mut is_fine = true;
    for value in values.iter().filter(|value| !value.text.starts_with('/')) {
        is_fine = false;
        let message = format!("{} does not begin with a slash", quoted(&value.text));
        let help = format!("write `/{}`", value.text);
        findings.push(Finding::error(codes::PATH_NO_SLASH, value.span.clone(), message, "a `/` is missing", help));
    }
    let begins = |text: &str| {
        Some(placeholders(text, "[^/]+").map_or_else(|| format!("^{}", escape(text)), |pattern| format!("^{pattern}")))
    };
    let patterns = regexes(values, begins, RegexPattern::parse, findings);
    patterns.filter(|_| is_fine).map(Condition::PathRegexp)
}

/// The regular expression for a text with `{name}` or `{name:expression}`, which stands for `[^/]+` or the like; none
/// where there is no placeholder.
fn placeholders(text: &str, anything: &str) -> Option<String> {
    let (mut pattern, mut rest, mut is_found) = (String::new(), text, false);
    while let Some(open) = rest.find('{') {
        let inner = &rest[open + 1..];
        let name = inner.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).count();
        let begins = inner.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        let len = closing(inner).filter(|_| begins);
        let expression = match (len, inner.as_bytes().get(name)) {
            (Some(len), Some(b'}')) if len == name => Some((len, anything)),
            (Some(len), Some(b':')) if len > name => Some((len, &inner[name + 1..len])),
            _ => None,
        };
        pattern.push_str(&escape(&rest[..open]));
        if let Some((len, expression)) = expression {
            is_found = true;
            pattern += &format!("(?:{expression})");
            rest = &inner[len + 1..];
        } else {
            pattern.push_str(r"\{");
            rest = inner;
        }
    }
    pattern.push_str(&escape(rest));
    is_found.then_some(pattern)
}

/// The place of the brace that closes the one before `inner`.
fn closing(inner: &str) -> Option<usize> {
    let mut depth = 0;
    inner.bytes().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return true,
            b'}' => depth -= 1,
            _ => {}
        }
        false
    })
}

fn of_version_2(span: Range<usize>, message: String, help: String) -> Finding {
    Finding::error(codes::TRAEFIK_VERSION_2, span, message, "a form of Traefik 2, read as it was meant there", help)
        .warning()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as it is read, and the codes of what was found.
    fn read_back(text: &str) -> (Option<String>, Vec<u16>) {
        let mut findings = Vec::new();
        let rule = parse(text, &mut findings);
        (rule.map(|rule| rule.to_string()), findings.iter().map(|finding| finding.code.0).collect())
    }

    #[test]
    fn rules_are_read_as_traefik_reads_them() {
        let old = codes::TRAEFIK_VERSION_2.0;
        for (text, rule, codes) in [
            ("Host(`a.test`)", Some("Host(`a.test`)"), vec![]),
            ("host(`a.test`) && PATHPREFIX(`/api`)", Some("Host(`a.test`) && PathRegexp(`^/api`)"), vec![]),
            ("PathPrefix(`/`)", Some("PathPrefix(`/`)"), vec![]),
            ("PathPrefix(`/a.b/`)", Some(r"PathRegexp(`^/a\.b/`)"), vec![]),
            ("PathPrefix(`api`)", None, vec![codes::PATH_NO_SLASH.0]),
            ("Query(`debug`)", Some("Query(`debug`, ``)"), vec![]),
            ("Query(`a`, `1`)", Some("Query(`a`, `1`)"), vec![]),
            ("Host(`a.test`, `b.test`)", Some("Host(`a.test`, `b.test`)"), vec![old]),
            ("HostRegexp(`{sub:[a-z]{2,3}}.a.test`)", Some(r"HostRegexp(`^(?:[a-z]{2,3})\.a\.test$`)"), vec![old]),
            ("HostRegexp(`^[a-z]{2,3}\\.a\\.test$`)", Some(r"HostRegexp(`^[a-z]{2,3}\.a\.test$`)"), vec![]),
            ("Path(`/x/{id:[0-9]+}`)", Some("PathRegexp(`^/x/(?:[0-9]+)$`)"), vec![old]),
            ("PathPrefix(`/{any}/x`)", Some("PathRegexp(`^/(?:[^/]+)/x`)"), vec![old]),
            ("Headers(`X-A`, `1`)", Some("Header(`x-a`, `1`)"), vec![old]),
        ] {
            assert_eq!(read_back(text), (rule.map(str::to_owned), codes), "{text}");
        }
        for broken in ["Host('a.test')", "Host(`a.test`", "Hots(`a.test`)", "Host(`a.test`) PathPrefix(`/`)", ""] {
            assert!(read_back(broken).0.is_none(), "{broken}");
        }
    }
}
