//! The web application firewall of CrowdSec (AppSec) is asked about each request: what it hears, what its answers cause, and
//! what becomes of bodies meanwhile.

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use common::{Plane, RouteToServe, app, route};
use gangway_crowdsec::EngineError;
use gangway_model::{
    Authentication, BasicAuth, BasicUser, ClientKey, LoginMethod, Middleware, OnDoubt, RateLimit, Scheme,
};
use gangway_proxy::ProxySettings;
use gangway_testkit::appsec::{
    ATTACK, AppsecComponent, BOT, CHALLENGE_PATH, Fault, SUSPICIOUS, UNAVAILABLE_FOR_LEGAL_REASONS, allow, reply,
};
use gangway_testkit::client::{Answer, Client, Speaks};
use gangway_testkit::crowdsec::BOUNCER_KEY;
use gangway_testkit::ports;
use gangway_testkit::raw::{Asked as AskedBy, Raw};
use gangway_testkit::recording::{AfterAnswer, AnswerMoment, CASE_FIELD, RecordingEndpoint, WrittenAnswer};
use gangway_testkit::scripted::Asked;
use gangway_testkit::wait::eventually;
use tokio::task::JoinSet;

const STUCK: Duration = Duration::from_secs(30);

/// As much of a body as the firewall sees.
const SEEN: usize = 1 << 20;

const CLOSED: &str = "closed.localhost";
const OPEN: &str = "open.localhost";

fn inspected(mut route: RouteToServe, on_doubt: OnDoubt) -> RouteToServe {
    route.middlewares = vec![Middleware::Appsec(on_doubt)];
    route
}

/// A plane that asks `component`, with one route that is closed where that cannot be asked, and one that is open.
async fn plane(component: &AppsecComponent, endpoint: SocketAddr) -> Plane {
    plane_with(component, endpoint, |_| {}).await
}

async fn plane_with(
    component: &AppsecComponent,
    endpoint: SocketAddr,
    change: impl FnOnce(&mut ProxySettings),
) -> Plane {
    let mut plane = Plane::start_with_appsec(&component.url, change);
    let closed = inspected(route(CLOSED, endpoint), OnDoubt::Close);
    let open = inspected(route(OPEN, endpoint), OnDoubt::Admit);
    plane.serve(vec![closed, open]).await;
    plane
}

async fn component() -> AppsecComponent {
    AppsecComponent::start().await.expect("a free port")
}

fn clients(plane: &Plane) -> [Client; 4] {
    [plane.http(), plane.https(), plane.http().speaking(Speaks::H2), plane.https().speaking(Speaks::H2)]
}

async fn ask(client: &Client, host: &str, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
    let mut connection = client.connect(host).await.expect("connected");
    connection.ask(method, path, fields, body.to_owned()).await.expect("answered")
}

fn count(asked: &Asked, name: &str) -> usize {
    let named = |line: &&str| line.split_once(':').is_some_and(|(named, _)| named.eq_ignore_ascii_case(name));
    asked.head.lines().filter(named).count()
}

fn upgrade(host: &str, more: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// The status of the answer to a handshake for a WebSocket.
async fn handshake(client: &Client, host: &str, more: &str) -> u16 {
    let mut raw = Raw::over(client.stream(host).await.expect("connected"));
    raw.send(upgrade(host, more)).await.expect("sent");
    let head = raw.bytes("HTTP/1.1 101".len()).await.expect("an answer");
    String::from_utf8_lossy(&head)[9..].parse().expect("a status")
}

#[tokio::test]
async fn the_firewall_hears_what_crowdsec_s_own_bouncers_say() {
    let (component, (address, _)) = (component().await, app("a").await);
    let plane = plane(&component, address).await;
    let sent = [
        ("user-agent", "Mozilla/5.0"),
        ("accept", "text/html"),
        ("x-forwarded-for", "198.51.100.9"),
        ("cookie", "a=b; __Host-gangway-oidc-s-home=session"),
        ("X-Crowdsec-Appsec-Ip", "192.0.2.9"),
        ("X-Crowdsec-Appsec-Api-Key", "mine"),
        ("x-crowdsec-appsec-verb", "GET"),
    ];
    for client in clients(&plane) {
        for (method, body) in [("GET", ""), ("PUT", "a=b&c=d")] {
            let answer = ask(&client, CLOSED, method, "/echo/x?q=%27", &sent, body).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["method"]), (200, &method.into()));
            assert_eq!(answer.json()["body_len"], body.len());
            assert!(!answer.text().contains(BOUNCER_KEY), "the application gets no key");
        }
    }
    let asked = component.asked();
    assert_eq!(asked.len(), 8);
    for (number, asked) in asked.iter().enumerate() {
        let (has_body, is_h2) = (number % 2 == 1, number >= 4);
        let (line, verb) = if has_body { ("POST / HTTP/1.1\r\n", "PUT") } else { ("GET / HTTP/1.1\r\n", "GET") };
        assert!(asked.head.starts_with(line), "{}", asked.head);
        for (name, value) in [
            ("Host", &*component.address.to_string()),
            ("X-Crowdsec-Appsec-Ip", "127.0.0.1"),
            ("X-Crowdsec-Appsec-Uri", "/echo/x?q=%27"),
            ("X-Crowdsec-Appsec-Verb", verb),
            ("X-Crowdsec-Appsec-Api-Key", BOUNCER_KEY),
            ("X-Crowdsec-Appsec-User-Agent", "Mozilla/5.0"),
            ("X-Crowdsec-Appsec-Http-Version", if is_h2 { "20" } else { "11" }),
            ("User-Agent", "Mozilla/5.0"),
            ("Accept", "text/html"),
            ("X-Forwarded-For", "198.51.100.9"),
            ("Cookie", "a=b"),
        ] {
            assert_eq!((asked.field(name), count(asked, name)), (value, 1), "{name}: {}", asked.head);
        }
        assert!(asked.field("X-Crowdsec-Appsec-Host").starts_with(CLOSED), "{}", asked.head);
        assert_eq!(
            (&*asked.body, count(asked, "Content-Length")),
            match has_body {
                true => (&b"a=b&c=d"[..], 1),
                false => (&b""[..], 0),
            }
        );
        assert_eq!(count(asked, "Transfer-Encoding") + count(asked, "Connection"), 0, "{}", asked.head);
    }
    // A client that names none has none.
    assert_eq!(ask(&plane.http(), CLOSED, "GET", "/", &[], "").await.status, 200);
    let last = component.asked().pop().expect("asked");
    assert_eq!(count(&last, "X-Crowdsec-Appsec-User-Agent") + count(&last, "User-Agent"), 0, "{}", last.head);
    let mut kept = plane.https().connect(CLOSED).await.expect("connected");
    for _ in 0..3 {
        assert_eq!(kept.get("/").await.expect("answered").status, 200);
    }
    assert!(component.asked().iter().any(|asked| asked.turn > 1), "connections are kept");
}

#[tokio::test]
async fn what_the_firewall_blocks_never_reaches_the_application() {
    let (component, (address, application)) = (component().await, app("a").await);
    let plane = plane(&component, address).await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    for client in clients(&plane) {
        for host in [CLOSED, OPEN] {
            for (method, path, fields, body, status) in [
                ("GET", format!("/?q={ATTACK}").replace(['{', '}'], ""), vec![], "", 200),
                ("GET", "/".to_owned(), vec![("x-api-version", ATTACK)], "", 403),
                ("POST", "/".to_owned(), vec![form], ATTACK, 403),
                ("DELETE", "/".to_owned(), vec![], ATTACK, 403),
                ("POST", "/".to_owned(), vec![form], SUSPICIOUS, 403),
                ("POST", "/".to_owned(), vec![form], UNAVAILABLE_FOR_LEGAL_REASONS, 451),
                ("POST", "/".to_owned(), vec![("content-type", "application/grpc")], ATTACK, 200),
            ] {
                let before = application.served();
                let answer = ask(&client, host, method, &path, &fields, body).await;
                let is_grpc = answer.header("content-type") == "application/grpc";
                assert_eq!(answer.status.as_u16(), status, "{host} {method} {path} {body}: {}", answer.text());
                assert_eq!(answer.text().contains("appsec-blocked"), status > 400, "{}", answer.text());
                assert!(!is_grpc || answer.header("grpc-status") == "7");
                assert_eq!(application.served() - before, u64::from(status == 200 && !is_grpc), "{method} {path}");
            }
        }
    }
    let before = application.served();
    for host in [CLOSED, OPEN] {
        assert_eq!(handshake(&plane.http(), host, &format!("X-A: {ATTACK}\r\n")).await, 403);
    }
    assert_eq!(application.served(), before);
    assert_eq!(handshake(&plane.http(), CLOSED, "").await, 101);
    let page = ask(&plane.http(), CLOSED, "POST", "/", &[("accept", "text/html")], UNAVAILABLE_FOR_LEGAL_REASONS).await;
    assert!(page.text().contains("<title>451 — blocked</title>"), "{}", page.text());
    assert_eq!(plane.metric("gangway_crowdsec_appsec_requests_total"), 60.0);
}

#[tokio::test]
async fn a_body_that_announces_no_length_is_seen_as_well() {
    let (component, (address, application)) = (component().await, app("a").await);
    let plane = plane(&component, address).await;
    let (first, rest) = ATTACK.split_at(10);
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: {CLOSED}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n",
        first.len(),
        rest.len()
    );
    let mut raw = Raw::over(plane.http().stream(CLOSED).await.expect("connected"));
    assert_eq!(raw.ask(&chunked).await.expect("an answer").status, 403);
    // The client may go on with its next request.
    assert_eq!(raw.ask(format!("GET / HTTP/1.1\r\nHost: {CLOSED}\r\n\r\n")).await.expect("an answer").status, 200);
    assert_eq!(application.served(), 1);
    let asked = &component.asked()[0];
    assert_eq!((&*asked.body, asked.field("content-length")), (ATTACK.as_bytes(), &*ATTACK.len().to_string()));
}

#[tokio::test]
async fn a_client_that_has_to_prove_itself_gets_the_page_of_the_firewall() {
    let (component, (address, application)) = (component().await, app("a").await);
    let plane = plane(&component, address).await;
    for client in clients(&plane) {
        let challenged = ask(&client, CLOSED, "GET", "/", &[("x-is", BOT)], "").await;
        assert_eq!((challenged.status.as_u16(), challenged.header("content-type")), (200, "text/html; charset=utf-8"));
        assert_eq!(challenged.text(), "<!DOCTYPE html><script>prove()</script>");
        assert!(challenged.header("content-security-policy").contains("'unsafe-inline'"));
        let cookies: Vec<_> = challenged.headers.get_all("set-cookie").iter().map(|one| one.to_str().ok()).collect();
        assert_eq!(cookies, [Some("__crowdsec_challenge=sealed; Path=/; HttpOnly"), Some("another=1; Path=/")]);
        let submitted = ask(&client, OPEN, "POST", &format!("{CHALLENGE_PATH}submit"), &[], "proof=1").await;
        assert_eq!((submitted.status.as_u16(), &*submitted.text()), (200, r#"{"status":"ok"}"#));
        assert_eq!(component.asked().last().map(|asked| asked.body.clone()), Some(b"proof=1".to_vec()));
        assert_eq!(application.served(), 0);
    }
    let proved = [("x-is", BOT), ("cookie", "__crowdsec_challenge=sealed")];
    assert_eq!(ask(&plane.https(), CLOSED, "GET", "/", &proved, "").await.status, 200);
    assert_eq!(application.served(), 1);
}

/// The answer of the recording endpoint once it has the whole request.
fn when_whole() -> WrittenAnswer {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    WrittenAnswer { bytes, moment: AnswerMoment::WholeRequest, after: AfterAnswer::Stays }
}

#[tokio::test]
async fn the_endpoint_gets_each_byte_of_a_body_once_and_framed_as_it_was() {
    let (component, endpoint) = (component().await, RecordingEndpoint::start().await.expect("a free port"));
    let plane = plane(&component, endpoint.address).await;
    for len in [1, 7, 4096, 65_536, 200_000, SEEN - 1, SEEN, SEEN + 1, 3 * SEEN + 5] {
        let body: Vec<u8> = (0..len).map(|at| u8::try_from((at * 7 + at / 251) % 251).expect("small")).collect();
        for (way, method) in
            [("sized", "POST"), ("sized", "PUT"), ("chunked", "POST"), ("chunked", "PUT"), ("h2", "PUT")]
        {
            let case = format!("{way}-{method}-{len}");
            endpoint.answer(&case, when_whole());
            let status = match way {
                "h2" => {
                    let mut connection = plane.https().speaking(Speaks::H2).connect(CLOSED).await.expect("connected");
                    let asked = connection.ask(method, "/", &[(CASE_FIELD, &case)], body.clone()).await;
                    asked.expect("answered").status.as_u16()
                }
                way => {
                    let framing = match way {
                        "sized" => format!("Content-Length: {len}\r\n"),
                        _ => "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n".to_owned(),
                    };
                    let head =
                        format!("{method} / HTTP/1.1\r\nHost: {CLOSED}\r\n{CASE_FIELD}: {case}\r\n{framing}\r\n");
                    let mut bytes = head.into_bytes();
                    if way == "sized" {
                        bytes.extend_from_slice(&body);
                    } else {
                        for chunk in body.chunks(100_001) {
                            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                            bytes.extend_from_slice(chunk);
                            bytes.extend_from_slice(b"\r\n");
                        }
                        bytes.extend_from_slice(b"0\r\nX-Sum: 7\r\n\r\n");
                    }
                    let mut raw = Raw::over(plane.http().stream(CLOSED).await.expect("connected"));
                    raw.ask(bytes).await.expect("an answer").status
                }
            };
            assert_eq!(status, 200, "{case}");
            let messages = endpoint.taken(&case).await;
            assert_eq!(messages.len(), 1, "{case}");
            assert!(messages[0].is_whole && messages[0].body == body, "{case}: {} bytes", messages[0].body.len());
            let length = if way == "chunked" { String::new() } else { len.to_string() };
            assert_eq!(messages[0].field("content-length"), length, "{case}");
            let trailers: Vec<_> = messages[0].trailers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
            assert_eq!(trailers, if way == "chunked" { vec!["x-sum".to_owned()] } else { Vec::new() }, "{case}");
            let asked = component.asked().pop().expect("asked");
            assert!(asked.body == body[..len.min(SEEN)], "{case}: the firewall saw {} bytes", asked.body.len());
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_for_a_100_is_told_to_go_on_and_the_endpoint_is_not_asked() {
    let (component, endpoint) = (component().await, RecordingEndpoint::start().await.expect("a free port"));
    let plane = plane(&component, endpoint.address).await;
    endpoint.answer("waits", when_whole());
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {CLOSED}\r\n{CASE_FIELD}: waits\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    );
    for (body, status) in [("hello", 200), (ATTACK, 403)] {
        let mut raw = Raw::over(plane.http().stream(CLOSED).await.expect("connected"));
        raw.send(head.replace("Content-Length: 5", &format!("Content-Length: {}", body.len()))).await.expect("sent");
        assert_eq!(raw.answer(AskedBy::ForAll).await.expect("an answer").status, 100);
        assert_eq!(raw.ask(body).await.expect("an answer").status, status);
    }
    let messages = endpoint.taken("waits").await;
    assert_eq!((messages.len(), messages[0].field("expect"), &*messages[0].body), (1, "", &b"hello"[..]));
    assert!(component.asked().iter().all(|asked| count(asked, "Expect") == 0));
}

#[tokio::test]
async fn a_body_beyond_the_bound_of_the_route_is_refused_before_anybody_sees_it() {
    let (component, (address, application)) = (component().await, app("a").await);
    let mut plane = Plane::start_with_appsec(&component.url, |_| {});
    let mut bounded = inspected(route(CLOSED, address), OnDoubt::Close);
    bounded.middlewares.push(Middleware::BodyLimit(1000));
    plane.serve(vec![bounded]).await;
    let chunked = |len: usize| {
        format!(
            "POST /upload HTTP/1.1\r\nHost: {CLOSED}\r\nTransfer-Encoding: chunked\r\n\r\n{len:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(len)
        )
    };
    for (len, status) in [(1000, 200), (1001, 413), (500_000, 413)] {
        let mut raw = Raw::over(plane.http().stream(CLOSED).await.expect("connected"));
        assert_eq!(raw.ask(chunked(len)).await.expect("an answer").status, status, "{len}");
    }
    let body = "x".repeat(1001);
    let h2 = plane.https().speaking(Speaks::H2);
    assert_eq!(ask(&h2, CLOSED, "POST", "/upload", &[], &body).await.status, 413);
    assert_eq!((application.served(), component.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_client_that_goes_meanwhile_leaves_nothing_behind() {
    let (component, (address, application)) = (component().await, app("a").await);
    let plane = plane(&component, address).await;
    let under_way = || plane.metric("gangway_requests_under_way");
    // In the middle of its body, and while the firewall is asked.
    let half = format!("POST / HTTP/1.1\r\nHost: {CLOSED}\r\nContent-Length: 100000\r\n\r\nhalf");
    let mut raw = Raw::over(plane.http().stream(CLOSED).await.expect("connected"));
    raw.send(half).await.expect("sent");
    eventually("it is under way", STUCK, async || (under_way() > 0.0).then_some(())).await;
    drop(raw);
    eventually("it is given up", STUCK, async || (under_way() == 0.0).then_some(())).await;
    component.fail_by(Some(Fault::Silent));
    let mut raw = Raw::over(plane.http().stream(CLOSED).await.expect("connected"));
    raw.send(format!("POST / HTTP/1.1\r\nHost: {CLOSED}\r\nContent-Length: 4\r\n\r\nbody")).await.expect("sent");
    eventually("the firewall is asked", STUCK, async || (!component.asked().is_empty()).then_some(())).await;
    drop(raw);
    eventually("nobody waits", STUCK, async || (under_way() == 0.0).then_some(())).await;
    assert_eq!((application.served(), component.asked().len()), (0, 1));
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_not_waited_for() {
    let (component, (address, application)) = (component().await, app("a").await);
    let mut plane =
        Plane::start_with_appsec(&component.url, |settings| settings.limits.body_grace = Duration::from_millis(200));
    plane.serve(vec![inspected(route(CLOSED, address), OnDoubt::Admit)]).await;
    let half = format!("POST / HTTP/1.1\r\nHost: {CLOSED}\r\nContent-Length: 100000\r\n\r\nhalf");
    let mut raw = Raw::over(plane.http().stream(CLOSED).await.expect("connected"));
    assert_eq!(raw.ask(half).await.expect("an answer").status, 408);
    assert_eq!((application.served(), component.asked().len()), (0, 0));
}

#[tokio::test]
async fn limits_come_before_the_firewall_and_the_firewall_before_a_log_in() {
    let (component, (address, _)) = (component().await, app("a").await);
    let one = std::num::NonZeroU32::MIN;
    let rate = RateLimit { requests: one, period: Duration::from_secs(3600), burst: one, key: ClientKey::Address };
    let user = BasicUser::parse("ann:{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=").expect("a user");
    let basic =
        BasicAuth { users: vec![user], lists: vec![], realm: "household".into(), keep: false, user_field: None };
    let login = Authentication { method: LoginMethod::Basic(basic), skip: Vec::new() };
    let mut limited = route("limited.localhost", address);
    limited.middlewares = vec![Middleware::RateLimit(rate), Middleware::Appsec(OnDoubt::Close)];
    let mut login_needed = route("login.localhost", address);
    login_needed.middlewares = vec![Middleware::Appsec(OnDoubt::Close), Middleware::Authentication(Arc::new(login))];
    let mut plane = Plane::start_with_appsec(&component.url, |_| {});
    plane.serve(vec![limited, login_needed]).await;
    let client = plane.http();
    // What is beyond the limit is answered before its body has come.
    assert_eq!(ask(&client, "limited.localhost", "GET", "/", &[], "").await.status, 200);
    let mut raw = Raw::over(client.stream("limited.localhost").await.expect("connected"));
    let half = "POST / HTTP/1.1\r\nHost: limited.localhost\r\nContent-Length: 100000\r\n\r\nhalf";
    assert_eq!(raw.ask(half).await.expect("an answer").status, 429);
    assert_eq!(component.asked().len(), 1);
    assert_eq!(ask(&client, "login.localhost", "GET", "/", &[], "").await.status, 401);
    assert_eq!(ask(&client, "login.localhost", "GET", "/", &[("x-a", ATTACK)], "").await.status, 403);
    assert_eq!(component.asked().len(), 3);
    let known = [("authorization", "Basic YW5uOmhlbGxv")];
    assert_eq!(ask(&client, "login.localhost", "POST", "/upload", &known, "x").await.status, 200);
}

/// Everything that the firewall may do wrong.
fn faults() -> Vec<(&'static str, Fault)> {
    let says = |text: &str| Fault::Says(text.as_bytes().to_vec());
    let cut = |text: &str| Fault::Cut(text.as_bytes().to_vec());
    let json = r#"{"action":"allow","http_status":200}"#;
    let moved = "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.9/\r\nContent-Length: 0\r\n\r\n";
    let many = (0..300).map(|number| format!("X-{number}: x\r\n")).collect::<String>();
    vec![
        ("silent", Fault::Silent),
        ("closes", Fault::Closes),
        ("resets", Fault::Resets),
        ("401", Fault::Status(401)),
        ("500", Fault::Status(500)),
        ("502", Fault::Status(502)),
        ("503", Fault::Status(503)),
        ("404", Fault::Status(404)),
        ("204", Fault::Status(204)),
        ("a yes with another status", says(&format!("HTTP/1.1 202 Accepted\r\nContent-Length: 36\r\n\r\n{json}"))),
        ("an error that says yes", says(&format!("HTTP/1.1 500 Error\r\nContent-Length: 36\r\n\r\n{json}"))),
        ("a redirection", says(moved)),
        ("an empty yes", Fault::Status(200)),
        ("a yes of another server", Fault::Says(reply(200, "<html>Welcome to nginx!</html>"))),
        ("a yes that says nothing", Fault::Says(reply(200, "{}"))),
        ("a yes that is no JSON", Fault::Says(reply(200, r#"{"action":"allow""#))),
        ("a yes that is cut", cut("HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{\"action\":\"all")),
        ("a yes that stops", says("HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{\"action\":\"all")),
        ("a yes that is cut in its head", cut("HTTP/1.1 200 OK\r\nContent-Le")),
        ("a yes that drips", Fault::Drips(allow())),
        ("a yes without end", Fault::Floods(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b' ')),
        ("a large length", Fault::Floods(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(), b' ')),
        ("an endless field", Fault::Floods(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), b'x')),
        ("too many fields", says(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"))),
        ("two lengths", says(&format!("HTTP/1.1 200 OK\r\nContent-Length: 36\r\nContent-Length: 5\r\n\r\n{json}"))),
        ("garbage", says("\x01\x02\x03 200 OK\r\n\r\n")),
        ("no HTTP", says("SSH-2.0-OpenSSH\r\n\r\n")),
        ("HTTP/2", cut("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        ("TLS", Fault::Cut(b"\x15\x03\x01\x00\x02\x02\x50".to_vec())),
        (
            "a switch of protocols",
            says("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
        ),
        ("interim answers", Fault::Says(b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(50))),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firewall_that_fails_in_any_way_closes_and_opens_as_its_route_says() {
    let (address, application) = app("a").await;
    let mut checking = JoinSet::new();
    let rows = faults();
    assert!(rows.len() >= 30, "{}", rows.len());
    let mut planes = Vec::new();
    for (what, fault) in rows {
        let component = component().await;
        component.fail_by(Some(fault));
        planes.push((what, plane(&component, address).await, Some(component)));
    }
    // Nothing listens there.
    let gone = component().await;
    let away = plane(&gone, address).await;
    drop(gone);
    planes.push(("away", away, None));
    for (what, plane, _) in &planes {
        for client in [plane.http(), plane.https(), plane.https().speaking(Speaks::H2)] {
            let what = *what;
            checking.spawn(async move {
                for (method, body) in [("GET", ""), ("POST", "a=b")] {
                    let answer = ask(&client, CLOSED, method, "/", &[], body).await;
                    assert_eq!(answer.status.as_u16(), 503, "{what}: {}", answer.text());
                    assert!(answer.text().contains("appsec-unavailable"), "{what}: {}", answer.text());
                    assert_eq!(answer.header("retry-after"), "2", "{what}");
                    assert!(!answer.text().contains(BOUNCER_KEY), "{what}");
                    let answer = ask(&client, OPEN, method, "/upload", &[], body).await;
                    assert_eq!((answer.status.as_u16(), &answer.json()["len"]), (200, &body.len().into()), "{what}");
                }
            });
        }
        let (what, client) = (*what, plane.http());
        checking.spawn(async move {
            assert_eq!(handshake(&client, CLOSED, "").await, 503, "{what}");
            assert_eq!(handshake(&client, OPEN, "").await, 101, "{what}");
        });
    }
    let mut broken = Vec::new();
    while let Some(row) = checking.join_next().await {
        broken.extend(row.err().map(|error| error.to_string()));
    }
    assert!(broken.is_empty(), "{broken:#?}");
    // Of each plane three clients asked twice where it is open; the WebSockets do not count.
    let expected = planes.len() as u64 * 6;
    eventually("all are served", STUCK, async || (application.served() >= expected).then_some(())).await;
    assert_eq!(application.served(), expected);
    // It is asked again as soon as it is well.
    for (what, plane, component) in &planes {
        let Some(component) = component else { continue };
        component.fail_by(None);
        assert_eq!(ask(&plane.https(), CLOSED, "GET", "/", &[], "").await.status, 200, "{what}");
    }
}

#[tokio::test]
async fn a_no_counts_however_it_is_said_and_whatever_the_route_says() {
    let (component, (address, application)) = (component().await, app("a").await);
    // On a busy machine an answer takes its time, and without one the request would be let in where the label says so.
    let plane = plane_with(&component, address, |settings| settings.limits.appsec_answer = STUCK).await;
    for said in [
        Fault::Status(403),
        Fault::Says(reply(403, "no JSON")),
        Fault::Says(reply(403, r#"{"action":"allow","http_status":200}"#)),
        Fault::Says(reply(403, r#"{"action":"challenge","http_status":200}"#)),
        Fault::Cut(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 36\r\n\r\n{\"action\":\"b".to_vec()),
        Fault::Floods(b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec(), b' '),
        Fault::Says(reply(200, r#"{"action":"ban","http_status":403}"#)),
        Fault::ReadsNoBody,
    ] {
        component.fail_by(Some(said.clone()));
        for client in clients(&plane) {
            for host in [CLOSED, OPEN] {
                let body = "x".repeat(900_000);
                let answer = ask(&client, host, "POST", "/", &[("x-a", ATTACK)], &body).await;
                assert_eq!(answer.status.as_u16(), 403, "{host} {said:?}: {}", answer.text());
            }
        }
    }
    assert_eq!(application.served(), 0);
}

#[tokio::test]
async fn a_key_that_is_none_or_another_one_is_a_doubt() {
    let (component, (address, _)) = (component().await, app("a").await);
    let mut plane = plane(&component, address).await;
    plane.appsec_key.publish(Err(EngineError::Key("it is empty".to_owned())).into());
    assert_eq!(ask(&plane.http(), CLOSED, "GET", "/", &[], "").await.status, 503);
    assert_eq!(ask(&plane.http(), OPEN, "GET", "/", &[], "").await.status, 200);
    assert_eq!(component.asked().len(), 0, "without a key nobody is asked");
    plane.appsec_key.publish(Ok(http::HeaderValue::from_static("another")).into());
    assert_eq!(ask(&plane.http(), CLOSED, "GET", "/", &[], "").await.status, 503);
    plane.appsec_key.publish(Ok(http::HeaderValue::from_static(BOUNCER_KEY)).into());
    assert_eq!(ask(&plane.http(), CLOSED, "GET", "/", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_firewall_that_leads_back_to_us_is_none() {
    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free().await));
    let (address, application) = app("a").await;
    let url = format!("http://{own}");
    let mut plane = Plane::start_with_appsec(&url, |settings| settings.listeners[0].addresses = vec![own]);
    let host: &'static str = "127.0.0.1";
    plane.serve_table(vec![inspected(route(host, address), OnDoubt::Close)]).await;
    let answer = ask(&plane.http(), host, "GET", "/", &[], "").await;
    assert_eq!(answer.status.as_u16(), 503, "{}", answer.text());
    // The request, and one question about it. Each is counted when it has ended.
    let are_counted = async || (plane.metric("gangway_requests_total") >= 2.0).then_some(());
    eventually("both are counted", STUCK, are_counted).await;
    assert_eq!((application.served(), plane.metric("gangway_requests_total")), (0, 2.0));
}

#[tokio::test]
async fn a_request_is_asked_about_once_however_often_it_is_sent() {
    let (component, (address, _)) = (component().await, app("a").await);
    // Of two endpoints one refuses connections.
    let gone = ports::ClosedPort::kept();
    let mut both = inspected(route(CLOSED, address), OnDoubt::Close);
    both.endpoints.insert(0, (gone, Scheme::Http, gangway_model::Readiness::Ready));
    let mut plane = Plane::start_with_appsec(&component.url, |_| {});
    plane.serve(vec![both]).await;
    for number in 1..=6 {
        let answer = ask(&plane.http(), CLOSED, "POST", "/upload", &[], "a body that is sent again").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["len"]), (200, &25.into()));
        assert_eq!(component.asked().len(), number);
    }
}
