//! The listeners that are asked for, and the addresses that they have.

use std::net::SocketAddr;

use gangway_model::{HTTP, HTTPS, ListenerName, ListenerProtocol, ListenerScope};

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
    /// Its name.
    pub name: ListenerName,
    /// What its connections begin with.
    pub protocol: ListenerProtocol,
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
        self.0.iter().find(|listener| *listener.name == *name).map_or(&[], |listener| &listener.addresses)
    }

    /// The addresses of `http`, or of the first other listener where requests come in clear.
    pub fn plain(&self) -> &[SocketAddr] {
        let is_plain = |listener: &BoundListener| listener.protocol.may_be_plain();
        self.preferred(HTTP, is_plain).map_or(&[], |listener| &listener.addresses)
    }

    /// The addresses of `https`, or of the first other listener with TLS.
    pub fn tls(&self) -> &[SocketAddr] {
        self.with_tls(&ListenerScope::default()).map_or(&[], |listener| &listener.addresses)
    }

    /// The listener of a scope by which requests come over TLS: `https`, or the first other one.
    pub(crate) fn with_tls(&self, scope: &ListenerScope) -> Option<&BoundListener> {
        self.preferred(HTTPS, |listener| listener.protocol.may_be_tls() && scope.takes_listener(&listener.name))
    }

    fn preferred(&self, name: &str, is_fit: impl Fn(&BoundListener) -> bool) -> Option<&BoundListener> {
        let fit = || self.0.iter().filter(|listener| is_fit(listener));
        fit().find(|listener| *listener.name == *name).or_else(|| fit().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_listeners_go_first_and_others_take_their_place() {
        let of = |name, protocol, port| BoundListener {
            name: ListenerName::parse(name).expect("a name"),
            protocol,
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
        let names = ["web", "mixed"].into_iter().filter_map(ListenerName::parse).collect();
        let scope = ListenerScope { names: Some(names), ..ListenerScope::default() };
        assert_eq!(listening.with_tls(&scope).map(|listener| listener.name.to_string()).as_deref(), Some("mixed"));
        assert!(ListenAddresses::default().tls().is_empty());
    }
}
