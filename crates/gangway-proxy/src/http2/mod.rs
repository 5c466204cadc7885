//! HTTP/2 as clients send it.

pub(crate) mod frames;
