//! The endpoint that has a request now, and those that failed it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::upstream::dedicated::ConnectionOwner;
use crate::upstream::endpoint_state::{EndpointState, InFlight};

/// How a request fares on its way to an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// The endpoint that has the request now, by position in the route.
    pub(crate) chosen: Option<usize>,
    /// How often an endpoint was chosen.
    pub(crate) tries: usize,
    /// How often the chosen endpoint could not be connected to.
    pub(crate) unreached: usize,
    /// Endpoints that failed it. Empty, and not allocated, for nearly all requests.
    pub(crate) failed: Vec<Arc<EndpointState>>,
    /// The client does not know the endpoint yet: on a sticky route the response sets its cookie.
    pub(crate) is_new_to_endpoint: bool,
    pub(crate) in_flight: Option<InFlight>,
    /// The owner of the connection to the endpoint.
    pub(crate) owner: ConnectionOwner,
    /// When the request was handed to the endpoint.
    pub(crate) sent: Option<Instant>,
    /// When something of an answer came from the endpoint.
    pub(crate) first_byte: Option<Instant>,
}

impl Attempt {
    /// Counts another try. An endpoint is still to be chosen for it.
    pub(crate) fn begin_try(&mut self) {
        self.chosen = None;
        self.tries += 1;
        self.in_flight = None;
        self.sent = None;
        self.first_byte = None;
    }

    /// Whether this endpoint failed the request.
    pub(crate) fn has_failed_at(&self, state: &Arc<EndpointState>) -> bool {
        self.failed.iter().any(|failed| Arc::ptr_eq(failed, state))
    }
}
