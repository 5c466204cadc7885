//! The decisions in force, in a form that is quick to look up and small.

use std::net::IpAddr;

use gangway_model::{AddressRanges, ClientPlace, CountryCode, Judgement, Located, PlaceKind};

/// The decisions in force at one time. Most look-ups end with a binary search in one table; only for somebody who is banned
/// it is found out whose decision that was.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    /// Every address and network of which there is a decision.
    pub(crate) all: AddressRanges,
    /// The same by whose decision it is.
    pub(crate) by_origin: Box<[(Box<str>, AddressRanges)]>,
    /// Ascending.
    pub(crate) countries: Box<[(CountryCode, Box<str>)]>,
    /// Ascending.
    pub(crate) autonomous_systems: Box<[(u32, Box<str>)]>,
}

impl Decisions {
    /// What is known of a client. Its place is looked up only where there are decisions about places.
    pub fn judge(&self, client: &ClientPlace<'_>) -> Judgement {
        if self.all.contains(client.address()) {
            return Judgement::Banned { origin: self.origin(client.address()).into() };
        }
        let by_country = judge_by(&self.countries, || client.country(), PlaceKind::Country);
        let by_system = judge_by(&self.autonomous_systems, || client.autonomous_system(), PlaceKind::AutonomousSystem);
        match (by_country, by_system) {
            (banned @ Judgement::Banned { .. }, _) | (_, banned @ Judgement::Banned { .. }) => banned,
            (Judgement::Free | Judgement::Unknown, by_system) => by_system,
            (undecided @ Judgement::Undecided(_), _) => undecided,
        }
    }

    /// The first of those who have decided about an address.
    fn origin(&self, address: IpAddr) -> &str {
        let found = self.by_origin.iter().find(|(_, ranges)| ranges.contains(address));
        found.map_or("", |(origin, _)| origin)
    }

    /// The memory that the decisions take, in bytes.
    pub fn heap_bytes(&self) -> usize {
        let by_origin = self.by_origin.iter().map(|(name, ranges)| name.len() + ranges.heap_bytes());
        let countries = self.countries.iter().map(|(_, origin)| origin.len());
        let systems = self.autonomous_systems.iter().map(|(_, origin)| origin.len());
        self.all.heap_bytes()
            + size_of_val(&*self.by_origin)
            + size_of_val(&*self.countries)
            + size_of_val(&*self.autonomous_systems)
            + by_origin.chain(countries).chain(systems).sum::<usize>()
    }
}

/// What the decisions about places of one kind say. The place is looked up only where there are some.
fn judge_by<K: Copy + Ord>(sorted: &[(K, Box<str>)], place: impl FnOnce() -> Located<K>, kind: PlaceKind) -> Judgement {
    if sorted.is_empty() {
        return Judgement::Free;
    }
    match place() {
        Located::Known(known) => match sorted.binary_search_by_key(&known, |(key, _)| *key) {
            Ok(at) => Judgement::Banned { origin: sorted[at].1.clone() },
            Err(_) => Judgement::Free,
        },
        Located::Unknown => Judgement::Free,
        Located::Unavailable => Judgement::Undecided(kind),
    }
}
