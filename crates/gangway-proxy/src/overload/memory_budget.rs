//! How much memory is in use, and what that asks for.
//!
//! The kernel knows how much the process uses, but asking it costs a system call. So it is asked a few times a second,
//! and in between the bytes are added that buffers, heads and streams have taken since.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The process is measured at once when this share of its bound has come since the last time.
const ARRIVED_SHARE: usize = 32;

/// What the use of memory asks for. Each level includes the ones before.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub(crate) enum MemoryPressure {
    None,
    /// Idle connections are closed.
    CloseIdle,
    /// The connections of the address that holds most are closed.
    CloseHeaviest,
    /// New requests are refused.
    Refuse,
    /// More than the bound is in use all the same.
    Exceeded,
}

/// The memory of the process in relation to its bound.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    limit: usize,
    /// Bytes of all leases.
    leased: AtomicUsize,
    /// Memory of the process beside the leases, when it was last measured. Negative if leases are more than was
    /// touched.
    beside: AtomicI64,
    /// A [`MemoryPressure`] as a number.
    pressure: AtomicU8,
    /// Bytes that came since the last measurement and that something may have kept.
    arrived: AtomicUsize,
    /// Wakes the one that measures before its time.
    wake: Notify,
}

/// Bytes that something in memory takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct MemoryLease {
    budget: MemoryBudget,
    bytes: usize,
}

impl MemoryBudget {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Budget {
            limit,
            leased: AtomicUsize::new(0),
            beside: AtomicI64::new(0),
            pressure: AtomicU8::new(MemoryPressure::None as u8),
            arrived: AtomicUsize::new(0),
            wake: Notify::new(),
        }))
    }

    /// The bytes that the process may use.
    pub(crate) fn limit(&self) -> usize {
        self.0.limit
    }

    pub(crate) fn lease(&self, bytes: usize) -> MemoryLease {
        let leased = self.0.leased.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.judge(leased);
        MemoryLease { budget: self.clone(), bytes }
    }

    /// Notes bytes that have come and are kept for as long as nobody takes them. Their memory is not leased; so if they
    /// are many, the process is measured at once.
    pub(crate) fn arrived(&self, bytes: usize) {
        let before = self.0.arrived.fetch_add(bytes, Ordering::Relaxed);
        let share = self.0.limit / ARRIVED_SHARE;
        if before < share && before.saturating_add(bytes) >= share {
            self.0.wake.notify_one();
        }
    }

    /// Waits until the process should be measured before its time.
    pub(crate) async fn should_be_measured(&self) {
        self.0.wake.notified().await;
    }

    /// Takes in a measurement of the whole process.
    pub(crate) fn measured(&self, resident: usize) -> MemoryPressure {
        self.0.arrived.store(0, Ordering::Relaxed);
        let leased = self.0.leased.load(Ordering::Relaxed);
        self.0.beside.store(signed(resident) - signed(leased), Ordering::Relaxed);
        self.judge(leased);
        self.pressure()
    }

    /// Bytes of all leases.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn leased(&self) -> usize {
        self.0.leased.load(Ordering::Relaxed)
    }

    pub(crate) fn pressure(&self) -> MemoryPressure {
        match self.0.pressure.load(Ordering::Relaxed) {
            0 => MemoryPressure::None,
            1 => MemoryPressure::CloseIdle,
            2 => MemoryPressure::CloseHeaviest,
            3 => MemoryPressure::Refuse,
            _ => MemoryPressure::Exceeded,
        }
    }

    /// Whether there is memory for what is of use and not needed: less than half of the bound is in use.
    pub(crate) fn is_plentiful(&self) -> bool {
        self.used(self.0.leased.load(Ordering::Relaxed)) < self.0.limit / 2
    }

    fn used(&self, leased: usize) -> usize {
        let used = self.0.beside.load(Ordering::Relaxed).saturating_add(signed(leased));
        usize::try_from(used).unwrap_or(0)
    }

    /// Whether nothing new may be begun.
    pub(crate) fn is_used_up(&self) -> bool {
        self.pressure() >= MemoryPressure::Refuse
    }

    /// Finds out what the use of memory asks for. More than before is not left for the next measurement to notice.
    fn judge(&self, leased: usize) {
        let used = self.used(leased);
        let of_limit = |percent: usize| used > self.0.limit / 100 * percent;
        let pressure = match () {
            () if of_limit(100) => MemoryPressure::Exceeded,
            () if of_limit(95) => MemoryPressure::Refuse,
            () if of_limit(90) => MemoryPressure::CloseHeaviest,
            () if of_limit(80) => MemoryPressure::CloseIdle,
            () => MemoryPressure::None,
        };
        let before = self.0.pressure.swap(pressure as u8, Ordering::Relaxed);
        if before < pressure as u8 {
            self.0.wake.notify_one();
        }
    }
}

impl MemoryLease {
    /// Takes more bytes.
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes;
        let leased = self.budget.0.leased.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.budget.judge(leased);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        let before = self.budget.0.leased.fetch_sub(self.bytes, Ordering::Relaxed);
        // Nothing is judged while there is room.
        if self.budget.pressure() != MemoryPressure::None {
            self.budget.judge(before.saturating_sub(self.bytes));
        }
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn much_that_has_come_asks_for_a_measurement_and_so_does_more_pressure() {
        let cx = &mut Context::from_waker(Waker::noop());
        let budget = MemoryBudget::new(3200);
        let mut wanted = || pin!(budget.should_be_measured()).poll(cx).is_ready();
        assert!(!wanted());
        budget.arrived(99);
        assert!(!wanted());
        budget.arrived(1);
        assert!(wanted() && !wanted(), "once");
        budget.arrived(1000);
        assert!(!wanted(), "it was asked for already");
        budget.measured(0);
        budget.arrived(100);
        assert!(wanted());
        let lease = budget.lease(3000);
        assert!(wanted());
        drop(lease);
        assert!(!wanted(), "less pressure is no hurry");
    }

    #[test]
    fn memory_is_plentiful_up_to_half_of_the_bound() {
        let budget = MemoryBudget::new(1000);
        budget.measured(400);
        assert!(budget.is_plentiful());
        let lease = budget.lease(100);
        assert!(!budget.is_plentiful());
        drop(lease);
        assert!(budget.is_plentiful());
    }

    #[test]
    fn pressure_follows_measurements_and_what_was_taken_since() {
        let budget = MemoryBudget::new(1000);
        assert_eq!(budget.measured(500), MemoryPressure::None);
        let first = budget.lease(310);
        assert_eq!(budget.pressure(), MemoryPressure::CloseIdle);
        let second = budget.lease(100);
        assert_eq!(budget.pressure(), MemoryPressure::CloseHeaviest);
        let third = budget.lease(60);
        assert_eq!(budget.pressure(), MemoryPressure::Refuse);
        assert!(budget.is_used_up());
        let fourth = budget.lease(40);
        assert_eq!(budget.pressure(), MemoryPressure::Exceeded);
        assert!(budget.is_used_up());
        drop((third, fourth));
        assert!(!budget.is_used_up());
        assert_eq!(budget.pressure(), MemoryPressure::CloseHeaviest);
        drop(second);
        // The leases were never touched, so the process is smaller than their sum.
        assert_eq!(budget.measured(600), MemoryPressure::None);
        drop(first);
        assert_eq!(budget.pressure(), MemoryPressure::None);
    }
}
