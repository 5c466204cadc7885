//! Reports failed requests in the log.
//!
//! Failures are logged once a minute for each route and reason. Any client can cause many of them, so the number of
//! lines is bounded.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use gangway_publish::Reader;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::serving_table::{ActiveRoute, ActiveTable};
use crate::upstream::failure_counts::FailureCount;

/// The delay of the first report after a quiet time: more failures of the same kind usually follow.
const SOON: Duration = Duration::from_secs(1);

/// The time between reports.
const EVERY: Duration = Duration::from_secs(60);

/// Lines in one report. The metrics count all failures.
const FAILURES_MAX: usize = 20;

/// Logs failed requests, once a minute for each route and reason.
///
/// A background task for the caller to run: [`FailureLog::run`] makes its future, and another one after a
/// panic.
pub struct FailureLog {
    pub(crate) tables: Reader<ActiveTable>,
    /// Notified after each failed request.
    pub(crate) news: Arc<Notify>,
}

impl FailureLog {
    /// Logs failures as they come.
    pub fn run(&self) -> impl Future<Output = Infallible> + Send + use<> {
        let (tables, news) = (self.tables.clone(), Arc::clone(&self.news));
        async move {
            loop {
                news.notified().await;
                sleep(SOON).await;
                tell(&tables.load_full());
                sleep(EVERY).await;
            }
        }
    }
}

fn tell(table: &ActiveTable) {
    let of_route = |active: &Arc<ActiveRoute>| {
        let id = active.route.id.clone();
        active.state.failures.take().into_iter().map(move |(reason, failure)| (id.clone(), reason, failure))
    };
    let mut failures: Vec<_> = table.routes().iter().flat_map(of_route).collect();
    // The most frequent failures first.
    failures.sort_by(|(a_id, _, a), (b_id, _, b)| b.count.cmp(&a.count).then_with(|| a_id.cmp(b_id)));
    for (route, reason, FailureCount { count, detail }) in failures.iter().take(FAILURES_MAX) {
        tracing::warn!(route = &**route, reason, count, detail, "requests failed");
    }
    if let Some(more) = failures.len().checked_sub(FAILURES_MAX).filter(|more| *more > 0) {
        tracing::warn!(more, "requests failed of more routes than are told at once; the metrics count all");
    }
}
