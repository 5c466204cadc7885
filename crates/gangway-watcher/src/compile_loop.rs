//! Puts together what all engines told, compiles it, and publishes.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gangway_model::compile::Move;
use gangway_model::matcher::HostCondition;
use gangway_model::snapshot::{Container, ContainerState, EngineName};
use gangway_model::{Compiled, Settings, Snapshot};
use gangway_publish::{Published, Publisher, Reader};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info};

use crate::EngineStatus;
use crate::address::Engine;
use crate::compile_thread::CompileThread;
use crate::diagnostic_log::DiagnosticLog;
use crate::follow::{EngineChange, EventTiming, Report};
use crate::latency::LatencyRecorder;
use crate::reading::{EngineFacts, ReadScope};
use crate::recently_gone::RecentlyGone;

/// The pure step from a snapshot to a table.
pub(crate) type Compile = Arc<dyn Fn(&Snapshot, &Settings) -> Compiled + Send + Sync>;

/// Compiles whenever something changed, for ever.
///
/// One table is made at a time, off the runtime: however long it takes, engines are heard, and the next one is made of
/// what is newest then.
pub(crate) async fn merge(
    engines: &[Engine],
    mut reports: mpsc::Receiver<Report>,
    mut settings: Reader<Settings>,
    mut released: Reader<BTreeSet<HostCondition>>,
    mut tables: Publisher<Compiled>,
    mut statuses: Publisher<Vec<EngineStatus>>,
    compile: Compile,
) -> Infallible {
    let thread = CompileThread::start();
    let mut world = Engines::new(engines);
    let in_force = tables.reader();
    let mut announced = DiagnosticLog::default();
    world.snapshot().holdings = in_force.load().holdings.clone();
    world.releases = released.generation().count();
    let (mut settings_followed, mut released_followed) = (true, true);
    let (mut next_release, mut not_before) = (None, None);
    let mut changed = true;
    let mut underway: Option<JoinHandle<Compilation>> = None;
    loop {
        if changed && underway.is_none() && world.may_publish(&settings.load()) {
            changed = false;
            let running = world.running(&announced);
            underway = Some(world.attempt(settings.load_full(), running, &compile, &thread));
        }
        statuses.publish(world.statuses());
        tokio::select! {
            biased;
            mut attempt = finished(&mut underway) => {
                underway = None;
                if let Some(mut compiled) = attempt.compiled.take() {
                    compiled.releases = attempt.releases;
                    let compiling = attempt.begun.elapsed();
                    let diagnostics = compiled.diagnostics.clone();
                    world.departed.keep(attempt.begun, &compiled.holds);
                    let next_end = compiled.holdings.next_end(attempt.now, attempt.settings.keep_hosts);
                    next_release = next_end.map(|end| attempt.begun + end);
                    world.snapshot().holdings = compiled.holdings.clone();
                    let moves = compiled.moves.clone();
                    let replaced = (in_force.load_full(), std::mem::take(&mut world.replaced));
                    let generation = tables.publish(compiled).count();
                    world.in_force(Instant::now(), attempt.causes);
                    // Giving back ten thousand routes takes longer than putting ten thousand in force.
                    thread.drop_there(replaced);
                    let containers = world.snapshot.containers.len();
                    debug!(generation, containers, ?compiling, "a new table is in force");
                    tell_moves(&moves);
                    announced.changes(Instant::now(), &diagnostics, |name| attempt.running.contains(name)).log();
                } else {
                    // Else what is due would be due again at once.
                    world.departed.keep(attempt.begun, &[]);
                    next_release = None;
                    not_before = Some(Instant::now() + PAUSE);
                    world.replaced = Vec::new();
                    world.take_back(attempt);
                    error!("compiling failed; the last table stays in force");
                }
            }
            report = reports.recv() => match report {
                Some(report) => {
                    changed |= world.apply(report);
                    while let Ok(report) = reports.try_recv() {
                        changed |= world.apply(report);
                    }
                }
                // Nothing will ever be told: there are no engines.
                None => std::future::pending().await,
            },
            outcome = settings.changed(), if settings_followed => {
                settings_followed = outcome.is_ok();
                changed |= settings_followed;
            }
            outcome = released.changed(), if released_followed => {
                released_followed = outcome.is_ok();
                if released_followed {
                    let published = released.load_full();
                    world.released.extend(published.iter().cloned());
                    world.releases = published.generation().count();
                    changed = true;
                }
            }
            // What comes to its end while a table is made is looked at when that is in force.
            () = look_again([announced.next_look(), world.departed.next_end(), next_release].into_iter().flatten().min(), not_before),
                if underway.is_none() && !changed =>
            {
                changed = true;
            }
        }
    }
}

/// What a table is made of, and the table.
struct Compilation {
    begun: Instant,
    /// Seconds since the epoch.
    now: i64,
    settings: Arc<Published<Settings>>,
    released: BTreeSet<HostCondition>,
    /// Up to which publication.
    releases: u64,
    /// Of the containers that something is said about, those that run.
    running: HashSet<Box<str>>,
    /// The events that it answers.
    causes: Vec<(usize, EventTiming)>,
    /// None before it is made, and where that failed.
    compiled: Option<Compiled>,
}

/// Waits for the table that is being made, and for ever where none is. Cancel-safe.
async fn finished(underway: &mut Option<JoinHandle<Compilation>>) -> Compilation {
    let Some(attempt) = underway else { return std::future::pending().await };
    match attempt.await {
        Ok(attempt) => attempt,
        Err(ended) => match ended.try_into_panic() {
            // The thread for tables is gone. Whoever runs us begins anew, with another one.
            Ok(panic) => resume_unwind(panic),
            // Only the end of the runtime ends an attempt from outside.
            Err(_) => std::future::pending().await,
        },
    }
}

/// After a failure nothing that is due is looked at sooner.
const PAUSE: Duration = Duration::from_secs(1);

/// Moves that are told of one table; ten thousand hosts of a project that was renamed need not fill a disk.
const MOVES_MAX: usize = 100;

fn tell_moves(moves: &[Move]) {
    for Move { host, from, to } in moves.iter().take(MOVES_MAX) {
        info!(host = &**host, %from, %to, "a host has moved: its holder is gone");
    }
    if moves.len() > MOVES_MAX {
        info!(more = moves.len() - MOVES_MAX, "more hosts have moved");
    }
}

/// Seconds since the epoch. The clock may be set at any time, and the time that matters is that of containers'
/// creation, so the machine's own clock is asked each time.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Whether it is news.
fn take_note(snapshot: &mut Snapshot, engine: &EngineName, learnt: EngineFacts) -> bool {
    let EngineFacts { drivers, left_out, stranded } = learnt;
    let mut is_news = false;
    if let Some(drivers) = drivers {
        let before = snapshot.drivers.insert(engine.clone(), drivers);
        is_news |= before.as_ref() != snapshot.drivers.get(engine);
    }
    let before = snapshot.left_out.insert(engine.clone(), left_out);
    is_news |= before.unwrap_or_default() != snapshot.left_out[engine];
    let before = snapshot.stranded.insert(engine.clone(), stranded);
    is_news | (before.unwrap_or_default() != snapshot.stranded[engine])
}

async fn look_again(at: Option<Instant>, not_before: Option<Instant>) {
    match at {
        Some(at) => sleep_until(not_before.map_or(at, |earliest| at.max(earliest))).await,
        None => std::future::pending().await,
    }
}

/// An engine says it more and more roughly as time goes by. What it said first stays, or each reading would
/// be a change.
fn keep_when_it_ended(old: &[Container], containers: &mut [Container]) {
    for container in containers.iter_mut().filter(|container| container.ended.is_some()) {
        let Ok(at) = old.binary_search_by(|old| old.id.cmp(&container.id)) else { continue };
        let known = &old[at];
        let is_same = known.state == container.state && known.ended.map(|e| e.code) == container.ended.map(|e| e.code);
        // One that restarts again and again ends again and again, and nobody asks when.
        if is_same {
            container.ended = known.ended;
        }
    }
}

/// Everything that was told so far.
struct Engines {
    /// Shared with the table that is being made, if any: what changes meanwhile is changed in a copy.
    snapshot: Arc<Snapshot>,
    departed: RecentlyGone,
    engines: Vec<EngineState>,
    /// Hosts to be given up with the next table.
    released: BTreeSet<HostCondition>,
    /// Up to which publication.
    releases: u64,
    /// Why the next table is made: one for each event that it answers.
    causes: Vec<(usize, EventTiming)>,
    /// Given back once the next table is in force, when nobody waits.
    replaced: Vec<Container>,
}

struct EngineState {
    status: EngineStatus,
    /// Read or failed at least once.
    heard_of: bool,
    /// The last thing heard is that it cannot be read.
    is_failing: bool,
    reactions: LatencyRecorder,
}

impl Engines {
    fn new(engines: &[Engine]) -> Self {
        let standing = |engine: &Engine| EngineState {
            status: EngineStatus::unknown(&engine.name.0, &engine.url),
            heard_of: false,
            is_failing: false,
            reactions: LatencyRecorder::default(),
        };
        Self {
            snapshot: Arc::default(),
            released: BTreeSet::new(),
            releases: 0,
            departed: RecentlyGone::default(),
            engines: engines.iter().map(standing).collect(),
            causes: Vec::new(),
            replaced: Vec::new(),
        }
    }

    fn snapshot(&mut self) -> &mut Snapshot {
        Arc::make_mut(&mut self.snapshot)
    }

    /// Begins to make a table of what is known now.
    fn attempt(
        &mut self,
        settings: Arc<Published<Settings>>,
        running: HashSet<Box<str>>,
        compile: &Compile,
        thread: &CompileThread,
    ) -> JoinHandle<Compilation> {
        let (begun, now) = (Instant::now(), now());
        let (gone, unread, released) = (self.departed.gone(begun), self.unread(), std::mem::take(&mut self.released));
        let snapshot = self.snapshot();
        (snapshot.gone, snapshot.unread, snapshot.now) = (gone, unread, now);
        snapshot.released.clone_from(&released);
        let causes = std::mem::take(&mut self.causes);
        let mut attempt =
            Compilation { begun, now, settings, released, releases: self.releases, running, causes, compiled: None };
        let (compile, snapshot) = (Arc::clone(compile), Arc::clone(&self.snapshot));
        thread.run(move || {
            // A bug of ours that some label brought out must not end the watch over all others.
            let compiled = catch_unwind(AssertUnwindSafe(|| compile(&snapshot, &attempt.settings)));
            attempt.compiled = compiled.ok();
            // Before anybody knows: nothing has to be copied then.
            drop(snapshot);
            attempt
        })
    }

    /// What an attempt that failed would have brought about is for the next one.
    fn take_back(&mut self, attempt: Compilation) {
        self.released.extend(attempt.released);
        self.causes.splice(..0, attempt.causes);
    }

    /// Takes note; whether a new table may come of it.
    fn apply(&mut self, Report { engine, news }: Report) -> bool {
        let standing = &mut self.engines[engine];
        let first = !std::mem::replace(&mut standing.heard_of, true);
        match news {
            EngineChange::Failed { trouble } => {
                standing.status.failures += 1;
                standing.status.trouble = Some(trouble);
                standing.is_failing = true;
                first
            }
            EngineChange::Read { extent, mut containers, own, learnt, own_mounts, version, trouble, cause } => {
                let status = &mut standing.status;
                // What was not concluded while it could not be read is to be concluded now.
                let unread = status.reads == 0 || std::mem::take(&mut standing.is_failing);
                status.reads += 1;
                status.version = Some(version);
                status.trouble = trouble;
                status.own_mounts = own_mounts;
                let name = status.name.clone();
                let is_read = |old: &mut Container| {
                    old.engine == name
                        && match &extent {
                            ReadScope::All => true,
                            ReadScope::Only(ids) => ids.contains(&old.id),
                        }
                };
                let snapshot = Arc::make_mut(&mut self.snapshot);
                let mut old: Vec<Container> = snapshot.containers.extract_if(.., is_read).collect();
                old.sort_by(|one, other| one.id.cmp(&other.id));
                // Their order says nothing, and is another one where some were read alone.
                containers.sort_by(|one, other| one.id.cmp(&other.id));
                keep_when_it_ended(&old, &mut containers);
                status.containers = status.containers.saturating_sub(old.len()) + containers.len();
                let own = own.map(|own| {
                    let (own, seen) = *own;
                    status.seen = seen;
                    own
                });
                let moved = own.as_ref().is_some_and(|own| snapshot.own.get(&name) != Some(own));
                let learnt = take_note(snapshot, &name, learnt);
                let changed = first || unread || old != containers || moved || learnt;
                self.departed.compare(Instant::now(), &old, &containers);
                snapshot.containers.extend(containers);
                if let Some(own) = own {
                    snapshot.own.insert(name, own);
                }
                if changed {
                    self.causes.extend(cause.map(|cause| (engine, cause)));
                    self.replaced.extend(old);
                }
                changed
            }
            EngineChange::Lingering { ids } => {
                Arc::make_mut(&mut self.snapshot).lingering.insert(standing.status.name.clone(), ids);
                true
            }
            EngineChange::Leaving { ids, leaving, cause } => {
                let name = &standing.status.name;
                let mut changed = false;
                let snapshot = Arc::make_mut(&mut self.snapshot);
                for container in snapshot.containers.iter_mut().filter(|container| container.engine == *name) {
                    let concerned = container.state == ContainerState::Running && ids.contains(&container.id);
                    if concerned && container.leaving != leaving {
                        container.leaving = leaving;
                        changed = true;
                    }
                }
                if changed {
                    self.causes.extend(cause.map(|cause| (engine, cause)));
                }
                changed
            }
        }
    }

    /// Not before every engine was read or has failed; and as long as none could be read, a table without
    /// containers would answer "no such route" where "not ready" is the truth.
    fn may_publish(&self, settings: &Settings) -> bool {
        let all_heard_of = self.engines.iter().all(|standing| standing.heard_of);
        let any_read = self.engines.iter().any(|standing| standing.status.reads > 0);
        all_heard_of && (any_read || self.engines.is_empty() || !settings.file_routes.is_empty())
    }

    /// The engines of which nothing is known now.
    fn unread(&self) -> BTreeSet<EngineName> {
        let is_unread = |standing: &&EngineState| standing.status.reads == 0 || standing.is_failing;
        self.engines.iter().filter(is_unread).map(|standing| standing.status.name.clone()).collect()
    }

    fn in_force(&mut self, now: Instant, causes: Vec<(usize, EventTiming)>) {
        for (engine, EventTiming { heard, engine: share }) in causes {
            let whole = now.saturating_duration_since(heard);
            self.engines[engine].reactions.add(whole, share);
            let ours: Duration = whole.saturating_sub(share);
            debug!(?whole, ?ours, "from the event to the table");
        }
    }

    /// Of the containers that something is said about, those that run.
    fn running(&self, announced: &DiagnosticLog) -> HashSet<Box<str>> {
        let named = announced.containers();
        let is_told = |container: &&Container| named.contains(&*container.name);
        let told = self.snapshot.containers.iter().filter(is_told);
        told.filter(|one| one.state == ContainerState::Running).map(|one| one.name.clone()).collect()
    }

    fn statuses(&self) -> Vec<EngineStatus> {
        let status =
            |standing: &EngineState| EngineStatus { reaction: standing.reactions.summary(), ..standing.status.clone() };
        self.engines.iter().map(status).collect()
    }
}
