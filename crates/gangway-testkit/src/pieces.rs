//! HTTP/2 to the frame: a client that says in which pieces a body goes out, and which of them ends it.

use std::io;

use bytes::Bytes;
use http::{Request, StatusCode};

use crate::client::Stream;

/// A connection on which requests go out one after the other.
pub struct Pieces {
    sender: h2::client::SendRequest<Bytes>,
    host: String,
}

impl Pieces {
    /// Over a stream on which HTTP/2 is spoken.
    pub async fn over(stream: Stream, host: &str) -> io::Result<Self> {
        let (sender, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender, host: host.to_owned() })
    }

    /// Sends a request whose body is these DATA frames, the last with END_STREAM, and no length beside it;
    /// the status and the body of the answer.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        frames: &[&'static str],
    ) -> io::Result<(StatusCode, String)> {
        let mut request = Request::builder().method(method).uri(format!("https://{}{path}", self.host));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).map_err(io::Error::other)?;
        let mut sender = self.sender.clone().ready().await.map_err(io::Error::other)?;
        let (answer, mut body) = sender.send_request(request, frames.is_empty()).map_err(io::Error::other)?;
        for (at, frame) in frames.iter().enumerate() {
            let is_last = at + 1 == frames.len();
            body.send_data(Bytes::from_static(frame.as_bytes()), is_last).map_err(io::Error::other)?;
        }
        let (head, mut body) = answer.await.map_err(io::Error::other)?.into_parts();
        let mut text = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.map_err(io::Error::other)?;
            let _ = body.flow_control().release_capacity(data.len());
            text.extend_from_slice(&data);
        }
        Ok((head.status, String::from_utf8_lossy(&text).into_owned()))
    }
}
