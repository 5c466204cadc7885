//! Traefik's labels: no set of them panics, the order of containers never matters, and what was meant to protect a route does
//! or closes it.

mod common;

use std::sync::Arc;

use gangway_diagnostic::Place;
use gangway_model::{
    Container, DynamicKey, EntryPoint, EntryPointTls, ListenerName, Middleware, Route, Settings, Snapshot,
    TraefikSettings, compile,
};
use proptest::prelude::*;

type IsOfKind = fn(&Middleware) -> bool;

/// Middlewares that protect, each with a label that defines it, and whether a step of a route is one.
const PROTECTING: [(&str, &str, &str, IsOfKind); 6] = [
    (
        "users",
        "traefik.http.middlewares.users.basicauth.users",
        "ann:$2y$04$ePP0zE7zVXXfi5jIjrOeTOLNvfGSHM6PIvdtLQI2HQTFW74480aO.",
        |step| step.authentication().is_some(),
    ),
    ("lan", "traefik.http.middlewares.lan.ipallowlist.sourcerange", "10.0.0.0/8", |step| {
        step.address_filter().is_some()
    }),
    ("rate", "traefik.http.middlewares.rate.ratelimit.average", "10", |step| matches!(step, Middleware::RateLimit(_))),
    ("flight", "traefik.http.middlewares.flight.inflightreq.amount", "10", |step| {
        matches!(step, Middleware::ConcurrencyLimit(_))
    }),
    ("door", "traefik.http.middlewares.door.forwardauth.address", "http://192.0.2.8:9091/check", |step| {
        step.authentication().is_some()
    }),
    ("hosts", "traefik.http.middlewares.hosts.headers.allowedhosts", "a.test", |step| {
        matches!(step, Middleware::AllowedHosts(_))
    }),
];

/// What may become of the label that defines a middleware.
#[derive(Clone, Copy, Debug)]
enum Damage {
    None,
    Dropped,
    Emptied,
    /// One letter of the key is another one.
    Misspelt(usize),
    /// The value is something else.
    Garbled,
    /// It has a second type.
    TwoTypes,
    /// An option beside it is not one.
    UnknownOption,
}

/// How TLS options that ask clients for certificates come to a router.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum OptionsBy {
    Router,
    EntryPoint,
    Default,
}

/// What may become of such options.
#[derive(Clone, Copy, Debug)]
enum OptionsDamage {
    None,
    /// Somebody else's name stands where they are declared.
    Elsewhere,
    /// One letter of a key is another one.
    Misspelt(usize),
    /// What is asked of clients is something else.
    Garbled,
}

fn options_damage() -> impl Strategy<Value = OptionsDamage> {
    prop_oneof![
        Just(OptionsDamage::None),
        Just(OptionsDamage::Elsewhere),
        (0..40usize).prop_map(OptionsDamage::Misspelt),
        Just(OptionsDamage::Garbled),
    ]
}

/// TLS options of this name in a file, which ask clients for certificates.
fn declared_options(name: &str, damage: OptionsDamage) -> Vec<DynamicKey> {
    let name = if matches!(damage, OptionsDamage::Elsewhere) { "elsewhere" } else { name };
    let wanted = if matches!(damage, OptionsDamage::Garbled) { "Everything" } else { "RequireAndVerifyClientCert" };
    [("clientAuth.caFiles", "/certs/clients.pem"), ("clientAuth.clientAuthType", wanted)]
        .map(|(key, value)| {
            let mut key = key.to_owned();
            if let OptionsDamage::Misspelt(at) = damage {
                let at = at % key.len();
                // A dot in the place of a letter, or the other way round, is another key, too.
                key.replace_range(at..=at, if &key[at..=at] == "x" { "y" } else { "x" });
            }
            let path = ["tls", "options", name].into_iter().chain(key.split('.')).map(Into::into).collect();
            DynamicKey { path, value: value.into(), place: Place::Configuration }
        })
        .into()
}

fn settings() -> Settings {
    let entry_point = |name: &str, tls| EntryPoint {
        name: ListenerName::parse(name).expect("a name"),
        is_default: true,
        tls,
        redirection: None,
        middlewares: Vec::new(),
    };
    let entry_points = vec![entry_point("web", None), entry_point("websecure", Some(EntryPointTls::default()))];
    let traefik = TraefikSettings { entry_points, resolvers: vec!["le".into()], ..TraefikSettings::default() };
    Settings { traefik: Some(traefik), ..Settings::default() }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        2 => Just(Damage::None),
        1 => Just(Damage::Dropped),
        1 => Just(Damage::Emptied),
        2 => (0..60usize).prop_map(Damage::Misspelt),
        1 => Just(Damage::Garbled),
        1 => Just(Damage::TwoTypes),
        1 => Just(Damage::UnknownOption),
    ]
}

fn defined(key: &str, value: &str, damage: Damage) -> Vec<(String, String)> {
    let label = |key: String, value: &str| vec![(key, value.to_owned())];
    match damage {
        Damage::None => label(key.into(), value),
        Damage::Dropped => Vec::new(),
        Damage::Emptied => label(key.into(), ""),
        Damage::Misspelt(at) => {
            // Behind `traefik.http.middlewares.`: a label outside of that is nobody's.
            let at = 25 + at % (key.len() - 25);
            let letter = if key.as_bytes()[at] == b'x' { 'y' } else { 'x' };
            label(format!("{}{letter}{}", &key[..at], &key[at + 1..]), value)
        }
        Damage::Garbled => label(key.into(), "\u{1}, ;,x:"),
        Damage::TwoTypes => {
            let name = key.split('.').nth(3).expect("a name");
            [label(key.into(), value), label(format!("traefik.http.middlewares.{name}.addprefix.prefix"), "/x")]
                .concat()
        }
        Damage::UnknownOption => {
            let (middleware, _) = key.rsplit_once('.').expect("an option");
            [label(key.into(), value), label(format!("{middleware}.nonsense"), "1")].concat()
        }
    }
}

fn container(name: &str, labels: Vec<(String, String)>) -> Container {
    let mut container = common::plain(name, &[]);
    container.labels = labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    container
}

fn word() -> impl Strategy<Value = String> {
    let words = [
        "http",
        "routers",
        "services",
        "middlewares",
        "a",
        "b",
        "rule",
        "tls",
        "domains[0]",
        "main",
        "loadbalancer",
        "server",
        "port",
        "headers",
        "customrequestheaders",
        "X-A",
        "chain",
        "basicauth",
        "users",
        "entrypoints",
        "priority",
        "service",
        "certresolver",
        "options",
        "",
        "[",
        "[0]",
        "ä",
        "enable",
        "docker",
        "network",
        "tcp",
        "compress",
        "sticky",
        "cookie",
        "name",
        "weighted",
        "healthcheck",
        "path",
    ];
    prop_oneof![8 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => "[ -~]{0,6}"]
}

fn value() -> impl Strategy<Value = String> {
    let values = [
        "Host(`a.test`)",
        "Host(`b.test`) && PathPrefix(`/x`)",
        "HostRegexp(`{a:.*}`)",
        "true",
        "false",
        "",
        "1",
        "-1",
        "a",
        "b@file",
        "a,b",
        ",",
        "web",
        "nowhere",
        "le",
        "8080",
        "99999",
        "/x",
        "10s",
        "Host(",
        "!Host(`a.test`)",
        "9223372036854775807",
        "@",
        "a@docker",
    ];
    prop_oneof![8 => prop::sample::select(values.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,12}"]
}

proptest! {
    #[test]
    fn no_labels_panic_and_the_order_of_containers_never_matters(
        containers in prop::collection::vec(
            prop::collection::vec((prop::collection::vec(word(), 1..7), value()), 0..12),
            0..4,
        )
    ) {
        let containers = containers.into_iter().enumerate().map(|(number, labels)| {
            let labels = labels.into_iter().map(|(words, value)| (format!("traefik.{}", words.join(".")), value));
            container(&format!("c{number}"), labels.collect())
        });
        let snapshot = Snapshot { containers: containers.collect(), ..Snapshot::default() };
        let compiled = common::compiled(&snapshot, &settings());
        for diagnostic in &compiled.diagnostics {
            prop_assert!(!diagnostic.effect.is_empty() && !diagnostic.help.is_empty(), "{diagnostic}");
        }
    }

    #[test]
    fn what_was_meant_to_protect_a_route_does_or_closes_it(
        wanted in prop::collection::vec(0..PROTECTING.len(), 1..4),
        damages in prop::collection::vec(damage(), PROTECTING.len()),
        separator in prop::sample::select(vec![",", ", ", "@docker,", ",,"]),
        is_apart: bool,
        is_chained: bool,
        comes_later: bool,
    ) {
        let names: Vec<&str> = wanted.iter().map(|at| PROTECTING[*at].0).collect();
        let mut labels = vec![("traefik.http.routers.r.rule".to_owned(), "Host(`r.test`)".to_owned())];
        let list = names.join(separator);
        if is_chained {
            labels.push(("traefik.http.routers.r.middlewares".to_owned(), "all".to_owned()));
            labels.push(("traefik.http.middlewares.all.chain.middlewares".to_owned(), list));
        } else {
            labels.push(("traefik.http.routers.r.middlewares".to_owned(), list));
        }
        let definitions: Vec<_> =
            PROTECTING.iter().zip(&damages).flat_map(|((_, key, value, _), damage)| defined(key, value, *damage)).collect();
        let mut containers = Vec::new();
        if is_apart {
            containers.push(container("app", labels));
            containers.push(container("definitions", definitions));
        } else {
            containers.push(container("app", [labels, definitions].concat()));
        }
        if comes_later {
            // A younger container cannot take a name away.
            let open = ("traefik.http.middlewares.all.chain.middlewares".to_owned(), "none".to_owned());
            let none = ("traefik.http.middlewares.none.addprefix.prefix".to_owned(), "/".to_owned());
            let mut later = container("later", vec![open, none]);
            later.created = 9;
            containers.push(later);
        }
        let snapshot = Snapshot { containers, ..Snapshot::default() };
        let compiled = compile(&snapshot, &settings());
        let is_it = |route: &&Arc<Route>| route.hosts.iter().any(|host| host.to_string() == "r.test");
        for route in compiled.table.routes().iter().filter(is_it) {
            for at in &wanted {
                let (name, .., is_one) = PROTECTING[*at];
                prop_assert!(
                    route.closed || route.middlewares.iter().any(is_one),
                    "{} is open without {name}: {:?}\n{}",
                    route.id,
                    damages,
                    compiled.diagnostics
                );
            }
        }
    }
    #[test]
    fn where_certificates_are_asked_of_clients_they_are_or_the_route_is_closed(
        by in prop::sample::select(vec![OptionsBy::Router, OptionsBy::EntryPoint, OptionsBy::Default]),
        damage in options_damage(),
        has_tls: bool,
        is_apart: bool,
    ) {
        // Without a declaration there is a default, which asks for nothing.
        prop_assume!(!(by == OptionsBy::Default && matches!(damage, OptionsDamage::Elsewhere)));
        // What an entry point says is for routers that say nothing of TLS themselves.
        prop_assume!(!(by == OptionsBy::EntryPoint && has_tls));
        let mut settings = settings();
        let traefik = settings.traefik.as_mut().expect("in Traefik's place");
        let name = if by == OptionsBy::Default { "default" } else { "mutual" };
        traefik.dynamic = declared_options(name, damage);
        if by == OptionsBy::EntryPoint {
            traefik.entry_points[1].tls = Some(EntryPointTls { options: Some("mutual@file".into()), ..EntryPointTls::default() });
        }
        let mut labels = vec![("traefik.http.routers.r.rule".to_owned(), "Host(`r.test`)".to_owned())];
        if is_apart {
            labels.push(("traefik.http.routers.r.entrypoints".to_owned(), "websecure".to_owned()));
        }
        if has_tls {
            labels.push(("traefik.http.routers.r.tls".to_owned(), "true".to_owned()));
        }
        if by == OptionsBy::Router {
            labels.push(("traefik.http.routers.r.tls.options".to_owned(), "mutual@file".to_owned()));
        }
        let snapshot = Snapshot { containers: vec![container("app", labels)], ..Snapshot::default() };
        let compiled = compile(&snapshot, &settings);
        let names = |route: &&Arc<Route>| route.listener.scope.names.as_ref().is_some_and(|names| names.iter().any(|name| **name == *"websecure"));
        let on_websecure: Vec<_> = compiled.table.routes().iter().filter(names).collect();
        prop_assert!(!on_websecure.is_empty());
        for route in on_websecure {
            prop_assert!(route.closed || route.listener.client_ca.is_some(), "{} is open: {:?}", route.id, compiled.diagnostics);
        }
    }
}
