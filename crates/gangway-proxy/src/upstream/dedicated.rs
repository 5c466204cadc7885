//! Upstream connections for applications that authenticate a connection instead of its requests: NTLM and Negotiate
//! (RFC 4559).
//!
//! Such an application takes each later request on the connection for one of the client that authenticated. So the
//! connection belongs to one client connection: only requests of that client connection find it again, and it ends
//! together with it.
//!
//! Over HTTP/2, requests of one client connection go side by side, so a connection with such credentials is used for
//! one request only.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::StatusCode;
use parking_lot::{Mutex, MutexGuard};

use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::upstream::endpoint_state::EndpointState;
use crate::upstream::own_connections::OwnConnections;

/// Who may use an upstream connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum ConnectionOwner {
    /// Any request may use it.
    #[default]
    Shared,
    /// Requests of one client connection may use it.
    Client(u64),
    /// One request may use it.
    Request,
}

fn fresh_key() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Whether a request carries credentials that authenticate the connection.
pub(crate) fn authenticates(fields: &Fields) -> bool {
    fields.iter().any(|field| {
        matches!(field.kind, FieldKind::Authorization | FieldKind::ProxyAuthorization) && is_of_connections(field.value)
    })
}

/// Whether a response asks for such credentials.
pub(crate) fn challenges(response: &ResponseHead) -> bool {
    let kind = match response.status {
        StatusCode::UNAUTHORIZED => FieldKind::WwwAuthenticate,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => FieldKind::ProxyAuthenticate,
        _ => return false,
    };
    // One field may list several challenges. A comma within quotes can only add a harmless one.
    let mut challenges = response.fields.all(kind).flat_map(|value| value.split(|byte| *byte == b','));
    challenges.any(is_of_connections)
}

fn is_of_connections(credentials: &[u8]) -> bool {
    let scheme = credentials.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
}

/// The upstream connections that belong to one client connection.
#[derive(Debug, Default)]
pub(crate) struct DedicatedConnections {
    /// Saves the lock for nearly all requests.
    has_any: AtomicBool,
    own: Mutex<ClientConnections>,
}

#[derive(Debug, Default)]
struct ClientConnections {
    of: Option<(IpAddr, u64)>,
    /// Made with the first use: nearly no client connection needs it.
    idle: Option<Arc<OwnConnections>>,
}

impl DedicatedConnections {
    /// From now on, requests of this client use upstream connections of their own.
    pub(crate) fn begin(&self, client: IpAddr) {
        let mut own = self.own();
        if own.of.is_none_or(|(of, _)| of != client) {
            *own = ClientConnections { of: Some((client, fresh_key())), idle: Some(Arc::default()) };
        }
        self.has_any.store(true, Ordering::Release);
    }

    /// The owner of the connection for a request of this client.
    pub(crate) fn owner(&self, client: IpAddr) -> ConnectionOwner {
        if !self.has_any.load(Ordering::Acquire) {
            return ConnectionOwner::Shared;
        }
        let mut own = self.own();
        match own.of {
            Some((of, key)) if of == client => ConnectionOwner::Client(key),
            _ => {
                // A trusted proxy now speaks for another client on the same connection.
                *own = ClientConnections::default();
                self.has_any.store(false, Ordering::Release);
                ConnectionOwner::Shared
            }
        }
    }

    /// Whether this client has a connection to the endpoint; its requests then go there.
    pub(crate) fn has(&self, endpoint: &Arc<EndpointState>) -> bool {
        self.has_any.load(Ordering::Acquire) && self.own().idle.as_ref().is_some_and(|idle| idle.has(endpoint.id()))
    }

    /// The idle connections that the owner with this key may use; none if another client speaks by now.
    pub(crate) fn of_owner(&self, key: u64) -> Option<Arc<OwnConnections>> {
        let own = self.own();
        own.idle.clone().filter(|_| own.of.is_some_and(|(_, of)| of == key))
    }

    fn own(&self) -> MutexGuard<'_, ClientConnections> {
        self.own.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::request_head::RequestHead;

    #[test]
    fn only_schemes_of_connections_count() {
        let challenged = |status: u16, name: &'static str, value: &'static str| {
            let status = StatusCode::from_u16(status).expect("a status");
            let mut response = ResponseHead { status, ..ResponseHead::default() };
            response.fields.push(name.as_bytes(), value.as_bytes());
            challenges(&response)
        };
        assert!(challenged(401, "www-authenticate", "NTLM"));
        assert!(challenged(401, "www-authenticate", "Basic realm=\"a, b\", negotiate"));
        assert!(challenged(401, "www-authenticate", "Negotiate dG9rZW4="));
        assert!(challenged(407, "proxy-authenticate", "ntlm dG9rZW4="));
        assert!(!challenged(401, "www-authenticate", "Basic realm=\"NTLM\""));
        assert!(!challenged(401, "proxy-authenticate", "NTLM"));
        assert!(!challenged(200, "www-authenticate", "NTLM"));
        let sent = |value: &str| RequestHead::of_test("GET", "/", &[("Authorization", value)]).fields;
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
        let ConnectionOwner::Client(key) = first else { panic!("asserted above") };
        own.begin(other);
        assert!(own.of_owner(key).is_none(), "the other one has connections of its own");
    }
}
