//! What every request of one worker thread shares.

use crate::shared::Shared;
use crate::upstream::retry_budget::RetryBudget;

/// The state of one worker thread.
pub(crate) struct Worker {
    pub(crate) shared: Shared,
    pub(crate) retry_budget: RetryBudget,
}

impl Worker {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared, retry_budget: RetryBudget::new() }
    }
}
