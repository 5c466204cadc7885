//! The memory of all caches together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache::store::RouteCache;
use crate::overload::memory_budget::{MemoryBudget, MemoryLease, MemoryPressure};

/// All caches together take this share of the memory of the process at most, so that it is never theirs that makes it
/// refuse requests.
const SHARE: usize = 4;

/// How often answers are looked for that are of no use any more.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The memory of all caches together.
#[derive(Clone, Debug)]
pub(crate) struct CacheMemory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget: MemoryBudget,
    /// Bytes of all shares.
    taken: AtomicUsize,
    caches: Mutex<Vec<Weak<RouteCache>>>,
    next_sweep: Mutex<Option<Instant>>,
}

/// Memory that something in a cache takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct MemoryShare {
    memory: CacheMemory,
    lease: MemoryLease,
}

impl CacheMemory {
    pub(crate) fn new(budget: MemoryBudget) -> Self {
        let inner =
            Inner { budget, taken: AtomicUsize::new(0), caches: Mutex::default(), next_sweep: Mutex::default() };
        Self(Arc::new(inner))
    }

    /// The most that all caches may take.
    pub(crate) fn max(&self) -> usize {
        self.0.budget.limit() / SHARE
    }

    /// Takes memory; none if there is no room, or if memory runs short.
    pub(crate) fn share(&self, bytes: usize) -> Option<MemoryShare> {
        if self.0.budget.pressure() != MemoryPressure::None {
            return None;
        }
        let room = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.max());
        self.0.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).ok()?;
        Some(MemoryShare { memory: self.clone(), lease: self.0.budget.lease(bytes) })
    }

    /// Bytes that all caches take.
    pub(crate) fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, cache: &Arc<RouteCache>) {
        let mut caches = self.0.caches.lock();
        caches.retain(|known| known.strong_count() > 0);
        caches.push(Arc::downgrade(cache));
    }

    /// Empties all caches. Returns whether anything was there.
    pub(crate) fn clear(&self) -> bool {
        if self.taken() == 0 {
            return false;
        }
        self.caches().iter().for_each(|cache| cache.clear());
        true
    }

    /// Drops answers that are of no use any more, now and then.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut next = self.0.next_sweep.lock();
        if next.is_some_and(|next| now < next) {
            return;
        }
        *next = Some(now + SWEEP_EVERY);
        drop(next);
        self.caches().iter().for_each(|cache| cache.sweep(now));
    }

    fn caches(&self) -> Vec<Arc<RouteCache>> {
        self.0.caches.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.memory.0.taken.fetch_sub(self.lease.bytes(), Ordering::Relaxed);
    }
}
