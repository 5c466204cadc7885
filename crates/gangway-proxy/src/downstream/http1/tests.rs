//! What clients see of a session, with a stand-in for the exchange.

use crate::downstream::listener_profile::Leaving;
use crate::samples;
use crate::samples::pass;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::downstream::byte_stream::ByteStream;
use crate::downstream::http1::session::{Http1Session, NextRequest};
use crate::downstream::peeked_tcp::PeekedTcp;
use crate::downstream::websocket::GOING_AWAY;
use crate::lifecycle::{Lifecycle, PhaseWait, Phases, reached};
use crate::limits::Limits;
use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::overload::memory_budget::MemoryBudget;
use crate::reply::rejection::Rejection;
use crate::stream::body_frame::BodyFrame;
use crate::stream::downstream::{Downstream, DownstreamError};

/// An application: what is done with each request.
trait App<T>: AsyncFnMut(&RequestHead, &mut Http1Session<T>) {}
impl<T, A: AsyncFnMut(&RequestHead, &mut Http1Session<T>)> App<T> for A {}

/// Serves a connection of a plane that goes on serving.
async fn serve<T: ByteStream>(io: T, app: impl App<T>) {
    let (_phase, phases) = watch::channel(Lifecycle::Serving);
    serve_in(io, (phases, Arc::default()), app).await;
}

async fn serve_in<T: ByteStream>(io: T, lifecycle: (Phases, Arc<AtomicBool>), app: impl App<T>) {
    serve_within(MemoryBudget::new(usize::MAX), io, lifecycle, app).await;
}

async fn serve_within<T: ByteStream>(
    memory: MemoryBudget,
    io: T,
    (phases, is_leaving): (Phases, Arc<AtomicBool>),
    mut app: impl App<T>,
) {
    let closing = pin!(reached(phases.clone(), Lifecycle::Closing));
    let mut closing = PhaseWait::new(closing);
    let leaving = Leaving::new(is_leaving, samples::listener(false));
    let mut session = Http1Session::new(io, &Limits::default(), memory, leaving, phases);
    let mut head = RequestHead::default();
    loop {
        match session.next_request(&mut head, &mut closing).await {
            NextRequest::Whole => app(&head, &mut session).await,
            NextRequest::Rejected(rejection) => reject(&mut session, rejection).await,
            NextRequest::Gone => break,
        }
        if !session.goes_on() {
            break;
        }
    }
    session.close().await;
}

async fn reject<T: ByteStream>(session: &mut Http1Session<T>, rejection: Rejection) {
    session.close_after_response();
    let status = StatusCode::from_u16(rejection.reason.status()).expect("a status");
    let _ = respond(session, status, rejection.to_string().as_bytes()).await;
}

async fn read_body<T: ByteStream>(session: &mut Http1Session<T>) -> Result<Vec<u8>, DownstreamError> {
    let mut body = Vec::new();
    loop {
        let len = poll_fn(|cx| {
            session.poll_body(cx).map_ok(|frame| match frame {
                BodyFrame::Data(data) => {
                    data.slices().for_each(|slice| body.extend_from_slice(slice));
                    data.len()
                }
                BodyFrame::End => 0,
            })
        })
        .await?;
        if len == 0 {
            return Ok(body);
        }
        session.consume(len);
    }
}

async fn send<T: ByteStream>(session: &mut Http1Session<T>, mut data: &[u8]) -> Result<(), DownstreamError> {
    while !data.is_empty() {
        let taken = poll_fn(|cx| session.poll_send(cx, data)).await?;
        data = &data[taken..];
    }
    Ok(())
}

async fn flush<T: ByteStream>(session: &mut Http1Session<T>) -> Result<(), DownstreamError> {
    poll_fn(|cx| session.poll_flush(cx)).await
}

async fn finish<T: ByteStream>(
    session: &mut Http1Session<T>,
    trailers: Option<&Fields>,
) -> Result<(), DownstreamError> {
    poll_fn(|cx| session.poll_finish(cx, trailers)).await
}

fn head(status: StatusCode, body: BodyLength) -> ResponseHead {
    let mut head = ResponseHead { status, body, ..ResponseHead::default() };
    head.fields.push(b"Date", b"then");
    head
}

async fn respond<T: ByteStream>(
    session: &mut Http1Session<T>,
    status: StatusCode,
    body: &[u8],
) -> Result<(), DownstreamError> {
    let length = if body.is_empty() { BodyLength::Empty } else { BodyLength::Sized(body.len() as u64) };
    session.start_response(&head(status, length))?;
    send(session, body).await?;
    finish(session, None).await
}

/// Answers with what it was sent.
async fn echo<T: ByteStream>(head: &RequestHead, session: &mut Http1Session<T>) {
    let body = match read_body(session).await {
        Ok(body) => String::from_utf8(body).expect("text"),
        Err(DownstreamError::Rejected(rejection)) => return reject(session, rejection).await,
        Err(_) => return session.cut(),
    };
    let trailer = session.request_trailers().and_then(|trailers| trailers.get_named(b"X-Sum"));
    let trailer = String::from_utf8_lossy(trailer.unwrap_or_default()).into_owned();
    let answer = format!("<{} {} {body} {trailer}>", head.method, head.target);
    let _ = respond(session, StatusCode::OK, answer.as_bytes()).await;
}

/// A client whose bytes are read by a session with `app`. `room` is what may be under way in each direction.
fn connected<'t>(room: usize, app: impl App<DuplexStream> + 't) -> (DuplexStream, impl Future<Output = ()> + 't) {
    let (client, io) = duplex(room);
    (client, serve(io, app))
}

async fn read_all(client: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.expect("no reset");
    String::from_utf8(bytes).expect("text")
}

/// Everything that a client gets that sends `bytes` and nothing else.
async fn answers(bytes: &[u8], app: impl App<DuplexStream>) -> String {
    let (mut client, served) = connected(1 << 20, app);
    let asking = async {
        client.write_all(bytes).await.expect("it is read");
        client.shutdown().await.expect("it is read");
        read_all(&mut client).await
    };
    tokio::join!(served, asking).1
}

async fn tcp() -> (TcpStream, PeekedTcp) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("it is bound")).await.expect("it listens");
    (client, PeekedTcp::new(listener.accept().await.expect("a client").0.into_std().expect("it is registered")))
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_turn_however_they_are_cut() {
    let mut requests = String::new();
    for number in 0..20 {
        let body = "x".repeat(number);
        requests += &match number % 3 {
            0 => format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
            1 => format!("POST /{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {number}\r\n\r\n{body}\r\n"),
            _ => format!(
                "POST /{number} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n{number:x};a=b\r\n\
                 {body}\r\n0\r\nX-Sum: {number}\r\n\r\n"
            ),
        };
    }
    requests += LAST;
    for piece in [1, 7, 100, 10_000] {
        let (client, served) = connected(64, echo);
        let (mut from, mut to) = tokio::io::split(client);
        let sending = async {
            for piece in requests.as_bytes().chunks(piece) {
                to.write_all(piece).await.expect("it is read");
                tokio::task::yield_now().await;
            }
        };
        let (_, (), answers) = tokio::join!(sending, served, read_all(&mut from));
        let bodies: Vec<&str> = answers.split(['<', '>']).skip(1).step_by(2).collect();
        for (number, body) in bodies.iter().enumerate().take(20) {
            let sent = "x".repeat(number);
            let expected = match number % 3 {
                0 => format!("GET /{number}  "),
                1 => format!("POST /{number} {sent} "),
                _ => format!("POST /{number} y{sent} {number}"),
            };
            assert_eq!(*body, expected, "pieces of {piece}");
        }
        assert_eq!((bodies.len(), bodies[20]), (21, "GET /last  "));
        assert_eq!(answers.matches("Connection: close").count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_may_leave_at_any_byte() {
    let request =
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    let head_len = request.find("\r\n\r\n").expect("a head") + 4;
    for cut in 0..=request.len() {
        let mut asked = 0;
        let app = async |head: &RequestHead, session: &mut Http1Session<DuplexStream>| {
            asked += 1;
            echo(head, session).await;
        };
        let got = answers(&request.as_bytes()[..cut], app).await;
        assert_eq!(got.contains("<POST /x hello 1>"), cut == request.len(), "{cut}");
        assert_eq!(got.is_empty(), cut < request.len(), "{cut}");
        assert_eq!(asked, usize::from(cut >= head_len), "{cut}");
    }
}

/// How long a connection lasted, and what was sent on it, for a client that sends `bytes` and then nothing.
async fn silent_after(bytes: &str, app: impl App<DuplexStream>) -> (u64, String) {
    let (mut client, served) = connected(1 << 20, app);
    let begun = Instant::now();
    client.write_all(bytes.as_bytes()).await.expect("room");
    let reading = async {
        let got = read_all(&mut client).await;
        (begun.elapsed().as_secs(), got)
    };
    tokio::join!(served, reading).1
}

#[tokio::test(start_paused = true)]
async fn a_client_has_some_time_for_each_part() {
    assert_eq!(silent_after("", echo).await, (10, String::new()));
    let (seconds, got) = silent_after("GET / HTTP/1.1\r\nHo", echo).await;
    assert!(seconds == 10 && got.starts_with("HTTP/1.1 408 ") && got.contains("the head took longer than 10 s"));
    assert!(got.contains("\r\nConnection: close\r\n"));
    let (seconds, got) = silent_after(GET, echo).await;
    assert_eq!((seconds, got.matches("HTTP/1.1 200").count()), (75, 1));
    // Old clients send an empty line after a request, which does not begin another one.
    assert_eq!(silent_after(&format!("{GET}\r\n"), echo).await.0, 75);
    let (seconds, got) = silent_after(&format!("{GET}GET / HT"), echo).await;
    assert_eq!((seconds, got.matches("HTTP/1.1 408").count()), (10, 1));
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n";
    let (seconds, got) = silent_after(&format!("{post}{}", "x".repeat(5 * 1024 - 1)), echo).await;
    assert!(seconds <= 15 && got.contains("the body came slower than 1024 bytes a second"), "{seconds} {got}");
    let (seconds, got) = silent_after(&post.replace("9000", "900000"), async |_: &RequestHead, session: &mut _| {
        let _ = respond(session, StatusCode::OK, b"").await;
    })
    .await;
    assert!(seconds < 10 && got.contains("Connection: close"), "{got}");
}

#[tokio::test(start_paused = true)]
async fn a_head_has_ten_seconds_however_it_trickles() {
    let (client, served) = connected(1 << 20, echo);
    let begun = Instant::now();
    let (mut from, mut to) = tokio::io::split(client);
    let trickling = async {
        for byte in GET.bytes() {
            pass(Duration::from_secs(1)).await;
            to.write_all(&[byte]).await.expect("what follows is read and dropped");
        }
    };
    let reading = async {
        let got = read_all(&mut from).await;
        assert!(got.starts_with("HTTP/1.1 408 "), "{got}");
        begun.elapsed().as_secs()
    };
    let ((), (), seconds) = tokio::join!(served, trickling, reading);
    assert_eq!(seconds, 10);
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_body_stands_until_its_client_may_send_it() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let app = async |head: &RequestHead, session: &mut Http1Session<DuplexStream>| {
        // The application thinks for a minute before it wants the body.
        let waits = tokio::time::timeout(Duration::from_secs(60), read_body(session)).await;
        assert!(waits.is_err(), "nothing is owed yet: {waits:?}");
        let go_on = ResponseHead { status: StatusCode::CONTINUE, ..ResponseHead::default() };
        session.send_informational(&go_on).expect("the client is there");
        flush(session).await.expect("the client is there");
        echo(head, session).await;
    };
    let (seconds, got) = silent_after(request, app).await;
    assert!(got.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 "), "{got}");
    assert!((70..=75).contains(&seconds), "{seconds}");
    // Who has not asked for the body cannot know whether it comes.
    let (_, got) = silent_after(request, async |_: &RequestHead, session: &mut _| {
        let _ = respond(session, StatusCode::FORBIDDEN, b"no").await;
    })
    .await;
    assert!(got.contains("403 Forbidden\r\n") && got.contains("Connection: close\r\n"), "{got}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_for_a_minute_is_given_up_whatever_it_is_sent() {
    let large = "x".repeat(64 * 1024);
    for (status, body) in [(StatusCode::OK, &*large), (StatusCode::FOUND, ""), (StatusCode::NO_CONTENT, "")] {
        let mut outcome = Ok(());
        let app = async |_: &RequestHead, session: &mut Http1Session<DuplexStream>| {
            let length = if body.is_empty() { BodyLength::Empty } else { BodyLength::Sized(body.len() as u64) };
            let mut head = head(status, length);
            head.fields.push(b"X-Long", &large.as_bytes()[..8192]);
            outcome = async {
                session.start_response(&head)?;
                send(session, body.as_bytes()).await?;
                finish(session, None).await
            }
            .await;
        };
        let (mut client, served) = connected(1024, app);
        client.write_all(GET.as_bytes()).await.expect("room");
        let begun = Instant::now();
        served.await;
        assert_eq!((begun.elapsed().as_secs(), outcome), (60, Err(DownstreamError::Stalled)), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_steady_reader_gets_all_of_it() {
    let body = "x".repeat(200 * 1024);
    let app = async |_: &RequestHead, session: &mut Http1Session<DuplexStream>| {
        respond(session, StatusCode::OK, body.as_bytes()).await.expect("it reads");
    };
    let (mut client, served) = connected(1024, app);
    let begun = Instant::now();
    let reading = async {
        client.write_all(LAST.as_bytes()).await.expect("room");
        let (mut got, mut buffer) = (0, [0; 1024]);
        loop {
            pass(Duration::from_secs(1)).await;
            match client.read(&mut buffer).await.expect("no reset") {
                0 => return got,
                len => got += len,
            }
        }
    };
    let ((), got) = tokio::join!(served, reading);
    assert!(got > body.len() && begun.elapsed() > Duration::from_secs(200));
}

#[tokio::test]
async fn a_client_that_has_ended_its_side_gets_its_answer_and_one_that_has_gone_is_noticed() {
    let (mut client, io) = tcp().await;
    let app = async |head: &RequestHead, session: &mut Http1Session<PeekedTcp>| {
        let gone = poll_fn(|cx| session.poll_gone(cx));
        assert!(tokio::time::timeout(Duration::from_millis(50), gone).await.is_err(), "it waits for its answer");
        echo(head, session).await;
    };
    let asking = async {
        client.write_all(GET.as_bytes()).await.expect("it is read");
        client.shutdown().await.expect("it is read");
        read_all(&mut client).await
    };
    let ((), got) = tokio::join!(serve(io, app), asking);
    assert!(got.ends_with("<GET /  >"), "{got}");

    let (mut client, io) = tcp().await;
    let app = async |_: &RequestHead, session: &mut Http1Session<PeekedTcp>| {
        assert_eq!(poll_fn(|cx| session.poll_gone(cx)).await, DownstreamError::Gone);
    };
    let leaving = async {
        client.write_all(GET.as_bytes()).await.expect("it is read");
        client.set_zero_linger().expect("a socket");
        drop(client);
    };
    tokio::join!(serve(io, app), leaving);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_after_it_has_ended_its_side_is_noticed() {
    let (mut client, io) = tcp().await;
    let app = async |_: &RequestHead, session: &mut Http1Session<PeekedTcp>| {
        let gone = tokio::time::timeout(Duration::from_secs(3600), poll_fn(|cx| session.poll_gone(cx))).await;
        assert_eq!(gone, Ok(DownstreamError::Gone));
    };
    let leaving = async {
        client.write_all(GET.as_bytes()).await.expect("it is read");
        client.shutdown().await.expect("it is read");
        pass(Duration::from_secs(5)).await;
        client.set_zero_linger().expect("a socket");
        drop(client);
    };
    tokio::join!(serve(io, app), leaving);
}

#[tokio::test]
async fn clients_of_http_1_0_get_what_they_understand() {
    let app = async |_: &RequestHead, session: &mut Http1Session<DuplexStream>| {
        let hint = ResponseHead { status: StatusCode::EARLY_HINTS, ..ResponseHead::default() };
        session.send_informational(&hint).expect("the client is there");
        session.start_response(&head(StatusCode::OK, BodyLength::Framed)).expect("the client is there");
        for part in ["one", "two"] {
            send(session, part.as_bytes()).await.expect("the client is there");
        }
        finish(session, None).await.expect("the client is there");
    };
    let got = answers(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", app).await;
    assert_eq!(got, "HTTP/1.1 200 OK\r\nDate: then\r\nConnection: close\r\n\r\nonetwo");
    let kept = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    let got = answers(kept.repeat(2).as_bytes(), echo).await;
    assert_eq!(got.matches("Connection: keep-alive\r\n").count(), 2, "{got}");
    let got = answers(kept.repeat(2).as_bytes(), app).await;
    assert_eq!(got.matches("onetwo").count(), 1, "the end of the body is the end of the connection: {got}");
}

#[tokio::test]
async fn a_cut_answer_looks_cut() {
    let cut = async |session: &mut Http1Session<PeekedTcp>, length: BodyLength| {
        session.start_response(&head(StatusCode::OK, length)).expect("the client is there");
        send(session, b"beginning").await.expect("the client is there");
        session.cut();
    };
    for (version, length) in
        [("1.1", BodyLength::Framed), ("1.1", BodyLength::Sized(100)), ("1.0", BodyLength::UntilClose)]
    {
        let (mut client, io) = tcp().await;
        let app = async |_: &RequestHead, session: &mut Http1Session<PeekedTcp>| cut(session, length).await;
        let asking = async {
            client.write_all(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n").as_bytes()).await.expect("it is read");
            let mut bytes = Vec::new();
            let outcome = client.read_to_end(&mut bytes).await;
            (String::from_utf8(bytes).expect("text"), outcome.is_err())
        };
        let ((), (got, is_reset)) = tokio::join!(serve(io, app), asking);
        assert!(got.contains("beginning") && !got.contains("\r\n0\r\n"), "{got}");
        assert_eq!(is_reset, version == "1.0", "{got}");
    }
    // An application that gives less than it has announced.
    let app = async |_: &RequestHead, session: &mut Http1Session<DuplexStream>| {
        session.start_response(&head(StatusCode::OK, BodyLength::Sized(100))).expect("the client is there");
        send(session, b"beginning").await.expect("the client is there");
        finish(session, None).await.expect("the client is there");
    };
    let got = answers(GET.repeat(2).as_bytes(), app).await;
    assert!(got.ends_with("beginning") && got.matches("HTTP/1.1").count() == 1, "{got}");
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let (mut client, io) = tcp().await;
    let app = async |_: &RequestHead, session: &mut Http1Session<PeekedTcp>| {
        let _ = respond(session, StatusCode::PAYLOAD_TOO_LARGE, &[b'x'; 100_000]).await;
    };
    let asking = async move {
        let len = 16 << 20;
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        client.write_all(head.as_bytes()).await.expect("it is read");
        // All of it is sent before anything of the answer is read.
        client.write_all(&vec![b'y'; len]).await.expect("it is read");
        read_all(&mut client).await
    };
    let ((), got) = tokio::join!(serve(io, app), asking);
    assert!(got.starts_with("HTTP/1.1 413 ") && got.contains("Connection: close"), "{}", &got[..100]);
    assert_eq!(got.matches('x').count(), 100_000);
}

#[tokio::test]
async fn a_request_behind_the_last_one_that_is_answered_does_not_cost_the_client_its_answer() {
    let (client, io) = tcp().await;
    let (mut reader, mut writer) = client.into_split();
    writer.write_all(GET.as_bytes()).await.expect("it is read");
    let writer = Cell::new(Some(writer));
    let app = async |head: &RequestHead, session: &mut Http1Session<PeekedTcp>| {
        let writer = writer.take().expect("one request is answered");
        assert_eq!(writer.try_write(GET.as_bytes()).expect("room"), GET.len());
        drop(writer);
        echo(head, session).await;
    };
    let (_phase, phases) = watch::channel(Lifecycle::Serving);
    let is_leaving = Arc::new(AtomicBool::new(true));
    let ((), got) = tokio::join!(serve_in(io, (phases, is_leaving), app), read_all(&mut reader));
    assert!(got.contains("Connection: close") && got.matches("200 OK").count() == 1, "{got}");
}

#[tokio::test]
async fn a_short_rest_of_a_request_does_not_end_the_connection() {
    let app = async |head: &RequestHead, session: &mut Http1Session<DuplexStream>| {
        let _ = respond(session, StatusCode::OK, head.target.as_bytes()).await;
    };
    let body = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100);
    let post = format!("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let got = answers(format!("{post}{LAST}").as_bytes(), app).await;
    assert!(got.contains("/first") && got.ends_with("/last") && !got.contains("smuggled"), "{got}");
    // The end of a chunked body cannot be known, so the connection is reset.
    let post = post.replace(&format!("Content-Length: {}", body.len()), "Transfer-Encoding: chunked");
    let got = answers(format!("{post}{LAST}").as_bytes(), app).await;
    assert!(got.ends_with("/first") && got.contains("Connection: close"), "{got}");
}

#[tokio::test]
async fn what_is_no_part_of_a_response_is_not_sent() {
    let app = async |head: &RequestHead, session: &mut Http1Session<DuplexStream>| {
        let (status, length) = match &*head.target {
            "/none" => (StatusCode::NO_CONTENT, BodyLength::Empty),
            "/short" => (StatusCode::OK, BodyLength::Sized(3)),
            _ => (StatusCode::OK, BodyLength::Sized(7)),
        };
        session.start_response(&self::head(status, length)).expect("the client is there");
        send(session, b"abcdefg").await.expect("the client is there");
        finish(session, None).await.expect("the client is there");
    };
    let asked = ["GET /none", "GET /short", "HEAD /"].map(|line| format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let got = answers(asked.concat().as_bytes(), app).await;
    assert!(got.ends_with("\r\n\r\n") && got.matches("abc").count() == 1 && !got.contains("abcd"), "{got}");
    assert_eq!(got.matches("HTTP/1.1 ").count(), 3);
}

#[tokio::test]
async fn what_has_come_is_passed_on_and_chunks_are_whole() {
    let (mut client, served) = connected(1 << 20, async |_: &RequestHead, session: &mut Http1Session<DuplexStream>| {
        session.start_response(&head(StatusCode::OK, BodyLength::Framed)).expect("the client is there");
        for len in [5, 20_000, 5000] {
            send(session, &vec![b'x'; len]).await.expect("the client is there");
            flush(session).await.expect("the client is there");
        }
        let mut trailers = Fields::default();
        trailers.push(b"X-Sum", b"1");
        finish(session, Some(&trailers)).await.expect("the client is there");
    });
    client.write_all(LAST.as_bytes()).await.expect("room");
    let ((), got) = tokio::join!(served, read_all(&mut client));
    let x = |len: usize| "x".repeat(len);
    let body =
        format!("\r\n\r\n5\r\n{}\r\n4e20\r\n{}\r\n1388\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n", x(5), x(20_000), x(5000));
    assert!(got.ends_with(&body), "{got}");
}

/// Counts the writes to a client, and notes whether its connection is to end with a reset.
#[derive(Debug)]
struct Watched {
    io: DuplexStream,
    writes: Arc<AtomicUsize>,
    is_reset: Arc<AtomicBool>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl ByteStream for Watched {
    fn bytes_written(&self) -> u64 {
        0
    }

    fn reset_when_dropped(&self) {
        self.is_reset.store(true, Ordering::Relaxed);
    }

    fn probe(&self) {}

    fn is_broken(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_short_answer_leaves_in_one_write() {
    let (mut client, io) = duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    client.write_all(format!("{GET}{GET}{LAST}").as_bytes()).await.expect("room");
    serve(Watched { io, writes: Arc::clone(&writes), is_reset: Arc::default() }, echo).await;
    assert_eq!((read_all(&mut client).await.matches("200 OK").count(), writes.load(Ordering::Relaxed)), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn what_a_client_does_not_take_is_thrown_away_with_its_connection() {
    let large = "x".repeat(64 * 1024);
    for (room, is_stalled) in [(1024, true), (1 << 20, false)] {
        let (mut client, io) = duplex(room);
        let is_reset = Arc::new(AtomicBool::new(false));
        client.write_all(LAST.as_bytes()).await.expect("room");
        let app = async |_: &RequestHead, session: &mut Http1Session<Watched>| {
            let outcome = respond(session, StatusCode::OK, large.as_bytes()).await;
            assert_eq!(outcome, if is_stalled { Err(DownstreamError::Stalled) } else { Ok(()) });
        };
        serve(Watched { io, writes: Arc::default(), is_reset: Arc::clone(&is_reset) }, app).await;
        assert_eq!(is_reset.load(Ordering::Relaxed), is_stalled);
    }
}

#[tokio::test]
async fn a_large_head_is_read_and_a_larger_one_rejected() {
    let with = |len: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n", "x".repeat(len));
    let got = answers(format!("{}{}{GET}", with(30_000), with(32_700)).as_bytes(), echo).await;
    assert_eq!((got.matches("200 OK").count(), got.matches("HTTP/1.1 431").count()), (1, 1), "{got}");
    assert_eq!(got.matches("HTTP/1.1").count(), 2, "nothing is read after a rejection");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_left_says_so_and_an_idle_one_is_closed() {
    let is_leaving = Arc::new(AtomicBool::new(false));
    let (phase, phases) = watch::channel(Lifecycle::Serving);
    let (mut client, io) = duplex(1 << 20);
    client.write_all(format!("{GET}{GET}{GET}").as_bytes()).await.expect("room");
    let mut left = 2;
    let app = async |head: &RequestHead, session: &mut Http1Session<DuplexStream>| {
        left -= 1;
        is_leaving.store(left == 0, Ordering::Release);
        echo(head, session).await;
    };
    serve_in(io, (phases.clone(), Arc::clone(&is_leaving)), app).await;
    let got = read_all(&mut client).await;
    assert_eq!((got.matches("200 OK").count(), got.matches("Connection: close").count()), (2, 1), "{got}");

    let (mut client, io) = duplex(1 << 20);
    client.write_all(GET.as_bytes()).await.expect("room");
    let served = serve_in(io, (phases, Arc::default()), echo);
    let watching = async {
        let mut bytes = [0; 4096];
        let len = client.read(&mut bytes).await.expect("no reset");
        assert!(len > 0);
        phase.send_replace(Lifecycle::Closing);
        assert_eq!(client.read(&mut bytes).await.expect("no reset"), 0);
    };
    tokio::join!(served, watching);
}

/// A stream on which the runtime may be late: bytes have come, and nothing can be read yet.
#[derive(Debug)]
struct LateIo {
    io: DuplexStream,
    reader: Arc<Mutex<Reader>>,
}

#[derive(Debug, Default)]
struct Reader {
    is_late: bool,
    waker: Option<Waker>,
}

impl AsyncRead for LateIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let mut reader = self.reader.lock();
        if reader.is_late {
            reader.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(reader);
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for LateIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl ByteStream for LateIo {
    fn bytes_written(&self) -> u64 {
        0
    }

    fn reset_when_dropped(&self) {}

    fn probe(&self) {}

    fn is_broken(&self) -> bool {
        false
    }

    fn has_unread(&self) -> bool {
        self.reader.lock().is_late
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_come_in_the_last_moment_of_its_connection_is_served() {
    for phase_at_the_end in [Lifecycle::Serving, Lifecycle::Closing] {
        let (phase, phases) = watch::channel(Lifecycle::Serving);
        let (mut client, io) = duplex(1 << 20);
        let reader = Arc::new(Mutex::new(Reader::default()));
        client.write_all(GET.as_bytes()).await.expect("room");
        let io = LateIo { io, reader: Arc::clone(&reader) };
        let app = async |head: &RequestHead, session: &mut Http1Session<LateIo>| {
            let _ = respond(session, StatusCode::OK, head.target.as_bytes()).await;
        };
        let served = serve_in(io, (phases, Arc::default()), app);
        let asking = async {
            let mut bytes = [0; 4096];
            assert!(client.read(&mut bytes).await.expect("no reset") > 0);
            reader.lock().is_late = true;
            client.write_all(LAST.as_bytes()).await.expect("room");
            phase.send_replace(phase_at_the_end);
            pass(Limits::default().idle).await;
            let waker = std::mem::take(&mut *reader.lock()).waker;
            waker.expect("it reads").wake();
            let len = client.read(&mut bytes).await.expect("no reset");
            let got = String::from_utf8_lossy(&bytes[..len]);
            assert!(got.contains("200 OK"), "{phase_at_the_end:?}: {got:?}");
        };
        tokio::join!(served, asking);
    }
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_switched_connection_carries_raw_bytes_and_says_goodbye_between_frames() {
    let (phase, phases) = watch::channel(Lifecycle::Serving);
    let (mut client, io) = duplex(1 << 20);
    client.write_all(format!("{UPGRADE}early").as_bytes()).await.expect("room");
    let phase = &phase;
    let app = async |_: &RequestHead, session: &mut Http1Session<DuplexStream>| {
        assert_eq!(read_body(session).await, Ok(Vec::new()), "nothing is given out before the switch");
        let mut switching = ResponseHead { status: StatusCode::SWITCHING_PROTOCOLS, ..ResponseHead::default() };
        switching.fields.push(b"Upgrade", b"websocket");
        session.start_response(&switching).expect("the client is there");
        flush(session).await.expect("the client is there");
        // A frame of three bytes, and the end of the plane in the middle of it.
        send(session, b"\x82\x03a").await.expect("the client is there");
        flush(session).await.expect("the client is there");
        phase.send_replace(Lifecycle::Closing);
        send(session, b"bc\x82\x01d").await.expect("the client is there");
        assert_eq!(read_body(session).await, Ok(b"earlylate".to_vec()));
        finish(session, None).await.expect("the client is there");
    };
    let asking = async {
        let mut got = Vec::new();
        while !got.ends_with(&GOING_AWAY) {
            assert!(client.read_buf(&mut got).await.expect("no reset") > 0, "no goodbye: {got:?}");
        }
        client.write_all(b"late").await.expect("it is read");
        client.shutdown().await.expect("it is read");
        assert_eq!(client.read_buf(&mut got).await.expect("no reset"), 0, "nothing follows the goodbye");
        got
    };
    let both = async { tokio::join!(serve_in(io, (phases, Arc::default()), app), asking).1 };
    let got = tokio::time::timeout(Duration::from_secs(60), both).await.expect("a goodbye");
    let text = String::from_utf8_lossy(&got);
    assert!(text.starts_with("HTTP/1.1 101 Switching Protocols\r\n") && !text.contains("close"), "{text}");
    assert!(got.ends_with(b"\r\n\r\n\x82\x03abc\x88\x02\x03\xe9"), "{text}");
}

#[tokio::test]
async fn a_message_over_a_switched_connection_is_written_when_it_is_sent() {
    let (mut client, io) = duplex(1 << 20);
    client.write_all(UPGRADE.as_bytes()).await.expect("room");
    client.shutdown().await.expect("it is open");
    let writes = Arc::new(AtomicUsize::new(0));
    let app = async |_: &RequestHead, session: &mut Http1Session<Watched>| {
        let mut switching = ResponseHead { status: StatusCode::SWITCHING_PROTOCOLS, ..ResponseHead::default() };
        switching.fields.push(b"Upgrade", b"websocket");
        session.start_response(&switching).expect("the client is there");
        flush(session).await.expect("the client is there");
        for count in 2..5 {
            send(session, b"\x82\x01a").await.expect("the client is there");
            assert_eq!(writes.load(Ordering::Relaxed), count);
            flush(session).await.expect("the client is there");
            assert_eq!(writes.load(Ordering::Relaxed), count);
        }
        finish(session, None).await.expect("the client is there");
    };
    serve(Watched { io, writes: Arc::clone(&writes), is_reset: Arc::default() }, app).await;
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.expect("no reset");
    assert!(got.ends_with(b"\r\n\r\n\x82\x01a\x82\x01a\x82\x01a"), "{}", got.escape_ascii());
}

#[tokio::test(start_paused = true)]
async fn heads_that_are_not_whole_hold_memory_and_are_refused_where_there_is_none() {
    let memory = MemoryBudget::new(100_000);
    let mut clients = Vec::new();
    let begin = |clients: &mut Vec<(DuplexStream, _)>| {
        let (client, io) = duplex(64 * 1024);
        let (phase, phases) = watch::channel(Lifecycle::Serving);
        let app = async |_: &RequestHead, session: &mut Http1Session<DuplexStream>| {
            let _ = respond(session, StatusCode::OK, b"").await;
        };
        let memory = memory.clone();
        let served = tokio::spawn(async move {
            let _phase = phase;
            serve_within(memory, io, (phases, Arc::default()), app).await;
        });
        clients.push((client, served));
    };
    for _ in 0..6 {
        begin(&mut clients);
        let (client, _) = clients.last_mut().expect("one");
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").await.expect("room");
        pass(Duration::from_millis(1)).await;
    }
    assert!(memory.leased() > 95_000, "{}", memory.leased());
    begin(&mut clients);
    let (mut refused, _) = clients.pop().expect("one");
    refused.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").await.expect("room");
    let mut answer = vec![0; 12];
    refused.read_exact(&mut answer).await.expect("answered");
    assert_eq!(answer, b"HTTP/1.1 503");
    // A head that comes in one piece holds nothing, and is up to admission.
    begin(&mut clients);
    let (mut whole, _) = clients.pop().expect("one");
    whole.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("room");
    whole.read_exact(&mut answer).await.expect("answered");
    assert_eq!(answer, b"HTTP/1.1 200");
    drop((clients, refused, whole));
    pass(Duration::from_secs(1)).await;
    assert_eq!(memory.leased(), 0);
}
