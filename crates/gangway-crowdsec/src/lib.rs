//! A bouncer for CrowdSec: keeps the decisions of an engine at hand, and says who is banned.
//!
//! [`follow`] reads the stream of decisions from the engine's local API (LAPI) and publishes [`Decisions`], a compact value
//! that is replaced whole. A [`Bouncer`] looks clients up in it, and counts. [`report`] tells the engine how much was kept
//! out.
//!
//! What was read last stays in force while the engine cannot be asked, and each decision ends when its time is over,
//! whether or not the engine says so. Every decision is a ban: what asks for a captcha, or for anything else, keeps the
//! client out as well.

mod bouncer;
mod decisions;
mod follow;
mod go_duration;
mod lapi;
mod lapi_error;
mod ledger;
mod report;
mod settings;
mod status;
mod stream_answer;

pub use bouncer::{Bouncer, RequestBouncer};
pub use decisions::Decisions;
pub use follow::{Outputs, POLL_EVERY, follow};
pub use lapi_error::LapiError;
pub use ledger::DECISIONS_MAX;
pub use report::report;
pub use settings::LapiSettings;
pub use status::{Skipped, Status};
