//! Certificates on demand, from the flag to the answer: the real binary, a real CA, and a service that permits names.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::Client;
use gangway_testkit::pebble::{Ca, Mood, PATIENCE};
use gangway_testkit::ports;
use gangway_testkit::wait::eventually;
use running::Options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A service that permits names that begin with `good`.
async fn permission_service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/allowed", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let len = stream.read(&mut head).await.unwrap();
            let is_good = head[..len].starts_with(b"GET /allowed?domain=good");
            let status = if is_good { "204 Yes" } else { "403 No" };
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").as_bytes()).await;
        }
    });
    url
}

#[tokio::test]
async fn the_first_request_for_a_permitted_host_is_answered_with_its_certificate() {
    let (app, _served) = app::spawn(App::new("shop")).await.unwrap();
    let [http, https] = [ports::free().await, ports::free().await];
    let ca = Ca::start([http, https], &Mood::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let api_root = folder.path().join("root.pem");
    running::put(&api_root, &ca.api_root);
    let ask = permission_service().await;
    let config = format!(
        "[routes.shop]\nhost = \"*\"\nupstream = \"http://{app}\"\n\
         [routes.listed]\nhost = \"listed.example.org\"\nupstream = \"http://{app}\"\n"
    );
    let instance = Options::config(&config)
        .flag("--http", &format!("127.0.0.1:{http}"))
        .flag("--https", &format!("127.0.0.1:{https}"))
        .flag("--acme-ca", &ca.directory)
        .flag("--acme-ca-root", &api_root.display().to_string())
        .variable("GANGWAY_ON_DEMAND", &format!("ask={ask}"))
        .start()
        .await;
    let client = Client::tls(instance.https, &ca.root().await).unwrap();
    let begun = std::time::SystemTime::now();
    assert_eq!(client.get("good.example.net", "/").await.unwrap().status, 200);
    println!("figure: the first request for a host on demand took {:?}", begun.elapsed().unwrap());
    let refused = format!("{:?}", client.get("bad.example.net", "/").await.unwrap_err());
    assert!(refused.contains("UnrecognisedName"), "{refused}");
    eventually("the listed host has one without a question", PATIENCE, async || {
        client.get("listed.example.org", "/").await.ok().filter(|answer| answer.status == 200)
    })
    .await;
    assert_eq!(ca.orders(), 2);
    let (code, out, err) = instance.ask(["certs"]);
    let row = out.lines().find(|line| line.starts_with("good.example.net")).unwrap_or_default();
    assert!(code == 0 && row.contains("acme, on demand"), "{out}{err}");
    let metrics = instance.get("/metrics").await.unwrap();
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in ["gangway_on_demand_total{outcome=\"allowed\"} 1", "gangway_on_demand_total{outcome=\"refused\"} 1"] {
        assert!(text.contains(line), "{text}");
    }
    instance.diagnosed(&["G534"]).await;
}
