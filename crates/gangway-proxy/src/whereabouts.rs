//! Where Gangway stands in the network: what lies between it and its clients.
//!
//! Behind a published port, an engine's own forwarder, a rootless network or a tunnel, every client has the address
//! of a gateway. That address says nothing about the client.

use std::io;
use std::net::{IpAddr, SocketAddr};

use gangway_model::{HTTPS, PublicPorts};

use crate::listen_addresses::{BoundListener, ListenAddresses};

/// Where Gangway stands. Published, since engines tell it, and networks come and go.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Whereabouts {
    /// Addresses of gateways: a connection from one of them may come from any client.
    pub gateways: Vec<IpAddr>,
    /// Whether loopback reaches only processes in our own container.
    pub has_loopback_of_its_own: bool,
    /// Pairs of our port and the port under which clients reach it. If clients reach one port under several others,
    /// the preferred pair is first.
    pub published: Vec<(u16, u16)>,
    /// Whether all engines have answered. Before that, more published ports may become known.
    pub is_known: bool,
    /// Why no container is known, and none will be until somebody mends it; for people.
    pub trouble: Option<Box<str>>,
}

impl Whereabouts {
    /// Whether a connection from `peer` may come from any client. `local` gives our own address, which costs a system
    /// call and rarely matters.
    pub(crate) fn is_anonymous(&self, peer: IpAddr, local: impl FnOnce() -> io::Result<IpAddr>) -> io::Result<bool> {
        if self.is_gateway(peer) {
            return Ok(true);
        }
        Ok(self.has_loopback_of_its_own && (peer.is_loopback() || peer == local()?))
    }

    pub(crate) fn is_gateway(&self, address: IpAddr) -> bool {
        self.gateways.contains(&address)
    }

    /// The port of a listener with TLS for a client that came in clear to the port `came_to`.
    ///
    /// A client that reached a plain port of ours, published or not, can reach our port with TLS too. If another device
    /// has mapped the port, only the default port can be guessed for `https`, and for another listener its own.
    pub(crate) fn tls_port(&self, listening: &ListenAddresses, target: Option<&BoundListener>, came_to: u16) -> u16 {
        let usual = PublicPorts::default().https;
        let Some((target, own)) = target.and_then(|target| Some((target, target.addresses.first()?.port()))) else {
            return usual;
        };
        let plain = listening.0.iter().filter(|listener| listener.known.protocol.may_be_plain());
        let ours: Vec<u16> = plain.flat_map(|listener| &listener.addresses).map(SocketAddr::port).collect();
        let is_published = self.published.iter().any(|(inside, outside)| *outside == came_to && ours.contains(inside));
        if !is_published && ours.contains(&came_to) {
            own
        } else if !is_published && *target.known.name == *HTTPS {
            usual
        } else {
            self.public_port(own)
        }
    }

    /// The port under which clients reach a port of ours.
    pub fn public_port(&self, inside: u16) -> u16 {
        self.published.iter().find(|(own, _)| *own == inside).map_or(inside, |(_, outside)| *outside)
    }

    /// The ports to show to people. `https` is the port that the user set.
    pub fn public_ports(&self, listening: &ListenAddresses, https: Option<u16>) -> PublicPorts {
        let usual = PublicPorts::default();
        let public = |ours: &[SocketAddr], usual| {
            let port = ours.first().map_or(usual, SocketAddr::port);
            self.public_port(port)
        };
        PublicPorts {
            http: public(listening.plain(), usual.http),
            https: https.unwrap_or_else(|| public(listening.tls(), usual.https)),
        }
    }
}

#[cfg(test)]
mod tests {
    use gangway_model::{KnownListener, ListenerName, ListenerProtocol, ListenerScope, usual_listener};

    use super::*;
    use crate::listen_addresses::ListenerSettings;

    fn bound(settings: ListenerSettings) -> BoundListener {
        let known = KnownListener { name: settings.name, protocol: settings.protocol };
        BoundListener { known, addresses: settings.addresses }
    }

    fn listening(http: u16, https: u16) -> ListenAddresses {
        let at = |port| vec![([0, 0, 0, 0], port).into()];
        ListenAddresses(vec![bound(ListenerSettings::http(at(http))), bound(ListenerSettings::https(at(https)))])
    }

    fn https_port(whereabouts: &Whereabouts, listening: &ListenAddresses, came_to: u16) -> u16 {
        whereabouts.tls_port(listening, usual_listener(&listening.0, &ListenerScope::default(), true), came_to)
    }

    #[test]
    fn redirects_to_another_listener_lead_to_its_port() {
        let mut listening = listening(80, 443);
        let name = ListenerName::parse("internal").expect("a name");
        let internal = ListenerSettings::new(name, ListenerProtocol::Tls, vec![([0, 0, 0, 0], 8443).into()]);
        listening.0.push(bound(internal));
        let target = listening.0.last();
        let published = Whereabouts { published: vec![(80, 18080), (8443, 18443)], ..Whereabouts::default() };
        for (whereabouts, came_to, port) in
            [(&Whereabouts::default(), 80, 8443), (&Whereabouts::default(), 9000, 8443), (&published, 18080, 18443)]
        {
            assert_eq!(whereabouts.tls_port(&listening, target, came_to), port, "{came_to}");
        }
    }

    #[test]
    fn redirects_lead_to_the_port_that_clients_reach() {
        let whereabouts =
            |published: &[(u16, u16)]| Whereabouts { published: published.to_vec(), ..Whereabouts::default() };
        for (published, came_to, https) in [
            (&[][..], 80, 443),
            (&[(80, 80), (443, 443)], 80, 443),
            (&[(80, 18080), (443, 18443)], 18080, 18443),
            (&[(80, 80), (443, 18443)], 80, 18443),
            // Somebody forwards the usual ports to the published ones.
            (&[(80, 18080), (443, 18443)], 80, 443),
            (&[(80, 80), (443, 443)], 9000, 443),
            (&[(443, 444), (443, 18443), (80, 80)], 80, 444),
        ] {
            assert_eq!(
                https_port(&whereabouts(published), &listening(80, 443), came_to),
                https,
                "{published:?} {came_to}"
            );
        }
        assert_eq!(https_port(&whereabouts(&[]), &listening(8080, 8443), 8080), 8443);
        assert_eq!(https_port(&whereabouts(&[(8080, 80), (8443, 443)]), &listening(8080, 8443), 80), 443);
    }

    #[test]
    fn people_are_told_published_ports() {
        for (published, (http, https), told, expected) in [
            (&[][..], (80, 443), None, (80, 443)),
            (&[(443, 18443), (80, 18080)], (80, 443), None, (18080, 18443)),
            (&[(443, 18443)], (80, 443), Some(443), (80, 443)),
            (&[], (8080, 8443), None, (8080, 8443)),
        ] {
            let whereabouts = Whereabouts { published: published.to_vec(), ..Whereabouts::default() };
            let ports = whereabouts.public_ports(&listening(http, https), told);
            assert_eq!((ports.http, ports.https), expected, "{published:?} {told:?}");
        }
    }

    #[test]
    fn gateways_are_nobody_and_so_is_loopback_in_a_container() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let whereabouts =
            Whereabouts { gateways: vec![ip("172.18.0.1")], has_loopback_of_its_own: true, ..Whereabouts::default() };
        let is_anonymous = |peer| whereabouts.is_anonymous(ip(peer), || Ok(ip("172.18.0.2"))).expect("known");
        assert!(is_anonymous("172.18.0.1") && is_anonymous("127.0.0.1"));
        assert!(is_anonymous("172.18.0.2"), "as a rootless port forwarder comes");
        assert!(!is_anonymous("172.18.0.3") && !is_anonymous("192.168.1.9"));
        let unasked = || panic!("a system call for nothing");
        assert!(!Whereabouts::default().is_anonymous(ip("127.0.0.1"), unasked).expect("known"));
    }
}
