//! The demands of a host on TLS handshakes, by the table in force.

use std::sync::Arc;

use gangway_model::{Handshake, Handshakes};
use gangway_publish::{Generation, Reader};
use parking_lot::Mutex;

use crate::serving_table::{ActiveRoute, ActiveTable};

/// Computed once for each table, at its first handshake.
#[derive(Debug, Default)]
pub(crate) struct HandshakePolicies(Mutex<(Generation, Arc<Handshakes>)>);

impl HandshakePolicies {
    /// The demands for a host in lower case.
    pub(crate) fn of(&self, tables: &Reader<ActiveTable>, host: &str) -> Handshake {
        self.in_force(tables).of(host)
    }

    fn in_force(&self, tables: &Reader<ActiveTable>) -> Arc<Handshakes> {
        let table = tables.load();
        let mut known = self.0.lock();
        if known.0 != table.generation() {
            let asks = |active: &Arc<ActiveRoute>| Handshake {
                tls_min: active.route.listener.tls_min,
                client_ca: active.route.listener.client_ca.clone(),
            };
            let handshakes = table.handshakes(asks, |active| &active.route.tenant);
            *known = (table.generation(), Arc::new(handshakes));
        }
        Arc::clone(&known.1)
    }
}
