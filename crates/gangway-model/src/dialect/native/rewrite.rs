//! `rewrite` and `add-prefix`: what becomes of the path on the way to the application.

use crate::regex_pattern::RegexPattern;
use crate::replacement::{Replacement, can_be_sent};
use crate::value::Parsed;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Finding, quoted};

/// The whole path, whatever it is.
pub(super) const WHOLE_PATH: &str = "(?s)^.*$";

/// A rewriting as read.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    pub pattern: RegexPattern,
    pub replacement: Replacement,
}

/// Reads a path, or `~expression -> replacement`.
pub(super) fn parse(text: &str) -> Parsed<Rewrite> {
    let Some(expression) = text.strip_prefix('~') else {
        if text.contains("->") {
            return Err(Finding::error(
                codes::REWRITE,
                0..text.len(),
                format!("{} is not a rewriting", quoted(text)),
                "an expression begins with `~`",
                format!("write {}", quoted(&format!("~{text}"))),
            ));
        }
        let path = path_to_send(text)?;
        // A dollar sign in the path is only that.
        let mut findings = Vec::new();
        let pattern = RegexPattern::parse(WHOLE_PATH, &mut findings).expect("this expression is valid");
        return Ok(Rewrite { pattern, replacement: Replacement::constant(path) });
    };
    let Some((expression, replacement)) = expression.rsplit_once("->") else {
        return Err(Finding::error(
            codes::REWRITE,
            0..text.len(),
            format!("{} is not a rewriting", quoted(text)),
            "the replacement is missing",
            "write `~expression -> replacement`, such as `~^/old/(.*)$ -> /new/$1`",
        ));
    };
    let at = text.len() - replacement.trim_start().len();
    let replacement = replacement.trim();
    let offset = 1 + expression.len() - expression.trim_start().len();
    let mut findings = Vec::new();
    let pattern = RegexPattern::parse(expression.trim(), &mut findings);
    let Some(pattern) = pattern else {
        let finding = findings.into_iter().next().expect("a pattern or a finding");
        return Err(finding.shifted(offset));
    };
    let replacement = Replacement::parse(replacement, pattern.regex()).map_err(|finding| finding.shifted(at))?;
    Ok(Rewrite { pattern, replacement })
}

/// A path as it stands in a request. May bring a query of its own only in a replacement.
pub(super) fn path_to_send(text: &str) -> Parsed<&str> {
    let wrong = |span, what: &str, note: &str, help: String| {
        Err(Finding::error(codes::PATH_TO_SEND, span, format!("{} {what}", quoted(text)), note, help))
    };
    if !text.starts_with('/') {
        let end = text.chars().next().map_or(0, char::len_utf8);
        return wrong(0..end, "is not a path", "a `/` is missing", format!("write {}", quoted(&format!("/{text}"))));
    }
    if let Some(at) = text.find(['?', '#']) {
        return wrong(at..text.len(), "is more than a path", "not part of the path", "remove it".into());
    }
    if let Some((at, char)) = text.char_indices().find(|(_, char)| !can_be_sent(*char)) {
        let end = at + char.len_utf8();
        return wrong(at..end, "cannot be sent", "cannot stand in a URL", "percent-encode it, such as `%20`".into());
    }
    if text.trim_end_matches('/').is_empty() {
        return match text {
            "/" => Ok(text),
            _ => wrong(0..text.len(), "names another host", "begins with two slashes", "write one slash".into()),
        };
    }
    if text.starts_with("//") {
        return wrong(0..2, "names another host", "begins with two slashes", "write one slash".into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target_change;

    fn rewritten(text: &str, path: &str) -> String {
        let Rewrite { pattern, replacement } = parse(text).expect(text);
        target_change::rewritten(&pattern, &replacement, path).expect("no dots").unwrap_or_else(|| path.to_owned())
    }

    #[test]
    fn paths_are_replaced() {
        assert_eq!(rewritten("/new", "/a/b"), "/new");
        assert_eq!(rewritten("/ne$w$1", "/a/b"), "/ne$w$1");
        assert_eq!(rewritten("~^/old/(.*)$ -> /new/$1", "/old/x"), "/new/x");
        assert_eq!(rewritten("~^/(?<user>[a-z]+)/ -> /home/${user}/", "/ann/x"), "/home/ann/x");
        assert_eq!(rewritten("~^/old/(.*)$ -> /new?p=$1", "/old/x"), "/new?p=x");
        assert_eq!(rewritten("~a->b -> /", "/"), "/");
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        let finding = |text| {
            let finding = parse(text).expect_err(text);
            (finding.code, finding.span.start..finding.span.end, finding.help)
        };
        assert_eq!(finding("~^/a(b -> /c").0, codes_of_regex());
        assert_eq!(finding("~^/a(b -> /c").1, 4..5);
        assert_eq!(finding("~^/a").0, codes::REWRITE);
        assert_eq!(finding("^/a(.*) -> /b").0, codes::REWRITE);
        assert_eq!(
            finding("~^/(.*) -> /b/$2"),
            (
                codes::REPLACEMENT_REFERENCE,
                14..16,
                "put the part of the expression that is meant in parentheses".into()
            )
        );
        assert_eq!(finding("~^/(.*) -> /$1x"), (codes::REPLACEMENT_REFERENCE, 12..15, "write `${1}x`".into()));
        assert_eq!(finding("~^/(.*) -> new").0, codes::REWRITE);
        assert_eq!(finding("new").0, codes::PATH_TO_SEND);
        assert_eq!(finding("/a?b").1, 2..4);
        assert_eq!(finding("//evil.example").0, codes::PATH_TO_SEND);
    }

    fn codes_of_regex() -> gangway_diagnostic::Code {
        codes::REGEX_INVALID
    }
}
