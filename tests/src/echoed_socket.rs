//! A WebSocket whose messages come back, driven as cheaply as can be.

use std::fmt;
use std::io;

use gangway_testkit::client::{Client, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The bytes of a message. Short enough for a frame's short form.
const MESSAGE: usize = 64;

/// The bytes of a message and its frame, as the client sends them.
pub(crate) const SENT: usize = 6 + MESSAGE;

/// A WebSocket to something that echoes.
pub struct EchoedSocket {
    stream: Stream,
    frame: Vec<u8>,
    echo: Vec<u8>,
}

impl EchoedSocket {
    /// Opens one at `/ws` of the host `localhost`.
    ///
    /// # Errors
    ///
    /// Fails if the connection does, or is not switched to the other protocol.
    pub async fn open(client: &Client) -> io::Result<Self> {
        let mut stream = client.stream("localhost").await?;
        let head = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        let answer = read_head(&mut stream).await?;
        if !answer.starts_with(b"HTTP/1.1 101") {
            return Err(unexpected(&answer));
        }
        Ok(Self { stream, frame: sent_frame(), echo: vec![0; echoed_frame().len()] })
    }

    /// Sends a message and waits until it has come back.
    ///
    /// # Errors
    ///
    /// Fails if the connection does, or brings something else.
    pub async fn exchange(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.frame).await?;
        self.stream.read_exact(&mut self.echo).await?;
        if self.echo[2..] != [b'm'; MESSAGE] {
            return Err(unexpected(&self.echo));
        }
        Ok(())
    }
}

impl fmt::Debug for EchoedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EchoedSocket")
    }
}

/// A text message, masked by zeros, which leave it as it is.
fn sent_frame() -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 64, 0, 0, 0, 0];
    frame.extend([b'm'; MESSAGE]);
    frame
}

/// The same message from a server, without a mask.
pub(crate) fn echoed_frame() -> Vec<u8> {
    let mut frame = vec![0x81, 64];
    frame.extend([b'm'; MESSAGE]);
    frame
}

/// Reads a head to its end, and no more: every answer that is read so is followed by nothing, or by what is not looked at.
pub(crate) async fn read_head(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}

pub(crate) fn unexpected(answer: &[u8]) -> io::Error {
    io::Error::other(format!("unexpected: {:?}", String::from_utf8_lossy(&answer[..answer.len().min(200)])))
}
