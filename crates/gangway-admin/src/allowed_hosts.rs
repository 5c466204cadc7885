//! The values of `Host` that the admin listener answers to.
//!
//! A web page that a browser on this machine has open may point its own name at our address (DNS
//! rebinding) and then read everything. Such a request carries that page's name, so only names and
//! addresses that are surely ours are answered.

use std::net::{IpAddr, SocketAddr};

use gangway_model::{Address, HOST_LEN_MAX, HostPattern, Route, canonical_host};
use http::HeaderValue;

/// Names that are always ours: that of the machine itself, and that of the service in our compose files.
const NAMES: &[&str] = &["localhost", "gangway"];

/// The hosts that are answered.
#[derive(Clone, Debug)]
pub(crate) struct AllowedHosts {
    listen: SocketAddr,
    /// In the canonical form in which hosts are compared.
    names: Vec<String>,
    /// What requests bear that our own proxy brings by a route of the operator.
    mark: Option<HeaderValue>,
}

impl AllowedHosts {
    /// Allows `names` beside those that are always ours. Without a mark nothing is answered that a proxy brings.
    pub(crate) fn new(listen: SocketAddr, names: Vec<String>, mark: Option<HeaderValue>) -> Self {
        let names = names.into_iter().map(|name| name.to_ascii_lowercase()).filter(|name| !name.is_empty());
        Self { listen, names: names.collect(), mark }
    }

    /// Whether requests with this `Host` are answered. `routes` are those in force.
    pub(crate) fn allows<'r>(&self, host: &str, routes: impl IntoIterator<Item = &'r Route>) -> bool {
        let mut buffer = [0; HOST_LEN_MAX];
        let Some(host) = canonical_host(host, &mut buffer) else { return false };
        if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return self.knows_address(ip);
        }
        NAMES.contains(&host)
            || self.names.iter().any(|name| name == host)
            || routes.into_iter().any(|route| self.is_route_to_us(route, host))
    }

    /// Whether a request that a proxy has brought may be answered: a label can make our own proxy send a `Host` that is
    /// allowed, but not the mark of a request that the operator wants to come here.
    pub(crate) fn is_marked<'v>(&self, mut marks: impl Iterator<Item = &'v HeaderValue>) -> bool {
        self.mark.as_ref().is_some_and(|mark| marks.any(|one| one == mark))
    }

    /// A web page cannot rebind an address. If we listen on all addresses, we cannot tell which are ours: a port that the
    /// engine publishes is reached under the address of the machine.
    fn knows_address(&self, ip: IpAddr) -> bool {
        let listen = self.listen.ip();
        listen.is_unspecified() || ip.to_canonical() == listen.to_canonical() || ip.is_loopback()
    }

    /// Whether this is a route of the operator that leads here, for this host. A route of a label does not count, wherever
    /// its URLs lead: any container could make a name of its own an allowed one.
    fn is_route_to_us(&self, route: &Route, host: &str) -> bool {
        let is_named = |pattern: &HostPattern| {
            matches!(pattern, HostPattern::Exact(_) | HostPattern::Wildcard(_)) && pattern.matches(host)
        };
        route.hosts.iter().any(is_named) && self.is_of_operator_to_us(route)
    }

    fn is_of_operator_to_us(&self, route: &Route) -> bool {
        let is_us = |address: &Address| match address {
            Address::Ip(ip, port) => *port == self.listen.port() && self.knows_address(*ip),
            Address::Name(name, port) => {
                *port == self.listen.port()
                    && (NAMES.contains(&&**name) || self.names.iter().any(|one| **one == **name))
            }
        };
        let mut endpoints = route.upstream.endpoints.iter();
        route.is_of_operator && endpoints.any(|one| one.is_of_operator && is_us(&one.key.address))
    }
}

#[cfg(test)]
mod tests {
    use gangway_diagnostic::Place;
    use gangway_model::{
        Container, DynamicKey, EntryPoint, FileRoute, ListenerName, Settings, Snapshot, TraefikSettings, compile,
    };

    use super::*;

    fn known(listen: &str, host: &str) -> bool {
        let listen = listen.parse().expect("an address");
        AllowedHosts::new(listen, vec!["Machine".into()], None).allows(host, [])
    }

    #[test]
    fn our_own_names_and_addresses_are_known() {
        for host in
            ["localhost:8420", "LOCALHOST", "gangway:8420", "127.0.0.1:8420", "[::1]:8420", "machine", "gangway."]
        {
            assert!(known("127.0.0.1:8420", host), "{host}");
        }
    }

    #[test]
    fn others_are_not() {
        for host in ["evil.example", "localhost.evil.example", "192.0.2.1", "a@localhost", "localhost/x", "", "a b"] {
            assert!(!known("127.0.0.1:8420", host), "{host}");
        }
    }

    #[test]
    fn listening_everywhere_every_address_may_be_ours_but_no_further_name() {
        assert!(known("0.0.0.0:8420", "192.0.2.1:8420"));
        assert!(known("[::]:8420", "[2001:db8::1]:8420"));
        assert!(!known("[::]:8420", "evil.example"));
    }

    #[test]
    fn no_label_leads_here_wherever_its_urls_lead() {
        let app = Container::named("app").with_labels(&[
            ("traefik.http.routers.x.rule", "Host(`x.test`)"),
            ("traefik.http.services.x.loadbalancer.server.url", "http://gangway:8420"),
            ("traefik.http.routers.z.rule", "Host(`z.test`)"),
            ("traefik.http.routers.z.service", "own@file"),
        ]);
        let dynamic = [
            (["routers", "of-label", "rule"].as_slice(), "Host(`w.test`)"),
            (&["routers", "of-label", "service"], "x@docker"),
            (&["routers", "own", "rule"], "Host(`own.test`)"),
            (&["routers", "own", "service"], "own"),
            (&["services", "own", "loadbalancer", "servers", "[0]", "url"], "http://gangway:8420"),
        ];
        let keys = [("host", "y.test"), ("upstream", "http://gangway:8420")];
        let keys = keys.map(|(key, value)| (key.into(), value.into(), Place::Configuration)).to_vec();
        let file = FileRoute { name: "y".into(), keys, place: Place::Configuration };
        let web = EntryPoint {
            name: ListenerName::parse("web").expect("a name"),
            is_default: true,
            tls: None,
            redirection: None,
            middlewares: Vec::new(),
        };
        let dynamic = dynamic.map(|(path, value)| DynamicKey {
            path: ["http"].iter().chain(path).map(|part| Box::from(*part)).collect(),
            value: value.into(),
            place: Place::Configuration,
        });
        let traefik =
            TraefikSettings { entry_points: vec![web], dynamic: dynamic.to_vec(), ..TraefikSettings::default() };
        let settings = Settings { traefik: Some(traefik), file_routes: vec![file], ..Settings::default() };
        let compiled = compile(&Snapshot { containers: vec![app], ..Snapshot::default() }, &settings);
        let routes = || compiled.table.routes().iter().map(AsRef::as_ref);
        assert!(routes().all(|route| route.upstream.endpoints.len() == 1) && routes().count() == 5);
        let hosts = AllowedHosts::new("127.0.0.1:8420".parse().expect("an address"), Vec::new(), None);
        for (host, is_allowed) in
            [("x.test", false), ("y.test", true), ("z.test", false), ("w.test", false), ("own.test", true)]
        {
            assert_eq!(hosts.allows(host, routes()), is_allowed, "{host}");
        }
    }
}
