//! The test application itself, since every other test believes it.

use std::sync::Arc;
use std::time::Duration;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::sum::{Pattern, Sum};
use gangway_testkit::wait::eventually;
use gangway_testkit::websocket::WebSocket;
use tokio::net::TcpListener;

#[tokio::test]
async fn what_was_sent_is_shown_as_it_came() {
    let (address, _) = app::spawn(App::new("one")).await.unwrap();
    let sent = "PUT /a%2Fb//c?q=%20 HTTP/1.1\r\nHost: x.test\r\nX-Odd-CASE: 1\r\nx-odd-case: 2\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nx-trailer: t\r\n\r\n";
    let answer = Client::plain(address).raw("x.test", sent.as_bytes()).await.unwrap();
    let told: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(told["target"], "/a%2Fb//c?q=%20");
    assert_eq!(told["headers"][1], serde_json::json!(["X-Odd-CASE", "1"]));
    assert_eq!(told["headers"][2], serde_json::json!(["x-odd-case", "2"]));
    assert_eq!(told["body_sum"], Sum::of(b"abcde"));
}

#[tokio::test]
async fn both_versions_answer_alike_with_tls_and_without() {
    let app = Arc::new(App::new("two"));
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (plain_at, secure_at) = (plain.local_addr().unwrap(), secure.local_addr().unwrap());
    let (config, pem) = app::self_signed(&["x.test"], &["h2", "http/1.1"]);
    tokio::spawn(app::serve(plain, Arc::clone(&app)));
    tokio::spawn(app::serve_tls(secure, Arc::clone(&app), config));
    for client in [Client::plain(plain_at), Client::tls(secure_at, &pem).unwrap()] {
        for speaks in [Speaks::H1, Speaks::H2] {
            let mut connection = client.clone().speaking(speaks).connect("x.test").await.unwrap();
            let answer = connection.get("/bytes/100000").await.unwrap();
            assert_eq!(answer.body, Pattern::bytes(100_000), "{speaks:?}");
            let answer = connection.ask("POST", "/upload", &[], Pattern::bytes(300_000)).await.unwrap();
            assert_eq!(answer.json()["sum"], Sum::of_pattern(300_000), "{speaks:?}");
            assert_eq!(connection.get("/status/503").await.unwrap().status, 503);
            let answer = connection.ask("POST", "/trailers", &[], "echo").await.unwrap();
            assert_eq!(
                (answer.text().as_str(), answer.trailers.unwrap()["grpc-status"].to_str().unwrap()),
                ("echo", "0")
            );
            assert_eq!(connection.get("/hints").await.unwrap().text(), "after hints\n");
            assert!(
                client.clone().speaking(speaks).get("x.test", "/cut/1000").await.is_err(),
                "a cut answer looks cut"
            );
        }
    }
    eventually("every request is over", Duration::from_secs(5), || async { (app.under_way() == 0).then_some(()) })
        .await;
}

#[tokio::test]
async fn an_early_answer_comes_before_the_body() {
    let (address, _) = app::spawn(App::new("three")).await.unwrap();
    let head = b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
    let answer = Client::plain(address).raw("x", head).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn an_expected_continue_is_sent_when_the_body_is_wanted() {
    let (address, _) = app::spawn(App::new("four")).await.unwrap();
    let sent =
        b"POST /upload HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
    let answer = Client::plain(address).raw("x", sent).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_websocket_echoes_and_closes() {
    let (address, _) = app::spawn(App::new("five")).await.unwrap();
    let stream = Client::plain(address).stream("x").await.unwrap();
    let mut socket = WebSocket::open(stream, "x", "/ws").await.unwrap();
    assert_eq!(socket.ask("one").await.unwrap(), "one");
    assert_eq!(socket.ask("two").await.unwrap(), "two");
    socket.close().await.unwrap();
}

#[tokio::test]
async fn health_changes_on_request_and_idle_connections_are_closed() {
    let (address, _) = app::spawn(App::new("six").keep_alive(Duration::from_millis(50))).await.unwrap();
    let client = Client::plain(address);
    assert_eq!(client.get("x", "/health").await.unwrap().status, 200);
    client.get("x", "/health/fail").await.unwrap();
    assert_eq!(client.get("x", "/health").await.unwrap().status, 503);
    let idle = client.raw("x", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(idle.starts_with("HTTP/1.1 200 "), "{idle}");
}
