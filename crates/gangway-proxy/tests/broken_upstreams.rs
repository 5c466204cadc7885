//! Applications that break off, stall, and talk nonsense: what their clients see, and that nobody else does.

mod common;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Plane, RouteToServe, app, route};
use gangway_model::{Middleware, Scheme};
use gangway_testkit::app::self_signed;
use gangway_testkit::client::{Client, Speaks, Stream};
use gangway_testkit::fault::Fault;
use gangway_testkit::raw::{Raw, RawUpstream, Then};
use gangway_testkit::wait::eventually;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

const STUCK: Duration = Duration::from_secs(20);

/// How long the broken one may take until the first byte of its answer.
const RESPONSE: Duration = Duration::from_secs(2);

/// How long the broken one may pause within its answer.
const IDLE: Duration = Duration::from_secs(2);

/// What a broken application does with a connection, once the head of a request has come.
#[derive(Clone, Copy, Debug)]
enum Breaks {
    NeverAnswers,
    ResetInBody,
    EndsAfterHead,
    EndsInChunks,
    OneByteASecond,
    /// Sends small pieces for twice [`IDLE`].
    Trickles,
}

async fn broken(how: Breaks, scheme: Scheme) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let acceptor = TlsAcceptor::from(self_signed(&["bad.localhost"], &[]).0);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            // Otherwise the reset could overtake the answer, which would wait for the acknowledgement of the handshake.
            let _ = tcp.set_nodelay(true);
            if matches!(how, Breaks::ResetInBody) {
                let _ = tcp.set_zero_linger();
            }
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                match scheme {
                    Scheme::Https => breaks(Box::new(acceptor.accept(tcp).await?), how).await,
                    Scheme::Http | Scheme::H2c => breaks(Box::new(tcp), how).await,
                }
            });
        }
    });
    Ok(address)
}

/// TLS, too, ends without saying so.
async fn breaks(mut stream: Stream, how: Breaks) -> io::Result<()> {
    read_head(&mut stream).await?;
    match how {
        Breaks::NeverAnswers => std::future::pending().await,
        Breaks::ResetInBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").await?;
        }
        Breaks::EndsAfterHead => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await?,
        Breaks::EndsInChunks => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await?;
        }
        Breaks::OneByteASecond => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await?;
            stream.flush().await?;
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            for byte in b"slow" {
                tick.tick().await;
                stream.write_all(&[*byte]).await?;
                stream.flush().await?;
            }
            std::future::pending::<()>().await;
        }
        Breaks::Trickles => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            let (begun, mut tick) = (Instant::now(), tokio::time::interval(IDLE / 50));
            while begun.elapsed() < IDLE * 2 {
                tick.tick().await;
                stream.write_all(b"1\r\nx\r\n").await?;
                stream.flush().await?;
            }
            stream.write_all(b"0\r\n\r\n").await?;
        }
    }
    stream.flush().await
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

/// A route to the broken one, and one to another application.
async fn plane(how: Breaks, scheme: Scheme) -> Plane {
    let mut bad = route("bad.localhost", broken(how, scheme).await.expect("a free port"));
    bad.endpoints[0].1 = scheme;
    bad.change = Box::new(move |route| {
        route.timeouts.response = RESPONSE;
        if matches!(how, Breaks::Trickles) {
            route.timeouts.idle = IDLE;
        }
    });
    let (good, _) = app("good").await;
    Plane::serving(vec![bad, route("good.localhost", good)]).await
}

/// Asks the good one until the signal to stop, and returns how many requests were answered.
fn neighbour(plane: &Plane) -> (Arc<AtomicBool>, JoinHandle<usize>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (client, told) = (plane.https().speaking(Speaks::H2), Arc::clone(&stop));
    let asking = tokio::spawn(async move {
        let mut answered = 0;
        while !told.load(Ordering::SeqCst) {
            let answer = client.get("good.localhost", "/slow/5").await.expect("an answer");
            assert_eq!(answer.status, 200);
            answered += 1;
        }
        answered
    });
    (stop, asking)
}

/// The status and the whole body, or why there is none.
async fn asked(client: &Client) -> io::Result<(u16, String)> {
    let answer = client.get("bad.localhost", "/").await?;
    Ok((answer.status.as_u16(), answer.text()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_half_open_costs_its_own_clients_and_nobody_else() {
    let mut fault = Fault::begin(
        20,
        "upstream never answers; resets in its body; ends after its head; sends one byte a second",
        "504 at the first-byte timeout; a cut looks cut over h1 and h2; others 0 lost",
    );
    let (mut others, mut cuts) = (0, 0);
    let ways = [Breaks::NeverAnswers, Breaks::ResetInBody, Breaks::EndsAfterHead, Breaks::EndsInChunks];
    for (how, scheme) in ways.into_iter().flat_map(|how| [(how, Scheme::Http), (how, Scheme::Https)]) {
        let plane = plane(how, scheme).await;
        let (stop, asking) = neighbour(&plane);
        for client in plane.clients() {
            let begun = Instant::now();
            let got = asked(&client).await;
            if matches!(how, Breaks::NeverAnswers) {
                let took = begun.elapsed();
                assert_eq!(got.expect("an answer of ours").0, 504);
                fault.saw(format!("504 after {took:.2?}"));
                // How much later, the machine says; not before, and not with the next tick of something.
                assert!(took >= RESPONSE.mul_f64(0.9) && took < RESPONSE * 2, "{took:?}");
            } else {
                assert!(got.is_err(), "{how:?} by {scheme:?} looks whole: {got:?}");
                cuts += 1;
            }
        }
        stop.store(true, Ordering::SeqCst);
        others += asking.await.expect("all were answered");
    }
    fault.saw(format!("{cuts} cuts seen as such; {others} others answered, 0 lost"));
    assert!(others > 100, "{others}");
    fault.withstood();
}

#[tokio::test]
async fn one_byte_a_second_passes_as_it_comes() {
    let planes =
        [plane(Breaks::OneByteASecond, Scheme::Http).await, plane(Breaks::OneByteASecond, Scheme::Https).await];
    let mut reading = JoinSet::new();
    for client in planes.iter().flat_map(Plane::clients) {
        reading.spawn(async move {
            let mut connection = client.connect("bad.localhost").await.expect("connected");
            let begun = Instant::now();
            let mut body = connection.begin("GET", "/", &[], "").await.expect("a head").into_body();
            let first = body.frame().await.expect("a byte").expect("a byte").into_data().expect("a byte");
            assert_eq!(&first[..], b"s");
            assert!(begun.elapsed() < Duration::from_secs(1), "nothing is held back");
            let rest = body.collect().await.expect("the rest").to_bytes();
            assert_eq!(&rest[..], b"low");
        });
    }
    while let Some(read) = reading.join_next().await {
        read.expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_may_last_longer_than_its_pauses() {
    let planes = [plane(Breaks::Trickles, Scheme::Http).await, plane(Breaks::Trickles, Scheme::Https).await];
    let mut reading = JoinSet::new();
    for client in planes.iter().flat_map(Plane::clients) {
        reading.spawn(async move { asked(&client).await });
    }
    for got in reading.join_all().await {
        let (status, text) = got.expect("whole");
        assert!(status == 200 && text.len() > 1, "{status} {text}");
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst";

#[tokio::test]
async fn nonsense_of_an_upstream_never_reaches_the_next_client() {
    let mut fault = Fault::begin(
        21,
        "upstream answers garbage, 101 unasked, two answers at once",
        "502 (two answers: the first); its connection is not used again; the next client is unharmed",
    );
    let twice = format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen");
    let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nstolen";
    for (answer, status) in [
        ("220 mail.example.org ESMTP\r\n", 502),
        ("HTTP/1.1 two OK\r\n\r\n", 502),
        ("\0\0\x12\x04\0\0\0\0\0", 502),
        (switching, 502),
        (&*twice, 200),
    ] {
        let upstream = RawUpstream::answering(answer, Then::Stays).await.expect("a free port");
        let plane = Plane::serving(vec![route("bad.localhost", upstream.address)]).await;
        for (turn, client) in plane.clients().into_iter().enumerate() {
            let mut connection = client.connect("bad.localhost").await.expect("connected");
            let got = connection.ask("POST", "/", &[], "x").await.expect("an answer");
            assert_eq!(got.status, status, "{answer:?}");
            assert!(!got.text().contains("stolen"), "{answer:?}: {}", got.text());
            assert_eq!(upstream.received().len(), turn + 1, "{answer:?}: a connection of its own for each");
        }
    }
    fault.saw("20 requests, each on a connection of its own, none saw what was not its own");
    fault.withstood();
}

/// Takes the head of each request and ends the connection; from the second on it answers.
async fn fails_at_first(requests: Arc<AtomicUsize>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if read_head(&mut stream).await.is_ok() && requests.fetch_add(1, Ordering::SeqCst) > 0 {
                let _ = stream.write_all(OK.as_bytes()).await;
                let _ = stream.read_u8().await;
            }
        }
    });
    Ok(address)
}

#[tokio::test]
async fn what_may_not_be_repeated_is_sent_again_only_while_none_of_its_body_was_sent() {
    let served = async |request: &str, body: &str| {
        let requests = Arc::new(AtomicUsize::new(0));
        let address = fails_at_first(Arc::clone(&requests)).await.expect("a free port");
        let mut serving: RouteToServe = route("bad.localhost", address);
        serving.middlewares = vec![Middleware::BodyLimit(8)];
        let plane = Plane::serving(vec![serving]).await;
        let mut client = Raw::connect(plane.plane.listening().plain()[0]).await.expect("it listens");
        client.send(format!("{request} / HTTP/1.1\r\nHost: bad.localhost\r\n{body}")).await.expect("sent");
        if body.ends_with("\r\n\r\n") && body.contains('5') {
            eventually("it was sent again", STUCK, async || (requests.load(Ordering::SeqCst) > 1).then_some(())).await;
            client.send("hello").await.expect("sent");
        }
        (client.ask("").await.expect("an answer").status, requests.load(Ordering::SeqCst))
    };
    assert_eq!(served("GET", "\r\n").await, (200, 2), "a GET may be");
    assert_eq!(
        served("PUT", "Content-Length: 5\r\n\r\nhello").await,
        (200, 2),
        "a PUT may be, and its body counts once"
    );
    assert_eq!(served("POST", "Content-Length: 5\r\n\r\n").await, (200, 2), "nothing of its body was sent");
    assert_eq!(served("POST", "Content-Length: 5\r\n\r\nhello").await, (502, 1), "it was");
    assert_eq!(served("POST", "Content-Length: 0\r\n\r\n").await, (502, 1), "it has none, and was sent whole");
}

/// Speaks HTTP/2, reads whole requests, and says of the first one that it has not processed it.
async fn processes_from_the_second_on(requests: Arc<AtomicUsize>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let requests = Arc::clone(&requests);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(tcp).await.expect("HTTP/2");
                while let Some(Ok((mut request, mut respond))) = connection.accept().await {
                    let requests = Arc::clone(&requests);
                    tokio::spawn(async move {
                        let mut read = 0;
                        while let Some(Ok(data)) = request.body_mut().data().await {
                            let _ = request.body_mut().flow_control().release_capacity(data.len());
                            read += data.len();
                        }
                        if requests.fetch_add(1, Ordering::SeqCst) == 0 {
                            return respond.send_reset(h2::Reason::REFUSED_STREAM);
                        }
                        let mut body = respond.send_response(http::Response::new(()), false).expect("open");
                        body.send_data(read.to_string().into(), true).expect("open");
                    });
                }
            });
        }
    });
    Ok(address)
}

#[tokio::test]
async fn only_a_body_that_is_still_whole_is_sent_again() {
    const SMALL: usize = 1000;
    const LARGE: usize = 100_000;
    // No body of a request that is not idempotent is kept: it could be sent again only in this rare case.
    for (method, len, outcome) in
        [("PUT", SMALL, (200, "1000", 2)), ("PUT", LARGE, (502, "", 1)), ("POST", SMALL, (502, "", 1))]
    {
        let requests = Arc::new(AtomicUsize::new(0));
        let mut refusing =
            route("bad.localhost", processes_from_the_second_on(Arc::clone(&requests)).await.expect("a free port"));
        refusing.endpoints[0].1 = Scheme::H2c;
        let plane = Plane::serving(vec![refusing]).await;
        let mut connection = plane.http().connect("bad.localhost").await.expect("connected");
        let answer = connection.ask(method, "/", &[], "x".repeat(len)).await.expect("an answer");
        let body = if answer.status == 200 { answer.text() } else { String::new() };
        assert_eq!((answer.status.as_u16(), &*body, requests.load(Ordering::SeqCst)), outcome, "{method} {len}");
    }
}

/// Takes the head of each request, and ends the connection.
async fn never_answers(requests: Arc<AtomicUsize>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let requests = Arc::clone(&requests);
            tokio::spawn(async move {
                if read_head(&mut stream).await.is_ok() {
                    requests.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    Ok(address)
}

#[tokio::test]
async fn an_endpoint_that_failed_a_request_does_not_get_it_again() {
    const ASKED: usize = 60;
    let requests = Arc::new(AtomicUsize::new(0));
    let (good, _) = app("good").await;
    let mut either = route("bad.localhost", never_answers(Arc::clone(&requests)).await.expect("a free port"));
    either.endpoints.push((good, Scheme::Http, gangway_model::Readiness::Ready));
    let plane = Plane::serving(vec![either]).await;
    let mut connection = plane.http().connect("bad.localhost").await.expect("connected");
    for _ in 0..ASKED {
        assert_eq!(connection.get("/").await.expect("an answer").status, 200);
    }
    let at_bad = requests.load(Ordering::SeqCst);
    assert!(at_bad > 0 && plane.metric("gangway_retries_total") as usize == at_bad, "{at_bad}");
}

#[tokio::test]
async fn where_every_request_fails_not_every_one_is_sent_again() {
    const ASKED: usize = 500;
    let requests = Arc::new(AtomicUsize::new(0));
    let failing = route("bad.localhost", never_answers(Arc::clone(&requests)).await.expect("a free port"));
    let plane = Plane::serving(vec![failing]).await;
    // One thread has one budget.
    let mut connection = plane.http().speaking(Speaks::H2).connect("bad.localhost").await.expect("connected");
    for _ in 0..ASKED {
        assert_eq!(connection.get("/").await.expect("an answer").status, 502);
    }
    let (tries, retries) = (requests.load(Ordering::SeqCst), plane.metric("gangway_retries_total"));
    // Without a budget there would be two of each.
    assert!(tries < ASKED * 2 && retries > 0.0, "{tries} tries, {retries} retries");
}
