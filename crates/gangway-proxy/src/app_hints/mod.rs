//! Finds out from an application's answers that one of its own settings is missing.
//!
//! An application that does not know its public name, or does not trust Gangway as a proxy, says so: by a status and a
//! text of its own, which people meet as "400: Bad Request". Here that text is recognised while it passes. Only refusals
//! are looked at, only their first bytes, and nothing waits for it: the answer is the same with and without.
//!
//! Which line the application needs is not known here; who asks [`AppHints`] says it.

mod refusal;
pub(crate) mod search;
pub(crate) mod sightings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use gangway_model::{EndpointKey, Route};
use gangway_publish::Reader;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use self::refusal::Refusal;
use crate::serving_table::{ActiveRoute, ActiveTable};

/// What applications refuse because of their own settings. Cheap to clone.
#[derive(Clone)]
pub struct AppHints {
    pub(crate) tables: Reader<ActiveTable>,
    /// Notified when there is one more.
    pub(crate) news: Arc<Notify>,
}

/// A refusal that an application answers on a route.
#[derive(Clone, Debug)]
pub struct AppHint {
    /// The route.
    pub route: Arc<Route>,
    /// The endpoint that has answered.
    pub endpoint: EndpointKey,
    /// What it has refused.
    pub refusal: Refusal,
    /// What was refused, as a URL without a path: the scheme, the host and, unless it is the usual one, the port.
    pub origin: Box<str>,
    /// The host in it.
    pub host: Box<str>,
}

impl AppHints {
    /// Waits until there is a hint more. Cancel-safe. Hints that are gone wake nobody.
    pub async fn more(&self) {
        self.news.notified().await;
    }

    /// The hints that hold now: one for each route and refusal.
    ///
    /// A hint goes away when its endpoint leaves the route, and when the application answers well again. Refusals that
    /// concern some requests only, such as forms, must also have stayed away for some minutes.
    pub fn present(&self) -> Vec<AppHint> {
        let now = Instant::now();
        let of_route = |active: &Arc<ActiveRoute>| {
            let has = |key: &EndpointKey| active.ready.iter().chain(&active.others).any(|one| one.key == *key);
            let seen = active.state.refusals.present(active.metrics.well_answered(), now);
            let hint = |(refusal, sighting): (Refusal, sightings::Sighting)| AppHint {
                route: Arc::clone(&active.route),
                endpoint: sighting.endpoint,
                refusal,
                origin: sighting.origin,
                host: sighting.host,
            };
            seen.into_iter().filter(|(_, seen)| has(&seen.endpoint)).map(hint).collect::<Vec<_>>()
        };
        self.tables.load().routes().iter().flat_map(of_route).collect()
    }
}
