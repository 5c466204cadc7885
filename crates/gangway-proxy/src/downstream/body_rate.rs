//! The least rate at which the body of a request has to come, in every version of HTTP.
//!
//! The time that a client may still keep us waiting is an allowance. It begins with a grace time, each byte adds to
//! it, and waiting uses it up.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Limits;

/// The most that a client can save up by sending quickly. Without this bound, 10 MB would buy hours of silence.
const ALLOWANCE_MAX: Duration = Duration::from_secs(60);

/// Accounts for the time that one body keeps us waiting.
#[derive(Debug)]
pub(crate) struct BodyRate {
    /// The least bytes a second.
    rate: u64,
    allowance: Duration,
    allowance_max: Duration,
    /// Since when nothing is there to read. The time in which nobody reads is not counted.
    waiting_since: Option<Instant>,
}

impl BodyRate {
    /// The rule for a body that begins now.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            rate: limits.body_rate,
            allowance: limits.body_grace,
            allowance_max: ALLOWANCE_MAX.max(limits.body_grace),
            waiting_since: None,
        }
    }

    /// The least bytes a second.
    pub(crate) fn rate(&self) -> u64 {
        self.rate
    }

    /// Notes that bytes of the body were read.
    pub(crate) fn received(&mut self, len: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.allowance = self.allowance.saturating_sub(since.elapsed());
        }
        if self.allowance < self.allowance_max {
            let len = u64::try_from(len).unwrap_or(u64::MAX);
            let earned = Duration::from_micros(len.saturating_mul(1_000_000) / self.rate.max(1));
            self.allowance = self.allowance.saturating_add(earned).min(self.allowance_max);
        }
    }

    /// Notes that nothing is there to read, and returns when the client's time is over.
    pub(crate) fn wait(&mut self) -> Instant {
        *self.waiting_since.get_or_insert_with(Instant::now) + self.allowance
    }

    /// Notes that nothing is waited for any more, although nothing came.
    pub(crate) fn pause(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.allowance = self.allowance.saturating_sub(since.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds_left(rate: &mut BodyRate) -> u64 {
        rate.wait().saturating_duration_since(Instant::now()).as_secs()
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_paid_for_by_its_bytes_and_not_charged_for_our_own_pauses() {
        let mut rate = BodyRate::new(&Limits::default());
        pass(60).await;
        assert_eq!(seconds_left(&mut rate), 10);
        pass(9).await;
        assert_eq!(seconds_left(&mut rate), 1);
        rate.received(5 * 1024);
        pass(60).await;
        assert_eq!(seconds_left(&mut rate), 6);
        pass(2).await;
        rate.pause();
        pass(60).await;
        assert_eq!(seconds_left(&mut rate), 4);
        pass(4).await;
        assert!(rate.wait() <= Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn quick_bytes_do_not_buy_hours() {
        let mut rate = BodyRate::new(&Limits::default());
        rate.received(10 << 20);
        assert_eq!(seconds_left(&mut rate), 60);
    }
}
