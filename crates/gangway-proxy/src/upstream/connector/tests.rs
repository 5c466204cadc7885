//! Connections to endpoints, over real sockets.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use bytes::{Buf as _, Bytes};
use gangway_model::{Address, Readiness, Scheme};
use gangway_testkit::ports::ClosedPort;
use http::{Method, StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;
use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::samples;
use crate::stream::body_bytes::BodyBytes;
use crate::stream::body_frame::BodyFrame;
use crate::stream::read_width::ReadWidth;
use crate::stream::upstream_request::UpstreamRequest;
use crate::upstream::samples::{NEED, connector, endpoint, endpoint_at};
use crate::upstream::tls::tests::acceptor;

/// What an application does on one connection.
#[derive(Clone, Debug)]
enum Act {
    /// Reads a request to its end.
    Read,
    /// Reads only the head of a request.
    ReadHead,
    Write(Vec<u8>),
    /// Waits until the other side waits.
    Rest,
}

/// An application that acts by this script on every connection, and then closes it.
struct App {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    idle: Arc<Notify>,
}

impl App {
    async fn new(script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (connections, idle) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let app = Self { address, connections: Arc::clone(&connections), idle: Arc::clone(&idle) };
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.expect("it listens");
                connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(act(tcp, script.clone().into(), Arc::clone(&idle)));
            }
        });
        app
    }

    /// An application that answers every request in the same way.
    async fn answering(answer: &str) -> Self {
        let turn = [Act::Read, Act::Write(answer.into())];
        Self::new(std::iter::repeat_n(turn, 200).flatten().collect()).await
    }

    fn endpoint(&self) -> ActiveEndpoint {
        endpoint(Scheme::Http, self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn act(mut tcp: TcpStream, script: VecDeque<Act>, idle: Arc<Notify>) {
    tcp.set_nodelay(true).expect("a socket");
    let mut read = Vec::new();
    for act in script {
        match act {
            Act::Read | Act::ReadHead => {
                let Some(head) = read_until(&mut tcp, &mut read, b"\r\n\r\n").await else { return };
                let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
                if matches!(act, Act::ReadHead) {
                    continue;
                }
                if head.contains("transfer-encoding") {
                    let Some(_) = read_until(&mut tcp, &mut read, b"0\r\n\r\n").await else { return };
                } else if let Some((_, rest)) = head.split_once("content-length: ") {
                    let len: usize = rest.lines().next().and_then(|len| len.parse().ok()).expect("a length");
                    while read.len() < len {
                        if !more(&mut tcp, &mut read).await {
                            return;
                        }
                    }
                    read.drain(..len);
                }
            }
            Act::Write(bytes) => {
                if tcp.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::Rest => idle.notified().await,
        }
    }
}

async fn read_until(tcp: &mut TcpStream, read: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = memchr::memmem::find(read, end) {
            return Some(read.drain(..at + end.len()).collect());
        }
        if !more(tcp, read).await {
            return None;
        }
    }
}

async fn more(tcp: &mut TcpStream, read: &mut Vec<u8>) -> bool {
    tcp.read_buf(read).await.is_ok_and(|len| len > 0)
}

/// A response as it came.
#[derive(Debug, Default, Eq, PartialEq)]
struct Got {
    informational: Vec<u16>,
    status: u16,
    body: String,
    trailers: String,
}

async fn open(connector: &Connector, endpoint: &ActiveEndpoint, need: &ConnectionNeed<'_>) -> UpstreamStream {
    match connector.checkout(endpoint, need) {
        Some(stream) => stream,
        None => connector.connect(endpoint, need).await.expect("it listens"),
    }
}

async fn send(stream: &mut UpstreamStream, method: &Method, length: BodyLength, mut body: &[u8]) {
    let mut fields = Fields::default();
    fields.push(b"Host", b"app.example");
    if let BodyLength::Sized(len) = length {
        fields.push(b"Content-Length", len.to_string().as_bytes());
    }
    let request =
        UpstreamRequest { method, target: "/", fields: &fields, body: length, is_upgrade: false, is_last: false };
    stream.start_request(&request).expect("it can be said");
    while !body.is_empty() {
        let taken = poll_fn(|cx| stream.poll_send(cx, body.into())).await.expect("taken");
        body = &body[taken..];
    }
    poll_fn(|cx| stream.poll_finish_request(cx, None)).await.expect("sent");
}

#[tokio::test]
async fn slices_of_a_body_are_sent_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = endpoint(Scheme::Http, listener.local_addr().expect("bound"));
    let connector = connector();
    let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    let (first, rest) = bytes.split_at(10);
    let rest: Vec<Bytes> = rest.chunks(60_000).map(Bytes::copy_from_slice).collect();
    for length in [BodyLength::Sized(200_000), BodyLength::Framed] {
        let (stream, accepted) = tokio::join!(connector.connect(&endpoint, &NEED), listener.accept());
        let (mut stream, (mut tcp, _)) = (stream.expect("it listens"), accepted.expect("it came"));
        let mut fields = Fields::default();
        fields.push(b"Host", b"a");
        let method = &Method::PUT;
        let request =
            UpstreamRequest { method, target: "/", fields: &fields, body: length, is_upgrade: false, is_last: false };
        stream.start_request(&request).expect("it can be said");
        let sending = async {
            // Whatever the socket takes at once, it goes on with the rest.
            let (mut first, mut rest) = (Bytes::copy_from_slice(first), rest.clone());
            loop {
                let taken = poll_fn(|cx| stream.poll_send(cx, BodyBytes::new(&first, &rest))).await.expect("taken");
                let mut left = taken;
                while left > 0 {
                    let of_first = left.min(first.len());
                    first.advance(of_first);
                    left -= of_first;
                    if first.is_empty() && !rest.is_empty() {
                        first = rest.remove(0);
                    }
                }
                let is_sent = matches!(length, BodyLength::Sized(len) if 300_000 - first.len() - rest.iter().map(Bytes::len).sum::<usize>() >= len as usize);
                if is_sent || first.is_empty() {
                    break;
                }
            }
            poll_fn(|cx| stream.poll_finish_request(cx, None)).await.expect("sent");
        };
        let mut read = Vec::new();
        let reading = async {
            match length {
                BodyLength::Sized(len) => {
                    read_until(&mut tcp, &mut read, b"\r\n\r\n").await.expect("a head");
                    while read.len() < len as usize {
                        assert!(more(&mut tcp, &mut read).await, "more comes");
                    }
                    assert_eq!(read, bytes[..len as usize]);
                }
                _ => {
                    read_until(&mut tcp, &mut read, b"\r\n\r\n").await.expect("a head");
                    let size = read_until(&mut tcp, &mut read, b"\r\n").await.expect("a chunk");
                    assert_eq!(size, b"493e0\r\n", "300,000 in one chunk");
                    while read.len() < bytes.len() + b"\r\n0\r\n\r\n".len() {
                        assert!(more(&mut tcp, &mut read).await, "more comes");
                    }
                    assert!(read == [&bytes[..], b"\r\n0\r\n\r\n"].concat());
                }
            }
        };
        tokio::join!(sending, reading);
    }
}

/// Reads a response, and tells `idle` whenever nothing is there.
async fn receive(stream: &mut UpstreamStream, idle: &Notify) -> Result<Got, UpstreamErrorKind> {
    let mut got = Got::default();
    let mut head = ResponseHead::default();
    let tell = |is_pending: bool| {
        if is_pending {
            idle.notify_one();
        }
    };
    loop {
        poll_fn(|cx| {
            let poll = stream.poll_response_head(cx, &mut head);
            tell(poll.is_pending());
            poll
        })
        .await
        .map_err(|error| error.kind)?;
        got.status = head.status.as_u16();
        if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            break;
        }
        got.informational.push(got.status);
    }
    loop {
        let data = poll_fn(|cx| {
            let poll = stream.poll_body(cx, ReadWidth::Narrow);
            tell(poll.is_pending());
            match poll {
                Poll::Ready(Ok(BodyFrame::Data(data))) => Poll::Ready(Ok(Some(data.to_vec()))),
                Poll::Ready(Ok(BodyFrame::End)) => Poll::Ready(Ok(None)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error.kind)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        let Some(data) = data else { break };
        // Not all at once, as a slow client would.
        let len = data.len().div_ceil(2);
        got.body.push_str(std::str::from_utf8(&data[..len]).expect("text"));
        stream.consume(len);
    }
    let trailers = stream.response_trailers().map(|fields| {
        let mut lines = Vec::new();
        fields.write_lines(&mut lines);
        String::from_utf8(lines).expect("text")
    });
    got.trailers = trailers.unwrap_or_default();
    Ok(got)
}

/// Sends a request without a body and reads its response.
async fn ask(connector: &Connector, endpoint: &ActiveEndpoint, method: Method) -> Result<Got, UpstreamErrorKind> {
    let mut stream = open(connector, endpoint, &NEED).await;
    send(&mut stream, &method, BodyLength::Empty, b"").await;
    let got = receive(&mut stream, &Notify::new()).await?;
    connector.release(stream);
    Ok(got)
}

#[tokio::test]
async fn a_response_is_the_same_however_its_bytes_are_cut() {
    let ok = |body: &str| Got { status: 200, body: body.to_owned(), ..Got::default() };
    let with_trailers = Got { trailers: "Sum: 7\r\n".to_owned(), ..ok("one, two") };
    let cases = [
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\none, two", ok("one, two"), true),
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ok(""), true),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\none, \r\n3\r\ntwo\r\n0\r\nSum: 7\r\n\r\n",
            with_trailers,
            true,
        ),
        (Method::GET, "HTTP/1.1 200 OK\r\n\r\none, two", ok("one, two"), false),
        (Method::GET, "HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\none, two", ok("one, two"), false),
        (Method::GET, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none", ok("one"), false),
        (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", ok(""), true),
        (Method::GET, "HTTP/1.1 204 None\r\n\r\n", Got { status: 204, ..Got::default() }, true),
        (
            Method::GET,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
            Got { informational: vec![100, 103], ..ok("one") },
            true,
        ),
    ];
    let connector = connector();
    for (method, answer, expected, is_kept) in cases {
        for cut in 0..=answer.len() {
            let (first, second) = answer.as_bytes().split_at(cut);
            let whole = [Act::Read, Act::Write(first.into()), Act::Rest, Act::Write(second.into())];
            let script = if is_kept { [&whole[..], &[Act::Read]].concat() } else { whole.to_vec() };
            let app = App::new(script).await;
            let endpoint = app.endpoint();
            let mut stream = open(&connector, &endpoint, &NEED).await;
            send(&mut stream, &method, BodyLength::Empty, b"").await;
            let got = receive(&mut stream, &app.idle).await;
            assert_eq!(got.as_ref(), Ok(&expected), "{answer:?} cut at {cut}");
            connector.release(stream);
            let kept = connector.checkout(&endpoint, &NEED);
            assert_eq!(kept.is_some(), is_kept, "{answer:?} cut at {cut}");
            assert!(kept.is_none_or(|stream| stream.is_reused()));

            // The application closes instead of going on.
            let app = App::new(vec![Act::Read, Act::Write(first.into())]).await;
            let mut stream = open(&connector, &app.endpoint(), &NEED).await;
            send(&mut stream, &method, BodyLength::Empty, b"").await;
            let got = receive(&mut stream, &app.idle).await;
            let head_len = answer.rfind("\r\n\r\n").expect("a head") + 4;
            let ends_by_close = !answer.contains("Content-Length") && !answer.contains("chunked");
            match got {
                Err(kind) if cut == 0 => assert_eq!(kind, UpstreamErrorKind::ClosedUnanswered),
                Err(kind) => assert_eq!(kind, UpstreamErrorKind::ClosedEarly, "{answer:?} cut at {cut}"),
                Ok(got) => {
                    assert!(cut == answer.len() || ends_by_close && cut >= head_len, "{answer:?} cut at {cut}");
                    assert!(expected.body.starts_with(&got.body));
                }
            }
        }
    }
}

#[tokio::test]
async fn no_request_is_lost_at_an_application_that_closes_after_each_answer() {
    let answer = Act::Write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into());
    let app = App::new(vec![Act::Read, answer, Act::Rest]).await;
    let (connector, endpoint) = (connector(), app.endpoint());
    let once = ConnectionNeed { is_repeatable: false, ..NEED };
    for round in 0..50 {
        let mut stream = open(&connector, &endpoint, &once).await;
        if round > 0 {
            // At the worst moment: the last connection closes while the next request has chosen its own.
            app.idle.notify_one();
        }
        send(&mut stream, &Method::POST, BodyLength::Sized(3), b"new").await;
        let got = receive(&mut stream, &Notify::new()).await;
        assert_eq!(got.expect("answered").body, "ok", "round {round}");
        connector.release(stream);
    }
}

#[tokio::test]
async fn an_application_that_keeps_connections_gets_every_request_on_them() {
    let app = App::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let (connector, endpoint) = (connector(), app.endpoint());
    let once = ConnectionNeed { is_repeatable: false, ..NEED };
    assert!(connector.checkout(&endpoint, &once).is_none());
    for _ in 0..5 {
        assert_eq!(ask(&connector, &endpoint, Method::GET).await.expect("answered").body, "ok");
    }
    let mut stream = connector.checkout(&endpoint, &once).expect("it keeps connections");
    send(&mut stream, &Method::POST, BodyLength::Framed, b"new").await;
    assert_eq!(receive(&mut stream, &app.idle).await.expect("answered").body, "ok");
    connector.release(stream);
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_has_ended_is_read() {
    let answer = Act::Write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig".into());
    let app = App::new(vec![Act::ReadHead, answer]).await;
    let (connector, endpoint) = (connector(), app.endpoint());
    for body in [BodyLength::Sized(64 << 20), BodyLength::Framed] {
        let mut stream = open(&connector, &endpoint, &NEED).await;
        send(&mut stream, &Method::POST, body, &vec![b'x'; 64 << 20]).await;
        let got = receive(&mut stream, &app.idle).await.expect("answered");
        assert_eq!((got.status, &*got.body), (413, "big"), "{body:?}");
        connector.release(stream);
        assert!(connector.checkout(&endpoint, &NEED).is_none(), "nobody knows what it still reads");
    }
}

#[tokio::test]
async fn nothing_is_kept_behind_an_answer_with_more_than_an_answer() {
    let answers = [
        (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"),
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\nstray"),
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokstray"),
        (Method::GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nstray"),
        (Method::GET, "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok"),
    ];
    let connector = connector();
    for (method, answer) in answers {
        let app = App::answering(answer).await;
        let endpoint = app.endpoint();
        assert_eq!(ask(&connector, &endpoint, method).await.map(|got| got.status < 300), Ok(true));
        assert!(connector.checkout(&endpoint, &NEED).is_none(), "{answer:?}");
    }
}

#[tokio::test]
async fn nothing_is_kept_behind_a_request_that_is_the_last_one_or_not_whole() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let turn = [Act::ReadHead, Act::Write(answer.into())];
    let app = App::new(std::iter::repeat_n(turn, 5).flatten().collect()).await;
    let (endpoint, connector) = (app.endpoint(), connector());
    for (len, is_last, is_kept) in [(5, false, true), (10, false, false), (5, true, false)] {
        let mut stream = connector.connect(&endpoint, &NEED).await.expect("it listens");
        let mut fields = Fields::default();
        fields.push(b"Content-Length", len.to_string().as_bytes());
        let (method, body) = (&Method::PUT, BodyLength::Sized(len));
        let request = UpstreamRequest { method, target: "/", fields: &fields, body, is_upgrade: false, is_last };
        stream.start_request(&request).expect("it can be said");
        let taken = poll_fn(|cx| stream.poll_send(cx, b"hello"[..].into())).await.expect("taken");
        assert_eq!(taken, 5);
        // The client has ended its body where it had announced more.
        let _ = poll_fn(|cx| stream.poll_finish_request(cx, None)).await;
        assert_eq!(receive(&mut stream, &Notify::new()).await.expect("answered").body, "ok");
        connector.release(stream);
        assert_eq!(connector.checkout(&endpoint, &NEED).is_some(), is_kept, "{len} {is_last}");
    }
}

#[tokio::test]
async fn a_connection_of_one_client_is_for_that_client() {
    let challenge = "HTTP/1.1 401 Who\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
    let (app, connector) = (App::answering(challenge).await, connector());
    let endpoint = app.endpoint();
    assert_eq!(ask(&connector, &endpoint, Method::GET).await.expect("answered").status, 401);
    assert!(connector.checkout(&endpoint, &NEED).is_none(), "it takes whoever comes for the one it asked");
    let client = Arc::new(samples::connection(false));
    client.dedicated.begin(client.peer_ip());
    let owner = client.dedicated.owner(client.peer_ip());
    let own = ConnectionNeed { owner, client: Some(&client), ..NEED };
    let mut stream = open(&connector, &endpoint, &own).await;
    send(&mut stream, &Method::GET, BodyLength::Empty, b"").await;
    assert_eq!(receive(&mut stream, &app.idle).await.expect("answered").status, 401);
    connector.release(stream);
    assert!(connector.checkout(&endpoint, &NEED).is_none());
    assert!(client.dedicated.has(&endpoint.state));
    assert!(connector.checkout(&endpoint, &own).is_some_and(|stream| stream.is_reused()));
}

#[tokio::test]
async fn every_connection_counts_until_it_closes() {
    let app = App::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let settings = ConnectorSettings::new(&Limits::default(), OpenConnections::default());
    let connector = Connector::new(&settings);
    let endpoint = app.endpoint();
    let one = open(&connector, &endpoint, &NEED).await;
    assert_eq!(ask(&connector, &endpoint, Method::GET).await.expect("answered").body, "ok");
    assert_eq!(settings.open.count(), 2, "one in use, one idle");
    drop(one);
    assert_eq!(settings.open.count(), 1);
    drop(endpoint);
    // Its state has gone, so nobody can use the idle one.
    gangway_testkit::wait::eventually("the idle one closes", Duration::from_secs(20), async || {
        (settings.open.count() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_gives_its_place_to_one_that_is_needed() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (kept, other) = (App::answering(answer).await, App::answering(answer).await);
    let connector = Connector::new(&ConnectorSettings::new(&Limits::default(), OpenConnections::at_most(1)));
    ask(&connector, &kept.endpoint(), Method::GET).await.expect("answered");
    ask(&connector, &other.endpoint(), Method::GET).await.expect("there is a place");
}

#[tokio::test]
async fn an_endpoint_that_closes_under_a_request_is_not_trusted_to_keep_connections() {
    let answer = Act::Write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".into());
    let app = App::new(vec![Act::Read, answer, Act::Read]).await;
    let (connector, endpoint) = (connector(), app.endpoint());
    ask(&connector, &endpoint, Method::GET).await.expect("answered");
    endpoint.state.note_kept_open();
    assert!(endpoint.state.is_trusted_to_keep_connections());
    let closed = ask(&connector, &endpoint, Method::GET).await.expect_err("it closes");
    assert_eq!(closed, UpstreamErrorKind::ClosedUnanswered);
    assert!(!endpoint.state.is_trusted_to_keep_connections());
}

#[tokio::test]
async fn no_connection_is_kept_to_an_endpoint_that_leaves() {
    let app = App::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let (connector, endpoint) = (connector(), app.endpoint());
    ask(&connector, &endpoint, Method::GET).await.expect("answered");
    let stream = connector.checkout(&endpoint, &NEED).expect("it is kept");
    endpoint.state.note_readiness(Readiness::Leaving);
    connector.release(stream);
    assert!(connector.checkout(&endpoint, &NEED).is_none());
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_reported_as_such() {
    let (nobody, connector) = (ClosedPort::new(), connector());
    let refused =
        connector.connect(&endpoint(Scheme::Http, nobody.address()), &NEED).await.expect_err("nobody listens");
    assert_eq!(refused.kind, UpstreamErrorKind::Refused);
    let unknown = endpoint_at(Scheme::Http, Address::Name("no-such-name.invalid".into(), 80));
    let unknown = connector.connect(&unknown, &NEED).await.expect_err("there is no such name");
    assert_eq!(unknown.kind, UpstreamErrorKind::NameUnknown);
}

#[tokio::test]
async fn a_switched_protocol_goes_both_ways_until_one_side_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = endpoint(Scheme::Http, listener.local_addr().expect("bound"));
    let connector = connector();
    let need = ConnectionNeed { is_upgrade: true, ..NEED };
    let app = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("it listens");
        let mut read = Vec::new();
        read_until(&mut tcp, &mut read, b"\r\n\r\n").await.expect("a head");
        let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello ";
        tcp.write_all(switch.as_bytes()).await.expect("written");
        let mut said = String::new();
        tcp.read_to_string(&mut said).await.expect("it ends");
        tcp.write_all(said.as_bytes()).await.expect("written");
    });
    let mut stream = open(&connector, &endpoint, &need).await;
    let mut fields = Fields::default();
    fields.push(b"Host", b"app.example");
    fields.push(b"Connection", b"upgrade");
    fields.push(b"Upgrade", b"echo");
    let request = UpstreamRequest {
        method: &Method::GET,
        target: "/",
        fields: &fields,
        body: BodyLength::Empty,
        is_upgrade: true,
        is_last: false,
    };
    stream.start_request(&request).expect("it can be said");
    poll_fn(|cx| stream.poll_flush(cx)).await.expect("sent");
    let mut head = ResponseHead::default();
    poll_fn(|cx| stream.poll_response_head(cx, &mut head)).await.expect("answered");
    assert_eq!(head.status, StatusCode::SWITCHING_PROTOCOLS);
    stream.switch_protocols();
    let taken = poll_fn(|cx| stream.poll_send(cx, b"world"[..].into())).await.expect("taken");
    assert_eq!(taken, 5);
    poll_fn(|cx| stream.poll_finish_request(cx, None)).await.expect("ended");
    let mut said = Vec::new();
    while let Some(len) = poll_fn(|cx| match stream.poll_body(cx, ReadWidth::Narrow) {
        Poll::Ready(Ok(BodyFrame::Data(data))) => {
            said.extend_from_slice(data);
            Poll::Ready(Some(data.len()))
        }
        Poll::Ready(Ok(BodyFrame::End)) => Poll::Ready(None),
        Poll::Ready(Err(error)) => panic!("{error}"),
        Poll::Pending => Poll::Pending,
    })
    .await
    {
        stream.consume(len);
    }
    assert_eq!(said, b"hello world");
    app.await.expect("no panic");
    connector.release(stream);
    assert!(connector.checkout(&endpoint, &need).is_none());
}

#[tokio::test]
async fn an_application_behind_tls_chooses_its_version_of_http() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (protocols, version) in
        [(&["h2", "http/1.1"][..], Version::HTTP_2), (&["http/1.1"], Version::HTTP_11), (&[], Version::HTTP_11)]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = endpoint(Scheme::Https, listener.local_addr().expect("bound"));
        let acceptor = acceptor(protocols);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.expect("it listens");
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut tls = acceptor.accept(tcp).await.expect("TLS");
                    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                        let mut connection = h2::server::handshake(tls).await.expect("HTTP/2");
                        while let Some(Ok((_, mut respond))) = connection.accept().await {
                            let mut body = respond.send_response(http::Response::new(()), false).expect("open");
                            body.send_data(Bytes::from_static(b"ok"), true).expect("open");
                        }
                        return;
                    }
                    let mut read = [0; 4096];
                    while tls.read(&mut read).await.is_ok_and(|len| len > 0) {
                        tls.write_all(answer.as_bytes()).await.expect("written");
                    }
                });
            }
        });
        let connector = connector();
        for is_reused in [false, true] {
            let mut stream = open(&connector, &endpoint, &NEED).await;
            assert_eq!((stream.version(), stream.is_reused()), (version, is_reused), "{protocols:?}");
            send(&mut stream, &Method::GET, BodyLength::Empty, b"").await;
            assert_eq!(receive(&mut stream, &Notify::new()).await.expect("answered").body, "ok");
            connector.release(stream);
        }
        let knows = connector.pool().prefers_http1(&endpoint.state, &endpoint.transport);
        assert_eq!(knows, version == Version::HTTP_11, "{protocols:?}");
        // Another protocol can follow only HTTP/1.1.
        let upgrade = ConnectionNeed { is_upgrade: true, ..NEED };
        let mut stream = open(&connector, &endpoint, &upgrade).await;
        assert_eq!(stream.version(), Version::HTTP_11);
        send(&mut stream, &Method::GET, BodyLength::Empty, b"").await;
        assert_eq!(receive(&mut stream, &Notify::new()).await.expect("answered").body, "ok");
    }
}
