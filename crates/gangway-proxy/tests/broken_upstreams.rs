//! Applications that break off, stall, and talk nonsense: what their clients see, and that nobody else does.

mod common;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Plane, RouteToServe, app, route};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::fault::Fault;
use gangway_testkit::raw::{Raw, RawUpstream, Then};
use gangway_testkit::wait::eventually;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const STUCK: Duration = Duration::from_secs(20);

/// How long the broken one may take until the first byte of its answer.
const RESPONSE: Duration = Duration::from_secs(2);

/// What a broken application does with a connection, once the head of a request has come.
#[derive(Clone, Copy, Debug)]
enum Breaks {
    NeverAnswers,
    ResetInBody,
    EndsAfterHead,
    EndsInChunks,
    OneByteASecond,
}

async fn broken(how: Breaks) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(breaks(stream, how));
        }
    });
    Ok(address)
}

async fn breaks(mut stream: TcpStream, how: Breaks) -> io::Result<()> {
    read_head(&mut stream).await?;
    match how {
        Breaks::NeverAnswers => std::future::pending().await,
        Breaks::ResetInBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").await?;
            stream.set_zero_linger()
        }
        Breaks::EndsAfterHead => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await,
        Breaks::EndsInChunks => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await
        }
        Breaks::OneByteASecond => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await?;
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            for byte in b"slow" {
                tick.tick().await;
                stream.write_all(&[*byte]).await?;
            }
            std::future::pending().await
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

/// A route to the broken one, and one to another application.
async fn plane(how: Breaks) -> Plane {
    let mut bad = route("bad.localhost", broken(how).await.expect("a free port"));
    bad.change = Box::new(|route| route.timeouts.response = RESPONSE);
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
    let mut others = 0;
    for how in [Breaks::NeverAnswers, Breaks::ResetInBody, Breaks::EndsAfterHead, Breaks::EndsInChunks] {
        let plane = plane(how).await;
        let (stop, asking) = neighbour(&plane);
        for client in [plane.http(), plane.https(), plane.https().speaking(Speaks::H2)] {
            let begun = Instant::now();
            let got = asked(&client).await;
            if matches!(how, Breaks::NeverAnswers) {
                let took = begun.elapsed();
                assert_eq!(got.expect("an answer of ours").0, 504);
                fault.saw(format!("504 after {took:.2?}"));
                // How much later, the machine says; not before, and not with the next tick of something.
                assert!(took >= RESPONSE.mul_f64(0.9) && took < RESPONSE * 2, "{took:?}");
            } else {
                assert!(got.is_err(), "{how:?} looks whole: {got:?}");
            }
        }
        stop.store(true, Ordering::SeqCst);
        others += asking.await.expect("all were answered");
    }
    fault.saw(format!("9 cuts seen as such; {others} others answered, 0 lost"));
    assert!(others > 100, "{others}");
    fault.withstood();
}

#[tokio::test]
async fn one_byte_a_second_passes_as_it_comes() {
    let plane = plane(Breaks::OneByteASecond).await;
    let mut connection = plane.https().speaking(Speaks::H2).connect("bad.localhost").await.expect("connected");
    let begun = Instant::now();
    let mut body = connection.begin("GET", "/", &[], "").await.expect("a head").into_body();
    let first = body.frame().await.expect("a byte").expect("a byte").into_data().expect("a byte");
    assert_eq!(&first[..], b"s");
    assert!(begun.elapsed() < Duration::from_secs(1), "nothing is held back");
    let rest = body.collect().await.expect("the rest").to_bytes();
    assert_eq!(&rest[..], b"low");
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
        for turn in 1..=3 {
            let mut client = Raw::connect(plane.plane.listening().http[0]).await.expect("it listens");
            let request = "POST / HTTP/1.1\r\nHost: bad.localhost\r\nContent-Length: 1\r\n\r\nx";
            let got = client.ask(request).await.expect("an answer");
            assert_eq!(got.status, status, "{answer:?}");
            assert!(!got.text().contains("stolen"), "{answer:?}: {}", got.text());
            assert_eq!(upstream.received().len(), turn, "{answer:?}: a connection of its own for each");
        }
    }
    fault.saw("15 requests, each on a connection of its own, none saw what was not its own");
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
        let serving: Vec<RouteToServe> = vec![route("bad.localhost", address)];
        let plane = Plane::serving(serving).await;
        let mut client = Raw::connect(plane.plane.listening().http[0]).await.expect("it listens");
        client.send(format!("{request} / HTTP/1.1\r\nHost: bad.localhost\r\n{body}")).await.expect("sent");
        if body.ends_with("\r\n\r\n") && body.contains('5') {
            eventually("it was sent again", STUCK, async || (requests.load(Ordering::SeqCst) > 1).then_some(())).await;
            client.send("hello").await.expect("sent");
        }
        (client.ask("").await.expect("an answer").status, requests.load(Ordering::SeqCst))
    };
    assert_eq!(served("GET", "\r\n").await, (200, 2), "a GET may be");
    assert_eq!(served("POST", "Content-Length: 5\r\n\r\n").await, (200, 2), "nothing of its body was sent");
    assert_eq!(served("POST", "Content-Length: 5\r\n\r\nhello").await, (502, 1), "it was");
    assert_eq!(served("POST", "Content-Length: 0\r\n\r\n").await, (502, 1), "it has none, and was sent whole");
}
