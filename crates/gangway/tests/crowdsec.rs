//! A running instance beside a CrowdSec engine.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::path::{Path, PathBuf};
use std::time::Duration;

use gangway_testkit::app::{self, App};
use gangway_testkit::appsec::{ATTACK, AppsecComponent};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::crowdsec::{BOUNCER_KEY, CrowdSec, reply};
use gangway_testkit::mmdb;
use gangway_testkit::wait::eventually;
use running::{Instance, Options, STUCK, put};
use tempfile::TempDir;

const BAD: &str = "192.0.2.7";
const GOOD: &str = "203.0.113.7";
const FRENCH: &str = "198.51.100.7";

/// Three routes: one that says nothing of CrowdSec, one that is closed on doubt, and one that is open on doubt.
async fn config() -> String {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let route = |name: &str, keys: &str| {
        format!(
            "[routes.{name}]\nhost = \"{name}.test\"\nupstream = \"http://{app}\"\nhttps-redirect = false\n{keys}\n"
        )
    };
    route("plain", "") + &route("closed", "crowdsec = \"closed\"") + &route("open", "crowdsec = \"open\"")
}

struct Engine {
    engine: CrowdSec,
    folder: TempDir,
}

impl Engine {
    async fn start() -> Self {
        let (engine, folder) = (CrowdSec::start().await.unwrap(), tempfile::tempdir().unwrap());
        put(&folder.path().join("key"), &format!("{BOUNCER_KEY}\n"));
        Self { engine, folder }
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    fn options(&self, config: &str) -> Options {
        let key_file = self.key_file();
        let options = Options::config(config).flag("--crowdsec-url", &self.engine.url);
        options.flag("--crowdsec-key-file", key_file.to_str().unwrap())
    }

    /// An instance behind a proxy on this machine.
    async fn behind_proxy(&self, config: &str) -> Instance {
        self.options(config).flag("--trusted-proxies", "127.0.0.1").start().await
    }
}

/// The statuses of the three routes, the same over HTTP/1.1 and HTTP/2.
async fn statuses(instance: &Instance, from: &str) -> Option<[u16; 3]> {
    let mut all = Vec::new();
    for client in [Client::plain(instance.http), Client::plain(instance.http).speaking(Speaks::H2)] {
        let mut found = [0; 3];
        for (at, host) in ["plain.test", "closed.test", "open.test"].into_iter().enumerate() {
            let mut connection = client.connect(host).await.ok()?;
            let answer = connection.ask("GET", "/", &[("x-forwarded-for", from)], "").await.ok()?;
            found[at] = answer.status.as_u16();
        }
        all.push(found);
    }
    (all[0] == all[1]).then_some(all[0])
}

async fn becomes(instance: &Instance, from: &str, expected: [u16; 3]) {
    eventually(&format!("{expected:?} to {from}"), STUCK, async || {
        (statuses(instance, from).await == Some(expected)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whom_the_engine_bans_gets_403_through_a_proxy_until_the_last_ban_ends() {
    let engine = Engine::start().await;
    let first = engine.engine.ban(BAD);
    let second = engine.engine.add("Range", "192.0.2.0/24", "captcha", Duration::from_secs(3600));
    let instance = engine.behind_proxy(&config().await).await;
    assert_eq!(statuses(&instance, BAD).await, Some([403; 3]), "an instance that is ready has asked");
    assert_eq!(statuses(&instance, GOOD).await, Some([200; 3]));
    let client = Client::plain(instance.http);
    let mut connection = client.connect("plain.test").await.unwrap();
    let page = connection.ask("GET", "/", &[("x-forwarded-for", BAD), ("accept", "text/html")], "").await.unwrap();
    assert!(page.text().contains("banned") && !page.text().contains("cscli"), "{}", page.text());
    let upgrade = [
        ("x-forwarded-for", BAD),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
    ];
    let mut connection = client.connect("plain.test").await.unwrap();
    assert_eq!(connection.ask("GET", "/", &upgrade, "").await.unwrap().status, 403);
    let (_, told, _) = instance.ask(["explain", "http://plain.test/", "--from", BAD]);
    assert!(told.contains("403 banned: CrowdSec has banned 192.0.2.7, as `cscli` decided"), "{told}");
    let (_, told, _) = instance.ask(["explain", "http://closed.test/", "--from", GOOD]);
    assert!(told.contains("203.0.113.7 is let in, for CrowdSec has not banned it"), "{told}");
    let metrics = instance.get("/metrics").await.unwrap().text();
    for line in [
        "gangway_crowdsec_up 1",
        "gangway_crowdsec_decisions{about=\"ipv4\",origin=\"cscli\"} 2",
        "gangway_crowdsec_dropped_total{ip_type=\"ipv4\",origin=\"cscli\"} 8",
        "gangway_answers_total{reason=\"banned\"} 8",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    eventually("the engine is told", STUCK, async || (!engine.engine.reported().is_empty()).then_some(())).await;
    // The first ban goes, the second one holds.
    engine.engine.delete(first);
    let third = engine.engine.ban(GOOD);
    becomes(&instance, GOOD, [403; 3]).await;
    assert_eq!(statuses(&instance, BAD).await, Some([403; 3]));
    engine.engine.delete(second);
    engine.engine.delete(third);
    becomes(&instance, BAD, [200; 3]).await;
    assert_eq!(statuses(&instance, GOOD).await, Some([200; 3]));
}

#[tokio::test]
async fn a_connection_of_a_banned_client_is_closed_before_anything_is_read() {
    let engine = Engine::start().await;
    engine.engine.ban("127.0.0.2");
    let instance = engine.options(&config().await).start().await;
    let (good, bad) = ("127.0.0.3".parse().unwrap(), "127.0.0.2".parse().unwrap());
    for (from, is_answered) in [(good, true), (bad, false)] {
        let client = Client::plain(instance.http).leaving_from(from);
        let answer = client.get("plain.test", "/").await;
        assert_eq!(answer.is_ok(), is_answered, "{from}: {answer:?}");
    }
    let metrics = instance.get("/metrics").await.unwrap().text();
    assert!(metrics.contains("gangway_connections_refused_total{reason=\"banned\"} 1"), "{metrics}");
    assert!(metrics.contains("gangway_crowdsec_dropped_total{ip_type=\"ipv4\",origin=\"cscli\"} 1"), "{metrics}");
    // A connection from before a ban goes on, and its requests do not.
    let mut connection = Client::plain(instance.http).leaving_from(good).connect("plain.test").await.unwrap();
    assert_eq!(connection.ask("GET", "/", &[], "").await.unwrap().status, 200);
    engine.engine.ban("127.0.0.3");
    eventually("the ban counts", STUCK, async || {
        Client::plain(instance.http).leaving_from(good).get("plain.test", "/").await.err()
    })
    .await;
    assert_eq!(connection.ask("GET", "/", &[], "").await.unwrap().status, 403);
}

#[tokio::test]
async fn before_the_engine_has_told_anything_only_closed_routes_are_closed() {
    let config = config().await;
    // All at once: each waits for the next question.
    let mut running = Vec::new();
    for (what, wrong) in [
        ("a failure", reply(500, "{}")),
        ("a key that is not known", reply(403, "{\"message\":\"access forbidden\"}")),
        ("another answer", reply(200, "{\"message\":\"hello\"}")),
        ("half an answer", reply(200, "{\"new\":[{\"id\":1,\"sco")),
        ("no HTTP", b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()),
    ] {
        let engine = Engine::start().await;
        engine.engine.ban(BAD);
        engine.engine.answer_all_with(Some(wrong));
        let instance = engine.behind_proxy(&config).await;
        for from in [BAD, GOOD] {
            assert_eq!(statuses(&instance, from).await, Some([200, 503, 200]), "{what}");
        }
        let found = instance.diagnosed(&["G251"]).await.to_string();
        assert!(found.contains("nobody is kept out yet") && !found.contains(BOUNCER_KEY), "{what}: {found}");
        let (_, told, _) = instance.ask(["explain", "http://closed.test/", "--from", GOOD]);
        assert!(told.contains("503 route-closed: the CrowdSec engine has not told yet who is banned"), "{told}");
        engine.engine.answer_all_with(None);
        running.push((engine, instance));
    }
    for (engine, instance) in &mut running {
        becomes(instance, BAD, [403; 3]).await;
        assert_eq!(statuses(instance, GOOD).await, Some([200; 3]));
        instance.diagnosed(&[]).await;
        let log = instance.logged("resolved");
        assert!(!log.contains(BOUNCER_KEY));
        // From now on the last decisions stay in force.
        engine.engine.answer_all_with(Some(reply(500, "{}")));
    }
    for (engine, instance) in &mut running {
        let found = instance.diagnosed(&["G251"]).await.to_string();
        assert!(found.contains("stay in force"), "{found}");
        assert_eq!(statuses(instance, BAD).await, Some([403; 3]));
        assert_eq!(statuses(instance, GOOD).await, Some([200; 3]));
        // It comes back with other decisions, as from a new volume.
        engine.engine.forget();
        engine.engine.ban(GOOD);
        engine.engine.answer_all_with(None);
    }
    for (_, instance) in &running {
        becomes(instance, GOOD, [403; 3]).await;
        assert_eq!(statuses(instance, BAD).await, Some([200; 3]));
    }
}

#[tokio::test]
async fn decisions_about_countries_need_a_database_and_say_so() {
    let engine = Engine::start().await;
    engine.engine.add("Country", "FR", "ban", Duration::from_secs(3600));
    engine.engine.add("Username", "ann", "ban", Duration::from_secs(3600));
    let config = config().await;
    let instance = engine.behind_proxy(&config).await;
    assert_eq!(statuses(&instance, FRENCH).await, Some([200, 503, 200]));
    let found = instance.diagnosed(&["G252"]).await.to_string();
    assert!(found.contains("countries") && found.contains("--geoip"), "{found}");
    let database = engine.folder.path().join("countries.mmdb");
    let content = mmdb::countries(&[("198.51.100.0/24", "FR"), ("203.0.113.0/24", "DE")]);
    std::io::Write::write_all(&mut std::fs::File::create(&database).unwrap(), &content).unwrap();
    let options = engine.options(&config).flag("--trusted-proxies", "127.0.0.1");
    let instance = options.flag("--geoip", database.to_str().unwrap()).start().await;
    assert_eq!(statuses(&instance, FRENCH).await, Some([403; 3]));
    assert_eq!(statuses(&instance, GOOD).await, Some([200; 3]));
    instance.diagnosed(&[]).await;
}

#[tokio::test]
async fn another_key_counts_without_a_restart() {
    let engine = Engine::start().await;
    engine.engine.ban(BAD);
    let key_file: &Path = &engine.key_file();
    put(key_file, "not the key");
    let instance = engine.behind_proxy(&config().await).await;
    let found = instance.diagnosed(&["G251"]).await.to_string();
    assert!(found.contains("refuses the key with 403") && !found.contains("not the key"), "{found}");
    put(key_file, BOUNCER_KEY);
    becomes(&instance, BAD, [403; 3]).await;
}

/// The statuses of a harmless request and of an attack, at a route that is closed on doubt and at one that is open.
async fn inspected(instance: &Instance) -> Option<[u16; 4]> {
    let mut found = [0; 4];
    for (at, host) in ["closed.test", "open.test"].into_iter().enumerate() {
        let mut connection = Client::plain(instance.http).connect(host).await.ok()?;
        for (turn, body) in ["a=b", ATTACK].into_iter().enumerate() {
            let fields = [("x-forwarded-for", GOOD)];
            found[2 * at + turn] = connection.ask("POST", "/", &fields, body).await.ok()?.status.as_u16();
        }
    }
    Some(found)
}

#[tokio::test]
async fn the_firewall_is_asked_with_the_same_key_and_its_state_is_told() {
    let (engine, component) = (Engine::start().await, AppsecComponent::start().await.unwrap());
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let route = |name: &str, appsec: &str| {
        format!(
            "[routes.{name}]\nhost = \"{name}.test\"\nupstream = \"http://{app}\"\nhttps-redirect = false\n\
             appsec = \"{appsec}\"\n"
        )
    };
    let config = route("closed", "closed") + &route("open", "open");
    let options = engine.options(&config).flag("--trusted-proxies", "127.0.0.1");
    let mut instance = options.flag("--crowdsec-appsec-url", &component.url).start().await;
    assert_eq!(inspected(&instance).await, Some([200, 403, 200, 403]));
    instance.diagnosed(&[]).await;
    let last = component.asked().pop().unwrap();
    assert_eq!((last.field("x-crowdsec-appsec-ip"), last.field("x-crowdsec-appsec-api-key")), (GOOD, BOUNCER_KEY));
    let (_, told, _) = instance.ask(["explain", "http://closed.test/", "--from", GOOD]);
    assert!(told.contains("CrowdSec AppSec is asked") && told.contains("503 appsec-unavailable"), "{told}");
    let metrics = instance.get("/metrics").await.unwrap().text();
    for line in [
        "gangway_crowdsec_appsec_up 1",
        "gangway_crowdsec_appsec_requests_total{outcome=\"allowed\"} 2",
        "gangway_crowdsec_appsec_requests_total{outcome=\"blocked\"} 2",
        "gangway_crowdsec_dropped_total{ip_type=\"ipv4\",origin=\"appsec\"} 2",
        "gangway_answers_total{reason=\"appsec-blocked\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    // Whom the engine has banned is nobody to ask about.
    let ban = engine.engine.ban(GOOD);
    becomes_inspected(&instance, [403; 4]).await;
    let before = component.asked().len();
    assert_eq!(inspected(&instance).await, Some([403; 4]));
    assert_eq!(component.asked().len(), before);
    engine.engine.delete(ban);
    becomes_inspected(&instance, [200, 403, 200, 403]).await;
    put(&engine.key_file(), "not the key");
    let found = instance.diagnosed(&["G251", "G254"]).await.to_string();
    assert!(found.contains("refuses the key with 401") && !found.contains("not the key"), "{found}");
    put(&engine.key_file(), BOUNCER_KEY);
    becomes_inspected(&instance, [200, 403, 200, 403]).await;
    instance.diagnosed(&[]).await;
    drop(component);
    becomes_inspected(&instance, [503, 503, 200, 200]).await;
    let found = instance.diagnosed(&["G254"]).await.to_string();
    assert!(found.contains("cannot be asked") && found.contains("listen_addr"), "{found}");
    assert!(instance.get("/metrics").await.unwrap().text().contains("gangway_crowdsec_appsec_up 0"));
    assert!(!instance.logged("AppSec").contains(BOUNCER_KEY));
}

async fn becomes_inspected(instance: &Instance, expected: [u16; 4]) {
    let is_so = async || (inspected(instance).await == Some(expected)).then_some(());
    eventually(&format!("{expected:?}"), STUCK, is_so).await;
}

#[tokio::test]
async fn without_an_engine_a_route_with_the_key_is_closed() {
    let instance = Options::config(&config().await).flag("--trusted-proxies", "127.0.0.1").start().await;
    assert_eq!(statuses(&instance, GOOD).await, Some([200, 503, 503]));
    let found = instance.diagnosed(&["G250", "G250"]).await.to_string();
    assert!(found.contains("--crowdsec-url"), "{found}");
}
