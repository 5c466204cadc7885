//! The time of day as certificates have it.

use std::time::{SystemTime, UNIX_EPOCH};

/// The system's time in seconds since the epoch; 0 for a clock before 1970, which was never set.
pub fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
