//! What goes wrong with applications is told in the log: which endpoint cannot be reached any more, and how
//! many requests failed.
//!
//! An endpoint is told when its state changes, failures once a minute for each route and reason; whoever is on
//! the web can bring about as many as he likes, so both have a bound.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gangway_publish::Reader;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::active::{ActiveRoute, ActiveTable};
use crate::endpoint::EndpointState;

/// The first failure after a quiet time is told so soon: there are mostly more of its kind.
const SOON: Duration = Duration::from_secs(1);

/// And then what has come together.
const EVERY: Duration = Duration::from_secs(60);

/// Lines about failures in one go; the metrics count all.
const FAILURES_MAX: usize = 20;

/// Lines about endpoints in [`CHANGES_TIME`]; `gangway routes` shows all.
const CHANGES_MAX: u32 = 50;
const CHANGES_TIME: Duration = Duration::from_secs(10);

/// Requests of one route that failed and were not told yet, by reason token.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<BTreeMap<&'static str, Failure>>);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Failure {
    count: u64,
    /// Of the first.
    detail: String,
}

impl Failures {
    /// Takes note of one.
    pub(crate) fn note(&self, reason: &'static str, detail: &str) {
        let mut all = self.locked();
        let failure = all.entry(reason).or_insert_with(|| Failure { count: 0, detail: detail.to_owned() });
        failure.count += 1;
    }

    fn take(&self) -> BTreeMap<&'static str, Failure> {
        std::mem::take(&mut *self.locked())
    }

    /// Held for a few instructions, and by requests that failed only.
    fn locked(&self) -> MutexGuard<'_, BTreeMap<&'static str, Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

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
    for (route, reason, Failure { count, detail }) in failures.iter().take(FAILURES_MAX) {
        tracing::warn!(route = &**route, reason, count, detail, "requests failed");
    }
    if let Some(more) = failures.len().checked_sub(FAILURES_MAX).filter(|more| *more > 0) {
        tracing::warn!(more, "requests failed of more routes than are told at once; the metrics count all");
    }
}

/// Tells changes of endpoints, within a bound for all of them.
#[derive(Clone, Debug)]
pub(crate) struct Teller(Arc<Mutex<Spell>>);

#[derive(Debug)]
struct Spell {
    begun: Instant,
    lines: u32,
    left_out: u32,
}

impl Default for Teller {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Spell { begun: Instant::now(), lines: 0, left_out: 0 })))
    }
}

impl Teller {
    /// It gets no requests any more.
    pub(crate) fn lost(&self, name: &str, address: &str, state: &EndpointState) {
        if state.set_told(true) {
            return;
        }
        let reason = state.trouble().unwrap_or_default();
        if let Some(left_out) = self.place(Instant::now()) {
            tracing::warn!(endpoint = name, address, reason = &*reason, left_out, "an endpoint cannot be used");
        }
    }

    /// It gets requests again.
    pub(crate) fn back(&self, name: &str, address: &str, state: &EndpointState) {
        if state.set_told(false)
            && let Some(left_out) = self.place(Instant::now())
        {
            tracing::info!(endpoint = name, address, left_out, "the endpoint can be used again");
        }
    }

    /// Whether there is room for a line; how many were left out before, where some were.
    #[expect(clippy::option_option, reason = "the inner one is a field of the log that may be absent")]
    fn place(&self, now: Instant) -> Option<Option<u32>> {
        let mut spell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spell.begun + CHANGES_TIME <= now {
            (spell.begun, spell.lines) = (now, 0);
        }
        if spell.lines == CHANGES_MAX {
            spell.left_out += 1;
            return None;
        }
        spell.lines += 1;
        let left_out = std::mem::take(&mut spell.left_out);
        Some((left_out > 0).then_some(left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_reason_with_what_the_first_said() {
        let failures = Failures::default();
        for detail in ["first", "second"] {
            failures.note("upstream-refused", detail);
        }
        failures.note("upstream-timeout", "");
        let taken = failures.take();
        assert_eq!(taken["upstream-refused"], Failure { count: 2, detail: "first".into() });
        assert_eq!((taken.len(), failures.take().len()), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_costs_few_lines_and_says_how_many_it_would_have_been() {
        let (teller, now) = (Teller::default(), Instant::now());
        let told = (0..1000).filter(|_| teller.place(now).is_some()).count();
        assert_eq!(told, CHANGES_MAX as usize);
        assert_eq!(teller.place(now + CHANGES_TIME), Some(Some(1000 - CHANGES_MAX)));
        assert_eq!(teller.place(now + CHANGES_TIME), Some(None));
    }
}
