//! What passes between a client and an app, to the byte.

mod common;

use std::time::Duration;

use common::{Plane, route};
use gangway_testkit::raw::{Raw, RawAnswer, RawUpstream, Then};
use gangway_testkit::wait::eventually;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The example of RFC 6455, section 1.3.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

async fn serving(answer: &str, then: Then) -> (Plane, RawUpstream) {
    let upstream = RawUpstream::answering(answer, then).await.expect("a free port");
    let plane = Plane::serving(vec![route("a.localhost", upstream.address)]).await;
    (plane, upstream)
}

async fn connect(plane: &Plane) -> Raw {
    Raw::connect(plane.plane.listening().plain()[0]).await.expect("it listens")
}

/// What one request with these fields got, and what the app was sent of it.
async fn asked(answer: &str, then: Then, fields: &str) -> (RawAnswer, Vec<String>) {
    let (plane, upstream) = serving(answer, then).await;
    let request = format!("GET / HTTP/1.1\r\nHost: a.localhost\r\n{fields}\r\n");
    let answer = connect(&plane).await.ask(request).await.expect("an answer");
    (answer, upstream.received())
}

/// The fields of the one request that an app was sent, names in lower case.
fn fields(received: &[String]) -> Vec<(String, String)> {
    let [request] = received else { panic!("one request: {received:?}") };
    let head = request.split("\r\n\r\n").next().unwrap_or_default();
    let fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()
}

fn all<'f>(fields: &'f [(String, String)], name: &str) -> Vec<&'f str> {
    fields.iter().filter(|(named, _)| named == name).map(|(_, value)| &**value).collect()
}

#[tokio::test]
async fn a_protocol_is_switched_only_for_who_asked_for_it() {
    for fields in ["", "Upgrade: websocket\r\n", "Connection: upgrade\r\nUpgrade: h2c\r\n", "Connection: upgrade\r\n"] {
        let (answer, _) = asked(SWITCHING, Then::Stays, fields).await;
        assert_eq!(answer.status, 502, "{fields:?}");
    }
    let websocket = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{KEY}");
    for wrong in [SWITCHING.replace("s3pP", "t3pP"), SWITCHING.replace("Sec-WebSocket-Accept", "X-Accept")] {
        assert_eq!(asked(&wrong, Then::Stays, &websocket).await.0.status, 502, "{wrong:?}");
    }
    let (answer, _) = asked(SWITCHING, Then::Stays, &websocket).await;
    assert_eq!(answer.status, 101);
}

#[tokio::test]
async fn an_upgrade_is_passed_on_only_where_it_is_one() {
    for given in ["Upgrade: websocket\r\n", "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"] {
        let (answer, received) = asked(OK, Then::Stays, given).await;
        assert_eq!(answer.status, 200, "{given:?}");
        let fields = fields(&received);
        assert!(all(&fields, "upgrade").is_empty() && all(&fields, "http2-settings").is_empty(), "{fields:?}");
    }
    let (plane, upstream) = serving(SWITCHING, Then::Stays).await;
    let mut client = connect(&plane).await;
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nHost: a.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n{KEY}\r\n"
    );
    assert_eq!(client.ask(format!("{upgrade}early")).await.expect("an answer").status, 101);
    client.send("late\r\n\0").await.expect("sent");
    eventually("all of it arrives", Duration::from_secs(5), async || {
        upstream.received().first().is_some_and(|bytes| bytes.ends_with("\r\n\r\nearlylate\r\n\0")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn fields_between_us_and_the_client_stay_there() {
    let given = "Connection: close, X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
                 Proxy-Authorization: Basic eA==\r\nTE: trailers\r\nTrailer: x\r\nX-Outer: 2\r\nUser_Agent: x\r\n";
    let (_, received) = asked(OK, Then::Stays, given).await;
    let fields = fields(&received);
    let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
    for gone in ["x-inner", "keep-alive", "proxy-connection", "proxy-authorization", "trailer", "user_agent"] {
        assert!(!names.contains(&gone), "{gone}: {names:?}");
    }
    assert_eq!(all(&fields, "x-outer"), ["2"]);
    // This one says what we can do, too: trailers pass.
    assert_eq!((all(&fields, "te"), all(&fields, "connection")), (vec!["trailers"], vec!["TE"]));
    for once in ["host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip"] {
        assert_eq!(all(&fields, once).len(), 1, "{once}: {fields:?}");
    }
}

#[tokio::test]
async fn fields_between_us_and_the_app_stay_there() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Connection: x\r\nServer: app/1\r\nX-Two: a\r\nX-Two: b\r\nContent-Length: 2\r\n\r\nok";
    let (answer, _) = asked(answer, Then::Stays, "").await;
    for gone in ["x-inner", "keep-alive", "proxy-connection"] {
        assert!(answer.all(gone).is_empty(), "{gone}: {:?}", answer.fields);
    }
    assert_eq!(
        (answer.field("server"), answer.all("x-two"), answer.text()),
        ("app/1", vec!["a", "b"], "ok".to_owned())
    );
}

#[tokio::test]
async fn a_body_that_breaks_off_its_framing_is_answered_400_also_when_it_comes_late() {
    let head = "POST / HTTP/1.1\r\nHost: a.localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for broken in ["\r\nGET /smuggled HTTP/1.1\r\nHost: a.localhost\r\n\r\n", "x\r\n", "0\r\nContent-Length: 5\r\n\r\n"]
    {
        // The app answers nothing before the body is complete.
        let (plane, upstream) = serving("", Then::Stays).await;
        let mut client = connect(&plane).await;
        client.send(head).await.expect("sent");
        eventually("the beginning arrives", Duration::from_secs(5), async || {
            upstream.received().first().is_some_and(|bytes| bytes.contains("hello")).then_some(())
        })
        .await;
        let answer = client.ask(broken).await.expect("an answer");
        assert_eq!((answer.status, answer.field("connection")), (400, "close"), "{broken:?}");
        assert!(client.is_closed().await.expect("an end"), "{broken:?}");
        assert!(upstream.received().iter().all(|bytes| !bytes.contains("smuggled")));
    }
}

#[tokio::test]
async fn requests_sent_ahead_in_small_pieces_are_answered_in_turn() {
    let upstream = gangway_testkit::app::App::new("a");
    let (address, _) = gangway_testkit::app::spawn(upstream).await.expect("a free port");
    let plane = Plane::serving(vec![route("a.localhost", address)]).await;
    let mut requests = String::new();
    for number in 0..20 {
        let body = "x".repeat(number);
        requests +=
            &format!("\r\nPOST /echo/{number} HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: {number}\r\n\r\n{body}");
    }
    for piece in [1, 7, 100, 10_000] {
        let mut client = connect(&plane).await;
        client.send_in_pieces(&requests[2..], piece).await.expect("sent");
        for number in 0..20 {
            let answer = client.answer(gangway_testkit::raw::Asked::ForAll).await.expect("an answer");
            assert!(answer.status == 200 && answer.text().contains(&format!("/echo/{number}\"")), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_head_that_began_behind_another_request_has_its_deadline_too() {
    let upstream = RawUpstream::answering(OK, Then::Stays).await.expect("a free port");
    let mut plane = Plane::start_with(|settings| settings.limits.head_time = Duration::from_millis(200));
    plane.serve(vec![route("a.localhost", upstream.address)]).await;
    let mut client = connect(&plane).await;
    let whole = "GET / HTTP/1.1\r\nHost: a.localhost\r\n\r\n";
    assert_eq!(client.ask(format!("{whole}GET / HT")).await.expect("an answer").status, 200);
    assert_eq!(client.ask("").await.expect("an answer").status, 408);
}
