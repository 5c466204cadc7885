//! The table that requests are routed by: each route of the model with what is prepared to serve it.
//!
//! A table is prepared once, on the control side. A request builds nothing from text, and finds the states that outlive
//! a table by pointer.

use std::sync::Arc;

use gangway_model::{Address, Endpoint, EndpointKey, ErrorPages, Readiness, Route, RoutingTable, Scheme};
use http::HeaderValue;

use crate::access::guard::GateKind;
use crate::cache::store::RouteCache;
use crate::hash::mix;
use crate::pages::rest::Rest;
use crate::route_history::RouteHistory;
use crate::route_metrics::RouteMetrics;
use crate::upstream::endpoint_state::{EndpointHealth, EndpointState};
use crate::upstream::route_state::RouteState;
use crate::upstream::sticky::{CookieSecret, Signed};
use crate::upstream::transport::EndpointTransport;

/// The table that the data plane reads for every request.
pub(crate) type ActiveTable = RoutingTable<Arc<ActiveRoute>>;

/// A route with everything that is prepared for it.
#[derive(Clone, Debug)]
pub(crate) struct ActiveRoute {
    pub(crate) route: Arc<Route>,
    /// Endpoints that may get requests now.
    pub(crate) ready: Vec<ActiveEndpoint>,
    /// Endpoints that may not get requests now, with the reason in their readiness. Some still have requests under way.
    pub(crate) others: Vec<ActiveEndpoint>,
    /// The name of the cookie that binds a client to an endpoint, if the route is sticky.
    pub(crate) cookie: Option<Signed>,
    /// Where the services are that are asked about requests, by the position of their log-in among those that ask one.
    pub(crate) auth_services: Arc<[Vec<ActiveEndpoint>]>,
    /// The pages for its errors.
    pub(crate) pages: Option<Arc<RoutePages>>,
    /// What it keeps of answers.
    pub(crate) cache: Option<Arc<RouteCache>>,
    /// How requests pass its gate.
    pub(crate) gate: GateKind,
    pub(crate) metrics: Arc<RouteMetrics>,
    pub(crate) history: Arc<RouteHistory>,
    pub(crate) state: Arc<RouteState>,
}

impl ActiveRoute {
    /// The same route with the endpoints to choose from that run and did not accept connections; none if there are none. It is
    /// for a request that has waited in vain for one of them: trying once more tells its client what is wrong.
    pub(crate) fn with_unreached(&self) -> Option<Self> {
        // One that fails its check may be connected to all the same.
        if self.route.upstream.policy.health.is_some() {
            return None;
        }
        let others = self.others.iter().cloned();
        let (ready, others): (Vec<_>, Vec<_>) = others.partition(|one| one.is_ready_and(EndpointHealth::Failing));
        (!ready.is_empty()).then(|| Self { ready, others, ..self.clone() })
    }
}

/// The pages of a route, with the services that give them.
#[derive(Debug)]
pub(crate) struct RoutePages {
    pub(crate) pages: Arc<ErrorPages>,
    /// By the position of their rule.
    pub(crate) services: Vec<(usize, PageService)>,
}

/// A service that gives pages.
#[derive(Debug)]
pub(crate) struct PageService {
    pub(crate) endpoints: Vec<ActiveEndpoint>,
    pub(crate) rest: Rest,
}

impl RoutePages {
    /// The service of the rule at a position; none if it is not there.
    pub(crate) fn service(&self, rule: usize) -> Option<&PageService> {
        self.services.iter().find(|(position, _)| *position == rule).map(|(_, service)| service)
    }
}

/// An endpoint with its state, and with what its connections are made of.
#[derive(Clone, Debug)]
pub(crate) struct ActiveEndpoint {
    pub(crate) key: EndpointKey,
    pub(crate) name: Box<str>,
    pub(crate) readiness: Readiness,
    /// How it is spoken to. Shared with its connections.
    pub(crate) transport: Arc<EndpointTransport>,
    /// The value of `Host` with `host-header = upstream`.
    pub(crate) host: HeaderValue,
    pub(crate) weight: u16,
    /// The operator wrote its address.
    pub(crate) is_of_operator: bool,
    /// A hash of the endpoint's identity.
    pub(crate) hash: u64,
    /// The value of the route's cookie for this endpoint, if the route is sticky.
    pub(crate) token: Option<Signed>,
    pub(crate) state: Arc<EndpointState>,
}

impl ActiveEndpoint {
    /// Whether the engine calls it ready, and its health is this.
    pub(crate) fn is_ready_and(&self, health: EndpointHealth) -> bool {
        self.readiness == Readiness::Ready && self.state.health() == health
    }
}

pub(crate) fn active_endpoint(
    endpoint: &Endpoint,
    route: &Route,
    state: Arc<EndpointState>,
    secret: &CookieSecret,
) -> ActiveEndpoint {
    let (text, port) = match &endpoint.key.address {
        Address::Ip(ip, port) => (ip.to_string(), *port),
        Address::Name(name, port) => (name.to_string(), *port),
    };
    let name = endpoint.host.as_deref().map_or(text, str::to_owned);
    let transport = Arc::new(EndpointTransport::new(endpoint.scheme, &name, &endpoint.transport));
    let host = host_value(&name, port, endpoint.scheme);
    ActiveEndpoint {
        key: endpoint.key.clone(),
        name: endpoint.name.clone(),
        readiness: endpoint.readiness,
        transport,
        host,
        weight: endpoint.weight,
        is_of_operator: endpoint.is_of_operator,
        hash: identity_hash(&endpoint.key),
        token: route.upstream.policy.sticky.as_ref().map(|_| secret.token(&route.upstream.id, &endpoint.key)),
        state,
    }
}

/// A hash that is the same in every thread and every process.
fn identity_hash(key: &EndpointKey) -> u64 {
    let text = format!("{}@{}", key.container, key.address);
    text.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)))
}

/// The value of `Host` for an endpoint. It has no port if the port is the default of the scheme.
fn host_value(name: &str, port: u16, scheme: Scheme) -> HeaderValue {
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let default_port = match scheme {
        Scheme::Https => 443,
        Scheme::Http | Scheme::H2c => 80,
    };
    let text = if port == default_port { name } else { format!("{name}:{port}") };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("upstream"))
}
