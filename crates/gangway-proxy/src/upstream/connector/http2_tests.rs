//! Requests over HTTP/2, at a peer that is not built from what is under test.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use gangway_model::Scheme;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::stream::body_frame::BodyFrame;
use crate::stream::read_width::ReadWidth;
use crate::stream::upstream_request::UpstreamRequest;
use crate::upstream::samples::{NEED, connector, endpoint};

/// What came to the application.
type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// An application that hands its connections and requests to a test.
struct App {
    endpoint: ActiveEndpoint,
    listener: TcpListener,
}

/// One connection to it. Requests come as long as the test asks for them.
type Served = h2::server::Connection<tokio::net::TcpStream, Bytes>;

impl App {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = endpoint(Scheme::H2c, listener.local_addr().expect("bound"));
        Self { endpoint, listener }
    }

    async fn connection(&self) -> Served {
        let (tcp, _) = self.listener.accept().await.expect("it listens");
        h2::server::handshake(tcp).await.expect("HTTP/2")
    }
}

/// Goes on with a connection in the background; its requests come by the channel.
fn serve(mut connection: Served) -> mpsc::UnboundedReceiver<Asked> {
    let (asked_tx, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(asked)) = connection.accept().await {
            let _ = asked_tx.send(asked);
        }
    });
    asked
}

fn fields(of: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in of {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

fn start(stream: &mut UpstreamStream, method: &Method, body: BodyLength) {
    let fields = fields(&[("Host", "app.example"), ("content-type", "application/grpc"), ("X-Case", "kept")]);
    let request =
        UpstreamRequest { method, target: "/a?b={c}", fields: &fields, body, is_upgrade: false, is_last: false };
    stream.start_request(&request).expect("it can be said");
}

async fn head(stream: &mut UpstreamStream) -> Result<ResponseHead, UpstreamErrorKind> {
    let mut head = ResponseHead::default();
    poll_fn(|cx| stream.poll_response_head(cx, &mut head)).await.map_err(|error| error.kind)?;
    Ok(head)
}

async fn body(stream: &mut UpstreamStream) -> Result<String, UpstreamErrorKind> {
    let mut all = Vec::new();
    loop {
        let len = poll_fn(|cx| match stream.poll_body(cx, ReadWidth::Narrow) {
            Poll::Ready(Ok(BodyFrame::Data(data))) => {
                all.extend_from_slice(data);
                Poll::Ready(Ok(data.len()))
            }
            Poll::Ready(Ok(BodyFrame::End)) => Poll::Ready(Ok(0)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error.kind)),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        if len == 0 {
            return Ok(String::from_utf8(all).expect("text"));
        }
        stream.consume(len);
    }
}

fn trailers(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
}

async fn connect(connector: &Connector, app: &App) -> (UpstreamStream, mpsc::UnboundedReceiver<Asked>) {
    let (stream, served) = tokio::join!(connector.connect(&app.endpoint, &NEED), app.connection());
    (stream.expect("it listens"), serve(served))
}

#[tokio::test]
async fn bodies_trailers_and_early_hints_go_both_ways() {
    let (app, connector) = (App::new().await, connector());
    let (mut stream, mut requests) = connect(&connector, &app).await;
    assert!(!stream.is_reused());
    start(&mut stream, &Method::POST, BodyLength::Framed);
    let sent = [b'x'; 100_000];
    let sending = async {
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let taken = poll_fn(|cx| stream.poll_send(cx, rest.into())).await.expect("taken");
            rest = &rest[taken..];
        }
        let trailers = fields(&[("Sum", "7"), ("Connection", "never")]);
        poll_fn(|cx| stream.poll_finish_request(cx, Some(&trailers))).await.expect("sent");
    };
    let receiving = async {
        let (request, respond) = requests.recv().await.expect("it came");
        let (parts, mut body) = request.into_parts();
        let mut len = 0;
        while let Some(data) = body.data().await {
            let data = data.expect("whole");
            len += data.len();
            body.flow_control().release_capacity(data.len()).expect("it came");
        }
        (parts, len, body.trailers().await.expect("whole"), respond)
    };
    let ((), (parts, len, request_trailers, mut respond)) = tokio::join!(sending, receiving);
    assert_eq!(parts.uri, "http://app.example/a?b={c}");
    assert_eq!((parts.headers["te"].as_bytes(), parts.headers["x-case"].as_bytes()), (&b"trailers"[..], &b"kept"[..]));
    assert!(!parts.headers.contains_key("host"));
    assert_eq!((len, request_trailers), (sent.len(), Some(trailers("sum", "7"))));

    let hints = Response::builder().status(103).header("link", "</a>").body(()).expect("a head");
    respond.send_informational(hints).expect("open");
    let hints = head(&mut stream).await.expect("hints");
    assert_eq!((hints.status.as_u16(), hints.fields.get_named(b"link")), (103, Some(&b"</a>"[..])));
    let mut response = respond.send_response(Response::new(()), false).expect("open");
    let answer = head(&mut stream).await.expect("answered");
    assert_eq!((answer.status, answer.body), (StatusCode::OK, BodyLength::Framed));
    response.send_data("pong".into(), false).expect("open");
    response.send_trailers(trailers("grpc-status", "0")).expect("open");
    assert_eq!(body(&mut stream).await.expect("whole"), "pong");
    let got = stream.response_trailers().and_then(|trailers| trailers.get_named(b"grpc-status"));
    assert_eq!(got, Some(&b"0"[..]));
    connector.release(stream);

    // The next request goes by the same connection, and its answer is nothing but trailers.
    let mut stream = connector.checkout(&app.endpoint, &NEED).expect("it is open");
    assert!(stream.is_reused());
    start(&mut stream, &Method::POST, BodyLength::Empty);
    let (_, mut respond) = requests.recv().await.expect("it came");
    let only = Response::builder().header("grpc-status", "12").body(()).expect("a head");
    respond.send_response(only, true).expect("open");
    let answer = head(&mut stream).await.expect("answered");
    assert_eq!((answer.body, answer.fields.get_named(b"grpc-status")), (BodyLength::Empty, Some(&b"12"[..])));
    assert_eq!(body(&mut stream).await.as_deref(), Ok(""));
}

#[tokio::test]
async fn a_slow_reader_holds_its_application_back_and_nobody_else() {
    let (app, connector) = (App::new().await, connector());
    let (mut slow, mut requests) = connect(&connector, &app).await;
    start(&mut slow, &Method::GET, BodyLength::Empty);
    let (_, mut respond) = requests.recv().await.expect("it came");
    let mut response = respond.send_response(Response::new(()), false).expect("open");
    head(&mut slow).await.expect("answered");
    // More than the slow one takes.
    response.reserve_capacity(64 << 20);
    let mut sent = 0;
    loop {
        let Some(Ok(capacity)) = poll_fn(|cx| match response.poll_capacity(cx) {
            Poll::Pending if sent >= 256 * 1024 => Poll::Ready(None),
            poll => poll,
        })
        .await
        else {
            break;
        };
        sent += capacity;
        response.send_data(vec![b'x'; capacity].into(), false).expect("open");
    }
    assert!(sent <= 512 * 1024, "{sent} bytes ahead");
    let mut other = connector.checkout(&app.endpoint, &NEED).expect("it is open");
    start(&mut other, &Method::GET, BodyLength::Empty);
    let (_, mut respond) = requests.recv().await.expect("it came");
    let mut response = respond.send_response(Response::new(()), false).expect("open");
    response.send_data("quick".into(), true).expect("open");
    head(&mut other).await.expect("answered");
    assert_eq!(body(&mut other).await.as_deref(), Ok("quick"));
}

#[tokio::test]
async fn what_the_application_has_not_processed_is_told_from_what_it_has() {
    let (app, connector) = (App::new().await, connector());
    let (mut stream, mut requests) = connect(&connector, &app).await;
    for (reason, kind) in [
        (Reason::REFUSED_STREAM, UpstreamErrorKind::Unprocessed),
        (Reason::INTERNAL_ERROR, UpstreamErrorKind::Reset),
        (Reason::CANCEL, UpstreamErrorKind::Reset),
    ] {
        start(&mut stream, &Method::POST, BodyLength::Empty);
        let (_, mut respond) = requests.recv().await.expect("it came");
        respond.send_reset(reason);
        assert_eq!(head(&mut stream).await.expect_err("reset"), kind);
        stream = connector.checkout(&app.endpoint, &NEED).expect("the connection goes on");
    }
    start(&mut stream, &Method::GET, BodyLength::Empty);
    let (_, mut respond) = requests.recv().await.expect("it came");
    let mut response = respond.send_response(Response::new(()), false).expect("open");
    head(&mut stream).await.expect("answered");
    response.send_reset(Reason::INTERNAL_ERROR);
    assert_eq!(body(&mut stream).await, Err(UpstreamErrorKind::ClosedEarly));
}

#[tokio::test]
async fn what_a_goaway_leaves_out_was_not_processed() {
    /// A frame of settings, and one that says that no stream was processed.
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (app, connector) = (App::new().await, connector());
    let accepting = async {
        let (mut tcp, _) = app.listener.accept().await.expect("it listens");
        tcp.write_all(&SETTINGS).await.expect("open");
        tcp
    };
    let (stream, mut tcp) = tokio::join!(connector.connect(&app.endpoint, &NEED), accepting);
    let mut stream = stream.expect("it listens");
    start(&mut stream, &Method::POST, BodyLength::Empty);
    tcp.write_all(&GOAWAY).await.expect("open");
    assert_eq!(head(&mut stream).await.expect_err("not processed"), UpstreamErrorKind::Unprocessed);
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_refused() {
    let (app, connector) = (App::new().await, connector());
    let (mut stream, mut requests) = connect(&connector, &app).await;
    start(&mut stream, &Method::GET, BodyLength::Empty);
    let (_request, mut respond) = requests.recv().await.expect("it came");
    let fields = (0..70).fold(Response::builder(), |head, _| head.header("x-large", "x".repeat(1000)));
    let large = fields.body(()).expect("a head");
    respond.send_response(large, true).expect("open");
    assert_eq!(head(&mut stream).await.expect_err("too large"), UpstreamErrorKind::Malformed);
}

#[tokio::test]
async fn an_early_answer_ends_a_request_that_goes_on() {
    let (app, connector) = (App::new().await, connector());
    let (mut stream, mut requests) = connect(&connector, &app).await;
    start(&mut stream, &Method::POST, BodyLength::Framed);
    let (request, mut respond) = requests.recv().await.expect("it came");
    let early = Response::builder().status(413).body(()).expect("a head");
    respond.send_response(early, true).expect("open");
    // The library then resets the stream, with NO_ERROR, once the answer is written.
    drop((request, respond));
    let mut rest = 10 << 20;
    while rest > 0 {
        rest -= poll_fn(|cx| stream.poll_send(cx, vec![b'x'; rest][..].into())).await.expect("taken or discarded");
    }
    poll_fn(|cx| stream.poll_finish_request(cx, None)).await.expect("sent or discarded");
    assert_eq!(head(&mut stream).await.expect("answered").status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(body(&mut stream).await.as_deref(), Ok(""));
}

#[tokio::test]
async fn a_connection_that_says_goodbye_gets_no_further_request() {
    let (app, connector) = (App::new().await, connector());
    let (stream, mut served) = tokio::join!(connector.connect(&app.endpoint, &NEED), app.connection());
    let mut stream = stream.expect("it listens");
    start(&mut stream, &Method::GET, BodyLength::Empty);
    let (_, mut respond) = served.accept().await.expect("it came").expect("whole");
    served.graceful_shutdown();
    respond.send_response(Response::new(()), true).expect("open");
    let _requests = serve(served);
    head(&mut stream).await.expect("the request under way is answered");
    drop(stream);
    gangway_testkit::wait::eventually("it has gone", Duration::from_secs(20), async || {
        connector.checkout(&app.endpoint, &NEED).is_none().then_some(())
    })
    .await;
    let (fresh, _requests) = connect(&connector, &app).await;
    assert!(!fresh.is_reused());
}

#[tokio::test]
async fn a_burst_of_requests_shares_one_connection() {
    let (app, connector) = (App::new().await, connector());
    let accepting = async {
        let mut requests = serve(app.connection().await);
        let mut respond = Vec::new();
        while respond.len() < 50 {
            respond.push(requests.recv().await.expect("it came").1);
        }
        for mut respond in respond {
            respond.send_response(Response::new(()), true).expect("open");
        }
        requests
    };
    let asking = async {
        let mut streams = Vec::new();
        let mut opening: Vec<_> = (0..50).map(|_| Box::pin(connector.connect(&app.endpoint, &NEED))).collect();
        for opening in &mut opening {
            let mut stream = opening.await.expect("it listens");
            start(&mut stream, &Method::GET, BodyLength::Empty);
            streams.push(stream);
        }
        for stream in &mut streams {
            head(stream).await.expect("answered");
        }
    };
    let (_requests, ()) = tokio::join!(accepting, asking);
}

#[tokio::test]
async fn a_dead_connection_is_found_out_and_a_quiet_one_is_left_alone() {
    for answers_pings in [true, false] {
        let (app, connector) = (App::new().await, connector());
        let (stream, mut served) = tokio::join!(connector.connect(&app.endpoint, &NEED), app.connection());
        let mut stream = stream.expect("it listens");
        start(&mut stream, &Method::GET, BodyLength::Empty);
        let (_, mut respond) = served.accept().await.expect("it came").expect("whole");
        // A connection that nobody drives is frozen: nothing is read from it.
        let (frozen, requests) = if answers_pings { (None, Some(serve(served))) } else { (Some(served), None) };
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        if !answers_pings {
            let early = tokio::time::timeout(Duration::from_millis(12_500), head(&mut stream)).await;
            early.expect_err("it may still answer");
            assert!(connector.checkout(&app.endpoint, &NEED).is_none(), "new requests do not wait for that");
        }
        let outcome = tokio::time::timeout(Duration::from_secs(60), head(&mut stream)).await;
        match answers_pings {
            true => {
                outcome.expect_err("it thinks about the answer");
                respond.send_response(Response::new(()), true).expect("the connection is open");
                head(&mut stream).await.expect("answered");
            }
            false => {
                assert_eq!(outcome.expect("in time").expect_err("dead"), UpstreamErrorKind::ClosedUnanswered);
                let after = begun.elapsed().as_secs();
                assert!((10..=17).contains(&after), "after {after} seconds");
                assert!(connector.checkout(&app.endpoint, &NEED).is_none(), "requests go elsewhere");
            }
        }
        tokio::time::resume();
        drop((frozen, requests));
    }
}
