//! The client of HTTP/2.

pub(crate) mod stream;
