//! An ACME client that obtains, renews and stores certificates on a volume.
//!
//! The caller publishes the names that need a certificate and reads an [`AcmeView`] of the certificates and
//! findings for them. Answers to challenges are published for the server that the certificate authorities reach.
//! [`Acme::run`] drives it all.
//!
//! There is deliberately no listener, no routing table and no other source of certificates here: another server could
//! use this crate as it is.

mod account;
mod acme;
mod challenge;
mod clock;
mod directory;
mod directory_url;
mod dns;
mod failure;
mod findings;
mod http;
mod jws;
mod key_change;
mod on_demand;
mod order;
mod order_history;
mod registration;
mod repeat;
mod resigned;
mod schedule;
mod settings;
pub mod storage;
pub mod stored_certificate;
mod volume_scan;
mod worker;

pub use account::{AdoptError, AdoptedAccount, adopt_account, want_new_account_keys};
pub use acme::{Acme, AcmeOutputs};
pub use clock::{Clock, date};
pub use directory_url::{DirectoryUrl, UnknownIssuer};
pub use dns::{DnsProvider, DnsSettings, UnusableProvider};
pub use findings::NameView;
pub use on_demand::{OnDemandSettings, Takes};
pub use settings::{AcmeSettings, ChallengeKind, ExternalAccount, Issuer};
pub use worker::{AcmeView, IssuerState, IssuerView};
