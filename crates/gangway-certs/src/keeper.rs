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

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gangway_publish::{Generation, Publisher, Reader, channel};
use gangway_tls::{
    Bundle, CertificateResolver, Challenges, ClientCas, Demand, InternalCa, Mint, Origin, Placeholders, Promises,
    Scope, Store, TicketKeys, UnixTime,
};

use gangway_acme::storage::FolderStorage;
use gangway_acme::{Acme, AcmeOutputs, AcmeView, Clock, Finding, FindingSeverity};

use crate::certs_folder::{self, CertsFolderView, follow};
use crate::client_ca;
use crate::export::Exports;
use crate::import::{self, ImportOutcome};
use crate::internal_ca::{InternalCaView, keep_ca};
use crate::missing::{self, Missing};
use crate::plan::{Plan, Situation, out_of_date, plan};
use crate::session_tickets;
use crate::status::{CertificateReport, StatusInput};
use crate::{KeepSettings, PlainHttp, WantedCertificates};

/// What the keeper publishes, and what it shares with those that serve handshakes.
#[derive(Debug)]
pub struct KeeperOutputs {
    /// Bundles of every source.
    pub store: Publisher<Store>,
    /// Makes certificates of ours at the first handshake; the keeper says for which names.
    pub mint: Arc<Mint>,
    /// Where handshakes ask for names that no route lists; none: those get no certificate.
    pub demand: Option<Arc<Demand>>,
    /// The state of every certificate, and what is wrong.
    pub report: Publisher<CertificateReport>,
}

/// Certificates made at once although nobody has asked for them, so that many do not keep the next table waiting.
const BATCH: usize = 512;

/// What handshakes have made is told so soon, however many there are.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// A jump of the clock is noticed after this long.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A volume that does not answer must not keep certificates away that need none.
const VOLUME_WAIT: Duration = Duration::from_secs(2);

/// Keeps certificates for `names`, for ever.
///
/// The store is published for the first time once the volume was read, whether or not names are known.
pub async fn keep(settings: KeepSettings, wanted: Reader<WantedCertificates>, outputs: KeeperOutputs) -> Infallible {
    let KeeperOutputs { store, mint, demand, report } = outputs;
    let clock = settings.clock.clone();
    let storage = FolderStorage::new(&settings.data);
    prepare(&storage).await;
    let (folder_tx, folder) = channel(CertsFolderView::default());
    let (scope_tx, scopes) = channel(Scope::default());
    let (ca_tx, ca) = channel(InternalCaView::default());
    let (public_tx, public) = channel(BTreeSet::new());
    let (acme_tx, acme) = channel(AcmeView::default());
    let (tickets_tx, tickets_view) = channel(Arc::default());
    let (challenges_tx, challenges) = channel(Arc::default());
    let mut acme_settings = settings.acme.unwrap_or_default();
    acme_settings.without_certificate = missing::effect(settings.plain_http).into();
    let has_acme = !acme_settings.issuers.is_empty();
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
        base: Store::default(),
        exports: Exports::new(&settings.data),
        has_acme,
        plain_http: settings.plain_http,
        missing: Missing::default(),
        stars_are_on_demand: on_demand.is_some() && !has_dns,
        store,
        report,
        reported: CertificateReport::default(),
        told: BTreeSet::new(),
    };
    let data = settings.data.clone();
    // In one task: whichever waits, the others go on; what takes long is done off the runtime.
    tokio::select! {
        never = session_tickets::share(storage.clone(), clock.clone(), tickets_tx) => never,
        never = follow(data.clone(), folder_tx) => never,
        never = keeper.run(wanted, KeeperInputs { folder, ca, acme, challenges, tickets: tickets_view }) => never,
        Ok(never) = keep_ca(storage.clone(), scopes, clock.clone(), ca_tx) => never,
        never = async {
            import_at_start(&data, clock.now()).await;
            let client = Acme { settings: acme_settings, on_demand, storage, clock: clock.clone() };
            client.run(public, AcmeOutputs { views: acme_tx, challenges: challenges_tx }).await
        }, if has_acme => never,
    }
}

/// What other software has obtained comes before the first order, or that would be one too many.
async fn import_at_start(data: &Path, now: UnixTime) {
    let folder = data.join(import::FOLDER);
    if !tokio::fs::try_exists(&folder).await.unwrap_or_default() {
        return;
    }
    for one in import::import(data, &[folder], now).await {
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
        ] {
            match storage.prepare(name) {
                Ok(true) => tracing::warn!(folder = name, "took rights to a folder of the volume from others"),
                Ok(false) => {}
                // Who needs the folder will say so with what it means.
                Err(error) => tracing::debug!(%error, "failed to prepare the volume"),
            }
        }
    });
    let _ = tokio::time::timeout(VOLUME_WAIT, prepared).await;
}

/// What the loop keeps from one turn to the next.
struct Keeper {
    clock: Clock,
    default_name: Option<Box<str>>,
    internal_domains: Vec<Box<str>>,
    signer: Option<Arc<InternalCa>>,
    placeholders: Option<Arc<Placeholders>>,
    /// What the mint was told last.
    promises: Option<Promises>,
    mint: Arc<Mint>,
    /// What handshakes get, as published last.
    certificates: CertificateResolver,
    given: GivenBundles,
    scope: Publisher<Scope>,
    public: Publisher<BTreeSet<Box<str>>>,
    /// As published last, without challenges.
    base: Store,
    exports: Exports,
    has_acme: bool,
    /// Only for what is told.
    plain_http: PlainHttp,
    missing: Missing,
    stars_are_on_demand: bool,
    store: Publisher<Store>,
    report: Publisher<CertificateReport>,
    reported: CertificateReport,
    /// What was logged and still holds.
    told: BTreeSet<Finding>,
}

/// What the other parts say.
struct KeeperInputs {
    folder: Reader<CertsFolderView>,
    ca: Reader<InternalCaView>,
    acme: Reader<AcmeView>,
    challenges: Reader<Arc<Challenges>>,
    tickets: Reader<Arc<TicketKeys>>,
}

/// What came from the folder and from public CAs, by name, as of a moment.
#[derive(Default)]
struct GivenBundles {
    generations: (Generation, Generation),
    store: Store,
    bundles: Vec<Arc<Bundle>>,
    client_cas: Arc<ClientCas>,
    /// When one of them comes into force or ends.
    next: UnixTime,
}

impl Keeper {
    async fn run(mut self, mut wishes: Reader<WantedCertificates>, mut views: KeeperInputs) -> Infallible {
        let _ = tokio::time::timeout(VOLUME_WAIT, async {
            let _ = views.folder.changed().await;
            // What was ordered before a restart must not be ordered again, or stand back for a placeholder.
            if self.has_acme {
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
            let to_order = self.to_order(&plan, &wanted);
            publish_change(&mut self.public, &to_order);
            let is_promised = self.promise(std::mem::take(&mut plan.promises), is_signer);
            if is_given || is_promised || is_first {
                self.sort(now);
                self.publish(&views);
                is_first = false;
            }
            // What is still missing comes next, but after another look at what is wanted.
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
                    // Without anybody to change them, the last ones are kept for ever.
                    changed = wishes.changed(), if !is_over => is_over = changed.is_err(),
                    _ = views.folder.changed() => {}
                    _ = views.ca.changed() => {}
                    Ok(_) = views.acme.changed() => {}
                    // A CA is waiting, and nothing else has changed.
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

    /// Names that a public CA is to sign for. One that leads nowhere is not worth an order, nor the CA's patience;
    /// what was ordered for it is renewed, since its containers may be reachable tomorrow.
    fn to_order(&self, plan: &Plan, wanted: &WantedCertificates) -> BTreeSet<Box<str>> {
        let is_held = |name: &str| self.given.store.find(name).is_some_and(|bundle| bundle.origin == Origin::Acme);
        plan.public.iter().filter(|name| !wanted.out_of_reach.contains(*name) || is_held(name)).cloned().collect()
    }

    /// What is to be said of names that wait for a certificate.
    fn without_certificates(&mut self, wanted: &WantedCertificates, acme: &AcmeView, now: UnixTime) -> Vec<Finding> {
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

    /// Whether another one signs from now on, be it the same key's.
    fn change_signer(&mut self, ca: Option<&Arc<InternalCa>>) -> bool {
        let Some(ca) = ca.filter(|ca| !self.signer.as_ref().is_some_and(|signer| Arc::ptr_eq(signer, ca))) else {
            return false;
        };
        self.signer = Some(Arc::clone(ca));
        true
    }

    /// Has certificates made for other names from now on, when they are asked for, and gives whether that is so.
    fn promise(&mut self, promises: Promises, is_signer: bool) -> bool {
        if !is_signer && self.promises.as_ref() == Some(&promises) {
            return false;
        }
        self.mint.promise(self.signer.clone(), self.placeholders.clone(), &promises);
        self.promises = Some(promises);
        true
    }

    /// Makes what others are to be given although nobody has asked for it, off the runtime; gives whether there
    /// may be more.
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
        // What cannot be made is tried again at the next look, and not at once.
        tokio::task::spawn_blocking(making).await.is_ok_and(|count| count == BATCH)
    }

    fn sort(&mut self, now: UnixTime) {
        let store = Store::new(self.given.bundles.iter().cloned(), now);
        self.base = store.with_clients(Arc::clone(&self.given.client_cas));
    }

    /// Writes down for others what has changed. A volume that hangs keeps nothing else waiting.
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
        let findings: BTreeSet<Finding> = known.chain(missing).chain(without).collect();
        for finding in findings.difference(&self.told) {
            let Finding { code, subject, message, help, effect, .. } = finding;
            match finding.severity {
                FindingSeverity::Error => tracing::error!(%code, %subject, %help, %effect, "{message}"),
                FindingSeverity::Warning => tracing::warn!(%code, %subject, %help, %effect, "{message}"),
            }
        }
        for Finding { code, subject, message, .. } in self.told.difference(&findings) {
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
        let report = CertificateReport { certificates, findings: findings.into_iter().collect(), degraded };
        if self.report.reader().generation() == Generation::INITIAL || report != self.reported {
            self.reported = report.clone();
            self.report.publish(report);
        }
    }
}

fn publish_change<T: Clone + PartialEq>(publisher: &mut Publisher<T>, value: &T) {
    if *publisher.reader().load() != *value {
        publisher.publish(value.clone());
    }
}

impl GivenBundles {
    /// Sorts what was given by name again where that may have changed, and gives whether it did.
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

/// None where no key can be made, which leaves names without a certificate and costs nothing else.
fn placeholders() -> Option<Arc<Placeholders>> {
    let made = Placeholders::new().map(Arc::new);
    made.inspect_err(|error| tracing::warn!(%error, "failed to make a key for placeholders")).ok()
}
