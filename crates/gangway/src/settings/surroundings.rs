//! What surrounds the routers where Gangway runs in Traefik's place.

use gangway_admin::TraefikPages;
use gangway_proxy::{NamedMetrics, TraefikLog};

/// All of it. By default there is nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    pub(crate) pages: TraefikPages,
    /// How lines of the access log are written, where Traefik has one.
    pub(crate) log: Option<TraefikLog>,
    /// What is counted under Traefik's names, where it is asked for.
    pub(crate) metrics: Option<NamedMetrics>,
}
