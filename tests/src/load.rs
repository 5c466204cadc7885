//! Clients that go on asking while something happens, and what became of their requests.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gangway_testkit::client::{Answer, Client, Connection, Speaks};
use gangway_testkit::websocket::WebSocket;
use http_body_util::BodyExt;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::gangway::Gangway;

/// Clients at once, a quarter each of HTTP/1.1 and HTTP/2, GET and POST.
const CLIENTS: u32 = 40;

/// How often each of them asks: together 200 times a second.
const EVERY: Duration = Duration::from_millis(200);

/// What each POST carries.
const BODY: [u8; 1024] = [b'x'; 1024];

/// Requests that go on until they are told to stop.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Outcome>>,
}

/// What became of them.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests that got what they asked for.
    pub answered: usize,
    /// What the others got.
    pub failed: Vec<String>,
    /// The longest that one of them took.
    pub slowest: Duration,
}

/// WebSockets and streams of events that nothing may disturb.
pub struct Calm {
    sockets: Vec<WebSocket<gangway_testkit::client::Stream>>,
    streams: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Load {
    /// Begins to ask for this host.
    pub fn begin(gangway: &Gangway, host: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..CLIENTS).map(|number| {
            let client = gangway.secure().speaking(if number % 2 == 0 { Speaks::H1 } else { Speaks::H2 });
            let method = if number % 4 < 2 { "GET" } else { "POST" };
            tokio::spawn(go_on(client, host.to_owned(), method, Arc::clone(&stop)))
        });
        let tasks = clients.collect();
        Self { stop, tasks }
    }

    /// Lets every request that was begun come to its end.
    pub async fn end(self) -> Outcome {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Outcome::default();
        for task in self.tasks {
            let one = task.await.expect("a client does not panic");
            all.answered += one.answered;
            all.failed.extend(one.failed);
            all.slowest = all.slowest.max(one.slowest);
        }
        all
    }
}

impl Outcome {
    /// Takes out what was sent to a process that was dying: where it has read a request, and the method may
    /// not be repeated, nobody can know whether it was served. How many those were.
    pub fn forgive_what_cannot_be_repeated(&mut self) -> usize {
        let all = self.failed.len();
        self.failed.retain(|said| !(said.starts_with("POST: 502") && said.contains("upstream-protocol")));
        all - self.failed.len()
    }

    /// # Panics
    ///
    /// Where a request failed.
    pub fn is_whole(&self) {
        let all = self.answered + self.failed.len();
        assert!(
            self.failed.is_empty(),
            "{} of {all} lost: {:?}",
            self.failed.len(),
            &self.failed[..self.failed.len().min(5)]
        );
        assert!(self.answered > 0, "nothing was asked");
    }
}

/// Asks again and again, on a new connection each time, until told to stop; how many were answered and what
/// went wrong.
pub fn keep_asking(client: &Client, host: &str, path: &str, stop: &Arc<AtomicBool>) -> JoinHandle<(u32, Vec<String>)> {
    let (client, host, path, stop) = (client.clone(), host.to_owned(), path.to_owned(), Arc::clone(stop));
    tokio::spawn(async move {
        let (mut good, mut bad) = (0, Vec::new());
        while !stop.load(Ordering::SeqCst) {
            match client.get(&host, &path).await {
                Ok(answer) if answer.status == 200 => good += 1,
                Ok(answer) => bad.push(format!("{} {}", answer.status, answer.text())),
                Err(error) => bad.push(error.to_string()),
            }
        }
        (good, bad)
    })
}

/// What clients of a test's own saw together: how many answers, and what was lost.
///
/// # Panics
///
/// Where one of them did.
pub async fn together(clients: Vec<JoinHandle<(u32, Vec<String>)>>) -> (u32, Vec<String>) {
    let (mut good, mut bad) = (0, Vec::new());
    for client in clients {
        let (answered, lost) = client.await.expect("a client does not panic");
        good += answered;
        bad.extend(lost);
    }
    (good, bad)
}

async fn go_on(client: Client, host: String, method: &'static str, stop: Arc<AtomicBool>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut turns = interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection: Option<Connection> = None;
    while !stop.load(Ordering::SeqCst) {
        turns.tick().await;
        let begun = Instant::now();
        let asked = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => client.connect(&host).await?,
            };
            let body = if method == "POST" { Bytes::from_static(&BODY) } else { Bytes::new() };
            let answer = open.ask(method, "/echo", &[], body).await?;
            std::io::Result::Ok((open, answer))
        };
        match asked.await {
            Ok((open, answer)) if is_right(&answer, method) => {
                outcome.answered += 1;
                connection = Some(open);
            }
            Ok((_, answer)) => outcome.failed.push(format!("{method}: {} {}", answer.status, answer.text())),
            Err(error) => outcome.failed.push(format!("{method}: {error}")),
        }
        outcome.slowest = outcome.slowest.max(begun.elapsed());
    }
    outcome
}

fn is_right(answer: &Answer, method: &str) -> bool {
    let wanted = if method == "POST" { BODY.len() } else { 0 };
    answer.status == 200 && answer.json()["body_len"] == wanted
}

impl fmt::Debug for Calm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calm").field("sockets", &self.sockets.len()).finish_non_exhaustive()
    }
}

impl Calm {
    /// Opens 20 WebSockets and 5 streams of events.
    pub async fn begin(gangway: &Gangway, host: &str) -> Self {
        let client = gangway.secure();
        let mut sockets = Vec::new();
        for _ in 0..20 {
            let stream = client.stream(host).await.expect("connected");
            sockets.push(WebSocket::open(stream, host, "/ws").await.expect("upgraded"));
        }
        let mut streams = Vec::new();
        for number in 0..5 {
            let speaks = if number % 2 == 0 { Speaks::H1 } else { Speaks::H2 };
            let (client, host) = (gangway.secure().speaking(speaks), host.to_owned());
            streams.push(tokio::spawn(async move {
                let mut connection = client.connect(&host).await?;
                let answer = connection.begin("GET", "/stream?every=50&count=100000", &[], Bytes::new()).await?;
                let mut body = answer.into_body();
                while let Some(frame) = body.frame().await {
                    frame.map_err(std::io::Error::other)?;
                }
                Ok(())
            }));
        }
        Self { sockets, streams }
    }

    /// # Panics
    ///
    /// Where one of them was disturbed.
    pub async fn is_undisturbed(self) {
        for mut socket in self.sockets {
            assert_eq!(socket.ask("still there").await.expect("an open WebSocket"), "still there");
        }
        for stream in self.streams {
            assert!(!stream.is_finished(), "a stream ended: {:?}", stream.await);
            stream.abort();
        }
    }
}
