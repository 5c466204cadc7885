//! Clients for what h2load cannot do: handshakes, short connections, WebSockets, events, many hosts.
//!
//! All of them run on one thread of their own, as h2load does, and keep a number of requests under way for a time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use gangway_testkit::client::{Client, HandshakeKind, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Barrier;
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout_at};

use crate::STUCK;
use crate::bench::sample::{Sample, Watch};
use crate::echoed_socket::{EchoedSocket, read_head, unexpected};

/// The number of clients that connect anew for each request.
const CONNECTING: usize = 16;

/// The number of connections on which requests or messages go one after the other.
const STAYING: usize = 32;

/// The number of clients of a stream of events.
const LISTENING: usize = 1000;

/// The number of them that share a source address; proxies bound the connections of one address.
const PER_ADDRESS: usize = 50;

/// A load of clients of this module.
#[derive(Clone, Debug)]
pub enum Clients {
    /// A TLS connection with a full handshake for each request.
    FullHandshakes,
    /// A TLS connection for each request, which resumes the session before.
    ResumedHandshakes,
    /// A TCP connection for each request, without TLS.
    Connections,
    /// Messages over WebSockets, each echoed before the next.
    Messages,
    /// 1,000 clients that hear events.
    Events,
    /// Requests over connections that stay, for these hosts by turns.
    Hosts(Vec<String>),
}

/// The proxy to ask.
#[derive(Clone, Debug)]
pub struct Target {
    /// The plain listener.
    pub plain: SocketAddr,
    /// The TLS listener.
    pub secure: SocketAddr,
    /// The certificate of `localhost`.
    pub certificate_pem: String,
    /// Its process.
    pub process: u32,
}

/// What one client did: how many requests, and how long each took.
type Done = io::Result<(u64, Vec<u32>)>;

/// Runs the clients for about so many seconds on a thread of their own.
///
/// # Panics
///
/// Panics if a request is not answered as expected.
pub fn run(clients: &Clients, target: &Target, seconds: u64) -> Sample {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread can be had");
    let span = Duration::from_secs(seconds);
    LocalSet::new().block_on(&runtime, async {
        match clients {
            Clients::FullHandshakes => {
                let client = Client::tls_with_full_handshakes(target.secure, &target.certificate_pem);
                short(&client.expect("a certificate"), Some(HandshakeKind::Full), target, span).await
            }
            Clients::ResumedHandshakes => {
                let client = Client::tls_with_resumption(target.secure, &target.certificate_pem);
                short(&client.expect("a certificate"), Some(HandshakeKind::Resumed), target, span).await
            }
            Clients::Connections => short(&Client::plain(target.plain), None, target, span).await,
            Clients::Messages => {
                together(STAYING, target, async |number, barrier| {
                    messages(&target.plain_from(number), &barrier, span).await
                })
                .await
            }
            Clients::Events => {
                together(LISTENING, target, async |number, barrier| {
                    events(&target.plain_from(number / PER_ADDRESS), &barrier, span).await
                })
                .await
            }
            Clients::Hosts(hosts) => {
                let heads: Vec<String> = hosts.iter().map(|host| head(host, "/1k", "")).collect();
                together(STAYING, target, async |number, barrier| {
                    // Far from each other, as strangers are: side by side, all would ask the same container at the same
                    // moment, and a connection to it would be opened for each of them.
                    let first = number * heads.len() / STAYING;
                    hosts_by_turns(&target.plain_from(number), &heads, first, &barrier, span).await
                })
                .await
            }
        }
    })
}

impl Target {
    /// A client without TLS that has an address for itself. All of 127.0.0.0/8 belongs to this machine.
    fn plain_from(&self, number: usize) -> Client {
        Client::plain(self.plain).leaving_from(address(number))
    }
}

fn address(number: usize) -> IpAddr {
    let number = u8::try_from(number).expect("some dozens");
    IpAddr::V4(Ipv4Addr::new(127, 0, 101, number + 1))
}

/// Runs so many clients until all have ended. The span begins when all are ready, which each says at the barrier.
async fn together(count: usize, target: &Target, one: impl AsyncFn(usize, Rc<Barrier>) -> Done) -> Sample {
    let barrier = Rc::new(Barrier::new(count + 1));
    let all = async {
        let clients = (0..count).map(|number| one(number, Rc::clone(&barrier)));
        futures::future::join_all(clients).await
    };
    let begun = async {
        // A client that cannot connect never comes to the barrier.
        tokio::time::timeout(STUCK, barrier.wait()).await.expect("all clients are connected");
        Watch::begin(target.process)
    };
    let (done, watch) = futures::future::join(all, begun).await;
    let (mut requests, mut micros) = (0, Vec::new());
    for one in done {
        let (count, took) = one.unwrap_or_else(|error| panic!("{target:?}: {error}"));
        requests += count;
        micros.extend(took);
    }
    watch.end(requests, micros)
}

/// A connection for each request, with this kind of handshake. The first of a client is always a full one.
async fn short(client: &Client, kind: Option<HandshakeKind>, target: &Target, span: Duration) -> Sample {
    let head = head("localhost", "/1k", "Connection: close\r\n");
    together(CONNECTING, target, async |number, barrier| {
        // Each has sessions of its own: a ticket is used once.
        let mut client = client.clone().leaving_from(address(number));
        if kind == Some(HandshakeKind::Resumed) {
            client = client.with_own_sessions();
        }
        barrier.wait().await;
        let (until, mut micros) = (Instant::now() + span, Vec::new());
        while Instant::now() < until {
            let begun = Instant::now();
            let (mut stream, found) = client.stream_with_handshake("localhost").await?;
            stream.write_all(head.as_bytes()).await?;
            let mut answer = Vec::with_capacity(2048);
            // TLS that ends without close_notify is an end, too.
            let ended = stream.read_to_end(&mut answer).await;
            if !answer.starts_with(b"HTTP/1.1 200") || (ended.is_err() && answer.len() < 1024) {
                return Err(unexpected(&answer));
            }
            if found != kind && !micros.is_empty() {
                return Err(io::Error::other(format!("a handshake of the kind {found:?}, not {kind:?}")));
            }
            micros.push(elapsed_micros(begun));
        }
        Ok((micros.len() as u64, micros))
    })
    .await
}

async fn messages(client: &Client, barrier: &Barrier, span: Duration) -> Done {
    let mut socket = EchoedSocket::open(client).await?;
    barrier.wait().await;
    let (until, mut micros) = (Instant::now() + span, Vec::new());
    while Instant::now() < until {
        let begun = Instant::now();
        socket.exchange().await?;
        micros.push(elapsed_micros(begun));
    }
    Ok((micros.len() as u64, micros))
}

async fn events(client: &Client, barrier: &Barrier, span: Duration) -> Done {
    let mut stream = client.stream("localhost").await?;
    stream.write_all(head("localhost", "/stream?every=100", "").as_bytes()).await?;
    let answer = read_head(&mut stream).await?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(unexpected(&answer));
    }
    // Events that come before all have connected are not counted, and must not wait in the way of those that are.
    let (mut all_ready, mut buffer) = (std::pin::pin!(barrier.wait()), vec![0; 4096]);
    loop {
        tokio::select! {
            biased;
            _ = &mut all_ready => break,
            read = stream.read(&mut buffer) => drop(read?),
        }
    }
    let (until, mut count) = (Instant::now() + span, 0);
    while let Ok(read) = timeout_at(until, stream.read(&mut buffer)).await {
        let read = read?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Each event is `data: <number>`, and chunk sizes have no colon.
        count += buffer[..read].iter().filter(|byte| **byte == b':').count() as u64;
    }
    Ok((count, Vec::new()))
}

async fn hosts_by_turns(client: &Client, heads: &[String], first: usize, barrier: &Barrier, span: Duration) -> Done {
    let mut stream = client.stream("localhost").await?;
    barrier.wait().await;
    let (until, mut micros, mut at) = (Instant::now() + span, Vec::new(), first);
    while Instant::now() < until {
        let begun = Instant::now();
        // A stride without a common factor visits all of them, far from each other.
        at = (at + 7919) % heads.len();
        stream.write_all(heads[at].as_bytes()).await?;
        let answer = read_answer(&mut stream).await?;
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(unexpected(&answer));
        }
        micros.push(elapsed_micros(begun));
    }
    Ok((micros.len() as u64, micros))
}

fn head(host: &str, path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\nAccept: */*\r\n{more}\r\n")
}

/// Reads an answer with 1 KB of body.
async fn read_answer(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::with_capacity(2048);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        if end.is_some_and(|end| answer.len() >= end + 4 + 1024) {
            return Ok(answer);
        }
    }
}

fn elapsed_micros(begun: Instant) -> u32 {
    u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX)
}
