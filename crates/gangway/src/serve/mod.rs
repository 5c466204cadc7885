//! `gangway serve`: starts the parts, connects them, and ends them.
//!
//! Only here are tasks spawned. Each part is handed publishers of what it makes and readers of what it
//! needs, and none knows another.

mod data_folder;
mod data_persistence;
mod handover;
mod handover_loop;
mod instance;
mod log;
mod served;
mod shutdown;
mod signals;
mod socket_activation;
mod start_error;
mod supervisor;
mod wanted_certificates;
mod whereabouts;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::OsString;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gangway_acme::storage::FolderStorage;
use gangway_acme::{Clock, OnDemandSettings, Takes};
use gangway_admin::{Admin, AdminSettings, Sources};
use gangway_certs::{CertificateReport, KeepSettings, PlainHttp, WantedCertificates};
use gangway_model::settings::OwnListeners;
use gangway_model::{Compiled, Diagnostic};
use gangway_proxy::{
    BackgroundTasks, CookieSecret, Limits, PassedSocket, PlainFallback, ProxySettings, Threading, Whereabouts,
};
use gangway_publish::{Reader, seat};
use gangway_tls::Store;
use gangway_watcher::DockerEnvironment;
use prometheus::Registry;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::{Notify, watch};

use self::handover::{Consent, Door, Predecessor, Relief};
use self::handover_loop::Succession;
use self::instance::{Parts, Running};
use self::log::Log;
use self::signals::{Signal, Signals};
use self::start_error::StartError;
use self::supervisor::Supervisor;
use crate::exit_status::ExitStatus;
use crate::hosts;
use crate::main_process;
use crate::output::print_error;
use crate::settings::reload::{ConfigReload, ConfigStatus, follow};
use crate::settings::{
    EnvironmentLayer, Layer, NOT_STARTED, ProcessLayer, RawSettings, ServeSettings, read_environment,
};

/// Threads for everything but requests: reading engines, certificates, the admin listener.
const CONTROL_THREADS: usize = 2;

/// Below this default of `--domain`, the internal CA may sign anyway.
const DEFAULT_DOMAIN: &str = "localhost";

/// Serves until told to end.
pub(crate) fn run(flags: Layer) -> ExitCode {
    let mut found = Vec::new();
    let Some(told) = told(flags, &mut found) else {
        found.iter().for_each(|diagnostic| print_error(format_args!("{diagnostic}\n")));
        return ExitStatus::Usage.into();
    };
    // What is written from here on holds keys and says who asked for what.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let registry = Registry::new();
    let result = Log::start(told.settings.log_level, told.settings.log_format, &registry).and_then(|log| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(CONTROL_THREADS)
            .thread_name("control")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let result = runtime.block_on(serve(told, found, registry));
        runtime.shutdown_background();
        log.flush();
        result
    });
    match result {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            print_error(format_args!("gangway: failed to {error}"));
            ExitStatus::Problem.into()
        }
    }
}

/// Everything that was told at the start.
struct Told {
    fixed: ProcessLayer,
    layers: RawSettings,
    settings: ServeSettings,
    docker: DockerEnvironment,
    /// Variables that only look like ours.
    foreign: Vec<String>,
}

/// None where something is wrong with it, which `found` then says.
fn told(flags: Layer, found: &mut Vec<Diagnostic>) -> Option<Told> {
    let EnvironmentLayer { layer, foreign, diagnostics } = read_environment(std::env::vars_os(), NOT_STARTED);
    let is_environment_fine = diagnostics.is_empty();
    found.extend(diagnostics);
    let fixed = ProcessLayer::new(flags, layer);
    let variable = |name| std::env::var_os(name).map(OsString::into_string).and_then(Result::ok);
    let docker = DockerEnvironment { host: variable("DOCKER_HOST"), tls_verify: variable("DOCKER_TLS_VERIFY") };
    let layers = fixed.read().map_err(|diagnostics| found.extend(diagnostics)).ok()?;
    let (settings, errors) = ServeSettings::parse(&layers, &docker);
    found.extend(errors.iter().map(|error| error.diagnostic(NOT_STARTED)));
    is_environment_fine.then_some(Told { fixed, layers, settings: settings?, docker, foreign })
}

/// Starts all parts and ends them when told to.
async fn serve(told: Told, found: Vec<Diagnostic>, registry: Registry) -> Result<ExitStatus, StartError> {
    let Told { fixed, layers, settings, docker, foreign } = told;
    let started = now();
    if !foreign.is_empty() {
        let variables = foreign.join(" ");
        tracing::info!(variables, "not settings: a container link or Kubernetes makes them for a service of our name");
    }
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    data_folder::prepare(&settings.data)?;
    if let Err(error) = gangway_certs::make_secret(&settings.data).await {
        tracing::warn!(%error, "the volume has no secret: sticky clients may come to another replica after a restart");
    }
    let supervisor = Supervisor::new(&registry)?;
    let (predecessor, passed) = tokio::select! {
        passed = passed_sockets(&settings) => passed?,
        () = signals.end() => return Ok(ExitStatus::Success),
    };
    let followed = ConfigReload::new(&fixed, &layers, &settings, &docker);
    let (mut judged_seat, judged) = seat(ConfigStatus { in_force: true, diagnostics: found });
    let holdings = hosts::load(&FolderStorage::new(&settings.data)).await;
    let (mut compiled_seat, compiled) = seat(Compiled { holdings, ..Compiled::default() });
    let (mut released_seat, released) = seat(BTreeSet::new());
    let (mut engines_seat, engines) = seat(Vec::new());
    let (mut names_seat, names) = seat(WantedCertificates::default());
    let (mut store_seat, store) = seat(Store::default());
    let (mut report_seat, report) = seat(CertificateReport::default());
    let (mut whereabouts_seat, whereabouts) = seat(whereabouts::at_the_start());

    let metrics = gangway_proxy::Metrics::new(&registry)?;
    let proxy_settings = proxy_settings(&settings, passed);
    let (plane, tasks) =
        gangway_proxy::start(proxy_settings, compiled.clone(), store.clone(), whereabouts.clone(), metrics)?;
    let BackgroundTasks { mut activator, failure_log, unclaimed_log } = tasks;
    supervisor.run("activator", move || activator.run());
    supervisor.run("failure-log", move || failure_log.run());
    supervisor.run("unclaimed-log", move || unclaimed_log.run());
    let (listening, mut sockets) = (plane.listening().clone(), plane.sockets().to_vec());
    let ports = {
        let (listening, https) = (listening.clone(), settings.public_https_port);
        move |whereabouts: &Whereabouts| whereabouts.public_ports(&listening, https)
    };
    let instance = Arc::new(Running::new(Parts {
        plane,
        whereabouts: whereabouts.clone(),
        ports: Box::new(ports.clone()),
        store: store.clone(),
        engines: engines.clone(),
        report,
        judged: judged.clone(),
        config_file: layers.config_file,
        data: settings.data.clone(),
        plain_refused: settings.plain_http == PlainHttp::Refused,
        restarts: supervisor.restarts(),
    }));
    let admin_settings = AdminSettings {
        listen: settings.admin,
        passed: predecessor.as_ref().and_then(|predecessor| predecessor.socket(settings.admin)),
        names: own_names(),
    };
    let sources = Sources {
        compiled: compiled.clone(),
        store,
        registry,
        instance: instance.clone(),
        started,
        version: env!("CARGO_PKG_VERSION"),
    };
    let admin = Arc::new(Admin::bind(admin_settings, sources).await?);
    sockets.extend(admin.socket().map(Arc::new));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        http = log::list(&listening.http),
        https = log::list(&listening.https),
        admin = %admin.address(),
        data = %settings.data.display(),
        "listening"
    );

    let own_listeners = OwnListeners {
        public: listening.http.iter().chain(&listening.https).copied().collect(),
        admin: Some(admin.address()),
    };
    let at_the_start = gangway_model::Settings { own_listeners, ..settings.for_model(layers.routes) };
    let (mut model_seat, model_settings) = seat(at_the_start);

    // The judgement of the file is told even where no file is followed: settings may be announced only.
    supervisor.run("findings", move || log::tell_findings(judged.clone()));
    let look = Arc::new(Notify::new());
    if let Some(followed) = followed {
        let look = Arc::clone(&look);
        supervisor.run("config", move || {
            let (settings, judged) = (model_seat.take(), judged_seat.take());
            let (settings, judged) = settings.zip(judged).expect("the task that had them is gone");
            follow(followed.clone(), Arc::clone(&look), settings, judged)
        });
    }
    let (engine_list, keep) = (settings.docker.clone(), keep_settings(&settings, compiled.clone()));
    supervisor.run("watcher", move || {
        let (tables, status) = compiled_seat.take().zip(engines_seat.take()).expect("the task that had them is gone");
        gangway_watcher::watch(engine_list.clone(), model_settings.clone(), released.clone(), tables, status)
    });
    let (data, holdings) = (settings.data.clone(), compiled.clone());
    supervisor.run("hosts", move || {
        let released = released_seat.take().expect("the task that had it is gone");
        hosts::persist(data.clone(), holdings.clone(), released)
    });
    let to_tell = compiled.clone();
    supervisor.run("served", move || served::follow(to_tell.clone(), whereabouts.clone(), ports.clone()));
    let data = settings.data.clone();
    let seen_by = engines.clone();
    supervisor.run("whereabouts", move || {
        let whereabouts = whereabouts_seat.take().expect("the task that had it is gone");
        whereabouts::follow(seen_by.clone(), whereabouts)
    });
    supervisor.run("names", move || {
        let names = names_seat.take().expect("the task that had it is gone");
        wanted_certificates::follow(compiled.clone(), engines.clone(), data.clone(), names)
    });
    supervisor.run("certificates", move || {
        let (store, report) = store_seat.take().zip(report_seat.take()).expect("the task that had them is gone");
        gangway_certs::keep(keep.clone(), names.clone(), store, report)
    });
    if let Some(predecessor) = &predecessor {
        tracing::info!(predecessor = predecessor.process, "takes over as soon as a table is in force");
        tokio::select! {
            () = instance.ready() => {}
            () = signals.end() => return Ok(ExitStatus::Success),
        }
    }
    instance.open();
    let relief = async {
        match predecessor {
            Some(predecessor) => Some(predecessor.relieve().await),
            None => None,
        }
    };
    let relief = tokio::select! {
        relief = relief => relief,
        // The predecessor sees us go.
        () = signals.end() => return Ok(end(&instance, &mut signals).await),
    };
    let relieved = match relief {
        None => None,
        Some(Relief::Relieved(relieved)) => {
            tracing::info!("has taken over");
            Some(relieved)
        }
        Some(Relief::Alone(error)) => {
            tracing::warn!(%error, "the predecessor does not say that it leaves; this one serves");
            None
        }
        Some(Relief::Refused(why)) => {
            if let Some(plane) = instance.stop() {
                plane.shutdown(shutdown::GRACE).await;
            }
            return Err(StartError::NotTakenOver(why));
        }
    };
    let (admin_tx, admin_rx) = watch::channel(true);
    supervisor.run("admin", move || answer_while(admin_rx.clone(), Arc::clone(&admin)));

    let is_succeeded = {
        let succession = Succession {
            door: Door::new(sockets, secret(&settings)),
            instance: Arc::clone(&instance),
            addresses: listening.http.iter().chain(&listening.https).copied().collect(),
            admin: admin_tx,
            predecessor: relieved,
        };
        // No longer than it is of use: it holds the sockets, and the names that a successor is found by. And
        // a predecessor hears at once that it is to serve again.
        let mut left = pin!(succession.left());
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Signal::End => break false,
                    Signal::Hangup => {
                        tracing::info!("told to look again");
                        look.notify_one();
                        instance.reopen_access_log();
                    }
                },
                () = &mut left => break true,
            }
        }
    };
    if !is_succeeded {
        return Ok(end(&instance, &mut signals).await);
    }
    let Some(plane) = instance.stop() else { return Ok(ExitStatus::Success) };
    Ok(shutdown::leave(plane, &supervisor, &mut signals).await)
}

async fn end(instance: &Running, signals: &mut Signals) -> ExitStatus {
    match instance.stop() {
        Some(plane) => shutdown::end(plane, signals).await,
        None => ExitStatus::Success,
    }
}

/// Answers on the admin listener whenever that is for us to do.
async fn answer_while(mut is_ours: watch::Receiver<bool>, admin: Arc<Admin>) -> Infallible {
    loop {
        until(&mut is_ours, true).await;
        tokio::select! {
            never = admin.serve() => match never {},
            () = until(&mut is_ours, false) => {}
        }
    }
}

/// For ever, where nobody is left who could say so.
async fn until(is_ours: &mut watch::Receiver<bool>, sought: bool) {
    if is_ours.wait_for(|ours| *ours == sought).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Sockets that listen where we are told to, and who else still accepts at them.
async fn passed_sockets(settings: &ServeSettings) -> Result<(Option<Predecessor>, Vec<PassedSocket>), StartError> {
    let inherited = socket_activation::sockets()?;
    if !inherited.is_empty() {
        return Ok((None, inherited));
    }
    let addresses = settings.http.iter().chain(&settings.https).copied();
    let consent = match settings.take_over {
        true => Consent::Anybody,
        false if main_process::is_main_process() => Consent::OtherContainers,
        false => Consent::Nobody,
    };
    let predecessor = Predecessor::find(addresses, &secret(settings), consent).await;
    let sockets = predecessor.iter().flat_map(|predecessor| &predecessor.sockets);
    let passed = sockets.map(|socket| PassedSocket { socket: Arc::clone(socket), is_held: false }).collect();
    Ok((predecessor, passed))
}

/// What those know who serve from the same volume.
fn secret(settings: &ServeSettings) -> handover::Secret {
    let data = settings.data.clone();
    handover::Secret::from(move || gangway_certs::secrets(&data))
}

fn proxy_settings(settings: &ServeSettings, passed: Vec<PassedSocket>) -> ProxySettings {
    ProxySettings {
        http: settings.http.clone(),
        https: settings.https.clone(),
        passed,
        trusted_proxies: settings.trusted_proxies.clone(),
        public_https_port: settings.public_https_port,
        limits: Limits::for_open_files(open_files_max()),
        default_certificate: settings.default_certificate.clone(),
        plain_fallback: match settings.plain_http {
            PlainHttp::Refused => PlainFallback::Refuse,
            PlainHttp::Served => PlainFallback::Serve,
        },
        threading: Threading::all_cores(),
        access_log: settings.access_log.clone(),
        access_log_format: settings.access_log_format,
        secret: {
            let data = settings.data.clone();
            CookieSecret::from(move || gangway_certs::secrets(&data))
        },
    }
}

fn keep_settings(settings: &ServeSettings, compiled: Reader<Compiled>) -> KeepSettings {
    let domain = Some(settings.domain.clone()).filter(|domain| **domain != *DEFAULT_DOMAIN);
    KeepSettings {
        data: settings.data.clone(),
        internal_domains: domain.into_iter().collect(),
        default_certificate: settings.default_certificate.clone(),
        acme: Some(settings.acme.clone()),
        on_demand: settings.on_demand.clone().map(|ask| {
            let takes = Takes::new(move |host| compiled.load().table.takes_by_pattern(host));
            OnDemandSettings { ask, takes }
        }),
        plain_http: settings.plain_http,
        clock: Clock::system(),
    }
}

/// How many files may be open, after asking for as many as we may have: the lower of the two limits is
/// for programs that cannot cope with large numbers.
fn open_files_max() -> u64 {
    /// Where nothing is said, or nothing limits; a million connections would take all memory first.
    const ENOUGH: u64 = 1 << 20;
    let mut limit = getrlimit(Resource::Nofile);
    let raised = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if limit.current.is_some_and(|current| current < raised) {
        limit.current = Some(raised);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "failed to raise the limit of open files");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH)
}

/// What this machine or container calls itself.
fn own_names() -> Vec<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Vec::from([name.trim().to_owned()])
}

/// Seconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
