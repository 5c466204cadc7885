//! The count of connections on both sides, over all threads.
//!
//! Connections of clients and to endpoints share one budget of descriptors. It leaves some free: listeners, the engine,
//! certificates and the admin listener go on when clients ask for too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of connections that are open or being opened. Idle ones count.
#[derive(Clone, Debug)]
pub(crate) struct OpenConnections(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    count: AtomicUsize,
    max: usize,
}

/// Counts one connection until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(OpenConnections);

impl OpenConnections {
    pub(crate) fn at_most(max: usize) -> Self {
        Self(Arc::new(Counted { count: AtomicUsize::new(0), max }))
    }

    /// Whether no further connection may be opened.
    pub(crate) fn is_full(&self) -> bool {
        self.0.count.load(Ordering::Relaxed) >= self.0.max
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn count(&self) -> usize {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Counts a connection. None if there are as many as may be.
    pub(crate) fn begin(&self) -> Option<OpenConnection> {
        let before = self.0.count.fetch_add(1, Ordering::Relaxed);
        // If it does not fit, dropping it takes it off the count again.
        let open = OpenConnection(self.clone());
        (before < self.0.max).then_some(open)
    }
}

impl Default for OpenConnections {
    fn default() -> Self {
        Self::at_most(usize::MAX)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_count_until_they_are_dropped_and_have_a_bound() {
        let open = OpenConnections::at_most(2);
        let (one, other) = (open.begin(), open.clone().begin());
        assert!(one.is_some() && other.is_some() && open.is_full());
        assert!(open.begin().is_none());
        drop(one);
        assert!(!open.is_full());
        assert!(open.begin().is_some());
        drop(other);
    }
}
