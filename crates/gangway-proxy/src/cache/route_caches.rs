//! The caches of all routes, which outlive a table for as long as what they keep is what their route would answer.

use std::sync::Arc;

use ahash::HashMap;
use gangway_model::{Endpoint, Middleware, Route};

use crate::cache::registry::CacheRegistry;
use crate::cache::store::RouteCache;

/// The caches of all routes, by the routes' ids.
#[derive(Debug, Default)]
pub(crate) struct RouteCaches {
    by_id: HashMap<Box<str>, (Arc<Route>, Arc<RouteCache>)>,
}

impl RouteCaches {
    /// The cache for a route of the next table, if it has one: the known one, or an empty one where the route or what
    /// stands behind it has changed.
    pub(crate) fn carry_over(
        &self,
        next: &mut Self,
        route: &Arc<Route>,
        registry: &CacheRegistry,
    ) -> Option<Arc<RouteCache>> {
        let bytes = route.middlewares.iter().find_map(Middleware::cache)?;
        let known = self.by_id.get(&route.id).filter(|(known, _)| answers_alike(known, route));
        let cache = match known {
            Some((_, cache)) => Arc::clone(cache),
            None => {
                let cache = RouteCache::new(bytes, registry.memory.clone());
                registry.add(&cache);
                cache
            }
        };
        next.insert(route, Arc::clone(&cache));
        Some(cache)
    }

    pub(crate) fn insert(&mut self, route: &Arc<Route>, cache: Arc<RouteCache>) {
        self.by_id.insert(route.id.clone(), (Arc::clone(route), cache));
    }
}

/// Whether a route answers as it did before: nothing is changed that it does with requests, and no container has come. One
/// that has come may be of another image. One that goes, or has another address, changes nothing.
fn answers_alike(before: &Route, now: &Route) -> bool {
    let was_there = |endpoint: &Endpoint| before.upstream.endpoints.iter().any(|known| is_same(known, endpoint));
    before.rule == now.rule
        && before.middlewares == now.middlewares
        && before.host_header == now.host_header
        && before.listener == now.listener
        && before.tenant == now.tenant
        && now.upstream.endpoints.iter().all(was_there)
}

fn is_same(one: &Endpoint, other: &Endpoint) -> bool {
    let is_same_place = match one.key.container.is_empty() {
        true => one.key == other.key,
        false => one.key.container == other.key.container,
    };
    // Another port of the same container may be another application.
    is_same_place && one.scheme == other.scheme && one.key.address.port() == other.key.address.port()
}
