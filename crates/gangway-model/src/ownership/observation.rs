//! The time, and what of the outside decides how long a host is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use super::holding::Tenure;
use crate::engine_name::EngineName;

/// So long a host stays its party's after the last container of it is gone: somebody who recreates a
/// container by hand removes it first.
pub const GRACE: Duration = Duration::from_secs(60);

/// What is known of the world when claims are decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation<'w> {
    /// Seconds since the epoch.
    pub now: i64,
    /// `--keep-hosts`, in seconds.
    pub keep: i64,
    /// Engines that cannot be read now.
    pub unread: &'w BTreeSet<EngineName>,
}

impl Observation<'_> {
    /// Is the party there, or was it a moment ago?
    pub(crate) fn has(&self, tenure: &Tenure) -> bool {
        let is_unknown = tenure.engines.iter().any(|engine| self.unread.contains(engine));
        is_unknown || tenure.gone.is_none_or(|gone| self.now < gone + seconds(GRACE))
    }
}

pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}
