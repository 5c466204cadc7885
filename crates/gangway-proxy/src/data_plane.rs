//! Starts and stops the data plane: sockets, threads, one `HttpProxy` each.

use std::fmt;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use gangway_model::Compiled;
use gangway_model::route::EndpointKey;
use gangway_publish::{Reader, seat};
use gangway_tls::{ServerConfigs, Store};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::activation::{Activator, DOUBTS_MAX};
use crate::downstream::arrivals::Arrivals;
use crate::downstream::connection_limits::ConnectionLimits;
use crate::downstream::listener::{Listener, bind};
use crate::lifecycle::Lifecycle;
use crate::listen_addresses::ListenAddresses;
use crate::log::access_log::AccessLog;
use crate::log::failure_log::FailureLog;
use crate::log::unclaimed_hosts::{UnclaimedHosts, UnclaimedLog};
use crate::metrics::Metrics;
use crate::serving_table::ActiveTable;
use crate::settings::{ProxySettings, Threading};
use crate::shared::Shared;
use crate::start_error::StartError;
use crate::upstream::endpoint_state::EndpointState;
use crate::whereabouts::Whereabouts;
use crate::worker::{WorkerParts, run};

/// The running data plane. Dropping it does not stop it; [`DataPlane::shutdown`] does.
pub struct DataPlane {
    threads: Vec<JoinHandle<()>>,
    phase: watch::Sender<Lifecycle>,
    goaway: watch::Sender<bool>,
    /// The listeners' tasks; each ends with its socket.
    acceptors: TaskTracker,
    /// Those of them that take connections now.
    taking: TaskTracker,
    connections: TaskTracker,
    arrivals: Arc<Arrivals>,
    handshake_time: Duration,
    /// What a successor is given.
    sockets: Vec<Arc<TcpListener>>,
    tables: Reader<ActiveTable>,
    listening: ListenAddresses,
    access_log: AccessLog,
    gateway_seen: Arc<OnceLock<IpAddr>>,
}

/// The work beside requests. None of it runs by itself: the caller spawns each task on its own runtime and
/// restarts one that panics.
pub struct BackgroundTasks {
    /// Without it no table comes in force.
    pub activator: Activator,
    /// Logs failed requests.
    pub failure_log: FailureLog,
    /// Logs hosts that are asked for and not claimed.
    pub unclaimed_log: UnclaimedLog,
}

/// At the end, for the first requests of clients that have just connected; of the time that is left in all.
const ARRIVING_TIME: Duration = Duration::from_secs(2);

/// Binds every listener and serves what `compiled` and `store` publish, until told to stop.
///
/// ConnectionLimits are taken from [`DataPlane::open`] on, and routed once the [`BackgroundTasks`] run.
/// Until the first table is published, clients wait for it for a few seconds and are answered 503
/// `not-ready` after that.
pub fn start(
    mut settings: ProxySettings,
    compiled: Reader<Compiled>,
    store: Reader<Store>,
    whereabouts: Reader<Whereabouts>,
    metrics: Metrics,
) -> Result<(DataPlane, BackgroundTasks), StartError> {
    let metrics = Arc::new(metrics);
    let (table_seat, tables) = seat(ActiveTable::default());
    let (doubts_tx, doubts) = mpsc::channel(DOUBTS_MAX);
    let failures = Arc::new(Notify::new());
    let unclaimed = Arc::new(UnclaimedHosts::default());
    let tasks = BackgroundTasks {
        activator: Activator {
            compiled: compiled.clone(),
            tables: table_seat,
            metrics: Arc::clone(&metrics),
            doubts: Arc::new(Mutex::new(doubts)),
            secret: settings.secret.clone(),
        },
        failure_log: FailureLog { tables: tables.clone(), news: Arc::clone(&failures) },
        unclaimed_log: UnclaimedLog(Arc::clone(&unclaimed)),
    };

    let (shards, workers) = match settings.threading {
        Threading::PerCore(cores) => (cores.max(1), 1),
        Threading::Shared(workers) => (1, workers.max(1)),
    };
    // Kept by nobody else, or a socket would go on listening when all is over.
    let passed = std::mem::take(&mut settings.passed);
    let (listeners, listening) = bind(&settings.http, &settings.https, &passed, shards)?;
    let sockets = listeners.iter().flatten().map(Listener::another).collect::<io::Result<_>>();
    let sockets = sockets.map_err(StartError::Sockets)?;
    let access_log =
        AccessLog::start(&settings.access_log, settings.access_log_format, metrics.access_log_dropped.clone())
            .map_err(|error| StartError::AccessLog { target: settings.access_log.clone(), error })?;
    let (phase, phases) = watch::channel(Lifecycle::Opening);
    let (goaway, going) = watch::channel(false);
    let (acceptors, taking, connections) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());
    let (arrivals, handshake_time) = (Arc::new(Arrivals::new()), settings.limits.handshake_time);
    let exempt = (settings.trusted_proxies.clone(), whereabouts.clone());
    let bounds = Arc::new(ConnectionLimits::new(&settings.limits, exempt, Arc::clone(&metrics)));
    let gateway_seen = Arc::default();
    let shared = Shared {
        tls: Arc::new(ServerConfigs::new(store.clone(), settings.default_certificate.clone())),
        settings: Arc::new(settings),
        tables: tables.clone(),
        store,
        metrics,
        access_log: access_log.clone(),
        listening: listening.clone(),
        shutting_down: Arc::new(AtomicBool::new(false)),
        waiters: Arc::default(),
        whereabouts,
        gateway_seen: Arc::clone(&gateway_seen),
        doubts: doubts_tx,
        compiled,
        failures,
        unclaimed,
    };
    let mut threads = Vec::new();
    for (number, listeners) in listeners.into_iter().enumerate() {
        let floor = WorkerParts {
            shared: shared.clone(),
            bounds: Arc::clone(&bounds),
            arrivals: Arc::clone(&arrivals),
            acceptors: acceptors.clone(),
            taking: taking.clone(),
            connections: connections.clone(),
            phases: phases.clone(),
            goaway: going.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("data-{number}"))
            .spawn(move || run(workers, listeners, floor))
            .map_err(StartError::Thread)?;
        threads.push(thread);
    }
    let plane = DataPlane {
        threads,
        phase,
        goaway,
        acceptors,
        taking,
        connections,
        arrivals,
        handshake_time,
        sockets,
        tables,
        listening,
        access_log,
        gateway_seen,
    };
    Ok((plane, tasks))
}

impl fmt::Debug for DataPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataPlane").field("listening", &self.listening).finish_non_exhaustive()
    }
}

impl DataPlane {
    /// The addresses that are really listened on, ports chosen by the system included.
    pub fn listening(&self) -> &ListenAddresses {
        &self.listening
    }

    /// The living state of an endpoint of the table in force.
    pub fn endpoint_state(&self, key: &EndpointKey) -> Option<Arc<EndpointState>> {
        let tables = self.tables.load();
        tables.routes().iter().find_map(|route| {
            let mut endpoints = route.ready.iter().chain(&route.others);
            endpoints.find(|endpoint| endpoint.key == *key).map(|endpoint| Arc::clone(&endpoint.state))
        })
    }

    /// The living states of all endpoints of the table in force.
    pub fn endpoint_states(&self) -> Vec<(EndpointKey, Arc<EndpointState>)> {
        let tables = self.tables.load();
        let endpoints = tables.routes().iter().flat_map(|route| route.ready.iter().chain(&route.others));
        endpoints.map(|endpoint| (endpoint.key.clone(), Arc::clone(&endpoint.state))).collect()
    }

    /// Waits until there is a table that requests are routed by.
    pub fn table_in_force(&self) -> impl Future<Output = ()> + Send + use<> {
        let tables = self.tables.clone();
        async move {
            let _ = tables.first().await;
        }
    }

    /// The table that requests are routed by: what `compiled` published, once prepared.
    pub fn generation(&self) -> u64 {
        self.tables.generation().count()
    }

    /// The address of a gateway with which clients have come, if any did: who they are cannot be told.
    pub fn gateway_seen(&self) -> Option<IpAddr> {
        self.gateway_seen.get().copied()
    }

    /// Opens the access log anew, for a rotation that moved the file away.
    pub fn reopen_access_log(&self) {
        self.access_log.reopen();
    }

    /// Begins to take connections. Until then they wait in the system's queues.
    pub fn open(&self) {
        self.phase.send_replace(Lifecycle::Serving);
    }

    /// The sockets that are listened on, for a successor to listen on as well. Nobody may keep them once the
    /// data plane is shut down.
    pub fn sockets(&self) -> &[Arc<TcpListener>] {
        &self.sockets
    }

    /// Takes no connections for the moment, which is so once the future ends; what is here goes on as ever.
    ///
    /// For a successor that listens at [`DataPlane::sockets`] and says that it takes them: what comes now is
    /// its own, or waits in the system's queues.
    pub fn pause(&self) -> impl Future<Output = ()> + Send + use<> {
        self.phase.send_replace(Lifecycle::Paused);
        self.taking.close();
        let taking = self.taking.clone();
        async move { taking.wait().await }
    }

    /// Leaves new connections to a successor, until they are taken back. The future sends clients over once
    /// those that have just connected had time to ask; where it is dropped, some stay for longer.
    ///
    /// Clients are sent over as they ask next: HTTP/2 clients are told to go away, HTTP/1 clients get
    /// `Connection: close`. Nothing is cut.
    pub fn hand_over(&self) -> impl Future<Output = ()> + Send + use<> {
        self.phase.send_replace(Lifecycle::HandedOver);
        let (arrivals, goaway, most) = (Arc::clone(&self.arrivals), self.goaway.clone(), self.handshake_time);
        async move {
            arrivals.settled(most).await;
            goaway.send_replace(true);
        }
    }

    /// Takes connections again, whatever was handed over. Of no use once the data plane has left.
    pub fn take_back(&self) {
        self.goaway.send_replace(false);
        self.taking.reopen();
        self.phase.send_replace(Lifecycle::Serving);
    }

    /// Leaves the sockets to a successor for good, and waits until the last of the connections that are here
    /// has ended. When dropped, goes on.
    pub async fn leave(&mut self) {
        self.close_sockets(Lifecycle::Left).await;
        self.arrivals.settled(self.handshake_time).await;
        self.goaway.send_replace(true);
        self.connections.close();
        self.connections.wait().await;
    }

    /// Stops accepting, lets requests under way end within `grace`, then ends what is left.
    ///
    /// Idle connections are closed a moment later; HTTP/2 clients are told to go away, HTTP/1 clients get
    /// `Connection: close`. Where a successor has the sockets, what waits there is left to it.
    pub async fn shutdown(mut self, grace: Duration) {
        let until = Instant::now() + grace;
        let is_succeeded = matches!(*self.phase.borrow(), Lifecycle::HandedOver | Lifecycle::Left);
        let last = if is_succeeded { Lifecycle::Left } else { Lifecycle::Stopped };
        // A connection closed under a first request would lose it.
        let arriving = async {
            self.close_sockets(last).await;
            self.arrivals.settled(ARRIVING_TIME.min(grace)).await;
        };
        let _ = timeout_at(until, arriving).await;
        self.phase.send_replace(Lifecycle::Closing);
        self.goaway.send_replace(true);
        self.connections.close();
        if timeout_at(until, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "connections were still busy when the time was over");
        }
        self.phase.send_replace(Lifecycle::Aborting);
        let threads = self.threads;
        let _ = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
        })
        .await;
        self.access_log.flush();
    }

    /// Afterwards nobody takes connections here.
    async fn close_sockets(&mut self, phase: Lifecycle) {
        // Before its threads look for the last connections: afterwards nobody would take any.
        self.sockets.clear();
        self.phase.send_replace(phase);
        // Only then may the phase change again: what they do at last depends on this one.
        self.acceptors.close();
        self.acceptors.wait().await;
    }
}
