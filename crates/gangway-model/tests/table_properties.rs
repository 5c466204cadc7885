//! What holds for every table: the order of listing does not matter, and the index finds what asking
//! every route one after the other would find.

use std::net::IpAddr;

use gangway_model::path::PathPattern;
use gangway_model::{
    Arrival, Entry, Explanation, HostCondition, HostPattern, HostRank, ListenerName, ListenerScope, Matcher,
    RequestView, RoutingTable, Transport, path, rule, ties,
};
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Listed {
    rule: String,
    scope: ListenerScope,
    priority: i64,
    age: i64,
}

fn host() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Host(`a.org`)",
        "Host(`b.a.org`)",
        "Host(`*.a.org`)",
        "Host(`*.org`)",
        "Host(`a.*`)",
        "Host(`b.a.*`)",
        "Host(`*`)",
        "HostRegexp(`^b`)",
        "HostRegexp(`org$`)",
        "Host(`c.org`, `*.c.org`)",
        "!Host(`a.org`)",
    ])
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "PathPrefix(`/`)",
        "PathPrefix(`/x`)",
        "PathPrefix(`/x/y`)",
        "PathPrefix(`/x/y/z`)",
        "PathPrefix(`/w`)",
        "Path(`/x`)",
        "Path(`/x/`)",
        "Path(`/x/y`)",
        "PathRegexp(`y$`)",
        "PathRegexp(`^/[wx]`)",
        "(Path(`/v`) || PathPrefix(`/w`, `/x`))",
        "!PathPrefix(`/x`)",
    ])
}

fn rest() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Host(`*`)",
        "Host(`*`)",
        "Method(`GET`)",
        "!Method(`GET`)",
        "Header(`X-A`, `1`)",
        "Query(`q`)",
        "(ClientIP(`10.0.0.0/8`) || Query(`q`, `1`))",
    ])
}

/// Mostly everywhere, as routes are.
fn scope() -> impl Strategy<Value = ListenerScope> {
    let names = prop::sample::select(vec![None, None, Some(vec!["a"]), Some(vec!["b"]), Some(vec!["a", "b"])]);
    let transport = prop::sample::select(vec![Transport::Any, Transport::Any, Transport::Plain, Transport::Tls]);
    (names, transport).prop_map(|(names, transport)| ListenerScope {
        names: names.map(|names| names.into_iter().filter_map(ListenerName::parse).collect()),
        transport,
    })
}

fn listed() -> impl Strategy<Value = Listed> {
    let priority = prop_oneof![4 => Just(0_i64), 1 => -1..3_i64];
    let scope = prop_oneof![2 => Just(ListenerScope::default()), 1 => scope()];
    (host(), path(), rest(), scope, priority, 0..3_i64).prop_map(|(host, path, rest, scope, priority, age)| Listed {
        rule: format!("{host} && {path} && {rest}"),
        scope,
        priority,
        age,
    })
}

#[derive(Clone, Debug)]
struct Sent {
    host: &'static str,
    path: &'static str,
    query: &'static str,
    method: Method,
    field: bool,
    client: &'static str,
    arrival: Arrival<'static>,
}

fn sent() -> impl Strategy<Value = Sent> {
    (
        prop::sample::select(vec![
            "a.org",
            "b.a.org",
            "c.b.a.org",
            "c.org",
            "b.c.org",
            "a.net",
            "b.a.net",
            "b",
            "a",
            "[::1]",
            ".org",
        ]),
        prop::sample::select(vec![
            "/",
            "/x",
            "/x/",
            "/x/y",
            "/x/y/",
            "/x/y/z/1",
            "/xy",
            "/w",
            "/w/x",
            "/v",
            "/v/",
            "/x%2Fy",
            "/x;a/y",
            "/w\\..\\x",
            "/u%2Fy",
            "/x/..;/w",
        ]),
        prop::sample::select(vec!["", "q", "q=1", "r"]),
        prop::sample::select(vec![Method::GET, Method::POST]),
        any::<bool>(),
        prop::sample::select(vec!["10.0.0.1", "192.0.2.1"]),
        (prop::sample::select(vec!["a", "b", "c"]), any::<bool>()),
    )
        .prop_map(|(host, path, query, method, field, client, (listener, is_tls))| {
            let arrival = Arrival { listener, is_tls };
            Sent { host, path, query, method, field, client, arrival }
        })
}

impl Sent {
    fn view<R>(&self, path: &str, read: impl FnOnce(&RequestView<'_>) -> R) -> R {
        let mut headers = HeaderMap::new();
        if self.field {
            headers.insert("x-a", HeaderValue::from_static("1"));
        }
        read(&RequestView {
            host: self.host,
            path,
            query: self.query,
            method: &self.method,
            headers: &headers,
            client: self.client.parse::<IpAddr>().expect("an address"),
            arrival: self.arrival,
        })
    }
}

/// Rules that can never match are left out, as compiling does.
fn entries(listed: &[Listed]) -> Vec<Entry<usize>> {
    let entry = |(position, listed): (usize, &Listed)| {
        let rule = rule::parse(&listed.rule, &mut Vec::new()).expect("a rule");
        let matcher = Matcher::from_expression(rule, &mut Vec::new())?;
        let id = format!("route-{position:03}").into();
        let Listed { scope, priority, age, .. } = listed.clone();
        Some(Entry { matcher, scope, priority, age, id, payload: position })
    };
    listed.iter().enumerate().filter_map(entry).collect()
}

/// The precedence as the specification has it, and the route.
fn oracle(entries: &[Entry<usize>], request: &RequestView<'_>) -> Option<usize> {
    let mut accepting = Vec::new();
    for entry in entries {
        for alternative in entry.matcher.alternatives() {
            if !alternative.accepts(request) || !entry.scope.takes(request.arrival) {
                continue;
            }
            let host = match alternative.host() {
                HostCondition::Pattern(HostPattern::Exact(_)) => HostRank::Exact,
                HostCondition::Pattern(HostPattern::Wildcard(_)) => HostRank::Wildcard,
                HostCondition::Pattern(HostPattern::AnyDomain(_)) => HostRank::AnyDomain,
                HostCondition::Regex(_) => HostRank::Regex,
                HostCondition::Pattern(HostPattern::Any) => HostRank::Any,
            };
            let path = match alternative.path() {
                PathPattern::Prefix(prefix) if &**prefix == "/" => 0,
                PathPattern::Prefix(prefix) => prefix.len(),
                PathPattern::Exact(path) => path.len() + 1,
                PathPattern::Regex(pattern) => pattern.as_str().len(),
            };
            let conditions = alternative.tests().len() + usize::from(entry.scope.names.is_some());
            let precedence = (entry.priority, host, path, conditions, -entry.age, std::cmp::Reverse(entry.payload));
            accepting.push((precedence, entry.payload));
        }
    }
    accepting.into_iter().max().map(|(_, route)| route)
}

/// Closed where a reading of the path leads elsewhere.
fn oracle_of_readings(entries: &[Entry<usize>], sent: &Sent) -> Option<usize> {
    let best = |path: &str| sent.view(path, |request| oracle(entries, request));
    let found = best(sent.path);
    let slashes = |path: &str| path.replace("%2F", "/").replace('\\', "/");
    let cut = |path: &str| {
        path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
    };
    let readings = [slashes(sent.path), cut(sent.path), cut(&slashes(sent.path)), slashes(&cut(sent.path))];
    let agree = readings.iter().all(|reading| best(&path::normalise(reading)) == found);
    found.filter(|_| agree)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_index_finds_what_asking_every_route_finds(
        listed in prop::collection::vec(listed(), 0..60),
        requests in prop::collection::vec(sent(), 1..40),
    ) {
        let entries = entries(&listed);
        let table = RoutingTable::build(entries.clone());
        for sent in requests {
            let found = sent.view(sent.path, |request| table.find(request).map(|found| *found.route));
            prop_assert_eq!(found, oracle_of_readings(&entries, &sent), "{:?}", &sent);
            let explained = sent.view(sent.path, |request| table.explain_whole(request));
            prop_assert_eq!(explained.winner.map(|winner| *table.routes().get(winner.route).expect("a position")), found);
            if found.is_some() {
                prop_assert!(table.knows_host(sent.host));
            } else {
                // A client that waits gets the same explanation, for the table is small.
                let [whole, bounded] = sent.view(sent.path, |request| [table.explain_whole(request), table.explain(request)]);
                let more = |explanation: &Explanation| explanation.nearest.clone();
                prop_assert_eq!(more(&whole), more(&bounded));
                prop_assert_eq!((&whole.doubt, whole.considered.is_empty()), (&bounded.doubt, bounded.considered.is_empty()));
                if whole.doubt.is_none() {
                    prop_assert_eq!(&whole.considered, &bounded.considered);
                }
            }
        }
    }

    #[test]
    fn many_paths_of_one_host_are_found_alike(
        listed in prop::collection::vec((path(), rest(), scope(), 0..2_i64).prop_map(|(path, rest, scope, priority)| Listed {
            rule: format!("Host(`a.org`) && {path} && {rest}"), scope, priority, age: 0,
        }), 17..60),
        requests in prop::collection::vec(sent().prop_map(|sent| Sent { host: "a.org", ..sent }), 1..40),
    ) {
        let entries = entries(&listed);
        let table = RoutingTable::build(entries.clone());
        for sent in requests {
            let found = sent.view(sent.path, |request| table.find(request).map(|found| *found.route));
            prop_assert_eq!(found, oracle_of_readings(&entries, &sent), "{:?}", &sent);
        }
    }

    #[test]
    fn the_order_of_listing_does_not_matter(
        (listed, order) in prop::collection::vec(listed(), 1..30).prop_flat_map(|listed| {
            let order: Vec<usize> = (0..listed.len()).collect();
            (Just(listed), Just(order).prop_shuffle())
        }),
        requests in prop::collection::vec(sent(), 1..20),
    ) {
        let as_listed = entries(&listed);
        let mut otherwise: Vec<Option<Entry<usize>>> = as_listed.iter().cloned().map(Some).collect();
        let otherwise: Vec<Entry<usize>> =
            order.iter().filter_map(|position| otherwise.get_mut(*position).and_then(Option::take)).collect();
        let named = |entries: &[Entry<usize>]| -> Vec<(usize, usize, String)> {
            let mut named: Vec<_> = ties(entries).into_iter()
                .map(|tie| (entries[tie.winner].payload, entries[tie.loser].payload, tie.rule)).collect();
            named.sort();
            named
        };
        // A crowd of equals is compared with a few of them only, which still are the same ones.
        prop_assert_eq!(named(&as_listed), named(&otherwise));
        let (one, other) = (RoutingTable::build(as_listed), RoutingTable::build(otherwise));
        prop_assert_eq!(one.routes(), other.routes());
        for sent in requests {
            let (a, b) = sent.view(sent.path, |request| {
                (one.find(request).map(|found| (*found.route, found.prefix.to_owned())), other.find(request).map(|found| (*found.route, found.prefix.to_owned())))
            });
            prop_assert_eq!(a, b);
        }
    }
}
