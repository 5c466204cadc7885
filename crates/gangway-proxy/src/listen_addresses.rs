//! The listeners that are asked for, and the addresses that they have.

use std::net::SocketAddr;

use gangway_model::{
    AsListener, HTTP, HTTPS, KnownListener, ListenerName, ListenerProtocol, ListenerScope, usual_listener,
};

use crate::trusted_proxies::TrustedProxies;

/// A listener that is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenerSettings {
    /// Its name, by which routes restrict themselves to it.
    pub name: ListenerName,
    /// What its connections begin with, behind the header of the PROXY protocol if there is one.
    pub protocol: ListenerProtocol,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
    /// Peers whose connections begin with a header of the PROXY protocol, version 1 or 2. Without it their connections
    /// are closed; of all other peers it is not believed.
    pub proxy_protocol: TrustedProxies,
    /// Peers whose forwarding fields are believed. None means those of [`ProxySettings`](crate::ProxySettings).
    pub trusted_proxies: Option<TrustedProxies>,
}

impl ListenerSettings {
    /// A listener without proxies of its own.
    pub fn new(name: ListenerName, protocol: ListenerProtocol, addresses: Vec<SocketAddr>) -> Self {
        Self { name, protocol, addresses, proxy_protocol: TrustedProxies::default(), trusted_proxies: None }
    }

    /// The listener `http`.
    pub fn http(addresses: Vec<SocketAddr>) -> Self {
        Self::new(ListenerName::parse(HTTP).expect("a name"), ListenerProtocol::Plain, addresses)
    }

    /// The listener `https`.
    pub fn https(addresses: Vec<SocketAddr>) -> Self {
        Self::new(ListenerName::parse(HTTPS).expect("a name"), ListenerProtocol::Tls, addresses)
    }
}

/// The listeners that are open, in the order in which they were asked for.
#[derive(Clone, Debug, Default)]
pub struct ListenAddresses(pub Vec<BoundListener>);

/// An open listener.
#[derive(Clone, Debug)]
pub struct BoundListener {
    /// What routes may know of it.
    pub known: KnownListener,
    /// Where it listens. Ports that the system chose are filled in.
    pub addresses: Vec<SocketAddr>,
}

impl ListenAddresses {
    /// All addresses of all listeners.
    pub fn all(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().flat_map(|listener| listener.addresses.iter().copied())
    }

    /// The addresses of the listener of this name; empty where there is none.
    pub fn of(&self, name: &str) -> &[SocketAddr] {
        self.0.iter().find(|listener| *listener.known.name == *name).map_or(&[], |listener| &listener.addresses)
    }

    /// The addresses of `http`, or of the first other listener where requests come in clear.
    pub fn plain(&self) -> &[SocketAddr] {
        self.usual(false)
    }

    /// The addresses of `https`, or of the first other listener with TLS.
    pub fn tls(&self) -> &[SocketAddr] {
        self.usual(true)
    }

    fn usual(&self, is_tls: bool) -> &[SocketAddr] {
        usual_listener(&self.0, &ListenerScope::default(), is_tls).map_or(&[], |listener| &listener.addresses)
    }
}

impl AsListener for BoundListener {
    fn name(&self) -> &str {
        &self.known.name
    }

    fn protocol(&self) -> ListenerProtocol {
        self.known.protocol
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_listeners_go_first_and_others_take_their_place() {
        let of = |name, protocol, port| BoundListener {
            known: KnownListener { name: ListenerName::parse(name).expect("a name"), protocol },
            addresses: vec![([127, 0, 0, 1], port).into()],
        };
        let port = |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::port);
        let own = vec![of("mixed", ListenerProtocol::Detected, 1), of("web", ListenerProtocol::Plain, 2)];
        let listening = ListenAddresses(own.clone());
        assert_eq!((port(listening.plain()), port(listening.tls())), (Some(1), Some(1)));
        let usual = [of(HTTP, ListenerProtocol::Plain, 3), of(HTTPS, ListenerProtocol::Tls, 4)];
        let listening = ListenAddresses(own.into_iter().chain(usual).collect());
        assert_eq!((port(listening.plain()), port(listening.tls())), (Some(3), Some(4)));
        assert_eq!((port(listening.of("web")), port(listening.of("none"))), (Some(2), None));
        assert!(ListenAddresses::default().tls().is_empty());
    }
}
