//! Wakes who waits, from wherever something has happened.

use std::sync::{Mutex, PoisonError};

use gangway_publish::{Publisher, Reader, channel};

/// Wakes who waits. Several rings in a row wake once.
#[derive(Debug)]
pub(crate) struct Bell(Mutex<Publisher<()>>);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).publish(());
    }

    pub(crate) fn reader(&self) -> Reader<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).reader()
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self(Mutex::new(channel(()).0))
    }
}
