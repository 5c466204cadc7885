//! Named listeners of a running instance: flags and tables, which routes they serve, and what is said about them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::net::SocketAddr;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::ports;
use gangway_testkit::raw::{Asked, Raw};
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

fn listener(name: &str, address: &str, more: &str) -> String {
    format!("[listeners.{name}]\naddress = \"{address}\"\nprotocol = \"plain\"\n{more}\n")
}

/// Where the listener is once it is there.
async fn opened(instance: &Instance, name: &str) -> SocketAddr {
    eventually("the listener is open", STUCK, async || {
        let status = instance.api("status").await;
        let listeners = status["listening"]["listeners"].as_array()?.clone();
        let found = listeners.iter().find(|listener| listener["name"] == name)?;
        found["addresses"][0].as_str()?.parse().ok()
    })
    .await
}

async fn is_closed(address: SocketAddr) {
    eventually("nobody listens", STUCK, async || tokio::net::TcpStream::connect(address).await.is_err().then_some(()))
        .await;
}

#[tokio::test]
async fn listeners_come_and_go_with_the_file_and_leave_the_others_alone() {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let everywhere = route("app", app, "");
    let mut instance = Options::config(&everywhere).start().await;
    let mut lasting = Raw::connect(instance.http).await.unwrap();
    let mut asks = async || {
        lasting.send("GET /echo HTTP/1.1\r\nHost: app.test\r\n\r\n").await.unwrap();
        let answer = lasting.answer(Asked::ForAll).await.unwrap();
        assert_eq!((answer.status, answer.all("connection").first().copied()), (200, None));
    };
    asks().await;
    // The first connection finds a table that knows the listener.
    instance.put_config(
        &(everywhere.clone() + &listener("edge", "127.0.0.1:0", "") + &route("b", app, "listen = \"edge\"")),
    );
    let edge = opened(&instance, "edge").await;
    assert_eq!(status_of(&Client::plain(edge), "b.test").await, 200);
    assert_eq!(status_of(&Client::plain(instance.http), "b.test").await, 404);
    asks().await;

    // Another address: the old one is given up, and its connections are ended with their next response.
    let mut of_old = Raw::connect(edge).await.unwrap();
    of_old.send("GET /echo HTTP/1.1\r\nHost: b.test\r\n\r\n").await.unwrap();
    assert_eq!(of_old.answer(Asked::ForAll).await.unwrap().all("connection"), [] as [&str; 0]);
    let moved = ports::free_address().await;
    instance.put_config(
        &(everywhere.clone() + &listener("edge", &moved.to_string(), "") + &route("b", app, "listen = \"edge\"")),
    );
    is_closed(edge).await;
    assert_eq!(status_of(&Client::plain(moved), "b.test").await, 200);
    of_old.send("GET /echo HTTP/1.1\r\nHost: b.test\r\n\r\n").await.unwrap();
    let last = of_old.answer(Asked::ForAll).await.unwrap();
    assert_eq!((last.status, last.all("connection")), (200, vec!["close"]));
    asks().await;

    // Whose headers are read changes at the same address.
    let proxied = listener("edge", &moved.to_string(), "proxy-protocol = \"127.0.0.1\"\n");
    instance
        .put_config(&(everywhere.clone() + &proxied + &route("b", app, "listen = \"edge\"\nallow = \"203.0.113.7\"")));
    let client = Client::plain(moved).beginning_with(V1);
    eventually("headers are read", STUCK, async || {
        let answer = client.get("b.test", "/echo").await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
    instance.diagnosed(&[]).await;

    instance.put_config(&everywhere);
    is_closed(moved).await;
    let listeners = instance.api("status").await["listening"]["listeners"].clone();
    assert_eq!(listeners.as_array().unwrap().len(), 2, "{listeners}");
    asks().await;
    let line = instance.logged("no longer listening");
    assert!(line.contains("listener=edge") && line.contains(&moved.to_string()), "{line}");
}

#[tokio::test]
async fn a_listener_that_cannot_be_opened_stays_as_it_was_until_it_can() {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let inside = route("a", app, "listen = \"edge\"");
    let instance = Options::config(&(listener("edge", "127.0.0.1:0", "") + &inside)).start().await;
    let edge = address(&instance, "edge").await;
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    instance
        .put_config(&(listener("edge", &taken.to_string(), "") + &listener("more", &taken.to_string(), "") + &inside));
    // The file is wrong: nothing of it is in force.
    let found = instance.diagnosed(&["G902"]).await;
    assert!(found["diagnostics"][0]["note"].as_str().unwrap().contains("there twice"), "{found}");
    instance.put_config(&(listener("edge", &taken.to_string(), "") + &listener("more", "127.0.0.1:0", "") + &inside));
    let found = instance.diagnosed(&["G908"]).await;
    let found = &found["diagnostics"][0];
    assert_eq!(found["label"], "listeners.edge", "{found}");
    assert!(found["effect"].as_str().unwrap().contains(&format!("stays as it was, at {edge}")), "{found}");
    assert!(found["note"].as_str().unwrap().contains("a process listens there"), "{found}");
    assert_eq!(status_of(&Client::plain(edge), "a.test").await, 200);
    let more = opened(&instance, "more").await;
    assert_eq!(status_of(&Client::plain(more), "a.test").await, 404, "the others are not concerned");
    drop(other);
    instance.diagnosed(&[]).await;
    assert_eq!(status_of(&Client::plain(taken), "a.test").await, 200);
    is_closed(edge).await;

    // A listener that stays keeps its address from another that was to have it, whatever their names are.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = other.local_addr().unwrap().to_string();
    for name in ["above", "zone"] {
        instance.put_config(&(listener("edge", &elsewhere, "") + &listener(name, &taken.to_string(), "") + &inside));
        instance.diagnosed(&["G908", "G908"]).await;
        assert_eq!(status_of(&Client::plain(taken), "a.test").await, 200, "{name}");
        let (_, said, _) = instance.ask(["status"]);
        assert!(said.contains("not open (plain)"), "{said}");
    }

    // An address within one that is open: the system cannot tell the two apart.
    let port = taken.port();
    instance.put_config(&(listener("edge", &format!("0.0.0.0:{port}"), "") + &inside));
    let found = instance.diagnosed(&["G908"]).await;
    assert!(found["diagnostics"][0]["help"].as_str().unwrap().contains("restart"), "{found}");
    assert_eq!(status_of(&Client::plain(taken), "a.test").await, 200);
    // With another port at once.
    instance.put_config(&(listener("edge", "nowhere", "") + &inside));
    instance.diagnosed(&["G902", "G908"]).await;
    assert_eq!(status_of(&Client::plain(taken), "a.test").await, 200);
}

#[tokio::test]
async fn an_instance_that_has_handed_over_opens_nothing() {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let mut instance = Options::config(&route("a", app, "")).start().await;
    let mut successor = running::gangway();
    successor.args(["serve", "--take-over", "--docker", "none", "--admin", "127.0.0.1:0"]);
    successor.args(["--http", &instance.http.to_string(), "--https", &instance.https.to_string()]);
    successor.arg("--config").arg(instance.config_file()).arg("--data").arg(instance.folder.path().join("data"));
    let mut successor = successor.stderr(std::process::Stdio::null()).spawn().unwrap();
    instance.logged("handed over");
    // Both read the file, and only the successor may have the address: here nobody would accept.
    for turn in 0..8 {
        let edge = ports::free_address().await;
        instance.put_config(&(route("a", app, "") + &listener(&format!("edge-{turn}"), &edge.to_string(), "")));
        eventually("the successor serves there", STUCK, async || {
            let answer = Client::plain(edge).get("a.test", "/echo").await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
    }
    successor.kill().unwrap();
    successor.wait().unwrap();
    // It serves again, and follows what the file says by now.
    opened(&instance, "edge-7").await;
}

#[tokio::test]
async fn a_successor_gets_the_sockets_of_a_listener_that_came_later() {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let instance = Options::config(&route("a", app, "")).start().await;
    let edge = ports::free_address().await;
    instance.put_config(&(route("a", app, "") + &listener("edge", &edge.to_string(), "")));
    assert_eq!(opened(&instance, "edge").await, edge);
    let beside = instance.folder.path().join("beside.toml");
    running::put(&beside, &(route("second", app, "") + &listener("edge", &edge.to_string(), "")));
    let mut successor = running::gangway();
    successor.args(["serve", "--take-over", "--docker", "none", "--admin", "127.0.0.1:0"]);
    successor.args(["--http", &instance.http.to_string(), "--https", &instance.https.to_string()]);
    successor.arg("--config").arg(&beside).arg("--data").arg(instance.folder.path().join("data"));
    let mut successor = successor.stderr(std::process::Stdio::null()).spawn().unwrap();
    let client = Client::plain(edge);
    eventually("the successor serves there", STUCK, async || {
        (status_of(&client, "second.test").await == 200).then_some(())
    })
    .await;
    successor.kill().unwrap();
    successor.wait().unwrap();
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
    let port = ports::free_address().await;
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
