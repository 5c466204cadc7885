//! The loop that orders, renews and publishes certificates.
//!
//! [`schedule`] computes the actions that are due without carrying them out, [`obtain`] carries out one order, and
//! the [`Worker`] starts the scheduled actions and remembers their outcomes. A name that fails stops no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use gangway_diagnostic::Diagnostic;
use gangway_publish::{Generation, Publisher, PublisherGone, Reader};
use gangway_tls::{Bundle, HANDSHAKE_WAIT_MAX, UnixTime};

use crate::account::Accounts;
use crate::challenge::Solver;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::directory_url::DirectoryUrl;
use crate::dns::Dns;
use crate::failure::{self, Failure};
use crate::findings::{self, FindingInput, NameView, tell};
use crate::http::{ApiRootError, Http};
use crate::on_demand::OnDemand;
use crate::order::{OrderOutcome, OrderServices, obtain};
use crate::order_history::Renewal;
use crate::schedule::{
    self, BUSY_ELSEWHERE, CaState, NameState, Schedule, ScheduleInput, SchedulePolicy, Task, interrupted,
    retry_ca_time, schedule,
};
use crate::settings::{AcmeSettings, Issuer};
use crate::storage::{Storage, StorageError};
use crate::stored_certificate::StoredCertificate;
use crate::volume_scan::{self, VolumeScan};

/// Interval between searches of the volume for files that other instances have written.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// After a failed write no order is begun for this long.
const STORAGE_PAUSE: Duration = Duration::from_mins(1);

/// A process must have lived for this long before it orders a certificate that it could not store.
const LOSING_AFTER: Duration = Duration::from_mins(10);

/// The pause after an attempt to change an account's key.
const KEY_CHANGE_PAUSE: Duration = Duration::from_mins(10);

/// The pause after an attempt to send a CA the e-mail address.
const CONTACT_PAUSE: Duration = Duration::from_hours(1);

/// The pause before a CA without renewal information is asked again: it may offer it by then.
const ASK_WITHOUT: Duration = Duration::from_hours(24);

/// The certificates of ACME CAs at one moment, with findings for the operator.
#[derive(Clone, Debug, Default)]
pub struct AcmeView {
    /// Every certificate on the volume, also of names that are no longer wanted.
    pub bundles: Vec<Arc<Bundle>>,
    /// The state of each wanted name.
    pub names: BTreeMap<Box<str>, NameView>,
    /// Names that no route lists and that get certificates on demand.
    pub on_demand: BTreeSet<Box<str>>,
    /// The CAs, in the order in which they are asked.
    pub issuers: Vec<IssuerView>,
    /// The current problems.
    pub findings: Vec<Diagnostic>,
    /// The volume cannot be written: new certificates live in memory only.
    pub degraded: bool,
}

/// A CA, as seen by its answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssuerView {
    /// Its short name, or the host of its directory.
    pub name: Box<str>,
    /// The URL of its directory.
    pub directory: Box<str>,
    /// How it is.
    pub state: IssuerState,
    /// The names on the volume with a certificate of it.
    pub certificates: usize,
}

/// How a CA is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IssuerState {
    /// It was not asked yet by this process.
    Unasked,
    /// It has answered. It may have refused single names.
    Up,
    /// It cannot be asked, or refuses everything.
    Failing {
        /// Why, in its own words where it has some.
        why: Box<str>,
        /// When it is asked again.
        next: UnixTime,
    },
}

/// The settings that the worker starts with.
pub(crate) struct WorkerSettings<S> {
    pub(crate) storage: S,
    pub(crate) settings: Arc<AcmeSettings>,
    pub(crate) chosen: Reader<BTreeMap<Box<str>, DirectoryUrl>>,
    pub(crate) clock: Clock,
    pub(crate) solver: Solver,
    pub(crate) on_demand: Option<OnDemand>,
}

/// Keeps certificates for the wanted names, for ever.
pub(crate) async fn work<S: Storage>(
    given: WorkerSettings<S>,
    mut wanted: Reader<BTreeSet<Box<str>>>,
    views: Publisher<AcmeView>,
) -> Infallible {
    let http = match Http::new(given.settings.root_pem.as_deref()) {
        Ok(http) => http,
        Err(error) => return serve_stored(given.storage, error, views).await,
    };
    let mut worker = Worker::new(given, http, views);
    let mut is_over = false;
    let mut permits = worker.on_demand.as_ref().map(|on_demand| on_demand.permits.clone());
    worker.look().await;
    worker.change_accounts().await;
    loop {
        let listed = wanted.load_full();
        let names = worker.names(&listed);
        let schedule = worker.begin(&names);
        worker.publish(&names, &schedule);
        let now = worker.services.clock.now();
        let pause = schedule.next.since(now).max(Duration::from_secs(1));
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

/// Publishes the certificates on the volume, for ever. Used if no CA can be asked.
async fn serve_stored<S: Storage>(storage: S, error: ApiRootError, mut views: Publisher<AcmeView>) -> Infallible {
    tracing::error!(%error, "no public CA can be asked");
    let mut scan = VolumeScan::new(storage);
    let mut certificates = BTreeMap::new();
    let mut view = AcmeView::default();
    loop {
        let (mut findings, degraded) = match scan.changes().await {
            Ok(changes) => {
                certificates.extend(changes.certificates);
                (vec![findings::without_client(error)], false)
            }
            Err(error) => (vec![findings::storage(&error.to_string(), &BTreeMap::new())], true),
        };
        findings.extend(scan.damages().cloned());
        let bundles = certificates.values().map(|stored| Arc::clone(&stored.bundle)).collect();
        let next = AcmeView { bundles, findings, degraded, ..AcmeView::default() };
        if views.reader().generation() == Generation::INITIAL || !view.is_same_as(&next) {
            views.publish(next.clone());
            view = next;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn changed<T>(reader: Option<&mut Reader<T>>) -> Option<Result<Generation, PublisherGone>> {
    match reader {
        Some(reader) => Some(reader.changed().await),
        None => None,
    }
}

/// The names that need certificates at one moment.
struct WantedNames<'a> {
    listed: &'a BTreeSet<Box<str>>,
    /// Names on demand, with the end of each permit.
    on_demand: BTreeMap<Box<str>, UnixTime>,
}

impl WantedNames<'_> {
    fn iter(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().chain(self.on_demand.keys()).map(|name| &**name)
    }
}

/// The outcome of a task.
enum TaskOutcome {
    Ordered { name: Box<str>, directory: DirectoryUrl, outcome: Box<OrderOutcome> },
    Asked { name: Box<str>, renewal: Result<Option<Renewal>, Failure> },
    Saved { name: Box<str>, outcome: Result<(), StorageError> },
    KeyChanged { directory: DirectoryUrl, outcome: Result<(), Failure> },
    ContactTold { directory: DirectoryUrl, outcome: Result<(), Failure> },
}

type TaskFuture = Pin<Box<dyn Future<Output = TaskOutcome> + Send>>;

struct Worker<S: Storage> {
    services: OrderServices<S>,
    on_demand: Option<OnDemand>,
    policy: SchedulePolicy,
    chosen: Reader<BTreeMap<Box<str>, DirectoryUrl>>,
    volume: VolumeScan<S>,
    states: BTreeMap<Box<str>, NameState>,
    cas: HashMap<DirectoryUrl, CaState>,
    running: BTreeSet<Box<str>>,
    tasks: FuturesUnordered<TaskFuture>,
    starts: Vec<UnixTime>,
    /// The texts of certificate files that could not be written, by name.
    unsaved: BTreeMap<Box<str>, String>,
    /// Accounts whose key is being changed or could not be changed, by directory: the time of the next attempt, and
    /// the failure.
    key_changes: BTreeMap<DirectoryUrl, (UnixTime, Option<Failure>)>,
    /// The earliest time of the next attempt to send a CA the e-mail address, by directory.
    contacts_after: BTreeMap<DirectoryUrl, UnixTime>,
    store_after: UnixTime,
    started: UnixTime,
    storage_error: Option<String>,
    views: Publisher<AcmeView>,
}

impl<S: Storage> Worker<S> {
    fn new(given: WorkerSettings<S>, http: Http, views: Publisher<AcmeView>) -> Self {
        let WorkerSettings { storage, settings, chosen, clock, solver, on_demand } = given;
        let started = clock.now();
        let accounts = Accounts::new(storage.clone(), http, Arc::clone(&settings), clock.clone());
        let policy = SchedulePolicy {
            directories: settings.issuers.iter().map(|issuer| issuer.directory.clone()).collect(),
            only_chosen: settings.only_chosen.clone(),
            wildcards: settings.wildcards.clone(),
            has_dns: settings.dns.is_some(),
        };
        let dns = settings.dns.clone().zip(Http::also_plain(settings.root_pem.as_deref()).ok());
        let dns = dns.map(|(settings, http)| Dns::new(storage.clone(), settings, http));
        Self {
            services: OrderServices { storage: storage.clone(), accounts, solver, dns, settings, clock },
            on_demand,
            policy,
            chosen,
            volume: VolumeScan::new(storage),
            states: BTreeMap::new(),
            cas: HashMap::new(),
            running: BTreeSet::new(),
            tasks: FuturesUnordered::new(),
            starts: Vec::new(),
            unsaved: BTreeMap::new(),
            key_changes: BTreeMap::new(),
            contacts_after: BTreeMap::new(),
            store_after: UnixTime::EPOCH,
            started,
            storage_error: None,
            views,
        }
    }

    /// Reads changed files on the volume, and writes certificates that could not be written before.
    async fn look(&mut self) {
        match self.volume.changes().await {
            Ok(changes) => {
                for stored in changes.certificates {
                    let (name, stored) = stored;
                    let state = self.states.entry(name).or_default();
                    let is_newer = |known: &StoredCertificate| stored.bundle.not_before >= known.bundle.not_before;
                    if state.stored.as_ref().is_none_or(is_newer) {
                        state.stored = Some(stored);
                    }
                }
                for (name, history) in changes.histories {
                    if !self.running.contains(&name) {
                        let now = self.services.clock.now();
                        let state = self.states.entry(name.clone()).or_default();
                        state.history = interrupted(&name, history, now);
                    }
                }
            }
            Err(error) => self.storage_failed(&error.to_string()),
        }
        let unsaved: Vec<_> = self.unsaved.iter().filter(|(name, _)| !self.running.contains(*name)).collect();
        for (name, text) in unsaved {
            self.running.insert(name.clone());
            let (storage, name, text) = (self.services.storage.clone(), name.clone(), text.clone());
            self.tasks.push(Box::pin(async move {
                let outcome = volume_scan::save(&storage, &name, text).await;
                TaskOutcome::Saved { name, outcome }
            }));
        }
    }

    fn names<'a>(&self, listed: &'a BTreeSet<Box<str>>) -> WantedNames<'a> {
        let now = self.services.clock.now();
        let on_demand = self.on_demand.as_ref().map(|on_demand| on_demand.names(listed, &self.states, now));
        WantedNames { listed, on_demand: on_demand.unwrap_or_default() }
    }

    /// Begins pending changes to accounts, while no order is under way that the old key would have to sign.
    async fn change_accounts(&mut self) {
        let now = self.services.clock.now();
        if !self.running.is_empty() {
            return;
        }
        for directory in self.services.accounts.wanting_contacts().await {
            if self.contacts_after.get(&directory).is_some_and(|next| *next > now) {
                continue;
            }
            self.contacts_after.insert(directory.clone(), now + CONTACT_PAUSE);
            let accounts = self.services.accounts.clone();
            self.tasks.push(Box::pin(async move {
                let outcome = accounts.renew_contact(&directory).await;
                TaskOutcome::ContactTold { directory, outcome }
            }));
        }
        for directory in self.services.accounts.wanting_new_keys().await {
            if self.key_changes.get(&directory).is_some_and(|(next, _)| *next > now) {
                continue;
            }
            self.key_changes.insert(directory.clone(), (UnixTime::NEVER, None));
            let accounts = self.services.accounts.clone();
            self.tasks.push(Box::pin(async move {
                let outcome = accounts.renew_key(&directory).await;
                TaskOutcome::KeyChanged { directory, outcome }
            }));
        }
    }

    /// Starts the actions that are due now.
    fn begin(&mut self, names: &WantedNames<'_>) -> Schedule {
        let now = self.services.clock.now();
        let chosen = self.chosen.load_full();
        let moment = ScheduleInput {
            policy: &self.policy,
            chosen: &chosen,
            wanted: names.listed,
            on_demand: &names.on_demand,
            states: &self.states,
            cas: &self.cas,
            running: &self.running,
            starts: &self.starts,
            can_store: now >= self.store_after,
            may_lose: self.storage_error.is_some() && now.since(self.started) >= LOSING_AFTER,
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

    fn ask_permission(&mut self, name: &str, again: UnixTime) {
        self.states.entry(name.into()).or_default().permission_after = again;
        if let Some(on_demand) = &self.on_demand {
            on_demand.ask(name);
        }
    }

    /// Ends the wait of handshakes for certificates that are not being ordered now.
    fn let_go(&self, names: &WantedNames<'_>, schedule: &Schedule, now: UnixTime) {
        let Some(on_demand) = &self.on_demand else { return };
        for name in names.on_demand.keys() {
            let certificate = schedule.served_by.get(name).unwrap_or(name);
            // A certificate that has just arrived is on its way to the waiting handshakes.
            let stored = self.states.get(certificate).and_then(|state| state.stored.as_ref());
            if stored.is_some_and(|stored| stored.bundle.is_valid_at(now)) {
                continue;
            }
            let is_later = schedule.due.get(certificate).is_some_and(|due| *due > now + HANDSHAKE_WAIT_MAX);
            if is_later || schedule.refused.contains_key(certificate) {
                on_demand.demand.give_up(name);
            }
        }
    }

    fn order(&mut self, order: schedule::CertificateOrder, now: UnixTime) {
        self.starts.retain(|start| now.since(*start) < Duration::from_hours(3));
        self.starts.push(now);
        self.running.insert(order.name.clone());
        let state = self.states.entry(order.name.clone()).or_default();
        let (known, history) = (state.stored.clone(), state.history.clone());
        tracing::info!(
            name = &*order.name,
            ca = order.directory.issuer_name(),
            attempt = order.failures + 1,
            "ordering a certificate"
        );
        let services = self.services.clone();
        self.tasks.push(Box::pin(async move {
            let (name, directory) = (order.name.clone(), order.directory.clone());
            let outcome = Box::new(obtain(services, order, known, history).await);
            TaskOutcome::Ordered { name, directory, outcome }
        }));
    }

    fn ask(&mut self, name: Box<str>, now: UnixTime) {
        let Some(stored) = self.states.get(&name).and_then(|state| state.stored.clone()) else { return };
        let Some(id) = stored.id else { return };
        self.running.insert(name.clone());
        let accounts = self.services.accounts.clone();
        self.tasks.push(Box::pin(async move {
            let renewal = async {
                let directory = accounts.directory(&stored.directory).await?;
                directory.renewal(accounts.http(), &id, now).await
            };
            let renewal = renewal.await;
            TaskOutcome::Asked { name, renewal }
        }));
    }

    fn finish(&mut self, done: TaskOutcome) {
        let now = self.services.clock.now();
        match done {
            TaskOutcome::Ordered { name, directory, outcome } => {
                self.running.remove(&name);
                self.ordered(&name, &directory, *outcome, now);
            }
            TaskOutcome::Asked { name, renewal } => {
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
            TaskOutcome::KeyChanged { directory, outcome } => {
                let failure = outcome.err();
                if let Some(failure) = &failure {
                    tracing::warn!(
                        ca = directory.as_str(),
                        error = failure.detail,
                        "failed to give an account another key"
                    );
                }
                self.key_changes.insert(directory, (now + KEY_CHANGE_PAUSE, failure));
            }
            TaskOutcome::ContactTold { directory, outcome } => {
                if let Err(failure) = outcome {
                    tracing::warn!(
                        ca = directory.as_str(),
                        error = failure.detail,
                        "failed to tell a CA the e-mail address"
                    );
                }
            }
            TaskOutcome::Saved { name, outcome } => {
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

    fn ordered(&mut self, name: &str, directory: &DirectoryUrl, outcome: OrderOutcome, now: UnixTime) {
        let state = self.states.entry(name.into()).or_default();
        match outcome {
            OrderOutcome::Issued { stored, unsaved, history } => {
                tracing::info!(
                    name,
                    ca = directory.issuer_name(),
                    serial = &*stored.bundle.serial,
                    "got a certificate"
                );
                (state.stored, state.history, state.ask_after) = (Some(stored), history, UnixTime::EPOCH);
                self.cas.remove(directory);
                match unsaved {
                    Some(text) => {
                        self.unsaved.insert(name.into(), text);
                        self.storage_failed("a new certificate could not be written");
                    }
                    None => self.storage_works(),
                }
            }
            OrderOutcome::Found { stored, history } => {
                tracing::info!(name, serial = &*stored.bundle.serial, "another instance got the certificate");
                (state.stored, state.history, state.ask_after) = (Some(stored), history, UnixTime::EPOCH);
            }
            OrderOutcome::Elsewhere { history } => {
                state.order_after = now + BUSY_ELSEWHERE;
                if let Some(history) = history {
                    state.history = history;
                }
            }
            OrderOutcome::Failed { failure, history } => {
                state.history = history;
                if let Some(on_demand) = &self.on_demand {
                    on_demand.demand.give_up(name);
                }
                // The operator learns of it from a finding, which is logged once.
                let (ca, kind) = (directory.issuer_name(), failure.kind.as_str());
                tracing::debug!(name, ca, error = failure.detail, kind, "failed to get a certificate");
                if failure.kind == failure::FailureKind::Storage {
                    self.storage_failed(&failure.detail);
                } else if failure.kind.is_of_the_ca() {
                    let state = self.cas.entry(directory.clone()).or_default();
                    // Several orders under way meet the same outage.
                    if state.next <= now {
                        state.failures = state.failures.saturating_add(1);
                        state.next = retry_ca_time(directory.as_str(), state.failures, failure.retry_at, now);
                    }
                    state.next = state.next.max(failure.retry_at.unwrap_or_default());
                    state.last = Some(failure);
                }
            }
        }
    }

    fn storage_failed(&mut self, error: &str) {
        self.store_after = self.services.clock.now() + STORAGE_PAUSE;
        self.storage_error = Some(error.to_owned());
    }

    fn storage_works(&mut self) {
        self.store_after = UnixTime::EPOCH;
        self.storage_error = None;
    }

    /// The public CAs; `known` are those that have answered.
    fn issuers(&self, known: &BTreeMap<DirectoryUrl, Directory>) -> Vec<IssuerView> {
        let mut certificates: HashMap<&DirectoryUrl, usize> = HashMap::new();
        for stored in self.states.values().filter_map(|state| state.stored.as_ref()) {
            *certificates.entry(&stored.directory).or_default() += 1;
        }
        let view = |issuer: &Issuer| {
            let directory = &issuer.directory;
            let failed = self.cas.get(directory).and_then(|state| Some((state.last.as_ref()?, state.next)));
            IssuerView {
                name: issuer.name().into(),
                directory: directory.as_str().into(),
                state: match failed {
                    Some((failure, next)) => IssuerState::Failing { why: failure.detail.as_str().into(), next },
                    None if known.contains_key(directory) => IssuerState::Up,
                    None => IssuerState::Unasked,
                },
                certificates: certificates.get(directory).copied().unwrap_or(0),
            }
        };
        self.services.settings.issuers.iter().map(view).collect()
    }

    fn publish(&mut self, wanted: &WantedNames<'_>, schedule: &Schedule) {
        let now = self.services.clock.now();
        let bundles =
            self.states.values().filter_map(|state| state.stored.as_ref()).map(|stored| Arc::clone(&stored.bundle));
        let input = FindingInput {
            wanted: wanted.iter().collect(),
            schedule,
            states: &self.states,
            cas: &self.cas,
            cas_max: self.policy.directories.len(),
            known: self.services.accounts.known(),
            profile: self.services.settings.profile.as_deref(),
            storage_error: self.storage_error.as_deref(),
            without_certificate: &self.services.settings.without_certificate,
            unsaved: &self.unsaved,
            damages: self.volume.damages(),
        };
        let (names, mut findings) = tell(&input, now);
        findings.extend(
            self.key_changes
                .iter()
                .filter_map(|(directory, (_, failure))| Some(findings::old_key(directory, failure.as_ref()?))),
        );
        findings.extend(self.on_demand.iter().flat_map(OnDemand::findings));
        findings.extend(self.services.storage.lacks_locks().then(findings::without_locks));
        let view = AcmeView {
            bundles: bundles.collect(),
            names,
            on_demand: wanted.on_demand.keys().cloned().collect(),
            issuers: self.issuers(&input.known),
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

impl AcmeView {
    fn is_same_as(&self, other: &Self) -> bool {
        self.names == other.names
            && self.on_demand == other.on_demand
            && self.issuers == other.issuers
            && self.findings == other.findings
            && self.degraded == other.degraded
            && self.bundles.len() == other.bundles.len()
            && self.bundles.iter().zip(&other.bundles).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}
