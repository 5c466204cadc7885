//! Reports in the log when an endpoint can no longer be used, and when it can again.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::upstream::endpoint_state::EndpointState;

/// Lines about endpoints in [`CHANGES_TIME`]. `gangway routes` shows all endpoints.
const CHANGES_MAX: u32 = 50;
const CHANGES_TIME: Duration = Duration::from_secs(10);

/// Logs changes of endpoints, with a bound for all endpoints together.
#[derive(Clone, Debug)]
pub(crate) struct EndpointLog(Arc<Mutex<LogWindow>>);

#[derive(Debug)]
struct LogWindow {
    begun: Instant,
    lines: u32,
    left_out: u32,
}

impl Default for EndpointLog {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LogWindow { begun: Instant::now(), lines: 0, left_out: 0 })))
    }
}

impl EndpointLog {
    /// Logs that an endpoint gets no more requests.
    pub(crate) fn lost(&self, name: &str, address: &str, state: &EndpointState) {
        if !state.report_lost() {
            return;
        }
        let reason = state.trouble().unwrap_or_default();
        if let Some(left_out) = self.place(Instant::now()) {
            tracing::warn!(endpoint = name, address, reason = &*reason, left_out, "an endpoint cannot be used");
        }
    }

    /// Logs that an endpoint gets requests again.
    pub(crate) fn back(&self, name: &str, address: &str, state: &EndpointState) {
        if state.report_back()
            && let Some(left_out) = self.place(Instant::now())
        {
            tracing::info!(endpoint = name, address, left_out, "the endpoint can be used again");
        }
    }

    /// Takes room for a line, if there is some. Returns how many lines were left out before it, if any.
    #[expect(clippy::option_option, reason = "the inner one is a field of the log that may be absent")]
    fn place(&self, now: Instant) -> Option<Option<u32>> {
        let mut spell = self.0.lock();
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

    #[tokio::test(start_paused = true)]
    async fn a_storm_costs_few_lines_and_says_how_many_it_would_have_been() {
        let (teller, now) = (EndpointLog::default(), Instant::now());
        let told = (0..1000).filter(|_| teller.place(now).is_some()).count();
        assert_eq!(told, CHANGES_MAX as usize);
        assert_eq!(teller.place(now + CHANGES_TIME), Some(Some(1000 - CHANGES_MAX)));
        assert_eq!(teller.place(now + CHANGES_TIME), Some(None));
    }
}
