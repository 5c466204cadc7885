//! A bouncer for CrowdSec: keeps the decisions of an engine at hand, and says who is banned.
//!
//! [`follow`] reads the stream of decisions from the engine's local API (LAPI) and publishes [`Decisions`], a compact value
//! that is replaced whole. A [`Bouncer`] looks clients up in it, and counts. [`report`] tells the engine how much was kept
//! out.
//!
//! What was read last stays in force while the engine cannot be asked, and each decision ends when its time is over,
//! whether or not the engine says so. Every decision is a ban: what asks for a captcha, or for anything else, keeps the
//! client out as well.
//!
//! [`Appsec`] is for those who ask the engine's web application firewall about requests: [`Verdict`] says what its answers
//! mean, and [`follow_appsec`] finds out how it is.

mod appsec;
mod bouncer;
mod decisions;
mod engine_client;
mod engine_error;
mod follow;
mod follow_appsec;
mod go_duration;
mod lapi;

mod ledger;
mod report;
mod settings;
mod status;
mod stream_answer;
mod verdict;

pub use appsec::{Appsec, AppsecKey};
pub use bouncer::{Bouncer, RequestBouncer};
pub use decisions::Decisions;
pub use engine_error::EngineError;
pub use follow::{Outputs, POLL_EVERY, follow};
pub use follow_appsec::{AppsecOutputs, AppsecSettings, AppsecStatus, follow_appsec};
pub use ledger::DECISIONS_MAX;
pub use report::report;
pub use settings::LapiSettings;
pub use status::{Skipped, Status};
pub use verdict::{APPSEC_ANSWER_BYTES_MAX, Challenge, Verdict};
