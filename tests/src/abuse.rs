//! Clients that ask for more than they should, each in its own way.
//!
//! Every one sends until it is done, or until it is not let on: nothing more is read from it, or its connection is ended.
//! Its connections stay open until the abuse is dropped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gangway_testkit::client::{Client, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::footprint::still;
use crate::gangway::Gangway;
use crate::http2_bytes::{Follows, FrameType, WINDOW_MAX, block, fields, frame, headers, preface};

/// The fields of a large head.
pub const WIDE_FIELDS: usize = 90;

/// Bytes of each of its values.
pub const WIDE_VALUE: usize = 40;

/// Streams of one connection, which is what Gangway allows.
pub const STREAMS: u32 = 100;

/// An abuse. It ends when it is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Abuse {
    /// Connections without a request.
    Idle,
    /// Connections with TLS and without a request.
    IdleTls,
    /// Heads that do not end, over HTTP/1.1.
    EndlessHeads,
    /// Heads that do not end, over HTTP/2.
    EndlessBlocks,
    /// Bodies that the endpoint does not read, over HTTP/1.1.
    UnreadBodies,
    /// Bodies that the endpoint does not read, over HTTP/2.
    UnreadStreams,
    /// Large heads of streams whose clients leave no room for the answer.
    ClosedWindows,
    /// Answers with room for them, over HTTP/2, that nobody reads.
    UnreadAnswers,
    /// Downloads over HTTP/1.1 that nobody reads.
    UnreadDownloads,
    /// Downloads over HTTP/1.1 with TLS that nobody reads.
    UnreadTlsDownloads,
    /// Streams that are reset as soon as they are opened.
    RapidResets,
    /// Pings and settings that ask for answers which nobody reads.
    Pings,
}

/// Connections of an abuse. They are closed when this is dropped.
#[derive(Debug)]
pub struct Abusers {
    _tasks: JoinSet<()>,
    sent: Arc<AtomicU64>,
}

impl Abuse {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Idle,
        Self::IdleTls,
        Self::EndlessHeads,
        Self::EndlessBlocks,
        Self::UnreadBodies,
        Self::UnreadStreams,
        Self::ClosedWindows,
        Self::UnreadAnswers,
        Self::UnreadDownloads,
        Self::UnreadTlsDownloads,
        Self::RapidResets,
        Self::Pings,
    ];

    /// Begins with so many connections, which come from several addresses. `second` tells the addresses of one abuse
    /// from those of others.
    pub fn begin(self, gangway: &Gangway, connections: u16, second: u8) -> Abusers {
        let client = match self {
            Self::IdleTls | Self::UnreadTlsDownloads => gangway.secure(),
            Self::Idle
            | Self::EndlessHeads
            | Self::EndlessBlocks
            | Self::UnreadBodies
            | Self::UnreadStreams
            | Self::ClosedWindows
            | Self::UnreadAnswers
            | Self::UnreadDownloads
            | Self::RapidResets
            | Self::Pings => gangway.plain(),
        };
        let sent = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for number in 0..connections {
            let from = address(second, number, self.connections_of_address());
            let (client, sent) = (client.clone().leaving_from(from), Arc::clone(&sent));
            tasks.spawn(async move { self.act(&client, &sent).await });
        }
        Abusers { _tasks: tasks, sent }
    }

    /// As many as one address may have of it, or fewer.
    fn connections_of_address(self) -> u16 {
        match self {
            Self::ClosedWindows | Self::UnreadAnswers | Self::UnreadStreams => 10,
            Self::Idle
            | Self::IdleTls
            | Self::EndlessHeads
            | Self::EndlessBlocks
            | Self::UnreadBodies
            | Self::UnreadDownloads
            | Self::UnreadTlsDownloads
            | Self::RapidResets
            | Self::Pings => 500,
        }
    }

    async fn act(self, client: &Client, sent: &AtomicU64) {
        let Ok(mut stream) = client.stream(CALM).await else { return };
        sent.fetch_add(1, Ordering::Relaxed);
        for piece in self.pieces() {
            if stream.write_all(&piece).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            sent.fetch_add(u64::try_from(piece.len()).unwrap_or_default(), Ordering::Relaxed);
        }
        self.stay(stream).await;
    }

    /// What one connection sends.
    fn pieces(self) -> Box<dyn Iterator<Item = Vec<u8>> + Send> {
        let wide = fields(WIDE_FIELDS, WIDE_VALUE);
        let ask = |host: &str, method: &str| format!("{method} /bytes/8000000 HTTP/1.1\r\nHost: {host}\r\n");
        let of_streams = |window: u32, host: &str, follows: Follows| {
            let (first, block) = (preface(window), block("POST", host, "/", &wide));
            let heads = (0..STREAMS).map(move |number| headers(number * 2 + 1, &block, follows));
            std::iter::once(first).chain(heads)
        };
        match self {
            Self::Idle | Self::IdleTls => Box::new(std::iter::empty()),
            Self::EndlessHeads => {
                let line = format!("X-Field: {}\r\n", "x".repeat(1000)).into_bytes();
                Box::new(std::iter::once(ask(CALM, "GET").into_bytes()).chain(std::iter::repeat_n(line, 31)))
            }
            Self::EndlessBlocks => {
                let begun = headers(1, &block("GET", CALM, "/", &[]), Follows::Head);
                let more = block("GET", CALM, "/", &fields(14, 1000)).split_off(block("GET", CALM, "/", &[]).len());
                let more = frame(FrameType::Continuation, 0, 1, &more);
                Box::new([preface(WINDOW_MAX), begun].into_iter().chain(std::iter::repeat_n(more, 100)))
            }
            Self::UnreadBodies => {
                let head = format!("{}Content-Length: 1000000000\r\n\r\n", ask(SINK, "POST"));
                Box::new(std::iter::once(head.into_bytes()).chain(std::iter::repeat_n(vec![b'b'; 16 * 1024], 1000)))
            }
            Self::UnreadStreams => {
                // As much as Gangway allows: 1 MiB a stream and 4 MiB a connection.
                let pieces = (0..63).flat_map(|_| (0..4_u32).map(|number| number * 2 + 1));
                let data = pieces.map(|stream| frame(FrameType::Data, 0, stream, &[b'b'; 16 * 1024]));
                Box::new(of_streams(WINDOW_MAX, SINK, Follows::Body).chain(data))
            }
            Self::ClosedWindows => Box::new(of_streams(0, WIDE, Follows::Nothing)),
            Self::UnreadAnswers => Box::new(of_streams(WINDOW_MAX, WIDE, Follows::Nothing)),
            Self::UnreadDownloads | Self::UnreadTlsDownloads => {
                Box::new(std::iter::once(format!("{}\r\n", ask(CALM, "GET")).into_bytes()))
            }
            Self::RapidResets => {
                let block = block("GET", CALM, "/slow/1000", &[]);
                let turns = (0..2000_u32).map(move |number| {
                    let stream = number * 2 + 1;
                    [headers(stream, &block, Follows::Nothing), frame(FrameType::Reset, 0, stream, &[0, 0, 0, 8])]
                        .concat()
                });
                Box::new(std::iter::once(preface(WINDOW_MAX)).chain(turns))
            }
            Self::Pings => {
                let both = [frame(FrameType::Ping, 0, 0, &[1; 8]), frame(FrameType::Settings, 0, 0, &[])].concat();
                Box::new(std::iter::once(preface(WINDOW_MAX)).chain(std::iter::repeat_n(both.repeat(100), 1000)))
            }
        }
    }

    /// Keeps the connection until it is ended from outside.
    async fn stay(self, mut stream: Stream) {
        match self {
            Self::ClosedWindows | Self::Idle | Self::IdleTls | Self::RapidResets => {
                let mut scrap = vec![0; 64 * 1024];
                while let Ok(1..) = stream.read(&mut scrap).await {}
            }
            Self::EndlessHeads
            | Self::EndlessBlocks
            | Self::UnreadBodies
            | Self::UnreadStreams
            | Self::UnreadAnswers
            | Self::UnreadDownloads
            | Self::UnreadTlsDownloads
            | Self::Pings => std::future::pending().await,
        }
    }
}

impl Abusers {
    /// Waits until nothing more can be sent.
    pub async fn are_done(&self) {
        still("what the abusers send", || self.sent.load(Ordering::Relaxed)).await;
    }
}

/// The `number`th client's address.
pub fn address(second: u8, number: u16, of_address: u16) -> IpAddr {
    let [third, fourth] = (number / of_address + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, second, third, fourth))
}

/// The host of the test application.
pub const CALM: &str = "calm.test";

/// The host whose answers have large heads and large bodies.
pub const WIDE: &str = "wide.test";

/// The host that reads heads only and never answers.
pub const SINK: &str = "sink.test";

/// A configuration with a host for each kind of endpoint, within a runtime. `calm` is the test application's address.
pub fn config(calm: SocketAddr) -> String {
    let endpoints = [(CALM, calm), (WIDE, wide_endpoint()), (SINK, sink_endpoint())];
    let route = |(host, address): (&str, SocketAddr)| {
        let name = host.split('.').next().unwrap_or(host);
        format!("[routes.{name}]\nhost = \"{host}\"\nupstream = \"http://{address}\"\nhttps-redirect = false\n\n")
    };
    endpoints.map(route).concat()
}

/// Answers each request with a large head, and a body that is larger than what fits on the way.
fn wide_endpoint() -> SocketAddr {
    let fields: String =
        fields(WIDE_FIELDS, WIDE_VALUE).iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n{fields}\r\n");
    endpoint(Arc::new(head.into_bytes()), 8_000_000)
}

/// Reads the first bytes of a connection, and nothing more.
fn sink_endpoint() -> SocketAddr {
    endpoint(Arc::default(), 0)
}

fn endpoint(head: Arc<Vec<u8>>, body_len: usize) -> SocketAddr {
    let socket = TcpSocket::new_v4().expect("a socket can be had");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a loopback port is free");
    // All connections may come at once.
    let listener = socket.listen(4096).expect("it is bound");
    let address = listener.local_addr().expect("a bound listener has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&head), body_len));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, head: Arc<Vec<u8>>, body_len: usize) -> std::io::Result<()> {
    const PIECE: &[u8] = &[b'k'; 16 * 1024];
    let mut asked = Vec::new();
    while !asked.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut asked).await? == 0 {
            return Ok(());
        }
    }
    if head.is_empty() {
        // Dropping it would close it.
        let kept = stream;
        std::future::pending::<()>().await;
        drop(kept);
        return Ok(());
    }
    stream.write_all(&head).await?;
    for _ in 0..body_len / PIECE.len() {
        stream.write_all(PIECE).await?;
    }
    Ok(())
}
