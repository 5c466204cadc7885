//! What stands in the place of Traefik's pages, over a table that is compiled of labels.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gangway_admin::{
    CertificatesState, EndpointActivity, EntryPointView, EventSink, Instance, InstancePhase, RedirectionView, Sources,
    TraefikAnswers, TraefikPages, api,
};
use gangway_diagnostic::Diagnostic;
use gangway_model::{
    Attachment, CertificateDomain, ClientPlace, Container, CountryCode, EndpointKey, EntryPoint, EntryPointTls,
    ExposedPort, Geography, InternalApi, InternalPage, InternalPages, InternalService, Judgement, ListenerName,
    Located, Reputation, Settings, Snapshot, TraefikSettings, compile,
};
use gangway_publish::{Publisher, channel};
use gangway_tls::{CertificateResolver, Store, UnixTime};
use http::{Method, Response};
use prometheus::Registry;
use serde_json::{Value, json};

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

struct Fake(InstancePhase);

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
        self.0
    }

    fn listening(&self) -> Vec<api::ListenerView> {
        Vec::new()
    }

    fn engines(&self) -> Vec<api::EngineView> {
        Vec::new()
    }

    fn config(&self) -> Option<api::ConfigFileView> {
        None
    }

    fn certificates(&self) -> CertificatesState {
        CertificatesState::default()
    }

    fn diagnostics(&self) -> Vec<Diagnostic> {
        Vec::new()
    }

    fn refuses_plain(&self) -> bool {
        false
    }

    fn endpoints(&self) -> HashMap<EndpointKey, EndpointActivity> {
        HashMap::new()
    }

    fn task_restarts(&self) -> u64 {
        0
    }

    fn now(&self) -> UnixTime {
        NOW
    }
}

const LABELS: &[(&str, &str)] = &[
    ("traefik.http.routers.one.rule", "Host(`one.test`)"),
    ("traefik.http.routers.one.middlewares", "m,auth"),
    ("traefik.http.routers.one.entrypoints", "web"),
    ("traefik.http.routers.one.service", "s"),
    ("traefik.http.routers.two.rule", "Host(`two.test`) && PathPrefix(`/x`)"),
    ("traefik.http.routers.two.tls.certresolver", "le"),
    ("traefik.http.routers.two.service", "s"),
    ("traefik.http.routers.bad.rule", "Host(`bad.test`)"),
    ("traefik.http.routers.bad.entrypoints", "web"),
    ("traefik.http.routers.bad.middlewares", "nope"),
    ("traefik.http.routers.bad.service", "s"),
    ("traefik.http.services.s.loadbalancer.server.port", "8080"),
    ("traefik.http.services.checked.loadbalancer.server.port", "8081"),
    ("traefik.http.services.checked.loadbalancer.healthcheck.path", "/health"),
    ("traefik.http.middlewares.m.stripprefix.prefixes", "/x"),
    ("traefik.http.middlewares.auth.basicauth.users", "ann:{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00="),
    ("traefik.http.middlewares.key.headers.customrequestheaders.X-Api-Key", "hunter2"),
];

struct Pages {
    answers: TraefikAnswers,
    _store: Publisher<Store>,
}

/// Pages over the table of the labels.
fn pages(change: impl FnOnce(&mut TraefikPages), phase: InstancePhase) -> Pages {
    pages_of(LABELS, None, change, phase)
}

/// Pages over the table of a container's labels, and of what an entry point `websecure` says about TLS.
fn pages_of(
    labels: &[(&str, &str)],
    tls: Option<EntryPointTls>,
    change: impl FnOnce(&mut TraefikPages),
    phase: InstancePhase,
) -> Pages {
    let name = |name: &str| ListenerName::parse(name).unwrap();
    let internal = InternalPages {
        api: Some(InternalApi { has_dashboard: true, ..InternalApi::default() }),
        ping: Some(InternalPage::default()),
        prometheus: None,
    };
    let entry_point = |at: &str, is_default| EntryPoint {
        name: name(at),
        is_default,
        tls: None,
        redirection: None,
        middlewares: Vec::new(),
    };
    let traefik = TraefikSettings {
        entry_points: vec![
            entry_point("traefik", false),
            entry_point("web", true),
            EntryPoint { tls, ..entry_point("websecure", true) },
        ],
        resolvers: vec!["le".into()],
        internal: internal.clone(),
        ..TraefikSettings::default()
    };
    let attachment =
        Attachment { network_id: "e".into(), network: "edge".into(), address: Some([172, 20, 0, 3].into()) };
    let container = Container {
        attachments: vec![attachment],
        ports: vec![ExposedPort { port: 8080, published: None }],
        ..Container::named("app").with_labels(labels)
    };
    let snapshot = Snapshot { containers: vec![container], ..Snapshot::default() };
    let compiled = compile(&snapshot, &Settings { traefik: Some(traefik), ..Settings::default() });
    let (mut tables, reader) = channel(gangway_model::Compiled::default());
    tables.publish(compiled);
    let (store, stores) = channel(Store::default());
    let sources = Sources {
        events: EventSink::default(),
        compiled: reader,
        certificates: CertificateResolver::of_store(stores),
        registry: Registry::new(),
        instance: Arc::new(Fake(phase)),
        started: NOW - Duration::from_mins(1),
        version: "9.9.9",
        has_traefiks_names: true,
    };
    let mut pages = TraefikPages {
        internal,
        entry_points: vec![EntryPointView { name: "web".into(), address: ":80".into(), ..EntryPointView::default() }],
        providers: vec!["Docker"],
        ..TraefikPages::default()
    };
    change(&mut pages);
    Pages { answers: TraefikAnswers::new(sources, pages), _store: store }
}

fn serving() -> Pages {
    pages(|_| {}, InstancePhase::Serving)
}

impl Pages {
    fn ask(&self, service: InternalService, method: &Method, target: &str) -> Response<String> {
        let answer = self.answers.answer(service, method, target);
        answer.map(|body| String::from_utf8(body.to_vec()).unwrap())
    }

    fn get(&self, target: &str) -> Response<String> {
        self.ask(InternalService::Api, &Method::GET, target)
    }

    fn json(&self, target: &str) -> Value {
        let answer = self.get(target);
        assert_eq!(answer.status(), 200, "{target}: {}", answer.body());
        serde_json::from_str(answer.body()).unwrap()
    }
}

fn observed() -> Value {
    json!({"accessLogs": true, "metrics": true, "tracing": true, "traceVerbosity": "minimal"})
}

#[test]
fn routers_are_told_in_traefiks_shape() {
    let pages = serving();
    assert_eq!(
        pages.json("/api/http/routers/one@docker"),
        json!({
            "entryPoints": ["web"], "middlewares": ["m@docker", "auth@docker"], "service": "s",
            "rule": "Host(`one.test`)", "priority": 16, "priorityStr": "16", "observability": observed(),
            "status": "enabled", "using": ["web"], "name": "one@docker", "provider": "docker",
        })
    );
    let two = pages.json("/api/http/routers/two%40docker");
    assert_eq!(
        (&two["tls"], &two["using"]),
        (&json!({"options": "default", "certResolver": "le"}), &json!(["web", "websecure"]))
    );
    let bad = pages.json("/api/http/routers/bad@docker");
    assert_eq!((&bad["status"], bad["error"].as_array().map(Vec::len)), (&json!("disabled"), Some(1)));
    let missing = pages.get("/api/http/routers/none@docker");
    assert_eq!(
        (missing.status().as_u16(), &**missing.body()),
        (404, "{\"message\":\"router not found: none@docker\"}\n")
    );
}

fn example_domain() -> CertificateDomain {
    CertificateDomain { main: "example.com".into(), sans: vec!["*.example.com".into(), "www.example.org".into()] }
}

#[test]
fn the_domains_of_a_router_are_told_as_they_are_written() {
    let labels = [
        ("traefik.http.routers.a.rule", "Host(`a.test`)"),
        ("traefik.http.routers.a.tls", "true"),
        ("traefik.http.routers.a.tls.certresolver", "le"),
        ("traefik.http.routers.a.tls.domains[0].main", "example.com"),
        ("traefik.http.routers.a.tls.domains[0].sans", "*.example.com, www.example.org"),
        ("traefik.http.routers.a.tls.domains[1].main", "example.net"),
        ("traefik.http.routers.own.rule", "Host(`own.test`)"),
        ("traefik.http.routers.own.entrypoints", "websecure"),
        ("traefik.http.routers.own.tls", "true"),
        ("traefik.http.routers.b.rule", "Host(`b.test`)"),
    ];
    let of_entry_point =
        EntryPointTls { resolver: Some("le".into()), domains: vec![example_domain()], ..EntryPointTls::default() };
    let pages = pages_of(&labels, Some(of_entry_point), |_| {}, InstancePhase::Serving);
    let example = json!({"main": "example.com", "sans": ["*.example.com", "www.example.org"]});
    let raw = pages.json("/api/rawdata");
    let own = json!([example, {"main": "example.net"}]);
    assert_eq!(
        pages.json("/api/http/routers/a@docker")["tls"],
        json!({"options": "default", "certResolver": "le", "domains": own})
    );
    assert_eq!(raw["routers"]["a@docker"]["tls"], json!({"certResolver": "le", "domains": own}));
    // A router that says nothing of TLS has what the entry point says.
    assert_eq!(
        pages.json("/api/http/routers/websecure-b@docker")["tls"],
        json!({"options": "default", "certResolver": "le", "domains": [example]})
    );
    assert_eq!(pages.json("/api/http/routers/b@docker")["tls"], Value::Null);
    assert_eq!(pages.json("/api/http/routers/own@docker")["tls"]["domains"], Value::Null);
}

#[test]
fn routers_that_cannot_be_made_are_told_with_the_error() {
    let labels = [
        ("traefik.http.routers.rule.rule", "Host(`a.test`"),
        ("traefik.http.routers.rule.middlewares", "m"),
        ("traefik.http.routers.rule.tls.certresolver", "le"),
        ("traefik.http.routers.nowhere.rule", "Host(`b.test`)"),
        ("traefik.http.routers.nowhere.entrypoints", "Web"),
        ("traefik.http.routers.half.rule", "Host(`c.test`)"),
        ("traefik.http.routers.half.entrypoints", "web,nope"),
        ("traefik.http.routers.quiet.rule", "Host(`d.test`)"),
        ("traefik.http.routers.quiet.observability.accesslogs", "false"),
        ("traefik.http.middlewares.m.stripprefix.prefixes", "/x"),
        ("traefik.http.services.s.loadbalancer.server.port", "8080"),
    ];
    let pages = pages_of(&labels, None, |_| {}, InstancePhase::Serving);
    assert_eq!(
        pages.json("/api/http/routers/rule@docker"),
        json!({
            "entryPoints": ["web", "websecure"], "middlewares": ["m@docker"], "service": "s",
            "rule": "Host(`a.test`", "priority": 13, "priorityStr": "13", "observability": observed(),
            "tls": {"options": "default", "certResolver": "le"}, "status": "disabled",
            "error": ["the rule cannot be read; the log says why"], "using": ["web", "websecure"],
            "name": "rule@docker", "provider": "docker",
        })
    );
    let of = |name: &str| {
        let router = pages.json(&format!("/api/http/routers/{name}@docker"));
        let errors = router["error"].as_array().map_or(0, Vec::len);
        (router["status"].clone(), errors, router["entryPoints"].clone(), router["using"].clone())
    };
    assert_eq!(of("nowhere"), (json!("disabled"), 1, json!(["Web"]), Value::Null));
    assert_eq!(of("half"), (json!("warning"), 1, json!(["web", "nope"]), json!(["web"])));
    assert_eq!(of("quiet"), (json!("enabled"), 0, json!(["web", "websecure"]), json!(["web", "websecure"])));
    assert_eq!(pages.json("/api/http/routers/quiet@docker")["observability"]["accessLogs"], false);
    assert_eq!(pages.json("/api/overview")["http"]["routers"], json!({"total": 4, "warnings": 1, "errors": 2}));
    assert_eq!(pages.json("/api/http/middlewares/m@docker")["usedBy"], json!(["rule@docker"]));
    assert_eq!(pages.json("/api/rawdata")["routers"]["rule@docker"]["status"], "disabled");
}

#[test]
fn an_entry_point_is_told_as_it_is_configured() {
    let plain = serving().json("/api/entrypoints/web");
    let usual = json!({"sanitizePath": true, "maxHeaderBytes": 1_048_576, "underscoreHeadersStrategy": "keep"});
    assert_eq!(plain["http"], usual);
    let transport = json!({
        "lifeCycle": {"graceTimeOut": "10s"},
        "respondingTimeouts": {"readTimeout": "1m0s", "idleTimeout": "3m0s"},
    });
    assert_eq!(plain["transport"], transport);
    let said = |pages: &mut TraefikPages| {
        let tls = EntryPointTls {
            resolver: Some("le".into()),
            options: Some("strict@file".into()),
            domains: vec![example_domain()],
        };
        let redirection =
            RedirectionView { to: "websecure".into(), scheme: "https".into(), is_permanent: true, priority: 7 };
        pages.entry_points[0] = EntryPointView {
            tls: Some(tls),
            middlewares: vec!["auth@file".into()],
            redirection: Some(redirection),
            read_timeout: Some(Duration::ZERO),
            write_timeout: Some(Duration::from_secs(90)),
            request_accept_grace: Some(Duration::from_millis(1500)),
            grace: Some(Duration::from_secs(42)),
            ..pages.entry_points[0].clone()
        };
    };
    let told = pages(said, InstancePhase::Serving).json("/api/entrypoints/web");
    let expected = json!({
        "redirections": {"entryPoint": {"to": "websecure", "scheme": "https", "permanent": true, "priority": 7}},
        "middlewares": ["auth@file"],
        "tls": {
            "options": "strict@file", "certResolver": "le",
            "domains": [{"main": "example.com", "sans": ["*.example.com", "www.example.org"]}],
        },
        "sanitizePath": true, "maxHeaderBytes": 1_048_576, "underscoreHeadersStrategy": "keep",
    });
    assert_eq!(told["http"], expected);
    let transport = json!({
        "lifeCycle": {"requestAcceptGraceTimeout": "1.5s", "graceTimeOut": "42s"},
        "respondingTimeouts": {"writeTimeout": "1m30s", "idleTimeout": "3m0s"},
    });
    assert_eq!(told["transport"], transport);
}

#[test]
fn services_and_middlewares_are_told_without_secrets() {
    let pages = serving();
    let service = pages.json("/api/http/services/s@docker");
    assert_eq!(
        service,
        json!({
            "loadBalancer": {
                "servers": [{"url": "http://172.20.0.3:8080"}], "strategy": "wrr", "passHostHeader": true,
                "responseForwarding": {"flushInterval": "100ms"},
            },
            "status": "enabled", "usedBy": ["bad@docker", "one@docker", "two@docker"], "name": "s@docker",
            "provider": "docker", "type": "loadbalancer", "serverStatus": {"http://172.20.0.3:8080": "UP"},
        })
    );
    let middleware = pages.json("/api/http/middlewares/m@docker");
    assert_eq!(
        middleware,
        json!({
            "stripPrefix": {"prefixes": ["/x"]}, "status": "enabled", "usedBy": ["one@docker"], "name": "m@docker",
            "provider": "docker", "type": "stripprefix",
        })
    );
    assert_eq!(pages.json("/api/http/middlewares/auth@docker")["type"], "basicauth");
    let key = pages.json("/api/http/middlewares/key@docker");
    assert_eq!(key["headers"]["customRequestHeaders"], json!({"X-Api-Key": "***"}));
    for target in ["/api/rawdata", "/api/http/middlewares", "/dashboard/"] {
        let all = pages.get(target).into_body();
        for secret in ["hunter2", "qvTGHdzF6KLavt4PO0gs2a6pQ00"] {
            assert!(!all.contains(secret), "{target}: {all}");
        }
    }
}

#[test]
fn all_of_it_is_told_at_once_and_counted() {
    let pages = serving();
    let raw = pages.json("/api/rawdata");
    assert_eq!(raw["routers"]["two@docker"]["tls"], json!({"certResolver": "le"}));
    assert_eq!(
        (&raw["routers"]["one@docker"]["name"], &raw["services"]["s@docker"]["type"]),
        (&Value::Null, &Value::Null)
    );
    let overview = pages.json("/api/overview");
    assert_eq!(overview["http"]["routers"], json!({"total": 3, "warnings": 0, "errors": 1}));
    assert_eq!(overview["http"]["middlewares"]["total"], 3);
    assert_eq!((&overview["udp"]["routers"]["total"], &overview["providers"]), (&json!(0), &json!(["Docker"])));
    assert_eq!(overview["features"], json!({"tracing": "", "metrics": "", "accessLog": false}));
    let version = pages.json("/api/version");
    assert_eq!((&version["Version"], &version["startDate"]), (&json!("9.9.9"), &json!("2027-01-15T07:59:00Z")));
    assert_eq!(pages.get("/api/version").headers()["content-type"], "application/json; charset=UTF-8");
    assert_eq!(pages.json("/api/entrypoints/web")["address"], ":80");
    for empty in ["/api/tcp/routers", "/api/tcp/services", "/api/udp/services"] {
        assert_eq!(pages.json(empty), json!([]), "{empty}");
    }
}

#[test]
fn lists_have_pages() {
    let pages = serving();
    let first = pages.get("/api/http/routers?per_page=2");
    assert_eq!(first.headers()["x-next-page"], "2");
    let found = pages.get("/api/http/routers?search=one&per_page=1");
    assert_eq!(
        (found.headers()["x-next-page"].to_str().unwrap(), found.headers()["content-type"].to_str().unwrap()),
        ("1", "application/json")
    );
    assert_eq!(pages.get("/api/http/routers?page=9").status(), 400);
}

#[test]
fn nothing_else_is_answered_and_nothing_changed() {
    let pages = serving();
    for unknown in ["/api/nothing", "/api", "/", "/api/v1/routes", "/metrics", "/dashboards"] {
        let answer = pages.get(unknown);
        let is_redirect = unknown == "/";
        assert_eq!(answer.status().as_u16(), if is_redirect { 302 } else { 404 }, "{unknown}");
    }
    assert_eq!(pages.get("/").headers()["location"], "/dashboard/");
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = pages.ask(InternalService::Api, &method, "/api/http/routers");
        assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD"));
    }
    let without = self::pages(|pages| pages.internal.api = None, InstancePhase::Serving);
    assert_eq!(without.get("/api/version").status(), 404);
    let below =
        self::pages(|pages| pages.internal.api.as_mut().unwrap().base_path = "/traefik".into(), InstancePhase::Serving);
    assert_eq!(
        (below.get("/traefik/api/version").status().as_u16(), below.get("/api/version").status().as_u16()),
        (200, 404)
    );
}

/// A label may lead to the page, so it tells no more than the API beside it.
#[test]
fn the_page_stands_in_the_place_of_the_dashboard_and_tells_of_sites_alone() {
    let pages = serving();
    let answer = pages.get("/dashboard/");
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
        (200, "text/html; charset=utf-8")
    );
    for part in ["one.test", "two.test", "<nav", "href=\"certificates\"", "href=\"site?route="] {
        assert!(answer.body().contains(part), "{part}: {}", answer.body());
    }
    let hidden = ["explain", "containers", "log", "about"];
    for view in hidden {
        assert!(!answer.body().contains(&format!("href=\"{view}")), "{view}: {}", answer.body());
        assert_eq!(pages.get(&format!("/dashboard/{view}")).status(), 404, "{view}");
    }
    assert!(answer.body().contains("gangway status") && !answer.body().contains("nope"), "{}", answer.body());
    let links = answer.body().split("href=\"").filter(|rest| rest.starts_with("site?route="));
    let sites = links.map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"));
    let sites: Vec<_> = sites.map(|link| pages.get(&format!("/dashboard/{link}")).into_body()).collect();
    assert_eq!(sites.len(), 3, "{}", answer.body());
    for part in ["172.20.0.3:8080", "<code>auth.basic</code>", "<code>path</code>"] {
        assert!(sites.iter().any(|site| site.contains(part)), "{part}: {sites:#?}");
    }
    for hidden in ["Last requests", "explain?", "auth.basic ann", "nope"] {
        assert!(!sites.iter().any(|site| site.contains(hidden)), "{hidden}: {sites:#?}");
    }
    let style =
        answer.body().split("href=\"").find_map(|rest| rest.split('"').next().filter(|path| path.ends_with(".css")));
    assert_eq!(
        pages.get(&format!("/dashboard/{}", style.unwrap())).headers()["content-type"],
        "text/css; charset=utf-8"
    );
    let alone = pages.ask(InternalService::Dashboard, &Method::GET, "/");
    assert_eq!(alone.body(), answer.body());
}

#[test]
fn ping_and_noop_say_one_thing() {
    let ask = |pages: &Pages, service| {
        let answer = pages.ask(service, &Method::GET, "/anything");
        (answer.status().as_u16(), answer.into_body())
    };
    assert_eq!(ask(&serving(), InternalService::Ping), (200, "OK".to_owned()));
    assert_eq!(ask(&serving(), InternalService::Noop), (418, String::new()));
    let stopping = pages(|_| {}, InstancePhase::Stopping);
    assert_eq!(ask(&stopping, InternalService::Ping).0, 503);
    let said = pages(|pages| pages.terminating_status = Some(http::StatusCode::NO_CONTENT), InstancePhase::Stopping);
    assert_eq!(ask(&said, InternalService::Ping).0, 204);
}

#[test]
fn metrics_tell_the_state_under_traefiks_names_too() {
    let answer = serving().ask(InternalService::Prometheus, &Method::GET, "/metrics");
    for line in [
        r#"traefik_service_server_up{service="checked@docker",url="http://172.20.0.3:8081"} 1"#,
        "traefik_config_reloads_total 1",
        "gangway_table_generation 1",
    ] {
        assert!(answer.body().lines().any(|read| read == line), "{line} is missing: {}", answer.body());
    }
}
