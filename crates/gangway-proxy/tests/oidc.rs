//! Log-ins at an OpenID provider, with a stand-in for the provider that signs for real.

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Plane, RouteToServe, app, route, skip_paths};
use gangway_model::{Authentication, BearerAudience, LoginMethod, Middleware, OidcAuth, TlsMode};
use gangway_oidc::{
    BegunSession, Callback, ClientSecret, CookieKeys, EndedSessions, Provider, ProviderSettings, Providers, SessionEnd,
    SessionEvent,
};
use gangway_testkit::app::App;
use gangway_testkit::client::{Answer, Client, Speaks};
use gangway_testkit::openid::{Behaviour, CLIENT, OpenIdProvider};
use gangway_testkit::scripted::{Asked, Scripted, reply};
use gangway_testkit::wait::eventually;
use serde_json::{Value, json};

const HOST: &str = "a.localhost";
const KEY: [u8; 32] = [7; 32];
const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

fn settings(provider: &OpenIdProvider) -> ProviderSettings {
    ProviderSettings {
        name: "home".into(),
        issuer: provider.issuer.as_str().into(),
        client_id: CLIENT.0.into(),
        client_secret: Some(ClientSecret::new(CLIENT.1)),
        scopes: ["openid", "profile"].map(Into::into).to_vec(),
        groups_claim: "groups".into(),
        trust_email: false,
        session: Duration::from_secs(3600),
        cookie_domain: None,
        ca_pem: None,
    }
}

fn anybody() -> OidcAuth {
    let (users, groups, domains) = (Vec::new(), Vec::new(), Vec::new());
    OidcAuth { provider: "home".into(), users, groups, domains, bearer: None, keep: false }
}

fn behind(host: &'static str, address: SocketAddr, oidc: OidcAuth) -> RouteToServe {
    let mut route = route(host, address);
    let authentication =
        Authentication { method: LoginMethod::Oidc(oidc), skip: skip_paths(&["/public", "/.gangway"]) };
    route.middlewares = vec![Middleware::Authentication(Arc::new(authentication))];
    route
}

fn publish(plane: &mut Plane, settings: ProviderSettings, keys: &[[u8; 32]]) {
    let provider = Arc::new(Provider::new(settings).expect("no roots"));
    plane.providers.publish(Providers::new([provider], Arc::new(CookieKeys::new(keys))));
}

/// A provider, and a data plane with one route behind it.
async fn started(oidc: OidcAuth) -> (OpenIdProvider, Plane, Arc<App>) {
    let (address, application) = app("a").await;
    let provider = OpenIdProvider::start().await.expect("a free port");
    let mut plane = Plane::serving(vec![behind(HOST, address, oidc)]).await;
    publish(&mut plane, settings(&provider), &[KEY]);
    (provider, plane, application)
}

/// What a browser does with cookies.
struct Browser {
    client: Client,
    host: &'static str,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn new(client: Client) -> Self {
        Self { client, host: HOST, cookies: BTreeMap::new() }
    }

    fn at(&self, host: &'static str) -> Self {
        Self { client: self.client.clone(), host, cookies: self.cookies.clone() }
    }

    async fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut fields = fields.to_vec();
        if !cookies.is_empty() {
            fields.push(("cookie", &cookies));
        }
        let mut connection = self.client.connect(self.host).await.expect("connected");
        let answer = connection.ask(method, path, &fields, "").await.expect("answered");
        for set in set_cookies(&answer) {
            let (name, rest) = set.split_once('=').expect("a cookie");
            match rest.contains("; Max-Age=0;") {
                true => drop(self.cookies.remove(name)),
                false => drop(self.cookies.insert(name.into(), rest.split(';').next().unwrap_or_default().into())),
            }
        }
        answer
    }

    async fn page(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[PAGE]).await
    }

    /// Up to the provider and back: the path and query to come back by.
    async fn way_back(&mut self, provider: &OpenIdProvider, path: &str) -> String {
        let answer = self.page(path).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        path_of(&provider.authorize(answer.header("location"))).to_owned()
    }

    async fn log_in(&mut self, provider: &OpenIdProvider, path: &str) -> Answer {
        let back = self.way_back(provider, path).await;
        self.page(&back).await
    }

    fn session(&self) -> Option<&str> {
        self.cookies.get("__Host-gangway-oidc-s-home").map(String::as_str)
    }
}

fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").expect("a URL").1;
    &rest[rest.find('/').expect("a path")..]
}

fn set_cookies(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()).collect()
}

/// The values of a field that the application got.
fn got(answer: &Answer, name: &str) -> Vec<String> {
    let json = answer.json();
    let fields = json["headers"].as_array().unwrap_or_else(|| panic!("an echo: {} {}", answer.status, answer.text()));
    let named = fields.iter().filter(|field| field[0].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)));
    named.map(|field| field[1].as_str().unwrap_or_default().to_owned()).collect()
}

fn secure_clients(plane: &Plane) -> [Client; 2] {
    [plane.https(), plane.https().speaking(Speaks::H2)]
}

#[tokio::test]
async fn a_browser_logs_in_and_the_application_learns_who_it_is() {
    let (provider, plane, application) = started(anybody()).await;
    for client in secure_clients(&plane) {
        let served = application.served();
        let mut browser = Browser::new(client);
        let answer = browser.page("/photos?album=1&x=%2F").await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (302, "no-store"));
        assert!(!answer.header("x-request-id").is_empty());
        let state = set_cookies(&answer)[0].to_owned();
        assert!(state.starts_with("__Host-gangway-oidc-l-"), "{state}");
        assert!(state.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"), "{state}");
        let back = provider.authorize(answer.header("location"));
        assert!(back.starts_with(&format!("https://{HOST}")) && path_of(&back).starts_with("/.gangway/oidc/callback?"));
        let answer = browser.page(path_of(&back)).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert!(!answer.header("x-request-id").is_empty());
        let location = answer.header("location");
        assert!(location.starts_with(&format!("https://{HOST}")), "{location}");
        assert_eq!(path_of(location), "/photos?album=1&x=%2F");
        assert_eq!(browser.cookies.len(), 1, "the state is gone: {:?}", browser.cookies);
        assert_eq!(application.served(), served, "nothing has reached the application so far");

        browser.cookies.insert("own".into(), "1".into());
        let claims =
            [PAGE, ("remote-user", "root"), ("Remote-Groups", "root"), ("remote-x", "1"), ("x-other", "stays")];
        let answer = browser.ask("GET", "/photos?album=1", &claims).await;
        assert_eq!(answer.status, 200);
        for (name, value) in [
            ("Remote-User", "ann"),
            ("Remote-Email", "ann@example.org"),
            // UTF-8, as the application shows it byte by byte.
            ("Remote-Name", "Ann \u{c3}\u{96}"),
            ("Remote-Groups", "users,admins"),
            ("X-Other", "stays"),
            ("Cookie", "own=1"),
        ] {
            assert_eq!(got(&answer, name), [value], "{name}");
        }
        assert!(got(&answer, "remote-x").is_empty() && got(&answer, "remote_user").is_empty());
        let posted = browser.ask("POST", "/photos", &[("content-length", "0")]).await;
        assert_eq!((posted.status.as_u16(), &*got(&posted, "Remote-User")[0]), (200, "ann"));
    }
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1, "its metadata is kept");
    assert_eq!(provider.asked("/jwks"), 1);
}

#[tokio::test]
async fn what_is_kept_is_for_those_who_have_logged_in() {
    let count = AtomicUsize::new(0);
    let app = Scripted::answering(move |asked: &Asked| {
        let kept = if asked.head.starts_with("GET /open") { "public, max-age=60" } else { "max-age=60" };
        let body = format!("{} for {}", count.fetch_add(1, Ordering::Relaxed), asked.field("Remote-User"));
        reply("200 OK", &[("Cache-Control", kept)], &body)
    });
    let app = app.await.expect("a free port");
    let provider = OpenIdProvider::start().await.expect("a free port");
    let mut cached = behind(HOST, app.address, anybody());
    cached.middlewares.push(Middleware::Cache(NonZeroU64::new(1 << 20).expect("not 0")));
    let mut plane = Plane::serving(vec![cached]).await;
    publish(&mut plane, settings(&provider), &[KEY]);
    for (number, client) in secure_clients(&plane).into_iter().enumerate() {
        let mut users = Vec::new();
        for name in ["ann", "bob"] {
            let token = json!({ "sub": name, "preferred_username": name });
            provider.set(Behaviour { token, ..Behaviour::default() });
            let mut browser = Browser::new(client.clone());
            assert_eq!(browser.log_in(&provider, "/").await.status, 303);
            users.push(browser);
        }
        let [ann, bob] = &mut users[..] else { panic!("two users") };
        for (path, is_shared) in [("/kept", false), ("/open", true)] {
            let path = format!("{path}/{number}");
            let first = ann.page(&path).await;
            assert!(first.status == 200 && first.text().ends_with("for ann"), "{}", first.text());
            let nobody = Browser::new(client.clone()).ask("GET", &path, &[]).await;
            assert_eq!((nobody.status.as_u16(), nobody.header("cache-status")), (401, ""));
            assert!(!nobody.text().contains("for ann"), "{}", nobody.text());
            let second = bob.page(&path).await;
            assert_eq!(second.text() == first.text(), is_shared, "{path}: {}", second.text());
            assert_eq!(second.header("cache-status").contains("hit"), is_shared, "{path}");
        }
    }
}

#[tokio::test]
async fn whoever_is_no_person_at_a_page_gets_401_and_no_redirection() {
    let (_provider, plane, application) = started(anybody()).await;
    for client in secure_clients(&plane) {
        let mut browser = Browser::new(client);
        for (method, fields) in [
            ("GET", &[][..]),
            ("GET", &[("accept", "application/json")]),
            ("GET", &[PAGE, ("x-requested-with", "XMLHttpRequest")]),
            ("GET", &[PAGE, ("sec-fetch-mode", "cors")]),
            ("POST", &[PAGE, ("content-length", "0")]),
            ("DELETE", &[PAGE]),
            ("OPTIONS", &[PAGE]),
            ("GET", &[("authorization", "Bearer x")]),
        ] {
            let answer = browser.ask(method, "/", fields).await;
            assert_eq!(answer.status, 401, "{method} {fields:?}");
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"home\"", "{method} {fields:?}");
            assert!(set_cookies(&answer).is_empty());
        }
        assert_eq!(browser.ask("HEAD", "/", &[PAGE]).await.status, 302);
    }
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAccept: text/html\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    let head =
        plane.https().raw(HOST, format!("{upgrade}Connection: close\r\n\r\n").as_bytes()).await.expect("answered");
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    assert_eq!(application.served(), 0);
}

#[tokio::test]
async fn a_cookie_that_was_not_sealed_for_this_host_with_a_known_key_lets_nobody_in() {
    let (address, application) = app("a").await;
    let provider = OpenIdProvider::start().await.expect("a free port");
    let routes = || vec![behind(HOST, address, anybody()), behind("b.localhost", address, anybody())];
    let mut plane = Plane::serving(routes()).await;
    publish(&mut plane, settings(&provider), &[KEY]);
    let mut browser = Browser::new(plane.https());
    assert_eq!(browser.log_in(&provider, "/").await.status, 303);
    let session = browser.session().expect("logged in").to_owned();
    let state = {
        let mut other = Browser::new(plane.https());
        other.page("/").await;
        other.cookies.into_values().next().expect("a state")
    };
    let served = application.served();
    let mut changed = session.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    let long = "A".repeat(5000);
    for forged in ["", "x", &session[1..], &String::from_utf8(changed).expect("text"), &state, &long] {
        browser.cookies.insert("__Host-gangway-oidc-s-home".into(), forged.into());
        assert_eq!(browser.page("/").await.status, 302, "{forged}");
    }
    browser.cookies.clear();
    for name in ["gangway-oidc-s-home", "__Secure-gangway-oidc-s-home", "__Host-gangway-oidc-s-other"] {
        browser.cookies.insert(name.into(), session.clone());
    }
    assert_eq!(browser.page("/").await.status, 302, "under another name");
    browser.cookies = BTreeMap::from([("__Host-gangway-oidc-s-home".into(), session.clone())]);
    assert_eq!(browser.at("b.localhost").page("/").await.status, 302, "at another host");
    assert_eq!(application.served(), served);
    // After a rotation the old key still opens; once it is gone, so is the session.
    publish(&mut plane, settings(&provider), &[[8; 32], KEY]);
    assert_eq!(browser.page("/").await.status, 200);
    publish(&mut plane, settings(&provider), &[[8; 32]]);
    assert_eq!(browser.page("/").await.status, 302);
    let another = ProviderSettings { client_id: "another".into(), ..settings(&provider) };
    publish(&mut plane, another, &[KEY]);
    assert_eq!(browser.page("/").await.status, 302, "another client of the provider");
}

#[tokio::test]
async fn a_log_in_is_finished_once_and_by_the_browser_that_began_it() {
    let (provider, plane, application) = started(anybody()).await;
    for client in secure_clients(&plane) {
        let (mut browser, mut other) = (Browser::new(client.clone()), Browser::new(client));
        let back = browser.way_back(&provider, "/").await;
        let begun = browser.cookies.clone();
        let answer = other.page(&back).await;
        assert_eq!((answer.status.as_u16(), set_cookies(&answer).len()), (400, 0), "no cookie: {}", answer.text());
        let others_back = other.way_back(&provider, "/").await;
        assert_eq!(other.page(&back).await.status, 400, "the cookie of another log-in");
        let state = |query: &str| {
            let at = query.find("state=").expect("a state") + 6;
            query[at..at + 22].to_owned()
        };
        // The code of one log-in with the state of another.
        let mixed = back.replace(&state(&back), &state(&others_back));
        assert_eq!(other.page(&mixed).await.status, 400, "PKCE binds the code to its state");
        assert!(other.session().is_none());
        let back = browser.way_back(&provider, "/").await;
        let begun_again = browser.cookies.clone();
        assert_eq!(browser.page(&back).await.status, 303);
        browser.cookies = begun_again;
        let replayed = browser.page(&back).await;
        assert_eq!(replayed.status, 400, "{}", replayed.text());
        assert!(set_cookies(&replayed).iter().all(|set| set.contains("Max-Age=0")), "{:?}", set_cookies(&replayed));
        browser.cookies = begun;
        for broken in [
            "/.gangway/oidc/callback",
            "/.gangway/oidc/callback?code=x",
            "/.gangway/oidc/callback?code=x&state=AAAAAAAAAAAAAAAAAAAAAA",
            "/.gangway/oidc/callback?error=access_denied&state=AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(browser.page(broken).await.status, 400, "{broken}");
        }
        let back = browser.way_back(&provider, "/").await;
        let twice = format!("{back}&{}", back.split_once('?').expect("a query").1);
        assert_eq!(browser.page(&twice).await.status, 400);
        let other_issuer = back.replace("iss=http", "iss=https");
        assert_eq!(browser.page(&other_issuer).await.status, 400, "an answer of another provider");
    }
    assert_eq!(application.served(), 0);
}

#[tokio::test]
async fn a_session_that_somebody_else_has_chosen_is_replaced_at_the_log_in() {
    let (provider, plane, _application) = started(anybody()).await;
    let (mut browser, mut attacker) = (Browser::new(plane.https()), Browser::new(plane.https()));
    provider.set(Behaviour { token: json!({ "preferred_username": "mallory", "sub": "s-2" }), ..Behaviour::default() });
    assert_eq!(attacker.log_in(&provider, "/").await.status, 303);
    provider.set(Behaviour::default());
    let back = browser.way_back(&provider, "/").await;
    let planted = attacker.session().expect("logged in").to_owned();
    browser.cookies.insert("__Host-gangway-oidc-s-home".into(), planted.clone());
    assert_eq!(browser.page(&back).await.status, 303);
    assert_ne!(browser.session(), Some(&*planted));
    assert_eq!(got(&browser.page("/echo").await, "Remote-User"), ["ann"]);
}

#[tokio::test]
async fn the_way_back_leads_to_this_host_only() {
    let (provider, plane, _application) = started(anybody()).await;
    for client in secure_clients(&plane) {
        for (asked, end) in [
            ("//evil.example/x", "/"),
            ("///evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/@evil.example", "/@evil.example"),
            ("/?rd=https://evil.example", "/?rd=https://evil.example"),
            ("/%0d%0aLocation:%20https://evil.example", "/%0d%0aLocation:%20https://evil.example"),
        ] {
            let mut browser = Browser::new(client.clone());
            let answer = browser.page(asked).await;
            if answer.status == 400 {
                // Over HTTP/2 a backslash is no part of a path at all.
                continue;
            }
            let back = path_of(&provider.authorize(answer.header("location"))).to_owned();
            let answer = browser.page(&back).await;
            let location = answer.header("location");
            assert!(location.starts_with(&format!("https://{HOST}")), "{location}");
            let rest = &location["https://a.localhost".len()..];
            assert!(rest.starts_with([':', '/']) && path_of(location) == end, "{asked}: {location}");
        }
    }
}

#[tokio::test]
async fn users_who_are_not_meant_get_403_and_are_not_sent_around() {
    let narrowed = |users: &[&str], groups: &[&str], domains: &[&str]| {
        let boxed = |all: &[&str]| all.iter().map(|one| Box::from(*one)).collect();
        OidcAuth { users: boxed(users), groups: boxed(groups), domains: boxed(domains), ..anybody() }
    };
    for (oidc, status) in [
        (narrowed(&["bob"], &[], &[]), 403),
        (narrowed(&["ann"], &[], &[]), 200),
        (narrowed(&["ann@example.org"], &["admins"], &["example.org"]), 200),
        (narrowed(&[], &["root"], &[]), 403),
        (narrowed(&[], &[], &["org"]), 403),
    ] {
        let (provider, plane, application) = started(oidc.clone()).await;
        for client in secure_clients(&plane) {
            let mut browser = Browser::new(client);
            assert_eq!(browser.log_in(&provider, "/").await.status, 303);
            let answer = browser.page("/").await;
            assert_eq!(answer.status, status, "{oidc}");
            assert!(status == 200 || answer.text().contains("user-not-admitted"), "{}", answer.text());
            assert_eq!(browser.ask("POST", "/", &[("content-length", "0")]).await.status, status);
        }
        assert_eq!(application.served() > 0, status == 200);
    }
}

#[tokio::test]
async fn no_fault_of_a_provider_lets_anybody_in() {
    let (provider, mut plane, application) = started(anybody()).await;
    let token = |token: Value| Behaviour { token, ..Behaviour::default() };
    let metadata = |metadata: Value| Behaviour { metadata, ..Behaviour::default() };
    let failing = |path, status| Behaviour { failing: Some((path, status)), ..Behaviour::default() };
    let algorithm = |name| Behaviour { algorithm: Some(name), ..Behaviour::default() };
    let asked =
        |said: Value| Behaviour { token: json!({ "groups": null }), userinfo: Some(said), ..Behaviour::default() };
    let crowd: Vec<String> = (0..400).map(|number| format!("a-group-of-some-length-{number}")).collect();
    let faults = [
        (token(json!({ "iss": "https://evil.example" })), 502),
        (token(json!({ "aud": "other" })), 502),
        (token(json!({ "aud": [CLIENT.0, "other"] })), 502),
        (token(json!({ "azp": "other" })), 502),
        (token(json!({ "exp": 1_000_000_000 })), 502),
        (token(json!({ "iat": 4_000_000_000_u64 })), 502),
        (token(json!({ "iat": 1_000_000_000 })), 502),
        (token(json!({ "nonce": "another" })), 502),
        (token(json!({ "nonce": null })), 502),
        (token(json!({ "sub": null })), 502),
        (token(json!({ "sub": "" })), 502),
        (token(json!({ "at_hash": "AAAA" })), 502),
        (token(json!({ "groups": crowd })), 403),
        (algorithm("none"), 502),
        (algorithm("HS256"), 502),
        (algorithm("RS256"), 502),
        (failing("/token", 500), 503),
        (failing("/token", 429), 503),
        (failing("/token", 401), 502),
        (failing("/token", 302), 502),
        (failing("/token", 200), 502),
        (asked(json!({ "sub": "somebody-else", "groups": ["admins"] })), 502),
        (asked(json!({ "groups": ["admins"] })), 502),
        (asked(json!("no object")), 502),
        (Behaviour { failing: Some(("/jwks", 500)), ..Behaviour::default() }, 503),
        (Behaviour { failing: Some(("/jwks", 404)), ..Behaviour::default() }, 502),
        (Behaviour { publishes_key: false, ..Behaviour::default() }, 502),
    ];
    for (behaviour, status) in faults {
        // A provider that has not been asked: nothing is kept of it.
        publish(&mut plane, settings(&provider), &[KEY]);
        provider.set(behaviour.clone());
        for client in secure_clients(&plane) {
            let mut browser = Browser::new(client);
            let answer = browser.log_in(&provider, "/").await;
            assert_eq!(answer.status, status, "{behaviour:?}: {}", answer.text());
            assert!(browser.session().is_none() && answer.header("location").is_empty(), "{behaviour:?}");
        }
    }
    for (behaviour, status) in [
        (failing("/.well-known", 500), 503),
        (failing("/.well-known", 404), 502),
        (failing("/.well-known", 200), 502),
        (metadata(json!({ "issuer": "https://evil.example" })), 502),
        (metadata(json!({ "token_endpoint": "http://evil.example/token" })), 502),
        (metadata(json!({ "jwks_uri": null })), 502),
        (metadata(json!({ "id_token_signing_alg_values_supported": ["HS256"] })), 502),
    ] {
        publish(&mut plane, settings(&provider), &[KEY]);
        provider.set(behaviour.clone());
        for client in secure_clients(&plane) {
            let answer = Browser::new(client).page("/").await;
            assert_eq!(answer.status, status, "{behaviour:?}");
            assert!(answer.header("location").is_empty() && set_cookies(&answer).is_empty());
        }
    }
    assert_eq!(application.served(), 0);
}

#[tokio::test]
async fn without_a_provider_or_a_key_the_route_is_closed() {
    let (provider, mut plane, application) = started(anybody()).await;
    let mut browser = Browser::new(plane.https());
    assert_eq!(browser.log_in(&provider, "/").await.status, 303);
    publish(&mut plane, settings(&provider), &[]);
    assert_eq!(browser.page("/").await.status, 503, "no key");
    publish(&mut plane, ProviderSettings { name: "other".into(), ..settings(&provider) }, &[KEY]);
    assert_eq!(browser.page("/").await.status, 503, "no such provider");
    plane.providers.publish(Providers::default());
    for path in ["/", "/.gangway/oidc/callback?code=x&state=AAAAAAAAAAAAAAAAAAAAAA", "/.gangway/oidc/logout"] {
        let answer = browser.page(path).await;
        assert!(answer.status == 503 || answer.status == 400, "{path}: {}", answer.status);
    }
    assert_eq!(application.served(), 0);
    // A provider that is gone ends no session, and begins none.
    publish(&mut plane, settings(&provider), &[KEY]);
    drop(provider);
    assert_eq!(browser.page("/").await.status, 200);
    browser.cookies.clear();
    assert_eq!(browser.page("/").await.status, 503);
}

#[tokio::test]
async fn a_new_key_of_the_provider_is_found_and_not_looked_for_too_often() {
    let (provider, plane, _application) = started(anybody()).await;
    let mut browser = Browser::new(plane.https());
    assert_eq!(browser.log_in(&provider, "/").await.status, 303);
    provider.change_key();
    for _ in 0..3 {
        browser.cookies.clear();
        assert_eq!(browser.log_in(&provider, "/").await.status, 502, "the keys were read a moment ago");
    }
    assert_eq!(provider.asked("/jwks"), 1);
}

#[tokio::test]
async fn what_a_user_is_called_breaks_out_of_no_header() {
    let (provider, plane, _application) = started(anybody()).await;
    for client in secure_clients(&plane) {
        let name = "ann\r\nRemote-Groups: root";
        let token = json!({ "preferred_username": name, "name": name, "groups": ["a,root", "b\r\nx: y", "users"] });
        provider.set(Behaviour { token, ..Behaviour::default() });
        let mut browser = Browser::new(client);
        assert_eq!(browser.log_in(&provider, "/").await.status, 303);
        let answer = browser.page("/echo").await;
        assert_eq!(got(&answer, "Remote-User"), ["ann@example.org"]);
        assert_eq!(got(&answer, "Remote-Groups"), ["users"]);
        assert!(got(&answer, "Remote-Name").is_empty() && got(&answer, "x").is_empty());
    }
}

#[tokio::test]
async fn what_the_token_leaves_out_is_asked_for() {
    let (provider, plane, _application) = started(anybody()).await;
    let gone = json!({ "preferred_username": null, "email": null, "email_verified": null, "groups": null });
    let said = json!({ "sub": "s-1", "preferred_username": "annie", "email": "a@b.org", "email_verified": false });
    provider.set(Behaviour { token: gone, userinfo: Some(said), ..Behaviour::default() });
    let mut browser = Browser::new(plane.https());
    assert_eq!(browser.log_in(&provider, "/").await.status, 303);
    let answer = browser.page("/echo").await;
    assert_eq!(got(&answer, "Remote-User"), ["annie"]);
    assert!(got(&answer, "Remote-Email").is_empty(), "it is not verified");
}

#[tokio::test]
async fn several_hosts_share_a_log_in_where_the_owner_says_so() {
    let (address, _application) = app("a").await;
    let provider = OpenIdProvider::start().await.expect("a free port");
    let hosts = ["a.example.localhost", "b.example.localhost", "other.localhost"];
    let mut plane = Plane::serving(hosts.map(|host| behind(host, address, anybody())).into()).await;
    let shared = ProviderSettings { cookie_domain: Some("example.localhost".into()), ..settings(&provider) };
    publish(&mut plane, shared, &[KEY]);
    let mut browser = Browser::new(plane.https()).at(hosts[0]);
    let answer = browser.log_in(&provider, "/").await;
    assert_eq!(answer.status, 303);
    let set = set_cookies(&answer)[0];
    assert!(set.starts_with("__Secure-gangway-oidc-s-home=") && set.contains("; Domain=example.localhost;"), "{set}");
    assert_eq!(browser.at(hosts[1]).page("/").await.status, 200);
    assert_eq!(browser.at(hosts[2]).page("/").await.status, 503, "it is not below the domain");
}

#[tokio::test]
async fn after_a_log_out_no_copy_of_the_cookie_counts() {
    let (provider, plane, _application) = started(anybody()).await;
    for client in secure_clients(&plane) {
        let mut browser = Browser::new(client);
        assert_eq!(browser.log_in(&provider, "/").await.status, 303);
        let copy = browser.cookies.clone();
        let foreign = browser.ask("GET", "/.gangway/oidc/logout", &[PAGE, ("sec-fetch-site", "cross-site")]).await;
        assert_eq!(foreign.status, 403);
        assert_eq!(browser.page("/").await.status, 200, "another site cannot log anybody out");
        let answer = browser.page("/.gangway/oidc/logout").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-request-id").is_empty()), (303, false));
        let location = answer.header("location");
        assert!(location.starts_with(&format!("{}/logout?from=us&client_id=gang+way&", provider.issuer)), "{location}");
        assert!(location.contains("post_logout_redirect_uri=https%3A%2F%2Fa.localhost"), "{location}");
        assert!(browser.session().is_none());
        browser.cookies = copy;
        assert_eq!(browser.page("/").await.status, 302, "the copy");
        let page = browser.page("/.gangway/oidc/logged-out").await;
        assert!(page.status == 200 && page.text().contains("You are logged out."));
        assert!(!page.header("x-request-id").is_empty());
        assert_eq!(browser.page("/.gangway/oidc/logout").await.status, 200, "there was no session to end");
    }
}

/// These claims, with others in place of some.
fn with(mut claims: Value, others: &Value) -> Value {
    let all = claims.as_object_mut().expect("an object");
    all.extend(others.as_object().expect("an object").clone());
    claims
}

#[tokio::test]
async fn an_access_token_lets_in_where_the_route_says_so() {
    let (address, _application) = app("a").await;
    let provider = OpenIdProvider::start().await.expect("a free port");
    let named = |audience: &str| Some(BearerAudience::Named(audience.into()));
    let of = |bearer, keep| OidcAuth { bearer, keep, ..anybody() };
    let narrowed = OidcAuth { groups: vec!["admins".into()], ..of(named("api"), false) };
    let mut plane = Plane::serving(vec![
        behind("a.localhost", address, of(named("api"), false)),
        behind("kept.localhost", address, of(Some(BearerAudience::Client), true)),
        behind("none.localhost", address, anybody()),
        behind("narrowed.localhost", address, narrowed),
    ])
    .await;
    publish(&mut plane, settings(&provider), &[KEY]);
    let now = gangway_oidc::now().expect("a clock");
    let token = |kind: Option<&str>, more: Value| {
        let own = json!({ "sub": "s-1", "aud": "api", "preferred_username": "ann" });
        provider.sign(kind, &with(own, &more))
    };
    let ask = async |client: &Client, host: &str, fields: &[(&str, &str)]| {
        let mut connection = client.connect(host).await.expect("connected");
        connection.ask("POST", "/echo", &[fields, &[("remote-user", "root")]].concat(), "").await.expect("answered")
    };
    let good = format!("Bearer {}", token(Some("at+jwt"), json!({})));
    for client in secure_clients(&plane) {
        let answer = ask(&client, "a.localhost", &[("authorization", &good)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(got(&answer, "remote-user"), ["ann"]);
        assert!(got(&answer, "authorization").is_empty(), "it was for Gangway");
        let ours = format!("bearer {}", token(None, json!({ "aud": [CLIENT.0, "api"] })));
        let answer = ask(&client, "kept.localhost", &[("authorization", &ours)]).await;
        assert_eq!((answer.status.as_u16(), got(&answer, "authorization")), (200, vec![ours]));
        assert_eq!(ask(&client, "kept.localhost", &[("authorization", &good)]).await.status, 401, "for another one");
        assert_eq!(ask(&client, "none.localhost", &[("authorization", &good)]).await.status, 401, "no label");
        assert_eq!(ask(&client, "narrowed.localhost", &[("authorization", &good)]).await.status, 403);
        let admin = format!("Bearer {}", token(None, json!({ "groups": ["admins"] })));
        assert_eq!(ask(&client, "narrowed.localhost", &[("authorization", &admin)]).await.status, 200);
        for (what, kind, more) in [
            ("expired", None, json!({ "exp": now - 100 })),
            ("of the future", None, json!({ "nbf": now + 100 })),
            ("without an end", None, json!({ "exp": null })),
            ("another issuer", None, json!({ "iss": "https://other.example" })),
            ("another audience", None, json!({ "aud": "other" })),
            ("no audience", None, json!({ "aud": null })),
            ("nobody", None, json!({ "sub": null })),
            ("no subject", None, json!({ "sub": "" })),
            ("an ID token", None, json!({ "nonce": "n" })),
            ("an ID token with a hash", Some("JWT"), json!({ "at_hash": "x" })),
            ("a logout token", None, json!({ "events": {} })),
            ("a logout token by its type", Some("logout+jwt"), json!({})),
        ] {
            let field = format!("Bearer {}", token(kind, more));
            let answer = ask(&client, "a.localhost", &[("authorization", &field)]).await;
            assert_eq!(answer.status, 401, "{what}");
            assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{what}");
        }
        let (head, signature) = good.rsplit_once('.').expect("a token");
        for field in
            ["Bearer", "Bearer ", "Bearer x.y.z", &format!("{head}.x{signature}"), &format!("Basic {}", &good[7..])]
        {
            assert_eq!(ask(&client, "a.localhost", &[("authorization", field)]).await.status, 401, "{field}");
        }
        let twice = [("authorization", &*good), ("authorization", &*good)];
        assert_eq!(ask(&client, "a.localhost", &twice).await.status, 401, "which one?");
        assert_eq!(ask(&client, "a.localhost", &[]).await.status, 401);
    }
    let [client, _] = secure_clients(&plane);
    provider.change_key();
    publish(&mut plane, settings(&provider), &[KEY]);
    let rotated = format!("Bearer {}", token(None, json!({})));
    assert_eq!(ask(&client, "a.localhost", &[("authorization", &rotated)]).await.status, 200);
    assert_eq!(ask(&client, "a.localhost", &[("authorization", &good)]).await.status, 401, "its key is gone");
    provider.set(Behaviour { failing: Some(("/jwks", 500)), ..Behaviour::default() });
    publish(&mut plane, settings(&provider), &[KEY]);
    let answer = ask(&client, "a.localhost", &[("authorization", &rotated)]).await;
    assert_eq!(answer.status, 503, "closed without keys: {}", answer.text());
}

/// The events that were told so far.
fn told(plane: &mut Plane) -> Vec<SessionEvent> {
    std::iter::from_fn(|| plane.session_events.try_recv().ok()).collect()
}

#[tokio::test]
async fn sessions_are_registered_and_their_ends_heeded() {
    let (provider, mut plane, application) = started(anybody()).await;
    for client in secure_clients(&plane) {
        let mut browser = Browser::new(client);
        provider.set(Behaviour { token: json!({ "sid": "at-home" }), ..Behaviour::default() });
        browser.log_in(&provider, "/").await;
        let events = told(&mut plane);
        let [SessionEvent::Begun(begun)] = &events[..] else { panic!("one log-in: {events:?}") };
        let BegunSession { id, provider: name, subject, user, scope, begun, ends, provider_session } = begun;
        assert_eq!((&**name, &**subject, &**user, &**scope), ("home", "s-1", "ann", HOST));
        assert_eq!((ends - begun, provider_session.as_deref()), (3600, Some("at-home")));
        assert_eq!(browser.page("/").await.status, 200);
        let others = EndedSessions::from_iter([SessionEnd::One(String::from("another").into())]);
        plane.ended_sessions.publish(others);
        assert_eq!(browser.page("/").await.status, 200);
        plane.ended_sessions.publish(EndedSessions::from_iter([SessionEnd::One(id.clone())]));
        let served = application.served();
        assert_eq!(browser.page("/").await.status, 302, "another instance has ended it");
        assert_eq!(application.served(), served);
        // Nothing is left to end.
        browser.page("/.gangway/oidc/logout").await;
        assert!(told(&mut plane).is_empty());
        browser.log_in(&provider, "/").await;
        browser.page("/.gangway/oidc/logout").await;
        let events = told(&mut plane);
        let [SessionEvent::Begun(begun), SessionEvent::Ended(ended)] = &events[..] else { panic!("{events:?}") };
        assert_eq!(BegunSession { provider_session: begun.provider_session.clone(), ..ended.clone() }, *begun);
    }
}

const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

async fn send_logout(client: &Client, form: &str) -> Answer {
    let mut connection = client.connect(HOST).await.expect("connected");
    let fields = [("content-type", "application/x-www-form-urlencoded")];
    let path = "/.gangway/oidc/back-channel-logout";
    connection.ask("POST", path, &fields, form.to_owned()).await.expect("answered")
}

#[tokio::test]
async fn a_provider_logs_users_out_by_its_signed_word_alone() {
    let (provider, mut plane, _) = started(anybody()).await;
    let clients = secure_clients(&plane);
    let claims = |more: Value| {
        let own = json!({ "sub": "s-1", "jti": "1", "events": { LOGOUT_EVENT: {} } });
        with(own, &more)
    };
    let now = gangway_oidc::now().expect("a clock");
    let id_token = json!({ "sub": "s-1", "nonce": "n" });
    for (what, kind, claims) in [
        ("no event", None, claims(json!({ "events": {} }))),
        ("no events", None, claims(json!({ "events": null }))),
        ("an event that is none", None, claims(json!({ "events": { LOGOUT_EVENT: true } }))),
        ("an ID token", None, id_token),
        ("a nonce", None, claims(json!({ "nonce": "n" }))),
        ("nobody", None, claims(json!({ "sub": null }))),
        ("an empty subject", None, claims(json!({ "sub": "" }))),
        ("no id", None, claims(json!({ "jti": null }))),
        ("an empty id", None, claims(json!({ "jti": "" }))),
        ("another issuer", None, claims(json!({ "iss": "https://other.example" }))),
        ("another client", None, claims(json!({ "aud": "other" }))),
        ("no client", None, claims(json!({ "aud": null }))),
        ("old", None, claims(json!({ "iat": now - 400 }))),
        ("expired", None, claims(json!({ "exp": now - 100 }))),
        ("of the future", None, claims(json!({ "iat": now + 100 }))),
        ("an access token", Some("at+jwt"), claims(json!({}))),
    ] {
        let form = format!("logout_token={}", provider.sign(kind, &claims));
        for client in &clients {
            let answer = send_logout(client, &form).await;
            assert_eq!(answer.status, 400, "{what}: {}", answer.text());
            assert_eq!(answer.header("cache-control"), "no-store", "{what}");
            assert!(!answer.header("x-request-id").is_empty(), "{what}");
            assert!(answer.text().contains("invalid_request"), "{what}");
        }
    }
    let good = provider.sign(Some("logout+jwt"), &claims(json!({})));
    let (head, signature) = good.rsplit_once('.').expect("a token");
    let padded = format!("x={}&logout_token={good}", "x".repeat(20_000));
    for form in ["", "logout_token=", "token=x", &format!("logout_token={head}.{signature}x"), &*padded] {
        assert_eq!(send_logout(&clients[0], form).await.status, 400, "{form}");
    }
    assert!(told(&mut plane).is_empty(), "nothing of that ended anything");
    for (number, client) in clients.iter().enumerate() {
        let token = provider.sign(Some("logout+jwt"), &claims(json!({ "jti": format!("good-{number}"), "sid": "x" })));
        let form = format!("logout_token={token}");
        let register = async |plane: &mut Plane, holds: bool| {
            let Some(SessionEvent::EndedAtProvider { provider, ended, done }) = plane.session_events.recv().await
            else {
                panic!("an end")
            };
            assert_eq!(
                (&*provider, ended.subject.as_deref(), ended.session.as_deref()),
                ("home", Some("s-1"), Some("x"))
            );
            done.send(holds).expect("it is waited for");
        };
        let (answer, ()) = tokio::join!(send_logout(client, &form), register(&mut plane, false));
        assert_eq!(answer.status, 503, "the volume is not there");
        let (answer, ()) = tokio::join!(send_logout(client, &form), register(&mut plane, true));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(send_logout(client, &form).await.status, 400, "once");
    }
}

#[tokio::test]
async fn our_own_paths_reach_no_application_and_nothing_is_spared_them() {
    let (provider, plane, application) = started(anybody()).await;
    for client in secure_clients(&plane) {
        let mut browser = Browser::new(client);
        for (path, status) in [
            ("/.gangway/oidc", 404),
            ("/.gangway/oidc/", 404),
            ("/.gangway/oidc/other", 404),
            ("/.gangway/oidc/callback", 400),
            ("/.gangway/./oidc/callback", 400),
            ("/x/../.gangway/oidc/callback", 400),
            ("/.gangway/oidc/logout", 200),
        ] {
            assert_eq!(browser.page(path).await.status, status, "{path}");
        }
        let served = application.served();
        assert_eq!(browser.log_in(&provider, "/").await.status, 303);
        assert_eq!(browser.page("/.gangway/oidc/x").await.status, 404);
        assert_eq!(application.served(), served);
        browser.cookies.clear();
        let skipped = browser.ask("GET", "/public/x", &[("remote-user", "root")]).await;
        assert!(skipped.status == 200 && got(&skipped, "Remote-User").is_empty());
    }
}

#[tokio::test]
async fn nobody_logs_in_over_plain_http_unless_the_route_is_served_so() {
    let (address, application) = app("a").await;
    let provider = OpenIdProvider::start().await.expect("a free port");
    let mut open = behind("plain.localhost", address, anybody());
    open.change = Box::new(|route| route.listener.tls = TlsMode::Off);
    let mut plane = Plane::serving(vec![behind(HOST, address, anybody()), open]).await;
    publish(&mut plane, settings(&provider), &[KEY]);
    let mut browser = Browser::new(plane.http());
    assert_eq!(browser.page("/").await.status, 503);
    assert_eq!(browser.page("/.gangway/oidc/callback?code=x&state=AAAAAAAAAAAAAAAAAAAAAA").await.status, 503);
    let mut browser = browser.at("plain.localhost");
    assert_eq!(browser.log_in(&provider, "/").await.status, 303);
    assert!(browser.cookies.contains_key("gangway-oidc-s-home"), "{:?}", browser.cookies);
    assert_eq!(browser.page("/").await.status, 200);
    assert_eq!(application.served(), 1);
}

#[tokio::test]
async fn a_route_without_a_log_in_gets_no_cookie_of_one() {
    let (address, _application) = app("a").await;
    let plane = Plane::serving(vec![route(HOST, address)]).await;
    for client in secure_clients(&plane) {
        let mut browser = Browser::new(client);
        browser.cookies = ["__Host-gangway-oidc-s-home", "__Secure-gangway-oidc-s-home", "own"]
            .map(|name| (name.to_owned(), "x".to_owned()))
            .into();
        assert_eq!(got(&browser.page("/echo").await, "Cookie"), ["own=x"]);
    }
}

/// The provider gives refresh tokens. Its access tokens count for 100 seconds, and it is asked for new ones after 80.
fn renewing() -> Behaviour {
    Behaviour { refreshes: true, expires_in: 100, ..Behaviour::default() }
}

/// The cookie of a user who logged in so many seconds ago.
async fn logged_in_before(provider: &OpenIdProvider, settings: ProviderSettings, ago: u64, told: Behaviour) -> String {
    let then = gangway_oidc::now().expect("a clock") - ago;
    let token = with(told.token.clone(), &json!({ "iat": then, "exp": then + 1000 }));
    provider.set(Behaviour { token, ..told.clone() });
    let (keys, client) = (CookieKeys::new(&[KEY]), Provider::new(settings).expect("no roots"));
    let here = (&*format!("https://{HOST}"), "/.gangway/oidc/callback");
    let begun = client.begin(&keys, here, "/", then).await.expect("begun");
    let back = provider.authorize(&begun.location);
    let callback = Callback::parse(back.split_once('?').expect("a query").1).expect("whole");
    let finished =
        client.finish(&keys, here, &callback, begun.sealed.as_bytes(), (HOST, then)).await.expect("finished");
    provider.set(told);
    finished.sealed
}

/// Longer than anything here takes.
const STUCK: Duration = Duration::from_secs(20);

const SESSION: &str = "__Host-gangway-oidc-s-home";

#[tokio::test]
async fn a_session_is_renewed_once_when_it_is_time_and_its_user_is_judged_anew() {
    let admins = OidcAuth { groups: vec!["admins".into()], ..anybody() };
    let (provider, mut plane, application) = started(admins).await;
    for (ago, client) in [(85, plane.https()), (85, plane.https().speaking(Speaks::H2)), (500, plane.https())] {
        publish(&mut plane, settings(&provider), &[KEY]);
        let sealed = logged_in_before(&provider, settings(&provider), ago, renewing()).await;
        let asked = provider.asked("/token");
        let mut browser = Browser::new(client.clone());
        browser.cookies.insert(SESSION.into(), sealed.clone());
        let mut others = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let mut other = browser.at(HOST);
            others.spawn(async move { other.page("/echo").await });
        }
        for answer in others.join_all().await {
            assert_eq!((answer.status.as_u16(), &*got(&answer, "remote-user")[0]), (200, "ann"), "{ago}");
        }
        assert_eq!(provider.asked("/token"), asked + 1, "each refresh token is used once, {ago}");
        // A copy of the old cookie, as a tab may have that was asleep.
        let mut late = browser.at(HOST);
        let answer = late.page("/echo").await;
        assert_eq!((answer.status.as_u16(), set_cookies(&answer).len()), (200, 1));
        let (set, renewed) = (set_cookies(&answer)[0].to_owned(), late.session().expect("a cookie").to_owned());
        assert!(renewed != sealed && set.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{set}");
        let age: u64 =
            set.split("Max-Age=").nth(1).and_then(|rest| rest.split(';').next()?.parse().ok()).expect("an age");
        assert!((3600 - ago - 30..=3600 - ago).contains(&age), "it ends when it would have: {age}");
        let answer = late.page("/echo").await;
        assert_eq!((answer.status.as_u16(), set_cookies(&answer).len()), (200, 0), "nothing is due");
        assert!(got(&answer, "cookie").is_empty());
        assert_eq!(provider.asked("/token"), asked + 1);
        // Log-outs end it by any of its cookies.
        late.page("/.gangway/oidc/logout").await;
        for cookie in [sealed, renewed] {
            browser.cookies.insert(SESSION.into(), cookie);
            assert_eq!(browser.page("/").await.status, 302);
        }
        assert_eq!(provider.asked("/token"), asked + 1);
    }
    let served = application.served();
    let left = Behaviour { renewed: json!({ "groups": ["users"] }), ..renewing() };
    let sealed = logged_in_before(&provider, settings(&provider), 200, left).await;
    let mut browser = Browser::new(plane.https());
    browser.cookies.insert(SESSION.into(), sealed.clone());
    let answer = browser.page("/").await;
    assert_eq!((answer.status.as_u16(), set_cookies(&answer).len()), (403, 1), "{}", answer.text());
    assert_ne!(browser.session(), Some(&*sealed));
    assert_eq!((browser.page("/").await.status.as_u16(), application.served()), (403, served));
}

#[tokio::test]
async fn a_session_that_a_provider_does_not_renew_counts_no_longer_than_its_word() {
    let (provider, mut plane, application) = started(anybody()).await;
    let failing = |path, status| Behaviour { failing: Some((path, status)), ..renewing() };
    let renewed = |claims: Value| Behaviour { renewed: claims, ..renewing() };
    let about = |said: Value| Behaviour { userinfo: Some(said), ..renewed(Value::Null) };
    let crowd: Vec<String> = (0..3000).map(|number| format!("group-{number}")).collect();
    // While the last word counts, while it does not any more, and whether the session has ended for good.
    for (what, behaviour, due, overdue, has_ended) in [
        ("out of order", failing("/token", 500), 200, 503, false),
        ("too busy", failing("/token", 429), 200, 503, false),
        ("another answer", failing("/token", 404), 200, 502, false),
        ("about somebody else", renewed(json!({ "sub": "s-2" })), 302, 302, true),
        ("by somebody else", renewed(json!({ "iss": "https://other.example" })), 302, 302, true),
        ("for somebody else", renewed(json!({ "aud": "other" })), 302, 302, true),
        ("expired", renewed(json!({ "exp": 1000 })), 302, 302, true),
        ("about nobody", renewed(Value::Null), 302, 302, true),
        ("the user info of somebody else", about(json!({ "sub": "s-2" })), 302, 302, true),
        ("too many groups", renewed(json!({ "groups": crowd })), 403, 403, false),
        ("another key", Behaviour { publishes_key: false, ..renewing() }, 302, 302, true),
        ("silent about the user", Behaviour { failing: Some(("/userinfo", 503)), ..about(json!({})) }, 200, 503, false),
    ] {
        for (ago, expected) in [(85, due), (105, overdue)] {
            let sealed = logged_in_before(&provider, settings(&provider), ago, renewing()).await;
            provider.set(behaviour.clone());
            // Without what it has said before.
            publish(&mut plane, settings(&provider), &[KEY]);
            told(&mut plane);
            let served = application.served();
            let mut browser = Browser::new(plane.https());
            browser.cookies.insert(SESSION.into(), sealed.clone());
            let answer = browser.page("/").await;
            let is_in = u64::from(expected == 200);
            assert_eq!((answer.status.as_u16(), application.served() - served), (expected, is_in), "{what}, {ago}");
            assert!(!answer.text().contains("refresh-"), "{what}");
            let asked = provider.asked("/token");
            browser.cookies.insert(SESSION.into(), sealed.clone());
            assert_eq!(browser.page("/").await.status, expected, "{what}, {ago}: asked again");
            assert_eq!(provider.asked("/token"), asked, "{what}, {ago}: the provider is left alone");
            let ends = told(&mut plane).into_iter().filter(|event| matches!(event, SessionEvent::Ended(..))).count();
            assert_eq!(ends, usize::from(has_ended), "{what}, {ago}");
        }
    }
    // A refused refresh token: somebody else has used it, or the user may come no more.
    let sealed = logged_in_before(&provider, settings(&provider), 105, renewing()).await;
    publish(&mut plane, settings(&provider), &[KEY]);
    provider.forget_sessions();
    let mut browser = Browser::new(plane.https());
    browser.cookies.insert(SESSION.into(), sealed);
    let asked = provider.asked("/token");
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut other = browser.at(HOST);
        others.spawn(async move { other.ask("GET", "/", &[]).await.status.as_u16() });
    }
    assert_eq!(others.join_all().await, [401; 20]);
    assert_eq!(provider.asked("/token"), asked + 1, "its answer counts for all who have waited");
    assert!(matches!(told(&mut plane)[..], [SessionEvent::Ended(..)]));
    assert_eq!(browser.log_in(&provider, "/").await.status, 303, "and the user begins anew");
}

#[tokio::test]
async fn a_slow_answer_brings_no_session_back_that_is_no_more() {
    let (provider, plane, application) = started(anybody()).await;
    for client in secure_clients(&plane) {
        for (what, is_set) in [("nothing", true), ("a log-out", false), ("a log-in", false)] {
            // It is renewed for the slow request.
            let sealed = logged_in_before(&provider, settings(&provider), 500, renewing()).await;
            let mut browser = Browser::new(client.clone());
            browser.cookies.insert(SESSION.into(), sealed);
            let mut slow = browser.at(HOST);
            let slow = tokio::spawn(async move { slow.page("/slow/700").await });
            eventually("the application has it", STUCK, async || (application.under_way() == 1).then_some(())).await;
            match what {
                "a log-out" => drop(browser.page("/.gangway/oidc/logout").await),
                "a log-in" => {
                    // Where a session is lost, as in a tab whose cookies are kept apart.
                    let mut tab = Browser { cookies: BTreeMap::new(), ..browser.at(HOST) };
                    let back = tab.way_back(&provider, "/").await;
                    browser.cookies.append(&mut tab.cookies);
                    assert_eq!(browser.page(&back).await.status, 303);
                }
                _ => {}
            }
            let answer = slow.await.expect("answered");
            assert_eq!((answer.status.as_u16(), !set_cookies(&answer).is_empty()), (200, is_set), "{what}");
        }
    }
}

#[tokio::test]
async fn without_an_id_token_the_provider_is_asked_about_the_user() {
    let (provider, mut plane, _application) = started(anybody()).await;
    let said = json!({ "sub": "s-1", "preferred_username": "anna", "groups": ["users"] });
    let told = Behaviour { renewed: Value::Null, userinfo: Some(said), ..renewing() };
    let sealed = logged_in_before(&provider, settings(&provider), 105, told).await;
    publish(&mut plane, settings(&provider), &[KEY]);
    let mut browser = Browser::new(plane.https());
    browser.cookies.insert(SESSION.into(), sealed);
    let answer = browser.page("/echo").await;
    assert_eq!(
        (got(&answer, "remote-user"), got(&answer, "remote-groups")),
        (vec!["anna".into()], vec!["users".into()])
    );
    assert!(got(&answer, "remote-email").is_empty(), "what it says no more does not count");
}

#[tokio::test]
async fn a_session_with_much_in_it_is_spread_over_cookies_and_no_part_reaches_an_application() {
    let (provider, plane, _application) = started(anybody()).await;
    let groups = |count: usize| {
        let groups: Vec<String> = (0..count).map(|number| format!("a-group-{number:04}")).collect();
        Behaviour { token: json!({ "groups": groups }), ..Behaviour::default() }
    };
    for client in secure_clients(&plane) {
        let mut browser = Browser::new(client);
        provider.set(groups(600));
        assert_eq!(browser.log_in(&provider, "/").await.status, 303);
        let names: Vec<&str> = browser.cookies.keys().map(String::as_str).collect();
        let part = |number: usize| format!("{SESSION}.{number}");
        assert_eq!(names, [part(0), part(1), part(2), part(3)]);
        assert!(browser.cookies.iter().all(|(name, value)| name.len() + value.len() < 4000));
        browser.cookies.insert("own".into(), "1".into());
        let answer = browser.page("/echo").await;
        assert_eq!((answer.status.as_u16(), got(&answer, "cookie")), (200, vec!["own=1".to_owned()]));
        assert_eq!(got(&answer, "remote-groups")[0].split(',').count(), 600);
        // Not without a part, nor with one of another session.
        for number in 0..4 {
            let mut other = browser.at(HOST);
            let taken = other.cookies.remove(&part(number)).expect("a part");
            assert_eq!(other.page("/").await.status, 302, "without {number}");
            other.cookies.insert(part(number), browser.cookies[&part((number + 1) % 4)].clone());
            assert_eq!(other.page("/").await.status, 302, "another {number}");
            other.cookies.insert(part(number), taken);
            assert_eq!(other.page("/").await.status, 200);
        }
        let spread = browser.cookies.clone();
        // Fewer parts replace more, and one cookie replaces parts.
        for (count, left) in
            [(300, vec![part(0), part(1)]), (1, vec![SESSION.to_owned()]), (300, vec![part(0), part(1)])]
        {
            provider.set(groups(count));
            // The user logs in again in a tab in which the session was not known yet.
            let mut tab = Browser { cookies: BTreeMap::new(), ..browser.at(HOST) };
            let back = tab.way_back(&provider, "/").await;
            browser.cookies.append(&mut tab.cookies);
            assert_eq!(browser.page(&back).await.status, 303);
            let mut names: Vec<String> = browser.cookies.keys().cloned().collect();
            names.retain(|name| name.starts_with(SESSION));
            assert_eq!(names, left, "{count}");
            assert_eq!(browser.page("/echo").await.status, 200);
        }
        browser.page("/.gangway/oidc/logout").await;
        assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["own"], "all parts are gone");
        browser.cookies = spread;
        browser.page("/.gangway/oidc/logout").await;
        assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["own"], "and all of the most");
    }
}
