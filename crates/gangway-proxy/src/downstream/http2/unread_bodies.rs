//! Counts what has come of the bodies of a connection's requests and was not taken by their endpoints.
//!
//! The h2 library keeps such bytes, as many as the windows allow. They count for the account of the client's address: a
//! client that fills its windows before slow endpoints holds more than one that waits for a small response.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::overload::address_account::{AddressAccount, KeptBytes};

/// The bytes of the bodies of one connection that have come and were not consumed. Nothing is counted for an address
/// without an account.
#[derive(Debug, Default)]
pub(super) struct UnreadBodies(Option<Mutex<Bodies>>);

#[derive(Debug)]
struct Bodies {
    /// The streams whose bodies are awaited, and the bytes of each. There are few, so they are searched from the start.
    streams: Vec<(u32, usize)>,
    kept: KeptBytes,
}

impl UnreadBodies {
    pub(super) fn new(account: Option<&Arc<AddressAccount>>) -> Self {
        Self(account.map(|account| Mutex::new(Bodies { streams: Vec::new(), kept: KeptBytes::new(account) })))
    }

    /// Counts for a stream from now on, of which `len` bytes have come before.
    pub(super) fn begin(&self, stream: u32, len: usize) {
        if let Some(bodies) = &self.0 {
            let mut bodies = bodies.lock();
            bodies.streams.push((stream, len));
            bodies.kept.add(len);
        }
    }

    /// Counts frames. Those of streams whose bodies are not awaited are dropped by the h2 library.
    pub(super) fn arrived(&self, frames: impl Iterator<Item = (u32, usize)>) {
        let Some(bodies) = &self.0 else { return };
        let bodies = &mut *bodies.lock();
        for (stream, len) in frames {
            if let Some((_, bytes)) = bodies.streams.iter_mut().find(|(of, _)| *of == stream) {
                *bytes += len;
                bodies.kept.add(len);
            }
        }
    }

    /// Takes consumed bytes off the count.
    pub(super) fn consumed(&self, stream: u32, len: usize) {
        let Some(bodies) = &self.0 else { return };
        let bodies = &mut *bodies.lock();
        if let Some((_, bytes)) = bodies.streams.iter_mut().find(|(of, _)| *of == stream) {
            // More is consumed than has come only by a bug.
            let len = len.min(*bytes);
            *bytes -= len;
            bodies.kept.remove(len);
        }
    }

    /// Ends the count for a stream.
    pub(super) fn end(&self, stream: u32) {
        let Some(bodies) = &self.0 else { return };
        let bodies = &mut *bodies.lock();
        if let Some(at) = bodies.streams.iter().position(|(of, _)| *of == stream) {
            let (_, len) = bodies.streams.swap_remove(at);
            bodies.kept.remove(len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_from_their_arrival_until_they_are_consumed_or_their_stream_ends() {
        let account = Arc::new(AddressAccount::default());
        let bodies = UnreadBodies::new(Some(&account));
        bodies.arrived([(1, 100)].into_iter());
        assert_eq!(account.bytes(), 0, "nobody awaits it");
        bodies.begin(1, 100);
        bodies.begin(3, 0);
        bodies.arrived([(1, 10), (3, 1000), (5, 9)].into_iter());
        assert_eq!(account.bytes(), 1110);
        bodies.consumed(1, 60);
        bodies.consumed(3, 2000);
        assert_eq!(account.bytes(), 50);
        bodies.end(1);
        bodies.end(1);
        assert_eq!(account.bytes(), 0);
        bodies.arrived([(3, 7)].into_iter());
        assert_eq!(account.bytes(), 7);
        drop(bodies);
        assert_eq!(account.bytes(), 0);
    }
}
