//! The count of connections to endpoints, over all threads.
//!
//! Connections of both sides share one budget of descriptors, so whoever watches over that budget has to know how
//! many there are on this side. Idle ones count.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of connections to endpoints that are open or being opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenConnections(Arc<AtomicUsize>);

/// Counts one connection until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<AtomicUsize>);

impl OpenConnections {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self) -> OpenConnection {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(&self.0))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_until_it_is_dropped() {
        let open = OpenConnections::default();
        let (one, other) = (open.begin(), open.clone().begin());
        assert_eq!(open.count(), 2);
        drop((one, other));
        assert_eq!(open.count(), 0);
    }
}
