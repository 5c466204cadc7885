//! Releases waiting requests gradually, so that they do not all reach a new container at once.
//!
//! A listening socket queues connections that its application has not accepted yet, often up to about a hundred. The
//! kernel drops further connections, so that they are tried again a second later, or resets them. The waiting
//! requests would then fail after all, or wait longer than necessary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

/// Released requests whose answer has not begun; less than the shortest usual queue of a socket.
const RELEASED_MAX: usize = 64;

/// After this time, a request has been accepted even if its answer is slow. So all requests that can wait for one
/// route are released within two seconds, whatever its application does.
const SLOT_TIME_MAX: Duration = Duration::from_millis(50);

/// Releases waiting requests of one route; the request whose deadline is nearest goes first.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReleaseQueue(Arc<Mutex<WaitingLine>>);

#[derive(Debug, Default)]
struct WaitingLine {
    /// Requests that were released and hold a slot.
    released: usize,
    arrivals: u64,
    /// Waiting requests by deadline, then by arrival.
    waiting: BTreeMap<(Instant, u64), oneshot::Sender<ReleaseSlot>>,
}

/// A slot for a released request, given back when dropped.
#[derive(Debug)]
struct ReleaseSlot(ReleaseQueue);

/// Keeps the slot of a released request, until it is dropped or [`SLOT_TIME_MAX`] is over.
#[derive(Debug)]
pub(crate) struct Released {
    _answered: oneshot::Sender<()>,
}

impl ReleaseQueue {
    /// Waits for a slot until the deadline.
    pub(crate) async fn pass(&self, deadline: Instant) -> Option<Released> {
        let (place_tx, place) = oneshot::channel();
        {
            let mut queue = self.queue();
            queue.arrivals += 1;
            let arrival = queue.arrivals;
            queue.waiting.insert((deadline, arrival), place_tx);
        }
        self.release();
        // A request that gives up stays in line, and is skipped when its turn comes.
        let place = timeout_at(deadline, place).await.ok()?.ok()?;
        let (answered, until_then) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let _ = timeout(SLOT_TIME_MAX, until_then).await;
            drop(place);
        });
        Some(Released { _answered: answered })
    }

    fn release(&self) {
        loop {
            let mut queue = self.queue();
            if queue.released >= RELEASED_MAX {
                return;
            }
            let Some((_, next)) = queue.waiting.pop_first() else { return };
            if next.is_closed() {
                continue;
            }
            queue.released += 1;
            // The receiver may be gone by now. The slot then comes back here, which needs the lock.
            drop(queue);
            drop(next.send(ReleaseSlot(self.clone())));
        }
    }

    fn queue(&self) -> MutexGuard<'_, WaitingLine> {
        self.0.lock()
    }
}

impl Drop for ReleaseSlot {
    fn drop(&mut self) {
        self.0.queue().released -= 1;
        self.0.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_go_on_at_once_and_the_next_as_places_are_given_up() {
        let turnstile = ReleaseQueue::default();
        let mut released = Vec::new();
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs(10);
        for _ in 0..RELEASED_MAX {
            released.push(turnstile.pass(deadline).await.expect("there is room"));
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        drop(released.pop());
        released.push(turnstile.pass(deadline).await.expect("there is room"));
        assert_eq!(begun.elapsed(), Duration::ZERO, "one was answered");
        let _one_more = turnstile.pass(deadline).await.expect("there is room");
        let waited = begun.elapsed();
        assert!(waited >= SLOT_TIME_MAX && waited < SLOT_TIME_MAX * 2, "none is answered: {waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_waited_longest_goes_first_and_who_gives_up_takes_no_place() {
        let turnstile = ReleaseQueue::default();
        let now = Instant::now();
        let later = move |millis| now + Duration::from_millis(millis);
        let mut full = Vec::new();
        for _ in 0..RELEASED_MAX {
            full.push(turnstile.pass(later(1000)).await.expect("there is room"));
        }
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting = [500, 300, 5, 400].map(|millis| {
            let (turnstile, order) = (turnstile.clone(), Arc::clone(&order));
            tokio::spawn(async move {
                let released = turnstile.pass(later(millis)).await;
                order.lock().push((millis, released.is_some()));
            })
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        for released in full {
            drop(released);
            tokio::task::yield_now().await;
        }
        for one in waiting {
            one.await.expect("no panic");
        }
        assert_eq!(*order.lock(), [(5, false), (300, true), (400, true), (500, true)]);
        assert!(turnstile.pass(later(1000)).await.is_some() && turnstile.queue().waiting.is_empty());
    }
}
