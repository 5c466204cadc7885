//! WebSockets for tests: an echo server for the application, and a client over any stream.

use std::io;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Sends every message back, after the handshake, until the peer closes.
pub async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Result<()> {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(message) = socket.next().await {
        let message = message.map_err(io::Error::other)?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// The client end of a WebSocket.
#[derive(Debug)]
pub struct WebSocket<S> {
    socket: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Upgrades a connected stream.
    pub async fn open(stream: S, host: &str, path: &str) -> io::Result<Self> {
        let request = format!("ws://{host}{path}").into_client_request().map_err(io::Error::other)?;
        let (socket, _) = client_async(request, stream).await.map_err(io::Error::other)?;
        Ok(Self { socket })
    }

    /// Sends a text and waits for the next one.
    pub async fn ask(&mut self, text: &str) -> io::Result<String> {
        self.socket.send(Message::text(text)).await.map_err(io::Error::other)?;
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(frame))) => return Err(io::Error::other(format!("closed: {frame:?}"))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Waits until the peer closes. Returns its close code.
    pub async fn closed(mut self) -> io::Result<u16> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    // The word that we heard it goes out, and the peer ends the connection.
                    while let Some(Ok(_)) = self.socket.next().await {}
                    return Ok(frame.code.into());
                }
                Some(Ok(Message::Close(None))) => return Err(io::Error::other("closed without a code")),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Sends a close frame and waits for the peer's. Returns its close code.
    pub async fn close(mut self) -> io::Result<()> {
        match self.socket.close(None).await {
            Ok(()) | Err(Error::ConnectionClosed) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
        while let Some(Ok(_)) = self.socket.next().await {}
        Ok(())
    }
}
