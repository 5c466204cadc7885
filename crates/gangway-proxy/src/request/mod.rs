//! A request on its way: admitted once, decided about by a table, forwarded to an endpoint.

pub(crate) mod admission;
pub(crate) mod client_origin;
pub(crate) mod client_response;
pub(crate) mod context;
pub(crate) mod decision;
pub(crate) mod forwarding;
pub(crate) mod routing;
pub(crate) mod upgrade;
pub(crate) mod upstream_request;
