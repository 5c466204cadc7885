//! Long-lived connections that must not be disturbed by anything that happens beside them.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gangway_testkit::client::{Client, Speaks, Stream};
use gangway_testkit::wait::eventually;
use gangway_testkit::websocket::WebSocket;
use http_body_util::BodyExt;
use tokio::task::JoinHandle;

use crate::STUCK;

/// WebSockets, and streams of events over HTTP/1.1 and HTTP/2.
pub struct Calm {
    sockets: Vec<WebSocket<Stream>>,
    streams: Vec<EventStream>,
}

struct EventStream {
    events: Arc<AtomicUsize>,
    task: JoinHandle<io::Result<()>>,
}

/// The number of connections of each kind.
const SOCKETS: usize = 20;
const STREAMS: usize = 5;

impl fmt::Debug for Calm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calm").field("sockets", &self.sockets.len()).finish_non_exhaustive()
    }
}

impl Calm {
    /// Opens 20 WebSockets and 5 streams of events, to a test application behind this host.
    pub async fn begin(client: &Client, host: &str) -> Self {
        let mut sockets = Vec::new();
        for _ in 0..SOCKETS {
            let stream = client.stream(host).await.expect("connected");
            sockets.push(WebSocket::open(stream, host, "/ws").await.expect("upgraded"));
        }
        let streams = (0..STREAMS)
            .map(|number| {
                let speaks = if number % 2 == 0 { Speaks::H1 } else { Speaks::H2 };
                let events = Arc::new(AtomicUsize::new(0));
                let heard = listen(client.clone().speaking(speaks), host.to_owned(), Arc::clone(&events));
                EventStream { events, task: tokio::spawn(heard) }
            })
            .collect();
        Self { sockets, streams }
    }

    /// The disturbed connections. Empty if every WebSocket still answers and every stream still sends events.
    pub async fn disturbed(self) -> Vec<String> {
        let mut disturbed = Vec::new();
        for (number, mut socket) in self.sockets.into_iter().enumerate() {
            match socket.ask("still there").await {
                Ok(text) if text == "still there" => {}
                other => disturbed.push(format!("WebSocket {number}: {other:?}")),
            }
        }
        for (number, stream) in self.streams.into_iter().enumerate() {
            if !stream.flows().await {
                disturbed.push(format!("stream {number}: {:?}", stream.task.await));
                continue;
            }
            stream.task.abort();
        }
        disturbed
    }

    /// # Panics
    ///
    /// Panics if one of them was disturbed.
    pub async fn is_undisturbed(self) {
        let disturbed = self.disturbed().await;
        assert!(disturbed.is_empty(), "{disturbed:?}");
    }
}

impl EventStream {
    /// Waits for one more event. Returns false if the stream ended.
    async fn flows(&self) -> bool {
        let before = self.events.load(Ordering::SeqCst);
        eventually("an event comes, or the end", STUCK, async || {
            let is_ended = self.task.is_finished();
            (is_ended || self.events.load(Ordering::SeqCst) > before).then_some(!is_ended)
        })
        .await
    }
}

async fn listen(client: Client, host: String, events: Arc<AtomicUsize>) -> io::Result<()> {
    let mut connection = client.connect(&host).await?;
    let answer = connection.begin("GET", "/stream?every=50", &[], Bytes::new()).await?;
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(io::Error::other)?;
        events.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}
