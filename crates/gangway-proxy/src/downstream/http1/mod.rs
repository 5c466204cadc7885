//! Clients over HTTP/1: reads requests, sends responses, and keeps the client's deadlines.

mod input;
mod output;
mod request_body;
pub(crate) mod serve;
mod session;
#[cfg(test)]
mod tests;
