//! Odd parts of HTTP/1 messages, for what is recorded of the data plane and for what is compared with other servers.

pub mod answers;
mod part;
pub mod requests;

pub use part::{OddPart, Suites, compared, recorded};
