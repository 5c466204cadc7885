//! What goes wrong with applications is told in the log: which endpoint cannot be reached any more, and how
//! many requests failed.
//!
//! An endpoint is told when its state changes, failures once a minute for each route and reason; whoever is on
//! the web can bring about as many as he likes, so both have a bound.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use gangway_publish::Reader;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::serving_table::{ActiveRoute, ActiveTable};
use crate::upstream::failure_counts::FailureCount;

/// The first failure after a quiet time is told so soon: there are mostly more of its kind.
const SOON: Duration = Duration::from_secs(1);

/// And then what has come together.
const EVERY: Duration = Duration::from_secs(60);

/// Lines about failures in one go; the metrics count all.
const FAILURES_MAX: usize = 20;

/// Logs failed requests, once a minute for each route and reason.
///
/// A background task for the caller to run: [`FailureLog::run`] makes its future, and another one after a
/// panic.
pub struct FailureLog {
    pub(crate) tables: Reader<ActiveTable>,
    /// Wakes it.
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
    // The worst first.
    failures.sort_by(|(a_id, _, a), (b_id, _, b)| b.count.cmp(&a.count).then_with(|| a_id.cmp(b_id)));
    for (route, reason, FailureCount { count, detail }) in failures.iter().take(FAILURES_MAX) {
        tracing::warn!(route = &**route, reason, count, detail, "requests failed");
    }
    if let Some(more) = failures.len().checked_sub(FAILURES_MAX).filter(|more| *more > 0) {
        tracing::warn!(more, "requests failed of more routes than are told at once; the metrics count all");
    }
}
