//! The states of requests that a thread keeps for the next ones.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::exchange::state::Exchange;

/// The unused states that a thread keeps. Further ones go back to the allocator.
const UNUSED_MAX: usize = 32;

thread_local! {
    #[expect(clippy::vec_box, reason = "a state is large, and moves between its pool and its task")]
    static UNUSED: RefCell<Vec<Box<Exchange>>> = const { RefCell::new(Vec::new()) };
}

/// The state of a request. Dropped, it goes to the pool of the thread that drops it.
pub(crate) struct PooledExchange(Option<Box<Exchange>>);

impl PooledExchange {
    /// Takes a state out of the pool of this thread, or makes one.
    pub(crate) fn take() -> Self {
        let unused = UNUSED.try_with(|unused| unused.borrow_mut().pop()).ok().flatten();
        Self(Some(unused.unwrap_or_default()))
    }

    /// Replaces a state that a panic may have left half changed.
    pub(crate) fn replace(&mut self) {
        let mut fresh = Box::<Exchange>::default();
        if let Some(spoilt) = &mut self.0 {
            std::mem::swap(&mut fresh.head, &mut spoilt.head);
        }
        self.0 = Some(fresh);
    }
}

impl Deref for PooledExchange {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        self.0.as_ref().expect("taken only when dropped")
    }
}

impl DerefMut for PooledExchange {
    fn deref_mut(&mut self) -> &mut Exchange {
        self.0.as_mut().expect("taken only when dropped")
    }
}

impl Drop for PooledExchange {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Some(mut exchange) = self.0.take() {
            exchange.release();
            // A thread that ends has no pool any more.
            let _ = UNUSED.try_with(|unused| {
                let mut unused = unused.borrow_mut();
                if unused.len() < UNUSED_MAX {
                    unused.push(exchange);
                }
            });
        }
    }
}
