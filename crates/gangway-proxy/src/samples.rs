//! Values for tests and fuzz targets: routes, tables, connections, and the state that requests share.

#![cfg_attr(fuzzing, allow(dead_code, reason = "the fuzz targets need only some of them"))]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use gangway_crowdsec::{Bouncer, Decisions};
use gangway_model::path::PathPattern;
use gangway_model::{
    Address, Compiled, Endpoint, EndpointKey, Entry, HostHeader, HostPattern, ListenerOptions, Matcher, Middleware,
    Readiness, Route, RoutingTable, Scheme, Timeouts, TransportSettings, Upstream,
};
use gangway_oidc::{EndedSessions, Providers};
use gangway_publish::{Publisher, channel};
use gangway_tls::{CertificateResolver, ServerConfigs, Store};
use http::Response;
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::access::gate::AccessControl;
use crate::access::{GeoDatabases, LoginSources, UserLists};
use crate::activation::activated;
use crate::downstream::connection::ClientConnection;
use crate::downstream::listener_profile::ListenerProfile;
use crate::limits::Limits;
use crate::listen_addresses::{ListenAddresses, ListenerSettings};
use crate::log::access_log::AccessLog;
use crate::metrics::Metrics;
use crate::overload::open_connections::OpenConnections;
use crate::pages::library::PageLibrary;
use crate::reply::internal::{InternalRequest, InternalServices};
use crate::serving_table::ActiveTable;
use crate::settings::{AccessLogFormat, AccessLogTarget, PlainFallback, ProxySettings, Threading};
use crate::shared::{PAGE_QUESTIONS_MAX, Shared};
use crate::trusted_proxies::TrustedProxies;
use crate::upstream::connector::ConnectorSettings;
use crate::upstream::sticky::CookieSecret;
use crate::whereabouts::Whereabouts;

/// A host with a route for `/app`.
pub(crate) const HOST: &str = "app.example.org";

/// A host whose route waits for an endpoint.
pub(crate) const OTHER_HOST: &str = "other.example.org";

/// A table with a route for [`HOST`] that has one endpoint, and one for [`OTHER_HOST`] that has none.
pub(crate) fn table(change: impl FnOnce(&mut Route)) -> ActiveTable {
    let mut app = route(HOST, "/app", vec![endpoint()], Vec::new());
    change(&mut app.1);
    table_of([app, route(OTHER_HOST, "/app", Vec::new(), Vec::new())], &metrics())
}

/// A table in which no route waits for an endpoint.
pub(crate) fn whole_table() -> ActiveTable {
    table_of([HOST, OTHER_HOST].map(|host| route(host, "/app", vec![endpoint()], Vec::new())), &metrics())
}

/// A table with a route of [`HOST`] for each of these paths, changed as given. Each has an endpoint.
pub(crate) fn table_of_paths(paths: &[&str], change: impl Fn(&str, &mut Route)) -> ActiveTable {
    let routes = paths.iter().map(|path| {
        let mut of_path = route(HOST, path, vec![endpoint()], Vec::new());
        change(path, &mut of_path.1);
        of_path
    });
    table_of(routes, &metrics())
}

fn metrics() -> Metrics {
    Metrics::new(&prometheus::Registry::new()).expect("fresh registry")
}

fn table_of(routes: impl IntoIterator<Item = (Matcher, Route)>, metrics: &Metrics) -> ActiveTable {
    let entries = routes.into_iter().map(|(matcher, route)| Entry {
        matcher,
        scope: route.listener.scope.clone(),
        priority: 0,
        age: 0,
        id: route.id.clone(),
        payload: Arc::new(route),
    });
    activated(&RoutingTable::build(entries.collect()), metrics)
}

fn endpoint() -> Endpoint {
    let address = Address::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
    Endpoint { transport: Arc::default(), ..endpoint_at(Scheme::Http, address) }
}

/// A ready endpoint whose certificate is not checked.
pub(crate) fn endpoint_at(scheme: Scheme, address: Address) -> Endpoint {
    Endpoint {
        key: EndpointKey { container: "app".into(), address },
        name: "app-1".into(),
        scheme,
        transport: Arc::new(TransportSettings::unverified()),
        host: None,
        readiness: Readiness::Ready,
        weight: 1,
        is_of_operator: false,
    }
}

/// A route for the paths of a host that begin with this one.
pub(crate) fn route(
    host: &str,
    path: &str,
    endpoints: Vec<Endpoint>,
    middlewares: Vec<Middleware>,
) -> (Matcher, Route) {
    let mut findings = Vec::new();
    let host = HostPattern::parse(host, &mut findings).expect("a host");
    let path = PathPattern::parse(path, &mut findings).expect("a path");
    let matcher = Matcher::from_lists(vec![host], vec![path], &mut findings).expect("a matcher");
    let id: Box<str> = matcher.rule().to_string().into();
    let route = Route {
        id: id.clone(),
        name: "app".into(),
        rule: id.clone(),
        tenant: "".into(),
        origin: Vec::new(),
        is_of_operator: false,
        hosts: matcher.hosts(),
        listener: ListenerOptions::default(),
        middlewares,
        timeouts: Timeouts::default(),
        host_header: HostHeader::Keep,
        upgrades: Box::default(),
        upstream: Arc::new(Upstream { id, endpoints, ..Upstream::default() }),
        auth_services: Vec::new(),
        page_services: Vec::new(),
        closed: false,
        origins: Box::default(),
        router: None,
        tile: gangway_model::Tile::default(),
    };
    (matcher, route)
}

/// The listener `https`, or `http`.
pub(crate) fn listener(secure: bool) -> Arc<ListenerProfile> {
    let settings = if secure { ListenerSettings::https(Vec::new()) } else { ListenerSettings::http(Vec::new()) };
    profile(&settings)
}

/// The listener `http`, where these proxies are trusted.
pub(crate) fn listener_trusting(proxies: TrustedProxies) -> Arc<ListenerProfile> {
    profile(&ListenerSettings { trusted_proxies: Some(proxies), ..ListenerSettings::http(Vec::new()) })
}

fn profile(settings: &ListenerSettings) -> Arc<ListenerProfile> {
    let metrics = Metrics::new(&prometheus::Registry::new()).expect("fresh registry");
    ListenerProfile::new(settings, &TrustedProxies::default(), &metrics)
}

/// A connection to [`HOST`] by https, or by plain HTTP.
pub(crate) fn connection(secure: bool) -> ClientConnection {
    let mut connection = ClientConnection::new(SocketAddr::from(([192, 0, 2, 7], 5000)), listener(secure));
    connection.secure = secure;
    connection.sni = secure.then(|| HOST.into());
    connection
}

/// Services of Gangway that say by which name they were asked.
#[derive(Debug)]
pub(crate) struct SampleServices;

impl InternalServices for SampleServices {
    fn answer(&self, request: &InternalRequest<'_>) -> Response<Bytes> {
        Response::new(format!("{} {}", request.service, request.target).into())
    }
}

/// The state that requests share, and the ends to feed it.
pub(crate) struct SampleState {
    pub(crate) shared: Shared,
    pub(crate) tables: Publisher<ActiveTable>,
    registry: prometheus::Registry,
    _compiled: Publisher<Compiled>,
    _store: Publisher<Store>,
    _whereabouts: Publisher<Whereabouts>,
    _user_lists: Publisher<UserLists>,
    _providers: Publisher<Providers>,
    _ended_sessions: Publisher<EndedSessions>,
    _geography: Publisher<GeoDatabases>,
    _decisions: Publisher<Decisions>,
    _pages: Publisher<PageLibrary>,
}

impl SampleState {
    /// A state before its first table.
    pub(crate) fn new() -> Self {
        gangway_tls::install_crypto_provider();
        let registry = prometheus::Registry::new();
        let metrics = Metrics::new(&registry).expect("fresh registry");
        let (tables, tables_in_force) = channel(ActiveTable::default());
        let (compiled, last_compiled) = channel(Compiled::default());
        let (store, stores) = channel(Store::default());
        let (user_lists, lists) = channel(UserLists::default());
        let (providers, last_providers) = channel(Providers::default());
        let (ended_sessions, last_ended) = channel(EndedSessions::default());
        let (geography, databases) = channel(GeoDatabases::default());
        let (decisions, last_decisions) = channel(Decisions::default());
        let bouncer = Bouncer::new(last_decisions).expect("good names");
        let (pages, last_pages) = channel(PageLibrary::default());
        let (whereabouts, last_whereabouts) = channel(Whereabouts::default());
        let certificates = CertificateResolver::of_store(stores);
        let dropped = metrics.access_log_dropped.clone();
        let access_log = AccessLog::start(&AccessLogTarget::Off, AccessLogFormat::Text, dropped);
        let shared = Shared {
            settings: Arc::new(settings()),
            tables: tables_in_force,
            tls: Arc::new(ServerConfigs::new(certificates.clone(), None)),
            certificates,
            metrics: Arc::new(metrics),
            access_log: access_log.expect("nothing is opened"),
            listening: channel(ListenAddresses::default()).1,
            shutting_down: Arc::new(AtomicBool::new(false)),
            waiters: Arc::default(),
            whereabouts: last_whereabouts,
            gateway_seen: Arc::new(OnceLock::new()),
            suspects: Arc::default(),
            compiled: last_compiled,
            failures: Arc::new(Notify::new()),
            refused: Arc::default(),
            tracer: None,
            unclaimed: Arc::default(),
            overload: crate::overload::Overload::new(&Limits::default()),
            access: Arc::new(AccessControl::new(
                LoginSources {
                    user_lists: lists,
                    providers: last_providers,
                    ended_sessions: last_ended,
                    session_events: mpsc::channel(1).0,
                },
                None,
            )),
            geography: databases,
            bouncer: Some(bouncer),
            pages: last_pages,
            internal: Arc::new(SampleServices),
            page_questions: Arc::new(Semaphore::new(PAGE_QUESTIONS_MAX)),
            connector: ConnectorSettings::new(&Limits::default(), OpenConnections::default()),
        };
        Self {
            shared,
            tables,
            registry,
            _compiled: compiled,
            _store: store,
            _whereabouts: whereabouts,
            _user_lists: user_lists,
            _providers: providers,
            _ended_sessions: ended_sessions,
            _geography: geography,
            _decisions: decisions,
            _pages: pages,
        }
    }

    /// Puts routes in force.
    pub(crate) fn serve(&mut self, routes: impl IntoIterator<Item = (Matcher, Route)>) {
        self.tables.publish(table_of(routes, &self.shared.metrics));
    }

    /// The sum of a gauge or a counter over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().filter(|family| family.name() == name);
        let values = family.flat_map(prometheus::proto::MetricFamily::get_metric);
        values.map(|metric| metric.get_gauge().get_value() + metric.get_counter().get_value()).sum()
    }
}

pub(crate) fn settings() -> ProxySettings {
    ProxySettings {
        listeners: Vec::new(),
        passed: Vec::new(),
        trusted_proxies: TrustedProxies::default(),
        admin_mark: None,
        public_https_port: None,
        limits: Limits::default(),
        default_certificate: None,
        plain_fallback: PlainFallback::Serve,
        threading: Threading::PerCore(1),
        access_log: AccessLogTarget::Off,
        access_log_format: AccessLogFormat::Text,
        traefik_log: None,
        secret: CookieSecret::none(),
    }
}

/// Lets time pass on a clock that is paused, which takes no time: the tasks of a test run in between.
pub(crate) async fn pass(time: std::time::Duration) {
    tokio::time::sleep(time).await;
}
