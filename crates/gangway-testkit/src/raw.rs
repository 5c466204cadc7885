//! HTTP/1 to the byte: a client that sends exactly the given bytes, and an upstream that answers with exactly the given
//! bytes.
//!
//! Other clients mend what they are given; these do not. What comes back is read as its framing says and
//! no further, so that a second answer, a cut body or a connection that stays open can be told apart.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::client::Stream;

/// A test that waits longer is stuck. The bound does not measure anything.
const STUCK: Duration = Duration::from_secs(20);

/// A connection on which only the given bytes are sent, and only the requested bytes are read.
pub struct Raw {
    stream: Stream,
    /// Bytes that arrived and were not read by the test yet.
    ahead: Vec<u8>,
}

/// One answer, as it was on the wire.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RawAnswer {
    /// The status.
    pub status: u16,
    /// The first line, without its end.
    pub status_line: String,
    /// Names and values in order, names as sent.
    pub fields: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Whether the body ended as its framing promised; false where the connection ended first. A body
    /// without framing ends with the connection and is always whole.
    pub is_whole: bool,
}

/// The part of a request that decides where its answer ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Asked {
    /// Any method but HEAD.
    #[default]
    ForAll,
    /// HEAD: the answer has no body, whatever its fields say.
    ForHead,
}

impl RawAnswer {
    /// Every value of a field, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| &**value).collect()
    }

    /// The only value of a field. Empty if the field is absent.
    ///
    /// # Panics
    ///
    /// Panics if there are several values.
    pub fn field(&self, name: &str) -> &str {
        let all = self.all(name);
        assert!(all.len() < 2, "`{name}` stands there {} times: {all:?}", all.len());
        all.first().copied().unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Raw {
    /// Connects over plain TCP.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(Box::new(stream)))
    }

    /// Uses an existing stream, such as one with TLS of [`crate::client::Client::stream`].
    pub fn over(stream: Stream) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// Sends these bytes in one write.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Sends these bytes in writes of at most `len`, each flushed.
    pub async fn send_in_pieces(&mut self, bytes: impl AsRef<[u8]>, len: usize) -> io::Result<()> {
        for piece in bytes.as_ref().chunks(len.max(1)) {
            self.send(piece).await?;
            // Otherwise the pieces could be joined into one segment before the first is read.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Closes the sending direction.
    pub async fn end(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Sends a request and reads one final answer. Interim answers (1xx but 101) are skipped.
    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<RawAnswer> {
        self.send(bytes).await?;
        loop {
            let answer = self.answer(Asked::ForAll).await?;
            if answer.status == 101 || answer.status >= 200 {
                return Ok(answer);
            }
        }
    }

    /// Reads one answer, interim or final, as its framing says. Fails if there is none.
    pub async fn answer(&mut self, asked: Asked) -> io::Result<RawAnswer> {
        let Some(head) = self.until(b"\r\n\r\n").await? else {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended before an answer"));
        };
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default().to_owned();
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
        let fields = lines.filter_map(field).collect();
        let mut answer =
            RawAnswer { status, status_line, fields, body: Vec::new(), trailers: Vec::new(), is_whole: true };
        if asked == Asked::ForHead || status < 200 || matches!(status, 204 | 304) {
            return Ok(answer);
        }
        if answer.all("transfer-encoding").iter().any(|coding| coding.eq_ignore_ascii_case("chunked")) {
            answer.is_whole = self.chunks(&mut answer.body, &mut answer.trailers).await?;
        } else if let Some(len) = answer.all("content-length").first().and_then(|len| len.parse().ok()) {
            answer.body = self.bytes(len).await?;
            answer.is_whole = answer.body.len() == len;
        } else {
            answer.body = self.rest().await?;
        }
        Ok(answer)
    }

    /// Reads this many bytes, or fewer if the connection ends.
    pub async fn bytes(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < len && self.more().await? {}
        Ok(self.ahead.drain(..len.min(self.ahead.len())).collect())
    }

    /// Reads everything until the connection ends.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.more().await? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Waits for the other side to end the connection. Returns whether nothing arrived before that.
    pub async fn is_closed(&mut self) -> io::Result<bool> {
        Ok(self.rest().await?.is_empty())
    }

    pub(crate) async fn chunks(
        &mut self,
        body: &mut Vec<u8>,
        trailers: &mut Vec<(String, String)>,
    ) -> io::Result<bool> {
        loop {
            let Some(line) = self.until(b"\r\n").await? else { return Ok(false) };
            let line = String::from_utf8_lossy(&line).into_owned();
            let size = line.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
            let size = size.ok_or_else(|| io::Error::other(format!("no chunk size: {line:?}")))?;
            if size == 0 {
                break;
            }
            let data = self.bytes(size).await?;
            let cut = data.len() < size;
            body.extend(data);
            if cut || self.until(b"\r\n").await?.is_none() {
                return Ok(false);
            }
        }
        loop {
            match self.until(b"\r\n").await? {
                None => return Ok(false),
                Some(line) if line.is_empty() => return Ok(true),
                Some(line) => trailers.extend(field(&String::from_utf8_lossy(&line))),
            }
        }
    }

    /// Reads up to and including `end`, and returns what is before it. `None` if the connection ends first.
    pub(crate) async fn until(&mut self, end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|window| window == end) {
                let before = self.ahead.drain(..at).collect();
                self.ahead.drain(..end.len());
                return Ok(Some(before));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Reads some more bytes. Returns false at the end. A reset, or TLS that ends without close_notify, is an end too.
    async fn more(&mut self) -> io::Result<bool> {
        match tokio::time::timeout(STUCK, self.stream.read_buf(&mut self.ahead)).await {
            Ok(Ok(len)) => Ok(len > 0),
            Ok(Err(error)) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => {
                Ok(false)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing more came for {STUCK:?}"))),
        }
    }
}

fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

/// An upstream that answers every request with the same bytes, and keeps the bytes that it received.
///
/// Each connection gets the answer once, when the head of a request has come; then it is read to its end,
/// or closed at once where the upstream was told so. Ends when it is dropped.
pub struct RawUpstream {
    /// The address that it listens on.
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
}

/// What an upstream does after its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// Keeps the connection open until the other side ends it.
    Stays,
    /// Ends the connection.
    Closes,
}

impl RawUpstream {
    /// Starts on a free port of loopback.
    pub async fn answering(answer: impl Into<Vec<u8>>, then: Then) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let received = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<[u8]> = answer.into().into();
        let connections = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), then, Arc::clone(&connections)));
            }
        });
        Ok(Self { address, received, task })
    }

    /// The bytes of each connection so far, in the order of the connections.
    pub fn received(&self) -> Vec<String> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}

impl Drop for RawUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<[u8]>, then: Then, received: Arc<Mutex<Vec<Vec<u8>>>>) {
    let keep = |position: Option<usize>, bytes: &[u8]| {
        let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
        let position = position.unwrap_or(received.len());
        if position == received.len() {
            received.push(Vec::new());
        }
        received[position].extend_from_slice(bytes);
        (position, received[position].windows(4).any(|window| window == b"\r\n\r\n"))
    };
    let (position, _) = keep(None, b"");
    let mut answered = false;
    let mut space = vec![0; 16 * 1024];
    while let Ok(len @ 1..) = stream.read(&mut space).await {
        let (_, has_head) = keep(Some(position), &space[..len]);
        if has_head && !answered {
            answered = true;
            if stream.write_all(&answer).await.is_err() || then == Then::Closes {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(answer: &str, then: Then) -> RawAnswer {
        let upstream = RawUpstream::answering(answer, then).await.expect("a free port");
        let mut raw = Raw::connect(upstream.address).await.expect("it listens");
        let answer = raw.ask("GET / HTTP/1.1\r\n\r\n").await.expect("an answer");
        assert_eq!(upstream.received(), ["GET / HTTP/1.1\r\n\r\n"]);
        answer
    }

    #[tokio::test]
    async fn an_answer_is_read_as_its_framing_says() {
        let sized =
            asked("HTTP/1.1 200 OK\r\nX: 1\r\nx: 2\r\nContent-Length: 5\r\n\r\nhello, and more", Then::Stays).await;
        assert_eq!((sized.status, &sized.body[..], sized.is_whole), (200, &b"hello"[..], true));
        assert_eq!(sized.all("X"), ["1", "2"]);
        let chunked = asked(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nSum: 9\r\n\r\n",
            Then::Stays,
        )
        .await;
        assert_eq!((&*chunked.text(), chunked.is_whole), ("abc", true));
        assert_eq!(chunked.trailers, [("Sum".to_owned(), "9".to_owned())]);
        let interim = asked("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Then::Stays).await;
        assert_eq!(interim.status, 204);
    }

    #[tokio::test]
    async fn a_cut_answer_is_not_whole() {
        assert!(!asked("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", Then::Closes).await.is_whole);
        assert!(
            !asked("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Then::Closes).await.is_whole
        );
        assert!(asked("HTTP/1.1 200 OK\r\n\r\nuntil the end", Then::Closes).await.is_whole);
    }
}
