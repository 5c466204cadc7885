//! The table in force: the model's routes, each with what was prepared to serve it.
//!
//! Activating happens on the control side, once per table. Per request nothing is built from text:
//! peers are cloned from templates, and states that outlive a swap are found by pointer.

use std::net::SocketAddr;
use std::sync::Arc;

use gangway_model::RoutingTable;
use gangway_model::route::{Address, Endpoint, EndpointKey, Readiness, Route, Scheme};
use http::HeaderValue;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora::upstreams::peer::HttpPeer;

use crate::hash::mix;
use crate::metrics::RouteMetrics;
use crate::upstream::endpoint_state::EndpointState;
use crate::upstream::route_state::RouteState;
use crate::upstream::sticky::{CookieSecret, Signed};

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
    pub(crate) cookie: Option<Signed>,
    pub(crate) metrics: RouteMetrics,
    pub(crate) state: Arc<RouteState>,
}

/// An endpoint with its prepared peer and its living state.
#[derive(Debug)]
pub(crate) struct ActiveEndpoint {
    pub(crate) key: EndpointKey,
    pub(crate) name: Box<str>,
    pub(crate) readiness: Readiness,
    pub(crate) target: DialTarget,
    /// A template: cloned per request, and pointed at the looked-up address for a name.
    pub(crate) peer: HttpPeer,
    /// Sent as `Host` with `host-header = upstream`.
    pub(crate) host: HeaderValue,
    pub(crate) weight: u16,
    /// Of its identity.
    pub(crate) hash: u64,
    /// The value of the route's cookie for it, where the route is sticky.
    pub(crate) token: Option<Signed>,
    pub(crate) state: Arc<EndpointState>,
}

/// Where the peer is, or what to look up for it.
#[derive(Clone, Debug)]
pub(crate) enum DialTarget {
    Address,
    Name(Box<str>, u16),
}

pub(crate) fn active_endpoint(
    endpoint: &Endpoint,
    route: &Route,
    state: Arc<EndpointState>,
    secret: &CookieSecret,
) -> ActiveEndpoint {
    let timeouts = &route.timeouts;
    let (target, address, text) = match &endpoint.key.address {
        Address::Ip(ip, port) => (DialTarget::Address, SocketAddr::new(*ip, *port), ip.to_string()),
        // Never dialled: a name is looked up before its peer is used.
        Address::Name(name, port) => {
            (DialTarget::Name(name.clone(), *port), SocketAddr::from(([0, 0, 0, 0], *port)), name.to_string())
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
    let host = host_value(&name, address.port(), endpoint.scheme);
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
fn host_value(name: &str, port: u16, scheme: Scheme) -> HeaderValue {
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let default_port = match scheme {
        Scheme::Https => 443,
        Scheme::Http | Scheme::H2c => 80,
    };
    let text = if port == default_port { name } else { format!("{name}:{port}") };
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("upstream"))
}
