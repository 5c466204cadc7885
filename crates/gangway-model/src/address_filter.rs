//! Which clients are let in, by their address or by where that is: `allow` and `deny`.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use http::StatusCode;
use ipnet::IpNet;

use crate::address_choice::AddressChoice;
use crate::geography::{ClientPlace, CountryCode, Located, PlaceKind};

/// Which clients are let in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressFilter {
    /// Only these are let in; everybody where there is no list.
    pub allow: Option<ClientList>,
    /// These are kept out, also where they are allowed.
    pub deny: ClientList,
    /// Which address is compared.
    pub by: AddressChoice,
    /// The status of refusals in place of 403.
    pub refusal: Option<StatusCode>,
}

/// What a filter makes of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressVerdict {
    /// The client is let in.
    Admitted,
    /// The client is kept out.
    Refused,
    /// It depends on what nobody can tell just now.
    Undecided(PlaceKind),
}

impl AddressFilter {
    /// Whether a client is let in. Its place is looked up only where the verdict depends on it.
    pub fn verdict(&self, client: &ClientPlace<'_>) -> AddressVerdict {
        if self.deny.addresses.contains(client.address()) {
            return AddressVerdict::Refused;
        }
        let allowed = self.allow.as_ref().map_or(Membership::Member, |allow| allow.membership(client));
        if allowed == Membership::Other {
            return AddressVerdict::Refused;
        }
        match (allowed, self.deny.membership_by_place(client)) {
            (_, Membership::Member) | (Membership::Other, _) => AddressVerdict::Refused,
            (Membership::Open(kind), _) | (_, Membership::Open(kind)) => AddressVerdict::Undecided(kind),
            (Membership::Member, Membership::Other) => AddressVerdict::Admitted,
        }
    }

    /// Whether a list of it names places of this kind.
    pub fn asks_for(&self, kind: PlaceKind) -> bool {
        self.deny.asks_for(kind) || self.allow.as_ref().is_some_and(|allow| allow.asks_for(kind))
    }
}

/// Whether a client is in a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Membership {
    Member,
    Other,
    /// It depends on this, which nobody can tell.
    Open(PlaceKind),
}

/// The clients that a list names: by address, by country, or by AS number. One of these is enough.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientList {
    addresses: AddressList,
    /// Ascending.
    countries: Box<[CountryCode]>,
    /// Ascending.
    autonomous_systems: Box<[u32]>,
}

/// One entry of a list of clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ClientEntry {
    /// By address.
    Address(AddressEntry),
    /// By country.
    Country(CountryCode),
    /// By the number of the autonomous system.
    AutonomousSystem(u32),
}

impl ClientEntry {
    /// What has to be known of a client's address, beside the address.
    pub(crate) fn place_kind(&self) -> Option<PlaceKind> {
        match self {
            Self::Address(_) => None,
            Self::Country(_) => Some(PlaceKind::Country),
            Self::AutonomousSystem(_) => Some(PlaceKind::AutonomousSystem),
        }
    }
}

impl ClientList {
    /// The list of these entries.
    pub(crate) fn of(entries: impl IntoIterator<Item = ClientEntry>) -> Self {
        let (mut addresses, mut countries, mut autonomous_systems) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                ClientEntry::Address(address) => addresses.push(address),
                ClientEntry::Country(country) => countries.push(country),
                ClientEntry::AutonomousSystem(number) => autonomous_systems.push(number),
            }
        }
        Self { addresses: AddressList::of(addresses), ..Self::default() }.with(countries, autonomous_systems)
    }

    /// The same with these countries and AS numbers and no others.
    pub fn with(self, mut countries: Vec<CountryCode>, mut autonomous_systems: Vec<u32>) -> Self {
        countries.sort_unstable();
        countries.dedup();
        autonomous_systems.sort_unstable();
        autonomous_systems.dedup();
        Self { countries: countries.into(), autonomous_systems: autonomous_systems.into(), ..self }
    }

    /// Whether it names nobody.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.countries.is_empty() && self.autonomous_systems.is_empty()
    }

    /// Whether it names places of this kind.
    pub fn asks_for(&self, kind: PlaceKind) -> bool {
        match kind {
            PlaceKind::Country => !self.countries.is_empty(),
            PlaceKind::AutonomousSystem => !self.autonomous_systems.is_empty(),
        }
    }

    /// The first entry that a client is in, for people. It looks at one entry after the other.
    pub fn entry_with(&self, client: &ClientPlace<'_>) -> Option<String> {
        let by_address = self.addresses.entry_with(client.address());
        let by_country = || match client.country() {
            Located::Known(code) => self.countries.contains(&code).then(|| ClientEntry::Country(code).to_string()),
            Located::Unknown | Located::Unavailable => None,
        };
        let by_system = || match client.autonomous_system() {
            Located::Known(number) => {
                self.autonomous_systems.contains(&number).then(|| ClientEntry::AutonomousSystem(number).to_string())
            }
            Located::Unknown | Located::Unavailable => None,
        };
        let by_place = || self.asks_for(PlaceKind::Country).then(by_country).flatten();
        by_address.or_else(by_place).or_else(|| self.asks_for(PlaceKind::AutonomousSystem).then(by_system).flatten())
    }

    fn membership(&self, client: &ClientPlace<'_>) -> Membership {
        if self.addresses.contains(client.address()) {
            return Membership::Member;
        }
        self.membership_by_place(client)
    }

    fn membership_by_place(&self, client: &ClientPlace<'_>) -> Membership {
        let mut membership = Membership::Other;
        if !self.countries.is_empty() {
            match client.country() {
                Located::Known(code) if self.countries.binary_search(&code).is_ok() => return Membership::Member,
                Located::Known(_) | Located::Unknown => {}
                Located::Unavailable => membership = Membership::Open(PlaceKind::Country),
            }
        }
        if !self.autonomous_systems.is_empty() {
            match client.autonomous_system() {
                Located::Known(number) if self.autonomous_systems.binary_search(&number).is_ok() => {
                    return Membership::Member;
                }
                Located::Known(_) | Located::Unknown => {}
                Located::Unavailable => membership = Membership::Open(PlaceKind::AutonomousSystem),
            }
        }
        membership
    }
}

impl From<AddressList> for ClientList {
    fn from(addresses: AddressList) -> Self {
        Self { addresses, ..Self::default() }
    }
}

impl FromIterator<IpNet> for ClientList {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        AddressList::from_iter(networks).into()
    }
}

/// A set of addresses. A look-up takes as many steps as the logarithm of the number of its networks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressList {
    /// As written, for people; `lan` is one entry.
    entries: Box<[AddressEntry]>,
    ranges: AddressRanges,
}

/// A set of addresses without the words for it: 8 bytes for a network of IPv4, 32 for one of IPv6. A look-up takes as many
/// steps as the logarithm of the number of its networks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AddressRanges {
    /// Disjoint ranges of IPv4 addresses, ascending.
    v4: Box<[(u32, u32)]>,
    /// Disjoint ranges of IPv6 addresses, ascending.
    v6: Box<[(u128, u128)]>,
}

impl AddressRanges {
    /// Whether an address is in the set. An IPv4 address in IPv6 form counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => is_in(&self.v4, u32::from(address)),
            IpAddr::V6(address) => is_in(&self.v6, u128::from(address)),
        }
    }

    /// Whether no address is in the set.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The memory that the set takes beside its own fields, in bytes.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.v4) + size_of_val(&*self.v6)
    }
}

impl FromIterator<IpNet> for AddressRanges {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(network) => v4.push((u32::from(network.network()), u32::from(network.broadcast()))),
                IpNet::V6(network) => v6.push((u128::from(network.network()), u128::from(network.broadcast()))),
            }
        }
        Self { v4: disjoint(v4), v6: disjoint(v6) }
    }
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
        Self { entries: entries.into(), ranges: networks.into_iter().collect() }
    }

    /// Whether an address is in the list. An IPv4 address in IPv6 form counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.ranges.contains(address)
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
        write_list(self.entries.iter(), f)
    }
}

impl Display for ClientEntry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Country(country) => write!(f, "country:{country}"),
            Self::AutonomousSystem(number) => write!(f, "as:{number}"),
        }
    }
}

/// The list as a label could have it: addresses first.
impl Display for ClientList {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let addresses = self.addresses.entries.iter().cloned().map(ClientEntry::Address);
        let countries = self.countries.iter().copied().map(ClientEntry::Country);
        let systems = self.autonomous_systems.iter().copied().map(ClientEntry::AutonomousSystem);
        write_list(addresses.chain(countries).chain(systems), f)
    }
}

fn write_list(entries: impl Iterator<Item = impl Display>, f: &mut Formatter<'_>) -> fmt::Result {
    for (position, entry) in entries.enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        write!(f, "{separator}{entry}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use super::*;
    use crate::geography::{Geography, NoGeography};

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

    /// A number that counts how often it is compared.
    #[derive(Clone, Copy)]
    struct Counted(u32);

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    impl Ord for Counted {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.set(COMPARED.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Counted {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }

    impl Eq for Counted {}

    #[test]
    fn a_look_up_among_fifty_thousand_takes_a_few_steps() {
        let ranges: Vec<_> = (0..50_000).map(|number| (Counted(number * 8), Counted(number * 8 + 3))).collect();
        let ranges = disjoint(ranges);
        assert_eq!(ranges.len(), 50_000);
        for address in (0..400_000).step_by(977).chain([0, 399_995, 399_996, u32::MAX]) {
            COMPARED.set(0);
            let is_in = is_in(&ranges, Counted(address));
            let steps = COMPARED.get();
            assert_eq!(is_in, address < 400_000 && address % 8 < 4, "{address}");
            assert!(steps <= 18, "{steps} steps for {address}");
        }
    }

    #[test]
    fn the_entry_that_has_an_address_is_named() {
        let some = list(&["192.0.2.0/24", "lan", "192.0.2.7/32"]);
        let entry = |address: &str| some.entry_with(ip(address));
        assert_eq!(entry("192.0.2.7").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(entry("::ffff:192.168.1.1").as_deref(), Some("lan"));
        assert_eq!(entry("203.0.113.1"), None);
    }

    /// Knows the country and the AS of some addresses; one of them is damaged.
    struct Known;

    impl Geography for Known {
        fn country(&self, address: IpAddr) -> Located<CountryCode> {
            let code = |text| Located::Known(CountryCode::of(text).expect("two letters"));
            match address.to_string().as_str() {
                "203.0.113.1" | "203.0.113.2" => code("DE"),
                "203.0.113.3" => code("FR"),
                "203.0.113.9" => Located::Unavailable,
                _ => Located::Unknown,
            }
        }

        fn autonomous_system(&self, address: IpAddr) -> Located<u32> {
            match address.to_string().as_str() {
                "203.0.113.2" | "203.0.113.9" => Located::Known(64_500),
                "203.0.113.3" => Located::Known(64_501),
                _ => Located::Unknown,
            }
        }
    }

    fn clients(addresses: &[&str], countries: &[&str], systems: &[u32]) -> ClientList {
        let countries = countries.iter().map(|code| CountryCode::of(code).expect("two letters")).collect();
        ClientList::from(list(addresses)).with(countries, systems.to_vec())
    }

    fn verdict(filter: &AddressFilter, address: &str, geography: &dyn Geography) -> AddressVerdict {
        filter.verdict(&ClientPlace::new(ip(address), geography))
    }

    #[test]
    fn deny_wins_over_allow() {
        let by_addresses = |allow: Option<&[&str]>, deny: &[&str]| AddressFilter {
            allow: allow.map(|allow| list(allow).into()),
            deny: list(deny).into(),
            ..AddressFilter::default()
        };
        let is_let_in = |filter: &AddressFilter, address: &str| {
            // Nobody is asked where addresses are.
            verdict(filter, address, &NoGeography) == AddressVerdict::Admitted
        };
        let filter = by_addresses(Some(&["lan"]), &["192.168.1.9/32"]);
        for (address, expected) in
            [("192.168.1.8", true), ("192.168.1.9", false), ("203.0.113.5", false), ("fe80::1", true), ("::1", true)]
        {
            assert_eq!(is_let_in(&filter, address), expected, "{address}");
        }
        assert!(is_let_in(&by_addresses(None, &["lan"]), "203.0.113.5"));
        assert!(!is_let_in(&by_addresses(Some(&[]), &[]), "192.168.1.8"));
    }

    #[test]
    fn places_decide_where_they_are_known_and_leave_open_what_nobody_can_tell() {
        use AddressVerdict::{Admitted, Refused, Undecided};
        let filter = |allow: Option<ClientList>, deny| AddressFilter { allow, deny, ..AddressFilter::default() };
        let (nobody, german) = (ClientList::default, || clients(&["lan"], &["DE"], &[]));
        let country = Undecided(PlaceKind::Country);
        let system = Undecided(PlaceKind::AutonomousSystem);
        // The last address is one of which nothing is known; the one before it is damaged in the list of countries.
        for (filter, verdicts, without_databases) in [
            (filter(Some(german()), nobody()), [Admitted, Admitted, Refused, country, Refused], country),
            (filter(None, clients(&[], &["DE"], &[])), [Refused, Refused, Admitted, country, Admitted], country),
            (
                filter(Some(clients(&[], &[], &[64_500])), nobody()),
                [Refused, Admitted, Refused, Admitted, Refused],
                system,
            ),
            (
                filter(None, clients(&[], &[], &[64_501, 64_500])),
                [Admitted, Refused, Refused, Refused, Admitted],
                system,
            ),
            (
                filter(Some(german()), clients(&[], &[], &[64_500])),
                [Admitted, Refused, Refused, Refused, Refused],
                country,
            ),
            (
                filter(Some(clients(&[], &["FR"], &[64_500])), clients(&["203.0.113.2/32"], &[], &[])),
                [Refused, Refused, Admitted, Admitted, Refused],
                system,
            ),
        ] {
            for (last, expected) in [1, 2, 3, 9, 10].into_iter().zip(verdicts) {
                let address = format!("203.0.113.{last}");
                assert_eq!(verdict(&filter, &address, &Known), expected, "{filter:?} {address}");
                let mapped = format!("::ffff:203.0.113.{last}");
                assert_eq!(verdict(&filter, &mapped, &Known), expected, "{filter:?} {mapped}");
            }
            assert_eq!(verdict(&filter, "203.0.113.1", &NoGeography), without_databases, "{filter:?}");
        }
        let lan_or_german = filter(Some(german()), nobody());
        assert_eq!(verdict(&lan_or_german, "192.168.1.8", &NoGeography), Admitted, "an address is enough");
    }

    #[test]
    fn places_are_named_in_their_order_and_once() {
        let all = clients(&["lan", "192.0.2.7/32"], &["FR", "DE", "FR"], &[64_501, 64_500, 64_501]);
        assert_eq!(all.to_string(), "lan, 192.0.2.7, country:DE, country:FR, as:64500, as:64501");
        let entry = |address: &str| all.entry_with(&ClientPlace::new(ip(address), &Known));
        assert_eq!(entry("192.168.1.8").as_deref(), Some("lan"));
        assert_eq!(entry("203.0.113.2").as_deref(), Some("country:DE"));
        assert_eq!(entry("203.0.113.9").as_deref(), Some("as:64500"));
        assert_eq!(entry("203.0.113.10"), None);
        assert!(all.asks_for(PlaceKind::Country) && !clients(&["lan"], &[], &[1]).asks_for(PlaceKind::Country));
    }

    #[test]
    fn a_list_is_shown_as_it_may_be_written() {
        assert_eq!(list(&["lan", "192.0.2.7/32", "2001:db8::/32"]).to_string(), "lan, 192.0.2.7, 2001:db8::/32");
    }
}
