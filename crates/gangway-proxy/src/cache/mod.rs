//! `cache`: a shared cache in front of a route (RFC 9111, RFC 5861).
//!
//! What may be kept and for how long, [`rules`] says; it is pure. [`store`] keeps answers as the application sent them,
//! before middlewares change or compress them, and makes one request of many for the same. The exchange looks answers up
//! only after the gate of the route, so nobody gets from here what the route would not let them ask for.
//!
//! There are deliberately no heuristics: what does not say how long it is fresh is not kept.

pub(crate) mod conditions;
pub(crate) mod key;
pub(crate) mod memory;
pub(crate) mod recorder;
pub(crate) mod registry;
pub(crate) mod route_caches;
pub(crate) mod rules;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod stored;
