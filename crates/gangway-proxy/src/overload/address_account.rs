//! What the clients of one address hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// What the clients of one address hold: connections, requests under way, memory.
#[derive(Debug, Default)]
pub(crate) struct AddressAccount {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    /// The tasks of its connections; some may have ended.
    tasks: Mutex<Vec<AbortHandle>>,
}

/// One request under way, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct CountedRequest {
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

    /// Bytes that its requests hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Notes the task of a connection.
    pub(crate) fn add_task(&self, task: AbortHandle) {
        let mut tasks = self.tasks.lock();
        if tasks.len() == tasks.capacity() {
            // Only before the list grows, so that the cost stays constant for each new connection.
            tasks.retain(|known| !known.is_finished());
        }
        tasks.push(task);
    }

    /// Closes all its connections. Returns how many there were.
    pub(crate) fn close(&self) -> usize {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let open = tasks.iter().filter(|task| !task.is_finished());
        open.inspect(|task| task.abort()).count()
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

    #[tokio::test]
    async fn an_address_has_so_many_requests_and_gets_its_place_back() {
        let account = Arc::new(AddressAccount::default());
        let first = account.begin_request(1, 10);
        assert!(first.is_some() && account.begin_request(1, 10).is_none());
        assert_eq!(account.bytes(), 10);
        drop(first);
        assert!(account.begin_request(1, 10).is_some());
        assert_eq!(account.bytes(), 0);
        let task = tokio::spawn(std::future::pending::<()>());
        account.add_task(task.abort_handle());
        assert_eq!(account.close(), 1);
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(account.close(), 0);
    }
}
