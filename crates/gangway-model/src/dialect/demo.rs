//! A small dialect that names what it shares, as Traefik's does. It proves the seam between dialects and compiling.
//!
//! - `demo.route.<name>`: `<host> <upstream> [<middleware>…]`
//! - `demo.upstream.<name>`: `here <port>`, `at <container> <port>`, `url <URL>`, or `split <upstream>=<weight>…`; several
//!   targets are separated by commas
//! - `demo.middleware.<name>`: `add <prefix>`, `broken`, or `unsupported`

use crate::host::HostPattern;
use crate::label::{Mark, whole};
use crate::matcher::Matcher;
use crate::route::{Address, ListenerOptions, Middleware, Scheme};
use crate::snapshot::Container;
use crate::spec::{
    Access, Declarations, Declared, Delivery, Destination, MiddlewareSpec, Named, NamedSteps, Part, Reference,
    RouteSpec, TargetPlace, TargetSpec, Unresolved, UpstreamSpec, UrlTarget, WeightedUpstream, Without,
};
use crate::tile::Tile;
use crate::vocabulary::Vocabulary;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Finding, quoted};

const PREFIX: &str = "demo.";

static VOCABULARY: Vocabulary = Vocabulary {
    host: "demo.route",
    group: "demo.group",
    group_key: "group",
    share: "demo.share",
    priority: "demo priority",
    scheme: "demo scheme",
    verify: "demo verify",
    port_of: |_, upstream| format!("demo.upstream.{upstream}"),
    default_host: |_, _| None,
};

pub(super) fn is_written_on(container: &Container) -> bool {
    container.labels.keys().any(|label| label.starts_with(PREFIX))
}

pub(super) fn read<'s>(container: &'s Container, _: &mut Vec<Diagnostic>) -> Declared<'s> {
    let mut declarations = Declarations::default();
    for (label, value) in &container.labels {
        let mark = Mark { label, value, place: None };
        let Some((kind, name)) = label.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.')) else { continue };
        match kind {
            "route" => declarations.routes.push(route(name, mark)),
            "upstream" => declarations.upstreams.push(named(name, mark, upstream(mark))),
            "middleware" => declarations.middlewares.push(named(name, mark, middleware(value))),
            other => panic!("unknown kind {other}"),
        }
    }
    Declared::Routed { declarations, by_label: true }
}

fn route<'s>(name: &str, mark: Mark<'s>) -> RouteSpec<'s> {
    let mut words = mark.value.split(' ');
    let host = HostPattern::parse(words.next().expect("a host"), &mut Vec::new()).expect("a host");
    let upstream = Part::Named(reference(words.next().expect("an upstream"), mark));
    RouteSpec {
        name: name.into(),
        matcher: Matcher::from_lists(vec![host], Vec::new(), &mut Vec::new()).expect("one host"),
        claim: mark,
        priority: 0,
        priority_mark: None,
        listener: ListenerOptions::default(),
        middlewares: words.map(|name| Part::Named(reference(name, mark))).collect(),
        upstream,
        auth_service: None,
        auth_endpoints: Vec::new(),
        page_services: Vec::new(),
        closed: false,
        group: None,
        share: Box::default(),
        origins: Box::default(),
        words: &VOCABULARY,
        router: None,
        tile: Tile::default(),
        is_common: false,
    }
}

fn upstream<'s>(mark: Mark<'s>) -> UpstreamSpec<'s> {
    let destination = match mark.value.strip_prefix("split ") {
        Some(shares) => {
            let shares = shares.split(' ').map(|share| share.split_once('=').expect("a weight"));
            let share = |(name, weight): (&str, &str)| WeightedUpstream {
                upstream: reference(name, mark),
                weight: weight.parse().expect("a number"),
            };
            Destination::Weighted(shares.map(share).collect())
        }
        None => Destination::Targets(mark.value.split(", ").map(|target| self::target(target, mark)).collect()),
    };
    UpstreamSpec { destination, delivery: Delivery::default() }
}

fn target<'s>(target: &str, mark: Mark<'s>) -> TargetSpec<'s> {
    let access = |port: &str| Access { port: Some((port.parse().expect("a port"), mark)), ..Access::default() };
    let place = match *target.split(' ').collect::<Vec<_>>() {
        ["here", port] => TargetPlace::Declaring(access(port)),
        ["at", container, port] => TargetPlace::Other(reference(container, mark), access(port)),
        ["url", host] => {
            let url = UrlTarget {
                url: format!("http://{host}").into(),
                scheme: Scheme::Http,
                transport: std::sync::Arc::default(),
                host: host.into(),
                address: Address::Name(host.into(), 80),
            };
            TargetPlace::Url(url, mark)
        }
        _ => panic!("not a target: {target}"),
    };
    TargetSpec { place, weight: 1 }
}

fn middleware(text: &str) -> MiddlewareSpec {
    match text.strip_prefix("add ") {
        Some(prefix) => MiddlewareSpec::Steps(NamedSteps::of(vec![Middleware::AddPrefix(prefix.into())])),
        None if text == "unsupported" => MiddlewareSpec::Broken(Without::Served),
        None => MiddlewareSpec::Broken(Without::Closed),
    }
}

fn named<'s, T>(name: &str, mark: Mark<'s>, object: T) -> Named<'s, T> {
    let taken =
        |name: &str| whole(codes::CLAIMED_TWICE, format!("{} is declared twice", quoted(name)), "", "rename it");
    Named { name: name.into(), mark, object, words: &VOCABULARY, taken, is_common: false }
}

fn reference<'s>(name: &str, mark: Mark<'s>) -> Reference<'s> {
    let unresolved = |name: &str, why: Unresolved| -> Finding {
        whole(codes::UPSTREAM_MISSING, format!("{why:?} {}", quoted(name)), "", "declare it")
    };
    Reference { name: name.into(), mark, unresolved }
}
