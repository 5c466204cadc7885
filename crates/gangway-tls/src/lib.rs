//! Certificates in memory, chosen by name.
//!
//! A [`Store`] holds [`Bundle`]s by name; [`server_config`] makes rustls choose from whichever store
//! is in force at each handshake. The internal CA and placeholders are here too, and the [`Mint`] that has them
//! sign when a name is first asked for.
//!
//! There is deliberately no disk and no ACME here, and nothing about routes.

mod bell;
pub mod bundle;
pub mod challenges;
pub mod clients;
pub mod config;
pub mod demand;
pub mod internal;
pub mod mint;
pub mod name;
mod place;
pub mod placeholder;
pub mod store;
pub mod tickets;
mod unclaimed;

pub use bundle::{Bundle, BundleError, Origin};
pub use challenges::{Challenges, HttpChallenge};
pub use clients::{ClientCa, ClientCaError, ClientCas};
pub use config::{
    ACME_TLS_ALPN, Policy, ServerConfigs, UNRECOGNIZED_NAME_ALERT, challenge_config, install_crypto_provider,
    is_challenge, server_config,
};
pub use demand::{Demand, DemandCounts, Stance, Verdict};
pub use internal::{InternalCa, InternalCaError, Scope, renewal_time};
pub use mint::{Mint, Promises};
pub use name::{INTERNAL_DOMAINS, is_internal, normal_name};
pub use placeholder::Placeholders;
pub use store::Store;
pub use tickets::{TicketKey, TicketKeys};
