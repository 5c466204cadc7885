//! HTTP/2 from clients.

pub(crate) mod frames;
