//! Limits how many requests are sent again.
//!
//! An overloaded application fails more requests the more it gets, and each retry is one more. So only one of five
//! requests may be sent again, and a few a second where there are few requests.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The cost of a retry; each request pays in one.
const COST: i64 = 5;

/// Retries a second that are allowed beside that.
const FLOOR: i64 = 10;

/// Retries that can be saved up: as many requests may fail together when a container is killed.
const SAVED_MAX: i64 = 200;

/// The budget of one thread. It has no lock; an update that is lost between two threads does not matter.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    saved: AtomicI64,
    /// Milliseconds after `epoch` up to which the allowance by time was paid.
    paid_until: AtomicU64,
    epoch: Instant,
}

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self { saved: AtomicI64::new(SAVED_MAX * COST), paid_until: AtomicU64::new(0), epoch: Instant::now() }
    }

    /// Pays in for a request.
    pub(crate) fn pay(&self) {
        let saved = self.saved.load(Ordering::Relaxed);
        if saved < SAVED_MAX * COST {
            self.saved.store(saved + 1, Ordering::Relaxed);
        }
    }

    /// Pays for a retry. Returns whether the budget allowed it.
    pub(crate) fn spend(&self) -> bool {
        let now = self.epoch.elapsed();
        let paid_until = self.paid_until.swap(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let unpaid = now.saturating_sub(Duration::from_millis(paid_until)).as_millis();
        let unpaid = i64::try_from(unpaid).unwrap_or(i64::MAX);
        let floor = unpaid.saturating_mul(FLOOR * COST) / 1000;
        if floor == 0 {
            // The time is too short for a fifth of a retry, so it goes on counting from the last payment.
            self.paid_until.store(paid_until, Ordering::Relaxed);
        }
        let saved = self.saved.load(Ordering::Relaxed).saturating_add(floor).min(SAVED_MAX * COST);
        let left = saved - COST;
        self.saved.store(if left < 0 { saved } else { left }, Ordering::Relaxed);
        left >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &RetryBudget, wanted: i64) -> i64 {
        (0..wanted).map(|_| i64::from(budget.spend())).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_five_may_be_sent_again_and_a_few_a_second() {
        let budget = RetryBudget::new();
        assert_eq!(spent(&budget, 10_000), SAVED_MAX);
        (0..100).for_each(|_| budget.pay());
        assert_eq!(spent(&budget, 10_000), 20);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(spent(&budget, 10_000), 3 * FLOOR);
        tokio::time::advance(Duration::from_secs(3600)).await;
        (0..100_000).for_each(|_| budget.pay());
        assert_eq!(spent(&budget, 10_000), SAVED_MAX);
    }
}
