//! One writer, many readers, nobody waits.
//!
//! A [`Publisher`] replaces a whole value; a [`Reader`] sees either the old value or the new one,
//! never a mixture. Reading costs one atomic load, so it is safe on the request path.
//!
//! There is deliberately no way to edit the published value in place, and no second publisher.

use std::ops::Deref;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use tokio::sync::watch;

/// The number of times that a value was replaced. [`Generation::INITIAL`] means that nothing has been published.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Generation(u64);

/// The writing end. Dropping it leaves the last value in force and wakes all waiting readers.
///
/// Not `Clone`: two writers would each overwrite what the other had just computed.
#[derive(Debug)]
pub struct Publisher<T> {
    current: Arc<ArcSwap<Published<T>>>,
    generation_tx: Arc<watch::Sender<Generation>>,
    /// Held for its reference count only: while it lives, the [`Seat`] is taken.
    _lease: Arc<()>,
}

/// Hands out one publisher at a time, so that a supervisor can replace a writer that panicked.
///
/// While the seat exists, readers of a dropped publisher wait for the next one instead of failing with
/// [`PublisherGone`].
#[derive(Debug)]
pub struct Seat<T> {
    current: Arc<ArcSwap<Published<T>>>,
    generation_tx: Arc<watch::Sender<Generation>>,
    lease: Weak<()>,
}

/// The reading end. Cloning is cheap; each clone waits on its own.
#[derive(Debug)]
pub struct Reader<T> {
    current: Arc<ArcSwap<Published<T>>>,
    generation_rx: watch::Receiver<Generation>,
}

/// A value, which it dereferences to, with the generation it was published as.
#[derive(Debug, Default)]
pub struct Published<T> {
    generation: Generation,
    value: T,
}

/// The value that [`Reader::load`] found, which it dereferences to. Drop it before an `await`: it may pin the old
/// value.
#[derive(Debug)]
pub struct Loaded<T>(arc_swap::Guard<Arc<Published<T>>>);

/// Makes the two ends. The initial value counts as not yet published.
pub fn channel<T>(initial: T) -> (Publisher<T>, Reader<T>) {
    let current = Arc::new(ArcSwap::from_pointee(Published { generation: Generation::INITIAL, value: initial }));
    let (generation_tx, generation_rx) = watch::channel(Generation::INITIAL);
    let (generation_tx, lease) = (Arc::new(generation_tx), Arc::new(()));
    (Publisher { current: Arc::clone(&current), generation_tx, _lease: lease }, Reader { current, generation_rx })
}

/// Like [`channel`], with an empty seat in place of the publisher.
pub fn seat<T>(initial: T) -> (Seat<T>, Reader<T>) {
    let (Publisher { current, generation_tx, _lease: lease }, reader) = channel(initial);
    (Seat { current, generation_tx, lease: Arc::downgrade(&lease) }, reader)
}

impl Generation {
    /// The generation of the value that was passed to [`channel`].
    pub const INITIAL: Self = Self(0);

    /// The generation as a number that only grows.
    pub fn count(self) -> u64 {
        self.0
    }
}

impl<T> Seat<T> {
    /// A publisher, or `None` while the last one still exists. The new one continues where the last one ended:
    /// the value in force and the generation stay.
    pub fn take(&mut self) -> Option<Publisher<T>> {
        if self.lease.strong_count() > 0 {
            return None;
        }
        let lease = Arc::new(());
        self.lease = Arc::downgrade(&lease);
        let (current, generation_tx) = (Arc::clone(&self.current), Arc::clone(&self.generation_tx));
        Some(Publisher { current, generation_tx, _lease: lease })
    }
}

impl<T> Publisher<T> {
    /// Puts `value` in force for every load from now on and wakes the waiting readers.
    pub fn publish(&mut self, value: T) -> Generation {
        let generation = Generation(self.current.load().generation.0 + 1);
        self.current.store(Arc::new(Published { generation, value }));
        self.generation_tx.send_replace(generation);
        generation
    }

    /// Puts what another publisher has published in force here too, under the generation that it has there. For a stage that
    /// follows another one: its readers see a value once this stage has done its part.
    pub fn pass_on(&mut self, published: Arc<Published<T>>) {
        let generation = published.generation;
        self.current.store(published);
        self.generation_tx.send_replace(generation);
    }

    /// Makes another reader.
    pub fn reader(&self) -> Reader<T> {
        Reader { current: Arc::clone(&self.current), generation_rx: self.generation_tx.subscribe() }
    }
}

impl<T> Reader<T> {
    /// The value in force, without touching a reference count. Meant for the request path.
    pub fn load(&self) -> Loaded<T> {
        Loaded(self.current.load())
    }

    /// The value in force, for callers that keep it for longer than [`Loaded`] allows.
    pub fn load_full(&self) -> Arc<Published<T>> {
        self.current.load_full()
    }

    /// The generation of the value in force; [`Generation::INITIAL`] until something is published.
    pub fn generation(&self) -> Generation {
        self.current.load().generation
    }

    /// Waits until something has been published. Returns at once if that is already the case. Cancel-safe.
    pub async fn first(&self) -> Result<Generation, PublisherGone> {
        let mut generation_rx = self.generation_rx.clone();
        let first = generation_rx.wait_for(|generation| *generation != Generation::INITIAL).await;
        first.map(|generation| *generation).map_err(|_| PublisherGone)
    }

    /// Waits for a value published since this reader was cloned or last waited.
    ///
    /// Cancel-safe. Several publications in a row wake the reader once, so treat the wake as
    /// "look again", not as a count.
    pub async fn changed(&mut self) -> Result<Generation, PublisherGone> {
        self.generation_rx.changed().await.map_err(|_| PublisherGone)?;
        Ok(*self.generation_rx.borrow_and_update())
    }
}

impl<T> Clone for Reader<T> {
    fn clone(&self) -> Self {
        let mut generation_rx = self.generation_rx.clone();
        generation_rx.mark_unchanged();
        Self { current: Arc::clone(&self.current), generation_rx }
    }
}

impl<T> Published<T> {
    /// The generation of this value; greater than that of every value published before.
    pub fn generation(&self) -> Generation {
        self.generation
    }
}

impl<T> Deref for Published<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Loaded<T> {
    /// The generation of this value; greater than that of every value published before.
    pub fn generation(&self) -> Generation {
        self.0.generation
    }
}

impl<T> Deref for Loaded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

/// Nothing will be published any more; the last value stays in force.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PublisherGone;

impl std::fmt::Display for PublisherGone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the publisher is gone")
    }
}

impl std::error::Error for PublisherGone {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_passed_on_keeps_its_generation() {
        let (mut first, firsts) = channel("a");
        let (mut second, seconds) = channel("a");
        for value in ["b", "c"] {
            first.publish(value);
        }
        assert_eq!(seconds.generation(), Generation::INITIAL);
        second.pass_on(firsts.load_full());
        assert_eq!((seconds.generation(), seconds.load().deref()), (Generation(2), &"c"));
        assert!(seconds.generation_rx.has_changed().unwrap(), "those who wait hear of it");
    }

    #[test]
    fn the_first_value_counts_as_not_published() {
        let (mut publisher, reader) = channel("old");
        assert_eq!(reader.generation(), Generation::INITIAL);
        assert_eq!(publisher.publish("new").count(), 1);
        assert_eq!((*reader.load(), reader.load().generation().count()), ("new", 1));
    }

    #[tokio::test]
    async fn the_first_publication_ends_the_wait_for_it() {
        let (mut publisher, reader) = channel("old");
        let waiting = tokio::spawn({
            let reader = reader.clone();
            async move { reader.first().await.map(Generation::count) }
        });
        publisher.publish("new");
        assert_eq!(waiting.await.expect("no panic"), Ok(1));
        assert_eq!(reader.clone().first().await.map(Generation::count), Ok(1), "it is already published");
        let (publisher, reader) = channel("old");
        drop(publisher);
        assert_eq!(reader.first().await, Err(PublisherGone));
    }

    #[test]
    fn a_kept_value_does_not_change() {
        let (mut publisher, reader) = channel(vec![1]);
        let kept = reader.load_full();
        publisher.publish(vec![2]);
        assert_eq!((kept[0], reader.load()[0]), (1, 2));
    }

    #[tokio::test]
    async fn a_seat_holds_one_publisher_after_the_other() {
        let (mut seat, mut reader) = seat("old");
        let mut first = seat.take().expect("the seat is empty");
        assert!(seat.take().is_none(), "two writers");
        first.publish("new");
        drop(first);
        assert_eq!(reader.changed().await.map(Generation::count), Ok(1));
        let mut second = seat.take().expect("the first one is gone");
        assert_eq!((second.publish("newer").count(), *reader.load()), (2, "newer"));
        drop(seat);
        assert_eq!(reader.changed().await.map(Generation::count), Ok(2));
        drop(second);
        assert_eq!(reader.changed().await, Err(PublisherGone));
    }

    #[tokio::test]
    async fn several_publications_wake_once() {
        let (mut publisher, mut reader) = channel(0);
        publisher.publish(1);
        publisher.publish(2);
        assert_eq!(reader.changed().await.map(Generation::count), Ok(2));
        let mut late = reader.clone();
        drop(publisher);
        assert_eq!(late.changed().await, Err(PublisherGone));
        assert_eq!(*late.load(), 2);
    }
}
