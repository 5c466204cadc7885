//! One timer for a connection or a stream, moved by writing a field.
//!
//! Deadlines move with nearly every byte, and most of them never pass. So the runtime's timer is moved only if it
//! would fire too late. If it fires too early, it is set to the time that is due by then.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::task::coop;
use tokio::time::{Instant, Sleep};

/// A timer that is cheap to move.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    due: Option<Instant>,
    /// Made when it is first needed: many streams end before that.
    sleep: Option<Pin<Box<Sleep>>>,
    /// When the runtime's timer fires. A copy: its own memory is one more place to fetch.
    fires: Option<Instant>,
    /// The one that the runtime's timer wakes.
    waker: Option<Waker>,
}

impl Timer {
    /// Sets when the timer expires. Takes effect with the next [`Timer::poll_expired`].
    pub(crate) fn set(&mut self, due: Instant) {
        self.due = Some(due);
    }

    /// The timer does not expire until it is set again.
    pub(crate) fn clear(&mut self) {
        self.due = None;
    }

    /// When the timer expires, if it is set.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Sets the timer to expire after this time from now, and polls it.
    pub(crate) fn poll_after(&mut self, cx: &mut Context<'_>, time: Duration) -> Poll<()> {
        let now = Instant::now();
        let due = now + time;
        self.due = Some(due);
        if self.fires.is_some_and(|fires| now < fires && fires <= due) && self.is_known(cx) {
            // It has not fired yet, and will wake this task.
            return Poll::Pending;
        }
        self.poll_expired(cx)
    }

    /// Ready once the set time has passed, and from then on until it is set again. Otherwise the task is woken then,
    /// and perhaps once before.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due else { return Poll::Pending };
        let is_known = self.is_known(cx);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if is_known && sleep.deadline() <= due && !sleep.is_elapsed() {
            // It runs, and will wake this task. Asking it again would cost more.
            return Poll::Pending;
        }
        if !is_known {
            self.waker = Some(cx.waker().clone());
        }
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        loop {
            self.fires = Some(sleep.deadline());
            if sleep.as_mut().poll(cx).is_pending() {
                if !coop::has_budget_remaining() {
                    // The runtime polls the task again, and its timer does not know the task yet.
                    self.waker = None;
                }
                return Poll::Pending;
            }
            // Otherwise the runtime's timer was set before the time that is due moved to later.
            if sleep.deadline() >= due || Instant::now() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }

    /// Whether the runtime's timer wakes this task.
    fn is_known(&self, cx: &Context<'_>) -> bool {
        self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
    }
}

/// What `work` gives within this time. No timer is made for work that is done at once.
pub(crate) async fn within<W: Future>(time: Duration, work: W) -> Option<W::Output> {
    let mut work = pin!(work);
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(done) => Some(done),
        Poll::Pending => tokio::time::timeout(time, work).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    fn has_expired(timer: &mut Timer) -> bool {
        timer.poll_expired(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_expires_when_it_was_last_set_to() {
        let mut timer = Timer::default();
        assert!(!has_expired(&mut timer), "it was never set");
        timer.set(after(10));
        assert!(!has_expired(&mut timer));
        pass(5).await;
        timer.set(after(10));
        pass(5).await;
        assert!(!has_expired(&mut timer), "it was moved to later");
        pass(5).await;
        assert!(has_expired(&mut timer) && has_expired(&mut timer));
        timer.set(after(100));
        assert!(!has_expired(&mut timer));
        timer.set(after(1));
        assert!(!has_expired(&mut timer));
        pass(1).await;
        assert!(has_expired(&mut timer), "it was moved to sooner");
        timer.clear();
        assert!(!has_expired(&mut timer));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_is_woken_when_the_time_has_come_however_often_it_moved() {
        let mut timer = Timer::default();
        let begun = Instant::now();
        for seconds in [75, 10, 60] {
            timer.set(begun + Duration::from_secs(seconds));
            assert!(!has_expired(&mut timer));
        }
        poll_fn(|cx| timer.poll_expired(cx)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn work_has_so_much_time() {
        let time = Duration::from_secs(5);
        assert_eq!(within(time, async { 1 }).await, Some(1));
        assert_eq!(within(time, tokio::time::sleep(time / 2)).await, Some(()));
        let begun = Instant::now();
        assert_eq!(within(time, std::future::pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), time);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_moves_with_each_message_expires_after_the_last_one() {
        let mut timer = Timer::default();
        let begun = Instant::now();
        for _ in 0..5 {
            let is_pending =
                poll_fn(|cx| Poll::Ready(timer.poll_after(cx, Duration::from_secs(10)).is_pending())).await;
            assert!(is_pending);
            pass(4).await;
        }
        poll_fn(|cx| timer.poll_expired(cx)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(26));
        let is_pending = poll_fn(|cx| Poll::Ready(timer.poll_after(cx, Duration::from_secs(1)).is_pending())).await;
        assert!(is_pending, "it was set anew");
        poll_fn(|cx| timer.poll_expired(cx)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(27));
        assert!(timer.poll_after(&mut Context::from_waker(Waker::noop()), Duration::ZERO).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_is_set_at_the_end_of_a_long_poll_still_wakes_the_task() {
        let mut timer = Timer::default();
        let begun = Instant::now();
        timer.set(begun + Duration::from_secs(10));
        poll_fn(|cx| {
            // As if much had been read and written before.
            while coop::has_budget_remaining() {
                let _ = pin!(coop::consume_budget()).poll(cx);
            }
            assert!(timer.poll_expired(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        tokio::task::yield_now().await;
        tokio::time::timeout(Duration::from_secs(60), poll_fn(|cx| timer.poll_expired(cx))).await.expect("it expires");
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
    }
}
