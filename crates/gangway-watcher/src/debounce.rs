//! How soon after an event the next reading begins.
//!
//! The first event after a quiet time is acted upon at once, and so are the next few, because the important one is
//! rarely the first: before a start comes the event of its network. If events go on, they are gathered for a moment, and
//! if they go on for longer, for longer.

use std::time::Duration;

use tokio::time::Instant;

/// Number of readings that may follow each other without a pause. A start has two events, a restart five.
const BURST: u32 = 3;

/// How long events are gathered once the burst is used up.
const GATHER: Duration = Duration::from_millis(100);

/// How long events are gathered at most, in a storm that does not end. An engine with a thousand containers needs most
/// of that time to list them.
const GATHER_STORM: Duration = Duration::from_secs(1);

/// After this many readings in a row that had to wait, a burst counts as a storm.
const STORM_AFTER: u32 = 4;

/// A time without events of at least this length counts as quiet.
const QUIET: Duration = Duration::from_millis(250);

/// Decides when readings may begin. Time is an argument; nothing here waits.
#[derive(Debug)]
pub(crate) struct Debounce {
    /// Number of readings that may begin at once.
    allowed: u32,
    /// Since when the next allowed reading is earned.
    counted: Instant,
    gather: Duration,
    /// Number of readings in a row after which none was allowed at once.
    waited: u32,
    last_event: Option<Instant>,
}

impl Debounce {
    pub(crate) fn new(now: Instant) -> Self {
        Self { allowed: BURST, counted: now, gather: GATHER, waited: 0, last_event: None }
    }

    /// Takes note of an event.
    pub(crate) fn event(&mut self, now: Instant) {
        let quiet = self.last_event.is_none_or(|last| now.saturating_duration_since(last) >= QUIET);
        if quiet && now.saturating_duration_since(self.counted) >= GATHER {
            *self = Self::new(now);
        }
        self.last_event = Some(now);
    }

    /// When a reading may begin. This may be in the past.
    pub(crate) fn ready(&self) -> Instant {
        if self.allowed > 0 { self.counted } else { self.counted + self.gather }
    }

    /// Takes note that a reading begins because of an event.
    pub(crate) fn begin(&mut self, now: Instant) {
        while self.allowed < BURST && now.saturating_duration_since(self.counted) >= self.gather {
            self.allowed += 1;
            self.counted += self.gather;
        }
        if self.allowed == BURST {
            self.counted = now;
        }
        self.allowed = self.allowed.saturating_sub(1);
        if self.allowed > 0 {
            self.waited = 0;
            return;
        }
        self.waited += 1;
        if self.waited >= STORM_AFTER {
            self.gather = (self.gather * 2).min(GATHER_STORM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When readings begin for events at these times, each reading taking `took`.
    fn readings(events: impl IntoIterator<Item = u64>, took: u64) -> Vec<u64> {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut debounce = Debounce::new(start);
        let mut events = events.into_iter().peekable();
        let (mut begun, mut pending, mut free) = (Vec::new(), false, 0);
        for now in 0..100_000 {
            while events.next_if_eq(&now).is_some() {
                debounce.event(at(now));
                pending = true;
            }
            if pending && now >= free && debounce.ready() <= at(now) {
                debounce.begin(at(now));
                begun.push(now);
                (pending, free) = (false, now + took);
            }
        }
        begun
    }

    #[test]
    fn a_start_is_read_at_once_although_its_network_came_first() {
        assert_eq!(readings([1000, 1009], 5), [1000, 1009]);
        assert_eq!(readings([1000, 1149, 5000, 5149], 7), [1000, 1149, 5000, 5149]);
    }

    #[test]
    fn a_restart_is_read_without_delay() {
        // The times of Docker of 2026 and of 2020.
        assert_eq!(readings([90, 90, 91, 196, 207, 207], 7).last(), Some(&207));
        assert_eq!(readings([16, 61, 64, 70, 237, 237], 7).last(), Some(&237));
    }

    #[test]
    fn what_happens_during_a_reading_is_read_again() {
        assert_eq!(readings([1000, 1003], 7), [1000, 1007]);
    }

    #[test]
    fn a_burst_is_gathered_for_a_tenth_of_a_second() {
        let begun = readings((1000..1300).step_by(5), 7);
        assert_eq!(begun[..3], [1000, 1007, 1014], "{begun:?}");
        for pair in begun[2..].windows(2) {
            assert!(pair[1] - pair[0] <= 100, "{begun:?}");
        }
    }

    #[test]
    fn a_long_storm_costs_few_readings_and_its_last_event_is_read_soon() {
        let begun = readings((1000..11_000).step_by(5), 50);
        assert!(begun.len() <= 20, "{}: {begun:?}", begun.len());
        assert!((10_995..=11_995).contains(begun.last().unwrap()), "{begun:?}");
    }

    #[test]
    fn after_a_storm_the_first_event_is_read_at_once() {
        let begun = readings((1000..11_000).step_by(5).chain([13_000, 13_009]), 7);
        assert_eq!(begun[begun.len() - 2..], [13_000, 13_009]);
    }
}
