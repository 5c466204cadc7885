//! Names that handshakes ask for although no route lists them: each name is decided once for all handshakes that
//! wait.
//!
//! A handshake calls [`want`](Demand::want) with a name and does what the answer says. The worker that decides
//! [takes](Demand::take) the open questions and [answers](Demand::decide) them.
//!
//! Strangers choose the names, so everything here has a bound: open questions, remembered answers, and the time
//! that a handshake waits. Names beyond a bound are refused.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gangway_publish::Reader;

use crate::notifier::Notifier;

/// The longest that a handshake waits for a certificate, counted from the first handshake for the name. The whole
/// handshake may take ten seconds.
pub const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(8);

/// Names that are not decided yet.
const OPEN_MAX: usize = 512;

/// Names that are remembered, with any decision.
const NAMES_MAX: usize = 4096;

const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The names that handshakes ask for, and their decisions.
#[derive(Debug)]
pub struct Demand {
    names: Mutex<DemandedNames>,
    questions: Notifier,
    decisions: Notifier,
    counts: [AtomicU64; 4],
}

/// The next step of a handshake for a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DemandAnswer {
    /// Ask again after a decision, after a new store, or at this time.
    Wait(Instant),
    /// The name may have a certificate and the wait is over: serve the best one there is.
    Allowed,
    /// It may have none.
    Refused,
}

/// The decision about a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DemandDecision {
    /// It may have a certificate.
    Allowed,
    /// It may have none.
    Refused,
    /// No answer was available, which counts as a refusal for a moment.
    Unknown,
}

/// The number of decisions of each kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DemandCounts {
    /// Names that were permitted.
    pub allowed: u64,
    /// Names that were refused.
    pub refused: u64,
    /// Names for which no answer was available.
    pub unknown: u64,
    /// Names that were refused without a question, since too many were open.
    pub overrun: u64,
}

#[derive(Debug, Default)]
struct DemandedNames {
    entries: HashMap<Box<str>, DemandEntry>,
    /// The number of names that are not decided.
    open: usize,
    /// The last time at which expired entries were removed.
    swept: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct DemandEntry {
    state: DemandState,
    /// The time of the first handshake for the name, or of the decision.
    since: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum DemandState {
    Open,
    /// The question is being asked.
    Taken,
    Allowed,
    /// Allowed, but no certificate is expected soon.
    GivenUp,
    Refused,
    Unknown,
}

impl DemandedNames {
    fn known(&self, name: &str, now: Instant) -> Option<DemandEntry> {
        self.entries.get(name).filter(|entry| entry.is_known(now)).copied()
    }

    fn put(&mut self, name: &str, entry: DemandEntry) {
        let before = self.entries.insert(name.into(), entry);
        self.open -= usize::from(before.is_some_and(|before| before.state.is_open()));
        self.open += usize::from(entry.state.is_open());
    }

    /// Whether a name can be added. Expired entries are removed at most once a second, since that takes longer than
    /// to refuse a name.
    fn has_room(&mut self, now: Instant) -> bool {
        let is_full = |names: &Self| names.entries.len() >= NAMES_MAX || names.open >= OPEN_MAX;
        let is_swept = self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_EVERY);
        if is_full(self) && !is_swept {
            self.swept = Some(now);
            self.entries.retain(|_, entry| entry.is_known(now));
            self.open = self.entries.values().filter(|entry| entry.state.is_open()).count();
        }
        !is_full(self)
    }
}

impl DemandState {
    fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::Taken)
    }

    /// The time for which the state is remembered; after that the name is asked about again.
    fn lifetime(self) -> Duration {
        match self {
            // After this time no handshake waits for the answer any longer.
            Self::Open => HANDSHAKE_WAIT_MAX,
            Self::Taken | Self::Refused => Duration::from_secs(60),
            Self::Allowed | Self::GivenUp => Duration::from_secs(10 * 60),
            Self::Unknown => Duration::from_secs(5),
        }
    }
}

impl Demand {
    /// A demand without any names.
    pub fn new() -> Self {
        Self {
            names: Mutex::default(),
            questions: Notifier::default(),
            decisions: Notifier::default(),
            counts: Default::default(),
        }
    }

    /// Notes that a handshake asks for a normal name, and returns its next step.
    pub fn want(&self, name: &str, now: Instant) -> DemandAnswer {
        let mut names = self.lock();
        if let Some(entry) = names.known(name, now) {
            return entry.answer(now);
        }
        if !names.has_room(now) {
            self.counts[3].fetch_add(1, Ordering::Relaxed);
            return DemandAnswer::Refused;
        }
        let entry = DemandEntry { state: DemandState::Open, since: now };
        names.put(name, entry);
        drop(names);
        self.questions.ring();
        entry.answer(now)
    }

    /// The next step for a name that was asked for before. A name without a timely decision is refused.
    pub fn answer(&self, name: &str, now: Instant) -> DemandAnswer {
        self.lock().known(name, now).map_or(DemandAnswer::Refused, |entry| entry.answer(now))
    }

    /// Takes the oldest question that a handshake still waits for.
    pub fn take(&self, now: Instant) -> Option<Box<str>> {
        let mut names = self.lock();
        let open =
            names.entries.iter_mut().filter(|(_, entry)| entry.state == DemandState::Open && entry.is_known(now));
        let (name, entry) = open.min_by_key(|(_, entry)| entry.since)?;
        entry.state = DemandState::Taken;
        Some(name.clone())
    }

    /// Answers a question that was taken.
    pub fn decide(&self, name: &str, verdict: DemandDecision, now: Instant) {
        let (state, count) = match verdict {
            DemandDecision::Allowed => (DemandState::Allowed, 0),
            DemandDecision::Refused => (DemandState::Refused, 1),
            DemandDecision::Unknown => (DemandState::Unknown, 2),
        };
        self.counts[count].fetch_add(1, Ordering::Relaxed);
        let mut names = self.lock();
        if let Some(entry) = names.entries.get(name).copied() {
            // Handshakes that wait for the certificate have already waited for the answer; their time goes on.
            let since = if verdict == DemandDecision::Allowed { entry.since } else { now };
            names.put(name, DemandEntry { state, since });
        }
        drop(names);
        self.decisions.ring();
    }

    /// Notes that an allowed name will get no certificate soon.
    pub fn give_up(&self, name: &str) {
        if let Some(entry) = self.lock().entries.get_mut(name).filter(|entry| entry.state == DemandState::Allowed) {
            entry.state = DemandState::GivenUp;
        }
        self.decisions.ring();
    }

    /// A reader that wakes when there are questions.
    pub fn questions(&self) -> Reader<()> {
        self.questions.reader()
    }

    /// A reader that wakes after decisions.
    pub fn decisions(&self) -> Reader<()> {
        self.decisions.reader()
    }

    /// The number of decisions so far.
    pub fn counts(&self) -> DemandCounts {
        let [allowed, refused, unknown, overrun] = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        DemandCounts { allowed, refused, unknown, overrun }
    }

    fn lock(&self) -> MutexGuard<'_, DemandedNames> {
        self.names.lock()
    }
}

impl Default for Demand {
    fn default() -> Self {
        Self::new()
    }
}

impl DemandEntry {
    fn is_known(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < self.state.lifetime()
    }

    fn answer(&self, now: Instant) -> DemandAnswer {
        let until = self.since + HANDSHAKE_WAIT_MAX;
        match self.state {
            DemandState::Open | DemandState::Taken | DemandState::Allowed if now < until => DemandAnswer::Wait(until),
            DemandState::Allowed | DemandState::GivenUp => DemandAnswer::Allowed,
            DemandState::Open | DemandState::Taken | DemandState::Refused | DemandState::Unknown => {
                DemandAnswer::Refused
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn a_name_is_asked_about_once_for_all_who_wait() {
        let (demand, now) = (Demand::new(), now());
        let until = DemandAnswer::Wait(now + HANDSHAKE_WAIT_MAX);
        assert_eq!((demand.want("a.example", now), demand.want("a.example", now + SECOND)), (until, until));
        assert_eq!(demand.take(now).as_deref(), Some("a.example"));
        assert_eq!((demand.take(now), demand.want("a.example", now + SECOND)), (None, until));
        demand.decide("a.example", DemandDecision::Allowed, now + SECOND);
        assert_eq!(demand.answer("a.example", now + SECOND), until, "for the certificate");
        assert_eq!(demand.want("a.example", now + HANDSHAKE_WAIT_MAX), DemandAnswer::Allowed);
        assert_eq!(demand.take(now + HANDSHAKE_WAIT_MAX), None);
    }

    #[test]
    fn nobody_waits_for_a_certificate_that_will_not_come() {
        let (demand, now) = (Demand::new(), now());
        demand.want("a.example", now);
        demand.decide("a.example", DemandDecision::Allowed, now);
        demand.give_up("a.example");
        assert_eq!(demand.want("a.example", now + SECOND), DemandAnswer::Allowed);
    }

    #[test]
    fn a_refusal_is_remembered_and_so_is_silence_for_a_moment() {
        for (verdict, remembered) in [(DemandDecision::Refused, 59), (DemandDecision::Unknown, 4)] {
            let (demand, now) = (Demand::new(), now());
            demand.want("a.example", now);
            demand.take(now);
            demand.decide("a.example", verdict, now);
            assert_eq!(demand.want("a.example", now + remembered * SECOND), DemandAnswer::Refused);
            assert_eq!(demand.take(now), None, "nobody is asked meanwhile");
            let later = now + (remembered + 1) * SECOND;
            assert_eq!(demand.want("a.example", later), DemandAnswer::Wait(later + HANDSHAKE_WAIT_MAX));
        }
    }

    #[test]
    fn who_is_not_answered_in_time_is_refused() {
        let (demand, now) = (Demand::new(), now());
        demand.want("a.example", now);
        assert_eq!(demand.answer("a.example", now + HANDSHAKE_WAIT_MAX), DemandAnswer::Refused);
        assert_eq!(demand.take(now + HANDSHAKE_WAIT_MAX), None, "nobody waits for it any more");
        let now = now + HANDSHAKE_WAIT_MAX;
        demand.want("b.example", now);
        assert_eq!(demand.take(now).as_deref(), Some("b.example"));
        assert_eq!(
            demand.want("b.example", now + HANDSHAKE_WAIT_MAX),
            DemandAnswer::Refused,
            "it is being asked still"
        );
    }

    #[test]
    fn a_million_names_take_no_more_room_than_a_few_and_the_next_ones_are_heard_again() {
        let (demand, start) = (Demand::new(), now());
        let mut refused = 0u64;
        for number in 0..1_000_000u32 {
            let now = start + Duration::from_micros(u64::from(number));
            refused += u64::from(demand.want(&format!("n{number}.example"), now) == DemandAnswer::Refused);
            // The decider keeps up with only some of them.
            if number % 1000 == 0
                && let Some(name) = demand.take(now)
            {
                demand.decide(&name, DemandDecision::Refused, now);
            }
            assert!(number % 10_000 != 0 || demand.lock().entries.len() <= NAMES_MAX);
        }
        assert!(demand.lock().open <= OPEN_MAX && demand.counts().overrun == refused);
        assert!(refused > 998_000 && demand.counts().refused == 1000, "{:?}", demand.counts());
        assert!(matches!(demand.want("late.example", start + 20 * SECOND), DemandAnswer::Wait(_)));
    }
}
