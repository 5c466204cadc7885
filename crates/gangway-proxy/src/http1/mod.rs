//! HTTP/1: parsers and writers of heads and bodies.

pub(crate) mod chunked;
mod connection_options;
pub(crate) mod encoder;
mod field_line;
pub(crate) mod http_date;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
pub(crate) mod request_parser;
pub(crate) mod response_parser;
