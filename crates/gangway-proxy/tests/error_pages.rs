//! Pages in place of errors, of the application's and of our own.

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use common::ways::Ways;
use common::{Plane, RouteToServe, route};
use gangway_model::{
    Address, AddressFilter, Authentication, BasicAuth, BasicUser, ClientKey, ClientList, Compression, ContentCoding,
    Endpoint, EndpointKey, ErrorPages, ErrorRule, LoginMethod, Middleware, PageSource, Policy, RateLimit, Readiness,
    Scheme, StatusRewrite, StatusText, Upstream,
};
use gangway_proxy::PageLibrary;
use gangway_testkit::client::{Answer, Client};
use gangway_testkit::scripted::{Asked, Scripted};
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const JSON: (&str, &str) = ("accept", "application/json");

fn library() -> PageLibrary {
    let mut library = PageLibrary::default();
    for path in ["404.html", "5xx.html", "api/404.json", "one.html", "text.txt", "log-in.html"] {
        library.put(path, format!("the page {path}").into_bytes());
    }
    library.put("large.html", vec![b'x'; 100_000]);
    library
}

fn rule(statuses: (u16, u16), source: PageSource) -> ErrorRule {
    ErrorRule { statuses: vec![statuses], source }
}

fn file(path: &str) -> PageSource {
    PageSource::File(StatusText::new(path))
}

fn folder(path: &str) -> PageSource {
    PageSource::Folder(StatusText::new(path))
}

fn service(target: &str) -> PageSource {
    PageSource::Service { name: "pages".into(), target: StatusText::new(target) }
}

fn at(address: SocketAddr) -> Endpoint {
    Endpoint {
        key: EndpointKey { container: address.to_string().into(), address: Address::Ip(address.ip(), address.port()) },
        name: "pages-1".into(),
        scheme: Scheme::Http,
        transport: Arc::default(),
        host: None,
        readiness: Readiness::Ready,
        weight: 1,
        is_of_operator: false,
    }
}

fn pages(rules: Vec<ErrorRule>) -> Middleware {
    Middleware::ErrorPages(Arc::new(ErrorPages { rules }))
}

fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Answers `/<status>/…` by that status, and says what a page keeps and what it replaces.
fn application(asked: &Asked) -> Vec<u8> {
    let path = asked.head.split(' ').nth(1).unwrap_or_default();
    let status = path.get(1..4).unwrap_or_default();
    let kind = if path.contains("json") { "application/problem+json" } else { "text/html" };
    let fields = format!(
        "Content-Type: {kind}\r\nETag: \"app\"\r\nContent-Language: de\r\nContent-Security-Policy: app\r\n\
         Last-Modified: Sat, 28 Nov 2026 00:00:00 GMT\r\nAccept-Ranges: bytes\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
         Retry-After: 7\r\nWWW-Authenticate: Bearer\r\nCache-Control: max-age=60\r\nVary: Cookie\r\nX-Frame-Options: DENY\r\n"
    );
    if asked.head.starts_with("HEAD ") {
        return format!("HTTP/1.1 {status} x\r\n{fields}Content-Length: 7\r\n\r\n").into_bytes();
    }
    if path.contains("chunked") {
        let body = "Transfer-Encoding: chunked\r\n\r\n7\r\napp ".to_owned() + status + "\r\n0\r\nX-Trailer: 1\r\n\r\n";
        return format!("HTTP/1.1 {status} x\r\n{fields}{body}").into_bytes();
    }
    if path.contains("long") {
        return answer(&format!("{status} x"), &fields, &"app ".repeat(100_000));
    }
    answer(&format!("{status} x"), &fields, &format!("app {status}"))
}

/// Gives pages, and what is none.
fn page_service(asked: &Asked) -> Vec<u8> {
    let path = asked.head.split(' ').nth(1).unwrap_or_default();
    let html = "Content-Type: text/html; charset=utf-8\r\nContent-Language: fr\r\nSet-Cookie: p=1\r\nCache-Control: public\r\n";
    let text = format!("a page for {path}");
    match path.split(['/', '?']).nth(1).unwrap_or_default() {
        "good" => answer("200 OK", html, &text),
        "same" => answer(&format!("{} x", asked.field("X-Code")), html, &text),
        "text" => answer("200 OK", "Content-Type: Text/Plain\r\n", &text),
        "chunked" => {
            format!("HTTP/1.1 200 OK\r\n{html}Transfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\n\r\n").into()
        }
        "early" => [&b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"[..], &answer("200 OK", html, &text)].concat(),
        "edge" => answer("200 OK", html, &"x".repeat(PageLibrary::PAGE_BYTES_MAX)),
        "large" => answer("200 OK", html, &"x".repeat(PageLibrary::PAGE_BYTES_MAX + 1)),
        "endless" => format!("HTTP/1.1 200 OK\r\n{html}Transfer-Encoding: chunked\r\n\r\n4\r\npage\r\n").into(),
        "silent" => Vec::new(),
        "redirect" => answer("302 Found", "Location: /good\r\nContent-Type: text/html\r\n", &text),
        "missing" => answer("404 Not Found", html, "no such page"),
        "broken" => answer("500 x", html, "stack trace"),
        "json" => answer("200 OK", "Content-Type: application/json\r\n", "{}"),
        "image" => answer("200 OK", "Content-Type: image/png\r\n", "png"),
        "untyped" => answer("200 OK", "", &text),
        "twice" => answer("200 OK", "Content-Type: text/html\r\nContent-Type: image/png\r\n", &text),
        "encoded" => answer("200 OK", &format!("{html}Content-Encoding: gzip\r\n"), "gzip"),
        "empty" => answer("200 OK", html, ""),
        "partial" => answer("206 Partial Content", html, &text),
        _ => b"no HTTP\r\n\r\n".to_vec(),
    }
}

/// What a client gets.
#[derive(Clone, Copy, Debug)]
enum Gets {
    /// The application's answer as it is.
    App,
    /// This page.
    Page(&'static str),
    /// A page of this length.
    Long(usize),
}
use Gets::{App, Long, Page};

/// A method, a path, the fields of the request, and what comes of it.
type Row<'r> = (&'r str, &'r str, &'r [(&'r str, &'r str)], Gets);

/// The rules of the table: a status for each source.
const SOURCES: [(u16, &str); 28] = [
    (400, "/good/{status}"),
    (401, "/good/x?code={status}"),
    (402, "/same/{status}"),
    (403, "/text"),
    (405, "/chunked"),
    (406, "/early"),
    (407, "/edge"),
    (408, "/large"),
    (409, "/endless"),
    (410, "/silent"),
    (411, "/redirect"),
    (412, "/missing"),
    (413, "/broken"),
    (414, "/json"),
    (415, "/image"),
    (416, "/untyped"),
    (417, "/twice"),
    (418, "/encoded"),
    (419, "/empty"),
    (420, "/partial"),
    (421, "/garbage"),
    (422, "refused"),
    (423, "nowhere"),
    (424, "file:one.html"),
    (425, "file:none.html"),
    (426, "folder:"),
    (428, "folder:api"),
    (429, "file:text.txt"),
];

fn source(text: &str) -> PageSource {
    match text.split_once(':') {
        Some(("file", path)) => file(path),
        Some((_, path)) => folder(path),
        None => service(text),
    }
}

async fn ask(client: &Client, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut connection = client.connect("a.localhost").await.expect("connected");
    connection.ask(method, path, fields, "").await.expect("answered")
}

#[tokio::test]
async fn an_error_of_the_application_gets_its_page_and_stays_whole_where_there_is_none() {
    let (app, service) = (Scripted::answering(application).await, Scripted::answering(page_service).await);
    let (app, service) = (app.expect("a free port"), service.expect("a free port"));
    let gone = Scripted::answering(application).await.expect("a free port");
    let refused = gone.address;
    drop(gone);
    let mut rules: Vec<ErrorRule> =
        SOURCES.iter().map(|(status, text)| rule((*status, *status), source(text))).collect();
    rules.push(rule((404, 404), folder("")));
    rules.push(rule((500, 504), folder("")));
    rules.push(rule((404, 599), file("one.html")));
    let mut route = route("a.localhost", app.address);
    route.middlewares = vec![
        Middleware::ResponseHeader(HeaderName::from_static("x-label").into(), Some(HeaderValue::from_static("1"))),
        pages(rules),
    ];
    let address = service.address;
    route.change = Box::new(move |route| {
        route.page_services = SOURCES
            .iter()
            .enumerate()
            .filter_map(|(position, (_, text))| match *text {
                "nowhere" => Some((position, Vec::new())),
                "refused" => Some((position, vec![at(refused)])),
                text if text.starts_with('/') => Some((position, vec![at(address)])),
                _ => None,
            })
            .collect();
    });
    let mut plane = Plane::serving(vec![route]).await;
    plane.pages.publish(library());
    let script = [("accept", "*/*"), ("sec-fetch-dest", "empty")];
    let rows: &[Row<'_>] = &[
        ("GET", "/200", &[], App),
        ("GET", "/204", &[], App),
        ("GET", "/302", &[], App),
        ("GET", "/400", &[], Page("a page for /good/400")),
        ("GET", "/400", &[BROWSER], Page("a page for /good/400")),
        ("POST", "/400", &[BROWSER], Page("a page for /good/400")),
        ("HEAD", "/400", &[BROWSER], Page("a page for /good/400")),
        ("GET", "/400", &[JSON], App),
        ("GET", "/400", &script, App),
        ("PUT", "/400", &[], App),
        ("GET", "/400/json", &[], App),
        ("GET", "/400/json", &[BROWSER], Page("a page for /good/400")),
        ("GET", "/400/chunked", &[], Page("a page for /good/400")),
        ("GET", "/400/long", &[], Page("a page for /good/400")),
        ("GET", "/400", &[("range", "bytes=0-3")], Page("a page for /good/400")),
        ("GET", "/401", &[], Page("a page for /good/x?code=401")),
        ("GET", "/402", &[], Page("a page for /same/402")),
        ("GET", "/403", &[], Page("a page for /text")),
        ("GET", "/405", &[], Page("page")),
        ("GET", "/406", &[], Page("a page for /early")),
        ("GET", "/407", &[], Long(PageLibrary::PAGE_BYTES_MAX)),
        ("GET", "/408", &[], App),
        ("GET", "/409", &[], App),
        ("GET", "/410", &[], App),
        ("GET", "/410/chunked", &[], App),
        ("GET", "/411", &[], App),
        ("GET", "/412", &[], App),
        ("GET", "/413", &[], App),
        ("GET", "/414", &[], App),
        ("GET", "/415", &[], App),
        ("GET", "/416", &[], App),
        ("GET", "/417", &[], App),
        ("GET", "/418", &[], App),
        ("GET", "/419", &[], App),
        ("GET", "/420", &[], App),
        ("GET", "/421", &[], App),
        ("GET", "/422", &[], App),
        ("HEAD", "/422", &[], App),
        ("GET", "/422/long", &[], App),
        ("GET", "/423", &[], App),
        ("GET", "/424", &[], Page("the page one.html")),
        ("GET", "/425", &[], App),
        ("GET", "/426", &[], App),
        ("GET", "/428", &[], App),
        ("GET", "/429", &[], Page("the page text.txt")),
        ("GET", "/404", &[], Page("the page 404.html")),
        ("GET", "/503", &[BROWSER], Page("the page 5xx.html")),
        ("HEAD", "/503", &[BROWSER], Page("the page 5xx.html")),
        ("GET", "/503", &[JSON], App),
        ("GET", "/505", &[], Page("the page one.html")),
        ("GET", "/510/long", &[], Page("the page one.html")),
    ];
    for client in &plane.clients() {
        for (method, path, fields, gets) in rows {
            let got = ask(client, method, path, fields).await;
            let about = format!("{method} {path} {fields:?} {client:?}: {} {}", got.status, got.text().len());
            assert_eq!(got.status.as_str(), &path[1..4], "{about}");
            assert_eq!(got.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"], "{about}");
            for (name, value) in [
                ("retry-after", "7"),
                ("www-authenticate", "Bearer"),
                ("cache-control", "max-age=60"),
                ("x-frame-options", "DENY"),
                ("x-label", "1"),
            ] {
                assert_eq!(got.header(name), value, "{name} {about}");
            }
            let is_of_app = matches!(gets, App);
            for (name, value) in [("etag", "\"app\""), ("content-security-policy", "app"), ("accept-ranges", "bytes")] {
                assert_eq!(got.header(name), if is_of_app { value } else { "" }, "{name} {about}");
            }
            let is_head = *method == "HEAD";
            let expected = match gets {
                App if path.contains("long") => "app ".repeat(100_000),
                App if is_head => "1234567".to_owned(),
                App if *path == "/204" => String::new(),
                App => format!("app {}", &path[1..4]),
                Page(text) => (*text).to_owned(),
                Long(len) => "x".repeat(*len),
            };
            assert!(got.text() == if is_head { "" } else { &*expected }, "{about}: {:.200}", got.text());
            let is_sized = !path.contains("chunked") || !is_of_app;
            if is_sized && *path != "/204" {
                assert_eq!(got.header("content-length"), expected.len().to_string(), "{about}");
            }
            // Caches know that the answer depends on who reads it, also where it stays.
            let has_rule = path[1..4] >= *"400";
            assert_eq!(got.header("vary").contains("Accept, Sec-Fetch-Dest"), has_rule, "{about}");
            assert!(got.trailers.is_none() || is_of_app, "{about}");
        }
    }
    let questions = service.asked();
    let of = |target: &str| questions.iter().filter(|asked| asked.head.starts_with(&format!("GET {target} "))).count();
    // A service that was silent is not asked again and again.
    assert!((1..=4).contains(&of("/silent")), "{}", of("/silent"));
    assert_eq!(of("/redirect"), 4);
    assert!(service.strays().is_empty() && app.strays().is_empty());
    assert!(plane.metric("gangway_error_pages_total") > 100.0);
}

#[tokio::test]
async fn a_page_service_is_told_what_it_knows_and_nothing_by_which_the_client_is_let_in() {
    let (app, service) = (Scripted::answering(application).await, Scripted::answering(page_service).await);
    let (app, service) = (app.expect("a free port"), service.expect("a free port"));
    let mut route = route("a.localhost", app.address);
    route.middlewares = vec![pages(vec![rule((400, 499), self::service("/good/{status}?x={status}"))])];
    let address = service.address;
    route.change = Box::new(move |route| route.page_services = vec![(0, vec![at(address)])]);
    let plane = Plane::serving(vec![route]).await;
    let sent = [
        BROWSER,
        ("accept-language", "de"),
        ("cookie", "session=1"),
        ("authorization", "Bearer x"),
        ("x-code", "200"),
        ("range", "bytes=0-1"),
        ("if-none-match", "\"app\""),
    ];
    for client in &plane.clients() {
        let mut connection = client.connect("a.localhost").await.expect("connected");
        let got = connection.ask("POST", "/404/{status}?token=s3cret&page=2", &sent, "a body").await.expect("answered");
        assert_eq!(got.text(), "a page for /good/404?x=404");
        let asked = service.asked().pop().expect("asked");
        assert!(asked.head.starts_with("GET /good/404?x=404 HTTP/1.1\r\n") && asked.body.is_empty(), "{}", asked.head);
        for (name, value) in [
            ("Host", "a.localhost"),
            ("Accept", "text/html"),
            ("Accept-Language", "de"),
            ("X-Code", "404"),
            ("X-Format", "text/html"),
            ("X-Original-URI", "/404/{status}?token=***&page=2"),
            ("Cookie", ""),
            ("Authorization", ""),
            ("Range", ""),
            ("If-None-Match", ""),
            ("Content-Length", ""),
        ] {
            assert_eq!(asked.field(name), value, "{name}: {}", asked.head);
        }
        assert!(asked.field("CDN-Loop").starts_with("gangway-") && !asked.field("X-Request-ID").is_empty());
        assert_eq!(asked.head.to_ascii_lowercase().matches("x-code:").count(), 1, "{}", asked.head);
        // What describes the page is taken from the service, and nothing else.
        assert_eq!((got.header("content-language"), got.header("cache-control")), ("fr", "max-age=60"));
        assert!(!got.headers.get_all("set-cookie").iter().any(|cookie| cookie == "p=1"));
    }
    // The connections to the service are kept.
    assert!(service.asked().iter().any(|asked| asked.turn > 0));
}

#[tokio::test]
async fn pages_come_over_every_way_and_connections_go_on() {
    let mut ways = Ways::to("pages", |route| {
        route.middlewares = vec![
            Middleware::Compression(Compression::by(ContentCoding::ALL)),
            pages(vec![rule((404, 404), folder("")), rule((413, 599), file("large.html"))]),
        ];
    })
    .await;
    ways.plane.pages.publish(library());
    for way in ways.all() {
        let about = &way.name;
        let mut connection = way.client.connect(way.host).await.expect("connected");
        for _ in 0..3 {
            let got = connection.ask("GET", "/status/404", &[BROWSER], "").await.expect("answered");
            assert_eq!((got.status.as_u16(), got.text()), (404, "the page 404.html".to_owned()), "{about}");
            let posted = connection.ask("POST", "/status/404", &[BROWSER], "x".repeat(10_000)).await.expect("answered");
            assert_eq!(posted.text(), "the page 404.html", "{about}");
            let head = connection.ask("HEAD", "/status/404", &[BROWSER], "").await.expect("answered");
            assert_eq!((head.header("content-length"), head.body.len()), ("17", 0), "{about}");
            let fine = connection.ask("GET", "/bytes/5", &[BROWSER], "").await.expect("answered");
            assert_eq!((fine.status.as_u16(), fine.body.len(), fine.header("vary")), (200, 5, ""), "{about}");
        }
        let large = connection.ask("GET", "/status/500", &[BROWSER], "").await.expect("answered");
        assert_eq!((large.status.as_u16(), large.body.len()), (500, 100_000), "{about}");
        let fields = [BROWSER, ("accept-encoding", "gzip")];
        let encoded = connection.ask("GET", "/status/500", &fields, "").await.expect("answered");
        assert_eq!(encoded.header("content-encoding"), "gzip", "{about}");
        assert!(encoded.body.starts_with(&[0x1F, 0x8B]) && encoded.body.len() < 5000, "{about}");
        // Calls of gRPC are answered in their own terms.
        let fields = [("content-type", "application/grpc"), ("te", "trailers")];
        let call = connection.ask("POST", "/status/404", &fields, "x").await.expect("answered");
        assert!(call.text() != "the page 404.html" && call.header("vary").is_empty(), "{about}");
        // An early answer to an upload.
        let mut connection = way.client.connect(way.host).await.expect("connected");
        if let Ok(early) = connection.ask("POST", "/early", &[BROWSER], "x".repeat(100_000)).await {
            assert_eq!((early.status.as_u16(), early.body.len()), (413, 100_000), "{about}");
        }
    }
}

#[tokio::test]
async fn upgrades_and_old_clients_are_served() {
    let app = Scripted::answering(application).await.expect("a free port");
    let mut route = route("a.localhost", app.address);
    route.middlewares = vec![pages(vec![rule((400, 599), file("one.html"))])];
    let mut plane = Plane::serving(vec![route]).await;
    plane.pages.publish(library());
    let address = plane.plane.listening().plain()[0];
    let exchange = async |request: &str| {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.expect("answered");
        String::from_utf8(all).expect("text")
    };
    let old = exchange("GET /404 HTTP/1.0\r\nHost: a.localhost\r\n\r\n").await;
    assert!(old.contains(" 404 ") && old.ends_with("\r\n\r\nthe page one.html"), "{old}");
    assert!(old.to_ascii_lowercase().contains("content-length: 17\r\n"), "{old}");
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let asked = "GET /404 HTTP/1.1\r\nHost: a.localhost\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n";
    let upgrade = exchange(&format!("{asked}{key}\r\n")).await;
    assert!(upgrade.contains(" 404 ") && upgrade.ends_with("app 404"), "{upgrade}");
}

#[tokio::test]
async fn answers_of_our_own_get_pages_too() {
    let silent = Scripted::answering(|_| Vec::new()).await.expect("a free port");
    let app = Scripted::answering(|_| answer("200 OK", "", "in")).await.expect("a free port");
    let gone = Scripted::answering(application).await.expect("a free port");
    let refused = gone.address;
    drop(gone);
    let rules = || {
        pages(vec![
            rule((401, 401), file("log-in.html")),
            rule((404, 404), folder("")),
            rule((400, 599), file("one.html")),
        ])
    };
    let serving = |host, address, middlewares: Vec<Middleware>, change: fn(&mut gangway_model::Route)| {
        let mut route: RouteToServe = route(host, address);
        route.middlewares = middlewares;
        route.middlewares.push(rules());
        route.change = Box::new(change);
        route
    };
    let user = BasicUser::parse("ann:{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=").expect("a user");
    let basic = BasicAuth { users: vec![user], lists: Vec::new(), realm: "app".into(), keep: false, user_field: None };
    let login = Authentication { method: LoginMethod::Basic(basic), skip: Vec::new() };
    let nobody = AddressFilter { allow: Some(ClientList::default()), ..AddressFilter::default() };
    let (requests, period) = (NonZeroU32::MIN, Duration::from_secs(3600));
    let once = Middleware::RateLimit(RateLimit { requests, period, burst: requests, key: ClientKey::Address });
    let routes = vec![
        serving("a.localhost", silent.address, Vec::new(), |route| route.timeouts.response = Duration::from_millis(50)),
        serving("b.localhost", refused, Vec::new(), |_| {}),
        serving("c.localhost", app.address, Vec::new(), |route| route.closed = true),
        serving("d.localhost", app.address, vec![Middleware::Authentication(Arc::new(login))], |_| {}),
        serving("e.localhost", app.address, vec![Middleware::AddressFilter(Arc::new(nobody))], |_| {}),
        serving("f.localhost", app.address, vec![Middleware::BodyLimit(3)], |_| {}),
        serving("g.localhost", app.address, vec![once], |_| {}),
        serving("h.localhost", app.address, Vec::new(), |route| {
            let policy = Policy { hold: Duration::ZERO, ..Policy::default() };
            route.upstream = Arc::new(Upstream { policy, ..Upstream::default() });
        }),
    ];
    let mut plane = Plane::serving(routes).await;
    plane.pages.publish(library());
    let rows: BTreeMap<&str, (u16, &str, &str)> = BTreeMap::from([
        ("a.localhost", (504, "upstream-timeout", "x-request-id")),
        ("b.localhost", (502, "upstream-refused", "x-request-id")),
        ("c.localhost", (503, "route-closed", "x-request-id")),
        ("d.localhost", (401, "unauthorized", "www-authenticate")),
        ("e.localhost", (403, "forbidden", "x-request-id")),
        ("f.localhost", (413, "body-too-large", "x-request-id")),
        ("g.localhost", (429, "rate-limited", "retry-after")),
        ("h.localhost", (503, "no-endpoint", "retry-after")),
        ("no-route.localhost", (404, "no-route", "x-request-id")),
    ]);
    for client in &plane.clients() {
        for (host, (status, reason, kept)) in &rows {
            for fields in [&[BROWSER][..], &[JSON]] {
                let mut last = None;
                // The first one uses up what the client may ask for.
                for _ in 0..if *host == "g.localhost" { 2 } else { 1 } {
                    let Ok(mut connection) = client.connect(host).await else { continue };
                    last = connection.ask("POST", "/", fields, "a body").await.ok();
                }
                // Without a certificate for a host that nobody claims there is no connection.
                let Some(got) = last else { continue };
                let about = format!("{host} {fields:?} {client:?}: {}", got.text());
                assert_eq!(got.status.as_u16(), *status, "{about}");
                let page = if *status == 401 { "the page log-in.html" } else { "the page one.html" };
                let is_page = got.text() == page;
                assert_eq!(is_page, fields[0] == BROWSER && *reason != "no-route", "{about}");
                assert!(is_page || got.text().contains(reason), "{about}");
                assert!(!got.header(kept).is_empty(), "{kept} {about}");
                assert_eq!(got.header("cache-control"), "no-store", "{about}");
                assert_eq!(got.header("content-length"), got.body.len().to_string(), "{about}");
            }
        }
        let head = ask(client, "HEAD", "/", &[BROWSER]).await;
        assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (504, "17", 0));
    }
}

#[tokio::test]
async fn a_page_service_that_leads_back_to_its_route_is_asked_once() {
    let app = Scripted::answering(application).await.expect("a free port");
    let service = Scripted::answering(page_service).await.expect("a free port");
    let mut plane = Plane::serving(Vec::new()).await;
    let own = plane.plane.listening().plain()[0];
    let mut route = route("a.localhost", app.address);
    route.middlewares = vec![pages(vec![rule((400, 599), self::service("/404"))])];
    route.change = Box::new(move |route| route.page_services = vec![(0, vec![at(own)])]);
    plane.serve(vec![route]).await;
    for client in &plane.clients() {
        let before = app.asked().len();
        let got = ask(client, "GET", "/404", &[]).await;
        assert_eq!((got.status.as_u16(), got.text()), (404, "app 404".to_owned()));
        assert_eq!(app.asked().len(), before + 2);
    }
    drop(service);
}

#[tokio::test]
async fn every_client_gets_what_a_service_of_traefiks_rules_answers() {
    let app = Scripted::answering(application).await.expect("a free port");
    let service = Scripted::answering(page_service).await.expect("a free port");
    let answer_of = |target: &str, rewrites: &[StatusRewrite]| PageSource::Answer {
        name: "pages@file".into(),
        target: StatusText::new(target),
        rewrites: rewrites.into(),
    };
    let rules = vec![
        rule((404, 404), answer_of("/json/{status}?u={url}", &[])),
        rule((500, 599), answer_of("/good/{status}/{originalStatus}", &[StatusRewrite { from: (503, 503), to: 200 }])),
        rule((403, 403), answer_of("/silent", &[])),
    ];
    let mut served = route("a.localhost", app.address);
    served.middlewares = vec![pages(rules)];
    let endpoints = vec![at(service.address)];
    served.change = Box::new(move |route| route.page_services = (0..3).map(|rule| (rule, endpoints.clone())).collect());
    let plane = Plane::serving(vec![served]).await;
    for client in plane.clients() {
        for (method, path, fields, status, body) in [
            ("GET", "/404/x?q=1", &[JSON, ("authorization", "Bearer x"), ("x-mine", "1")][..], 404, "{}"),
            ("POST", "/503/x", &[JSON], 200, "a page for /good/200/503"),
            ("DELETE", "/500/x", &[], 500, "a page for /good/500/500"),
            ("GET", "/402/x", &[], 402, "app 402"),
        ] {
            let answer = ask(&client, method, path, fields).await;
            assert_eq!((answer.status.as_u16(), &*answer.text()), (status, body), "{method} {path}");
            if path.starts_with("/404") {
                let asked = service.asked().pop().expect("asked");
                let target = asked.head.split(' ').nth(1).unwrap_or_default();
                assert!(asked.head.starts_with("GET ") && target.starts_with("/json/404?u=http"), "{}", asked.head);
                assert!(target.ends_with("%2F404%2Fx%3Fq%3D1"), "{target}");
                let (mine, secret) = (asked.field("X-Mine"), asked.field("Authorization"));
                assert_eq!((mine, secret, asked.field("X-Forwarded-Host").is_empty()), ("1", "", false));
            }
        }
    }
}
