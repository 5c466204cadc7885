//! The data plane: listeners, the front door, and the way of a request through Pingora.
//!
//! Pingora is used as a library (`HttpProxy`, `HttpPeer`, its connector). Listeners, TLS, the checks on
//! what clients send and every bound are our own, and stand in front of it.
//!
//! It knows neither Docker nor labels nor the disk: it serves what a compiled table says.

mod access_log;
mod active;
mod admit;
mod answer;
mod app;
mod arrivals;
mod balance;
mod budget;
mod connection;
mod connections;
mod context;
mod deadline;
mod endpoint;
mod failing;
mod forwarded;
mod frames;
mod front_door;
mod gate;
mod guarded;
mod head;
mod limits;
mod listen;
mod mask;
mod metrics;
mod own_connections;
mod phase;
mod plane;
mod probe;
mod protection;
mod refusal;
mod route_state;
mod settings;
mod sticky;
mod target;
mod telling;
mod transport;
mod tunnel;
mod turnstile;
mod unclaimed;
mod upstream_roots;
mod waiting;
mod whereabouts;

pub use access_log::LogFormat;
pub use active::Activator;
pub use endpoint::EndpointState;
pub use forwarded::TrustedProxies;
pub use limits::Limits;
pub use listen::Listening;
pub use metrics::Metrics;
pub use plane::{BackgroundTasks, DataPlane, StartError, start};
pub use settings::{AccessLogTarget, PassedSocket, PlainFallback, ProxySettings, Threading};
pub use sticky::Secret;
pub use telling::FailureLog;
pub use unclaimed::UnclaimedLog;
pub use whereabouts::Whereabouts;
