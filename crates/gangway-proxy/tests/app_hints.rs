//! What is found out from answers about settings that applications lack.

mod common;

use std::time::Duration;

use common::{Plane, route};
use gangway_model::{Compression, ContentCoding, Middleware, Readiness};
use gangway_proxy::{AppHint, Refusal};
use gangway_testkit::client::Answer;
use gangway_testkit::scripted::{Asked, Scripted};
use gangway_testkit::wait::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HOST: &str = "docs.localhost";

/// The recorded answers, by path.
fn recorded(path: &str) -> &'static str {
    match path {
        "/home-assistant" => include_str!("refusals/home-assistant.http"),
        "/nextcloud-page" => include_str!("refusals/nextcloud-page.http"),
        "/django-form" => include_str!("refusals/django-form.http"),
        "/grafana" => include_str!("refusals/grafana.http"),
        "/rails" => include_str!("refusals/rails.http"),
        "/vite" => include_str!("refusals/vite.http"),
        _ => "HTTP/1.1 404 Not Found\nContent-Type: text/plain\n\nnothing here\n",
    }
}

/// Answers by what was recorded; with `?chunked`, in chunks of seven bytes.
fn application(asked: &Asked) -> Vec<u8> {
    let target = asked.head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path == "/well" {
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    }
    if path == "/socket" {
        let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        let head = format!("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{accept}\r\n\r\n");
        return [head.as_bytes(), b"\x81\x0fInvalid origin!\x88\x02\x03\xf0"].concat();
    }
    let (head, body) = recorded(path).split_once("\n\n").expect("a head and a body");
    let head = head.replace('\n', "\r\n");
    if query != "chunked" {
        return format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
    }
    let mut answer = format!("{head}\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    for piece in body.as_bytes().chunks(7) {
        answer.extend(format!("{:x}\r\n", piece.len()).bytes());
        answer.extend(piece);
        answer.extend(b"\r\n");
    }
    answer.extend(b"0\r\n\r\n");
    answer
}

async fn served(middlewares: Vec<Middleware>) -> (Plane, Scripted) {
    let application = Scripted::answering(application).await.expect("a free port");
    let mut route = route(HOST, application.address);
    route.middlewares = middlewares;
    (Plane::serving(vec![route]).await, application)
}

async fn hint(plane: &Plane, refusal: Refusal) -> AppHint {
    eventually("there is a hint", Duration::from_secs(5), async || {
        plane.app_hints.present().into_iter().find(|hint| hint.refusal == refusal)
    })
    .await
}

const FORM: [(&str, &str); 2] = [("origin", "https://docs.localhost"), ("cookie", "csrftoken=c")];

/// A method, a target, fields, and what the answer is recognised as.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)], Refusal);

const ROWS: [Row; 6] = [
    ("GET", "/home-assistant", &[], Refusal::AnyRequestOfAiohttp),
    ("GET", "/nextcloud-page?chunked", &[], Refusal::HostOfNextcloud),
    ("POST", "/django-form", &FORM, Refusal::FormOfDjango),
    ("POST", "/grafana", &FORM, Refusal::OriginOfGrafana),
    ("GET", "/rails?chunked", &[], Refusal::HostOfRails),
    ("GET", "/vite?chunked", &[], Refusal::HostOfVite),
];

fn same(answer: &Answer, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    recorded(path).split_once("\n\n").is_some_and(|(_, body)| answer.text() == body)
}

#[tokio::test]
async fn every_client_makes_the_lack_known_and_gets_the_answer_as_it_is() {
    let compress = Middleware::Compression(Compression::by([ContentCoding::Gzip]));
    for middlewares in [Vec::new(), vec![compress]] {
        for position in 0..4 {
            let (plane, application) = served(middlewares.clone()).await;
            let client = &plane.clients()[position];
            let mut connection = client.connect(HOST).await.expect("connected");
            for (method, target, fields, refusal) in ROWS {
                let asked = connection.ask(method, target, fields, "").await.expect("answered");
                assert!(same(&asked, target), "{}", asked.text());
                assert!(matches!(asked.status.as_u16(), 400 | 403), "{target}");
                let hint = hint(&plane, refusal).await;
                assert_eq!((&*hint.host, &*hint.route.name), (HOST, "test"), "{target}");
                assert_eq!(*hint.endpoint.container, *application.address.to_string());
                let scheme = if position < 2 && fields.is_empty() { "http" } else { "https" };
                assert_eq!(*hint.origin, *format!("{scheme}://{HOST}"), "{target}");
            }
            assert_eq!(plane.app_hints.present().len(), ROWS.len(), "one for each");
        }
    }
}

#[tokio::test]
async fn whoever_waits_is_told_once() {
    let (plane, _application) = served(Vec::new()).await;
    let mut connection = plane.http().connect(HOST).await.expect("connected");
    connection.get("/vite").await.expect("answered");
    tokio::time::timeout(Duration::from_secs(5), plane.app_hints.more()).await.expect("there is one more");
    for _ in 0..3 {
        connection.get("/vite").await.expect("answered");
    }
    // The one before is settled when the next is answered.
    connection.get("/nothing").await.expect("answered");
    let more = tokio::time::timeout(Duration::ZERO, plane.app_hints.more()).await;
    assert!(more.is_err(), "it is known");
}

#[tokio::test]
async fn a_good_answer_refutes_what_concerns_every_request() {
    let (plane, _application) = served(Vec::new()).await;
    let mut connection = plane.https().connect(HOST).await.expect("connected");
    connection.get("/home-assistant").await.expect("answered");
    connection.get("/vite").await.expect("answered");
    hint(&plane, Refusal::AnyRequestOfAiohttp).await;
    hint(&plane, Refusal::HostOfVite).await;
    connection.get("/well").await.expect("answered");
    let refusals = eventually("one is refuted", Duration::from_secs(5), async || {
        let present: Vec<Refusal> = plane.app_hints.present().iter().map(|hint| hint.refusal).collect();
        (present.len() == 1).then_some(present)
    });
    assert_eq!(refusals.await, [Refusal::HostOfVite]);
    // A single bad request on a route that works.
    connection.get("/home-assistant").await.expect("answered");
    connection.get("/nothing").await.expect("answered");
    assert_eq!(plane.app_hints.present().len(), 1);
}

#[tokio::test]
async fn a_hint_goes_with_its_endpoint() {
    let (mut plane, first) = served(Vec::new()).await;
    plane.http().get(HOST, "/vite").await.expect("answered");
    hint(&plane, Refusal::HostOfVite).await;
    let mut unhealthy = route(HOST, first.address);
    unhealthy.endpoints[0].2 = Readiness::Unhealthy;
    plane.serve(vec![unhealthy]).await;
    assert_eq!(plane.app_hints.present().len(), 1, "it is still there");
    let other = Scripted::answering(application).await.expect("a free port");
    plane.serve(vec![route(HOST, other.address)]).await;
    assert!(plane.app_hints.present().is_empty(), "the application was started anew");
}

#[tokio::test]
async fn a_websocket_that_is_refused_after_its_beginning_makes_it_known() {
    let (plane, _application) = served(Vec::new()).await;
    let bytes = format!(
        "GET /socket HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://{HOST}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut stream = plane.http().stream(HOST).await.expect("connected");
    stream.write_all(bytes.as_bytes()).await.expect("sent");
    let mut got = Vec::new();
    while !got.ends_with(b"\x03\xf0") {
        assert!(stream.read_buf(&mut got).await.expect("read") > 0, "{}", String::from_utf8_lossy(&got));
    }
    assert!(got.starts_with(b"HTTP/1.1 101 ") && got.ends_with(b"\r\n\r\n\x81\x0fInvalid origin!\x88\x02\x03\xf0"));
    let hint = hint(&plane, Refusal::WebSocketOfN8n).await;
    assert_eq!((&*hint.origin, &*hint.host), (&*format!("https://{HOST}"), HOST));
}
