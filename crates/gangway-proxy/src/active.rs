//! The table in force: the model's routes, each with what was prepared to serve it.
//!
//! Activating happens on the control side, once per table. Per request nothing is built from text:
//! peers are cloned from templates, and states that outlive a swap are found by pointer.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use gangway_model::route::{Address, Endpoint, EndpointKey, Readiness, Route, Scheme};
use gangway_model::{Compiled, RoutingTable};
use gangway_publish::{Generation, Publisher, PublisherGone, Reader, Seat};
use http::HeaderValue;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora::upstreams::peer::HttpPeer;
use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

use crate::balance::mix;
use crate::endpoint::{EndpointState, EndpointStates, Standing};
use crate::metrics::{Metrics, RouteMetrics};
use crate::probe::{News, Probes};
use crate::route_state::{RouteState, RouteStates};
use crate::sticky::{Cookies, Secret};

/// What the data plane reads for every request.
pub(crate) type ActiveTable = RoutingTable<Arc<ActiveRoute>>;

/// A route with everything prepared.
#[derive(Debug)]
pub(crate) struct ActiveRoute {
    pub(crate) route: Arc<Route>,
    /// Those that may get requests now.
    pub(crate) ready: Vec<ActiveEndpoint>,
    /// Those that may not, with the reason in their readiness. Some still have requests under way.
    pub(crate) others: Vec<ActiveEndpoint>,
    /// By which a client stays with an endpoint, where the route is sticky.
    pub(crate) cookie: Option<Box<str>>,
    pub(crate) metrics: RouteMetrics,
    pub(crate) state: Arc<RouteState>,
}

/// An endpoint with its prepared peer and its living state.
#[derive(Debug)]
pub(crate) struct ActiveEndpoint {
    pub(crate) key: EndpointKey,
    pub(crate) name: Box<str>,
    pub(crate) readiness: Readiness,
    pub(crate) target: Target,
    /// A template: cloned per request, and pointed at the looked-up address for a name.
    pub(crate) peer: HttpPeer,
    /// Sent as `Host` with `host-header = upstream`.
    pub(crate) host: HeaderValue,
    pub(crate) weight: u16,
    /// Of its identity.
    pub(crate) hash: u64,
    /// The value of the route's cookie for it, where the route is sticky.
    pub(crate) token: Option<Box<str>>,
    pub(crate) state: Arc<EndpointState>,
}

/// Where the peer is, or what to look up for it.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Address,
    Name(Box<str>, u16),
}

/// Endpoints that requests could not be brought to, on their way to the probes; who finds it full is not
/// alone in saying so.
pub(crate) const DOUBTS_MAX: usize = 256;

/// Turns every compiled table into the one that requests are routed by.
///
/// A background task for the caller to run: [`Activator::run`] makes its future, and makes another one after
/// a panic ended the last.
pub struct Activator {
    pub(crate) compiled: Reader<Compiled>,
    pub(crate) tables: Seat<ActiveTable>,
    pub(crate) metrics: Arc<Metrics>,
    /// Shared, since a panic must not close the channel: requests go on sending.
    pub(crate) doubts: Arc<Mutex<mpsc::Receiver<EndpointKey>>>,
    pub(crate) secret: Secret,
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
        let tables = self.tables.take().expect("the earlier future is gone");
        let (compiled, metrics) = (self.compiled.clone(), Arc::clone(&self.metrics));
        let (doubts, secret) = (Arc::clone(&self.doubts), self.secret.clone());
        async move {
            let mut doubts = doubts.lock().await;
            activate(compiled, tables, metrics, &mut doubts, secret).await
        }
    }
}

async fn activate(
    mut compiled: Reader<Compiled>,
    mut tables: Publisher<ActiveTable>,
    metrics: Arc<Metrics>,
    doubts: &mut mpsc::Receiver<EndpointKey>,
    secret: Secret,
) -> Infallible {
    let in_force = tables.reader();
    let mut probes = Probes::default();
    // Empty at the start. After a panic, the requests under way are counted in what the last table holds.
    let mut states = States::of(&in_force.load_full());
    let mut served = route_ids(&in_force.load_full());
    if compiled.generation() == Generation::INITIAL {
        last_one_stays(compiled.changed().await).await;
    }
    loop {
        // What runs before we do has been running for long; what comes later may not listen yet.
        let is_first = in_force.generation() == Generation::INITIAL;
        let (table, next) = prepare(&compiled.load_full().table, &states, is_first, &metrics, &secret);
        drain(&in_force.load_full(), &next);
        states = next;
        let serving = route_ids(&table);
        probes.follow(&table, None);
        tables.publish(table);
        for gone in served.difference(&serving) {
            metrics.forget_route(gone);
        }
        served = serving;
        loop {
            let doubt = tokio::select! {
                biased;
                outcome = compiled.changed() => {
                    last_one_stays(outcome).await;
                    break;
                }
                Some(key) = doubts.recv() => Some(key),
                news = probes.next() => {
                    let also = std::iter::from_fn(|| probes.also());
                    let changed: Vec<EndpointKey> =
                        std::iter::once(news).chain(also).filter_map(|news| states.take_in(news)).collect();
                    if !changed.is_empty() {
                        let table = sorted_anew(&in_force.load_full(), &changed, &states, &secret);
                        tables.publish(table);
                    }
                    None
                }
            };
            if let Some(doubt) = doubt {
                probes.follow(&in_force.load_full(), Some(&doubt));
            }
        }
    }
}

fn route_ids(table: &ActiveTable) -> BTreeSet<Box<str>> {
    table.routes().iter().map(|active| active.route.id.clone()).collect()
}

/// Gives the requests under way at endpoints that leave, or have left, their time.
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

/// Waits for ever where whoever published has ended: the process is about to.
async fn last_one_stays<T>(outcome: Result<T, PublisherGone>) {
    if outcome.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What outlives a table.
#[derive(Debug, Default)]
struct States {
    endpoints: EndpointStates,
    routes: RouteStates,
}

impl States {
    /// Those that a table holds.
    fn of(table: &ActiveTable) -> Self {
        let mut states = Self::default();
        for active in table.routes() {
            states.routes.insert(&active.route.id, Arc::clone(&active.state));
            for endpoint in active.ready.iter().chain(&active.others) {
                states.endpoints.insert(&endpoint.key, Arc::clone(&endpoint.state));
            }
        }
        states
    }

    /// Takes note of what a probe found out. The endpoint, where it is still one.
    fn take_in(&self, (key, standing): News) -> Option<EndpointKey> {
        let state = self.endpoints.find(&key)?;
        // One that is new was not reached before either.
        let is_still_new = standing == Standing::Failing && state.standing() == Standing::New;
        if !is_still_new {
            state.set_standing(standing);
        }
        Some(key)
    }
}

fn prepare(
    compiled: &RoutingTable,
    known: &States,
    is_first: bool,
    metrics: &Metrics,
    secret: &Secret,
) -> (ActiveTable, States) {
    let mut next = States::default();
    let cookies = Cookies::of(compiled, secret);
    let table = compiled.map(|route: &Arc<Route>| {
        let has_check = route.upstream.policy.health.is_some();
        let endpoints = route.upstream.endpoints.iter().map(|endpoint| {
            let is_believed = !has_check && (is_first || endpoint.key.container.is_empty());
            let standing = if is_believed { Standing::Good } else { Standing::New };
            let state = known.endpoints.carry_over(&mut next.endpoints, &endpoint.key, standing);
            state.note_readiness(endpoint.readiness);
            active_endpoint(endpoint, route, state, secret)
        });
        let (ready, others) = sorted(endpoints.collect());
        let state = known.routes.carry_over(&mut next.routes, &route.id);
        let (cookie, metrics) = (cookies.name(route), metrics.for_route(&route.id));
        Arc::new(ActiveRoute { route: Arc::clone(route), ready, others, cookie, metrics, state })
    });
    known.endpoints.depart(&mut next.endpoints);
    (table, next)
}

/// The same table, with the routes of these endpoints sorted by what is now known of them.
fn sorted_anew(table: &ActiveTable, changed: &[EndpointKey], states: &States, secret: &Secret) -> ActiveTable {
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
        let (cookie, metrics, state) = (active.cookie.clone(), active.metrics.clone(), Arc::clone(&active.state));
        Arc::new(ActiveRoute { route: Arc::clone(route), ready, others, cookie, metrics, state })
    })
}

/// Those that may have requests, and the others. Where there is none that may, the hopeless ones get them,
/// so that whoever asks is told what is wrong.
fn sorted(endpoints: Vec<ActiveEndpoint>) -> (Vec<ActiveEndpoint>, Vec<ActiveEndpoint>) {
    let is = |endpoint: &ActiveEndpoint, standing| {
        endpoint.readiness == Readiness::Ready && endpoint.state.standing() == standing
    };
    let (good, others): (Vec<_>, Vec<_>) = endpoints.into_iter().partition(|one| is(one, Standing::Good));
    match good.is_empty() {
        true => others.into_iter().partition(|one| is(one, Standing::Hopeless)),
        false => (good, others),
    }
}

fn active_endpoint(endpoint: &Endpoint, route: &Route, state: Arc<EndpointState>, secret: &Secret) -> ActiveEndpoint {
    let timeouts = &route.timeouts;
    let (target, address, text) = match &endpoint.key.address {
        Address::Ip(ip, port) => (Target::Address, SocketAddr::new(*ip, *port), ip.to_string()),
        // Never dialled: a name is looked up before its peer is used.
        Address::Name(name, port) => {
            (Target::Name(name.clone(), *port), SocketAddr::from(([0, 0, 0, 0], *port)), name.to_string())
        }
    };
    let name = endpoint.host.as_deref().map_or(text, str::to_owned);
    let tls = endpoint.scheme == Scheme::Https;
    let mut peer = HttpPeer {
        _address: PingoraAddress::Inet(address),
        scheme: pingora::upstreams::peer::Scheme::from_tls_bool(tls),
        // Never empty: without a name Pingora would not check the certificate at all.
        sni: if tls { name.clone() } else { String::new() },
        proxy: None,
        client_cert_key: None,
        group_key: 0,
        options: pingora::upstreams::peer::PeerOptions::new(),
    };
    let options = &mut peer.options;
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect);
    options.read_timeout = Some(timeouts.response);
    options.write_timeout = Some(timeouts.idle);
    options.verify_cert = endpoint.verify;
    options.verify_hostname = endpoint.verify;
    // Its default is one stream a connection.
    options.max_h2_streams = 100;
    match endpoint.scheme {
        Scheme::Http => options.set_http_version(1, 1),
        Scheme::Https => options.set_http_version(2, 1),
        Scheme::H2c => options.set_http_version(2, 2),
    }
    let host = host_value(&name, address.port(), tls);
    ActiveEndpoint {
        key: endpoint.key.clone(),
        name: endpoint.name.clone(),
        readiness: endpoint.readiness,
        target,
        peer,
        host,
        weight: endpoint.weight,
        hash: identity_hash(&endpoint.key),
        token: route.upstream.policy.sticky.as_ref().map(|_| secret.token(&route.upstream.id, &endpoint.key)),
        state,
    }
}

/// The same in every thread and every process.
fn identity_hash(key: &EndpointKey) -> u64 {
    let text = format!("{}@{}", key.container, key.address);
    text.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)))
}

/// `Host` for an endpoint: the port only where it is not the scheme's own.
fn host_value(name: &str, port: u16, tls: bool) -> HeaderValue {
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let default_port = if tls { 443 } else { 80 };
    let text = if port == default_port { name } else { format!("{name}:{port}") };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("upstream"))
}
