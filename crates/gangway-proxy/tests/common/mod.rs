//! A data plane in this process, its table written by hand.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod ways;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gangway_crowdsec::{Appsec, AppsecKey, Bouncer, Decisions};
use gangway_model::path::PathPattern;
use gangway_model::{
    Address, Compiled, Endpoint, EndpointKey, Entry, HostHeader, HostPattern, ListenerOptions, Matcher, Middleware,
    Policy, Readiness, Route, RoutingTable, Scheme, SkipRule, Timeouts, TransportSettings, UnknownNames, Upstream,
    rule,
};
use gangway_oidc::{EndedSessions, Providers, SessionEvent};
use gangway_otlp::Tracer;
use gangway_proxy::{
    AccessLogFormat, AccessLogTarget, AppHints, BackgroundTasks, CookieSecret, DataPlane, EndpointTlsSet, GeoDatabases,
    InternalRequest, InternalServices, Limits, ListenerSettings, LoginSources, Metrics, PageLibrary, PlainFallback,
    ProxySettings, Sources, Threading, TrustedProxies, UserLists, Whereabouts,
};
use gangway_publish::{Publisher, channel};
use gangway_testkit::app::{self, App};
use gangway_testkit::client::Client;
use gangway_testkit::crowdsec::BOUNCER_KEY;
use gangway_tls::{CertificateResolver, Demand, InternalCa, Mint, Scope, Store, UnixTime};
use http::{HeaderValue, Response};
use tokio::sync::mpsc;

/// Services of Gangway that say which of them was asked for what.
struct Echoing;

impl InternalServices for Echoing {
    fn answer(&self, request: &InternalRequest<'_>) -> Response<Bytes> {
        Response::new(format!("{} {} {}", request.service, request.method, request.target).into())
    }
}

/// A running data plane and the ends to feed it.
pub(crate) struct Plane {
    pub(crate) plane: DataPlane,
    pub(crate) tables: Publisher<Compiled>,
    pub(crate) store: Publisher<Store>,
    pub(crate) mint: Arc<Mint>,
    pub(crate) whereabouts: Publisher<Whereabouts>,
    pub(crate) user_lists: Publisher<UserLists>,
    pub(crate) endpoint_tls: Publisher<EndpointTlsSet>,
    pub(crate) providers: Publisher<Providers>,
    pub(crate) ended_sessions: Publisher<EndedSessions>,
    pub(crate) session_events: mpsc::Receiver<SessionEvent>,
    pub(crate) geography: Publisher<GeoDatabases>,
    pub(crate) decisions: Publisher<Decisions>,
    pub(crate) appsec_key: Publisher<AppsecKey>,
    pub(crate) pages: Publisher<PageLibrary>,
    pub(crate) ca: InternalCa,
    pub(crate) registry: prometheus::Registry,
    pub(crate) app_hints: AppHints,
}

impl Plane {
    /// Starts one with these settings changed.
    pub(crate) fn start_with(change: impl FnOnce(&mut ProxySettings)) -> Self {
        Self::start(change, None, None, None)
    }

    /// Starts one that asks a web application firewall, with these settings changed.
    pub(crate) fn start_with_appsec(url: &str, change: impl FnOnce(&mut ProxySettings)) -> Self {
        Self::start(change, None, Some(url), None)
    }

    /// Starts one whose spans these take, with these settings changed.
    pub(crate) fn start_with_tracer(tracer: Tracer, change: impl FnOnce(&mut ProxySettings)) -> Self {
        Self::start(change, None, None, Some(tracer))
    }

    fn start(
        change: impl FnOnce(&mut ProxySettings),
        demand: Option<Arc<Demand>>,
        appsec: Option<&str>,
        tracer: Option<Tracer>,
    ) -> Self {
        gangway_tls::install_crypto_provider();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut settings = ProxySettings {
            listeners: vec![ListenerSettings::http(vec![loopback]), ListenerSettings::https(vec![loopback])],
            passed: Vec::new(),
            trusted_proxies: TrustedProxies::default(),
            admin_mark: None,
            public_https_port: None,
            limits: Limits::default(),
            default_certificate: None,
            plain_fallback: PlainFallback::Serve,
            threading: Threading::PerCore(2),
            access_log: AccessLogTarget::Off,
            access_log_format: AccessLogFormat::Text,
            traefik_log: None,
            secret: CookieSecret::none(),
        };
        change(&mut settings);
        let (tables, compiled) = channel(Compiled::default());
        let (store, stores) = channel(Store::default());
        let registry = prometheus::Registry::new();
        let metrics = Metrics::new(&registry).expect("fresh registry");
        let (whereabouts, reader) = channel(Whereabouts::default());
        let (user_lists, lists) = channel(UserLists::default());
        let (endpoint_tls, of_endpoints) = channel(EndpointTlsSet::default());
        let (providers, of_providers) = channel(Providers::default());
        let (ended_sessions, of_ended) = channel(EndedSessions::default());
        let (event_tx, session_events) = mpsc::channel(64);
        let (geography, databases) = channel(GeoDatabases::default());
        let (decisions, of_decisions) = channel(Decisions::default());
        let (mut appsec_key, of_key) = channel(AppsecKey::default());
        appsec_key.publish(Ok(HeaderValue::from_static(BOUNCER_KEY)).into());
        let (pages, library) = channel(PageLibrary::default());
        let mint = Arc::new(Mint::new());
        let certificates = CertificateResolver::new(stores, Arc::clone(&mint), demand);
        let sources = Sources {
            compiled,
            certificates,
            whereabouts: reader,
            logins: LoginSources {
                user_lists: lists,
                providers: of_providers,
                ended_sessions: of_ended,
                session_events: event_tx,
            },
            geography: databases,
            appsec: appsec.map(|url| {
                let bouncer = Bouncer::new(of_decisions.clone()).expect("good names");
                let appsec = Appsec::new(of_key, bouncer).expect("good names");
                appsec.register(&registry).expect("fresh registry");
                (appsec, url.into())
            }),
            bouncer: Some(Bouncer::new(of_decisions).expect("good names")),
            tracer,
            endpoint_tls: of_endpoints,
            pages: library,
            internal: Arc::new(Echoing),
        };
        let (plane, tasks) = gangway_proxy::start(settings, sources, metrics).expect("free ports");
        let BackgroundTasks { mut activator, failure_log, unclaimed_log, overload_manager, app_hints, app_files: _ } =
            tasks;
        supervise(move || activator.run());
        supervise(move || failure_log.run());
        supervise(move || unclaimed_log.run());
        supervise(move || overload_manager.run());
        plane.open();
        let ca = InternalCa::make(&Scope::default(), UnixTime::now()).expect("a CA");
        Self {
            plane,
            tables,
            store,
            mint,
            whereabouts,
            user_lists,
            endpoint_tls,
            providers,
            ended_sessions,
            session_events,
            geography,
            decisions,
            appsec_key,
            pages,
            ca,
            registry,
            app_hints,
        }
    }

    /// Starts one that serves these routes and asks for certificates on demand.
    pub(crate) async fn serving_on_demand(routes: Vec<RouteToServe>, demand: Arc<Demand>) -> Self {
        let mut plane = Self::starting_on_demand(demand);
        plane.serve(routes).await;
        plane
    }

    /// Starts one that has neither routes nor certificates yet.
    pub(crate) fn starting_on_demand(demand: Arc<Demand>) -> Self {
        Self::start(|_| {}, Some(demand), None, None)
    }

    /// Starts one that serves these routes.
    pub(crate) async fn serving(routes: Vec<RouteToServe>) -> Self {
        let mut plane = Self::start_with(|_| {});
        plane.serve(routes).await;
        plane
    }

    /// Puts routes and certificates for their hosts in force and waits until they are.
    pub(crate) async fn serve(&mut self, routes: Vec<RouteToServe>) {
        let bundles = routes
            .iter()
            .map(|route| Arc::new(self.ca.issue(route.host, UnixTime::now()).expect("internal")))
            .collect::<Vec<_>>();
        self.store.publish(Store::new(bundles, UnixTime::now()));
        self.serve_table(routes).await;
    }

    /// Puts routes in force, and waits until they are. Publishes no certificates.
    pub(crate) async fn serve_table(&mut self, routes: Vec<RouteToServe>) {
        self.serve_with_unknown_names(routes, UnknownNames::Refuse).await;
    }

    /// The same, with a treatment of names that no route names.
    pub(crate) async fn serve_with_unknown_names(&mut self, routes: Vec<RouteToServe>, unknown_names: UnknownNames) {
        let entries = routes.into_iter().map(RouteToServe::entry).collect();
        let table = RoutingTable::build(entries).with_unknown_names(unknown_names);
        let generation = self.tables.publish(Compiled { table, ..Compiled::default() });
        gangway_testkit::wait::eventually("the table is in force", Duration::from_secs(5), async || {
            (self.plane.generation() >= generation.count()).then_some(())
        })
        .await;
    }

    /// The sum of a gauge or a counter over its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(prometheus::proto::MetricFamily::get_metric);
        family.map(|metric| metric.get_gauge().get_value() + metric.get_counter().get_value()).sum()
    }

    pub(crate) fn http(&self) -> Client {
        Client::plain(self.plane.listening().plain()[0])
    }

    pub(crate) fn https(&self) -> Client {
        Client::tls(self.plane.listening().tls()[0], self.ca.root_pem()).expect("valid roots")
    }

    /// A client that takes any certificate.
    pub(crate) fn https_unverified(&self) -> Client {
        Client::tls_unverified(self.plane.listening().tls()[0]).expect("no roots are read")
    }
}

/// Runs a task, and again after each panic, as the binary does.
fn supervise<F>(mut task: impl FnMut() -> F + Send + 'static)
where
    F: Future<Output = Infallible> + Send + 'static,
{
    tokio::spawn(async move { while tokio::spawn(task()).await.is_err_and(|error| error.is_panic()) {} });
}

/// A route to be put in force.
pub(crate) struct RouteToServe {
    pub(crate) host: &'static str,
    pub(crate) path: &'static str,
    /// Instead of both; the host is then only what gets a certificate.
    pub(crate) rule: Option<&'static str>,
    pub(crate) endpoints: Vec<(SocketAddr, Scheme, Readiness)>,
    pub(crate) middlewares: Vec<Middleware>,
    pub(crate) change: Box<dyn FnOnce(&mut Route)>,
}

/// A route for a host with one ready endpoint that speaks plain HTTP, without a redirection to https.
pub(crate) fn route(host: &'static str, endpoint: SocketAddr) -> RouteToServe {
    RouteToServe {
        host,
        path: "/",
        rule: None,
        endpoints: vec![(endpoint, Scheme::Http, Readiness::Ready)],
        middlewares: Vec::new(),
        change: Box::new(|_| {}),
    }
}

/// What needs no log-in, by these paths.
pub(crate) fn skip_paths(paths: &[&str]) -> Vec<SkipRule> {
    let path = |path: &&str| PathPattern::parse(path, &mut Vec::new()).expect("a path");
    paths.iter().map(path).map(SkipRule::path).collect()
}

/// A route whose last container has just gone.
pub(crate) fn held(host: &'static str, hold: Duration) -> RouteToServe {
    let mut held = route(host, SocketAddr::from(([127, 0, 0, 1], 1)));
    held.endpoints.clear();
    held.change = Box::new(move |route| {
        let policy = Policy { hold, ..Policy::default() };
        route.upstream = Arc::new(Upstream { held: true, policy, ..Upstream::default() });
    });
    held
}

impl RouteToServe {
    fn entry(self) -> Entry<Arc<Route>> {
        let mut findings = Vec::new();
        let host = HostPattern::parse(self.host, &mut findings).expect("a host");
        let path = PathPattern::parse(self.path, &mut findings).expect("a path");
        let matcher = match self.rule {
            Some(rule) => {
                rule::parse(rule, &mut findings).and_then(|rule| Matcher::from_expression(rule, &mut findings))
            }
            None => Matcher::from_lists(vec![host], vec![path], &mut findings),
        };
        let matcher = matcher.expect("a matcher");
        let id: Box<str> = format!("{}{}", self.host, self.path).into();
        let unverified = Arc::new(TransportSettings::unverified());
        let endpoints = self
            .endpoints
            .into_iter()
            .map(|(address, scheme, readiness)| Endpoint {
                key: EndpointKey {
                    container: address.to_string().into(),
                    address: Address::Ip(address.ip(), address.port()),
                },
                name: format!("app-{}", address.port()).into(),
                scheme,
                transport: Arc::clone(&unverified),
                host: None,
                readiness,
                weight: 1,
                is_of_operator: false,
            })
            .collect();
        let mut route = Route {
            id: id.clone(),
            name: "test".into(),
            rule: matcher.rule().to_string().into(),
            tenant: "".into(),
            origin: Vec::new(),
            is_of_operator: false,
            hosts: matcher.hosts(),
            listener: ListenerOptions::default(),
            middlewares: self.middlewares,
            timeouts: Timeouts::default(),
            host_header: HostHeader::Keep,
            upgrades: Box::default(),
            upstream: Arc::new(Upstream { id: id.clone(), endpoints, ..Upstream::default() }),
            auth_services: Vec::new(),
            page_services: Vec::new(),
            closed: false,
            origins: Box::default(),
            router: None,
            tile: gangway_model::Tile::default(),
        };
        (self.change)(&mut route);
        let scope = route.listener.scope.clone();
        Entry { matcher, scope, priority: 0, age: 0, id, payload: Arc::new(route) }
    }
}

/// An application on a free port.
pub(crate) async fn app(name: &str) -> (SocketAddr, Arc<App>) {
    app::spawn(App::new(name)).await.expect("a free port")
}

/// The memory of this process.
pub(crate) fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a number");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}
