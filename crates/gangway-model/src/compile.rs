//! Declarations → table. See [`compile()`].
//!
//! The steps, each in a file of its own: a dialect reads the containers; each route becomes a
//! candidate with the endpoints of its container (`candidates`, `targets`); names of upstreams and middlewares that
//! containers share are settled and put in (`names`, `resolve`); containers of one service are gathered behind one route
//! (`replicas`); of routes that claim the same, the one of the party that holds it keeps it (`conflicts`); the rest
//! becomes the table.
//!
//! Everything is sorted before it is looked at, so the order of listing never matters.

mod auth_loops;
mod auth_services;
mod availability;
mod candidates;
mod conflicts;
mod fair_share;
mod handshakes;
mod held_routes;
mod led_to;
mod log_in_paths;
mod malformed;
mod named_services;
mod names;
mod owners;
mod page_protection;
mod page_services;
mod priorities;
mod replicas;
mod reserved_hosts;
mod resolve;
mod slow_stops;
mod targets;
#[cfg(test)]
mod tests;
mod unserved;
mod weights;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use self::availability::{is_one_off, why_not_up};
use self::candidates::{Around, OfContainer};
pub use self::conflicts::Move;
use self::conflicts::Settled;
use self::fair_share::{Hidden, Intake};
pub use self::held_routes::Hold;
use self::named_services::NamedServices;
use self::names::SharedNames;
use self::owners::{Owner, Owners};
use self::replicas::{RouteGroup, RouteOrigin};
use self::resolve::NameResolver;
use self::unserved::UnservedClaims;
use crate::address::Surroundings;
use crate::bounds::ContainerFindings;
use crate::container_report::ContainerReport;
use crate::dialect::{self, ContainerRead, ReadCache};
use crate::engine_name::EngineName;
use crate::mention;
use crate::ownership::{Holdings, Observation, Tenant, seconds};
use crate::route::{Middleware, Route, Upstream};
use crate::select::is_selected;
use crate::settings::{Settings, TraefikSettings};
use crate::shared_objects::SharedObjects;
use crate::snapshot::{Container, Snapshot};
use crate::spec::{Declared, Delivery};
use crate::table::{Entry, RoutingTable};
use gangway_diagnostic::quoted;
use gangway_diagnostic::{Diagnostic, Diagnostics, Place};

/// The result of compiling, which is always complete.
pub struct Compiled {
    /// Everything that could be put in force.
    pub table: RoutingTable,
    /// Everything that was found about what the user wrote.
    pub diagnostics: Diagnostics,
    /// A report about each container that was read, sorted by name.
    pub containers: Vec<ContainerReport>,
    /// The name of Gangway's own container, if it runs in one that was read; of several, the first. Replies name it, so
    /// it is not looked for each time.
    pub own: Option<Box<str>>,
    /// For which of the containers that are gone a route is held, sorted; the others need not be
    /// remembered.
    pub holds: Vec<Hold>,
    /// Which party holds which host now; the next snapshot must bring it along.
    pub holdings: Holdings,
    /// Hosts that went from a party that is gone to another one, sorted.
    pub moves: Vec<Move>,
    /// The number of the last publication of released hosts that is in force. The publisher counts; compiling leaves it 0.
    pub releases: u64,
    /// How long compiling took. The caller measures it; compiling leaves it 0.
    pub compiling: Duration,
    /// What Traefik's labels and files declare by name.
    pub shared: SharedObjects,
    /// When the snapshot was taken that it is made of, in seconds since the epoch.
    pub now: i64,
}

impl Default for Compiled {
    /// The state before anything was read: no routes. Published as generation 0, it means *not ready*.
    fn default() -> Self {
        Self {
            table: RoutingTable::default(),
            diagnostics: Diagnostics::default(),
            containers: Vec::new(),
            own: None,
            holds: Vec::new(),
            holdings: Holdings::default(),
            moves: Vec::new(),
            releases: 0,
            compiling: Duration::ZERO,
            shared: SharedObjects::default(),
            now: 0,
        }
    }
}

/// Makes one table after another, and reads only what has changed in between.
///
/// Each is the same as [`compile()`] makes, whatever was compiled before.
#[derive(Debug, Default)]
pub struct Compiler {
    cache: ReadCache,
}

impl Compiler {
    /// Turns everything that was read into a table, as [`compile()`] does.
    pub fn compile(&mut self, snapshot: &Snapshot, settings: &Settings) -> Compiled {
        // Left empty by a panic, so that nothing half-done is ever used.
        let mut cache = std::mem::take(&mut self.cache);
        cache.begin(settings);
        let compiled = compile_by(&mut cache, snapshot, settings);
        cache.end();
        self.cache = cache;
        compiled
    }
}

/// Turns everything that was read into a table. Never fails; one bad container cannot hurt another.
pub fn compile(snapshot: &Snapshot, settings: &Settings) -> Compiled {
    Compiler::default().compile(snapshot, settings)
}

fn compile_by(cache: &mut ReadCache, snapshot: &Snapshot, settings: &Settings) -> Compiled {
    let surroundings = Surroundings::new(snapshot, settings);
    let owners = Owners::new(&snapshot.holdings);
    let is_ours = |container: &&Container| surroundings.is_own(container) || is_selected(&settings.select, container);
    let mut containers: Vec<&Container> = snapshot.containers.iter().filter(is_ours).collect();
    containers.sort_by_key(|container| (&container.name, &container.engine, &container.id));
    let mut found = Vec::new();
    let mut hidden = Hidden::new();
    let mut names = SharedNames::of(containers.len());
    let mut unserved = UnservedClaims::new(&snapshot.holdings);
    let services = NamedServices::new(snapshot, &surroundings);
    dialect::check_definitions(settings, &mut found);
    let mut of_files = candidates::of_file(settings, &services, &mut found);
    of_files.extend(candidates::of_provider(settings, &services, &mut names, &mut found));
    let mut intake = Intake::new(of_files);
    let mut reports = Vec::with_capacity(containers.len());
    let mut known_of_services = HashSet::new();
    // Traefik's own container has the labels of its page, and often those that all share.
    let is_read_of_own = settings.traefik.is_some();
    let is_read =
        |container: &&Container| (is_read_of_own || !surroundings.is_own(container)) && why_not_up(container).is_none();
    let up = containers.iter().copied().filter(is_read);
    let mut reads = dialect::read_all(up, settings, cache).peekable();
    for container in &containers {
        let mut findings = ContainerFindings::default();
        let read = reads.next_if(|read| std::ptr::eq(read.container, *container));
        let made = if let Some(read) = read {
            findings = read.findings;
            let declared = match surroundings.is_own(container) {
                true => dialect::of_own(container, read.declared, &mut findings.found),
                false => read.declared,
            };
            let around = Around { owners: &owners, surroundings: &surroundings, services: &services };
            candidates::of_container(container, declared, around, &mut names, &mut findings.found)
        } else if surroundings.is_own(container) {
            dialect::report_own(container, &mut findings.found);
            OfContainer::not_routed("it is Gangway itself")
        } else {
            OfContainer::not_routed(why_not_up(container).unwrap_or_default())
        };
        // Replicas have the same labels, so the same is found at each of them.
        found.extend(hidden.show(findings).into_iter().filter(|one| match owners.of(container) {
            owner @ Owner::Service { .. } => known_of_services.insert((owner, without_container(one))),
            Owner::Alone { .. } | Owner::Files => true,
        }));
        reports.push(report(container, made.ways, &surroundings, settings));
        intake.add(made.candidates, &mut unserved, &mut found);
    }
    drop(reads);
    malformed::report(snapshot, &containers, settings, &mut found);
    let mut candidates = intake.all(&mut unserved, &mut found);
    let around = Around { owners: &owners, surroundings: &surroundings, services: &services };
    let mut held = held_routes::read(snapshot, around, settings, cache, &mut names);
    names.settle(&mut found);
    let mut resolver = NameResolver::new(&names);
    resolver.resolve(candidates.iter_mut(), &mut found);
    // Nothing is said about routes that are held: it was said while their containers ran.
    resolver.resolve(held.candidates(), &mut Vec::new());
    let shared = names.into_objects();
    let has_several_engines = snapshot.own.len() > 1;
    let mut groups = replicas::gather(candidates, has_several_engines, &mut found);
    slow_stops::serve_again(&mut groups, snapshot);
    let (held, holds) = held.gather(has_several_engines);
    groups.extend(held);
    add_stopped(&mut unserved, &containers, &snapshot.holdings, &owners, settings, cache);
    let absent = unserved.all();
    let observation = Observation { now: snapshot.now, keep: seconds(settings.keep_hosts), unread: &snapshot.unread };
    let settled = conflicts::settle(groups, &absent, &snapshot.holdings, &snapshot.released, observation, &mut found);
    let Settled { left: mut groups, lost, holdings, moves } = settled;
    auth_loops::settle(&mut groups, &mut found);
    page_protection::settle(&mut groups, &mut found);
    priorities::settle(&mut groups, &mut found);
    handshakes::settle(&mut groups, &mut found);
    let reserved = reserved_hosts::hosts(&groups, &holdings, observation);
    let (held, groups): (Vec<RouteGroup<'_>>, Vec<RouteGroup<'_>>) = groups.into_iter().partition(|group| group.held);
    let (mut entries, origins): (Vec<Entry<Arc<Route>>>, Vec<RouteOrigin<'_>>) = groups.into_iter().map(entry).unzip();
    conflicts::report_ties(&entries, &origins, &mut found);
    name_routes(&mut reports, entries.iter().map(|entry| &*entry.id).zip(&origins), &lost);
    entries.extend(held.into_iter().map(|group| entry(group).0));
    entries.extend(log_in_paths::entries(&entries));
    let unknown_names = settings.traefik.as_ref().map(TraefikSettings::unknown_names).unwrap_or_default();
    let table = RoutingTable::build_reserved(entries, reserved, |route| &route.tenant);
    let (table, diagnostics) = (table.with_unknown_names(unknown_names), hidden.bounded(found));
    let own = reports.iter().find(|report| report.is_own).map(|report| report.name.clone());
    Compiled {
        table,
        diagnostics,
        containers: reports,
        own,
        holds,
        holdings,
        moves,
        releases: 0,
        compiling: Duration::ZERO,
        shared,
        now: snapshot.now,
    }
}

/// Adds what containers that are not up ask for: only of tenants that hold something, as all others cannot lose
/// anything.
fn add_stopped<'s>(
    unserved: &mut UnservedClaims<'s>,
    containers: &[&'s Container],
    holdings: &Holdings,
    owners: &Owners<'s>,
    settings: &'s Settings,
    cache: &mut ReadCache,
) {
    let tenants = holdings.tenants();
    let is_of_holder = |container: &&Container| {
        why_not_up(container).is_some()
            && !is_one_off(container)
            && (tenants.contains(&owners.of(container).tenant()) || tenants.contains(&Tenant::Traefik))
    };
    let stopped = containers.iter().copied().filter(is_of_holder);
    for ContainerRead { container, declared, .. } in dialect::read_all(stopped, settings, cache) {
        let Declared::Routed { declarations, .. } = declared else { continue };
        for route in declarations.routes {
            unserved.add(
                owners.party(container, &route),
                container,
                route.matcher,
                route.listener.scope,
                route.priority,
            );
        }
    }
}

fn entry(group: RouteGroup<'_>) -> (Entry<Arc<Route>>, RouteOrigin<'_>) {
    let RouteGroup { id, party, age, spec, origin, mut endpoints, held, unreachable, .. } = group;
    let spec = *spec;
    let Delivery { timeouts, host_header, upgrades, policy, internal } = spec.upstream;
    let scope = spec.listener.scope.clone();
    endpoints.sort_by(|a, b| a.key.cmp(&b.key));
    endpoints.dedup_by(|a, b| a.key == b.key);
    let route = Route {
        id: id.clone(),
        name: spec.name,
        rule: spec.matcher.rule().to_string().into(),
        tenant: party.tenant.key().into(),
        origin: origin.names(),
        is_of_operator: origin.is_of_operator(),
        hosts: spec.matcher.hosts(),
        listener: spec.listener,
        middlewares: spec.middlewares,
        timeouts,
        host_header,
        upgrades,
        upstream: Arc::new(Upstream { id: id.clone(), endpoints, policy, held, unreachable, internal }),
        auth_services: spec.auth_endpoints,
        page_services: spec.page_services.into_iter().map(|service| (service.rule, service.endpoints)).collect(),
        closed: spec.closed,
        origins: spec.origins,
        router: spec.router,
        tile: spec.tile,
    };
    (Entry { matcher: spec.matcher, scope, priority: spec.priority, age, id, payload: Arc::new(route) }, origin)
}

/// One reason where all routes have the same, else each with the route's name before it.
fn reason(ways: &[(Box<str>, String)]) -> String {
    match ways {
        [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => first.clone(),
        _ => ways.iter().map(|(name, way)| format!("{}: {way}", quoted(name))).collect::<Vec<_>>().join("; "),
    }
}

fn report<'s>(
    container: &'s Container,
    ways: Vec<(Box<str>, String)>,
    surroundings: &Surroundings<'s>,
    settings: &Settings,
) -> ContainerReport {
    ContainerReport {
        name: container.name.clone(),
        id: container.id.clone(),
        engine: container.engine.clone(),
        image: container.image.clone(),
        state: container.state,
        ended: container.ended,
        health: container.health,
        routes: Vec::new(),
        out_of_reach: surroundings.is_out_of_reach(container),
        reason: reason(&ways),
        ways,
        is_own: surroundings.is_own(container),
        mentions: mention::of(container, settings),
    }
}

impl Compiled {
    /// Host names of routes whose containers all run where we cannot reach them: no request gets anywhere before a
    /// network is shared. A route whose container is gone or starts is not among them, nor one of
    /// the config file.
    pub fn names_out_of_reach(&self) -> BTreeSet<Box<str>> {
        let mut reachable: BTreeMap<&str, bool> = BTreeMap::new();
        for report in &self.containers {
            for route in &report.routes {
                *reachable.entry(route).or_default() |= !report.out_of_reach;
            }
        }
        let (mut near, mut far) = (BTreeSet::new(), BTreeSet::new());
        for route in self.table.routes() {
            // A redirection and a service of ours are answered here, wherever its container is.
            let is_answered_here =
                route.upstream.internal.is_some() || route.middlewares.iter().any(Middleware::answers_all);
            let is_far = reachable.get(&*route.id) == Some(&false) && !is_answered_here;
            let names = if is_far { &mut far } else { &mut near };
            names.extend(route.hosts.iter().map(|host| Box::<str>::from(host.to_string())));
        }
        far.retain(|name| !near.contains(name));
        far
    }
}

/// Tells each container which routes it stands behind, and which it lost altogether.
fn name_routes<'a, 's: 'a>(
    reports: &mut [ContainerReport],
    served: impl Iterator<Item = (&'a str, &'a RouteOrigin<'s>)>,
    lost: &'a [RouteGroup<'s>],
) {
    let mut routes: HashMap<(&EngineName, &str), Vec<Box<str>>, ahash::RandomState> = HashMap::default();
    for (id, origin) in served {
        for container in origin.containers() {
            routes.entry((&container.engine, &container.id)).or_default().push(id.into());
        }
    }
    let mut losses: HashMap<(&EngineName, &str), BTreeSet<&str>, ahash::RandomState> = HashMap::default();
    for group in lost {
        for container in group.origin.containers() {
            losses.entry((&container.engine, &container.id)).or_default().insert(&group.origin.name);
        }
    }
    for report in reports {
        let key = (&report.engine, &*report.id);
        if let Some(names) = losses.remove(&key) {
            let names: Vec<&str> = names.into_iter().collect();
            report.reason += &format!("; what {} asks for is served by others", names.join(", "));
        }
        report.routes = routes.remove(&key).unwrap_or_default();
        report.routes.sort();
    }
}

fn without_container(diagnostic: &Diagnostic) -> Diagnostic {
    let mut anonymous = diagnostic.clone();
    if let Place::Container { name, .. } = &mut anonymous.place {
        *name = Box::default();
    }
    anonymous
}
