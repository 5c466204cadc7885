//! Follows Docker engines and publishes what their containers' labels compile to.
//!
//! Events are hints that something changed; the table always comes from reading everything. A failed read leaves the
//! last table in force.
//!
//! All requests only read, and there are few kinds of them: `/version`, `/_ping`, `/events`, `/containers/json`, and
//! `/containers/<id>/json` where the listing says too little; `/networks` on the host, and `/info` away from it.
//!
//! One follower per engine (`follow`) sends reports to the one compile loop (`compile_loop`), which publishes
//! tables and statuses.
//!
//! This crate does not know HTTP routing, TLS, or the meaning of a route.

mod address;
mod api_version;
mod backoff;
mod client;
mod compile_loop;
mod compile_thread;
mod connect;
mod debounce;
mod diagnostic_log;
mod engine_error;
mod engine_log;
mod engines;
mod event_counts;
mod events;
mod follow;
mod latency;
mod lenient_json;
mod listing;
mod network_drivers;
mod own_ids;
mod own_location;
mod own_mounts;
mod own_network;
mod read_scope;
mod reading;
mod recently_gone;
mod report;
mod request;
mod shared_networks;
mod status;
mod stopping;
mod unix_signal;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use gangway_model::{Compiled, Compiler, HostCondition, Settings, Snapshot};
use gangway_publish::{Publisher, Reader};
use tokio::sync::mpsc;

pub use address::{AddressError, DockerEnvironment, Engine, LOCAL_SOCKET, engines};
pub use event_counts::{EventAction, EventCounts};
pub use latency::{Latency, LatencySummary, Quantiles};
pub use listing::PublishedPort;
pub use own_mounts::{MountKind, OwnMount};
pub use own_network::{OwnContainer, OwnNetwork};
pub use status::EngineStatus;

use own_ids::OwnIds;

/// The number of reports that may wait for the compile loop. If there are more, the followers wait, and read later.
const REPORTS_MAX: usize = 16;

/// Follows all engines for ever, and recompiles when `settings` change too. Without an engine (`none`), only file routes
/// are compiled.
///
/// Nothing is published before every engine was read once or has failed once: an engine that is down at the start must
/// not keep the containers of others from being served. While no engine can be read, nothing is published either, unless
/// there are file routes.
///
/// The holders of hosts at the start are those in `tables`. Hosts that are published by `released` are taken from their
/// holders, once for each publication.
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
    follow_and_compile(engines, settings, released, tables, statuses, Arc::new(compile)).await
}

async fn follow_and_compile(
    engines: Vec<Engine>,
    settings: Reader<Settings>,
    released: Reader<BTreeSet<HostCondition>>,
    tables: Publisher<Compiled>,
    statuses: Publisher<Vec<EngineStatus>>,
    compile: compile_loop::Compile,
) -> Infallible {
    let (reports_tx, reports_rx) = mpsc::channel(REPORTS_MAX);
    let own_ids = OwnIds::detect();
    let followers: Vec<_> = engines
        .iter()
        .enumerate()
        .map(|(position, engine)| follow::follow(position, engine.clone(), own_ids.clone(), reports_tx.clone()))
        .collect();
    let following = async {
        join_all(followers).await;
        // Without engines there is nothing to follow, but settings may change.
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        never = compile_loop::run(&engines, reports_rx, settings, released, tables, statuses, compile) => never,
        never = following => never,
    }
}

/// The seams that the tests of this crate use. Not part of its API.
#[doc(hidden)]
pub mod testing {
    use std::io;

    use tokio::io::{AsyncRead, AsyncWrite};

    use super::{
        Arc, BTreeSet, Compiled, Engine, EngineStatus, HostCondition, Infallible, Publisher, Reader, Settings,
        Snapshot, follow_and_compile,
    };

    /// An engine at the end of a pipe, which obeys a paused clock as no socket does.
    pub fn engine<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        name: &str,
        connect: impl Fn() -> io::Result<S> + Send + Sync + 'static,
    ) -> Engine {
        Engine::custom(name, connect)
    }

    /// [`watch`](super::watch) with another step from a snapshot to a table, to see what was read.
    pub async fn watch_with(
        engines: Vec<Engine>,
        settings: Reader<Settings>,
        released: Reader<BTreeSet<HostCondition>>,
        tables: Publisher<Compiled>,
        statuses: Publisher<Vec<EngineStatus>>,
        compile: impl Fn(&Snapshot, &Settings) -> Compiled + Send + Sync + 'static,
    ) -> Infallible {
        follow_and_compile(engines, settings, released, tables, statuses, Arc::new(compile)).await
    }
}
