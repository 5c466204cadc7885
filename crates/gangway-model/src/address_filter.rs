//! Which client addresses are let in: `allow` and `deny`.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use ipnet::IpNet;

/// Which client addresses are let in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressFilter {
    /// Only these are let in; everybody where there is no list.
    pub allow: Option<AddressList>,
    /// These are kept out, also where they are allowed.
    pub deny: AddressList,
}

impl AddressFilter {
    /// Whether a client is let in.
    pub fn admits(&self, client: IpAddr) -> bool {
        !self.deny.contains(client) && self.allow.as_ref().is_none_or(|allowed| allowed.contains(client))
    }
}

/// A set of addresses. A look-up takes as many steps as the logarithm of the number of its networks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressList {
    /// As written, for people; `lan` is one entry.
    entries: Box<[AddressEntry]>,
    /// Disjoint ranges of IPv4 addresses, ascending.
    v4: Box<[(u32, u32)]>,
    /// Disjoint ranges of IPv6 addresses, ascending.
    v6: Box<[(u128, u128)]>,
}

/// One entry of a list of addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AddressEntry {
    /// Local networks: private, loopback, link-local and unique local addresses.
    Lan,
    /// One network, or one address.
    Network(IpNet),
}

/// The networks of `lan`: loopback, private, link-local and unique local ones (RFC 1122, 1918, 3927, 4193, 4291). Without
/// the shared networks of RFC 6598, which a provider's other customers use too.
pub const LAN: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

impl AddressList {
    /// The list of these entries.
    pub(crate) fn of(entries: Vec<AddressEntry>) -> Self {
        let mut networks = Vec::new();
        for entry in &entries {
            match entry {
                AddressEntry::Lan => networks.extend(LAN.iter().filter_map(|network| network.parse::<IpNet>().ok())),
                AddressEntry::Network(network) => networks.push(*network),
            }
        }
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(network) => v4.push((u32::from(network.network()), u32::from(network.broadcast()))),
                IpNet::V6(network) => v6.push((u128::from(network.network()), u128::from(network.broadcast()))),
            }
        }
        Self { entries: entries.into(), v4: disjoint(v4), v6: disjoint(v6) }
    }

    /// Whether an address is in the list. An IPv4 address in IPv6 form counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => is_in(&self.v4, u32::from(address)),
            IpAddr::V6(address) => is_in(&self.v6, u128::from(address)),
        }
    }

    /// The first entry that has an address, for people. It looks at one entry after the other.
    pub fn entry_with(&self, address: IpAddr) -> Option<String> {
        let address = address.to_canonical();
        let lan = || LAN.iter().filter_map(|network| network.parse::<IpNet>().ok());
        let has = |entry: &&AddressEntry| match entry {
            AddressEntry::Lan => lan().any(|network| network.contains(&address)),
            AddressEntry::Network(network) => network.contains(&address),
        };
        self.entries.iter().find(has).map(ToString::to_string)
    }

    /// Whether no address is in the list.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<IpNet> for AddressList {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self::of(networks.into_iter().map(AddressEntry::Network).collect())
    }
}

/// Ranges in order, those that touch or overlap as one.
fn disjoint<T: Copy + Ord>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut disjoint: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match disjoint.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            Some(_) | None => disjoint.push((first, last)),
        }
    }
    disjoint.into()
}

fn is_in<T: Copy + Ord>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after > 0 && address <= ranges[after - 1].1
}

impl Display for AddressEntry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lan => f.write_str("lan"),
            Self::Network(network) if network.prefix_len() == network.max_prefix_len() => network.addr().fmt(f),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// The list as a label would have it.
impl Display for AddressList {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (position, entry) in self.entries.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{entry}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> AddressList {
        let entry = |text: &&str| match *text {
            "lan" => AddressEntry::Lan,
            network => AddressEntry::Network(network.parse().expect("a network")),
        };
        AddressList::of(entries.iter().map(entry).collect())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_list_has_what_any_of_its_networks_has() {
        let networks =
            ["10.1.0.0/16", "10.1.2.0/24", "192.0.2.7/32", "0.0.0.0/32", "255.255.255.255/32", "2001:db8::/32"];
        let some = list(&networks);
        let parsed: Vec<IpNet> = networks.iter().map(|network| network.parse().expect("valid")).collect();
        for address in [
            "0.0.0.0",
            "0.0.0.1",
            "10.0.255.255",
            "10.1.0.0",
            "10.1.2.3",
            "10.1.3.0",
            "10.1.255.255",
            "10.2.0.0",
            "192.0.2.6",
            "192.0.2.7",
            "192.0.2.8",
            "255.255.255.254",
            "255.255.255.255",
            "2001:db8::",
            "2001:db9::",
            "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "::",
        ] {
            let expected = parsed.iter().any(|network| network.contains(&ip(address)));
            assert_eq!(some.contains(ip(address)), expected, "{address}");
        }
        assert!(some.contains(ip("::ffff:10.1.2.3")), "an IPv4 client of a dual-stack socket");
        assert!(!AddressList::default().contains(ip("10.0.0.1")));
    }

    #[test]
    fn the_entry_that_has_an_address_is_named() {
        let some = list(&["192.0.2.0/24", "lan", "192.0.2.7/32"]);
        let entry = |address: &str| some.entry_with(ip(address));
        assert_eq!(entry("192.0.2.7").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(entry("::ffff:192.168.1.1").as_deref(), Some("lan"));
        assert_eq!(entry("203.0.113.1"), None);
    }

    #[test]
    fn deny_wins_over_allow() {
        let filter = AddressFilter { allow: Some(list(&["lan"])), deny: list(&["192.168.1.9/32"]) };
        for (address, is_let_in) in
            [("192.168.1.8", true), ("192.168.1.9", false), ("203.0.113.5", false), ("fe80::1", true), ("::1", true)]
        {
            assert_eq!(filter.admits(ip(address)), is_let_in, "{address}");
        }
        assert!(AddressFilter { allow: None, deny: list(&["lan"]) }.admits(ip("203.0.113.5")));
        assert!(!AddressFilter { allow: Some(AddressList::default()), ..filter }.admits(ip("192.168.1.8")));
    }

    #[test]
    fn a_list_is_shown_as_it_may_be_written() {
        assert_eq!(list(&["lan", "192.0.2.7/32", "2001:db8::/32"]).to_string(), "lan, 192.0.2.7, 2001:db8::/32");
    }
}
