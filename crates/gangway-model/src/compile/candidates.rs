//! Declarations → candidates: the routes that each container asks for, with the endpoints that it gives them.

use std::rc::Rc;

use super::auth_services;
use super::named_services::NamedServices;
use super::names::{DeclaredBy, References, SharedNames};
use super::owners::{Owner, Owners};
use super::page_services;
use super::targets::{Reached, reach, reach_urls};
use crate::address::{Surroundings, TargetOwner};
use crate::app_name::name_of_image;
use crate::dialect;
use crate::label::Source;
use crate::ownership::Party;
use crate::route::{Endpoint, Readiness};
use crate::settings::{FileRoute, Settings};
use crate::snapshot::{Container, ContainerState, Health};
use crate::spec::{Declarations, Declared, Delivery, Destination, Part, ResolvedRoute, RouteSpec, UpstreamSpec};
use gangway_diagnostic::codes;
use gangway_diagnostic::{Code, Diagnostic};
use gangway_diagnostic::{Finding, quoted};

/// One container's share in a route, or a route of the file.
#[derive(Debug)]
pub(super) struct Candidate<'s> {
    pub party: Party,
    pub source: Source<'s>,
    /// Boxed, as candidates are moved about and routes are large.
    pub spec: Box<ResolvedRoute<'s>>,
    /// The names in the route, until they are [resolved](super::resolve::NameResolver).
    pub references: Option<Box<References<'s>>>,
    /// Where the source itself leads: nowhere, where it cannot be reached.
    pub endpoints: Vec<Endpoint>,
    /// Where the upstream that the route names leads.
    pub shared: Option<Rc<[Endpoint]>>,
    /// Why there is no endpoint, where that does not pass by waiting.
    pub unreachable: Option<Box<str>>,
}

/// What declarations are looked up in.
#[derive(Clone, Copy)]
pub(super) struct Around<'a, 's> {
    pub owners: &'a Owners<'s>,
    pub surroundings: &'a Surroundings<'s>,
    pub services: &'a NamedServices<'a, 's>,
}

/// The result for one container.
pub(super) struct OfContainer<'s> {
    pub candidates: Vec<Candidate<'s>>,
    /// How the container is reached, or why not, for each route by name; without a name for all routes.
    pub ways: Vec<(Box<str>, String)>,
}

impl OfContainer<'_> {
    /// Of a container that is not routed for this reason.
    pub(super) fn not_routed(reason: &str) -> Self {
        Self { candidates: Vec::new(), ways: vec![(Box::default(), reason.to_owned())] }
    }
}

/// Makes candidates of what was read of one container that is up, and adds what it declares for others to `names`.
pub(super) fn of_container<'s>(
    container: &'s Container,
    declared: Declared<'s>,
    around: Around<'_, 's>,
    names: &mut SharedNames<'s>,
    found: &mut Vec<Diagnostic>,
) -> OfContainer<'s> {
    let Around { owners, surroundings, services } = around;
    let (declarations, by_label) = match declared {
        Declared::NotRouted(why) => return OfContainer::not_routed(&why),
        Declared::Routed { declarations, by_label } => (declarations, by_label),
    };
    let Declarations { routes, upstreams, middlewares, lost_routers } = declarations;
    names.add_lost_routers(lost_routers);
    if routes.is_empty() && upstreams.is_empty() && middlewares.is_empty() {
        return OfContainer::not_routed("no route could be made of its labels");
    }
    if container.health == Health::Unhealthy && by_label {
        found.push(unhealthy(container));
    }
    // A container that restarts will soon have an address again, and one that ends needs none.
    let is_heard = by_label && container.state == ContainerState::Running && !container.leaving;
    let (source, owner) = (Source::Container(container), owners.of(container));
    let mut ways: Vec<(Box<str>, String)> = Vec::new();
    for named in upstreams {
        let target_owner = TargetOwner { source, name: &named.name, words: named.words };
        let Reached { endpoints, way, unusable, findings } =
            reach(container, &named.object.destination, &target_owner, surroundings);
        ways.push((named.name.clone(), way));
        let is_lasting = container.state == ContainerState::Running && endpoints.is_empty();
        let unreachable = match surroundings.is_own(container) {
            true => Some("the service is Gangway itself. To mend it, name another service.".into()),
            false => unusable.or_else(|| why_unreachable(container, &findings).filter(|_| is_lasting)),
        };
        found.extend(findings.into_iter().filter(|_| is_heard));
        names.add_upstream(Some(container), owner, DeclaredBy::Running, named, endpoints, unreachable);
    }
    for mut named in middlewares {
        auth_services::put_into_named(services, &mut named, source, found);
        names.add_middleware(Some(container), owner, DeclaredBy::Running, named);
    }
    let mut candidates = Vec::with_capacity(routes.len());
    let (app, is_only) = (name_of_image(&container.image), routes.len() == 1);
    for mut route in routes {
        route.tile.or_of_homepage(&container.labels);
        route.tile.or_of_app(app.as_deref(), &route.name, is_only);
        let mut of_services = Vec::new();
        auth_services::put(services, &mut route, source, &mut of_services);
        page_services::put(services, &mut route, source, &mut of_services);
        found.extend(of_services.into_iter().filter(|_| is_heard));
        if route.group.is_some() && container.project().is_none() {
            found.push(group_without_project(container, &route));
        }
        let party = owners.party(container, &route);
        let Split { spec, references, reached } = Split::of(route, |route, destination| {
            let target_owner = TargetOwner { source, name: &route.name, words: route.words };
            reach(container, destination, &target_owner, surroundings)
        });
        let (endpoints, shared, unreachable) = (Vec::new(), None, None);
        let mut candidate = Candidate { party, source, spec, references, endpoints, shared, unreachable };
        if let Some(Reached { endpoints, way, unusable, findings }) = reached {
            ways.push((candidate.spec.name.clone(), way));
            if !by_label && endpoints.is_empty() {
                // No label asks for the route, so a finding about it would only disturb.
                continue;
            }
            let is_lasting = container.state == ContainerState::Running && endpoints.is_empty();
            candidate.unreachable = unusable.or_else(|| why_unreachable(container, &findings).filter(|_| is_lasting));
            candidate.endpoints = endpoints;
            found.extend(findings.into_iter().filter(|_| is_heard));
        } else if let Some(upstream) = candidate.references.as_ref().and_then(|names| names.upstream.as_ref()) {
            ways.push((candidate.spec.name.clone(), format!("by upstream {}", quoted(&upstream.name))));
        }
        candidates.push(candidate);
    }
    OfContainer { candidates, ways }
}

/// Makes candidates of what was read of a container that is gone: they have no endpoint of their own.
pub(super) fn of_gone<'s>(
    container: &'s Container,
    declarations: Declarations<'s>,
    around: Around<'_, 's>,
) -> Vec<Candidate<'s>> {
    let candidate = |mut route: RouteSpec<'s>| {
        let (party, source) = (around.owners.party(container, &route), Source::Container(container));
        // What there is to say was said while it ran.
        auth_services::put(around.services, &mut route, source, &mut Vec::new());
        page_services::put(around.services, &mut route, source, &mut Vec::new());
        let Split { spec, references, .. } = Split::of(route, |_, _| Reached::default());
        let (endpoints, shared, unreachable) = (Vec::new(), None, None);
        Candidate { party, source, spec, references, endpoints, shared, unreachable }
    };
    declarations.routes.into_iter().map(candidate).collect()
}

/// Adds what a container that is gone declares for others: an upstream of it has no endpoint.
pub(super) fn name_of_gone<'s>(
    container: &'s Container,
    declarations: &mut Declarations<'s>,
    around: Around<'_, 's>,
    names: &mut SharedNames<'s>,
) {
    let owner = around.owners.of(container);
    for named in std::mem::take(&mut declarations.upstreams) {
        names.add_upstream(Some(container), owner, DeclaredBy::Gone, named, Vec::new(), None);
    }
    for mut named in std::mem::take(&mut declarations.middlewares) {
        auth_services::put_into_named(around.services, &mut named, Source::Container(container), &mut Vec::new());
        names.add_middleware(Some(container), owner, DeclaredBy::Gone, named);
    }
}

/// Makes candidates of what files of Traefik's file provider declare, and adds what they declare for others to `names`.
pub(super) fn of_provider<'s>(
    settings: &'s Settings,
    services: &NamedServices<'_, 's>,
    names: &mut SharedNames<'s>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Candidate<'s>> {
    let Some((source, declarations)) = dialect::read_files(settings, found) else { return Vec::new() };
    for named in declarations.upstreams {
        let Reached { endpoints, unusable, .. } = reach_urls(&named.object.destination);
        names.add_upstream(None, Owner::Files, DeclaredBy::Running, named, endpoints, unusable);
    }
    for mut named in declarations.middlewares {
        auth_services::put_into_named(services, &mut named, source, found);
        names.add_middleware(None, Owner::Files, DeclaredBy::Running, named);
    }
    names.add_lost_routers(declarations.lost_routers);
    let candidate = |mut route: RouteSpec<'s>| {
        auth_services::put(services, &mut route, source, found);
        page_services::put(services, &mut route, source, found);
        let Split { spec, references, reached } = Split::of(route, |_, destination| reach_urls(destination));
        let Reached { endpoints, unusable, .. } = reached.unwrap_or_default();
        let party = Party::common(&spec.name);
        Candidate { party, source, spec, references, endpoints, shared: None, unreachable: unusable }
    };
    declarations.routes.into_iter().map(candidate).collect()
}

/// Makes candidates of the routes of the configuration file.
pub(super) fn of_file<'s>(
    settings: &'s Settings,
    services: &NamedServices<'_, 's>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Candidate<'s>> {
    let mut routes: Vec<&FileRoute> = settings.file_routes.iter().collect();
    routes.sort_by_key(|route| (&route.name, &route.place));
    let candidate = |file: &'s FileRoute| {
        let mut route = dialect::read_file(file, settings, found)?;
        auth_services::put(services, &mut route, Source::File(file), found);
        page_services::put(services, &mut route, Source::File(file), found);
        let Split { spec, references, reached } = Split::of(route, |_, destination| reach_urls(destination));
        let (party, source) = (Party::of_file(&spec.name), Source::File(file));
        let endpoints = reached.map(|reached| reached.endpoints).unwrap_or_default();
        Some(Candidate { party, source, spec, references, endpoints, shared: None, unreachable: None })
    };
    routes.into_iter().filter_map(candidate).collect()
}

/// A route taken apart.
struct Split<'s> {
    spec: Box<ResolvedRoute<'s>>,
    references: Option<Box<References<'s>>>,
    /// How its own upstream is reached; none where its upstream is a name.
    reached: Option<Reached>,
}

impl<'s> Split<'s> {
    fn of(route: RouteSpec<'s>, reach: impl FnOnce(&ResolvedRoute<'s>, &Destination<'s>) -> Reached) -> Self {
        let (mut spec, parts, upstream) = route.replace(Vec::new(), Delivery::default());
        let mut references = References::default();
        if parts.iter().all(|part| matches!(part, Part::Own(_))) {
            spec.middlewares = parts.into_iter().filter_map(Part::own).collect();
        } else {
            references.middlewares = parts;
        }
        let reached = match upstream {
            Part::Own(UpstreamSpec { destination, delivery }) => {
                let internal = destination.internal();
                spec.upstream = Delivery { internal, ..delivery };
                let reached = reach(&spec, &destination);
                references.weighted = destination.weighted();
                Some(reached)
            }
            Part::Named(reference) => {
                references.upstream = Some(reference);
                None
            }
        };
        let references = (!references.is_empty()).then(|| Box::new(references));
        Self { spec: Box::new(spec), references, reached }
    }
}

impl<'s> Candidate<'s> {
    pub(super) fn container(&self) -> Option<&'s Container> {
        match self.source {
            Source::Container(container) => Some(container),
            Source::File(_) | Source::Definition(_) | Source::Provider(_) => None,
        }
    }

    pub(super) fn created(&self) -> i64 {
        self.container().map_or(i64::MIN, |container| container.created)
    }

    /// The smallest is the oldest; what no container declares is older than all that containers do.
    pub(super) fn seniority(&self) -> Option<(i64, &'s str, &'s str)> {
        self.container().map(Container::seniority)
    }

    pub(super) fn is_ready(&self) -> bool {
        let shared = self.shared.iter().flat_map(|shared| shared.iter());
        self.endpoints.iter().chain(shared).any(|endpoint| endpoint.readiness == Readiness::Ready)
    }
}

/// Why a container cannot be reached until someone changes something; none where it may be reached soon.
fn why_unreachable(container: &Container, troubles: &[Diagnostic]) -> Option<Box<str>> {
    const LASTING: [Code; 8] = [
        codes::NETWORK_NOT_SHARED,
        codes::NETWORK_APART,
        codes::ENGINE_ELSEWHERE,
        codes::NETWORK_GONE,
        codes::NETWORK_NONE,
        codes::HOST_UNREACHABLE,
        codes::OWN_LISTENER,
        codes::PORT_UNKNOWN,
    ];
    let Diagnostic { code, message, help, .. } = troubles.iter().find(|one| LASTING.contains(&one.code))?;
    Some(format!("container {}: {message} ({code}). To mend it, {help}.", quoted(&container.name)).into())
}

fn unhealthy(container: &Container) -> Diagnostic {
    let finding = Finding::error(
        codes::UNHEALTHY,
        0..0,
        "the container is unhealthy",
        "",
        "see what its health check says: `docker inspect` shows the last answers",
    );
    Source::Container(container).about(finding.warning(), "no requests are sent to it until it is healthy again".into())
}

fn group_without_project(container: &Container, route: &RouteSpec<'_>) -> Diagnostic {
    let finding = Finding::error(
        codes::GROUP_WITHOUT_PROJECT,
        0..0,
        format!("`{}` on a container that belongs to no project", route.words.group_key),
        "",
        "remove the label, or start the containers as services of one compose project",
    );
    let effect = format!("route `{}` has an upstream of its own", route.name);
    Source::Container(container).about(finding, effect)
}
