//! Failed requests of one route that the log has not reported yet.

use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;

/// Failed requests of one route that were not logged yet, by reason token.
#[derive(Debug, Default)]
pub(crate) struct FailureCounts(Mutex<BTreeMap<&'static str, FailureCount>>);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct FailureCount {
    pub(crate) count: u64,
    /// The detail of the first failure.
    pub(crate) detail: String,
}

impl FailureCounts {
    /// Counts one failure.
    pub(crate) fn note(&self, reason: &'static str, detail: &str) {
        let mut all = self.locked();
        let failure = all.entry(reason).or_insert_with(|| FailureCount { count: 0, detail: detail.to_owned() });
        failure.count += 1;
    }

    pub(crate) fn take(&self) -> BTreeMap<&'static str, FailureCount> {
        std::mem::take(&mut *self.locked())
    }

    /// Held for a few instructions, and only by failed requests.
    fn locked(&self) -> MutexGuard<'_, BTreeMap<&'static str, FailureCount>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_reason_with_what_the_first_said() {
        let failures = FailureCounts::default();
        for detail in ["first", "second"] {
            failures.note("upstream-refused", detail);
        }
        failures.note("upstream-timeout", "");
        let taken = failures.take();
        assert_eq!(taken["upstream-refused"], FailureCount { count: 2, detail: "first".into() });
        assert_eq!((taken.len(), failures.take().len()), (2, 0));
    }
}
