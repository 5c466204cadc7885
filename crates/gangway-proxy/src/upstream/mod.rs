//! The endpoint side: the state of endpoints, how one is chosen, and how it is reached.

pub(crate) mod attempt;
mod balance;
pub(crate) mod choice;
pub(crate) mod dedicated;
pub(crate) mod endpoint_state;
pub(crate) mod error;
pub(crate) mod failure_counts;
pub(crate) mod health;
pub(crate) mod peer;
pub(crate) mod retry_budget;
pub(crate) mod roots;
pub(crate) mod route_state;
pub(crate) mod sticky;
