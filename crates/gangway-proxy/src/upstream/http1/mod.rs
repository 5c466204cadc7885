//! The client of HTTP/1.1, over TCP or TLS.

pub(crate) mod stream;
