//! Entry points: on which of them a router is served, and what they say to their routers.

use std::sync::Arc;

use gangway_diagnostic::{codes, nearest, quoted};

use super::findings::{Problems, VOCABULARY, middleware_unresolved};
use super::names::Provider;
use super::tree::Node;
use crate::label::{Mark, whole};
use crate::listener::{ListenerName, ListenerScope, Transport};
use crate::matcher::Matcher;
use crate::route::{ListenerOptions, Middleware, TlsMode};
use crate::settings::{EntryPoint, EntryPointRedirection, EntryPointTls, TraefikSettings};
use crate::spec::{Delivery, Destination, Part, Reference, RouteSpec, UpstreamSpec};
use crate::tile::Tile;
use crate::url_redirect::{UrlChange, UrlRedirect};

/// The entry points of a router that say the same to it.
pub(super) struct Served<'s> {
    pub scope: ListenerScope,
    /// The whole names of middlewares that come before those of the router.
    pub middlewares: &'s [Box<str>],
    /// What they say about TLS, where they do.
    pub tls: Option<&'s EntryPointTls>,
}

/// The entry points of a router; those that do not exist are found.
pub(super) fn of_router<'s>(
    listed: Option<&Node<'s>>,
    traefik: &'s TraefikSettings,
    problems: &mut Problems<'s>,
) -> Vec<&'s EntryPoint> {
    let listed = listed.map(Node::list).unwrap_or_default();
    if listed.is_empty() {
        return traefik.entry_points.iter().filter(|one| one.is_default).collect();
    }
    let mut served = Vec::new();
    for (mark, name) in listed {
        let known = traefik.entry_points.iter().find(|one| *one.name == *name);
        match known {
            Some(known) => served.push(known),
            None => {
                let names = || traefik.entry_points.iter().map(|one| &*one.name);
                let lower = name.to_ascii_lowercase();
                let help = match nearest(&lower, names()) {
                    Some(near) => format!("did you mean {}?", quoted(near)),
                    None => format!("entry points are {}", names().map(quoted).collect::<Vec<_>>().join(", ")),
                };
                let message = format!("no entry point {} exists", quoted(name));
                problems.add(mark, whole(codes::TRAEFIK_ENTRY_POINT, message, "", help));
            }
        }
    }
    served.sort_by(|one, other| one.name.cmp(&other.name));
    served.dedup_by(|one, other| one.name == other.name);
    served
}

/// The route that redirects what comes to an entry point, if it redirects.
pub(super) fn redirection<'s>(entry_point: &'s EntryPoint) -> Option<RouteSpec<'s>> {
    let EntryPointRedirection { scheme, port, is_permanent, priority } = entry_point.redirection.as_ref()?;
    let change = UrlChange::Scheme { scheme: scheme.clone(), port: Some(*port) };
    let redirect = UrlRedirect { change, is_permanent: *is_permanent };
    let matcher = Matcher::from_lists(Vec::new(), Vec::new(), &mut Vec::new())?;
    let middlewares = entry_point.middlewares.iter().map(|middleware| {
        let name = Provider::File.referred(middleware);
        Part::Named(Reference { name, mark: Mark::default(), unresolved: middleware_unresolved })
    });
    let redirect = Part::Own(Middleware::UrlRedirect(Arc::new(redirect)));
    let scope = ListenerScope { names: Some([entry_point.name.clone()].into()), transport: Transport::Plain };
    Some(RouteSpec {
        name: format!("{}-redirection@internal", entry_point.name).into(),
        matcher,
        claim: Mark::default(),
        priority: *priority,
        priority_mark: None,
        listener: ListenerOptions { scope, tls: TlsMode::Off, ..ListenerOptions::default() },
        middlewares: middlewares.chain([redirect]).collect(),
        upstream: Part::Own(UpstreamSpec { destination: Destination::Nowhere, delivery: Delivery::default() }),
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
        is_common: true,
    })
}

/// Puts those entry points together that say the same to a router. `is_tls` says whether it asks for TLS itself.
pub(super) fn together<'s>(entry_points: &[&'s EntryPoint], is_tls: bool) -> Vec<(ListenerName, Served<'s>)> {
    let mut all: Vec<(Vec<ListenerName>, Transport, &'s EntryPoint)> = Vec::new();
    for entry_point in entry_points {
        let transport = if is_tls || entry_point.tls.is_some() { Transport::Tls } else { Transport::Plain };
        let alike = all.iter_mut().find(|(_, known, other)| {
            *known == transport && other.middlewares == entry_point.middlewares && other.tls == entry_point.tls
        });
        match alike {
            Some((names, ..)) => names.push(entry_point.name.clone()),
            None => all.push((vec![entry_point.name.clone()], transport, entry_point)),
        }
    }
    let served = |(names, transport, entry_point): (Vec<ListenerName>, Transport, &'s EntryPoint)| {
        let scope = ListenerScope { names: Some(names.into()), transport };
        let served = Served { scope, middlewares: &entry_point.middlewares, tls: entry_point.tls.as_ref() };
        (entry_point.name.clone(), served)
    };
    all.into_iter().map(served).collect()
}
