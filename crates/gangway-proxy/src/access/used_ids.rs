//! Remembers ids that must not count again, for as long as they could.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

/// Ids at once. Each is a log-in or a log-out of the last while, so more than a busy company has.
pub(super) const IDS_MAX: usize = 65_536;

/// Ids with the second at which each may be forgotten.
#[derive(Debug)]
pub(super) struct UsedIds<T>(Mutex<HashMap<T, u64>>);

impl<T> Default for UsedIds<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone + Eq + Hash> UsedIds<T> {
    /// Remembers an id. False if it was known, or if there is no room.
    pub(super) fn insert(&self, id: &T, until: u64, now: u64) -> bool {
        let mut ids = self.0.lock();
        if ids.len() >= IDS_MAX {
            ids.retain(|_, until| now < *until);
        }
        let is_new = ids.len() < IDS_MAX && !ids.contains_key(id);
        if is_new {
            ids.insert(id.clone(), until);
        }
        is_new
    }

    pub(super) fn has(&self, id: &T) -> bool {
        self.0.lock().contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_and_the_memory_is_bounded() {
        let ids = UsedIds::default();
        assert!(ids.insert(&0, 10, 5) && !ids.insert(&0, 10, 5) && ids.has(&0) && !ids.has(&1));
        assert!((1..IDS_MAX).all(|id| ids.insert(&id, 20, 5)));
        assert!(!ids.insert(&IDS_MAX, 20, 9), "closed on doubt");
        assert!(ids.insert(&IDS_MAX, 20, 10) && !ids.has(&0), "what can no longer count makes room");
    }
}
