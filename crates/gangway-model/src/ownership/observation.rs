//! The time and the state of the engines, which decide how long a host is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use super::holding::Tenure;
use crate::engine_name::EngineName;

/// How long a party keeps a host after its last container is gone. A user who recreates a container by hand removes it
/// first.
pub const GRACE: Duration = Duration::from_secs(60);

/// The facts from outside by which claims are decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation<'w> {
    /// Seconds since the epoch.
    pub now: i64,
    /// `--keep-hosts`, in seconds.
    pub keep: i64,
    /// The engines that cannot be read now.
    pub unread: &'w BTreeSet<EngineName>,
}

impl Observation<'_> {
    /// Whether the party is there, or was there a short time ago.
    pub(crate) fn has(&self, tenure: &Tenure) -> bool {
        let is_unknown = tenure.engines.iter().any(|engine| self.unread.contains(engine));
        is_unknown || tenure.gone.is_none_or(|gone| self.now < gone + seconds(GRACE))
    }
}

pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}
