//! Answers that are kept: what is, for whom, for how long, and what no client can do to what others see.

mod common;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Plane, RouteToServe, route};
use gangway_model::{
    Authentication, BasicAuth, BasicUser, Compression, ContentCoding, LoginMethod, Middleware, Policy, Readiness,
    Scheme,
};
use gangway_testkit::client::{Answer, Client};
use gangway_testkit::scripted::{Asked, Scripted};
use gangway_testkit::wait::eventually;
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

const HOST: &str = "a.localhost";

fn cache() -> Middleware {
    Middleware::Cache(NonZeroU64::new(1 << 20).expect("not 0"))
}

fn cached(address: SocketAddr, more: Vec<Middleware>) -> RouteToServe {
    let mut route = route(HOST, address);
    route.middlewares = vec![cache()];
    route.middlewares.extend(more);
    route
}

fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn path(asked: &Asked) -> &str {
    asked.head.split(' ').nth(1).unwrap_or_default()
}

/// Answers by the words of the path: how it may be kept, and what else the answer has. The body has a number that no other
/// answer has.
fn application() -> impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static {
    let count = AtomicUsize::new(0);
    move |asked: &Asked| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let path = path(asked);
        let has = |word: &str| path.contains(word);
        if asked.head.starts_with("POST") || asked.head.starts_with("DELETE") {
            return answer(if has("refused") { "403 Forbidden" } else { "200 OK" }, "", "done");
        }
        let mut fields = match () {
            () if has("public") => "Cache-Control: public, max-age=60\r\n",
            () if has("private") => "Cache-Control: private, max-age=60\r\n",
            () if has("short") => "Cache-Control: max-age=1\r\n",
            () if has("old") => "Cache-Control: max-age=60\r\nAge: 60\r\n",
            () if has("kept") => "Cache-Control: max-age=60\r\n",
            () => "",
        }
        .to_owned();
        if has("cookie") {
            fields += "Set-Cookie: session=secret\r\n";
        }
        if has("vary") {
            fields += "Vary: X-Variant\r\n";
        }
        if has("tagged") {
            fields += "ETag: \"tag\"\r\nLast-Modified: Sat, 28 Nov 2020 12:00:00 GMT\r\n";
        }
        if has("moved") {
            return answer("301 Moved Permanently", &(fields + "Location: /x\r\n"), "");
        }
        let host = asked.field("host");
        let text = match () {
            () if has("long") => format!("{number} ").repeat(20_000),
            () => format!("answer {number} for {host}"),
        };
        if asked.head.starts_with("HEAD") {
            return format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", text.len()).into();
        }
        if has("chunked") {
            let len = text.len();
            return format!(
                "HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n{len:x}\r\n{text}\r\n0\r\n\r\n"
            )
            .into();
        }
        if has("trailer") {
            let len = text.len();
            return format!(
                "HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n{len:x}\r\n{text}\r\n0\r\nX-T: 1\r\n\r\n"
            )
            .into();
        }
        answer("200 OK", &(fields + "Content-Type: text/plain\r\n"), &text)
    }
}

async fn app() -> Scripted {
    Scripted::answering(application()).await.expect("a free port")
}

async fn ask(client: &Client, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    ask_at(client, HOST, method, path, fields).await
}

async fn ask_at(client: &Client, host: &str, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut connection = client.connect(host).await.expect("connected");
    connection.ask(method, path, fields, "").await.expect("answered")
}

#[tokio::test]
async fn what_may_be_kept_is_asked_for_once_and_anything_else_each_time() {
    let app = app().await;
    let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    for (number, client) in plane.clients().iter().enumerate() {
        for (path, is_kept) in [
            ("/kept", true),
            ("/public", true),
            ("/kept/chunked", true),
            ("/kept/long", true),
            ("/kept/moved", true),
            ("/kept?query", true),
            ("/none", false),
            ("/private", false),
            ("/old", false),
            ("/kept/cookie", false),
            ("/public/cookie", false),
            ("/kept/trailer", false),
        ] {
            // Each version of HTTP and each scheme has URLs of its own here, so that each of them fetches once.
            let separator = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{separator}{number}");
            let first = ask(client, "GET", &path, &[]).await;
            let second = ask(client, "GET", &path, &[]).await;
            let about = format!("{path} {client:?}: {:?} {:?}", first.headers, second.headers);
            assert_eq!(first.text() == second.text() && !second.header("age").is_empty(), is_kept, "{about}");
            assert_eq!(first.header("cache-status").contains("stored"), is_kept || path.contains("trailer"), "{about}");
            assert_eq!(second.header("cache-status").starts_with("Gangway; hit; ttl="), is_kept, "{about}");
            assert_eq!(first.status, second.status, "{about}");
            if is_kept {
                assert_eq!(second.header("content-length"), second.body.len().to_string(), "{about}");
                assert_eq!(first.header("location"), second.header("location"), "{about}");
                assert!(!second.header("date").is_empty(), "{about}");
            }
        }
    }
    assert!(plane.metric("gangway_cache_requests_total") >= 96.0);
}

#[tokio::test]
async fn conditions_and_heads_are_answered_from_what_is_kept_and_ranges_by_the_application() {
    let app = app().await;
    let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    let client = plane.http();
    let kept = ask(&client, "GET", "/kept/tagged", &[]).await;
    for (method, fields, status, is_hit) in [
        ("GET", &[][..], 200, true),
        ("HEAD", &[], 200, true),
        ("GET", &[("if-none-match", "\"tag\"")], 304, true),
        ("GET", &[("if-none-match", "\"x\", W/\"tag\"")], 304, true),
        ("GET", &[("if-none-match", "*")], 304, true),
        ("HEAD", &[("if-none-match", "\"tag\"")], 304, true),
        ("GET", &[("if-none-match", "\"x\"")], 200, true),
        ("GET", &[("if-none-match", "\"x\""), ("if-modified-since", "Sat, 28 Nov 2020 12:00:00 GMT")], 200, true),
        ("GET", &[("if-modified-since", "Sat, 28 Nov 2020 12:00:00 GMT")], 304, true),
        ("GET", &[("if-modified-since", "Sat, 28 Nov 2020 11:59:59 GMT")], 200, true),
        ("GET", &[("if-modified-since", "yesterday")], 200, true),
        ("GET", &[("range", "bytes=0-1")], 200, false),
        ("GET", &[("if-match", "\"tag\"")], 200, false),
        ("GET", &[("cache-control", "no-store")], 200, true),
    ] {
        let got = ask(&client, method, "/kept/tagged", fields).await;
        let about = format!("{method} {fields:?}: {} {:?}", got.status, got.headers);
        assert_eq!((got.status.as_u16(), got.header("cache-status").contains("; hit")), (status, is_hit), "{about}");
        match (method, status) {
            ("HEAD", _) | (_, 304) => assert!(got.body.is_empty(), "{about}"),
            _ => assert_eq!(got.text() == kept.text(), is_hit, "{about}"),
        }
        assert_eq!(got.header("etag"), "\"tag\"", "{about}");
        let len = if status == 304 { String::new() } else { kept.body.len().to_string() };
        assert_eq!(got.header("content-length"), len, "{about}");
    }
    // A HEAD fetches nothing for others.
    ask(&client, "HEAD", "/kept/head", &[]).await;
    assert!(ask(&client, "GET", "/kept/head", &[]).await.header("cache-status").contains("fwd=uri-miss; stored"));
}

/// What somebody may try, so that others see what they should not: the request that is to do harm, and the one of somebody
/// else afterwards, each with its host, method, path and fields. The answer to the second must be one of its own.
#[tokio::test]
async fn no_client_chooses_what_others_see() {
    type Try<'t> = (&'t str, &'t str, &'t str, &'t [(&'t str, &'t str)]);
    let app = app().await;
    let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    let client = plane.http();
    let plain: &[(&str, &str)] = &[];
    let rows: &[(&str, Try<'_>, Try<'_>)] = &[
        ("a port in Host", ("a.localhost:1337", "GET", "/kept/1", plain), (HOST, "GET", "/kept/1", plain)),
        ("another case of Host", ("A.LocalHost", "GET", "/kept/2", plain), (HOST, "GET", "/kept/2", plain)),
        ("a final dot in Host", ("a.localhost.", "GET", "/kept/3", plain), (HOST, "GET", "/kept/3", plain)),
        ("a fat GET", (HOST, "FAT", "/kept/4", plain), (HOST, "GET", "/kept/4", plain)),
        (
            "an override",
            (HOST, "GET", "/kept/5", &[("x-http-method-override", "POST")]),
            (HOST, "GET", "/kept/5", plain),
        ),
        (
            "another override",
            (HOST, "GET", "/kept/6", &[("x-method-override", "PUT")]),
            (HOST, "GET", "/kept/6", plain),
        ),
        ("an escape", (HOST, "GET", "/kept/%37", plain), (HOST, "GET", "/kept/7", plain)),
        ("an escaped slash", (HOST, "GET", "/kept%2F8", plain), (HOST, "GET", "/kept/8", plain)),
        ("two slashes", (HOST, "GET", "/kept//9", plain), (HOST, "GET", "/kept/9", plain)),
        ("dots", (HOST, "GET", "/kept/x/../10", plain), (HOST, "GET", "/kept/10", plain)),
        ("a parameter", (HOST, "GET", "/kept/11?utm_source=x", plain), (HOST, "GET", "/kept/11", plain)),
        ("a path parameter", (HOST, "GET", "/kept/12;x", plain), (HOST, "GET", "/kept/12", plain)),
        ("another case", (HOST, "GET", "/KEPT/kept/13", plain), (HOST, "GET", "/kept/kept/13", plain)),
        ("credentials", (HOST, "GET", "/kept/14", &[("authorization", "Bearer x")]), (HOST, "GET", "/kept/14", plain)),
        ("a range", (HOST, "GET", "/kept/15", &[("range", "bytes=0-1")]), (HOST, "GET", "/kept/15", plain)),
        ("a variant", (HOST, "GET", "/kept/vary/16", &[("x-variant", "a")]), (HOST, "GET", "/kept/vary/16", plain)),
        (
            "another variant",
            (HOST, "GET", "/kept/vary/17", &[("x-variant", "a")]),
            (HOST, "GET", "/kept/vary/17", &[("x-variant", "b")]),
        ),
        (
            "two of a variant",
            (HOST, "GET", "/kept/vary/18", &[("x-variant", "a"), ("x-variant", "b")]),
            (HOST, "GET", "/kept/vary/18", &[("x-variant", "a")]),
        ),
        ("a HEAD", (HOST, "HEAD", "/kept/19", plain), (HOST, "GET", "/kept/19", plain)),
        (
            "a suffix of a page with a cookie",
            (HOST, "GET", "/account/cookie/kept/x.css", plain),
            (HOST, "GET", "/account/cookie/kept/x.css", plain),
        ),
        (
            "a suffix of a private page",
            (HOST, "GET", "/account/private/x.css", plain),
            (HOST, "GET", "/account/private/x.css", plain),
        ),
        ("a suffix of a silent page", (HOST, "GET", "/account/x.css", plain), (HOST, "GET", "/account/x.css", plain)),
        (
            "a suffix after an escape",
            (HOST, "GET", "/account%0Ax.css", plain),
            (HOST, "GET", "/account%0Ax.css", plain),
        ),
        ("a query as a suffix", (HOST, "GET", "/account?x.css", plain), (HOST, "GET", "/account?x.css", plain)),
    ];
    for (name, first, second) in rows {
        let mut answers = Vec::new();
        for (host, method, path, fields) in [first, second] {
            let answer = match *method {
                "FAT" => {
                    let mut connection = client.connect(host).await.expect("connected");
                    connection.ask("GET", path, fields, "body").await.expect("answered")
                }
                method => ask_at(&client, host, method, path, fields).await,
            };
            answers.push(answer);
        }
        let (first, second) = (&answers[0], &answers[1]);
        assert!(second.status.is_success(), "{name}: {}", second.status);
        assert!(!second.header("cache-status").contains("hit"), "{name}: {:?}", second.headers);
        assert!(!second.text().is_empty() && first.text() != second.text(), "{name}: {}", second.text());
    }
    // What a client says of itself reaches neither the application nor the key.
    let spoofed = [
        ("x-forwarded-host", "evil.test"),
        ("x-original-url", "/evil"),
        ("x-forwarded-proto", "gopher"),
        ("forwarded", "host=evil.test"),
    ];
    let first = ask(&client, "GET", "/kept/spoofed", &spoofed).await;
    let second = ask(&client, "GET", "/kept/spoofed", &[]).await;
    assert!(second.header("cache-status").contains("hit") && first.text() == second.text(), "{:?}", second.headers);
    let seen = app
        .asked()
        .iter()
        .map(|asked| asked.head.to_lowercase())
        .filter(|head| head.contains("/spoofed"))
        .collect::<String>();
    assert!(!seen.contains("evil") && !seen.contains("gopher"), "{seen}");
    // An error that a head provoked which is too large is the client's own.
    let mut connection = client.connect(HOST).await.expect("connected");
    // Its connection may end before all of the request is sent.
    if let Ok(large) = connection.ask("GET", "/kept/large", &[("x-large", &"x".repeat(200_000))], "").await {
        assert!(large.status.is_client_error(), "{}", large.status);
    }
    assert!(ask(&client, "GET", "/kept/large", &[]).await.status.is_success());
    // By https it is another URL.
    let (plain, secure) =
        (ask(&client, "GET", "/kept/scheme", &[]).await, ask(&plane.https(), "GET", "/kept/scheme", &[]).await);
    assert_ne!(plain.text(), secure.text());
}

#[tokio::test]
async fn variants_are_kept_side_by_side_and_what_a_label_sets_counts() {
    let app = app().await;
    let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    let client = plane.http();
    let get = async |variant: &'static str| ask(&client, "GET", "/kept/vary", &[("x-variant", variant)]).await;
    let (a, b) = (get("a").await, get("b").await);
    assert!(b.header("cache-status").contains("fwd=vary-miss; stored"), "{:?}", b.headers);
    for (variant, first) in [("a", &a), ("b", &b)] {
        let again = get(variant).await;
        assert!(again.text() == first.text() && again.header("cache-status").contains("hit"), "{:?}", again.headers);
    }
    // The application sees only what the label says.
    let name = HeaderName::from_static("x-variant");
    let set = Middleware::RequestHeader(name.into(), Some(HeaderValue::from_static("label")));
    let plane = Plane::serving(vec![cached(app.address, vec![set])]).await;
    let client = plane.http();
    let first = ask(&client, "GET", "/kept/vary", &[("x-variant", "a")]).await;
    assert_eq!(ask(&client, "GET", "/kept/vary", &[("x-variant", "b")]).await.text(), first.text());
}

#[tokio::test]
async fn a_change_makes_what_is_kept_untrue() {
    let app = app().await;
    let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    let client = plane.http();
    for (method, path, is_dropped) in [
        ("POST", "/kept/a", true),
        ("DELETE", "/kept/b", true),
        ("POST", "/kept/refused", false),
        ("OPTIONS", "/kept/c", false),
    ] {
        let first = ask(&client, "GET", path, &[]).await;
        ask(&client, method, path, &[]).await;
        let second = ask(&client, "GET", path, &[]).await;
        assert_eq!(first.text() != second.text(), is_dropped, "{method} {path}");
    }
    // For those with credentials too.
    let authorized = [("authorization", "Bearer x")];
    let first = ask(&client, "GET", "/public/d", &authorized).await;
    assert_eq!(ask(&client, "GET", "/public/d", &[("authorization", "Bearer y")]).await.text(), first.text());
    ask(&client, "POST", "/public/d", &[]).await;
    assert_ne!(ask(&client, "GET", "/public/d", &authorized).await.text(), first.text());
}

#[tokio::test]
async fn a_log_in_comes_first_and_its_answers_are_kept_only_if_they_are_public() {
    let app = app().await;
    let hash = gangway_model::PasswordHash::parse("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=").expect("a hash");
    let users = ["ann", "bob"].map(|name| BasicUser { name: name.into(), hash: hash.clone() });
    let basic =
        BasicAuth { users: users.into(), lists: Vec::new(), realm: "house".into(), keep: false, user_field: None };
    let login = Authentication { method: LoginMethod::Basic(basic), skip: common::skip_paths(&["/open"]) };
    let plane = Plane::serving(vec![cached(app.address, vec![Middleware::Authentication(Arc::new(login))])]).await;
    // `ann:password` and `bob:password`.
    let (ann, bob) = ([("authorization", "Basic YW5uOnBhc3N3b3Jk")], [("authorization", "Basic Ym9iOnBhc3N3b3Jk")]);
    for client in &plane.clients() {
        for (path, is_shared) in [("/kept", false), ("/public", true), ("/public/cookie", false), ("/none", false)] {
            let first = ask(client, "GET", path, &ann).await;
            assert_eq!(first.status, 200, "{path}");
            let refused = ask(client, "GET", path, &[]).await;
            assert_eq!((refused.status.as_u16(), refused.header("cache-status")), (401, ""), "{path}");
            assert!(!refused.text().contains("answer"), "{path}");
            let second = ask(client, "GET", path, &bob).await;
            assert_eq!(first.text() == second.text(), is_shared, "{path}");
        }
    }
}

#[tokio::test]
async fn a_cookie_of_ours_and_what_middlewares_add_are_not_kept() {
    let app = app().await;
    let mut route = cached(
        app.address,
        vec![
            Middleware::ResponseHeader(HeaderName::from_static("x-label").into(), Some(HeaderValue::from_static("1"))),
            Middleware::Compression(Compression::by(ContentCoding::ALL)),
        ],
    );
    route.change = Box::new(|route| {
        let upstream = Arc::get_mut(&mut route.upstream).expect("the only one");
        upstream.policy = Policy { sticky: Some("stay".into()), ..Policy::default() };
    });
    let plane = Plane::serving(vec![route]).await;
    for (number, client) in plane.clients().iter().enumerate() {
        let path = &format!("/kept/long?{number}");
        let first = ask(client, "GET", path, &[]).await;
        assert!(first.header("set-cookie").starts_with("stay"), "{:?}", first.headers);
        let second = ask(client, "GET", path, &[]).await;
        assert_eq!((second.header("set-cookie"), second.header("x-label")), ("", "1"), "{:?}", second.headers);
        assert_eq!(second.text(), first.text());
        let packed = ask(client, "GET", path, &[("accept-encoding", "gzip")]).await;
        assert_eq!((packed.header("content-encoding"), packed.header("content-length")), ("gzip", ""));
        assert!(packed.header("cache-status").contains("hit") && packed.body.len() < first.body.len() / 2);
        assert!(packed.body.starts_with(&[0x1f, 0x8b]));
    }
}

/// An application that answers a request only when it is let.
struct Gated {
    address: SocketAddr,
    arrived: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Gated {
    async fn answering(script: impl Fn(&str, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (arrived, gate, script) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)), Arc::new(script));
        let (seen, opened) = (Arc::clone(&arrived), Arc::clone(&gate));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, opened, script) = (Arc::clone(&seen), Arc::clone(&opened), Arc::clone(&script));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(head) = head_of(&mut stream).await {
                        let number = seen.fetch_add(1, Ordering::SeqCst);
                        opened.acquire().await.expect("open").forget();
                        if stream.write_all(&script(&head, number)).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, arrived, gate }
    }

    fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }

    async fn has(&self, requests: usize) {
        eventually("the application has the requests", Duration::from_secs(10), async || {
            (self.arrived() == requests).then_some(())
        })
        .await;
    }
}

async fn head_of(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        stream.read_line(&mut head).await.ok().filter(|len| *len > 0)?;
    }
    Some(head)
}

fn numbered(head: &str, number: usize) -> Vec<u8> {
    let fields = if head.contains("kept") { "Cache-Control: max-age=60\r\n" } else { "" };
    answer("200 OK", fields, &format!("answer {number}"))
}

async fn under_way(plane: &Plane, requests: usize) {
    eventually("the requests are under way", Duration::from_secs(10), async || {
        (plane.metric("gangway_requests_under_way") == requests as f64).then_some(())
    })
    .await;
}

fn asking(client: &Client, path: &'static str) -> tokio::task::JoinHandle<Answer> {
    let client = client.clone();
    tokio::spawn(async move { ask(&client, "GET", path, &[]).await })
}

const MANY: usize = 20;

#[tokio::test]
async fn many_requests_for_the_same_are_one_for_the_application() {
    let app = Gated::answering(numbered).await;
    let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    for (round, client) in plane.clients()[..2].iter().enumerate() {
        let path = ["/kept/1", "/kept/2"][round];
        let asking: Vec<_> = (0..MANY).map(|_| asking(client, path)).collect();
        under_way(&plane, MANY).await;
        app.has(round + 1).await;
        app.gate.add_permits(1);
        let mut collapsed = 0;
        for answer in asking {
            let answer = answer.await.expect("answered");
            assert_eq!(answer.text(), format!("answer {round}"));
            collapsed += usize::from(answer.header("cache-status") == "Gangway; fwd=uri-miss; collapsed");
        }
        assert_eq!((app.arrived(), collapsed), (round + 1, MANY - 1));
    }
}

#[tokio::test]
async fn what_turns_out_not_to_be_kept_is_asked_for_by_all_at_once_and_then_without_waiting() {
    let app = Gated::answering(numbered).await;
    let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    let client = plane.http();
    let first: Vec<_> = (0..MANY).map(|_| asking(&client, "/none")).collect();
    under_way(&plane, MANY).await;
    app.has(1).await;
    app.gate.add_permits(1);
    // No other one is answered, and all have come.
    app.has(MANY).await;
    app.gate.add_permits(MANY - 1);
    for answer in first {
        assert_eq!(answer.await.expect("answered").status, 200);
    }
    let second: Vec<_> = (0..MANY).map(|_| asking(&client, "/none")).collect();
    app.has(2 * MANY).await;
    app.gate.add_permits(MANY);
    for answer in second {
        assert_eq!(answer.await.expect("answered").status, 200);
    }
}

#[tokio::test]
async fn a_client_that_leaves_does_not_take_the_answer_of_others_with_it() {
    for is_told in [false, true] {
        let app = Gated::answering(numbered).await;
        let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
        // Over HTTP/1 a client that leaves may have ended its sending side only, so its request goes on.
        let client = &plane.clients()[usize::from(is_told)];
        let leader = asking(client, "/kept");
        app.has(1).await;
        let others: Vec<_> = (1..MANY).map(|_| asking(client, "/kept")).collect();
        under_way(&plane, MANY).await;
        leader.abort();
        // Else one of the others asks in its place, and only one.
        let asked = if is_told { 2 } else { 1 };
        app.has(asked).await;
        app.gate.add_permits(asked);
        for answer in others {
            assert_eq!(answer.await.expect("answered").text(), format!("answer {}", asked - 1));
        }
        assert_eq!(app.arrived(), asked);
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_is_not_kept() {
    let app = Scripted::answering(|asked: &Asked| match path(asked) {
        "/sized" => b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nhalf".to_vec(),
        "/chunked" => {
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf".to_vec()
        }
        _ => b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nhalf".to_vec(),
    })
    .await
    .expect("a free port");
    let mut route = cached(app.address, Vec::new());
    route.change = Box::new(|route| route.timeouts.idle = Duration::from_millis(50));
    let plane = Plane::serving(vec![route]).await;
    let client = plane.http();
    for path in ["/sized", "/chunked", "/until-close"] {
        for _ in 0..2 {
            let mut connection = client.connect(HOST).await.expect("connected");
            let _ = connection.ask("GET", path, &[], "").await;
        }
        let asked = app.asked().iter().filter(|asked| asked.head.contains(path)).count();
        assert_eq!(asked, 2, "{path}");
    }
}

#[tokio::test]
async fn what_is_kept_is_validated_and_what_the_application_says_of_it_counts() {
    let count = AtomicUsize::new(0);
    let app = Scripted::answering(move |asked: &Asked| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let is_question = asked.field("if-none-match") == "\"1\""
            && asked.field("if-modified-since") == "Sat, 28 Nov 2020 12:00:00 GMT";
        let validators = "ETag: \"1\"\r\nLast-Modified: Sat, 28 Nov 2020 12:00:00 GMT\r\n";
        let not_modified = |fields: &str| format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n").into_bytes();
        match path(asked) {
            "/same" if is_question => not_modified("ETag: W/\"1\"\r\nCache-Control: max-age=100\r\nX-New: 1\r\n"),
            "/other" if is_question => not_modified("ETag: \"2\"\r\n"),
            "/cookie" if is_question => not_modified("Set-Cookie: a=1\r\n"),
            "/private" if is_question => not_modified("Cache-Control: private\r\n"),
            "/error" if is_question => answer("503 Service Unavailable", "", "broken"),
            _ => answer(
                "200 OK",
                &format!("{validators}Cache-Control: max-age=60\r\nX-Old: 1\r\n"),
                &format!("answer {number}"),
            ),
        }
    })
    .await
    .expect("a free port");
    let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    for (path, status, is_kept_one, cache_status) in [
        ("/same", 200, true, "Gangway; fwd=request; fwd-status=304"),
        ("/changed", 200, false, "Gangway; fwd=request; stored"),
        ("/other", 200, false, "Gangway; fwd=request; stored"),
        ("/cookie", 200, false, "Gangway; fwd=request; stored"),
        ("/private", 200, false, "Gangway; fwd=request; stored"),
        ("/error", 503, false, "Gangway; fwd=request"),
    ] {
        let client = plane.http();
        let first = ask(&client, "GET", path, &[]).await;
        let again = ask(&client, "GET", path, &[("cache-control", "no-cache"), ("if-none-match", "\"x\"")]).await;
        let about = format!("{path}: {} {:?}", again.status, again.headers);
        assert_eq!((again.status.as_u16(), again.header("cache-status")), (status, cache_status), "{about}");
        assert_eq!(again.text() == first.text(), is_kept_one, "{about}");
        if is_kept_one {
            assert_eq!(
                (again.header("x-new"), again.header("x-old"), again.header("cache-control")),
                ("1", "1", "max-age=100")
            );
            assert_eq!((again.header("etag"), again.header("age")), ("W/\"1\"", "0"));
        }
        let third = ask(&client, "GET", path, &[]).await;
        assert!(third.header("cache-status").starts_with("Gangway; hit"), "{path}: {:?}", third.headers);
        // A client that has the answer gets a 304.
        let conditional = ask(&client, "GET", path, &[("if-none-match", "\"1\"")]).await;
        assert_eq!(conditional.status, 304, "{path}");
    }
}

/// Asks until what is kept is stale: it comes with an age of nearly its lifetime.
async fn once_stale(client: &Client, path: &str) -> Answer {
    eventually("what is kept is stale", Duration::from_secs(10), async || {
        let answer = ask(client, "GET", path, &[]).await;
        let status = answer.header("cache-status");
        let is_fresh = status.contains("hit; ttl=") && !status.contains("ttl=-");
        (!status.contains("uri-miss") && !is_fresh).then_some(answer)
    })
    .await
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_an_error_or_is_refreshed_behind_the_client() {
    let count = AtomicUsize::new(0);
    let app = Scripted::answering(move |asked: &Asked| {
        let first = !asked.head.contains("if-none-match") && !asked.head.contains("If-None-Match");
        let number = count.fetch_add(1, Ordering::Relaxed);
        let kept = |more: &str| format!("Cache-Control: max-age=60{more}\r\nAge: 58\r\nETag: \"1\"\r\n");
        match path(asked) {
            "/on-error" if first => answer("200 OK", &kept(", stale-if-error=600"), "kept"),
            "/silent" if first => answer("200 OK", &kept(", stale-if-error=600"), "kept"),
            "/silent" => b"no HTTP\r\n\r\n".to_vec(),
            "/must" if first => answer("200 OK", &kept(", stale-if-error=600, must-revalidate"), "kept"),
            "/meanwhile" => answer("200 OK", &kept(", stale-while-revalidate=600"), &format!("answer {number}")),
            _ => answer("503 Service Unavailable", "", "broken"),
        }
    })
    .await
    .expect("a free port");
    let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    let client = plane.http();
    for (path, text, cache_status) in [
        ("/on-error", "kept", "Gangway; fwd=stale; fwd-status=503; detail=stale-if-error"),
        ("/silent", "kept", "Gangway; fwd=stale; detail=stale-if-error"),
        ("/must", "broken", "Gangway; fwd=stale"),
    ] {
        ask(&client, "GET", path, &[]).await;
        let stale = once_stale(&client, path).await;
        assert_eq!((stale.text().as_str(), stale.header("cache-status")), (text, cache_status), "{path}");
    }
    let first = ask(&client, "GET", "/meanwhile", &[]).await;
    let stale = once_stale(&client, "/meanwhile").await;
    assert!(stale.text() == first.text() && stale.header("cache-status").contains("hit; ttl=-"), "{:?}", stale.headers);
    let refreshed = eventually("it is refreshed", Duration::from_secs(10), async || {
        let answer = ask(&client, "GET", "/meanwhile", &[]).await;
        (answer.text() != first.text()).then_some(answer)
    })
    .await;
    assert!(refreshed.header("cache-status").starts_with("Gangway; hit"), "{:?}", refreshed.headers);
}

#[tokio::test]
async fn what_is_kept_stays_while_the_route_stays_and_goes_with_it() {
    let (app, other) = (app().await, app().await);
    let mut plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    let client = plane.http();
    let get = async || ask(&client, "GET", "/kept", &[]).await.text();
    let first = get().await;
    // Another route comes.
    plane.serve_table(vec![cached(app.address, Vec::new()), route("b.localhost", other.address)]).await;
    assert_eq!(get().await, first, "the route is the same");
    // Its container goes for a moment.
    let mut starting = cached(app.address, Vec::new());
    starting.endpoints[0].2 = Readiness::Starting;
    plane.serve_table(vec![starting]).await;
    plane.serve_table(vec![cached(app.address, Vec::new())]).await;
    assert_eq!(get().await, first, "the container is the same");
    // A label changes.
    let label = Middleware::RequestHeader(HeaderName::from_static("x-a").into(), Some(HeaderValue::from_static("1")));
    plane.serve_table(vec![cached(app.address, vec![label])]).await;
    let second = get().await;
    assert_ne!(second, first, "the route is another one");
    // A new container comes, whose image may be another one.
    plane.serve_table(vec![cached(app.address, Vec::new())]).await;
    let third = get().await;
    let mut both = cached(app.address, Vec::new());
    both.endpoints.push((other.address, Scheme::Http, Readiness::Starting));
    plane.serve_table(vec![both]).await;
    assert_ne!(get().await, third, "a container has come");
    // The route goes, and its memory with it.
    eventually("memory is taken", Duration::from_secs(10), async || {
        (plane.metric("gangway_cache_bytes") > 0.0).then_some(())
    })
    .await;
    plane.serve_table(vec![route(HOST, app.address)]).await;
    eventually("memory is given back", Duration::from_secs(10), async || {
        ask(&client, "GET", "/none", &[]).await;
        (plane.metric("gangway_cache_bytes") == 0.0).then_some(())
    })
    .await;
    assert_eq!(ask(&client, "GET", "/kept", &[]).await.header("cache-status"), "");
}

#[tokio::test]
async fn a_cache_is_never_larger_than_it_may_be() {
    let app = Scripted::answering(|asked: &Asked| {
        let len = path(asked).trim_start_matches('/').split('/').next().and_then(|len| len.parse().ok()).unwrap_or(0);
        answer("200 OK", "Cache-Control: max-age=60\r\n", &"x".repeat(len))
    })
    .await
    .expect("a free port");
    let plane = Plane::serving(vec![cached(app.address, Vec::new())]).await;
    let client = plane.http();
    // A client has its answer a moment before it is kept. On the same connection, no request comes in between.
    let mut connection = client.connect(HOST).await.expect("connected");
    // An eighth of a mebibyte is the most for one.
    for (len, is_kept) in [(131_072, true), (131_073, false)] {
        let path = format!("/{len}");
        connection.get(&path).await.expect("answered");
        let again = connection.get(&path).await.expect("answered");
        assert_eq!((again.header("cache-status").contains("hit"), again.body.len()), (is_kept, len));
    }
    for number in 0..100 {
        connection.get(&format!("/60000/{number}")).await.expect("answered");
    }
    // An answer counts while it is being kept, before the oldest one makes room.
    eventually("what is kept is counted, and no more", Duration::from_secs(10), async || {
        let bytes = plane.metric("gangway_cache_bytes");
        (bytes > 500_000.0 && bytes <= f64::from(1 << 20)).then_some(())
    })
    .await;
}
