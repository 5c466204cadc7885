//! Puts compiled tables in force: prepares them, probes their endpoints, and publishes them.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use gangway_model::{Compiled, Endpoint, EndpointKey, Middleware, Route, RoutingTable};
use gangway_publish::{Generation, Publisher, PublisherGone, Reader, Seat};
use tokio::time::sleep;

use crate::access::guard::GateKind;
use crate::cache::registry::CacheRegistry;
use crate::cache::route_caches::RouteCaches;
use crate::metrics::Metrics;
#[cfg(any(test, fuzzing))]
use crate::overload::memory_budget::MemoryBudget;
use crate::pages::rest::Rest;
use crate::serving_table::{ActiveEndpoint, ActiveRoute, ActiveTable, PageService, RoutePages, active_endpoint};
use crate::upstream::endpoint_state::{EndpointHealth, EndpointStates};
use crate::upstream::health::{HealthReport, Probes};
use crate::upstream::opener::Opener;
use crate::upstream::route_state::RouteStates;
use crate::upstream::sticky::{CookieNames, CookieSecret};
use crate::upstream::suspects::Suspects;

/// Turns every compiled table into the one that requests are routed by.
///
/// A background task for the caller to run: [`Activator::run`] makes its future, and makes another one after
/// a panic ended the last.
pub struct Activator {
    pub(crate) compiled: Reader<Compiled>,
    pub(crate) tables: Seat<ActiveTable>,
    /// What the table in force was made of.
    pub(crate) in_force: Seat<Compiled>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) suspects: Arc<Suspects>,
    pub(crate) opener: Opener,
    pub(crate) secret: CookieSecret,
    pub(crate) caches: CacheRegistry,
}

impl Activator {
    /// Activates every table that is compiled, and again whenever a probe found out something about an
    /// endpoint.
    ///
    /// Begins with the newest compiled table. The states of endpoints and routes are taken over from the table
    /// in force.
    ///
    /// # Panics
    ///
    /// Where the future of an earlier call still exists: two of them would overwrite each other's tables.
    pub fn run(&mut self) -> impl Future<Output = Infallible> + Send + use<> {
        let (tables, in_force) = (self.tables.take(), self.in_force.take());
        let outputs = tables.zip(in_force).expect("the earlier future is gone");
        let (compiled, metrics) = (self.compiled.clone(), Arc::clone(&self.metrics));
        let (suspects, secret) = (Arc::clone(&self.suspects), self.secret.clone());
        let probes = Probes::new(self.opener.clone());
        activate(compiled, outputs, metrics, suspects, probes, secret, self.caches.clone())
    }
}

async fn activate(
    mut compiled: Reader<Compiled>,
    (mut tables, mut compiled_in_force): (Publisher<ActiveTable>, Publisher<Compiled>),
    metrics: Arc<Metrics>,
    suspects: Arc<Suspects>,
    mut probes: Probes,
    secret: CookieSecret,
    caches: CacheRegistry,
) -> Infallible {
    let in_force = tables.reader();
    // Empty at the start. After a panic, the requests under way are counted in what the last table holds.
    let mut states = States::of(&in_force.load_full());
    let mut served = route_ids(&in_force.load_full());
    if compiled.generation() == Generation::INITIAL {
        last_one_stays(compiled.changed().await).await;
    }
    loop {
        // At the start of the process, its containers have usually run for long. A later container may not listen yet.
        let turn = if in_force.generation() == Generation::INITIAL { Turn::First } else { Turn::Later };
        let source = compiled.load_full();
        let (table, next) = prepare(&source.table, &states, turn, &metrics, &secret, &caches);
        drain(&in_force.load_full(), &next);
        states = next;
        let serving = route_ids(&table);
        probes.follow(&table, &HashSet::default());
        metrics.keep_names(routers(&table));
        tables.publish(table);
        compiled_in_force.pass_on(source);
        for gone in served.difference(&serving) {
            metrics.forget_route(gone);
        }
        served = serving;
        loop {
            tokio::select! {
                biased;
                outcome = compiled.changed() => {
                    last_one_stays(outcome).await;
                    break;
                }
                suspects = suspects.take() => probes.follow(&in_force.load_full(), &suspects),
                news = probes.next() => {
                    let also = std::iter::from_fn(|| probes.also());
                    let changed: HashSet<EndpointKey, ahash::RandomState> =
                        std::iter::once(news).chain(also).filter_map(|news| states.take_in(news)).collect();
                    if !changed.is_empty() {
                        let table = sorted_anew(&in_force.load_full(), &changed, &states, &secret);
                        tables.publish(table);
                    }
                }
            }
        }
    }
}

fn route_ids(table: &ActiveTable) -> BTreeSet<Box<str>> {
    table.routes().iter().map(|active| active.route.id.clone()).collect()
}

/// The routers of Traefik's configuration, each with its service.
fn routers(table: &ActiveTable) -> impl Iterator<Item = (&str, &str)> {
    table.routes().iter().filter_map(|active| {
        let router = active.route.router.as_deref()?;
        Some((&*active.route.name, &*router.service_name))
    })
}

/// Limits the time of requests under way at endpoints that leave or have left.
fn drain(in_force: &ActiveTable, next: &States) {
    for route in in_force.routes() {
        for endpoint in route.ready.iter().chain(&route.others) {
            let stays = next.endpoints.find(&endpoint.key).is_some_and(|state| !state.leaves());
            if stays {
                continue;
            }
            if let Some(departure) = endpoint.state.begin_draining() {
                let (state, time) = (Arc::clone(&endpoint.state), route.route.upstream.policy.drain);
                tokio::spawn(async move {
                    sleep(time).await;
                    state.end_draining(departure);
                });
            }
        }
    }
}

/// Waits for ever if the publisher is gone, since the process is about to end.
async fn last_one_stays<T>(outcome: Result<T, PublisherGone>) {
    if outcome.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The states of endpoints and routes, which outlive a table.
#[derive(Debug, Default)]
struct States {
    endpoints: EndpointStates,
    routes: RouteStates,
    caches: RouteCaches,
}

impl States {
    /// Collects the states that a table holds.
    fn of(table: &ActiveTable) -> Self {
        let mut states = Self::default();
        for active in table.routes() {
            states.routes.insert(&active.route.id, Arc::clone(&active.state));
            if let Some(cache) = &active.cache {
                states.caches.insert(&active.route, Arc::clone(cache));
            }
            let services = active.pages.iter().flat_map(|pages| &pages.services);
            let of_pages = services.flat_map(|(_, service)| &service.endpoints);
            for endpoint in
                active.ready.iter().chain(&active.others).chain(active.auth_services.iter().flatten()).chain(of_pages)
            {
                states.endpoints.insert(&endpoint.key, Arc::clone(&endpoint.state));
            }
        }
        states
    }

    /// Applies the result of a probe. Returns the endpoint if it still exists.
    fn take_in(&self, (key, health): HealthReport) -> Option<EndpointKey> {
        let state = self.endpoints.find(&key)?;
        // A new endpoint was not reached before either.
        let is_still_new = health == EndpointHealth::Failing && state.health() == EndpointHealth::New;
        if !is_still_new {
            state.set_health(health);
        }
        Some(key)
    }
}

/// Whether a table is the first of this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    First,
    Later,
}

fn prepare(
    compiled: &RoutingTable,
    known: &States,
    turn: Turn,
    metrics: &Metrics,
    secret: &CookieSecret,
    caches: &CacheRegistry,
) -> (ActiveTable, States) {
    let mut next = States::default();
    let cookies = CookieNames::of(compiled, secret);
    let with_check = compiled.routes().iter().filter(|route| route.upstream.policy.health.is_some());
    let checked: BTreeSet<&EndpointKey> =
        with_check.flat_map(|route| &route.upstream.endpoints).map(|endpoint| &endpoint.key).collect();
    let table = compiled.map(|route: &Arc<Route>| {
        let mut activate = |endpoint: &Endpoint| {
            let is_believed =
                !checked.contains(&endpoint.key) && (turn == Turn::First || endpoint.key.container.is_empty());
            let health = if is_believed { EndpointHealth::Healthy } else { EndpointHealth::New };
            let state = known.endpoints.carry_over(&mut next.endpoints, &endpoint.key, health);
            state.note_readiness(endpoint.readiness);
            active_endpoint(endpoint, route, state, secret)
        };
        let (ready, others) = sorted(route.upstream.endpoints.iter().map(&mut activate).collect());
        let services = route.auth_services.iter();
        let auth_services = services.map(|endpoints| endpoints.iter().map(&mut activate).collect()).collect();
        let pages = route.middlewares.iter().find_map(Middleware::error_pages).map(|pages| {
            let services = route.page_services.iter().filter(|(_, endpoints)| !endpoints.is_empty());
            let services = services.map(|(rule, endpoints)| {
                let endpoints = endpoints.iter().map(&mut activate).collect();
                (*rule, PageService { endpoints, rest: Rest::default() })
            });
            Arc::new(RoutePages { pages: Arc::clone(pages), services: services.collect() })
        });
        let state = known.routes.carry_over(&mut next.routes, &route.id);
        let (history, metrics) = (metrics.history_of_route(&route.id), metrics.for_route(&route.id));
        let cookie = cookies.name(route);
        let gate = GateKind::of(route);
        let cache = known.caches.carry_over(&mut next.caches, route, caches);
        let route = Arc::clone(route);
        Arc::new(ActiveRoute {
            route,
            ready,
            others,
            cookie,
            auth_services,
            pages,
            cache,
            gate,
            metrics,
            history,
            state,
        })
    });
    known.endpoints.depart(&mut next.endpoints);
    (table, next)
}

/// Copies a table and sorts the endpoints of the routes in `changed` by their health.
fn sorted_anew(
    table: &ActiveTable,
    changed: &HashSet<EndpointKey, ahash::RandomState>,
    states: &States,
    secret: &CookieSecret,
) -> ActiveTable {
    table.map(|active| {
        let mut endpoints = active.ready.iter().chain(&active.others);
        if !endpoints.any(|endpoint| changed.contains(&endpoint.key)) {
            return Arc::clone(active);
        }
        let route = &active.route;
        let endpoints = route.upstream.endpoints.iter().filter_map(|endpoint| {
            let state = states.endpoints.find(&endpoint.key)?;
            Some(active_endpoint(endpoint, route, Arc::clone(state), secret))
        });
        let (ready, others) = sorted(endpoints.collect());
        Arc::new(ActiveRoute { ready, others, ..ActiveRoute::clone(active) })
    })
}

/// Splits endpoints into those that may get requests and the others. If no endpoint is healthy, the ones that are
/// down get the requests, so that the client learns what is wrong.
fn sorted(endpoints: Vec<ActiveEndpoint>) -> (Vec<ActiveEndpoint>, Vec<ActiveEndpoint>) {
    let (good, others): (Vec<_>, Vec<_>) =
        endpoints.into_iter().partition(|one| one.is_ready_and(EndpointHealth::Healthy));
    match good.is_empty() {
        true => others.into_iter().partition(|one| one.is_ready_and(EndpointHealth::Down)),
        false => (good, others),
    }
}

/// A table as it is served from the start.
#[cfg(any(test, fuzzing))]
pub(crate) fn activated(compiled: &RoutingTable, metrics: &Metrics) -> ActiveTable {
    let caches = CacheRegistry::new(MemoryBudget::new(1 << 30));
    prepare(compiled, &States::default(), Turn::First, metrics, &CookieSecret::none(), &caches).0
}
