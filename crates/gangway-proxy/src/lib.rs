//! The data plane: it accepts connections, routes requests by a compiled table, and proxies them to endpoints.
//!
//! Listeners, TLS, both versions of HTTP towards clients, HTTP/1 towards endpoints, and all bounds are Gangway's own
//! code. Pingora is used as a library for connections to endpoints that speak HTTP/2.
//!
//! The crate knows neither Docker nor labels nor the disk: it serves the table that it is given.

mod access;
mod activation;
mod address_key;
mod app_files;
mod app_hints;
mod buffer_pool;
mod cache;
mod compression;
mod data_plane;
mod downstream;
mod exchange;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grammar;
mod hash;
mod hold;
mod http1;
mod http2;
mod lifecycle;
mod limits;
mod listen_addresses;
mod log;
mod message;
mod metrics;
mod middleware;
mod named_metrics;
mod overload;
mod pages;
mod panic_guard;
#[cfg(any(test, fuzzing))]
mod properties;
mod reply;
mod request;
mod route_history;
mod route_metrics;
#[cfg(any(test, fuzzing))]
mod samples;
mod serving_table;
mod settings;
mod shared;
mod start_error;
mod stream;
mod timer;
mod trace;
mod trusted_proxies;
mod upstream;
mod whereabouts;
mod worker;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use access::{GeoDatabase, GeoDatabaseError, GeoDatabases, LoginSources, UserLists};
pub use activation::Activator;
pub use app_files::{AppFile, AppFiles, NoAppFile};
pub use app_hints::{AppHint, AppHints, Refusal};
pub use data_plane::{BackgroundTasks, DataPlane, Sources, start};
pub use downstream::listener_manager::{ListenerFailure, ListenerManager, ListeningSockets};
pub use limits::Limits;
pub use listen_addresses::{BoundListener, ListenAddresses, ListenerSettings};
pub use log::failure_log::FailureLog;
pub use log::unclaimed_hosts::UnclaimedLog;
pub use metrics::{Metrics, RouteRecords};
pub use named_metrics::NamedMetrics;
pub use overload::manager::OverloadManager;
pub use pages::library::PageLibrary;
pub use reply::internal::{InternalRequest, InternalServices};
pub use route_history::{RecentRequest, RequestCount, Troubles};
pub use route_metrics::{DURATION_BOUNDS, RouteCount};
pub use settings::{
    AccessLogFormat, AccessLogTarget, AdminMark, FieldFate, FieldFates, PassedSocket, PlainFallback, ProxySettings,
    Threading, TraefikLog, TraefikLogForm,
};
pub use start_error::StartError;
pub use trusted_proxies::TrustedProxies;
pub use upstream::endpoint_state::EndpointState;
pub use upstream::endpoint_tls::{EndpointTls, EndpointTlsError, EndpointTlsSet};
pub use upstream::sticky::CookieSecret;
pub use whereabouts::Whereabouts;
