//! Facts about one client connection, shared by all its requests.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use tokio::task::AbortHandle;

use crate::overload::address_account::AddressAccount;
use crate::overload::idle_connections::IdleMark;
use crate::overload::memory_budget::MemoryLease;
use crate::upstream::dedicated::DedicatedConnections;

/// Facts about a connection, fixed at its start.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    /// The address of the client's end.
    pub(crate) peer: SocketAddr,
    /// The address of our end.
    pub(crate) local: SocketAddr,
    /// The peer's address as text, made once.
    pub(crate) peer_text: Box<str>,
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
    /// Upstream connections that belong to this client connection.
    pub(crate) dedicated: DedicatedConnections,
    /// The task that serves the connection; aborting it closes the connection.
    pub(crate) task: Arc<OnceLock<AbortHandle>>,
    /// What the clients of the address hold; none for addresses that speak for many clients.
    pub(crate) account: Option<Arc<AddressAccount>>,
    /// Whether the connection is idle, for those that close idle connections.
    pub(crate) idle: Option<Arc<IdleMark>>,
    /// The memory that the connection takes.
    pub(crate) memory: Option<MemoryLease>,
}

impl ClientConnection {
    #[cfg(any(test, fuzzing))]
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
            peer_text: canonical(peer.ip()).to_string().into(),
            is_anonymous: false,
            trusted,
            secure: false,
            sni: None,
            is_tls13: false,
            client_ca: None,
            dedicated: DedicatedConnections::default(),
            task,
            account: None,
            idle: None,
            memory: None,
        }
    }

    /// The peer's address. An IPv4 address that arrived on an IPv6 socket is an IPv4 address.
    pub(crate) fn peer_ip(&self) -> IpAddr {
        canonical(self.peer.ip())
    }
}

/// Maps IPv4 addresses in IPv6 form (`::ffff:192.0.2.1`) to IPv4.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
