//! Compiles a table from what all engines reported, and publishes it.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gangway_diagnostic::KnownDiagnostics;
use gangway_model::{Compiled, HostCondition, Move, Settings, Snapshot};
use gangway_publish::{Published, Publisher, Reader};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info};

use crate::address::Engine;
use crate::compile_thread::CompileThread;
use crate::diagnostic_log;
use crate::engines::{AnsweredEvent, Effect, Engines};
use crate::report::Report;
use crate::status::EngineStatus;

/// After a failed compilation, nothing that is due is looked at earlier than this.
const PAUSE: Duration = Duration::from_secs(1);

/// The number of moved hosts that are logged for one table. Renaming a project with ten thousand hosts must not fill a
/// disk.
const MOVES_LOGGED_MAX: usize = 100;

/// The pure step from a snapshot to a table.
pub(crate) type Compile = Arc<dyn Fn(&Snapshot, &Settings) -> Compiled + Send + Sync>;

/// Compiles a table whenever something changed, for ever.
///
/// One table is compiled at a time, on a thread of its own. However long that takes, reports are received meanwhile, and
/// the next table is compiled from the newest state.
pub(crate) async fn run(
    engines: &[Engine],
    mut reports: mpsc::Receiver<Report>,
    mut settings: Reader<Settings>,
    mut released: Reader<BTreeSet<HostCondition>>,
    tables: Publisher<Compiled>,
    mut statuses: Publisher<Vec<EngineStatus>>,
    compile: Compile,
) -> Infallible {
    let mut compile_loop = CompileLoop::new(engines, tables, compile, released.generation().count());
    let (mut settings_followed, mut released_followed) = (true, true);
    let mut underway: Option<JoinHandle<Compilation>> = None;
    loop {
        if compile_loop.changed && underway.is_none() {
            underway = compile_loop.begin(settings.load_full());
        }
        statuses.publish(compile_loop.engines.statuses());
        tokio::select! {
            biased;
            compilation = finished(&mut underway) => {
                underway = None;
                compile_loop.finish(compilation);
            }
            report = reports.recv() => match report {
                Some(report) => {
                    compile_loop.apply(report);
                    while let Ok(report) = reports.try_recv() {
                        compile_loop.apply(report);
                    }
                }
                // There are no engines, so no report will ever come.
                None => std::future::pending().await,
            },
            outcome = settings.changed(), if settings_followed => {
                settings_followed = outcome.is_ok();
                compile_loop.changed |= settings_followed;
            }
            outcome = released.changed(), if released_followed => {
                released_followed = outcome.is_ok();
                if released_followed {
                    compile_loop.release(&released.load_full());
                }
            }
            // Anything that becomes due while a table is compiled waits until that table is published.
            () = until(compile_loop.next_look()), if underway.is_none() && !compile_loop.changed => {
                compile_loop.changed = true;
            }
        }
    }
}

/// The state between two tables.
struct CompileLoop {
    engines: Engines,
    tables: Publisher<Compiled>,
    compile: Compile,
    thread: CompileThread,
    logged: KnownDiagnostics<Instant>,
    /// Something changed since the last compilation was begun.
    changed: bool,
    /// When the next holder of a host loses it.
    next_release: Option<Instant>,
    /// Nothing that is due is looked at before then.
    not_before: Option<Instant>,
}

/// The input of one compilation, and the table once it is compiled.
struct Compilation {
    begun: Instant,
    /// Seconds since the epoch.
    now: i64,
    settings: Arc<Published<Settings>>,
    released: BTreeSet<HostCondition>,
    /// The generation of the latest publication in `released`.
    releases: u64,
    /// The running ones among the containers that have logged diagnostics.
    running: HashSet<Box<str>>,
    /// The events that the table answers.
    causes: Vec<AnsweredEvent>,
    /// `None` before the table is compiled, and if compiling panicked.
    compiled: Option<Compiled>,
}

impl CompileLoop {
    fn new(engines: &[Engine], tables: Publisher<Compiled>, compile: Compile, releases: u64) -> Self {
        let mut engines = Engines::new(engines);
        engines.snapshot_mut().holdings = tables.reader().load().holdings.clone();
        engines.releases = releases;
        Self {
            engines,
            tables,
            compile,
            thread: CompileThread::start(),
            logged: KnownDiagnostics::default(),
            changed: true,
            next_release: None,
            not_before: None,
        }
    }

    fn apply(&mut self, report: Report) {
        self.changed |= self.engines.apply(report) == Effect::Recompile;
    }

    /// Takes note of hosts that their holders have to give up.
    fn release(&mut self, released: &Published<BTreeSet<HostCondition>>) {
        self.engines.released.extend(released.iter().cloned());
        self.engines.releases = released.generation().count();
        self.changed = true;
    }

    /// Begins to compile a table from the present state. `None` if no table may be published yet.
    fn begin(&mut self, settings: Arc<Published<Settings>>) -> Option<JoinHandle<Compilation>> {
        let of_traefik = settings.traefik.as_ref().is_some_and(|traefik| !traefik.dynamic.is_empty());
        if !self.engines.may_publish(of_traefik || !settings.file_routes.is_empty()) {
            return None;
        }
        self.changed = false;
        let engines = &mut self.engines;
        let running = engines.running(&self.logged.containers());
        let (begun, now) = (Instant::now(), now());
        let (gone, unread) = (engines.recently_gone.gone(begun), engines.unread());
        let (released, releases) = (std::mem::take(&mut engines.released), engines.releases);
        let snapshot = engines.snapshot_mut();
        (snapshot.gone, snapshot.unread, snapshot.now) = (gone, unread, now);
        snapshot.released.clone_from(&released);
        let causes = std::mem::take(&mut engines.causes);
        let mut compilation = Compilation { begun, now, settings, released, releases, running, causes, compiled: None };
        let (compile, snapshot) = (Arc::clone(&self.compile), Arc::clone(&engines.snapshot));
        Some(self.thread.run(move || {
            // A bug that some label triggers must not end the watch over all other containers.
            let compiled = catch_unwind(AssertUnwindSafe(|| compile(&snapshot, &compilation.settings)));
            compilation.compiled = compiled.ok();
            // Before the compilation is returned, so that the next change does not have to copy the snapshot.
            drop(snapshot);
            compilation
        }))
    }

    fn finish(&mut self, mut compilation: Compilation) {
        match compilation.compiled.take() {
            Some(compiled) => self.publish(compiled, compilation),
            None => self.put_back(compilation),
        }
    }

    fn publish(&mut self, mut compiled: Compiled, compilation: Compilation) {
        let Compilation { begun, now, settings, releases, running, causes, .. } = compilation;
        let compiling = begun.elapsed();
        (compiled.releases, compiled.compiling) = (releases, compiling);
        let (diagnostics, moves) = (compiled.diagnostics.clone(), compiled.moves.clone());
        self.engines.recently_gone.keep(begun, &compiled.holds);
        let next_end = compiled.holdings.next_end(now, settings.keep_hosts);
        self.next_release = next_end.map(|end| begun + end);
        self.engines.snapshot_mut().holdings = compiled.holdings.clone();
        let replaced = (self.tables.reader().load_full(), std::mem::take(&mut self.engines.replaced));
        let generation = self.tables.publish(compiled).count();
        self.engines.record_latency(Instant::now(), causes);
        // Freeing ten thousand routes takes longer than publishing ten thousand.
        self.thread.drop_later(replaced);
        let containers = self.engines.snapshot.containers.len();
        debug!(generation, containers, ?compiling, "published a new table");
        log_moves(&moves);
        let changes = self.logged.changes(Instant::now(), diagnostics.iter(), |name| running.contains(name));
        diagnostic_log::log(&changes);
    }

    /// Leaves what a failed compilation would have brought about to the next one.
    fn put_back(&mut self, compilation: Compilation) {
        // Otherwise, what is due would be due again at once.
        self.engines.recently_gone.keep(compilation.begun, &[]);
        self.next_release = None;
        self.not_before = Some(Instant::now() + PAUSE);
        self.engines.replaced = Vec::new();
        self.engines.released.extend(compilation.released);
        self.engines.causes.splice(..0, compilation.causes);
        error!("compiling failed; the last table stays in force");
    }

    /// When a new table is needed although nothing changes.
    fn next_look(&self) -> Option<Instant> {
        let due = [self.logged.next_look(), self.engines.recently_gone.next_end(), self.next_release];
        let due = due.into_iter().flatten().min()?;
        Some(self.not_before.map_or(due, |earliest| due.max(earliest)))
    }
}

/// Waits for the compilation that is under way, and for ever if there is none. Cancel-safe.
async fn finished(underway: &mut Option<JoinHandle<Compilation>>) -> Compilation {
    let Some(compilation) = underway else { return std::future::pending().await };
    match compilation.await {
        Ok(compilation) => compilation,
        Err(ended) => match ended.try_into_panic() {
            // The compile thread is gone. The supervisor of this task starts it again with another thread.
            Ok(panic) => resume_unwind(panic),
            // Only the end of the runtime cancels a compilation.
            Err(_) => std::future::pending().await,
        },
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Seconds since the epoch.
///
/// The creation times of containers are compared with it, and the clock may be set at any time, so it is read each time.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn log_moves(moves: &[Move]) {
    for Move { host, from, to } in moves.iter().take(MOVES_LOGGED_MAX) {
        info!(host = &**host, %from, %to, "a host has moved: its holder is gone");
    }
    if moves.len() > MOVES_LOGGED_MAX {
        info!(more = moves.len() - MOVES_LOGGED_MAX, "more hosts have moved");
    }
}
