//! Requests that clients have under way at a route.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

use ahash::{HashMap, RandomState};
use parking_lot::Mutex;

/// Threads that serve at the same time seldom meet in a shard.
const SHARDS: u64 = 64;

/// The counts of all clients that have requests under way. Others take no memory.
#[derive(Debug)]
pub(crate) struct ConcurrencyCounts {
    shards: Box<[Mutex<HashMap<u64, u32>>]>,
    keys: RandomState,
}

/// One request under way, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct ConcurrencyPermit {
    counts: Arc<ConcurrencyCounts>,
    key: u64,
}

impl ConcurrencyCounts {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), keys: RandomState::new() }
    }

    /// Counts a request. None if its client has `max` under way already.
    pub(crate) fn begin(self: &Arc<Self>, key: &impl Hash, max: NonZeroU32) -> Option<ConcurrencyPermit> {
        let key = self.keys.hash_one(key);
        let mut counts = self.shard(key).lock();
        let count = counts.entry(key).or_default();
        if *count >= max.get() {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(ConcurrencyPermit { counts: Arc::clone(self), key })
    }

    fn shard(&self, key: u64) -> &Mutex<HashMap<u64, u32>> {
        &self.shards[usize::try_from(key % SHARDS).unwrap_or(0)]
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        let mut counts = self.counts.shard(self.key).lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_and_gets_its_place_back() {
        let counts = Arc::new(ConcurrencyCounts::new());
        let two = NonZeroU32::new(2).expect("two");
        let first = counts.begin(&"ann", two);
        let second = counts.begin(&"ann", two);
        assert!(first.is_some() && second.is_some() && counts.begin(&"ann", two).is_none());
        assert!(counts.begin(&"bob", two).is_some());
        drop(first);
        let third = counts.begin(&"ann", two);
        assert!(third.is_some() && counts.begin(&"ann", two).is_none());
        drop((second, third));
        assert!(counts.shards.iter().all(|shard| shard.lock().is_empty()), "nothing is kept of clients that have left");
    }
}
