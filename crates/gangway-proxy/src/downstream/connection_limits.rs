//! Bounds on the number of client connections, in total and per address.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use gangway_publish::Reader;
use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::address_key::AddressKey;
use crate::downstream::connection::canonical;
use crate::downstream::listener_profile::ListenerProfile;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::overload::address_account::AddressAccount;
use crate::whereabouts::Whereabouts;

/// Counts connections over all threads.
#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    places: Arc<Semaphore>,
    per_address_max: u32,
    by_address: Mutex<HashMap<AddressKey, CountedAddress, ahash::RandomState>>,
    whereabouts: Reader<Whereabouts>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct CountedAddress {
    connections: u32,
    account: Arc<AddressAccount>,
}

/// A permit for one connection, given back when dropped.
pub(crate) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    counted: Option<(Arc<ConnectionLimits>, AddressKey)>,
    /// What the clients of the address hold; none for addresses that speak for many clients.
    pub(crate) account: Option<Arc<AddressAccount>>,
    open: IntGauge,
}

impl ConnectionLimits {
    /// Gateways in `whereabouts` speak for many clients and are not bounded.
    pub(crate) fn new(limits: &Limits, whereabouts: Reader<Whereabouts>, metrics: Arc<Metrics>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            per_address_max: limits.connections_per_address,
            by_address: Mutex::new(HashMap::default()),
            whereabouts,
            metrics,
        }
    }

    /// Takes a place among all connections, if one is free.
    pub(crate) fn place_at_once(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Whether all places are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.places.available_permits() == 0
    }

    /// Waits for a place among all connections.
    pub(crate) async fn place(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Counts a connection for its address. None if the address has too many. Trusted proxies and gateways speak for
    /// many clients and are not bounded.
    pub(crate) fn admit(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        peer: SocketAddr,
        listener: &ListenerProfile,
    ) -> Option<ConnectionPermit> {
        let address = canonical(peer.ip());
        let (counted, account) =
            if listener.trusted_proxies.contains(address) || self.whereabouts.load().is_gateway(address) {
                (None, None)
            } else {
                let key = AddressKey::of(peer.ip());
                let mut by_address = self.by_address.lock();
                let counted = by_address.entry(key).or_default();
                if counted.connections >= self.per_address_max {
                    self.count_refused("per-address");
                    return None;
                }
                counted.connections += 1;
                (Some((Arc::clone(self), key)), Some(Arc::clone(&counted.account)))
            };
        let open = listener.open.clone();
        open.inc();
        Some(ConnectionPermit { _permit: permit, counted, account, open })
    }

    /// Counts a connection that is turned away.
    pub(crate) fn count_refused(&self, reason: &str) {
        self.metrics.connections_refused.with_label_values(&[reason]).inc();
    }

    /// Closes all connections of the address that holds most memory, if it holds at least this much. Returns how many there
    /// were.
    pub(crate) fn close_heaviest(&self, bytes_min: usize) -> usize {
        self.heaviest(bytes_min).map_or(0, |account| account.close())
    }

    fn heaviest(&self, bytes_min: usize) -> Option<Arc<AddressAccount>> {
        let by_address = self.by_address.lock();
        let accounts = by_address.values().map(|counted| (counted.account.bytes(), &counted.account));
        let heaviest = accounts.filter(|(bytes, _)| *bytes >= bytes_min).max_by_key(|(bytes, _)| *bytes);
        heaviest.map(|(_, account)| Arc::clone(account))
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.open.dec();
        if let Some((connections, key)) = self.counted.take() {
            let mut by_address = connections.by_address.lock();
            if let Some(counted) = by_address.get_mut(&key) {
                counted.connections -= 1;
                if counted.connections == 0 {
                    by_address.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[tokio::test]
    async fn an_address_gets_so_many_connections_and_its_place_back() {
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).expect("fresh registry"));
        let limits = Limits { connections_per_address: 1, ..Limits::default() };
        let gateway = SocketAddr::from(([172, 18, 0, 1], 1000));
        let whereabouts = Whereabouts { gateways: vec![gateway.ip()], ..Whereabouts::default() };
        let (_whereabouts_tx, whereabouts) = gangway_publish::channel(whereabouts);
        let connections = Arc::new(ConnectionLimits::new(&limits, whereabouts, metrics));
        let peer = SocketAddr::from(([192, 0, 2, 1], 1000));
        let first = connections.admit(connections.place().await, peer, &samples::listener(false));
        assert!(first.is_some());
        assert!(connections.admit(connections.place().await, peer, &samples::listener(false)).is_none());
        let neighbour = SocketAddr::from(([192, 0, 2, 2], 1000));
        assert!(connections.admit(connections.place().await, neighbour, &samples::listener(false)).is_some());
        let anybody: Vec<_> = (0..2)
            .map(|_| {
                connections
                    .place_at_once()
                    .and_then(|place| connections.admit(place, gateway, &samples::listener(false)))
            })
            .collect();
        assert!(anybody.iter().all(Option::is_some), "everybody behind a gateway has its address");
        drop(first);
        assert!(connections.admit(connections.place().await, peer, &samples::listener(false)).is_some());
        assert_eq!(connections.by_address.lock().len(), 0, "an address without a connection takes no memory");
    }

    #[tokio::test]
    async fn the_heaviest_address_is_one_that_holds_much() {
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).expect("fresh registry"));
        let (_whereabouts_tx, whereabouts) = gangway_publish::channel(Whereabouts::default());
        let connections = Arc::new(ConnectionLimits::new(&Limits::default(), whereabouts, metrics));
        let mut held = Vec::new();
        for (last, bytes) in [(1, 1000), (2, 3000), (3, 2000)] {
            let peer = SocketAddr::from(([192, 0, 2, last], 1000));
            let permit = connections.admit(connections.place().await, peer, &samples::listener(false)).expect("room");
            let account = permit.account.clone().expect("an address of its own");
            held.push((account.begin_request(1, bytes).expect("the first"), permit));
        }
        let heaviest = |bytes_min| connections.heaviest(bytes_min).map(|account| account.bytes());
        assert_eq!((heaviest(1), heaviest(3000), heaviest(3001)), (Some(3000), Some(3000), None));
    }
}
