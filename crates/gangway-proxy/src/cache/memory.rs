//! The memory of all caches together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::overload::memory_budget::{MemoryBudget, MemoryLease, MemoryPressure};

/// All caches together take this share of the memory of the process at most, so that it is never theirs that makes it
/// refuse requests.
const SHARE: usize = 4;

/// The memory of all caches together.
#[derive(Clone, Debug)]
pub(crate) struct CacheMemory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    budget: MemoryBudget,
    /// Bytes of all shares.
    taken: AtomicUsize,
}

/// Memory that something in a cache takes, until it is dropped.
#[derive(Debug)]
pub(crate) struct MemoryShare {
    memory: CacheMemory,
    lease: MemoryLease,
}

impl CacheMemory {
    pub(crate) fn new(budget: MemoryBudget) -> Self {
        Self(Arc::new(Inner { budget, taken: AtomicUsize::new(0) }))
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
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.memory.0.taken.fetch_sub(self.lease.bytes(), Ordering::Relaxed);
    }
}
