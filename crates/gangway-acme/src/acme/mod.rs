//! Certificates of public CAs: ordered, renewed and kept on the volume.
//!
//! [`schedule`] decides what to do at a moment, without doing it; [`order`] does one thing; the worker here
//! starts what the schedule says and remembers what came of it. A name that fails stops no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use gangway_publish::{Generation, Publisher, PublisherGone, Reader};
use gangway_tls::Bundle;
use gangway_tls::demand::WAIT_MAX;

use crate::clock::Clock;
use crate::status::Finding;
use crate::storage::{Storage, StorageError};

pub(crate) mod account;
pub(crate) mod challenge;
mod directory;
pub(crate) mod dns;
pub(crate) mod failure;
pub(crate) mod held;
pub(crate) mod http;
mod journal;
mod jws;
mod key_change;
pub(crate) mod on_demand;
mod order;
mod registration;
mod schedule;
pub(crate) mod settings;
mod telling;
mod volume;

use account::Accounts;
use challenge::Solver;
use dns::Dns;
use failure::Failure;
use http::Http;
use journal::{Journal, Renewal};
use on_demand::OnDemand;
use order::{Desk, Outcome, obtain};
use schedule::{BUSY_ELSEWHERE, CaState, Moment, NameState, Policy, Schedule, Task, retry_ca_time, schedule};
use settings::AcmeSettings;
use telling::tell;
use volume::Volume;

/// So often what other instances have written is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// After a failed write no order is begun for so long.
const STORAGE_PAUSE: i64 = 60;

/// A process must have lived so long before it orders what it could not keep.
const LOSING_AFTER: i64 = 10 * 60;

/// After an attempt to change an account's key.
const KEY_CHANGE_PAUSE: i64 = 10 * 60;

/// After an attempt to tell a CA the e-mail address.
const CONTACT_PAUSE: i64 = 60 * 60;

/// A CA without renewal information may learn it.
const ASK_WITHOUT: i64 = 24 * 60 * 60;

/// What there is of public CAs.
#[derive(Clone, Debug, Default)]
pub(crate) struct AcmeView {
    pub(crate) bundles: Vec<Arc<Bundle>>,
    /// By wanted name.
    pub(crate) names: BTreeMap<Box<str>, NameView>,
    /// Names that nobody lists and that are to have certificates all the same.
    pub(crate) on_demand: BTreeSet<Box<str>>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) degraded: bool,
}

/// What is to be told about a wanted name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct NameView {
    /// When the next certificate is ordered, in seconds since the epoch.
    pub(crate) next: Option<i64>,
    /// The CA's window for that.
    pub(crate) window: Option<(i64, i64)>,
    pub(crate) trouble: Option<Box<str>>,
}

/// Keeps certificates for the names that are wanted, for ever.
pub(crate) async fn work<S: Storage>(
    storage: S,
    settings: AcmeSettings,
    clock: Clock,
    solver: Solver,
    mut wanted: Reader<BTreeSet<Box<str>>>,
    on_demand: Option<OnDemand>,
    views: Publisher<AcmeView>,
) -> Infallible {
    let settings = Arc::new(settings);
    let http = match Http::new(settings.root_pem.as_deref()) {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(%error, "no public CA can be asked");
            return std::future::pending().await;
        }
    };
    let started = clock.now();
    let accounts = Accounts::new(storage.clone(), http, Arc::clone(&settings), clock.clone());
    let policy = Policy {
        directories: settings.issuers.iter().map(|issuer| issuer.directory.clone()).collect(),
        wildcards: settings.wildcards.clone(),
        has_dns: settings.dns.is_some(),
    };
    let dns = settings.dns.clone().zip(Http::also_plain(settings.root_pem.as_deref()).ok());
    let dns = dns.map(|(settings, http)| Dns::new(storage.clone(), settings, http));
    let mut worker = Worker {
        desk: Desk { storage: storage.clone(), accounts, solver, dns, settings, clock },
        on_demand,
        policy,
        volume: Volume::new(storage),
        states: BTreeMap::new(),
        cas: HashMap::new(),
        running: BTreeSet::new(),
        tasks: FuturesUnordered::new(),
        starts: Vec::new(),
        unsaved: BTreeMap::new(),
        key_changes: BTreeMap::new(),
        contacts_after: BTreeMap::new(),
        store_after: 0,
        started,
        storage_error: None,
        views,
    };
    let mut is_over = false;
    // Without anybody who permits anything nothing changes there.
    let mut permits = worker.on_demand.as_ref().map(|on_demand| on_demand.permits.clone());
    worker.look().await;
    worker.change_accounts().await;
    loop {
        let listed = wanted.load_full();
        let names = worker.names(&listed);
        let schedule = worker.begin(&names);
        worker.publish(&names, &schedule);
        let now = worker.desk.clock.now();
        let pause = Duration::from_secs(schedule.next.saturating_sub(now).max(1).unsigned_abs());
        tokio::select! {
            Some(done) = worker.tasks.next(), if !worker.tasks.is_empty() => worker.finish(done),
            changed = wanted.changed(), if !is_over => is_over = changed.is_err(),
            Some(Ok(_)) = changed(permits.as_mut()) => {}
            () = tokio::time::sleep(pause.min(LOOK_EVERY)) => {
                worker.look().await;
                worker.change_accounts().await;
            }
        }
    }
}

/// What is to have certificates at one moment.
struct Names<'a> {
    listed: &'a BTreeSet<Box<str>>,
    /// With when the permit ends.
    on_demand: BTreeMap<Box<str>, i64>,
}

impl Names<'_> {
    fn iter(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().chain(self.on_demand.keys()).map(|name| &**name)
    }
}

async fn changed<T>(reader: Option<&mut Reader<T>>) -> Option<Result<Generation, PublisherGone>> {
    match reader {
        Some(reader) => Some(reader.changed().await),
        None => None,
    }
}

/// What came of a task.
enum Done {
    Ordered { name: Box<str>, directory: Box<str>, outcome: Box<Outcome> },
    Asked { name: Box<str>, renewal: Result<Option<Renewal>, Failure> },
    Saved { name: Box<str>, outcome: Result<(), StorageError> },
    KeyChanged { directory: Box<str>, outcome: Result<(), Failure> },
    ContactTold { directory: Box<str>, outcome: Result<(), Failure> },
}

type Running = Pin<Box<dyn Future<Output = Done> + Send>>;

struct Worker<S: Storage> {
    desk: Desk<S>,
    on_demand: Option<OnDemand>,
    policy: Policy,
    volume: Volume<S>,
    states: BTreeMap<Box<str>, NameState>,
    cas: HashMap<Box<str>, CaState>,
    running: BTreeSet<Box<str>>,
    tasks: FuturesUnordered<Running>,
    starts: Vec<i64>,
    /// Certificates that could not be written, by name: the file.
    unsaved: BTreeMap<Box<str>, String>,
    /// Accounts that are getting another key, or did not get one, by directory: when it is tried again, and why.
    key_changes: BTreeMap<Box<str>, (i64, Option<Failure>)>,
    /// When it may be tried again to tell a CA the e-mail address, by directory.
    contacts_after: BTreeMap<Box<str>, i64>,
    store_after: i64,
    started: i64,
    storage_error: Option<String>,
    views: Publisher<AcmeView>,
}

impl<S: Storage> Worker<S> {
    /// Reads what is new on the volume, and writes what could not be written before.
    async fn look(&mut self) {
        match self.volume.changes().await {
            Ok(changes) => {
                for held in changes.certificates {
                    let (name, held) = held;
                    let state = self.states.entry(name).or_default();
                    let is_newer = |known: &held::Held| held.bundle.not_before >= known.bundle.not_before;
                    if state.held.as_ref().is_none_or(is_newer) {
                        state.held = Some(held);
                    }
                }
                for (name, journal) in changes.journals {
                    if !self.running.contains(&name) {
                        let now = self.desk.clock.now();
                        let state = self.states.entry(name.clone()).or_default();
                        state.journal = interrupted(&name, journal, now);
                    }
                }
            }
            Err(error) => self.storage_failed(&error.to_string()),
        }
        let unsaved: Vec<_> = self.unsaved.iter().filter(|(name, _)| !self.running.contains(*name)).collect();
        for (name, text) in unsaved {
            self.running.insert(name.clone());
            let (storage, name, text) = (self.desk.storage.clone(), name.clone(), text.clone());
            self.tasks.push(Box::pin(async move {
                let outcome = volume::save(&storage, &name, text).await;
                Done::Saved { name, outcome }
            }));
        }
    }

    fn names<'a>(&self, listed: &'a BTreeSet<Box<str>>) -> Names<'a> {
        let now = self.desk.clock.now();
        let on_demand = self.on_demand.as_ref().map(|on_demand| on_demand.names(listed, &self.states, now));
        Names { listed, on_demand: on_demand.unwrap_or_default() }
    }

    /// Begins what accounts are to have, while no order is under way that an old key would have to sign.
    async fn change_accounts(&mut self) {
        let now = self.desk.clock.now();
        if !self.running.is_empty() {
            return;
        }
        for directory in self.desk.accounts.wanting_contacts().await {
            if self.contacts_after.get(&directory).is_some_and(|next| *next > now) {
                continue;
            }
            self.contacts_after.insert(directory.clone(), now + CONTACT_PAUSE);
            let accounts = self.desk.accounts.clone();
            self.tasks.push(Box::pin(async move {
                let outcome = accounts.renew_contact(&directory).await;
                Done::ContactTold { directory, outcome }
            }));
        }
        for directory in self.desk.accounts.wanting_new_keys().await {
            if self.key_changes.get(&directory).is_some_and(|(next, _)| *next > now) {
                continue;
            }
            self.key_changes.insert(directory.clone(), (i64::MAX, None));
            let accounts = self.desk.accounts.clone();
            self.tasks.push(Box::pin(async move {
                let outcome = accounts.renew_key(&directory).await;
                Done::KeyChanged { directory, outcome }
            }));
        }
    }

    /// Starts what is to be done now.
    fn begin(&mut self, names: &Names<'_>) -> Schedule {
        let now = self.desk.clock.now();
        let moment = Moment {
            policy: &self.policy,
            wanted: names.listed,
            on_demand: &names.on_demand,
            states: &self.states,
            cas: &self.cas,
            running: &self.running,
            starts: &self.starts,
            can_store: now >= self.store_after,
            may_lose: self.storage_error.is_some() && (now - self.started) >= LOSING_AFTER,
        };
        let mut schedule = schedule(&moment, now);
        for task in std::mem::take(&mut schedule.tasks) {
            match task {
                Task::Order(order) => self.order(order, now),
                Task::AskRenewal { name } => self.ask(name, now),
                Task::AskPermission { name, again } => self.ask_permission(&name, again),
            }
        }
        self.let_go(names, &schedule, now);
        schedule
    }

    fn ask_permission(&mut self, name: &str, again: i64) {
        self.states.entry(name.into()).or_default().permission_after = again;
        if let Some(on_demand) = &self.on_demand {
            on_demand.ask(name);
        }
    }

    /// Nobody shall wait for a certificate that is not being ordered now.
    fn let_go(&self, names: &Names<'_>, schedule: &Schedule, now: i64) {
        let Some(on_demand) = &self.on_demand else { return };
        for name in names.on_demand.keys() {
            let certificate = schedule.served_by.get(name).unwrap_or(name);
            // One that has just come is on its way to whoever waits.
            let held = self.states.get(certificate).and_then(|state| state.held.as_ref());
            if held.is_some_and(|held| held.bundle.is_valid_at(now)) {
                continue;
            }
            let is_later = schedule.due.get(certificate).is_some_and(|due| *due > now + WAIT_MAX.as_secs() as i64);
            if is_later || schedule.refused.contains_key(certificate) {
                on_demand.demand.give_up(name);
            }
        }
    }

    fn order(&mut self, order: schedule::Order, now: i64) {
        self.starts.retain(|start| now - start < 3 * 60 * 60);
        self.starts.push(now);
        self.running.insert(order.name.clone());
        let state = self.states.entry(order.name.clone()).or_default();
        let (known, journal) = (state.held.clone(), state.journal.clone());
        tracing::info!(
            name = &*order.name,
            ca = settings::name_of(&order.directory),
            attempt = order.failures + 1,
            "ordering a certificate"
        );
        let desk = self.desk.clone();
        self.tasks.push(Box::pin(async move {
            let (name, directory) = (order.name.clone(), order.directory.clone());
            let outcome = Box::new(obtain(desk, order, known, journal).await);
            Done::Ordered { name, directory, outcome }
        }));
    }

    fn ask(&mut self, name: Box<str>, now: i64) {
        let Some(held) = self.states.get(&name).and_then(|state| state.held.clone()) else { return };
        let Some(id) = held.id else { return };
        self.running.insert(name.clone());
        let accounts = self.desk.accounts.clone();
        self.tasks.push(Box::pin(async move {
            let renewal = async {
                let directory = accounts.directory(&held.directory).await?;
                directory.renewal(accounts.http(), &id, now).await
            };
            let renewal = renewal.await;
            Done::Asked { name, renewal }
        }));
    }

    fn finish(&mut self, done: Done) {
        let now = self.desk.clock.now();
        match done {
            Done::Ordered { name, directory, outcome } => {
                self.running.remove(&name);
                self.ordered(&name, &directory, *outcome, now);
            }
            Done::Asked { name, renewal } => {
                self.running.remove(&name);
                let state = self.states.entry(name.clone()).or_default();
                match renewal {
                    Ok(Some(renewal)) => state.learn(&name, renewal),
                    Ok(None) => state.ask_after = now + ASK_WITHOUT,
                    Err(failure) => {
                        tracing::debug!(%name, error = failure.detail, "failed to ask when to renew");
                        state.ask_after = retry_ca_time(&name, 3, failure.retry_at, now);
                    }
                }
            }
            Done::KeyChanged { directory, outcome } => {
                let failure = outcome.err();
                if let Some(failure) = &failure {
                    tracing::warn!(ca = &*directory, error = failure.detail, "failed to give an account another key");
                }
                self.key_changes.insert(directory, (now + KEY_CHANGE_PAUSE, failure));
            }
            Done::ContactTold { directory, outcome } => {
                if let Err(failure) = outcome {
                    tracing::warn!(ca = &*directory, error = failure.detail, "failed to tell a CA the e-mail address");
                }
            }
            Done::Saved { name, outcome } => {
                self.running.remove(&name);
                match outcome {
                    Ok(()) => {
                        self.unsaved.remove(&name);
                        self.storage_works();
                    }
                    Err(error) => self.storage_failed(&error.to_string()),
                }
            }
        }
    }

    fn ordered(&mut self, name: &str, directory: &str, outcome: Outcome, now: i64) {
        let state = self.states.entry(name.into()).or_default();
        match outcome {
            Outcome::Issued { held, unsaved, journal } => {
                tracing::info!(
                    name,
                    ca = settings::name_of(directory),
                    serial = &*held.bundle.serial,
                    "got a certificate"
                );
                (state.held, state.journal, state.ask_after) = (Some(held), journal, 0);
                self.cas.remove(directory);
                match unsaved {
                    Some(text) => {
                        self.unsaved.insert(name.into(), text);
                        self.storage_failed("a new certificate could not be written");
                    }
                    None => self.storage_works(),
                }
            }
            Outcome::Found { held, journal } => {
                tracing::info!(name, serial = &*held.bundle.serial, "another instance got the certificate");
                (state.held, state.journal, state.ask_after) = (Some(held), journal, 0);
            }
            Outcome::Elsewhere { journal } => {
                state.order_after = now + BUSY_ELSEWHERE;
                if let Some(journal) = journal {
                    state.journal = journal;
                }
            }
            Outcome::Failed { failure, journal } => {
                state.journal = journal;
                if let Some(on_demand) = &self.on_demand {
                    on_demand.demand.give_up(name);
                }
                // Whoever has to know is told by a finding, once.
                let (ca, kind) = (settings::name_of(directory), failure.kind.as_str());
                tracing::debug!(name, ca, error = failure.detail, kind, "failed to get a certificate");
                if failure.kind == failure::FailureKind::Storage {
                    self.storage_failed(&failure.detail);
                } else if failure.kind.is_of_the_ca() {
                    let state = self.cas.entry(directory.into()).or_default();
                    // Several orders under way meet the same outage.
                    if state.next <= now {
                        state.failures = state.failures.saturating_add(1);
                        state.next = retry_ca_time(directory, state.failures, failure.retry_at, now);
                    }
                    state.next = state.next.max(failure.retry_at.unwrap_or(0));
                    state.last = Some(failure);
                }
            }
        }
    }

    fn storage_failed(&mut self, error: &str) {
        self.store_after = self.desk.clock.now() + STORAGE_PAUSE;
        self.storage_error = Some(error.to_owned());
    }

    fn storage_works(&mut self) {
        self.store_after = 0;
        self.storage_error = None;
    }

    fn publish(&mut self, wanted: &Names<'_>, schedule: &Schedule) {
        let now = self.desk.clock.now();
        let bundles = self.states.values().filter_map(|state| state.held.as_ref()).map(|held| Arc::clone(&held.bundle));
        let telling = telling::Telling {
            wanted: wanted.iter().collect(),
            schedule,
            states: &self.states,
            cas: &self.cas,
            cas_max: self.policy.directories.len(),
            known: self.desk.accounts.known(),
            profile: self.desk.settings.profile.as_deref(),
            storage_error: self.storage_error.as_deref(),
            plain_refused: self.desk.settings.plain_refused,
            unsaved: &self.unsaved,
            damages: self.volume.damages(),
        };
        let (names, mut findings) = tell(&telling, now);
        findings.extend(
            self.key_changes
                .iter()
                .filter_map(|(directory, (_, failure))| Some(telling::old_key(directory, failure.as_ref()?))),
        );
        findings.extend(self.on_demand.iter().flat_map(OnDemand::findings));
        findings.extend(self.desk.storage.lacks_locks().then(telling::without_locks));
        let view = AcmeView {
            bundles: bundles.collect(),
            names,
            on_demand: wanted.on_demand.keys().cloned().collect(),
            findings,
            degraded: self.storage_error.is_some() || !self.unsaved.is_empty(),
        };
        let is_same = {
            let before = self.views.reader().load_full();
            before.is_same_as(&view) && before.generation() != Generation::INITIAL
        };
        if !is_same {
            self.views.publish(view);
        }
    }
}

/// An order that was stopped before the CA had answered counts as a failure: a process that restarts again
/// and again must not order again and again.
fn interrupted(name: &str, mut journal: Journal, now: i64) -> Journal {
    let unplaced = journal.orders.iter().filter(|(_, order)| order.url.is_empty());
    let unplaced: Vec<(Box<str>, i64)> = unplaced.map(|(directory, order)| (directory.clone(), order.begun)).collect();
    for (directory, begun) in unplaced {
        let failures = journal.attempts.get(&directory).map_or(0, |attempts| attempts.failures) + 1;
        let kind = failure::FailureKind::Interrupted;
        let next = schedule::retry_time(name, failures, kind, None, begun.min(now));
        journal.fail(&directory, Failure::new(kind, "gangway was stopped while it ordered"), next);
    }
    journal
}

impl AcmeView {
    fn is_same_as(&self, other: &Self) -> bool {
        self.names == other.names
            && self.on_demand == other.on_demand
            && self.findings == other.findings
            && self.degraded == other.degraded
            && self.bundles.len() == other.bundles.len()
            && self.bundles.iter().zip(&other.bundles).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}
