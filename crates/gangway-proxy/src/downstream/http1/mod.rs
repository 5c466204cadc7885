//! Clients over HTTP/1: reads requests, sends responses, and keeps the client's deadlines.

mod body_reader;
mod input;
mod output;
pub(crate) mod serve;
pub(crate) mod session;
#[cfg(test)]
mod tests;
