//! The client of HTTP/1.1, over TCP or TLS.

mod input;
pub(crate) mod stream;
