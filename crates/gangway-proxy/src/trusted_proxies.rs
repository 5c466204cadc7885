//! Peers that may speak for clients, and the local networks.

use std::net::IpAddr;

use gangway_model::LAN;
use ipnet::IpNet;

/// Networks of Cloudflare, as it published them at <https://www.cloudflare.com/ips-v4> and
/// <https://www.cloudflare.com/ips-v6> in 2025; the last change was in September 2023. To refresh the list, replace it
/// by the lines of both pages, one network each.
const CLOUDFLARE: &[&str] = &[
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

/// The networks of peers that may speak for clients.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// The networks of Cloudflare if the list says `cloudflare`: then a field that only Cloudflare sends is understood.
    cloudflare: Vec<IpNet>,
}

impl TrustedProxies {
    /// Parses a list of addresses, networks, `lan` and `cloudflare`, separated by commas or white space.
    /// The error is the first item that is none of these.
    pub fn parse(list: &str) -> Result<Self, String> {
        let (mut networks, mut cloudflare) = (Vec::new(), Vec::new());
        for item in list.split([',', ' ', '\t', '\n']).filter(|item| !item.is_empty()) {
            match item {
                "lan" => networks.extend(parse_all(&LAN)),
                "cloudflare" => cloudflare = parse_all(CLOUDFLARE).collect(),
                _ => {
                    let network = item.parse::<IpNet>().ok().or_else(|| item.parse::<IpAddr>().ok().map(IpNet::from));
                    networks.push(network.ok_or_else(|| item.to_owned())?);
                }
            }
        }
        Ok(Self { networks, cloudflare })
    }

    /// Adds the networks of another list.
    pub fn add(&mut self, other: Self) {
        self.networks.extend(other.networks);
        self.cloudflare.extend(other.cloudflare);
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address)) || self.is_cloudflare(address)
    }

    /// Whether the list says `cloudflare`.
    pub(crate) fn trusts_cloudflare(&self) -> bool {
        !self.cloudflare.is_empty()
    }

    /// Whether the list says `cloudflare` and the address is Cloudflare's.
    pub(crate) fn is_cloudflare(&self, address: IpAddr) -> bool {
        self.cloudflare.iter().any(|network| network.contains(&address))
    }
}

fn parse_all<'a>(networks: &'a [&'a str]) -> impl Iterator<Item = IpNet> + 'a {
    networks.iter().filter_map(|network| network.parse().ok())
}

/// Whether an address is of a local network.
pub(crate) fn is_lan(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_proxies() {
        let lan = TrustedProxies::parse("lan, 203.0.113.9").expect("valid");
        assert!(
            lan.contains("192.168.1.1".parse().expect("valid")) && lan.contains("203.0.113.9".parse().expect("valid"))
        );
        assert!(!lan.contains("203.0.113.10".parse().expect("valid")));
        for address in [
            "127.1.2.3",
            "10.0.0.1",
            "172.31.0.1",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "100.64.0.1",
            "8.8.8.8",
            "2001:db8::1",
        ] {
            let address = address.parse().expect("valid");
            assert_eq!(is_lan(address), lan.contains(address), "{address}");
        }
        assert_eq!(TrustedProxies::parse("cloudflare").expect("valid").cloudflare.len(), CLOUDFLARE.len());
        assert_eq!(TrustedProxies::parse("lan, wat"), Err("wat".to_owned()));
    }
}
