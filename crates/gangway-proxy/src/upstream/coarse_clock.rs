//! The time as the last sweep of a thread read it: enough for idle times, and free to read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Milliseconds since the clock was made, as of the last [`CoarseClock::set`].
#[derive(Clone, Debug)]
pub(crate) struct CoarseClock {
    begin: Instant,
    millis: Arc<AtomicU64>,
}

impl CoarseClock {
    /// A clock that begins above 0, so that 0 can stand for "never".
    pub(crate) fn new() -> Self {
        Self { begin: Instant::now(), millis: Arc::new(AtomicU64::new(1)) }
    }

    pub(crate) fn millis(&self) -> u64 {
        self.millis.load(Ordering::Relaxed)
    }

    /// Sets the clock to the current time.
    pub(crate) fn set(&self) {
        let millis = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis.saturating_add(1), Ordering::Relaxed);
    }
}
