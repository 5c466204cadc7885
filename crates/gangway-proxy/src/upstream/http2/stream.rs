//! One request on a connection of HTTP/2.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::StatusCode;
use http::uri::Scheme;

use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;
use crate::message::response_head::{HEAD_MAX, ResponseHead};
use crate::message::trailer_fate::{BodySender, retain_passing};
use crate::stream::body_bytes::BodyBytes;
use crate::stream::body_frame::BodyFrame;
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::stream::upstream_request::UpstreamRequest;
use crate::upstream::http2::connection::Http2Slot;
use crate::upstream::http2::convert;

/// Bytes of a body that are copied at a time.
const PIECE_MAX: usize = 16 * 1024;

/// The endpoint's end of a request.
///
/// As over HTTP/1, an end of the sending side is no failure: the endpoint may have answered early. The response, or
/// its absence, tells.
pub(crate) struct Http2Stream {
    slot: Http2Slot,
    sending: Option<SendStream<Bytes>>,
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    /// Received bytes that are not consumed yet.
    data: Bytes,
    trailers: Option<Fields>,
    is_head: bool,
    has_received: bool,
    has_ended: bool,
}

impl Http2Stream {
    pub(crate) fn new(slot: Http2Slot) -> Self {
        Self {
            slot,
            sending: None,
            response: None,
            body: None,
            data: Bytes::new(),
            trailers: None,
            is_head: false,
            has_received: false,
            has_ended: false,
        }
    }

    /// Whether an earlier request used the connection.
    pub(crate) fn is_reused(&self) -> bool {
        self.slot.is_reused
    }

    pub(crate) fn start_request(&mut self, request: &UpstreamRequest<'_>) -> Result<(), UpstreamError> {
        let scheme = if self.slot.connection.transport().is_tls() { Scheme::HTTPS } else { Scheme::HTTP };
        let converted = convert::request(request, scheme)
            .map_err(|reason| UpstreamError::new(UpstreamErrorKind::Malformed, reason))?;
        self.is_head = request.method == http::Method::HEAD;
        let has_ended = matches!(request.body, BodyLength::Empty | BodyLength::Sized(0));
        let sent = self.slot.sender.send_request(converted, has_ended);
        let (response, sending) = sent.map_err(|error| {
            let detail = format!("the connection was closed before the request was sent: {error}");
            UpstreamError::new(UpstreamErrorKind::Unprocessed, detail)
        })?;
        self.response = Some(response);
        self.sending = (!has_ended).then_some(sending);
        Ok(())
    }

    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: BodyBytes<'_>,
    ) -> Poll<Result<usize, UpstreamError>> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Ok(data.len())) };
        let Some(data) = data.slices().next() else { return Poll::Ready(Ok(0)) };
        sending.reserve_capacity(data.len().min(PIECE_MAX));
        while sending.capacity() == 0 {
            match ready!(sending.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return self.sending_ended(data.len()),
            }
        }
        let len = data.len().min(PIECE_MAX).min(sending.capacity());
        match sending.send_data(Bytes::copy_from_slice(&data[..len]), false) {
            Ok(()) => Poll::Ready(Ok(len)),
            Err(_) => self.sending_ended(data.len()),
        }
    }

    pub(crate) fn poll_finish_request(
        &mut self,
        _cx: &mut Context<'_>,
        trailers: Option<&Fields>,
    ) -> Poll<Result<(), UpstreamError>> {
        if let Some(mut sending) = self.sending.take() {
            // If it fails, the response tells why.
            let _ = match trailers {
                Some(trailers) => sending.send_trailers(convert::trailers(trailers)),
                None => sending.send_data(Bytes::new(), true),
            };
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for a head: any number of 1xx, then the final one.
    pub(crate) fn poll_response_head(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<(), UpstreamError>> {
        let Some(response) = &mut self.response else {
            debug_assert!(false, "a response has one head");
            return Poll::Pending;
        };
        if let Poll::Ready(Some(Ok(informational))) = response.poll_informational(cx) {
            self.has_received = true;
            return Poll::Ready(convert::response(&informational, true, head).map_err(malformed));
        }
        let response = ready!(Pin::new(response).poll(cx)).map_err(|error| self.failed(&error))?;
        self.response = None;
        self.has_received = true;
        self.slot.answered();
        // Some applications end such a response in a frame of its own.
        let has_no_body =
            self.is_head || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let has_ended = has_no_body || response.body().is_end_stream();
        let outcome = convert::response(&response, has_ended, head).map_err(malformed);
        self.body = Some(response.into_body());
        Poll::Ready(outcome)
    }

    /// Waits for bytes of the response's body. The same bytes come again until [`Http2Stream::consume`] takes them.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame<&[u8]>, UpstreamError>> {
        while self.data.is_empty() {
            let Some(body) = &mut self.body else { return Poll::Ready(Ok(BodyFrame::End)) };
            if self.has_ended {
                return Poll::Ready(Ok(BodyFrame::End));
            }
            match ready!(body.poll_data(cx)) {
                Some(Ok(data)) => self.data = data,
                Some(Err(error)) => return Poll::Ready(Err(self.failed(&error))),
                None => {
                    match ready!(body.poll_trailers(cx)) {
                        Ok(trailers) => {
                            self.trailers = trailers.map(|trailers| {
                                let mut fields = Fields::default();
                                convert::fields(&trailers, &mut fields);
                                retain_passing(&mut fields, BodySender::Application);
                                fields
                            });
                        }
                        // The response is whole; the endpoint only wants no more of the request (RFC 9113, 8.1).
                        Err(error) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => {}
                        Err(error) => return Poll::Ready(Err(self.failed(&error))),
                    }
                    self.has_ended = true;
                }
            }
        }
        Poll::Ready(Ok(BodyFrame::Data(&self.data)))
    }

    /// Takes bytes that the last [`Http2Stream::poll_body`] gave. Only then the endpoint may send as many more.
    pub(crate) fn consume(&mut self, len: usize) {
        self.data.advance(len.min(self.data.len()));
        if let Some(body) = &mut self.body {
            // It fails only if the stream has ended; the next poll tells.
            let _ = body.flow_control().release_capacity(len);
        }
    }

    /// The trailers of the response, once its body has ended.
    pub(crate) fn response_trailers(&self) -> Option<&Fields> {
        self.trailers.as_ref()
    }

    fn sending_ended(&mut self, len: usize) -> Poll<Result<usize, UpstreamError>> {
        self.sending = None;
        Poll::Ready(Ok(len))
    }

    fn failed(&self, error: &h2::Error) -> UpstreamError {
        let is_refused = error.is_reset()
            && error.is_remote()
            && matches!(error.reason(), Some(Reason::REFUSED_STREAM | Reason::HTTP_1_1_REQUIRED));
        // A GOAWAY fails only streams that the endpoint has not processed and will not process (RFC 9113, section 6.8).
        let is_unprocessed = is_refused || error.is_go_away() && error.is_remote();
        let kind = if self.has_received {
            UpstreamErrorKind::ClosedEarly
        } else if is_unprocessed {
            UpstreamErrorKind::Unprocessed
        } else if error.is_library() && error.reason().is_some() {
            // Our own side of HTTP/2 has found a rule broken. It does not tell a head that is too large from others.
            UpstreamErrorKind::Malformed
        } else if error.is_reset() && error.is_remote() {
            // The connection goes on, so this is no end of an idle one that met the request on its way.
            UpstreamErrorKind::Reset
        } else {
            UpstreamErrorKind::ClosedUnanswered
        };
        let or_larger = match kind == UpstreamErrorKind::Malformed {
            true => format!(", or its head is larger than {HEAD_MAX} bytes"),
            false => String::new(),
        };
        UpstreamError::new(kind, format!("HTTP/2: {error}{or_larger}"))
    }
}

fn malformed(reason: &'static str) -> UpstreamError {
    UpstreamError::new(UpstreamErrorKind::Malformed, reason)
}

impl std::fmt::Debug for Http2Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http2Stream").field("slot", &self.slot).finish_non_exhaustive()
    }
}
