//! The admin listener of a running instance: health, metrics and the JSON API, over HTTP on `--admin`.
//!
//! Read-only: nothing can be changed from here, and no secret is shown. What it cannot read from published values itself,
//! it asks of an [`Instance`].
//!
//! There is deliberately no authentication. It listens on loopback unless configured otherwise, and answers only to
//! hosts that it knows.

mod allowed_hosts;
mod answer;
pub mod api;
mod app_icons;
mod event_feed;
mod events;
mod explain;
mod explain_query;
mod figures;
mod instance;
mod metric_family;
mod metrics;
mod page;
mod page_answer;
mod process_metrics;
mod redact;
mod request_feed;
mod response;
mod rule_path;
mod server;
mod steps;
mod stream;
mod traefik;
mod views;

pub use answer::{Sources, metric_families};
pub use app_icons::{AppIcon, AppIcons, ICON_LEN_MAX, ICONS_MAX, WantedIcon, icon_links, same_host};
pub use event_feed::feed_events;
pub use events::EventSink;
pub use figures::{DURATION_BOUNDS, Figures, RouteCounts};
pub use instance::{CertificatesState, EndpointActivity, Instance, InstancePhase, RequestCount};
pub use redact::redacted;
pub use server::{Admin, AdminSettings, BindError};
pub use traefik::{EntryPointView, RedirectionView, TraefikAnswers, TraefikPages};
pub use views::{rfc3339, rfc3339_millis};
