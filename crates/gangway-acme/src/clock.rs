//! The time of day, as certificates have it.

use std::fmt;
use std::sync::Arc;

use gangway_tls::unix_now;

/// Gives seconds since the epoch. Tests bring one of their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// The system's.
    pub fn system() -> Self {
        Self::new(unix_now)
    }

    /// A clock that reads the time from a function.
    pub fn new(read: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time now.
    pub fn now(&self) -> i64 {
        self.0()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// A minute, for people.
pub(crate) fn moment(timestamp: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp(timestamp).map_or_else(
        |_| timestamp.to_string(),
        |time| format!("{} {:02}:{:02} UTC", time.date(), time.hour(), time.minute()),
    )
}

/// A day, for people.
pub fn date(timestamp: i64) -> String {
    time::OffsetDateTime::from_unix_timestamp(timestamp)
        .map_or_else(|_| timestamp.to_string(), |date| date.date().to_string())
}
