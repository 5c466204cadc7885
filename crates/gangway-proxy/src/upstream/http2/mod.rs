//! The client of HTTP/2.

pub(crate) mod connection;
pub(crate) mod convert;
mod observed_io;
pub(crate) mod stream;
