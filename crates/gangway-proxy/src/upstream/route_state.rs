//! What is known about routes beside the table: it outlives every swap.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use ahash::HashMap;

use crate::hold::release::ReleaseQueue;
use crate::upstream::failure_counts::FailureCounts;

/// The living side of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteState {
    /// Requests that wait for an endpoint.
    pub(crate) waiting: Arc<AtomicUsize>,
    /// Where they go on.
    pub(crate) release_queue: ReleaseQueue,
    /// Requests that failed and were not told yet.
    pub(crate) failures: FailureCounts,
    /// Whose turn it is, with `round-robin`.
    pub(crate) turn: AtomicUsize,
}

/// Every route's state by its id.
#[derive(Debug, Default)]
pub(crate) struct RouteStates {
    by_id: HashMap<Box<str>, Arc<RouteState>>,
}

impl RouteStates {
    /// Hands out a state for the next table: the known one, or a new one. Those asked for no more are
    /// forgotten with `self`.
    pub(crate) fn carry_over(&self, next: &mut Self, id: &str) -> Arc<RouteState> {
        let state = self.by_id.get(id).cloned().unwrap_or_default();
        next.insert(id, Arc::clone(&state));
        state
    }

    pub(crate) fn insert(&mut self, id: &str, state: Arc<RouteState>) {
        self.by_id.insert(id.into(), state);
    }
}
