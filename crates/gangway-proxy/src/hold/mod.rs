//! Requests that wait for an endpoint: how many, for how long, and at which pace they go on.

pub(crate) mod limits;
pub(crate) mod release;
pub(crate) mod unavailable;
pub(crate) mod wait;
