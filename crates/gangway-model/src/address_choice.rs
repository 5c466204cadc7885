//! Which of the addresses on the way of a request counts as the client's.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU8;

use ipnet::IpNet;

/// Which address counts, and how much of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressChoice {
    /// Which one counts.
    pub source: AddressSource,
    /// Bits of an IPv6 address that count, from the left; all where nothing is said.
    pub ipv6_len: Option<NonZeroU8>,
}

/// Where the address is taken from.
///
/// A list counts only where a trusted proxy has written it: everybody can send one. Where it does not hold the address,
/// nobody knows the client.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum AddressSource {
    /// The client's, as far as trusted proxies tell it.
    #[default]
    Client,
    /// The one of the connection.
    Connection,
    /// The one at this place in `X-Forwarded-For`, counted from its end; 1 is the last.
    ForwardedAt(NonZeroU8),
    /// The last one in `X-Forwarded-For` that is in none of these networks.
    ForwardedBefore(Box<[IpNet]>),
}

impl AddressChoice {
    /// The one of the connection, whole.
    pub fn of_connection() -> Self {
        Self { source: AddressSource::Connection, ipv6_len: None }
    }

    /// The part of an address that counts; the rest is zero.
    pub fn part(&self, address: IpAddr) -> IpAddr {
        match (address.to_canonical(), self.ipv6_len) {
            (IpAddr::V6(v6), Some(len)) if len.get() < 128 => {
                let mask = u128::MAX << (128 - u32::from(len.get()));
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
            (address, _) => address,
        }
    }
}

impl AddressSource {
    /// The address among those of a list, which begin with the nearest. An item that is no address is none, and whatever is
    /// behind it is not believed.
    pub fn of_list(&self, mut addresses: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        match self {
            Self::Client | Self::Connection => None,
            Self::ForwardedAt(place) => addresses.nth(usize::from(place.get()) - 1).flatten(),
            Self::ForwardedBefore(networks) => {
                let is_excluded = |address: &IpAddr| networks.iter().any(|network| network.contains(address));
                addresses.find(|address| !address.as_ref().is_some_and(is_excluded)).flatten()
            }
        }
    }
}

/// For people.
impl Display for AddressSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("the client"),
            Self::Connection => f.write_str("the connection"),
            Self::ForwardedAt(place) => write!(f, "place {place} from the end of X-Forwarded-For"),
            Self::ForwardedBefore(networks) => {
                let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
                write!(f, "the last of X-Forwarded-For that is not in {}", networks.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn an_address_is_counted_from_the_end_and_a_short_list_has_none() {
        let list = || ["3.3.3.3", "2.2.2.2", "1.1.1.1"].into_iter().map(address);
        let at = |place| AddressSource::ForwardedAt(NonZeroU8::new(place).expect("a place")).of_list(list());
        assert_eq!([1, 2, 3, 4].map(at), [address("3.3.3.3"), address("2.2.2.2"), address("1.1.1.1"), None]);
        let before = |networks: &[&str]| {
            let networks = networks.iter().map(|network| network.parse().expect("a network")).collect();
            AddressSource::ForwardedBefore(networks).of_list(list())
        };
        assert_eq!(before(&["3.0.0.0/8"]), address("2.2.2.2"));
        assert_eq!(before(&["0.0.0.0/0"]), None);
        let broken = || ["3.3.3.3", "unknown", "1.1.1.1"].into_iter().map(address);
        let excluding = AddressSource::ForwardedBefore(["3.0.0.0/8".parse().expect("a network")].into());
        assert_eq!(excluding.of_list(broken()), None, "what is left of it may be made up");
        assert_eq!(AddressSource::ForwardedAt(NonZeroU8::new(2).expect("a place")).of_list(broken()), None);
    }

    #[test]
    fn the_part_that_counts_is_the_left_one() {
        let choice = |len| AddressChoice { ipv6_len: NonZeroU8::new(len), ..AddressChoice::default() };
        let part = |len, text: &str| choice(len).part(address(text).expect("an address")).to_string();
        assert_eq!(part(56, "2001:db8:1:2ff::1"), "2001:db8:1:200::");
        assert_eq!((part(128, "2001:db8::1"), part(0, "2001:db8::1")), ("2001:db8::1".into(), "2001:db8::1".into()));
        assert_eq!((part(8, "192.0.2.7"), part(8, "::ffff:192.0.2.7")), ("192.0.2.7".into(), "192.0.2.7".into()));
    }
}
