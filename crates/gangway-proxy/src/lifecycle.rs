//! The phases of the data plane, from start to end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::sync::watch;

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
/// A poll costs one look at a flag until the phase changes, where the future itself would take two locks.
pub(crate) struct PhaseWait<F> {
    /// The future of [`reached`].
    reached: F,
    has_reached: bool,
    wake: Option<Arc<PhaseWake>>,
}

/// Wakes a task, and tells that it was woken by a change of the phase. The future is asked again then, and only then: it
/// is not registered any more, and the next change would not wake the task.
struct PhaseWake {
    task: Waker,
    has_come: AtomicBool,
}

impl Wake for PhaseWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_come.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<F: Future<Output = ()> + Unpin> PhaseWait<F> {
    pub(crate) fn new(reached: F) -> Self {
        Self { reached, has_reached: false, wake: None }
    }

    /// Ready once the phase is reached, and from then on.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_reached {
            return Poll::Ready(());
        }
        let wake = match &self.wake {
            Some(wake) if wake.task.will_wake(cx.waker()) => {
                if !wake.has_come.load(Ordering::Acquire) {
                    return Poll::Pending;
                }
                // Before the future is asked: a change that comes after that sets it again.
                wake.has_come.store(false, Ordering::Release);
                Arc::clone(wake)
            }
            Some(_) | None => {
                let wake = Arc::new(PhaseWake { task: cx.waker().clone(), has_come: AtomicBool::new(false) });
                self.wake = Some(Arc::clone(&wake));
                wake
            }
        };
        ready!(Pin::new(&mut self.reached).poll(&mut Context::from_waker(&wake.into())));
        self.has_reached = true;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use tokio::task::coop;

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
        let mut wait = PhaseWait::new(Box::pin(reached(phases, Lifecycle::Closing)));
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

    #[test]
    fn a_future_is_asked_again_whenever_it_was_woken() {
        // A sender changes the phase first and wakes after that; a task that sees the change in between is woken for
        // nothing, and has to register again all the same.
        let (asked, registered) = (AtomicUsize::new(0), Mutex::new(None::<Waker>));
        let mut wait = PhaseWait::new(Box::pin(poll_fn(|cx| {
            asked.fetch_add(1, Ordering::Relaxed);
            *registered.lock().expect("not poisoned") = Some(cx.waker().clone());
            Poll::Pending
        })));
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let cx = &mut Context::from_waker(&waker);
        for count in 1..3 {
            assert!(wait.poll(cx).is_pending() && wait.poll(cx).is_pending());
            assert_eq!(asked.load(Ordering::Relaxed), count);
            registered.lock().expect("not poisoned").take().expect("it was asked").wake();
            assert_eq!(wakes.0.load(Ordering::Relaxed), count);
        }
        let other = Waker::from(Arc::new(Wakes::default()));
        assert!(wait.poll(&mut Context::from_waker(&other)).is_pending());
        assert_eq!(asked.load(Ordering::Relaxed), 3, "another task is to be woken now");
    }

    #[tokio::test]
    async fn a_wait_that_begins_at_the_end_of_a_long_poll_is_woken_too() {
        let (phase, phases) = watch::channel(Lifecycle::Serving);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let cx = &mut Context::from_waker(&waker);
        let mut wait = PhaseWait::new(Box::pin(reached(phases, Lifecycle::Closing)));
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
