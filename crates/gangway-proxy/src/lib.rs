//! The data plane: it accepts connections, routes requests by a compiled table, and proxies them to endpoints.
//!
//! Pingora is used as a library (`HttpProxy`, `HttpPeer`, its connector). Listeners, TLS, the checks of what
//! clients send, and all bounds are Gangway's own code in front of it.
//!
//! The crate knows neither Docker nor labels nor the disk: it serves the table that it is given.

mod activation;
mod app;
#[allow(dead_code, reason = "the engine is being put together")]
mod buffer_pool;
mod data_plane;
mod downstream;
#[allow(dead_code, reason = "the engine is being put together")]
mod exchange;
mod grammar;
mod hash;
mod hold;
mod http1;
mod http2;
mod lifecycle;
mod limits;
mod listen_addresses;
mod log;
#[allow(dead_code, reason = "the engine is being put together")]
mod message;
mod metrics;
mod middleware;
mod panic_guard;
mod reply;
mod request;
mod serving_table;
mod settings;
mod shared;
mod start_error;
#[allow(dead_code, reason = "the engine is being put together")]
mod stream;
#[allow(dead_code, reason = "the engine is being put together")]
mod timer;
mod trusted_proxies;
mod upstream;
mod whereabouts;
mod worker;

pub use activation::Activator;
pub use data_plane::{BackgroundTasks, DataPlane, start};
pub use limits::Limits;
pub use listen_addresses::ListenAddresses;
pub use log::failure_log::FailureLog;
pub use log::unclaimed_hosts::UnclaimedLog;
pub use metrics::Metrics;
pub use settings::{AccessLogFormat, AccessLogTarget, PassedSocket, PlainFallback, ProxySettings, Threading};
pub use start_error::StartError;
pub use trusted_proxies::TrustedProxies;
pub use upstream::endpoint_state::EndpointState;
pub use upstream::sticky::CookieSecret;
pub use whereabouts::Whereabouts;
