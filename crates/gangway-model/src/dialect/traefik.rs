//! Traefik's dialect: labels below `traefik.`, and the files of its file provider.
//!
//! Routers, services and middlewares are named things, which containers and files declare and share. A whole name says
//! who declares it: `web@docker`, `auth@file`. Labels and files have the same options, so both become a [tree](tree) that
//! is read in one way.
//!
//! Traefik drops a container with all its routers for one option that it cannot read. Here only what the option belongs
//! to is lost: a router with such an option is closed, since nobody knows what it would have said.

mod constraints;
mod entry_points;
mod findings;
mod internal;
mod middlewares;
mod names;
mod provided;
mod routers;
mod rule;
mod services;
mod tls_options;
mod transports;
mod tree;
mod values;

use std::collections::BTreeSet;

use gangway_diagnostic::{Diagnostic, Finding, Place, codes, nearest, quoted};

use self::findings::{Problems, about_unread};
use self::names::Provider;
pub(super) use self::provided::Provided;
pub use self::tls_options::tls_options_client_ca;
use self::tree::Node;
use crate::go_template::{TemplateContainer, TemplateData};
use crate::label::{Mark, Source, whole};
use crate::matcher::HostCondition;
use crate::settings::{Settings, TraefikSettings};
use crate::snapshot::Container;
use crate::spec::{Declarations, Declared, RouteSpec};

/// What labels begin with, behind `traefik.`.
const LABELS: [&str; 7] = ["enable", "http", "tcp", "udp", "tls", "docker", "swarm"];

/// What files of the file provider begin with.
const FILES: [&str; 4] = ["http", "tcp", "udp", "tls"];

/// The parts of `tls` in files.
const TLS: [&str; 3] = ["certificates", "options", "stores"];

/// The parts of `http`.
const HTTP: [&str; 5] = ["routers", "services", "middlewares", "serverstransports", "models"];

/// Reads the labels of a container.
pub(super) fn read<'s>(container: &'s Container, provided: &Provided<'s>, found: &mut Vec<Diagnostic>) -> Declared<'s> {
    let traefik = provided.traefik;
    let (source, root) = (Source::Container(container), Node::of_labels(container));
    let by_label = !root.children.is_empty();
    if let Err(why) = is_enabled(container, &root, provided, found) {
        return Declared::NotRouted(why);
    }
    let network = network(&root, source, found);
    let base = names::of_container(container);
    let empty = Node::default();
    let http = root.child("http").unwrap_or(&empty);
    let strays = strays(&root, &LABELS).chain(strays(http, &HTTP)).collect::<Vec<_>>();
    let services_of = http.child("services");
    let reading =
        services::Reading { source, provider: Provider::Docker, traefik, network, transports: &provided.transports };
    let mut upstreams = services_of.map(|services| services::read(services, reading, found)).unwrap_or_default();
    let only_service: Result<String, &str> = match services_of.map(|services| services.children.len()) {
        None | Some(0) => {
            upstreams.push(services::implicit(&base, reading));
            Ok(base.clone())
        }
        Some(1) => Ok(services_of
            .and_then(|all| all.children.values().next())
            .map(|one| one.name.to_owned())
            .unwrap_or_default()),
        Some(_) => Err("the container declares several services, and the router names none"),
    };
    let default_rule = || default_rule(container, &base, provided);
    let reading = routers::Reading {
        source,
        provider: Provider::Docker,
        traefik,
        only_service: only_service.as_deref().map_err(|why| *why),
        default_rule: &default_rule,
        tls_options: &provided.tls_options,
        strays: &strays,
    };
    let routers = http.child("routers").filter(|routers| !routers.children.is_empty());
    // Most routers are one route, and routes are large.
    let mut routes = Vec::with_capacity(routers.map_or(1, |routers| routers.children.len()));
    let mut lost_routers = Vec::new();
    match routers {
        Some(routers) => {
            for router in routers.children.values() {
                routers::read(router.name, Some(router), &reading, (&mut routes, &mut lost_routers), found);
            }
        }
        None => {
            let is_for_others =
                root.child("http").is_none() && (root.child("tcp").is_some() || root.child("udp").is_some());
            if !is_for_others && only_service.is_ok() {
                routers::read(&base, None, &reading, (&mut routes, &mut lost_routers), found);
            }
        }
    }
    report_protocols(&root, "traefik.", source, found);
    if let Some(stores) = root.at(&["tls", "stores"]) {
        report_stores(stores, source, found);
    }
    let middlewares = http.child("middlewares");
    let middlewares = middlewares
        .map(|all| middlewares::read(all, source, Provider::Docker, provided.features, found))
        .unwrap_or_default();
    report_unread(about_parts(&root, &LABELS, "`traefik`"), http, source, found);
    Declared::Routed { declarations: Declarations { routes, upstreams, middlewares, lost_routers }, by_label }
}

/// Where what files declare is found to be wrong as a whole.
pub(super) fn source(traefik: &TraefikSettings) -> Source<'_> {
    Source::Provider(traefik.dynamic.first().map_or(&Place::Configuration, |first| &first.place))
}

/// Leaves out those routes of Traefik's labels whose hosts our own labels of the container already serve.
pub(super) fn leave_out<'s>(
    container: &'s Container,
    ours: &[RouteSpec<'s>],
    routes: &mut Vec<RouteSpec<'s>>,
    found: &mut Vec<Diagnostic>,
) {
    let hosts: BTreeSet<HostCondition> = ours.iter().flat_map(|route| route.matcher.host_conditions()).collect();
    routes.retain(|route| {
        let is_left_out = route.matcher.host_conditions().iter().all(|host| hosts.contains(host));
        if is_left_out {
            let message = format!("router {} beside labels of Gangway for the same host", quoted(&route.name));
            let finding = whole(codes::TRAEFIK_BESIDE_OURS, message, "", "remove the one or the others").warning();
            let effect = "the labels of Gangway are in force".to_owned();
            found.push(Source::Container(container).about_key(route.claim, finding, effect));
        }
        !is_left_out
    });
}

/// Reads the files of the file provider.
pub(super) fn read_files<'s>(
    traefik: &'s TraefikSettings,
    settings: &'s Settings,
    found: &mut Vec<Diagnostic>,
) -> Declarations<'s> {
    let root = Node::of_files(&traefik.dynamic);
    let source = source(traefik);
    let provided = Provided::new(traefik, settings);
    let empty = Node::default();
    let http = root.child("http").unwrap_or(&empty);
    let strays = strays(&root, &FILES).chain(strays(http, &HTTP)).collect::<Vec<_>>();
    if let Some(tls) = root.child("tls") {
        report_unread_of_tls(tls, source, found);
    }
    if let Some(options) = root.at(&["tls", "options"]) {
        tls_options::check(options, found);
    }
    entry_points::check(traefik, &provided.tls_options, found);
    if let Some(transports) = http.child("serverstransports") {
        transports::check(transports, found);
    }
    let reading = services::Reading {
        source,
        provider: Provider::File,
        traefik,
        network: None,
        transports: &provided.transports,
    };
    let upstreams = http.child("services").map(|all| services::read(all, reading, found)).unwrap_or_default();
    let reading = routers::Reading {
        source,
        provider: Provider::File,
        traefik,
        only_service: Err("the router names no service"),
        default_rule: &|| Err("the router has no rule".to_owned()),
        tls_options: &provided.tls_options,
        strays: &strays,
    };
    let (mut routes, mut lost_routers) = (Vec::new(), Vec::new());
    for router in http.child("routers").into_iter().flat_map(|all| all.children.values()) {
        routers::read(router.name, Some(router), &reading, (&mut routes, &mut lost_routers), found);
    }
    let middlewares = http.child("middlewares");
    let middlewares = middlewares
        .map(|all| middlewares::read(all, source, Provider::File, provided.features, found))
        .unwrap_or_default();
    report_protocols(&root, "", source, found);
    report_unread(about_parts(&root, &FILES, "a file of the file provider"), http, source, found);
    routes.extend(traefik.entry_points.iter().filter_map(entry_points::redirection));
    routes.extend(internal::routers(&provided));
    Declarations { routes, upstreams, middlewares, lost_routers }
}

/// What stands among the parts of an object and is none.
fn strays<'n, 's>(node: &'n Node<'s>, parts: &'static [&'static str]) -> impl Iterator<Item = &'n Node<'s>> {
    node.children.iter().filter(|(name, _)| !parts.contains(name)).map(|(_, node)| node)
}

/// What is said of strays.
fn about_parts<'s>(node: &Node<'s>, parts: &'static [&'static str], of: &str) -> Vec<(Mark<'s>, Finding)> {
    let options = node.options();
    for part in parts {
        let _ = options.get(part);
    }
    options.unread().iter().map(|unread| about_unread(unread, of)).collect()
}

/// Reports routers of protocols that come later.
fn report_protocols<'s>(root: &Node<'s>, prefix: &str, source: Source<'s>, found: &mut Vec<Diagnostic>) {
    for node in ["tcp", "udp"].into_iter().filter_map(|protocol| root.child(protocol)) {
        let what = format!("`{prefix}{}` is not in force yet", node.name);
        let finding = findings::without_effect(&what, "publish the port of the container");
        let effect = "nothing of it is served; http is unaffected".to_owned();
        found.push(source.about_key(node.first, finding, effect));
    }
}

/// Reports what stands at `tls` or below it in files and is not read.
fn report_unread_of_tls<'s>(tls: &Node<'s>, source: Source<'s>, found: &mut Vec<Diagnostic>) {
    let of_parts = tls.children.values().filter_map(|part| Some((part.mark?, part.name)));
    let values = of_parts.filter(|(mark, _)| !mark.value.trim().is_empty()).map(|(mark, name)| {
        let message = format!("{} has no value of its own", quoted(name));
        (mark, values::invalid(message, "write what belongs to it below it, each with a name or in a list"))
    });
    for (mark, finding) in about_parts(tls, &TLS, "`tls`").into_iter().chain(values) {
        found.push(source.about_key(mark, finding, "it does nothing".to_owned()));
    }
    if let Some(stores) = tls.child("stores") {
        report_stores(stores, source, found);
    }
}

/// Reports what certificate stores ask for beside the default certificate that is in a file.
fn report_stores<'s>(stores: &Node<'s>, source: Source<'s>, found: &mut Vec<Diagnostic>) {
    let of_stores = stores.children.values().flat_map(|store| {
        let used = if store.name == "default" { "defaultcertificate" } else { "" };
        store.children.iter().filter(move |(name, _)| *name != used).map(|(_, node)| node)
    });
    for node in of_stores {
        let what = format!("`{}` of a certificate store is not in force", node.name);
        let finding =
            findings::without_effect(&what, "`--default-cert` says whose certificate clients get that name no host");
        found.push(source.about_key(node.first, finding, "each name gets a certificate of its own".to_owned()));
    }
}

fn report_unread<'s>(
    of_root: Vec<(Mark<'s>, Finding)>,
    http: &Node<'s>,
    source: Source<'s>,
    found: &mut Vec<Diagnostic>,
) {
    // What begins with another word may be there for somebody else, as for `constraints`.
    let of_root = of_root.into_iter().map(|(mark, finding)| (mark, finding.warning()));
    // Routers, services and middlewares have names, and options behind these.
    let values = http.children.values().filter_map(|part| part.mark).filter(|mark| !mark.value.trim().is_empty());
    let of_values = values.map(|mark| {
        let message = "a part of `http` has no value of its own";
        (mark, values::invalid(message, "write a name and an option behind it"))
    });
    for (mark, finding) in of_root.chain(about_parts(http, &HTTP, "`http`")).chain(of_values) {
        found.push(source.about_key(mark, finding, "it does nothing".to_owned()));
    }
}

/// Whether the container is routed; the error says why it is not.
fn is_enabled<'s>(
    container: &'s Container,
    root: &Node<'s>,
    provided: &Provided<'_>,
    found: &mut Vec<Diagnostic>,
) -> Result<(), String> {
    if let Some((mark, meant)) = meant_as_no(root) {
        let message = format!("{} is not read", quoted(&meant));
        let finding = whole(codes::TRAEFIK_OPTION, message, "", "write `traefik.enable=false`");
        found.push(Source::Container(container).about_key(mark, finding, "the container is not routed".to_owned()));
        return Err(format!("{} says no, as it seems", quoted(&meant)));
    }
    let enabled = match root.child("enable").and_then(|node| node.mark) {
        None => provided.traefik.exposed_by_default,
        Some(mark) => match values::boolean(mark.value.trim()) {
            Ok(enabled) => enabled,
            Err(finding) => {
                let effect = "the container is not routed".to_owned();
                found.push(Source::Container(container).about_value(mark, finding, effect));
                return Err("`traefik.enable` is neither yes nor no".to_owned());
            }
        },
    };
    if !enabled {
        return Err(match root.child("enable") {
            Some(_) => "`traefik.enable` says no".to_owned(),
            None => "`exposedByDefault` is off, and no label `traefik.enable` says yes".to_owned(),
        });
    }
    match &provided.constraint {
        Some(constraint) if constraint.takes(&container.labels) => Ok(()),
        Some(_) => Err("`constraints` leave it out".to_owned()),
        None => Err("`constraints` cannot be read".to_owned()),
    }
}

/// A label that surely shall keep the container off, and is none that is read: Traefik does not route a container with
/// such a label either.
fn meant_as_no<'s>(root: &Node<'s>) -> Option<(Mark<'s>, String)> {
    let is_enable = |node: &&Node<'s>| nearest(&node.name.to_ascii_lowercase(), ["enable"]).is_some();
    let says_no = |node: &Node<'s>| node.mark.filter(|mark| values::boolean(mark.value.trim()) == Ok(false));
    let of = |node: &'_ Node<'s>, before: &str| Some((says_no(node)?, format!("traefik.{before}{}", node.name)));
    let mut near = root.children.values().filter(|node| !node.name.eq_ignore_ascii_case("enable")).filter(is_enable);
    let in_parts = ["docker", "http"].iter().filter_map(|part| Some((root.child(part)?, part)));
    let mut in_parts = in_parts.flat_map(|(part, name)| part.children.values().map(move |node| (node, name)));
    let below = root.child("enable").and_then(|enable| enable.children.values().next());
    near.find_map(|node| of(node, ""))
        .or_else(|| in_parts.find_map(|(node, part)| of(node, &format!("{part}.")).filter(|_| is_enable(&node))))
        .or_else(|| below.map(|node| (node.first, format!("traefik.enable.{}", node.name))))
}

/// The network that a label names. The one of the provider is a setting for all dialects.
fn network<'s>(root: &Node<'s>, source: Source<'s>, found: &mut Vec<Diagnostic>) -> Option<(&'s str, Mark<'s>)> {
    let mut network = None;
    if let Some(docker) = root.child("docker") {
        let options = docker.options();
        if let Some(mark) = options.text("network").filter(|mark| !mark.value.trim().is_empty()) {
            network = Some((mark.value.trim(), mark));
        }
        for known in ["lbswarm", "allownonrunning"] {
            if let Some(node) = options.get(known) {
                let finding = findings::without_effect(
                    &format!("`traefik.docker.{}` is not needed", node.name),
                    "routes are kept while a container restarts in any case",
                );
                found.push(source.about_key(node.first, finding, "it does nothing".to_owned()));
            }
        }
        let mut problems = Problems::default();
        problems.unknown(&options, "`traefik.docker`");
        problems.report(source, || "the label does nothing".to_owned(), found);
    }
    network
}

/// The rule of routers that have none. The error says why there is none.
fn default_rule(container: &Container, base: &str, provided: &Provided<'_>) -> Result<String, String> {
    let template = provided.default_rule.as_ref().map_err(Clone::clone)?;
    let container = TemplateContainer { name: base, container_name: &container.name, labels: &container.labels };
    // What a table is made of depends on nothing but what the engine and the configuration say: the variables were read
    // with it.
    let variable = |name: &str| provided.traefik.variables.get(name).map(ToString::to_string);
    let data = TemplateData { container: Some(container), variable: &variable };
    let rule = template.render(&data).map_err(|error| format!("`defaultRule` cannot be filled in: {error}"))?;
    if rule.trim().is_empty() {
        Err("`defaultRule` is empty for this container".to_owned())
    } else {
        Ok(rule.trim().to_owned())
    }
}
