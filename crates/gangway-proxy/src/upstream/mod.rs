//! The endpoint side: the state of endpoints, how one is chosen, and how it is reached.

pub(crate) mod attempt;
mod balance;
pub(crate) mod choice;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod connector;
pub(crate) mod dedicated;
#[allow(dead_code, reason = "the engine is being put together")]
mod dial;
pub(crate) mod endpoint_state;
pub(crate) mod error;
pub(crate) mod failure_counts;
pub(crate) mod health;
#[allow(dead_code, reason = "the engine is being put together")]
mod http1;
#[allow(dead_code, reason = "the engine is being put together")]
mod http2;
#[allow(dead_code, reason = "the engine is being put together")]
mod key_verifier;
mod known_addresses;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod open_connections;
pub(crate) mod peer;
pub(crate) mod retry_budget;
pub(crate) mod roots;
pub(crate) mod route_state;
pub(crate) mod sticky;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod stream;
#[allow(dead_code, reason = "the engine is being put together")]
mod tls;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod transport;
