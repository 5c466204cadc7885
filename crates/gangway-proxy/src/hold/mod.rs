//! Requests that wait for an endpoint: their bounds, and the pace at which they go on.

pub(crate) mod limits;
pub(crate) mod release;
