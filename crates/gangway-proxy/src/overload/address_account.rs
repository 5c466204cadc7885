//! What the clients of one address hold.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::overload::idle_connections::IdleMark;

/// Memory that a connection with a request under way takes: its state, TLS, and a buffer now and then.
pub(crate) const CONNECTION_BYTES: usize = 32 * 1024;

/// What the clients of one address hold: connections, requests under way, memory.
#[derive(Debug, Default)]
pub(crate) struct AddressAccount {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    /// Its connections; some may have ended.
    connections: Mutex<Vec<Weak<IdleMark>>>,
}

/// One request under way, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct CountedRequest {
    account: Arc<AddressAccount>,
    bytes: usize,
}

/// Bytes that are kept for clients of an address, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct KeptBytes {
    account: Arc<AddressAccount>,
    bytes: usize,
}

impl AddressAccount {
    /// Counts a request that holds `bytes` of memory. None if the address has `max` requests under way already.
    pub(crate) fn begin_request(self: &Arc<Self>, max: usize, bytes: usize) -> Option<CountedRequest> {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // If it does not fit, dropping it takes it off the counts again.
        let counted = CountedRequest { account: Arc::clone(self), bytes };
        (before < max).then_some(counted)
    }

    /// Bytes that its requests and their bodies hold, and its connections with a request under way. Idle ones do not count, for they are
    /// closed before an account matters.
    pub(crate) fn bytes(&self) -> usize {
        let connections = self.connections.lock();
        let busy = connections.iter().filter_map(Weak::upgrade).filter(|mark| mark.is_busy()).count();
        self.bytes.load(Ordering::Relaxed) + busy * CONNECTION_BYTES
    }

    /// Notes a connection.
    pub(crate) fn add_connection(&self, mark: &Arc<IdleMark>) {
        let mut connections = self.connections.lock();
        if connections.len() == connections.capacity() {
            // Only before the list grows, so that the cost stays constant for each new connection.
            connections.retain(|known| known.strong_count() > 0);
        }
        connections.push(Arc::downgrade(mark));
    }

    /// Closes all its connections. Returns how many there were.
    pub(crate) fn close(&self) -> usize {
        let connections = std::mem::take(&mut *self.connections.lock());
        connections.iter().filter_map(Weak::upgrade).inspect(|mark| mark.close()).count()
    }
}

impl KeptBytes {
    pub(crate) fn new(account: &Arc<AddressAccount>) -> Self {
        Self { account: Arc::clone(account), bytes: 0 }
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.account.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes bytes off that were added.
    pub(crate) fn remove(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.bytes, "only what was added is taken off");
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.account.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for KeptBytes {
    fn drop(&mut self) {
        self.account.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for CountedRequest {
    fn drop(&mut self) {
        self.account.requests.fetch_sub(1, Ordering::Relaxed);
        self.account.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::idle_connections::{IdleConnections, connection_for_test};

    #[tokio::test]
    async fn an_address_has_so_many_requests_and_gets_its_place_back() {
        let account = Arc::new(AddressAccount::default());
        let first = account.begin_request(1, 10);
        assert!(first.is_some() && account.begin_request(1, 10).is_none());
        assert_eq!(account.bytes(), 10);
        drop(first);
        assert!(account.begin_request(1, 10).is_some());
        assert_eq!(account.bytes(), 0);
    }

    #[tokio::test]
    async fn connections_count_while_a_request_is_under_way_and_all_are_closed() {
        let (account, connections) = (AddressAccount::default(), IdleConnections::new());
        let (busy, busy_task) = connection_for_test(&connections);
        let (idle, idle_task) = connection_for_test(&connections);
        let (ended, ended_task) = connection_for_test(&connections);
        for mark in [&busy, &idle, &ended] {
            account.add_connection(mark);
        }
        assert!(busy.end() && ended.end());
        assert_eq!(account.bytes(), 2 * CONNECTION_BYTES);
        drop(ended);
        assert_eq!(account.bytes(), CONNECTION_BYTES);
        assert_eq!(account.close(), 2);
        for task in [busy_task, idle_task] {
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        }
        assert_eq!((account.close(), account.bytes()), (0, 0));
        ended_task.abort();
    }
}
