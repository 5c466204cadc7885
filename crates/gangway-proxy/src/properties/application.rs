//! Applications that read requests strictly, and answer by the path.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::http1::properties::as_httparse_reads_chunks;

/// The address of the client.
pub(super) const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 5000);

/// Bytes of a response's body. As many as a client asks for would be too many for a fuzz target.
const BODY_MAX: usize = 1 << 16;

/// What reached the applications.
#[derive(Debug, Default)]
pub(super) struct Received(Mutex<(f64, Vec<String>)>);

impl Received {
    /// The number of requests, and what was wrong with them.
    pub(super) fn all(&self) -> (f64, Vec<String>) {
        self.0.lock().clone()
    }

    fn note(&self, checked: Result<(), String>) {
        let (requests, faults) = &mut *self.0.lock();
        *requests += 1.0;
        faults.extend(checked.err());
    }

    fn blame(&self, fault: String) {
        self.0.lock().1.push(fault);
    }
}

/// The head of a request, as another parser reads it.
struct Head {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
}

/// The way in which an application answers, and a number of bytes.
struct Answer<'t> {
    verb: &'t str,
    len: usize,
}

impl<'t> Answer<'t> {
    fn to(target: &'t str) -> Self {
        let path = target.split('?').next().unwrap_or_default();
        let (path, number) = path.rsplit_once('/').unwrap_or((path, ""));
        let verb = path.rsplit('/').next().unwrap_or_default();
        Self { verb, len: number.parse().unwrap_or(0).min(BODY_MAX) }
    }
}

/// Serves HTTP/1.1.
pub(super) async fn run_http1(listener: TcpListener, received: Arc<Received>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        connections.spawn(async move {
            let mut connection = Http1 { tcp, input: Vec::new(), received };
            while connection.serve().await.is_some() {}
        });
    }
}

struct Http1 {
    tcp: TcpStream,
    /// Bytes that were read and belong to no request yet.
    input: Vec<u8>,
    received: Arc<Received>,
}

impl Http1 {
    /// Serves one request. None if the connection is over.
    async fn serve(&mut self) -> Option<()> {
        let head = self.head().await?;
        self.received.note(check(&head));
        let Answer { verb, len } = Answer::to(&head.target);
        if verb == "early" {
            self.write("HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\n\r\nfull").await?;
            self.body(&head).await?;
            return Some(());
        }
        let body = self.body(&head).await?;
        let is_head = head.method == "HEAD";
        let data = "x".repeat(if is_head { 0 } else { len });
        match verb {
            "sized" => self.write(&format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{data}")).await,
            "echo" => self.write(&format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Len: {body}\r\n\r\n")).await,
            "framed" | "trailers" => {
                let trailers = if verb == "trailers" { "X-Sum: 1\r\nX_Sum: 2\r\n" } else { "" };
                let data = if len > 0 { format!("{len:x}\r\n{}\r\n", "x".repeat(len)) } else { String::new() };
                let body = if is_head { String::new() } else { format!("{data}0\r\n{trailers}\r\n") };
                self.write(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}")).await
            }
            "hint" => {
                let hints = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(len.min(20));
                self.write(&format!("{hints}HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")).await
            }
            "late" => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await
            }
            "challenge" => self.write("HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n").await,
            "never" => {
                let _ = self.tcp.read_u8().await;
                None
            }
            "until-close" => self.last(&format!("HTTP/1.1 200 OK\r\n\r\n{data}")).await,
            "cut" => self.last(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{data}", len + 1)).await,
            "last" => {
                self.last(&format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n{data}")).await
            }
            "old" => self.last(&format!("HTTP/1.0 200 OK\nX: y\n z\n\n{data}")).await,
            "switch" => {
                self.last("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").await
            }
            "odd" => self.last("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx").await,
            "mute" => None,
            _ => self.write("HTTP/1.1 204 No Content\r\n\r\n").await,
        }
    }

    async fn head(&mut self) -> Option<Head> {
        loop {
            let mut space = [httparse::EMPTY_HEADER; 200];
            let mut parsed = httparse::Request::new(&mut space);
            match parsed.parse(&self.input) {
                Ok(httparse::Status::Partial) => self.read().await?,
                Ok(httparse::Status::Complete(len)) => {
                    let fields = parsed.headers.iter().map(|field| (field.name.to_lowercase(), field.value.to_vec()));
                    let head = Head {
                        method: parsed.method.unwrap_or_default().to_owned(),
                        target: parsed.path.unwrap_or_default().to_owned(),
                        fields: fields.collect(),
                    };
                    self.input.drain(..len);
                    return Some(head);
                }
                Err(error) => {
                    self.received.blame(format!("{error}: {}", self.input.escape_ascii()));
                    return None;
                }
            }
        }
    }

    /// The length of a body that came whole.
    async fn body(&mut self, head: &Head) -> Option<usize> {
        let sized = head.all("content-length").next().map(|value| std::str::from_utf8(value).unwrap_or_default());
        let is_chunked = head.all("transfer-encoding").next().is_some();
        let Some(sized) = sized.or(Some("0").filter(|_| !is_chunked)) else { return self.chunks().await };
        let len = sized.parse().unwrap_or(usize::MAX);
        while self.input.len() < len {
            self.read().await?;
        }
        self.input.drain(..len);
        Some(len)
    }

    async fn chunks(&mut self) -> Option<usize> {
        loop {
            match as_httparse_reads_chunks(&self.input) {
                Ok(None) => self.read().await?,
                Ok(Some((data, len))) => {
                    self.input.drain(..len);
                    return Some(data.len());
                }
                Err(error) => {
                    self.received.blame(format!("{error}: {}", self.input.escape_ascii()));
                    return None;
                }
            }
        }
    }

    async fn read(&mut self) -> Option<()> {
        let mut space = [0; 4096];
        let len = self.tcp.read(&mut space).await.ok().filter(|len| *len > 0)?;
        self.input.extend_from_slice(&space[..len]);
        Some(())
    }

    async fn write(&mut self, text: &str) -> Option<()> {
        self.tcp.write_all(text.as_bytes()).await.ok()
    }

    /// Writes, and ends the connection.
    async fn last(&mut self, text: &str) -> Option<()> {
        self.write(text).await?;
        None
    }
}

impl Head {
    fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f [u8]> {
        self.fields.iter().filter(move |(named, _)| named == name).map(|(_, value)| &**value)
    }
}

/// The rules for every request that goes to an endpoint over HTTP/1.1.
fn check(head: &Head) -> Result<(), String> {
    let count = |name| head.all(name).count();
    let codings: Vec<&[u8]> = head.all("transfer-encoding").collect();
    let is_target = head.target.starts_with('/') || head.target == "*" && head.method == "OPTIONS";
    let is_framed_once = match (count("content-length"), &codings[..]) {
        (0 | 1, []) => true,
        (0, [coding]) => *coding == b"chunked",
        (_, _) => false,
    };
    let is_told_who_asks = ["x-forwarded-for", "x-real-ip"].iter().all(|name| {
        let told: Vec<&[u8]> = head.all(name).collect();
        told == [PEER.ip().to_string().as_bytes()]
    });
    let of_one_hop = ["keep-alive", "proxy-connection", "http2-settings", "proxy-authorization"];
    for (holds, what) in [
        (is_target, "the target"),
        (!matches!(&*head.method, "CONNECT" | "TRACE"), "the method"),
        (count("host") == 1, "Host"),
        (is_framed_once, "the framing"),
        (is_told_who_asks, "the client's address"),
        (of_one_hop.iter().all(|name| count(name) == 0), "a field between the client and us"),
        (head.fields.iter().all(|(name, _)| !name.contains('_')), "a name with an underscore"),
    ] {
        if !holds {
            return Err(format!("{what}: {} {} {:?}", head.method, head.target, head.fields));
        }
    }
    Ok(())
}

/// Serves HTTP/2 from the first byte.
pub(super) async fn run_h2c(listener: TcpListener, received: Arc<Received>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let received = Arc::clone(&received);
        connections.spawn(async move {
            let mut answers = JoinSet::new();
            let Ok(mut connection) = h2::server::handshake(tcp).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                let (parts, body) = request.into_parts();
                let is_target = parts.uri.path().starts_with('/') || parts.uri.path() == "*";
                let told = parts.headers.get("x-forwarded-for").map(HeaderValue::as_bytes);
                let is_in_order = is_target && told == Some(PEER.ip().to_string().as_bytes());
                received.note(is_in_order.then_some(()).ok_or_else(|| format!("{parts:?}")));
                let target = parts.uri.path().to_owned();
                answers.spawn(async move { answer_h2(&target, body, respond).await });
            }
        });
    }
}

async fn answer_h2(target: &str, mut body: h2::RecvStream, mut respond: SendResponse<Bytes>) -> Option<()> {
    let Answer { verb, len } = Answer::to(target);
    let ok = || Response::new(());
    if verb != "early" {
        while let Some(data) = body.data().await {
            body.flow_control().release_capacity(data.ok()?.len()).ok()?;
        }
        body.trailers().await.ok()?;
    }
    let data = Bytes::from("x".repeat(len));
    match verb {
        "sized" | "framed" => respond.send_response(ok(), false).ok()?.send_data(data, true).ok(),
        "trailers" => {
            let mut stream = respond.send_response(ok(), false).ok()?;
            stream.send_data(data, false).ok()?;
            let fields = [("grpc-status", "0")]
                .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
            stream.send_trailers(HeaderMap::from_iter(fields)).ok()
        }
        "cut" => {
            let mut stream = respond.send_response(ok(), false).ok()?;
            stream.send_data(data, false).ok()?;
            stream.send_reset(Reason::INTERNAL_ERROR);
            None
        }
        "mute" => {
            respond.send_reset(Reason::REFUSED_STREAM);
            None
        }
        "late" => {
            tokio::time::sleep(Duration::from_secs(1)).await;
            respond.send_response(ok(), true).ok().map(drop)
        }
        _ => respond.send_response(ok(), true).ok().map(drop),
    }
}
