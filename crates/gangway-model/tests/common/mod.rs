//! Snapshots from text: the form in which fixtures are written.
//!
//! ```text
//! # A port is a number; a name is not looked up.
//! container shop-web-1, running, on edge at 172.20.0.3
//!   gangway.host = shop.example.com
//!   gangway.port = web
//! ```
//!
//! A container's facts are separated by commas: a state, a health, `leaving`, `on NET at IP`, `on NET`,
//! `host network`, `no network`, `in the network of NAME`, `image NAME`, `exposes 80 443`,
//! `publishes 8080:80`, `created 5`, `service web of shop`, `service web`, `task web of stack`, `project shop`,
//! `engine east`.
//! Without any it runs, is older than those below it, and has no port.
//!
//! `gone 3 shop-web-1, on edge at 172.20.0.3` is one that went three seconds ago.
//!
//! Gangway is on the host, unless a line says otherwise: `gangway, on edge, host at 172.20.0.1`. `network lan, macvlan`
//! says by which driver a network is made, `unreadable shop-web-1, Ports` what makes no sense,
//! `stranded shop-web-1` who is in a network that is gone. Settings
//! are `settings, domain example.org, network edge, expose all`, `settings, listener internal plain`, `settings, public [::]:443, admin 127.0.0.1:8420`, `settings, default-use sso`, `settings, geoip given`, `settings, crowdsec given, appsec given`,
//! `traefik, entry-point web, entry-point websecure tls, resolver le, hidden, api at traefik, ping` runs in Traefik's place;
//! below it stand keys of its file provider; a route of the file is `route nas`, and a shared definition `middlewares lan-only`.
//!
//! In keys and values `\n` and `\u{7}` are characters, `{a*5000}` is a text repeated, and a label with
//! `{1..300}` is as many labels.

#![allow(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]

pub mod print;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::{FilePosition, Place};
use gangway_model::{
    Attachment, Compiled, Container, ContainerState, DynamicKey, EngineKind, EngineName, EntryPoint,
    EntryPointRedirection, EntryPointTls, Expose, ExposedPort, FileRoute, Gone, Health, InternalApi, InternalPage,
    KnownListener, ListenerName, ListenerProtocol, MiddlewareTable, NetworkMode, OwnPlace, Selector, Settings,
    Snapshot, TraefikSettings, TransportSettings, compile,
};

/// Where fixtures stand.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The name and the text of every fixture, by name.
pub fn fixtures() -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder()).expect("the folder of fixtures");
    let paths = files.map(|file| file.expect("a file").path());
    let mut fixtures: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a text"))
        })
        .collect();
    fixtures.sort();
    fixtures
}

/// Reads a fixture.
pub fn read(text: &str) -> (Snapshot, Settings) {
    let mut snapshot = Snapshot::default();
    let mut settings = Settings::default();
    let (mut into_file, mut into_gone, mut into_definition, mut into_provider) = (false, false, false, false);
    for (line, number) in text.lines().zip(1..) {
        let label = line.strip_prefix("  ");
        match line.split([' ', ',']).next() {
            None | Some("#") => {}
            Some("") if line.trim().is_empty() => {}
            Some("") => {
                let (key, value) = label.and_then(|label| label.split_once('=')).expect(line);
                let pairs = ranged(key.trim(), value.strip_prefix(' ').unwrap_or(value));
                for (key, value) in pairs {
                    if into_provider {
                        let traefik = settings.traefik.as_mut().expect("Traefik above");
                        let path = key.split('.').map(Into::into).collect();
                        let place = in_provider(&key, number);
                        traefik.dynamic.push(DynamicKey { path, value: value.into(), place });
                    } else if into_definition {
                        let table = settings.middlewares.last_mut().expect("a definition above");
                        let label = format!("middlewares.{}.{key}", table.name);
                        table.keys.push((key.into(), value.into(), in_file(&label, number)));
                    } else if into_file {
                        let route = settings.file_routes.last_mut().expect("a route above");
                        let label = format!("routes.{}.{key}", route.name);
                        route.keys.push((key.into(), value.into(), in_file(&label, number)));
                    } else {
                        let gone = snapshot.gone.last_mut().filter(|_| into_gone).map(|gone| &mut gone.container);
                        let container = gone.or(snapshot.containers.last_mut()).expect("a container above");
                        container.labels.insert(key.into(), value.into());
                    }
                }
            }
            Some("container") => {
                (into_file, into_gone, into_definition, into_provider) = (false, false, false, false);
                let created = snapshot.containers.len();
                snapshot.containers.push(container(rest(line), i64::try_from(created).expect("few")));
            }
            Some("middlewares") => {
                into_definition = true;
                let name: Box<str> = rest(line).into();
                let place = in_file(&format!("middlewares.{name}"), number);
                settings.middlewares.push(MiddlewareTable { name, keys: Vec::new(), place });
            }
            Some("route") => {
                (into_file, into_definition) = (true, false);
                let name: Box<str> = rest(line).into();
                let place = in_file(&format!("routes.{name}"), number);
                settings.file_routes.push(FileRoute { name, keys: Vec::new(), place });
            }
            Some("gone") => {
                into_gone = true;
                (into_file, into_definition) = (false, false);
                let (since, line) = rest(line).split_once(' ').expect(line);
                let since = Duration::from_secs(since.parse().expect("seconds"));
                snapshot.gone.push(Gone { container: container(line, -1), since });
            }
            Some("gangway") => own(rest(line), &mut snapshot),
            Some("stranded") => {
                snapshot.stranded.entry(EngineName::default()).or_default().insert(id(rest(line)));
            }
            Some("unreadable") => {
                let (name, part) = rest(line).split_once(", ").expect(line);
                let left_out = snapshot.left_out.entry(EngineName::default()).or_default().entry(id(name)).or_default();
                left_out.container = name.into();
                left_out.parts.push(part.into());
            }
            Some("network") => {
                let (name, driver) = rest(line).split_once(", ").expect(line);
                let drivers = snapshot.drivers.entry(EngineName::default()).or_default();
                drivers.insert(format!("net-{name}").into(), driver.into());
            }
            Some("settings") => set(rest(line), &mut settings),
            Some("traefik") => {
                into_provider = true;
                settings.traefik = Some(traefik(rest(line)));
            }
            Some(other) => panic!("`{other}` is not understood"),
        }
    }
    resolve_names(&mut snapshot);
    (snapshot, settings)
}

/// Everything that compiling gives, as text.
pub fn shown(compiled: &Compiled) -> String {
    let mut text = format!("{}\n", print::table(&compiled.table));
    for report in &compiled.containers {
        let routes = if report.routes.is_empty() { "nothing".to_owned() } else { report.routes.join(" ") };
        writeln!(text, "{} ({}): {routes}", report.name, report.reason).expect("a text");
    }
    for hold in &compiled.holds {
        writeln!(text, "{} is held for {:?}", hold.container, hold.left).expect("a text");
    }
    write!(text, "\n{}", compiled.diagnostics).expect("a text");
    text
}

/// The same snapshot, listed the other way round.
pub fn reversed(snapshot: &Snapshot) -> Snapshot {
    let mut reversed = snapshot.clone();
    reversed.containers.reverse();
    reversed.gone.reverse();
    for container in &mut reversed.containers {
        container.attachments.reverse();
        container.ports.reverse();
    }
    reversed
}

/// Compiles and makes sure that the order of listing does not matter.
pub fn compiled(snapshot: &Snapshot, settings: &Settings) -> Compiled {
    let compiled = compile(snapshot, settings);
    let other = compile(&reversed(snapshot), settings);
    assert_eq!(shown(&compiled), shown(&other), "the order of listing matters");
    compiled
}

/// A container that runs by itself on the network `edge` and exposes 8080.
pub fn plain(name: &str, labels: &[(&str, &str)]) -> Container {
    let mut container = container(&format!("{name}, on edge at 172.20.0.9, exposes 8080"), 0);
    container.labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    container
}

fn rest(line: &str) -> &str {
    line.split_once([' ', ',']).map_or("", |(_, rest)| rest.trim())
}

fn traefik(line: &str) -> TraefikSettings {
    let mut traefik = TraefikSettings::default();
    for fact in line.split(", ").map(str::trim) {
        let (word, rest) = fact.split_once(' ').unwrap_or((fact, ""));
        match word {
            "entry-point" => traefik.entry_points.push(entry_point(rest)),
            "resolver" => traefik.resolvers.push(rest.into()),
            "hidden" => traefik.exposed_by_default = false,
            "default-rule" => traefik.default_rule = rest.into(),
            "variable" => {
                let (name, value) = rest.split_once(' ').expect(fact);
                traefik.variables.insert(name.into(), value.into());
            }
            "constraints" => traefik.constraints = rest.into(),
            "trusting" => traefik.default_transport.settings = Arc::new(TransportSettings::unverified()),
            "host-name" => traefik.host_name = rest.into(),
            "plugin" => {
                let (name, module) = rest.split_once(' ').expect(fact);
                traefik.plugins.push((name.into(), module.into()));
            }
            "api" => {
                let open_at = listener(rest);
                traefik.internal.api = Some(InternalApi { open_at, has_dashboard: true, ..InternalApi::default() });
            }
            "ping" => traefik.internal.ping = Some(InternalPage { entry_point: listener(rest) }),
            "metrics" => traefik.internal.prometheus = Some(InternalPage { entry_point: listener(rest) }),
            _ => panic!("`{fact}` is not understood"),
        }
    }
    traefik
}

/// `at web`, or nothing.
fn listener(text: &str) -> Option<ListenerName> {
    text.strip_prefix("at ").map(|name| ListenerName::parse(name).expect(text))
}

/// `web`, `web to 443`, `websecure tls`, `web with auth@docker`.
fn entry_point(text: &str) -> EntryPoint {
    let mut words = text.split(' ');
    let name = ListenerName::parse(words.next().expect(text)).expect(text);
    let mut point = EntryPoint { name, is_default: true, tls: None, redirection: None, middlewares: Vec::new() };
    while let Some(word) = words.next() {
        match word {
            "tls" => point.tls = Some(EntryPointTls::default()),
            "options" => {
                point.tls.get_or_insert_default().options = Some(words.next().expect(text).into());
            }
            "aside" => point.is_default = false,
            "with" => point.middlewares.push(words.next().expect(text).into()),
            "to" => {
                let port = words.next().expect(text).parse().expect(text);
                let (scheme, priority) = ("https".into(), i64::MAX - 1);
                point.redirection = Some(EntryPointRedirection { scheme, port, is_permanent: true, priority });
            }
            _ => panic!("`{word}` is not understood"),
        }
    }
    point
}

fn in_provider(key: &str, line: u32) -> Place {
    Place::ConfigFile { key: Some(key.into()), at: FilePosition { file: "dynamic.yml".into(), line, column: 3 } }
}

fn in_file(label: &str, line: u32) -> Place {
    Place::ConfigFile { key: Some(label.into()), at: FilePosition { file: "gangway.toml".into(), line, column: 3 } }
}

fn id(name: &str) -> Box<str> {
    format!("id-{name}").into()
}

fn container(line: &str, created: i64) -> Container {
    let mut facts = line.split(',').map(str::trim);
    let name = facts.next().unwrap_or_default();
    let mut container = Container { id: id(name), image: "app".into(), created, ..Container::named(name) };
    facts.for_each(|fact| add(&mut container, fact));
    container
}

fn add(container: &mut Container, fact: &str) {
    let (word, rest) = fact.split_once(' ').unwrap_or((fact, ""));
    let mut label = |key: &str, value: &str| container.labels.insert(key.into(), value.into());
    match (word, rest) {
        ("running", "") => container.state = ContainerState::Running,
        ("created", "") => container.state = ContainerState::Created,
        ("paused", "") => container.state = ContainerState::Paused,
        ("restarting", "") => container.state = ContainerState::Restarting,
        ("removing", "") => container.state = ContainerState::Removing,
        ("exited", "") => container.state = ContainerState::Exited,
        ("dead", "") => container.state = ContainerState::Dead,
        ("healthy", "") => container.health = Health::Healthy,
        ("unhealthy", "") => container.health = Health::Unhealthy,
        ("starting", "") => container.health = Health::Starting,
        ("leaving", "") => container.leaving = true,
        ("created", at) => container.created = at.parse().expect(fact),
        ("image", image) => container.image = image.into(),
        ("engine", engine) => container.engine = EngineName(engine.into()),
        ("host", "network") => container.network = NetworkMode::Host,
        ("no", "network") => container.network = NetworkMode::None,
        ("in", rest) => {
            let other = rest.strip_prefix("the network of ").expect(fact);
            container.network = NetworkMode::Container(id(other));
        }
        ("on", rest) => container.attachments.push(attachment(rest)),
        ("exposes", ports) => {
            let ports = ports.split(' ').map(|port| port.parse().expect(fact));
            container.ports.extend(ports.map(|port| ExposedPort { port, published: None }));
        }
        ("publishes", ports) => {
            let (published, port) = ports.split_once(':').expect(fact);
            let (port, published) = (port.parse().expect(fact), published.parse().ok());
            container.ports.push(ExposedPort { port, published });
        }
        ("task", service) => {
            let (service, stack) = service.split_once(" of ").expect(fact);
            label("com.docker.swarm.service.name", &format!("{stack}_{service}"));
            label("com.docker.stack.namespace", stack);
        }
        ("project", project) => drop(label("com.docker.compose.project", project)),
        ("service", service) => {
            let (service, project) = service.split_once(" of ").unwrap_or((service, ""));
            label("com.docker.compose.service", service);
            if !project.is_empty() {
                label("com.docker.compose.project", project);
            }
        }
        _ => panic!("`{fact}` is not a fact"),
    }
}

fn attachment(text: &str) -> Attachment {
    let (network, address) = text.split_once(" at ").unwrap_or((text, ""));
    Attachment { network_id: format!("net-{network}").into(), network: network.into(), address: address.parse().ok() }
}

fn own(line: &str, snapshot: &mut Snapshot) {
    let (mut engine, mut networks, mut host_gateway) = (EngineName::default(), BTreeMap::new(), None);
    let mut outside = None;
    for fact in line.split(',').map(str::trim).filter(|fact| !fact.is_empty()) {
        match fact.split_once(' ') {
            Some(("on", "the host")) => outside = Some(OwnPlace::Host),
            Some(("beside", "a rootless engine")) => outside = Some(OwnPlace::Elsewhere(EngineKind::Rootless)),
            Some(("beside", "Docker Desktop")) => outside = Some(OwnPlace::Elsewhere(EngineKind::DockerDesktop)),
            Some(("beside", _)) => outside = Some(OwnPlace::Elsewhere(EngineKind::Other)),
            Some(("on", network)) => {
                networks.insert(format!("net-{network}").into(), network.into());
            }
            Some(("host", at)) => host_gateway = at.trim_start_matches("at ").parse().ok(),
            Some(("engine", name)) => engine = EngineName(name.into()),
            _ => panic!("`{fact}` is not a fact"),
        }
    }
    let inside = OwnPlace::Container { id: id("gangway"), networks, host_gateway };
    snapshot.own.insert(engine, outside.unwrap_or(inside));
}

fn set(line: &str, settings: &mut Settings) {
    for fact in line.split(',').map(str::trim) {
        match fact.split_once(' ') {
            Some(("domain", domain)) => settings.domain = domain.into(),
            Some(("network", network)) => settings.network = Some(network.into()),
            Some(("default-use", name)) => settings.default_use.push(name.into()),
            Some(("geoip", "given")) => settings.has_geoip = true,
            Some(("crowdsec", "given")) => settings.has_crowdsec = true,
            Some(("appsec", "given")) => settings.has_appsec = true,
            Some(("expose", "all")) => settings.expose = Expose::All,
            Some(("listener", what)) => {
                let (name, protocol) = what.split_once(' ').expect(fact);
                let name = ListenerName::parse(name).expect(fact);
                settings.listeners.push(KnownListener { name, protocol: protocol_of(protocol) });
            }
            Some(("public", at)) => settings.own_listeners.public.push(at.parse().expect(fact)),
            Some(("admin", at)) => settings.own_listeners.admin = at.parse().ok(),
            Some(("select", text)) => settings.select.push(Selector::parse(text).expect("a selector")),
            _ => panic!("`{fact}` is not a setting"),
        }
    }
}

/// `in the network of NAME` names a container that has an id of its own.
fn protocol_of(text: &str) -> ListenerProtocol {
    match text {
        "plain" => ListenerProtocol::Plain,
        "tls" => ListenerProtocol::Tls,
        "auto" => ListenerProtocol::Detected,
        other => panic!("unknown protocol {other}"),
    }
}

fn resolve_names(snapshot: &mut Snapshot) {
    let ids: Vec<Box<str>> = snapshot.containers.iter().map(|container| container.id.clone()).collect();
    for container in &mut snapshot.containers {
        if let NetworkMode::Container(other) = &container.network {
            assert!(ids.contains(other) || **other == *"id-gone", "no container {other}");
        }
    }
}

/// A label as many labels, where its key has a range.
fn ranged(key: &str, value: &str) -> Vec<(String, String)> {
    let (key, value) = (unescaped(key), unescaped(value));
    let range = key.find('{').and_then(|open| {
        let (inner, after) = key[open + 1..].split_once('}')?;
        let (first, last) = inner.split_once("..")?;
        Some((key[..open].to_owned(), first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?, after.to_owned()))
    });
    match range {
        Some((before, numbers, after)) => numbers
            .map(|number| (format!("{before}{number}{after}"), value.replace("{n}", &number.to_string())))
            .collect(),
        None => vec![(key, value)],
    }
}

fn unescaped(text: &str) -> String {
    let mut text = text.replace("\\n", "\n").replace("\\t", "\t");
    while let Some(at) = text.find("\\u{") {
        let end = at + text[at..].find('}').expect("a closing brace");
        let char = u32::from_str_radix(&text[at + 3..end], 16).ok().and_then(char::from_u32).expect("a character");
        text.replace_range(at..=end, &char.to_string());
    }
    let repeat = text.find('{').and_then(|open| {
        let (inner, _) = text[open + 1..].split_once('}')?;
        let (what, times) = inner.rsplit_once('*')?;
        Some((open..open + inner.len() + 2, what.repeat(times.parse().ok()?)))
    });
    if let Some((range, repeated)) = repeat {
        text.replace_range(range, &repeated);
    }
    text
}
