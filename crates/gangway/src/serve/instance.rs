//! The running instance as the admin listener sees it. All answers come from published values.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use gangway_acme::{self as acme, IssuerState};
use gangway_admin::api::{
    CertificateView, ChangesResponse, ConfigFileView, EngineView, FiguresResponse, IssuerView, LatencyView, LimitView,
    ListenerView, LogResponse, PointView, QuantilesView, RequestView, RequestsResponse, SettingView,
};
use gangway_admin::{
    AppIcons, CertificatesState, EndpointActivity, EventSink, Instance, InstancePhase, RequestCount, rfc3339,
};
use gangway_certs::{CertificateReport, CertificateStatus};
use gangway_crowdsec::{Bouncer, Status};
use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_model::{
    ClientPlace, Compiled, CountryCode, EndpointKey, Geography, Judgement, Located, Middleware, OnDoubt, PublicPorts,
    Reputation, RoutingTable, SkipRule,
};
use gangway_proxy::{BoundListener, DataPlane, GeoDatabases, ListenAddresses, Whereabouts};
use gangway_publish::{Generation, Reader};
use gangway_tls::{CertificateResolver, UnixTime};
use gangway_watcher::{EngineStatus, LatencySummary, Quantiles};
use prometheus::IntCounterVec;
use prometheus::core::Collector as _;

use super::changes::Changes;
use super::limits;
use super::log::RecentLines;
use super::route_figures::RouteFigures;
use crate::settings::reload::ConfigStatus;

/// The ports that clients connect to, depending on where we run.
pub(super) type Ports = Box<dyn Fn(&Whereabouts) -> PublicPorts + Send + Sync>;

/// The parts of the running instance.
pub(super) struct Parts {
    pub(super) plane: DataPlane,
    pub(super) figures: RouteFigures,
    pub(super) changes: Changes,
    pub(super) recent_lines: RecentLines,
    pub(super) events: EventSink,
    pub(super) compiled: Reader<Compiled>,
    pub(super) whereabouts: Reader<Whereabouts>,
    pub(super) ports: Ports,
    pub(super) certificates: CertificateResolver,
    pub(super) engines: Reader<Vec<EngineStatus>>,
    pub(super) report: Reader<CertificateReport>,
    pub(super) judged: Reader<ConfigStatus>,
    pub(super) user_list_findings: Reader<Vec<Diagnostic>>,
    pub(super) endpoint_tls_findings: Reader<Vec<Diagnostic>>,
    pub(super) provider_findings: [Reader<Vec<Diagnostic>>; 3],
    pub(super) page_findings: Reader<Vec<Diagnostic>>,
    pub(super) traefik_findings: Reader<Vec<Diagnostic>>,
    pub(super) listener_findings: Reader<Vec<Diagnostic>>,
    pub(super) app_findings: Reader<Vec<Diagnostic>>,
    pub(super) app_icons: Reader<AppIcons>,
    pub(super) geography: Reader<GeoDatabases>,
    pub(super) geoip_findings: Reader<Vec<Diagnostic>>,
    pub(super) bouncer: Bouncer,
    pub(super) crowdsec: Reader<Status>,
    pub(super) crowdsec_findings: Reader<Vec<Diagnostic>>,
    pub(super) config_file: Option<PathBuf>,
    pub(super) settings: Vec<SettingView>,
    pub(super) data: PathBuf,
    pub(super) plain_refused: bool,
    pub(super) restarts: IntCounterVec,
}

/// The running instance.
pub(super) struct Running {
    /// `None` once the instance is stopping.
    plane: RwLock<Option<DataPlane>>,
    figures: RouteFigures,
    changes: Changes,
    recent_lines: RecentLines,
    events: EventSink,
    listening: Reader<ListenAddresses>,
    compiled: Reader<Compiled>,
    whereabouts: Reader<Whereabouts>,
    ports: Ports,
    stopping: AtomicBool,
    certificates: CertificateResolver,
    engines: Reader<Vec<EngineStatus>>,
    report: Reader<CertificateReport>,
    judged: Reader<ConfigStatus>,
    user_list_findings: Reader<Vec<Diagnostic>>,
    endpoint_tls_findings: Reader<Vec<Diagnostic>>,
    provider_findings: [Reader<Vec<Diagnostic>>; 3],
    page_findings: Reader<Vec<Diagnostic>>,
    traefik_findings: Reader<Vec<Diagnostic>>,
    listener_findings: Reader<Vec<Diagnostic>>,
    app_findings: Reader<Vec<Diagnostic>>,
    app_icons: Reader<AppIcons>,
    geography: Reader<GeoDatabases>,
    geoip_findings: Reader<Vec<Diagnostic>>,
    bouncer: Bouncer,
    crowdsec: Reader<Status>,
    crowdsec_findings: Reader<Vec<Diagnostic>>,
    config_file: Option<PathBuf>,
    settings: Vec<SettingView>,
    data: PathBuf,
    plain_refused: bool,
    restarts: IntCounterVec,
}

impl Running {
    pub(super) fn new(parts: Parts) -> Self {
        let listening = parts.plane.listeners().listening();
        Self {
            plane: RwLock::new(Some(parts.plane)),
            figures: parts.figures,
            changes: parts.changes,
            recent_lines: parts.recent_lines,
            events: parts.events,
            listening,
            compiled: parts.compiled,
            whereabouts: parts.whereabouts,
            ports: parts.ports,
            stopping: AtomicBool::new(false),
            certificates: parts.certificates,
            engines: parts.engines,
            report: parts.report,
            judged: parts.judged,
            user_list_findings: parts.user_list_findings,
            endpoint_tls_findings: parts.endpoint_tls_findings,
            provider_findings: parts.provider_findings,
            page_findings: parts.page_findings,
            traefik_findings: parts.traefik_findings,
            listener_findings: parts.listener_findings,
            app_findings: parts.app_findings,
            app_icons: parts.app_icons,
            geography: parts.geography,
            geoip_findings: parts.geoip_findings,
            bouncer: parts.bouncer,
            crowdsec: parts.crowdsec,
            crowdsec_findings: parts.crowdsec_findings,
            config_file: parts.config_file,
            settings: parts.settings,
            data: parts.data,
            plain_refused: parts.plain_refused,
            restarts: parts.restarts,
        }
    }

    /// Begins to stop. Returns the data plane, which the caller has to shut down; `None` the second time.
    pub(super) fn stop(&self) -> Option<DataPlane> {
        self.stopping.store(true, Ordering::Relaxed);
        // A stream that comes by a route of ours would be a request that never ends.
        self.events.end();
        self.plane.write().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// The addresses for clients.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.listening.load().all().collect()
    }

    /// Begins to accept connections.
    pub(super) fn open(&self) {
        self.with_plane(DataPlane::open);
    }

    /// Stops accepting connections until [`Self::open`]. When this returns, no connection is accepted any more.
    pub(super) async fn pause(&self) {
        if let Some(paused) = self.with_plane(DataPlane::pause) {
            paused.await;
        }
    }

    /// Leaves new connections to a successor, until [`Self::take_back`]. The returned future makes present clients move
    /// over.
    pub(super) fn hand_over(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        self.with_plane(|plane| -> Pin<Box<dyn Future<Output = ()> + Send>> { Box::pin(plane.hand_over()) })
    }

    /// Accepts connections again after [`Self::hand_over`].
    pub(super) fn take_back(&self) {
        self.with_plane(DataPlane::take_back);
    }

    /// Waits until there is a table to serve, until certificates and files of places have been looked for, and until the
    /// CrowdSec engine has been asked.
    pub(super) async fn ready(&self) {
        if let Some(table) = self.with_plane(DataPlane::table_in_force) {
            table.await;
        }
        let _ = self.certificates.store().first().await;
        let _ = self.geography.first().await;
        let _ = self.crowdsec.first().await;
    }

    pub(super) fn reopen_access_log(&self) {
        self.with_plane(DataPlane::reopen_access_log);
    }

    fn with_plane<T>(&self, ask: impl FnOnce(&DataPlane) -> T) -> Option<T> {
        // No holder of the lock panics, and a panic would not leave the plane in a bad state.
        self.plane.read().unwrap_or_else(std::sync::PoisonError::into_inner).as_ref().map(ask)
    }
}

impl Geography for Running {
    fn country(&self, address: IpAddr) -> Located<CountryCode> {
        self.geography.load().country(address)
    }

    fn autonomous_system(&self, address: IpAddr) -> Located<u32> {
        self.geography.load().autonomous_system(address)
    }
}

impl Reputation for Running {
    fn judge(&self, client: &ClientPlace<'_>) -> Judgement {
        self.bouncer.judge(client)
    }
}

impl Instance for Running {
    fn phase(&self) -> InstancePhase {
        if self.stopping.load(Ordering::Relaxed) {
            return InstancePhase::Stopping;
        }
        // The table must have reached the threads that serve, and certificates and files of places must have been looked
        // for: a client that learns that we are ready may send a request at once.
        let is_in_force = self.with_plane(DataPlane::generation).is_some_and(|generation| generation > 0);
        let is_looked_for = self.certificates.store().generation() != Generation::INITIAL
            && self.geography.generation() != Generation::INITIAL
            && self.crowdsec.generation() != Generation::INITIAL;
        let is_ready = is_in_force && is_looked_for;
        if is_ready { InstancePhase::Serving } else { InstancePhase::Starting }
    }

    fn listening(&self) -> Vec<ListenerView> {
        let whereabouts = self.whereabouts.load();
        let view = |listener: &BoundListener| ListenerView {
            name: listener.known.name.to_string(),
            protocol: listener.known.protocol,
            addresses: listener.addresses.iter().map(ToString::to_string).collect(),
            port: listener.addresses.first().map(|address| whereabouts.public_port(address.port())),
        };
        self.listening.load().0.iter().map(view).collect()
    }

    fn public_ports(&self) -> PublicPorts {
        (self.ports)(&self.whereabouts.load())
    }

    fn engines(&self) -> Vec<EngineView> {
        self.engines.load().iter().map(engine).collect()
    }

    fn config(&self) -> Option<ConfigFileView> {
        let file = self.config_file.as_ref()?.display().to_string();
        Some(ConfigFileView { file, in_force: self.judged.load().in_force })
    }

    fn settings(&self) -> Vec<SettingView> {
        self.settings.clone()
    }

    fn limits(&self) -> Vec<LimitView> {
        self.with_plane(|plane| limits::views(plane.limits())).unwrap_or_default()
    }

    fn certificates(&self) -> CertificatesState {
        let (report, now) = (self.report.load_full(), self.now());
        CertificatesState {
            issuers: report.issuers.iter().map(issuer).collect(),
            list: report.certificates.iter().map(|status| certificate(status, now)).collect(),
            degraded: report.degraded,
            on_demand: self.certificates.demand().map(|demand| demand.counts()),
            internal_root: gangway_certs::root_pem(&self.data).ok(),
        }
    }

    fn diagnostics(&self) -> Vec<Diagnostic> {
        let settings = self.judged.load_full();
        let report = self.report.load_full();
        let gateway = self.gateway_seen().map(|address| gateway_speaks(address, &self.compiled.load().table));
        let (users, pages) = (self.user_list_findings.load_full(), self.page_findings.load_full());
        let listeners = self.listener_findings.load_full();
        let of_settings = settings.diagnostics.iter().chain(listeners.iter()).chain(&report.findings);
        let (places, crowdsec) = (self.geoip_findings.load_full(), self.crowdsec_findings.load_full());
        let providers = self.provider_findings.iter().flat_map(|findings| findings.load_full().to_vec());
        let (apps, traefik) = (self.app_findings.load_full(), self.traefik_findings.load_full());
        let endpoints = self.endpoint_tls_findings.load_full();
        let of_files = users.iter().chain(endpoints.iter()).chain(places.iter()).chain(pages.iter());
        let of_others = crowdsec.iter().chain(apps.iter()).chain(traefik.iter());
        of_settings
            .chain(of_files)
            .chain(of_others)
            .cloned()
            .chain(providers)
            .chain(gateway.into_iter().flatten())
            .collect()
    }

    fn gateway_seen(&self) -> Option<IpAddr> {
        self.with_plane(DataPlane::gateway_seen).flatten()
    }

    fn refuses_plain(&self) -> bool {
        self.plain_refused
    }

    fn icons(&self) -> AppIcons {
        self.app_icons.load().clone()
    }

    fn endpoints(&self) -> HashMap<EndpointKey, EndpointActivity> {
        let states = self.with_plane(DataPlane::endpoint_states).unwrap_or_default();
        let now = states.into_iter().map(|(key, state)| {
            (
                key,
                EndpointActivity {
                    under_way: state.in_flight(),
                    is_ejected: state.is_ejected(),
                    trouble: state.trouble(),
                },
            )
        });
        now.collect()
    }

    fn figures(&self) -> FiguresResponse {
        self.figures.response()
    }

    fn day(&self, route: &str) -> Vec<PointView> {
        self.figures.day(route)
    }

    fn requests(&self, route: &str) -> RequestsResponse {
        RequestsResponse { route: Some(route.to_owned()), requests: self.figures.requests(route, 0) }
    }

    fn requests_after(&self, route: &str, number: u64) -> Vec<RequestView> {
        self.figures.requests(route, number)
    }

    fn latest_requests(&self, max: usize) -> RequestsResponse {
        RequestsResponse { route: None, requests: self.figures.latest_requests(max) }
    }

    fn request_counts(&self) -> Vec<(Arc<str>, RequestCount)> {
        self.figures.request_counts()
    }

    fn changes(&self) -> ChangesResponse {
        self.changes.response()
    }

    fn log(&self) -> LogResponse {
        self.recent_lines.response()
    }

    fn task_restarts(&self) -> u64 {
        let families = self.restarts.collect();
        let counts = families.iter().flat_map(prometheus::proto::MetricFamily::get_metric);
        counts.map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    fn now(&self) -> UnixTime {
        UnixTime::now()
    }
}

/// An engine as the API shows it.
fn engine(status: &EngineStatus) -> EngineView {
    let quantiles = |Quantiles { last, median, p99 }| QuantilesView::of(last, median, p99);
    let LatencySummary { count, whole, ours } = status.latency.summary();
    EngineView {
        name: status.name.0.to_string(),
        url: status.url.to_string(),
        version: status.version.clone(),
        trouble: status.trouble.clone(),
        containers: status.containers,
        reads: status.reads,
        failures: status.failures,
        events: status.events.all().map(|(action, count)| (action.name().to_owned(), count)).collect(),
        reaction: LatencyView { count, whole: quantiles(whole), ours: quantiles(ours) },
    }
}

/// A public CA as the API shows it.
fn issuer(issuer: &acme::IssuerView) -> IssuerView {
    let (state, trouble, next) = match &issuer.state {
        IssuerState::Unasked => ("unasked", None, None),
        IssuerState::Up => ("up", None, None),
        IssuerState::Failing { why, next } => ("failing", Some(why.to_string()), Some(rfc3339(*next))),
    };
    IssuerView {
        name: issuer.name.to_string(),
        directory: issuer.directory.to_string(),
        state: state.to_owned(),
        certificates: issuer.certificates,
        trouble,
        next,
    }
}

/// A certificate as the API shows it.
fn certificate(status: &CertificateStatus, now: UnixTime) -> CertificateView {
    let view = CertificateView {
        name: status.name.to_string(),
        issuer: status.issuer.to_string(),
        serial: status.serial.to_string(),
        next: status.next.map(rfc3339),
        renewal_window: status.renewal_window.map(|(from, to)| (rfc3339(from), rfc3339(to))),
        on_demand: status.on_demand,
        trouble: status.trouble.as_deref().map(str::to_owned),
        ..CertificateView::default()
    };
    view.with_chain(&status.chain).with_origin(status.origin.as_ref()).with_validity(
        status.not_before,
        status.not_after,
        now,
    )
}

/// Clients come with the address of a gateway: about that, and about every route that asks for addresses.
fn gateway_speaks(address: IpAddr, table: &RoutingTable) -> Vec<Diagnostic> {
    const HELP: &str = "let their own address through: `network_mode: host` for Gangway, IPv6 for its network, or \
        `\"userland-proxy\": false` for the engine; or name the tunnel or proxy before it with `--trusted-proxies`";
    let of_all = Diagnostic::warning(
        codes::CLIENTS_OF_GATEWAY,
        Place::Configuration,
        format!("clients come with the address of a gateway, `{address}`"),
    )
    .with_help(HELP)
    .with_effect(
        "that address is nobody's: such clients see no names of the inside, are in no network, and are not bounded \
         one by one",
    );
    let of_routes = table.routes().iter().flat_map(|route| {
        let place = route.origin.first().map(|container| Place::container_named(container.clone()));
        let mut of_addresses: Vec<_> = route.middlewares.iter().filter_map(asks_for_addresses).collect();
        // Several lists of `allow` are several middlewares.
        of_addresses.dedup();
        of_addresses.into_iter().map(move |(key, effect)| {
            let message = format!(
                "{key} of route `{}` asks for addresses, and clients come with that of a gateway, `{address}`",
                route.name
            );
            Diagnostic::warning(codes::ADDRESSES_OF_GATEWAY, place.clone().unwrap_or_default(), message)
                .with_help(HELP)
                .with_effect(effect)
        })
    });
    std::iter::once(of_all).chain(of_routes).collect()
}

/// The key by which a middleware asks for clients' addresses, and what clients without one meet.
fn asks_for_addresses(middleware: &Middleware) -> Option<(&'static str, &'static str)> {
    match middleware {
        Middleware::AddressFilter(filter) => {
            let key = if filter.allow.is_some() { "`allow`" } else { "`deny`" };
            Some((key, "such clients are not let in: they are answered 503"))
        }
        Middleware::Crowdsec(OnDoubt::Close) => {
            Some(("`crowdsec`", "such clients are not let in: they are answered 503"))
        }
        Middleware::Crowdsec(OnDoubt::Admit) => {
            Some(("`crowdsec`", "such clients are let in, whomever CrowdSec has banned"))
        }
        Middleware::Authentication(login) => {
            let is_of_clients = login.skip.iter().any(SkipRule::is_of_clients);
            is_of_clients.then_some(("`auth.skip`", "such clients log in, whatever addresses it names"))
        }
        Middleware::StripPrefix(_)
        | Middleware::AddPrefix(_)
        | Middleware::Rewrite { .. }
        | Middleware::Redirect { .. }
        | Middleware::UrlRedirect(_)
        | Middleware::PathChange(_)
        | Middleware::RequestHeader(..)
        | Middleware::ResponseHeader(..)
        | Middleware::BodyLimit(_)
        | Middleware::Hsts(_)
        | Middleware::SecureHeaders { .. }
        | Middleware::RateLimit(_)
        | Middleware::ConcurrencyLimit(_)
        | Middleware::Appsec(_)
        | Middleware::Compression(_)
        | Middleware::ErrorPages(_)
        | Middleware::Cors(_)
        | Middleware::AllowedHosts(_)
        | Middleware::ResponseLimit(_)
        | Middleware::Cache(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use gangway_model::{FileRoute, Settings, Snapshot, compile};

    use super::*;

    #[test]
    fn routes_that_ask_for_addresses_are_named_where_clients_have_a_gateways() {
        let user = ("auth.basic", "@friends");
        let routes = [
            ("open", vec![user, ("auth.skip", "/api, method:GET")]),
            ("skips", vec![user, ("auth.skip", "/api, method:GET lan")]),
            ("allows", vec![("allow", "lan"), ("deny", "192.0.2.1")]),
            ("denies", vec![("deny", "192.0.2.1")]),
            ("doubts", vec![("crowdsec", "closed")]),
        ];
        let place = Place::Configuration;
        let file_route = |(name, keys): &(&str, Vec<(&str, &str)>)| {
            let keys = [("host", *name), ("upstream", "http://192.0.2.9:80")].into_iter().chain(keys.iter().copied());
            let keys = keys.map(|(key, value)| (key.into(), value.into(), place.clone())).collect();
            FileRoute { name: (*name).into(), keys, place: place.clone() }
        };
        let settings = Settings {
            file_routes: routes.iter().map(file_route).collect(),
            has_crowdsec: true,
            ..Settings::default()
        };
        let compiled = compile(&Snapshot::default(), &settings);
        assert_eq!(compiled.table.routes().len(), routes.len(), "{}", compiled.diagnostics);
        let found = gateway_speaks([172, 18, 0, 1].into(), &compiled.table);
        let mut named: Vec<_> =
            found.iter().map(|one| (one.code, one.message.split(" asks").next().unwrap_or(""))).collect();
        named.sort();
        assert_eq!(
            named,
            [
                (codes::CLIENTS_OF_GATEWAY, "clients come with the address of a gateway, `172.18.0.1`"),
                (codes::ADDRESSES_OF_GATEWAY, "`allow` of route `allows`"),
                (codes::ADDRESSES_OF_GATEWAY, "`auth.skip` of route `skips`"),
                (codes::ADDRESSES_OF_GATEWAY, "`crowdsec` of route `doubts`"),
                (codes::ADDRESSES_OF_GATEWAY, "`deny` of route `denies`"),
            ]
        );
    }
}
