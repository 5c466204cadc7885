//! The client side: listeners, TLS, and the byte streams that carry requests.

pub(crate) mod accept;
pub(crate) mod arrivals;
pub(crate) mod body_rate;
pub(crate) mod byte_stream;
mod client_socket;
pub(crate) mod client_tls;
pub(crate) mod connection;
pub(crate) mod connection_limits;
pub(crate) mod deferred_accept;
pub(crate) mod front_door;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod linger;
pub(crate) mod listener;
pub(crate) mod listener_manager;
pub(crate) mod listener_profile;
pub(crate) mod peeked_tcp;
mod proxy_header;
pub(crate) mod tls_policy;
pub(crate) mod websocket;
