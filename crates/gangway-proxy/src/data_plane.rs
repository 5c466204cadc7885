//! Starts and stops the data plane: sockets, worker threads, background tasks.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use gangway_crowdsec::{Appsec, Bouncer};
use gangway_model::{Compiled, EndpointKey};
use gangway_otlp::Tracer;
use gangway_publish::{Published, Reader, seat};
use gangway_tls::{CertificateResolver, ServerConfigs};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::access::appsec::AppsecService;
use crate::access::gate::AccessControl;
use crate::access::{GeoDatabases, LoginSources};
use crate::activation::Activator;
use crate::app_files::AppFiles;
use crate::app_hints::AppHints;
use crate::downstream::arrivals::Arrivals;
use crate::downstream::connection_limits::ConnectionLimits;
use crate::downstream::deferred_accept;
use crate::downstream::listener::Listener;
use crate::downstream::listener_manager::ListenerManager;
use crate::lifecycle::Lifecycle;
use crate::limits::Limits;
use crate::listen_addresses::ListenAddresses;
use crate::log::access_log::AccessLog;
use crate::log::failure_log::FailureLog;
use crate::log::unclaimed_hosts::{UnclaimedCounts, UnclaimedLog};
use crate::metrics::Metrics;
use crate::overload::Overload;
use crate::overload::manager::OverloadManager;
use crate::pages::library::PageLibrary;
use crate::reply::internal::InternalServices;
use crate::serving_table::ActiveTable;
use crate::settings::{ProxySettings, Threading};
use crate::shared::{PAGE_QUESTIONS_MAX, Shared};
use crate::start_error::StartError;
use crate::upstream::connector::ConnectorSettings;
use crate::upstream::endpoint_state::EndpointState;
use crate::upstream::endpoint_tls::EndpointTlsSet;
use crate::upstream::suspects::Suspects;
use crate::upstream::tls::UpstreamTls;
use crate::whereabouts::Whereabouts;
use crate::worker::{WorkerParts, run};

/// The running data plane. Dropping it does not stop it; [`DataPlane::shutdown`] does.
pub struct DataPlane {
    threads: Vec<JoinHandle<()>>,
    phase: watch::Sender<Lifecycle>,
    goaway: watch::Sender<bool>,
    /// One task for each listener; it ends together with its socket.
    acceptors: TaskTracker,
    /// The listeners that take connections now.
    taking: TaskTracker,
    connections: TaskTracker,
    arrivals: Arc<Arrivals>,
    handshake_time: Duration,
    limits: Limits,
    listeners: ListenerManager,
    tables: Reader<ActiveTable>,
    in_force: Reader<Compiled>,
    access_log: AccessLog,
    gateway_seen: Arc<OnceLock<IpAddr>>,
}

/// The published values that the data plane reads.
pub struct Sources {
    /// The table to serve.
    pub compiled: Reader<Compiled>,
    /// The certificates to show.
    pub certificates: CertificateResolver,
    /// The place of this process in the network.
    pub whereabouts: Reader<Whereabouts>,
    /// What log-ins go by.
    pub logins: LoginSources,
    /// Where addresses are.
    pub geography: Reader<GeoDatabases>,
    /// Who is banned; none where no engine tells.
    pub bouncer: Option<Bouncer>,
    /// The web application firewall that is asked about requests, and its URL; none where there is none.
    pub appsec: Option<(Appsec, Box<str>)>,
    /// The tracer that takes the spans of requests, if there is a collector.
    pub tracer: Option<Tracer>,
    /// What the PEM gives that users name for endpoints.
    pub endpoint_tls: Reader<EndpointTlsSet>,
    /// The pages for errors.
    pub pages: Reader<PageLibrary>,
    /// What services of Gangway itself say.
    pub internal: Arc<dyn InternalServices>,
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
    /// Keeps the process within its memory.
    pub overload_manager: OverloadManager,
    /// What applications refuse because of settings of their own, for the caller to tell.
    pub app_hints: AppHints,
    /// Reads what applications give to browsers, for the caller to show.
    pub app_files: AppFiles,
}

/// At shutdown, the time for the first requests of clients that have just connected; a part of the whole grace.
const ARRIVING_TIME: Duration = Duration::from_secs(2);

/// Binds every listener and serves the tables and certificates of the sources, until [`DataPlane::shutdown`].
///
/// Connections are accepted from [`DataPlane::open`] on, and routed once the [`BackgroundTasks`] run.
/// Until the first table is published, a request waits for it for a few seconds and is then answered with 503
/// `not-ready`.
pub fn start(
    mut settings: ProxySettings,
    sources: Sources,
    metrics: Metrics,
) -> Result<(DataPlane, BackgroundTasks), StartError> {
    let Sources {
        compiled,
        certificates,
        whereabouts,
        logins,
        geography,
        bouncer,
        appsec,
        tracer,
        endpoint_tls,
        pages,
        internal,
    } = sources;
    let appsec = appsec.and_then(|(appsec, url)| AppsecService::new(appsec, &url, settings.limits.appsec_answer));
    let metrics = Arc::new(metrics);
    let (shards, runtime_threads) = match settings.threading {
        Threading::PerCore(cores) => (cores.max(1), 1),
        Threading::Shared(threads) => (1, threads.max(1)),
    };
    let addresses = settings.listeners.iter().map(|listener| listener.addresses.len()).sum();
    settings.limits.leave_room_for_listeners(addresses, shards);
    let (table_seat, tables) = seat(ActiveTable::default());
    let (in_force_seat, in_force) = seat(Compiled::default());
    let suspects = Arc::<Suspects>::default();
    let limits = settings.limits.clone();
    let overload = Overload::new(&limits);
    let connector = ConnectorSettings::new(&settings.limits, overload.open.clone());
    let connector = connector.with(UpstreamTls::new(endpoint_tls), shards);
    let failures = Arc::new(Notify::new());
    let unclaimed = Arc::new(UnclaimedCounts::default());
    let refused = Arc::<Notify>::default();
    let activator = Activator {
        compiled,
        tables: table_seat,
        in_force: in_force_seat,
        metrics: Arc::clone(&metrics),
        suspects: Arc::clone(&suspects),
        opener: connector.opener.clone(),
        secret: settings.secret.clone(),
        caches: overload.caches.clone(),
    };
    let app_files = AppFiles { tables: tables.clone(), opener: connector.opener.clone() };
    let failure_log = FailureLog { tables: tables.clone(), news: Arc::clone(&failures) };
    let unclaimed_log = UnclaimedLog(Arc::clone(&unclaimed));

    let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::unbounded_channel()).unzip();
    // No other copy may remain: it would go on listening after the data plane has ended.
    let passed = std::mem::take(&mut settings.passed);
    let (phase, phases) = watch::channel(Lifecycle::Opening);
    let context = (settings.trusted_proxies.clone(), Arc::clone(&metrics), tables.clone(), phases.clone());
    let listeners = ListenerManager::start(senders, &settings.listeners, &passed, context)?;
    drop(passed);
    let access_log = access_log(&settings, &metrics)?;
    let (goaway, going) = watch::channel(false);
    let (acceptors, taking, connections) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());
    let (arrivals, handshake_time) = (Arc::new(Arrivals::new()), settings.limits.handshake_time);
    let bounds = Arc::new(ConnectionLimits::new(&settings.limits, whereabouts.clone(), Arc::clone(&metrics)));
    let tasks = BackgroundTasks {
        activator,
        failure_log,
        unclaimed_log,
        overload_manager: OverloadManager::new(
            overload.memory.clone(),
            Arc::clone(&overload.idle),
            Arc::clone(&bounds),
            overload.freed.clone(),
            overload.caches.clone(),
            Arc::clone(&metrics),
        ),
        app_hints: AppHints { tables: tables.clone(), news: Arc::clone(&refused) },
        app_files,
    };
    let gateway_seen = Arc::default();
    let shared = Shared {
        tls: Arc::new(ServerConfigs::new(certificates.clone(), settings.default_certificate.clone())),
        connector,
        settings: Arc::new(settings),
        tables: tables.clone(),
        certificates,
        overload: overload.clone(),
        access: Arc::new(AccessControl::new(logins, appsec)),
        geography,
        bouncer,
        pages,
        internal,
        page_questions: Arc::new(Semaphore::new(PAGE_QUESTIONS_MAX)),
        metrics,
        access_log: access_log.clone(),
        listening: listeners.listening(),
        shutting_down: Arc::new(AtomicBool::new(false)),
        waiters: Arc::default(),
        whereabouts,
        gateway_seen: Arc::clone(&gateway_seen),
        suspects,
        compiled: in_force.clone(),
        failures,
        refused,
        tracer,
        unclaimed,
    };
    let parts = WorkerParts {
        shared,
        bounds,
        arrivals: Arc::clone(&arrivals),
        acceptors: acceptors.clone(),
        taking: taking.clone(),
        connections: connections.clone(),
        phases,
        goaway: going,
    };
    let threads = spawn_workers(runtime_threads, receivers, &parts)?;
    let plane = DataPlane {
        threads,
        phase,
        goaway,
        acceptors,
        taking,
        connections,
        arrivals,
        handshake_time,
        limits,
        listeners,
        tables,
        in_force,
        access_log,
        gateway_seen,
    };
    Ok((plane, tasks))
}

fn access_log(settings: &ProxySettings, metrics: &Metrics) -> Result<AccessLog, StartError> {
    let (target, dropped) = (&settings.access_log, metrics.access_log_dropped.clone());
    AccessLog::start(target, settings.access_log_format, dropped)
        .map(|log| log.in_traefiks_form(settings.traefik_log.clone()))
        .map_err(|error| StartError::AccessLog { target: target.clone(), error })
}

/// Starts one thread for each way on which listeners come.
fn spawn_workers(
    runtime_threads: usize,
    listeners: Vec<mpsc::UnboundedReceiver<Listener>>,
    parts: &WorkerParts,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let spawn = |(number, listeners)| {
        let parts = parts.clone();
        let thread = std::thread::Builder::new().name(format!("data-{number}"));
        thread.spawn(move || run(runtime_threads, listeners, parts)).map_err(StartError::Thread)
    };
    listeners.into_iter().enumerate().map(spawn).collect()
}

impl fmt::Debug for DataPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataPlane").field("listening", &self.listening()).finish_non_exhaustive()
    }
}

impl DataPlane {
    /// The addresses that are listened on now. Ports that the system chose are filled in.
    pub fn listening(&self) -> Arc<Published<ListenAddresses>> {
        self.listeners.listening().load_full()
    }

    /// Opens and closes listeners while requests go on.
    pub fn listeners(&self) -> &ListenerManager {
        &self.listeners
    }

    /// The bounds in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The state of an endpoint of the table in force.
    pub fn endpoint_state(&self, key: &EndpointKey) -> Option<Arc<EndpointState>> {
        let tables = self.tables.load();
        tables.routes().iter().find_map(|route| {
            let mut endpoints = route.ready.iter().chain(&route.others);
            endpoints.find(|endpoint| endpoint.key == *key).map(|endpoint| Arc::clone(&endpoint.state))
        })
    }

    /// The states of all endpoints of the table in force.
    pub fn endpoint_states(&self) -> Vec<(EndpointKey, Arc<EndpointState>)> {
        let tables = self.tables.load();
        let endpoints = tables.routes().iter().flat_map(|route| route.ready.iter().chain(&route.others));
        endpoints.map(|endpoint| (endpoint.key.clone(), Arc::clone(&endpoint.state))).collect()
    }

    /// Waits until the first table is in force.
    pub fn table_in_force(&self) -> impl Future<Output = ()> + Send + use<> {
        let in_force = self.in_force.clone();
        async move {
            let _ = in_force.first().await;
        }
    }

    /// The generation of the table in force, as it was compiled.
    pub fn generation(&self) -> u64 {
        self.in_force.generation().count()
    }

    /// The compiled table by which requests are routed now, under the generation that it was compiled as. It changes after the
    /// change is in force, so a request that follows meets the change.
    pub fn compiled_in_force(&self) -> Reader<Compiled> {
        self.in_force.clone()
    }

    /// The address of a gateway that clients came through, if any did. It hides the clients' own addresses.
    pub fn gateway_seen(&self) -> Option<IpAddr> {
        self.gateway_seen.get().copied()
    }

    /// Opens the access log anew, after a rotation has moved the file away.
    pub fn reopen_access_log(&self) {
        self.access_log.reopen();
    }

    /// Begins to accept connections. Until then they wait in the system's queues.
    pub fn open(&self) {
        self.phase.send_replace(Lifecycle::Serving);
    }

    /// Stops accepting connections for now. No listener accepts any more once the future ends; existing connections
    /// go on.
    ///
    /// Meant for a successor that listens on [`ListenerManager::sockets`] and says that it accepts: new connections are
    /// then the successor's, or wait in the system's queues.
    pub fn pause(&self) -> impl Future<Output = ()> + Send + use<> {
        self.phase.send_replace(Lifecycle::Paused);
        self.taking.close();
        let taking = self.taking.clone();
        async move { taking.wait().await }
    }

    /// Leaves new connections to a successor, until [`DataPlane::take_back`]. The future waits until clients that have
    /// just connected had time to send a request, then sends all clients over. If it is dropped, some clients stay for
    /// longer.
    ///
    /// A client is sent over with its next request: by GOAWAY over HTTP/2, by `Connection: close` over HTTP/1.
    /// No request is cut.
    pub fn hand_over(&self) -> impl Future<Output = ()> + Send + use<> {
        self.phase.send_replace(Lifecycle::HandedOver);
        let (arrivals, goaway, most) = (Arc::clone(&self.arrivals), self.goaway.clone(), self.handshake_time);
        async move {
            arrivals.settled(most).await;
            goaway.send_replace(true);
        }
    }

    /// Accepts connections again after a hand-over. Without effect once the data plane has left.
    pub fn take_back(&self) {
        self.goaway.send_replace(false);
        self.taking.reopen();
        self.phase.send_replace(Lifecycle::Serving);
    }

    /// Leaves the sockets to a successor for good, and waits until the last existing connection has ended. If the
    /// future is dropped, the connections go on.
    pub async fn leave(&mut self) {
        self.close_sockets(Lifecycle::Left).await;
        self.arrivals.settled(self.handshake_time).await;
        self.goaway.send_replace(true);
        self.connections.close();
        self.connections.wait().await;
    }

    /// Stops accepting, lets requests under way end within `grace`, then cuts the rest.
    ///
    /// Idle connections are closed a moment later; HTTP/2 clients get GOAWAY, HTTP/1 clients get `Connection: close`.
    /// If a successor has the sockets, the connections that wait there are left to it.
    pub async fn shutdown(mut self, grace: Duration) {
        let until = Instant::now() + grace;
        let phase = *self.phase.borrow();
        let is_succeeded = matches!(phase, Lifecycle::HandedOver | Lifecycle::Left);
        let last = if is_succeeded { Lifecycle::Left } else { Lifecycle::Stopped };
        // Closing a connection under its first request would lose that request.
        let arriving = async {
            if phase == Lifecycle::Serving {
                let sockets = self.listeners.sockets().borrow().clone();
                deferred_accept::end(&sockets).await;
            }
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

    /// Closes the listening sockets. Afterwards this process accepts no connection.
    async fn close_sockets(&mut self, phase: Lifecycle) {
        // Before the listeners look for the last connections: a copy of a socket would go on queueing others.
        self.listeners.close();
        self.phase.send_replace(phase);
        // The phase may change again only now: how the listeners end depends on it.
        self.acceptors.close();
        self.acceptors.wait().await;
    }
}
