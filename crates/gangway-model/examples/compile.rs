//! Compiles 2,000 containers with our labels and 2,000 with Traefik's that say the same, in turns, and prints the ratio.
//!
//! Each round reads all labels anew, and the ratio is made within a round: whatever slows the machine down slows both.
//! With `ours` or `traefik` behind it, it compiles those labels alone, once, and with `neither` none: for tools that count
//! instructions.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]
#![allow(clippy::disallowed_methods, reason = "there is no clock to be paused here")]

use std::mem::ManuallyDrop;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use gangway_model::{
    Compiled, Container, EntryPoint, EntryPointTls, ListenerName, Settings, Snapshot, TraefikSettings, compile,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONTAINERS: u32 = 2_000;
const ROUNDS: usize = 20;

fn main() {
    let ours = (Snapshot { containers: containers(ours), ..Snapshot::default() }, Settings::default());
    let traefik = (Snapshot { containers: containers(of_traefik), ..Snapshot::default() }, in_traefiks_place());
    let one = match std::env::args().nth(1).as_deref() {
        Some("ours") => Some(&ours),
        Some("traefik") => Some(&traefik),
        Some("neither") => return,
        _ => None,
    };
    if let Some((snapshot, settings)) = one {
        // What it takes to compile is counted, and not what it takes to forget.
        let _ = ManuallyDrop::new(compile(snapshot, settings));
        return;
    }
    let (mut millis, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..ROUNDS {
        let [(ours, of_ours), (traefik, of_traefik)] = [&ours, &traefik].map(|(snapshot, settings)| {
            let began = Instant::now();
            let compiled = compile(snapshot, settings);
            (began.elapsed().as_secs_f64() * 1000.0, said(&compiled))
        });
        assert_eq!((of_ours.len(), of_traefik.len()), (CONTAINERS as usize, CONTAINERS as usize));
        for (one, other) in of_ours.iter().zip(&of_traefik) {
            assert_eq!(one, other, "both say the same");
        }
        ratios.push(traefik / ours);
        millis[0].push(ours);
        millis[1].push(traefik);
    }
    let [ours, traefik] = millis.map(median);
    println!(
        "{CONTAINERS} containers: {ours:.1} ms with our labels, {traefik:.1} ms with Traefik's, {:.2} x (medians)",
        median(ratios)
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What routes ask for and where they lead, whatever they are called.
fn said(compiled: &Compiled) -> Vec<String> {
    assert!(compiled.diagnostics.is_empty(), "{}", compiled.diagnostics);
    let said = |route: &gangway_model::Route| {
        // A list of Traefik's looks at the connection, where ours looks at the client that a trusted proxy names.
        let text = |one| format!("{one:?}").replace("source: Connection", "source: Client");
        let mut middlewares: Vec<String> = route.middlewares.iter().map(text).collect();
        middlewares.sort();
        let endpoints: Vec<_> =
            route.upstream.endpoints.iter().map(|endpoint| (&endpoint.key, endpoint.scheme)).collect();
        format!("{} {:?} {middlewares:?} {endpoints:?}", route.rule, route.listener.tls)
    };
    let mut all: Vec<String> = compiled.table.routes().iter().map(|route| said(route)).collect();
    all.sort();
    all
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
