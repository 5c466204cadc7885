//! Instants in the resolution of certificates, files and HTTP dates.

use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant in whole seconds since the epoch: the resolution of certificates, of files on the volume and of HTTP dates.
///
/// Arithmetic saturates and drops fractions of a second, so that a wrong clock or a wrong date in a file cannot make it panic.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The beginning of 1970, which is also "no bound from below": every clock that was ever set is past it.
    pub const EPOCH: Self = Self(0);
    /// Later than every other instant.
    pub const NEVER: Self = Self(i64::MAX);

    /// The instant that is `seconds` after the epoch, or before it where negative.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// The system's time; [`EPOCH`](Self::EPOCH) for a clock before 1970, which was never set.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Seconds since the epoch, for files and for people.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    /// The time since `earlier`; zero if this is before it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default())
    }
}

impl From<SystemTime> for UnixTime {
    /// An instant before the epoch becomes [`EPOCH`](Self::EPOCH).
    fn from(time: SystemTime) -> Self {
        Self::EPOCH + time.duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(span.as_secs()))
    }
}

impl Sub<Duration> for UnixTime {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(span.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_in_whole_seconds_and_saturates() {
        let time = UnixTime::from_seconds(100);
        assert_eq!((time + Duration::from_millis(2500), time - Duration::from_secs(130)), (at(102), at(-30)));
        assert_eq!(UnixTime::NEVER + Duration::from_secs(1), UnixTime::NEVER);
        assert_eq!(at(i64::MIN) - Duration::MAX, at(i64::MIN));
    }

    #[test]
    fn no_time_has_passed_since_a_later_instant() {
        assert_eq!(at(100).since(at(40)), Duration::from_secs(60));
        assert_eq!(at(40).since(at(100)), Duration::ZERO);
        assert_eq!(UnixTime::NEVER.since(at(i64::MIN)), Duration::from_secs(i64::MAX.unsigned_abs()));
    }

    #[test]
    fn a_clock_before_the_epoch_was_never_set() {
        assert_eq!(UnixTime::from(UNIX_EPOCH - Duration::from_secs(5)), UnixTime::EPOCH);
        assert_eq!(UnixTime::from(UNIX_EPOCH + Duration::from_secs(5)), at(5));
        assert!(UnixTime::now() > at(1_700_000_000));
    }

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_seconds(seconds)
    }
}
