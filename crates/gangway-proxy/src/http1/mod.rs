//! HTTP/1: parsers and writers of heads and bodies, and the gate that Pingora's sessions stand behind.

#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod chunked;
#[allow(dead_code, reason = "the engine is being put together")]
mod connection_options;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod encoder;
pub(crate) mod gate;
pub(crate) mod head;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod http_date;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod request_parser;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod response_parser;
