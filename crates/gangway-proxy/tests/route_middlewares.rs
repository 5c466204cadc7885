//! What browsers learn of other origins, hosts that are refused, addresses that are chosen, and answers that are too
//! large, over every way from a client to an application.

mod common;

use std::num::{NonZeroU8, NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use common::ways::{Way, Ways};
use gangway_model::{
    AddressChoice, AddressFilter, AddressSource, Authentication, BasicAuth, BasicUser, ClientKey, ClientList,
    ConcurrencyLimit, Cors, LoginMethod, Middleware, RateLimit,
};
use gangway_testkit::client::Answer;
use http::{HeaderName, HeaderValue, StatusCode};

const ANN: (&str, &str) = ("authorization", "Basic YW5uOnNlc2FtZQ==");
const PREFLIGHT: [(&str, &str); 2] = [("origin", "https://a.test"), ("access-control-request-method", "PUT")];

fn cors() -> Middleware {
    Middleware::Cors(Arc::new(Cors {
        origins: ["https://a.test".into()].into(),
        methods: Some(HeaderValue::from_static("GET,PUT")),
        headers: Some(HeaderValue::from_static("X-A")),
        max_age: Some(100),
        credentials: true,
        varies: true,
        ..Cors::default()
    }))
}

fn log_in(user_field: Option<HeaderName>) -> Middleware {
    // The password is `sesame`.
    let user = BasicUser::parse("ann:{SHA}CEo1Ae3vaEXy8eQZjsOiuBz1xrw=").expect("a user");
    let basic = BasicAuth { users: vec![user], lists: Vec::new(), realm: "a \"b\"".into(), keep: false, user_field };
    Middleware::Authentication(Arc::new(Authentication { method: LoginMethod::Basic(basic), skip: Vec::new() }))
}

fn told(answer: &Answer, name: &str) -> Vec<String> {
    let echo = answer.json();
    let fields = echo["headers"].as_array().expect("fields").iter();
    let values = fields.filter(|field| field[0].as_str().is_some_and(|found| found.eq_ignore_ascii_case(name)));
    values.map(|field| field[1].as_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn a_preflight_is_answered_here_and_other_requests_are_the_applications() {
    let ways = Ways::to("api", |api| api.middlewares = vec![cors()]).await;
    for Way { name, client, host, .. } in ways.all() {
        let served = ways.app.served();
        let mut connection = client.connect(host).await.expect("connected");
        let answer = connection.ask("OPTIONS", "/echo", &PREFLIGHT, "").await.expect("answered");
        assert_eq!((answer.status, &*answer.text()), (StatusCode::OK, ""), "{name}");
        for (field, value) in [
            ("access-control-allow-origin", "https://a.test"),
            ("access-control-allow-methods", "GET,PUT"),
            ("access-control-allow-headers", "X-A"),
            ("access-control-allow-credentials", "true"),
            ("access-control-max-age", "100"),
            ("vary", ""),
        ] {
            assert_eq!(answer.header(field), value, "{name} {field}");
        }
        let foreign = [("origin", "https://b.test"), PREFLIGHT[1]];
        let answer = connection.ask("OPTIONS", "/echo", &foreign, "").await.expect("answered");
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (StatusCode::OK, ""), "{name}");
        assert_eq!(ways.app.served(), served, "{name}");
        for (method, fields, origin) in [
            ("OPTIONS", &PREFLIGHT[..1], "https://a.test"),
            ("GET", &PREFLIGHT[..1], "https://a.test"),
            ("GET", &foreign[..1], ""),
            ("GET", &[], ""),
        ] {
            let answer = connection.ask(method, "/echo", fields, "").await.expect("answered");
            assert_eq!(answer.header("access-control-allow-origin"), origin, "{name} {method} {fields:?}");
            assert!(answer.header("vary").contains("Origin"), "{name}");
        }
        assert_eq!(ways.app.served(), served + 4, "{name}");
    }
}

#[tokio::test]
async fn a_preflight_passes_a_log_in_only_where_it_is_answered_before() {
    for (chain, status) in [(vec![cors(), log_in(None)], 200), (vec![log_in(None), cors()], 401)] {
        let ways = Ways::to("doors", |doors| doors.middlewares.clone_from(&chain)).await;
        for Way { name, client, host, .. } in ways.all() {
            let mut connection = client.connect(host).await.expect("connected");
            let answer = connection.ask("OPTIONS", "/echo", &PREFLIGHT, "").await.expect("answered");
            assert_eq!(answer.status.as_u16(), status, "{name}");
            let answer = connection.ask("PUT", "/echo", &PREFLIGHT, "").await.expect("answered");
            assert_eq!(answer.status.as_u16(), 401, "{name}");
            assert_eq!(answer.header("www-authenticate"), "Basic realm=\"a \\\"b\\\"\", charset=\"UTF-8\"", "{name}");
        }
        assert_eq!(ways.app.served(), 0);
    }
}

#[tokio::test]
async fn an_application_is_told_the_user_and_nobody_else_tells_it() {
    let field = HeaderName::from_static("x-user");
    let ways = Ways::to("doors", |doors| doors.middlewares = vec![log_in(Some(field.clone()))]).await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        let spoofed = [ANN, ("x-user", "root"), ("x_user", "root")];
        let answer = connection.ask("GET", "/echo", &spoofed, "").await.expect("answered");
        assert_eq!(told(&answer, "x-user"), ["ann"], "{name}");
        assert!(told(&answer, "x_user").is_empty() && told(&answer, "authorization").is_empty(), "{name}");
    }
}

#[tokio::test]
async fn other_hosts_than_those_of_the_route_are_refused() {
    let ways = Ways::to("hosts", |hosts| {
        hosts.middlewares = vec![Middleware::AllowedHosts(["h2c.localhost".into(), "https-1.localhost".into()].into())];
    })
    .await;
    for Way { name, client, host, .. } in ways.all() {
        let mut connection = client.connect(host).await.expect("connected");
        let answer = connection.get("/echo").await.expect("answered");
        let is_meant = matches!(host, "h2c.localhost" | "https-1.localhost");
        assert_eq!(answer.status.as_u16(), if is_meant { 200 } else { 500 }, "{name}");
    }
}

/// Nobody is trusted to write lists of addresses.
#[tokio::test]
async fn an_address_that_is_not_told_is_let_in_nowhere_and_counts_as_one_client() {
    let source = AddressSource::ForwardedAt(NonZeroU8::MIN);
    let by = AddressChoice { source, ipv6_len: None };
    let everybody = ClientList::from_iter(["0.0.0.0/0", "::/0"].map(|all| all.parse::<ipnet::IpNet>().expect("all")));
    let refusal = Some(StatusCode::NOT_FOUND);
    let filter = |by| AddressFilter { allow: Some(everybody.clone()), by, refusal, ..AddressFilter::default() };
    for (by, status) in [(AddressChoice::of_connection(), 200), (by, 404)] {
        let ways =
            Ways::to("lan", |lan| lan.middlewares = vec![Middleware::AddressFilter(Arc::new(filter(by.clone())))])
                .await;
        for Way { name, client, host, .. } in ways.all() {
            let mut connection = client.connect(host).await.expect("connected");
            let forged = [("x-forwarded-for", "192.0.2.7")];
            let answer = connection.ask("GET", "/echo", &forged, "").await.expect("answered");
            assert_eq!(answer.status.as_u16(), status, "{name} {}", by.source);
        }
    }
}

#[tokio::test]
async fn clients_are_counted_by_what_the_limit_names() {
    let one = NonZeroU32::MIN;
    let limit = |key| RateLimit { requests: one, period: Duration::from_secs(3600), burst: one, key };
    let unknown = AddressChoice { source: AddressSource::ForwardedAt(NonZeroU8::MIN), ipv6_len: None };
    for key in [ClientKey::Host, ClientKey::AddressBy(unknown), ClientKey::AddressBy(AddressChoice::of_connection())] {
        let ways = Ways::to("limited", |limited| {
            let concurrency = ConcurrencyLimit { requests: one, key: key.clone() };
            limited.middlewares =
                vec![Middleware::RateLimit(limit(key.clone())), Middleware::ConcurrencyLimit(concurrency)];
        })
        .await;
        let mut first: Vec<&str> = Vec::new();
        for Way { name, client, host, .. } in ways.all() {
            let mut connection = client.connect(host).await.expect("connected");
            let forged = format!("192.0.2.{}", first.len());
            let answer = connection.ask("GET", "/echo", &[("x-forwarded-for", &forged)], "").await.expect("answered");
            // Each route has a bucket of its own.
            let is_first = !first.contains(&host);
            assert_eq!(answer.status.as_u16(), if is_first { 200 } else { 429 }, "{name}{key}");
            first.push(host);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_becomes_an_error_or_is_cut() {
    let max = NonZeroU64::new(1000).expect("some");
    let ways = Ways::to("large", |large| large.middlewares = vec![Middleware::ResponseLimit(max)]).await;
    for Way { name, client, host, .. } in ways.all() {
        for (path, status) in [("/bytes/1000", 200), ("/bytes/1001", 500)] {
            let mut connection = client.connect(host).await.expect("connected");
            let answer = connection.get(path).await.expect("answered");
            assert_eq!(answer.status.as_u16(), status, "{name} {path}");
        }
        let mut connection = client.connect(host).await.expect("connected");
        let answer = connection.get("/stream?every=1&count=1000").await;
        assert!(answer.is_err(), "{name}: it is not whole");
    }
}
