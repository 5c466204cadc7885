//! The promises about matching, one by one, on small tables.

use std::sync::Arc;

use gangway_model::path::PathPattern;
use gangway_model::{
    Arrival, Entry, Explanation, Handshake, HostHeader, HostPattern, HostRank, ListenerName, ListenerOptions,
    ListenerScope, Matcher, RequestView, Reserved, Route, RoutingTable, Timeouts, TlsMode, TlsVersion, Transport,
    Upstream, rule, ties,
};
use http::{HeaderMap, Method};

fn matcher(rule: &str) -> Matcher {
    let mut findings = Vec::new();
    let rule = rule::parse(rule, &mut findings).unwrap_or_else(|| panic!("{rule}: {findings:#?}"));
    let matcher = Matcher::from_expression(rule, &mut findings);
    assert_eq!(findings, []);
    matcher.expect("no finding, so a matcher")
}

/// An entry named by `id`, as old as the others.
fn entry(id: &'static str, rule: &str) -> Entry<&'static str> {
    Entry { matcher: matcher(rule), scope: ListenerScope::default(), priority: 0, age: 0, id: id.into(), payload: id }
}

fn table(entries: &[(&'static str, &str)]) -> RoutingTable<&'static str> {
    RoutingTable::build(entries.iter().map(|(id, rule)| entry(id, rule)).collect())
}

fn view<R>(host: &str, path: &str, read: impl FnOnce(&RequestView<'_>) -> R) -> R {
    let headers = HeaderMap::new();
    let client = "192.0.2.1".parse().expect("an address");
    read(&RequestView {
        host,
        path,
        query: "",
        method: &Method::GET,
        headers: &headers,
        client,
        arrival: Arrival::HTTPS,
    })
}

fn find(table: &RoutingTable<&'static str>, host: &str, path: &str) -> Option<&'static str> {
    view(host, path, |request| table.find(request).map(|found| *found.route))
}

fn explain(table: &RoutingTable<&'static str>, host: &str, path: &str) -> Explanation {
    view(host, path, |request| table.explain_whole(request))
}

#[test]
fn the_most_specific_host_wins() {
    let table = table(&[
        ("any", "Host(`*`)"),
        ("regex", "HostRegexp(`^budget`)"),
        ("any-domain", "Host(`budget.*`)"),
        ("wildcard", "Host(`*.example.org`)"),
        ("exact", "Host(`budget.example.org`)"),
    ]);
    assert_eq!(find(&table, "budget.example.org", "/"), Some("exact"));
    assert_eq!(find(&table, "shop.example.org", "/"), Some("wildcard"));
    assert_eq!(find(&table, "budget.local", "/"), Some("any-domain"));
    assert_eq!(find(&table, "budgets.local", "/"), Some("regex"));
    assert_eq!(find(&table, "a.b.example.org", "/"), Some("any"));
    assert_eq!(find(&table, "example.org", "/"), Some("any"));
}

#[test]
fn then_the_longest_path_then_the_number_of_conditions() {
    let table = table(&[
        ("host", "Host(`a.org`)"),
        ("prefix", "Host(`a.org`) && PathPrefix(`/api`)"),
        ("exact", "Host(`a.org`) && Path(`/api`)"),
        ("longer", "Host(`a.org`) && PathPrefix(`/api/v1`)"),
        ("method", "Host(`a.org`) && PathPrefix(`/api/v1`) && Method(`GET`)"),
        ("post", "Host(`a.org`) && PathPrefix(`/api/v1/x`) && Method(`POST`)"),
    ]);
    assert_eq!(find(&table, "a.org", "/"), Some("host"));
    assert_eq!(find(&table, "a.org", "/apis"), Some("host"));
    assert_eq!(find(&table, "a.org", "/api"), Some("exact"));
    assert_eq!(find(&table, "a.org", "/api/"), Some("prefix"));
    assert_eq!(find(&table, "a.org", "/api/v1/x"), Some("method"), "POST does not match, so the next one");
}

#[test]
fn a_priority_goes_before_everything() {
    let mut entries = vec![entry("exact", "Host(`a.org`) && Path(`/x`)"), entry("any", "Host(`*`)")];
    entries[1].priority = 1;
    let table = RoutingTable::build(entries);
    assert_eq!(find(&table, "a.org", "/x"), Some("any"));
    let mut entries =
        vec![entry("exact", "Host(`a.org`)"), entry("wildcard", "Host(`*.org`)"), entry("last", "Host(`*`)")];
    entries[0].priority = -1;
    let table = RoutingTable::build(entries);
    assert_eq!(find(&table, "a.org", "/x"), Some("wildcard"));
}

#[test]
fn the_older_container_wins_and_then_the_name() {
    let (mut young, mut old) = (entry("a", "Host(`a.org`)"), entry("b", "Host(`a.org`)"));
    (young.age, old.age) = (20, 10);
    assert_eq!(find(&RoutingTable::build(vec![young.clone(), old.clone()]), "a.org", "/"), Some("b"));
    young.age = 10;
    assert_eq!(find(&RoutingTable::build(vec![old, young]), "a.org", "/"), Some("a"));
}

#[test]
fn lists_and_rules_make_the_same_matcher() {
    let mut findings = Vec::new();
    let hosts = ["b.org", "*.a.org", "b.org"].map(|host| HostPattern::parse(host, &mut findings).expect("a host"));
    let paths = ["/x", "=/y", "~^/z"].map(|path| PathPattern::parse(path, &mut findings).expect("a path"));
    let lists = Matcher::from_lists(hosts.into(), paths.into(), &mut findings).expect("few combinations");
    let text = "Host(`b.org`, `*.a.org`, `b.org`) && (PathPrefix(`/x`) || Path(`/y`) || PathRegexp(`^/z`))";
    assert_eq!(lists.rule().to_string(), text);
    assert_eq!(lists.alternatives(), matcher(text).alternatives());
    assert_eq!(lists.alternatives().len(), 6);
    assert_eq!(lists.hosts().iter().map(ToString::to_string).collect::<Vec<_>>(), ["b.org", "*.a.org"]);
    assert_eq!(lists.prefixes(), ["/x".into()]);
    assert_eq!(findings, []);
}

#[test]
fn an_empty_list_asks_for_nothing() {
    let everything = Matcher::from_lists(Vec::new(), Vec::new(), &mut Vec::new()).expect("one alternative");
    assert_eq!(everything.alternatives(), matcher("Host(`*`)").alternatives());
    assert_eq!(everything.rule().to_string(), "Host(`*`)");
    assert_eq!(matcher("PathPrefix(`/`)").alternatives(), everything.alternatives());
}

#[test]
fn equal_claims_are_equal_however_they_are_written() {
    for (one, other) in [
        ("Host(`A.org`) && PathPrefix(`/x/`)", "PathPrefix(`/x`) && Host(`a.org.`)"),
        ("Host(`a.org`) && Host(`*.org`)", "Host(`a.org`)"),
        ("Host(`a.org`) && HostRegexp(`^a`)", "Host(`a.org`)"),
        ("Host(`a.org`) && !Host(`b.org`)", "Host(`a.org`)"),
        ("PathPrefix(`/a`) && PathPrefix(`/a/b`)", "PathPrefix(`/a/b`)"),
        ("Path(`/a/b`) && PathPrefix(`/a`) && PathRegexp(`b$`)", "Path(`/a/b`)"),
        ("Method(`GET`, `HEAD`)", "Method(`HEAD`, `get`)"),
        ("!(Method(`GET`) || Query(`a`))", "!Query(`a`) && !Method(`GET`)"),
        ("Host(`a.org`) || Host(`a.org`)", "!!Host(`a.org`)"),
    ] {
        assert_eq!(matcher(one).alternatives(), matcher(other).alternatives(), "{one} and {other}");
    }
}

#[test]
fn contradictions_are_found() {
    for (text, code, under) in [
        ("Host(`a.org`) && Host(`b.org`)", 113, "Host(`b.org`)"),
        ("Host(`*.a.org`) && Host(`*.b.org`)", 113, "Host(`*.b.org`)"),
        ("Host(`a.org`) && !Host(`*.org`)", 113, "Host(`*.org`)"),
        ("Host(`a.org`) && HostRegexp(`^b`)", 113, "HostRegexp(`^b`)"),
        ("Path(`/a`) && Path(`/b`)", 113, "Path(`/b`)"),
        ("PathPrefix(`/a`) && PathPrefix(`/b`)", 113, "PathPrefix(`/b`)"),
        ("PathPrefix(`/a`) && !PathPrefix(`/a`)", 113, "PathPrefix(`/a`)"),
        ("Method(`GET`) && Method(`POST`)", 113, "Method(`POST`)"),
        ("Query(`a`) && !Query(`a`)", 113, "Query(`a`)"),
        ("ClientIP(`10.0.0.0/8`) && ClientIP(`192.0.2.1`)", 113, "ClientIP(`192.0.2.1`)"),
        ("Host(`c.org`) || Query(`q`) && !Query(`p`) && Query(`p`)", 114, "Query(`p`)"),
        ("Host(`a.org`) && (Host(`b.org`) || Path(`/x`))", 114, "Host(`b.org`)"),
        ("(Host(`b.org`) || Path(`/x`)) && Host(`a.org`)", 114, "Host(`b.org`)"),
    ] {
        let mut findings = Vec::new();
        let rule = rule::parse(text, &mut findings).expect("a rule");
        let matcher = Matcher::from_expression(rule, &mut findings);
        assert_eq!(matcher.is_none(), code == 113, "{text}");
        let [finding] = &findings[..] else { panic!("one finding about {text}: {findings:#?}") };
        assert_eq!((finding.code.0, &text[finding.span.start..finding.span.end]), (code, under), "{text}");
    }
    // What only taking apart brought together is no finding.
    let mut findings = Vec::new();
    let text = "(Host(`a.org`) || Host(`b.org`)) && (Host(`a.org`) && Path(`/x`) || Host(`b.org`) && Path(`/y`))";
    let rule = rule::parse(text, &mut findings).expect("a rule");
    assert_eq!(Matcher::from_expression(rule, &mut findings).expect("two alternatives").alternatives().len(), 2);
    assert_eq!(findings, []);
}

#[test]
fn combinations_are_bounded() {
    let side = |name: &str| (0..11).map(|n| format!("{name}(`x{n}`,`1`)")).collect::<Vec<_>>().join(" || ");
    let text = format!("({}) && ({}) && ({})", side("Header"), side("Query"), side("Header"));
    let mut findings = Vec::new();
    let rule = rule::parse(&text, &mut findings).expect("a rule");
    assert_eq!(Matcher::from_expression(rule, &mut findings), None);
    assert_eq!(findings[0].code, gangway_diagnostic::codes::ALTERNATIVES_TOO_MANY);

    let hosts = (0..33).map(|n| HostPattern::parse(&format!("h{n}.org"), &mut Vec::new()).expect("a host")).collect();
    let paths = (0..32).map(|n| PathPattern::parse(&format!("/p{n}"), &mut Vec::new()).expect("a path")).collect();
    let mut findings = Vec::new();
    assert_eq!(Matcher::from_lists(hosts, paths, &mut findings), None);
    assert_eq!(findings[0].code, gangway_diagnostic::codes::ALTERNATIVES_TOO_MANY);
}

#[test]
fn a_path_that_can_be_read_in_two_ways_is_closed_where_it_matters() {
    let table = table(&[
        ("open", "Host(`a.org`)"),
        ("admin", "Host(`a.org`) && PathPrefix(`/admin`)"),
        ("login", "Host(`a.org`) && Path(`/login`)"),
        ("alone", "Host(`b.org`)"),
    ]);
    for path in [
        "/admin%2Fx",
        "/admin;x",
        "/admin;x/y",
        "/admin\\x",
        "/public/..;/admin",
        "/public%2F..%2Fadmin",
        "/admin/..%2Fpublic",
        "/login;id=1",
    ] {
        assert_eq!(find(&table, "a.org", path), None, "{path}");
        let explanation = explain(&table, "a.org", path);
        assert!(explanation.winner.is_none() && explanation.doubt.is_some(), "{explanation:#?}");
    }
    assert_eq!(find(&table, "a.org", "/files/a%2Fb;c"), Some("open"));
    assert_eq!(find(&table, "a.org", "/admin/a%2Fb;c"), Some("admin"));
    assert_eq!(find(&table, "b.org", "/admin%2Fx;\\..\\"), Some("alone"));
}

#[test]
fn the_prefix_that_matched_is_told() {
    let table =
        table(&[("a", "Host(`a.org`) && PathPrefix(`/x`, `/x/y`)"), ("b", "Host(`b.org`)"), ("c", "Path(`/c`)")]);
    let prefix = |host, path| view(host, path, |request| table.find(request).expect("a route").prefix.to_owned());
    assert_eq!(prefix("a.org", "/x/yz"), "/x");
    assert_eq!(prefix("a.org", "/x/y/z"), "/x/y");
    assert_eq!(prefix("b.org", "/x"), "");
    assert_eq!(prefix("c.org", "/c"), "");
}

#[test]
fn precedence_is_told() {
    let table = table(&[("a", "Host(`*.a.org`) && Path(`/ü`) && Method(`GET`) && !Query(`q`)")]);
    let precedence = view("b.a.org", "/ü", |request| table.find(request).expect("a route").precedence.clone());
    assert_eq!((precedence.host, precedence.path, precedence.conditions), (HostRank::Wildcard, 3, 2));
}

#[test]
fn hosts_are_known_where_a_route_could_be_served() {
    let table = table(&[
        ("a", "Host(`a.org`) && Path(`/x`)"),
        ("b", "Host(`*.b.org`)"),
        ("c", "Host(`c.d.*`)"),
        ("e", "HostRegexp(`^e[0-9]+\\.`)"),
    ]);
    for host in ["a.org", "x.b.org", "c.d.org", "e1.org"] {
        assert!(table.knows_host(host), "{host}");
    }
    for host in ["b.org", "x.y.b.org", "c.d", "c.d.", "c.org", "e.org", "", "."] {
        assert!(!table.knows_host(host), "{host}");
    }
    let with_default = self::table(&[("x", "Method(`GET`)")]);
    assert!(with_default.knows_host("whatever"));
    assert!(!RoutingTable::<u8>::default().knows_host("a.org"));
}

#[test]
fn another_payload_keeps_the_index() {
    let table = table(&[("b", "Host(`b.org`)"), ("a", "Host(`a.org`)")]);
    assert_eq!(table.routes(), ["a", "b"]);
    let lengths = table.map(|id| format!("{id}!"));
    assert_eq!(lengths.routes(), ["a!", "b!"]);
    view("b.org", "/", |request| assert_eq!(lengths.find(request).expect("a route").route, "b!"));
}

#[test]
fn ties_are_reported_where_a_request_can_meet_both() {
    let entries = vec![
        entry("a", "Host(`a.org`) && Method(`GET`)"),
        entry("b", "Host(`a.org`) && Query(`q`)"),
        entry("c", "Host(`a.org`) && Method(`POST`)"),
        entry("d", "Host(`d.org`) && PathPrefix(`/x`)"),
        entry("e", "Host(`d.org`) && PathPrefix(`/x`)"),
        entry("f", "Host(`d.org`)"),
    ];
    let found: Vec<_> = ties(&entries).into_iter().map(|tie| (tie.winner, tie.loser, tie.is_same)).collect();
    assert_eq!(found, [(0, 1, false), (1, 2, false), (3, 4, true)]);
}

/// A route for hosts that are served in this way.
fn tls_route(id: &str, tls: TlsMode, hosts: &[&str]) -> Entry<Arc<Route>> {
    let hosts: Vec<HostPattern> =
        hosts.iter().map(|host| HostPattern::parse(host, &mut Vec::new()).expect("a host")).collect();
    let payload = Arc::new(Route {
        id: id.into(),
        name: id.into(),
        rule: "".into(),
        tenant: id.into(),
        origin: Vec::new(),
        is_of_operator: false,
        hosts: hosts.clone(),
        listener: ListenerOptions { tls, https_redirect: true, ..ListenerOptions::default() },
        middlewares: Vec::new(),
        timeouts: Timeouts::default(),
        host_header: HostHeader::Keep,
        upgrades: Box::default(),
        upstream: Arc::new(Upstream::default()),
        auth_services: Vec::new(),
        page_services: Vec::new(),
        closed: false,
        origins: Box::default(),
        router: None,
        tile: gangway_model::Tile::default(),
    });
    let matcher = Matcher::from_lists(hosts, Vec::new(), &mut Vec::new()).expect("few hosts");
    Entry { matcher, scope: ListenerScope::default(), priority: 0, age: 0, id: id.into(), payload }
}

#[test]
fn names_needing_certificates_are_exact_ones_and_wildcards_with_tls() {
    let table = RoutingTable::build(vec![
        tls_route("a", TlsMode::Internal, &["a.org", "b.org", "*.a.org"]),
        tls_route("b", TlsMode::Auto, &["b.org", "budget.*", "*"]),
        tls_route("c", TlsMode::Off, &["c.org"]),
    ]);
    let names: Vec<(String, TlsMode)> =
        table.names_needing_certificates().into_iter().map(|(name, tls)| (name.into(), tls)).collect();
    let expected = [("*.a.org", TlsMode::Internal), ("a.org", TlsMode::Internal), ("b.org", TlsMode::Auto)];
    assert_eq!(names, expected.map(|(name, tls)| (name.to_owned(), tls)));
}

#[test]
fn hosts_are_taken_by_pattern_where_tls_is_automatic() {
    let table = RoutingTable::build(vec![
        tls_route("internal", TlsMode::Internal, &["*.a.org"]),
        tls_route("exact", TlsMode::Auto, &["b.org"]),
        tls_route("off", TlsMode::Off, &["*.c.org"]),
        tls_route("auto", TlsMode::Auto, &["*.d.org", "budget.*"]),
        Entry { matcher: matcher("HostRegexp(`^e[0-9]+\\.org$`)"), ..tls_route("regex", TlsMode::Auto, &[]) },
    ]);
    for host in ["x.d.org", "budget.org", "e1.org"] {
        assert!(table.takes_by_pattern(host) && !table.names_host(host), "{host}");
    }
    for host in ["x.a.org", "b.org", "x.c.org", "d.org", "x.y.d.org", "e.org"] {
        assert!(!table.takes_by_pattern(host), "{host}");
    }
    assert!(table.names_host("b.org"));
    let many = (0..40).map(|number| Entry {
        scope: ListenerScope::default(),
        matcher: matcher(&format!("PathPrefix(`/{number}`)")),
        ..tls_route(&format!("{number}"), if number == 7 { TlsMode::Auto } else { TlsMode::Off }, &[])
    });
    assert!(RoutingTable::build(many.collect()).takes_by_pattern("whatever.org"), "by its seventh path");
}

#[test]
fn a_handshake_is_held_to_what_every_route_of_its_host_asks_for() {
    let table = table(&[
        ("any", "PathPrefix(`/old`)"),
        ("exact", "Host(`a.org`) && PathPrefix(`/guarded`)"),
        ("open", "Host(`a.org`)"),
        ("wildcard", "Host(`*.b.org`)"),
        ("regex", "HostRegexp(`^team-[0-9]+\\.c\\.org$`)"),
        ("domain", "Host(`budget.*`)"),
        ("strict", "Host(`strict.b.org`)"),
    ]);
    let asks = |id: &&str| Handshake {
        tls_min: if *id == "strict" { TlsVersion::Tls13 } else { TlsVersion::Tls12 },
        client_ca: (!matches!(*id, "open" | "any" | "strict")).then(|| (*id).into()),
    };
    let handshakes = table.handshakes(asks, |_| "one");
    let client_ca = |host: &str| handshakes.of(host).client_ca.map(String::from);
    for (host, expected) in [
        ("a.org", Some("exact")),
        ("x.b.org", Some("wildcard")),
        ("b.org", None),
        ("team-7.c.org", Some("regex")),
        ("team-x.c.org", None),
        ("budget.lan", Some("domain")),
        ("strict.b.org", Some("wildcard")),
        ("other.org", None),
    ] {
        assert_eq!(client_ca(host).as_deref(), expected, "{host}");
    }
    assert_eq!(handshakes.of("strict.b.org").tls_min, TlsVersion::Tls13);
    assert_eq!(handshakes.of("x.b.org").tls_min, TlsVersion::Tls12);
}

#[test]
fn the_winner_is_explained_and_why_others_are_not() {
    let table = table(&[
        ("web", "Host(`a.org`)"),
        ("api", "Host(`a.org`) && PathPrefix(`/api`)"),
        ("post", "Host(`a.org`) && PathPrefix(`/api`) && Method(`POST`)"),
        ("header", "Host(`a.org`) && Header(`X-A`, `1`)"),
        ("all", "Host(`*`)"),
        ("elsewhere", "Host(`b.org`)"),
    ]);
    let explanation = explain(&table, "a.org", "/api/x");
    let winner = explanation.winner.expect("a route");
    assert_eq!((&*winner.id, &*winner.rule), ("api", "Host(`a.org`) && PathPrefix(`/api`)"));
    assert_eq!(winner.why, "exact host, path of 4 characters");
    let considered: Vec<(&str, &str)> =
        explanation.considered.iter().map(|considered| (&*considered.id, &*considered.why)).collect();
    assert_eq!(
        considered,
        [
            ("post", "Method(`POST`) does not hold: the method is `GET`"),
            ("header", "Header(`x-a`, `1`) does not hold: there is no field `x-a`"),
            ("web", "matches, but `api` goes first: path of 4 characters before any path"),
            ("all", "matches, but `api` goes first: exact host before any host"),
        ]
    );
    assert_eq!(explanation.nearest, []);
}

#[test]
fn what_comes_nearest_is_named_where_no_route_takes_it() {
    let table = table(&[
        ("shop", "Host(`shop.example.org`)"),
        ("api", "Host(`api.example.org`) && PathPrefix(`/api`)"),
        ("local", "Host(`shop.localhost`)"),
        ("wild", "Host(`*.example.net`)"),
        ("far", "Host(`something.else.entirely`)"),
    ]);
    let nearest =
        |host| -> Vec<Box<str>> { explain(&table, host, "/").nearest.into_iter().map(|nearest| nearest.id).collect() };
    assert_eq!(nearest("shp.example.org"), ["shop".into()], "another name of the domain is not near");
    assert_eq!(nearest("www.shop.example.org")[0], "shop".into());
    assert_eq!(nearest("shop.home"), ["local".into(), "shop".into()]);
    assert_eq!(nearest("example.net"), ["wild".into()]);
    assert_eq!(nearest("a.b.example.net"), ["wild".into()]);
    assert_eq!(nearest("zzz.zzz"), []);
    let known = explain(&table, "api.example.org", "/");
    assert_eq!(known.nearest, []);
    assert_eq!(known.considered[0].why, "path `/` is not `/api` or below");
}

#[test]
fn an_explanation_is_bounded_and_shows_no_values() {
    let entries: Vec<_> = (0..60)
        .map(|n| {
            let rule = format!("Host(`a.org`) && Header(`X-Key`, `k{n}`)");
            Entry {
                matcher: matcher(&rule),
                scope: ListenerScope::default(),
                priority: 0,
                age: 0,
                id: format!("r{n:02}").into(),
                payload: n,
            }
        })
        .collect();
    let table = RoutingTable::build(entries);
    let mut headers = HeaderMap::new();
    headers.insert("x-key", http::HeaderValue::from_static("hunter2"));
    let client = "192.0.2.1".parse().expect("an address");
    let request = RequestView {
        host: "a.org",
        path: "/",
        query: "",
        method: &Method::GET,
        headers: &headers,
        client,
        arrival: Arrival::HTTPS,
    };
    let explanation = table.explain_whole(&request);
    assert_eq!((explanation.considered.len(), explanation.considered_more), (50, 10));
    assert!(!format!("{explanation:?}").contains("hunter2"));
}

#[test]
fn a_client_that_waits_for_a_404_costs_the_same_in_a_table_of_any_size() {
    let looked_at = |routes: usize| {
        // Hosts that are all nearly the one that is asked for, and as many paths of one host.
        let names = (0..routes).map(|n| format!("Host(`shop{n:05}.example.org`)"));
        let paths = (0..routes).map(|n| format!("Host(`paths.example.org`) && PathPrefix(`/p{n:05}`)"));
        let more = ["Host(`www.bare.org`)".to_owned(), "Host(`*.sub.org`)".to_owned()];
        let entries = names.chain(paths).chain(more).enumerate().map(|(n, rule)| Entry {
            scope: ListenerScope::default(),
            matcher: matcher(&rule),
            priority: 0,
            age: 0,
            id: format!("r{n:06}").into(),
            payload: n,
        });
        let table = RoutingTable::build(entries.collect());
        let explained = |host, path| view(host, path, |request| table.explain(request));
        assert_eq!(explained("shop00001x.example.org", "/").nearest.len(), 5);
        assert_eq!(
            explained("paths.example.org", "/other").considered[0].why,
            "path `/other` is not `/p00000` or below"
        );
        // Found by a look-up, wherever they stand in the table.
        for (host, near) in [("bare.org", "www.bare.org"), ("sub.org", "*.sub.org")] {
            assert!(explained(host, "/").nearest[0].why.contains(near), "{host}");
        }
        ["far.away.test", "shop00001x.example.org", "paths.example.org"].map(|host| explained(host, "/other").looked_at)
    };
    assert_eq!(looked_at(10), [35, 35, 10]);
    assert_eq!(looked_at(1_000), [512, 512, 512]);
    assert_eq!(looked_at(10_000), looked_at(1_000));
}

#[test]
fn a_pattern_asks_nothing_of_a_host_that_another_tenant_serves_by_its_name() {
    let table = table(&[
        ("theirs-any", "PathPrefix(`/`)"),
        ("theirs-wildcard", "Host(`*.b.org`)"),
        ("theirs-domain", "Host(`x.*`)"),
        ("theirs-regex", "HostRegexp(`^x`)"),
        ("ours", "Host(`x.b.org`)"),
        ("theirs", "Host(`y.b.org`)"),
    ]);
    let asks = |id: &&str| match *id {
        "ours" | "theirs" => Handshake::default(),
        _ => Handshake { tls_min: TlsVersion::Tls13, client_ca: Some((*id).into()) },
    };
    let handshakes = table.handshakes(asks, |id| id.split('-').next().expect("a name"));
    assert_eq!(handshakes.of("x.b.org"), Handshake::default());
    assert_eq!(handshakes.of("y.b.org").client_ca.as_deref(), Some("theirs-wildcard"), "their own");
    assert_eq!(handshakes.of("z.b.org").client_ca.as_deref(), Some("theirs-wildcard"), "nobody's");
}

#[test]
fn a_reserved_host_is_asked_of_nobody_else_by_a_pattern() {
    // Two tenants share the wildcard, and the first takes all of it.
    let entries = vec![
        entry("a-all", "Host(`*.b.org`)"),
        entry("b-some", "Host(`*.b.org`) && PathPrefix(`/some`)"),
        entry("b-all", "Host(`*.b.org`)"),
        entry("a-any", "HostRegexp(`^keep[.]`)"),
    ];
    let mut reserved = Reserved::among(["a".into(), "b".into()]);
    reserved.keep("keep.b.org", ["b"]);
    reserved.keep("none.b.org", []);
    reserved.keep("keep.org", []);
    reserved.keep("both.b.org", ["a", "b"]);
    let table = RoutingTable::build_reserved(entries, reserved, |id| &id[..1]);
    assert_eq!(find(&table, "keep.b.org", "/"), Some("b-all"));
    assert_eq!(find(&table, "both.b.org", "/"), Some("a-all"));
    assert_eq!(find(&table, "other.b.org", "/"), Some("a-all"));
    assert_eq!(find(&table, "other.b.org", "/some"), Some("b-some"));
    assert_eq!((find(&table, "none.b.org", "/"), find(&table, "keep.org", "/")), (None, None));
    assert_eq!(find(&table, "keep.other.org", "/"), Some("a-any"));
    assert!(table.knows_host("keep.b.org") && table.knows_host("keep.other.org"));
    assert!(!table.knows_host("none.b.org") && !table.knows_host("keep.org"));
    let explained = explain(&table, "none.b.org", "/").considered;
    assert!(explained.iter().all(|one| one.why.contains("somebody else's")), "{explained:?}");
}

#[test]
fn a_pattern_asks_nothing_of_a_reserved_host_either() {
    let mut reserved = Reserved::among(["a".into(), "b".into()]);
    reserved.keep("stopped.b.org", ["b"]);
    let entries = vec![entry("a", "Host(`*.b.org`)"), entry("file", "HostRegexp(`^stopped[.]`)")];
    let table = RoutingTable::build_reserved(entries, reserved, |id| id);
    let asks = |id: &&str| Handshake {
        client_ca: (*id == "a").then(|| "theirs".into()),
        tls_min: if *id == "file" { TlsVersion::Tls13 } else { TlsVersion::default() },
    };
    let handshakes = table.handshakes(asks, |id| id);
    assert_eq!(handshakes.of("other.b.org").client_ca.as_deref(), Some("theirs"));
    let stopped = handshakes.of("stopped.b.org");
    assert_eq!((stopped.client_ca, stopped.tls_min), (None, TlsVersion::Tls13));
}

fn listeners(names: &[&str]) -> ListenerScope {
    let names = names.iter().map(|name| ListenerName::parse(name).expect("a name")).collect();
    ListenerScope { names: Some(names), transport: Transport::Any }
}

fn find_at(table: &RoutingTable<&'static str>, host: &str, path: &str, arrival: Arrival<'_>) -> Option<&'static str> {
    view(host, path, |request| table.find(&RequestView { arrival, ..*request }).map(|found| *found.route))
}

#[test]
fn a_route_outside_its_listeners_is_passed_over() {
    let table = RoutingTable::build(vec![
        Entry { scope: listeners(&["internal"]), ..entry("admin", "Host(`a.org`) && PathPrefix(`/admin`)") },
        Entry { scope: listeners(&["internal", "https"]), ..entry("narrow", "Host(`a.org`)") },
        entry("wide", "Host(`*.org`)"),
    ]);
    let internal = Arrival { listener: "internal", is_tls: false };
    assert_eq!(find_at(&table, "a.org", "/admin", internal), Some("admin"));
    assert_eq!(find_at(&table, "a.org", "/admin", Arrival::HTTPS), Some("narrow"));
    assert_eq!(find_at(&table, "a.org", "/admin", Arrival::HTTP), Some("wide"));
    let why = view("a.org", "/admin", |request| {
        let explained = table.explain_whole(&RequestView { arrival: Arrival::HTTP, ..*request });
        explained.considered.into_iter().map(|considered| considered.why).collect::<Vec<_>>()
    });
    assert_eq!(why, ["listener `http` is not `internal`", "listener `http` is not `internal` or `https`"]);
}

#[test]
fn a_route_of_one_transport_is_not_found_over_the_other() {
    let of = |transport| ListenerScope { names: None, transport };
    let table = RoutingTable::build(vec![
        Entry { scope: of(Transport::Tls), ..entry("safe", "Host(`a.org`)") },
        Entry { scope: of(Transport::Plain), ..entry("clear", "Host(`a.org`)") },
    ]);
    assert_eq!(find_at(&table, "a.org", "/", Arrival::HTTPS), Some("safe"));
    assert_eq!(find_at(&table, "a.org", "/", Arrival::HTTP), Some("clear"));
}

#[test]
fn the_route_that_names_the_listener_goes_before_one_for_all() {
    let table = RoutingTable::build(vec![
        entry("all", "Host(`a.org`)"),
        Entry { scope: listeners(&["internal"]), ..entry("internal", "Host(`a.org`)") },
    ]);
    let internal = Arrival { listener: "internal", is_tls: true };
    assert_eq!(find_at(&table, "a.org", "/", internal), Some("internal"));
    assert_eq!(find_at(&table, "a.org", "/", Arrival::HTTPS), Some("all"));
}

#[test]
fn routes_of_different_listeners_are_no_tie() {
    let of = |id, names: &[&str]| Entry { scope: listeners(names), ..entry(id, "Host(`a.org`)") };
    assert_eq!(ties(&[of("a", &["x"]), of("b", &["y"])]), []);
    let tie = ties(&[of("a", &["x", "y"]), of("b", &["y"])]).pop().expect("both are at `y`");
    assert!(!tie.is_same, "{tie:?}");
    assert!(ties(&[of("a", &["x"]), of("b", &["x"])])[0].is_same);
}
