//! Limits the log of an event that other processes can cause at will: one line a minute, with the number of times.

use std::time::Duration;

use tokio::time::Instant;

/// The pause between two lines.
const PAUSE: Duration = Duration::from_secs(60);

/// Counts the events that were not logged.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    last: Option<Instant>,
    unlogged: u64,
}

impl LogLimit {
    /// Counts one more event. Returns the number of events since the last line if it is time for a line.
    pub(super) fn count(&mut self, now: Instant) -> Option<u64> {
        self.unlogged += 1;
        if self.last.is_some_and(|last| now < last + PAUSE) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_a_line_a_minute() {
        let (mut limit, begun) = (LogLimit::default(), Instant::now());
        assert_eq!(limit.count(begun), Some(1), "the first is logged at once");
        let lines: Vec<_> = (0..200_000).filter_map(|at| limit.count(begun + Duration::from_millis(at))).collect();
        assert_eq!(lines, [60_001, 60_000, 60_000]);
    }
}
