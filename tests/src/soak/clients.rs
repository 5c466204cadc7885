//! Clients of the soak: each does the same again and again until it is stopped, and counts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::sum::{Pattern, Sum};
use gangway_testkit::websocket::WebSocket;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::gangway::Gangway;
use crate::soak::stage::{CRASHING, H2C, HTTPS, PLAIN, STEADY};

/// An act that takes longer is lost.
const GIVE_UP: Duration = Duration::from_secs(60);

/// The bytes of a download, and of an upload.
const LARGE: usize = 1_000_000;

/// The bytes that a slow reader asks for: more than fit into the buffers between.
const SLOW: u64 = 4_000_000;

/// The number of requests, messages or events in one act.
const MANY: u32 = 50;

/// The number of outcomes that are remembered.
const REMEMBERED: usize = 10;

/// The apps that stay, by the way in which they are spoken to.
const APPS: [&str; 3] = [STEADY, HTTPS, H2C];

/// One kind of client. An act of it begins with a connection and ends with its end. Those that say how they speak go to
/// each app that stays, by turns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// 1 MB down, compared.
    Download(Speaks),
    /// 1 MB up, compared.
    Upload(Speaks),
    /// An upload that is answered before it has come.
    EarlyAnswer(Speaks),
    /// A call with trailers after its answer.
    Call(Speaks),
    /// Small requests without TLS.
    Small,
    /// Messages of a WebSocket.
    Messages,
    /// A stream of events with an end.
    Events(Speaks),
    /// A reader that takes its time.
    SlowReader,
    /// A reader that never reads, and goes.
    StalledReader,
    /// Connections that end in the middle, in four ways.
    Reset,
    /// Uploads that end in the middle.
    CutUpload(Speaks),
    /// Requests to the app that is killed.
    Crashing,
}

/// The kinds whose acts have to succeed.
pub const COUNTED: &[Kind] = &[
    Kind::Download(Speaks::H1),
    Kind::Download(Speaks::H2),
    Kind::Upload(Speaks::H1),
    Kind::Upload(Speaks::H2),
    Kind::EarlyAnswer(Speaks::H1),
    Kind::EarlyAnswer(Speaks::H2),
    Kind::Call(Speaks::H1),
    Kind::Call(Speaks::H2),
    Kind::Small,
    Kind::Messages,
    Kind::Events(Speaks::H1),
    Kind::Events(Speaks::H2),
    Kind::SlowReader,
];

/// The kinds that misbehave, or meet what does.
pub const FAULTY: &[Kind] =
    &[Kind::StalledReader, Kind::Reset, Kind::CutUpload(Speaks::H1), Kind::CutUpload(Speaks::H2), Kind::Crashing];

/// Clients of one kind that run until they are stopped.
#[derive(Debug)]
pub struct Clients {
    /// Their kind.
    pub kind: Kind,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What became of the acts.
#[derive(Debug, Default)]
pub struct Tally {
    answered: AtomicU64,
    lost: AtomicU64,
    outcomes: Mutex<Vec<String>>,
}

/// The way to the instance, for one client.
#[derive(Clone, Debug)]
struct Way {
    plain: SocketAddr,
    plain_client: Client,
    secure_client: Client,
}

impl Clients {
    /// Begins two clients of a kind.
    pub fn begin(gangway: &Gangway, kind: Kind) -> Self {
        let (tally, stop) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let tasks = (0..2).map(|number| {
            let from = IpAddr::V4(Ipv4Addr::new(127, 0, 110 + number, 1));
            let way = Way {
                plain: gangway.http,
                plain_client: gangway.plain().leaving_from(from),
                secure_client: gangway.secure().leaving_from(from),
            };
            tokio::spawn(act_again(kind, way, Arc::clone(&tally), Arc::clone(&stop)))
        });
        Self { kind, tasks: tasks.collect(), tally, stop }
    }

    /// Lets the acts that are under way end. How many requests were answered, and how those that were not ended.
    pub async fn end(self) -> (u64, u64, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.expect("a client does not panic");
        }
        let outcomes = self.tally.outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (self.tally.answered.load(Ordering::SeqCst), self.tally.lost.load(Ordering::SeqCst), outcomes)
    }
}

async fn act_again(kind: Kind, way: Way, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
    let mut pause = ticks(kind.pause());
    for number in 0.. {
        pause.tick().await;
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let outcome = timeout(GIVE_UP, kind.act(&way, number, &tally.answered)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if let Err(error) = outcome {
            tally.lost.fetch_add(1, Ordering::SeqCst);
            let mut outcomes = tally.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            if outcomes.len() < REMEMBERED {
                outcomes.push(error.to_string());
            }
        }
    }
}

impl Kind {
    /// Acts begin this far apart, so that the machine is busy and not full.
    fn pause(self) -> Duration {
        Duration::from_millis(match self {
            Self::Download(_) | Self::Upload(_) => 250,
            Self::EarlyAnswer(_) => 500,
            Self::Small | Self::Reset | Self::Crashing | Self::Call(_) | Self::CutUpload(_) => 100,
            Self::Messages | Self::Events(_) | Self::SlowReader | Self::StalledReader => 1000,
        })
    }

    async fn act(self, way: &Way, number: u32, answered: &AtomicU64) -> io::Result<()> {
        let count = || answered.fetch_add(1, Ordering::SeqCst);
        let app = APPS[number as usize % APPS.len()];
        let connect = async |speaks| way.secure_client.clone().speaking(speaks).connect(app).await;
        match self {
            Self::Download(speaks) => {
                let answer = connect(speaks).await?.get(&format!("/bytes/{LARGE}")).await?;
                let is_whole = answer.body == Pattern::bytes(LARGE);
                expect(answer.status == 200 && is_whole, || format!("{app}: {}", answer.status))?;
                count();
            }
            Self::Upload(speaks) => {
                let answer = connect(speaks).await?.ask("POST", "/upload", &[], Pattern::bytes(LARGE)).await?;
                let is_whole = answer.json()["sum"] == Sum::of_pattern(LARGE as u64);
                expect(answer.status == 200 && is_whole, || format!("{app}: {}", answer.status))?;
                count();
            }
            Self::EarlyAnswer(speaks) => {
                let answer = connect(speaks).await?.ask("POST", "/early", &[], Pattern::bytes(LARGE)).await?;
                expect(answer.status == 413, || format!("{app}: {}", answer.status))?;
                count();
            }
            Self::Call(speaks) => {
                let fields = [("content-type", "application/grpc"), ("te", "trailers")];
                let answer = connect(speaks).await?.ask("POST", "/svc/Call", &fields, "ping").await?;
                let has_trailers = answer.trailers.is_some_and(|trailers| trailers["grpc-status"] == "0");
                expect(has_trailers && answer.body == "ping", || format!("{app}: {}", answer.status))?;
                count();
            }
            Self::Small => {
                let mut connection = way.plain_client.connect(PLAIN).await?;
                for _ in 0..MANY {
                    let answer = connection.get("/echo").await?;
                    expect(answer.status == 200, || answer.status)?;
                    count();
                }
            }
            Self::Messages => {
                let stream = way.secure_client.stream(app).await?;
                let mut socket = WebSocket::open(stream, app, "/ws").await?;
                let mut pause = ticks(Duration::from_millis(50));
                for message in 0..MANY {
                    pause.tick().await;
                    let text = message.to_string();
                    let echo = socket.ask(&text).await?;
                    expect(echo == text, || echo)?;
                    count();
                }
                socket.close().await?;
            }
            Self::Events(speaks) => {
                let answer = connect(speaks).await?.get(&format!("/stream?every=50&count={MANY}")).await?;
                let events = answer.text().matches("data: ").count();
                expect(answer.status == 200 && events == MANY as usize, || format!("{app}: {events} events"))?;
                answered.fetch_add(u64::from(MANY), Ordering::SeqCst);
            }
            Self::SlowReader => {
                let mut stream = way.plain_client.stream(PLAIN).await?;
                stream.write_all(&get(&format!("/bytes/{SLOW}"), "Connection: close\r\n")).await?;
                let (mut pause, mut buffer, mut read) = (ticks(Duration::from_millis(10)), vec![0; 32 * 1024], 0);
                loop {
                    pause.tick().await;
                    match stream.read(&mut buffer).await? {
                        0 => break,
                        some => read += some as u64,
                    }
                }
                expect(read > SLOW, || format!("{read} bytes"))?;
                count();
            }
            Self::StalledReader => {
                let mut stream = way.plain_client.stream(PLAIN).await?;
                stream.write_all(&get(&format!("/bytes/{SLOW}"), "")).await?;
                crate::scene::lasts(Duration::from_secs(3)).await;
                count();
            }
            Self::Reset => {
                reset(way, number).await?;
                count();
            }
            Self::CutUpload(speaks) => {
                let mut connection = connect(speaks).await?;
                // Dropping it cuts the request; the pause decides how much of it has gone.
                let pause = Duration::from_millis(u64::from(number % 20));
                if timeout(pause, connection.ask("POST", "/upload", &[], Pattern::bytes(LARGE))).await.is_err() {
                    count();
                }
            }
            Self::Crashing => {
                let mut connection = way.secure_client.connect(CRASHING).await?;
                for _ in 0..MANY {
                    if connection.get("/echo").await?.status == 200 {
                        count();
                    }
                }
            }
        }
        Ok(())
    }
}

/// Ends a connection in the middle of something.
async fn reset(way: &Way, number: u32) -> io::Result<()> {
    if number % 4 == 3 {
        // A stream of HTTP/2 that is reset under way, and its connection after it.
        let mut connection = way.secure_client.clone().speaking(Speaks::H2).connect(STEADY).await?;
        let path = format!("/bytes/{SLOW}");
        drop(connection.begin("GET", &path, &[], Vec::new()).await?);
        return Ok(());
    }
    let mut stream = TcpStream::connect(way.plain).await?;
    // Closing it sends a reset.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    let sent = match number % 4 {
        0 => b"GET /echo HTTP/1.1\r\nHost: pla".to_vec(),
        1 => [&get("/upload", "Content-Length: 1000\r\n")[..], b"half"].concat(),
        _ => get(&format!("/bytes/{SLOW}"), ""),
    };
    stream.write_all(&sent).await?;
    if number % 4 == 2 {
        stream.read_u8().await?;
    }
    Ok(())
}

fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {PLAIN}\r\n{more}\r\n").into_bytes()
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn expect<T: std::fmt::Display>(is_expected: bool, otherwise: impl FnOnce() -> T) -> io::Result<()> {
    if is_expected { Ok(()) } else { Err(io::Error::other(otherwise().to_string())) }
}
