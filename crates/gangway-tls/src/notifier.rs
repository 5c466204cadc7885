//! Wakes who waits, from wherever something has happened.

use parking_lot::Mutex;

use gangway_publish::{Publisher, Reader, channel};

/// Wakes who waits. Several rings in a row wake once.
#[derive(Debug)]
pub(crate) struct Notifier(Mutex<Publisher<()>>);

impl Notifier {
    pub(crate) fn ring(&self) {
        self.0.lock().publish(());
    }

    pub(crate) fn reader(&self) -> Reader<()> {
        self.0.lock().reader()
    }
}

impl Default for Notifier {
    fn default() -> Self {
        Self(Mutex::new(channel(()).0))
    }
}
