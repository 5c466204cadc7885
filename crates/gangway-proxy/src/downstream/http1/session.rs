//! One client connection over HTTP/1.
//!
//! One request is under way at a time. Bytes that a client sends ahead stay in the read buffer, and while some are
//! there nothing more is read: the rest stays with the client. The connection has one timer; whichever side waits
//! sets it.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::downstream::body_rate::BodyRate;
use crate::downstream::byte_stream::ByteStream;
use crate::downstream::http1::body_reader::{BodyReader, NextPiece};
use crate::downstream::http1::input::ClientInput;
use crate::downstream::http1::output::{ClientOutput, ClientOutputError};
use crate::downstream::linger::linger;
use crate::downstream::listener_profile::Leaving;
use crate::downstream::websocket::WebSocketTunnel;
use crate::http1::encoder::{CHUNK_END, ResponseFraming, write_chunk_size, write_last_chunk, write_response_head};
use crate::http1::http_date::DateText;
use crate::http1::request_parser::{HeadBounds, RequestParser};
use crate::lifecycle::{PhaseWait, Phases};
use crate::limits::Limits;
use crate::message::body_length::BodyLength;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::{RequestHead, Upgrade};
use crate::message::response_head::ResponseHead;
use crate::overload::memory_budget::{MemoryBudget, MemoryLease};
use crate::reply::reason::Reason;
use crate::reply::rejection::Rejection;
use crate::stream::body_bytes::BodyBytes;
use crate::stream::body_frame::BodyFrame;
use crate::stream::downstream::{Downstream, DownstreamError};
use crate::stream::last_read::LastRead;
use crate::stream::read_width::ReadWidth;
use crate::timer::{Timer, within};

/// Bytes of a request's body that are read and dropped after its response, so that the connection can go on. For more
/// it is cheaper to connect again.
const DRAINED_MAX: u64 = 64 * 1024;

/// How often it is checked whether a client that has ended its sending side is still there.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How long after its beginning a connection goes without being told that its client has gone, while its first request
/// waits for an answer. Most answers come sooner, and then the runtime need not be told of the socket.
const UNREGISTERED_MAX: Duration = Duration::from_millis(50);

/// A client connection over HTTP/1. It is the client's end of one request after the other.
pub(crate) struct Http1Session<T> {
    io: T,
    limits: Limits,
    leaving: Leaving,
    phases: Phases,
    timer: Timer,
    parser: RequestParser,
    input: ClientInput,
    last_read: LastRead,
    memory: MemoryBudget,
    /// The memory of a head that is not whole yet.
    head_memory: Option<MemoryLease>,
    output: ClientOutput,
    /// When the connection was opened.
    opened: Instant,
    has_seen_request: bool,
    /// Since when a request, or the rest of its head, is waited for.
    waiting_since: Option<(AwaitedHead, Instant)>,
    /// Set once the client has ended its sending side: when its presence is checked next.
    probe_due: Option<Instant>,
    request: RequestState,
    body: BodyReader,
    rate: BodyRate,
    response: ResponseStep,
    /// Bytes of the bodies.
    received: u64,
    sent: u64,
    /// Why the client's end is of no further use.
    failure: Option<DownstreamError>,
    ending: ConnectionEnding,
}

/// A request that is read.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum NextRequest {
    /// The head is whole.
    Whole,
    /// The request is to be rejected, and the connection ends after that.
    Rejected(Rejection),
    /// There is none, and the connection is over.
    Gone,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AwaitedHead {
    Next,
    Rest,
}

/// What matters of a request's head for its response.
#[derive(Debug)]
struct RequestState {
    version: Version,
    is_head: bool,
    upgrade: Option<Upgrade>,
    /// Whether the client holds its body back until it gets a head.
    awaits_continue: bool,
    /// Whether another request may follow on the connection, as far as this one tells.
    keep_alive: bool,
    /// Whether the client has said that it is its last one.
    is_last: bool,
}

/// How far the response has got.
enum ResponseStep {
    NotBegun,
    /// There is no body. Bytes of it are dropped.
    Bodiless,
    /// This many bytes are missing.
    Sized(u64),
    /// This many bytes are missing in the chunk that was announced last.
    Chunked(usize),
    UntilClose,
    /// The protocol was switched.
    Switched(Option<Box<WebSocketTunnel>>),
    Ended,
}

/// How the connection goes on after the response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ConnectionEnding {
    /// Another request may follow.
    GoesOn,
    /// The connection ends, and both sides know that all was said.
    Closes,
    /// The connection ends so that the response looks cut.
    IsCut,
}

impl<T: ByteStream> Http1Session<T> {
    pub(crate) fn new(io: T, limits: &Limits, memory: MemoryBudget, leaving: Leaving, phases: Phases) -> Self {
        let bounds = HeadBounds { bytes: limits.head_bytes, fields: limits.head_fields, target: limits.target_bytes };
        Self {
            io,
            limits: limits.clone(),
            leaving,
            phases,
            timer: Timer::default(),
            parser: RequestParser::new(bounds),
            input: ClientInput::default(),
            last_read: LastRead::Full,
            memory,
            head_memory: None,
            output: ClientOutput::new(limits.stalled_write),
            opened: Instant::now(),
            has_seen_request: false,
            waiting_since: None,
            probe_due: None,
            request: RequestState {
                version: Version::HTTP_11,
                is_head: false,
                upgrade: None,
                awaits_continue: false,
                keep_alive: true,
                is_last: false,
            },
            body: BodyReader::new(),
            rate: BodyRate::new(limits),
            response: ResponseStep::NotBegun,
            received: 0,
            sent: 0,
            failure: None,
            ending: ConnectionEnding::GoesOn,
        }
    }

    /// Uses a timer that another connection has used: making one costs more than moving it.
    pub(crate) fn use_timer(&mut self, timer: Timer) {
        self.timer = timer;
        self.timer.clear();
    }

    /// Ends the session, but for its timer.
    pub(crate) fn into_timer(self) -> Timer {
        self.timer
    }

    /// Whether another request can follow, now that the response to the last one was given.
    pub(crate) fn goes_on(&mut self) -> bool {
        if !matches!(self.response, ResponseStep::Ended) {
            // Nobody may take this for a whole response.
            self.cut();
        }
        self.ending == ConnectionEnding::GoesOn && self.failure.is_none()
    }

    /// The next request is waited for since then.
    pub(crate) fn begin_idle(&mut self, since: Instant) {
        self.waiting_since = Some((AwaitedHead::Next, since));
    }

    /// Ends the connection, so that the client gets all that was sent.
    pub(crate) async fn close(&mut self) {
        if self.failure.is_some_and(|failure| !matches!(failure, DownstreamError::Rejected(_))) {
            return;
        }
        let is_flushed = poll_fn(|cx| self.output.poll_flush(&mut self.io, &mut self.timer, cx)).await.is_ok();
        if !is_flushed || self.ending == ConnectionEnding::IsCut {
            return;
        }
        let is_client_sending = self.is_client_sending().await;
        self.input = ClientInput::default();
        if is_client_sending {
            // Closing with unread bytes would reset the connection, and the client would lose the response.
            linger(&mut self.io).await;
        } else {
            let closed = poll_fn(|cx| self.io.poll_close(cx));
            let _ = within(self.limits.stalled_write, closed).await;
        }
    }

    async fn is_client_sending(&mut self) -> bool {
        if !self.body.has_ended() || !self.input.is_empty() {
            return self.probe_due.is_none();
        }
        if !self.io.is_registered() {
            // A client that has said that it sends nothing more is believed: asking costs a system call.
            return !self.request.is_last && self.io.has_unread();
        }
        poll_fn(|cx| Poll::Ready(matches!(self.poll_fill(cx), Poll::Ready(Ok(1..))))).await
    }

    /// Reads the head of the next request. Gives none once connections are `closing`, unless something of it has come.
    ///
    /// Closing the connection would lose a request that has come. The runtime hears of it only when its thread has time,
    /// and clocks and phases may be ahead of that; so the socket is asked.
    pub(crate) async fn next_request<F: Future<Output = ()> + Unpin>(
        &mut self,
        head: &mut RequestHead,
        closing: &mut PhaseWait<F>,
    ) -> NextRequest {
        poll_fn(|cx| match self.poll_request(cx, head) {
            Poll::Pending if closing.poll(cx).is_ready() && !self.has_request_come() => Poll::Ready(NextRequest::Gone),
            next => next,
        })
        .await
    }

    fn has_request_come(&self) -> bool {
        !self.parser.is_between_requests(self.input.bytes()) || self.io.has_unread()
    }

    fn poll_request(&mut self, cx: &mut Context<'_>, head: &mut RequestHead) -> Poll<NextRequest> {
        while !self.body.has_ended() {
            match ready!(self.poll_body(cx)) {
                Ok(BodyFrame::Data(data)) => {
                    let len = data.len();
                    self.take_data(len);
                }
                Ok(BodyFrame::End) => {}
                Err(_) => return Poll::Ready(NextRequest::Gone),
            }
        }
        loop {
            if !self.input.is_empty() {
                match self.parser.parse(self.input.bytes(), head) {
                    Ok(Some(len)) => {
                        self.input.consume(len);
                        self.parser.reset();
                        self.begin(head);
                        return Poll::Ready(NextRequest::Whole);
                    }
                    Ok(None) => {
                        if let Err(rejection) = self.hold_head() {
                            return Poll::Ready(self.refuse(head, rejection));
                        }
                    }
                    Err(rejection) => return Poll::Ready(self.refuse(head, rejection)),
                }
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(NextRequest::Gone),
                Poll::Pending => return self.poll_head_time(cx, head),
            }
        }
    }

    /// Takes the memory of a head that is not whole yet. Refused where there is none left: many clients that send heads at
    /// once would be more than the next measurement could find.
    fn hold_head(&mut self) -> Result<(), Rejection> {
        if self.memory.is_used_up() {
            return Err(Rejection::new(Reason::Overloaded, "the memory of Gangway is nearly used up"));
        }
        let held = self.input.memory();
        if self.head_memory.as_ref().is_none_or(|lease| lease.bytes() != held) {
            self.head_memory = Some(self.memory.lease(held));
        }
        Ok(())
    }

    /// Ends the wait for a head once its time is over.
    fn poll_head_time(&mut self, cx: &mut Context<'_>, head: &mut RequestHead) -> Poll<NextRequest> {
        let is_begun = !self.parser.is_between_requests(self.input.bytes());
        let due = if self.has_seen_request {
            let (awaited, time) = match is_begun {
                true => (AwaitedHead::Rest, self.limits.head_time),
                false => (AwaitedHead::Next, self.limits.idle),
            };
            let since = match self.waiting_since {
                Some((same, since)) if same == awaited => since,
                Some(_) | None => Instant::now(),
            };
            self.waiting_since = Some((awaited, since));
            since + time
        } else {
            // The time of the first head runs from the start of the connection.
            self.opened + self.limits.head_time
        };
        self.timer.set(due);
        ready!(self.timer.poll_expired(cx));
        if is_begun {
            return Poll::Ready(self.refuse(head, Rejection::slow_head(self.limits.head_time)));
        }
        match self.io.has_unread() {
            // The runtime is about to wake the task for it.
            true => Poll::Pending,
            false => Poll::Ready(NextRequest::Gone),
        }
    }

    fn begin(&mut self, head: &RequestHead) {
        self.has_seen_request = true;
        self.head_memory = None;
        self.waiting_since = None;
        self.request = RequestState {
            version: head.version,
            is_head: head.method == Method::HEAD,
            upgrade: head.upgrade,
            // A client whose body has begun to come together with the head waits for nothing, and owes the rest.
            awaits_continue: head.expects_continue && self.input.is_empty(),
            keep_alive: head.keep_alive,
            is_last: !head.keep_alive,
        };
        self.body.begin(head.body);
        if head.body != BodyLength::Empty {
            self.rate = BodyRate::new(&self.limits);
        }
        self.response = ResponseStep::NotBegun;
        self.received = 0;
        self.sent = 0;
    }

    /// The request is answered as far as it was read, and nothing more is read of it.
    fn refuse(&mut self, head: &mut RequestHead, rejection: Rejection) -> NextRequest {
        head.keep_alive = false;
        head.expects_continue = false;
        head.upgrade = None;
        head.body = BodyLength::Empty;
        self.begin(head);
        // Whatever follows, it is no body that could be asked for.
        self.request.is_last = false;
        self.ending = ConnectionEnding::Closes;
        NextRequest::Rejected(rejection)
    }

    fn fail(&mut self, error: DownstreamError) -> DownstreamError {
        match error {
            DownstreamError::Rejected(_) => self.close_after_response(),
            DownstreamError::Gone => self.ending = ConnectionEnding::IsCut,
            DownstreamError::Stalled => {
                self.ending = ConnectionEnding::IsCut;
                // The system would otherwise keep what the client does not take.
                self.io.reset_when_dropped();
            }
        }
        *self.failure.insert(error)
    }

    /// The failure after which the client cannot be sent anything.
    fn broken(&self) -> Option<DownstreamError> {
        self.failure.filter(|failure| !matches!(failure, DownstreamError::Rejected(_)))
    }

    /// Waits until the input begins with data of the body, and returns its length.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<NextPiece, DownstreamError>> {
        if let Some(failure) = self.failure {
            return Poll::Ready(Err(failure));
        }
        loop {
            match self.body.next(&mut self.input) {
                Ok(NextPiece::Missing) => {}
                Ok(next) => return Poll::Ready(Ok(next)),
                Err(detail) => return Poll::Ready(Err(self.fail(DownstreamError::Rejected(Rejection::bad(detail))))),
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(len @ 1..)) => {
                    self.request.awaits_continue = false;
                    if !self.body.is_raw() {
                        self.rate.received(len);
                    }
                }
                Poll::Ready(Ok(0)) if self.body.end_of_stream() => return Poll::Ready(Ok(NextPiece::End)),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(self.fail(DownstreamError::Gone))),
                Poll::Pending => {
                    // A client that waits for our 100 owes nothing yet, and another protocol has its own times.
                    if self.request.awaits_continue || self.body.is_raw() {
                        return Poll::Pending;
                    }
                    self.timer.set(self.rate.wait());
                    ready!(self.timer.poll_expired(cx));
                    let slow = Rejection::slow_body(self.rate.rate());
                    return Poll::Ready(Err(self.fail(DownstreamError::Rejected(slow))));
                }
            }
        }
    }

    /// Reads more. A connection on which nothing has come is not asked again: each message of the endpoint polls it too.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let has_news = match self.last_read {
            LastRead::Full => true,
            LastRead::Short => self.io.poll_readable(cx).is_ready(),
            LastRead::Nothing if self.io.has_news() => true,
            LastRead::Nothing => return Poll::Pending,
        };
        let outcome = if has_news { self.input.poll_fill(&mut self.io, cx) } else { Poll::Pending };
        self.last_read = match outcome {
            Poll::Pending => {
                self.input.shrink();
                LastRead::Nothing
            }
            Poll::Ready(_) if self.input.is_full() => LastRead::Full,
            Poll::Ready(_) => LastRead::Short,
        };
        outcome
    }

    fn take_data(&mut self, len: usize) {
        match self.body.is_raw() {
            // It is read on at once, until nothing is there.
            true => self.input.consume_and_keep(len),
            false => self.input.consume(len),
        }
        self.body.consumed(len);
    }

    /// Looks now and then whether a client that has ended its sending side is still there.
    fn poll_presence(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError> {
        let due = match self.probe_due {
            Some(due) => due,
            None => {
                self.io.probe();
                Instant::now() + PROBE_INTERVAL
            }
        };
        self.probe_due = Some(due);
        loop {
            let due = self.probe_due.expect("set above");
            self.timer.set(due);
            ready!(self.timer.poll_expired(cx));
            if self.io.is_broken() {
                return Poll::Ready(self.fail(DownstreamError::Gone));
            }
            self.probe_due = Some(Instant::now() + PROBE_INTERVAL);
        }
    }

    /// Whether the connection can carry another request after the response that begins now.
    fn can_go_on(&self) -> bool {
        // What the client still sends is read first. A client that waits for a 100 may send its body or not.
        let is_body_short = self.body.left().is_some_and(|left| left <= DRAINED_MAX);
        let is_body_certain = self.body.has_ended() || (is_body_short && !self.request.awaits_continue);
        self.request.keep_alive && is_body_certain && self.ending == ConnectionEnding::GoesOn && !self.leaving.is_due()
    }

    /// Begins a response with a body, or without one.
    fn begin_response(&mut self, head: &ResponseHead) {
        // Most applications send one, and the clock has its price.
        let date = (!head.fields.has(FieldKind::Date)).then(|| DateText::at(Instant::now()));
        let RequestState { version, is_head, .. } = self.request;
        let framing = ResponseFraming::new(version, is_head, head.body, self.can_go_on(), date);
        write_response_head(head, &framing, self.output.buffer());
        if !framing.keep_alive {
            self.close_after_response();
        }
        let is_bodiless = is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        self.response = match if is_bodiless { BodyLength::Empty } else { head.body } {
            BodyLength::Empty => ResponseStep::Bodiless,
            BodyLength::Sized(len) => ResponseStep::Sized(len),
            BodyLength::Framed | BodyLength::UntilClose if framing.chunked => ResponseStep::Chunked(0),
            BodyLength::Framed | BodyLength::UntilClose => ResponseStep::UntilClose,
        };
    }

    fn switch_protocols(&mut self, head: &ResponseHead) {
        let RequestState { version, is_head, .. } = self.request;
        let framing = ResponseFraming::new(version, is_head, BodyLength::Empty, false, None);
        write_response_head(head, &framing, self.output.buffer());
        self.close_after_response();
        self.body.switch_protocols();
        let is_websocket = self.request.upgrade == Some(Upgrade::WebSocket);
        let tunnel = is_websocket.then(|| Box::new(WebSocketTunnel::new(self.phases.clone())));
        self.response = ResponseStep::Switched(tunnel);
    }

    /// Sends the close frame of a WebSocket if it is due.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) {
        let ResponseStep::Switched(Some(tunnel)) = &mut self.response else { return };
        while let Some(bytes) = tunnel.poll_goodbye(cx) {
            self.output.buffer().extend_from_slice(bytes);
            tunnel.goodbye_taken(bytes.len());
        }
        if tunnel.is_deaf() {
            // If this is pending, the task is woken and comes here again.
            let _ = self.output.poll_flush(&mut self.io, &mut self.timer, cx);
        }
    }

    /// Sends a part of `data`, which needs no framing any more.
    fn poll_put(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, DownstreamError>> {
        match ready!(self.output.poll_send(&mut self.io, &mut self.timer, cx, data)) {
            Ok(len) => Poll::Ready(Ok(len)),
            Err(error) => Poll::Ready(Err(self.fail(failure(error)))),
        }
    }

    fn poll_put_chunked(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        mut left: usize,
    ) -> Poll<Result<usize, DownstreamError>> {
        if left == 0 {
            left = data.len();
            write_chunk_size(left, self.output.buffer());
            // Announced, whether or not the client takes any of it now.
            self.response = ResponseStep::Chunked(left);
        }
        let taken = ready!(self.poll_put(cx, &data[..left.min(data.len())]))?;
        left -= taken;
        if left == 0 {
            self.output.buffer().extend_from_slice(CHUNK_END);
        }
        self.response = ResponseStep::Chunked(left);
        Poll::Ready(Ok(taken))
    }

    fn poll_put_frames(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, DownstreamError>> {
        self.poll_goodbye(cx);
        let mut allowed = data.len();
        if let ResponseStep::Switched(Some(tunnel)) = &self.response {
            if tunnel.is_deaf() {
                return Poll::Ready(Ok(data.len()));
            }
            allowed = tunnel.allowed(data);
        }
        // A read brings all that is there, so nothing follows a message soon.
        let taken = match ready!(self.output.poll_send_at_once(&mut self.io, &mut self.timer, cx, &data[..allowed])) {
            Ok(taken) => taken,
            Err(error) => return Poll::Ready(Err(self.fail(failure(error)))),
        };
        // A close frame that is due by now follows with the next bytes, or when these are flushed.
        if let ResponseStep::Switched(Some(tunnel)) = &mut self.response {
            tunnel.written(&data[..taken]);
        }
        Poll::Ready(Ok(taken))
    }
}

fn failure(error: ClientOutputError) -> DownstreamError {
    match error {
        ClientOutputError::Broken => DownstreamError::Gone,
        ClientOutputError::Stalled => DownstreamError::Stalled,
    }
}

impl<T: ByteStream> Downstream for Http1Session<T> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame<BodyBytes<'_>>, DownstreamError>> {
        match ready!(self.poll_piece(cx))? {
            NextPiece::Data(len) => Poll::Ready(Ok(BodyFrame::Data(self.input.bytes()[..len].into()))),
            NextPiece::Missing => Poll::Pending,
            NextPiece::End => Poll::Ready(Ok(BodyFrame::End)),
        }
    }

    fn consume(&mut self, len: usize) {
        self.take_data(len);
        self.received += len as u64;
    }

    fn request_trailers(&self) -> Option<&Fields> {
        self.body.trailers()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError> {
        if let Some(failure) = self.broken() {
            return Poll::Ready(failure);
        }
        self.rate.pause();
        if self.probe_due.is_some() {
            return self.poll_presence(cx);
        }
        if !self.input.is_empty() {
            return Poll::Pending;
        }
        if !self.io.is_registered() {
            self.timer.set(self.opened + UNREGISTERED_MAX);
            ready!(self.timer.poll_expired(cx));
        }
        match ready!(self.poll_fill(cx)) {
            Ok(0) if self.body.has_ended() => self.poll_presence(cx),
            Ok(0) | Err(_) => Poll::Ready(self.fail(DownstreamError::Gone)),
            Ok(_) => {
                self.request.awaits_continue &= self.body.has_ended();
                Poll::Pending
            }
        }
    }

    fn may_have_gone(&self) -> bool {
        self.probe_due.is_some()
    }

    fn send_informational(&mut self, head: &ResponseHead) -> Result<(), DownstreamError> {
        if let Some(failure) = self.broken() {
            return Err(failure);
        }
        self.request.awaits_continue &= head.status != StatusCode::CONTINUE;
        // Such a response is no more than a hint. A client that takes none of them gets no more of them.
        if self.request.version != Version::HTTP_10 && !self.output.is_full() {
            let framing = ResponseFraming::new(self.request.version, false, BodyLength::Empty, true, None);
            write_response_head(head, &framing, self.output.buffer());
        }
        Ok(())
    }

    fn start_response(&mut self, head: &ResponseHead) -> Result<(), DownstreamError> {
        if let Some(failure) = self.broken() {
            return Err(failure);
        }
        debug_assert!(matches!(self.response, ResponseStep::NotBegun), "a request has one response");
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.switch_protocols(head);
        } else {
            self.begin_response(head);
        }
        // Who has an answer waits no longer.
        self.request.awaits_continue = false;
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, DownstreamError>> {
        if let Some(failure) = self.broken() {
            return Poll::Ready(Err(failure));
        }
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let taken = match &self.response {
            ResponseStep::Sized(left @ 1..) => {
                let left = *left;
                let allowed = usize::try_from(left).map_or(data.len(), |left| left.min(data.len()));
                let taken = ready!(self.poll_put(cx, &data[..allowed]))?;
                self.response = ResponseStep::Sized(left - taken as u64);
                taken
            }
            ResponseStep::Chunked(left) => {
                let left = *left;
                ready!(self.poll_put_chunked(cx, data, left))?
            }
            ResponseStep::UntilClose => ready!(self.poll_put(cx, data))?,
            ResponseStep::Switched(_) => ready!(self.poll_put_frames(cx, data))?,
            // What does not belong to the response must not be taken for the next one.
            ResponseStep::NotBegun | ResponseStep::Bodiless | ResponseStep::Sized(0) | ResponseStep::Ended => {
                return Poll::Ready(Ok(data.len()));
            }
        };
        self.sent += taken as u64;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>> {
        if let Some(failure) = self.broken() {
            return Poll::Ready(Err(failure));
        }
        self.poll_goodbye(cx);
        match ready!(self.output.poll_flush(&mut self.io, &mut self.timer, cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(self.fail(failure(error)))),
        }
    }

    fn read_width(&self) -> ReadWidth {
        match self.io.is_behind() {
            true => ReadWidth::Narrow,
            false => ReadWidth::Wide,
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), DownstreamError>> {
        match &self.response {
            ResponseStep::Bodiless | ResponseStep::Sized(0) | ResponseStep::UntilClose | ResponseStep::Switched(_) => {
                self.response = ResponseStep::Ended;
            }
            ResponseStep::Chunked(0) => {
                write_last_chunk(trailers, self.output.buffer());
                self.response = ResponseStep::Ended;
            }
            // Less came than was announced.
            ResponseStep::NotBegun | ResponseStep::Sized(_) | ResponseStep::Chunked(_) => self.cut(),
            ResponseStep::Ended => {}
        }
        self.poll_flush(cx)
    }

    fn cut(&mut self) {
        self.ending = ConnectionEnding::IsCut;
        if matches!(self.response, ResponseStep::UntilClose) {
            // The end of the connection would be the end of the body.
            self.io.reset_when_dropped();
        }
    }

    fn close_after_response(&mut self) {
        if self.ending == ConnectionEnding::GoesOn {
            self.ending = ConnectionEnding::Closes;
        }
    }

    fn body_bytes_received(&self) -> u64 {
        self.received
    }

    fn body_bytes_sent(&self) -> u64 {
        self.sent
    }
}
