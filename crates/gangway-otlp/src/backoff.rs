//! How long to wait before a request is sent again.

use std::time::Duration;

/// The first pause. Each further one is twice as long, up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_secs(1);

const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What a collector may ask for by `Retry-After`. Spans that come meanwhile find the queue full.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// The pauses between the tries of one request.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: PAUSE_FIRST }
    }

    /// The next pause: what the collector asks for, or by chance between half and all of what is due, so that many senders
    /// do not come at once.
    pub(crate) fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let due = self.next;
        self.next = (due * 2).min(PAUSE_MAX);
        match asked {
            Some(asked) => asked.min(RETRY_AFTER_MAX),
            None => due / 2 + (due / 2).mul_f64(fastrand::f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_a_collector_may_ask_for_another() {
        let mut backoff = Backoff::new();
        for due in [1, 2, 4, 8, 16, 30, 30] {
            let (due, pause) = (Duration::from_secs(due), backoff.pause(None));
            assert!(pause >= due / 2 && pause <= due, "{pause:?}");
        }
        assert_eq!(backoff.pause(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(backoff.pause(Some(Duration::from_secs(86_400))), RETRY_AFTER_MAX);
    }
}
