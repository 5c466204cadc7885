//! The state of routes, which outlives every table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use ahash::HashMap;

use crate::app_hints::sightings::Sightings;
use crate::hold::release::ReleaseQueue;
use crate::upstream::failure_counts::FailureCounts;

/// The state of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteState {
    /// Releases waiting requests.
    pub(crate) release_queue: ReleaseQueue,
    /// Failed requests that were not logged yet.
    pub(crate) failures: FailureCounts,
    /// The next turn of `round-robin`.
    pub(crate) turn: AtomicUsize,
    /// Whether the log tells of a protocol that clients want to switch to and that no label allows.
    pub(crate) is_upgrade_reported: AtomicBool,
    /// What its application refuses because of a setting of its own.
    pub(crate) refusals: Sightings,
}

/// The states of all routes, by id.
#[derive(Debug, Default)]
pub(crate) struct RouteStates {
    by_id: HashMap<Box<str>, Arc<RouteState>>,
}

impl RouteStates {
    /// Returns the state for a route of the next table: the known one, or a new one. States that no route asks for
    /// are forgotten with `self`.
    pub(crate) fn carry_over(&self, next: &mut Self, id: &str) -> Arc<RouteState> {
        let state = self.by_id.get(id).cloned().unwrap_or_default();
        next.insert(id, Arc::clone(&state));
        state
    }

    pub(crate) fn insert(&mut self, id: &str, state: Arc<RouteState>) {
        self.by_id.insert(id.into(), state);
    }
}
