//! Compiles 2,000 containers with our labels and 2,000 with Traefik's that say the same, in turns, and prints the ratio.
//!
//! Each round reads all labels anew. The fastest rounds are compared, since whatever slows the machine down slows both.
//! With `ours` or `traefik` behind it, it compiles those labels alone, once: for tools that count instructions.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]
#![allow(clippy::disallowed_methods, reason = "there is no clock to be paused here")]

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use gangway_model::{Container, EntryPoint, EntryPointTls, ListenerName, Settings, Snapshot, TraefikSettings, compile};

const CONTAINERS: u32 = 2_000;
const ROUNDS: usize = 20;

fn main() {
    let ours = (Snapshot { containers: containers(ours), ..Snapshot::default() }, Settings::default());
    let traefik = (Snapshot { containers: containers(of_traefik), ..Snapshot::default() }, in_traefiks_place());
    match std::env::args().nth(1).as_deref() {
        Some("ours") => return drop(compile(&ours.0, &ours.1)),
        Some("traefik") => return drop(compile(&traefik.0, &traefik.1)),
        _ => {}
    }
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (fastest, (snapshot, settings)) in fastest.iter_mut().zip([&ours, &traefik]) {
            let began = Instant::now();
            let compiled = compile(snapshot, settings);
            *fastest = (*fastest).min(began.elapsed());
            let errors = compiled.diagnostics.iter().count();
            assert_eq!((compiled.table.routes().len(), errors), (CONTAINERS as usize, 0), "{}", compiled.diagnostics);
        }
    }
    let [ours, traefik] = fastest.map(|took| took.as_secs_f64() * 1000.0);
    println!(
        "{CONTAINERS} containers: {ours:.1} ms with our labels, {traefik:.1} ms with Traefik's, {:.2} x",
        traefik / ours
    );
}

fn containers(labels: fn(u32) -> Vec<(String, String)>) -> Vec<Container> {
    let container = |number: u32| {
        let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number));
        let mut container = Container::named(&format!("app-{number}")).reached_at("edge", address, 8080);
        container.labels = labels(number).into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        container
    };
    (0..CONTAINERS).map(container).collect()
}

fn pairs(pairs: &[(String, String)]) -> Vec<(String, String)> {
    pairs.to_vec()
}

fn ours(number: u32) -> Vec<(String, String)> {
    let pair = |key: &str, value: &str| (format!("gangway.{key}"), value.to_owned());
    pairs(&[
        pair("host", &format!("app-{number}.example.com")),
        pair("path", "~^/api"),
        pair("port", "8080"),
        pair("https-redirect", "false"),
        pair("response.header.X-Frame-Options", "DENY"),
        pair("response.header.X-Powered-By", ""),
        pair("allow", "10.0.0.0/8"),
    ])
}

fn of_traefik(number: u32) -> Vec<(String, String)> {
    let pair = |key: &str, value: &str| (format!("traefik.{key}"), value.to_owned());
    let router = format!("http.routers.app-{number}");
    let middlewares = "http.middlewares";
    pairs(&[
        pair("enable", "true"),
        pair(&format!("{router}.rule"), &format!("Host(`app-{number}.example.com`) && PathPrefix(`/api`)")),
        pair(&format!("{router}.entrypoints"), "websecure"),
        pair(&format!("{router}.tls"), "true"),
        pair(&format!("{router}.middlewares"), &format!("h-{number},lan-{number}")),
        pair(&format!("http.services.app-{number}.loadbalancer.server.port"), "8080"),
        pair(&format!("{middlewares}.h-{number}.headers.frameDeny"), "true"),
        pair(&format!("{middlewares}.h-{number}.headers.customResponseHeaders.X-Powered-By"), ""),
        pair(&format!("{middlewares}.lan-{number}.ipallowlist.sourcerange"), "10.0.0.0/8"),
    ])
}

fn in_traefiks_place() -> Settings {
    let entry_point = |name: &str, tls| EntryPoint {
        name: ListenerName::parse(name).expect("a name"),
        is_default: true,
        tls,
        redirection: None,
        middlewares: Vec::new(),
    };
    let entry_points = vec![entry_point("web", None), entry_point("websecure", Some(EntryPointTls::default()))];
    Settings { traefik: Some(TraefikSettings { entry_points, ..TraefikSettings::default() }), ..Settings::default() }
}
