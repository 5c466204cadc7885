//! Named listeners of a running instance: flags and tables, which routes they serve, and what is said about them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::net::SocketAddr;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::wait::eventually;
use running::{Instance, Options, STUCK};

const V1: &str = "PROXY TCP4 203.0.113.7 192.0.2.1 12345 443\r\n";

/// Where a listener is open.
async fn address(instance: &Instance, name: &str) -> SocketAddr {
    let status = instance.api("status").await;
    let listeners = status["listening"]["listeners"].as_array().unwrap();
    let found = listeners.iter().find(|listener| listener["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no `{name}` in {status}"));
    found["addresses"][0].as_str().unwrap().parse().unwrap()
}

async fn status_of(client: &Client, host: &str) -> u16 {
    client.get(host, "/echo").await.unwrap().status.as_u16()
}

fn route(name: &str, app: SocketAddr, more: &str) -> String {
    format!("[routes.{name}]\nhost = \"{name}.test\"\nupstream = \"http://{app}\"\nhttps-redirect = false\n{more}\n")
}

#[tokio::test]
async fn routes_are_served_on_their_listeners_and_everything_says_so() {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let file = route("inside", app, "listen = \"internal\"")
        + &route("both", app, "listen = [\"internal\", \"http\"]")
        + &route("everywhere", app, "")
        + &route("lost", app, "listen = \"internl\"");
    let mut instance = Options::config(&file)
        .flag("--listen", "internal=127.0.0.1:0,plain mixed=127.0.0.1:0,auto")
        .flag("--access-log", "-")
        .flag("--access-log-format", "json")
        .start()
        .await;
    let (internal, mixed) = (address(&instance, "internal").await, address(&instance, "mixed").await);
    for speaks in [Speaks::H1, Speaks::H2] {
        for (at, host, expected) in [
            (internal, "inside.test", 200),
            (internal, "both.test", 200),
            (internal, "everywhere.test", 200),
            (instance.http, "inside.test", 404),
            (instance.http, "both.test", 200),
            (instance.http, "everywhere.test", 200),
            (mixed, "inside.test", 404),
            (mixed, "everywhere.test", 200),
            // Nobody can tell what it was to be kept from.
            (instance.http, "lost.test", 503),
            (internal, "lost.test", 503),
        ] {
            assert_eq!(status_of(&Client::plain(at).speaking(speaks), host).await, expected, "{host} at {at}");
        }
    }
    let found = instance.diagnosed(&["G270"]).await;
    assert!(found["diagnostics"][0]["help"].as_str().unwrap().contains("`internal`"), "{found}");

    let (code, said, _) = instance.ask(["explain", "inside.test", "--listener", "internal"]);
    assert!(code == 0 && said.contains("listener      internal"), "{code}: {said}");
    assert!(said.contains(&format!("http://inside.test:{}/", internal.port())), "{said}");
    let (code, said, _) = instance.ask(["explain", "http://inside.test"]);
    assert!(code == 1 && said.contains("listener `http` is not `internal`"), "{code}: {said}");
    let (code, _, said) = instance.ask(["explain", "inside.test", "--listener", "other"]);
    assert!(code != 0 && said.contains("there is no listener `other`"), "{code}: {said}");
    let (_, said, _) = instance.ask(["routes"]);
    assert!(said.contains("off on internal"), "no listener of it has TLS: {said}");
    let (_, said, _) = instance.ask(["status"]);
    assert!(said.contains(&format!("internal      {internal} (plain)")), "{said}");
    let metrics = instance.get("/metrics").await.unwrap().text();
    assert!(metrics.contains("gangway_connections{listener=\"internal\"}"), "{metrics}");
    instance.signal(rustix::process::Signal::TERM);
    assert_eq!(instance.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_table_says_whose_headers_are_read() {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let file = "[listeners.edge]\naddress = \"127.0.0.1:0\"\nprotocol = \"plain\"\nproxy-protocol = \"127.0.0.1\"\n"
        .to_owned()
        + "[listeners.http]\nproxy-protocol = \"192.0.2.1\"\n"
        + &route("app", app, "allow = \"203.0.113.7\"");
    let instance = Options::config(&file).start().await;
    let edge = Client::plain(address(&instance, "edge").await);
    assert_eq!(status_of(&edge.clone().beginning_with(V1), "app.test").await, 200);
    assert!(edge.get("app.test", "/").await.is_err(), "without a header");
    assert_eq!(status_of(&Client::plain(instance.http), "app.test").await, 403, "another peer has none");
}

#[tokio::test]
async fn a_table_that_changes_needs_a_restart_and_one_that_is_wrong_leaves_the_last_file() {
    let listener = |address: &str| format!("[listeners.edge]\naddress = \"{address}\"\nprotocol = \"plain\"\n");
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let instance = Options::config(&(listener("127.0.0.1:0") + &route("a", app, "listen = \"edge\""))).start().await;
    let edge = Client::plain(address(&instance, "edge").await);
    assert_eq!(status_of(&edge, "a.test").await, 200);
    // Routes follow the file, and go by the listeners that are open.
    instance.put_config(&(listener("127.0.0.1:1") + &route("b", app, "listen = \"edge\"")));
    let found = instance.diagnosed(&["G906"]).await;
    assert_eq!(found["diagnostics"][0]["label"], "listeners.edge", "{found}");
    eventually("the route is in force", STUCK, async || (status_of(&edge, "b.test").await == 200).then_some(())).await;
    instance.put_config(&route("c", app, "listen = \"edge\""));
    instance.diagnosed(&["G906"]).await;
    eventually("the route is in force", STUCK, async || (status_of(&edge, "c.test").await == 200).then_some(())).await;
    instance.put_config(&(listener("nowhere") + &route("d", app, "")));
    instance.diagnosed(&["G902", "G906"]).await;
    assert_eq!(instance.routes().await, ["c"]);
    instance.put_config(&(listener("127.0.0.1:0") + &route("e", app, "")));
    instance.diagnosed(&[]).await;
}

#[tokio::test]
async fn a_wrong_listener_is_named_before_anything_starts() {
    for (flag, named) in [
        ("a=:1,udp", "unknown"),
        ("https=:1,tls", "`https` has a flag of its own"),
        ("a=127.0.0.1:7001,plain;b=127.0.0.1:7001,plain", "`127.0.0.1:7001` is there twice"),
    ] {
        let (code, _, said) = running::run(["serve", "--docker", "none", "--data", "/nonexistent", "--listen", flag]);
        assert!(code == 2 && said.contains("--listen") && said.contains(named), "{code}: {said}");
    }
}

#[tokio::test]
async fn a_successor_gets_the_sockets_of_a_listener_whatever_its_name() {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = route("first", app, "listen = \"inside\"");
    let instance = Options::config(&file).flag("--listen", &format!("inside={port},plain")).start().await;
    let client = Client::plain(port);
    assert_eq!(status_of(&client, "first.test").await, 200);

    let beside = instance.folder.path().join("beside.toml");
    running::put(&beside, &route("second", app, "listen = \"moved\""));
    let mut successor = running::gangway();
    successor.args(["serve", "--take-over", "--docker", "none", "--admin", "127.0.0.1:0"]);
    successor.args(["--http", &instance.http.to_string(), "--https", &instance.https.to_string()]);
    successor.args(["--listen", &format!("moved={port},plain")]);
    successor.arg("--config").arg(&beside).arg("--data").arg(instance.folder.path().join("data"));
    let mut successor = successor.stderr(std::process::Stdio::null()).spawn().unwrap();
    // Each is answered by one of the two, and none is refused.
    eventually("the successor serves there", STUCK, async || {
        (status_of(&client, "second.test").await == 200).then_some(())
    })
    .await;
    successor.kill().unwrap();
    successor.wait().unwrap();
}
