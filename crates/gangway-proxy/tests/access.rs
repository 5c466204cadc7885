//! Who is let in, and how much: over every version of HTTP.

mod common;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{Plane, RouteToServe, app, held, route, skip_paths};
use gangway_model::{
    AddressFilter, AddressList, Authentication, BasicAuth, BasicUser, ClientKey, ClientList, ConcurrencyLimit,
    InternalService, LoginMethod, Middleware, RateLimit, RedirectPart, RedirectTarget, SkipRule, Upstream,
};
use gangway_proxy::{TrustedProxies, UserLists, Whereabouts};
use gangway_testkit::client::{Answer, Client, Connection, Speaks};
use gangway_testkit::ports::ClosedPort;
use gangway_testkit::wait::eventually;
use http::{HeaderName, Method};

/// The password is `hello`.
const ANN: &str = "ann:{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=";

/// The password is `myPassword`.
const BOB: &str = "bob:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/";

fn clients(plane: &Plane) -> [Client; 4] {
    [plane.http(), plane.https(), plane.http().speaking(Speaks::H2), plane.https().speaking(Speaks::H2)]
}

fn users(users: &[&str]) -> Vec<BasicUser> {
    users.iter().map(|user| BasicUser::parse(user).expect("a user")).collect()
}

fn basic(change: impl FnOnce(&mut BasicAuth)) -> BasicAuth {
    let mut basic = BasicAuth {
        users: users(&[ANN, BOB]),
        lists: vec![],
        realm: "household".into(),
        keep: false,
        user_field: None,
    };
    change(&mut basic);
    basic
}

fn log_in(basic: BasicAuth, skip: &[&str]) -> Middleware {
    let login = Authentication { method: LoginMethod::Basic(basic), skip: skip_paths(skip) };
    Middleware::Authentication(Arc::new(login))
}

fn list(networks: &[&str]) -> ClientList {
    addresses(networks).into()
}

fn addresses(networks: &[&str]) -> AddressList {
    networks.iter().map(|network| network.parse().expect("a network")).collect()
}

fn rate(requests: u32, key: ClientKey) -> Middleware {
    let requests = NonZeroU32::new(requests).expect("some");
    Middleware::RateLimit(RateLimit { requests, period: Duration::from_secs(3600), burst: requests, key })
}

fn guarded(mut route: RouteToServe, middlewares: Vec<Middleware>) -> RouteToServe {
    route.middlewares = middlewares;
    route
}

fn authorization(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn ask(connection: &mut Connection, path: &str, fields: &[(&str, &str)]) -> Answer {
    connection.ask("GET", path, fields, "").await.expect("answered")
}

async fn ask_as(client: &Client, path: &str, user: &str, password: &str) -> Answer {
    let mut connection = client.connect("a.localhost").await.expect("connected");
    ask(&mut connection, path, &[("authorization", &authorization(user, password))]).await
}

fn sees(answer: &Answer, name: &str) -> bool {
    let json = answer.json();
    let fields = json["headers"].as_array().expect("a list of fields");
    fields.iter().any(|field| field[0].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)))
}

#[tokio::test]
async fn clients_are_let_in_by_their_address() {
    let (address, _) = app("a").await;
    let (home, other) = (["127.0.0.0/8", "::1/128"], ["192.0.2.0/24"]);
    for (allow, deny, status) in [
        (Some(list(&home)), list(&[]), 200),
        (Some(list(&other)), list(&[]), 403),
        (None, list(&other), 200),
        (None, list(&home), 403),
        (Some(list(&home)), list(&home), 403),
        (Some(ClientList::default()), list(&[]), 403),
    ] {
        let filter = Middleware::AddressFilter(Arc::new(AddressFilter { allow, deny, ..AddressFilter::default() }));
        let plane = Plane::serving(vec![guarded(route("a.localhost", address), vec![filter.clone()])]).await;
        for client in clients(&plane) {
            let answer = client.get("a.localhost", "/echo").await.expect("answered");
            assert_eq!(answer.status.as_u16(), status, "{filter:?}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn nobody_is_let_in_whose_address_is_in_doubt() {
    let (address, _) = app("a").await;
    let filter = || {
        Middleware::AddressFilter(Arc::new(AddressFilter { deny: list(&["192.0.2.0/24"]), ..AddressFilter::default() }))
    };
    let routes = || vec![guarded(route("a.localhost", address), vec![filter()])];
    let plane = Plane::serving(routes()).await;
    for client in clients(&plane) {
        let mut connection = client.connect("a.localhost").await.expect("connected");
        assert_eq!(ask(&mut connection, "/", &[]).await.status, 200);
        // A proxy that no setting names: the client may be anywhere.
        let answer = ask(&mut connection, "/", &[("x-forwarded-for", "203.0.113.7")]).await;
        assert_eq!((answer.status.as_u16(), answer.text().contains("route-closed")), (503, true));
    }
    // One that may not come in itself.
    let refusing = AddressFilter { deny: list(&["127.0.0.0/8", "::1/128"]), ..AddressFilter::default() };
    let refusing = vec![Middleware::AddressFilter(Arc::new(refusing))];
    let plane = Plane::serving(vec![guarded(route("a.localhost", address), refusing)]).await;
    for client in clients(&plane) {
        let mut connection = client.connect("a.localhost").await.expect("connected");
        for fields in [&[][..], &[("x-forwarded-for", "203.0.113.7")], &[("via", "1.1 proxy")]] {
            assert_eq!(ask(&mut connection, "/", fields).await.status, 403, "{fields:?}");
        }
    }
    let mut trusting =
        Plane::start_with(|settings| settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").expect("valid"));
    trusting.serve(routes()).await;
    for client in clients(&trusting) {
        for (chain, status) in [("203.0.113.7", 200), ("192.0.2.7", 403), ("192.0.2.7, 203.0.113.7", 200), ("?", 503)] {
            let mut connection = client.connect("a.localhost").await.expect("connected");
            assert_eq!(ask(&mut connection, "/", &[("x-forwarded-for", chain)]).await.status, status, "{chain}");
        }
    }
    let mut behind = Plane::start_with(|_| {});
    behind.whereabouts.publish(Whereabouts { gateways: vec![[127, 0, 0, 1].into()], ..Whereabouts::default() });
    behind.serve(routes()).await;
    for client in clients(&behind) {
        assert_eq!(client.get("a.localhost", "/").await.expect("answered").status, 503);
    }
}

#[tokio::test]
async fn a_rate_holds_over_connections_threads_and_tables() {
    let (address, app) = app("a").await;
    let routes = |requests| vec![guarded(route("a.localhost", address), vec![rate(requests, ClientKey::Address)])];
    let mut plane = Plane::serving(routes(40)).await;
    let mut statuses = Vec::new();
    for turn in 0..15 {
        for client in clients(&plane) {
            let answer = client.get("a.localhost", "/").await.expect("answered");
            if answer.status == 429 {
                assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=40;w=3600");
                let wait: u64 = answer.header("retry-after").parse().expect("seconds");
                assert!((1..=90).contains(&wait), "{wait}");
                assert_eq!(answer.header("ratelimit"), format!("\"default\";r=0;t={wait}"));
                assert!(answer.text().contains("rate-limited"));
            }
            statuses.push(answer.status.as_u16());
        }
        if turn % 5 == 0 {
            plane.serve_table(routes(40)).await;
        }
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 40, "{statuses:?}");
    assert!(statuses[..40].iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(app.served(), 40);
}

#[tokio::test]
async fn a_rate_may_be_by_a_field_or_by_user() {
    let (address, _) = app("a").await;
    let by_header = rate(2, ClientKey::Header(HeaderName::from_static("x-key")));
    let plane = Plane::serving(vec![
        guarded(route("a.localhost", address), vec![by_header]),
        guarded(route("b.localhost", address), vec![log_in(basic(|_| {}), &[]), rate(2, ClientKey::User)]),
    ])
    .await;
    let mut connection = plane.https().connect("a.localhost").await.expect("connected");
    for (key, status) in [("x", 200), ("x", 200), ("x", 429), ("y", 200), ("y", 200), ("y", 429)] {
        assert_eq!(ask(&mut connection, "/", &[("x-key", key)]).await.status, status, "{key}");
    }
    let mut connection = plane.https().connect("b.localhost").await.expect("connected");
    let (ann, bob) = (authorization("ann", "hello"), authorization("bob", "myPassword"));
    for (user, status) in [(&ann, 200), (&ann, 200), (&ann, 429), (&bob, 200), (&bob, 200), (&bob, 429)] {
        assert_eq!(ask(&mut connection, "/", &[("authorization", user)]).await.status, status);
    }
}

#[tokio::test]
async fn a_client_has_only_so_many_requests_under_way() {
    let (address, _) = app("a").await;
    let two = Middleware::ConcurrencyLimit(ConcurrencyLimit::of_address(NonZeroU32::new(2).expect("two")));
    let plane = Plane::serving(vec![guarded(route("a.localhost", address), vec![two])]).await;
    for client in clients(&plane) {
        let mut under_way = Vec::new();
        for _ in 0..2 {
            let mut connection = client.connect("a.localhost").await.expect("connected");
            let stream = connection.begin("GET", "/stream?every=20", &[], "").await.expect("answered");
            assert_eq!(stream.status(), 200);
            under_way.push((stream, connection));
        }
        let answer = client.get("a.localhost", "/").await.expect("answered");
        assert_eq!((answer.status.as_u16(), answer.text().contains("concurrency-limited")), (429, true));
        drop(under_way);
        eventually("both places are free again", Duration::from_secs(10), async || {
            let is_served = client.get("a.localhost", "/").await.expect("answered").status == 200;
            // The application sends to the other one until it notices.
            (is_served && plane.metric("gangway_requests_under_way") == 0.0).then_some(())
        })
        .await;
    }
}

/// As where an entry point of Traefik's has a limit and a router another one.
#[tokio::test]
async fn each_limit_of_a_route_counts_by_itself() {
    let (address, app) = app("a").await;
    let number = |number| NonZeroU32::new(number).expect("some");
    let in_burst = |requests, period, burst| {
        let (requests, burst) = (number(requests), number(burst));
        Middleware::RateLimit(RateLimit { requests, period, burst, key: ClientKey::Address })
    };
    // By the times of the slow one, the fast one would be used up by the first request.
    let (fast, slow) = (in_burst(100, Duration::from_secs(1), 50), in_burst(10, Duration::from_secs(3600), 5));
    let plane = Plane::serving(vec![guarded(route("a.localhost", address), vec![fast, slow])]).await;
    let client = plane.http();
    let mut connection = client.connect("a.localhost").await.expect("connected");
    for status in [200, 200, 200, 200, 200, 429] {
        assert_eq!(ask(&mut connection, "/", &[]).await.status, status);
    }
    let under_way = |requests, key| Middleware::ConcurrencyLimit(ConcurrencyLimit { requests: number(requests), key });
    let by_field = || ClientKey::Header(HeaderName::from_static("x-key"));
    for (limits, served) in [
        ([under_way(2, ClientKey::Address), under_way(100, by_field())], 2),
        ([under_way(100, by_field()), under_way(2, ClientKey::Address)], 2),
        ([under_way(1, ClientKey::Address), under_way(1, ClientKey::Address)], 1),
    ] {
        let plane = Plane::serving(vec![guarded(route("a.localhost", address), limits.to_vec())]).await;
        for client in clients(&plane) {
            let mut streams = Vec::new();
            for _ in 0..served {
                let mut connection = client.connect("a.localhost").await.expect("connected");
                let stream = connection.begin("GET", "/stream?every=20", &[("x-key", "k")], "").await;
                streams.push((stream.expect("answered"), connection));
                assert_eq!(streams.last().expect("pushed").0.status(), 200, "{limits:?}");
            }
            let mut connection = client.connect("a.localhost").await.expect("connected");
            assert_eq!(ask(&mut connection, "/", &[("x-key", "k")]).await.status, 429, "{limits:?}");
            drop(streams);
            eventually("all places are free again", Duration::from_secs(10), async || {
                (plane.metric("gangway_requests_under_way") == 0.0).then_some(())
            })
            .await;
            assert_eq!(ask(&mut connection, "/", &[("x-key", "k")]).await.status, 200, "{limits:?}");
        }
    }
    assert!(app.served() > 0);
}

#[tokio::test]
async fn a_name_and_a_password_are_asked_for() {
    let (address, app) = app("a").await;
    for which in 0..4 {
        let routes = vec![guarded(route("a.localhost", address), vec![log_in(basic(|_| {}), &[])])];
        let plane = Plane::serving(routes).await;
        let client = clients(&plane)[which].clone();
        let served = app.served();
        let answer = client.get("a.localhost", "/echo").await.expect("answered");
        assert_eq!((answer.status.as_u16(), answer.text().contains("unauthorized")), (401, true));
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"household\", charset=\"UTF-8\"");
        for (user, password) in [("ann", "myPassword"), ("eve", "hello"), ("ann", "")] {
            assert_eq!(ask_as(&client, "/echo", user, password).await.status, 401, "{user}:{password}");
        }
        assert_eq!(app.served(), served, "the application is not asked");
        for (user, password) in [("ann", "hello"), ("bob", "myPassword"), ("ann", "hello")] {
            let answer = ask_as(&client, "/echo", user, password).await;
            assert_eq!(answer.status.as_u16(), 200, "{user}: {}", answer.text());
            assert!(!sees(&answer, "authorization"), "the application does not see the password");
        }
    }
}

#[tokio::test]
async fn a_websocket_is_asked_before_its_connection_switches() {
    let (address, _) = app("a").await;
    let plane = Plane::serving(vec![guarded(route("a.localhost", address), vec![log_in(basic(|_| {}), &[])])]).await;
    let upgrade = |more: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nHost: a.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        )
    };
    let refused = plane.http().raw("a.localhost", upgrade("Connection: close\r\n").as_bytes()).await.expect("read");
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let known = format!("Authorization: {}\r\n", authorization("ann", "hello"));
    let mut stream = plane.http().stream("a.localhost").await.expect("connected");
    tokio::io::AsyncWriteExt::write_all(&mut stream, upgrade(&known).as_bytes()).await.expect("written");
    let mut first = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.expect("read");
    assert_eq!(&first, b"HTTP/1.1 101");
}

#[tokio::test]
async fn some_paths_need_no_log_in_and_no_trick_makes_others_such() {
    let (address, _) = app("a").await;
    let guard = log_in(basic(|_| {}), &["/api", "=/status"]);
    let plane = Plane::serving(vec![guarded(route("a.localhost", address), vec![guard])]).await;
    for client in clients(&plane) {
        let mut connection = client.connect("a.localhost").await.expect("connected");
        for (path, status) in [
            ("/api/echo", 200),
            ("//api/echo", 200),
            ("/%61pi/echo", 200),
            ("/status", 404),
            ("/echo", 401),
            ("/apis", 401),
            ("/API/echo", 401),
            ("/api/../echo", 401),
            ("/api/%2e%2e/echo", 401),
            ("/api/..%2Fecho", 401),
            ("/api/..;/echo", 401),
            ("/api;/../echo", 401),
            ("/status/..%5cecho", 401),
            ("/?/api/", 401),
        ] {
            let answer = ask(&mut connection, path, &[]).await;
            let is_let_in = answer.status != 401;
            assert_eq!(is_let_in, status != 401, "{path}: {}", answer.text());
        }
        // Tokens of the application pass there, and passwords that are ours do not.
        let bearer = ask(&mut connection, "/api/echo", &[("authorization", "Bearer x")]).await;
        assert!(sees(&bearer, "authorization"), "{}", bearer.text());
        assert_eq!(ask_as(&client, "/echo", "ann", "hello").await.status, 200);
        assert!(!sees(&ask_as(&client, "/api/echo", "ann", "hello").await, "authorization"));
        assert!(sees(&ask_as(&client, "/api/echo", "app", "own").await, "authorization"));
    }
}

#[tokio::test]
async fn methods_and_addresses_may_need_no_log_in() {
    let (address, _) = app("a").await;
    let near = SkipRule::clients(addresses(&["192.0.2.0/24"]));
    let skip = vec![SkipRule::method(Method::OPTIONS), SkipRule::method(Method::GET), near];
    let login = Authentication { method: LoginMethod::Basic(basic(|_| {})), skip };
    let filter = Middleware::AddressFilter(Arc::new(AddressFilter {
        deny: list(&["192.0.2.66/32"]),
        ..AddressFilter::default()
    }));
    let mut plane =
        Plane::start_with(|settings| settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").expect("valid"));
    let guards = vec![filter, Middleware::Authentication(Arc::new(login))];
    plane.serve(vec![guarded(route("a.localhost", address), guards)]).await;
    let (far, near) = (("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "192.0.2.7"));
    for client in clients(&plane) {
        for (method, fields, status) in [
            ("OPTIONS", vec![far], 200),
            ("GET", vec![far], 200),
            ("HEAD", vec![far], 200),
            ("POST", vec![far], 401),
            ("POST", vec![near], 200),
            // A log-in that is not needed opens nothing else.
            ("POST", vec![("x-forwarded-for", "192.0.2.66")], 403),
            ("POST", vec![("x-forwarded-for", "192.0.2.7, 203.0.113.7")], 401),
            // The application may take it for another request.
            ("GET", vec![far, ("x-http-method-override", "DELETE")], 401),
            ("OPTIONS", vec![far, ("x-http-method", "PUT")], 401),
            ("GET", vec![far, ("x-method-override", "")], 401),
            ("GET", vec![near, ("x-method-override", "DELETE")], 200),
            ("POST", vec![far, ("x-http-method-override", "GET")], 401),
        ] {
            let mut connection = client.connect("a.localhost").await.expect("connected");
            let answer = connection.ask(method, "/echo", &fields, "").await.expect("answered");
            assert_eq!(answer.status.as_u16(), status, "{method} {fields:?}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn limits_hold_on_requests_that_need_no_log_in() {
    let (address, _) = app("a").await;
    let near = || SkipRule::clients(addresses(&["192.0.2.0/24"]));
    let login = || {
        let skip = vec![SkipRule::method(Method::OPTIONS), near()];
        Middleware::Authentication(Arc::new(Authentication { method: LoginMethod::Basic(basic(|_| {})), skip }))
    };
    for guards in [vec![rate(2, ClientKey::Address), login()], vec![login(), rate(2, ClientKey::User)]] {
        let mut plane = Plane::start_with(|settings| {
            settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").expect("valid");
        });
        plane.serve(vec![guarded(route("a.localhost", address), guards)]).await;
        for (at, client) in clients(&plane).iter().enumerate() {
            let mut connection = client.connect("a.localhost").await.expect("connected");
            for (method, from) in [("OPTIONS", format!("203.0.113.{at}")), ("POST", format!("192.0.2.{at}"))] {
                for status in [200, 200, 429] {
                    let answer = connection.ask(method, "/echo", &[("x-forwarded-for", &from)], "").await;
                    let answer = answer.expect("answered");
                    assert_eq!(answer.status.as_u16(), status, "{method} {from}: {}", answer.text());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_method_and_a_path_of_one_rule_hold_together() {
    let (address, _) = app("a").await;
    let feeds = skip_paths(&["/feeds"]).pop().and_then(|feeds| SkipRule::method(Method::GET).and(feeds));
    let skip = vec![feeds.expect("of two kinds")];
    let login = Arc::new(Authentication { method: LoginMethod::Basic(basic(|_| {})), skip });
    let guards = vec![Middleware::Authentication(login)];
    let plane = Plane::serving(vec![guarded(route("a.localhost", address), guards)]).await;
    for client in clients(&plane) {
        for (method, path, is_let_in) in [
            ("GET", "/feeds/echo", true),
            ("HEAD", "/feeds/echo", true),
            ("POST", "/feeds/echo", false),
            ("GET", "/echo", false),
            ("GET", "/feeds/..%2Fecho", false),
            ("GET", "/feeds/../echo", false),
        ] {
            let mut connection = client.connect("a.localhost").await.expect("connected");
            let answer = connection.ask(method, path, &[], "").await.expect("answered");
            assert_eq!(answer.status != 401, is_let_in, "{method} {path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn an_address_that_may_be_a_gateways_needs_its_log_in() {
    let (address, _) = app("a").await;
    let skip = vec![SkipRule::clients(addresses(&["127.0.0.0/8", "::1/128"]))];
    let login = Arc::new(Authentication { method: LoginMethod::Basic(basic(|_| {})), skip });
    let routes = || vec![guarded(route("a.localhost", address), vec![Middleware::Authentication(Arc::clone(&login))])];
    let plane = Plane::serving(routes()).await;
    let mut behind = Plane::start_with(|_| {});
    behind.whereabouts.publish(Whereabouts { gateways: vec![[127, 0, 0, 1].into()], ..Whereabouts::default() });
    behind.serve(routes()).await;
    for (plane, passed_on, status) in [(&plane, false, 200), (&plane, true, 401), (&behind, false, 401)] {
        for client in clients(plane) {
            let mut connection = client.connect("a.localhost").await.expect("connected");
            let fields: &[_] = if passed_on { &[("x-forwarded-for", "127.0.0.1")] } else { &[] };
            assert_eq!(ask(&mut connection, "/", fields).await.status, status, "{fields:?}");
        }
    }
}

#[tokio::test]
async fn lists_on_the_volume_count_and_a_missing_one_closes() {
    let (address, _) = app("a").await;
    let guard = log_in(
        basic(|basic| {
            basic.users = users(&[ANN]);
            basic.lists = vec!["friends".into()];
            basic.keep = true;
        }),
        &[],
    );
    let mut plane = Plane::serving(vec![guarded(route("a.localhost", address), vec![guard])]).await;
    let client = plane.https().speaking(Speaks::H2);
    let answer = ask_as(&client, "/echo", "ann", "hello").await;
    assert_eq!((answer.status.as_u16(), answer.text().contains("route-closed")), (503, true), "closed on doubt");
    plane.user_lists.publish(UserLists::new(BTreeMap::from([("friends".into(), users(&[BOB]))])));
    for (user, password, status) in [("ann", "hello", 200), ("bob", "myPassword", 200), ("bob", "hello", 401)] {
        let answer = ask_as(&client, "/echo", user, password).await;
        assert_eq!(answer.status.as_u16(), status, "{user}");
        assert!(status != 200 || sees(&answer, "authorization"), "it was asked to be kept");
    }
    plane.user_lists.publish(UserLists::new(BTreeMap::from([("friends".into(), Vec::new())])));
    assert_eq!(ask_as(&client, "/echo", "bob", "myPassword").await.status, 401, "who was removed is out at once");
    plane.user_lists.publish(UserLists::default());
    assert_eq!(ask_as(&client, "/echo", "ann", "hello").await.status, 503);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_who_is_logged_in_stays() {
    let (address, _) = app("a").await;
    let plane = Plane::serving(vec![guarded(route("a.localhost", address), vec![log_in(basic(|_| {}), &[])])]).await;
    let client = plane.https();
    assert_eq!(ask_as(&client, "/", "ann", "hello").await.status, 200);
    let mut statuses = Vec::new();
    for guess in 0..15 {
        statuses.push(ask_as(&client, "/", "ann", &format!("guess-{guess}")).await.status.as_u16());
    }
    assert_eq!(statuses[..10], [401; 10], "{statuses:?}");
    assert!(statuses[10..].contains(&429), "{statuses:?}");
    let answer = ask_as(&client, "/", "bob", "myPassword").await;
    assert_eq!(answer.status.as_u16(), 429, "also the right one, or guessing would go on");
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(ask_as(&client, "/", "ann", "hello").await.status, 200);
}

#[tokio::test]
async fn the_log_in_comes_before_the_wait_and_the_redirection_and_after_https() {
    let (address, _) = app("a").await;
    let target = RedirectTarget(vec![RedirectPart::Text("https://elsewhere.localhost/".into())]);
    let redirect = Middleware::Redirect { status: 302, target };
    let mut secure = guarded(route("a.localhost", address), vec![log_in(basic(|_| {}), &[])]);
    secure.change = Box::new(|route| route.listener.https_redirect = true);
    let plane = Plane::serving(vec![
        secure,
        guarded(route("b.localhost", address), vec![log_in(basic(|_| {}), &[]), redirect]),
        guarded(held("c.localhost", Duration::from_secs(600)), vec![log_in(basic(|_| {}), &[])]),
    ])
    .await;
    let answer = plane.http().get("a.localhost", "/x").await.expect("answered");
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (308, "https://a.localhost/x"),
        "no password over plain HTTP"
    );
    assert_eq!(plane.https().get("a.localhost", "/x").await.expect("answered").status, 401);
    for client in clients(&plane) {
        let mut connection = client.connect("b.localhost").await.expect("connected");
        assert_eq!(ask(&mut connection, "/", &[]).await.status, 401);
        let known = authorization("ann", "hello");
        assert_eq!(ask(&mut connection, "/", &[("authorization", &known)]).await.status, 302);
        let waits_not = client.get("c.localhost", "/").await.expect("answered");
        assert_eq!(waits_not.status, 401);
    }
}

#[tokio::test]
async fn a_request_that_waited_meets_the_protection_of_then() {
    let (address, app) = app("a").await;
    let mut plane = Plane::serving(vec![held("a.localhost", Duration::from_secs(600))]).await;
    for client in clients(&plane) {
        let waiting = tokio::spawn(async move { client.get("a.localhost", "/").await });
        eventually("it waits", Duration::from_secs(10), async || {
            (plane.metric("gangway_requests_waiting") > 0.0).then_some(())
        })
        .await;
        plane.serve_table(vec![guarded(route("a.localhost", address), vec![log_in(basic(|_| {}), &[])])]).await;
        assert_eq!(waiting.await.expect("no panic").expect("answered").status, 401);
        assert_eq!(app.served(), 0);
        plane.serve_table(vec![held("a.localhost", Duration::from_secs(600))]).await;
    }
}

#[tokio::test]
async fn a_reply_after_a_failed_try_meets_the_protection_of_then() {
    let refusing = || {
        let mut refusing = route("a.localhost", ClosedPort::kept());
        refusing.change = Box::new(|route| {
            let upstream = Arc::get_mut(&mut route.upstream).expect("one owner");
            upstream.policy.hold = Duration::from_secs(600);
        });
        refusing
    };
    let mut plane = Plane::serving(vec![refusing()]).await;
    for client in clients(&plane) {
        let waiting = tokio::spawn(async move { client.get("a.localhost", "/api/version").await });
        eventually("it waits", Duration::from_secs(10), async || {
            (plane.metric("gangway_requests_waiting") > 0.0).then_some(())
        })
        .await;
        let mut own = guarded(route("a.localhost", ClosedPort::kept()), vec![log_in(basic(|_| {}), &[])]);
        own.change = Box::new(|route| {
            let id = route.upstream.id.clone();
            route.upstream = Arc::new(Upstream { id, internal: Some(InternalService::Api), ..Upstream::default() });
        });
        plane.serve_table(vec![own]).await;
        let answer = waiting.await.expect("no panic").expect("answered");
        assert_eq!(answer.status.as_u16(), 401, "{}", answer.text());
        plane.serve_table(vec![refusing()]).await;
    }
}
