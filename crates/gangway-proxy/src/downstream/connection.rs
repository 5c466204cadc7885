//! Facts about one client connection, shared by all its requests.
//!
//! Pingora's `ProxyDigest` carries it, so that requests of HTTP/1, HTTP/2 and later HTTP/3 find it in the same way.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use parking_lot::Mutex;
use pingora::protocols::Digest;
use tokio::task::AbortHandle;

use crate::reply::rejection::Rejection;
use crate::upstream::dedicated::DedicatedConnections;

/// Facts about a connection, fixed at its start, and the flags that its stream and its requests exchange.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    /// The address of the client's end.
    pub(crate) peer: SocketAddr,
    /// The address of our end.
    pub(crate) local: SocketAddr,
    /// The peer's address as a field value, made once.
    pub(crate) peer_text: PeerText,
    /// Whether the peer's address is a gateway's, so that it says nothing about the client.
    pub(crate) is_anonymous: bool,
    /// Whether the peer is in `--trusted-proxies` and may speak for clients.
    pub(crate) trusted: bool,
    /// Whether TLS ends here.
    pub(crate) secure: bool,
    /// The server name of the TLS handshake, in lower case.
    pub(crate) sni: Option<Box<str>>,
    /// Whether the connection uses TLS 1.3.
    pub(crate) is_tls13: bool,
    /// The file of client CAs that the client's certificate was checked against.
    pub(crate) client_ca: Option<Box<str>>,
    /// Set by the gate when it rejects the bytes of a request; taken by the request that stands in for them.
    rejection: Mutex<Option<Rejection>>,
    is_rejected: AtomicBool,
    /// Whether the answer to the current request was written, so that the gate may pass the next one.
    answered: AtomicBool,
    /// Whether the current request became a WebSocket: from then on the gate passes all bytes.
    upgraded: AtomicBool,
    /// Upstream connections that belong to this client connection.
    pub(crate) dedicated: DedicatedConnections,
    /// The task that serves the connection; aborting it closes the connection.
    pub(crate) task: Arc<OnceLock<AbortHandle>>,
}

impl ClientConnection {
    #[cfg(test)]
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr, trusted: bool) -> Self {
        Self::served_by(peer, local, trusted, Arc::default())
    }

    /// A connection whose `task` can be aborted from outside.
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
            is_anonymous: false,
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

    /// The peer's address. An IPv4 address that arrived on an IPv6 socket is an IPv4 address.
    pub(crate) fn peer_ip(&self) -> IpAddr {
        canonical(self.peer.ip())
    }

    pub(crate) fn reject(&self, rejection: Rejection) {
        *self.rejection.lock() = Some(rejection);
        self.is_rejected.store(true, Ordering::Release);
    }

    /// Why the current request must be rejected, if the gate found a reason.
    pub(crate) fn take_rejection(&self) -> Option<Rejection> {
        // The flag saves the lock for every well-formed request.
        if !self.is_rejected.load(Ordering::Acquire) {
            return None;
        }
        self.is_rejected.store(false, Ordering::Release);
        self.rejection.lock().take()
    }

    /// Notes that a request was passed on. Until it is answered, the gate keeps the next one back.
    pub(crate) fn set_unanswered(&self) {
        self.answered.store(false, Ordering::Release);
    }

    /// Notes that the answer to the current request was written.
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

/// An address as a field value, made once a connection.
#[derive(Debug)]
pub(crate) struct PeerText(pub(crate) HeaderValue);

impl PeerText {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self(HeaderValue::from_str(&address.to_string()).expect("addresses are ASCII"))
    }
}

/// Maps IPv4 addresses in IPv6 form (`::ffff:192.0.2.1`) to IPv4.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
