//! The refusals that a route has answered.

use std::collections::BTreeMap;
use std::time::Duration;

use gangway_model::EndpointKey;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::refusal::{Refusal, Refuted};

/// A refusal of some requests counts as gone when it has stayed away for this long and other requests were answered well:
/// who has fixed it looks within minutes, and who fails again does so within minutes.
const QUIET_TIME: Duration = Duration::from_secs(5 * 60);

/// A refusal of all requests on a route that was answered well before counts after it has lasted for this long: a
/// single bad request may get the same answer.
const STEADY_TIME: Duration = Duration::from_secs(10);

/// What was refused, and by whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Sighting {
    pub(crate) endpoint: EndpointKey,
    /// The URL that was refused, without a path.
    pub(crate) origin: Box<str>,
    /// The host in it.
    pub(crate) host: Box<str>,
}

/// The refusals of one route: one of each kind, so that no client can add to them.
#[derive(Debug, Default)]
pub(crate) struct Sightings(Mutex<BTreeMap<Refusal, Seen>>);

#[derive(Clone, Debug)]
struct Seen {
    sighting: Sighting,
    refuted: Refuted,
    /// Since when it has lasted.
    first: Instant,
    last: Instant,
    /// How many requests of the route had been answered well at the last time.
    well: u64,
}

impl Seen {
    /// Whether it holds, where `well` requests have been answered well by now.
    fn holds(&self, well: u64, now: Instant) -> bool {
        match self.refuted {
            Refuted::ByAnyGoodAnswer => {
                well == self.well && (well == 0 || self.last.duration_since(self.first) >= STEADY_TIME)
            }
            Refuted::ByTime => well == self.well || now.duration_since(self.last) < QUIET_TIME,
        }
    }
}

impl Sightings {
    /// Notes one more, where `well` requests of the route have been answered well so far. Returns whether it holds and did
    /// not hold before. The first sighting is kept as long as the refusal holds.
    pub(crate) fn note(
        &self,
        (refusal, refuted): (Refusal, Refuted),
        sighting: &Sighting,
        well: u64,
        now: Instant,
    ) -> bool {
        let mut all = self.0.lock();
        let known = all.get(&refusal).filter(|seen| seen.sighting.endpoint == sighting.endpoint);
        let held = known.filter(|seen| seen.holds(well, now));
        let lasting = known.filter(|seen| held.is_some() || seen.well == well);
        let seen = Seen {
            sighting: held.map_or(sighting, |seen| &seen.sighting).clone(),
            refuted,
            first: lasting.map_or(now, |seen| seen.first),
            last: now,
            well,
        };
        let is_news = held.is_none() && seen.holds(well, now);
        all.insert(refusal, seen);
        is_news
    }

    /// Those that hold, where `well` requests of the route have been answered well by now.
    pub(crate) fn present(&self, well: u64, now: Instant) -> Vec<(Refusal, Sighting)> {
        let all = self.0.lock();
        let held = all.iter().filter(|(_, seen)| seen.holds(well, now));
        held.map(|(refusal, seen)| (*refusal, seen.sighting.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use gangway_model::Address;

    use super::*;

    fn by(container: &str) -> Sighting {
        let address = Address::Ip([172, 20, 0, 3].into(), 80);
        let endpoint = EndpointKey { container: container.into(), address };
        Sighting { endpoint, origin: "https://app.example.com".into(), host: "app.example.com".into() }
    }

    #[test]
    fn a_refusal_of_some_requests_holds_until_it_has_stayed_away_and_others_are_answered() {
        let (sightings, begin) = (Sightings::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert!(sightings.note((Refusal::FormOfDjango, Refuted::ByTime), &by("app"), 7, begin));
        assert!(!sightings.note((Refusal::FormOfDjango, Refuted::ByTime), &by("app"), 7, at(9)), "it is known");
        let holds = |well, seconds| !sightings.present(well, at(seconds)).is_empty();
        assert!(holds(7, 10) && holds(8, 10), "pages are answered well all the time");
        assert!(holds(7, 100_000), "nobody has asked since");
        assert!(holds(8, 308) && !holds(8, 309));
        assert!(sightings.note((Refusal::FormOfDjango, Refuted::ByTime), &by("app"), 8, at(400)), "it is back");
        assert!(holds(8, 400));
    }

    #[test]
    fn a_refusal_of_all_requests_is_refuted_by_one_good_answer() {
        let (sightings, begin) = (Sightings::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let note = |well, seconds| {
            sightings.note((Refusal::AnyRequestOfAiohttp, Refuted::ByAnyGoodAnswer), &by("ha"), well, at(seconds))
        };
        let holds = |well, seconds| !sightings.present(well, at(seconds)).is_empty();
        assert!(note(0, 0) && holds(0, 0), "the route was never answered well");
        assert!(!holds(1, 1));
        // A bad request on a route that works.
        assert!(!note(1, 2) && !note(1, 3) && !holds(1, 3));
        assert!(!note(2, 30) && !holds(2, 30), "others were answered well between");
        assert!(note(2, 40) && holds(2, 40), "it works no more");
        assert!(!note(2, 50) && holds(2, 1000) && !holds(3, 50));
    }

    #[test]
    fn the_first_address_is_told_as_long_as_the_refusal_holds() {
        let (sightings, now) = (Sightings::default(), Instant::now());
        let other = Sighting { origin: "https://other.example.com".into(), ..by("app") };
        let note = |sighting: &Sighting, at| sightings.note((Refusal::HostOfVite, Refuted::ByTime), sighting, 0, at);
        assert!(note(&by("app"), now) && !note(&other, now + Duration::from_secs(1)));
        assert_eq!(sightings.present(0, now), [(Refusal::HostOfVite, by("app"))]);
    }

    #[test]
    fn another_endpoint_is_news() {
        let (sightings, now) = (Sightings::default(), Instant::now());
        assert!(sightings.note((Refusal::HostOfVite, Refuted::ByTime), &by("old"), 0, now));
        let later = now + Duration::from_secs(1);
        assert!(sightings.note((Refusal::HostOfVite, Refuted::ByTime), &by("new"), 0, later));
        assert_eq!(sightings.present(0, later), [(Refusal::HostOfVite, by("new"))]);
    }
}
