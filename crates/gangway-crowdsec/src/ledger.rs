//! Every decision that the engine has told, until it takes it back or its time is over.
//!
//! A decision is known by its number, not by what it is about: of two decisions about one address, one may end while the
//! other goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use gangway_model::{AddressRanges, CountryCode};
use ipnet::IpNet;
use tokio::time::Instant;

use crate::decisions::Decisions;
use crate::go_duration;
use crate::status::{Skipped, Status};
use crate::stream_answer::{StreamAnswer, StreamedDecision};

/// Decisions that are kept. The lists that people subscribe to have some ten thousand.
pub const DECISIONS_MAX: usize = 250_000;

/// How many origins of decisions have a name of their own: `CAPI`, `cscli`, `crowdsec`, `lists` and a few more. All others
/// count as one.
const ORIGINS_MAX: usize = 16;
const OTHER_ORIGIN: &str = "other";
const ORIGIN_LEN_MAX: usize = 64;

/// Characters of a decision that cannot be kept which are repeated.
const SHOWN_MAX: usize = 60;

/// What a decision is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Target {
    Network(IpNet),
    Country(CountryCode),
    AutonomousSystem(u32),
}

#[derive(Clone, Copy, Debug)]
struct Held {
    id: i64,
    until: Instant,
    target: Target,
    /// The place in the list of origins.
    origin: u8,
}

/// How many decisions of one origin are about what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub(crate) ipv4: i64,
    pub(crate) ipv6: i64,
    /// About countries and autonomous systems.
    pub(crate) places: i64,
}

/// The decisions that are held, by number.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Ascending by number.
    held: Vec<Held>,
    origins: Vec<Box<str>>,
    skipped: Skipped,
}

impl Ledger {
    /// The ledger of an answer that tells all decisions.
    pub(crate) fn of(answer: &StreamAnswer<'_>, now: Instant) -> Self {
        let mut ledger = Self::default();
        ledger.add(&answer.new, now);
        ledger
    }

    /// Takes in what has changed since the answer before. Returns whether that was anything.
    pub(crate) fn change(&mut self, answer: &StreamAnswer<'_>, now: Instant) -> bool {
        let before = self.held.len();
        let gone: BTreeSet<i64> = answer.deleted.iter().filter_map(|decision| decision.id).collect();
        self.held.retain(|held| !gone.contains(&held.id));
        let is_less = self.held.len() < before;
        self.add(&answer.new, now);
        is_less || !answer.new.is_empty()
    }

    /// Takes out what has ended. Returns whether that was anything.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let before = self.held.len();
        self.held.retain(|held| held.until > now);
        self.held.len() < before
    }

    /// When the next decision ends.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.held.iter().map(|held| held.until).min()
    }

    fn add(&mut self, new: &[StreamedDecision<'_>], now: Instant) {
        for decision in new.iter().filter(|decision| decision.simulated != Some(true)) {
            let duration = go_duration::parse(&decision.duration);
            let (Some(id), Some(target), Some(duration)) = (decision.id, target(decision), duration) else {
                self.skipped.unreadable += 1;
                self.skipped.example.get_or_insert_with(|| shown(decision));
                continue;
            };
            if duration.is_zero() {
                continue;
            }
            if self.held.len() >= DECISIONS_MAX {
                self.skipped.too_many += 1;
                continue;
            }
            let origin = self.origin(&decision.origin);
            self.held.push(Held { id, until: now + duration, target, origin });
        }
        // The sort is stable, so of two with one number the later one comes later, and counts.
        self.held.sort_by_key(|held| held.id);
        self.held.dedup_by(|later, earlier| {
            let is_same = later.id == earlier.id;
            if is_same {
                *earlier = *later;
            }
            is_same
        });
        self.held.shrink_to_fit();
    }

    fn origin(&mut self, name: &str) -> u8 {
        let is_name = !name.is_empty() && name.len() <= ORIGIN_LEN_MAX && !name.contains(char::is_control);
        let name = if is_name { name } else { OTHER_ORIGIN };
        let at = self.origins.iter().position(|known| **known == *name).unwrap_or_else(|| {
            let is_last = self.origins.len() >= ORIGINS_MAX - 1;
            let name = if is_last { OTHER_ORIGIN } else { name };
            self.origins.iter().position(|known| **known == *name).unwrap_or_else(|| {
                self.origins.push(name.into());
                self.origins.len() - 1
            })
        });
        u8::try_from(at).unwrap_or(u8::MAX)
    }

    fn origin_name(&self, held: &Held) -> &str {
        self.origins.get(usize::from(held.origin)).map_or(OTHER_ORIGIN, |name| name)
    }

    /// The decisions as they are looked up.
    pub(crate) fn decisions(&self) -> Decisions {
        let networks = |origin: Option<usize>| {
            let of_origin = self.held.iter().filter(move |held| origin.is_none_or(|at| at == usize::from(held.origin)));
            of_origin.filter_map(|held| match held.target {
                Target::Network(network) => Some(network),
                Target::Country(_) | Target::AutonomousSystem(_) => None,
            })
        };
        let ranges = |at| networks(Some(at)).collect::<AddressRanges>();
        let by_origin = self.origins.iter().enumerate().map(|(at, name)| (name.clone(), ranges(at)));
        let (mut countries, mut autonomous_systems) = (BTreeMap::new(), BTreeMap::new());
        for held in &self.held {
            let origin = || Box::<str>::from(self.origin_name(held));
            match held.target {
                Target::Network(_) => {}
                Target::Country(code) => drop(countries.entry(code).or_insert_with(origin)),
                Target::AutonomousSystem(number) => drop(autonomous_systems.entry(number).or_insert_with(origin)),
            }
        }
        Decisions {
            all: networks(None).collect(),
            by_origin: by_origin.filter(|(_, ranges)| !ranges.is_empty()).collect(),
            countries: countries.into_iter().collect(),
            autonomous_systems: autonomous_systems.into_iter().collect(),
        }
    }

    /// How many decisions each origin has.
    pub(crate) fn counts(&self) -> BTreeMap<Box<str>, Counts> {
        let mut counts: BTreeMap<Box<str>, Counts> = BTreeMap::new();
        for held in &self.held {
            let counts = counts.entry(self.origin_name(held).into()).or_default();
            match held.target {
                Target::Network(IpNet::V4(_)) => counts.ipv4 += 1,
                Target::Network(IpNet::V6(_)) => counts.ipv6 += 1,
                Target::Country(_) | Target::AutonomousSystem(_) => counts.places += 1,
            }
        }
        counts
    }

    /// What is known after an answer.
    pub(crate) fn status(&self) -> Status {
        let any = |is: fn(&Target) -> bool| self.held.iter().any(|held| is(&held.target));
        Status {
            trouble: None,
            is_known: true,
            skipped: self.skipped.clone(),
            names_countries: any(|target| matches!(target, Target::Country(_))),
            names_autonomous_systems: any(|target| matches!(target, Target::AutonomousSystem(_))),
        }
    }

    #[cfg(test)]
    fn heap_bytes(&self) -> usize {
        self.held.capacity() * size_of::<Held>()
    }
}

/// What a decision is about, if that is something that can be told of a client.
fn target(decision: &StreamedDecision<'_>) -> Option<Target> {
    let is = |scope: &str| decision.scope.eq_ignore_ascii_case(scope);
    let value = decision.value.trim();
    if is("ip") || is("range") {
        network(value).map(Target::Network)
    } else if is("country") {
        CountryCode::of(value).map(Target::Country)
    } else if is("as") {
        let has_letters = value.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("as"));
        let digits = if has_letters { &value[2..] } else { value };
        digits.parse().ok().filter(|number| *number > 0).map(Target::AutonomousSystem)
    } else {
        None
    }
}

/// A network, or an address. IPv4 in the form of IPv6 is IPv4, as it is with clients.
fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    let network = text.parse::<IpNet>().ok()?;
    let mapped = match network {
        IpNet::V4(_) => None,
        IpNet::V6(of_v6) => of_v6.addr().to_ipv4_mapped().zip(of_v6.prefix_len().checked_sub(96)),
    };
    match mapped {
        Some((address, prefix_len)) => IpNet::new(address.into(), prefix_len).ok().map(|network| network.trunc()),
        None => Some(network.trunc()),
    }
}

fn shown(decision: &StreamedDecision<'_>) -> String {
    let text = format!("{}:{}", decision.scope, decision.value);
    text.chars().filter(|char| !char.is_control()).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    use gangway_model::{ClientPlace, Geography, Judgement, Located, NoGeography, PlaceKind};

    use super::*;

    /// A decision of two hours by `cscli`.
    fn decision(id: i64, scope: &'static str, value: &str) -> StreamedDecision<'static> {
        StreamedDecision {
            id: Some(id),
            duration: "2h0m0s".into(),
            scope: scope.into(),
            value: value.to_owned().into(),
            origin: "cscli".into(),
            simulated: None,
        }
    }

    fn lasting(duration: &'static str, decision: StreamedDecision<'static>) -> StreamedDecision<'static> {
        StreamedDecision { duration: duration.into(), ..decision }
    }

    fn new(new: Vec<StreamedDecision<'static>>) -> StreamAnswer<'static> {
        StreamAnswer { new, deleted: Vec::new() }
    }

    fn deleted(deleted: Vec<StreamedDecision<'static>>) -> StreamAnswer<'static> {
        StreamAnswer { new: Vec::new(), deleted }
    }

    fn judged(ledger: &Ledger, address: &str, geography: &dyn Geography) -> Judgement {
        ledger.decisions().judge(&ClientPlace::new(address.parse().expect("an address"), geography))
    }

    fn is_banned(ledger: &Ledger, address: &str) -> bool {
        judged(ledger, address, &NoGeography) != Judgement::Free
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_decisions_about_one_address_each_ends_by_itself() {
        let start = Instant::now();
        let about = |id, duration| lasting(duration, decision(id, "Ip", "192.0.2.7"));
        let mut ledger = Ledger::of(&new(vec![about(1, "1h"), about(2, "4h")]), start);
        assert!(ledger.change(&new(vec![decision(3, "Range", "192.0.2.0/24")]), start));
        assert!(ledger.change(&deleted(vec![about(2, "-1s")]), start));
        assert!(is_banned(&ledger, "192.0.2.7") && is_banned(&ledger, "192.0.2.8"));
        assert!(!ledger.change(&deleted(vec![about(2, "-4s")]), start), "it is told twice");
        assert!(ledger.change(&deleted(vec![decision(3, "Range", "192.0.2.0/24")]), start));
        assert!(is_banned(&ledger, "192.0.2.7") && !is_banned(&ledger, "192.0.2.8"));
        // The rest ends without a word of the engine.
        assert_eq!(ledger.next_end(), Some(start + Duration::from_secs(3600)));
        assert!(!ledger.expire(start + Duration::from_secs(3599)) && is_banned(&ledger, "192.0.2.7"));
        assert!(ledger.expire(start + Duration::from_secs(3600)) && !is_banned(&ledger, "192.0.2.7"));
        assert_eq!(ledger.next_end(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_that_is_told_again_lasts_as_it_was_told_last() {
        let start = Instant::now();
        let about = |duration| new(vec![lasting(duration, decision(1, "Ip", "192.0.2.7"))]);
        let mut ledger = Ledger::of(&about("1h"), start);
        ledger.change(&about("3h"), start);
        assert!(!ledger.expire(start + Duration::from_secs(3600)), "it was made longer");
        assert_eq!(ledger.held.len(), 1);
    }

    #[tokio::test]
    async fn scopes_are_addresses_networks_countries_and_autonomous_systems() {
        struct Known;
        impl Geography for Known {
            fn country(&self, _: IpAddr) -> Located<CountryCode> {
                CountryCode::of("FR").map_or(Located::Unknown, Located::Known)
            }

            fn autonomous_system(&self, _: IpAddr) -> Located<u32> {
                Located::Known(64_500)
            }
        }
        let banned = |scope, value, address: &str| {
            let ledger = Ledger::of(&new(vec![decision(1, scope, value)]), Instant::now());
            (judged(&ledger, address, &Known), judged(&ledger, address, &NoGeography))
        };
        let cscli = || Judgement::Banned { origin: "cscli".into() };
        for (scope, value, address) in [
            ("Ip", "192.0.2.7", "192.0.2.7"),
            ("ip", "192.0.2.7", "::ffff:192.0.2.7"),
            ("Ip", "::ffff:192.0.2.7", "192.0.2.7"),
            ("Ip", "2001:db8::7", "2001:db8::7"),
            ("Range", "192.0.2.9/24", "192.0.2.255"),
            ("Range", "2001:db8::/32", "2001:db8:ffff::1"),
            ("Range", "::ffff:192.0.2.0/120", "192.0.2.7"),
        ] {
            assert_eq!(banned(scope, value, address), (cscli(), cscli()), "{scope}:{value} {address}");
        }
        for (scope, value, kind) in [
            ("Country", "FR", PlaceKind::Country),
            ("country", "fr", PlaceKind::Country),
            ("AS", "64500", PlaceKind::AutonomousSystem),
            ("as", "AS64500", PlaceKind::AutonomousSystem),
        ] {
            let expected = (cscli(), Judgement::Undecided(kind));
            assert_eq!(banned(scope, value, "198.51.100.1"), expected, "{scope}:{value}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_counted_and_the_rest_is_in_force() {
        let answer = new(vec![
            decision(1, "Username", "ann\n"),
            decision(2, "Ip", "192.0.2.300"),
            decision(3, "Country", "France"),
            decision(4, "AS", "0"),
            lasting("soon", decision(5, "Ip", "192.0.2.5")),
            StreamedDecision { id: None, ..decision(6, "Ip", "192.0.2.6") },
            StreamedDecision { simulated: Some(true), ..decision(7, "Ip", "192.0.2.8") },
            lasting("-3s", decision(8, "Ip", "192.0.2.9")),
            decision(9, "Ip", "192.0.2.7"),
        ]);
        let ledger = Ledger::of(&answer, Instant::now());
        let expected = Skipped { unreadable: 6, example: Some("Username:ann".into()), too_many: 0 };
        assert_eq!((ledger.held.len(), ledger.status().skipped), (1, expected));
        assert!(is_banned(&ledger, "192.0.2.7") && !is_banned(&ledger, "192.0.2.8"));
    }

    #[tokio::test]
    async fn origins_are_told_apart_up_to_a_bound() {
        let origin = |number: i64| match number {
            0 => String::new(),
            number => format!("origin {number}"),
        };
        let of = |number: i64| StreamedDecision {
            origin: origin(number).into(),
            ..decision(number, "Ip", &format!("192.0.2.{number}"))
        };
        let ledger = Ledger::of(&new((0..40).map(of).collect()), Instant::now());
        assert!(ledger.origins.len() <= ORIGINS_MAX, "{:?}", ledger.origins);
        let whose = |address| judged(&ledger, address, &NoGeography);
        assert_eq!(whose("192.0.2.0"), Judgement::Banned { origin: "other".into() });
        assert_eq!(whose("192.0.2.1"), Judgement::Banned { origin: "origin 1".into() });
        assert_eq!(whose("192.0.2.39"), Judgement::Banned { origin: "other".into() });
        assert_eq!(ledger.counts().values().map(|counts| counts.ipv4).sum::<i64>(), 40);
    }

    #[tokio::test]
    async fn fifty_thousand_decisions_take_few_bytes_and_a_larger_number_has_a_bound() {
        const MIB: usize = 1 << 20;
        let v4 = |id: i64| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(id * 4_099).expect("in range"))).to_string();
        let v6 = |id: i64| IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) + ((id as u128) << 40))).to_string();
        for value in [v4 as fn(i64) -> String, v6] {
            let all =
                (0..50_000).map(|id| StreamedDecision { origin: "CAPI".into(), ..decision(id, "Ip", &value(id)) });
            let ledger = Ledger::of(&new(all.collect()), Instant::now());
            let decisions = ledger.decisions();
            let bytes = (ledger.heap_bytes(), decisions.heap_bytes());
            println!("{} KiB held, {} KiB looked up", bytes.0 / 1024, bytes.1 / 1024);
            assert!(bytes.0 + bytes.1 <= 8 * MIB, "{bytes:?}");
            assert!(is_banned(&ledger, &value(49_999)) && !is_banned(&ledger, "203.0.113.7"));
            // Neighbours of addresses that are banned, all over the table.
            let beside = |id: i64| match value(id).parse().expect("an address") {
                IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() + 1)),
                IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() + 1)),
            };
            let clients: Vec<ClientPlace<'_>> =
                (0..1_000).map(|number| ClientPlace::new(beside(number * 49), &NoGeography)).collect();
            let before = Instant::now();
            let banned = clients.iter().filter(|client| decisions.judge(client) != Judgement::Free).count();
            println!("{:?} for a look-up", before.elapsed() / 1_000);
            assert_eq!(banned, 0);
        }
        let many = i64::try_from(DECISIONS_MAX).expect("in range");
        let many = (0..many + 7).map(|id| decision(id, "Ip", "192.0.2.7"));
        let ledger = Ledger::of(&new(many.collect()), Instant::now());
        assert_eq!((ledger.held.len(), ledger.skipped.too_many), (DECISIONS_MAX, 7));
    }
}
