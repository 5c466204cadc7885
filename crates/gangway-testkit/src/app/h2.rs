//! HTTP/2 without TLS or with it, on the `h2` library: it lets trailers and resets through as they are.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::exchange::{Asked, Exchange};
use super::{App, Ends, routes};

/// As much as a fast peer may have under way, so that the application is never what slows a test.
const WINDOW: u32 = 4 * 1024 * 1024;

pub(super) async fn serve<S>(stream: S, ends: Ends, app: Arc<App>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = h2::server::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(io::Error::other)?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request.map_err(io::Error::other)?;
        let (app, Ends { peer, local }) = (Arc::clone(&app), ends.clone());
        tokio::spawn(async move {
            let (parts, body) = request.into_parts();
            let mut asked = Asked {
                method: parts.method.to_string(),
                target: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
                version: "HTTP/2".into(),
                headers: Vec::new(),
                peer,
                local,
            };
            if let Some(authority) = parts.uri.authority() {
                asked.headers.push((":authority".into(), authority.to_string()));
            }
            for (name, value) in &parts.headers {
                asked.headers.push((name.to_string(), super::body::latin1(value.as_bytes())));
            }
            let mut exchange =
                Exchange::H2(H2 { request: body, respond, stream: None, bodiless: parts.method == http::Method::HEAD });
            // An answer that fails was reset by the peer or cut on request; the connection goes on.
            let _ = routes::answer(&asked, &mut exchange, &app).await;
        });
    }
    Ok(())
}

/// The answer's side of one HTTP/2 stream.
pub(super) struct H2 {
    request: RecvStream,
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    bodiless: bool,
}

impl H2 {
    pub(super) async fn body(&mut self) -> io::Result<Option<Bytes>> {
        let Some(part) = self.request.data().await else { return Ok(None) };
        let part = part.map_err(io::Error::other)?;
        self.request.flow_control().release_capacity(part.len()).map_err(io::Error::other)?;
        Ok(Some(part))
    }

    pub(super) fn hint(&mut self, status: u16, headers: &[(&str, &str)]) -> io::Result<()> {
        self.respond.send_informational(response(status, headers, None)?).map_err(io::Error::other)
    }

    pub(super) fn head(&mut self, status: u16, headers: &[(&str, &str)], length: Option<u64>) -> io::Result<()> {
        let response = response(status, headers, length)?;
        self.stream = Some(self.respond.send_response(response, false).map_err(io::Error::other)?);
        Ok(())
    }

    pub(super) async fn send(&mut self, part: &[u8]) -> io::Result<()> {
        let Some(stream) = self.stream.as_mut().filter(|_| !self.bodiless) else { return Ok(()) };
        let mut left = Bytes::copy_from_slice(part);
        while !left.is_empty() {
            stream.reserve_capacity(left.len());
            let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
            let room = room.ok_or(io::ErrorKind::BrokenPipe)?.map_err(io::Error::other)?;
            let next = left.split_to(room.min(left.len()));
            stream.send_data(next, false).map_err(io::Error::other)?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, trailers: &[(&str, &str)]) -> io::Result<()> {
        let Some(stream) = self.stream.as_mut() else { return Ok(()) };
        if trailers.is_empty() {
            return stream.send_data(Bytes::new(), true).map_err(io::Error::other);
        }
        let mut map = http::HeaderMap::new();
        for (name, value) in trailers {
            map.append(
                http::HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?,
                http::HeaderValue::from_str(value).map_err(io::Error::other)?,
            );
        }
        stream.send_trailers(map).map_err(io::Error::other)
    }

    pub(super) fn reset(&mut self) {
        match self.stream.as_mut() {
            Some(stream) => stream.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

fn response(status: u16, headers: &[(&str, &str)], length: Option<u64>) -> io::Result<http::Response<()>> {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    if let Some(length) = length {
        response = response.header("content-length", length);
    }
    response.body(()).map_err(io::Error::other)
}

/// A stream whose first bytes were read already.
#[derive(Debug)]
pub(crate) struct Replay<S> {
    first: Bytes,
    stream: S,
}

impl<S> Replay<S> {
    /// `first` is read before what `stream` brings.
    pub(crate) fn new(first: Bytes, stream: S) -> Self {
        Self { first, stream }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replay<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let len = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first.split_to(len));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replay<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
