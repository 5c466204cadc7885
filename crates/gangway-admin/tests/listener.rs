//! The admin listener over a real socket, with an instance that the test controls.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gangway_admin::{
    Admin, AdminSettings, CertificatesState, EndpointActivity, EventSink, Instance, InstancePhase, RequestCount,
    Sources, api,
};
use gangway_diagnostic::{Code, Diagnostic, FilePosition, Place, Severity, Span, codes};
use gangway_model::{
    Attachment, ClientPlace, Compiled, Container, ContainerState, CountryCode, Ended, EndpointKey, ExposedPort,
    FileRoute, Geography, Judgement, ListenerProtocol, Located, PublicPorts, Reputation, Settings, Snapshot, compile,
};
use gangway_publish::{Publisher, channel};
use gangway_testkit::client::{Answer, Client};
use gangway_testkit::wait::eventually;
use gangway_tls::{CertificateResolver, Origin, Store, UnixTime};
use http::HeaderValue;
use prometheus::{IntCounter, Registry};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// An instance that the test controls.
#[derive(Default)]
struct Fake {
    ready: AtomicBool,
    states: std::sync::Mutex<HashMap<EndpointKey, EndpointActivity>>,
    refuses_plain: AtomicBool,
    /// Nothing is found any more.
    is_mended: AtomicBool,
    tls_is_shut: AtomicBool,
    /// The number of requests that the first route has had.
    requests: std::sync::atomic::AtomicU64,
    ports: std::sync::Mutex<PublicPorts>,
}

/// What our own proxy marks requests with that a route of the operator brings.
const MARK: &str = "0123456789abcdef";

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

impl Geography for Fake {
    fn country(&self, _: IpAddr) -> Located<CountryCode> {
        Located::Unknown
    }

    fn autonomous_system(&self, _: IpAddr) -> Located<u32> {
        Located::Unknown
    }
}

impl Reputation for Fake {
    fn judge(&self, _: &ClientPlace<'_>) -> Judgement {
        Judgement::Unknown
    }
}

impl Instance for Fake {
    fn phase(&self) -> InstancePhase {
        if self.ready.load(Ordering::Relaxed) { InstancePhase::Serving } else { InstancePhase::Starting }
    }

    fn listening(&self) -> Vec<api::ListenerView> {
        let view = |name: &str, protocol, port: u16| api::ListenerView {
            name: name.to_owned(),
            protocol,
            addresses: if self.tls_is_shut.load(Ordering::Relaxed) && protocol == ListenerProtocol::Tls {
                Vec::new()
            } else {
                vec![format!("[::]:{port}")]
            },
            port: Some(port),
        };
        let (plain, tls) = (ListenerProtocol::Plain, ListenerProtocol::Tls);
        vec![view("http", plain, 80), view("https", tls, 443), view("internal", plain, 8080)]
    }

    fn public_ports(&self) -> PublicPorts {
        *self.ports.lock().unwrap()
    }

    fn engines(&self) -> Vec<api::EngineView> {
        let trouble = Some("read the container list: connection refused".to_owned());
        let url = "tcp://user:hunter2@engine:2375".to_owned();
        let engine = api::EngineView { name: "docker".into(), url, trouble, ..api::EngineView::default() };
        let events = [("die", 4), ("other", 0)].map(|(action, count)| (action.to_owned(), count)).into();
        vec![api::EngineView { containers: 3, reads: 7, failures: 2, events, ..engine }]
    }

    fn config(&self) -> Option<api::ConfigFileView> {
        Some(api::ConfigFileView { file: "gangway.toml".into(), in_force: false })
    }

    fn certificates(&self) -> CertificatesState {
        let named = |name: &str| api::CertificateView { name: name.into(), ..api::CertificateView::default() };
        let ours = |name: &str| api::CertificateView { issuer: "Gangway internal CA".into(), ..named(name) };
        let shop = |not_after: UnixTime| {
            let shop = api::CertificateView { serial: "5f".into(), ..ours("shop.test") };
            shop.with_origin(Some(&Origin::Folder("shop.crt".into()))).with_validity(UnixTime::EPOCH, not_after, NOW)
        };
        let trouble = Some("no authority was asked yet".into());
        let missing = api::CertificateView { trouble, ..named("missing.test") };
        let unasked = ours("unasked.test").with_origin(Some(&Origin::Internal)).with_validity(
            UnixTime::EPOCH,
            UnixTime::EPOCH,
            NOW,
        );
        CertificatesState {
            list: vec![shop(NOW + Duration::from_hours(1)), shop(NOW + Duration::from_hours(2)), missing, unasked],
            degraded: true,
            internal_root: Some("PEM".into()),
            issuers: Vec::new(),
            on_demand: Some(gangway_tls::DemandCounts { refused: 7, ..Default::default() }),
        }
    }

    fn diagnostics(&self) -> Vec<Diagnostic> {
        if self.is_mended.load(Ordering::Relaxed) {
            return Vec::new();
        }
        vec![Diagnostic {
            code: Code(902),
            severity: Severity::Warning,
            message: "unusable entry `bob:hunter2`".into(),
            place: Place::ConfigFile {
                key: Some("routes.shop.auth.basic".into()),
                at: FilePosition { file: "gangway.toml".into(), line: 3, column: 9 },
            },
            text: "bob:hunter2".into(),
            span: Span { start: 4, end: 11 },
            note: "no hash".into(),
            help: "`gangway hash` makes one".into(),
            effect: "the route is closed".into(),
        }]
    }

    fn endpoints(&self) -> HashMap<EndpointKey, EndpointActivity> {
        self.states.lock().unwrap().clone()
    }

    fn task_restarts(&self) -> u64 {
        5
    }

    fn refuses_plain(&self) -> bool {
        self.refuses_plain.load(Ordering::Relaxed)
    }

    fn requests(&self, _: &str) -> api::RequestsResponse {
        let request = |number| api::RequestView { number, path: format!("/{number}"), ..api::RequestView::default() };
        let count = self.requests.load(Ordering::Relaxed);
        api::RequestsResponse { route: None, requests: (1..=count).rev().map(request).collect() }
    }

    fn latest_requests(&self, max: usize) -> api::RequestsResponse {
        let mut latest = self.requests("");
        latest.requests.truncate(max);
        latest
    }

    fn request_counts(&self) -> Vec<(Arc<str>, RequestCount)> {
        let number = self.requests.load(Ordering::Relaxed);
        vec![("@file/shop".into(), RequestCount { number, ended: number })]
    }

    fn figures(&self) -> api::FiguresResponse {
        let busy = |route: &str, per_second| api::FiguresView {
            route: route.to_owned(),
            per_second,
            hour: vec![api::PointView::default(); 60],
            ..api::FiguresView::default()
        };
        api::FiguresResponse { at: "now".into(), routes: vec![busy("@file/shop", 7.0), busy("@file/old", 0.0)] }
    }

    fn now(&self) -> UnixTime {
        NOW
    }
}

struct Running {
    address: SocketAddr,
    fake: Arc<Fake>,
    tables: Publisher<Compiled>,
    store: Publisher<Store>,
    events: EventSink,
    serving: tokio::task::AbortHandle,
}

async fn start() -> Running {
    let (tables, compiled) = channel(Compiled::default());
    let (store_tx, store) = channel(Store::default());
    let certificates = CertificateResolver::of_store(store);
    let registry = Registry::new();
    registry.register(Box::new(IntCounter::new("gangway_test_total", "For the test.").unwrap())).unwrap();
    let fake = Arc::new(Fake::default());
    let events = EventSink::default();
    let sources = Sources {
        has_traefiks_names: false,
        events: events.clone(),
        compiled,
        certificates,
        registry,
        instance: fake.clone(),
        started: NOW - Duration::from_mins(1),
        version: "9.9.9",
    };
    let settings = AdminSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        passed: None,
        names: vec!["machine".into()],
        mark: Some(HeaderValue::from_static(MARK)),
    };
    let feed = sources.clone();
    let admin = Admin::bind(settings, sources).await.unwrap();
    let address = admin.address();
    tokio::spawn(gangway_admin::feed_events(feed));
    let serving = tokio::spawn(async move { admin.serve().await });
    Running { address, fake, tables, store: store_tx, events, serving: serving.abort_handle() }
}

fn place(key: &str) -> Place {
    let at = FilePosition { file: "gangway.toml".into(), line: 1, column: 1 };
    Place::ConfigFile { key: Some(key.into()), at }
}

fn route(name: &str, keys: &[(&str, &str)]) -> FileRoute {
    let keys = keys.iter().map(|(key, value)| ((*key).into(), (*value).into(), place(key)));
    FileRoute { name: name.into(), keys: keys.collect(), place: place(name) }
}

fn container(name: &str, state: ContainerState, labels: &[(&str, &str)]) -> Container {
    let ended = (state == ContainerState::Exited).then_some(Ended { code: Some(1), at: Some(NOW.seconds() - 300) });
    let ports = vec![ExposedPort { port: 80, published: None }];
    Container { state, ended, ports, ..Container::named(name).with_labels(labels) }
}

impl Running {
    /// Puts a table of these file routes in force.
    fn publish(&mut self, file_routes: Vec<FileRoute>) {
        let compiled = compile(&Snapshot::default(), &Settings { file_routes, ..Settings::default() });
        let found: Vec<String> = compiled.diagnostics.iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{found:?}");
        let endpoints = compiled.table.routes().iter().flat_map(|route| route.upstream.endpoints.iter());
        let now = EndpointActivity { under_way: 4, ..EndpointActivity::default() };
        *self.fake.states.lock().unwrap() = endpoints.map(|endpoint| (endpoint.key.clone(), now.clone())).collect();
        self.tables.publish(compiled);
        self.fake.ready.store(true, Ordering::Relaxed);
    }

    async fn get(&self, path: &str) -> Answer {
        Client::plain(self.address).get(&self.address.to_string(), path).await.unwrap()
    }

    async fn api<T: DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.get(&format!("/api/v1/{path}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"), "{path}");
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn shop(&mut self) {
        let shop = route(
            "shop",
            &[
                ("host", "shop.test"),
                ("path", "/shop"),
                ("strip-prefix", "true"),
                ("upstream", "http://192.0.2.9:5006"),
                ("request.header.X-Api-Key", "hunter2"),
                ("response.header.X-Robots-Tag", "noindex"),
            ],
        );
        let old = route("old", &[("host", "old.test"), ("redirect", "302 https://shop.test{path}")]);
        self.publish(vec![shop, old]);
    }
}

#[tokio::test]
async fn alive_at_once_and_ready_with_the_first_table() {
    let mut running = start().await;
    let health = running.get("/healthz").await;
    assert_eq!(health.status, 200, "degraded is not dead");
    let reasons = "engine docker: read the container list: connection refused\nthe volume cannot be written\n";
    assert_eq!(String::from_utf8_lossy(&health.body), format!("degraded\n{reasons}"));
    assert_eq!(running.get("/readyz").await.status, 503);
    let status: api::StatusResponse = running.api("status").await;
    assert_eq!((status.phase.as_str(), status.ready, status.generation), ("starting", false, 0));
    let explained: api::ExplainResponse = running.api("explain?url=https://shop.test/").await;
    assert_eq!(
        explained.outcome,
        "503 not-ready: no table is in force yet; engine docker cannot be read: failed to read the container list: \
         connection refused"
    );
    running.shop();
    assert_eq!(running.get("/readyz").await.status, 200);
    let status: api::StatusResponse = running.api("status").await;
    assert_eq!((status.ready, status.generation, status.routes, status.endpoints_ready), (true, 1, 2, 1));
    assert_eq!((status.warnings, status.certificates, status.task_restarts), (1, 4, 5));
    assert_eq!(
        (status.started.as_str(), status.listening.admin),
        ("2027-01-15T07:59:00Z", running.address.to_string())
    );
}

#[tokio::test]
async fn nothing_can_be_changed_and_unknown_paths_are_named() {
    let running = start().await;
    let client = Client::plain(running.address);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let mut connection = client.connect(&running.address.to_string()).await.unwrap();
        let answer = connection.ask(method, "/api/v1/routes", &[], "x").await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    let missing = running.get("/api/v2/routes").await;
    assert_eq!(missing.status, 404);
    let failure: api::ErrorResponse = serde_json::from_slice(&missing.body).unwrap();
    assert!(!failure.error.is_empty() && !failure.help.is_empty());
    let head = format!("HEAD /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", running.address);
    let head = client.raw("x", head.as_bytes()).await.unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("content-length: 97") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn a_foreign_host_is_refused_unless_a_route_of_the_file_leads_here() {
    let mut running = start().await;
    let client = Client::plain(running.address);
    let port = running.address.port();
    for host in ["localhost", "gangway", "machine", &format!("127.0.0.1:{port}"), "[::1]"] {
        assert_eq!(client.get(host, "/healthz").await.unwrap().status, 200, "{host}");
    }
    for host in ["evil.example", "192.0.2.1", "localhost.evil.example", "admin.example.org"] {
        for path in ["/healthz", "/metrics", "/api/v1/status", "/"] {
            assert_eq!(client.get(host, path).await.unwrap().status, 421, "{host}{path}");
        }
    }
    for head in ["GET /healthz HTTP/1.1\r\n\r\n", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"]
    {
        let answer =
            client.raw("x", head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 421") || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let upstream = format!("http://127.0.0.1:{port}");
    running.publish(vec![
        route("admin", &[("host", "admin.example.org"), ("upstream", &upstream)]),
        route("all", &[("host", "*"), ("upstream", &upstream)]),
        route("other", &[("host", "other.example.org"), ("upstream", "http://127.0.0.1:1")]),
    ]);
    assert_eq!(client.get("admin.example.org", "/healthz").await.unwrap().status, 200);
    for host in ["other.example.org", "evil.example"] {
        assert_eq!(client.get(host, "/healthz").await.unwrap().status, 421, "{host}");
    }
}

#[tokio::test]
async fn what_a_proxy_brings_is_answered_only_with_the_mark_of_a_route_of_the_operator() {
    let mut running = start().await;
    let client = Client::plain(running.address);
    let upstream = format!("http://127.0.0.1:{}", running.address.port());
    running.publish(vec![route("admin", &[("host", "admin.example.org"), ("upstream", &upstream)])]);
    let ask = async |host: &str, fields: &[(&str, &str)]| {
        let mut connection = client.connect(host).await.unwrap();
        connection.ask("GET", "/api/v1/status", fields, "").await.unwrap().status
    };
    for host in ["localhost", "admin.example.org"] {
        for public in ["admin.example.org:443", "app.example.org", "localhost", "127.0.0.1", "not a host"] {
            let brought = ("x-forwarded-host", public);
            assert_eq!(ask(host, &[brought, ("gangway-admin-mark", MARK)]).await, 200, "{host} {public}");
            // As if a label made a proxy send a `Host` that is allowed here.
            for mark in ["", "x", "none"] {
                assert_eq!(ask(host, &[brought, ("gangway-admin-mark", mark)]).await, 421, "{host} {public} {mark}");
            }
            assert_eq!(ask(host, &[brought]).await, 421, "{host} {public}");
        }
    }
    // As if a label named this listener as a service that has pages or knows users.
    let mut connection = client.connect("localhost").await.unwrap();
    for (seen, status) in [("gangway-0123456789abcdef-pages", 421), ("edge, gangway-x-auth", 421), ("edge", 200)] {
        let answer = connection.ask("GET", "/api/v1/status", &[("cdn-loop", seen)], "").await.unwrap();
        assert_eq!(answer.status, status, "{seen}");
    }
}

#[tokio::test]
async fn routes_are_told_with_their_endpoints_and_no_secret() {
    let mut running = start().await;
    running.shop();
    let routes: api::RoutesResponse = running.api("routes").await;
    let shop = routes.routes.iter().find(|route| route.name == "shop").unwrap();
    assert_eq!((shop.hosts.as_slice(), shop.closed, shop.tls.as_str()), (&["shop.test".to_owned()][..], false, "auto"));
    let [endpoint] = shop.endpoints.as_slice() else { panic!("{shop:?}") };
    assert_eq!((endpoint.address.as_str(), endpoint.state.as_str()), ("192.0.2.9:5006", "ready"));
    assert_eq!(endpoint.under_way, Some(4));
    let steps = shop.middlewares.join("\n");
    assert!(steps.contains("strip-prefix /shop") && steps.contains("X-Robots-Tag = noindex"), "{steps}");
    for path in
        ["status", "routes", "containers", "certificates", "diagnostics", "explain?url=https://shop.test/shop/x"]
    {
        let text = running.get(&format!("/api/v1/{path}")).await.text();
        assert!(!text.contains("hunter2"), "{path} shows a secret: {text}");
    }
    let diagnostics: api::DiagnosticsResponse = running.api("diagnostics").await;
    let [one] = diagnostics.diagnostics.as_slice() else { panic!("{diagnostics:?}") };
    assert_eq!((one.code.as_str(), one.line, one.text.as_deref()), ("G902", Some(3), Some("***")));
    assert!(one.shown.contains("gangway.toml:3:9"), "{}", one.shown);
}

#[tokio::test]
async fn notes_are_no_warnings() {
    let mut running = start().await;
    let note = Diagnostic::note(codes::SKIPPED_BY_PRESET, Place::Configuration, "`preset` opens `/api`");
    running.tables.publish(Compiled { diagnostics: [note].into_iter().collect(), ..Compiled::default() });
    let status: api::StatusResponse = running.api("status").await;
    assert_eq!((status.errors, status.warnings), (0, 1), "the one of the settings");
    let listed: api::DiagnosticsResponse = running.api("diagnostics").await;
    assert!(listed.diagnostics.iter().any(|found| found.severity == "note"), "{listed:?}");
}

#[tokio::test]
async fn how_a_host_that_waits_for_its_certificate_is_served_is_explained() {
    let mut running = start().await;
    running.shop();
    let placeholder = gangway_tls::Placeholders::new().unwrap().bundle("shop.test", NOW).unwrap();
    running.store.publish(Store::new([Arc::new(placeholder)], NOW));
    for scheme in ["http", "https"] {
        let explained: api::ExplainResponse = running.api(&format!("explain?url={scheme}://shop.test/shop/x")).await;
        assert_eq!(
            explained.outcome,
            "served by `http://192.0.2.9:5006`; no certificate yet: plain HTTP is answered in the clear; the https \
             placeholder is self-signed"
        );
    }
    running.fake.refuses_plain.store(true, Ordering::Relaxed);
    let explained: api::ExplainResponse = running.api("explain?url=http://shop.test/shop/x").await;
    assert!(explained.outcome.starts_with("503 no-certificate"), "{}", explained.outcome);
    let explained: api::ExplainResponse = running.api("explain?url=https://shop.test/shop/x").await;
    assert!(explained.outcome.contains("plain HTTP is refused"), "{}", explained.outcome);
    let told: api::DiagnosticsResponse = running.api("diagnostics").await;
    assert_eq!(told.diagnostics[0].title, "unusable value of a global setting");
}

#[tokio::test]
async fn a_route_behind_a_protection_is_not_said_to_be_served_without_it() {
    let mut running = start().await;
    let protected = |name: &str, keys: &[(&str, &str)]| {
        let host = format!("{name}.test");
        let own = [("host", &*host), ("upstream", "http://192.0.2.9:5006"), ("https-redirect", "false")];
        route(name, &[&own, keys].concat())
    };
    running.publish(vec![
        protected("forward", &[("auth.forward", "http://192.0.2.8:9091/check?token=hunter2"), ("auth.skip", "/api")]),
        protected("basic", &[("auth.basic", "@friends"), ("auth.skip", "/api, 10.0.0.0/8")]),
        protected("lan", &[("allow", "lan"), ("auth.basic", "@friends")]),
        protected("moved", &[("redirect", "https://new.test/"), ("auth.basic", "@friends")]),
    ]);
    let served = "served by `http://192.0.2.9:5006`";
    for (asked, outcome) in [
        (
            "https://forward.test/",
            format!(
                "{served}, if log-in service `http://192.0.2.8:9091/check?token=***` lets it in; else as that answers"
            ),
        ),
        ("https://forward.test/api/x", served.to_owned()),
        ("https://basic.test/", format!("401 unauthorized: a name and a password are asked for; with them, {served}")),
        (
            "https://basic.test/&header=Authorization:Basic+x",
            format!("{served}, if name and password are right; else 401 unauthorized"),
        ),
        ("https://basic.test/api", served.to_owned()),
        ("https://basic.test/api&from=10.1.2.3", served.to_owned()),
        (
            "https://basic.test/&from=10.1.2.3",
            format!(
                "{served}, if 10.1.2.3 is certain to be the client's address, not an unnamed proxy's or a gateway's; else \
                 401 unauthorized: a name and a password are asked for; with them, {served}"
            ),
        ),
        (
            "https://lan.test/&from=203.0.113.7",
            "403 forbidden: 203.0.113.7 may not come in, for `allow` does not name it".to_owned(),
        ),
        ("https://moved.test/", "302: redirected to https://new.test/".to_owned()),
    ] {
        let answer = running.get(&format!("/api/v1/explain?url={asked}")).await;
        let explained: api::ExplainResponse = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(explained.outcome, outcome, "{asked}");
        assert!(!answer.text().contains("hunter2"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_request_is_explained_down_to_what_becomes_of_it() {
    let mut running = start().await;
    running.shop();
    let explained: api::ExplainResponse =
        running.api("explain?url=https://shop.test/shop/x&method=POST&from=192.0.2.7").await;
    assert_eq!(explained.route.as_ref().map(|route| route.name.as_str()), Some("shop"));
    assert!(explained.outcome.starts_with("served by"), "{}", explained.outcome);
    assert_eq!((explained.request.method.as_str(), explained.request.from.as_str()), ("POST", "192.0.2.7"));
    let explained: api::ExplainResponse = running.api("explain?url=http://shop.test/shop").await;
    assert_eq!(explained.outcome, "308: redirected to https://shop.test/shop");
    *running.fake.ports.lock().unwrap() = PublicPorts { http: 18080, https: 18443 };
    let explained: api::ExplainResponse = running.api("explain?url=http://shop.test/shop?a").await;
    assert_eq!(explained.request.url, "http://shop.test:18080/shop?a");
    assert_eq!(explained.outcome, "308: redirected to https://shop.test:18443/shop?a");
    running.fake.tls_is_shut.store(true, Ordering::Relaxed);
    let explained: api::ExplainResponse = running.api("explain?url=http://shop.test/shop").await;
    assert_eq!(explained.outcome, "308: redirected to https://shop.test:18443/shop, but listener `https` is not open");
    running.fake.tls_is_shut.store(false, Ordering::Relaxed);
    let explained: api::ExplainResponse = running.api("explain?url=shop.test").await;
    assert_eq!(explained.request.url, "https://shop.test:18443/");
    let explained: api::ExplainResponse = running.api("explain?url=https://old.test/x").await;
    assert_eq!(explained.outcome, "302: redirected to https://shop.test/x");
    let explained: api::ExplainResponse = running.api("explain?url=https://shop.test/shop%3Fa%3Db").await;
    assert_eq!(explained.outcome, "308: redirected to /shop/?a=b");
    let explained: api::ExplainResponse = running.api("explain?url=https://shop.test/elsewhere").await;
    assert!(explained.route.is_none() && explained.outcome.starts_with("404"), "{explained:?}");
    assert!(explained.considered[0].rule.contains("/shop"), "{explained:?}");
    let explained: api::ExplainResponse = running.api("explain?url=https://shp.test/").await;
    assert!(explained.nearest[0].why.contains("shop.test"), "{explained:?}");
    for (upgrade, outcome) in [
        ("websocket", ""),
        ("DERP", "; `Upgrade: DERP` is removed: no label names the protocol; `gangway.upgrade` allows it"),
        ("h2c", "; `Upgrade: h2c` is removed: it carries further requests, which nothing would check"),
    ] {
        let asked = format!("explain?url=https://shop.test/shop&header=Upgrade:{upgrade}");
        let explained: api::ExplainResponse = running.api(&asked).await;
        assert_eq!(
            explained.outcome,
            format!("served by `http://192.0.2.9:5006`{outcome}"),
            "no redirect to the slash"
        );
    }
    let refused = running.get("/api/v1/explain?url=https://shop.test/&from=nobody").await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("nobody"), "{}", refused.text());
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_connected_to_is_ejected_and_says_why() {
    let mut running = start().await;
    running.shop();
    for now in running.fake.states.lock().unwrap().values_mut() {
        (now.is_ejected, now.trouble) = (true, Some("connection refused".into()));
    }
    let explained: api::ExplainResponse = running.api("explain?url=https://shop.test/shop/x").await;
    let endpoint = &explained.route.unwrap().endpoints[0];
    assert_eq!((endpoint.state.as_str(), endpoint.trouble.as_deref()), ("ejected", Some("connection refused")));
    assert!(explained.outcome.contains("502") && explained.outcome.contains("refused"), "{}", explained.outcome);
}

#[tokio::test]
async fn a_host_that_nobody_serves_is_looked_for_in_all_labels_and_nothing_else_is_told() {
    let mut running = start().await;
    let stopped = container("notes-1", ContainerState::Exited, &[("gangway.host", "notes.test")]);
    let other = container("other-1", ContainerState::Running, &[("traefik.http.routers.x.rule", "Host(`notes.test`)")]);
    // Without a network: an error about each container.
    let unrelated = container("far-1", ContainerState::Running, &[("gangway.host", "far.test")]);
    let snapshot = Snapshot { containers: vec![stopped, other, unrelated], ..Snapshot::default() };
    running.tables.publish(compile(&snapshot, &Settings::default()));
    running.fake.ready.store(true, Ordering::Relaxed);
    let explained: api::ExplainResponse = running.api("explain?url=https://notes.test/").await;
    let named: Vec<_> = explained.named.iter().map(|named| (&*named.container, &*named.label)).collect();
    assert_eq!(named, [("notes-1", "gangway.host"), ("other-1", "traefik.http.routers.x.rule")]);
    assert!(explained.outcome.contains("has been stopped for 5 minutes (exit code 1)"), "{}", explained.outcome);
    assert_eq!((explained.nearest.len(), explained.diagnostics.len()), (0, 0), "{explained:#?}");
    let explained: api::ExplainResponse = running.api("explain?url=https://far.test/").await;
    assert_eq!(explained.outcome, "503 no-endpoint: `far-1`: it is on no network");
}

#[tokio::test]
async fn a_route_of_the_file_is_explained_with_what_is_wrong_with_it() {
    let mut running = start().await;
    let file_routes =
        vec![route("c", &[("priority", "1")]), route("nas", &[("host", "nas.test"), ("upstream", "192.0.2.9:5006")])];
    let file_routes = file_routes.into_iter().map(|mut route| {
        route.place = place(&format!("routes.{}", route.name));
        for (key, _, of_key) in &mut route.keys {
            *of_key = place(&format!("routes.{}.{key}", route.name));
        }
        route
    });
    let settings = Settings { file_routes: file_routes.collect(), ..Settings::default() };
    running.tables.publish(compile(&Snapshot::default(), &settings));
    running.fake.ready.store(true, Ordering::Relaxed);
    for (url, code) in [("https://c.localhost/", "G201"), ("https://nas.test/", "G202")] {
        let explained: api::ExplainResponse = running.api(&format!("explain?url={url}")).await;
        let codes: Vec<_> = explained.diagnostics.iter().map(|found| &*found.code).collect();
        assert_eq!(codes, [code], "{url}: {explained:#?}");
    }
}

#[tokio::test]
async fn each_route_of_a_container_is_explained_by_itself() {
    let mut running = start().await;
    let labels = [
        ("gangway.routes.site.host", "a.test"),
        ("gangway.routes.www.host", "www.a.test"),
        ("gangway.routes.www.redirect", "308 https://a.test{path}"),
    ];
    let attachment = Attachment { network_id: "e".into(), network: "edge".into(), address: "172.20.0.3".parse().ok() };
    let site = Container { attachments: vec![attachment], ..container("site-1", ContainerState::Running, &labels) };
    let snapshot = Snapshot { containers: vec![site], ..Snapshot::default() };
    running.tables.publish(compile(&snapshot, &Settings::default()));
    running.fake.ready.store(true, Ordering::Relaxed);
    let explained: api::ExplainResponse = running.api("explain?url=https://a.test/").await;
    assert_eq!(explained.containers[0].reason, "172.20.0.3:80, the only exposed port, on network edge");
    let explained: api::ExplainResponse = running.api("explain?url=https://www.a.test/x").await;
    assert_eq!(explained.containers[0].reason, "it answers with a redirection");
    assert_eq!(explained.outcome, "308: redirected to https://a.test/x");
}

#[tokio::test]
async fn metrics_are_in_the_form_that_scrapers_read() {
    let mut running = start().await;
    running.shop();
    let text = running.get("/metrics").await.text();
    for line in [
        "gangway_test_total 0",
        "gangway_build_info{version=\"9.9.9\"} 1",
        "gangway_ready 1",
        "gangway_table_generation 1",
        "gangway_routes 2",
        "gangway_config_in_force 0",
        "gangway_diagnostics{code=\"G902\",severity=\"warning\"} 1",
        "gangway_engine_up{engine=\"docker\"} 0",
        "gangway_engine_reads_total{engine=\"docker\"} 7",
        "gangway_engine_events_total{engine=\"docker\",action=\"die\"} 4",
        "gangway_engine_events_total{engine=\"docker\",action=\"other\"} 0",
        "gangway_certificate_expiry_seconds{name=\"shop.test\",origin=\"folder\"} 1800007200",
        "gangway_on_demand_total{outcome=\"refused\"} 7",
        "gangway_certificates_in_trouble 1",
        "gangway_volume_degraded 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
    assert!(!text.contains("unasked.test"), "what was not made yet has no end");
    let mut series = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(series.insert(name), "{name} is there twice");
        value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
    }
    assert!(text.contains("process_resident_memory_bytes"));
}

// The clock is paused, and advances while all tasks wait.
#[tokio::test(start_paused = true)]
async fn who_sends_no_request_does_not_keep_others_out() {
    let running = start().await;
    let mut silent = Vec::new();
    for _ in 0..80 {
        silent.push(tokio::net::TcpStream::connect(running.address).await.unwrap());
    }
    // More connections than the listener takes. They are closed after the time for a head.
    eventually("somebody who asks is answered", Duration::from_secs(60), async || {
        let client = Client::plain(running.address);
        let asked = tokio::time::timeout(Duration::from_secs(5), client.get("localhost", "/healthz")).await;
        asked.ok()?.ok().filter(|answer| answer.status == 200).map(drop)
    })
    .await;
}

/// A client that listens to events.
struct Listening {
    stream: tokio::net::TcpStream,
    heard: String,
}

impl Listening {
    async fn to(running: &Running, path: &str, host: &str) -> Self {
        let mut stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
        let head = format!("GET /api/v1/{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, heard: String::new() }
    }

    /// Waits until it has heard this, and forgets what came up to it.
    async fn hears(&mut self, what: &str) -> String {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(at) = self.heard.find(what) {
                let rest = self.heard.split_off(at + what.len());
                return std::mem::replace(&mut self.heard, rest);
            }
            // Figures come for ever.
            let is_open = self.read().await && tokio::time::Instant::now() < deadline;
            assert!(is_open, "the stream has ended or goes on without `{what}`: {}", self.heard);
        }
    }

    /// Reads what comes next. Whether there is more to come.
    async fn read(&mut self) -> bool {
        let mut piece = [0; 4096];
        let time = Duration::from_secs(60);
        let len = tokio::time::timeout(time, self.stream.read(&mut piece)).await.expect("something comes").unwrap_or(0);
        self.heard.push_str(&String::from_utf8_lossy(&piece[..len]));
        len > 0
    }

    async fn ends(mut self) {
        while self.read().await {}
    }
}

#[tokio::test]
async fn events_are_heard_as_they_happen() {
    let mut running = start().await;
    running.shop();
    let mut all = Listening::to(&running, "events", "localhost").await;
    let head = all.hears("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
    assert!(head.contains("cache-control: no-store") && head.contains("frame-ancestors 'none'"), "{head}");
    all.hears("retry: 2000").await;
    all.hears("event: table\ndata: {\"generation\":1}\n\n").await;
    let mut of_shop = Listening::to(&running, "events?route=shop&log", "localhost").await;
    of_shop.hears("event: table").await;
    all.hears("event: diagnostics\ndata: {\"errors\":0,\"warnings\":1}\n\n").await;
    all.hears("event: figures\ndata: {\"at\":\"now\",\"routes\":[{\"route\":\"@file/shop\",\"per_second\":7.0,").await;
    let figures = all.hears("\n\n").await;
    assert!(
        !figures.contains("old") && !figures.contains("hour"),
        "only what changes, and who has requests: {figures}"
    );
    of_shop.hears("event: figures\n").await;
    running.fake.requests.store(2, Ordering::Relaxed);
    of_shop.hears("event: request\ndata: {\"route\":\"\",\"number\":1,").await;
    of_shop.hears("event: request\ndata: {\"route\":\"\",\"number\":2,").await;
    running.events.log(&api::LogView { message: "hello".into(), ..api::LogView::default() });
    running.events.change(&api::ChangeView { what: "`web` recreated".into(), ..api::ChangeView::default() });
    let before = of_shop.hears("event: change\ndata: {").await;
    assert!(before.contains("event: log\ndata: {") && before.contains("hello"), "{before}");
    let before = all.hears("event: change\ndata: {").await;
    assert!(!before.contains("event: log") && !before.contains("event: request"), "{before}");
    running.shop();
    all.hears("event: table\ndata: {\"generation\":2}").await;
}

#[tokio::test]
async fn requests_of_all_routes_and_each_finding_are_heard_by_those_who_ask() {
    let mut running = start().await;
    running.shop();
    running.fake.requests.store(3, Ordering::Relaxed);
    let mut all = Listening::to(&running, "events?requests&diagnostics", "localhost").await;
    let mut others = Listening::to(&running, "events", "localhost").await;
    for stream in [&mut all, &mut others] {
        stream.hears("event: table").await;
    }
    running.fake.requests.store(5, Ordering::Relaxed);
    let before = all.hears("event: request\ndata: {\"route\":\"\",\"number\":4,").await;
    assert_eq!(before.matches("event: request").count(), 1, "what there was before is in the list: {before}");
    all.hears("event: request\ndata: {\"route\":\"\",\"number\":5,").await;
    // More than one look takes.
    running.fake.requests.store(5 + 700, Ordering::Relaxed);
    let before = all.hears("event: missed\ndata: {").await;
    assert_eq!(before.matches("event: request\n").count(), 500);
    assert!(before.contains("\"number\":206,") && before.contains("\"number\":705,"), "the latest ones");
    assert!(all.hears("}").await.contains("\"requests\":200,\"diagnostics\":0"), "and how many were not told");

    running.fake.is_mended.store(true, Ordering::Relaxed);
    all.hears("event: diagnostic\ndata: {").await;
    let resolved = all.hears("\n\n").await;
    assert!(resolved.contains("\"news\":\"resolved\",\"routes\":[\"@file/shop\"],"), "{resolved}");
    assert!(resolved.contains("\"code\":\"G902\"") && !resolved.contains("hunter2"), "{resolved}");
    running.fake.is_mended.store(false, Ordering::Relaxed);
    all.hears("event: diagnostic\ndata: {").await;
    assert!(all.hears("\n\n").await.contains("\"news\":\"found\""));
    others.hears("event: diagnostics\ndata: {\"errors\":0,\"warnings\":0}").await;
    let before = others.hears("event: diagnostics\ndata: {\"errors\":0,\"warnings\":1}").await;
    assert!(!before.contains("event: request") && !before.contains("event: diagnostic\n"), "{before}");
    let latest: api::RequestsResponse = running.api("requests").await;
    assert_eq!((latest.route, latest.requests.len(), latest.requests[0].number), (None, 500, 705));
    let of_shop: api::RequestsResponse = running.api("requests?route=shop").await;
    assert_eq!(of_shop.route.as_deref(), Some("@file/shop"));
}

#[tokio::test]
async fn streams_take_no_place_from_others_and_end_with_the_listener() {
    let mut running = start().await;
    running.shop();
    let mut streams = Vec::new();
    for _ in 0..64 {
        let mut stream = Listening::to(&running, "events", "localhost").await;
        stream.hears("event: table").await;
        streams.push(stream);
    }
    let too_many = running.get("/api/v1/events").await;
    assert_eq!(too_many.status, 503, "{}", too_many.text());
    for _ in 0..100 {
        assert_eq!(running.get("/healthz").await.status, 200);
    }
    drop(streams.split_off(1));
    let mut next = eventually("a place is free again", Duration::from_secs(60), async || {
        let mut stream = Listening::to(&running, "events", "localhost").await;
        stream.hears("\r\n\r\n").await.starts_with("HTTP/1.1 200").then_some(stream)
    })
    .await;
    next.hears("event: table").await;
    running.serving.abort();
    for stream in streams {
        stream.ends().await;
    }
    next.ends().await;
}

#[tokio::test]
async fn streams_end_when_the_process_does_and_are_for_those_who_may_ask() {
    let mut running = start().await;
    running.shop();
    let mut stream = Listening::to(&running, "events", "localhost").await;
    stream.hears("event: table").await;
    for (path, host, status) in [("events", "evil.example", 421), ("events?route=none", "localhost", 404)] {
        let mut refused = Listening::to(&running, path, host).await;
        let head = refused.hears("\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
    }
    running.events.end();
    stream.ends().await;
    assert_eq!(running.get("/api/v1/events").await.status, 503);
    assert_eq!(running.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn one_who_takes_nothing_is_cut_off() {
    let mut running = start().await;
    running.shop();
    let mut stream = Listening::to(&running, "events?log", "localhost").await;
    stream.hears("event: table").await;
    // More than what the system and the connection take: from then on, nobody asks for the next event.
    let line = api::LogView { message: "x".repeat(8000), ..api::LogView::default() };
    for _ in 0..4000 {
        running.events.log(&line);
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(120)).await;
    tokio::time::resume();
    // It has read nothing since.
    eventually("nobody listens", Duration::from_secs(60), async || {
        running.get("/metrics").await.text().contains("gangway_event_streams 0\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_reference_names_every_field_and_path() {
    let mut running = start().await;
    running.shop();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/api.md");
    let page = std::fs::read_to_string(page).unwrap();
    fn names(value: &serde_json::Value, found: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                found.insert(name.clone());
                names(value, found);
            }),
            serde_json::Value::Array(items) => items.iter().for_each(|item| names(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    let (route, engine) = (
        api::RouteView {
            endpoints: vec![api::EndpointView::default()],
            written: vec![api::WrittenKeyView::default()],
            router: Some(api::RouterView::default()),
            ..api::RouteView::default()
        },
        api::EngineView::default(),
    );
    let container = api::ContainerView::default();
    for value in [
        serde_json::to_value(api::StatusResponse {
            engines: vec![engine],
            config: Some(api::ConfigFileView::default()),
            ..api::StatusResponse::default()
        }),
        serde_json::to_value(api::RoutesResponse { generation: 0, routes: vec![route.clone()] }),
        serde_json::to_value(api::ContainersResponse { generation: 0, containers: vec![container] }),
        serde_json::to_value(api::CertificatesResponse {
            certificates: vec![api::CertificateView {
                chain: vec![api::ChainView::default()],
                ..api::CertificateView::default()
            }],
            issuers: vec![api::IssuerView::default()],
            internal_root: None,
        }),
        serde_json::to_value(api::DiagnosticsResponse { diagnostics: vec![api::DiagnosticView::default()] }),
        serde_json::to_value(api::ExplainResponse {
            route: Some(route),
            considered: vec![api::CandidateView::default()],
            ..api::ExplainResponse::default()
        }),
        serde_json::to_value(api::FiguresResponse {
            routes: vec![api::FiguresView {
                durations: vec![api::BucketView::default()],
                hour: vec![api::PointView::default()],
                ..api::FiguresView::default()
            }],
            ..api::FiguresResponse::default()
        }),
        serde_json::to_value(api::RequestsResponse { route: None, requests: vec![api::RequestView::default()] }),
        serde_json::to_value(api::ChangesResponse { changes: vec![api::ChangeView::default()] }),
        serde_json::to_value(api::LogResponse { lines: vec![api::LogView::default()] }),
        serde_json::to_value(api::DiagnosticCounts::default()),
        serde_json::to_value(api::DiagnosticEvent::default()),
        serde_json::to_value(api::MissedEvent::default()),
        serde_json::to_value(api::FiguresEvent {
            routes: vec![api::RouteNowView::default()],
            ..api::FiguresEvent::default()
        }),
        serde_json::to_value(api::ErrorResponse::default()),
    ] {
        names(&value.unwrap(), &mut found);
    }
    let missing: Vec<_> = found.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/reference/api.md does not say what these are: {missing:?}");
    let index = running.get("/").await.text();
    for path in index.lines().filter_map(|line| line.split_whitespace().next()).filter(|word| word.starts_with('/')) {
        assert!(page.contains(path.split('?').next().unwrap()), "docs/reference/api.md does not name {path}");
    }
    let metrics = running.get("/metrics").await.text();
    for name in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(name == "gangway_test_total" || page.contains(name), "docs/reference/api.md does not name {name}");
    }
}
