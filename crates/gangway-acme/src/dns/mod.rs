//! Records in the DNS that prove our control of a name to a CA (DNS-01, RFC 8555, section 8.4).
//!
//! A record is made where `_acme-challenge.<name>` leads to by CNAME, so that a zone can be delegated to one that a
//! program may write to. The challenge is reported ready only when all name servers of the zone have the record.
//! That wait is bounded and stops nothing: the CA's verdict decides.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::failure::{Failure, FailureKind};
use crate::http::Http;
use crate::storage::{Storage, safe_name};

mod exec;
mod lookup;
mod provider;
mod providers;
mod record;
mod webhook;

pub use provider::{DnsProvider, UnusableProvider};

use lookup::Resolver;
use record::RecordChange;
pub(crate) use record::TxtRecord;

/// Deadline of one change at a provider. Some APIs commit a whole zone before they answer.
const CHANGE_DEADLINE: Duration = Duration::from_secs(90);

/// Pause between two questions to name servers whether they have a record.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Together these bound the wait for another instance that changes the same record.
const LOCK_POLL: Duration = Duration::from_millis(100);
const LOCK_ATTEMPTS: u32 = 900;

/// Settings for making and checking records for DNS-01.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// The service that keeps the records.
    pub provider: DnsProvider,
    /// Recursive name servers to query. If empty, the system's are used.
    pub resolvers: Vec<SocketAddr>,
    /// The port that the name servers of a zone listen on: 53, except in tests.
    pub port: u16,
    /// The time before the name servers are first asked for a record.
    pub delay: Duration,
    /// The longest wait for the name servers of a zone; they are not asked if it is zero.
    pub wait: Duration,
}

impl DnsSettings {
    /// Settings with the system's resolvers and a wait of two minutes.
    pub fn new(provider: DnsProvider) -> Self {
        Self { provider, resolvers: Vec::new(), port: 53, delay: Duration::ZERO, wait: Duration::from_secs(120) }
    }
}

/// Makes and removes records.
#[derive(Clone)]
pub(crate) struct Dns<S> {
    storage: S,
    settings: Arc<DnsSettings>,
    http: Http,
    resolver: Arc<Resolver>,
    /// One lock for each record's name: its holder may change the record.
    turns: Arc<Mutex<Turns>>,
}

type Turns = HashMap<Box<str>, Arc<Mutex<()>>>;

impl<S: Storage> Dns<S> {
    pub(crate) fn new(storage: S, settings: DnsSettings, http: Http) -> Self {
        let resolver = Arc::new(Resolver::new(&settings.resolvers, settings.port));
        Self { storage, settings: Arc::new(settings), http, resolver, turns: Arc::default() }
    }

    /// Whether the provider keeps only one value at a name, so that names are proven one after the other.
    pub(crate) fn is_single(&self) -> bool {
        self.settings.provider.is_single()
    }

    /// Makes the record for `name`, which has no star, and returns it for its later removal.
    pub(crate) async fn present(&self, name: &str, value: &str) -> Result<TxtRecord, Failure> {
        let challenge = format!("_acme-challenge.{name}");
        let owner = self.resolver.end_of_cnames(&challenge).await;
        if owner != challenge {
            tracing::info!(name, record = owner, "the challenge's record is delegated");
        }
        let zone = match self.settings.provider.needs_zone() {
            true => Some(self.resolver.zone_of(&owner).await.map_err(|error| failed(&owner, &error.to_string()))?),
            false => None,
        };
        let turn = if self.is_single() { Some(self.turn(&owner).await) } else { None };
        let record = TxtRecord { owner, zone, value: value.to_owned(), _turn: turn };
        self.change(&record, RecordChange::Present).await?;
        Ok(record)
    }

    /// Waits until the name servers of each record's zone have it, or until the set wait is over.
    pub(crate) async fn wait(&self, records: &[TxtRecord]) {
        if !records.is_empty() {
            tokio::time::sleep(self.settings.delay).await;
        }
        if self.settings.wait.is_zero() {
            return;
        }
        let seen = async {
            for record in records {
                let servers = self.resolver.servers_of(&record.owner).await;
                while !self.resolver.all_have(&servers, &record.owner, &record.value).await {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        };
        if tokio::time::timeout(self.settings.wait, seen).await.is_err() {
            let records: Vec<_> = records.iter().map(|record| &*record.owner).collect();
            tracing::warn!(?records, waited = ?self.settings.wait, "not all name servers have a record; the CA is asked all the same");
        }
    }

    /// Removes a record. A record that stays does no harm, so a failure is only logged.
    pub(crate) async fn remove(&self, record: TxtRecord) {
        if let Err(failure) = self.change(&record, RecordChange::Remove).await {
            tracing::warn!(
                record = record.owner,
                error = failure.detail,
                "failed to remove a record, which may be left"
            );
        }
    }

    /// Makes or removes a record. Changes to one name run one at a time across all instances, since most APIs
    /// replace the whole set of values that was read before.
    async fn change(&self, record: &TxtRecord, change: RecordChange) -> Result<(), Failure> {
        let lease = self.lock(&record.owner).await?;
        let provider = &self.settings.provider;
        let changed = tokio::time::timeout(CHANGE_DEADLINE, provider.change(&self.http, record, change)).await;
        drop(lease);
        let late = || Err(format!("no answer within {} s", CHANGE_DEADLINE.as_secs()));
        let error = changed.unwrap_or_else(|_| late()).map_err(|error| provider.without_secrets(&error));
        error.map_err(|error| failed(&record.owner, &format!("{}: {error}", provider.name())))
    }

    /// `None` if the volume cannot be written: the caller then changes the record without a lease.
    async fn lock(&self, owner: &str) -> Result<Option<S::Lease>, Failure> {
        for _ in 0..LOCK_ATTEMPTS {
            match self.storage.lock(&format!("dns-{}", safe_name(owner))).await {
                Ok(None) => {}
                Ok(lease) => return Ok(lease),
                Err(error) => {
                    tracing::warn!(record = owner, %error, "changing a record that other instances may change as well");
                    return Ok(None);
                }
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
        Err(Failure::new(FailureKind::Storage, "another instance has been changing the same record for too long"))
    }

    async fn turn(&self, owner: &str) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(self.turns.lock().await.entry(owner.into()).or_default());
        turn.lock_owned().await
    }
}

fn failed(owner: &str, error: &str) -> Failure {
    Failure::new(FailureKind::DnsProvider, format!("the record `{owner}` could not be made: {error}"))
}
