//! Requests that have waited go on by and by, and not all at once to a container that has just come.
//!
//! A listening socket has a queue for connections that its application has not accepted yet, of a hundred
//! or so with many. What comes on top the kernel drops, so that it is tried again a second later, or reset:
//! the requests that were held with such care would be lost in the end, or wait for longer than they must.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// How many may be on their way to the beginning of their answer; less than the shortest usual queue.
const RELEASED_MAX: usize = 64;

/// Who is answered slowly was accepted after this long all the same. So all that can wait for one route are
/// through within two seconds, whatever its application does.
const PLACE_MAX: Duration = Duration::from_millis(50);

/// Lets those through that have waited, in the order in which they come to it.
#[derive(Debug)]
pub(crate) struct Turnstile {
    places: Arc<Semaphore>,
}

/// A place in the queue of an application: given up when dropped, or after a while.
#[derive(Debug)]
pub(crate) struct Released {
    _answered: oneshot::Sender<()>,
}

impl Default for Turnstile {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(RELEASED_MAX)) }
    }
}

impl Turnstile {
    /// Waits for a place.
    pub(crate) async fn pass(&self) -> Released {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let (answered, until_then) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let _ = timeout(PLACE_MAX, until_then).await;
            drop(place);
        });
        Released { _answered: answered }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_go_on_at_once_and_the_next_as_places_are_given_up() {
        let turnstile = Turnstile::default();
        let mut released = Vec::new();
        let begun = Instant::now();
        for _ in 0..RELEASED_MAX {
            released.push(turnstile.pass().await);
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        drop(released.pop());
        released.push(turnstile.pass().await);
        assert_eq!(begun.elapsed(), Duration::ZERO, "one was answered");
        let _one_more = turnstile.pass().await;
        let waited = begun.elapsed();
        assert!(waited >= PLACE_MAX && waited < PLACE_MAX * 2, "none is answered: {waited:?}");
    }
}
