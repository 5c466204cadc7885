//! What every request of one worker thread shares.

use std::sync::Arc;

use crate::shared::Shared;
use crate::upstream::connector::Connector;
use crate::upstream::retry_budget::RetryBudget;

/// The state of one worker thread.
pub(crate) struct Worker {
    pub(crate) shared: Shared,
    pub(crate) connector: Arc<Connector>,
    pub(crate) retry_budget: RetryBudget,
}

impl Worker {
    pub(crate) fn new(shared: Shared, connector: Arc<Connector>) -> Self {
        Self { shared, connector, retry_budget: RetryBudget::new() }
    }
}
