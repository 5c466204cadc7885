//! Certificates in memory, chosen by name.
//!
//! A [`Store`] is a value: the [`Bundle`]s of one moment by name. A [`CertificateResolver`] finds the certificate
//! for a name in the store in force, or has the [`Mint`] beside it make one, and [`server_config`] makes rustls ask
//! the resolver at each handshake. This crate also holds the internal CA and the placeholders that the mint signs
//! with.
//!
//! The crate deliberately knows no disk, no ACME and no routes.

mod bundle;
mod cert_name;
mod challenges;
mod client_ca;
mod config;
mod internal_ca;
mod mint;
mod name;
mod notifier;
mod on_demand;
mod placeholder;
mod promised;
mod promises;
mod resolver;
mod shared_tickets;
mod slot;
mod store;
mod tickets;
mod time;
mod unclaimed_hosts;

pub use bundle::{Bundle, BundleError, ChainCertificate, Origin};
pub use cert_name::CertName;
pub use challenges::{Challenges, HttpChallenge};
pub use client_ca::{ClientCa, ClientCaError, ClientCas};
pub use config::{
    HandshakePolicy, ServerConfigs, UNRECOGNIZED_NAME_ALERT, challenge_config, install_crypto_provider, is_challenge,
    server_config,
};
pub use internal_ca::{InternalCa, InternalCaError, Scope};
pub use mint::Mint;
pub use name::{INTERNAL_DOMAINS, is_internal, normal_name, without_star};
pub use on_demand::{Demand, DemandAnswer, DemandCounts, DemandDecision, HANDSHAKE_WAIT_MAX};
pub use placeholder::Placeholders;
pub use promises::Promises;
pub use resolver::CertificateResolver;
pub use store::Store;
pub use tickets::{TicketKey, TicketKeys};
pub use time::UnixTime;
