//! What is said about rules that are wrong: every code, its place and its help.

use gangway_diagnostic::{Finding, Severity, codes};
use gangway_model::rule;

fn findings(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rule = rule::parse(text, &mut findings);
    let has_error = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(rule.is_none(), has_error, "a rule exactly where there is no error: {text} {findings:#?}");
    findings
}

/// One line a finding: code, what the caret is under, message, note, help.
fn said(text: &str) -> Vec<String> {
    findings(text)
        .into_iter()
        .map(|finding| {
            let under = &text[finding.span.start..finding.span.end];
            format!("G{} [{under}] {}: {}; {}", finding.code.0, finding.message, finding.note, finding.help)
        })
        .collect()
}

#[track_caller]
fn assert_said(text: &str, expected: &[&str]) {
    let said = said(text);
    assert_eq!(said, expected, "\n{text}\n{said:#?}");
}

#[test]
fn an_unknown_matcher_is_answered_with_the_nearest() {
    assert_said(
        "PathPrefix(`/shop`) && Hosts(`shop.example.com`)",
        &["G104 [Hosts] unknown matcher `Hosts`: not a matcher; did you mean `Host`?"],
    );
    assert_said("host(`a.org`)", &["G104 [host] unknown matcher `host`: not a matcher; did you mean `Host`?"]);
    assert_said(
        "PathPrefixStrip(`/a`)",
        &["G104 [PathPrefixStrip] unknown matcher `PathPrefixStrip`: not a matcher; \
           write `PathPrefix` and set the label `strip-prefix`"],
    );
    assert_said(
        "Frobnicate(`a`)",
        &["G104 [Frobnicate] unknown matcher `Frobnicate`: not a matcher; matchers are Host, HostRegexp, Path, \
           PathPrefix, PathRegexp, Method, Header, HeaderRegexp, Query, QueryRegexp, ClientIP"],
    );
}

#[test]
fn everything_is_reported_at_once() {
    assert_said(
        "Hots(`a.org`) & PathPrefix(api) || Header(`X`) && ClientIP(`10.0.0.0/33`)",
        &[
            "G104 [Hots] unknown matcher `Hots`: not a matcher; did you mean `Host`?",
            "G106 [&] single `&`: not an operator; write `&&`",
            "G108 [api] `api` is not quoted: values stand in quotes; write `api` in backticks",
            "G140 [api] `api` does not begin with a slash: a `/` is missing; write `/api`",
            "G109 [Header] `Header` with 1 argument: takes two; write Header(`X-Version`, `2`)",
            "G125 [10.0.0.0/33] `10.0.0.0/33` is not an address or a network: \
             the part after `/` is not a number of bits; such as `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`",
        ],
    );
}

#[test]
fn nothing_is_not_a_rule() {
    for text in ["", "  \t"] {
        assert_eq!(findings(text)[0].code, codes::RULE_EMPTY);
    }
}

#[test]
fn bounds_are_kept() {
    assert_eq!(findings(&"!".repeat(5000))[0].code, codes::RULE_TOO_LONG);
    let deep = format!("{}Host(`a`){}", "(".repeat(33), ")".repeat(33));
    assert_said(
        &deep,
        &["G102 [(] rule nested too deeply: more than 32 parentheses are open here; \
           take parentheses out; `a && (b && c)` is the same as `a && b && c`"],
    );
    let allowed = format!("{}Host(`a`){}", "(".repeat(32), ")".repeat(32));
    assert_said(&allowed, &[]);
    assert_said(&format!("{}Host(`a`)", "!".repeat(4000)), &[]);
    assert!(findings(&"(".repeat(4096)).len() <= rule::FINDINGS_MAX);
    assert_eq!(findings(&"& ".repeat(2000)).len(), rule::FINDINGS_MAX);
}

#[test]
fn quotes_are_closed() {
    assert_said("Host(`a.org", &["G103 [`] unclosed quote: opened here, never closed; add the closing backtick"]);
    assert_said(
        r#"Host(`a.org`) && (Path("/x)"#,
        &[r#"G103 ["] unclosed quote: opened here, never closed; add the closing `"`"#],
    );
    assert_said(
        "Host('a.org')",
        &["G108 ['a.org'] single quotes around `a.org`: not a quote here; use backticks or double quotes"],
    );
    assert_said(
        "Host(“a.org”)",
        &["G108 [“a.org”] `“a.org”` is not quoted: values stand in quotes; write `a.org` in backticks"],
    );
}

#[test]
fn parentheses_are_matched() {
    assert_said("(Host(`a`)", &["G105 [(] unclosed `(`: opened here, never closed; add the closing `)`"]);
    assert_said("Host(`a` && Path(`/`)", &["G105 [(] unclosed `(`: opened here, never closed; add the closing `)`"]);
    assert_said("Host(`a`))", &["G105 [)] unmatched `)`: closes nothing; remove it, or add the missing `(`"]);
    assert_said(
        "Host(`a`)) && Pth(`/`)",
        &[
            "G105 [)] unmatched `)`: closes nothing; remove it, or add the missing `(`",
            "G104 [Pth] unknown matcher `Pth`: not a matcher; did you mean `Path`?",
        ],
    );
}

#[test]
fn operators_stand_between_conditions() {
    let missing = "add a matcher such as Host(`shop.example.org`), or remove this";
    assert_said(
        "Host(`a`) &&",
        &[&format!("G107 [&&] nothing beside `&&`: a condition is missing after this; {missing}")],
    );
    assert_said(
        "&& Host(`a`)",
        &[&format!("G107 [&&] nothing beside `&&`: a condition is missing before this; {missing}")],
    );
    assert_said("()", &[&format!("G107 [(] nothing beside `(`: a condition is missing after this; {missing}")]);
    assert_said(
        "Host(`a`) Path(`/`)",
        &["G107 [Path] no operator between two conditions: `&&` or `||` is missing before this; \
           join conditions by `&&` or `||`"],
    );
    assert_said(
        "Host(`a`) and not Path(`/`) OR Path(`/x`)",
        &[
            "G106 [and] `and` is not an operator: a word; write `&&`",
            "G106 [not] `not` is not an operator: a word; write `!`",
            "G106 [OR] `OR` is not an operator: a word; write `||`",
        ],
    );
    assert_said(
        "Host(`a`), Host(`b`)",
        &["G111 [,] `,` between conditions: separates arguments only; write `||` or `&&`"],
    );
}

#[test]
fn what_belongs_to_nothing_is_named() {
    assert_said("`a.org`", &["G111 [`a.org`] `a.org` without a matcher: a value alone says nothing; write Host(…)"]);
    assert_said(
        "a.org",
        &["G111 [a.org] `a.org` stands alone: neither a matcher nor an operator; write Host(`a.org`)"],
    );
    assert_said("Host && Path(`/`)", &["G107 [Host] `Host` stands alone: needs arguments; write Host(`…`)"]);
    assert_eq!(said("Host(`a`) = 3").len(), 2, "{:?}", said("Host(`a`) = 3"));
}

#[test]
fn arguments_are_separated_and_counted() {
    assert_said("Host()", &["G109 [Host] `Host` with no arguments: takes one or more; write Host(`shop.example.org`)"]);
    assert_said(
        "Query(`a`, `b`, `c`)",
        &["G109 [Query] `Query` with 3 arguments: takes one or two; write Query(`version`, `2`)"],
    );
    assert_said(
        "Host(`a` `b`)",
        &["G107 [`b`] no `,` between two values: missing before this; separate values by `,`"],
    );
    assert_said("Host(`a`,)", &["G107 [,] `,` without a value: a value is missing after this; remove it"]);
    assert_said("Host(,`a`)", &["G107 [,] `,` without a value: a value is missing before this; remove it"]);
}

#[test]
fn escapes_are_those_of_double_quotes() {
    assert_said(
        r#"PathRegexp("^/\d+")"#,
        &[
            r"G110 [\d] unknown escape `\d`: a backslash begins an escape in double quotes; double the backslash, or use backticks, in which it is an ordinary character",
        ],
    );
    assert_said(
        r#"Header("X", "a\"\\\n\t\x41\u{e9}\u00e9")"#,
        &[
            "G128 [\"a\\\"\\\\\\n\\t\\x41\\u{e9}\\u00e9\"] `a\"\\\\n\\tAéé` is not a header's value: has a control character; remove the control character",
        ],
    );
    assert_said(r#"Header("X", "a\"\\\x41\u{e9}\u00e9")"#, &[]);
}

#[test]
fn values_are_checked_at_their_place() {
    for (text, code, under) in [
        ("Host(`a.org:80`)", codes::HOST_NOT_ONLY_NAME, ":80"),
        ("Host(`b.org`, `a_/`)", codes::HOST_NOT_ONLY_NAME, "/"),
        ("Host(`a.*.org`)", codes::HOST_WILDCARD, "*"),
        ("Host(``)", codes::HOST_EMPTY, ""),
        ("Host(`10.1`)", codes::HOST_ADDRESS_INVALID, "10.1"),
        ("Host(`a b`)", codes::HOST_INVALID, " "),
        ("HostRegexp(`{sub:[a-z]+}.org`)", codes::REGEX_TEMPLATE, "{sub:[a-z]+}"),
        ("HostRegexp(`*.org`)", codes::REGEX_INVALID, "*"),
        ("PathRegexp(`^/(?!admin)`)", codes::REGEX_NOT_LINEAR, "(?!"),
        ("PathRegexp(`(a{1,999}){1,999}`)", codes::REGEX_TOO_LARGE, "(a{1,999}){1,999}"),
        // In double quotes with an escape, no place within is the place in the text.
        (r#"PathRegexp("\x41(")"#, codes::REGEX_INVALID, r#""\x41(""#),
        ("Path(`a`)", codes::PATH_NO_SLASH, "a"),
        ("Path(`/a?b`)", codes::PATH_WITH_QUERY, "?b"),
        ("Path(`/a%2fb`)", codes::PATH_DOUBTFUL, "%2f"),
        ("Method(`GET POST`)", codes::METHOD_INVALID, "GET POST"),
        ("Header(`X:`, `1`)", codes::FIELD_INVALID, "X:"),
        ("Query(``)", codes::PARAMETER_INVALID, ""),
        ("Query(`a=b`, `c=d`)", codes::PARAMETER_INVALID, "a=b"),
        ("ClientIP(`lan`)", codes::NETWORK_INVALID, "lan"),
    ] {
        let findings = findings(text);
        let [finding] = &findings[..] else { panic!("one finding about {text}: {findings:#?}") };
        assert_eq!((finding.code, &text[finding.span.start..finding.span.end]), (code, under), "{text}");
        assert!(!finding.note.is_empty() && !finding.help.is_empty(), "{finding:?}");
    }
}

#[test]
fn what_is_surely_not_meant_is_a_warning() {
    for (text, code, under) in [
        ("ClientIP(`10.1.2.3/8`)", codes::NETWORK_HOST_BITS, "10.1.2.3/8"),
        ("PathPrefix(`/api/*`)", codes::PATH_GLOB, "*"),
        ("PathPrefix(`/a/../b`)", codes::PATH_NOT_NORMAL, "/a/../b"),
    ] {
        let findings = findings(text);
        let [finding] = &findings[..] else { panic!("one finding about {text}: {findings:#?}") };
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!((finding.code, &text[finding.span.start..finding.span.end]), (code, under), "{text}");
    }
}
