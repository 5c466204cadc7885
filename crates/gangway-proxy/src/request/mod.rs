//! A request on its way: admitted, decided about, forwarded.

pub(crate) mod admission;
pub(crate) mod client_origin;
pub(crate) mod context;
pub(crate) mod forwarding;
pub(crate) mod upgrade;
