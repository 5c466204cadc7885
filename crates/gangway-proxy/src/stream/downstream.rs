//! The client's end of one request.

use std::fmt;
use std::task::{Context, Poll};

use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::reply::rejection::Rejection;
use crate::stream::body_bytes::BodyBytes;
use crate::stream::body_frame::BodyFrame;
use crate::stream::read_width::ReadWidth;

/// The client's end of one request, in any version of HTTP.
///
/// The request's head has been read. The implementation keeps all of the client's deadlines: a poll that finds one
/// passed fails with the reason. A poll that returns [`Poll::Pending`] has arranged to be woken.
pub(crate) trait Downstream {
    /// Waits for bytes of the request's body. The same bytes come again until [`Downstream::consume`] takes them, and
    /// more may follow them by then. The time that nobody polls is not counted against the client.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<BodyFrame<BodyBytes<'_>>, DownstreamError>>;

    /// Takes bytes that the last [`Downstream::poll_body`] gave.
    fn consume(&mut self, len: usize);

    /// The trailers of the request, once its body has ended.
    fn request_trailers(&self) -> Option<&Fields>;

    /// Waits until the client has gone, while no body is asked for. A client that closes only its sending side has not
    /// gone: it still gets its answer.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<DownstreamError>;

    /// Whether the client has ended its sending side, so that it may have gone: only a response would tell.
    fn may_have_gone(&self) -> bool;

    /// Sends a response of the class 1xx other than 101, if the client's version of HTTP knows it.
    fn send_informational(&mut self, head: &ResponseHead) -> Result<(), DownstreamError>;

    /// Begins the response. `head` has no hop-by-hop fields and no framing fields besides `Content-Length`; the
    /// implementation adds what its version needs (`Connection`, `Transfer-Encoding`, `Date`), by
    /// [`ResponseHead::body`]. After a 101 both bodies are the bytes of the other protocol.
    fn start_response(&mut self, head: &ResponseHead) -> Result<(), DownstreamError>;

    /// Sends bytes of the response's body and returns how many were taken. They may stay in a bounded buffer until
    /// [`Downstream::poll_flush`].
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, DownstreamError>>;

    /// Writes out what is buffered. Called whenever the application has nothing more at hand.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownstreamError>>;

    /// How much of the response may be read for the client at once.
    fn read_width(&self) -> ReadWidth;

    /// Ends the response, with trailers where they can be sent, and writes it out.
    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), DownstreamError>>;

    /// Makes a response that has begun look cut: the connection closes without its end over HTTP/1, the stream is
    /// reset over HTTP/2.
    fn cut(&mut self);

    /// No further request is read from the connection after this response.
    fn close_after_response(&mut self);

    /// Bytes of the request's body that have come.
    fn body_bytes_received(&self) -> u64;

    /// Bytes of the response's body that were taken.
    fn body_bytes_sent(&self) -> u64;
}

/// Why the client's end of a request is of no further use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DownstreamError {
    /// The client has closed the connection, or reset the stream.
    Gone,
    /// The client takes no bytes of its response.
    Stalled,
    /// The request's body breaks a rule or a bound. The client can still be answered.
    Rejected(Rejection),
}

impl fmt::Display for DownstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the client has gone"),
            Self::Stalled => f.write_str("the client takes no bytes"),
            Self::Rejected(rejection) => rejection.fmt(f),
        }
    }
}
