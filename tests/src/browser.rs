//! A client like a browser: it keeps its connections for a while, and repeats a request of which nothing was sent.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gangway_testkit::client::{Answer, Client, Connection, Speaks};
use tokio::time::Instant;

/// The body of each POST.
const BODY: [u8; 1024] = [b'x'; 1024];

/// The number of attempts for a request. Each connection that turns out to be closed costs one.
const TRIES_MAX: usize = 5;

/// For how long an idle connection of HTTP/1.1 is used again. Shorter than a server keeps it: a request that meets the
/// end of its connection on the way cannot be repeated safely (RFC 9112, section 9.3.1).
const IDLE_MAX: Duration = Duration::from_secs(60);

/// A client with an address of its own, because the number of connections per address is bounded.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    host: String,
    speaks: Speaks,
    /// HTTP/1.1: the idle connections, and since when they are. The last used one is used first.
    idle: Mutex<Vec<(Instant, Connection)>>,
    /// HTTP/2: the one connection for all requests.
    shared: tokio::sync::Mutex<Option<Connection>>,
}

impl Browser {
    /// The client with this number, which sends requests to this host.
    pub fn new(client: &Client, host: &str, speaks: Speaks, number: u8) -> Self {
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 100, number.saturating_add(1)));
        Self {
            client: client.clone().speaking(speaks).leaving_from(address),
            host: host.to_owned(),
            speaks,
            idle: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
        }
    }

    /// Requests the echo, which says how many bytes it got. Returns what was wrong with the answer.
    pub async fn ask(&self, method: &str) -> Result<(), String> {
        let sent = if method == "POST" { Bytes::from_static(&BODY) } else { Bytes::new() };
        let len = sent.len();
        match self.answer(method, sent).await {
            Ok(answer) if answer.status == 200 && answer.json()["body_len"] == len => Ok(()),
            Ok(answer) => Err(format!("{method} {:?}: {} {}", self.speaks, answer.status, answer.text())),
            Err(error) => Err(format!("{method} {:?}: {}", self.speaks, in_full(&error))),
        }
    }

    async fn answer(&self, method: &str, body: Bytes) -> io::Result<Answer> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut connection = self.connection().await?;
            match connection.ask(method, "/echo", &[], body.clone()).await {
                Err(error) if error.kind() == io::ErrorKind::NotConnected && tries < TRIES_MAX => {}
                Err(error) => return Err(error),
                Ok(answer) => {
                    if self.speaks == Speaks::H1 {
                        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), connection));
                    }
                    return Ok(answer);
                }
            }
        }
    }

    async fn connection(&self) -> io::Result<Connection> {
        if self.speaks == Speaks::H1 {
            return match self.idle_one() {
                Some(connection) => Ok(connection),
                None => self.client.connect(&self.host).await,
            };
        }
        let mut shared = self.shared.lock().await;
        if let Some(connection) = shared.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.beside().expect("HTTP/2 asks side by side"));
        }
        let connection = self.client.connect(&self.host).await?;
        let beside = connection.beside().expect("HTTP/2 asks side by side");
        *shared = Some(connection);
        Ok(beside)
    }

    fn idle_one(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(since, connection)| since.elapsed() < IDLE_MAX && connection.is_open());
        idle.pop().map(|(_, connection)| connection)
    }
}

/// An error with its causes, which hyper's message leaves out.
fn in_full(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.get_ref().and_then(|inner| inner.source());
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
