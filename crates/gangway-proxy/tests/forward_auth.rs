//! Log-in services that are asked about each request: stand-ins that hold the contract of each product, and services that
//! break every rule.

mod common;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Plane, RouteToServe, app, route, skip_paths};
use gangway_model::{
    Address, AuthProduct, Authentication, BasicAuth, BasicUser, ClientKey, Endpoint, EndpointKey, ForwardAuth,
    ForwardRules, IdentityField, LoginMethod, Middleware, RateLimit, Readiness, Scheme, SkipRule, Upstream,
};
use gangway_proxy::TrustedProxies;
use gangway_testkit::client::{Answer, Client, Connection, Speaks};
use gangway_testkit::ports::ClosedPort;
use gangway_testkit::scripted::{Asked, Scripted, reply};
use gangway_testkit::wait::eventually;
use http::{HeaderName, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const STUCK: Duration = Duration::from_secs(30);

fn clients(plane: &Plane) -> [Client; 4] {
    [plane.http(), plane.https(), plane.http().speaking(Speaks::H2), plane.https().speaking(Speaks::H2)]
}

fn at(address: SocketAddr) -> Endpoint {
    Endpoint {
        key: EndpointKey { container: "auth".into(), address: Address::Ip(address.ip(), address.port()) },
        name: "auth-1".into(),
        scheme: Scheme::Http,
        transport: Arc::default(),
        host: None,
        readiness: Readiness::Ready,
        weight: 1,
        is_of_operator: false,
    }
}

/// What a label makes of a product's name.
fn forward(product: Option<AuthProduct>) -> ForwardAuth {
    let begins = |begin: &str| IdentityField::Begins(begin.into());
    let mut identity = vec![begins("remote-")];
    match product {
        Some(AuthProduct::Authentik) => identity.push(begins("x-authentik-")),
        Some(AuthProduct::Tinyauth) => identity.push(IdentityField::Named("authorization".into())),
        Some(AuthProduct::Oauth2Proxy) => identity.push(begins("x-auth-request-")),
        Some(AuthProduct::Authelia) | None => {}
    }
    ForwardAuth {
        service: product.map_or("http://auth/check", AuthProduct::name).into(),
        product,
        target: product.map_or("/check?by=us", AuthProduct::target).into(),
        identity: identity.into(),
        rules: None,
    }
}

fn behind(route: RouteToServe, forward: ForwardAuth, skip: &[&str], services: Vec<Endpoint>) -> RouteToServe {
    behind_but(route, forward, skip_paths(skip), services)
}

fn behind_but(
    mut route: RouteToServe,
    forward: ForwardAuth,
    skip: Vec<SkipRule>,
    services: Vec<Endpoint>,
) -> RouteToServe {
    let authentication = Authentication { method: LoginMethod::Forward(forward), skip };
    route.middlewares = vec![Middleware::Authentication(Arc::new(authentication))];
    route.change = Box::new(|route| route.auth_services = vec![services]);
    route
}

async fn ask(client: &Client, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut connection: Connection = client.connect("a.localhost").await.expect("connected");
    connection.ask(method, path, fields, "").await.expect("answered")
}

/// The values of a field that the application got.
fn got(answer: &Answer, name: &str) -> Vec<String> {
    let json = answer.json();
    let fields = json["headers"].as_array().unwrap_or_else(|| panic!("an echo: {} {}", answer.status, answer.text()));
    let named = fields.iter().filter(|field| field[0].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)));
    named.map(|field| field[1].as_str().unwrap_or_default().to_owned()).collect()
}

fn cookies(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()).collect()
}

/// Whether the question says what every product needs, and nothing that it must not.
fn is_told(asked: &Asked) -> bool {
    let told = ["X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-For"];
    let is_once = |name: &&str| {
        let lines = asked.head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(named, _)| named.eq_ignore_ascii_case(name)).count() == 1 && !asked.field(name).is_empty()
    };
    let not_wanted =
        ["Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "TE", "Range", "If-None-Match", "Expect"];
    let has = |name: &&str| !asked.field(name).is_empty();
    told.iter().all(is_once) && !not_wanted.iter().any(has) && asked.body.is_empty()
}

/// Authelia's `forward-auth` endpoint.
fn authelia(asked: &Asked) -> Vec<u8> {
    let is_as_others_ask = !asked.field("X-Original-URL").is_empty();
    if !asked.head.starts_with("GET /api/authz/forward-auth HTTP/1.1\r\n") || !is_told(asked) || is_as_others_ask {
        return reply("400 Bad Request", &[], &asked.head);
    }
    let (credentials, uri) = (asked.field("Authorization"), asked.field("X-Forwarded-Uri"));
    if !credentials.is_empty() && !credentials.starts_with("Basic ") && !credentials.starts_with("Bearer ") {
        return reply("400 Bad Request", &[], "unknown scheme");
    }
    if asked.field("Cookie").contains("authelia_session=ann") || credentials == "Basic YW5uOng=" {
        if uri.starts_with("/admin") {
            return reply("403 Forbidden", &[("Content-Type", "text/plain")], "403 Forbidden");
        }
        let identity = [
            ("Remote-User", "ann"),
            ("Remote-Groups", "users,family"),
            ("Remote-Name", "Ann"),
            ("Remote-Email", "ann@example.org"),
            ("Set-Cookie", "authelia_session=ann; Path=/; HttpOnly"),
            ("X-Internal", "not for the application"),
        ];
        return reply("200 OK", &identity, "200 OK");
    }
    if credentials.starts_with("Basic ") {
        return reply("401 Unauthorized", &[("WWW-Authenticate", "Basic realm=\"Authorization Required\"")], "401");
    }
    let status = if asked.field("X-Forwarded-Method") == "GET" { "302 Found" } else { "303 See Other" };
    let host = asked.field("X-Forwarded-Host");
    let location = format!("https://auth.example.org/?rd={}://{host}{uri}&rm=GET", asked.field("X-Forwarded-Proto"));
    let fields = [("Location", &*location), ("Set-Cookie", "authelia_session=new; Path=/"), ("Set-Cookie", "b=2")];
    reply(status, &fields, "<a>Found</a>")
}

#[tokio::test]
async fn authelia_is_asked_as_it_expects_and_its_answers_count() {
    let (address, application) = app("a").await;
    let service = Scripted::answering(authelia).await.expect("a free port");
    let product = forward(Some(AuthProduct::Authelia));
    let plane =
        Plane::serving(vec![behind(route("a.localhost", address), product, &[], vec![at(service.address)])]).await;
    for (client, scheme) in clients(&plane).iter().zip(["http", "https", "http", "https"]) {
        let served = application.served();
        let answer = ask(client, "GET", "/photos?album=1", &[("accept", "text/html")]).await;
        assert_eq!(answer.status.as_u16(), 302, "{}", answer.text());
        let port = answer.header("location").split("a.localhost").nth(1).unwrap_or_default().to_owned();
        assert!(answer.header("location").starts_with(&format!("https://auth.example.org/?rd={scheme}://a.localhost")));
        assert!(port.ends_with("/photos?album=1&rm=GET"), "{port}");
        assert_eq!(cookies(&answer), ["authelia_session=new; Path=/", "b=2"]);
        assert_eq!(answer.text(), "<a>Found</a>");
        assert_eq!(ask(client, "POST", "/photos", &[("content-length", "0")]).await.status.as_u16(), 303);
        let basic = ask(client, "GET", "/", &[("authorization", "Basic eDp4")]).await;
        assert_eq!((basic.status.as_u16(), basic.header("www-authenticate").contains("realm")), (401, true));
        let head = ask(client, "HEAD", "/", &[]).await;
        assert_eq!((head.status.as_u16(), head.text().is_empty()), (303, true));
        assert_eq!(
            ask(client, "OPTIONS", "/", &[("origin", "https://b.example")]).await.status,
            303,
            "closed on doubt"
        );
        let cookie = ("cookie", "authelia_session=ann");
        assert_eq!(ask(client, "GET", "/admin", &[cookie]).await.text(), "403 Forbidden");
        assert_eq!(application.served(), served, "nobody was let in yet");
        let unwanted = [
            cookie,
            ("range", "bytes=0-1"),
            ("if-none-match", "x"),
            ("te", "trailers"),
            ("expect", "100-continue"),
            ("x-internal", "own"),
        ];
        let answer = ask(client, "GET", "/echo", &unwanted).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
        assert_eq!(cookies(&answer), ["authelia_session=ann; Path=/; HttpOnly"], "also on success");
        for (name, value) in [
            ("remote-user", "ann"),
            ("remote-groups", "users,family"),
            ("remote-name", "Ann"),
            ("remote-email", "ann@example.org"),
            ("x-internal", "own"),
            ("range", "bytes=0-1"),
        ] {
            assert_eq!(got(&answer, name), [value], "{name}");
        }
        // Its own scheme does not concern the log-in, and is the application's.
        let player = ask(client, "GET", "/echo", &[cookie, ("authorization", "MediaBrowser Token=\"x\"")]).await;
        assert_eq!(got(&player, "authorization"), ["MediaBrowser Token=\"x\""]);
        assert_eq!(ask(client, "GET", "/echo", &[("authorization", "Basic YW5uOng=")]).await.status, 200);
        let uploaded = ask_with_body(client, cookie).await;
        assert_eq!(uploaded.status.as_u16(), 200, "{}", uploaded.text());
    }
    assert!(service.strays().is_empty(), "{:?}", service.strays());
    assert!(service.asked().iter().any(|asked| asked.turn > 0), "connections are kept");
}

async fn ask_with_body(client: &Client, cookie: (&str, &str)) -> Answer {
    let mut connection = client.connect("a.localhost").await.expect("connected");
    connection.ask("POST", "/upload", &[cookie], "a body for the application").await.expect("answered")
}

#[tokio::test]
async fn authentik_is_asked_as_it_expects_and_its_answers_count() {
    let script = |asked: &Asked| {
        let is_here = asked.head.starts_with("GET /outpost.goauthentik.io/auth/traefik HTTP/1.1\r\n");
        if !is_here || !is_told(asked) || !asked.field("Host").starts_with("a.localhost") {
            return reply("400 Bad Request", &[], &asked.head);
        }
        if !asked.field("Cookie").contains("authentik_proxy=ann") {
            let location = format!("/outpost.goauthentik.io/start?rd={}", asked.field("X-Forwarded-Uri"));
            return reply("302 Found", &[("Location", &location), ("Set-Cookie", "authentik_proxy=new")], "");
        }
        let token = "x".repeat(9000);
        let identity = [
            ("X-authentik-username", "ann"),
            ("X-authentik-groups", "users|family"),
            ("X-authentik-jwt", &*token),
            ("X-authentik-meta-app", "a"),
            ("Set-Cookie", "authentik_proxy=ann; Path=/"),
            ("Set-Cookie", "authentik_more=1; Path=/"),
        ];
        reply("200 OK", &identity, "")
    };
    let (address, _) = app("a").await;
    let service = Scripted::answering(script).await.expect("a free port");
    let product = forward(Some(AuthProduct::Authentik));
    let plane =
        Plane::serving(vec![behind(route("a.localhost", address), product, &[], vec![at(service.address)])]).await;
    for client in clients(&plane) {
        let answer = ask(&client, "GET", "/x", &[]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (302, "/outpost.goauthentik.io/start?rd=/x"),
            "{}",
            answer.text()
        );
        let known = [("cookie", "authentik_proxy=ann"), ("X-authentik-username", "root"), ("x-authentik-uid", "0")];
        let answer = ask(&client, "GET", "/echo", &known).await;
        assert_eq!(got(&answer, "x-authentik-username"), ["ann"]);
        assert_eq!((got(&answer, "x-authentik-uid").len(), got(&answer, "x-authentik-jwt")[0].len()), (0, 9000));
        assert_eq!(cookies(&answer), ["authentik_proxy=ann; Path=/", "authentik_more=1; Path=/"]);
    }
}

#[tokio::test]
async fn tinyauth_is_asked_as_it_expects_and_its_answers_count() {
    let script = |asked: &Asked| {
        if !asked.head.starts_with("GET /api/auth/traefik HTTP/1.1\r\n") || !is_told(asked) {
            return reply("400 Bad Request", &[], &asked.head);
        }
        if asked.field("Cookie").contains("tinyauth=ann") {
            let identity = [("Remote-User", "ann"), ("Remote-Sub", "1"), ("Authorization", "Basic YXBwOmFwcA==")];
            // An application without credentials of its own gets none.
            let count = if asked.field("X-Forwarded-Uri").contains("plain") { 2 } else { 3 };
            return reply("200 OK", &identity[..count], "{\"status\":200}");
        }
        if asked.field("User-Agent").contains("Mozilla") {
            return reply("307 Temporary Redirect", &[("Location", "https://tinyauth.example.org/login")], "");
        }
        let fields = [("Content-Type", "application/json"), ("x-tinyauth-location", "https://tinyauth.example.org")];
        reply("401 Unauthorized", &fields, "{\"status\":401}")
    };
    let (address, _) = app("a").await;
    let service = Scripted::answering(script).await.expect("a free port");
    let product = forward(Some(AuthProduct::Tinyauth));
    let plane =
        Plane::serving(vec![behind(route("a.localhost", address), product, &[], vec![at(service.address)])]).await;
    for client in clients(&plane) {
        assert_eq!(ask(&client, "GET", "/", &[("user-agent", "Mozilla/5.0")]).await.status, 307);
        let program = ask(&client, "GET", "/", &[("user-agent", "curl")]).await;
        assert_eq!((program.status.as_u16(), &*program.text()), (401, "{\"status\":401}"));
        assert_eq!(program.header("x-tinyauth-location"), "https://tinyauth.example.org");
        let known = [("cookie", "tinyauth=ann"), ("authorization", "Bearer own")];
        let answer = ask(&client, "GET", "/echo", &known).await;
        assert_eq!(got(&answer, "authorization"), ["Basic YXBwOmFwcA=="]);
        assert_eq!((got(&answer, "remote-user"), got(&answer, "remote-sub")), (vec!["ann".into()], vec!["1".into()]));
        assert_eq!(got(&ask(&client, "GET", "/echo?plain", &known).await, "authorization"), ["Bearer own"]);
    }
}

#[tokio::test]
async fn oauth2_proxy_is_asked_as_it_expects_and_people_are_sent_to_its_page() {
    let script = |asked: &Asked| {
        if !asked.head.starts_with("GET /oauth2/auth HTTP/1.1\r\n") || !is_told(asked) {
            return reply("400 Bad Request", &[], &asked.head);
        }
        if !asked.field("Cookie").contains("_oauth2_proxy=ann") {
            return reply("401 Unauthorized", &[("Set-Cookie", "_oauth2_proxy=; Max-Age=0")], "Unauthorized\n");
        }
        let identity = [
            ("X-Auth-Request-User", "ann"),
            ("X-Auth-Request-Email", "ann@example.org"),
            ("Set-Cookie", "_oauth2_proxy_0=a; Path=/"),
            ("Set-Cookie", "_oauth2_proxy_1=b; Path=/"),
        ];
        reply("202 Accepted", &identity, "Authenticated\n")
    };
    let (address, _) = app("a").await;
    let service = Scripted::answering(script).await.expect("a free port");
    let product = forward(Some(AuthProduct::Oauth2Proxy));
    let plane =
        Plane::serving(vec![behind(route("a.localhost", address), product, &[], vec![at(service.address)])]).await;
    for client in clients(&plane) {
        let page = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        for (path, location) in [
            ("/photos?a=b&c", "/oauth2/sign_in?rd=%2Fphotos%3Fa%3Db%26c"),
            ("//evil.example/x", "/oauth2/sign_in?rd=%2Fevil.example%2Fx"),
            ("/\\evil.example", "/oauth2/sign_in?rd=%2Fevil.example"),
            ("/https://evil.example", "/oauth2/sign_in?rd=%2Fhttps%3A%2F%2Fevil.example"),
        ] {
            let answer = ask(&client, "GET", path, &[page]).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (302, location), "{}", answer.text());
            assert_eq!(cookies(&answer), ["_oauth2_proxy=; Max-Age=0"]);
            assert!(!answer.header("x-request-id").is_empty(), "this one is ours");
        }
        for (method, fields) in [("GET", &[][..]), ("POST", &[page]), ("GET", &[page, ("sec-fetch-mode", "cors")])] {
            let answer = ask(&client, method, "/", fields).await;
            assert_eq!((answer.status.as_u16(), &*answer.text()), (401, "Unauthorized\n"), "{method} {fields:?}");
            assert_eq!(answer.header("x-request-id"), "", "its answer stays as it is");
        }
        let known =
            [("cookie", "_oauth2_proxy=ann"), ("X-Auth-Request-User", "root"), ("x-auth-request-groups", "root")];
        let answer = ask(&client, "GET", "/echo", &known).await;
        assert_eq!(
            (got(&answer, "x-auth-request-user"), got(&answer, "x-auth-request-groups").len()),
            (vec!["ann".into()], 0)
        );
        assert_eq!(cookies(&answer), ["_oauth2_proxy_0=a; Path=/", "_oauth2_proxy_1=b; Path=/"]);
    }
}

#[tokio::test]
async fn any_other_service_is_asked_as_other_proxies_ask() {
    let script = |asked: &Asked| match asked.head.starts_with("GET /check?by=us HTTP/1.1\r\n") && is_told(asked) {
        true => {
            let url = asked.field("X-Original-URL").to_owned();
            reply("204 No Content", &[("Remote-User", "ann"), ("Remote-Url", &url)], "")
        }
        false => reply("400 Bad Request", &[], &asked.head),
    };
    let (address, _) = app("a").await;
    let service = Scripted::answering(script).await.expect("a free port");
    let endpoints = vec![at(service.address)];
    let plane = Plane::serving(vec![behind(route("a.localhost", address), forward(None), &[], endpoints)]).await;
    for (client, scheme) in clients(&plane).iter().zip(["http", "https", "http", "https"]) {
        let answer = ask(client, "GET", "/echo?x", &[]).await;
        let url = got(&answer, "remote-url").join("");
        assert!(url.starts_with(&format!("{scheme}://a.localhost")) && url.ends_with("/echo?x"), "{url}");
    }
}

/// Lets everybody in, as nobody in particular.
fn lets_in(_: &Asked) -> Vec<u8> {
    reply("200 OK", &[], "")
}

#[tokio::test]
async fn what_a_client_says_of_itself_never_reaches_the_application() {
    let (address, _) = app("a").await;
    let service = Scripted::answering(lets_in).await.expect("a free port");
    let mut product = forward(Some(AuthProduct::Authentik));
    let own = [IdentityField::Named("x-household-user".into()), IdentityField::Begins("x-team-".into())];
    product.identity = product.identity.iter().cloned().chain(own).collect();
    let endpoints = vec![at(service.address)];
    let near = SkipRule::clients("192.0.2.0/24".parse::<ipnet::IpNet>().into_iter().collect());
    let skip = skip_paths(&["/open"]).into_iter().chain([SkipRule::method(Method::OPTIONS), near]).collect();
    let mut plane =
        Plane::start_with(|settings| settings.trusted_proxies = TrustedProxies::parse("127.0.0.1").expect("valid"));
    plane.serve(vec![behind_but(route("a.localhost", address), product, skip, endpoints)]).await;
    let spoofs = [
        "remote-user",
        "Remote-Groups",
        "remote_user",
        "Remote_Name",
        "x-authentik-username",
        "X-Authentik-Meta-Anything",
        "x_authentik_username",
        "X-Household-User",
        "x-household_user",
        "X_Household_User",
        "x.household.user",
        "X~Household~User",
        "x-team-lead",
        "X_TEAM_LEAD",
        "x-auth-request-user",
    ];
    for client in clients(&plane) {
        for (method, path, from) in [
            ("GET", "/echo", "203.0.113.7"),
            ("GET", "/open/echo", "203.0.113.7"),
            ("OPTIONS", "/echo", "203.0.113.7"),
            ("GET", "/echo", "192.0.2.7"),
        ] {
            let own = [("x-household", "mine"), ("x-forwarded-for", from)];
            let fields: Vec<(&str, &str)> = spoofs.iter().map(|name| (*name, "root")).chain(own).collect();
            let mut connection = client.connect("a.localhost").await.expect("connected");
            let answer = connection.ask(method, path, &fields, "").await.expect("answered");
            assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
            assert!(!answer.text().contains("root"), "{method} {path}: {}", answer.text());
            assert_eq!(got(&answer, "x-household"), ["mine"]);
        }
    }
    // Nor does the service hear it.
    let heard = service.asked().iter().filter(|asked| asked.head.contains(": root")).count();
    assert_eq!((heard, service.asked().len()), (0, 4), "what is skipped is not asked about");
}

/// Lets a client in that says a name, and sets a cookie with it.
fn by_cookie(asked: &Asked) -> Vec<u8> {
    match asked.field("Cookie").strip_prefix("user=") {
        Some(name) => reply("200 OK", &[("Remote-User", name), ("Set-Cookie", &format!("seen={name}"))], ""),
        None => reply("401 Unauthorized", &[], "who?"),
    }
}

#[tokio::test]
async fn what_is_kept_is_for_those_whom_the_service_lets_in() {
    let count = AtomicUsize::new(0);
    let app = Scripted::answering(move |asked: &Asked| {
        let kept = if asked.head.starts_with("GET /public") { "public, max-age=60" } else { "max-age=60" };
        let number = count.fetch_add(1, Ordering::Relaxed);
        reply("200 OK", &[("Cache-Control", kept)], &format!("{number} for {}", asked.field("Remote-User")))
    });
    let (app, service) = (app.await.expect("a free port"), Scripted::answering(by_cookie).await.expect("a free port"));
    let mut cached = behind(route("a.localhost", app.address), forward(None), &[], vec![at(service.address)]);
    cached.middlewares.push(Middleware::Cache(NonZeroU64::new(1 << 20).expect("not 0")));
    let plane = Plane::serving(vec![cached]).await;
    for (number, client) in clients(&plane).iter().enumerate() {
        for (path, is_shared) in [("/kept", false), ("/public", true)] {
            let (path, asked_before) = (format!("{path}/{number}"), service.asked().len());
            let ann = ask(client, "GET", &path, &[("cookie", "user=ann")]).await;
            assert_eq!((ann.status.as_u16(), cookies(&ann)), (200, vec!["seen=ann"]));
            let nobody = ask(client, "GET", &path, &[]).await;
            assert_eq!((nobody.status.as_u16(), nobody.header("cache-status"), &*nobody.text()), (401, "", "who?"));
            let bob = ask(client, "GET", &path, &[("cookie", "user=bob")]).await;
            assert_eq!(bob.text() == ann.text(), is_shared, "{path}: {}", bob.text());
            assert_eq!(bob.header("cache-status").contains("hit"), is_shared, "{path}");
            assert_eq!(cookies(&bob), ["seen=bob"], "{path}: cookies of the service are for one client");
            assert_eq!(service.asked().len() - asked_before, 3, "{path}: also about what is kept");
        }
    }
}

#[tokio::test]
async fn a_path_that_is_read_in_two_ways_is_not_asked_about() {
    let (address, application) = app("a").await;
    let service = Scripted::answering(lets_in).await.expect("a free port");
    let product = forward(Some(AuthProduct::Authelia));
    let endpoints = vec![at(service.address)];
    let plane = Plane::serving(vec![behind(route("a.localhost", address), product, &["/open"], endpoints)]).await;
    for path in ["/a/../admin", "/a/%2e%2e/admin", "/a/..%2fadmin", "/a/..;/admin", "/open/..%2Fadmin", "/a/..%5cadmin"]
    {
        let answer = ask(&plane.https(), "GET", path, &[]).await;
        assert_eq!(answer.status.as_u16(), 400, "{path}");
    }
    assert_eq!((application.served(), service.asked().len()), (0, 0));
    assert_eq!(ask(&plane.https(), "GET", "/a%2Fb/...", &[]).await.status, 200);
}

fn upgrade(more: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: a.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// The first bytes of the answer to a handshake for a WebSocket.
async fn handshake(client: &Client, host: &str, more: &str) -> String {
    let mut stream = client.stream(host).await.expect("connected");
    stream.write_all(upgrade(more).replace("a.localhost", host).as_bytes()).await.expect("written");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("a head");
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

#[tokio::test]
async fn a_websocket_is_asked_about_before_its_connection_switches() {
    let (address, _) = app("a").await;
    let service = Scripted::answering(authelia).await.expect("a free port");
    let product = forward(Some(AuthProduct::Authelia));
    let endpoints = vec![at(service.address)];
    let plane = Plane::serving(vec![behind(route("a.localhost", address), product, &[], endpoints)]).await;
    let refused = handshake(&plane.http(), "a.localhost", "").await;
    assert!(refused.starts_with("HTTP/1.1 302 ") && refused.contains("https://auth.example.org/"), "{refused}");
    let switched = handshake(&plane.http(), "a.localhost", "Cookie: authelia_session=ann\r\n").await;
    assert!(switched.starts_with("HTTP/1.1 101 "), "{switched}");
    assert!(switched.to_ascii_lowercase().contains("set-cookie: authelia_session=ann"), "{switched}");
}

#[tokio::test]
async fn a_rate_by_user_counts_by_what_the_service_says() {
    let (address, _) = app("a").await;
    let script = |asked: &Asked| reply("200 OK", &[("Remote-User", asked.field("x-who"))], "");
    let service = Scripted::answering(script).await.expect("a free port");
    // It names users by the first of two fields that is there.
    let script = |asked: &Asked| match asked.field("x-who").split_once('@') {
        Some(_) => reply("200 OK", &[("X-Auth-Request-Email", asked.field("x-who"))], ""),
        None => {
            reply("200 OK", &[("X-Auth-Request-User", asked.field("x-who")), ("X-Auth-Request-Email", "one@x")], "")
        }
    };
    let by_email = Scripted::answering(script).await.expect("a free port");
    let two = std::num::NonZeroU32::new(2).expect("two");
    let rate = RateLimit { requests: two, period: Duration::from_secs(3600), burst: two, key: ClientKey::User };
    let users = [("ann", 200), ("ann", 200), ("ann", 429), ("bob", 200), ("bob", 200), ("bob", 429)];
    let emails = [("a@x", 200), ("a@x", 200), ("a@x", 429), ("b@x", 200), ("cy", 200), ("cy", 200), ("cy", 429)];
    let products = [(None, service.address, &users[..]), (Some(AuthProduct::Oauth2Proxy), by_email.address, &emails)];
    for (product, at_address, whose) in products {
        let mut protected = behind(route("a.localhost", address), forward(product), &[], vec![at(at_address)]);
        protected.middlewares.push(Middleware::RateLimit(rate.clone()));
        let plane = Plane::serving(vec![protected]).await;
        let of = |last| plane.https().leaving_from([127, 0, 0, last].into());
        for (who, status) in whose {
            assert_eq!(ask(&of(1), "GET", "/", &[("x-who", who)]).await.status.as_u16(), *status, "{who}");
        }
        // A client without a name counts by its address.
        for (last, status) in [(2, 200), (2, 200), (2, 429), (3, 200)] {
            assert_eq!(ask(&of(last), "GET", "/", &[]).await.status.as_u16(), status, "{last}");
        }
    }
}

#[tokio::test]
async fn what_belongs_to_the_connection_with_the_service_stays_there() {
    let script = |asked: &Asked| {
        let fields = [
            ("Connection", "keep-alive, X-Hop"),
            ("Keep-Alive", "timeout=5"),
            ("X-Hop", "1"),
            ("Proxy-Authenticate", "Basic"),
            ("Content-Length", "3"),
            ("X-Kept", asked.field("CDN-Loop")),
        ];
        let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("HTTP/1.1 403 Forbidden\r\n{lines}\r\nno!").into_bytes()
    };
    let (address, _) = app("a").await;
    let service = Scripted::answering(script).await.expect("a free port");
    let endpoints = vec![at(service.address)];
    let plane = Plane::serving(vec![behind(route("a.localhost", address), forward(None), &[], endpoints)]).await;
    for client in clients(&plane) {
        let mut connection = client.connect("a.localhost").await.expect("connected");
        for _ in 0..3 {
            let fields = [("cdn-loop", "other; v=1")];
            let answer = connection.ask("GET", "/", &fields, "").await.expect("answered");
            assert_eq!((answer.status.as_u16(), &*answer.text()), (403, "no!"));
            for name in ["keep-alive", "x-hop", "proxy-authenticate"] {
                assert_eq!(answer.header(name), "", "{name}");
            }
            assert_eq!(answer.headers.get_all("content-length").iter().count(), 1);
            // The proxies before us are named as they were, and we are added once.
            let passed: Vec<&str> = answer.header("x-kept").split(", ").collect();
            assert!(passed.len() == 2 && passed[0] == "other; v=1" && passed[1].starts_with("gangway-"), "{passed:?}");
        }
    }
    for asked in service.asked() {
        assert_eq!(asked.head.to_ascii_lowercase().matches("cdn-loop:").count(), 1, "{}", asked.head);
    }
    assert!(service.asked().iter().any(|asked| asked.turn > 1), "connections are kept");
}

/// The state of the service is that of its container, whatever leads there.
#[tokio::test]
async fn a_question_counts_for_the_container_that_is_asked() {
    let (address, _) = app("a").await;
    let to_service = |service: SocketAddr| {
        let mut portal = route("auth.localhost", service);
        portal.change = Box::new(move |route| {
            let (id, endpoints) = (route.upstream.id.clone(), vec![at(service)]);
            route.upstream = Arc::new(Upstream { id, endpoints, ..Upstream::default() });
        });
        vec![behind(route("a.localhost", address), forward(None), &[], vec![at(service)]), portal]
    };
    let silent = broken(Vec::new(), Then::Hang).await;
    let mut plane = Plane::serving(to_service(silent)).await;
    let state = |plane: &Plane, address| plane.plane.endpoint_state(&at(address).key).expect("of the portal's route");
    let client = plane.http();
    let asking = tokio::spawn(async move { ask(&client, "GET", "/", &[]).await });
    eventually("it is being asked", STUCK, async || (state(&plane, silent).in_flight() == 1).then_some(())).await;
    asking.abort();
    eventually("nobody waits for it", STUCK, async || (state(&plane, silent).in_flight() == 0).then_some(())).await;

    let gone = ClosedPort::kept();
    plane.serve_table(to_service(gone)).await;
    let answer = ask(&plane.http(), "GET", "/", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after").parse()), (503, Ok(2)), "{}", answer.text());
    assert_eq!(state(&plane, gone).trouble().as_deref(), Some("connection refused"));
}

#[tokio::test]
async fn a_page_of_256_kib_is_handed_on_and_a_larger_one_is_not() {
    let script = |asked: &Asked| {
        let len = asked.field("X-Forwarded-Uri").trim_start_matches('/').parse().expect("a length");
        reply("401 Unauthorized", &[], &"x".repeat(len))
    };
    let (address, _) = app("a").await;
    let service = Scripted::answering(script).await.expect("a free port");
    let endpoints = vec![at(service.address)];
    let plane = Plane::serving(vec![behind(route("a.localhost", address), forward(None), &[], endpoints)]).await;
    for client in clients(&plane) {
        let answer = ask(&client, "GET", "/262144", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (401, 262_144));
        assert_eq!(ask(&client, "GET", "/262145", &[]).await.status, 502);
    }
}

#[tokio::test]
async fn all_containers_of_a_service_are_asked() {
    let (address, _) = app("a").await;
    let one = Scripted::answering(lets_in).await.expect("a free port");
    let other = Scripted::answering(lets_in).await.expect("a free port");
    let mut second = at(other.address);
    second.key.container = "other".into();
    let endpoints = vec![at(one.address), second];
    let plane = Plane::serving(vec![behind(route("a.localhost", address), forward(None), &[], endpoints)]).await;
    // That one of them is never chosen has a probability of 2^-39.
    for _ in 0..40 {
        assert_eq!(ask(&plane.http(), "GET", "/", &[]).await.status, 200);
    }
    assert!(!one.asked().is_empty() && !other.asked().is_empty());
}

#[tokio::test]
async fn another_container_of_the_service_is_asked_where_one_is_not_reached() {
    let (address, _) = app("a").await;
    let service = Scripted::answering(lets_in).await.expect("a free port");
    let mut gone = at(ClosedPort::kept());
    gone.key.container = "gone".into();
    let endpoints = vec![gone, at(service.address)];
    let plane = Plane::serving(vec![behind(route("a.localhost", address), forward(None), &[], endpoints)]).await;
    for _ in 0..10 {
        assert_eq!(ask(&plane.https(), "GET", "/", &[]).await.status, 200);
    }
}

#[tokio::test]
async fn a_service_may_speak_http2_and_is_followed_when_it_is_recreated() {
    let (address, application) = app("a").await;
    let (service, _) = app("auth").await;
    let asked_at = |target: &str| ForwardAuth { target: target.into(), ..forward(None) };
    let over_http2 = |address| vec![Endpoint { scheme: Scheme::H2c, ..at(address) }];
    let mut plane = Plane::start_with(|_| {});
    for (target, status) in [("/status/204", 200), ("/status/403", 403), ("/status/500", 502)] {
        plane.serve(vec![behind(route("a.localhost", address), asked_at(target), &[], over_http2(service))]).await;
        for client in clients(&plane) {
            assert_eq!(ask(&client, "GET", "/echo", &[]).await.status.as_u16(), status, "{target}");
        }
    }
    assert_eq!(application.served(), 4);
    // Another container at another address now; nothing listens at the old one.
    for service in [ClosedPort::kept(), app("auth").await.0, ClosedPort::kept()] {
        let services = over_http2(service);
        plane.serve_table(vec![behind(route("a.localhost", address), asked_at("/status/204"), &[], services)]).await;
        let before = application.served();
        for client in clients(&plane) {
            ask(&client, "GET", "/echo", &[]).await;
        }
        assert!([0, 4].contains(&(application.served() - before)));
    }
    assert_eq!(application.served(), 8);
}

/// Answers once so many ask at the same time, each on a connection of its own. Then it closes these connections, each when
/// it is asked once more.
async fn answers_together(count: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let together = Arc::new(tokio::sync::Barrier::new(count));
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            let (together, yes) = (Arc::clone(&together), reply("200 OK", &[], ""));
            tokio::spawn(async move {
                if number >= count {
                    return breaks(stream, &yes, Then::Hang).await;
                }
                let mut stream = stream;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut head).await?;
                }
                together.wait().await;
                stream.write_all(&yes).await?;
                stream.read_buf(&mut head).await.map(drop)
            });
        }
    });
    address
}

#[tokio::test]
async fn not_every_kept_connection_is_tried_before_a_fresh_one() {
    const KEPT: usize = 5;
    let (address, _) = app("a").await;
    let endpoints = vec![at(answers_together(KEPT).await)];
    let plane = Plane::serving(vec![behind(route("a.localhost", address), forward(None), &[], endpoints)]).await;
    // On one connection, so that one thread asks.
    let mut connection = plane.https().speaking(Speaks::H2).connect("a.localhost").await.expect("connected");
    let mut asking = JoinSet::new();
    for _ in 0..KEPT {
        let mut beside = connection.beside().expect("HTTP/2 asks side by side");
        asking.spawn(async move { beside.get("/").await.expect("answered").status.as_u16() });
    }
    assert_eq!(asking.join_all().await, [200; KEPT]);
    assert_eq!(connection.get("/").await.expect("answered").status, 200);
}

#[tokio::test]
async fn a_kept_connection_that_the_service_has_closed_closes_nobody_out() {
    let (address, _) = app("a").await;
    let yes = reply("200 OK", &[("Remote-User", "ann")], "");
    let endpoints = vec![at(broken(yes, Then::CloseWhenAsked).await)];
    let plane = Plane::serving(vec![behind(route("a.localhost", address), forward(None), &[], endpoints)]).await;
    let mut connection = plane.https().connect("a.localhost").await.expect("connected");
    for _ in 0..6 {
        assert_eq!(connection.ask("GET", "/", &[], "").await.expect("answered").status, 200);
    }
}

/// What a broken service does once it was asked.
#[derive(Clone, Copy)]
enum Then {
    Close,
    /// Keeps its connection, and closes it when it is asked once more.
    CloseWhenAsked,
    Reset,
    Hang,
    /// Sends these bytes again and again.
    Repeat(&'static [u8]),
    /// The same, one piece in a second.
    Drip(&'static [u8]),
}

async fn broken(said: Vec<u8>, then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let said = said.clone();
            tokio::spawn(async move { breaks(stream, &said, then).await });
        }
    });
    address
}

async fn breaks(mut stream: TcpStream, said: &[u8], then: Then) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(said).await?;
    match then {
        Then::Close => Ok(()),
        Then::CloseWhenAsked => stream.read_buf(&mut Vec::with_capacity(1)).await.map(drop),
        Then::Reset => stream.set_zero_linger(),
        Then::Hang => std::future::pending().await,
        Then::Repeat(bytes) => loop {
            stream.write_all(bytes).await?;
        },
        Then::Drip(bytes) => {
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            loop {
                tick.tick().await;
                stream.write_all(bytes).await?;
            }
        }
    }
}

/// Everything that a service may do wrong: what it says, and what then.
fn faults() -> Vec<(&'static str, Vec<u8>, Then)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let head = |head: &str| format!("HTTP/1.1 {head}\r\n\r\n").into_bytes();
    let many = (0..300).map(|number| format!("X-{number}: x\r\n")).collect::<String>();
    vec![
        ("silent", Vec::new(), Then::Hang),
        ("closes", Vec::new(), Then::Close),
        ("resets", Vec::new(), Then::Reset),
        ("closes in its head", text("HTTP/1.1 200 OK\r\nRemote-User: root\r\n"), Then::Close),
        ("resets in its head", text("HTTP/1.1 200 OK\r\nRemote-User: root\r\n"), Then::Reset),
        ("hangs in its head", text("HTTP/1.1 200 OK\r\nRemote-User: root\r\n"), Then::Hang),
        ("drips its head", text("HTTP/1.1 200 OK\r\nX: "), Then::Drip(b"x")),
        ("an endless field", text("HTTP/1.1 200 OK\r\nX: "), Then::Repeat(&[b'x'; 4096])),
        ("endless fields", text("HTTP/1.1 200 OK\r\n"), Then::Repeat(b"X: x\r\n")),
        ("too many fields", format!("HTTP/1.1 200 OK\r\n{many}\r\n").into_bytes(), Then::Hang),
        ("garbage", text("\x01\x02\x03\x04 200 OK\r\n\r\n"), Then::Hang),
        ("endless garbage", Vec::new(), Then::Repeat(b"garbage ")),
        ("no version", text("200 OK\r\n\r\n"), Then::Close),
        ("HTTP/0.9", text("<html>200 OK</html>"), Then::Close),
        ("HTTP/3.0", text("HTTP/3.0 200 OK\r\n\r\n"), Then::Close),
        ("HTTP/2", text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Then::Close),
        ("TLS", b"\x15\x03\x01\x00\x02\x02\x50".to_vec(), Then::Close),
        ("status 20", head("20 OK"), Then::Close),
        ("status 2000", head("2000 OK"), Then::Close),
        ("status 099", head("099 OK"), Then::Close),
        ("a negative status", head("-200 OK"), Then::Close),
        ("interim answers without end", Vec::new(), Then::Repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n")),
        (
            "many interim answers, and 200",
            [b"HTTP/1.1 100 Continue\r\n\r\n".repeat(50), head("200 OK")].concat(),
            Then::Hang,
        ),
        ("an interim answer, and nothing", head("100 Continue"), Then::Hang),
        (
            "a switch of protocols",
            head("101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket"),
            Then::Hang,
        ),
        ("500", head("500 Internal Server Error\r\nContent-Length: 0"), Then::Hang),
        ("502", head("502 Bad Gateway\r\nContent-Length: 0"), Then::Hang),
        ("503", head("503 Service Unavailable\r\nContent-Length: 0"), Then::Hang),
        ("599", head("599 Odd\r\nContent-Length: 0"), Then::Hang),
        ("600", head("600 Odd\r\nContent-Length: 0"), Then::Hang),
        ("300", head("300 Multiple Choices\r\nContent-Length: 0"), Then::Hang),
        ("304", head("304 Not Modified"), Then::Hang),
        ("305", head("305 Use Proxy\r\nLocation: http://evil.example\r\nContent-Length: 0"), Then::Hang),
        ("a redirection to nowhere", head("302 Found\r\nContent-Length: 0"), Then::Hang),
        ("a redirection to nothing", head("302 Found\r\nLocation:\r\nContent-Length: 0"), Then::Hang),
        (
            "a redirection to two places",
            head("302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0"),
            Then::Hang,
        ),
        ("a Location with a CR", head("302 Found\r\nLocation: /a\rSet-Cookie: b=c\r\nContent-Length: 0"), Then::Hang),
        ("a Location with an LF and a space", head("302 Found\r\nLocation: /a\n b\r\nContent-Length: 0"), Then::Hang),
        ("a Location with a zero byte", head("302 Found\r\nLocation: /a\0\r\nContent-Length: 0"), Then::Hang),
        ("an identity with a control byte", head("200 OK\r\nRemote-User: an\x01n\r\nContent-Length: 0"), Then::Hang),
        ("an identity with a zero byte", head("200 OK\r\nRemote-User: root\0ann\r\nContent-Length: 0"), Then::Hang),
        ("an identity with a CR", head("200 OK\r\nRemote-User: ann\rX-Admin: 1\r\nContent-Length: 0"), Then::Hang),
        ("a cookie with a control byte", head("200 OK\r\nSet-Cookie: a=\x01\r\nContent-Length: 0"), Then::Hang),
        (
            "a large identity",
            head(&format!("200 OK\r\nRemote-Groups: {}\r\nContent-Length: 0", "g".repeat(40_000))),
            Then::Hang,
        ),
        ("no length that makes sense", head("401 Unauthorized\r\nContent-Length: -1"), Then::Hang),
        ("two lengths", head("200 OK\r\nContent-Length: 0\r\nContent-Length: 5"), Then::Hang),
        ("a body that is cut", text("HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nhalf"), Then::Close),
        ("a body that is reset", text("HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nhalf"), Then::Reset),
        ("a body that stops", text("HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nhalf"), Then::Hang),
        ("a body that drips", text("HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\n"), Then::Drip(b"x")),
        ("a body without end", text("HTTP/1.1 401 Unauthorized\r\n\r\n"), Then::Repeat(&[b'x'; 4096])),
        (
            "chunks without end",
            text("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Then::Repeat(b"4\r\nhalf\r\n"),
        ),
        (
            "chunks that are none",
            text("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            Then::Hang,
        ),
        (
            "a large length",
            text("HTTP/1.1 403 Forbidden\r\nContent-Length: 99999999999\r\n\r\n"),
            Then::Repeat(&[b'x'; 4096]),
        ),
    ]
}

fn is_closed(status: u16) -> bool {
    status == 502 || status == 503
}

#[tokio::test]
async fn a_service_that_fails_in_any_way_lets_nobody_in() {
    let (address, application) = app("a").await;
    let mut rows: Vec<(&'static str, Vec<Endpoint>)> = Vec::new();
    for (what, said, then) in faults() {
        rows.push((what, vec![at(broken(said, then).await)]));
    }
    let working = Scripted::answering(lets_in).await.expect("a free port");
    let changed = |change: &dyn Fn(&mut Endpoint)| {
        let mut endpoint = at(working.address);
        change(&mut endpoint);
        vec![endpoint]
    };
    rows.push(("refused", vec![at(ClosedPort::kept())]));
    rows.push(("nowhere", Vec::new()));
    for readiness in [Readiness::Starting, Readiness::Unhealthy, Readiness::Leaving, Readiness::Restarting] {
        rows.push(("not ready", changed(&|endpoint| endpoint.readiness = readiness)));
    }
    rows.push(("no TLS", changed(&|endpoint| endpoint.scheme = Scheme::Https)));
    rows.push(("no HTTP/2", changed(&|endpoint| endpoint.scheme = Scheme::H2c)));
    let name = Address::Name("nothing.invalid".into(), 80);
    rows.push(("no such name", changed(&|endpoint| endpoint.key.address = name.clone())));
    assert!(rows.len() >= 40, "{}", rows.len());
    let host = |number: usize| -> &'static str { Box::leak(format!("r{number}.localhost").into_boxed_str()) };
    let routes = rows.iter().enumerate().map(|(number, (_, services))| {
        behind(route(host(number), address), forward(Some(AuthProduct::Authelia)), &[], services.clone())
    });
    let plane = Plane::serving(routes.collect()).await;
    let mut asking = JoinSet::new();
    for (number, (what, _)) in rows.iter().enumerate() {
        for client in [plane.http(), plane.https().speaking(Speaks::H2)] {
            let (what, host) = (*what, host(number));
            asking.spawn(async move {
                let mut connection = client.connect(host).await.expect("connected");
                let page = [("accept", "text/html"), ("cookie", "authelia_session=ann")];
                let answer = connection.ask("GET", "/", &page, "").await.expect("answered");
                let says_why = answer.text().contains("auth-unavailable") || answer.text().contains("auth-invalid");
                assert!(is_closed(answer.status.as_u16()) && says_why, "{what}: {} {}", answer.status, answer.text());
                assert!(answer.headers.get("set-cookie").is_none(), "{what}");
            });
        }
        let (what, host, client) = (*what, host(number), plane.http());
        asking.spawn(async move {
            let answer = handshake(&client, host, "").await;
            let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
            assert!(is_closed(status), "{what}: {answer}");
        });
    }
    let mut broken_rows = Vec::new();
    while let Some(row) = asking.join_next().await {
        broken_rows.extend(row.err().map(|error| error.to_string()));
    }
    assert!(broken_rows.is_empty(), "{broken_rows:#?}");
    assert_eq!((application.served(), working.asked().len()), (0, 0));
}

#[tokio::test]
async fn a_yes_counts_once_its_head_is_there() {
    let (address, _) = app("a").await;
    for (said, then) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", Then::Hang),
        ("HTTP/1.1 204 No Content\r\n\r\n", Then::Close),
        ("HTTP/1.1 200 OK\r\n\r\n", Then::Repeat(&[b'x'; 4096])),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            Then::Hang,
        ),
    ] {
        let endpoints = vec![at(broken(said.into(), then).await)];
        let plane = Plane::serving(vec![behind(route("a.localhost", address), forward(None), &[], endpoints)]).await;
        for client in clients(&plane) {
            assert_eq!(ask(&client, "GET", "/", &[]).await.status, 200, "{said}");
        }
    }
}

#[tokio::test]
async fn a_question_that_comes_back_to_us_is_answered_no() {
    let (address, application) = app("a").await;
    let mut plane = Plane::start_with(|_| {});
    let ourselves = at(plane.plane.listening().plain()[0]);
    plane.serve(vec![behind(route("a.localhost", address), forward(None), &[], vec![ourselves])]).await;
    for client in clients(&plane) {
        let answer = ask(&client, "GET", "/", &[]).await;
        assert_eq!(answer.status.as_u16(), 502, "{}", answer.text());
    }
    // Each request, and one question about it. One is counted when its exchange has ended.
    let are_counted = async || (plane.metric("gangway_requests_total") >= 8.0).then_some(());
    eventually("all are counted", STUCK, are_counted).await;
    assert_eq!((application.served(), plane.metric("gangway_requests_total")), (0, 8.0));
}

/// A service that lets in where it is asked to, and answers otherwise as the request says.
fn as_asked(asked: &Asked) -> Vec<u8> {
    let wanted = asked.field("X-Wanted");
    let more = [("Remote-User", "ann"), ("Set-Cookie", "sess=1; Path=/"), ("Set-Cookie", "other=2"), ("X-Who", "ann")];
    match wanted {
        "" => reply("201 Created", &more, "yes"),
        "large" => reply("200 OK", &more, &"x".repeat(3000)),
        "relative" => reply("302 Found", &[("Location", "login")], ""),
        "rooted" => reply("302 Found", &[("Location", "/login")], ""),
        "whole" => reply("302 Found", &[("Location", "https://login.test/")], ""),
        status => reply(&format!("{status} x"), &[], "no"),
    }
}

/// The service, and the route behind it that asks by these rules.
async fn as_traefik(rules: ForwardRules) -> (Plane, Scripted, Arc<gangway_testkit::app::App>) {
    let (address, application) = app("a").await;
    let service = Scripted::answering(as_asked).await.expect("a free port");
    let forward = ForwardAuth {
        service: "http://auth:9091".into(),
        target: "/verify/at?x=1".into(),
        rules: Some(Box::new(rules)),
        ..forward(None)
    };
    let plane =
        Plane::serving(vec![behind(route("a.localhost", address), forward, &[], vec![at(service.address)])]).await;
    (plane, service, application)
}

#[tokio::test]
async fn a_service_is_asked_as_traefik_asks_and_its_answers_are_the_clients() {
    let cookies_of_service = ["sess".into()].into();
    let (plane, service, _) = as_traefik(ForwardRules { cookies: cookies_of_service, ..ForwardRules::default() }).await;
    for client in clients(&plane) {
        let sent =
            [("content-type", "text/y"), ("if-none-match", "x"), ("range", "bytes=0-1"), ("remote-user", "root")];
        let answer = ask(&client, "GET", "/echo?q=1", &sent).await;
        assert_eq!((answer.status.as_u16(), &got(&answer, "remote-user")[..]), (200, &["ann".to_owned()][..]));
        assert_eq!(cookies(&answer), ["sess=1; Path=/"], "the others are not named");
        let asked = service.asked().pop().expect("asked");
        assert!(asked.head.starts_with("GET /verify/at?x=1 HTTP/1.1\r\n"), "{}", asked.head);
        for (name, value) in [
            ("Host", "auth:9091"),
            ("X-Forwarded-Uri", "/echo?q=1"),
            ("X-Forwarded-Method", "GET"),
            ("Content-Type", "text/y"),
            ("If-None-Match", ""),
            ("Range", ""),
            ("Remote-User", ""),
            ("X-Original-URL", ""),
        ] {
            assert_eq!(asked.field(name), value, "{name}");
        }
        for (wanted, status, location) in [
            ("401", 401, ""),
            ("500", 500, ""),
            ("relative", 302, "http://auth:9091/verify/login"),
            ("rooted", 302, "http://auth:9091/login"),
            ("whole", 302, "https://login.test/"),
        ] {
            let answer = ask(&client, "GET", "/echo", &[("x-wanted", wanted)]).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (status, location), "{wanted}");
        }
    }
}

#[tokio::test]
async fn a_service_gets_method_and_body_within_bounds_and_only_the_fields_that_are_named() {
    let (plane, service, application) = as_traefik(ForwardRules {
        request_fields: Some(["cookie".into(), "x-wanted".into(), "content-type".into()].into()),
        body_max: Some(6),
        keeps_method: true,
        answer_max: Some(1000),
        keeps_location: true,
        ..ForwardRules::default()
    })
    .await;
    for client in clients(&plane) {
        let served = application.served();
        let mut connection = client.connect("a.localhost").await.expect("connected");
        let sent = [("cookie", "c=1"), ("x-secret", "1"), ("authorization", "Bearer x"), ("content-type", "text/y")];
        let answer = connection.ask("POST", "/echo", &sent, "secret").await.expect("answered");
        assert_eq!((answer.status.as_u16(), &answer.json()["body_len"]), (200, &6.into()), "{}", answer.text());
        let asked = service.asked().pop().expect("asked");
        assert!(asked.head.starts_with("POST /verify/at?x=1 HTTP/1.1\r\n"), "{}", asked.head);
        assert_eq!((&*asked.body, asked.field("Content-Length")), (&b"secret"[..], "6"));
        assert_eq!((asked.field("Cookie"), asked.field("X-Secret"), asked.field("Authorization")), ("c=1", "", ""));
        let mut connection = client.connect("a.localhost").await.expect("connected");
        let answer = connection.ask("POST", "/echo", &[], "secrets").await.expect("answered");
        assert_eq!(answer.status.as_u16(), 401, "a larger body");
        for (wanted, status, location) in [("large", 401, ""), ("relative", 302, "login"), ("403", 403, "")] {
            let answer = ask(&client, "GET", "/echo", &[("x-wanted", wanted)]).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (status, location), "{wanted}");
        }
        assert_eq!(application.served(), served + 1);
    }
}

/// As `basicAuth` and `forwardAuth` of one router of Traefik's, in either order.
#[tokio::test]
async fn a_password_and_a_service_count_beside_each_other() {
    const ANN: &str = "ann:{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=";
    let script = |_: &Asked| {
        let fields = [("Remote-User", "bob"), ("Set-Cookie", "sess=1"), ("X-Forwarded-Host", "evil.example")];
        reply("200 OK", &fields, "")
    };
    let (address, _) = app("a").await;
    let service = Scripted::answering(script).await.expect("a free port");
    for is_password_first in [true, false] {
        let rules = ForwardRules { cookies: ["sess".into()].into(), ..ForwardRules::default() };
        let identity = [IdentityField::Named("remote-user".into()), IdentityField::Begins("x-forwarded-".into())];
        let forward = ForwardAuth { rules: Some(Box::new(rules)), identity: identity.into(), ..forward(None) };
        let mut guarded = behind(route("a.localhost", address), forward, &[], vec![at(service.address)]);
        let basic = BasicAuth {
            users: vec![BasicUser::parse(ANN).expect("a user")],
            lists: Vec::new(),
            realm: "traefik".into(),
            keep: false,
            user_field: Some(HeaderName::from_static("x-user")),
        };
        let basic = Authentication { method: LoginMethod::Basic(basic), skip: Vec::new() };
        let place = if is_password_first { 0 } else { 1 };
        guarded.middlewares.insert(place, Middleware::Authentication(Arc::new(basic)));
        let plane = Plane::serving(vec![guarded]).await;
        for client in clients(&plane) {
            assert_eq!(ask(&client, "GET", "/echo", &[]).await.status, 401);
            let sent = [("authorization", "Basic YW5uOmhlbGxv"), ("x-user", "root"), ("remote-user", "root")];
            let answer = ask(&client, "GET", "/echo", &sent).await;
            assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
            for (name, values) in [("authorization", &[][..]), ("x-user", &["ann"]), ("remote-user", &["bob"])] {
                assert_eq!(got(&answer, name), values, "{name}");
            }
            assert_eq!(got(&answer, "x-forwarded-proto").len(), 1, "what is ours to say stays");
            let host = got(&answer, "x-forwarded-host");
            assert!(host.len() == 1 && host[0].starts_with("a.localhost"), "{host:?}");
            assert_eq!(cookies(&answer), ["sess=1"]);
            let asked = service.asked().pop().expect("asked");
            let (credentials, user) = (asked.field("Authorization"), asked.field("X-User"));
            match is_password_first {
                true => assert_eq!((credentials, user), ("", "ann"), "as the application"),
                false => assert_eq!((credentials, user), ("Basic YW5uOmhlbGxv", "root")),
            }
        }
    }
}

/// As a bouncer at an entry point of Traefik's and a portal at the router.
#[tokio::test]
async fn two_services_are_asked_one_after_the_other() {
    let (address, application) = app("a").await;
    let bouncer = |asked: &Asked| match asked.field("X-Bad") {
        "1" => reply("403 Forbidden", &[], "banned"),
        _ => reply("200 OK", &[("Remote-Bouncer", "passed")], ""),
    };
    let portal = |asked: &Asked| match asked.field("Cookie") {
        "session=ann" => reply("200 OK", &[("Remote-User", "ann")], ""),
        _ => reply("401 Unauthorized", &[], "log in"),
    };
    let bouncer = Scripted::answering(bouncer).await.expect("a free port");
    let portal = Scripted::answering(portal).await.expect("a free port");
    let asking = |service: &str, identity: &str| {
        let (service, identity) = (service.into(), [IdentityField::Named(identity.into())].into());
        let forward = ForwardAuth { service, identity, rules: Some(Box::default()), ..forward(None) };
        Middleware::Authentication(Arc::new(Authentication { method: LoginMethod::Forward(forward), skip: Vec::new() }))
    };
    let mut guarded = route("a.localhost", address);
    guarded.middlewares = vec![asking("http://bouncer", "remote-bouncer"), asking("http://portal", "remote-user")];
    let services = vec![vec![at(bouncer.address)], vec![at(portal.address)]];
    guarded.change = Box::new(|route| route.auth_services = services);
    let plane = Plane::serving(vec![guarded]).await;
    for client in clients(&plane) {
        let (served, asked) = (application.served(), portal.asked().len());
        let banned = ask(&client, "GET", "/", &[("x-bad", "1"), ("cookie", "session=ann")]).await;
        assert_eq!((banned.status.as_u16(), &*banned.text()), (403, "banned"));
        assert_eq!(portal.asked().len(), asked, "the first refuses");
        let stranger = ask(&client, "GET", "/", &[("remote-user", "ann")]).await;
        assert_eq!((stranger.status.as_u16(), &*stranger.text()), (401, "log in"));
        assert_eq!(application.served(), served);
        let sent = [("cookie", "session=ann"), ("remote-bouncer", "forged")];
        let answer = ask(&client, "GET", "/echo", &sent).await;
        assert_eq!(
            (got(&answer, "remote-bouncer"), got(&answer, "remote-user")),
            (vec!["passed".to_owned()], vec!["ann".to_owned()])
        );
    }
}
