//! How long it takes from an event to the table that answers it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The quantiles are over this many of the latest measurements.
const REMEMBERED_MAX: usize = 1000;

/// Measurements of one engine: from the arrival of an event until the table that answers it was published.
///
/// A handle: clones share their measurements. Quantiles are computed when [`Self::summary`] is called and not with
/// each measurement, because the compile loop turns far more often than anything reads the figures.
#[derive(Clone, Debug, Default)]
pub struct Latency(Arc<Mutex<Measurements>>);

/// The figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LatencySummary {
    /// Tables that were published because of an event.
    pub count: u64,
    /// The whole time, with the engine's time to list its containers.
    pub whole: Quantiles,
    /// Gangway's share of it: gathering events, translating, compiling and publishing.
    pub ours: Quantiles,
}

/// Quantiles over the latest thousand measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantiles {
    /// The latest measurement.
    pub last: Duration,
    /// Half of the measurements were shorter.
    pub median: Duration,
    /// One measurement in a hundred was longer.
    pub p99: Duration,
}

#[derive(Debug, Default)]
struct Measurements {
    count: u64,
    whole: VecDeque<Duration>,
    ours: VecDeque<Duration>,
}

impl Latency {
    /// Adds one measurement, of which `engine` is the engine's share.
    pub(crate) fn record(&self, whole: Duration, engine: Duration) {
        let mut measurements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measurements.count += 1;
        push(&mut measurements.whole, whole);
        push(&mut measurements.ours, whole.saturating_sub(engine));
    }

    /// Computes the quantiles of the measurements so far.
    pub fn summary(&self) -> LatencySummary {
        let measurements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        LatencySummary {
            count: measurements.count,
            whole: quantiles(&measurements.whole),
            ours: quantiles(&measurements.ours),
        }
    }
}

fn push(values: &mut VecDeque<Duration>, value: Duration) {
    if values.len() == REMEMBERED_MAX {
        values.pop_front();
    }
    values.push_back(value);
}

fn quantiles(values: &VecDeque<Duration>) -> Quantiles {
    let mut sorted: Vec<_> = values.iter().copied().collect();
    sorted.sort_unstable();
    let at = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    Quantiles {
        last: values.back().copied().unwrap_or_default(),
        median: at(50).unwrap_or_default(),
        p99: at(99).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_latest_and_the_engine_is_taken_off() {
        let millis = Duration::from_millis;
        let latency = Latency::default();
        assert_eq!(latency.summary(), LatencySummary::default());
        latency.record(millis(9999), millis(0));
        for value in 1..=1000 {
            latency.record(millis(value + 5), millis(5));
        }
        let LatencySummary { count, whole, ours } = latency.summary();
        assert_eq!((count, whole.last, whole.median, whole.p99), (1001, millis(1005), millis(505), millis(995)));
        assert_eq!((ours.last, ours.median, ours.p99), (millis(1000), millis(500), millis(990)));
    }
}
