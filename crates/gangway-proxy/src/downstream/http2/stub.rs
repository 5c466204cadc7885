//! A stand-in for the exchange, which answers requests by their path.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::LocalKey;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::downstream::http2::client_stream::ClientStream;
use crate::downstream::http2::stream_loop::{ServeRequests, UnusedLoops};
use crate::exchange::state::Exchange;
use crate::limits::Limits;
use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::overload::address_account::AddressAccount;
use crate::overload::memory_budget::MemoryBudget;
use crate::reply::rejection::Rejection;
use crate::stream::body_frame::BodyFrame;
use crate::stream::downstream::{Downstream, DownstreamError};

thread_local! {
    static UNUSED_LOOPS: UnusedLoops<Stub> = const { RefCell::new(Vec::new()) };
}

/// Serves requests by their path, and notes how they ended.
#[derive(Clone)]
pub(super) struct Stub {
    pub(super) limits: Limits,
    pub(super) account: Arc<AddressAccount>,
    pub(super) begun: Arc<Notify>,
    pub(super) ends: Arc<Mutex<Vec<String>>>,
    /// As of a new connection.
    pub(super) is_idle: Arc<AtomicBool>,
}

impl ServeRequests for Stub {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn memory(&self) -> MemoryBudget {
        MemoryBudget::new(usize::MAX)
    }

    fn account(&self) -> Option<&Arc<AddressAccount>> {
        Some(&self.account)
    }

    fn begin_idle(&self) {
        self.is_idle.store(true, Ordering::Relaxed);
    }

    fn end_idle(&self) -> bool {
        self.is_idle.store(false, Ordering::Relaxed);
        true
    }

    #[expect(clippy::manual_async_fn, reason = "the trait asks for a future that is `Send`")]
    fn serve(&self, exchange: &mut Exchange, client: &mut ClientStream) -> impl Future<Output = ()> + Send {
        async move {
            // It would be closed under its request when memory runs short.
            assert!(!self.is_idle.load(Ordering::Relaxed), "a connection with a request counts as idle");
            self.begun.notify_one();
            let outcome = self.answer(&exchange.head.target, exchange.head.body, client).await;
            let end = match outcome {
                Ok(text) => format!("{} {text}", exchange.head.target),
                Err(DownstreamError::Rejected(rejection)) => {
                    let _ = respond(client, rejection.reason.status(), BodyLength::Empty, b"", None).await;
                    format!("{} {rejection}", exchange.head.target)
                }
                Err(error) => format!("{} {error:?}", exchange.head.target),
            };
            self.ends.lock().push(end);
        }
    }

    #[expect(clippy::manual_async_fn, reason = "the trait asks for a future that is `Send`")]
    fn reject(
        &self,
        exchange: &mut Exchange,
        client: &mut ClientStream,
        rejection: Rejection,
    ) -> impl Future<Output = ()> + Send {
        async move {
            let _ = respond(client, rejection.reason.status(), BodyLength::Empty, b"", None).await;
            self.ends.lock().push(format!("{} {rejection}", exchange.head.target));
        }
    }

    fn unused_loops() -> &'static LocalKey<UnusedLoops<Self>> {
        &UNUSED_LOOPS
    }
}

impl Stub {
    async fn answer(
        &self,
        target: &str,
        body: BodyLength,
        client: &mut ClientStream,
    ) -> Result<String, DownstreamError> {
        let (path, number) = target.rsplit_once('/').unwrap_or((target, ""));
        let len: u64 = number.parse().unwrap_or(0);
        match path {
            "/sized" => respond(client, 200, BodyLength::Sized(len), &vec![b'x'; len as usize], None).await?,
            "/framed" => respond(client, 200, BodyLength::Framed, &vec![b'x'; len as usize], None).await?,
            "/upload" => {
                let received = upload(client).await?;
                let trailers = client.request_trailers().map_or(0, Fields::len);
                respond(client, 200, BodyLength::Empty, b"", None).await?;
                return Ok(format!("{body:?} {received} {trailers}"));
            }
            "/slices" => {
                // Until then, all of it has come.
                tokio::time::sleep(Duration::from_secs(1)).await;
                let mut read = Vec::new();
                let mut counts = Vec::new();
                loop {
                    let taken = poll_fn(|cx| match client.poll_body(cx) {
                        Poll::Ready(Ok(BodyFrame::Data(data))) => {
                            counts.push(data.slices().count());
                            let taken = data.up_to(usize::try_from(len).unwrap_or(usize::MAX));
                            taken.slices().for_each(|slice| read.extend_from_slice(slice));
                            Poll::Ready(Ok(taken.len()))
                        }
                        Poll::Ready(Ok(BodyFrame::End)) => Poll::Ready(Ok(0)),
                        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                        Poll::Pending => Poll::Pending,
                    })
                    .await?;
                    if taken == 0 {
                        break;
                    }
                    client.consume(taken);
                }
                let is_in_order = read.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251);
                return Ok(format!("{} {is_in_order} {counts:?}", read.len()));
            }
            "/trailers" => {
                let mut trailers = Fields::default();
                trailers.push(b"Grpc-Status", b"0");
                respond(client, 200, BodyLength::Framed, b"x", Some(&trailers)).await?;
            }
            "/cut" => {
                start(client, 200, BodyLength::Framed)?;
                send(client, &vec![b'x'; len as usize]).await?;
                client.cut();
            }
            "/early" => respond(client, 413, BodyLength::Sized(4), b"full", None).await?,
            "/hint" => {
                for status in [103, 101, 100] {
                    client.send_informational(&head(status, BodyLength::Empty))?;
                }
                respond(client, 200, BodyLength::Empty, b"", None).await?;
            }
            "/later" => {
                let gone = tokio::time::timeout(Duration::from_secs(len), poll_fn(|cx| client.poll_gone(cx))).await;
                if let Ok(error) = gone {
                    return Err(error);
                }
                client.send_informational(&head(100, BodyLength::Empty))?;
                return Ok(upload(client).await?.to_string());
            }
            "/delayed" => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                respond(client, 200, BodyLength::Sized(len), &vec![b'x'; len as usize], None).await?;
            }
            "/hang" => return Err(poll_fn(|cx| client.poll_gone(cx)).await),
            "/panic" => panic!("on purpose"),
            "/late-panic" => {
                start(client, 200, BodyLength::Framed)?;
                panic!("on purpose, later");
            }
            _ => respond(client, 404, BodyLength::Empty, b"", None).await?,
        }
        Ok("served".to_owned())
    }
}

fn head(status: u16, body: BodyLength) -> ResponseHead {
    let mut head = ResponseHead { body, ..ResponseHead::default() };
    head.status = StatusCode::from_u16(status).expect("a status");
    head.fields.push(b"X-Mixed-Case", b"y");
    head.fields.push(b"Connection", b"keep-alive");
    if let BodyLength::Sized(len) = body {
        head.fields.push(b"Content-Length", len.to_string().as_bytes());
    }
    head
}

fn start(client: &mut ClientStream, status: u16, body: BodyLength) -> Result<(), DownstreamError> {
    client.start_response(&head(status, body))
}

async fn send(client: &mut ClientStream, mut data: &[u8]) -> Result<(), DownstreamError> {
    while !data.is_empty() {
        let taken = poll_fn(|cx| client.poll_send(cx, data)).await?;
        data = &data[taken..];
    }
    Ok(())
}

async fn respond(
    client: &mut ClientStream,
    status: u16,
    body: BodyLength,
    data: &[u8],
    trailers: Option<&Fields>,
) -> Result<(), DownstreamError> {
    start(client, status, body)?;
    send(client, data).await?;
    poll_fn(|cx| client.poll_finish(cx, trailers)).await
}

async fn upload(client: &mut ClientStream) -> Result<u64, DownstreamError> {
    loop {
        let len = poll_fn(|cx| match client.poll_body(cx) {
            Poll::Ready(Ok(BodyFrame::Data(data))) => Poll::Ready(Ok(data.len())),
            Poll::Ready(Ok(BodyFrame::End)) => Poll::Ready(Ok(0)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        if len == 0 {
            return Ok(client.body_bytes_received());
        }
        client.consume(len);
    }
}
