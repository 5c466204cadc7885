//! The client side: listeners, TLS, and the byte streams that carry requests.

pub(crate) mod accept;
pub(crate) mod arrivals;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod body_rate;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod byte_stream;
pub(crate) mod connection;
pub(crate) mod connection_limits;
pub(crate) mod front_door;
#[allow(dead_code, reason = "the engine is being put together")]
mod http1;
pub(crate) mod linger;
pub(crate) mod listener;
#[allow(dead_code, reason = "the engine is being put together")]
pub(crate) mod peeked_tcp;
pub(crate) mod read_deadline;
pub(crate) mod tls_policy;
pub(crate) mod websocket;
