//! Notes which parts of a connection were woken, so that its task polls these alone.

use std::sync::Arc;
use std::task::{Wake, Waker};

use parking_lot::Mutex;

/// The parts of one connection that were woken and not polled since.
#[derive(Debug)]
pub(super) struct Wakes(Mutex<Woken>);

#[derive(Debug)]
struct Woken {
    connection: bool,
    input: bool,
    going_away: bool,
    /// A bit for each stream, by its place.
    streams: Vec<u64>,
    /// Whether the task is being polled. It asks for what was woken before it ends, so it need not be woken.
    is_polling: bool,
    task: Waker,
}

/// A part of a connection that is polled for itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ConnectionPart {
    /// The h2 library, which reads and writes frames.
    Connection,
    /// The client's bytes. Wakes the h2 library too, which reads them.
    Input,
    /// What tells that the client is to be sent elsewhere.
    GoingAway,
    /// The stream with this place.
    Stream(usize),
}

/// Wakes one part.
struct PartWaker {
    wakes: Arc<Wakes>,
    part: ConnectionPart,
}

impl Wakes {
    /// Everything is to be polled at first, but for streams.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Woken {
            connection: true,
            input: true,
            going_away: true,
            streams: Vec::new(),
            is_polling: false,
            task: Waker::noop().clone(),
        }))
    }

    /// What wakes `part`.
    pub(super) fn waker(self: &Arc<Self>, part: ConnectionPart) -> Waker {
        Waker::from(Arc::new(PartWaker { wakes: Arc::clone(self), part }))
    }

    /// Begins a poll of the task.
    pub(super) fn begin_poll(&self, task: &Waker) {
        let mut woken = self.0.lock();
        woken.is_polling = true;
        woken.task.clone_from(task);
    }

    /// Ends a poll of the task. True if it has to be polled again.
    pub(super) fn end_poll(&self) -> bool {
        let mut woken = self.0.lock();
        woken.is_polling = false;
        woken.has_any()
    }

    /// Whether a part is to be polled.
    pub(super) fn has_any(&self) -> bool {
        self.0.lock().has_any()
    }

    /// Notes that a part is to be polled. For use while the task is being polled.
    pub(super) fn note(&self, part: ConnectionPart) {
        self.0.lock().note(part);
    }

    /// Whether the h2 library is to be polled. True once.
    pub(super) fn take_connection(&self) -> bool {
        std::mem::take(&mut self.0.lock().connection)
    }

    /// Whether bytes of the client are to be read. True once.
    pub(super) fn take_input(&self) -> bool {
        std::mem::take(&mut self.0.lock().input)
    }

    /// Whether it is to be found out if the client is to be sent elsewhere. True once.
    pub(super) fn take_going_away(&self) -> bool {
        std::mem::take(&mut self.0.lock().going_away)
    }

    /// Fills `places` with the streams that are to be polled, a bit for each. False if there are none.
    pub(super) fn take_streams(&self, places: &mut Vec<u64>) -> bool {
        let mut woken = self.0.lock();
        if woken.streams.iter().all(|word| *word == 0) {
            return false;
        }
        places.clear();
        places.extend_from_slice(&woken.streams);
        woken.streams.fill(0);
        true
    }

    fn wake(&self, part: ConnectionPart) {
        let mut woken = self.0.lock();
        woken.note(part);
        if woken.is_polling {
            return;
        }
        let task = woken.task.clone();
        drop(woken);
        task.wake();
    }
}

impl Woken {
    fn has_any(&self) -> bool {
        // Input is polled by the connection.
        self.connection || self.going_away || self.streams.iter().any(|word| *word != 0)
    }

    fn note(&mut self, part: ConnectionPart) {
        match part {
            ConnectionPart::Connection => self.connection = true,
            ConnectionPart::Input => {
                self.input = true;
                self.connection = true;
            }
            ConnectionPart::GoingAway => self.going_away = true,
            ConnectionPart::Stream(place) => {
                let word = place / 64;
                if self.streams.len() <= word {
                    self.streams.resize(word + 1, 0);
                }
                self.streams[word] |= 1 << (place % 64);
            }
        }
    }
}

impl Wake for PartWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.wake(self.part);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_part_is_polled_once_for_its_wakes_and_the_task_is_woken_between_its_polls_alone() {
        let (wakes, count) = (Arc::new(Wakes::new()), Arc::<Count>::default());
        wakes.begin_poll(&Waker::from(Arc::clone(&count)));
        assert!(wakes.take_connection() && !wakes.take_connection() && wakes.take_going_away() && !wakes.has_any());
        let mut places = Vec::new();
        for place in [3, 70] {
            wakes.waker(ConnectionPart::Stream(place)).wake();
        }
        assert!(wakes.take_streams(&mut places) && !wakes.take_streams(&mut places));
        assert_eq!(places, [8, 64]);
        assert!(!wakes.end_poll(), "all was taken");
        assert_eq!(count.0.load(Ordering::Relaxed), 0);

        wakes.waker(ConnectionPart::Input).wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        wakes.begin_poll(&Waker::from(Arc::clone(&count)));
        assert!(wakes.take_input() && !wakes.take_input() && wakes.take_connection());
        wakes.waker(ConnectionPart::GoingAway).wake();
        assert!(wakes.end_poll(), "woken while it was polled");
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
