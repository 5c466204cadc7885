//! What holds whatever is written into labels: the order of listing does not matter, a neighbour is not
//! hurt, nothing panics, and what is shown is fit to be shown.

mod common;

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gangway_model::{
    Arrival, Attachment, Compiled, Compiler, Container, ContainerReport, ContainerState, EngineName, Expose,
    ExposedPort, Gone, Health, Middleware, NetworkMode, OwnPlace, Precedence, RequestView, Route, Settings, Snapshot,
    compile,
};
use http::{HeaderMap, Method};
use proptest::prelude::*;

/// Keys that are ours, nearly ours and not ours.
fn key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "enable",
        "host",
        "path",
        "rule",
        "priority",
        "port",
        "scheme",
        "verify",
        "network",
        "upstream",
        "strip-prefix",
        "rewrite",
        "add-prefix",
        "redirect",
        "tls",
        "https-redirect",
        "listen",
        "request.header.X-A",
        "response.header.X-B",
        "response.header.Connection",
        "host-header",
        "body-limit",
        "timeout.connect",
        "timeout",
        "hsts",
        "compress",
        "allow",
        "alow",
        "auth.basic",
        "auth",
        "rate-limit",
        "hots",
        "Host",
        "HOST",
        "host.x",
        "frobnicate",
        "routes",
        "routes.",
        "",
        ".",
        "..",
        "sleep.after",
        "web.host",
        "ü",
    ]);
    let tail = prop_oneof![8 => known.prop_map(str::to_owned), 1 => any::<String>()];
    let prefix = prop::sample::select(vec![
        "gangway.",
        "gangway.",
        "gangway.",
        "gangway.routes.a.",
        "gangway.routes.b.",
        "gangway.routes.web.",
        "Gangway.",
        "gangway.routes.",
        "gangaway.",
        "gangway-",
        "gangway",
        "",
    ]);
    (prefix, tail).prop_map(|(prefix, tail)| format!("{prefix}{tail}"))
}

/// Values that some key would take, and any text.
fn value() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "true",
        "off",
        "",
        " ",
        "a.test",
        "b.test",
        "*.test",
        "a.*",
        "*",
        "a.test, b.test",
        "/",
        "/x",
        "=/x",
        "~^/x{1,2}",
        "/x, /y",
        "Host(`a.test`)",
        "Host(`a.test`) && Method(`GET`)",
        "PathRegexp(`.*`)",
        "HostRegexp(`.`)",
        "Host(",
        "0",
        "80",
        "1000",
        "-7",
        "99999999999999999999",
        "http",
        "https, http",
        "https",
        "h2c",
        "edge",
        "nowhere",
        "308 https://{host}{path}",
        "https://c.test{path}",
        "/{path}",
        "~^/(.*)$ -> /$1",
        "~( -> /",
        "5s",
        "50MB",
        "50M",
        "auto",
        "internal",
        "passthrough",
        "keep",
        "a\nb",
        "\u{7}",
        "\u{202e}",
        "ü",
        "http://192.0.2.9:80",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => any::<String>(), 1 => (0..6000_usize).prop_map(|len| "x".repeat(len))]
}

fn state() -> impl Strategy<Value = ContainerState> {
    prop_oneof![
        8 => Just(ContainerState::Running),
        1 => Just(ContainerState::Restarting),
        1 => Just(ContainerState::Paused),
        1 => Just(ContainerState::Exited),
    ]
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![
        4 => Just(Health::NoCheck),
        1 => Just(Health::Starting),
        1 => Just(Health::Healthy),
        1 => Just(Health::Unhealthy),
    ]
}

fn network() -> impl Strategy<Value = NetworkMode> {
    prop_oneof![
        8 => Just(NetworkMode::Networks),
        1 => Just(NetworkMode::Host),
        1 => Just(NetworkMode::None),
        1 => (0..6_u8).prop_map(|number| NetworkMode::Container(format!("id{number}").into())),
    ]
}

/// Any container but for its id and name.
fn container() -> impl Strategy<Value = Container> {
    let service = prop::option::of((prop::sample::select(vec!["p", "q"]), prop::sample::select(vec!["web", "api"])));
    let labels = prop::collection::btree_map(key(), value(), 0..12);
    let attached = prop::collection::vec((prop::sample::select(vec!["edge", "back", "zoo"]), any::<bool>()), 0..3);
    let ports = prop::collection::vec(prop::sample::select(vec![80_u16, 443, 3000, 8080, 9000]), 0..3);
    let image = prop::sample::select(vec!["app", "postgres:16", "jellyfin/jellyfin:10", "sha256:00", ""]);
    let facts = (state(), health(), any::<bool>(), 0..4_i64, prop::sample::select(vec!["", "east"]));
    (service, labels, attached, ports, image, network(), facts).prop_map(
        |(service, labels, attached, ports, image, network, (state, health, leaving, created, engine))| {
            let mut labels: std::collections::BTreeMap<Box<str>, Box<str>> =
                labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            if let Some((project, service)) = service {
                labels.insert("com.docker.compose.project".into(), project.into());
                labels.insert("com.docker.compose.service".into(), service.into());
            }
            let attachment = |(name, has_address): (&str, bool)| Attachment {
                network_id: format!("net-{name}").into(),
                network: name.into(),
                address: has_address.then_some(IpAddr::V4(Ipv4Addr::new(172, 20, 0, 3))),
            };
            Container {
                id: "".into(),
                engine: EngineName(engine.into()),
                name: "".into(),
                image: image.into(),
                created,
                state,
                ended: None,
                health,
                leaving,
                labels,
                network,
                attachments: attached.into_iter().map(attachment).collect(),
                ports: ports.into_iter().map(|port| ExposedPort { port, published: None }).collect(),
            }
        },
    )
}

/// Containers with an id and a name of their own.
fn snapshot() -> impl Strategy<Value = Snapshot> {
    let gone = prop::collection::vec((container(), 0..20_u64), 0..3);
    (prop::collection::vec(container(), 0..6), gone, any::<bool>()).prop_map(|(mut containers, gone, is_inside)| {
        for (number, container) in containers.iter_mut().enumerate() {
            container.id = format!("id{number}").into();
            container.name = format!("c{number}").into();
        }
        let networks = [("net-edge".into(), "edge".into()), ("net-zoo".into(), "zoo".into())].into();
        let inside = OwnPlace::Container { id: "id5".into(), networks, host_gateway: None };
        let own = [(EngineName::default(), if is_inside { inside } else { OwnPlace::Host })].into();
        let gone = gone.into_iter().zip(0..).map(|((container, since), number)| {
            let container =
                Container { id: format!("gone{number}").into(), name: format!("g{number}").into(), ..container };
            Gone { container, since: Duration::from_secs(since) }
        });
        Snapshot { containers, own, gone: gone.collect(), ..Snapshot::default() }
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), prop::option::of(Just("zoo"))).prop_map(|(all, network)| Settings {
        expose: if all { Expose::All } else { Expose::Labelled },
        network: network.map(Into::into),
        ..Settings::default()
    })
}

/// A container that is after somebody else's host.
fn hostile() -> impl Strategy<Value = Container> {
    let claim = prop::sample::select(vec![
        ("host", "a.test"),
        ("host", "*"),
        ("host", "*.test"),
        ("host", "a.*"),
        ("host", "b.test, A.TEST."),
        ("rule", "Host(`a.test`) && Method(`GET`)"),
        ("rule", "Host(`a.test`) && PathRegexp(`.*`) && !Method(`PUT`)"),
        ("rule", "HostRegexp(`^a`) && PathPrefix(`/`)"),
        ("rule", "PathRegexp(`^/other$`)"),
        ("rule", "Path(`/other`)"),
        ("rule", "Host(`b.test`) || Host(`a.test`, `*.a.test`) && PathPrefix(`/`)"),
    ]);
    let path = prop::option::of(prop::sample::select(vec!["/", "~.*", "~^/other", "/x", "=/x, /"]));
    let priority = prop::option::of(prop::sample::select(vec!["1", "1000", "9223372036854775807", "-5"]));
    (claim, path, priority, 0..4_i64).prop_map(|((key, value), path, priority, created)| {
        let mut container = common::plain("", &[]);
        container.created = created;
        let path = path.map(|path| ("path", path));
        for (key, value) in
            [(key, value)].into_iter().chain(path).chain(priority.map(|priority| ("priority", priority)))
        {
            container.labels.insert(format!("gangway.{key}").into(), value.into());
        }
        container
    })
}

/// Whom nobody may hurt: older than all others, and of a project of its own.
fn neighbour() -> Container {
    let mut neighbour = common::plain("neighbour", &[("gangway.host", "a.test"), ("gangway.path", "/")]);
    neighbour.created = -1;
    neighbour.attachments[0].address = Some(IpAddr::V4(Ipv4Addr::new(172, 20, 0, 200)));
    neighbour
}

fn find(compiled: &Compiled, host: &str, path: &str, method: &Method) -> Option<String> {
    found(compiled, host, path, method).map(|(id, _)| id)
}

/// The route that takes a request, and how specifically it does whatever its age.
fn found(compiled: &Compiled, host: &str, path: &str, method: &Method) -> Option<(String, Precedence)> {
    let headers = HeaderMap::new();
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let request = RequestView { host, path, query: "", method, headers: &headers, client, arrival: Arrival::HTTPS };
    compiled.table.find(&request).map(|found| {
        let ageless = Precedence { age: Reverse(0), id: Reverse("".into()), ..found.precedence.clone() };
        (found.route.id.to_string(), ageless)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_listing_does_not_matter(snapshot in snapshot(), settings in settings(), seed in any::<u64>()) {
        let mut shuffled = common::reversed(&snapshot);
        let len = shuffled.containers.len().max(1);
        let by = usize::try_from(seed % len as u64).expect("small");
        shuffled.containers.rotate_left(by);
        let (one, other) = (compile(&snapshot, &settings), compile(&shuffled, &settings));
        prop_assert_eq!(common::shown(&one), common::shown(&other));
        for host in ["a.test", "b.test", "x.a.test", "a.localhost"] {
            prop_assert_eq!(find(&one, host, "/x/y", &Method::GET), find(&other, host, "/x/y", &Method::GET));
        }
    }

    #[test]
    fn a_compiler_that_remembers_makes_the_same_tables(
        snapshots in prop::collection::vec((snapshot(), settings()), 1..5),
        repeated in prop::collection::vec(0_usize..5, 1..4),
    ) {
        let mut compiler = Compiler::default();
        let again = repeated.iter().map(|position| &snapshots[position % snapshots.len()]);
        for (snapshot, settings) in snapshots.iter().chain(again) {
            let (fresh, kept) = (compile(snapshot, settings), compiler.compile(snapshot, settings));
            prop_assert_eq!(common::shown(&fresh), common::shown(&kept));
        }
    }

    #[test]
    fn what_is_gone_takes_nothing_from_what_runs_but_what_it_asks_for_more_specifically(snapshot in snapshot(), settings in settings()) {
        let with = compile(&snapshot, &settings);
        let without = compile(&Snapshot { gone: Vec::new(), ..snapshot }, &settings);
        prop_assert_eq!(with.diagnostics.to_string(), without.diagnostics.to_string());
        prop_assert_eq!(&with.containers, &without.containers);
        let running = |compiled: &Compiled| -> Vec<String> {
            compiled.table.routes().iter().filter(|route| !route.upstream.held).map(|route| common::print::route(route)).collect()
        };
        prop_assert_eq!(running(&with), running(&without));
        for host in ["a.test", "b.test", "x.a.test", "a.localhost"] {
            for (path, method) in [("/", &Method::GET), ("/x/y", &Method::POST)] {
                let Some((before, ran)) = found(&without, host, path, method) else { continue };
                let (now, held) = found(&with, host, path, method).expect("what runs is still there");
                prop_assert!(before == now || held > ran, "{host}{path}: {before:?}, then {now:?}");
            }
        }
    }

    #[test]
    fn compiling_twice_gives_the_same(snapshot in snapshot(), settings in settings()) {
        prop_assert_eq!(common::shown(&compile(&snapshot, &settings)), common::shown(&compile(&snapshot, &settings)));
    }

    #[test]
    fn a_newer_container_of_nobody_changes_no_other_route(
        snapshot in snapshot(),
        settings in settings(),
        mut garbage in container(),
    ) {
        garbage.id = "garbage".into();
        garbage.name = "garbage".into();
        garbage.created = 100;
        garbage.labels.retain(|key, _| !key.starts_with("com.docker."));
        // What is gone gives way to all that runs.
        let snapshot = Snapshot { gone: Vec::new(), ..snapshot };
        let before = compile(&snapshot, &settings);
        let mut with = snapshot.clone();
        with.containers.push(garbage);
        let after = compile(&with, &settings);
        // A container that cannot be reached holds nothing, and one that lost something may lose it to another.
        let is_reached = |route: &Route| {
            let is_redirect = |one: &Middleware| matches!(one, Middleware::Redirect { .. });
            !route.upstream.endpoints.is_empty() || route.middlewares.iter().any(is_redirect)
        };
        let unreached: Vec<&str> = before.table.routes().iter().filter(|route| !is_reached(route)).map(|route| &*route.id).collect();
        let is_settled = |report: &&ContainerReport| {
            !report.reason.contains("served by others") && !report.routes.iter().any(|id| unreached.contains(&&**id))
        };
        let settled: Vec<&str> = before.containers.iter().filter(is_settled).map(|report| &*report.name).collect();
        let is_other = |name: &str| settled.contains(&name);
        let others = |compiled: &Compiled| -> Vec<String> {
            let routes = compiled.table.routes().iter().filter(|route| route.origin.iter().all(|name| is_other(name)));
            routes.map(|route| common::print::route(route)).collect()
        };
        prop_assert_eq!(others(&before), others(&after));
        let others = |compiled: &Compiled| -> Vec<String> {
            let found = compiled.diagnostics.iter().filter(|found| found.place.container().is_some_and(is_other));
            found.map(ToString::to_string).collect()
        };
        prop_assert_eq!(others(&before), others(&after));
    }

    #[test]
    fn nobody_takes_the_host_of_an_older_neighbour(
        mut snapshot in snapshot(),
        hostile in prop::collection::vec(hostile(), 1..4),
        settings in settings(),
    ) {
        for (number, mut container) in hostile.into_iter().enumerate() {
            container.id = format!("hostile{number}").into();
            container.name = container.id.clone();
            snapshot.containers.push(container);
        }
        snapshot.containers.push(neighbour());
        let compiled = compile(&snapshot, &settings);
        // Nothing that the others can write is more exact about this path.
        for method in [Method::GET, Method::POST] {
            let found = find(&compiled, "a.test", "/other", &method);
            prop_assert_eq!(found.as_deref(), Some("neighbour/neighbour"), "{}", common::shown(&compiled));
        }
    }

    #[test]
    fn what_is_shown_is_fit_to_be_shown(snapshot in snapshot(), settings in settings()) {
        let compiled = compile(&snapshot, &settings);
        for found in &compiled.diagnostics {
            prop_assert!(found.span.start <= found.span.end && found.span.end <= found.text.len(), "{:?}", found);
            prop_assert!(found.text.is_char_boundary(found.span.start), "{:?}", found);
            prop_assert!(found.text.is_char_boundary(found.span.end), "{:?}", found);
            prop_assert!(!found.effect.is_empty() && !found.help.is_empty(), "{:?}", found);
            prop_assert!(gangway_diagnostic::codes::find(found.code).is_some(), "{:?}", found);
            let shown = found.to_string();
            prop_assert!(shown.len() < 8192, "{} bytes", shown.len());
            prop_assert!(shown.chars().all(|char| char == '\n' || !char.is_control()), "{:?}", shown);
            let lines = shown.lines().filter(|line| line.trim_start().starts_with('^')).count();
            prop_assert_eq!(lines, 0, "a caret outside its margin");
        }
        let table = common::print::table(&compiled.table);
        prop_assert!(table.chars().all(|char| char == '\n' || !char.is_control()), "{:?}", table);
    }

    #[test]
    fn every_label_under_our_prefix_is_in_force_or_named(labels in prop::collection::btree_map(key(), value(), 1..8)) {
        let pairs: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let container = common::plain("app", &pairs);
        let text = |container: &Container| {
            let snapshot = Snapshot { containers: vec![container.clone()], ..Snapshot::default() };
            common::shown(&compile(&snapshot, &Settings::default()))
        };
        let whole = text(&container);
        // A route that is off, or not served because of another label, has nothing in force.
        if !whole.starts_with("app/app: ") || whole.contains("is not served") {
            return Ok(());
        }
        let is_ours = |key: &&String| key.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case("gangway."));
        for key in labels.keys().filter(is_ours) {
            let mut without = container.clone();
            let Some(value) = without.labels.remove(key.as_str()) else { continue };
            let is_default = ["true", "off", "auto", "0", "keep", "5s", "http", "80", "edge", "/", ""].contains(&value.trim());
            // A redirection asks nobody, so it does not matter how.
            let is_moot = whole.contains("redirect 30");
            if !is_default && !is_moot && text(&without) == whole {
                prop_assert!(whole.contains(key.as_str()), "`{}` = `{}` is ignored in {:?}\n{}", key, value, labels, whole);
            }
        }
    }
}
