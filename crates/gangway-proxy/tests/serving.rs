//! What a client sees of requests that are served.

mod common;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::ways::{Way, Ways};
use common::{Plane, RouteToServe, app, held, route};
use gangway_model::{
    Balance, CasedHeaderName, Container, ContainerState, Ended, HealthCheck, Middleware, Policy, Readiness,
    RedirectPart, RedirectTarget, Route, Scheme, Snapshot, TlsMode, Upstream, compile,
};
use gangway_proxy::{CookieSecret, TrustedProxies, Whereabouts};
use gangway_testkit::app::App;
use gangway_testkit::client::{Answer, Client, Speaks};
use gangway_testkit::ports::ClosedPort;
use gangway_testkit::raw::Raw;
use gangway_testkit::sum::{Pattern, Sum};
use gangway_testkit::wait::eventually;
use gangway_testkit::websocket::WebSocket;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

fn field(echo: &serde_json::Value, name: &str) -> Vec<String> {
    let headers = echo["headers"].as_array().expect("a list of fields");
    let named = headers.iter().filter(|field| field[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)));
    named.map(|field| field[1].as_str().unwrap_or_default().to_owned()).collect()
}

/// Asks for the front page, beside what else the test does.
fn ask(client: Client, host: &'static str) -> JoinHandle<io::Result<Answer>> {
    tokio::spawn(async move { client.get(host, "/").await })
}

/// Answers whatever it is asked with something that is no TLS.
async fn not_tls() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    address
}

#[tokio::test]
async fn requests_are_served_over_every_version() {
    let ways = Ways::to("shop", |_| {}).await;
    for Way { name, client, host, endpoint_version, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        for _ in 0..3 {
            let answer = connection.get("/echo/%2F//x?a=%20b").await.expect("answered");
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert_eq!(answer.json()["target"], "/echo/%2F//x?a=%20b", "{name}");
            assert_eq!(answer.json()["version"], endpoint_version, "{name}");
        }
        let answer = connection.ask("POST", "/echo", &[], "x".repeat(100_000)).await.expect("answered");
        assert_eq!(answer.json()["body_len"], 100_000, "{name}");
        assert_eq!(field(&answer.json(), "content-length"), ["100000"], "{name}");
    }
}

#[tokio::test]
async fn an_app_is_told_who_asks_and_nothing_the_client_made_up() {
    let ways = Ways::to("shop", |_| {}).await;
    for Way { name: way, client, host, is_secure, .. } in ways.all() {
        let asked = format!("{host}:8443");
        let mut connection = client.connect(&asked).await.expect("connected");
        let spoofed = [
            ("x-forwarded-for", "6.6.6.6"),
            ("remote-user", "admin"),
            ("x_forwarded_for", "6.6.6.6"),
            ("x-forwarded-prefix", "//evil"),
        ];
        let echo = connection.ask("GET", "/echo", &spoofed, "").await.expect("answered").json();
        let authority = [field(&echo, "host"), field(&echo, ":authority")].concat();
        assert_eq!(authority, [&*asked], "{way}");
        for (name, value) in [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("x-forwarded-proto", if is_secure { "https" } else { "http" }),
            ("x-forwarded-host", &*asked),
            ("x-forwarded-port", "8443"),
        ] {
            assert_eq!(field(&echo, name), [value], "{way}: {name}");
        }
        for name in ["remote-user", "x_forwarded_for", "x-forwarded-prefix"] {
            assert!(field(&echo, name).is_empty(), "{way}: {name}");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_clients() {
    let (address, _) = app("shop").await;
    let mut plane =
        Plane::start_with(|settings| settings.trusted_proxies = TrustedProxies::parse("lan").expect("valid"));
    let mut redirecting = route("shop.localhost", address);
    redirecting.change = Box::new(|route| route.listener.https_redirect = true);
    plane.serve(vec![redirecting]).await;
    for speaks in [Speaks::H1, Speaks::H2] {
        let mut connection = plane.http().speaking(speaks).connect("shop.localhost").await.expect("connected");
        let told = [("x-forwarded-for", "203.0.113.5"), ("x-forwarded-proto", "https")];
        let echo = connection.ask("GET", "/echo", &told, "").await.expect("answered").json();
        assert_eq!(field(&echo, "x-forwarded-for"), ["203.0.113.5, 127.0.0.1"], "{speaks:?}");
        assert_eq!(field(&echo, "x-real-ip"), ["203.0.113.5"], "{speaks:?}");
        assert_eq!(connection.get("/").await.expect("answered").status, 308, "{speaks:?}");
    }
}

#[tokio::test]
async fn plain_http_is_sent_to_https_and_unknown_hosts_are_told_so() {
    let (address, app) = app("shop").await;
    let mut redirecting = route("shop.localhost", address);
    redirecting.change = Box::new(|route| route.listener.https_redirect = true);
    let mut plain_only = route("plain.localhost", address);
    plain_only.change = Box::new(|route| route.listener.tls = TlsMode::Off);
    let plane = Plane::serving(vec![redirecting, plain_only]).await;
    for speaks in [Speaks::H1, Speaks::H2] {
        let (http, https) = (plane.http().speaking(speaks), plane.https().speaking(speaks));
        let answer = http.get("shop.localhost", "/a?b=c").await.expect("answered");
        assert_eq!((answer.status.as_u16(), answer.header("location")), (308, "https://shop.localhost/a?b=c"));
        let answer = http.get("other.localhost", "/").await.expect("answered");
        assert_eq!(answer.status, 404);
        assert!(answer.text().contains("no-route") && answer.text().contains("gangway explain"), "{}", answer.text());
        assert!(!answer.header("x-request-id").is_empty());
        assert_eq!(http.get("plain.localhost", "/").await.expect("answered").status, 200);
        assert_eq!(https.get("plain.localhost", "/").await.expect("answered").status, 404);
    }
    assert_eq!(app.served(), 2);
}

#[tokio::test]
async fn before_the_first_table_nothing_is_known_yet() {
    let mut plane = Plane::start_with(|_| {});
    let trouble = Some("the engine `docker` cannot be read".into());
    plane.whereabouts.publish(Whereabouts { trouble, ..Whereabouts::default() });
    for speaks in [Speaks::H1, Speaks::H2] {
        let answer = plane.http().speaking(speaks).get("shop.localhost", "/").await.expect("answered");
        assert_eq!(answer.status, 503);
        assert!(answer.text().contains("not-ready"), "{}", answer.text());
        assert!(answer.text().contains("the engine <code>docker</code> cannot be read"), "{}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn a_host_whose_container_does_not_run_is_told_which_one_that_is() {
    let mut plane = Plane::start_with(|_| {});
    let stopped = Container {
        state: ContainerState::Exited,
        ended: Some(Ended { code: Some(3), at: None }),
        ..Container::named("notes-1").with_labels(&[("gangway.host", "notes.localhost")])
    };
    let snapshot = Snapshot { containers: vec![stopped], ..Snapshot::default() };
    plane.tables.publish(compile(&snapshot, &gangway_model::Settings::default()));
    for speaks in [Speaks::H1, Speaks::H2] {
        let answer = plane.http().speaking(speaks).get("notes.localhost", "/").await.expect("answered");
        let expected = "container <code>notes-1</code> names it in label <code>gangway.host</code>, and has been stopped (exit code 3)";
        assert!(answer.status == 404 && answer.text().contains(expected), "{}", answer.text());
    }
}

#[tokio::test]
async fn who_comes_before_the_first_table_waits_for_it() {
    let (address, _) = app("a").await;
    let mut plane = Plane::start_with(|_| {});
    let asking = plane.clients().map(|client| ask(client, "shop.localhost"));
    plane.serve(vec![route("shop.localhost", address)]).await;
    for answer in asking {
        assert_eq!(answer.await.expect("no panic").expect("answered").status, 200);
    }
}

#[tokio::test]
async fn middlewares_change_what_passes() {
    let ways = Ways::to("stash", |prefixed| {
        let value = |text| Some(http::HeaderValue::from_static(text));
        let name = |text| CasedHeaderName::parse(text).expect("a name");
        prefixed.path = "/stash";
        prefixed.middlewares = vec![
            Middleware::StripPrefix(vec!["/stash".into()]),
            Middleware::RequestHeader(name("X-Set"), value("1")),
            Middleware::RequestHeader(name("COOKIE"), None),
            Middleware::ResponseHeader(name("Content-Type"), value("text/x-mine")),
            Middleware::BodyLimit(10),
        ];
    })
    .await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        let answer = connection.ask("GET", "/stash/echo%2F?q", &[("cookie", "secret")], "").await.expect("answered");
        let echo = answer.json();
        assert_eq!(echo["target"], "/echo%2F?q", "{name}");
        assert_eq!(field(&echo, "x-forwarded-prefix"), ["/stash"], "{name}");
        assert_eq!((field(&echo, "x-set"), field(&echo, "cookie").len()), (vec!["1".to_owned()], 0), "{name}");
        assert_eq!(answer.header("content-type"), "text/x-mine", "{name}");
        let bare = connection.get("/stash").await.expect("answered");
        assert_eq!(
            (bare.status.as_u16(), bare.header("location"), bare.header("content-type")),
            (308, "/stash/", "text/x-mine"),
            "{name}"
        );
        assert_eq!(connection.get("/stashed").await.expect("answered").status, 404, "{name}");
        let large =
            client.connect(host).await.expect("connected").ask("POST", "/stash/echo", &[], "x".repeat(11)).await;
        assert_eq!(large.expect("answered").status, 413, "{name}");
    }
}

#[tokio::test]
async fn a_redirection_asks_no_app() {
    let (address, app) = app("old").await;
    let mut moved = route("b.localhost", address);
    moved.middlewares = vec![Middleware::Redirect {
        status: 302,
        target: RedirectTarget(vec![RedirectPart::Text("https://new.example".into()), RedirectPart::Path]),
    }];
    let plane = Plane::serving(vec![moved]).await;
    for client in plane.clients() {
        let answer = client.get("b.localhost", "/x?y").await.expect("answered");
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, "https://new.example/x"));
    }
    assert_eq!(app.served(), 0);
}

#[tokio::test]
async fn websockets_events_and_trailers_pass() {
    let ways = Ways::to("live", |_| {}).await;
    for Way { name, client, speaks, host, .. } in ways.all() {
        // HTTP/2 switches no protocols.
        if speaks == Speaks::H1 {
            let stream = client.stream(host).await.expect("connected");
            let mut socket = WebSocket::open(stream, host, "/ws").await.expect("upgraded");
            for text in ["one", "two"] {
                assert_eq!(socket.ask(text).await.expect("echoed"), text, "{name}");
            }
            socket.close().await.expect("closed");
        }
        let mut connection = client.connect(host).await.expect("connected");
        let events = connection.get("/stream?count=3&every=1").await.expect("answered");
        assert_eq!(events.text(), "data: 0\n\ndata: 1\n\ndata: 2\n\n", "{name}");
        let fields = [("content-type", "application/grpc"), ("te", "trailers")];
        let answer = connection.ask("POST", "/svc/Call", &fields, "ping").await.expect("answered");
        assert_eq!(&answer.body[..], b"ping", "{name}");
        assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0", "{name}");
    }
}

#[tokio::test]
async fn large_bodies_pass_whole_both_ways() {
    let ways = Ways::to("files", |_| {}).await;
    // More than all windows.
    const LEN: usize = 6_000_000;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        let answer = connection.get(&format!("/bytes/{LEN}")).await.expect("answered");
        assert_eq!(answer.header("content-length"), "6000000", "{name}");
        assert!(answer.body == Pattern::bytes(LEN), "{name}: {} bytes", answer.body.len());
        let chunked = connection.get("/bytes/1000?chunked").await.expect("answered");
        assert_eq!((chunked.body.len(), chunked.header("content-length")), (1000, ""), "{name}");
        let uploaded = connection.ask("POST", "/upload", &[], answer.body.clone()).await.expect("answered").json();
        assert_eq!(uploaded["sum"], Sum::of_pattern(LEN as u64), "{name}: {uploaded}");
    }
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_uploads() {
    let ways = Ways::to("strict", |_| {}).await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        let answer = connection.ask("POST", "/early", &[], vec![0_u8; 30_000_000]).await.expect(&name);
        assert_eq!((answer.status.as_u16(), &*answer.text()), (413, "too much\n"), "{name}");
    }
}

#[tokio::test]
async fn a_cut_answer_looks_cut() {
    let ways = Ways::to("broken", |_| {}).await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        let answer = connection.ask("GET", "/cut/100000", &[], "").await;
        // A stream that is reset may take the head of its answer along.
        let is_ours = answer.as_ref().is_ok_and(|answer| answer.status == 502);
        assert!(answer.is_err() || is_ours, "half an answer is no answer: {name}");
    }
}

#[tokio::test]
async fn an_app_that_takes_too_long_is_not_waited_for() {
    let slow =
        |slow: &mut RouteToServe| slow.change = Box::new(|route| route.timeouts.response = Duration::from_millis(200));
    let ways = Ways::to("slow", slow).await;
    for Way { name, client, host, .. } in ways.all() {
        let answer = client.get(host, "/slow/60000").await.expect("answered");
        assert_eq!(answer.status, 504, "{name}");
        assert!(answer.text().contains("upstream-timeout"), "{name}: {}", answer.text());
    }
}

#[tokio::test]
async fn an_event_stream_and_a_long_upload_are_not_taken_for_an_app_that_takes_too_long() {
    const RESPONSE: Duration = Duration::from_millis(200);
    let ways = Ways::to("slow", |slow| slow.change = Box::new(|route| route.timeouts.response = RESPONSE)).await;
    let mut asking = JoinSet::new();
    for Way { name, client, host, .. } in ways.all() {
        asking.spawn(async move {
            let mut connection = client.connect(host).await.expect("connected");
            let events = [("accept", "text/event-stream")];
            let answer = connection.ask("GET", "/slow/1000", &events, "").await.expect("answered");
            assert_eq!(answer.status, 200, "{name}");
        });
    }
    asking.join_all().await;
    let mut client = Raw::connect(ways.plane.plane.listening().plain()[0]).await.expect("it listens");
    client.send("POST /echo HTTP/1.1\r\nHost: http.localhost\r\nContent-Length: 2\r\n\r\n1").await.expect("sent");
    let begun = Instant::now();
    let has_passed = || std::future::ready((begun.elapsed() > RESPONSE * 2).then_some(()));
    eventually("the time of a response passes", Duration::from_secs(20), has_passed).await;
    assert_eq!(client.ask("2").await.expect("an answer").status, 200);
}

#[tokio::test]
async fn early_hints_pass_before_the_answer() {
    let ways = Ways::to("hints", |_| {}).await;
    for Way { name, client, host, .. } in ways.all() {
        let answer = client.get(host, "/hints").await.expect("answered");
        assert_eq!((answer.status.as_u16(), &*answer.text()), (200, "after hints\n"), "{name}");
    }
}

#[tokio::test]
async fn failures_of_an_app_are_told_by_reason() {
    let (address, _) = app("closed").await;
    let mut closed = route("closed.localhost", address);
    closed.change = Box::new(|route| route.closed = true);
    let mut secure = route("tls.localhost", not_tls().await);
    secure.endpoints[0].1 = Scheme::Https;
    let mut down = route("down.localhost", ClosedPort::kept());
    down.change = with_policy(|policy| policy.hold = Duration::from_millis(100));
    let plane = Plane::serving(vec![down, closed, secure]).await;
    for (host, path, status, token) in [
        ("down.localhost", "/", 502, "upstream-refused"),
        ("closed.localhost", "/", 503, "route-closed"),
        ("tls.localhost", "/", 502, "upstream-tls"),
    ] {
        for client in plane.clients() {
            let answer = client.get(host, path).await.expect("answered");
            assert_eq!(answer.status.as_u16(), status, "{host}: {}", answer.text());
            assert!(answer.text().contains(token), "{host}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_request_waits_for_an_endpoint_that_starts() {
    let (address, _) = app("new").await;
    let mut starting = route("new.localhost", address);
    starting.endpoints[0].2 = Readiness::Starting;
    let mut plane = Plane::serving(vec![starting]).await;
    let asking = plane.clients().map(|client| ask(client, "new.localhost"));
    plane.serve(vec![route("new.localhost", address)]).await;
    for answer in asking {
        assert_eq!(answer.await.expect("no panic").expect("answered").status, 200);
    }
}

/// Changes how a route treats requests on their way.
fn with_policy(change: impl FnOnce(&mut Policy) + 'static) -> Box<dyn FnOnce(&mut Route)> {
    Box::new(move |route| {
        let Upstream { id, endpoints, policy, held, unreachable, internal } = &*route.upstream;
        let mut policy = policy.clone();
        change(&mut policy);
        let (id, endpoints, unreachable) = (id.clone(), endpoints.clone(), unreachable.clone());
        route.upstream = Arc::new(Upstream { id, endpoints, policy, held: *held, unreachable, internal: *internal });
    })
}

#[tokio::test]
async fn requests_wait_for_the_next_container_of_a_route_that_is_held() {
    let (address, app) = app("next").await;
    let mut plane = Plane::serving(vec![held("gone.localhost", Duration::from_secs(60))]).await;
    let ask = |client: Client| {
        tokio::spawn(async move { client.connect("gone.localhost").await?.ask("POST", "/echo", &[], "body").await })
    };
    let waiting: Vec<_> =
        [Speaks::H1, Speaks::H2].into_iter().map(|speaks| ask(plane.https().speaking(speaks))).collect();
    eventually("both wait", Duration::from_secs(5), async || {
        (plane.metric("gangway_requests_waiting") == 2.0).then_some(())
    })
    .await;
    assert_eq!(app.served(), 0);
    plane.serve(vec![route("gone.localhost", address)]).await;
    for request in waiting {
        let answer = request.await.expect("no panic").expect("answered");
        assert_eq!((answer.status.as_u16(), &answer.json()["body_len"]), (200, &4.into()));
    }
    assert_eq!(plane.metric("gangway_requests_waiting"), 0.0);
}

#[tokio::test]
async fn who_has_waited_in_vain_is_told_to_come_back_in_a_form_it_understands() {
    let plane = Plane::serving(vec![held("gone.localhost", Duration::from_millis(50))]).await;
    for client in plane.clients() {
        let mut connection = client.connect("gone.localhost").await.expect("connected");
        let page = connection.ask("GET", "/", &[("accept", "text/html")], "").await.expect("answered");
        assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, "2"));
        assert!(page.text().contains("http-equiv=\"refresh\""), "{}", page.text());
        let json = connection.ask("GET", "/", &[("accept", "application/json")], "").await.expect("answered");
        assert_eq!((json.status.as_u16(), json.header("retry-after")), (503, "2"));
        assert_eq!(json.json()["reason"], "not-ready");
        let grpc =
            connection.ask("POST", "/a.B/C", &[("content-type", "application/grpc")], "").await.expect("answered");
        assert_eq!((grpc.status.as_u16(), grpc.header("grpc-status"), grpc.text().as_str()), (200, "14", ""));
    }
}

#[tokio::test]
async fn a_route_that_is_given_up_while_a_request_waits_was_not_ready() {
    let mut plane = Plane::serving(vec![held("gone.localhost", Duration::from_secs(60))]).await;
    let waiting = plane.clients().map(|client| ask(client, "gone.localhost"));
    eventually("all wait", Duration::from_secs(5), async || {
        (plane.metric("gangway_requests_waiting") == 4.0).then_some(())
    })
    .await;
    plane.serve(Vec::new()).await;
    for answer in waiting {
        let answer = answer.await.expect("no panic").expect("answered");
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "2"));
    }
}

/// A port that is ours, and at which nobody listens yet.
struct Quiet(tokio::net::TcpSocket);

impl Quiet {
    fn take() -> (Self, SocketAddr) {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = socket.local_addr().expect("bound");
        (Self(socket), address)
    }

    fn listen(self, name: &str) -> Arc<App> {
        let listener = self.0.listen(1024).expect("ours");
        let app = Arc::new(App::new(name));
        tokio::spawn(gangway_testkit::app::serve(listener, Arc::clone(&app)));
        app
    }
}

#[tokio::test]
async fn requests_wait_for_a_container_that_runs_and_does_not_listen_yet() {
    let (first, address) = Quiet::take();
    let mut plane = Plane::serving(vec![route("first.localhost", address)]).await;
    let ask = |client: Client, host: &'static str| {
        tokio::spawn(async move { client.connect(host).await?.ask("POST", "/echo", &[], "body").await })
    };
    let waits = async |plane: &Plane, count: f64| {
        eventually("they wait", Duration::from_secs(5), async || {
            (plane.metric("gangway_requests_waiting") == count).then_some(())
        })
        .await;
    };
    // One that ran before us is believed to listen; one that comes later is reached first.
    let early: Vec<_> =
        [Speaks::H1, Speaks::H2].map(|speaks| ask(plane.https().speaking(speaks), "first.localhost")).into();
    waits(&plane, 2.0).await;
    let (second, later) = Quiet::take();
    plane.serve(vec![route("first.localhost", address), route("later.localhost", later)]).await;
    let late: Vec<_> =
        [Speaks::H1, Speaks::H2].map(|speaks| ask(plane.https().speaking(speaks), "later.localhost")).into();
    waits(&plane, 4.0).await;
    let (_one, _two) = (first.listen("one"), second.listen("two"));
    for request in early.into_iter().chain(late) {
        let answer = request.await.expect("no panic").expect("answered");
        assert_eq!((answer.status.as_u16(), &answer.json()["body_len"]), (200, &4.into()));
    }
}

#[tokio::test]
async fn a_new_replica_gets_nothing_before_it_listens() {
    let (old, _) = app("old").await;
    let (quiet, new) = Quiet::take();
    let mut plane = Plane::serving(vec![route("roll.localhost", old)]).await;
    let both = || {
        let mut both = route("roll.localhost", old);
        both.endpoints.push((new, Scheme::Http, Readiness::Ready));
        both
    };
    plane.serve(vec![both()]).await;
    let client = plane.https();
    for _ in 0..50 {
        assert_eq!(client.get("roll.localhost", "/").await.expect("answered").status, 200);
    }
    assert_eq!(plane.metric("gangway_retries_total"), 0.0);
    let app = quiet.listen("new");
    eventually("the new one is asked", Duration::from_secs(5), async || {
        assert_eq!(client.get("roll.localhost", "/").await.expect("answered").status, 200);
        (app.served() > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_that_fails_its_check_gets_nothing_until_it_is_well_again() {
    let (one, first) = app("one").await;
    let (two, second) = app("two").await;
    second.set_healthy(false);
    let mut checked = route("checked.localhost", one);
    checked.endpoints.push((two, Scheme::Http, Readiness::Ready));
    checked.change = with_policy(|policy| {
        policy.health = Some(HealthCheck {
            path: "/health".into(),
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(1),
            statuses: vec![(200, 399)],
        });
    });
    let plane = Plane::serving(vec![checked]).await;
    let client = plane.https();
    let asks = async |wanted: &str, what: &str| {
        eventually(what, Duration::from_secs(5), async || {
            for _ in 0..20 {
                let answer = client.get("checked.localhost", "/").await.expect("answered");
                assert_eq!(answer.status, 200);
                if !answer.text().starts_with(wanted) {
                    return None;
                }
            }
            Some(())
        })
        .await;
    };
    asks("one ", "only the first answers").await;
    second.set_healthy(true);
    first.set_healthy(false);
    asks("two ", "only the second answers").await;
}

#[tokio::test]
async fn a_route_with_a_check_is_not_served_because_another_route_of_the_endpoint_has_none() {
    let (address, shop) = app("shop").await;
    shop.set_healthy(false);
    let check = |path: &str| {
        let path = path.into();
        with_policy(move |policy| {
            let (interval, timeout) = (Duration::from_millis(100), Duration::from_secs(1));
            policy.health = Some(HealthCheck { path, interval, timeout, statuses: vec![(200, 399)] });
            policy.hold = Duration::ZERO;
        })
    };
    // By name, the route without a check comes first, and the one with another check that passes.
    let mut open = route("a.localhost", address);
    open.change = with_policy(|policy| policy.hold = Duration::ZERO);
    let (mut passing, mut checked) = (route("b.localhost", address), route("c.localhost", address));
    (passing.change, checked.change) = (check("/echo"), check("/health"));
    let plane = Plane::serving(vec![open, passing, checked]).await;
    let client = plane.https();
    let status = async |host: &str| client.get(host, "/").await.expect("answered").status;
    eventually("the check is known to fail", Duration::from_secs(5), async || {
        (status("c.localhost").await == 503).then_some(())
    })
    .await;
    for _ in 0..20 {
        assert_eq!(status("c.localhost").await, 503, "a connection alone says nothing");
    }
    shop.set_healthy(true);
    for host in ["a.localhost", "b.localhost", "c.localhost"] {
        eventually(host, Duration::from_secs(5), async || (status(host).await == 200).then_some(())).await;
    }
}

#[tokio::test]
async fn replicas_share_the_load_and_a_dead_one_costs_nothing() {
    let (one, first) = app("one").await;
    let (two, second) = app("two").await;
    let (_quiet, dead) = Quiet::take();
    let mut replicas = route("many.localhost", one);
    replicas.endpoints.extend([(two, Scheme::Http, Readiness::Ready), (dead, Scheme::Http, Readiness::Ready)]);
    let plane = Plane::serving(vec![replicas]).await;
    let mut connection = plane.https().connect("many.localhost").await.expect("connected");
    for _ in 0..60 {
        assert_eq!(connection.ask("POST", "/echo", &[], "body").await.expect("answered").status, 200);
    }
    assert!(first.served() > 10 && second.served() > 10, "{} and {}", first.served(), second.served());
}

#[tokio::test]
async fn swaps_disturb_nobody() {
    let (address, _) = app("steady").await;
    let mut plane = Plane::serving(vec![route("steady.localhost", address)]).await;
    let client = plane.https().speaking(Speaks::H1);
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let stream = client.stream("steady.localhost").await.expect("connected");
        sockets.push(WebSocket::open(stream, "steady.localhost", "/ws").await.expect("upgraded"));
    }
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("steady.localhost", "/slow/500").await })
        })
        .collect();
    for _ in 0..50 {
        plane.serve(vec![route("steady.localhost", address), route("other.localhost", address)]).await;
    }
    for request in slow {
        assert_eq!(request.await.expect("no panic").expect("answered").status, 200);
    }
    for socket in &mut sockets {
        assert_eq!(socket.ask("still there").await.expect("echoed"), "still there");
    }
}

#[tokio::test]
async fn a_shutdown_lets_requests_end_and_tells_clients_to_go() {
    let (address, app) = app("last").await;
    let plane = Plane::serving(vec![route("last.localhost", address)]).await;
    let (h1, h2) = (plane.https().speaking(Speaks::H1), plane.https().speaking(Speaks::H2));
    let under_way: Vec<_> = [h1, h2]
        .into_iter()
        .map(|client| tokio::spawn(async move { client.get("last.localhost", "/slow/300").await }))
        .collect();
    eventually("both are under way", Duration::from_secs(5), async || (app.under_way() == 2).then_some(())).await;
    plane.plane.shutdown(Duration::from_secs(5)).await;
    for request in under_way {
        assert_eq!(request.await.expect("no panic").expect("answered").status, 200);
    }
}

#[tokio::test]
async fn requests_are_shared_as_the_route_says() {
    let (one, first) = app("one").await;
    let (two, second) = app("two").await;
    let (spare, third) = app("spare").await;
    let shared = |host, balance, weight| {
        let mut shared = route(host, one);
        shared.endpoints.extend([(two, Scheme::Http, Readiness::Ready), (spare, Scheme::Http, Readiness::Ready)]);
        shared.change = Box::new(move |route| {
            let mut endpoints = route.upstream.endpoints.clone();
            (endpoints[1].weight, endpoints[2].weight) = (weight, 0);
            let policy = Policy { balance, ..Policy::default() };
            route.upstream = Arc::new(Upstream { endpoints, policy, ..Upstream::default() });
        });
        shared
    };
    let plane = Plane::serving(vec![
        shared("turns.localhost", Balance::RoundRobin, 3),
        shared("least.localhost", Balance::LeastRequests, 1),
        shared("client.localhost", Balance::Client, 1),
    ])
    .await;
    let served = || [first.served(), second.served(), third.served()];
    let asked = async |host: &'static str| {
        let before = served();
        let mut connection = plane.https().connect(host).await.expect("connected");
        for _ in 0..40 {
            assert_eq!(connection.get("/").await.expect("answered").status, 200);
        }
        let after = served();
        [0, 1, 2].map(|at| after[at] - before[at])
    };
    assert_eq!(asked("turns.localhost").await, [10, 30, 0]);
    let [a, b, c] = asked("least.localhost").await;
    assert!(a > 5 && b > 5 && c == 0, "{a} {b} {c}");
    let mut clients = asked("client.localhost").await;
    clients.sort_unstable();
    assert_eq!(clients, [0, 0, 40]);
}

#[tokio::test]
async fn what_is_under_way_at_an_endpoint_that_leaves_has_its_time_and_no_more() {
    let (leaving, _) = app("leaving").await;
    let (staying, _) = app("staying").await;
    let routes = |readiness: Readiness| {
        let leaves = |host, drain: Duration| {
            let mut route = route(host, leaving);
            route.endpoints[0].2 = readiness;
            route.endpoints.push((staying, Scheme::Http, Readiness::Ready));
            route.change = with_policy(move |policy| policy.drain = drain);
            route
        };
        vec![leaves("soon.localhost", Duration::from_millis(300)), route("calm.localhost", staying)]
    };
    let mut plane = Plane::serving(vec![route("soon.localhost", leaving), route("calm.localhost", staying)]).await;
    let client = plane.https().speaking(Speaks::H1);
    let mut sockets = Vec::new();
    for host in ["soon.localhost", "calm.localhost"] {
        let stream = client.stream(host).await.expect("connected");
        sockets.push(WebSocket::open(stream, host, "/ws").await.expect("upgraded"));
    }
    let mut events = Vec::new();
    for speaks in [Speaks::H1, Speaks::H2] {
        let mut connection = plane.https().speaking(speaks).connect("soon.localhost").await.expect("connected");
        let answer = connection.begin("GET", "/stream?every=20&count=100000", &[], "").await.expect("begun");
        events.push((connection, answer.into_body()));
    }
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.get("soon.localhost", "/slow/100").await }
    });
    eventually("all are under way", Duration::from_secs(5), async || {
        (plane.metric("gangway_requests_under_way") == 5.0).then_some(())
    })
    .await;
    plane.serve(routes(Readiness::Ready)).await;
    plane.serve(routes(Readiness::Leaving)).await;
    let answer = client.get("soon.localhost", "/").await.expect("answered");
    assert!(answer.text().starts_with("staying "), "a new request went to it: {}", answer.text());
    assert_eq!(sockets[0].ask("still there").await.expect("it has its time"), "still there");
    assert_eq!(slow.await.expect("no panic").expect("answered").status, 200);
    for (_connection, mut body) in events {
        while let Some(Ok(_)) = http_body_util::BodyExt::frame(&mut body).await {}
    }
    assert!(sockets[0].ask("too late").await.is_err(), "its time is over");
    assert_eq!(sockets[1].ask("still there").await.expect("nobody touched it"), "still there");
}

#[tokio::test]
async fn a_client_stays_with_its_replica_as_long_as_that_is_there() {
    let (one, _) = app("one").await;
    let (two, _) = app("two").await;
    let sticky = |endpoints: &[SocketAddr]| {
        let mut sticky = route("sticky.localhost", endpoints[0]);
        sticky.endpoints.extend(endpoints[1..].iter().map(|address| (*address, Scheme::Http, Readiness::Ready)));
        sticky.change = with_policy(|policy| policy.sticky = Some("stay".into()));
        sticky
    };
    let mut plane = Plane::serving(vec![sticky(&[one, two])]).await;
    let client = plane.https();
    let ask = async |cookie: &str| {
        let mut connection = client.connect("sticky.localhost").await.expect("connected");
        connection.ask("GET", "/", &[("cookie", cookie)], "").await.expect("answered")
    };
    let first = ask("other=1").await;
    let set = first.header("set-cookie").to_owned();
    assert!(set.starts_with("stay=") && set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{set}");
    let cookie = format!("other=1; {}", set.split(';').next().unwrap_or_default());
    for turn in 0..40 {
        if turn == 20 {
            plane.serve(vec![sticky(&[one, two]), route("new.localhost", one)]).await;
        }
        let again = ask(&cookie).await;
        assert_eq!((again.text(), again.header("set-cookie")), (first.text(), ""));
    }
    let (gone, left) = if first.text().starts_with("one ") { (one, two) } else { (two, one) };
    plane.serve(vec![sticky(&[left])]).await;
    let moved = ask(&cookie).await;
    assert_eq!(moved.status, 200);
    assert!(moved.header("set-cookie").starts_with("stay=") && moved.header("set-cookie") != set, "{gone}");
    let made_up = ask("stay=AAAAAAAAAAAAAAAAAAAAAA").await;
    assert!(made_up.header("set-cookie").starts_with("stay="));
}

#[tokio::test]
async fn a_cookie_under_a_former_secret_leads_to_its_replica_and_is_replaced() {
    let (one, _) = app("one").await;
    let (two, _) = app("two").await;
    let routes = || {
        let mut sticky = route("sticky.localhost", one);
        sticky.endpoints.push((two, Scheme::Http, Readiness::Ready));
        sticky.change = with_policy(|policy| policy.sticky = Some("gangway-sticky".into()));
        vec![sticky]
    };
    let old = || b"the key of the internal CA".to_vec();
    let mut before = Plane::start_with(|settings| settings.secret = CookieSecret::from(move || vec![old()]));
    before.serve(routes()).await;
    let both = move || vec![b"the secret of the volume".to_vec(), old()];
    let mut after = Plane::start_with(|settings| settings.secret = CookieSecret::from(both));
    after.serve(routes()).await;
    let ask = async |plane: &Plane, cookie: &str| {
        let mut connection = plane.https().connect("sticky.localhost").await.expect("connected");
        connection.ask("GET", "/", &[("cookie", cookie)], "").await.expect("answered")
    };
    let pair = |set: &str| set.split(';').next().unwrap_or_default().to_owned();
    for _ in 0..8 {
        let first = ask(&before, "other=1").await;
        let replaced = ask(&after, &pair(first.header("set-cookie"))).await;
        assert_eq!(replaced.text(), first.text());
        let cookie = pair(replaced.header("set-cookie"));
        assert!(cookie.starts_with("gangway-sticky-") && cookie != pair(first.header("set-cookie")), "{cookie}");
        let again = ask(&after, &cookie).await;
        assert_eq!((again.text(), again.header("set-cookie")), (first.text(), ""));
    }
}

#[tokio::test]
async fn sticky_routes_under_one_host_have_a_cookie_each() {
    let (one, _) = app("one").await;
    let (two, _) = app("two").await;
    let by = |answer: &Answer| match answer.json()["app"].as_str() {
        Some(name) => name.to_owned(),
        None => answer.text().split(' ').next().unwrap_or_default().to_owned(),
    };
    for name in ["gangway-sticky", "stay"] {
        let sticky = |host: &'static str, path: &'static str| {
            let mut sticky = route(host, one);
            sticky.path = path;
            sticky.endpoints.push((two, Scheme::Http, Readiness::Ready));
            let id = format!("{host}{path}");
            sticky.change = Box::new(move |route| {
                let policy = Policy { sticky: Some(name.into()), ..Policy::default() };
                let endpoints = route.upstream.endpoints.clone();
                route.upstream = Arc::new(Upstream { id: id.into(), endpoints, policy, ..Upstream::default() });
            });
            sticky
        };
        let routes = vec![sticky("a.localhost", "/"), sticky("a.localhost", "/api"), sticky("b.localhost", "/")];
        let plane = Plane::serving(routes).await;
        let mut jar = Vec::new();
        let mut connection = plane.https().connect("a.localhost").await.expect("connected");
        let mut served = Vec::new();
        for path in ["/", "/api"] {
            let answer = connection.ask("GET", path, &[("cookie", &jar.join("; "))], "").await.expect("answered");
            let set = answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
            assert!(set.starts_with(name), "{set}");
            jar.push(set);
            served.push(by(&answer));
        }
        assert_ne!(jar[0].split('=').next(), jar[1].split('=').next(), "{jar:?}");
        for _ in 0..20 {
            for (path, served_by) in ["/", "/api"].into_iter().zip(&served) {
                let answer = connection.ask("GET", path, &[("cookie", &jar.join("; "))], "").await.expect("answered");
                assert_eq!((by(&answer), answer.header("set-cookie")), (served_by.clone(), ""));
            }
        }
        let alone = plane.https().get("b.localhost", "/").await.expect("answered");
        assert_eq!(alone.header("set-cookie").starts_with("stay="), name == "stay");
    }
}
