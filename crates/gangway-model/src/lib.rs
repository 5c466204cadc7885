//! Labels in, a table out, and the table is a value.
//!
//! [`compile()`] turns a [`Snapshot`] of containers, the file routes and the global [`Settings`] into a
//! [`RoutingTable`] and [`Diagnostics`]. It never fails, and its result does not depend on the order
//! in which containers or labels were listed.
//!
//! There is deliberately no I/O here: no sockets, files, clock, environment, async or logging.

mod address;
pub mod bounds;
pub mod compile;
pub mod container_report;
mod dialect;
pub mod digest;
mod engine_name;
pub mod explain;
pub mod host;
mod image_defaults;
mod label;
pub mod location;
pub mod matcher;
pub mod mention;
pub mod ownership;
pub mod path;
pub mod reference;
mod regex_pattern;
mod request_view;
pub mod route;
pub mod rule;
pub mod select;
pub mod settings;
pub mod snapshot;
mod spec;
pub mod table;
mod utc;
mod value;
mod vocabulary;

pub use compile::{Compiled, Compiler, compile};
pub use gangway_diagnostic::{self as diagnostic, Code, Diagnostic, Diagnostics, Place, Severity, codes};
pub use host::{HostPattern, Hostname};
pub use matcher::Matcher;
pub use path::PathPattern;
pub use regex_pattern::{REGEX_SIZE_MAX, RegexPattern};
pub use request_view::RequestView;
pub use route::{Endpoint, Middleware, Route, Upstream};
pub use settings::Settings;
pub use snapshot::{Container, Snapshot};
pub use table::{Entry, Precedence, RoutingTable};
pub use utc::utc;
pub use value::duration as parse_duration;
