//! The table that requests are routed by: each route of the model with what is prepared to serve it.
//!
//! A table is prepared once, on the control side. A request builds nothing from text: it clones peers from
//! templates, and finds the states that outlive a table by pointer.

use std::net::SocketAddr;
use std::sync::Arc;

use gangway_model::{Address, Endpoint, EndpointKey, Readiness, Route, RoutingTable, Scheme};
use http::HeaderValue;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora::upstreams::peer::HttpPeer;

use crate::hash::mix;
use crate::metrics::RouteMetrics;
use crate::upstream::endpoint_state::EndpointState;
use crate::upstream::route_state::RouteState;
use crate::upstream::sticky::{CookieSecret, Signed};
use crate::upstream::transport::EndpointTransport;

/// The table that the data plane reads for every request.
pub(crate) type ActiveTable = RoutingTable<Arc<ActiveRoute>>;

/// A route with everything that is prepared for it.
#[derive(Debug)]
pub(crate) struct ActiveRoute {
    pub(crate) route: Arc<Route>,
    /// Endpoints that may get requests now.
    pub(crate) ready: Vec<ActiveEndpoint>,
    /// Endpoints that may not get requests now, with the reason in their readiness. Some still have requests under way.
    pub(crate) others: Vec<ActiveEndpoint>,
    /// The name of the cookie that binds a client to an endpoint, if the route is sticky.
    pub(crate) cookie: Option<Signed>,
    /// Whether requests have to pass the gate.
    pub(crate) is_guarded: bool,
    pub(crate) metrics: RouteMetrics,
    pub(crate) state: Arc<RouteState>,
}

/// An endpoint with its prepared peer and its state.
#[derive(Debug)]
pub(crate) struct ActiveEndpoint {
    pub(crate) key: EndpointKey,
    pub(crate) name: Box<str>,
    pub(crate) readiness: Readiness,
    pub(crate) target: DialTarget,
    /// How it is spoken to. Shared with its connections.
    pub(crate) transport: Arc<EndpointTransport>,
    /// A template: each request clones it, and sets the address where the endpoint has a name.
    pub(crate) peer: HttpPeer,
    /// The value of `Host` with `host-header = upstream`.
    pub(crate) host: HeaderValue,
    pub(crate) weight: u16,
    /// A hash of the endpoint's identity.
    pub(crate) hash: u64,
    /// The value of the route's cookie for this endpoint, if the route is sticky.
    pub(crate) token: Option<Signed>,
    pub(crate) state: Arc<EndpointState>,
}

/// Whether the peer template has the address, or a name must be looked up.
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
        // Never connected to: the name is looked up before the peer is used.
        Address::Name(name, port) => {
            (DialTarget::Name(name.clone(), *port), SocketAddr::from(([0, 0, 0, 0], *port)), name.to_string())
        }
    };
    let name = endpoint.host.as_deref().map_or(text, str::to_owned);
    let tls = endpoint.scheme == Scheme::Https;
    let mut peer = HttpPeer {
        _address: PingoraAddress::Inet(address),
        scheme: pingora::upstreams::peer::Scheme::from_tls_bool(tls),
        // Never empty: without a name Pingora would not verify the certificate.
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
    // Pingora's default is one stream a connection.
    options.max_h2_streams = 100;
    match endpoint.scheme {
        Scheme::Http => options.set_http_version(1, 1),
        Scheme::Https => options.set_http_version(2, 1),
        Scheme::H2c => options.set_http_version(2, 2),
    }
    let transport = Arc::new(EndpointTransport::new(endpoint.scheme, &name, endpoint.verify));
    let host = host_value(&name, address.port(), endpoint.scheme);
    ActiveEndpoint {
        key: endpoint.key.clone(),
        name: endpoint.name.clone(),
        readiness: endpoint.readiness,
        target,
        transport,
        peer,
        host,
        weight: endpoint.weight,
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
