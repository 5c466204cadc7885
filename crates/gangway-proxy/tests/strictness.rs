//! What is refused, on the wire.

mod common;

use std::time::Duration;

use common::{Plane, app, route};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::raw::Raw;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn status(client: &Client, request: &str) -> String {
    let answer = client.raw("a.localhost", request.as_bytes()).await.expect("answered");
    answer.split(' ').nth(1).unwrap_or("none").to_owned()
}

#[tokio::test]
async fn ambiguous_requests_are_refused_and_the_connection_closed() {
    let (address, app) = app("a").await;
    let plane = Plane::serving(vec![route("a.localhost", address)]).await;
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: a.localhost\r\nHost: a.localhost\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET /\r\n\r\n", "400"),
        ("GET / HTTP/1.1\nHost: a.localhost\n\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 5, 5\r\n\r\nhello", "400"),
        (
            "POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        ("GET / HTTP/1.1\r\nHost: a.localhost\r\nX : y\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a.localhost\r\n folded: y\r\n\r\n", "400"),
        ("GET /#f HTTP/1.1\r\nHost: a.localhost\r\n\r\n", "400"),
        ("TRACE / HTTP/1.1\r\nHost: a.localhost\r\n\r\n", "405"),
        ("CONNECT a.localhost:443 HTTP/1.1\r\nHost: a.localhost\r\n\r\n", "405"),
        ("\x16\x03\x01\x02", "400"),
    ] {
        for client in [plane.http(), plane.https()] {
            assert_eq!(status(&client, request).await, expected, "{request:?}");
        }
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: a.localhost\r\n\r\n", "x".repeat(9000));
    assert_eq!(status(&plane.http(), &long).await, "414");
    let large = format!("GET / HTTP/1.1\r\nHost: a.localhost\r\nX: {}\r\n\r\n", "x".repeat(33_000));
    assert_eq!(status(&plane.http(), &large).await, "431");
    assert_eq!(app.served(), 0);
}

#[tokio::test]
async fn a_smuggled_request_is_never_served() {
    let (address, app) = app("a").await;
    let plane = Plane::serving(vec![route("a.localhost", address)]).await;
    let broken = "POST /echo HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: chunked\r\n\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.localhost\r\n\r\n";
    for client in [plane.http(), plane.https()] {
        assert_eq!(status(&client, broken).await, "400");
        // And the same where the head has gone through already.
        let mut stream = client.stream("a.localhost").await.expect("connected");
        let (head, body) = broken.split_at(broken.find("\r\n\r\n").expect("a head") + 4);
        stream.write_all(head.as_bytes()).await.expect("taken");
        stream.flush().await.expect("sent");
        gangway_testkit::wait::eventually("the head has arrived", Duration::from_secs(5), async || {
            (app.under_way() > 0).then_some(())
        })
        .await;
        stream.write_all(body.as_bytes()).await.expect("taken");
        stream.flush().await.expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
        gangway_testkit::wait::eventually("it is over", Duration::from_secs(5), async || {
            (app.under_way() == 0).then_some(())
        })
        .await;
    }
    assert_eq!(app.served(), 0);
}

#[tokio::test]
async fn requests_sent_ahead_are_served_in_turn() {
    let (address, _) = app("a").await;
    let plane = Plane::serving(vec![route("a.localhost", address)]).await;
    let get = |path: &str, close: &str| format!("GET {path} HTTP/1.1\r\nHost: a.localhost\r\n{close}\r\n");
    let post = "POST /upload HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 5\r\n\r\nhello";
    let requests = format!("{}{post}{}", get("/status/201", ""), get("/status/202", "Connection: close\r\n"));
    for client in [plane.http(), plane.https()] {
        let answers = client.raw("a.localhost", requests.as_bytes()).await.expect("answered");
        let statuses: Vec<_> = answers.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
        assert_eq!(statuses.len(), 3, "{answers}");
        assert!(statuses[0].contains("201") && statuses[1].contains("200") && statuses[2].contains("202"), "{answers}");
    }
}

#[tokio::test]
async fn requests_in_pieces_are_put_together() {
    let (address, _) = app("a").await;
    let plane = Plane::serving(vec![route("a.localhost", address)]).await;
    let request = "POST /upload HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n4;x=\"y\"\r\n you\r\n0\r\nX-Sum: 1\r\n\r\n";
    let mut stream = plane.https().stream("a.localhost").await.expect("connected");
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).await.expect("taken");
        stream.flush().await.expect("sent");
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("closed in order");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"len\":9"), "{answer}");
}

#[tokio::test]
async fn slow_heads_are_cut_and_others_unhurt() {
    let (address, _) = app("a").await;
    let mut plane = Plane::start_with(|settings| settings.limits.head_time = Duration::from_millis(300));
    plane.serve(vec![route("a.localhost", address)]).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = plane.http().stream("a.localhost").await.expect("connected");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.loc").await.expect("taken");
        slow.push(stream);
    }
    assert_eq!(plane.http().get("a.localhost", "/").await.expect("answered").status, 200);
    for mut stream in slow {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[tokio::test]
async fn a_kept_connection_may_be_used_again_until_it_was_idle_too_long() {
    let (address, _) = app("a").await;
    let mut plane = Plane::start_with(|settings| settings.limits.idle = Duration::from_millis(300));
    plane.serve(vec![route("a.localhost", address)]).await;
    for client in [plane.http(), plane.https()] {
        let mut raw = Raw::over(client.stream("a.localhost").await.expect("connected"));
        for _ in 0..2 {
            let answer = raw.ask("GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n").await.expect("answered");
            assert_eq!(answer.status, 200);
        }
        let closed = tokio::time::timeout(Duration::from_secs(20), raw.is_closed()).await;
        assert!(closed.expect("closed when it was idle too long").expect("in order"));
    }
}

#[tokio::test]
async fn http2_is_held_to_the_same_rules() {
    let (address, app) = app("a").await;
    let plane = Plane::serving(vec![route("a.localhost", address)]).await;
    for (served, client) in [plane.https(), plane.http()].into_iter().enumerate() {
        let mut connection = client.speaking(Speaks::H2).connect("a.localhost").await.expect("connected");
        assert_eq!(connection.ask("TRACE", "/", &[], "").await.expect("answered").status, 405);
        let long = format!("/{}", "x".repeat(9000));
        assert_eq!(connection.get(&long).await.expect("answered").status, 414);
        let many: Vec<(String, &str)> = (0..120).map(|n| (format!("x-{n}"), "y")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(connection.ask("GET", "/", &many, "").await.expect("answered").status, 431);
        assert_eq!(connection.ask("GET", "/", &[("host", "b.localhost")], "").await.expect("answered").status, 400);
        assert_eq!(app.served(), served as u64);
        assert_eq!(connection.get("/").await.expect("answered").status, 200);
    }
}

#[tokio::test]
async fn an_unknown_name_gets_an_alert_where_no_certificate_can_be_made_for_it() {
    let (address, _) = app("a").await;
    let plane = Plane::serving(vec![route("a.localhost", address)]).await;
    let error = plane.https().get("b.localhost", "/").await.expect_err("no certificate for it");
    assert!(format!("{error:?}").contains("UnrecognisedName"), "{error:?}");
}
