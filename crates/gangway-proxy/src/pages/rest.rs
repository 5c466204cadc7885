//! Until when a page service is not asked that was silent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How long a service is not asked that was silent, so that not every client waits for it in vain.
pub(crate) const REST: Duration = Duration::from_secs(2);

/// Until when a service is not asked.
#[derive(Debug)]
pub(crate) struct Rest {
    begun: Instant,
    /// In milliseconds since then.
    until: AtomicU64,
}

impl Default for Rest {
    fn default() -> Self {
        Self { begun: Instant::now(), until: AtomicU64::new(0) }
    }
}

impl Rest {
    pub(super) fn is_going_on(&self) -> bool {
        self.until.load(Ordering::Relaxed) > self.now()
    }

    pub(super) fn begin(&self) {
        let rest = u64::try_from(REST.as_millis()).unwrap_or(u64::MAX);
        self.until.store(self.now().saturating_add(rest), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_service_that_was_silent_rests_for_a_while() {
        let rest = Rest::default();
        assert!(!rest.is_going_on());
        rest.begin();
        assert!(rest.is_going_on());
        tokio::time::advance(REST).await;
        assert!(!rest.is_going_on());
    }
}
