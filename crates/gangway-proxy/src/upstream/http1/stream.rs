//! A connection of HTTP/1.1, with the request that is under way on it.

use std::io::{self, IoSlice};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::task::coop;

use crate::http1::chunked::ChunkedDecoder;
use crate::http1::encoder::{CHUNK_END, write_chunk_size, write_last_chunk, write_request_head};
use crate::http1::response_parser::{RequestFacts, ResponseParser};
use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;
use crate::message::response_head::{HEAD_TOO_LARGE, ResponseHead, TOO_MANY_FIELDS};
use crate::overload::open_connections::OpenConnection;
use crate::stream::body_bytes::BodyBytes;
use crate::stream::body_frame::BodyFrame;
use crate::stream::last_read::LastRead;
use crate::stream::read_width::ReadWidth;
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::stream::upstream_request::UpstreamRequest;
use crate::upstream::endpoint_state::EndpointState;
use crate::upstream::http1::input::ResponseInput;
use crate::upstream::socket::{Quiet, UpstreamSocket};
use crate::upstream::transport::EndpointTransport;

/// Small chunks are collected up to this size, so that a chunk needs no write of its own.
const COLLECTED_MAX: usize = 4 * 1024;

/// The capacity for heads that a connection keeps while it is idle.
const KEPT_CAPACITY_MAX: usize = 2 * 1024;

/// A connection, and the state of both directions of its request.
///
/// The directions are independent. Once writing fails, the rest of the request is discarded, and what the endpoint has
/// sent is still read: it may have answered early and closed.
#[derive(Debug)]
pub(crate) struct Http1Stream {
    socket: UpstreamSocket,
    /// Weak, so that idle connections do not keep the state of an endpoint that is gone.
    endpoint: Weak<EndpointState>,
    endpoint_id: u64,
    transport: Arc<EndpointTransport>,
    _open: OpenConnection,
    is_reused: bool,
    /// Whether the endpoint is known to have kept the connection open.
    is_noted_as_kept: bool,
    sending: RequestProgress,
    /// Bytes to be written, from `written` on.
    output: Vec<u8>,
    written: usize,
    /// Whether the system has taken a byte of the current request.
    has_sent: bool,
    has_failed_to_send: bool,
    receiving: ResponseProgress,
    input: ResponseInput,
    last_read: LastRead,
    /// Bytes at the front of `input` that are data of a chunk.
    chunk_data: usize,
    parser: ResponseParser,
    decoder: ChunkedDecoder,
    facts: RequestFacts,
    /// Whether anything of the current response has come.
    has_received: bool,
    /// Whether the connection can carry another request after this one, by what was said so far.
    is_reusable: bool,
}

/// What is to be sent next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum RequestProgress {
    /// No request has begun.
    Idle,
    /// A body of which this many bytes are left.
    Sized(u64),
    /// A chunked body; this many bytes are left of the chunk that has begun.
    Chunked(usize),
    /// The bytes of another protocol.
    Raw,
    /// The end of the other protocol's bytes.
    RawEnd,
    Done,
}

/// What is to be received next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ResponseProgress {
    Head,
    /// A body of which this many bytes are left; never 0.
    Sized(u64),
    Chunked,
    /// All bytes until the connection closes.
    UntilClose,
    Done,
}

impl Http1Stream {
    /// A connection that was just opened.
    pub(crate) fn new(
        socket: UpstreamSocket,
        endpoint: &Arc<EndpointState>,
        transport: &Arc<EndpointTransport>,
        open: OpenConnection,
    ) -> Self {
        Self {
            socket,
            endpoint: Arc::downgrade(endpoint),
            endpoint_id: endpoint.id(),
            transport: Arc::clone(transport),
            _open: open,
            is_reused: false,
            is_noted_as_kept: false,
            sending: RequestProgress::Idle,
            output: Vec::new(),
            written: 0,
            has_sent: false,
            has_failed_to_send: false,
            receiving: ResponseProgress::Head,
            input: ResponseInput::default(),
            last_read: LastRead::Short,
            chunk_data: 0,
            parser: ResponseParser::default(),
            decoder: ChunkedDecoder::for_responses(),
            facts: RequestFacts { is_head: false, asked_upgrade: false },
            has_received: false,
            is_reusable: true,
        }
    }

    /// Whether an earlier request used the connection.
    pub(crate) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// The state of its endpoint, unless that is gone.
    pub(crate) fn endpoint(&self) -> Option<Arc<EndpointState>> {
        self.endpoint.upgrade()
    }

    pub(crate) fn endpoint_id(&self) -> u64 {
        self.endpoint_id
    }

    pub(crate) fn transport(&self) -> &Arc<EndpointTransport> {
        &self.transport
    }

    /// Looks at a connection on which no request is under way.
    pub(crate) fn look(&mut self) -> Quiet {
        self.socket.look()
    }

    /// The connection closes after the current request.
    pub(crate) fn forbid_reuse(&mut self) {
        self.is_reusable = false;
    }

    /// Whether the current request and its response have ended such that another request may follow. Without a
    /// request, the connection is as good as before.
    pub(crate) fn is_reusable(&self) -> bool {
        let has_ended = self.sending == RequestProgress::Done && self.receiving == ResponseProgress::Done;
        let has_not_begun = self.sending == RequestProgress::Idle && self.receiving == ResponseProgress::Head;
        self.is_reusable
            && (has_ended || has_not_begun)
            && !self.has_failed_to_send
            && self.written == self.output.len()
            && self.input.is_empty()
    }

    /// Readies the connection for its next request. An idle connection holds no buffer.
    pub(crate) fn recycle(&mut self) {
        self.is_reused |= self.has_sent;
        self.sending = RequestProgress::Idle;
        self.receiving = ResponseProgress::Head;
        self.has_sent = false;
        self.has_received = false;
        self.input.shrink();
        self.output.clear();
        self.output.shrink_to(KEPT_CAPACITY_MAX);
        self.written = 0;
    }

    pub(crate) fn start_request(&mut self, request: &UpstreamRequest<'_>) {
        debug_assert_eq!(self.sending, RequestProgress::Idle, "requests on a connection follow each other");
        self.facts = RequestFacts { is_head: request.method == http::Method::HEAD, asked_upgrade: request.is_upgrade };
        self.is_reusable &= !request.is_last;
        // Another task may have read the last response, up to its end.
        self.last_read = LastRead::Short;
        write_request_head(request, &mut self.output);
        self.sending = match request.body {
            BodyLength::Empty | BodyLength::Sized(0) => RequestProgress::Done,
            BodyLength::Sized(len) => RequestProgress::Sized(len),
            BodyLength::Framed | BodyLength::UntilClose => RequestProgress::Chunked(0),
        };
    }

    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: BodyBytes<'_>,
    ) -> Poll<Result<usize, UpstreamError>> {
        if self.has_failed_to_send || data.is_empty() {
            return Poll::Ready(Ok(data.len()));
        }
        let (data, end) = match self.sending {
            RequestProgress::Sized(left) => (data.up_to(to_len(left)), &[][..]),
            RequestProgress::Raw => (data, &[][..]),
            RequestProgress::Chunked(0) if self.output.len() - self.written + data.len() <= COLLECTED_MAX => {
                write_chunk_size(data.len(), &mut self.output);
                data.slices().for_each(|slice| self.output.extend_from_slice(slice));
                self.output.extend_from_slice(CHUNK_END);
                return Poll::Ready(Ok(data.len()));
            }
            RequestProgress::Chunked(left) => {
                let left = if left == 0 { self.begin_chunk(data.len()) } else { left };
                if left <= data.len() { (data.up_to(left), CHUNK_END) } else { (data, &[][..]) }
            }
            RequestProgress::Idle | RequestProgress::RawEnd | RequestProgress::Done => {
                debug_assert!(false, "a body that the head did not announce");
                self.is_reusable = false;
                return Poll::Ready(Ok(data.len()));
            }
        };
        loop {
            let outcome = ready!(self.poll_write_with(cx, data, end));
            let Some(written) = self.sent(outcome)? else { return Poll::Ready(Ok(data.len())) };
            let taken = written.min(data.len());
            if taken == data.len() {
                // The rest of the end is written with what follows.
                self.output.extend_from_slice(&end[written - taken..]);
            }
            match &mut self.sending {
                RequestProgress::Sized(left) => {
                    *left -= taken as u64;
                    if *left == 0 {
                        self.sending = RequestProgress::Done;
                    }
                }
                RequestProgress::Chunked(left) => *left -= taken,
                RequestProgress::Idle | RequestProgress::Raw | RequestProgress::RawEnd | RequestProgress::Done => {}
            }
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    pub(crate) fn poll_finish_request(
        &mut self,
        cx: &mut Context<'_>,
        trailers: Option<&Fields>,
    ) -> Poll<Result<(), UpstreamError>> {
        if self.has_failed_to_send {
            return Poll::Ready(Ok(()));
        }
        match self.sending {
            RequestProgress::Chunked(left) => {
                debug_assert_eq!(left, 0, "the data of a chunk is sent whole");
                self.is_reusable &= left == 0;
                write_last_chunk(trailers, &mut self.output);
                self.sending = RequestProgress::Done;
            }
            // Shorter than announced: the endpoint waits for the rest, and the connection is of no further use.
            RequestProgress::Sized(_) | RequestProgress::Idle => self.is_reusable = false,
            RequestProgress::Raw => self.sending = RequestProgress::RawEnd,
            RequestProgress::RawEnd | RequestProgress::Done => {}
        }
        ready!(self.poll_flush(cx))?;
        if self.sending == RequestProgress::RawEnd && !self.has_failed_to_send {
            let outcome = ready!(self.socket.poll_shutdown(cx)).map(|()| 0);
            self.sent(outcome)?;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        while self.written < self.output.len() && !self.has_failed_to_send {
            let outcome = ready!(self.poll_write_with(cx, (&[][..]).into(), &[]));
            self.sent(outcome)?;
        }
        if !self.has_failed_to_send {
            let outcome = ready!(self.socket.poll_flush(cx)).map(|()| 0);
            self.sent(outcome)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for a head: any number of 1xx, then the final one. A 101 is final.
    pub(crate) fn poll_response_head(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<(), UpstreamError>> {
        debug_assert_eq!(self.receiving, ResponseProgress::Head, "a response has one head");
        loop {
            match self.parser.parse(self.input.bytes(), self.facts, head) {
                Ok(Some(len)) => {
                    self.input.consume(len);
                    self.parsed(head);
                    return Poll::Ready(Ok(()));
                }
                Ok(None) => {}
                Err(reason) => return Poll::Ready(Err(self.malformed(reason))),
            }
            if !ready!(self.poll_fill(cx, ReadWidth::Narrow))? {
                return Poll::Ready(Err(self.closed(None)));
            }
        }
    }

    /// Waits for bytes of the response's body. The same bytes come again until [`Http1Stream::consume`] takes them.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        width: ReadWidth,
    ) -> Poll<Result<BodyFrame<&[u8]>, UpstreamError>> {
        let len = loop {
            let len = match self.receiving {
                ResponseProgress::Done => {
                    self.input.shrink();
                    return Poll::Ready(Ok(BodyFrame::End));
                }
                ResponseProgress::Sized(left) => self.input.len().min(to_len(left)),
                ResponseProgress::Chunked => match self.decode_chunk() {
                    Ok(len) => len,
                    Err(reason) => return Poll::Ready(Err(self.malformed(reason))),
                },
                ResponseProgress::UntilClose => self.input.len(),
                ResponseProgress::Head => {
                    debug_assert!(false, "a body is read after its head");
                    return Poll::Pending;
                }
            };
            if len > 0 {
                break len;
            }
            if self.receiving == ResponseProgress::Done {
                continue;
            }
            if !ready!(self.poll_fill(cx, width))? {
                if self.receiving != ResponseProgress::UntilClose {
                    return Poll::Ready(Err(self.closed(None)));
                }
                self.receiving = ResponseProgress::Done;
            }
        };
        Poll::Ready(Ok(BodyFrame::Data(&self.input.bytes()[..len])))
    }

    /// Takes bytes that the last [`Http1Stream::poll_body`] gave.
    pub(crate) fn consume(&mut self, len: usize) {
        self.input.consume(len);
        match &mut self.receiving {
            ResponseProgress::Sized(left) => {
                *left = left.saturating_sub(len as u64);
                if *left == 0 {
                    self.receiving = ResponseProgress::Done;
                }
            }
            ResponseProgress::Chunked => {
                self.chunk_data -= len.min(self.chunk_data);
                // The end may have come with the last data.
                if self.chunk_data == 0 && self.decoder.has_ended() {
                    self.receiving = ResponseProgress::Done;
                }
            }
            ResponseProgress::Head | ResponseProgress::UntilClose | ResponseProgress::Done => {}
        }
    }

    /// The trailers of the response, once its body has ended.
    pub(crate) fn response_trailers(&self) -> Option<&Fields> {
        self.decoder.trailers()
    }

    /// After a 101, both bodies are the bytes of the other protocol until the connection closes.
    pub(crate) fn switch_protocols(&mut self) {
        self.is_reusable = false;
        self.sending = RequestProgress::Raw;
        self.receiving = ResponseProgress::UntilClose;
    }

    /// Begins a chunk and returns its length.
    fn begin_chunk(&mut self, len: usize) -> usize {
        write_chunk_size(len, &mut self.output);
        self.sending = RequestProgress::Chunked(len);
        len
    }

    /// Writes what is left of the output, then `data`, then `end`. Returns how many bytes behind the output were
    /// written.
    fn poll_write_with(&mut self, cx: &mut Context<'_>, data: BodyBytes<'_>, end: &[u8]) -> Poll<io::Result<usize>> {
        let pending = &self.output[self.written..];
        let written = match data.single() {
            Some(data) if pending.is_empty() => {
                ready!(self.socket.poll_write(cx, &[IoSlice::new(data), IoSlice::new(end)]))?
            }
            Some(data) => {
                ready!(self.socket.poll_write(cx, &[IoSlice::new(pending), IoSlice::new(data), IoSlice::new(end)]))?
            }
            None => {
                let mut slices = [IoSlice::new(&[]); BodyBytes::SLICES_MAX + 2];
                let all = std::iter::once(pending).chain(data.slices()).chain([end]);
                let used = slices.iter_mut().zip(all).map(|(slot, slice)| *slot = IoSlice::new(slice)).count();
                ready!(self.socket.poll_write(cx, &slices[..used]))?
            }
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.has_sent = true;
        let of_output = written.min(pending.len());
        self.written += of_output;
        if self.written == self.output.len() {
            self.output.clear();
            // The response may be under way for long.
            self.output.shrink_to(KEPT_CAPACITY_MAX);
            self.written = 0;
        }
        Poll::Ready(Ok(written - of_output))
    }

    /// Interprets the outcome of a write. None: writing has failed, and the response is to tell more.
    fn sent(&mut self, outcome: io::Result<usize>) -> Result<Option<usize>, UpstreamError> {
        let error = match outcome {
            Ok(written) => return Ok(Some(written)),
            Err(error) => error,
        };
        self.has_failed_to_send = true;
        if self.has_sent {
            return Ok(None);
        }
        self.note_closed_unannounced();
        Err(UpstreamError::new(
            UpstreamErrorKind::Unprocessed,
            format!("the connection was closed before the request was sent: {error}"),
        ))
    }

    /// Reads more. Returns whether there was more before the end. A connection on which nothing has come is not asked
    /// again: each message of the client polls it too.
    fn poll_fill(&mut self, cx: &mut Context<'_>, width: ReadWidth) -> Poll<Result<bool, UpstreamError>> {
        let has_news = match self.last_read {
            LastRead::Full => true,
            LastRead::Short => self.socket.poll_readable(cx).is_ready(),
            LastRead::Nothing if self.socket.has_news() => true,
            LastRead::Nothing => return Poll::Pending,
        };
        let outcome = if has_news {
            let space = self.input.space(width);
            if space.is_empty() {
                return Poll::Ready(Err(self.malformed(HEAD_TOO_LARGE)));
            }
            self.socket.poll_read(cx, space)
        } else {
            Poll::Pending
        };
        let Poll::Ready(outcome) = outcome else {
            self.input.shrink();
            // Without budget the socket was not asked.
            self.last_read = if coop::has_budget_remaining() { LastRead::Nothing } else { LastRead::Short };
            return Poll::Pending;
        };
        Poll::Ready(match outcome {
            Ok(0) => Ok(false),
            Ok(len) => {
                self.input.filled(len);
                self.last_read = if self.input.is_much_coming() { LastRead::Full } else { LastRead::Short };
                self.has_received = true;
                Ok(true)
            }
            Err(error) => Err(self.closed(Some(&error))),
        })
    }

    /// Draws the consequences from a head.
    fn parsed(&mut self, head: &ResponseHead) {
        let keep_alive_timeout = self.parser.keep_alive_timeout();
        self.parser.reset();
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        self.is_reusable &= head.keep_alive && head.status != StatusCode::SWITCHING_PROTOCOLS;
        self.decoder.reset();
        self.chunk_data = 0;
        self.receiving = match head.body {
            BodyLength::Empty | BodyLength::Sized(0) => ResponseProgress::Done,
            BodyLength::Sized(len) => ResponseProgress::Sized(len),
            BodyLength::Framed => ResponseProgress::Chunked,
            BodyLength::UntilClose => ResponseProgress::UntilClose,
        };
        self.is_reusable &= head.body != BodyLength::UntilClose;
        let is_news = self.is_reused && !std::mem::replace(&mut self.is_noted_as_kept, self.is_reused);
        if (keep_alive_timeout.is_some() || is_news)
            && let Some(endpoint) = self.endpoint.upgrade()
        {
            if let Some(seconds) = keep_alive_timeout {
                endpoint.note_keep_alive_timeout(seconds);
            }
            if is_news {
                endpoint.note_kept_open();
            }
        }
    }

    /// Decodes up to the next data, and returns its length; 0 if there is none in the input.
    fn decode_chunk(&mut self) -> Result<usize, &'static str> {
        if self.chunk_data == 0 && !self.input.is_empty() {
            let decoded = self.decoder.decode(self.input.bytes())?;
            self.input.consume(decoded.data.start);
            self.chunk_data = decoded.data.len();
            if self.chunk_data == 0 && self.decoder.has_ended() {
                self.receiving = ResponseProgress::Done;
            }
        }
        Ok(self.chunk_data)
    }

    fn malformed(&mut self, reason: &'static str) -> UpstreamError {
        self.is_reusable = false;
        let kind = match reason {
            HEAD_TOO_LARGE | TOO_MANY_FIELDS => UpstreamErrorKind::HeadTooLarge,
            _ => UpstreamErrorKind::Malformed,
        };
        UpstreamError::new(kind, reason)
    }

    /// The connection has ended before the response has.
    fn closed(&mut self, error: Option<&io::Error>) -> UpstreamError {
        self.is_reusable = false;
        if self.has_received {
            let detail = "the connection was closed in the middle of the response";
            return UpstreamError::new(UpstreamErrorKind::ClosedEarly, detail);
        }
        self.note_closed_unannounced();
        let detail = "the connection was closed before a response came";
        match error {
            None => UpstreamError::new(UpstreamErrorKind::ClosedUnanswered, detail),
            Some(error) => UpstreamError::new(UpstreamErrorKind::ClosedUnanswered, format!("{detail}: {error}")),
        }
    }

    fn note_closed_unannounced(&self) {
        if self.is_reused
            && let Some(endpoint) = self.endpoint.upgrade()
        {
            endpoint.note_closed_unannounced();
        }
    }
}

/// A count of bytes as a length in memory, where more cannot be anyway.
fn to_len(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
