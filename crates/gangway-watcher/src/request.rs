//! Sends one request on one connection, and bounds the size of the answer.
//!
//! bollard uses this as its transport: on its own, bollard would wait for an answer without a limit, keep all of it in
//! memory, and not report when the engine begins to answer. Requests without bollard use it as well; see
//! [`client`](crate::client).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connect::{ConnectError, Connector, EngineConnection};

/// The number of bytes that may still be read from a connection.
#[derive(Clone, Debug)]
pub(crate) struct ReadBudget {
    left: Arc<AtomicUsize>,
    whole: usize,
}

impl ReadBudget {
    pub(crate) fn new(whole: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(whole)), whole }
    }

    /// Allows as much again as at first. To be called when the bytes read so far have been processed.
    pub(crate) fn renew(&self) {
        self.left.store(self.whole, Ordering::Relaxed);
    }

    /// Takes `len` bytes. Returns false if fewer are left.
    fn spend(&self, len: usize) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(len)).is_ok()
    }
}

/// Sends one request on a connection of its own and waits for the head of the answer.
///
/// `path` replaces that of the request; the rest of the answer is read through `budget`.
pub(crate) async fn send<B>(
    connector: &Connector,
    mut request: Request<B>,
    path: PathAndQuery,
    budget: ReadBudget,
) -> Result<Response<Incoming>, RequestError>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    *request.uri_mut() = Uri::from(path);
    // Some engines and most proxies require a Host field; none evaluates it.
    request.headers_mut().insert(HOST, HeaderValue::from_static("engine"));
    let connection = connector.connect().await?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(Metered { connection, budget })).await?;
    // The task ends by itself: when the answer has been read or is dropped, or the connection breaks.
    tokio::spawn(async move {
        let _ = driver.await;
    });
    Ok(sender.send_request(request).await?)
}

struct Metered {
    connection: EngineConnection,
    budget: ReadBudget,
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.connection).poll_read(cx, buffer))?;
        let within = self.budget.spend(buffer.filled().len() - before);
        Poll::Ready(if within { Ok(()) } else { Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large")) })
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

/// The request got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// Whether reading failed because the answer exceeds its [`ReadBudget`].
pub(crate) fn is_too_large(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .any(|error| error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::FileTooLarge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_once_and_can_be_renewed() {
        let budget = ReadBudget::new(10);
        assert!(budget.clone().spend(10));
        assert!(!budget.spend(1));
        budget.renew();
        assert!(budget.spend(9) && !budget.spend(2) && budget.spend(1));
    }
}
