//! Compiling what containers declare for each other, by the dialect [`demo`](crate::dialect).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{Compiled, Compiler};
use crate::route::Middleware;
use crate::settings::Settings;
use crate::snapshot::{Container, ContainerState, Gone, OwnPlace, Snapshot};

/// A container of a project of its own, at an address that ends in its number.
fn container(name: &str, number: u8, labels: &[(&str, &str)]) -> Container {
    let address = Ipv4Addr::new(172, 20, 0, number);
    let labels: Vec<(&str, &str)> = labels
        .iter()
        .copied()
        .chain([("com.docker.compose.project", name), ("com.docker.compose.service", "app")])
        .collect();
    let container = Container::named(name).with_labels(&labels).reached_at("edge", address.into(), 80);
    Container { created: i64::from(number), ..container }
}

/// The same from an empty cache, from a full one, and in the other order.
fn compiled(containers: Vec<Container>) -> Compiled {
    let mut snapshot = Snapshot { containers, ..Snapshot::default() };
    compiled_in_all_ways(&mut snapshot)
}

fn compiled_in_all_ways(snapshot: &mut Snapshot) -> Compiled {
    let (mut compiler, settings) = (Compiler::default(), Settings::default());
    let first = compiler.compile(snapshot, &settings);
    snapshot.containers.reverse();
    let second = compiler.compile(snapshot, &settings);
    let shown = |one: &Compiled| {
        let precedences: Vec<_> = one.table.precedences().collect();
        format!("{:?} {precedences:?}", one.table.routes())
    };
    assert_eq!(shown(&first), shown(&second));
    assert_eq!(first.diagnostics.to_string(), second.diagnostics.to_string());
    first
}

fn endpoints(compiled: &Compiled, route: &str) -> Vec<(String, u16)> {
    let route = compiled.table.routes().iter().find(|one| *one.name == *route).expect("the route is served");
    route.upstream.endpoints.iter().map(|one| (one.key.address.to_string(), one.weight)).collect()
}

fn chain(compiled: &Compiled, route: &str) -> (bool, Vec<Middleware>) {
    let route = compiled.table.routes().iter().find(|one| *one.name == *route).expect("the route is served");
    (route.closed, route.middlewares.clone())
}

fn messages(compiled: &Compiled) -> Vec<(String, String)> {
    compiled
        .diagnostics
        .iter()
        .map(|one| (one.place.container().unwrap_or_default().to_owned(), format!("{}; {}", one.message, one.effect)))
        .collect()
}

#[test]
fn a_route_of_one_container_leads_to_the_upstream_of_another() {
    let compiled = compiled(vec![
        container("a", 1, &[("demo.route.web", "a.test app")]),
        container("b", 2, &[("demo.upstream.app", "here 8080")]),
    ]);
    assert_eq!(endpoints(&compiled, "web"), [("172.20.0.2:8080".to_owned(), 1)]);
    let ways = compiled.containers.iter().map(|one| (&*one.name, &*one.reason)).collect::<Vec<_>>();
    assert_eq!(ways[0], ("a", "by upstream `app`"));
    assert!(ways[1].1.starts_with("172.20.0.2:8080, as the label says"), "{ways:?}");
}

#[test]
fn weights_of_upstreams_are_those_of_their_endpoints_together() {
    let compiled = compiled(vec![
        container("a", 1, &[("demo.route.web", "a.test both"), ("demo.upstream.both", "split old=3 new=1")]),
        container("b", 2, &[("demo.upstream.old", "here 80, at c 81")]),
        container("c", 3, &[("demo.upstream.new", "here 80")]),
    ]);
    let expected = [("172.20.0.2:80", 3), ("172.20.0.3:80", 2), ("172.20.0.3:81", 3)];
    let mut found = endpoints(&compiled, "web");
    found.sort();
    assert_eq!(found, expected.map(|(address, weight)| (address.to_owned(), weight)));
}

#[test]
fn middlewares_that_others_declare_are_in_the_order_that_the_route_names() {
    let compiled = compiled(vec![
        container("a", 1, &[("demo.route.web", "a.test app two one"), ("demo.upstream.app", "here 80")]),
        container("b", 2, &[("demo.middleware.one", "add /one"), ("demo.middleware.two", "add /two")]),
    ]);
    assert_eq!(
        chain(&compiled, "web"),
        (false, ["/two", "/one"].map(|prefix| Middleware::AddPrefix(prefix.into())).to_vec())
    );
    assert!(compiled.diagnostics.is_empty(), "{}", compiled.diagnostics);
}

#[test]
fn a_middleware_that_is_missing_or_broken_closes_the_route_and_an_unsupported_one_is_left_out() {
    let labels = |route| [("demo.route.web", route), ("demo.upstream.app", "here 80")];
    let other = || container("b", 2, &[("demo.middleware.lock", "broken"), ("demo.middleware.fancy", "unsupported")]);
    for (route, is_closed, why) in [
        ("a.test app lost", true, "Unknown `lost`"),
        ("a.test app lock", true, "Broken `lock`"),
        ("a.test app fancy", false, "Broken `fancy`"),
    ] {
        let compiled = compiled(vec![container("a", 1, &labels(route)), other()]);
        assert_eq!(chain(&compiled, "web"), (is_closed, Vec::new()), "{route}");
        let found = messages(&compiled);
        assert!(matches!(&found[..], [(at, what)] if at == "a" && what.starts_with(why)), "{found:?}");
    }
}

#[test]
fn a_container_with_url_targets_keeps_its_endpoints() {
    let labels = [("demo.route.web", "a.test app"), ("demo.upstream.app", "url nas.example, here 80")];
    let compiled = compiled(vec![container("a", 1, &labels)]);
    let expected = [("nas.example:80".to_owned(), 1), ("172.20.0.1:80".to_owned(), 1)];
    assert_eq!(endpoints(&compiled, "web"), expected);
}

#[test]
fn an_upstream_that_is_missing_or_leads_to_itself_leaves_a_route_that_serves_nothing() {
    let labels = [
        ("demo.route.gone", "gone.test lost"),
        ("demo.route.round", "round.test circle"),
        ("demo.upstream.circle", "split circle=1"),
    ];
    let compiled = compiled(vec![container("a", 1, &labels)]);
    assert!(endpoints(&compiled, "gone").is_empty() && endpoints(&compiled, "round").is_empty());
    let found = messages(&compiled);
    assert!(
        found.iter().any(|(_, what)| what.starts_with("Unknown `lost`; route `gone` has no endpoint")),
        "{found:?}"
    );
    assert!(found.iter().any(|(_, what)| what.starts_with("Circular `circle`")), "{found:?}");
}

#[test]
fn no_other_project_takes_over_a_name_that_a_project_declares_itself() {
    let own =
        [("demo.route.web", "a.test app lock"), ("demo.upstream.app", "here 80"), ("demo.middleware.lock", "add /a")];
    let theirs = [("demo.upstream.app", "here 80"), ("demo.middleware.lock", "add /b")];
    let third = container("c", 9, &[("demo.route.other", "c.test app lock")]);
    for (own_number, their_number, for_third) in [(1, 2, 1), (2, 1, 1)] {
        let compiled =
            compiled(vec![container("a", own_number, &own), container("b", their_number, &theirs), third.clone()]);
        assert_eq!(endpoints(&compiled, "web"), [(format!("172.20.0.{own_number}:80"), 1)]);
        assert_eq!(chain(&compiled, "web").1, [Middleware::AddPrefix("/a".into())]);
        assert_eq!(endpoints(&compiled, "other"), [(format!("172.20.0.{for_third}:80"), 1)], "the older has it");
        let younger = if own_number < their_number { "b" } else { "a" };
        assert!(messages(&compiled).iter().all(|(at, _)| at == younger) && messages(&compiled).len() == 2);
    }
}

#[test]
fn replicas_are_one_upstream_and_the_newest_says_what_is_in_force() {
    let replica = |number: u8, prefix: &str| {
        let labels = [
            ("demo.route.web", "a.test app head"),
            ("demo.upstream.app", "here 80"),
            ("demo.middleware.head", prefix),
            ("com.docker.compose.project", "shop"),
            ("com.docker.compose.service", "app"),
        ];
        let address = Ipv4Addr::new(172, 20, 0, number).into();
        let container = Container::named(&format!("shop-{number}")).with_labels(&labels);
        Container { created: i64::from(number), ..container.reached_at("edge", address, 80) }
    };
    let compiled = compiled(vec![replica(1, "add /old"), replica(2, "add /new"), replica(3, "add /new")]);
    assert_eq!(endpoints(&compiled, "web").len(), 3);
    assert_eq!(chain(&compiled, "web"), (false, vec![Middleware::AddPrefix("/new".into())]));
}

#[test]
fn containers_of_one_second_count_in_the_order_of_their_names() {
    let replica = |name: &str, id: &str, prefix: &str| {
        let labels = [("demo.route.web", "a.test app head"), ("demo.middleware.head", prefix)];
        let mut made = Container { created: 7, id: id.into(), ..container(name, 1, &labels) };
        made.labels.insert("com.docker.compose.project".into(), "shop".into());
        made
    };
    // As the engine gives them anew each time, ids say nothing.
    for ids in [["x", "y"], ["y", "x"]] {
        let upstream = container("app", 2, &[("demo.upstream.app", "here 80")]);
        let of_shop = [replica("shop-1", ids[0], "add /one"), replica("shop-2", ids[1], "add /two")];
        let compiled = compiled([upstream].into_iter().chain(of_shop).collect());
        assert_eq!(chain(&compiled, "web"), (false, vec![Middleware::AddPrefix("/two".into())]), "{ids:?}");
    }
}

#[test]
fn what_a_container_declares_for_others_is_held_while_it_is_recreated() {
    let web = container("a", 1, &[("demo.route.web", "a.test app lock")]);
    let gone = container("b", 2, &[("demo.upstream.app", "here 80"), ("demo.middleware.lock", "add /b")]);
    let gone = |since| Gone { container: gone.clone(), since: std::time::Duration::from_secs(since) };
    let mut snapshot = Snapshot { containers: vec![web.clone()], gone: vec![gone(1)], ..Snapshot::default() };
    let held = compiled_in_all_ways(&mut snapshot);
    assert_eq!(chain(&held, "web"), (false, vec![Middleware::AddPrefix("/b".into())]));
    assert!(endpoints(&held, "web").is_empty() && held.diagnostics.is_empty(), "{}", held.diagnostics);
    assert_eq!(held.holds.len(), 1);
    let mut snapshot = Snapshot { containers: vec![web], gone: vec![gone(60)], ..Snapshot::default() };
    let over = compiled_in_all_ways(&mut snapshot);
    assert!(chain(&over, "web").0 && over.holds.is_empty());
}

#[test]
fn a_stopped_container_declares_nothing() {
    let labels = [("demo.upstream.app", "here 80")];
    let stopped = Container { state: ContainerState::Exited, ..container("b", 2, &labels) };
    let compiled = compiled(vec![container("a", 1, &[("demo.route.web", "a.test app")]), stopped]);
    assert!(endpoints(&compiled, "web").is_empty() && messages(&compiled).len() == 1);
}

#[test]
fn help_is_in_the_words_of_the_dialect() {
    let labels = [("demo.route.web", "a.test app"), ("demo.upstream.app", "here 80")];
    let mut snapshot = Snapshot { containers: vec![container("a", 1, &labels)], ..Snapshot::default() };
    let first = compiled_in_all_ways(&mut snapshot);
    let other = container("b", 2, &labels);
    let mut snapshot = Snapshot {
        containers: vec![other, container("a", 1, &labels)],
        holdings: first.holdings,
        ..Snapshot::default()
    };
    let second = compiled_in_all_ways(&mut snapshot);
    let help: String = second.diagnostics.iter().map(|one| one.help.as_str()).collect();
    assert!(help.contains("demo.share") && !help.contains("gangway.share"), "{help}");
}

#[test]
fn our_own_container_is_named_once_a_table() {
    let containers = vec![container("app", 1, &[]), container("gateway", 2, &[])];
    let own = OwnPlace::Container { id: containers[1].id.clone(), networks: BTreeMap::new(), host_gateway: None };
    let mut snapshot = Snapshot { containers, ..Snapshot::default() };
    assert_eq!(compiled_in_all_ways(&mut snapshot).own, None);
    snapshot.own.insert(snapshot.containers[0].engine.clone(), own);
    assert_eq!(compiled_in_all_ways(&mut snapshot).own.as_deref(), Some("gateway"));
}
