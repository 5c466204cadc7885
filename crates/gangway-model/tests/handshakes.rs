//! What protecting ten thousand routes costs beside what the routes cost anyway.

mod common;

use std::time::{Duration, SystemTime};

use gangway_model::{Compiled, Handshake, Settings, Snapshot, compile};

const MANY: usize = 10_000;

/// One container for each host, every one of a project of its own.
fn snapshot(count: usize, claim: impl Fn(usize) -> (&'static str, String), is_guarded: bool) -> Snapshot {
    let container = |number: usize| {
        let (key, value) = claim(number);
        let mut container = common::plain(&format!("app{number}"), &[(&format!("gangway.{key}"), &value)]);
        container.created = number as i64;
        if is_guarded {
            container.labels.insert("gangway.client-ca".into(), "family".into());
        }
        container
    };
    Snapshot { containers: (0..count).map(container).collect(), ..Snapshot::default() }
}

fn name(number: usize) -> (&'static str, String) {
    ("host", format!("app{number}.d{}.example.org", number % 100))
}

fn expression(number: usize) -> (&'static str, String) {
    ("rule", format!("HostRegexp(`^app{number}-[0-9]+\\.example\\.org$`)"))
}

/// The shortest of three.
fn took(mut act: impl FnMut()) -> Duration {
    let once = |_| {
        let begun = SystemTime::now();
        act();
        begun.elapsed().expect("time goes on")
    };
    (0..3).map(once).min().expect("three")
}

fn compiled(snapshot: &Snapshot) -> Compiled {
    compile(snapshot, &Settings::default())
}

#[test]
fn ten_thousand_protected_routes_compile_about_as_fast_as_open_ones() {
    for (what, claim, count) in [("names", name as fn(usize) -> _, MANY), ("expressions", expression, 1000)] {
        let (open, guarded) = (snapshot(count, claim, false), snapshot(count, claim, true));
        let (of_open, of_guarded) = (took(|| drop(compiled(&open))), took(|| drop(compiled(&guarded))));
        let ratio = of_guarded.as_secs_f64() / of_open.as_secs_f64();
        println!(
            "figure: compiling {count} routes by {what}: {of_open:?} open, {of_guarded:?} protected: {ratio:.2} times"
        );
        assert!(ratio < 4.0, "{ratio}");
        let table = compiled(&guarded).table;
        assert!(table.routes().iter().all(|route| route.listener.client_ca.is_some()), "they want the same CA file");
    }
}

#[test]
fn a_handshake_costs_the_same_at_ten_protected_hosts_and_at_ten_thousand() {
    let cost = |count: usize| {
        let table = compiled(&snapshot(count, name, true)).table;
        let asks = table.handshakes(
            |route| Handshake { tls_min: route.listener.tls_min, client_ca: route.listener.client_ca.clone() },
            |route| &route.tenant,
        );
        let host = name(count / 2).1;
        assert!(asks.of(&host).client_ca.is_some() && asks.of("other.example.org").client_ca.is_none());
        took(|| (0..20_000).for_each(|_| drop(std::hint::black_box(asks.of(std::hint::black_box(&host))))))
    };
    let ratio = cost(MANY).as_secs_f64() / cost(10).as_secs_f64();
    println!("figure: what a handshake is held to: {ratio:.2} times the cost with 10,000 protected hosts as with 10");
    assert!(ratio < 4.0, "{ratio}");
}
