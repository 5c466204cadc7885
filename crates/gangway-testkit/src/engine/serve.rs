//! The fake engine's HTTP: just enough of it, written by hand so that it can be written wrongly.

use std::io;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use super::answer::Answer;
use super::tell::{Event, Wanted};
use super::{Asked, Engine, Fault, Flavour, Mode, Moment};

/// The longest body of a request; only orders to the fake itself have any.
const ORDER_MAX: u64 = 1024 * 1024;

/// How much of a huge answer is written at once.
const PIECE: usize = 64 * 1024;

/// Answers of more than this come in chunks, as from the real ones.
const CHUNKED_FROM: usize = 2048;

impl Engine {
    /// Answers on one connection until it ends or the engine does.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut mode = self.mode.subscribe();
        tokio::select! {
            biased;
            _ = mode.wait_for(|mode| *mode == Mode::Down) => {}
            _ = self.converse(BufReader::new(stream)) => {}
        }
    }

    async fn converse(&self, mut stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>) -> io::Result<()> {
        loop {
            let Some((asked, body)) = request(&mut stream).await? else { return Ok(()) };
            self.thawed().await;
            let fault = {
                let mut state = self.state();
                state.asked.push(asked.clone());
                state.faults.iter().find(|(path, _)| *path == asked.path).map(|(_, fault)| fault.clone())
            };
            match fault {
                Some(Fault::Hang) => return std::future::pending().await,
                Some(Fault::Garbage) => {
                    stream.write_all(b"\x16\x03\x01 what is this\r\n\x00\xff").await?;
                    return stream.shutdown().await;
                }
                Some(Fault::Body(body)) => self.answer(&mut stream, 200, body.as_bytes()).await?,
                Some(Fault::CutAfter(len)) => {
                    let body = self.answer_to(&asked, &body).body;
                    stream.write_all(self.head(200, body.len()).as_bytes()).await?;
                    stream.write_all(&body.as_bytes()[..len.min(body.len())]).await?;
                    return stream.shutdown().await;
                }
                Some(Fault::Huge(len)) => return self.answer_hugely(&mut stream, len).await,
                Some(Fault::Status(status)) => {
                    self.answer(&mut stream, status, br#"{"message":"so it was ordered"}"#).await?;
                }
                None if asked.path == "/events" => return self.follow(&mut stream, &asked).await,
                None => {
                    let Answer { status, body } = self.answer_to(&asked, &body);
                    if asked.path == "/containers/json" && self.reached(Moment::ListingTaken) {
                        // The events of the act have to arrive before the listing, and nothing shows when a subscriber
                        // has read them.
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    let body = if asked.method == "HEAD" { String::new() } else { body };
                    self.answer(&mut stream, status, body.as_bytes()).await?;
                }
            }
        }
    }

    /// Waits while the engine stands still.
    async fn thawed(&self) {
        let mut mode = self.mode.subscribe();
        let _ = mode.wait_for(|mode| *mode != Mode::Frozen).await;
    }

    fn head(&self, status: u16, len: usize) -> String {
        let length =
            if len > CHUNKED_FROM { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {len}") };
        self.head_with(status, &length)
    }

    fn head_with(&self, status: u16, length: &str) -> String {
        let (api, server) = match self.state().flavour {
            Flavour::Docker2020 => ("1.41", "Docker/20.10.24 (linux)"),
            Flavour::Docker2026 => ("1.56", "Docker/30.0.0 (linux)"),
            Flavour::Podman => ("1.41", "Libpod/4.3.1 (linux)"),
        };
        let date = httpdate::fmt_http_date(SystemTime::now());
        format!(
            "HTTP/1.1 {status} Whatever\r\nApi-Version: {api}\r\nServer: {server}\r\nDate: {date}\r\n\
             Content-Type: application/json\r\n{length}\r\n\r\n"
        )
    }

    async fn answer(&self, stream: &mut (impl AsyncWrite + Unpin), status: u16, body: &[u8]) -> io::Result<()> {
        stream.write_all(self.head(status, body.len()).as_bytes()).await?;
        if body.len() <= CHUNKED_FROM {
            stream.write_all(body).await?;
        } else {
            for piece in body.chunks(PIECE) {
                chunk(stream, piece).await?;
            }
            stream.write_all(b"0\r\n\r\n").await?;
        }
        stream.flush().await
    }

    async fn answer_hugely(&self, stream: &mut (impl AsyncWrite + Unpin), len: u64) -> io::Result<()> {
        stream.write_all(self.head_with(200, "Transfer-Encoding: chunked").as_bytes()).await?;
        chunk(stream, b"[").await?;
        let entry = br#"{"Id":"00","Names":["/bomb"]},"#;
        let piece: Vec<u8> = entry.iter().copied().cycle().take(entry.len() * (PIECE / entry.len())).collect();
        let mut left = len;
        while left > 0 {
            chunk(stream, &piece).await?;
            left = left.saturating_sub(piece.len() as u64);
        }
        chunk(stream, b"{}]").await?;
        stream.write_all(b"0\r\n\r\n").await
    }

    /// Sends events until either side has enough.
    async fn follow(
        &self,
        stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>,
        asked: &Asked,
    ) -> io::Result<()> {
        let parameter = |key: &str| {
            let pairs = asked.query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(name, _)| *name == key).map(|(_, value)| decoded(value)).next().unwrap_or_default()
        };
        let wanted = Wanted::parse(&parameter("filters"));
        stream.write_all(self.head_with(200, "Transfer-Encoding: chunked").as_bytes()).await?;
        stream.flush().await?;
        // As the real ones do: a client that takes the head for the subscription misses events here.
        self.reached(Moment::BeforeSubscription);
        let (past, mut events) = self.subscribe(&parameter("since"));
        for event in past.iter().filter(|event| wanted.takes(event)) {
            chunk(stream, event.line().as_bytes()).await?;
        }
        let mut ignored = [0; 64];
        loop {
            tokio::select! {
                event = events.recv() => {
                    let Some(event) = event else { return Ok(()) };
                    self.thawed().await;
                    if wanted.takes(&event) {
                        chunk(stream, event.line().as_bytes()).await?;
                    }
                }
                read = stream.read(&mut ignored) => {
                    if read? == 0 { return Ok(()); }
                }
            }
        }
    }

    fn subscribe(&self, since: &str) -> (Vec<Event>, mpsc::UnboundedReceiver<Event>) {
        let (events_tx, events_rx) = mpsc::unbounded_channel();
        let mut state = self.state();
        state.subscribers.push(events_tx);
        let past = match nanos(since) {
            Some(nanos) => state.past.iter().filter(|event| event.is_since(nanos)).cloned().collect(),
            None => Vec::new(),
        };
        (past, events_rx)
    }
}

/// One request with its body; none where the other side is done.
async fn request(stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>) -> io::Result<Option<(Asked, String)>> {
    let mut head = String::new();
    loop {
        let from = head.len();
        if stream.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
        if head[from..].trim().is_empty() {
            break;
        }
    }
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (version, path) = versioned(path);
    let asked = Asked { method: method.into(), path: path.into(), version, query: query.into() };
    let len = head.lines().filter_map(|line| line.split_once(':'));
    let mut len = len.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let len: u64 = len.find_map(|(_, value)| value.trim().parse().ok()).unwrap_or_default();
    let mut body = String::new();
    stream.take(len.min(ORDER_MAX)).read_to_string(&mut body).await?;
    Ok(Some((asked, body)))
}

fn versioned(path: &str) -> (Option<String>, &str) {
    let version = path.strip_prefix("/v").and_then(|rest| rest.split_once('/')).map(|(version, _)| version);
    match version.filter(|version| version.starts_with("1.")) {
        Some(version) => (Some(version.to_owned()), &path[2 + version.len()..]),
        None => (None, path),
    }
}

async fn chunk(stream: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
    stream.write_all(piece).await?;
    stream.write_all(b"\r\n").await?;
    stream.flush().await
}

/// Undoes percent and plus.
pub(super) fn decoded(value: &str) -> String {
    let (bytes, mut out, mut at) = (value.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| value.get(at + 1..at + 3)).flatten();
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A time as Docker's clients write it: seconds, perhaps with a fraction.
fn nanos(text: &str) -> Option<u128> {
    let seconds: f64 = text.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).ok()?.as_nanos())
}
