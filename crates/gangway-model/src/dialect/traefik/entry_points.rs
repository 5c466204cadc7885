//! Entry points: on which of them a router is served, and what they say to their routers.

use std::sync::Arc;

use gangway_diagnostic::{Diagnostic, Place, codes, nearest, quoted};

use super::findings::{Problems, VOCABULARY, middleware_unresolved};
use super::names::Provider;
use super::tls_options::{OneTlsOptions, TlsOptions, Unusable};
use super::tree::Node;
use crate::label::{Mark, Source, whole};
use crate::listener::{ListenerName, ListenerScope, Transport};
use crate::matcher::Matcher;
use crate::route::{ListenerOptions, Middleware, TlsMode};
use crate::settings::{EntryPoint, EntryPointRedirection, EntryPointTls, TraefikSettings};
use crate::spec::{Delivery, Destination, Part, Reference, RouteSpec, UpstreamSpec};
use crate::tile::Tile;
use crate::url_redirect::{UrlChange, UrlRedirect};

/// Entry points of a router that are served by one route.
pub(super) struct Served<'s> {
    /// The entry point, if the router is copied for it, as it says something to its routers.
    pub copied_for: Option<&'s ListenerName>,
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

/// The middlewares that an entry point puts before those of a router. A name without a provider is of the router's one.
pub(super) fn middlewares<'s>(
    names: &'s [Box<str>],
    provider: Provider,
    mark: Mark<'s>,
) -> impl Iterator<Item = Part<'s, Middleware>> {
    let reference = move |name| Part::Named(Reference { name, mark, unresolved: middleware_unresolved });
    names.iter().map(move |name| reference(provider.referred(name)))
}

/// The TLS options in force for routers on an entry point that name none themselves. A name without a provider is of the
/// file provider, which alone declares any.
pub(super) fn tls_options(tls: Option<&EntryPointTls>, declared: &TlsOptions) -> Result<OneTlsOptions, Unusable> {
    declared.find(tls.and_then(|tls| tls.options.as_deref()), Provider::File)
}

/// Reports entry points whose TLS options cannot be in force.
pub(super) fn check(traefik: &TraefikSettings, declared: &TlsOptions, found: &mut Vec<Diagnostic>) {
    for entry_point in &traefik.entry_points {
        let name = entry_point.tls.as_ref().and_then(|tls| tls.options.as_deref());
        if let (Some(name), Err(why)) = (name, tls_options(entry_point.tls.as_ref(), declared)) {
            let effect = format!("routers on {} that name no others are closed", quoted(&entry_point.name));
            found.push(Source::Provider(&Place::Configuration).about(why.finding(name), effect));
        }
    }
}

/// The names among those of a router that are no entry points.
pub(super) fn absent(listed: Option<&Node<'_>>, traefik: &TraefikSettings) -> Box<[Box<str>]> {
    let is_absent = |name: &&str| !traefik.entry_points.iter().any(|known| *known.name == **name);
    listed
        .map(Node::list)
        .unwrap_or_default()
        .into_iter()
        .map(|(_, name)| name)
        .filter(is_absent)
        .map(Into::into)
        .collect()
}

/// The route that redirects what comes to an entry point, if it redirects.
pub(super) fn redirection<'s>(entry_point: &'s EntryPoint) -> Option<RouteSpec<'s>> {
    let EntryPointRedirection { scheme, port, is_permanent, priority } = entry_point.redirection.as_ref()?;
    let change = UrlChange::Scheme { scheme: scheme.clone(), port: Some(*port) };
    let redirect = UrlRedirect { change, is_permanent: *is_permanent };
    let matcher = Matcher::from_lists(Vec::new(), Vec::new(), &mut Vec::new())?;
    let redirect = Part::Own(Middleware::UrlRedirect(Arc::new(redirect)));
    let scope = ListenerScope { names: Some([entry_point.name.clone()].into()), transport: Transport::Plain };
    Some(RouteSpec {
        name: format!("{}-redirection@internal", entry_point.name).into(),
        matcher,
        claim: Mark::default(),
        priority: *priority,
        priority_mark: None,
        listener: ListenerOptions { scope, tls: TlsMode::Off, ..ListenerOptions::default() },
        middlewares: middlewares(&entry_point.middlewares, Provider::File, Mark::default()).chain([redirect]).collect(),
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

/// Divides the entry points of a router as Traefik does: those that say nothing to their routers are together, and for each
/// other one the router is copied. `is_tls` says whether it asks for TLS itself.
pub(super) fn divided<'s>(entry_points: &[&'s EntryPoint], is_tls: bool) -> Vec<Served<'s>> {
    let says_something = |one: &EntryPoint| !one.middlewares.is_empty() || one.tls.is_some();
    let (speaking, silent): (Vec<&EntryPoint>, Vec<_>) = entry_points.iter().partition(|one| says_something(one));
    let transport = |is_tls| if is_tls { Transport::Tls } else { Transport::Plain };
    let together = (!silent.is_empty()).then(|| Served {
        copied_for: None,
        scope: ListenerScope {
            names: Some(silent.iter().map(|one| one.name.clone()).collect()),
            transport: transport(is_tls),
        },
        middlewares: &[],
        tls: None,
    });
    let is_only = entry_points.len() == 1;
    let copies = speaking.into_iter().map(|one| Served {
        copied_for: (!is_only).then_some(&one.name),
        scope: ListenerScope {
            names: Some([one.name.clone()].into()),
            transport: transport(is_tls || one.tls.is_some()),
        },
        middlewares: &one.middlewares,
        tls: one.tls.as_ref(),
    });
    together.into_iter().chain(copies).collect()
}
