//! What is known about one client connection, shared by all its requests.
//!
//! It rides in Pingora's `ProxyDigest`, so that HTTP/1, HTTP/2 and later HTTP/3 find it alike.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use parking_lot::Mutex;
use pingora::protocols::Digest;
use tokio::task::AbortHandle;

use crate::reply::rejection::Rejection;
use crate::upstream::dedicated::DedicatedConnections;

/// Facts about a connection, fixed at its start, and the few flags that its transport and its
/// requests tell each other.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    /// The other end of the TCP connection.
    pub(crate) peer: SocketAddr,
    /// Our end.
    pub(crate) local: SocketAddr,
    /// The peer's address as header values, made once.
    pub(crate) peer_text: PeerText,
    /// The peer's address is nobody's: it is the same for everybody.
    pub(crate) nobody: bool,
    /// The peer may speak for others: it is in `--trusted-proxies`.
    pub(crate) trusted: bool,
    /// TLS was terminated here.
    pub(crate) secure: bool,
    /// The name of the TLS handshake, lower case.
    pub(crate) sni: Option<Box<str>>,
    /// TLS 1.3 was spoken here.
    pub(crate) is_tls13: bool,
    /// The bundle of authorities that the client's certificate was checked against.
    pub(crate) client_ca: Option<Box<str>>,
    /// Set by the gate when the bytes of a request may not be served; taken by the request that
    /// stands in for them.
    rejection: Mutex<Option<Rejection>>,
    is_rejected: AtomicBool,
    /// The answer to the request under way was written; the gate may let the next one pass.
    answered: AtomicBool,
    /// The request under way became a WebSocket: bytes pass unseen from here on.
    upgraded: AtomicBool,
    /// Upstream connections that belong to it.
    pub(crate) dedicated: DedicatedConnections,
    /// The task that serves it; to end it is to close the connection.
    pub(crate) task: Arc<OnceLock<AbortHandle>>,
}

impl ClientConnection {
    #[cfg(test)]
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr, trusted: bool) -> Self {
        Self::served_by(peer, local, trusted, Arc::default())
    }

    /// One that can be ended from outside.
    pub(crate) fn served_by(
        peer: SocketAddr,
        local: SocketAddr,
        trusted: bool,
        task: Arc<OnceLock<AbortHandle>>,
    ) -> Self {
        Self {
            peer,
            local,
            peer_text: PeerText::new(canonical(peer.ip())),
            nobody: false,
            trusted,
            secure: false,
            sni: None,
            is_tls13: false,
            client_ca: None,
            rejection: Mutex::new(None),
            is_rejected: AtomicBool::new(false),
            answered: AtomicBool::new(true),
            upgraded: AtomicBool::new(false),
            dedicated: DedicatedConnections::default(),
            task,
        }
    }

    /// The connection that a request came by.
    pub(crate) fn of(digest: Option<&Digest>) -> Option<&Arc<Self>> {
        digest?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// The peer's address; IPv4 that arrived on an IPv6 socket counts as IPv4.
    pub(crate) fn peer_ip(&self) -> IpAddr {
        canonical(self.peer.ip())
    }

    pub(crate) fn reject(&self, rejection: Rejection) {
        *self.rejection.lock() = Some(rejection);
        self.is_rejected.store(true, Ordering::Release);
    }

    /// Why the request under way must be refused, if the gate found a reason.
    pub(crate) fn take_rejection(&self) -> Option<Rejection> {
        // The flag spares every well-formed request the lock.
        if !self.is_rejected.load(Ordering::Acquire) {
            return None;
        }
        self.is_rejected.store(false, Ordering::Release);
        self.rejection.lock().take()
    }

    /// A request was passed on; until it is answered, the gate keeps back the next one.
    pub(crate) fn set_unanswered(&self) {
        self.answered.store(false, Ordering::Release);
    }

    /// The answer to the request under way was written.
    pub(crate) fn set_answered(&self) {
        self.answered.store(true, Ordering::Release);
    }

    pub(crate) fn answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    pub(crate) fn set_upgraded(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    pub(crate) fn upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }
}

/// An address as field values, made once a connection.
#[derive(Debug)]
pub(crate) struct PeerText(pub(crate) HeaderValue);

impl PeerText {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self(HeaderValue::from_str(&address.to_string()).expect("addresses are ASCII"))
    }
}

/// An IPv4 address that came as IPv6 (`::ffff:192.0.2.1`) is an IPv4 address.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
