//! A watch over fake engines, with a clock that advances only while all tasks wait.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gangway_model::{Compiled, Container as Read, HostCondition, Readiness, Settings, Snapshot};
use gangway_publish::{Publisher, Reader, channel};
use gangway_testkit::engine::Engine as Fake;
use gangway_watcher::testing::{engine, watch_with};
use gangway_watcher::{Engine, EngineStatus};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// A test that waits longer than this in virtual time is stuck.
const STUCK: Duration = Duration::from_secs(48 * 3600);

/// Seconds of the virtual clock.
pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A running watch and its results.
pub(crate) struct Watched {
    pub(crate) tables: Reader<Compiled>,
    pub(crate) statuses: Reader<Vec<EngineStatus>>,
    pub(crate) settings: Publisher<Settings>,
    pub(crate) released: Publisher<BTreeSet<HostCondition>>,
    snapshots: Arc<Mutex<Vec<Snapshot>>>,
    task: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A fake engine at the end of a pipe.
pub(crate) fn way_to(name: &str, fake: &Fake) -> Engine {
    let fake = fake.clone();
    engine(name, move || fake.connect())
}

/// Watches one engine.
pub(crate) fn watch(fake: &Fake) -> Watched {
    watch_all(vec![way_to("docker", fake)], Settings::default())
}

/// Watches several engines.
pub(crate) fn watch_all(engines: Vec<Engine>, settings: Settings) -> Watched {
    watch_with_compiler(engines, settings, |_, _| Compiled::default())
}

/// Watches one engine and compiles its containers.
pub(crate) fn watch_routes(fake: &Fake) -> Watched {
    watch_with_compiler(vec![way_to("docker", fake)], Settings::default(), gangway_model::compile)
}

/// Watches engines with another compiler.
pub(crate) fn watch_with_compiler(
    engines: Vec<Engine>,
    settings: Settings,
    compile: impl Fn(&Snapshot, &Settings) -> Compiled + Send + Sync + 'static,
) -> Watched {
    let (tables_tx, tables) = channel(Compiled::default());
    let (statuses_tx, statuses) = channel(Vec::new());
    let (settings_tx, settings_rx) = channel(settings);
    let (released_tx, released_rx) = channel(BTreeSet::new());
    let snapshots: Arc<Mutex<Vec<Snapshot>>> = Arc::default();
    let seen = Arc::clone(&snapshots);
    let compile = move |snapshot: &Snapshot, settings: &Settings| {
        seen.lock().unwrap().push(snapshot.clone());
        let bomb = |container: &Read| container.label("test.bomb").is_some();
        assert!(!snapshot.containers.iter().any(bomb), "a label that brings out a bug");
        compile(snapshot, settings)
    };
    let task = tokio::spawn(async move {
        watch_with(engines, settings_rx, released_rx, tables_tx, statuses_tx, compile).await;
    });
    Watched { tables, statuses, settings: settings_tx, released: released_tx, snapshots, task }
}

impl Watched {
    /// The snapshot that the table in force was compiled from.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshots.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// The snapshots of all tables so far.
    pub(crate) fn snapshots(&self) -> Vec<Snapshot> {
        self.snapshots.lock().unwrap().clone()
    }

    /// The readiness of a container's endpoints in the table in force.
    pub(crate) fn readiness(&self, container: &str) -> Vec<&'static str> {
        let tables = self.tables.load();
        let endpoints = tables.table.routes().iter().flat_map(|route| &route.upstream.endpoints);
        let of_it = endpoints.filter(|endpoint| *endpoint.name == *container);
        of_it.map(|endpoint| if endpoint.readiness == Readiness::Ready { "ready" } else { "leaving" }).collect()
    }

    /// The codes of the diagnostics in force.
    pub(crate) fn codes(&self) -> Vec<u16> {
        self.tables.load().diagnostics.iter().map(|diagnostic| diagnostic.code.0).collect()
    }

    /// Names of all running containers in force, sorted.
    pub(crate) fn running(&self) -> Vec<String> {
        use gangway_model::ContainerState;
        let snapshot = self.snapshot();
        let running = snapshot.containers.iter().filter(|container| container.state == ContainerState::Running);
        let mut names: Vec<_> = running.map(|container| container.name.to_string()).collect();
        names.sort();
        names
    }

    /// The ids of the routes in force. Held routes have a mark.
    pub(crate) fn routes(&self) -> Vec<String> {
        let tables = self.tables.load();
        let routes = tables.table.routes().iter();
        routes.map(|route| format!("{}{}", route.id, if route.upstream.held { " held" } else { "" })).collect()
    }

    /// A container in force.
    pub(crate) fn container(&self, name: &str) -> Read {
        let snapshot = self.snapshot();
        let found = snapshot.containers.into_iter().find(|container| *container.name == *name);
        found.unwrap_or_else(|| panic!("no container `{name}` was read"))
    }

    /// Waits until a container is as wanted. Returns how long that took.
    pub(crate) async fn until_container(&self, name: &str, wanted: impl Fn(&Read) -> bool) -> Duration {
        let is_so = |read: &Read| *read.name == *name && wanted(read);
        self.until(|watched| watched.snapshot().containers.iter().any(is_so)).await
    }

    /// The number of tables so far.
    pub(crate) fn published(&self) -> u64 {
        self.tables.generation().count()
    }

    /// The status of the first engine.
    pub(crate) fn status(&self) -> EngineStatus {
        self.statuses.load()[0].clone()
    }

    /// Waits until the tables in force are as wanted. Returns how long that took.
    pub(crate) async fn until(&self, wanted: impl Fn(&Self) -> bool) -> Duration {
        let (begun, mut tables) = (Instant::now(), self.tables.clone());
        let waiting = async {
            while !wanted(self) {
                tables.changed().await.expect("the watch goes on");
            }
        };
        timeout(STUCK, waiting).await.expect("never became so");
        begun.elapsed()
    }

    /// Waits until exactly these containers run. Returns how long that took.
    pub(crate) async fn until_running(&self, names: &[&str]) -> Duration {
        self.until(|watched| watched.published() > 0 && watched.running() == names).await
    }

    /// Waits until the first engine's status is as wanted. Returns how long that took.
    pub(crate) async fn until_status(&self, wanted: impl Fn(&EngineStatus) -> bool) -> Duration {
        let (begun, mut statuses) = (Instant::now(), self.statuses.clone());
        let waiting = async {
            loop {
                let fits = statuses.load().first().is_some_and(&wanted);
                if fits {
                    return;
                }
                statuses.changed().await.expect("the watch goes on");
            }
        };
        timeout(STUCK, waiting).await.expect("never became so");
        begun.elapsed()
    }

    /// Waits until the first engine has a trouble with these words.
    pub(crate) async fn until_trouble(&self, said: &str) -> Duration {
        self.until_status(|status| status.trouble.as_ref().is_some_and(|trouble| trouble.contains(said))).await
    }

    /// Waits until the first engine can be read.
    pub(crate) async fn until_well(&self) -> Duration {
        self.until_status(|status| status.reads > 0 && status.trouble.is_none()).await
    }
}

/// Lets virtual time pass. Tasks that wait for less continue.
pub(crate) async fn pass(time: Duration) {
    let over = timeout(time, std::future::pending::<()>()).await;
    assert!(over.is_err());
}
