//! What a handshake for a host must come up to, found without looking at every route.

use std::sync::{Arc, Mutex, PoisonError};

use gangway_model::host::HostPattern;
use gangway_model::route::{Route, TlsVersion};
use gangway_publish::{Generation, Reader};

use crate::active::ActiveTable;

/// What the routes of a host ask for together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Protection {
    pub(crate) tls_min: TlsVersion,
    /// Of the most specific route that asks for one.
    pub(crate) client_ca: Option<Box<str>>,
}

/// The routes of the table in force that ask for something, mostly none.
#[derive(Debug, Default)]
pub(crate) struct Protections(Mutex<(Generation, Arc<[Arc<Route>]>)>);

impl Protections {
    /// For a host in lower case.
    pub(crate) fn of(&self, tables: &Reader<ActiveTable>, host: &str) -> Protection {
        let asking = self.asking(tables);
        let mut protection = Protection::default();
        let mut best = 0;
        for route in asking.iter() {
            let Some(rank) = route.hosts.iter().filter(|pattern| pattern.matches(host)).map(rank).max() else {
                continue;
            };
            protection.tls_min = protection.tls_min.max(route.tls_min);
            if rank > best
                && let Some(client_ca) = &route.client_ca
            {
                (best, protection.client_ca) = (rank, Some(client_ca.clone()));
            }
        }
        protection
    }

    /// Sorted out once for each table.
    fn asking(&self, tables: &Reader<ActiveTable>) -> Arc<[Arc<Route>]> {
        let table = tables.load();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != table.generation {
            let routes = table.value.routes().iter().map(|active| &active.route);
            let asking = routes.filter(|route| route.tls_min != TlsVersion::default() || route.client_ca.is_some());
            *known = (table.generation, asking.cloned().collect());
        }
        Arc::clone(&known.1)
    }
}

fn rank(pattern: &HostPattern) -> u8 {
    match pattern {
        HostPattern::Exact(_) => 4,
        HostPattern::Wildcard(_) => 3,
        HostPattern::AnyDomain(_) => 2,
        HostPattern::Any => 1,
    }
}
