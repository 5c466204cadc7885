//! What holds for every rule: it prints and parses alike, nothing panics, and taking it apart into
//! alternatives does not change what it means.

use gangway_model::path::PathPattern;
use gangway_model::rule::{self, Condition, Expression, Term};
use gangway_model::{Arrival, HostPattern, Matcher, RequestView, path};
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;

/// The matcher as it would stand in a label.
fn matcher() -> impl Strategy<Value = String> {
    let host = prop::sample::select(vec![
        "a.org",
        "b.org",
        "c.a.org",
        "*.a.org",
        "*.org",
        "a.*",
        "c.a.*",
        "*",
        "[::1]",
        "bücher.de",
    ]);
    let host_regex = prop::sample::select(vec![r"^a\.", r"\.org$", "(?i)B", "^[a-c]{1,3}"]);
    let path = prop::sample::select(vec!["/", "/a", "/a/", "/a/b", "/b", "/a%20b", "/%3Fx", "/é"]);
    let path_regex = prop::sample::select(vec!["^/a", "b$", "^/[ab]/?", r"\w+"]);
    let value = prop_oneof![
        prop::sample::select(vec!["1", "2", ""]).prop_map(str::to_owned),
        "[ -~é]{0,6}",
        // What has to be escaped, and what then has to be, too.
        "[`\"\\\\a]{0,4}",
    ];
    let quoted = |text: String| format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""));
    let list = |name: &'static str, item: BoxedStrategy<String>| {
        prop::collection::vec(item, 1..3).prop_map(move |items| {
            format!("{name}({})", items.iter().map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", "))
        })
    };
    prop_oneof![
        4 => list("Host", host.prop_map(str::to_owned).boxed()),
        1 => list("HostRegexp", host_regex.prop_map(str::to_owned).boxed()),
        2 => list("Path", path.clone().prop_map(str::to_owned).boxed()),
        3 => list("PathPrefix", path.prop_map(str::to_owned).boxed()),
        1 => list("PathRegexp", path_regex.prop_map(str::to_owned).boxed()),
        1 => list("Method", prop::sample::select(vec!["GET", "POST", "head"]).prop_map(str::to_owned).boxed()),
        1 => value.clone().prop_map(move |value| format!("Header(`X-A`, {})", quoted(value))),
        1 => Just("HeaderRegexp(`X-A`, `^[1-2]`)".to_owned()),
        1 => value.prop_map(move |value| format!("Query(`q`, {})", quoted(value))),
        1 => Just("Query(`q`)".to_owned()),
        1 => Just("QueryRegexp(`q`, `\"`)".to_owned()),
        1 => list("ClientIP", prop::sample::select(vec!["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7", "::/0"]).prop_map(str::to_owned).boxed()),
    ]
}

/// A rule as it would stand in a label, with parentheses where they are needed and where they are not.
fn rule_text() -> impl Strategy<Value = String> {
    let leaf =
        (matcher(), any::<bool>()).prop_map(|(matcher, negated)| if negated { format!("!{matcher}") } else { matcher });
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join("||"))),
            inner.prop_map(|inner| format!("!({inner})")),
        ]
    })
}

fn parsed(text: &str) -> Expression {
    let mut findings = Vec::new();
    rule::parse(text, &mut findings).unwrap_or_else(|| panic!("{text}\n{findings:#?}"))
}

/// What the rule says, without taking it apart.
fn means(rule: &Expression, request: &RequestView<'_>) -> bool {
    match rule.term() {
        Term::All(parts) => parts.iter().all(|part| means(part, request)),
        Term::Any(parts) => parts.iter().any(|part| means(part, request)),
        Term::Not(inner) => !means(inner, request),
        Term::Is(condition) => condition.holds(request),
    }
}

#[derive(Clone, Debug)]
struct Sent {
    host: &'static str,
    path: &'static str,
    query: &'static str,
    method: Method,
    field: Option<&'static str>,
    client: &'static str,
}

fn sent() -> impl Strategy<Value = Sent> {
    (
        prop::sample::select(vec![
            "a.org",
            "b.org",
            "c.a.org",
            "d.c.a.org",
            "a.net",
            "c.a.net",
            "[::1]",
            "xn--bcher-kva.de",
        ]),
        prop::sample::select(vec!["/", "/a", "/a/", "/a/b", "/a/b/c", "/b", "/ab", "/a b", "/?x", "/é"]),
        prop::sample::select(vec!["", "q", "q=1", "q=%22", "r=1&q=2"]),
        prop::sample::select(vec![Method::GET, Method::POST, Method::HEAD, Method::PUT]),
        prop::option::of(prop::sample::select(vec!["1", "2", "", "x"])),
        prop::sample::select(vec!["10.1.2.3", "10.2.2.3", "192.0.2.7", "2001:db8::1"]),
    )
        .prop_map(|(host, path, query, method, field, client)| Sent { host, path, query, method, field, client })
}

impl Sent {
    fn view<R>(&self, read: impl FnOnce(&RequestView<'_>) -> R) -> R {
        let mut headers = HeaderMap::new();
        if let Some(value) = self.field {
            headers.insert("x-a", HeaderValue::from_static(value));
        }
        read(&RequestView {
            host: self.host,
            path: self.path,
            query: self.query,
            method: &self.method,
            headers: &headers,
            client: self.client.parse().expect("an address"),
            arrival: Arrival::HTTPS,
        })
    }
}

/// Pieces of rules and what breaks them, so that the parser gets deeper than by mere noise.
fn broken_text() -> impl Strategy<Value = String> {
    let pieces = vec![
        "Host",
        "Path",
        "Header",
        "(",
        ")",
        "(`",
        "`)",
        "`",
        "\"",
        "'",
        "\\",
        "&&",
        "&",
        "||",
        "|",
        "!",
        ",",
        " ",
        "a.org",
        "/x",
        "not",
        "and",
        "é",
        "\u{1F600}",
        "\u{0}",
        "\n",
        "Host(`a.org`)",
        "PathRegexp(`(`)",
        "ClientIP(`10.0.0.0/8`)",
        "\"\\u{",
        "\\x4",
        "“",
        "*",
        "(?!",
        "{a:b}",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

fn check_any_text(text: &str) {
    let mut findings = Vec::new();
    let rule = rule::parse(text, &mut findings);
    assert_eq!(rule.is_none(), findings.iter().any(|finding| finding.severity == gangway_diagnostic::Severity::Error));
    for finding in &findings {
        assert!(text.get(finding.span.start..finding.span.end).is_some(), "{text:?} {finding:?}");
        assert!(!finding.message.is_empty() && !finding.note.is_empty() && !finding.help.is_empty(), "{finding:?}");
        assert!(!finding.message.contains(|char: char| char.is_control()), "{finding:?}");
    }
    if let Some(rule) = rule {
        assert_eq!(parsed(&rule.to_string()), rule);
        Matcher::from_expression(rule, &mut Vec::new());
    }
    let mut findings = Vec::new();
    HostPattern::parse(text, &mut findings);
    PathPattern::parse(text, &mut findings);
    for finding in findings {
        assert!(text.get(finding.span.start..finding.span.end).is_some(), "{text:?} {finding:?}");
    }
    let _ = gangway_model::canonical_host(text, &mut [0; gangway_model::HOST_LEN_MAX]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_printed_rule_is_read_as_the_same(text in rule_text()) {
        let rule = parsed(&text);
        let printed = rule.to_string();
        let again = parsed(&printed);
        prop_assert_eq!(&again, &rule, "{}", &printed);
        prop_assert_eq!(again.to_string(), printed);
    }

    #[test]
    fn alternatives_mean_what_the_rule_says(text in rule_text(), requests in prop::collection::vec(sent(), 1..16)) {
        let rule = parsed(&text);
        let mut findings = Vec::new();
        let matcher = Matcher::from_expression(rule.clone(), &mut findings);
        let is_too_many = findings.iter().any(|finding| finding.code == gangway_diagnostic::codes::ALTERNATIVES_TOO_MANY);
        if !is_too_many {
            for sent in requests {
                let (meant, taken) = sent.view(|request| {
                    let alternatives = matcher.as_ref().map(Matcher::alternatives).unwrap_or_default();
                    (means(&rule, request), alternatives.iter().any(|alternative| alternative.accepts(request)))
                });
                prop_assert_eq!(taken, meant, "{} for {:?} is {:#?}", &rule, &sent, &matcher);
            }
        }
    }

    #[test]
    fn an_alternative_is_the_only_one_of_its_own_rule(text in rule_text()) {
        if let Some(matcher) = Matcher::from_expression(parsed(&text), &mut Vec::new()) {
            for alternative in matcher.alternatives() {
                let again = Matcher::from_expression(parsed(&alternative.to_string()), &mut Vec::new()).expect("it matches something");
                prop_assert_eq!(again.alternatives(), std::slice::from_ref(alternative));
            }
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        check_any_text(&text);
    }

    #[test]
    fn no_pieces_of_rules_make_a_parser_panic(text in broken_text()) {
        check_any_text(&text);
    }

    #[test]
    fn a_normal_path_is_normal(text in any::<String>(), pieces in path_pieces()) {
        for path in [text, pieces] {
            let normal = path::normalise(&path);
            prop_assert_eq!(path::normalise(&normal), normal.clone(), "{:?}", &path);
            prop_assert!(normal.starts_with('/') && !normal.contains("//"), "{}", normal);
            prop_assert!(!normal.split('/').any(|segment| matches!(segment, "." | "..")), "{}", normal);
        }
    }

    #[test]
    fn what_is_left_of_a_path_is_what_was_below_the_prefix(path in path_pieces()) {
        let normal = path::normalise(&path);
        for (end, _) in normal.match_indices('/').skip(1) {
            let prefix = &normal[..end];
            let rest = path::strip_prefix(&path, prefix).expect("the path is below its own beginning");
            let again = path::normalise(&rest).into_owned();
            prop_assert_eq!(&again, &normal[end..], "{:?} without {}", &path, prefix);
            prop_assert!(!rest.starts_with("//"), "{}", rest);
        }
    }

    #[test]
    fn a_pattern_is_written_as_it_is_read(path in path_pieces(), is_exact in any::<bool>()) {
        let text = if is_exact { format!("=/{path}") } else { format!("/{path}") };
        if let Some(pattern) = PathPattern::parse(&text, &mut Vec::new()) {
            prop_assert_eq!(PathPattern::parse(&pattern.to_string(), &mut Vec::new()), Some(pattern));
        }
    }
}

fn path_pieces() -> impl Strategy<Value = String> {
    let pieces = vec![
        "/", "//", "/.", "/..", ".", "a", "b", "%61", "%2f", "%2F", "%2e", "%25", "%", "%4", "%zz", "%36%31", "%c3%a9",
        "%C3", "%28", "é", ";", "\\", "%5C", " ", "%00", "\n", "\u{85}", "%3F", "?", ",", "%2C",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

#[test]
fn conditions_are_reached_by_pattern() {
    // The properties stand on parsing; this one shows that parsing gives what was written.
    let rule = parsed("Host(`A.org`, `*.b.org`) && !(Path(`/x`) || Query(`a=b`))");
    let Term::All(parts) = rule.term() else { panic!("{rule:?}") };
    assert!(matches!(parts[0].term(), Term::Is(Condition::Host(hosts)) if hosts.len() == 2));
    assert!(matches!(parts[1].term(), Term::Not(_)));
    assert_eq!(rule.to_string(), "Host(`a.org`, `*.b.org`) && !(Path(`/x`) || Query(`a`, `b`))");
    assert_eq!(parsed("!(!Host(`a.org`))").to_string(), "Host(`a.org`)");
    assert_eq!((parts[1].span().start, parts[1].span().end), (28, 57));
}
