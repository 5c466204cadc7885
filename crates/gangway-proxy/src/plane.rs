//! Starts and stops the data plane: sockets, threads, one `HttpProxy` each.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use gangway_model::Compiled;
use gangway_model::route::EndpointKey;
use gangway_publish::{Generation, Reader, seat};
use gangway_tls::{ServerConfigs, Store};
use pingora::apps::{HttpServerApp, HttpServerOptions};
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::active::{Activator, ActiveTable, DOUBTS_MAX};
use crate::app::App;
use crate::arrivals::Arrivals;
use crate::connections::Connections;
use crate::endpoint::EndpointState;
use crate::front_door::FrontDoor;
use crate::listen::{Listener, Listening, Reception, accept, bind};
use crate::metrics::Metrics;
use crate::phase::{Phase, Phases, reached};
use crate::settings::{AccessLogTarget, ProxySettings, Threading};
use crate::telling::FailureLog;
use crate::unclaimed::{Unclaimed, UnclaimedLog};
use crate::waiting::Waiters;
use crate::whereabouts::Whereabouts;

/// The running data plane. Dropping it does not stop it; [`DataPlane::shutdown`] does.
pub struct DataPlane {
    threads: Vec<JoinHandle<()>>,
    phase: watch::Sender<Phase>,
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
    listening: Listening,
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

/// What every thread is given.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<ProxySettings>,
    pub(crate) tables: Reader<ActiveTable>,
    pub(crate) store: Reader<Store>,
    /// One for all threads: each has session tickets of its own, and a client that returns may be
    /// accepted by another thread.
    pub(crate) tls: Arc<ServerConfigs>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) access_log: AccessLog,
    pub(crate) listening: Listening,
    pub(crate) shutting_down: Arc<AtomicBool>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) whereabouts: Reader<Whereabouts>,
    /// The first gateway that spoke for a client.
    pub(crate) gateway_seen: Arc<OnceLock<IpAddr>>,
    /// Endpoints that a request could not be brought to.
    pub(crate) doubts: mpsc::Sender<EndpointKey>,
    /// What the table was made of, for what a local client is told.
    pub(crate) compiled: Reader<Compiled>,
    /// A request failed.
    pub(crate) failures: Arc<Notify>,
    /// Hosts that are asked for by https and not claimed.
    pub(crate) unclaimed: Arc<Unclaimed>,
}

/// At the end, for the first requests of clients that have just connected; of the time that is left in all.
const ARRIVING_TIME: Duration = Duration::from_secs(2);

/// How long a client waits for the first table: longer than a start takes where an engine answers, and not
/// so long that anybody believes us dead where none does.
const START_WAIT: Duration = Duration::from_secs(3);

impl Shared {
    /// Waits until a table is in force, or it is no use to wait for it.
    pub(crate) async fn first_table(&self) {
        if self.tables.generation() != Generation::INITIAL {
            return;
        }
        let comes = async {
            tokio::select! {
                _ = self.tables.first() => {}
                () = self.trouble() => {}
            }
        };
        let _ = tokio::time::timeout(START_WAIT, comes).await;
    }

    /// Waits until it is known that none will come soon.
    async fn trouble(&self) {
        let mut whereabouts = self.whereabouts.clone();
        while whereabouts.load().trouble.is_none() {
            if whereabouts.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Binds every listener and serves what `compiled` and `store` publish, until told to stop.
///
/// Connections are taken from [`DataPlane::open`] on, and routed once the [`BackgroundTasks`] run.
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
    let unclaimed = Arc::new(Unclaimed::default());
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
    let (phase, phases) = watch::channel(Phase::Opening);
    let (goaway, going) = watch::channel(false);
    let (acceptors, taking, connections) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());
    let (arrivals, handshake_time) = (Arc::new(Arrivals::new()), settings.limits.handshake_time);
    let exempt = (settings.trusted_proxies.clone(), whereabouts.clone());
    let bounds = Arc::new(Connections::new(&settings.limits, exempt, Arc::clone(&metrics)));
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
        let floor = Floor {
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

/// What a thread stands on.
struct Floor {
    shared: Shared,
    bounds: Arc<Connections>,
    arrivals: Arc<Arrivals>,
    acceptors: TaskTracker,
    taking: TaskTracker,
    connections: TaskTracker,
    phases: Phases,
    goaway: watch::Receiver<bool>,
}

/// One thread with its own runtime, listeners and upstream connections.
fn run(workers: usize, listeners: Vec<Listener>, floor: Floor) {
    let Floor { shared, bounds, arrivals, acceptors, taking, connections, phases, goaway } = floor;
    let runtime = if workers == 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "failed to start a runtime of the data plane"),
    };
    runtime.block_on(async move {
        let proxy = Arc::new(http(&shared));
        let shutting_down = Arc::clone(&shared.shutting_down);
        let front_door = Arc::new(FrontDoor::new(shared, Arc::clone(&proxy), goaway, phases.clone()));
        for listener in listeners {
            let reception = Reception {
                front_door: Arc::clone(&front_door),
                bounds: Arc::clone(&bounds),
                arrivals: Arc::clone(&arrivals),
                taking: taking.clone(),
                tracker: connections.clone(),
                phases: phases.clone(),
            };
            acceptors.spawn(accept(listener, reception));
        }
        tokio::spawn(tick());
        send_over_when_handed_over(&shutting_down, phases.clone()).await;
        // Wakes the connections that wait for a next request.
        proxy.http_cleanup().await;
        reached(phases, Phase::Aborting).await;
    });
    // Whatever still runs was given its time.
    runtime.shutdown_background();
}

/// Follows whether clients are to go elsewhere with their next request, until connections are closed.
async fn send_over_when_handed_over(shutting_down: &AtomicBool, mut phases: Phases) {
    loop {
        let now = *phases.borrow_and_update();
        shutting_down.store(now >= Phase::HandedOver, Ordering::Release);
        if now >= Phase::Closing {
            return;
        }
        if phases.changed().await.is_err() {
            // Nobody is left who could tell.
            std::future::pending::<()>().await;
        }
    }
}

/// Keeps a timer in the runtime that is due soon. Each request sets one that is due in an hour; were it
/// the first to be due, the runtime would wake itself through the system, once a request.
async fn tick() {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
    }
}

fn http(shared: &Shared) -> HttpProxy<App> {
    let limits = &shared.settings.limits;
    let conf = Arc::new(server_conf());
    let mut proxy = http_proxy(&conf, App::new(shared.clone()));
    let mut h2 = default_h2_options();
    // The defaults of 64 KiB allow 1.2 MB/s at 50 ms of round trip.
    h2.initial_window_size(limits.h2_stream_window)
        .initial_connection_window_size(limits.h2_connection_window)
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(limits.head_bytes as u32);
    proxy.h2_options = Some(h2);
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(limits.idle);
    proxy.server_options = Some(options);
    proxy
}

fn server_conf() -> ServerConf {
    ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: 1024,
        // Ours to bound: see `App::may_retry` and `App::fail_to_connect`.
        max_retries: 16,
        ca_file: crate::upstream_roots::file(),
        ..ServerConf::default()
    }
}

impl fmt::Debug for DataPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataPlane").field("listening", &self.listening).finish_non_exhaustive()
    }
}

impl DataPlane {
    /// The addresses that are really listened on, ports chosen by the system included.
    pub fn listening(&self) -> &Listening {
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
        self.phase.send_replace(Phase::Serving);
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
        self.phase.send_replace(Phase::Paused);
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
        self.phase.send_replace(Phase::HandedOver);
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
        self.phase.send_replace(Phase::Serving);
    }

    /// Leaves the sockets to a successor for good, and waits until the last of the connections that are here
    /// has ended. When dropped, goes on.
    pub async fn leave(&mut self) {
        self.close_sockets(Phase::Left).await;
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
        let is_succeeded = matches!(*self.phase.borrow(), Phase::HandedOver | Phase::Left);
        let last = if is_succeeded { Phase::Left } else { Phase::Stopped };
        // A connection closed under a first request would lose it.
        let arriving = async {
            self.close_sockets(last).await;
            self.arrivals.settled(ARRIVING_TIME.min(grace)).await;
        };
        let _ = timeout_at(until, arriving).await;
        self.phase.send_replace(Phase::Closing);
        self.goaway.send_replace(true);
        self.connections.close();
        if timeout_at(until, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "connections were still busy when the time was over");
        }
        self.phase.send_replace(Phase::Aborting);
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
    async fn close_sockets(&mut self, phase: Phase) {
        // Before its threads look for the last connections: afterwards nobody would take any.
        self.sockets.clear();
        self.phase.send_replace(phase);
        // Only then may the phase change again: what they do at last depends on this one.
        self.acceptors.close();
        self.acceptors.wait().await;
    }
}

/// Why the data plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be opened.
    #[error("listen on {address}: {}", explain(error))]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A socket that was handed over listens where nobody asked us to.
    #[error(
        "use the socket handed over for {address}: neither --http nor --https names that address; name it there, \
         or take it out of the socket unit"
    )]
    Unasked {
        /// Where it listens.
        address: SocketAddr,
    },
    /// A listener could not be kept for a successor.
    #[error("keep a socket at hand: {0}")]
    Sockets(io::Error),
    /// The access log could not be opened.
    #[error("open the access log{}: {}", named(target), explain_file(error))]
    AccessLog {
        /// What was asked for.
        target: AccessLogTarget,
        /// What the system said.
        error: io::Error,
    },
    /// A thread could not be started.
    #[error("start a thread: {0}")]
    Thread(io::Error),
}

fn named(target: &AccessLogTarget) -> String {
    match target {
        AccessLogTarget::File(path) => format!(" `{}`", path.display()),
        AccessLogTarget::Off | AccessLogTarget::Stdout => String::new(),
    }
}

fn explain_file(error: &io::Error) -> String {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "make its folder first; in a container, mount one there",
        io::ErrorKind::PermissionDenied => "let the user that Gangway runs as write there, or name another file",
        io::ErrorKind::ReadOnlyFilesystem => "mount its folder without `:ro`",
        io::ErrorKind::IsADirectory => "name a file in it, such as `access.log`",
        _ => return error.to_string(),
    };
    format!("{error}\n  help: {help}")
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there already; stop it (`ss -ltnp` names it) or choose another address".into()
        }
        io::ErrorKind::PermissionDenied => {
            "not allowed to use a port below 1024; grant CAP_NET_BIND_SERVICE, set the sysctl \
             net.ipv4.ip_unprivileged_port_start=0, or choose a higher port"
                .into()
        }
        _ => error.to_string(),
    }
}
