//! All caches, to be emptied when memory runs short.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::cache::memory::CacheMemory;
use crate::cache::store::RouteCache;
use crate::overload::memory_budget::MemoryBudget;

/// How often answers are looked for that are of no use any more.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The caches of all routes that are in use.
#[derive(Clone, Debug)]
pub(crate) struct CacheRegistry {
    pub(crate) memory: CacheMemory,
    caches: Arc<Mutex<Vec<Weak<RouteCache>>>>,
    next_sweep: Arc<Mutex<Option<Instant>>>,
}

impl CacheRegistry {
    pub(crate) fn new(budget: MemoryBudget) -> Self {
        Self { memory: CacheMemory::new(budget), caches: Arc::default(), next_sweep: Arc::default() }
    }

    pub(crate) fn add(&self, cache: &Arc<RouteCache>) {
        let mut caches = self.caches.lock();
        caches.retain(|known| known.strong_count() > 0);
        caches.push(Arc::downgrade(cache));
    }

    /// Empties all caches. Returns whether anything was there.
    pub(crate) fn clear(&self) -> bool {
        if self.memory.taken() == 0 {
            return false;
        }
        self.caches().iter().for_each(|cache| cache.clear());
        true
    }

    /// Drops answers that are of no use any more, now and then.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let mut next = self.next_sweep.lock();
        if next.is_some_and(|next| now < next) {
            return;
        }
        *next = Some(now + SWEEP_EVERY);
        drop(next);
        self.caches().iter().for_each(|cache| cache.sweep(now));
    }

    fn caches(&self) -> Vec<Arc<RouteCache>> {
        self.caches.lock().iter().filter_map(Weak::upgrade).collect()
    }
}
