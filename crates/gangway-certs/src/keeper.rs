//! The loop that brings all sources of certificates together.
//!
//! [`keep`] runs these tasks as one, so that each goes on while another waits:
//!
//! | task | reads | publishes |
//! |---|---|---|
//! | keeper | wanted names, all views below | store, report, scope of the internal root, names for public CAs |
//! | `certs/` folder | the volume | bundles, client CAs, findings |
//! | internal CA | scope | the CA, findings |
//! | session tickets | the volume | ticket keys |
//! | ACME client | names for public CAs | bundles, findings, answers to challenges |

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Severity};
use gangway_publish::{Generation, Publisher, Reader, channel};
use gangway_tls::{
    Bundle, CertificateResolver, Challenges, ClientCas, Demand, InternalCa, Mint, Origin, Placeholders, Promises,
    Scope, Store, TicketKeys, UnixTime,
};

use gangway_acme::storage::FolderStorage;
use gangway_acme::{Acme, AcmeOutputs, AcmeView, AdoptedAccount, Clock, DirectoryUrl};

use crate::certs_folder::{self, CertsFolderView, follow};
use crate::client_ca;
use crate::export::Exports;
use crate::import::{self, AdoptedCertificate, ImportOutcome};
use crate::internal_ca::{InternalCaView, keep_ca};
use crate::missing::{self, Missing};
use crate::plan::{Plan, Situation, out_of_date, plan};
use crate::status::{CertificateReport, StatusInput};
use crate::{KeepSettings, PlainHttp, WantedCertificates};
use crate::{login_keys, session_tickets};

/// The values that the keeper publishes, and those that it shares with handshakes.
#[derive(Debug)]
pub struct KeeperOutputs {
    /// Bundles of every source.
    pub store: Publisher<Store>,
    /// Makes certificates of the internal CA and placeholders at the first handshake; the keeper sets the names.
    pub mint: Arc<Mint>,
    /// The demand of handshakes for names that no route lists. If `None`, they get no certificate.
    pub demand: Option<Arc<Demand>>,
    /// The state of every certificate, and all findings.
    pub report: Publisher<CertificateReport>,
}

/// Certificates that are made in one turn for exports, so that many do not delay the next table.
const BATCH: usize = 512;

/// Certificates made by handshakes appear in the report after this delay, however many there are.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// A jump of the clock is noticed after this long.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The longest wait for the volume: one that does not answer must not delay certificates that do not need it.
const VOLUME_WAIT: Duration = Duration::from_secs(2);

/// Keeps certificates for `names`, for ever.
///
/// The store is first published once the volume was read, whether or not names are known.
pub async fn keep(settings: KeepSettings, wanted: Reader<WantedCertificates>, outputs: KeeperOutputs) -> Infallible {
    let KeeperOutputs { store, mint, demand, report } = outputs;
    let clock = settings.clock.clone();
    let storage = FolderStorage::new(&settings.data);
    prepare(&storage).await;
    let (folder_tx, folder) = channel(CertsFolderView::default());
    let (scope_tx, scopes) = channel(Scope::default());
    let (ca_tx, ca) = channel(InternalCaView::default());
    let (public_tx, public) = channel(BTreeSet::new());
    let (chosen_tx, chosen) = channel(BTreeMap::new());
    let (acme_tx, acme) = channel(AcmeView::default());
    let (tickets_tx, tickets_view) = channel(Arc::default());
    let (challenges_tx, challenges) = channel(Arc::default());
    let mut acme_settings = settings.acme.unwrap_or_default();
    acme_settings.without_certificate = missing::effect(settings.plain_http).into();
    let has_acme = !acme_settings.issuers.is_empty();
    // Certificates on the volume are served by the client, which orders none where there is no CA.
    let has_client = has_acme || !settings.adopted.is_empty();
    let has_dns = acme_settings.dns.is_some();
    let on_demand = settings.on_demand.filter(|_| has_acme).zip(demand);
    let keeper = Keeper {
        clock: clock.clone(),
        default_name: settings.default_certificate,
        internal_domains: settings.internal_domains,
        signer: None,
        placeholders: placeholders(),
        promises: None,
        certificates: CertificateResolver::new(
            store.reader(),
            Arc::clone(&mint),
            on_demand.as_ref().map(|(_, demand)| Arc::clone(demand)),
        ),
        mint,
        given: GivenBundles { next: UnixTime::NEVER, ..GivenBundles::default() },
        scope: scope_tx,
        public: public_tx,
        chosen: chosen_tx,
        named_issuers: acme_settings.named.clone(),
        base: Store::default(),
        exports: Exports::new(&settings.data),
        has_acme,
        has_client,
        plain_http: settings.plain_http,
        missing: Missing::default(),
        stars_are_on_demand: on_demand.is_some() && !has_dns,
        store,
        report,
        reported: CertificateReport::default(),
        told: Vec::new(),
    };
    let data = settings.data.clone();
    // All run in one task: while one waits, the others go on; slow work runs on threads of its own.
    tokio::select! {
        never = session_tickets::share(storage.clone(), clock.clone(), tickets_tx) => never,
        never = follow(data.clone(), settings.named_files, folder_tx) => never,
        never = keeper.run(wanted, KeeperInputs { folder, ca, acme, challenges, tickets: tickets_view }) => never,
        Ok(never) = keep_ca(storage.clone(), scopes, clock.clone(), ca_tx) => never,
        never = async {
            adopt_accounts(&data, &settings.adopted_accounts).await;
            import_at_start(&data, &settings.adopted, clock.now()).await;
            let client = Acme { settings: acme_settings, chosen, on_demand, storage, clock: clock.clone() };
            client.run(public, AcmeOutputs { views: acme_tx, challenges: challenges_tx }).await
        }, if has_client => never,
    }
}

/// Takes over accounts of other software. Without them another account is made, which costs nothing.
async fn adopt_accounts(data: &Path, accounts: &[AdoptedAccount]) {
    for account in accounts {
        let (ca, url) = (account.directory.as_str(), &*account.url);
        match gangway_acme::adopt_account(data, account).await {
            Ok(true) => tracing::info!(ca, account = url, "adopted an account with a CA"),
            Ok(false) => tracing::debug!(ca, account = url, "there is an account with the CA already"),
            Err(error) => tracing::warn!(ca, account = url, %error, "another account with the CA is made"),
        }
    }
}

/// Imports certificates of other software before the first order, which they may make unnecessary.
async fn import_at_start(data: &Path, adopted: &[AdoptedCertificate], now: UnixTime) {
    let mut imported = import::adopt(data, adopted, now).await;
    let folder = data.join(import::FOLDER);
    if tokio::fs::try_exists(&folder).await.unwrap_or_default() {
        imported.extend(import::import(data, &[folder], now).await);
    }
    for one in imported {
        let (from, names) = (one.from.display(), &one.names);
        match &one.outcome {
            ImportOutcome::Taken(_) => tracing::info!(%from, ?names, "imported a certificate"),
            ImportOutcome::Known => tracing::debug!(%from, ?names, "a certificate was imported before"),
            ImportOutcome::Skipped(why) => tracing::warn!(%from, ?names, why, "left a certificate out of the import"),
            ImportOutcome::Failed(error) => tracing::warn!(%from, ?names, error, "failed to import a certificate"),
        }
    }
}

async fn prepare(storage: &FolderStorage) {
    let storage = storage.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        for name in [
            "ca",
            "acme",
            "acme/accounts",
            "acme/certificates",
            "acme/names",
            "locks",
            certs_folder::FOLDER,
            session_tickets::FOLDER,
            login_keys::FOLDER,
        ] {
            match storage.prepare(name) {
                Ok(true) => tracing::warn!(folder = name, "took rights to a folder of the volume from others"),
                Ok(false) => {}
                // The code that needs the folder will report the failure with its consequence.
                Err(error) => tracing::debug!(%error, "failed to prepare the volume"),
            }
        }
    });
    let _ = tokio::time::timeout(VOLUME_WAIT, prepared).await;
}

/// The state that the loop keeps from one turn to the next.
struct Keeper {
    clock: Clock,
    default_name: Option<Box<str>>,
    internal_domains: Vec<Box<str>>,
    signer: Option<Arc<InternalCa>>,
    placeholders: Option<Arc<Placeholders>>,
    /// The promises that the mint last got.
    promises: Option<Promises>,
    mint: Arc<Mint>,
    /// The certificates that handshakes get, as last published.
    certificates: CertificateResolver,
    given: GivenBundles,
    scope: Publisher<Scope>,
    public: Publisher<BTreeSet<Box<str>>>,
    /// The CAs that are chosen for names, by their directories.
    chosen: Publisher<BTreeMap<Box<str>, DirectoryUrl>>,
    named_issuers: BTreeMap<Box<str>, DirectoryUrl>,
    /// The store as last published, without challenges.
    base: Store,
    exports: Exports,
    has_acme: bool,
    has_client: bool,
    /// Used only for findings.
    plain_http: PlainHttp,
    missing: Missing,
    stars_are_on_demand: bool,
    store: Publisher<Store>,
    report: Publisher<CertificateReport>,
    reported: CertificateReport,
    /// Findings that were logged and still hold.
    told: Vec<Diagnostic>,
}

/// The views of the other tasks.
struct KeeperInputs {
    folder: Reader<CertsFolderView>,
    ca: Reader<InternalCaView>,
    acme: Reader<AcmeView>,
    challenges: Reader<Arc<Challenges>>,
    tickets: Reader<Arc<TicketKeys>>,
}

/// The bundles from the folder and from public CAs, by name, at one moment.
#[derive(Default)]
struct GivenBundles {
    generations: (Generation, Generation),
    store: Store,
    bundles: Vec<Arc<Bundle>>,
    client_cas: Arc<ClientCas>,
    /// The next time at which one of them becomes valid or ends.
    next: UnixTime,
}

impl Keeper {
    async fn run(mut self, mut wishes: Reader<WantedCertificates>, mut views: KeeperInputs) -> Infallible {
        let _ = tokio::time::timeout(VOLUME_WAIT, async {
            let _ = views.folder.changed().await;
            // Wait for the certificates from before a restart: they must not be ordered again, or be served as
            // placeholders.
            if self.has_client {
                let _ = views.acme.changed().await;
            }
        })
        .await;
        let mut made = self.mint.made();
        let (mut is_first, mut is_over) = (true, false);
        loop {
            let now = self.clock.now();
            let (wanted, folder_view) = (wishes.load_full(), views.folder.load_full());
            let (ca_view, acme_view) = (views.ca.load_full(), views.acme.load_full());
            let generations = (folder_view.generation(), acme_view.generation());
            let is_given = self.given.update(generations, &folder_view, &acme_view, now);
            let is_signer = self.change_signer(ca_view.ca.as_ref());

            let mut plan = self.plan(&wanted.names, &acme_view.on_demand, now);
            publish_change(&mut self.scope, &plan.scope);
            // The CAs are published first: a name that is seen must have its CA.
            let chosen = self.chosen(&wanted);
            publish_change(&mut self.chosen, &chosen);
            let to_order = self.to_order(&plan, &wanted);
            publish_change(&mut self.public, &to_order);
            if is_given || is_first {
                self.sort(now);
            }
            // A name whose certificate has come keeps its promise until the store has the certificate.
            if is_given && !is_first {
                self.publish(&views);
            }
            let is_promised = self.promise(std::mem::take(&mut plan.promises), is_signer);
            if is_given || is_promised || is_first {
                self.publish(&views);
                is_first = false;
            }
            // The rest is made in the next turn, after another look at the wanted names.
            if self.make_for_export(&wanted, now).await {
                continue;
            }
            self.mint.forget_ended(now);
            self.export(&wanted).await;
            self.tell(&wanted, &plan, &folder_view, &ca_view, &acme_view, now);
            let next = plan.next.min(self.given.next).since(now).max(Duration::from_secs(1));
            let mut wake = tokio::time::Instant::now() + LOOK_EVERY.min(next);
            loop {
                tokio::select! {
                    // After the publisher of the wishes is gone, the last wishes stay in force for ever.
                    changed = wishes.changed(), if !is_over => is_over = changed.is_err(),
                    _ = views.folder.changed() => {}
                    _ = views.ca.changed() => {}
                    Ok(_) = views.acme.changed() => {}
                    // A CA is waiting, and only the challenges have changed.
                    Ok(_) = views.challenges.changed() => {
                        self.publish(&views);
                        continue;
                    }
                    Ok(_) = views.tickets.changed() => {
                        self.publish(&views);
                        continue;
                    }
                    Ok(_) = made.changed() => {
                        wake = wake.min(tokio::time::Instant::now() + TELL_AFTER);
                        continue;
                    }
                    () = tokio::time::sleep_until(wake) => {}
                }
                break;
            }
        }
    }

    fn chosen(&self, wanted: &WantedCertificates) -> BTreeMap<Box<str>, DirectoryUrl> {
        let directory = |issuer: &str| self.named_issuers.get(issuer).cloned();
        wanted.issuers.iter().filter_map(|(name, issuer)| Some((name.clone(), directory(issuer)?))).collect()
    }

    /// Names that a public CA must sign for. A name whose containers cannot be reached is not worth an order; its
    /// existing certificate is renewed, since they may be reachable tomorrow.
    fn to_order(&self, plan: &Plan, wanted: &WantedCertificates) -> BTreeSet<Box<str>> {
        let is_held = |name: &str| self.given.store.find(name).is_some_and(|bundle| bundle.origin == Origin::Acme);
        plan.public.iter().filter(|name| !wanted.out_of_reach.contains(*name) || is_held(name)).cloned().collect()
    }

    /// Findings about names that wait for a certificate.
    fn without_certificates(&mut self, wanted: &WantedCertificates, acme: &AcmeView, now: UnixTime) -> Vec<Diagnostic> {
        let certificates = &self.certificates;
        let public = self.public.reader().load_full();
        let is_without = |name: &str| certificates.is_placeheld(name) || !certificates.serves(name);
        let is_told = |name: &str| acme.names.get(name).is_some_and(|view| view.trouble.is_some());
        let names = public.iter().map(|name| &**name).filter(|name| is_without(name) && !is_told(name));
        let missing = self.missing.update(names, now);
        let mut findings = missing::findings(&missing, self.has_acme, self.plain_http);
        let is_at_stake = self.has_acme && !public.is_empty();
        findings.extend(wanted.forgotten.filter(|_| is_at_stake).map(missing::volume));
        findings
    }

    fn plan(&self, wanted: &[crate::WantedName], on_demand: &BTreeSet<Box<str>>, now: UnixTime) -> Plan {
        let situation = Situation {
            wanted,
            default_name: self.default_name.as_deref(),
            on_demand,
            stars_are_on_demand: self.stars_are_on_demand,
            internal_domains: &self.internal_domains,
            ca: self.signer.as_deref(),
            given: &self.given.store,
        };
        plan(&situation, now)
    }

    /// Takes over the CA as signer and returns whether it changed, also if the key stayed the same.
    fn change_signer(&mut self, ca: Option<&Arc<InternalCa>>) -> bool {
        let Some(ca) = ca.filter(|ca| !self.signer.as_ref().is_some_and(|signer| Arc::ptr_eq(signer, ca))) else {
            return false;
        };
        self.signer = Some(Arc::clone(ca));
        true
    }

    /// Puts new promises in force, and returns whether anything changed.
    fn promise(&mut self, promises: Promises, is_signer: bool) -> bool {
        if !is_signer && self.promises.as_ref() == Some(&promises) {
            return false;
        }
        self.mint.promise(self.signer.clone(), self.placeholders.clone(), &promises);
        self.promises = Some(promises);
        true
    }

    /// Makes certificates for exports that no handshake has asked for, on a thread of its own. Returns whether
    /// there may be more to make.
    async fn make_for_export(&self, wanted: &WantedCertificates, now: UnixTime) -> bool {
        let certificates = self.certificates.clone();
        let is_due =
            |name: &str| certificates.origin(name) == Some(Origin::Internal) && certificates.is_to_be_made(name, now);
        let names = wanted.exports.iter().map(|export| &export.name).filter(|name| is_due(name));
        let batch: Vec<Box<str>> = names.take(BATCH).cloned().collect();
        if batch.is_empty() {
            return false;
        }
        let making = move || batch.iter().filter(|name| certificates.make(name, now).is_some()).count();
        // Failures are tried again at the next look, not at once.
        tokio::task::spawn_blocking(making).await.is_ok_and(|count| count == BATCH)
    }

    fn sort(&mut self, now: UnixTime) {
        let store = Store::new(self.given.bundles.iter().cloned(), now);
        self.base = store.with_clients(Arc::clone(&self.given.client_cas));
    }

    /// Exports changed certificates. A volume that hangs delays no other work.
    async fn export(&mut self, wanted: &WantedCertificates) {
        let due = self.exports.due(&wanted.exports, &self.certificates);
        if due.is_empty() {
            return;
        }
        let writing = tokio::task::spawn_blocking(move || due.write());
        if let Ok(Ok(outcome)) = tokio::time::timeout(VOLUME_WAIT, writing).await {
            self.exports.note(outcome);
        }
    }

    fn publish(&mut self, views: &KeeperInputs) {
        let challenges = Arc::clone(&*views.challenges.load());
        let tickets = Arc::clone(&*views.tickets.load());
        let store = self.base.clone().with_challenges(challenges).with_tickets(tickets);
        self.store.publish(store);
    }

    fn tell(
        &mut self,
        wanted: &WantedCertificates,
        plan: &Plan,
        folder: &CertsFolderView,
        ca: &InternalCaView,
        acme: &AcmeView,
        now: UnixTime,
    ) {
        let without = self.without_certificates(wanted, acme, now);
        let known = plan.findings.iter().chain(&folder.findings).chain(&ca.findings).chain(&acme.findings);
        let known = known.chain(self.exports.findings()).cloned().chain(out_of_date(&self.given.bundles, now));
        let missing =
            wanted.client_cas.iter().filter_map(|name| client_ca::missing(name, &folder.client_cas, &folder.findings));
        let findings = in_order(known.chain(missing).chain(without));
        let (old, new): (HashSet<_>, HashSet<_>) = (self.told.iter().collect(), findings.iter().collect());
        for finding in findings.iter().filter(|finding| !old.contains(finding)) {
            let Diagnostic { code, place, message, help, effect, .. } = finding;
            let subject = place.subject().unwrap_or_default();
            match finding.severity {
                Severity::Error => tracing::error!(%code, %subject, %help, %effect, "{message}"),
                Severity::Warning => tracing::warn!(%code, %subject, %help, %effect, "{message}"),
                Severity::Note => tracing::info!(%code, %subject, %help, %effect, "{message}"),
            }
        }
        for Diagnostic { code, place, message, .. } in self.told.iter().filter(|told| !new.contains(told)) {
            let subject = place.subject().unwrap_or_default();
            tracing::info!(%code, %subject, "resolved: {message}");
        }
        self.told.clone_from(&findings);
        let listed = wanted.names.iter().map(|wanted| &wanted.name).chain(&self.default_name);
        let listed = listed.chain(self.given.bundles.iter().flat_map(|bundle| &bundle.names));
        let told = StatusInput {
            certificates: &self.certificates,
            acme,
            signer: self.signer.as_deref(),
            findings: &findings,
            has_acme: self.has_acme,
            out_of_reach: &wanted.out_of_reach,
        };
        let certificates = told.statuses(listed, now);
        let degraded = ca.degraded || acme.degraded;
        let report = CertificateReport { certificates, issuers: acme.issuers.clone(), findings, degraded };
        if self.report.reader().generation() == Generation::INITIAL || report != self.reported {
            self.reported = report.clone();
            self.report.publish(report);
        }
    }
}

/// Findings without repeats: errors first, then by code and by what they are about. Of several for one name the first
/// is shown beside it.
fn in_order(findings: impl Iterator<Item = Diagnostic>) -> Vec<Diagnostic> {
    let mut findings: Vec<Diagnostic> = findings.collect();
    findings.sort_by(|a, b| (a.severity, a.code, &a.place, a).cmp(&(b.severity, b.code, &b.place, b)));
    findings.dedup();
    findings
}

fn publish_change<T: Clone + PartialEq>(publisher: &mut Publisher<T>, value: &T) {
    if *publisher.reader().load() != *value {
        publisher.publish(value.clone());
    }
}

impl GivenBundles {
    /// Sorts the bundles by name again if they may have changed, and returns whether they did.
    fn update(
        &mut self,
        generations: (Generation, Generation),
        folder: &CertsFolderView,
        acme: &AcmeView,
        now: UnixTime,
    ) -> bool {
        if generations == self.generations && now < self.next {
            return false;
        }
        self.generations = generations;
        self.bundles = folder.bundles.iter().chain(&acme.bundles).cloned().collect();
        let ends = self.bundles.iter().flat_map(|bundle| [bundle.not_before, bundle.not_after]);
        self.next = ends.filter(|time| *time > now).min().unwrap_or(UnixTime::NEVER);
        self.store = Store::new(self.bundles.iter().cloned(), now);
        self.client_cas = Arc::clone(&folder.client_cas);
        true
    }
}

/// `None` if no key can be made, which leaves names without a certificate and has no other effect.
fn placeholders() -> Option<Arc<Placeholders>> {
    let made = Placeholders::new().map(Arc::new);
    made.inspect_err(|error| tracing::warn!(%error, "failed to make a key for placeholders")).ok()
}
