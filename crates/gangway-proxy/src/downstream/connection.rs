//! Facts about one client connection, shared by all its requests.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use gangway_model::Arrival;
use rustls::CipherSuite;

use crate::downstream::listener_profile::ListenerProfile;
use crate::message::address_text::AddressText;
use crate::overload::address_account::AddressAccount;
use crate::overload::idle_connections::IdleMark;
use crate::overload::memory_budget::MemoryLease;
use crate::upstream::dedicated::DedicatedConnections;

/// Facts about a connection, fixed at its start.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    /// The address of the client's end. Behind a proxy that speaks the PROXY protocol, the one that the proxy names.
    pub(crate) peer: SocketAddr,
    /// The listener that it has come to.
    pub(crate) listener: Arc<ListenerProfile>,
    /// The peer's address as text, made once.
    pub(crate) peer_text: AddressText,
    /// Whether the peer's address is a gateway's, so that it says nothing about the client.
    pub(crate) is_anonymous: bool,
    /// Whether the peer is among the trusted proxies of the listener and may speak for clients.
    pub(crate) trusted: bool,
    /// Whether TLS ends here.
    pub(crate) secure: bool,
    /// The server name of the TLS handshake, in lower case.
    pub(crate) sni: Option<Box<str>>,
    /// Whether the connection uses TLS 1.3.
    pub(crate) is_tls13: bool,
    /// What the connection is encrypted by.
    pub(crate) cipher: Option<CipherSuite>,
    /// The file of client CAs that the client's certificate was checked against.
    pub(crate) client_ca: Option<Box<str>>,
    /// Upstream connections that belong to this client connection.
    pub(crate) dedicated: DedicatedConnections,
    /// What the clients of the address hold; none for addresses that speak for many clients.
    pub(crate) account: Option<Arc<AddressAccount>>,
    /// Whether the connection is idle, and how it is closed, for those that close idle connections.
    pub(crate) idle: Option<Arc<IdleMark>>,
    /// The memory that the connection takes.
    pub(crate) memory: Option<MemoryLease>,
}

impl ClientConnection {
    pub(crate) fn new(peer: SocketAddr, listener: Arc<ListenerProfile>) -> Self {
        let trusted = listener.trusted_proxies.contains(canonical(peer.ip()));
        Self {
            peer,
            listener,
            peer_text: AddressText::of(canonical(peer.ip())),
            is_anonymous: false,
            trusted,
            secure: false,
            sni: None,
            is_tls13: false,
            cipher: None,
            client_ca: None,
            dedicated: DedicatedConnections::default(),
            account: None,
            idle: None,
            memory: None,
        }
    }

    /// The way on which its requests come.
    pub(crate) fn arrival(&self) -> Arrival<'_> {
        Arrival { listener: &self.listener.name, is_tls: self.secure }
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
