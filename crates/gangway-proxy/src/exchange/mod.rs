//! One request and its response, from the client's end to the endpoint's: admit, decide, send, relay, record.
//!
//! This code knows neither the version of HTTP on either side nor how bytes travel.

mod attempt;
mod cached;
mod client_wait;
pub(crate) mod exchange_pool;
mod hold_body;
mod refresh;
mod replay;
mod send;
pub(crate) mod serve;
pub(crate) mod state;
mod transfer;
pub(crate) mod worker;
