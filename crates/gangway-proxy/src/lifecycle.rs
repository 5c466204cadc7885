//! The phases of the data plane, from start to end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::watch;
use tokio::task::coop;

/// Phases follow each other in this order; some may be left out. Until [`Lifecycle::Left`], the data plane can
/// return to [`Lifecycle::Serving`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Lifecycle {
    /// The sockets listen; connections wait in the system's queues.
    Opening,
    /// Connections are accepted.
    Serving,
    /// No connection is accepted for now, until it is clear whether a successor accepts on the same sockets.
    Paused,
    /// A successor accepts connections. Existing connections go on, and clients are sent over with their next request.
    HandedOver,
    /// Like [`Lifecycle::HandedOver`], but final: only the successor has the sockets.
    Left,
    /// No process accepts connections.
    Stopped,
    /// Idle connections are closed, and WebSockets get a close frame.
    Closing,
    /// All remaining connections are cut.
    Aborting,
}

/// A receiver of the current phase.
pub(crate) type Phases = watch::Receiver<Lifecycle>;

/// Waits until this phase or a later one is reached; for ever if the sender is gone.
pub(crate) async fn reached(mut phases: Phases, phase: Lifecycle) {
    if phases.wait_for(|now| *now >= phase).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for a phase in a task that is polled with every message.
///
/// A change of the phase wakes the task. Until then a poll costs one look at a counter, where the future itself would
/// take two locks. So it is for tasks whose waker stays the same.
pub(crate) struct PhaseWait<F> {
    phases: Phases,
    /// The future of [`reached`].
    reached: F,
    is_awaited: bool,
}

impl<F: Future<Output = ()> + Unpin> PhaseWait<F> {
    pub(crate) fn new(phases: Phases, reached: F) -> Self {
        Self { phases, reached, is_awaited: false }
    }

    /// Ready once the phase is reached. Not to be polled after that.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_awaited && self.phases.has_changed().is_ok_and(|has_changed| !has_changed) {
            return Poll::Pending;
        }
        // Marked first: a change that comes after that is asked for again.
        self.phases.mark_unchanged();
        let outcome = Pin::new(&mut self.reached).poll(cx);
        // Without budget it was not asked, and the runtime polls the task again.
        self.is_awaited = coop::has_budget_remaining();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_change_of_the_phase_wakes_the_task_until_the_phase_is_reached() {
        let (phase, phases) = watch::channel(Lifecycle::Serving);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let cx = &mut Context::from_waker(&waker);
        let mut wait = PhaseWait::new(phases.clone(), Box::pin(reached(phases, Lifecycle::Closing)));
        for (changes, next) in [Lifecycle::Paused, Lifecycle::HandedOver, Lifecycle::Stopped].into_iter().enumerate() {
            assert!(wait.poll(cx).is_pending() && wait.poll(cx).is_pending());
            assert_eq!(wakes.0.load(Ordering::Relaxed), changes);
            phase.send_replace(next);
        }
        assert!(wait.poll(cx).is_pending());
        phase.send_replace(Lifecycle::Closing);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 4);
        assert!(wait.poll(cx).is_ready());
    }

    #[tokio::test]
    async fn a_wait_that_begins_at_the_end_of_a_long_poll_is_woken_too() {
        let (phase, phases) = watch::channel(Lifecycle::Serving);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let cx = &mut Context::from_waker(&waker);
        let mut wait = PhaseWait::new(phases.clone(), Box::pin(reached(phases, Lifecycle::Closing)));
        while coop::has_budget_remaining() {
            // As if much had been read and written before.
            let _ = pin!(coop::consume_budget()).poll(cx);
        }
        assert!(wait.poll(cx).is_pending());
        tokio::task::yield_now().await;
        assert!(wait.poll(cx).is_pending());
        let before = wakes.0.load(Ordering::Relaxed);
        phase.send_replace(Lifecycle::Closing);
        assert_eq!(wakes.0.load(Ordering::Relaxed), before + 1);
        assert!(wait.poll(cx).is_ready());
    }
}
