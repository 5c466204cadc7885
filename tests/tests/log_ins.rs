//! People log in: a real browser, a real OpenID provider, a real log-in service, and Gangway between them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::Client;
use gangway_testkit::engine::{Container, Engine};
use gangway_testkit::wait::eventually;
use gangway_tests::engines::played;
use gangway_tests::gangway::{Gangway, Options, free_addresses, replace_file};
use gangway_tests::openid::{CLIENT_SECRET, OpenId, OpenIdClient, OpenIdPlace, part};
use gangway_tests::process::{Process, output};
use gangway_tests::webdriver::{Cookie, WebDriver};
use gangway_tests::{STUCK, run};
use serde_json::{Value, json};

/// The domain of all hosts of these tests.
const DOMAIN: &str = "home.test";

/// How long an access token lasts that nobody waits for.
const LONG: u32 = 3600;

/// Of oauth2-proxy. As a variable: this version reads no file of it.
const COOKIE_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// In a page: the status that a script of it gets for the page itself.
const STATUS: &str = "return (await fetch('/echo', { headers: { accept: 'application/json' } })).status";

fn users() -> Value {
    let user = |name: &str, groups: &[&str]| {
        json!({
            "name": name,
            "preferred_username": name,
            "email": format!("{name}@example.org"),
            "email_verified": true,
            "groups": groups,
        })
    };
    json!({ "ann": user("ann", &["family", "admins"]), "bob": user("bob", &["family"]) })
}

/// The client that is Gangway, at these hosts.
fn gangway_client<'a>(gangway: &Gangway, hosts: &[&str], refreshes: bool) -> OpenIdClient<'a> {
    let at = |path: &str| hosts.iter().map(|host| page(gangway, host, &format!("/.gangway/oidc/{path}"))).collect();
    OpenIdClient {
        id: "gangway",
        callbacks: at("callback"),
        logged_out: at("logged-out"),
        back_channel: Some(page(gangway, hosts[0], "/.gangway/oidc/back-channel-logout")),
        refreshes,
    }
}

fn page(gangway: &Gangway, host: &str, path: &str) -> String {
    format!("https://{host}:{}{path}", gangway.https.port())
}

fn route(host: &str, app: SocketAddr, more: &str) -> String {
    let name = host.split('.').next().unwrap_or_default();
    format!("[routes.{name}]\nhost = \"{host}\"\nupstream = \"http://{app}\"\nauth.oidc = \"home\"\n{more}\n")
}

/// Gangway with these routes, the provider for them, and a browser that has not logged in.
async fn started(hosts: &[&str], routes: &str, of_provider: &str) -> (Gangway, OpenId, WebDriver) {
    started_with(hosts, routes, of_provider, None).await
}

/// The same, with refresh tokens if access tokens are to be renewed after some seconds.
async fn started_with(
    hosts: &[&str],
    routes: &str,
    of_provider: &str,
    renewed_after: Option<u32>,
) -> (Gangway, OpenId, WebDriver) {
    let place = OpenIdPlace::free();
    let provider = format!(
        "[oidc.home]\nissuer = \"{}\"\nclient-id = \"gangway\"\nclient-secret-env = \"OPENID_SECRET\"\n\
         scopes = \"openid, profile, email, groups\"\n{of_provider}",
        place.issuer
    );
    let options = Options::docker("none").config(&format!("{routes}{provider}"));
    let gangway = options.variable("OPENID_SECRET", CLIENT_SECRET).start().await;
    let root_pem = gangway.root_pem();
    let clients = [gangway_client(&gangway, hosts, renewed_after.is_some())];
    let lasts = renewed_after.unwrap_or(LONG);
    let (provider, browser) = tokio::join!(OpenId::start(place, &clients, &root_pem, lasts), WebDriver::start(DOMAIN));
    provider.set_users(&users());
    (gangway, provider, browser)
}

/// The values that the app got under this name, as its page shows them.
fn got(page: &str, name: &str) -> Vec<String> {
    let told: Value = serde_json::from_str(page).unwrap_or_else(|_| panic!("no echo: {page}"));
    let fields = told["headers"].as_array().unwrap().iter();
    let named = fields.filter(|field| field[0].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)));
    named.map(|field| field[1].as_str().unwrap().to_owned()).collect()
}

/// What a program gets that has these cookies, whether or not a browser would still send them.
async fn status_with(gangway: &Gangway, host: &str, cookies: &[Cookie]) -> u16 {
    let cookies: Vec<String> = cookies.iter().map(|Cookie { name, value }| format!("{name}={value}")).collect();
    let mut connection = gangway.secure().connect(host).await.unwrap();
    let answer = connection.ask("GET", "/echo", &[("cookie", &cookies.join("; "))], "").await.unwrap();
    answer.status.as_u16()
}

#[test]
fn a_person_logs_in_in_two_tabs_and_out_of_both() {
    run(async {
        let (app, _) = app::spawn(App::new("photos")).await.unwrap();
        let host = "photos.home.test";
        let (gangway, provider, browser) = started(&[host], &route(host, app, ""), "").await;
        let first = browser.tab().await;
        browser.open(&page(&gangway, host, "/echo?album=1&x=%2F")).await;
        browser.arrives(&provider.issuer).await;
        let second = browser.open_tab().await;
        browser.open(&page(&gangway, host, "/echo?album=2")).await;
        browser.arrives(&provider.issuer).await;
        browser.show_tab(&first).await;
        provider.log_in(&browser, "ann").await;
        browser.arrives(&page(&gangway, host, "/echo?album=1&x=%2F")).await;
        let told = browser.sees("Remote-User").await;
        for (name, value) in
            [("remote-user", "ann"), ("remote-email", "ann@example.org"), ("remote-groups", "family,admins")]
        {
            assert_eq!(got(&told, name), [value], "{name}");
        }
        assert!(got(&told, "cookie").is_empty(), "{told}");
        // The other tab has begun a log-in of its own, and finishes it.
        browser.show_tab(&second).await;
        provider.log_in(&browser, "ann").await;
        browser.arrives(&page(&gangway, host, "/echo?album=2")).await;
        assert_eq!(got(&browser.sees("Remote-User").await, "remote-user"), ["ann"]);
        let cookies = browser.cookies().await;
        let names: Vec<&str> = cookies.iter().map(|cookie| &*cookie.name).collect();
        assert_eq!(names, ["__Host-gangway-oidc-s-home"]);
        assert_eq!(browser.run("return document.cookie").await, "", "no script sees it");
        assert_eq!(status_with(&gangway, host, &cookies).await, 200);

        browser.open(&page(&gangway, host, "/.gangway/oidc/logout")).await;
        provider.confirm_log_out(&browser).await;
        browser.arrives(&page(&gangway, host, "/.gangway/oidc/logged-out")).await;
        browser.sees("You are logged out.").await;
        assert!(browser.cookies().await.is_empty());
        browser.show_tab(&first).await;
        assert_eq!(browser.run(STATUS).await, 401);
        assert_eq!(status_with(&gangway, host, &cookies).await, 401, "a copy of the cookie counts no more");
        browser.open(&page(&gangway, host, "/echo")).await;
        browser.arrives(&provider.issuer).await;
        browser.sees("Sign-in").await;
    });
}

#[test]
fn hosts_of_one_domain_share_a_log_in_and_a_log_out_at_the_provider_ends_it() {
    run(async {
        let (app, _) = app::spawn(App::new("both")).await.unwrap();
        let (photos, notes) = ("photos.home.test", "notes.home.test");
        let only_admins = "auth.groups = \"admins\"";
        let routes = format!("{}{}", route(photos, app, ""), route(notes, app, only_admins));
        let of_provider = format!("cookie-domain = \"{DOMAIN}\"\n");
        let (gangway, provider, browser) = started(&[photos, notes], &routes, &of_provider).await;
        browser.open(&page(&gangway, photos, "/echo")).await;
        provider.log_in(&browser, "ann").await;
        browser.arrives(&page(&gangway, photos, "/echo")).await;
        let asked = provider.log().matches("grant.success").count();
        browser.open(&page(&gangway, notes, "/echo?of=notes")).await;
        assert_eq!(got(&browser.sees("Remote-User").await, "remote-user"), ["ann"]);
        assert_eq!(provider.log().matches("grant.success").count(), asked, "nobody was asked again");

        // The provider tells Gangway, not the browser: its cookie is still there.
        let cookies = browser.cookies().await;
        browser.open(&format!("{}/session/end", provider.issuer)).await;
        provider.confirm_log_out(&browser).await;
        for host in [photos, notes] {
            let is_out = async || (status_with(&gangway, host, &cookies).await == 401).then_some(());
            eventually("what the provider has ended counts no more", STUCK, is_out).await;
        }
        browser.open(&page(&gangway, photos, "/echo")).await;
        provider.log_in(&browser, "bob").await;
        browser.arrives(&page(&gangway, photos, "/echo")).await;
        assert_eq!(got(&browser.sees("Remote-User").await, "remote-user"), ["bob"]);
        // A user whom a route does not let in is not sent around in a circle.
        browser.open(&page(&gangway, notes, "/echo")).await;
        browser.sees("403").await;
        browser.open(&page(&gangway, notes, "/.gangway/oidc/logout")).await;
        provider.confirm_log_out(&browser).await;
        browser.sees("You are logged out.").await;
        browser.open(&page(&gangway, photos, "/echo")).await;
        browser.arrives(&provider.issuer).await;
    });
}

#[test]
fn a_session_is_renewed_until_its_time_is_over_and_the_page_leads_to_a_new_one() {
    run(async {
        let (app, _) = app::spawn(App::new("photos")).await.unwrap();
        let host = "photos.home.test";
        let (gangway, provider, browser) =
            started_with(&[host], &route(host, app, ""), "session = \"1m\"\n", Some(30)).await;
        browser.open(&page(&gangway, host, "/echo")).await;
        provider.log_in(&browser, "ann").await;
        browser.arrives(&page(&gangway, host, "/echo")).await;
        let cookies = browser.cookies().await;
        assert_eq!((cookies.len(), browser.run(STATUS).await), (1, json!(200)));
        // The user leaves a group. Nobody has to do anything for that to count.
        let mut users = users();
        users["ann"]["groups"] = json!(["family"]);
        provider.set_users(&users);
        let until = "for (;;) { const told = await (await fetch('/echo')).json();
                     const groups = told.headers.find(([name]) => name === 'Remote-Groups')[1];
                     if (groups !== 'family,admins') return groups;
                     await new Promise(done => setTimeout(done, 500)); }";
        assert_eq!(browser.run(until).await, "family");
        let renewed = browser.cookies().await;
        assert_ne!(renewed, cookies);
        // A request that was on its way meanwhile comes with the old cookie.
        assert_eq!(status_with(&gangway, host, &cookies).await, 200);
        assert_eq!(provider.log().matches("grant.success").count(), 2, "one log-in and one renewal");
        // A page that stays open: its scripts are not sent to another site.
        let until = "for (;;) { const status = (await fetch('/echo')).status; if (status !== 200) return status;
                     await new Promise(done => setTimeout(done, 500)); }";
        assert_eq!(browser.run(until).await, 401);
        for cookies in [cookies, renewed] {
            assert_eq!(status_with(&gangway, host, &cookies).await, 401);
        }
        // The user is still logged in there, so nobody has to type anything.
        browser.open(&page(&gangway, host, "/echo?again=1")).await;
        browser.arrives(&page(&gangway, host, "/echo?again=1")).await;
        assert_eq!(got(&browser.sees("Remote-User").await, "remote-user"), ["ann"]);
    });
}

#[test]
fn oauth2_proxy_logs_people_in_as_a_log_in_service() {
    run(async {
        let (app, _) = app::spawn(App::new("dashboards")).await.unwrap();
        let host = "dashboards.home.test";
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let [service] = free_addresses();
        let at = |container: Container, address: SocketAddr| container.exposes(&[address.port()]).address(address.ip());
        let proxy = Container::new("home-oauth2-proxy-1").service("home", "oauth2-proxy");
        engine.add(at(proxy.image("quay.io/oauth2-proxy/oauth2-proxy:v7.5.1"), service));
        let dashboards = Container::new("home-dashboards-1").service("home", "dashboards");
        let labels = [
            ("gangway.host", host),
            ("gangway.auth.forward", &format!("oauth2-proxy:{}", service.port())),
            ("gangway.auth.headers", "X-Auth-Request-Email, X-Auth-Request-User"),
        ];
        let dashboards = labels.into_iter().fold(at(dashboards, app), |one, (key, value)| one.label(key, value));
        engine.add(dashboards);
        let gangway = Options::docker(&played(&engine, folder.path())).start().await;
        let place = OpenIdPlace::free();
        let client = OpenIdClient {
            id: "dashboards",
            callbacks: vec![page(&gangway, host, "/oauth2/callback")],
            logged_out: vec![page(&gangway, host, "/")],
            back_channel: None,
            refreshes: false,
        };
        let issuer = place.issuer.clone();
        let (root_pem, clients) = (gangway.root_pem(), [client]);
        let (provider, browser) =
            tokio::join!(OpenId::start(place, &clients, &root_pem, LONG), WebDriver::start(DOMAIN));
        provider.set_users(&users());
        // Nobody is let in before the service is there.
        assert_eq!(status_with(&gangway, host, &[]).await, 503);
        let _service = oauth2_proxy(folder.path(), service, &issuer).await;
        assert_eq!(status_with(&gangway, host, &[]).await, 401, "a program gets no page");

        browser.open(&page(&gangway, host, "/echo?panel=7")).await;
        browser.sees("Sign in with").await;
        browser.click("button[type=submit]").await;
        provider.log_in(&browser, "ann").await;
        browser.arrives(&page(&gangway, host, "/echo?panel=7")).await;
        let told = browser.sees("X-Auth-Request-Email").await;
        assert_eq!(got(&told, "x-auth-request-email"), ["ann@example.org"]);
        assert_eq!(got(&told, "x-auth-request-user"), ["ann"]);
        let forged =
            "return (await fetch('/echo', { headers: { 'X-Auth-Request-Email': 'root@example.org' } })).text()";
        let told = browser.run(forged).await;
        assert_eq!(got(told.as_str().unwrap(), "x-auth-request-email"), ["ann@example.org"]);
        let cookies = browser.cookies().await;
        assert_eq!(status_with(&gangway, host, &cookies).await, 200);
        browser.open(&page(&gangway, host, "/oauth2/sign_out?rd=%2Foauth2%2Fsign_in")).await;
        browser.sees("Sign in with").await;
        assert_eq!(browser.run(STATUS).await, 401);
    });
}

/// oauth2-proxy as the guide sets it up, with other addresses.
async fn oauth2_proxy(folder: &Path, address: SocketAddr, issuer: &str) -> Process {
    let client = folder.join("client");
    replace_file(&client, CLIENT_SECRET);
    let mut command = Command::new(part("oauth2-proxy"));
    for (key, value) in [
        ("HTTP_ADDRESS", address.to_string()),
        ("REVERSE_PROXY", "true".to_owned()),
        ("SET_XAUTHREQUEST", "true".to_owned()),
        ("UPSTREAMS", "static://202".to_owned()),
        ("EMAIL_DOMAINS", "*".to_owned()),
        ("PROVIDER", "oidc".to_owned()),
        ("OIDC_ISSUER_URL", issuer.to_owned()),
        ("CODE_CHALLENGE_METHOD", "S256".to_owned()),
        ("CLIENT_ID", "dashboards".to_owned()),
        ("CLIENT_SECRET_FILE", client.display().to_string()),
        ("COOKIE_SECRET", COOKIE_SECRET.to_owned()),
    ] {
        command.env(format!("OAUTH2_PROXY_{key}"), value);
    }
    let process = Process::start(&mut command, &folder.join("oauth2-proxy.log"));
    let (client, host) = (Client::plain(address), address.to_string());
    eventually("oauth2-proxy answers", STUCK, async || {
        client.get(&host, "/ping").await.ok().filter(|answer| answer.status == 200).map(drop)
    })
    .await;
    process
}

#[test]
fn every_scheme_of_htpasswd_is_a_password_or_is_refused() {
    run(async {
        let (app, _) = app::spawn(App::new("nas")).await.unwrap();
        let list = |scheme: &str| {
            // `gar:lic` has what separates a name from a password in `Authorization`.
            output("htpasswd", ["-nb", scheme, "ann", "gar:lic \u{e4}"]).trim().to_owned()
        };
        let hosts = [("-B", 200), ("-m", 200), ("-s", 200), ("-2", 200), ("-5", 200), ("-d", 401), ("-p", 401)];
        let routes: String = hosts
            .iter()
            .map(|(scheme, _)| {
                let name = &scheme[1..];
                format!(
                    "[routes.nas-{name}]\nhost = \"{name}.home.test\"\nupstream = \"http://{app}\"\ntls = \"off\"\n\
                     auth.basic = \"@with-{name}\"\n"
                )
            })
            .collect();
        let gangway = Options::docker("none").config(&routes).start().await;
        std::fs::create_dir_all(gangway.data().join("auth")).unwrap();
        for (scheme, _) in hosts {
            let file = gangway.data().join(format!("auth/with-{}", &scheme[1..]));
            replace_file(&file, &format!("{}\n", list(scheme)));
        }
        // `ann:gar:lic ä` and `ann:garlic`.
        let (right, wrong) = ("Basic YW5uOmdhcjpsaWMgw6Q=", "Basic YW5uOmdhcmxpYw==");
        for (scheme, expected) in hosts {
            let host = format!("{}.home.test", &scheme[1..]);
            let status = async |credentials: &str| {
                let mut connection = gangway.plain().connect(&host).await.unwrap();
                let answer = connection.ask("GET", "/echo", &[("authorization", credentials)], "").await.unwrap();
                answer.status.as_u16()
            };
            eventually(&format!("{scheme}: {expected}"), STUCK, async || {
                (status(right).await == expected).then_some(())
            })
            .await;
            match expected {
                200 => assert_eq!(status(wrong).await, 401, "{scheme}"),
                _ => drop(gangway.diagnosed(&[&format!("auth/with-{}", &scheme[1..]), "line 1"]).await),
            }
        }
    });
}
