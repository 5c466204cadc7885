//! The values of `Host` that the admin listener answers to.
//!
//! A web page that a browser on this machine has open may point its own name at our address (DNS
//! rebinding) and then read everything. Such a request carries that page's name, so only names and
//! addresses that are surely ours are answered.

use std::net::{IpAddr, SocketAddr};

use gangway_model::{Address, HOST_LEN_MAX, HostPattern, Route, canonical_host};

/// Names that are always ours: that of the machine itself, and that of the service in our compose files.
const NAMES: &[&str] = &["localhost", "gangway"];

/// The hosts that are answered.
#[derive(Clone, Debug)]
pub(crate) struct AllowedHosts {
    listen: SocketAddr,
    /// In the canonical form in which hosts are compared.
    names: Vec<String>,
}

impl AllowedHosts {
    /// Allows `names` beside those that are always ours.
    pub(crate) fn new(listen: SocketAddr, names: Vec<String>) -> Self {
        let names = names.into_iter().map(|name| name.to_ascii_lowercase()).filter(|name| !name.is_empty());
        Self { listen, names: names.collect() }
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

    /// Whether a route of the config file leads requests for this host here. No other route may forward a request here:
    /// a label, for example, can make our own proxy send a `Host` that is allowed.
    pub(crate) fn leads_here<'r>(&self, host: &str, routes: impl IntoIterator<Item = &'r Route>) -> bool {
        let mut buffer = [0; HOST_LEN_MAX];
        let Some(host) = canonical_host(host, &mut buffer) else { return false };
        let takes = |route: &Route| route.hosts.is_empty() || route.hosts.iter().any(|one| one.matches(host));
        routes.into_iter().any(|route| takes(route) && self.is_from_file_to_us(route))
    }

    /// A web page cannot rebind an address. If we listen on all addresses, we cannot tell which are ours: a port that the
    /// engine publishes is reached under the address of the machine.
    fn knows_address(&self, ip: IpAddr) -> bool {
        let listen = self.listen.ip();
        listen.is_unspecified() || ip.to_canonical() == listen.to_canonical() || ip.is_loopback()
    }

    /// Whether this is a route of the config file that leads here. Its hosts come from the operator. A route of a label
    /// does not count: any container could make a name of its own an allowed one.
    fn is_route_to_us(&self, route: &Route, host: &str) -> bool {
        let is_named = |pattern: &HostPattern| {
            matches!(pattern, HostPattern::Exact(_) | HostPattern::Wildcard(_)) && pattern.matches(host)
        };
        route.hosts.iter().any(is_named) && self.is_from_file_to_us(route)
    }

    fn is_from_file_to_us(&self, route: &Route) -> bool {
        let is_us = |address: &Address| match address {
            Address::Ip(ip, port) => *port == self.listen.port() && self.knows_address(*ip),
            Address::Name(name, port) => {
                *port == self.listen.port()
                    && (NAMES.contains(&&**name) || self.names.iter().any(|one| **one == **name))
            }
        };
        route.upstream.endpoints.iter().any(|one| one.key.container.is_empty() && is_us(&one.key.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(listen: &str, host: &str) -> bool {
        let listen = listen.parse().expect("an address");
        AllowedHosts::new(listen, vec!["Machine".into()]).allows(host, [])
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
}
