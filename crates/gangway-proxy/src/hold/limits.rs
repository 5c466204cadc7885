//! Bounds on the requests that wait for an endpoint: their number and their memory.
//!
//! A waiting request holds its head, and over HTTP/2 the part of its body that fits into the window although nothing
//! reads it. Both are bounded, and one route cannot take all places.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;

/// Requests that may wait at once: a few seconds of a few hundred requests a second.
const WAITING_MAX: usize = 4096;

/// Requests of one route that may wait at once.
const WAITING_OF_ROUTE_MAX: usize = 2048;

/// Bytes that all waiting requests together may hold.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// The waiting requests of the whole process.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    count: AtomicUsize,
    bytes: AtomicUsize,
}

/// One waiting request, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    all: Arc<Waiters>,
    of_route: Arc<AtomicUsize>,
    bytes: usize,
    gauge: IntGauge,
}

impl Waiting {
    /// Takes a place for a request that holds `bytes` of memory. None if enough requests wait already.
    pub(crate) fn begin(
        all: &Arc<Waiters>,
        of_route: &Arc<AtomicUsize>,
        bytes: usize,
        gauge: &IntGauge,
    ) -> Option<Self> {
        gauge.inc();
        let count = all.count.fetch_add(1, Ordering::Relaxed);
        let held = all.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let of_this = of_route.fetch_add(1, Ordering::Relaxed);
        let waiting = Self { all: Arc::clone(all), of_route: Arc::clone(of_route), bytes, gauge: gauge.clone() };
        // If it does not fit, dropping it takes it off the counts again.
        (count < WAITING_MAX && of_this < WAITING_OF_ROUTE_MAX && held <= WAITING_BYTES_MAX).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.count.fetch_sub(1, Ordering::Relaxed);
        self.all.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.of_route.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge() -> IntGauge {
        IntGauge::new("waiting", "waiting").expect("a name")
    }

    #[test]
    fn one_route_cannot_take_all_places() {
        let (all, one, other, gauge) = (Arc::default(), Arc::default(), Arc::default(), gauge());
        let held: Vec<_> = (0..WAITING_OF_ROUTE_MAX).map(|_| Waiting::begin(&all, &one, 10, &gauge)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(Waiting::begin(&all, &one, 10, &gauge).is_none());
        assert!(Waiting::begin(&all, &other, 10, &gauge).is_some());
        drop(held);
        assert!(Waiting::begin(&all, &one, 10, &gauge).is_some());
        assert_eq!((all.count.load(Ordering::Relaxed), all.bytes.load(Ordering::Relaxed), gauge.get()), (0, 0, 0));
    }

    #[test]
    fn what_waits_holds_only_so_much_memory() {
        let (all, one, gauge) = (Arc::default(), Arc::default(), gauge());
        let large = Waiting::begin(&all, &one, WAITING_BYTES_MAX, &gauge);
        assert!(large.is_some());
        assert!(Waiting::begin(&all, &one, 1, &gauge).is_none());
    }
}
