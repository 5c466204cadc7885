//! How long it took from an event to the table it led to.

use std::collections::VecDeque;
use std::time::Duration;

/// Latencies that are remembered for the quantiles.
const REMEMBERED: usize = 1000;

/// From an event's arrival until the table was in force.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// Tables that came of events so far.
    pub count: u64,
    /// All of it, the engine's time to list its containers included.
    pub whole: Quantiles,
    /// Our share of it: gathering, translating, compiling, publishing.
    pub ours: Quantiles,
}

/// Quantiles over the last thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantiles {
    /// The latest.
    pub last: Duration,
    /// Half were quicker.
    pub median: Duration,
    /// One in a hundred was slower.
    pub p99: Duration,
}

/// Collects.
#[derive(Debug, Default)]
pub(crate) struct LatencyRecorder {
    count: u64,
    whole: VecDeque<Duration>,
    ours: VecDeque<Duration>,
}

impl LatencyRecorder {
    pub(crate) fn add(&mut self, whole: Duration, engine: Duration) {
        self.count += 1;
        for (spread, value) in [(&mut self.whole, whole), (&mut self.ours, whole.saturating_sub(engine))] {
            if spread.len() == REMEMBERED {
                spread.pop_front();
            }
            spread.push_back(value);
        }
    }

    pub(crate) fn summary(&self) -> Latency {
        Latency { count: self.count, whole: spread(&self.whole), ours: spread(&self.ours) }
    }
}

fn spread(values: &VecDeque<Duration>) -> Quantiles {
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
        let mut reactions = LatencyRecorder::default();
        assert_eq!(reactions.summary(), Latency::default());
        reactions.add(millis(9999), millis(0));
        for value in 1..=1000 {
            reactions.add(millis(value + 5), millis(5));
        }
        let Latency { count, whole, ours } = reactions.summary();
        assert_eq!((count, whole.last, whole.median, whole.p99), (1001, millis(1005), millis(505), millis(995)));
        assert_eq!((ours.last, ours.median, ours.p99), (millis(1000), millis(500), millis(990)));
    }
}
