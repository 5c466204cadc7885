//! Replies for routes that have no endpoint for a request.

use gangway_model::Readiness;

use crate::reply::local_reply::{FailureReply, RETRY_AFTER};
use crate::reply::reason::Reason;
use crate::serving_table::{ActiveEndpoint, ActiveRoute};
use crate::upstream::endpoint_state::EndpointHealth;

/// Explains why no endpoint of the route can serve a request now.
pub(crate) fn no_endpoint(active: &ActiveRoute) -> FailureReply {
    if let Some(reply) = nothing_to_wait_for(active) {
        return reply;
    }
    let held = active.route.upstream.held;
    let starting = active.others.iter().any(|endpoint| endpoint.readiness != Readiness::Unhealthy);
    let detail = active.others.iter().map(state).collect::<Vec<_>>().join(", ");
    let detail = match detail.is_empty() {
        true if held => "its last container has just gone".to_owned(),
        true => "the route has no endpoint".to_owned(),
        false => detail,
    };
    let reason = if starting || held { Reason::EndpointNotReady } else { Reason::NoEndpoint };
    FailureReply::new(reason).with_retry_after(RETRY_AFTER).with_detail(detail)
}

fn state(endpoint: &ActiveEndpoint) -> String {
    let state = match endpoint.readiness {
        Readiness::Ready if endpoint.state.health() == EndpointHealth::New => "is not reached yet",
        Readiness::Ready => "cannot be reached, or fails its check",
        Readiness::Starting => "has not passed its health check yet",
        Readiness::Unhealthy => "fails its health check",
        Readiness::Leaving => "is being stopped",
        Readiness::Restarting => "restarts",
    };
    format!("`{}` {state}", endpoint.name)
}

/// The reply if no endpoint will come until somebody changes something.
pub(crate) fn nothing_to_wait_for(active: &ActiveRoute) -> Option<FailureReply> {
    let has_none = active.ready.is_empty() && active.others.is_empty() && !active.route.upstream.held;
    let why = active.route.upstream.unreachable.as_deref().filter(|_| has_none)?;
    Some(FailureReply::new(Reason::NoWay).with_detail(why))
}
