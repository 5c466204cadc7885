//! The endpoint side: the state of endpoints, how one is chosen, and how it is reached.

pub(crate) mod attempt;
mod balance;
pub(crate) mod choice;
mod coarse_clock;
pub(crate) mod connector;
pub(crate) mod dedicated;
mod dial;
pub(crate) mod endpoint_state;
pub(crate) mod endpoint_tls;
pub(crate) mod error;
pub(crate) mod failure_counts;
pub(crate) mod health;
mod http1;
mod http2;
mod key_verifier;
mod known_addresses;
pub(crate) mod lone_request;
pub(crate) mod opener;
mod own_connections;
mod pool;
pub(crate) mod retry_budget;
pub(crate) mod roots;
pub(crate) mod route_state;
#[cfg(test)]
pub(crate) mod samples;
mod small_rsa;
mod socket;
pub(crate) mod sticky;
pub(crate) mod stream;
pub(crate) mod subrequest;
pub(crate) mod suspects;
pub(crate) mod tls;
mod tls_configs;
pub(crate) mod transport;
