//! Follows Docker engines and publishes what their containers' labels compile to.
//!
//! Events are hints that something changed; what is in force always comes from reading everything.
//! A failed read leaves the last table in force.
//!
//! Every call is a read, and there are few: `/version`, `/_ping`, `/events`, `/containers/json`, and
//! `/containers/<id>/json` where the listing says too little; `/networks` on the host, and `/info` away from it.
//!
//! It knows nothing of HTTP, TLS, or what a route means.

mod address;
mod api_version;
mod backoff;
mod client;
mod compile_loop;
mod compile_thread;
mod connect;
mod debounce;
mod diagnostic_log;
mod engine_log;
mod events;
mod follow;
mod latency;
mod lenient_json;
mod listing;
mod network_drivers;
mod own_location;
mod own_mounts;
mod own_network;
mod reading;
mod recently_gone;
mod request;
mod shared_networks;
mod stopping;
mod unix_signal;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use gangway_model::matcher::HostCondition;
use gangway_model::snapshot::EngineName;
use gangway_model::{Compiled, Compiler, Settings, Snapshot};
use gangway_publish::{Publisher, Reader};
use tokio::sync::mpsc;

pub use address::{AddressError, DockerEnvironment, Engine, LOCAL_SOCKET, engines};
pub use connect::{Connection, EngineStream};
pub use latency::{Latency, Quantiles};
pub use own_mounts::{MountKind, OwnMount};
pub use own_network::{OwnContainer, OwnNetwork, PublishedPort};

use own_location::OwnIds;

/// Reports on their way from the engines to the compiler; who finds it full waits, and reads later.
const REPORTS_MAX: usize = 16;

/// How one engine is doing, for `status` and the API.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineStatus {
    /// Its name.
    pub name: EngineName,
    /// The address as given.
    pub url: Box<str>,
    /// The engine's own version and the API version in use, once known.
    pub version: Option<String>,
    /// Why it cannot be read now, in words that read well after "failed to"; none while all is well.
    pub trouble: Option<String>,
    /// Containers in the last good read.
    pub containers: usize,
    /// Reads so far.
    pub reads: u64,
    /// Reads that failed so far.
    pub failures: u64,
    /// What is mounted into our own container, where this engine runs it.
    pub own_mounts: Option<Vec<OwnMount>>,
    /// How long its events took to become a table.
    pub reaction: Latency,
    /// Where it sees us.
    pub seen: OwnNetwork,
}

impl EngineStatus {
    /// Before it was read.
    pub fn unknown(name: &str, url: &str) -> Self {
        Self {
            name: EngineName(name.into()),
            url: url.into(),
            version: None,
            trouble: None,
            containers: 0,
            reads: 0,
            failures: 0,
            own_mounts: None,
            reaction: Latency::default(),
            seen: OwnNetwork::default(),
        }
    }
}

/// Follows all engines for ever, and recompiles when `settings` change too. With no engine (`none`)
/// only file routes are compiled.
///
/// Nothing is published before every engine was read once, or has failed once: an engine that is down
/// at the start must not keep the others' containers off the web. While none at all could be read, nothing
/// is published either, unless there are file routes.
///
/// Who holds which host at the start is what `tables` holds already. Hosts that are published by `released` are
/// given up by their holders, once for each publication.
///
/// Diagnostics are logged here, each once.
pub async fn watch(
    engines: Vec<Engine>,
    settings: Reader<Settings>,
    released: Reader<BTreeSet<HostCondition>>,
    tables: Publisher<Compiled>,
    statuses: Publisher<Vec<EngineStatus>>,
) -> Infallible {
    let compiler = Mutex::new(Compiler::default());
    let compile = move |snapshot: &Snapshot, settings: &Settings| {
        compiler.lock().unwrap_or_else(PoisonError::into_inner).compile(snapshot, settings)
    };
    watch_with(engines, settings, released, tables, statuses, compile).await
}

/// The same with another step from a snapshot to a table; for tests that ask what was read.
pub async fn watch_with(
    engines: Vec<Engine>,
    settings: Reader<Settings>,
    released: Reader<BTreeSet<HostCondition>>,
    tables: Publisher<Compiled>,
    statuses: Publisher<Vec<EngineStatus>>,
    compile: impl Fn(&Snapshot, &Settings) -> Compiled + Send + Sync + 'static,
) -> Infallible {
    let (reports_tx, reports_rx) = mpsc::channel(REPORTS_MAX);
    let traces = OwnIds::look();
    let followers: Vec<_> = engines
        .iter()
        .enumerate()
        .map(|(position, engine)| follow::follow(position, engine.clone(), traces.clone(), reports_tx.clone()))
        .collect();
    let following = async {
        join_all(followers).await;
        // Without engines there is nothing to follow, and still settings that may change.
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        never = compile_loop::merge(&engines, reports_rx, settings, released, tables, statuses, Arc::new(compile)) => never,
        never = following => never,
    }
}
