//! The time of day, and its form for people to read.

use std::fmt;
use std::sync::Arc;

use gangway_tls::UnixTime;

/// A source of the time of day. Tests bring one of their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> UnixTime + Send + Sync>);

impl Clock {
    /// The clock of the system.
    pub fn system() -> Self {
        Self::new(UnixTime::now)
    }

    /// A clock that reads the time from a function.
    pub fn new(read: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The current time.
    pub fn now(&self) -> UnixTime {
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
        write!(f, "Clock({})", self.now().seconds())
    }
}

/// Formats a time to the minute for a person to read.
pub(crate) fn moment(time: UnixTime) -> String {
    time::OffsetDateTime::from_unix_timestamp(time.seconds()).map_or_else(
        |_| time.seconds().to_string(),
        |time| format!("{} {:02}:{:02} UTC", time.date(), time.hour(), time.minute()),
    )
}

/// Formats a date for a person to read.
pub fn date(time: UnixTime) -> String {
    time::OffsetDateTime::from_unix_timestamp(time.seconds())
        .map_or_else(|_| time.seconds().to_string(), |date| date.date().to_string())
}
