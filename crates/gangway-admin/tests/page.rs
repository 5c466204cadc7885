//! The page over a real socket: what each view shows, what it never shows, and how much of it there is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gangway_admin::{
    Admin, AdminSettings, CertificatesState, EndpointActivity, EventSink, Instance, InstancePhase, Sources,
    TraefikAnswers, TraefikPages, api,
};
use gangway_diagnostic::{Code, Diagnostic, FilePosition, Place, Severity, Span};
use gangway_model::{
    Attachment, ClientPlace, Compiled, Container, ContainerState, CountryCode, EndpointKey, Expose, ExposedPort,
    Geography, Health, InternalService, Judgement, ListenerProtocol, Located, Reputation, Settings, Snapshot, compile,
};
use gangway_publish::{Publisher, channel};
use gangway_testkit::client::{Answer, Client};
use gangway_tls::{CertificateResolver, Origin, Store, UnixTime};
use http::{Method, Response};
use prometheus::Registry;

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

/// The views, each with a query that makes it show something.
const VIEWS: [&str; 7] = [
    "/",
    "/site?route=shop",
    "/explain?url=https%3A%2F%2Fshop.home.test%2Fcart",
    "/certificates",
    "/containers",
    "/log",
    "/about",
];

/// What a view may transfer at first, with all that it refers to.
const FIRST_PAINT_MAX: usize = 300 * 1000;

/// An instance that the test controls.
#[derive(Default)]
struct Fake {
    figures: Mutex<api::FiguresResponse>,
    states: Mutex<HashMap<EndpointKey, EndpointActivity>>,
    log: Mutex<api::LogResponse>,
    requests: Mutex<api::RequestsResponse>,
    changes: Mutex<api::ChangesResponse>,
}

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
        InstancePhase::Serving
    }

    fn listening(&self) -> Vec<api::ListenerView> {
        let view = |name: &str, protocol, port: u16| api::ListenerView {
            name: name.to_owned(),
            protocol,
            addresses: vec![format!("[::]:{port}")],
            port: Some(port),
        };
        vec![view("http", ListenerProtocol::Plain, 80), view("https", ListenerProtocol::Tls, 8443)]
    }

    fn engines(&self) -> Vec<api::EngineView> {
        let url = "tcp://user:hunter2@engine:2375".to_owned();
        let quantiles = api::QuantilesView { last: 12.0, median: 14.2, p99: 31.0 };
        let reaction = api::LatencyView { count: 3, whole: quantiles, ours: quantiles };
        let version = Some("Docker 27.1.1, API 1.46".to_owned());
        vec![api::EngineView {
            name: "docker".into(),
            url,
            version,
            containers: 3,
            reads: 7,
            reaction,
            ..api::EngineView::default()
        }]
    }

    fn config(&self) -> Option<api::ConfigFileView> {
        Some(api::ConfigFileView { file: "gangway.toml".into(), in_force: true })
    }

    fn settings(&self) -> Vec<api::SettingView> {
        let setting = |name: &str, value: &str| api::SettingView {
            name: name.into(),
            values: vec![value.into()],
            from: "flag".into(),
        };
        vec![
            setting("domain", "home.test"),
            setting("docker", "tcp://user:hunter2@engine:2375"),
            setting("crowdsec-key", "hunter2"),
        ]
    }

    fn limits(&self) -> Vec<api::LimitView> {
        vec![api::LimitView { name: "memory of the process".into(), value: "96 MiB".into() }]
    }

    fn certificates(&self) -> CertificatesState {
        let acme = |name: &str, days: u64| {
            let view = api::CertificateView {
                name: name.into(),
                issuer: "Pebble Intermediate CA 4e1f".into(),
                serial: "5f3a".into(),
                renewal_window: Some(("2027-02-01T00:00:00Z".into(), "2027-02-03T00:00:00Z".into())),
                next: Some("2027-02-02T00:00:00Z".into()),
                chain: vec![api::ChainView {
                    subject: "Pebble Intermediate CA 4e1f".into(),
                    not_after: "2057-01-01T00:00:00Z".into(),
                }],
                ..api::CertificateView::default()
            };
            let until = NOW + Duration::from_hours(24 * days);
            view.with_origin(Some(&Origin::Acme)).with_validity(UnixTime::EPOCH, until, NOW)
        };
        let trouble = Some("order: rateLimited: too many certificates".into());
        let failing = api::CertificateView { trouble, ..acme("photos.home.test", 5) };
        let mut list = vec![acme("shop.home.test", 62), acme("*.apps.home.test", 41), failing];
        let placeholder = api::CertificateView { name: "new.home.test".into(), ..api::CertificateView::default() };
        list.push(placeholder.with_origin(Some(&Origin::Placeholder)));
        let issuer = |name: &str, trouble: Option<&str>| api::IssuerView {
            name: name.into(),
            directory: format!("https://user:hunter2@{name}.test/directory"),
            state: if trouble.is_some() { "failing" } else { "up" }.into(),
            certificates: 3,
            trouble: trouble.map(str::to_owned),
            next: trouble.map(|_| "2027-01-15T09:00:00Z".into()),
        };
        let issuers = vec![issuer("letsencrypt", Some("directory: connection refused")), issuer("zerossl", None)];
        let internal_root = Some("-----BEGIN CERTIFICATE-----".into());
        CertificatesState { list, issuers, internal_root, ..Default::default() }
    }

    fn diagnostics(&self) -> Vec<Diagnostic> {
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

    fn figures(&self) -> api::FiguresResponse {
        self.figures.lock().unwrap().clone()
    }

    fn requests(&self, route: &str) -> api::RequestsResponse {
        assert!(!route.is_empty());
        self.requests.lock().unwrap().clone()
    }

    fn changes(&self) -> api::ChangesResponse {
        self.changes.lock().unwrap().clone()
    }

    fn log(&self) -> api::LogResponse {
        self.log.lock().unwrap().clone()
    }

    fn task_restarts(&self) -> u64 {
        0
    }

    fn refuses_plain(&self) -> bool {
        false
    }

    fn now(&self) -> UnixTime {
        NOW
    }
}

struct Running {
    address: SocketAddr,
    fake: Arc<Fake>,
    tables: Publisher<Compiled>,
    behind_a_route: TraefikAnswers,
    _store: Publisher<Store>,
}

async fn start() -> Running {
    let (tables, compiled) = channel(Compiled::default());
    let (store_tx, store) = channel(Store::default());
    let fake = Arc::new(Fake::default());
    let sources = Sources {
        has_traefiks_names: false,
        compiled,
        certificates: CertificateResolver::of_store(store),
        registry: Registry::new(),
        instance: fake.clone(),
        started: NOW - Duration::from_hours(30),
        version: "9.9.9",
        events: EventSink::default(),
    };
    let settings =
        AdminSettings { listen: "127.0.0.1:0".parse().unwrap(), passed: None, names: Vec::new(), mark: None };
    let behind_a_route = TraefikAnswers::new(sources.clone(), TraefikPages::default());
    let admin = Admin::bind(settings, sources).await.unwrap();
    let address = admin.address();
    tokio::spawn(async move { admin.serve().await });
    Running { address, fake, tables, behind_a_route, _store: store_tx }
}

fn container(name: &str, labels: &[(&str, &str)]) -> Container {
    let attachment =
        Attachment { network_id: "e".into(), network: "edge".into(), address: Some([172, 20, 0, 3].into()) };
    Container {
        attachments: vec![attachment],
        ports: vec![ExposedPort { port: 8080, published: None }],
        image: format!("ghcr.io/{name}/app:2").into(),
        ..Container::named(name).with_labels(labels)
    }
}

impl Running {
    /// An answer that goes through a route.
    fn behind(&self, service: InternalService, method: &Method, target: &str) -> Response<String> {
        let answer = self.behind_a_route.answer(service, method, target);
        answer.map(|body| String::from_utf8(body.to_vec()).unwrap())
    }

    fn publish(&mut self, containers: Vec<Container>) {
        self.publish_with(containers, Expose::Labelled);
    }

    fn publish_with(&mut self, containers: Vec<Container>, expose: Expose) {
        let settings = Settings { expose, ..Settings::default() };
        self.tables.publish(compile(&Snapshot { containers, ..Snapshot::default() }, &settings));
    }

    /// A household: sites in several states, a finding, and containers that are not served.
    fn household(&mut self) {
        let wrong = ("gangway.routes.web.rule", "PathPrefix(`/w`) && Hosts(`wiki.home.test`)");
        let starting =
            Container { health: Health::Starting, ..container("notes", &[("gangway.host", "notes.home.test")]) };
        self.publish(vec![
            container(
                "shop",
                &[("gangway.host", "shop.home.test"), ("gangway.compress", "true"), ("gangway.allow", "lan")],
            ),
            container("photos", &[("gangway.host", "photos.home.test")]),
            container("media", &[("gangway.rule", "Host(`media.home.test`) && PathPrefix(`/films`)")]),
            container("vault", &[("gangway.host", "vault.home.test"), ("gangway.allow", "nonsense")]),
            container("wiki", &[wrong]),
            container("backup", &[]),
            Container { state: ContainerState::Exited, ..container("old", &[]) },
            starting,
        ]);
        let compiled = self.routes();
        let mut states = self.fake.states.lock().unwrap();
        for (key, name) in compiled {
            let trouble = (name == "photos").then(|| "connection refused".into());
            states.insert(key, EndpointActivity { under_way: 2, is_ejected: trouble.is_some(), trouble });
        }
        drop(states);
        let hour = |top: u64, errors: u64| -> Vec<api::PointView> {
            let point = |minute: u64| api::PointView {
                requests: top * (20 + (minute * 37) % 41) / 60,
                errors: if minute > 52 { errors } else { 0 },
                ..api::PointView::default()
            };
            (0..60).map(point).collect()
        };
        let figures = |route: &str, per_second, error_share, top, errors| api::FiguresView {
            route: route.into(),
            per_second,
            error_share,
            p50_ms: Some(3.4),
            p99_ms: Some(41.0),
            under_way: 2,
            statuses: [0, 6211, 130, 17, 4],
            durations: [(1.0, 220), (5.0, 3900), (25.0, 1900), (100.0, 310), (500.0, 22)]
                .map(|(bound, requests)| api::BucketView { up_to_ms: Some(bound), requests })
                .to_vec(),
            hour: hour(top, errors),
            ..api::FiguresView::default()
        };
        let routes = vec![
            figures("shop/shop", 12.4, 0.0, 900, 0),
            figures("photos/photos", 0.31, 0.34, 40, 12),
            figures("media/media", 3.02, 0.001, 200, 1),
        ];
        *self.fake.figures.lock().unwrap() = api::FiguresResponse { at: "2027-01-15T08:00:00Z".into(), routes };
        let change = |at: &str, what: &str, route: Option<&str>, lost, waited| api::ChangeView {
            at: at.into(),
            what: what.into(),
            route: route.map(str::to_owned),
            routes: Vec::new(),
            lost,
            waited,
        };
        self.fake.changes.lock().unwrap().changes = vec![
            change("2027-01-15T07:59:48Z", "`shop` recreated", Some("shop/shop"), 0, 14),
            change("2027-01-15T07:40:00Z", "`photos` cannot be reached", Some("photos/photos"), 3, 0),
            change("2027-01-15T05:10:00Z", "configuration file read again", None, 0, 0),
        ];
        let line = |level: &str, at: &str, message: &str, fields: &[(&str, &str)]| api::LogView {
            at: at.into(),
            level: level.into(),
            target: "gangway::serve".into(),
            message: message.into(),
            fields: fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        };
        self.fake.log.lock().unwrap().lines = vec![
            line("INFO", "2027-01-15T07:58:00Z", "a table is in force", &[("routes", "5")]),
            line(
                "WARN",
                "2027-01-15T07:59:00Z",
                "lost the engine",
                &[("error", "connection refused"), ("pause", "1s")],
            ),
            line("ERROR", "2027-01-15T07:59:40Z", "the volume cannot be written", &[("error", "disk full")]),
        ];
        let request =
            |at: &str, method: &str, path: &str, status, duration_ms, reason: Option<&str>| api::RequestView {
                at: at.into(),
                method: method.into(),
                path: path.into(),
                status,
                duration_ms,
                reason: reason.map(str::to_owned),
                endpoint: reason.is_none().then(|| "shop".to_owned()),
                protocol: "h2".into(),
                ..api::RequestView::default()
            };
        self.fake.requests.lock().unwrap().requests = vec![
            request("2027-01-15T07:59:59Z", "GET", "/cart?session=***", 200, 3.2, None),
            request("2027-01-15T07:59:57Z", "POST", "/login", 403, 0.4, Some("forbidden")),
            request("2027-01-15T07:59:31Z", "GET", "/report", 500, 1840.0, None),
        ];
    }

    /// The endpoints of the table in force, each with the name of its container.
    fn routes(&self) -> Vec<(EndpointKey, String)> {
        let compiled = self.tables.reader().load_full();
        let endpoints = compiled.table.routes().iter().flat_map(|route| &route.upstream.endpoints);
        endpoints.map(|endpoint| (endpoint.key.clone(), endpoint.name.to_string())).collect()
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        let host = self.address.to_string();
        let mut connection = Client::plain(self.address).connect(&host).await.unwrap();
        connection.ask(method, path, &[("accept", "text/html,*/*;q=0.8")], "").await.unwrap()
    }

    async fn html(&self, path: &str) -> String {
        let answer = self.ask("GET", path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{path}"
        );
        answer.text()
    }

    /// The bytes of a view and of everything that it refers to.
    async fn first_paint(&self, path: &str) -> usize {
        let html = self.html(path).await;
        let mut len = html.len();
        for asset in references(&html).into_iter().filter(|one| one.starts_with("assets/")) {
            len += self.ask("GET", &format!("/{asset}")).await.body.len();
        }
        len
    }
}

/// The values of all `href` and `src` of a view.
fn references(html: &str) -> BTreeSet<String> {
    let values = ["href=\"", "src=\""].into_iter().flat_map(|name| html.split(name).skip(1));
    values.map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&")).collect()
}

/// The tags of a view, each as it stands between its angle brackets.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect()
}

#[tokio::test]
async fn a_browser_gets_the_page_and_a_program_the_list() {
    let mut running = start().await;
    running.household();
    assert!(running.html("/").await.starts_with("<!DOCTYPE html>"));
    let host = running.address.to_string();
    let plain = Client::plain(running.address).get(&host, "/").await.unwrap();
    assert_eq!(plain.header("content-type"), "text/plain; charset=utf-8");
    assert!(plain.text().contains("/metrics"));
}

#[tokio::test]
async fn no_view_can_be_framed_stored_or_changed() {
    let mut running = start().await;
    running.household();
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
                  frame-ancestors 'none'; form-action 'self'; base-uri 'none'";
    for view in VIEWS {
        let answer = running.ask("GET", view).await;
        for (name, value) in [
            ("content-security-policy", policy),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("set-cookie", ""),
        ] {
            assert_eq!(answer.header(name), value, "{name} of {view}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let answer = running.ask(method, view).await;
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD"), "{method} {view}");
        }
        let answer = Client::plain(running.address).get("evil.example", view).await.unwrap();
        assert_eq!(answer.status, 421, "{view}");
    }
}

#[tokio::test]
async fn everything_comes_from_here_and_nothing_stands_in_the_line() {
    let mut running = start().await;
    running.household();
    for view in VIEWS {
        let html = running.html(view).await;
        for tag in tags(&html) {
            let name = tag.split_whitespace().next().unwrap_or_default();
            assert!(!matches!(name, "style" | "iframe" | "object" | "embed" | "base"), "<{tag}> in {view}");
            assert!(name != "script" || tag.starts_with("script defer src=\"assets/page-"), "<{tag}> in {view}");
            assert!(!tag.contains(" style=") && !tag.contains(" on"), "<{tag}> in {view}");
        }
        for reference in references(&html) {
            // Sites, as they are served to clients.
            if reference.starts_with("http") {
                assert!(reference.starts_with("https://") && reference.ends_with(".home.test:8443/"), "{reference}");
                continue;
            }
            if reference.starts_with('#') {
                continue;
            }
            let path = format!("/{}", reference.trim_start_matches("./"));
            let answer = running.ask("GET", &path).await;
            assert_eq!(answer.status, 200, "{path} of {view}");
            if reference.starts_with("assets/") {
                assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable", "{path}");
                let script = answer.text();
                for word in ["localStorage", "sessionStorage", "document.cookie", "indexedDB", "http://", "https://"] {
                    assert!(!script.contains(word) || reference.ends_with("svg"), "{word} in {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_overview_tells_states_figures_findings_and_changes() {
    let mut running = start().await;
    running.household();
    let html = running.html("/").await;
    for told in [
        r#"<span class="s failing">failing</span><small>connection refused</small>"#,
        r#"<span class="s closed">closed</span>"#,
        r#"<span class="s starting">starting</span>"#,
        r#"href="https://shop.home.test:8443/""#,
        "PathPrefix(`/films`)",
        "62 d",
        "12</td>",
        "34 %",
        "unknown matcher <code><bdi>Hosts</bdi></code>",
        "PathPrefix(`/w`) &amp;&amp; Hosts(`wiki.home.test`)\n<b>                    ^^^^^",
        "did you mean",
        "12 s ago",
        "14 waited",
        "Docker 27.1.1",
        r#"letsencrypt <span class="s failing">failing</span>"#,
    ] {
        assert!(html.contains(told), "no `{told}` in {html}");
    }
    let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("no `{text}`"));
    assert!(at("class=\"findings\"") < at("id=\"sites\""), "what is wrong stands first");
    assert!(at(">vault.home.test<") < at(">media.home.test<"), "what needs a person stands first");
}

#[tokio::test]
async fn a_part_of_a_view_is_that_part_alone() {
    let mut running = start().await;
    running.household();
    let part = running.html("/?fragment=sites&q=shop").await;
    assert!(part.starts_with("<div class=\"part\" id=\"sites\" data-live=\"table "), "{part}");
    assert!(part.contains("shop.home.test") && !part.contains("media.home.test"), "{part}");
    assert_eq!(running.html("/?fragment=nothing").await, "");
    let two = running.html("/?fragment=changes,totals").await;
    assert_eq!(two.matches("class=\"part\"").count(), 2, "{two}");
    let failing = running.html("/?fragment=sites&state=failing").await;
    assert!(failing.contains("photos.home.test") && !failing.contains("shop.home.test"), "{failing}");
}

#[tokio::test]
async fn a_site_tells_where_it_goes_and_why() {
    let mut running = start().await;
    running.household();
    let html = running.html("/site?route=shop").await;
    for told in [
        "the only exposed port, on network edge",
        "compress",
        "allow lan",
        "/cart?session=***",
        "Gangway: forbidden",
        "1.8 s",
        "6\u{202f}211",
        "gangway.allow",
        "chain: Pebble Intermediate CA 4e1f until",
    ] {
        assert!(html.contains(told), "no `{told}` in {html}");
    }
    let gone = running.ask("GET", "/site?route=gone").await;
    assert_eq!((gone.status.as_u16(), gone.header("content-type")), (404, "text/html; charset=utf-8"));
}

#[tokio::test]
async fn an_explanation_is_drawn_up_to_where_the_request_is_answered() {
    let mut running = start().await;
    running.household();
    let html = running.html("/explain?url=https%3A%2F%2Fmedia.home.test%2Ffilms&method=&from=&header=").await;
    assert!(html.contains("served by <code><bdi>media</bdi></code>"), "{html}");
    let stations = |html: &str| -> Vec<String> {
        let stations = ["passed", "ended", "not-reached"];
        let tags =
            tags(html).into_iter().filter_map(|tag| Some(tag.strip_prefix("li class=\"")?.trim_end_matches('"')));
        tags.filter(|class| stations.contains(class)).map(str::to_owned).collect()
    };
    assert_eq!(stations(&html), ["passed", "passed", "passed", "passed", "passed", "ended"]);
    let refused = running.html("/explain?url=https%3A%2F%2Fshop.home.test%2F&from=203.0.113.7").await;
    assert_eq!(stations(&refused), ["passed", "passed", "passed", "passed", "ended", "not-reached"]);
    assert!(refused.contains("403 forbidden"), "{refused}");
    assert!(refused.contains("from <code>gangway.allow</code>"), "{refused}");
    let redirected = running.html("/explain?url=http%3A%2F%2Fmedia.home.test%2Ffilms").await;
    assert_eq!(stations(&redirected)[2..4], ["ended", "not-reached"]);
    let missing = running.html("/explain?url=https%3A%2F%2Fmedia.home.test%2Fbooks").await;
    assert_eq!(stations(&missing)[3..], ["ended", "not-reached", "not-reached"]);
    assert!(missing.contains("PathPrefix(`/films`)"), "the condition that failed: {missing}");
    let wrong = running.html("/explain?url=https%3A%2F%2Fshop.home.test&from=%3Cb%3Enobody").await;
    assert!(wrong.contains("role=\"alert\"") && wrong.contains("&lt;b&gt;nobody") && !wrong.contains("<b>nobody"));
}

#[tokio::test]
async fn every_container_is_listed_with_the_label_to_add() {
    let mut running = start().await;
    running.household();
    let html = running.html("/containers").await;
    for told in ["gangway.host=backup.home.test", "no label asks for it", "site?route=shop%2Fshop"] {
        assert!(html.contains(told), "no `{told}` in {html}");
    }
    assert!(!html.contains("gangway.host=shop.home.test"), "it has one: {html}");
    let served = running.html("/containers?fragment=list&state=served").await;
    assert!(served.contains(">shop<") && !served.contains(">backup<"), "{served}");
}

#[tokio::test]
async fn the_log_is_filtered_by_level_and_text() {
    let mut running = start().await;
    running.household();
    let all = running.html("/log").await;
    let at = |text: &str| all.find(text).unwrap_or_else(|| panic!("no `{text}`"));
    assert!(at("the volume cannot be written") < at("lost the engine"), "newest first");
    let bad = running.html("/log?fragment=lines&state=warn").await;
    assert!(bad.contains("lost the engine") && !bad.contains("a table is in force"), "{bad}");
    let found = running.html("/log?fragment=lines&q=DISK+full").await;
    assert!(found.contains("cannot be written") && !found.contains("lost the engine"), "{found}");
}

#[tokio::test]
async fn no_view_shows_a_secret() {
    let mut running = start().await;
    running.household();
    for view in VIEWS {
        assert!(!running.html(view).await.contains("hunter2"), "{view}");
    }
    let about = running.html("/about").await;
    assert!(about.contains("memory of the process") && about.contains("96 MiB"), "{about}");
    let certificates = running.html("/certificates").await;
    assert!(
        certificates.contains("directory: connection refused") && certificates.contains("zerossl"),
        "{certificates}"
    );
    assert!(about.contains("home.test") && about.contains("tcp://***@engine:2375"), "{about}");
}

#[tokio::test]
async fn behind_a_route_stands_the_page_alone() {
    let mut running = start().await;
    running.household();
    let ask = |method: &Method, target: &str| running.behind(InternalService::Page, method, target);
    for view in VIEWS {
        let answer = ask(&Method::GET, view);
        assert_eq!(answer.status(), 200, "{view}");
        assert!(!answer.body().contains(&running.address.to_string()), "{view} tells where the admin listener is");
        assert_eq!(ask(&Method::POST, view).status(), 405, "{view}");
        assert!(!answer.body().contains("data-events"), "{view} asks for a stream, which nothing answers there");
        assert!(
            running.html(view).await.contains("data-events=\"api/v1/events"),
            "{view} is live on the admin listener"
        );
        for asset in references(answer.body()).into_iter().filter(|one| one.starts_with("assets/")) {
            assert_eq!(ask(&Method::GET, &format!("/{asset}")).status(), 200, "{asset}");
        }
    }
    for path in ["/api/v1/status", "/metrics", "/healthz", "/api/v1/events", "/x"] {
        assert_eq!(ask(&Method::GET, path).status(), 404, "{path}");
    }
    let deep = ask(&Method::GET, "/api/v1/status").into_body();
    assert!(deep.contains("href=\"../../log\"") && deep.contains("href=\"./../../\""), "{deep}");
}

/// The start page, asked for through its route.
fn start_page(running: &Running, target: &str) -> String {
    let answer = running.behind(InternalService::StartPage, &Method::GET, target);
    assert_eq!(answer.status(), 200, "{target}");
    answer.into_body()
}

#[tokio::test]
async fn the_start_page_shows_what_labels_say_of_each_site_and_tells_nothing_else() {
    let mut running = start().await;
    let of_homepage = [
        ("gangway.host", "photos.home.test"),
        ("homepage.name", "Family photos"),
        ("homepage.group", "Media"),
        ("homepage.icon", "https://icons.example/immich.png"),
        ("homepage.href", "https://elsewhere.example"),
    ];
    let of_ours = [
        ("gangway.rule", "Host(`media.home.test`) && PathPrefix(`/films`)"),
        ("gangway.page.name", "Films"),
        ("gangway.page.group", "Media"),
        ("gangway.page.icon", "🎬"),
        ("gangway.page.description", "What we have seen"),
        ("gangway.page.order", "-1"),
        ("homepage.name", "not this"),
    ];
    running.publish(vec![
        container("photos", &of_homepage),
        container("films", &of_ours),
        container("home-assistant", &[("gangway.host", "ha.home.test")]),
        container("secret", &[("gangway.host", "secret.home.test"), ("gangway.page.hide", "true")]),
        container("any", &[("gangway.host", "any.*")]),
        container("vault", &[("gangway.host", "vault.home.test"), ("gangway.allow", "nonsense")]),
        container("backup", &[]),
    ]);
    let page = start_page(&running, "/");
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no `{text}` in {page}"));
    assert!(at("Media") < at("Films") && at("Films") < at("Family photos"), "`page.order` goes before names");
    assert!(at("Family photos") < at("Others") && at("Others") < at("Home Assistant"), "groups come first");
    for told in [
        "https://media.home.test:8443/films",
        "https://photos.home.test:8443/",
        "🎬",
        "What we have seen",
        "FP",
        "HA",
        "closed",
    ] {
        at(told);
    }
    for untold in ["not this", "secret", "any.", "backup", "elsewhere", "icons.example", "Certificates", "172.20.0.3"] {
        assert!(!page.contains(untold), "`{untold}` is in {page}");
    }
    let films = start_page(&running, "/?fragment=tiles&q=seen");
    assert!(films.contains("Films") && !films.contains("photos") && !films.contains("<html"), "{films}");
    let ask = |method: &Method, path: &str| running.behind(InternalService::StartPage, method, path);
    assert_eq!(ask(&Method::POST, "/").status(), 405);
    for path in ["/log", "/containers", "/site?route=films/films", "/about", "/api/v1/routes", "/icons/0"] {
        let missing = ask(&Method::GET, path);
        assert_eq!(missing.status(), 404, "{path}");
        let page = missing.into_body();
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains("Not found") && !page.contains("<nav"), "{page}");
        let root = "../".repeat(path.split('?').next().unwrap().matches('/').count() - 1);
        for link in references(&page).into_iter().filter(|one| !one.starts_with('#')) {
            assert!(
                link.strip_prefix(&*root).is_some_and(|rest| !rest.starts_with("..")) || link == format!("./{root}"),
                "{link}"
            );
        }
    }
    for asset in references(&page).into_iter().filter(|one| one.starts_with("assets/")) {
        assert_eq!(ask(&Method::GET, &format!("/{asset}")).status(), 200, "{asset}");
    }
}

#[tokio::test]
async fn hostile_labels_are_text_on_the_start_page_and_nothing_is_fetched_from_elsewhere() {
    let mut running = start().await;
    let script = "<script>alert(1)</script>";
    let image = "\"><img src=https://evil.example/x onerror=alert(1)>";
    let long = "x".repeat(4000);
    let mut containers = Vec::new();
    for (at, text) in [script, image, &long, "שלום \u{202e}gnp.exe"].into_iter().enumerate() {
        let host = format!("h{at}.test");
        for (begin, prefix) in [("gangway.page", "own"), ("homepage", "other")] {
            let host = format!("{prefix}-{host}");
            let keys = ["name", "group", "description", "icon"].map(|key| format!("{begin}.{key}"));
            let mut labels: Vec<(&str, &str)> = keys.iter().map(|key| (&**key, text)).collect();
            labels.push(("gangway.host", &host));
            containers.push(container(&format!("{prefix}-{at}"), &labels));
        }
    }
    containers.extend((0..500).map(|at| {
        let host = format!("n{at}.test");
        container(&format!("n{at}"), &[("gangway.host", &*host), ("gangway.page.name", &*long)])
    }));
    running.publish(containers);
    let answer = running.behind(InternalService::StartPage, &Method::GET, "/");
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("img-src 'self' data:;"), "{policy}");
    let page = answer.into_body();
    assert!(page.contains("own-h0.test") && page.contains("other-h3.test"), "{page}");
    assert!(!page.contains("<script>") && !page.contains("<img src=https") && !page.contains("onerror=alert(1)>"));
    assert!(!page.contains('\u{202e}') && !page.contains(&"x".repeat(200)));
    assert!(page.len() < 300_000, "{} bytes", page.len());
    let outside = |one: &&String| !one.starts_with("assets/") && !one.starts_with("https://") && !one.starts_with('?');
    let references = references(&page);
    let strange: Vec<_> = references.iter().filter(outside).filter(|one| !["./", "#main"].contains(&&***one)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    for src in page.split("src=\"").skip(1) {
        assert!(src.starts_with("assets/"), "a browser fetches {}", &src[..40.min(src.len())]);
    }
}

#[tokio::test]
async fn hostile_content_is_text() {
    let mut running = start().await;
    let script = "<script>alert(1)</script>";
    let image = "\"><img src=x onerror=alert(1)>";
    let long = "x".repeat(4096);
    let hebrew = "שלום \u{202e}gnp.exe";
    let path = format!("PathPrefix(`/{image}`) && Host(`a.test`)");
    let containers = [script, image, &long, hebrew].into_iter().enumerate().map(|(at, name)| {
        let host = format!("h{at}.test");
        let labels =
            [("gangway.routes.web.host", &*host), ("gangway.routes.web.response.header.X-A", script), (script, image)];
        Container { image: name.into(), ..container(name, &labels) }
    });
    let mut containers: Vec<Container> = containers.collect();
    containers.push(container("rule", &[("gangway.rule", &path), ("gangway.middlewares", script)]));
    containers.push(container("plain", &[]));
    running.publish(containers);
    let hostile = |text: &str| text.to_owned();
    running.fake.log.lock().unwrap().lines = vec![api::LogView {
        at: hostile(image),
        level: hostile("INFO"),
        target: hostile(script),
        message: hostile(&long),
        fields: vec![(hostile(script), hostile(hebrew))],
    }];
    let request = api::RequestView { path: hostile(image), endpoint: Some(hostile(&long)), ..Default::default() };
    running.fake.requests.lock().unwrap().requests = vec![request; 100];
    running.fake.changes.lock().unwrap().changes =
        vec![api::ChangeView { at: hostile(image), what: hostile(script), ..Default::default() }];
    let routes: Vec<String> =
        running.tables.reader().load_full().table.routes().iter().map(|route| route.id.to_string()).collect();
    assert!(routes.len() > 1, "{routes:?}");
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let sites = routes.iter().map(|id| format!("/site?route={}", encoded(id)));
    let asked = format!("/explain?url=https%3A%2F%2Fh0.test%2F{0}&header={0}&method=GET&from=", encoded(image));
    let filtered = format!("/containers?q={0}&state={0}", encoded(image));
    let views = ["/", "/containers", "/log", "/about", &asked, &filtered].map(str::to_owned);
    for view in sites.chain(views) {
        let html = running.html(&view).await;
        for tag in tags(&html) {
            let is_ours = !tag.starts_with("script") || tag.starts_with("script defer src=\"assets/page-");
            assert!(
                is_ours && !tag.starts_with("img src=x") && !tag.contains("onerror=alert(1)>"),
                "<{tag}> in {view}"
            );
        }
        assert!(!html.contains('\u{202e}'), "the reading direction is turned in {view}");
        // Before the head, only the address of events has the whole id of a route.
        let (_, shown) = html.split_once("<head>").expect("it has a head");
        assert!(!shown.contains(&"x".repeat(2100)), "a text without a bound in {view}");
        assert!(html.len() < FIRST_PAINT_MAX, "{} bytes of {view}", html.len());
    }
    let html = running.html("/containers").await;
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && html.contains("<bdi>שלום"), "{html}");
}

#[tokio::test]
async fn five_hundred_sites_are_few_bytes() {
    let mut running = start().await;
    let sites = (0..500).map(|at| {
        let host = format!("application-{at:03}.apps.example.org");
        container(&format!("application-{at:03}"), &[("gangway.host", &host)])
    });
    running.publish(sites.collect());
    let ids: Vec<String> =
        running.tables.reader().load_full().table.routes().iter().map(|route| route.id.to_string()).collect();
    assert_eq!(ids.len(), 500);
    // No minute is like the one before, which is the longest line that there is.
    let point = |at: u64| api::PointView { requests: 7919 * (at + 1) % 1000, errors: at % 3, ..Default::default() };
    let figures = ids.iter().map(|id| api::FiguresView {
        route: id.clone(),
        per_second: 123.4,
        error_share: 0.123,
        p50_ms: Some(12.3),
        p99_ms: Some(456.7),
        hour: (0..60).map(point).collect(),
        ..api::FiguresView::default()
    });
    running.fake.figures.lock().unwrap().routes = figures.collect();
    let len = running.first_paint("/").await;
    assert!(len <= FIRST_PAINT_MAX, "{len} bytes");
    let html = running.html("/").await;
    assert!(html.contains("of 500"), "the list says how many there are");
    let last = running.html("/?page=3").await;
    assert!(last.contains("application-499.apps.example.org"));
    let found = running.html("/?q=tion-499").await;
    assert!(found.contains("application-499.apps.example.org") && !found.contains("application-498"));
}

#[tokio::test]
async fn ten_thousand_containers_stay_usable() {
    let mut running = start().await;
    let containers = (0..10_000).map(|at| container(&format!("worker-{at:05}-{}", "y".repeat(400)), &[]));
    running.publish(containers.collect());
    let len = running.first_paint("/containers").await;
    assert!(len <= FIRST_PAINT_MAX, "{len} bytes");
    assert!(running.html("/containers?page=50").await.contains("worker-09999-"));
    let found = running.html("/containers?fragment=list&q=worker-07777").await;
    assert!(found.contains("worker-07777-") && !found.contains("worker-07778-"));
}
