//! A connection as its client sees it, with a stub in place of the exchange.

use crate::samples::pass;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::downstream::http2::session::serve_connection;
use crate::downstream::http2::stub::Stub;
use crate::limits::Limits;
use crate::overload::address_account::AddressAccount;

/// Longer than any deadline of a connection, all of which pass at once on a paused clock.
const STUCK: Duration = Duration::from_secs(3600);

/// A connection to a [`Stub`].
struct Server {
    begun: Arc<Notify>,
    ends: Arc<Mutex<Vec<String>>>,
    account: Arc<AddressAccount>,
    going_away: Arc<Notify>,
    is_idle: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Server {
    fn start(buffer: usize) -> (Self, DuplexStream) {
        let (ours, theirs) = duplex(buffer);
        let stub = Stub {
            limits: Limits::default(),
            account: Arc::default(),
            begun: Arc::default(),
            ends: Arc::default(),
            is_idle: Arc::new(AtomicBool::new(true)),
        };
        let account = Arc::clone(&stub.account);
        let (begun, ends, going_away) = (Arc::clone(&stub.begun), Arc::clone(&stub.ends), Arc::new(Notify::new()));
        let (told, is_idle) = (Arc::clone(&going_away), Arc::clone(&stub.is_idle));
        let task = tokio::spawn(async move { serve_connection(ours, stub, told.notified()).await });
        (Self { begun, ends, account, going_away, is_idle, task }, theirs)
    }

    /// Waits until `count` requests have ended, and returns how.
    async fn ended(&self, count: usize) -> Vec<String> {
        let ended = async {
            while self.ends.lock().len() < count {
                pass(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(STUCK, ended).await.expect("the requests end");
        self.ends.lock().clone()
    }
}

struct H2Client {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

async fn connected() -> (Server, H2Client) {
    connected_by(&client::Builder::new()).await
}

async fn connected_by(builder: &client::Builder) -> (Server, H2Client) {
    let (server, io) = Server::start(64 * 1024);
    let (requests, connection) = builder.handshake(io).await.expect("a handshake");
    (server, H2Client { requests, connection: tokio::spawn(connection) })
}

impl H2Client {
    async fn send(&mut self, request: Request<()>, ends: bool) -> (ResponseFuture, SendStream<Bytes>) {
        poll_fn(|cx| self.requests.poll_ready(cx)).await.expect("ready");
        self.requests.send_request(request, ends).expect("sent")
    }

    async fn get(&mut self, path: &str) -> ResponseFuture {
        self.send(get(path), true).await.0
    }

    async fn status(&mut self, path: &str) -> u16 {
        self.get(path).await.await.expect("a response").status().as_u16()
    }
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("https://a{path}")).body(()).expect("valid")
}

fn post(path: &str) -> Request<()> {
    Request::post(format!("https://a{path}")).body(()).expect("valid")
}

/// Reads a body to its end, or to its cut.
async fn body(stream: &mut RecvStream) -> (usize, Result<Option<HeaderMap>, h2::Error>) {
    let mut len = 0;
    while let Some(data) = stream.data().await {
        match data {
            Ok(data) => {
                len += data.len();
                let _ = stream.flow_control().release_capacity(data.len());
            }
            Err(error) => return (len, Err(error)),
        }
    }
    (len, stream.trailers().await)
}

#[tokio::test]
async fn responses_of_every_length_arrive_whole() {
    let (server, mut client) = connected().await;
    for (path, len, trailers) in [
        ("/sized/0", 0, None),
        ("/sized/1", 1, None),
        ("/sized/1000000", 1_000_000, None),
        ("/framed/0", 0, None),
        ("/framed/300000", 300_000, None),
        ("/trailers/0", 1, Some("0")),
    ] {
        let response = client.get(path).await.await.expect("a response");
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["x-mixed-case"], "y");
        assert!(response.headers().contains_key("date") && !response.headers().contains_key("connection"));
        let (came, ended_by) = body(&mut response.into_body()).await;
        let ended_by = ended_by.expect("not cut");
        assert_eq!(came, len, "{path}");
        assert_eq!(ended_by.as_ref().map(|fields| fields["grpc-status"].to_str().expect("text")), trailers, "{path}");
    }
    assert_eq!(server.ended(6).await.len(), 6);
}

#[tokio::test]
async fn a_body_and_its_trailers_come_as_they_were_sent() {
    let (server, mut client) = connected().await;
    let mut sized = post("/upload/0");
    sized.headers_mut().insert("content-length", "70000".parse().expect("a value"));
    let (response, mut stream) = client.send(sized, false).await;
    stream.send_data(vec![b'x'; 70_000].into(), true).expect("sent");
    assert_eq!(response.await.expect("a response").status(), 200);
    let (response, mut stream) = client.send(post("/upload/0"), false).await;
    stream.send_data(Bytes::from_static(b"abc"), false).expect("sent");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().expect("a value"));
    stream.send_trailers(trailers).expect("sent");
    assert_eq!(response.await.expect("a response").status(), 200);
    assert_eq!(server.ended(2).await, ["/upload/0 Sized(70000) 70000 0", "/upload/0 Framed 3 1"]);
}

#[tokio::test]
async fn what_must_not_be_served_is_answered_and_recorded() {
    let (server, mut client) = connected().await;
    let mut large = get("/sized/1");
    large.headers_mut().insert("x", "y".repeat(40_000).parse().expect("a value"));
    let mut expecting = post("/upload/0");
    expecting.headers_mut().insert("expect", "wonders".parse().expect("a value"));
    for (request, status) in [(large, 431), (expecting, 417)] {
        let (response, _stream) = client.send(request, false).await;
        assert_eq!(response.await.expect("a response").status(), status);
    }
    let ends = server.ended(2).await;
    assert_eq!(ends, ["/sized/1 the head is larger than 32768 bytes", "/upload/0 only 100-continue may be expected"]);
}

#[tokio::test]
async fn a_client_that_keeps_sending_bad_heads_loses_its_connection() {
    let (_server, mut client) = connected().await;
    let mut answered = 0;
    loop {
        let mut bad = get("/sized/1");
        bad.headers_mut().insert("host", "other".parse().expect("a value"));
        let (response, _) = client.send(bad, true).await;
        let Ok(response) = response.await else { break };
        assert_eq!(response.status(), 400);
        answered += 1;
    }
    let error = client.connection.await.expect("no panic").expect_err("it was closed");
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
    assert_eq!(answered, 32);
}

#[tokio::test]
async fn a_cut_response_looks_cut_after_all_that_came_before() {
    let (_server, mut client) = connected().await;
    for len in [0, 5, 50_000] {
        let response = client.get(&format!("/cut/{len}")).await.await.expect("the head");
        let (came, end) = body(&mut response.into_body()).await;
        assert_eq!((came, end.expect_err("cut").reason()), (len, Some(Reason::INTERNAL_ERROR)));
    }
}

#[tokio::test]
async fn an_early_response_ends_the_request_without_an_error() {
    let (_server, mut client) = connected().await;
    let (response, mut stream) = client.send(post("/early/0"), false).await;
    stream.send_data(vec![b'x'; 10_000].into(), false).expect("sent");
    let response = response.await.expect("a response");
    assert_eq!(response.status(), 413);
    let (len, end) = body(&mut response.into_body()).await;
    assert!(len == 4 && end.is_ok());
    assert_eq!(poll_fn(|cx| stream.poll_reset(cx)).await.expect("a reset"), Reason::NO_ERROR);
    assert_eq!(client.status("/sized/1").await, 200, "the connection goes on");
}

#[tokio::test]
async fn interim_responses_come_before_the_final_one() {
    let (_server, mut client) = connected().await;
    let mut response = client.get("/hint/0").await;
    let mut interim = Vec::new();
    while let Some(head) = poll_fn(|cx| response.poll_informational(cx)).await {
        interim.push(head.expect("a head").status().as_u16());
    }
    assert_eq!(interim, [103, 100]);
    assert_eq!(response.await.expect("a response").status(), 200);
}

#[tokio::test]
async fn who_resets_its_stream_is_noticed() {
    let (server, mut client) = connected().await;
    let (response, mut stream) = client.send(get("/hang/0"), false).await;
    server.begun.notified().await;
    stream.send_reset(Reason::CANCEL);
    drop(response);
    assert_eq!(server.ended(1).await, ["/hang/0 Gone"]);
    let _response = client.get("/hang/1").await;
    server.begun.notified().await;
    client.connection.abort();
    assert_eq!(server.ended(2).await[1], "/hang/1 Gone");
    server.task.await.expect("no panic");
}

#[tokio::test]
async fn a_panic_costs_one_request() {
    let (_server, mut client) = connected().await;
    let beside = client.get("/later/0").await;
    assert_eq!(client.status("/panic/0").await, 500);
    let late = client.get("/late-panic/0").await.await.expect("the head");
    let (_, end) = body(&mut late.into_body()).await;
    assert_eq!(end.expect_err("cut").reason(), Some(Reason::INTERNAL_ERROR));
    drop(beside);
    assert_eq!(client.status("/sized/1").await, 200);
}

/// A client that sends frames as it likes.
struct RawClient(DuplexStream);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const GOAWAY: u8 = 7;
const RST_STREAM: u8 = 3;
/// A GOAWAY after which those requests are still served that are on their way (RFC 9113, section 6.8).
const NO_MORE_REQUESTS: [u8; 8] = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0];
/// `:method: POST`, `:scheme: https`, `:path: /upload/0`, `:authority: a`.
const POST_UPLOAD: &[u8] = b"\x83\x87\x04\x09/upload/0\x41\x01a";

impl RawClient {
    async fn start() -> (Server, Self) {
        let (server, io) = Server::start(1 << 20);
        let mut client = Self(io);
        client.0.write_all(PREFACE).await.expect("written");
        client.frame(SETTINGS, 0, 0, b"").await;
        (server, client)
    }

    async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let len = u32::try_from(payload.len()).expect("small").to_be_bytes();
        let mut frame = vec![len[1], len[2], len[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        let _ = self.0.write_all(&frame).await;
    }

    /// The next frame that is not SETTINGS, PING or WINDOW_UPDATE; none at the end.
    async fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        loop {
            let mut header = [0; 9];
            self.0.read_exact(&mut header).await.ok()?;
            let len = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let mut payload = vec![0; len as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
            if !matches!(header[3], SETTINGS | 6 | 8) {
                return Some((header[3], stream, payload));
            }
        }
    }
}

#[tokio::test]
async fn trailers_with_a_pseudo_field_are_no_end_of_a_body() {
    let (server, mut client) = RawClient::start().await;
    for (stream, trailers) in [(1, &b"\x00\x01x\x01y"[..]), (3, b"\x84"), (5, b"\xbe\x00\x01x\x01y")] {
        client.frame(HEADERS, 4, stream, POST_UPLOAD).await;
        client.frame(DATA, 0, stream, b"abc").await;
        client.frame(HEADERS, 5, stream, trailers).await;
    }
    let mut ends = server.ended(3).await;
    ends.sort();
    assert_eq!(
        ends,
        ["/upload/0 Framed 3 1", "/upload/0 a trailer is a pseudo-field", "/upload/0 a trailer is a pseudo-field"]
    );
}

#[tokio::test]
async fn streams_that_are_reset_for_an_error_are_bounded() {
    let (_server, mut client) = RawClient::start().await;
    let mut resets = 0;
    for stream in (1..).step_by(2) {
        // A field of HTTP/1.
        client.frame(HEADERS, 5, stream, b"\x83\x87\x84\x00\x0aconnection\x05close").await;
        match client.next().await {
            Some((RST_STREAM, _, payload)) => {
                assert_eq!(payload, [0, 0, 0, 1]);
                resets += 1;
            }
            Some((GOAWAY, _, payload)) => {
                assert_eq!(payload[4..8], [0, 0, 0, 11]);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(resets, 256);
}

async fn seconds(server: Server) -> (u64, Vec<String>) {
    let begun = Instant::now();
    server.task.await.expect("no panic");
    let ends = server.ends.lock().clone();
    (begun.elapsed().as_secs(), ends)
}

#[tokio::test(start_paused = true)]
async fn a_preface_a_head_and_an_idle_connection_have_their_time() {
    let (server, _silent) = Server::start(1024);
    assert_eq!(seconds(server).await.0, 10);

    let (server, mut half) = RawClient::start().await;
    half.frame(HEADERS, 0, 1, POST_UPLOAD).await;
    let (took, _) = seconds(server).await;
    assert_eq!(took, 10);

    let (server, mut idle) = RawClient::start().await;
    for _ in 0..7 {
        pass(Duration::from_secs(10)).await;
        idle.frame(6, 0, 0, &[0; 8]).await;
    }
    assert_eq!(seconds(server).await.0, 10, "a ping is no request");
    assert_eq!(idle.next().await.expect("a frame").2, NO_MORE_REQUESTS);
    let last = idle.next().await.expect("a frame");
    assert_eq!((last.0, &last.2[4..8]), (GOAWAY, &[0; 4][..]), "it has not said that it knows");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_meets_the_end_of_an_idle_connection_is_served() {
    let (server, mut client) = RawClient::start().await;
    pass(Duration::from_secs(75)).await;
    let told = client.next().await.expect("a frame");
    assert_eq!((told.0, &*told.2), (GOAWAY, &NO_MORE_REQUESTS[..]));
    client.frame(HEADERS, 4, 1, POST_UPLOAD).await;
    client.frame(DATA, 1, 1, b"abc").await;
    assert_eq!(server.ended(1).await, ["/upload/0 Framed 3 0"]);
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_reset_before_they_are_served_are_bounded() {
    let (_server, mut client) = RawClient::start().await;
    for stream in (1..100).step_by(2) {
        client.frame(HEADERS, 4, stream, POST_UPLOAD).await;
        client.frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]).await;
    }
    let last = tokio::time::timeout(STUCK, client.next()).await.expect("it has its bound").expect("a frame");
    assert_eq!((last.0, &last.2[4..8]), (GOAWAY, &[0, 0, 0, 11][..]));
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_reset_and_still_wind_down_are_bounded() {
    /// `:method: GET`, `:scheme: https`, `:path: /delayed/0`, `:authority: a`; the request does not notice its reset.
    const GET_DELAYED: &[u8] = b"\x82\x87\x04\x0a/delayed/0\x41\x01a";
    let (server, mut client) = RawClient::start().await;
    let streams_max = 2 * Limits::default().h2_streams;
    for number in 0..streams_max {
        client.frame(HEADERS, 5, number * 2 + 1, GET_DELAYED).await;
        server.begun.notified().await;
        client.frame(RST_STREAM, 0, number * 2 + 1, &[0, 0, 0, 8]).await;
    }
    client.frame(HEADERS, 5, streams_max * 2 + 1, GET_DELAYED).await;
    let refused = client.next().await.expect("a frame");
    assert_eq!(refused, (RST_STREAM, streams_max * 2 + 1, vec![0, 0, 0, 7]));
}

#[tokio::test]
async fn a_connection_is_idle_but_for_its_requests_also_where_the_first_comes_with_the_preface() {
    let (server, mut client) = RawClient::start().await;
    // Nothing of it was read yet: the server has not run.
    assert!(server.is_idle.load(Ordering::Relaxed));
    client.frame(HEADERS, 4, 1, POST_UPLOAD).await;
    server.begun.notified().await;
    assert!(!server.is_idle.load(Ordering::Relaxed));
    client.frame(DATA, 1, 1, b"abc").await;
    assert_eq!(server.ended(1).await, ["/upload/0 Framed 3 0"]);
    let is_idle = async {
        while !server.is_idle.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(STUCK, is_idle).await.expect("it is idle again");
}

#[tokio::test(start_paused = true)]
async fn a_silent_body_is_given_up_and_a_slow_one_too() {
    let (server, mut client) = RawClient::start().await;
    let begun = Instant::now();
    client.frame(HEADERS, 4, 1, POST_UPLOAD).await;
    assert_eq!(server.ended(1).await, ["/upload/0 the body came slower than 1024 bytes a second"]);
    assert_eq!(begun.elapsed().as_secs(), 10);
    client.frame(HEADERS, 4, 3, POST_UPLOAD).await;
    let begun = Instant::now();
    while server.ends.lock().len() < 2 {
        client.frame(DATA, 0, 3, &[b'x'; 512]).await;
        pass(Duration::from_secs(1)).await;
    }
    assert!((15..=30).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    let (status, ..) = client.next().await.expect("an answer");
    assert_eq!(status, HEADERS);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_100_owes_no_body_yet() {
    let (server, mut client) = connected().await;
    let mut expecting = post("/later/40");
    expecting.headers_mut().insert("expect", "100-continue".parse().expect("a value"));
    let (mut response, mut stream) = client.send(expecting, false).await;
    let interim = poll_fn(|cx| response.poll_informational(cx)).await;
    assert_eq!(interim.expect("a 100").expect("a head").status(), 100);
    stream.send_data(Bytes::from_static(b"abc"), true).expect("sent");
    assert_eq!(server.ended(1).await, ["/later/40 3"]);
}

#[tokio::test(start_paused = true)]
async fn who_begins_its_body_before_a_100_owes_the_rest() {
    let (server, mut client) = connected().await;
    let mut expecting = post("/upload/0");
    expecting.headers_mut().insert("expect", "100-continue".parse().expect("a value"));
    let (_response, mut stream) = client.send(expecting, false).await;
    stream.send_data(Bytes::from_static(b"abc"), false).expect("sent");
    assert_eq!(server.ended(1).await, ["/upload/0 the body came slower than 1024 bytes a second"]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_window_ends_the_stream_and_a_slow_reader_lives() {
    let (server, mut client) = connected_by(client::Builder::new().initial_window_size(1024)).await;
    let closed = client.get("/sized/5000").await.await.expect("the head");
    let slow = client.get("/sized/200000").await.await.expect("the head");
    let mut slow = slow.into_body();
    let mut came = 0;
    while let Some(data) = slow.data().await {
        let len = data.expect("not cut").len();
        came += len;
        pass(Duration::from_secs(1)).await;
        let _ = slow.flow_control().release_capacity(len);
    }
    assert_eq!(came, 200_000);
    let (_, end) = body(&mut closed.into_body()).await;
    assert_eq!(end.expect_err("cut").reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(server.ended(2).await, ["/sized/5000 Stalled", "/sized/200000 served"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_bytes_loses_its_connection() {
    let (server, io) = Server::start(4096);
    let mut builder = client::Builder::new();
    builder.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
    let (requests, connection) = builder.handshake::<_, Bytes>(io).await.expect("a handshake");
    let mut client = H2Client { requests, connection: tokio::spawn(std::future::pending()) };
    let mut connection = Box::pin(connection);
    let response = client.send(get("/delayed/1000000"), true);
    tokio::pin!(response);
    // The request goes out, and then nothing is read any more.
    let _stream = tokio::select! {
        stream = &mut response => stream,
        _ = &mut connection => panic!("it ended"),
    };
    let _ = tokio::time::timeout(Duration::from_millis(1), &mut connection).await;
    let stalled = Instant::now();
    server.task.await.expect("no panic");
    let took = stalled.elapsed();
    let allowed = Limits::default().stalled_write;
    assert!(took >= allowed && took < allowed + Duration::from_secs(10), "{took:?}");
    assert_eq!(*server.ends.lock(), ["/delayed/1000000 Gone"]);
}

#[tokio::test]
async fn a_client_is_told_to_go_and_may_end_what_it_began() {
    let (server, mut client) = connected().await;
    let response = client.get("/later/1").await;
    server.going_away.notify_one();
    // The client hears of it, and opens no further stream.
    while poll_fn(|cx| client.requests.poll_ready(cx)).await.is_ok() && client.get("/sized/1").await.await.is_ok() {}
    drop(response);
    server.task.await.expect("no panic");
    client.connection.await.expect("no panic").expect("a friendly end");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_takes_counts_for_the_account_of_its_client() {
    const LEN: usize = 200_000;
    let (server, mut client) = connected().await;
    let account = Arc::clone(&server.account);
    let counted = async |len: usize| {
        let counted = async {
            while account.bytes() != len {
                pass(Duration::from_millis(10)).await;
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(30), counted).await;
        assert!(outcome.is_ok(), "{} and not {len}", account.bytes());
    };
    let (_response, mut sending) = client.send(post("/later/60"), false).await;
    sending.send_data(Bytes::from(vec![b'x'; LEN]), false).expect("open");
    counted(LEN).await;
    // It is taken after a minute.
    sending.send_data(Bytes::new(), true).expect("open");
    assert_eq!(server.ended(1).await, [format!("/later/60 {LEN}")]);
    counted(0).await;

    // One that is never taken counts until its stream ends.
    let (_response, mut sending) = client.send(post("/hang/0"), false).await;
    sending.send_data(Bytes::from(vec![b'x'; LEN]), false).expect("open");
    counted(LEN).await;
    sending.send_reset(Reason::CANCEL);
    server.ended(2).await;
    counted(0).await;
}

#[tokio::test(start_paused = true)]
async fn frames_that_are_at_hand_are_taken_at_once_and_in_order() {
    let (server, mut client) = connected().await;
    let bytes: Vec<u8> = (0..100_000_usize).map(|at| (at % 251) as u8).collect();
    for (count, taken_max, slices) in [(1, 1_000_000, "[4, 3]"), (2, 64_000, "[4, 4]")] {
        let (_response, mut sending) = client.send(post(&format!("/slices/{taken_max}")), false).await;
        sending.send_data(Bytes::copy_from_slice(&bytes), true).expect("open");
        let ends = server.ended(count).await;
        assert_eq!(ends.last().map(String::as_str), Some(&*format!("/slices/{taken_max} 100000 true {slices}")));
    }
}
