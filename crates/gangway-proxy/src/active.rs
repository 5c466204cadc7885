//! The table in force: the model's routes, each with what was prepared to serve it.
//!
//! Activating happens on the control side, once per table. Per request nothing is built from text:
//! peers are cloned from templates, and states that outlive a swap are found by pointer.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use gangway_model::route::{Address, Endpoint, EndpointKey, Readiness, Route, Scheme, Timeouts};
use gangway_model::{Compiled, RoutingTable};
use gangway_publish::{Generation, Publisher, Reader};
use http::HeaderValue;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora::upstreams::peer::HttpPeer;

use crate::endpoint::{EndpointState, EndpointStates};
use crate::metrics::{Metrics, RouteMetrics};
use crate::route_state::{RouteState, RouteStates};

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
    pub(crate) state: Arc<EndpointState>,
}

/// Where the peer is, or what to look up for it.
#[derive(Debug)]
pub(crate) enum Target {
    Address,
    Name(Box<str>, u16),
}

/// Activates every table that is compiled, for ever.
pub(crate) async fn activate(
    mut compiled: Reader<Compiled>,
    mut tables: Publisher<ActiveTable>,
    metrics: Arc<Metrics>,
) -> Infallible {
    let mut states = States::default();
    let mut served: BTreeSet<Box<str>> = BTreeSet::new();
    loop {
        if compiled.generation() != Generation::INITIAL {
            let (table, next) = prepare(&compiled.load_full().value.table, &states, &metrics);
            states = next;
            let serving: BTreeSet<Box<str>> = table.routes().iter().map(|active| active.route.id.clone()).collect();
            tables.publish(table);
            for gone in served.difference(&serving) {
                metrics.forget_route(gone);
            }
            served = serving;
        }
        if compiled.changed().await.is_err() {
            // The last table stays in force; whoever published has ended and the process is about to.
            std::future::pending::<()>().await;
        }
    }
}

/// What outlives a table.
#[derive(Debug, Default)]
struct States {
    endpoints: EndpointStates,
    routes: RouteStates,
}

fn prepare(compiled: &RoutingTable, known: &States, metrics: &Metrics) -> (ActiveTable, States) {
    let mut next = States::default();
    let table = compiled.map(|route: &Arc<Route>| {
        let (ready, others) = route
            .upstream
            .endpoints
            .iter()
            .map(|endpoint| {
                active_endpoint(
                    endpoint,
                    &route.timeouts,
                    known.endpoints.carry_over(&mut next.endpoints, &endpoint.key),
                )
            })
            .partition(|endpoint: &ActiveEndpoint| endpoint.readiness == Readiness::Ready);
        let state = known.routes.carry_over(&mut next.routes, &route.id);
        Arc::new(ActiveRoute { route: Arc::clone(route), ready, others, metrics: metrics.for_route(&route.id), state })
    });
    (table, next)
}

fn active_endpoint(endpoint: &Endpoint, timeouts: &Timeouts, state: Arc<EndpointState>) -> ActiveEndpoint {
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
        state,
    }
}

/// `Host` for an endpoint: the port only where it is not the scheme's own.
fn host_value(name: &str, port: u16, tls: bool) -> HeaderValue {
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let default_port = if tls { 443 } else { 80 };
    let text = if port == default_port { name } else { format!("{name}:{port}") };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("upstream"))
}
