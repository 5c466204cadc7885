//! HTTP/1.1 by hand: what came is kept as it came, and answers may be as wrong as a test wants.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::body::{Framing, HEAD_MAX, bad, latin1};
use super::exchange::{Asked, Exchange};
use super::{App, Ends, routes};
use crate::websocket;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

/// How long a connection without `--keep-alive` may be idle: longer than any test.
const IDLE_MAX: Duration = Duration::from_secs(3600);

pub(super) async fn serve<S>(mut stream: S, mut buffer: BytesMut, ends: Ends, app: Arc<App>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let idle = app.keep_alive.unwrap_or(IDLE_MAX);
    while let Ok(Some(mut asked)) = tokio::time::timeout(idle, head(&mut stream, &mut buffer)).await.unwrap_or(Ok(None))
    {
        asked.peer.clone_from(&ends.peer);
        asked.local.clone_from(&ends.local);
        if let Some(key) = websocket_key(&asked, &app) {
            if let Some(directed) = &app.directed {
                directed.note(&asked, &app.name, 0);
            }
            return talk(stream, buffer, &key, &app.name).await;
        }
        let framing = framing(&asked);
        let expects = asked.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        let close = asked.version != "HTTP/1.1"
            || asked.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let mut exchange = Exchange::H1(H1 {
            stream: &mut stream,
            buffer: &mut buffer,
            framing,
            continue_owed: expects,
            chunked: false,
            bodiless: asked.method == "HEAD",
            close,
            keep_alive: app.keep_alive,
            out: Vec::new(),
        });
        routes::answer(&asked, &mut exchange, &app).await?;
        let Exchange::H1(h1) = exchange else { return Ok(()) };
        if h1.close || h1.framing_left() {
            stream.flush().await?;
            return stream.shutdown().await;
        }
    }
    stream.shutdown().await
}

/// The answer's side of one HTTP/1.1 exchange.
pub(super) struct H1<'a> {
    stream: &'a mut dyn Wire,
    buffer: &'a mut BytesMut,
    framing: Framing,
    continue_owed: bool,
    chunked: bool,
    bodiless: bool,
    close: bool,
    keep_alive: Option<Duration>,
    out: Vec<u8>,
}

impl H1<'_> {
    pub(super) async fn body(&mut self) -> io::Result<Option<Bytes>> {
        if std::mem::take(&mut self.continue_owed) && self.framing != Framing::Done {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            self.stream.flush().await?;
        }
        self.framing.next(&mut self.stream, self.buffer).await
    }

    pub(super) async fn hint(&mut self, status: u16, headers: &[(&str, &str)]) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {status} Early Hints\r\n");
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.flush().await
    }

    pub(super) fn head(&mut self, status: u16, headers: &[(&str, &str)], length: Option<u64>) {
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let without_body = status == 204 || status == 304 || status < 200;
        match length {
            _ if without_body => {}
            Some(length) => drop(write!(head, "content-length: {length}\r\n")),
            None => {
                self.chunked = true;
                head.push_str("transfer-encoding: chunked\r\n");
            }
        }
        self.bodiless |= without_body;
        match self.keep_alive {
            _ if self.close => head.push_str("connection: close\r\n"),
            Some(idle) => drop(write!(head, "keep-alive: timeout={}\r\n", idle.as_secs())),
            None => {}
        }
        head.push_str("\r\n");
        // Held back until the first part of the body, so that a small answer is one write.
        self.out.extend_from_slice(head.as_bytes());
    }

    pub(super) async fn send(&mut self, part: &[u8]) -> io::Result<()> {
        if !self.bodiless && !part.is_empty() {
            if self.chunked {
                self.out.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                self.out.extend_from_slice(part);
                self.out.extend_from_slice(b"\r\n");
            } else {
                self.out.extend_from_slice(part);
            }
        }
        self.flush().await
    }

    pub(super) async fn finish(&mut self, trailers: &[(&str, &str)]) -> io::Result<()> {
        if self.chunked && !self.bodiless {
            self.out.extend_from_slice(b"0\r\n");
            for (name, value) in trailers {
                self.out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            self.out.extend_from_slice(b"\r\n");
        }
        self.flush().await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out).await?;
        self.out.clear();
        self.stream.flush().await
    }

    /// Whether some of the body was not read, so that the connection cannot be used again.
    fn framing_left(&self) -> bool {
        !matches!(self.framing, Framing::Done | Framing::Length(0))
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<Option<Asked>> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if buffer.len() > HEAD_MAX {
            return Err(bad("a head"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let bytes = buffer.split_to(end + 4);
    let text = latin1(&bytes[..end]);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let (method, rest) = first.split_once(' ').ok_or_else(|| bad("a request line"))?;
    let (target, version) = rest.rsplit_once(' ').ok_or_else(|| bad("a request line"))?;
    let headers = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| bad("a field"))?;
    Ok(Some(Asked {
        method: method.into(),
        target: target.into(),
        version: version.into(),
        headers,
        peer: String::new(),
        local: String::new(),
    }))
}

fn framing(asked: &Asked) -> Framing {
    if asked.header("transfer-encoding").is_some() {
        return Framing::Chunked(None);
    }
    match asked.header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) if length > 0 => Framing::Length(length),
        _ => Framing::Done,
    }
}

fn websocket_key(asked: &Asked, app: &App) -> Option<String> {
    let upgrade = asked.header("upgrade")?.eq_ignore_ascii_case("websocket");
    let key = asked.header("sec-websocket-key")?;
    (upgrade && (app.directed.is_some() || asked.path().ends_with("/ws"))).then(|| derive_accept_key(key.as_bytes()))
}

async fn talk<S>(mut stream: S, early: BytesMut, accept: &str, name: &str) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\nx-app: {name}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    websocket::echo(super::h2::Replay::new(early.freeze(), stream)).await
}

fn reason(status: u16) -> String {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Status").to_owned()
}
