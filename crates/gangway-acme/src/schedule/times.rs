//! The times of renewals and of attempts after a failure.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use gangway_tls::UnixTime;

use super::units::{DAY, HOUR, MINUTE};
use crate::directory_url::DirectoryUrl;
use crate::failure::{Failure, FailureKind};
use crate::order_history::{OrderHistory, Renewal};
use crate::stored_certificate::StoredCertificate;

/// Delays before the next attempt, by the number of failures in a row: at most five attempts in the first hour,
/// which is the limit of Let's Encrypt. The second comes soon, since it tries another challenge.
const RETRY: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_mins(40),
    Duration::from_hours(2),
    Duration::from_hours(4),
    Duration::from_hours(8),
    Duration::from_hours(16),
    DAY,
];

/// The delays for a CA that does not answer, which costs no budget.
const RETRY_CA: [Duration; 5] =
    [MINUTE, Duration::from_mins(5), Duration::from_mins(15), Duration::from_mins(30), HOUR];

/// The time to order the next certificate: the CA's suggestion, otherwise when a third of the lifetime is left, or
/// half of it if the lifetime is less than ten days.
pub(crate) fn renewal_time(stored: &StoredCertificate, renewal: Option<&Renewal>) -> UnixTime {
    let lifetime = lifetime(stored);
    let left = if lifetime < 10 * DAY { lifetime / 2 } else { lifetime / 3 };
    // Spread renewals: a hundred certificates ordered at one time must not all be renewed at one time.
    let early = spread(&stored.bundle.serial, lifetime / 50);
    let by_lifetime = stored.bundle.not_after - left - early;
    let id = stored.id.as_ref().map(ToString::to_string);
    match renewal.filter(|renewal| id.as_deref() == Some(&*renewal.id)) {
        // The chosen time stays the same as long as the window is the same.
        Some(renewal) => {
            let chosen =
                renewal.start + spread(&(&renewal.id, renewal.start, renewal.end), renewal.end.since(renewal.start));
            // Keep a reserve, even if a CA suggests the last minute.
            chosen.min(stored.bundle.not_after - lifetime / 20)
        }
        None => by_lifetime,
    }
}

/// The time of the next attempt after this many failures in a row, the last of which was of this kind.
pub(crate) fn retry_time(
    name: &str,
    failures: u32,
    kind: FailureKind,
    retry_at: Option<UnixTime>,
    now: UnixTime,
) -> UnixTime {
    let at_least = match kind {
        FailureKind::Rejected | FailureKind::NoChallenge => DAY,
        FailureKind::Caa | FailureKind::RateLimited => HOUR,
        _ => Duration::ZERO,
    };
    let delay = after(&RETRY, failures).max(at_least);
    let delay = match kind {
        // A volume is repaired soon, and its failures cost no budget.
        FailureKind::Storage => MINUTE,
        // One restart may be an accident; the cause of many may be the order itself.
        FailureKind::Interrupted if failures <= 1 => Duration::from_secs(2),
        _ => delay,
    };
    let at = now + delay + spread(&(name, failures), delay / 10);
    retry_at.map_or(at, |told| at.max(told))
}

/// The time at which to ask a CA again after this many failures in a row. Those with another `subject`, a CA or a
/// name, differ a little.
pub(crate) fn retry_ca_time(subject: &str, failures: u32, retry_at: Option<UnixTime>, now: UnixTime) -> UnixTime {
    let delay = after(&RETRY_CA, failures);
    let at = now + delay + spread(&(subject, failures), delay / 10);
    retry_at.map_or(at, |told| at.max(told))
}

/// An order that was stopped before the CA had answered counts as a failure: a process that restarts again
/// and again must not order again and again.
pub(crate) fn interrupted(name: &str, mut history: OrderHistory, now: UnixTime) -> OrderHistory {
    let unplaced = history.orders.iter().filter(|(_, order)| order.url.is_empty());
    let unplaced: Vec<(DirectoryUrl, UnixTime)> =
        unplaced.map(|(directory, order)| (directory.clone(), order.begun)).collect();
    for (directory, begun) in unplaced {
        let failures = history.attempts.get(&directory).map_or(0, |attempts| attempts.failures) + 1;
        let kind = FailureKind::Interrupted;
        let next = retry_time(name, failures, kind, None, begun.min(now));
        history.fail(&directory, Failure::new(kind, "gangway was stopped while it ordered"), next);
    }
    history
}

fn after(table: &[Duration], failures: u32) -> Duration {
    let index = (failures.max(1) as usize - 1).min(table.len() - 1);
    table[index]
}

/// A part of `range` in whole seconds that depends only on `of`.
fn spread(of: &impl std::hash::Hash, range: Duration) -> Duration {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(of);
    Duration::from_secs(hash.checked_rem(range.as_secs()).unwrap_or(0))
}

pub(super) fn lifetime(stored: &StoredCertificate) -> Duration {
    stored.bundle.not_after.since(stored.bundle.not_before)
}
