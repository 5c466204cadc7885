//! The endpoint's end of one request, over any version of HTTP.

use std::sync::Weak;
use std::task::{Context, Poll, ready};

use http::Version;

use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::stream::body_bytes::BodyBytes;
use crate::stream::body_frame::BodyFrame;
use crate::stream::read_width::ReadWidth;
use crate::stream::upstream_error::UpstreamError;
use crate::stream::upstream_request::UpstreamRequest;
use crate::upstream::dedicated::challenges;
use crate::upstream::http1::stream::Http1Stream;
use crate::upstream::http2::stream::Http2Stream;
use crate::upstream::own_connections::OwnConnections;

/// The endpoint's end of one request: a connection of HTTP/1, or a stream of HTTP/2.
///
/// Sending and receiving are independent: a response may come before the request has been sent. A poll that returns
/// [`Poll::Pending`] has arranged for a wake-up. Dropped, the exchange ends: the connection closes, or the stream is
/// reset.
#[derive(Debug)]
pub(crate) enum UpstreamStream {
    Http1(Box<Http1Stream>, Home),
    Http2(Box<Http2Stream>),
}

/// Where a connection goes when its request has ended.
#[derive(Clone, Debug)]
pub(crate) enum Home {
    /// To the connections that any request of the thread may use.
    Shared,
    /// To those of a client connection, unless that has ended.
    Client(Weak<OwnConnections>),
    /// Nowhere: it closes.
    Nowhere,
}

impl UpstreamStream {
    /// Whether an earlier request used the connection.
    pub(crate) fn is_reused(&self) -> bool {
        match self {
            Self::Http1(stream, _) => stream.is_reused(),
            Self::Http2(stream) => stream.is_reused(),
        }
    }

    pub(crate) fn version(&self) -> Version {
        match self {
            Self::Http1(..) => Version::HTTP_11,
            Self::Http2(_) => Version::HTTP_2,
        }
    }

    /// Takes the head; it is written with the next bytes of the body, or by [`UpstreamStream::poll_flush`]. Where
    /// `request.body` is empty, the request ends with its head.
    pub(crate) fn start_request(&mut self, request: &UpstreamRequest<'_>) -> Result<(), UpstreamError> {
        match self {
            Self::Http1(stream, _) => {
                stream.start_request(request);
                Ok(())
            }
            Self::Http2(stream) => stream.start_request(request),
        }
    }

    /// Sends bytes of the request's body, without framing, and returns how many were taken. The next call continues
    /// with the rest of the same bytes, which more may follow. They may stay in a bounded buffer until the next flush.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        data: BodyBytes<'_>,
    ) -> Poll<Result<usize, UpstreamError>> {
        match self {
            Self::Http1(stream, _) => stream.poll_send(cx, data),
            Self::Http2(stream) => stream.poll_send(cx, data),
        }
    }

    /// Ends the request's body, with trailers where the framing has room for them, and writes everything out.
    pub(crate) fn poll_finish_request(
        &mut self,
        cx: &mut Context<'_>,
        trailers: Option<&Fields>,
    ) -> Poll<Result<(), UpstreamError>> {
        match self {
            Self::Http1(stream, _) => stream.poll_finish_request(cx, trailers),
            Self::Http2(stream) => stream.poll_finish_request(cx, trailers),
        }
    }

    /// Writes out what is buffered.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        match self {
            Self::Http1(stream, _) => stream.poll_flush(cx),
            Self::Http2(_) => Poll::Ready(Ok(())),
        }
    }

    /// Waits for a head: any number of 1xx, then the final one. A 101 is final.
    pub(crate) fn poll_response_head(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
    ) -> Poll<Result<(), UpstreamError>> {
        match self {
            Self::Http1(stream, home) => {
                ready!(stream.poll_response_head(cx, head))?;
                // The application takes the next client on this connection for the one that it has asked.
                if matches!(home, Home::Shared) && challenges(head) {
                    stream.forbid_reuse();
                }
                Poll::Ready(Ok(()))
            }
            Self::Http2(stream) => stream.poll_response_head(cx, head),
        }
    }

    /// Waits for bytes of the response's body. The same bytes come again until [`UpstreamStream::consume`] takes them.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        width: ReadWidth,
    ) -> Poll<Result<BodyFrame<&[u8]>, UpstreamError>> {
        match self {
            Self::Http1(stream, _) => stream.poll_body(cx, width),
            Self::Http2(stream) => stream.poll_body(cx),
        }
    }

    /// Takes bytes that the last [`UpstreamStream::poll_body`] gave.
    pub(crate) fn consume(&mut self, len: usize) {
        match self {
            Self::Http1(stream, _) => stream.consume(len),
            Self::Http2(stream) => stream.consume(len),
        }
    }

    /// The trailers of the response, once its body has ended.
    pub(crate) fn response_trailers(&self) -> Option<&Fields> {
        match self {
            Self::Http1(stream, _) => stream.response_trailers(),
            Self::Http2(stream) => stream.response_trailers(),
        }
    }

    /// After a 101, both bodies are the bytes of the other protocol until the connection closes.
    pub(crate) fn switch_protocols(&mut self) {
        match self {
            Self::Http1(stream, _) => stream.switch_protocols(),
            Self::Http2(_) => debug_assert!(false, "requests for another protocol go over HTTP/1.1"),
        }
    }
}
