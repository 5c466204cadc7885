//! What a running instance tells: health, metrics and the JSON API, over HTTP on `--admin`.
//!
//! Read-only: there is no way to change anything from here, and no secret is shown. What it cannot
//! read from published values itself it asks of an [`Instance`].
//!
//! There is deliberately no authentication; it listens on loopback unless told otherwise, and answers
//! only to hosts it knows.

mod answer;
pub mod api;
mod convert;
mod explain;
mod instance;
mod known_host;
mod mask;
mod metrics;
mod process;
mod question;
mod server;

pub use answer::Sources;
pub use instance::{Certificate, Certificates, EndpointNow, Engine, Instance, Phase, Reaction, Spread};
pub use mask::{MASK, is_secret, masked, without_password};
pub use server::{Admin, AdminSettings, BindError};
