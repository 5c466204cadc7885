//! Wakes waiting tasks from any place in the code.

use parking_lot::Mutex;

use gangway_publish::{Publisher, Reader, channel};

/// Wakes waiting tasks. Several rings in a row wake once.
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
