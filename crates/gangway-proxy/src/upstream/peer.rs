//! The peer that Pingora connects to for one try of a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::ACCEPT;
use pingora::http::RequestHeader;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use crate::downstream::connection::ClientConnection;
use crate::serving_table::{ActiveEndpoint, DialTarget};
use crate::upstream::dedicated::ConnectionOwner;

/// The peer of an endpoint, with its name looked up.
pub(crate) async fn peer(endpoint: &ActiveEndpoint, head: &RequestHeader, quiet: Quiet) -> Result<Box<HttpPeer>> {
    let mut peer = Box::new(endpoint.peer.clone());
    if let DialTarget::Name(name, port) = &endpoint.target {
        peer._address = PingoraAddress::Inet(Box::pin(look_up(endpoint, name, *port)).await?);
    }
    match quiet {
        Quiet::WebSocket(idle) => {
            // Only HTTP/1.1 has this upgrade, and a quiet WebSocket is not a slow answer.
            peer.options.set_http_version(1, 1);
            peer.options.read_timeout = Some(idle);
        }
        Quiet::Response(idle) if accepts_events(head) => peer.options.read_timeout = Some(idle),
        Quiet::Response(_) => {}
    }
    peer.options.idle_timeout = Some(endpoint.state.idle_timeout());
    Ok(peer)
}

/// How long an answer may be silent, by its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Quiet {
    WebSocket(Duration),
    /// This time applies to event streams only.
    Response(Duration),
}

/// Makes the connection one that belongs to `owner`, if it is not shared. `idle` is how long the client connection
/// may be idle.
pub(crate) fn dedicate(
    peer: &mut HttpPeer,
    endpoint: &ActiveEndpoint,
    owner: ConnectionOwner,
    connection: &Arc<ClientConnection>,
    idle: Duration,
) {
    if owner == ConnectionOwner::Shared {
        return;
    }
    peer.group_key = owner.key();
    if peer.options.alpn.get_min_http_version() == 1 {
        // NTLM does not work over HTTP/2, and a connection of one client needs no concurrent requests.
        peer.options.set_http_version(1, 1);
    }
    match owner {
        ConnectionOwner::Client(key) => {
            peer.options.idle_timeout = Some(endpoint.state.idle_timeout_of_own(idle));
            let (connection, state) = (Arc::clone(connection), Arc::clone(&endpoint.state));
            peer.options.upstream_tcp_sock_tweak_hook = Some(Arc::new(move |socket| {
                let kept = connection.dedicated.keep(key, &state, socket);
                kept.map_err(|error| Error::because(ErrorType::SocketError, "keeping it for its client", error))
            }));
        }
        ConnectionOwner::Shared | ConnectionOwner::Request(_) => peer.options.idle_timeout = Some(Duration::ZERO),
    }
}

/// Looks a name up, unless its address is fresh.
async fn look_up(endpoint: &ActiveEndpoint, name: &str, port: u16) -> Result<SocketAddr> {
    if let Some(address) = endpoint.state.fresh_address() {
        return Ok(address);
    }
    match tokio::net::lookup_host((name, port)).await.map(|mut addresses| addresses.next()) {
        Ok(Some(address)) => {
            endpoint.state.set_address(address);
            Ok(address)
        }
        Ok(None) | Err(_) => endpoint.state.stale_address().ok_or_else(|| {
            Error::explain(ErrorType::ConnectNoRoute, "the name of the upstream cannot be looked up").into_up()
        }),
    }
}

/// Whether the client accepts an event stream, which may pause between two events for any time.
fn accepts_events(head: &RequestHeader) -> bool {
    let accept = head.headers.get(ACCEPT).map(HeaderValue::as_bytes);
    accept.is_some_and(|accept| memchr::memmem::find(accept, b"text/event-stream").is_some())
}
