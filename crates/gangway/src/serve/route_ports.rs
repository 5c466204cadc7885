//! The ports in the URLs of routes: each route may be served on listeners of its own.

use gangway_model::{
    AsListener, HTTP, HTTPS, KnownListener, ListenerProtocol, ListenerScope, PublicPorts, usual_listener,
};
use gangway_proxy::{ListenAddresses, Whereabouts};

/// The ports that clients connect to.
#[derive(Clone, Debug, Default)]
pub(super) struct RoutePorts {
    usual: PublicPorts,
    listeners: Vec<RoutePort>,
}

/// The port that clients of one listener connect to.
#[derive(Clone, Debug)]
struct RoutePort {
    listener: KnownListener,
    port: u16,
}

impl AsListener for RoutePort {
    fn name(&self) -> &str {
        &self.listener.name
    }

    fn protocol(&self) -> ListenerProtocol {
        self.listener.protocol
    }
}

impl RoutePorts {
    /// `https` is the port that the user set.
    pub(super) fn new(listening: &ListenAddresses, whereabouts: &Whereabouts, https: Option<u16>) -> Self {
        let listeners = listening.0.iter().filter_map(|listener| {
            let port = listener.addresses.first()?.port();
            Some(RoutePort { listener: listener.known.clone(), port: whereabouts.public_port(port) })
        });
        Self { usual: whereabouts.public_ports(listening, https), listeners: listeners.collect() }
    }

    /// Those of a route: of the usual listeners where it is served there, else of the first other one.
    pub(super) fn of(&self, scope: &ListenerScope) -> PublicPorts {
        if scope.names.is_none() {
            return self.usual;
        }
        let port = |name: &str, usual: u16, is_tls: bool| {
            let listener = usual_listener(&self.listeners, scope, is_tls);
            listener.filter(|listener| listener.name() != name).map_or(usual, |listener| listener.port)
        };
        PublicPorts { http: port(HTTP, self.usual.http, false), https: port(HTTPS, self.usual.https, true) }
    }
}

impl From<PublicPorts> for RoutePorts {
    fn from(usual: PublicPorts) -> Self {
        Self { usual, listeners: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use gangway_model::ListenerName;
    use gangway_proxy::BoundListener;

    use super::*;

    #[test]
    fn a_route_has_the_ports_of_its_listeners() {
        let of = |name, protocol, port| BoundListener {
            known: KnownListener { name: ListenerName::parse(name).expect("a name"), protocol },
            addresses: vec![([0, 0, 0, 0], port).into()],
        };
        let listening = ListenAddresses(vec![
            of("http", ListenerProtocol::Plain, 80),
            of("https", ListenerProtocol::Tls, 443),
            of("inside", ListenerProtocol::Plain, 8080),
            of("mixed", ListenerProtocol::Detected, 8443),
        ]);
        let whereabouts = Whereabouts { published: vec![(8443, 18443)], ..Whereabouts::default() };
        let ports = RoutePorts::new(&listening, &whereabouts, Some(4443));
        for (names, http, https) in [
            (None, 80, 4443),
            (Some(&["https", "inside"][..]), 8080, 4443),
            (Some(&["mixed"]), 18443, 18443),
            (Some(&["inside", "mixed"]), 8080, 18443),
            (Some(&["http", "inside"]), 80, 4443),
        ] {
            let names = names.map(|names| names.iter().filter_map(|name| ListenerName::parse(name)).collect());
            let scope = ListenerScope { names, ..ListenerScope::default() };
            assert_eq!(ports.of(&scope), PublicPorts { http, https }, "{scope:?}");
        }
    }
}
