//! Any text as a host, a path, the path of a request, and as a rule that is made into a table: no panic, what is
//! printed is read again as the same, and the table finds what its alternatives accept.
#![no_main]

use gangway_model::path::PathPattern;
use gangway_model::{Arrival, Entry, ListenerScope, HOST_LEN_MAX, HostPattern, Matcher, RequestView, RoutingTable, canonical_host, path, rule};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (rule_text, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut findings = Vec::new();
    if let Some(pattern) = HostPattern::parse(text, &mut findings) {
        assert_eq!(HostPattern::parse(&pattern.to_string(), &mut Vec::new()), Some(pattern));
    }
    if let Some(pattern) = PathPattern::parse(text, &mut findings) {
        assert_eq!(PathPattern::parse(&pattern.to_string(), &mut Vec::new()), Some(pattern));
    }
    for finding in &findings {
        assert!(text.get(finding.span.start..finding.span.end).is_some());
    }
    let normal = path::normalise(rest);
    assert_eq!(path::normalise(&normal), normal);
    let _ = path::strip_prefix(rest, &normal);
    if let Some(end) = normal[1..].find('/') {
        let prefix = &normal[..=end];
        let left = path::strip_prefix(rest, prefix).expect("below");
        assert_eq!(path::normalise(&left), normal[end + 1..]);
    }
    let mut buffer = [0; HOST_LEN_MAX];
    let host = canonical_host(rest, &mut buffer).unwrap_or("a.test");
    let Some(rule) = rule::parse(rule_text, &mut Vec::new()) else { return };
    let Some(matcher) = Matcher::from_expression(rule, &mut Vec::new()) else { return };
    for alternative in matcher.alternatives() {
        let text = alternative.to_string();
        if text.len() <= rule::RULE_LEN_MAX {
            let again = rule::parse(&text, &mut Vec::new()).expect("an alternative is a rule");
            let again = Matcher::from_expression(again, &mut Vec::new()).expect("it matches");
            assert_eq!(again.alternatives(), std::slice::from_ref(alternative));
        }
    }
    let headers = http::HeaderMap::new();
    let request = RequestView {
        host,
        path: &normal,
        query: rest,
        method: &http::Method::GET,
        headers: &headers,
        client: [127, 0, 0, 1].into(),
        arrival: Arrival::HTTPS,
    };
    let accepts = matcher.alternatives().iter().any(|a| a.accepts(&request));
    let scope = ListenerScope::default();
    let table = RoutingTable::build(vec![Entry { matcher, scope, priority: 0, age: 0, id: "x".into(), payload: () }]);
    let found = table.find(&request).is_some();
    let explained = table.explain(&request);
    assert_eq!(explained.winner.is_some(), found);
    assert!(found == accepts || explained.doubt.is_some());
    let _ = table.knows_host(host);
});
