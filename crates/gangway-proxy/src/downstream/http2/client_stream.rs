//! The client's end of one request over HTTP/2.

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::DATE;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use tokio::time::Instant;

use crate::downstream::body_rate::BodyRate;
use crate::downstream::http2::field_map::{header_map, push_trailers};
use crate::downstream::http2::send_budget::{SendBudget, SendPiece};
use crate::downstream::http2::watched_io::IoState;
use crate::http1::http_date::DateText;
use crate::limits::Limits;
use crate::message::body_length::BodyLength;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::message::trailer_fate::{BodySender, retain_passing};
use crate::reply::rejection::Rejection;
use crate::stream::body_bytes::BodyBytes;
use crate::stream::body_frame::BodyFrame;
use crate::stream::downstream::{Downstream, DownstreamError};
use crate::stream::read_width::ReadWidth;
use crate::timer::Timer;

/// Bytes of a piece: what a frame carries at most unless the client allows more, and what a TLS record carries.
const PIECE_MAX: usize = 16 * 1024;

/// Bytes of a body from which on no further frame is taken before they are sent on.
const AHEAD_MAX: usize = 64 * 1024;

/// The client's end of one request.
#[derive(Debug)]
pub(crate) struct ClientStream {
    id: u32,
    body: IncomingBody,
    response: OutgoingState,
    respond: SendResponse<SendPiece>,
    sent: u64,
    stalled_write: Duration,
    budget: Arc<SendBudget>,
    /// When the client has to have made room for waiting bytes.
    room_due: Timer,
}

#[derive(Debug)]
struct IncomingBody {
    id: u32,
    stream: RecvStream,
    state: IncomingState,
    /// Whether its bytes count for the account of the client.
    is_counted: bool,
    /// Bytes that were received and not consumed: those of the first frame, and those of further ones that were at hand.
    held: Bytes,
    behind: Vec<Bytes>,
    trailers: Option<Fields>,
    received: u64,
    rate: BodyRate,
    due: Timer,
    /// Whether the client waits for a 100, or any head, before it sends the body: until then it owes nothing.
    awaits_continue: bool,
    /// The task that waits for the body meanwhile.
    waiting: Option<Waker>,
    io: Arc<IoState>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum IncomingState {
    Data,
    Trailers,
    Ended,
}

#[derive(Debug)]
enum OutgoingState {
    /// No head was sent.
    Awaited,
    /// The head was sent, the body follows.
    Body {
        stream: SendStream<SendPiece>,
        /// The bytes that are still to come, if the last of them ends the stream.
        left: Option<u64>,
    },
    /// The response was given to the h2 library as a whole.
    Ended { stream: SendStream<SendPiece> },
}

/// What all streams of a connection share.
#[derive(Debug)]
pub(super) struct StreamParts<'c> {
    pub(super) limits: &'c Limits,
    pub(super) budget: &'c Arc<SendBudget>,
    pub(super) io: &'c Arc<IoState>,
}

impl ClientStream {
    /// The client's end of a request with this head.
    pub(super) fn new(
        parts: &StreamParts<'_>,
        head: &RequestHead,
        mut stream: RecvStream,
        respond: SendResponse<SendPiece>,
    ) -> Self {
        let id = respond.stream_id().as_u32();
        let state = if head.body == BodyLength::Empty { IncomingState::Ended } else { IncomingState::Data };
        if state == IncomingState::Data {
            parts.io.unread.begin(id, stream.flow_control().used_capacity());
        }
        let body = IncomingBody {
            id,
            stream,
            state,
            is_counted: state == IncomingState::Data,
            held: Bytes::new(),
            behind: Vec::new(),
            trailers: None,
            received: 0,
            rate: BodyRate::new(parts.limits),
            due: Timer::default(),
            awaits_continue: head.expects_continue,
            waiting: None,
            io: Arc::clone(parts.io),
        };
        Self {
            id,
            body,
            response: OutgoingState::Awaited,
            respond,
            sent: 0,
            stalled_write: parts.limits.stalled_write,
            budget: Arc::clone(parts.budget),
            room_due: Timer::default(),
        }
    }

    /// Whether the client was given the head of a response.
    pub(super) fn has_begun_response(&self) -> bool {
        !matches!(self.response, OutgoingState::Awaited)
    }

    /// Ends the stream after the request was served. A response that was not ended is cut, once the client was sent what
    /// came before.
    pub(super) async fn close(&mut self) {
        let stream = match &mut self.response {
            OutgoingState::Ended { .. } => return,
            OutgoingState::Awaited => return self.respond.send_reset(Reason::INTERNAL_ERROR),
            OutgoingState::Body { stream, .. } => stream,
        };
        // A reset drops what is before it in the queue; so it waits until the queue is empty.
        let marker = SendPiece::marker(self.budget.mark(self.id));
        if stream.send_data(marker, false).is_ok() {
            std::future::poll_fn(|cx| match self.budget.poll_written(self.id, cx) {
                Poll::Ready(()) => Poll::Ready(()),
                // A client that resets the stream itself is not waited for.
                Poll::Pending => stream.poll_reset(cx).map(|_| ()),
            })
            .await;
        }
        stream.send_reset(Reason::INTERNAL_ERROR);
    }

    /// Notes that the response was given to the h2 library as a whole.
    fn end(&mut self) {
        if let OutgoingState::Body { stream, .. } = std::mem::replace(&mut self.response, OutgoingState::Awaited) {
            self.response = OutgoingState::Ended { stream };
        }
    }

    /// Waits for room for `wanted` bytes in the windows of the client, and returns how many there are.
    fn poll_room(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<Result<usize, DownstreamError>> {
        let OutgoingState::Body { stream, .. } = &mut self.response else {
            return Poll::Ready(Err(DownstreamError::Gone));
        };
        if stream.capacity() < wanted {
            stream.reserve_capacity(wanted);
        }
        loop {
            let room = stream.capacity();
            if room > 0 {
                self.room_due.clear();
                return Poll::Ready(Ok(room.min(wanted)));
            }
            match stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(DownstreamError::Gone)),
                Poll::Pending => break,
            }
        }
        if self.room_due.due().is_none() {
            self.room_due.set(Instant::now() + self.stalled_write);
        }
        while self.room_due.poll_expired(cx).is_ready() {
            if !self.budget.has_pieces(self.id) {
                return Poll::Ready(Err(DownstreamError::Stalled));
            }
            // The window may be open: earlier bytes wait for the connection, which has a deadline of its own.
            self.room_due.set(Instant::now() + self.stalled_write);
        }
        Poll::Pending
    }
}

impl IncomingBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame<BodyBytes<'_>>, DownstreamError>> {
        self.poll_ahead(cx);
        while self.held.is_empty() {
            match self.state {
                IncomingState::Data => match self.stream.poll_data(cx) {
                    Poll::Ready(Some(Ok(bytes))) => {
                        self.held = self.noted(bytes);
                        self.poll_ahead(cx);
                    }
                    Poll::Ready(None) => self.state = IncomingState::Trailers,
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(DownstreamError::Gone)),
                    Poll::Pending => return self.poll_late(cx).map(Err),
                },
                IncomingState::Trailers => match self.stream.poll_trailers(cx) {
                    Poll::Ready(Ok(trailers)) => {
                        if let Some(trailers) = trailers {
                            self.end_with(&trailers)?;
                        }
                        self.state = IncomingState::Ended;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(DownstreamError::Gone)),
                    Poll::Pending => return self.poll_late(cx).map(Err),
                },
                IncomingState::Ended => return Poll::Ready(Ok(BodyFrame::End)),
            }
        }
        Poll::Ready(Ok(BodyFrame::Data(BodyBytes::new(&self.held, &self.behind))))
    }

    /// Takes further frames that are at hand. What ends the body comes again later.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) {
        if self.held.is_empty() {
            return;
        }
        let mut len = self.held.len() + self.behind.iter().map(Bytes::len).sum::<usize>();
        while len < AHEAD_MAX && self.behind.len() + 1 < BodyBytes::SLICES_MAX && self.state == IncomingState::Data {
            match self.stream.poll_data(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    len += bytes.len();
                    let bytes = self.noted(bytes);
                    // A frame without bytes is none for those that follow.
                    if !bytes.is_empty() {
                        self.behind.push(bytes);
                    }
                }
                Poll::Ready(None) => self.state = IncomingState::Trailers,
                Poll::Ready(Some(Err(_))) | Poll::Pending => break,
            }
        }
    }

    fn noted(&mut self, bytes: Bytes) -> Bytes {
        // A client that has begun waits for nothing.
        self.awaits_continue = false;
        self.rate.received(bytes.len());
        self.received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        bytes
    }

    fn end_with(&mut self, trailers: &HeaderMap) -> Result<(), DownstreamError> {
        if self.io.take_bad_trailers(self.id) {
            return Err(DownstreamError::Rejected(Rejection::bad("a trailer is a pseudo-field")));
        }
        let mut fields = Fields::default();
        push_trailers(trailers, &mut fields);
        retain_passing(&mut fields, BodySender::Client);
        self.trailers = Some(fields);
        Ok(())
    }

    /// Ready once the client has let us wait for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError> {
        if self.awaits_continue {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.due.set(self.rate.wait());
        ready!(self.due.poll_expired(cx));
        Poll::Ready(DownstreamError::Rejected(Rejection::slow_body(self.rate.rate())))
    }

    /// Notes that the client was sent a head, so that it owes the body from now on.
    fn begin_clock(&mut self) {
        self.awaits_continue = false;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    fn consume(&mut self, len: usize) {
        let mut left = len;
        let mut emptied = 0;
        while left > self.held.len()
            && let Some(next) = self.behind.get_mut(emptied)
        {
            left -= self.held.len();
            self.held = std::mem::take(next);
            emptied += 1;
        }
        self.held.advance(left);
        if self.held.is_empty()
            && let Some(next) = self.behind.get_mut(emptied)
        {
            self.held = std::mem::take(next);
            emptied += 1;
        }
        self.behind.drain(..emptied);
        // Fails only for bytes that were not received.
        let _ = self.stream.flow_control().release_capacity(len);
        self.io.unread.consumed(self.id, len);
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        if self.is_counted {
            self.io.unread.end(self.id);
        }
    }
}

/// The length of a response's body, if no trailers can follow it: they can where HTTP/2 carried it.
fn length_without_trailers(head: &ResponseHead) -> Option<u64> {
    match head.body {
        BodyLength::Sized(len) if head.version < Version::HTTP_2 => Some(len),
        BodyLength::Sized(_) | BodyLength::Framed | BodyLength::UntilClose | BodyLength::Empty => None,
    }
}

impl Downstream for ClientStream {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame<BodyBytes<'_>>, DownstreamError>> {
        self.body.poll_frame(cx)
    }

    fn consume(&mut self, len: usize) {
        self.body.consume(len);
    }

    fn request_trailers(&self) -> Option<&Fields> {
        self.body.trailers.as_ref()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError> {
        let reset = match &mut self.response {
            OutgoingState::Awaited => self.respond.poll_reset(cx),
            OutgoingState::Body { stream, .. } | OutgoingState::Ended { stream } => stream.poll_reset(cx),
        };
        reset.map(|_| DownstreamError::Gone)
    }

    fn may_have_gone(&self) -> bool {
        // A client that goes resets its streams, or its connection.
        false
    }

    fn send_informational(&mut self, head: &ResponseHead) -> Result<(), DownstreamError> {
        // There is no 101 in HTTP/2 (RFC 9113, section 8.6).
        if self.has_begun_response() || head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        *response.headers_mut() = header_map(&head.fields, 0);
        self.body.begin_clock();
        self.respond.send_informational(response).map_err(|_| DownstreamError::Gone)
    }

    fn start_response(&mut self, head: &ResponseHead) -> Result<(), DownstreamError> {
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        let mut fields = header_map(&head.fields, 1);
        if !head.fields.has(FieldKind::Date) {
            let date = DateText::at(Instant::now());
            if let Ok(date) = HeaderValue::from_bytes(date.as_bytes()) {
                fields.insert(DATE, date);
            }
        }
        *response.headers_mut() = fields;
        self.body.begin_clock();
        let is_empty = head.body == BodyLength::Empty;
        let stream = self.respond.send_response(response, is_empty).map_err(|_| DownstreamError::Gone)?;
        self.response = if is_empty {
            OutgoingState::Ended { stream }
        } else {
            OutgoingState::Body { stream, left: length_without_trailers(head) }
        };
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, DownstreamError>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.poll_room(data.len().min(PIECE_MAX), cx))?;
        let OutgoingState::Body { stream, left } = &mut self.response else {
            return Poll::Ready(Err(DownstreamError::Gone));
        };
        let Poll::Ready(hold) = self.budget.poll_take(self.id, room, cx) else {
            // Woken by a reset as well, and the connection keeps the deadline.
            return stream.poll_reset(cx).map(|_| Err(DownstreamError::Gone));
        };
        let len = u64::try_from(room).unwrap_or(u64::MAX);
        let is_last = left.as_mut().is_some_and(|left| {
            *left = left.saturating_sub(len);
            *left == 0
        });
        stream.send_data(SendPiece::new(&data[..room], hold), is_last).map_err(|_| DownstreamError::Gone)?;
        self.sent += len;
        if is_last {
            self.end();
        }
        Poll::Ready(Ok(room))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        // The connection was woken by each frame; it is polled after its streams and writes it.
        Poll::Ready(Ok(()))
    }

    fn read_width(&self) -> ReadWidth {
        // A stream may wait for its window for long, and a connection has many.
        ReadWidth::Narrow
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), DownstreamError>> {
        let OutgoingState::Body { stream, .. } = &mut self.response else {
            return Poll::Ready(match self.response {
                OutgoingState::Ended { .. } => Ok(()),
                OutgoingState::Awaited | OutgoingState::Body { .. } => Err(DownstreamError::Gone),
            });
        };
        let ended = match trailers.filter(|trailers| trailers.len() > 0) {
            Some(trailers) => stream.send_trailers(header_map(trailers, 0)),
            None => stream.send_data(SendPiece::end(), true),
        };
        if ended.is_err() {
            return Poll::Ready(Err(DownstreamError::Gone));
        }
        self.end();
        Poll::Ready(Ok(()))
    }

    fn cut(&mut self) {
        // `ClientStream::close` resets a stream that was not ended, as soon as what was sent before is written.
    }

    fn close_after_response(&mut self) {
        // Other streams of the connection go on; only GOAWAY ends it.
    }

    fn body_bytes_received(&self) -> u64 {
        self.body.received
    }

    fn body_bytes_sent(&self) -> u64 {
        self.sent
    }
}
