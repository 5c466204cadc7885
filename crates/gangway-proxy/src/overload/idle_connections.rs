//! Client connections that carry no request at the moment, so that they can be closed before anything else is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// A request is under way.
const BUSY: u64 = 0;
/// It was chosen to be closed.
const EVICTED: u64 = u64::MAX;

/// Whether a connection is idle. Its session and the one that closes idle connections agree by it: a connection is
/// never closed under a request that has begun to come.
#[derive(Debug)]
pub(crate) struct IdleMark {
    /// [`BUSY`], [`EVICTED`], or the tick since when it is idle.
    since: AtomicU64,
    /// Whether it has carried a request.
    has_served: AtomicBool,
    /// The task that serves the connection; aborting it closes the connection.
    task: OnceLock<AbortHandle>,
}

/// What was found for the sake of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// An idle connection was closed.
    Made,
    /// Connections that have just come are about to begin, and any of them may be the one to close.
    Awaited,
    /// Every connection carries a request.
    Nowhere,
}

/// The marks of all connections.
#[derive(Debug)]
pub(crate) struct IdleConnections {
    marks: Mutex<Vec<Weak<IdleMark>>>,
    /// A coarse clock: reading the real one would cost more than the rest of the mark.
    tick: AtomicU64,
}

impl IdleMark {
    /// A mark for a new connection.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { since: AtomicU64::new(BUSY), has_served: AtomicBool::new(false), task: OnceLock::new() })
    }

    /// Notes the task that serves the connection. Before that, the connection cannot be closed from outside.
    pub(crate) fn set_task(&self, task: AbortHandle) {
        let is_first = self.task.set(task).is_ok();
        debug_assert!(is_first, "a connection has one task");
    }

    /// The task that serves the connection.
    pub(crate) fn task(&self) -> Option<&AbortHandle> {
        self.task.get()
    }

    /// Ends the idle time, for bytes have come. False if the connection was chosen to be closed in that moment: what
    /// has come is not read.
    pub(crate) fn end(&self) -> bool {
        let is_kept = |since| (since != EVICTED).then_some(BUSY);
        let ended = self.since.fetch_update(Ordering::AcqRel, Ordering::Acquire, is_kept).is_ok();
        self.has_served.store(true, Ordering::Relaxed);
        ended
    }

    fn idle_since(&self) -> Option<u64> {
        Some(self.since.load(Ordering::Relaxed)).filter(|since| !matches!(*since, BUSY | EVICTED))
    }

    /// Whether its task has not begun its idle time yet.
    fn is_to_begin(&self) -> bool {
        self.is_busy() && !self.has_served()
    }

    fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Relaxed)
    }

    /// Whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.since.load(Ordering::Relaxed) == BUSY
    }

    /// Closes the connection, whatever it does.
    pub(super) fn close(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Closes the connection if it is still idle since then.
    fn evict(&self, since: u64) -> bool {
        let is_evicted = self.since.compare_exchange(since, EVICTED, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_evicted {
            self.close();
        }
        is_evicted
    }
}

impl IdleConnections {
    pub(crate) fn new() -> Self {
        Self { marks: Mutex::default(), tick: AtomicU64::new(BUSY + 1) }
    }

    /// Notes a connection, which may be closed from now on. It counts as busy until its task begins its idle time:
    /// otherwise the newest would give up its place before its request is read.
    pub(crate) fn add(&self, mark: &Arc<IdleMark>) {
        let mut marks = self.marks.lock();
        if marks.len() == marks.capacity() {
            // Only before the list grows, so that the cost stays constant for each new connection.
            marks.retain(|known| known.strong_count() > 0);
        }
        marks.push(Arc::downgrade(mark));
    }

    /// Begins the idle time of a connection. That of a new one lasts up to its first request, also while its TLS
    /// handshake is under way.
    pub(crate) fn begin(&self, mark: &IdleMark) {
        mark.since.store(self.tick.load(Ordering::Relaxed), Ordering::Release);
    }

    /// Moves the coarse clock on.
    pub(crate) fn tick(&self) {
        self.tick.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes up to `count` connections. Those go first that never carried a request, so that silent clients cannot
    /// displace others; then those that are idle for longest. Returns how many were closed.
    pub(crate) fn close(&self, count: usize) -> usize {
        close_idle(&self.marks(), count)
    }

    /// Closes one connection, as [`Self::close`] does, for the sake of a new one. One that has served stays while others
    /// have not begun: many silent clients at once would displace it otherwise.
    pub(crate) fn make_room(&self) -> Room {
        let (served, new): (Vec<_>, Vec<_>) = self.marks().into_iter().partition(|mark| mark.has_served());
        if close_idle(&new, 1) > 0 {
            return Room::Made;
        }
        if new.iter().any(|mark| mark.is_to_begin()) {
            return Room::Awaited;
        }
        if close_idle(&served, 1) > 0 { Room::Made } else { Room::Nowhere }
    }

    fn marks(&self) -> Vec<Arc<IdleMark>> {
        self.marks.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

fn close_idle(marks: &[Arc<IdleMark>], count: usize) -> usize {
    let mut idle: Vec<_> = marks.iter().filter_map(|mark| mark.idle_since().map(|since| (since, mark))).collect();
    idle.sort_by_key(|(since, mark)| (mark.has_served(), *since));
    idle.iter().filter(|(since, mark)| mark.evict(*since)).take(count).count()
}

/// A connection that does nothing, and its task.
#[cfg(test)]
pub(super) fn connection_for_test(connections: &IdleConnections) -> (Arc<IdleMark>, tokio::task::JoinHandle<()>) {
    let task = tokio::spawn(std::future::pending::<()>());
    let mark = IdleMark::new();
    mark.set_task(task.abort_handle());
    connections.add(&mark);
    connections.begin(&mark);
    (mark, task)
}

#[cfg(test)]
mod tests {
    use super::connection_for_test as connection;
    use super::*;

    #[tokio::test]
    async fn the_longest_idle_go_first_and_busy_ones_stay() {
        let connections = IdleConnections::new();
        let (busy, busy_task) = connection(&connections);
        assert!(busy.end());
        let (older, older_task) = connection(&connections);
        let (newer, newer_task) = connection(&connections);
        assert!(older.end() && newer.end());
        connections.begin(&older);
        connections.tick();
        connections.begin(&newer);
        let (silent, silent_task) = connection(&connections);
        assert!(older.end() && newer.end());
        connections.begin(&older);
        connections.tick();
        connections.begin(&newer);
        assert_eq!(connections.close(1), 1);
        assert!(silent_task.await.is_err_and(|error| error.is_cancelled()), "it never carried a request");
        assert_eq!(connections.close(1), 1);
        assert!(older_task.await.is_err_and(|error| error.is_cancelled()));
        assert!(!older.end(), "it was chosen");
        assert!(newer.end() && busy.end());
        assert_eq!(connections.close(10), 0, "none is idle");
        connections.begin(&newer);
        assert_eq!(connections.close(10), 1);
        assert!(newer_task.await.is_err_and(|error| error.is_cancelled()));
        assert!(!busy_task.is_finished());
        drop((busy, older, newer, silent));
    }

    #[tokio::test]
    async fn one_that_has_served_stays_while_new_ones_have_not_begun() {
        let connections = IdleConnections::new();
        assert_eq!(connections.make_room(), Room::Nowhere);
        let (served, served_task) = connection(&connections);
        assert!(served.end());
        connections.begin(&served);
        let new = IdleMark::new();
        let new_task = tokio::spawn(std::future::pending::<()>());
        new.set_task(new_task.abort_handle());
        connections.add(&new);
        assert_eq!(connections.make_room(), Room::Awaited);
        connections.begin(&new);
        assert_eq!(connections.make_room(), Room::Made);
        assert!(new_task.await.is_err_and(|error| error.is_cancelled()), "it never carried a request");
        drop(new);
        assert!(!served_task.is_finished());
        assert_eq!(connections.make_room(), Room::Made);
        assert!(served_task.await.is_err_and(|error| error.is_cancelled()), "no other is left");
        assert_eq!(connections.make_room(), Room::Nowhere);
    }
}
