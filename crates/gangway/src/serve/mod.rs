//! `gangway serve`: starts the parts, connects them by published values, and ends them.
//!
//! [`tasks`] is the one place where background tasks are spawned, and [`channels`] lists the values that connect
//! them. Each part is handed the publishers of what it makes and the readers of what it needs; no part knows another.

mod admin_switch;
mod app_hints;
mod app_icons;
mod changes;
mod channels;
mod crowdsec;
mod data_folder;
mod data_persistence;
mod endpoint_tls;
mod error_pages;
mod geoip;
mod handover;
mod handover_loop;
mod instance;
mod limits;
mod listeners;
mod log;
mod oidc;
mod oidc_sessions;
mod open_files;
mod own_pages;
mod part_settings;
mod route_figures;
mod route_log;
mod route_ports;
mod serve_error;
mod settings_log;
mod settings_view;
mod shutdown;
mod signals;
mod socket_activation;
mod start_settings;
mod supervisor;
mod takeover;
mod tasks;
mod user_lists;
mod wanted_certificates;
mod whereabouts;

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use gangway_acme::storage::FolderStorage;
use gangway_admin::{Admin, EventSink, Sources, TraefikAnswers, redacted};
use gangway_certs::PlainHttp;
use gangway_crowdsec::{Appsec, Bouncer};
use gangway_model::{HTTP, HTTPS, OwnListeners};
use gangway_otlp::{Otlp, Tracer};
use gangway_proxy::{BackgroundTasks, ListenAddresses, ListenerManager, LoginSources, Whereabouts};
use gangway_publish::Reader;
use gangway_tls::UnixTime;
use prometheus::Registry;
use tokio::sync::{Notify, watch};

use self::admin_switch::AdminOwner;
use self::changes::Changes;
use self::channels::{Channel, Channels};
use self::handover::{HandoverListener, HandoverSecret, SocketsAtHand};
use self::handover_loop::HandoverLoop;
use self::instance::{Parts, Running};
use self::log::{Log, RecentLines};
use self::own_pages::OwnPages;
use self::route_figures::RouteFigures;
use self::route_ports::RoutePorts;
use self::serve_error::ServeError;
use self::settings_view::settings_view;
use self::signals::{Signal, Signals};
use self::start_settings::StartSettings;
use self::supervisor::Supervisor;
use self::takeover::{NotInPlace, PassedSockets};
use self::tasks::TaskInputs;
use crate::exit_status::ExitStatus;
use crate::hosts;
use crate::output::print_error;
use crate::settings::{Layer, ServeSettings, WantedListeners};
use crate::traefik::InTraefiksPlace;

/// The threads for everything but requests: engines, certificates, the admin listener.
const CONTROL_THREADS: usize = 2;

/// Serves until a signal asks the process to stop, or until a successor has taken over.
///
/// `place` is what takes the place of our own settings where Gangway runs in Traefik's.
pub(crate) fn run(flags: Layer, place: Option<InTraefiksPlace>) -> ExitCode {
    let start = match StartSettings::read(flags, place) {
        Ok(start) => start,
        Err(diagnostics) => {
            diagnostics.iter().for_each(|diagnostic| print_error(format_args!("{}\n", redacted(diagnostic))));
            return ExitStatus::Usage.into();
        }
    };
    // Files that are written from here on hold keys, or say which client asked for what.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    match run_on_new_runtime(start) {
        Ok(status) => status.into(),
        Err(error) => {
            print_error(format_args!("gangway: failed to {error}"));
            ExitStatus::Problem.into()
        }
    }
}

fn run_on_new_runtime(start: StartSettings) -> Result<ExitStatus, ServeError> {
    let registry = Registry::new();
    let events = EventSink::default();
    let log = Log::start(start.settings.log_level, start.settings.log_format, &registry, events.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let result = runtime.block_on(serve(start, registry, log.recent(), events));
    runtime.shutdown_background();
    log.flush();
    result
}

/// The whole life of an instance, from the first socket to the last request.
async fn serve(
    start: StartSettings,
    registry: Registry,
    recent_lines: RecentLines,
    events: EventSink,
) -> Result<ExitStatus, ServeError> {
    start.log_foreign_variables();
    start.log_place();
    let settings = &start.settings;
    let mut signals = Signals::listen().map_err(ServeError::Signals)?;
    data_folder::prepare(&settings.data)?;
    tokio::select! {
        made = gangway_certs::make_secret(&settings.data) => if let Err(error) = made {
            tracing::warn!(%error, "the volume has no secret of its own, so the key of the internal CA signs cookies");
        },
        () = signals.end() => return Ok(ExitStatus::Success),
    }
    let supervisor = Supervisor::new(&registry)?;
    let secret = handover_secret(settings);
    let passed = tokio::select! {
        passed = PassedSockets::find(settings, &secret) => passed?,
        () = signals.end() => return Ok(ExitStatus::Success),
    };
    let holdings = hosts::load(&FolderStorage::new(&settings.data)).await;
    let channels = Channels::new(holdings, start.config_status(), part_settings::demand(settings));
    let bouncer = Bouncer::new(channels.decisions.reader())?;
    if settings.crowdsec.is_some() {
        bouncer.register(&registry)?;
    }
    let appsec = match &settings.appsec {
        Some(of_appsec) => {
            let appsec = Appsec::new(channels.appsec_key.reader(), bouncer.clone())?;
            appsec.register(&registry)?;
            Some((of_appsec.clone(), appsec))
        }
        None => None,
    };
    let otlp = match &settings.otlp {
        Some(of_otlp) => Some(Otlp::new(of_otlp.clone(), env!("CARGO_PKG_VERSION"), &registry)?),
        None => None,
    };
    let asked = appsec.as_ref().map(|(settings, appsec)| (appsec.clone(), settings.url.clone()));
    let parts = OwnParts { bouncer: &bouncer, appsec: asked, tracer: otlp.as_ref().and_then(Otlp::tracer) };
    let told = Told { recent_lines, events };
    let BoundParts { instance, admin, sources, figures, changes, proxy_tasks, listeners, predecessor } =
        bind(&start, &channels, passed, (&supervisor, registry), parts, told).await?;

    let look = Arc::new(Notify::new());
    let asked = WantedListeners { listeners: settings.listeners.clone(), tables: start.raw.listeners.clone() };
    let traefik_files = start.traefik_files.clone().map(|files| {
        let named = Channel::new(files.named_files());
        (files, named)
    });
    let inputs = TaskInputs {
        proxy: proxy_tasks,
        figures,
        changes,
        sources,
        model_settings: Channel::new(model_settings(&start, &listeners, &admin)),
        listeners: (listeners.clone(), Channel::new(asked)),
        user_tables: Channel::new(start.raw.users.clone()),
        oidc_tables: Channel::new(start.raw.oidc.clone()),
        config: start.config_reload(),
        look: Arc::clone(&look),
        engines: settings.docker.clone(),
        certificates: part_settings::certificates(
            settings,
            channels.compiled.reader(),
            traefik_files.as_ref().map(|(_, named)| named.reader()),
        ),
        traefik_files,
        data: settings.data.clone(),
        geoip: settings.geoip.clone(),
        crowdsec: (settings.crowdsec.clone(), bouncer),
        appsec,
        otlp: otlp.clone(),
        public_ports: route_ports(settings, listeners.listening()),
    };
    tasks::spawn(&supervisor, &channels, inputs);

    let relieved = match takeover::take_place(predecessor, &instance, &mut signals).await {
        Ok(relieved) => relieved,
        Err(NotInPlace::StoppedBefore) => return Ok(ExitStatus::Success),
        Err(NotInPlace::StoppedMeanwhile) => {
            return Ok(shutdown::stop(&instance, settings.times, otlp.as_ref(), &mut signals).await);
        }
        Err(NotInPlace::Refused(why)) => {
            shutdown::withdraw(&instance, settings.times, otlp.as_ref()).await;
            return Err(ServeError::NotTakenOver(why));
        }
    };
    let admin_socket = admin.socket().ok().map(Arc::new);
    let (admin_owner, owner) = watch::channel(AdminOwner::ThisInstance);
    tasks::spawn_admin(&supervisor, admin, owner);
    let sockets = SocketsAtHand { listening: listeners.sockets(), admin: admin_socket };
    let handover = HandoverLoop {
        listener: HandoverListener::new(sockets, secret),
        instance: Arc::clone(&instance),
        admin: admin_owner,
        predecessor: relieved,
    };
    Ok(match until_end(handover, &instance, &look, &mut signals).await {
        End::Stopped => shutdown::stop(&instance, settings.times, otlp.as_ref(), &mut signals).await,
        End::Succeeded => shutdown::drain(&instance, &supervisor, settings.times, otlp.as_ref(), &mut signals).await,
    })
}

/// Why an instance that serves ends.
enum End {
    /// The process was told to stop.
    Stopped,
    /// A successor has taken over and stays.
    Succeeded,
}

/// Handles signals and successors. The hand-over is dropped on return: it holds the sockets and the names by which a
/// successor finds this instance, and a predecessor that waits sees at once that it has to serve again.
async fn until_end(handover: HandoverLoop, instance: &Running, look: &Notify, signals: &mut Signals) -> End {
    let mut succeeded = pin!(handover.run());
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::End => return End::Stopped,
                Signal::Hangup => {
                    tracing::info!("told to look again");
                    look.notify_one();
                    instance.reopen_access_log();
                }
            },
            () = &mut succeeded => return End::Succeeded,
        }
    }
}

/// What began with the process, before any part.
struct Told {
    recent_lines: RecentLines,
    events: EventSink,
}

/// The parts that listen, before any of them accepts.
struct BoundParts {
    instance: Arc<Running>,
    admin: Arc<Admin>,
    /// What the admin listener answers from.
    sources: Sources,
    figures: RouteFigures,
    changes: Changes,
    proxy_tasks: BackgroundTasks,
    listeners: ListenerManager,
    predecessor: Option<handover::Predecessor>,
}

/// What the data plane hands requests to.
struct OwnParts<'a> {
    bouncer: &'a Bouncer,
    /// The web application firewall, and its URL.
    appsec: Option<(Appsec, Box<str>)>,
    tracer: Option<Tracer>,
}

/// Binds the data plane and the admin listener.
async fn bind(
    start: &StartSettings,
    channels: &Channels,
    passed: PassedSockets,
    (supervisor, registry): (&Supervisor, Registry),
    OwnParts { bouncer, appsec, tracer }: OwnParts<'_>,
    Told { recent_lines, events }: Told,
) -> Result<BoundParts, ServeError> {
    let settings = &start.settings;
    let admin_mark = part_settings::admin_mark();
    let admin_settings = part_settings::admin(settings, passed.socket(settings.admin), admin_mark.clone());
    let metrics = gangway_proxy::Metrics::new(&registry)?;
    let metrics = match &settings.surroundings.metrics {
        Some(named) => metrics.counting_names(&registry, named)?,
        None => metrics,
    };
    let figures = RouteFigures::new(metrics.route_records());
    let changes = Changes::new(metrics.route_records(), events.clone());
    let own_pages = Arc::<OwnPages>::default();
    let sources = gangway_proxy::Sources {
        compiled: channels.compiled.reader(),
        certificates: channels.resolver(),
        whereabouts: channels.whereabouts.reader(),
        logins: LoginSources {
            user_lists: channels.user_lists.reader(),
            providers: channels.providers.reader(),
            ended_sessions: channels.ended_sessions.reader(),
            session_events: channels.session_events.sender.clone(),
        },
        geography: channels.geography.reader(),
        bouncer: settings.crowdsec.is_some().then(|| bouncer.clone()),
        appsec,
        tracer,
        endpoint_tls: channels.endpoint_tls.reader(),
        pages: channels.pages.reader(),
        internal: Arc::clone(&own_pages) as _,
    };
    let proxy_settings = part_settings::proxy(settings, passed.sockets, admin_mark);
    let (plane, proxy_tasks) = gangway_proxy::start(proxy_settings, sources, metrics)?;
    let listeners = plane.listeners().clone();
    let listening = plane.listening();
    let in_force = plane.compiled_in_force();
    let instance = Arc::new(Running::new(Parts {
        plane,
        figures: figures.clone(),
        changes: changes.clone(),
        recent_lines,
        events: events.clone(),
        compiled: in_force.clone(),
        whereabouts: channels.whereabouts.reader(),
        ports: Box::new(public_ports(settings, listeners.listening())),
        certificates: channels.resolver(),
        engines: channels.engines.reader(),
        report: channels.certificates.reader(),
        judged: channels.config.reader(),
        user_list_findings: channels.user_list_findings.reader(),
        endpoint_tls_findings: channels.endpoint_tls_findings.reader(),
        provider_findings: [&channels.provider_findings, &channels.provider_checks, &channels.session_findings]
            .map(Channel::reader),
        page_findings: channels.page_findings.reader(),
        traefik_findings: channels.traefik_findings.reader(),
        listener_findings: channels.listener_findings.reader(),
        app_findings: channels.app_findings.reader(),
        app_icons: channels.app_icons.reader(),
        geography: channels.geography.reader(),
        geoip_findings: channels.geoip_findings.reader(),
        bouncer: bouncer.clone(),
        crowdsec: channels.crowdsec.reader(),
        crowdsec_findings: channels.crowdsec_findings.reader(),
        config_file: start.raw.config_file.clone(),
        settings: settings_view(&start.raw),
        data: settings.data.clone(),
        plain_refused: settings.plain_http == PlainHttp::Refused,
        restarts: supervisor.restarts(),
    }));
    let sources = Sources {
        compiled: in_force,
        certificates: channels.resolver(),
        registry,
        events,
        instance: instance.clone(),
        started: UnixTime::now(),
        version: env!("CARGO_PKG_VERSION"),
        has_traefiks_names: settings.surroundings.metrics.is_some(),
    };
    own_pages.open(TraefikAnswers::new(sources.clone(), settings.surroundings.pages.clone()));
    let admin = Arc::new(Admin::bind(admin_settings, sources.clone()).await?);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        http = log::list(listening.of(HTTP)),
        https = log::list(listening.of(HTTPS)),
        others = Some(log::other_listeners(&listening)).filter(|others| !others.is_empty()),
        admin = %admin.address(),
        data = %settings.data.display(),
        "listening"
    );
    Ok(BoundParts {
        instance,
        admin,
        sources,
        figures,
        changes,
        proxy_tasks,
        listeners,
        predecessor: passed.predecessor,
    })
}

/// The settings of the model at the start, with the addresses that are bound.
fn model_settings(start: &StartSettings, listeners: &ListenerManager, admin: &Admin) -> gangway_model::Settings {
    let public = listeners.listening().load().all().collect();
    let own_listeners = OwnListeners { public, admin: Some(admin.address()) };
    gangway_model::Settings {
        own_listeners,
        ..start.settings.for_model(start.raw.routes.clone(), start.raw.middlewares.clone())
    }
}

/// The ports that clients use, given the place of this process in the network.
fn public_ports(
    settings: &ServeSettings,
    listening: Reader<ListenAddresses>,
) -> impl Fn(&Whereabouts) -> gangway_model::PublicPorts + Clone + Send + Sync + use<> {
    let https = settings.public_https_port;
    move |whereabouts| whereabouts.public_ports(&listening.load(), https)
}

/// The same, for each route by its listeners.
fn route_ports(
    settings: &ServeSettings,
    listening: Reader<ListenAddresses>,
) -> impl Fn(&Whereabouts) -> RoutePorts + Clone + Send + Sync + use<> {
    let https = settings.public_https_port;
    move |whereabouts| RoutePorts::new(&listening.load(), whereabouts, https)
}

/// The secret that instances with the same volume share.
fn handover_secret(settings: &ServeSettings) -> HandoverSecret {
    let data = settings.data.clone();
    HandoverSecret::from(move || gangway_certs::secrets(&data))
}
