//! Routers: which requests are taken, on which entry points, and what happens to them.

use std::borrow::Cow;
use std::sync::Arc;

use gangway_diagnostic::{Diagnostic, Finding, codes, nearest, quoted};

use http::{HeaderName, HeaderValue};

use super::entry_points::{self, Served};
use super::findings::{Problems, VOCABULARY, about_unread, middleware_unresolved, without_effect};
use super::internal;
use super::names::Provider;
use super::rule;
use super::services::{is_on, reference};
use super::tls_options::{OneTlsOptions, TlsOptions};
use super::tree::{Node, Unread};
use super::values;
use crate::host::HostPattern;
use crate::internal_service::InternalService;
use crate::key_origin::KeyOrigin;
use crate::label::{Mark, Source, whole};
use crate::listener::Transport;
use crate::matcher::Matcher;
use crate::route::{ListenerOptions, Middleware, TlsMode};
use crate::router::{CertificateDomain, LostRouter, Router, RouterTls};
use crate::settings::{EntryPointTls, TraefikSettings};
use crate::spec::{Delivery, Destination, Part, Reference, RouteSpec, UpstreamSpec};
use crate::tile::Tile;

/// The largest priority that a router may have.
const PRIORITY_MAX: i64 = i64::MAX - 1000;

/// The one option of `observability` that is in force.
const ACCESS_LOGS: &str = "accesslogs";

/// What routers are read with.
pub(super) struct Reading<'a, 's> {
    pub source: Source<'s>,
    pub provider: Provider,
    pub traefik: &'s TraefikSettings,
    /// The service of a router that names none; the error says why there is not one.
    pub only_service: Result<&'a str, &'static str>,
    /// The rule of a router that has none; the error says why there is none.
    pub default_rule: &'a dyn Fn() -> Result<String, String>,
    pub tls_options: &'a TlsOptions,
    /// What stands where nothing is read, by its names in lower case: nobody knows what it would have said of a router.
    pub strays: &'a [&'a Node<'s>],
}

/// Adds the routes of one router: one for all entry points that say the same to it. Where there can be none, the router is
/// lost.
pub(super) fn read<'s>(
    name: &str,
    node: Option<&Node<'s>>,
    reading: &Reading<'_, 's>,
    (routes, lost_routers): (&mut Vec<RouteSpec<'s>>, &mut Vec<LostRouter>),
    found: &mut Vec<Diagnostic>,
) {
    let empty = Node::default();
    let node = node.unwrap_or(&empty);
    let (options, mut problems, source) = (node.options(), Problems::default(), reading.source);
    let lost = || format!("router {} is not served", quoted(name));
    let rule_mark = options.text("rule").filter(|mark| !mark.value.trim().is_empty());
    let written = rule_mark.map(|mark| Ok(Cow::Borrowed(mark.value.trim())));
    let text = match written.unwrap_or_else(|| (reading.default_rule)().map(Cow::Owned)) {
        Ok(text) => text,
        Err(why) => {
            let finding = whole(codes::TRAEFIK_DEFAULT_RULE, why, "", "give the router a `rule`");
            found.push(source.about_key(node.first, finding, lost()));
            // Labels without a rule are no router to Traefik.
            if reading.provider == Provider::File {
                lost_routers.push(lost_router(name, node, reading, "", "the router has no rule"));
            }
            return;
        }
    };
    let text = &*text;
    let claim = rule_mark.unwrap_or(node.first);
    let mut of_rule = Vec::new();
    let matcher = rule::parse(text, &mut of_rule).and_then(|rule| Matcher::from_expression(rule, &mut of_rule));
    let is_lost = matcher.is_none();
    for finding in of_rule {
        let effect = if is_lost { lost() } else { format!("router {} is served", quoted(name)) };
        found.push(match rule_mark {
            Some(mark) => source.about_value(mark, finding, effect),
            None => source.about(finding, effect),
        });
    }
    let Some(matcher) = matcher else {
        lost_routers.push(lost_router(name, node, reading, text, "the rule cannot be read; the log says why"));
        return;
    };

    let mut of_entry_points = Problems::default();
    let served = entry_points::of_router(options.list_node("entrypoints"), reading.traefik, &mut of_entry_points);
    let on_others = || format!("router {} is served on the others", quoted(name));
    of_entry_points.report(source, || if served.is_empty() { lost() } else { on_others() }, found);
    if served.is_empty() {
        lost_routers.push(lost_router(name, node, reading, text, "none of its entry points exists"));
    }
    let absent_entry_points = entry_points::absent(options.list_node("entrypoints"), reading.traefik);
    let priority = priority(&options.text("priority"), text, &mut problems);
    let tls = options.get("tls").filter(|tls| tls.mark.is_none_or(|mark| is_on(mark.value.trim())));
    let mut of_tls = of_tls(tls, reading, &mut problems);
    let middlewares = middlewares(options.list("middlewares"), reading, &mut problems);
    let (service, service_name) = service_names(options.text("service"), reading);
    let upstream = upstream(options.text("service"), name, reading, &mut problems, found);
    let _ = options.get("rulesyntax");
    if let Some(parents) = options.get("parentrefs") {
        // Its requests come through the rules and the middlewares of its parents alone.
        let help = "give it its whole rule and the middlewares of its parents";
        problems.add(parents.first, whole(codes::TRAEFIK_OPTION, "`parentRefs` is not in force", "", help));
    }
    let observability = options.get("observability");
    let is_unlogged = observability.is_some_and(|node| is_unlogged(node, &mut problems));
    let of_observability = observability.into_iter().flat_map(|node| node.children.iter());
    for (_, node) in of_observability.filter(|(name, _)| *name != ACCESS_LOGS) {
        if node.mark.is_some_and(|mark| !is_on(mark.value.trim())) {
            let what = format!("`{}` of a router cannot be switched off", node.name);
            of_tls.without_effect.push((node.first, without_effect(&what, "what is on is on for all routers")));
        }
    }
    for unread in options.unread() {
        let (mark, finding) = about_unread(&unread, "a router");
        match unread {
            // Traefik does not look at it either.
            Unread::Value(_) => of_tls.without_effect.push((mark, finding.warning())),
            Unread::Unknown(..) | Unread::Misplaced(_) => problems.add(mark, finding),
        }
    }
    for stray in reading.strays.iter().filter_map(|stray| stray.below(name)) {
        let message = format!("router {} is named where nothing is read", quoted(name));
        problems.add(stray.first, whole(codes::TRAEFIK_OPTION, message, "", "write it below `http.routers`"));
    }
    let closed = !problems.is_empty();
    problems.report(source, || format!("router {} is closed: it answers 503 to everybody", quoted(name)), found);
    of_tls.without_effect.drain(..).for_each(|(mark, finding)| {
        found.push(source.about_key(mark, finding, format!("router {} is served", quoted(name))));
    });

    let written = Box::new([KeyOrigin { key: "router".into(), place: source.key_place(claim, false) }]);
    let divided = entry_points::divided(&served, tls.is_some());
    // Most routers are one route, to which all is given without a copy.
    let alike = std::iter::repeat_n((matcher, middlewares, upstream, service, service_name), divided.len());
    let spec = |(served, alike): (Served<'s>, _)| {
        let (matcher, middlewares, upstream, service, service_name): (Matcher, Vec<Part<'s, Middleware>>, _, _, _) =
            alike;
        let own_name = served.copied_for.map_or_else(|| name.to_owned(), |copied_for| format!("{copied_for}-{name}"));
        let is_tls = served.scope.transport == Transport::Tls;
        // What an entry point says is for routers that say nothing of TLS themselves.
        let of_served = served.tls.filter(|_| tls.is_none());
        let tls_options = of_tls.options.as_deref().or(of_served.and_then(|tls| tls.options.as_deref()));
        let of_entry_point = served.tls.into_iter().flat_map(|tls| &tls.domains).flat_map(CertificateDomain::names);
        let of_entry_point = of_entry_point.filter_map(certifiable);
        let cert_names: Vec<HostPattern> = of_tls.names.iter().cloned().chain(of_entry_point).collect();
        let in_force = match of_served {
            _ if !is_tls => Ok(OneTlsOptions::default()),
            None => reading.tls_options.find(of_tls.options.as_deref(), reading.provider),
            Some(of_entry_point) => entry_points::tls_options(Some(of_entry_point), reading.tls_options),
        };
        let is_unusable = in_force.is_err();
        let OneTlsOptions { min: tls_min, client_ca, .. } = in_force.unwrap_or_default();
        let of_entry_point = entry_points::middlewares(served.middlewares, reading.provider, claim);
        let of_entry_point_names = served.middlewares.iter().map(|name| reading.provider.referred(name));
        let router = Router {
            rule: text.into(),
            priority,
            entry_points: served.scope.names.clone().unwrap_or_default(),
            absent_entry_points: absent_entry_points.clone(),
            service,
            service_name,
            middlewares: of_entry_point_names.chain(middlewares.iter().filter_map(reference_name)).collect(),
            tls: is_tls.then(|| RouterTls {
                options: tls_options.map(Into::into),
                resolver: of_tls.resolver.clone().or_else(|| served.tls.and_then(|tls| tls.resolver.clone())),
                domains: of_served.map_or(&of_tls.domains, |of_entry_point| &of_entry_point.domains).clone().into(),
            }),
            is_unlogged,
        };
        RouteSpec {
            name: reading.provider.declared(&own_name),
            matcher,
            claim,
            priority,
            priority_mark: None,
            listener: ListenerOptions {
                scope: served.scope,
                tls: if is_tls { TlsMode::Auto } else { TlsMode::Off },
                https_redirect: false,
                tls_min,
                client_ca,
                cert_export: None,
                cert_names: if is_tls { cert_names.into() } else { Box::default() },
                cert_issuer: of_tls.resolver.clone().or_else(|| resolver_of(reading, served.tls)).filter(|_| is_tls),
            },
            middlewares: forwarded_server(reading).chain(of_entry_point).chain(middlewares).collect(),
            upstream,
            auth_service: None,
            auth_endpoints: Vec::new(),
            page_services: Vec::new(),
            closed: closed || is_unusable,
            group: None,
            share: Box::default(),
            origins: written.clone(),
            words: &VOCABULARY,
            router: Some(Arc::new(router)),
            tile: Tile::default(),
            is_common: true,
        }
    };
    routes.extend(divided.into_iter().zip(alike).map(spec));
}

/// What can be told of a router that no route can be made of.
fn lost_router<'s>(
    name: &str,
    node: &Node<'s>,
    reading: &Reading<'_, 's>,
    rule: &str,
    why: &'static str,
) -> LostRouter {
    // What else is wrong with it is found once this is mended.
    let (options, mut unheard) = (node.options(), Problems::default());
    let entry_points = options.list_node("entrypoints");
    let served = entry_points::of_router(entry_points, reading.traefik, &mut unheard);
    let (service, service_name) = service_names(options.text("service"), reading);
    let middlewares = middlewares(options.list("middlewares"), reading, &mut unheard);
    let tls = options.get("tls").filter(|tls| tls.mark.is_none_or(|mark| is_on(mark.value.trim())));
    let tls = tls.map(|tls| of_tls(Some(tls), reading, &mut unheard));
    let router = Router {
        rule: rule.into(),
        priority: priority(&options.text("priority"), rule, &mut unheard),
        entry_points: served.into_iter().map(|one| one.name.clone()).collect(),
        absent_entry_points: entry_points::absent(entry_points, reading.traefik),
        service,
        service_name,
        middlewares: middlewares.iter().filter_map(reference_name).collect(),
        tls: tls.map(|tls| RouterTls { options: tls.options, resolver: tls.resolver, domains: tls.domains.into() }),
        is_unlogged: false,
    };
    LostRouter { name: reading.provider.declared(name), router, why }
}

/// Whether requests shall have no line in the access log.
fn is_unlogged<'s>(observability: &Node<'s>, problems: &mut Problems<'s>) -> bool {
    problems.read(&observability.options(), ACCESS_LOGS, values::boolean) == Some(false)
}

/// Tells applications the machine, as Traefik does. A middleware of the user may say something else.
fn forwarded_server<'s>(reading: &Reading<'_, 's>) -> impl Iterator<Item = Part<'s, Middleware>> + use<'s> {
    let value = HeaderValue::from_str(&reading.traefik.host_name).ok().filter(|value| !value.is_empty());
    let name = HeaderName::from_static("x-forwarded-server");
    value.map(|value| Part::Own(Middleware::RequestHeader(name.into(), Some(value)))).into_iter()
}

/// The resolver of an entry point, if it is defined: a finding about its name was told with the configuration.
fn resolver_of(reading: &Reading<'_, '_>, tls: Option<&EntryPointTls>) -> Option<Box<str>> {
    let name = tls?.resolver.as_deref()?;
    reading.traefik.resolvers.iter().find(|known| known.eq_ignore_ascii_case(name)).cloned()
}

/// The priority that is written, or else the length of the rule.
fn priority<'s>(mark: &Option<Mark<'s>>, rule: &str, problems: &mut Problems<'s>) -> i64 {
    let len = i64::try_from(rule.len()).unwrap_or(i64::MAX);
    let Some(mark) = *mark else { return len };
    match problems.take(mark, values::integer(mark.value.trim())) {
        Some(priority) if priority > PRIORITY_MAX => {
            problems.add(mark, values::invalid("priority too large", "write a smaller number"));
            len
        }
        Some(0) | None => len,
        Some(priority) => priority,
    }
}

/// What `tls` of a router says.
#[derive(Default)]
struct OfTls<'s> {
    options: Option<Box<str>>,
    /// The resolver, if it is defined.
    resolver: Option<Box<str>>,
    /// Names of certificates.
    names: Vec<HostPattern>,
    /// The same as written.
    domains: Vec<CertificateDomain>,
    without_effect: Vec<(Mark<'s>, Finding)>,
}

fn of_tls<'s>(tls: Option<&Node<'s>>, reading: &Reading<'_, 's>, problems: &mut Problems<'s>) -> OfTls<'s> {
    let mut of_tls = OfTls::default();
    let Some(tls) = tls else { return of_tls };
    let options = tls.options();
    let resolvers = &reading.traefik.resolvers;
    let resolver = options.text("certresolver").filter(|mark| !mark.value.trim().is_empty());
    of_tls.resolver = resolver.and_then(|mark| resolvers.iter().find(|known| ***known == *mark.value.trim()).cloned());
    if let Some(mark) = resolver.filter(|_| of_tls.resolver.is_none()) {
        let name = mark.value.trim();
        // The only resolver is surely the one that is meant.
        let only = match resolvers.as_slice() {
            [only] => Some(&**only),
            [] | [_, _, ..] => None,
        };
        let known = || resolvers.iter().map(|known| &**known);
        let near = nearest(name, known()).or_else(|| known().find(|known| known.starts_with(name)));
        let help = match near.or(only) {
            Some(near) => format!("did you mean {}?", quoted(near)),
            None => "add it to `certificatesResolvers`".to_owned(),
        };
        let message = format!("no certificate resolver {} is defined", quoted(name));
        let finding =
            whole(codes::TRAEFIK_RESOLVER, message, "the automatic choice of an issuer serves meanwhile", help);
        of_tls.without_effect.push((mark, finding.warning()));
    }
    for domain in options.get("domains").into_iter().flat_map(Node::items) {
        let options = domain.options();
        let names = ["main", "sans"].map(|name| options.list(name));
        let written = names.each_ref().map(|names| names.iter().map(|(_, name)| Box::from(*name)).collect::<Vec<_>>());
        let [main, sans] = written;
        of_tls.domains.push(CertificateDomain { main: main.join(",").into(), sans });
        for (mark, name) in names.into_iter().flatten() {
            match certifiable(name) {
                Some(name) => of_tls.names.push(name),
                None => {
                    let message = format!("{} is no name of a certificate", quoted(name));
                    of_tls
                        .without_effect
                        .push((mark, values::invalid(message, "write a name or `*.` and a domain").warning()));
                }
            }
        }
    }
    if let Some(mark) = options.text("options").filter(|mark| !mark.value.trim().is_empty()) {
        let name = mark.value.trim();
        of_tls.options = Some(name.into());
        let unusable = reading.tls_options.find(Some(name), reading.provider).err();
        if let Some(why) = unusable {
            problems.add(mark, why.finding(name));
        }
    }
    problems.unknown(&options, "`tls` of a router");
    of_tls
}

/// A name or a wildcard that a certificate can have.
fn certifiable(name: &str) -> Option<HostPattern> {
    let pattern = HostPattern::parse(name, &mut Vec::new())?;
    matches!(pattern, HostPattern::Exact(_) | HostPattern::Wildcard(_)).then_some(pattern)
}

fn middlewares<'s>(
    listed: Vec<(Mark<'s>, &'s str)>,
    reading: &Reading<'_, 's>,
    problems: &mut Problems<'s>,
) -> Vec<Part<'s, Middleware>> {
    let mut parts = Vec::new();
    for (mark, name) in listed {
        if name.is_empty() {
            problems.add(mark, values::invalid("an empty name among the middlewares", "remove the comma"));
            continue;
        }
        let name = reading.provider.referred(name);
        parts.push(Part::Named(Reference { name, mark, unresolved: middleware_unresolved }));
    }
    parts
}

/// The service of a router as written, and by its whole name; empty where there is none.
fn service_names(mark: Option<Mark<'_>>, reading: &Reading<'_, '_>) -> (Box<str>, Box<str>) {
    let written = mark.map(|mark| mark.value.trim()).filter(|name| !name.is_empty());
    let Some(name) = written.or(reading.only_service.ok()) else { return Default::default() };
    (name.into(), reading.provider.referred(name))
}

fn reference_name(part: &Part<'_, Middleware>) -> Option<Box<str>> {
    match part {
        Part::Named(reference) => Some(reference.name.clone()),
        Part::Own(_) => None,
    }
}

/// Where the requests of a router go.
fn upstream<'s>(
    mark: Option<Mark<'s>>,
    router: &str,
    reading: &Reading<'_, 's>,
    problems: &mut Problems<'s>,
    found: &mut Vec<Diagnostic>,
) -> Part<'s, UpstreamSpec<'s>> {
    let of = |destination| Part::Own(UpstreamSpec { destination, delivery: Delivery::default() });
    let written = mark.map(|mark| (mark, mark.value.trim())).filter(|(_, name)| !name.is_empty());
    match (written, reading.only_service) {
        (Some((mark, name)), _) if InternalService::is_internal(name) => {
            match problems.take(mark, internal::service(name, &reading.traefik.internal)) {
                Some(service) => of(Destination::Internal(service)),
                None => of(Destination::Nowhere),
            }
        }
        (Some((mark, name)), _) => Part::Named(reference(reading.provider, name, mark)),
        (None, Ok(name)) => Part::Named(reference(reading.provider, name, Mark::default())),
        (None, Err(why)) => {
            let finding = whole(codes::TRAEFIK_SERVICE_MISSING, why, "", "name a service by `service`");
            let effect = format!("router {} has no endpoint; it answers 503", quoted(router));
            found.push(reading.source.about(finding, effect));
            of(Destination::Targets(Vec::new()))
        }
    }
}
