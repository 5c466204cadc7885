//! How long to wait before the next attempt to follow an engine.

use std::time::Duration;

/// After a hiccup, an engine is followed again without a noticeable delay.
const FIRST: Duration = Duration::from_millis(100);

/// An attempt costs one refused connection, and an operator who starts an engine again waits for its containers to be
/// served. So the wait stays short, for days if need be.
const LONGEST: Duration = Duration::from_secs(2);

/// Waits that double up to a limit, for ever.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The next wait. A `jitter` from 0 to 1 shortens it by up to half, so that many instances that lost the same engine
    /// do not all connect at once.
    pub(crate) fn wait(&mut self, jitter: f64) -> Duration {
        let wait = self.next;
        self.next = (self.next * 2).min(LONGEST);
        wait.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }
}

/// A random number from 0 to 1. Not for secrets.
pub(crate) fn jitter() -> f64 {
    fastrand::f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_never_end() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..100_000).map(|_| backoff.wait(0.0)).collect();
        assert_eq!(waits[..4], [100, 200, 400, 800].map(Duration::from_millis));
        assert!(waits[5..].iter().all(|wait| *wait == LONGEST));
    }

    #[test]
    fn jitter_only_shortens() {
        assert_eq!(Backoff::default().wait(1.0), FIRST / 2);
        assert!((0..1000).map(|_| jitter()).all(|jitter| (0.0..=1.0).contains(&jitter)));
    }
}
