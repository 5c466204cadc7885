//! Applications that authenticate a connection rather than its requests: NTLM and Negotiate (RFC 4559).
//!
//! Whoever sends the next request on such a connection is taken for who authenticated it. So it belongs to
//! one client connection: that one's requests find it again, nobody else's do, and it ends with it. The way
//! there is the key under which Pingora keeps connections.
//!
//! Over HTTP/2 there is no such client connection, since its requests go side by side: what carries such
//! credentials is used for one request.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::header::{AUTHORIZATION, CONTENT_LENGTH, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use nix::sys::socket::{Shutdown, shutdown};
use parking_lot::{Mutex, MutexGuard};
use pingora::http::ResponseHeader;

use crate::upstream::endpoint_state::EndpointState;

/// A client that reaches more applications of this kind over one connection loses the oldest of its own, and
/// authenticates there again.
const KEPT_MAX: usize = 8;

/// Whose an upstream connection is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum ConnectionOwner {
    /// Nobody's: the next request may be anybody's.
    #[default]
    Shared,
    /// One client connection's.
    Client(u64),
    /// One request's.
    Request(u64),
}

impl ConnectionOwner {
    /// For one request.
    pub(crate) fn request() -> Self {
        Self::Request(fresh_key())
    }

    /// What Pingora keeps the connection under; shared ones under 0.
    pub(crate) fn key(self) -> u64 {
        match self {
            Self::Shared => 0,
            Self::Client(key) | Self::Request(key) => key,
        }
    }
}

fn fresh_key() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Whether a request carries credentials that are the connection's from then on.
pub(crate) fn authenticates(headers: &HeaderMap) -> bool {
    let fields = [AUTHORIZATION, PROXY_AUTHORIZATION];
    fields.iter().flat_map(|name| headers.get_all(name)).any(|value| is_of_connections(value.as_bytes()))
}

/// Whether an answer asks for such credentials.
pub(crate) fn challenges(response: &ResponseHeader) -> bool {
    let name = match response.status {
        StatusCode::UNAUTHORIZED => WWW_AUTHENTICATE,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => PROXY_AUTHENTICATE,
        _ => return false,
    };
    // One field may list several. A comma within quotes can only make it one too many.
    let challenges = response.headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    challenges.into_iter().any(is_of_connections)
}

fn is_of_connections(credentials: &[u8]) -> bool {
    let scheme = credentials.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
}

/// Whether an answer of HTTP/1 ends with its head, as far as that can be said from it.
pub(crate) fn ends_with_its_head(response: &ResponseHeader) -> bool {
    response.headers.get(CONTENT_LENGTH).is_some_and(|len| len.as_bytes().iter().all(|digit| *digit == b'0'))
}

/// Makes a connection useless: nothing can be sent on it any more, so that nobody is answered there.
///
/// The descriptor must be open, which it is as long as a request is under way there.
pub(crate) fn give_up(socket: RawFd) {
    // Where it is closed already, that is what was wanted.
    let _ = shutdown(socket, Shutdown::Both);
}

/// The upstream connections that belong to one client connection.
#[derive(Debug, Default)]
pub(crate) struct DedicatedConnections {
    /// Spares nearly all requests the lock.
    has_any: AtomicBool,
    own: Mutex<ClientConnections>,
}

#[derive(Debug, Default)]
struct ClientConnections {
    of: Option<(IpAddr, u64)>,
    kept: Vec<DedicatedConnection>,
}

/// One of them, ended when it is dropped.
#[derive(Debug)]
struct DedicatedConnection {
    endpoint: Arc<EndpointState>,
    socket: OwnedFd,
}

impl Drop for DedicatedConnection {
    fn drop(&mut self) {
        // Pingora keeps the connection as well, and sees it end.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }
}

impl DedicatedConnections {
    /// From now on this client's requests have upstream connections of their own.
    pub(crate) fn begin(&self, client: IpAddr) {
        let mut own = self.own();
        if own.of.is_none_or(|(of, _)| of != client) {
            *own = ClientConnections { of: Some((client, fresh_key())), kept: Vec::new() };
        }
        self.has_any.store(true, Ordering::Release);
    }

    /// Whose connection a request of this client goes out on.
    pub(crate) fn owner(&self, client: IpAddr) -> ConnectionOwner {
        if !self.has_any.load(Ordering::Acquire) {
            return ConnectionOwner::Shared;
        }
        let mut own = self.own();
        match own.of {
            Some((of, key)) if of == client => ConnectionOwner::Client(key),
            _ => {
                // A trusted proxy speaks for another client on the same connection.
                *own = ClientConnections::default();
                self.has_any.store(false, Ordering::Release);
                ConnectionOwner::Shared
            }
        }
    }

    /// Notes that a connection to this endpoint is being opened for this client.
    pub(crate) fn keep(&self, key: u64, endpoint: &Arc<EndpointState>, socket: &impl AsFd) -> std::io::Result<()> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        let mut own = self.own();
        if own.of.is_none_or(|(_, of)| of != key) {
            return Ok(());
        }
        // Requests of HTTP/1 follow each other, so the last one to the same endpoint was lost.
        own.kept.retain(|kept| !Arc::ptr_eq(&kept.endpoint, endpoint));
        if own.kept.len() == KEPT_MAX {
            own.kept.remove(0);
        }
        own.kept.push(DedicatedConnection { endpoint: Arc::clone(endpoint), socket });
        Ok(())
    }

    /// Whether this client has a connection to the endpoint: what was begun there goes on there.
    pub(crate) fn has(&self, endpoint: &Arc<EndpointState>) -> bool {
        self.has_any.load(Ordering::Acquire) && self.own().kept.iter().any(|kept| Arc::ptr_eq(&kept.endpoint, endpoint))
    }

    fn own(&self) -> MutexGuard<'_, ClientConnections> {
        self.own.lock()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_schemes_of_connections_count() {
        let challenged = |status: u16, name: &'static str, value: &'static str| {
            let mut response = ResponseHeader::build(status, None).expect("a status");
            response.append_header(name, value).expect("a field");
            challenges(&response)
        };
        assert!(challenged(401, "www-authenticate", "NTLM"));
        assert!(challenged(401, "www-authenticate", "Basic realm=\"a, b\", negotiate"));
        assert!(challenged(401, "www-authenticate", "Negotiate dG9rZW4="));
        assert!(challenged(407, "proxy-authenticate", "ntlm dG9rZW4="));
        assert!(!challenged(401, "www-authenticate", "Basic realm=\"NTLM\""));
        assert!(!challenged(401, "proxy-authenticate", "NTLM"));
        assert!(!challenged(200, "www-authenticate", "NTLM"));
        let sent = |value: &'static str| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        assert!(authenticates(&sent("NTLM TlRMTVNTUAAB")) && authenticates(&sent("negotiate YII=")));
        assert!(!authenticates(&sent("Basic TlRMTQ==")) && !authenticates(&sent("Bearer NTLM")));
    }

    #[test]
    fn another_client_of_the_same_connection_owns_nothing() {
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let own = DedicatedConnections::default();
        assert_eq!(own.owner(one), ConnectionOwner::Shared);
        own.begin(one);
        let first = own.owner(one);
        assert!(matches!(first, ConnectionOwner::Client(_)));
        own.begin(one);
        assert_eq!(own.owner(one), first);
        assert_eq!(own.owner(other), ConnectionOwner::Shared);
        assert_eq!(own.owner(one), ConnectionOwner::Shared, "what there was has ended");
    }
}
