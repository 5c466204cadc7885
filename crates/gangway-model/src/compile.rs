//! Specs → table. See [`compile()`].
//!
//! The steps, each in a file of its own: a dialect reads each container by itself; containers of one
//! service are gathered behind one route (`replicas`); of routes that claim the same, the one of the party
//! that holds it keeps it (`conflicts`); the rest becomes the table.
//!
//! Everything is sorted before it is looked at, so the order of listing never matters.

mod bounds;
mod cache;
mod conflicts;
mod handshakes;
mod held_routes;
mod malformed;
mod priorities;
mod replicas;
mod reserved_hosts;
mod slow_stops;
mod unserved;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

pub use self::bounds::{ALTERNATIVES_IN_ALL_MAX, FOUND_IN_ALL_MAX};
use self::bounds::{ContainerFindings, Intake};
use self::cache::Cache;
pub use self::conflicts::Move;
use self::conflicts::Settled;
pub use self::held_routes::Hold;
use self::replicas::{Candidate, Group, Owner, Owners, RouteOrigin};
use self::unserved::UnservedClaims;
use crate::address::Surroundings;
use crate::codes;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Place};
use crate::dialect::native::{self, Asked};
use crate::label::Source;
use crate::mention::{self, Mention};
use crate::ownership::{Holdings, Observation, Party, seconds};
use crate::route::{Address, Endpoint, EndpointKey, Middleware, Readiness, Route, Upstream};
use crate::rule::{Finding, shown};
use crate::select::is_selected;
use crate::settings::{FileRoute, Settings};
use crate::snapshot::{Container, ContainerState, Ended, EngineName, Health, Snapshot};
use crate::spec::{Target, UrlTarget};
use crate::table::{Entry, RoutingTable};

/// At most this many findings are shown for one container: more help nobody, and a container can have
/// as many labels as it likes.
pub const FOUND_MAX: usize = 100;

/// What compiling gives: always all of it.
pub struct Compiled {
    /// Everything that could be put in force.
    pub table: RoutingTable,
    /// Everything that was found about what the user wrote.
    pub diagnostics: Diagnostics,
    /// What was made of each container that was read, sorted by name.
    pub containers: Vec<ContainerReport>,
    /// For which of the containers that are gone a route is held, sorted; the others need not be
    /// remembered.
    pub holds: Vec<Hold>,
    /// Who holds which host now: what the next snapshot is to bring.
    pub holdings: Holdings,
    /// Hosts that went from a party that is gone to another one, sorted.
    pub moves: Vec<Move>,
    /// Up to which publication of them hosts are given up; whoever publishes them counts. Compiling leaves it 0.
    pub releases: u64,
}

/// What was made of one container, for `status`, the API and `explain`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ContainerReport {
    /// The container's name.
    pub name: Box<str>,
    /// Its id.
    pub id: Box<str>,
    /// The engine it was read from.
    pub engine: EngineName,
    /// Its image.
    pub image: Box<str>,
    /// What the engine says it is doing.
    pub state: ContainerState,
    /// How it ended last; none where it runs, or never did.
    pub ended: Option<Ended>,
    /// The result of its Docker health check.
    pub health: Health,
    /// The ids of the routes it stands behind, sorted.
    pub routes: Vec<Box<str>>,
    /// It runs, and shares no network with us.
    pub out_of_reach: bool,
    /// The address and port it is reached at and how they were chosen, such as
    /// `172.20.0.3:8080, the only exposed port, on network edge`; or why it is not routed. Where its routes differ
    /// in it, of each.
    pub reason: String,
    /// The same for each route that its labels ask for, by the route's name.
    pub ways: Vec<(Box<str>, String)>,
    /// It is Gangway's own container.
    pub is_own: bool,
    /// Its labels that may name a host; see [`mention`].
    pub mentions: Box<[Mention]>,
}

impl ContainerReport {
    /// Whether it asks for routes by a label, as far as can be told of one that does not run.
    pub fn asks(&self) -> bool {
        !self.is_own && (!self.routes.is_empty() || self.mentions.iter().any(|mention| mention.label.is_empty()))
    }

    /// How the container is reached for the route of this name, or why not.
    pub fn way(&self, route: &str) -> &str {
        let way = self.ways.iter().find(|(name, _)| name.eq_ignore_ascii_case(route));
        way.map_or(&self.reason, |(_, way)| way)
    }
}

impl Default for Compiled {
    /// The state before anything was read: no routes. Published as generation 0, it means *not ready*.
    fn default() -> Self {
        Self {
            table: RoutingTable::default(),
            diagnostics: Diagnostics::default(),
            containers: Vec::new(),
            holds: Vec::new(),
            holdings: Holdings::default(),
            moves: Vec::new(),
            releases: 0,
        }
    }
}

/// Makes one table after another, and reads only what has changed in between.
///
/// Each is the same as [`compile()`] makes, whatever was compiled before.
#[derive(Debug, Default)]
pub struct Compiler {
    cache: Cache,
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

fn compile_by(cache: &mut Cache, snapshot: &Snapshot, settings: &Settings) -> Compiled {
    let surroundings = Surroundings::new(snapshot, settings);
    let owners = Owners::new(&snapshot.holdings);
    let is_ours = |container: &&Container| surroundings.is_own(container) || is_selected(&settings.select, container);
    let mut containers: Vec<&Container> = snapshot.containers.iter().filter(is_ours).collect();
    containers.sort_by_key(|container| (&container.name, &container.engine, &container.id));
    let mut found = Vec::new();
    let mut intake = Intake::new(files(settings, &mut found));
    let mut unserved = UnservedClaims::new(&snapshot.holdings);
    let mut reports = Vec::with_capacity(containers.len());
    let mut said_of_services = HashSet::new();
    let mut unshown = bounds::Unshown::new();
    for container in &containers {
        let mut of_container = ContainerFindings::default();
        let read = read(container, &owners, &surroundings, settings, cache, &mut of_container);
        let of_container = of_container.shown(&mut unshown);
        // Replicas have the same labels, so the same is found at each of them.
        found.extend(of_container.into_iter().filter(|one| match owners.of(container) {
            owner @ Owner::Service { .. } => said_of_services.insert((owner, without_container(one))),
            Owner::Alone { .. } => true,
        }));
        reports.push(ContainerReport {
            out_of_reach: surroundings.is_out_of_reach(container),
            ..report(container, read.ways, surroundings.is_own(container), settings)
        });
        intake.add(read.candidates, &mut unserved, &mut found);
    }
    malformed::report(snapshot, &containers, settings, &mut found);
    let candidates = intake.all(&mut unserved, &mut found);
    let has_several_engines = snapshot.own.len() > 1;
    let mut groups = replicas::gather(candidates, has_several_engines, &mut found);
    slow_stops::serve_again(&mut groups, snapshot);
    let (held, holds) = held_routes::groups(snapshot, &owners, &surroundings, settings, cache);
    groups.extend(held);
    add_stopped(&mut unserved, &containers, &snapshot.holdings, &owners, settings, cache);
    let absent = unserved.all();
    let moment = Observation { now: snapshot.now, keep: seconds(settings.keep_hosts), unread: &snapshot.unread };
    let settled = conflicts::settle(groups, &absent, &snapshot.holdings, &snapshot.released, moment, &mut found);
    let Settled { left: mut groups, lost, holdings, moves } = settled;
    priorities::settle(&mut groups, &mut found);
    handshakes::settle(&mut groups, &mut found);
    let reserved = reserved_hosts::hosts(&groups, &holdings, moment);
    let (held, groups): (Vec<Group<'_>>, Vec<Group<'_>>) = groups.into_iter().partition(|group| group.held);
    let (mut entries, origins): (Vec<Entry<Arc<Route>>>, Vec<RouteOrigin<'_>>) = groups.into_iter().map(entry).unzip();
    conflicts::report_ties(&entries, &origins, &mut found);
    name_routes(&mut reports, entries.iter().map(|entry| &*entry.id).zip(&origins), &lost);
    entries.extend(held.into_iter().map(|group| entry(group).0));
    let (table, diagnostics) =
        (RoutingTable::build_reserved(entries, reserved, |route| &route.tenant), bounds::bounded(found, unshown));
    Compiled { table, diagnostics, containers: reports, holds, holdings, moves, releases: 0 }
}

/// Adds what containers that are not up ask for: only of tenants that hold something, as all others cannot lose
/// anything.
fn add_stopped<'s>(
    unserved: &mut UnservedClaims<'s>,
    containers: &[&'s Container],
    holdings: &Holdings,
    owners: &Owners<'s>,
    settings: &Settings,
    cache: &mut Cache,
) {
    let tenants = holdings.tenants();
    let is_of_holder = |container: &&&Container| {
        why_not_up(container).is_some() && !is_one_off(container) && tenants.contains(&owners.of(container).tenant())
    };
    let mut unsaid = ContainerFindings::default();
    for container in containers.iter().filter(is_of_holder) {
        let Asked::Routes { specs, .. } = cache.read(container, settings, &mut unsaid) else { continue };
        for spec in specs {
            unserved.add(owners.party(container, &spec), container, spec.matcher, spec.priority);
        }
    }
}

/// What was made of one container.
struct Read<'s> {
    candidates: Vec<Candidate<'s>>,
    /// How it is reached, or why not, for each route by name; without a name for all.
    ways: Vec<(Box<str>, String)>,
}

fn read<'s>(
    container: &'s Container,
    owners: &Owners<'s>,
    surroundings: &Surroundings<'s>,
    settings: &Settings,
    cache: &mut Cache,
    findings: &mut ContainerFindings,
) -> Read<'s> {
    let nothing = |reason: &str| Read { candidates: Vec::new(), ways: vec![(Box::default(), reason.to_owned())] };
    if surroundings.is_own(container) {
        native::read_own(container, &mut findings.found);
        return nothing("it is Gangway itself");
    }
    if let Some(why) = why_not_up(container) {
        return nothing(why);
    }
    let (specs, by_label) = match cache.read(container, settings, findings) {
        Asked::Nothing(why) => return nothing(&why),
        Asked::Routes { specs, by_label } => (specs, by_label),
    };
    let found = &mut findings.found;
    if specs.is_empty() {
        return nothing("no route could be made of its labels");
    }
    if container.health == Health::Unhealthy && by_label {
        found.push(unhealthy(container));
    }
    let mut ways: Vec<(Box<str>, String)> = Vec::new();
    let mut candidates = Vec::with_capacity(specs.len());
    for spec in specs {
        if spec.group.is_some() && container.project().is_none() {
            found.push(group_without_project(container, &spec.name));
        }
        let mut troubles = Vec::new();
        let endpoint = match &spec.upstream.target {
            Target::Container(access) => match surroundings.reach(container, access, &spec.name, &mut troubles) {
                Ok(reach) => {
                    ways.push((spec.name.clone(), reach.reason.clone()));
                    Some(Endpoint {
                        key: EndpointKey {
                            container: container.id.clone(),
                            address: Address::Ip(reach.address.ip(), reach.address.port()),
                        },
                        name: container.name.clone(),
                        scheme: reach.scheme,
                        verify: reach.verify,
                        host: None,
                        readiness: readiness(container),
                        weight: spec.upstream.weight,
                    })
                }
                Err(why) => {
                    ways.push((spec.name.clone(), why));
                    None
                }
            },
            Target::Urls(_) | Target::Nothing => {
                ways.push((spec.name.clone(), "it answers with a redirection".to_owned()));
                None
            }
        };
        if !by_label && endpoint.is_none() {
            // Nobody asked for it, so nobody wants to hear why it cannot be.
            continue;
        }
        use ContainerState::{Created, Dead, Exited, Paused, Removing, Restarting, Running};
        let unreachable = match container.state {
            Running if endpoint.is_none() => why_unreachable(container, &troubles),
            Running | Created | Paused | Restarting | Removing | Exited | Dead => None,
        };
        // One that restarts will soon have an address again, and one that ends needs none.
        if by_label && container.state == Running && !container.leaving {
            found.extend(troubles);
        }
        let source = Source::Container(container);
        let party = owners.party(container, &spec);
        let endpoints = endpoint.into_iter().collect();
        candidates.push(Candidate { party, source, spec: Box::new(spec), endpoints, unreachable });
    }
    Read { candidates, ways }
}

/// Why it cannot be reached as long as nobody changes something; none where it may be soon.
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
    Some(format!("container {}: {message} ({code}). To mend it, {help}.", shown(&container.name)).into())
}

/// Why it is not routed whatever its labels say.
fn why_not_up(container: &Container) -> Option<&'static str> {
    match container.state {
        ContainerState::Running | ContainerState::Restarting => {}
        ContainerState::Created => return Some("it was never started"),
        ContainerState::Paused => return Some("it is paused"),
        ContainerState::Removing => return Some("it is being removed"),
        ContainerState::Exited => return Some("it is stopped"),
        ContainerState::Dead => return Some("it is dead"),
    }
    is_one_off(container).then_some("it was started by `compose run`, beside its service")
}

/// `compose run` gives a shell beside a service the labels of that service.
fn is_one_off(container: &Container) -> bool {
    container.label("com.docker.compose.oneoff").is_some_and(|one| one.eq_ignore_ascii_case("true"))
}

fn readiness(container: &Container) -> Readiness {
    match (container.state, container.health) {
        (ContainerState::Restarting, _) => Readiness::Restarting,
        _ if container.leaving => Readiness::Leaving,
        (_, Health::Starting) => Readiness::Starting,
        (_, Health::Unhealthy) => Readiness::Unhealthy,
        (_, Health::NoCheck | Health::Healthy) => Readiness::Ready,
    }
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

fn group_without_project(container: &Container, route: &str) -> Diagnostic {
    let finding = Finding::error(
        codes::GROUP_WITHOUT_PROJECT,
        0..0,
        "`group` on a container that belongs to no project",
        "",
        "remove the label, or start the containers as services of one compose project",
    );
    let effect = format!("route `{route}` has an upstream of its own");
    Source::Container(container).about(finding, effect)
}

fn files<'s>(settings: &'s Settings, found: &mut Vec<Diagnostic>) -> Vec<Candidate<'s>> {
    let mut routes: Vec<&FileRoute> = settings.file_routes.iter().collect();
    routes.sort_by_key(|route| (&route.name, &route.place));
    let candidate = |route| {
        let spec = Box::new(native::read_file(route, settings, found)?);
        let endpoints = match &spec.upstream.target {
            Target::Urls(urls) => urls.iter().map(|url| url_endpoint(url, spec.upstream.weight)).collect(),
            Target::Container(_) | Target::Nothing => Vec::new(),
        };
        let (party, source) = (Party::of_file(&spec), Source::File(route));
        Some(Candidate { party, source, spec, endpoints, unreachable: None })
    };
    routes.into_iter().filter_map(candidate).collect()
}

fn url_endpoint(target: &UrlTarget, weight: u16) -> Endpoint {
    Endpoint {
        key: EndpointKey { container: Box::default(), address: target.address.clone() },
        name: target.url.clone(),
        scheme: target.scheme,
        verify: target.verify,
        host: matches!(target.address, Address::Name(..)).then(|| target.host.clone()),
        readiness: Readiness::Ready,
        weight,
    }
}

fn entry(group: Group<'_>) -> (Entry<Arc<Route>>, RouteOrigin<'_>) {
    let Group { id, party, age, spec, origin, mut endpoints, held, unreachable, .. } = group;
    let spec = *spec;
    endpoints.sort_by(|a, b| a.key.cmp(&b.key));
    endpoints.dedup_by(|a, b| a.key == b.key);
    let route = Route {
        id: id.clone(),
        name: spec.name,
        rule: spec.matcher.rule().to_string().into(),
        tenant: party.tenant.key().into(),
        origin: origin.names(),
        hosts: spec.matcher.hosts(),
        listener: spec.listener,
        middlewares: spec.middlewares,
        timeouts: spec.upstream.timeouts,
        host_header: spec.upstream.host_header,
        upstream: Arc::new(Upstream { id: id.clone(), endpoints, policy: spec.upstream.policy, held, unreachable }),
        closed: spec.closed,
    };
    (Entry { matcher: spec.matcher, priority: spec.priority, age, id, payload: Arc::new(route) }, origin)
}

/// One reason where all routes have the same, else each with the route's name before it.
fn reason(ways: &[(Box<str>, String)]) -> String {
    match ways {
        [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => first.clone(),
        _ => ways.iter().map(|(name, way)| format!("{}: {way}", shown(name))).collect::<Vec<_>>().join("; "),
    }
}

fn report(container: &Container, ways: Vec<(Box<str>, String)>, is_own: bool, settings: &Settings) -> ContainerReport {
    ContainerReport {
        name: container.name.clone(),
        id: container.id.clone(),
        engine: container.engine.clone(),
        image: container.image.clone(),
        state: container.state,
        ended: container.ended,
        health: container.health,
        routes: Vec::new(),
        out_of_reach: false,
        reason: reason(&ways),
        ways,
        is_own,
        mentions: mention::of(container, settings),
    }
}

impl Compiled {
    /// Host names that only routes ask for whose containers all run where we cannot reach them: they lead nobody
    /// anywhere before a network is shared. A route whose container is gone or starts is not among them, nor one of
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
            // A redirection is answered here, wherever its container is.
            let is_answered_here = route.middlewares.iter().any(Middleware::answers_all);
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
    lost: &'a [Group<'s>],
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
