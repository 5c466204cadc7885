//! Endpoints that requests could not reach, on their way to the probes.

use std::collections::HashSet;

use gangway_model::EndpointKey;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Endpoints that could not be reached and are not probed yet.
///
/// A set and not a queue: an endpoint is in it once, so it is never larger than the endpoints there are, and never full.
/// A report that were lost would leave an endpoint without requests and without a probe that ends that.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    noted: Mutex<HashSet<EndpointKey, ahash::RandomState>>,
    news: Notify,
}

impl Suspects {
    /// Notes an endpoint. Never waits.
    pub(crate) fn note(&self, key: &EndpointKey) {
        self.noted.lock().insert(key.clone());
        self.news.notify_one();
    }

    /// Waits until there are any, and takes all of them. Cancel-safe. One task may wait at a time.
    pub(crate) async fn take(&self) -> HashSet<EndpointKey, ahash::RandomState> {
        loop {
            let noted = std::mem::take(&mut *self.noted.lock());
            if !noted.is_empty() {
                return noted;
            }
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use gangway_model::Address;

    use super::*;

    #[tokio::test]
    async fn all_that_were_noted_are_taken_once_however_many() {
        let suspects = Suspects::default();
        let key = |port| EndpointKey { container: "app".into(), address: Address::Ip([192, 0, 2, 1].into(), port) };
        for port in (1..=2000).chain(1..=2000) {
            suspects.note(&key(port));
        }
        assert_eq!(suspects.take().await, (1..=2000).map(key).collect());
        let (taken, ()) = tokio::join!(suspects.take(), async { suspects.note(&key(7)) });
        assert_eq!(taken.len(), 1);
    }
}
