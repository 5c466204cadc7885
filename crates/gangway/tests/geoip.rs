//! A running instance with databases of places.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::fs;
use std::path::{Path, PathBuf};

use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::mmdb::{self, Mmdb};
use gangway_testkit::wait::eventually;
use running::{Instance, Options, STUCK};
use tempfile::TempDir;

const GERMAN: &str = "203.0.113.7";
const FRENCH: &str = "198.51.100.7";

/// Where Germany is, and who is in France.
fn countries(german: &str) -> Vec<u8> {
    mmdb::countries(&[("203.0.113.0/24", german), ("198.51.100.0/24", "FR")])
}

fn systems() -> Vec<u8> {
    mmdb::autonomous_systems(&[("203.0.113.0/24", 64_500)])
}

/// Puts a whole file in place at once.
fn put(path: &Path, content: &[u8]) {
    let beside = path.with_extension("beside");
    write_in_place(&beside, content);
    fs::rename(beside, path).unwrap();
}

fn write_in_place(path: &Path, content: &[u8]) {
    std::io::Write::write_all(&mut fs::File::create(path).unwrap(), content).unwrap();
}

/// The config of two routes: one for people in Germany, one for all others.
async fn config() -> String {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let route = |name: &str, list: &str| {
        format!(
            "[routes.{name}]\nhost = \"{name}.test\"\nupstream = \"http://{app}\"\nhttps-redirect = false\n{list}\n"
        )
    };
    route("german", "allow = \"country:DE\"") + &route("foreign", "deny = \"country:DE\"") + &route("plain", "")
}

async fn start(config: &str, files: &[&Path]) -> Instance {
    let mut options = Options::config(config).flag("--trusted-proxies", "127.0.0.1");
    for file in files {
        options = options.flag("--geoip", file.to_str().unwrap());
    }
    options.start().await
}

/// The statuses that both routes answer with, the same over HTTP/1.1 and HTTP/2.
async fn statuses(instance: &Instance, from: &str) -> Option<[u16; 2]> {
    let mut all = Vec::new();
    for client in [Client::plain(instance.http), Client::plain(instance.http).speaking(Speaks::H2)] {
        let mut found = [0; 3];
        for (at, host) in ["german.test", "foreign.test", "plain.test"].into_iter().enumerate() {
            let mut connection = client.connect(host).await.ok()?;
            let answer = connection.ask("GET", "/", &[("x-forwarded-for", from)], "").await.ok()?;
            found[at] = answer.status.as_u16();
        }
        assert_eq!(found[2], 200, "a route that names no place is served whatever the files are");
        all.push([found[0], found[1]]);
    }
    (all[0] == all[1]).then_some(all[0])
}

async fn becomes(instance: &Instance, what: &str, from: &str, expected: [u16; 2]) {
    eventually(&format!("{what}: {expected:?} to {from}"), STUCK, async || {
        (statuses(instance, from).await == Some(expected)).then_some(())
    })
    .await;
}

/// By what a file can be replaced so that it is of no use any more.
type Fault = (&'static str, fn(&Path));

const FAULTS: [Fault; 12] = [
    ("removed", |file| fs::remove_file(file).unwrap()),
    ("a folder", |file| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    }),
    ("a link to nowhere", |file| {
        fs::remove_file(file).unwrap();
        std::os::unix::fs::symlink("nowhere", file).unwrap();
    }),
    ("a pipe", |file| {
        fs::remove_file(file).unwrap();
        let made = std::process::Command::new("mkfifo").arg(file).status().unwrap();
        assert!(made.success());
    }),
    ("a device without an end", |file| {
        fs::remove_file(file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", file).unwrap();
    }),
    ("emptied", |file| write_in_place(file, b"")),
    ("rubbish", |file| put(file, &[0xAB; 10_000])),
    ("half of it", |file| {
        let whole = countries("FR");
        write_in_place(file, &whole[..whole.len() / 2]);
    }),
    ("an archive", |file| put(file, b"\x1f\x8b\x08\x00GeoLite2-Country_20261101.tar.gz")),
    ("of another type", |file| {
        let other = Mmdb::of("GeoIP2-Connection-Type", [("0.0.0.0/1", mmdb::text("Cable"))].into_iter());
        put(file, &other.bytes());
    }),
    ("without IPv6", |file| {
        let mut other = Mmdb::of("GeoLite2-Country", [("0.0.0.0/1", mmdb::country("FR"))].into_iter());
        other.ip_version = 4;
        put(file, &other.bytes());
    }),
    ("larger than any", |file| fs::File::create(file).unwrap().set_len(200 << 20).unwrap()),
];

struct Files {
    _folder: TempDir,
    countries: PathBuf,
    systems: PathBuf,
}

fn files() -> Files {
    let folder = tempfile::tempdir().unwrap();
    let (countries, systems) = (folder.path().join("countries.mmdb"), folder.path().join("systems.mmdb"));
    Files { _folder: folder, countries, systems }
}

/// Takes away what a fault has left, and puts a whole file there.
fn repair(file: &Path) {
    if file.is_dir() {
        fs::remove_dir(file).unwrap();
    }
    put(file, &countries("DE"));
}

#[tokio::test]
async fn databases_are_followed_however_they_are_replaced() {
    let (config, files) = (config().await, files());
    put(&files.countries, &countries("DE"));
    let instance = start(&config, &[&files.countries]).await;
    assert_eq!(statuses(&instance, GERMAN).await, Some([200, 403]), "an instance that is ready has read the files");
    assert_eq!(statuses(&instance, FRENCH).await, Some([403, 200]));
    put(&files.countries, &countries("AT"));
    becomes(&instance, "another file", GERMAN, [403, 200]).await;
    write_in_place(&files.countries, &countries("DE"));
    becomes(&instance, "written in place", GERMAN, [200, 403]).await;
    instance.diagnosed(&[]).await;
    // The other kind under the same name.
    put(&files.countries, &systems());
    let found = instance.diagnosed(&["G241"]).await.to_string();
    assert!(found.contains("not what it told before"), "{found}");
    assert_eq!(statuses(&instance, GERMAN).await, Some([200, 403]));
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_last_data_in_force() {
    let config = config().await;
    // All at once: each takes a few looks.
    let mut running = Vec::new();
    for (what, fault) in FAULTS {
        let files = files();
        put(&files.countries, &countries("DE"));
        let instance = start(&config, &[&files.countries]).await;
        assert_eq!(statuses(&instance, GERMAN).await, Some([200, 403]), "{what}");
        fault(&files.countries);
        running.push((what, files, instance));
    }
    for (what, files, instance) in &mut running {
        let found = instance.diagnosed(&["G241"]).await.to_string();
        assert!(found.contains("countries.mmdb") && found.contains("stays in force"), "{what}: {found}");
        assert_eq!(statuses(instance, GERMAN).await, Some([200, 403]), "{what}");
        assert_eq!(statuses(instance, FRENCH).await, Some([403, 200]), "{what}");
        instance.logged("G241");
        repair(&files.countries);
    }
    for (_, _, instance) in &mut running {
        instance.diagnosed(&[]).await;
        instance.logged("resolved");
    }
}

#[tokio::test]
async fn a_database_that_was_never_whole_closes_the_routes_that_need_it() {
    let config = config().await;
    let mut running = Vec::new();
    for (what, fault) in FAULTS {
        let files = files();
        put(&files.countries, &countries("DE"));
        fault(&files.countries);
        let instance = start(&config, &[&files.countries]).await;
        for from in [GERMAN, FRENCH, "192.168.1.7"] {
            assert_eq!(statuses(&instance, from).await, Some([503, 503]), "{what}: {from}");
        }
        let found = instance.diagnosed(&["G241"]).await.to_string();
        assert!(found.contains("are closed"), "{what}: {found}");
        repair(&files.countries);
        running.push((what, files, instance));
    }
    for (what, _, instance) in running {
        becomes(&instance, what, GERMAN, [200, 403]).await;
        instance.diagnosed(&[]).await;
    }
}

#[tokio::test]
async fn each_kind_is_asked_of_its_own_file_and_what_is_missing_is_said() {
    let (config, files) = (config().await, files());
    // No file tells countries.
    put(&files.systems, &systems());
    let instance = start(&config, &[&files.systems]).await;
    assert_eq!(statuses(&instance, GERMAN).await, Some([503, 503]));
    let found = instance.diagnosed(&["G242"]).await.to_string();
    assert!(found.contains("--geoip") && found.contains("1 more need a database of countries"), "{found}");
    // The same file twice, and one that is not there yet.
    put(&files.countries, &countries("DE"));
    let copy = files.countries.with_extension("copy");
    let instance = start(&config, &[&files.countries, &copy]).await;
    instance.diagnosed(&["G241"]).await;
    assert_eq!(statuses(&instance, GERMAN).await, Some([200, 403]), "one that is whole is enough");
    put(&copy, &countries("FR"));
    let found = instance.diagnosed(&["G243"]).await.to_string();
    assert!(found.contains("countries.mmdb` counts"), "{found}");
    assert_eq!(statuses(&instance, GERMAN).await, Some([200, 403]));
}

#[tokio::test]
async fn without_the_flag_the_routes_are_closed_and_say_so() {
    let config = config().await;
    let instance = Options::config(&config).flag("--trusted-proxies", "127.0.0.1").start().await;
    assert_eq!(statuses(&instance, GERMAN).await, Some([503, 503]));
    let found = instance.diagnosed(&["G240", "G240"]).await.to_string();
    assert!(found.contains("--geoip"), "{found}");
    // The file does not bring it in force: a restart does, and until then the routes stay closed.
    let files = files();
    put(&files.countries, &countries("DE"));
    instance.put_config(&format!("geoip = \"{}\"\n{config}", files.countries.display()));
    instance.diagnosed(&["G240", "G240", "G906"]).await;
    assert_eq!(statuses(&instance, GERMAN).await, Some([503, 503]));
    let restarted = Options::config(&format!("geoip = [\"{}\"]\n{config}", files.countries.display()));
    let instance = restarted.flag("--trusted-proxies", "127.0.0.1").start().await;
    assert_eq!(statuses(&instance, GERMAN).await, Some([200, 403]));
}

#[tokio::test]
async fn explain_says_where_a_client_is_and_what_follows() {
    let (config, files) = (config().await, files());
    put(&files.countries, &countries("DE"));
    let instance = start(&config, &[&files.countries]).await;
    for (host, from, said) in [
        ("german.test", GERMAN, "is let in, for `allow` names `country:DE`; its country is DE"),
        (
            "german.test",
            FRENCH,
            "403 forbidden: 198.51.100.7 may not come in, for `allow` does not name it; its country is FR",
        ),
        ("foreign.test", GERMAN, "403 forbidden: 203.0.113.7 may not come in, for `deny` names `country:DE`"),
        ("foreign.test", "192.168.1.7", "is let in, for `deny` does not name it; its country is unknown"),
    ] {
        let (_, people, err) = instance.ask(["explain", &format!("http://{host}/"), "--from", from]);
        assert!(people.contains(said), "{host} {from}: {people}{err}");
    }
    let files = self::files();
    let instance = start(&config, &[&files.countries]).await;
    let (_, people, _) = instance.ask(["explain", "http://foreign.test/", "--from", FRENCH]);
    assert!(people.contains("503 route-closed: no file of `--geoip` tells the country of 198.51.100.7"), "{people}");
}
