//! What happens as often as others like is logged once a minute, with how often it did.

use std::time::Duration;

use tokio::time::Instant;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(60);

/// Counts what was not logged.
#[derive(Debug, Default)]
pub(super) struct Tally {
    last: Option<Instant>,
    unsaid: u64,
}

impl Tally {
    /// It happened once more. How often since the last line, where it is time for one.
    pub(super) fn count(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.last.is_some_and(|last| now < last + PAUSE) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_a_line_a_minute() {
        let (mut tally, begun) = (Tally::default(), Instant::now());
        assert_eq!(tally.count(begun), Some(1), "the first is said at once");
        let lines: Vec<_> = (0..200_000).filter_map(|at| tally.count(begun + Duration::from_millis(at))).collect();
        assert_eq!(lines, [60_001, 60_000, 60_000]);
    }
}
