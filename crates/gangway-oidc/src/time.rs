//! The time of the system, in the form of tokens.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since the epoch.
pub type UnixSeconds = u64;

/// The time now. `None` before the epoch, which is a clock that nobody has set.
pub fn now() -> Option<UnixSeconds> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
