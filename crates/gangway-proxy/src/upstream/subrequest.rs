//! Requests of our own to an endpoint, on behalf of a client's request. Each may be sent more than once.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};

use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;
use crate::message::response_head::ResponseHead;
use crate::serving_table::ActiveEndpoint;
use crate::stream::body_frame::BodyFrame;
use crate::stream::read_width::ReadWidth;
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::stream::upstream_request::UpstreamRequest;
use crate::upstream::connector::{ConnectionNeed, Connector};
use crate::upstream::dedicated::ConnectionOwner;
use crate::upstream::error::trouble;
use crate::upstream::stream::UpstreamStream;

/// Kept connections that may turn out to be closed, one after another, before a fresh one is opened.
const STALE_MAX: usize = 2;

/// Interim answers before the answer.
const INTERIM_MAX: usize = 8;

/// Bytes that are read of an answer that nobody gets, so that its connection can be used again.
const UNREAD_MAX: usize = 16 * 1024;

/// By this field a request is known that comes back to us (RFC 8586).
pub(crate) const LOOP_FIELD: &[u8] = b"CDN-Loop";

/// One request of ours.
pub(crate) struct Subrequest<'a> {
    pub(crate) connector: &'a Connector,
    pub(crate) endpoint: &'a ActiveEndpoint,
    pub(crate) method: Method,
    pub(crate) target: &'a str,
    /// With the length of the body, if there is one.
    pub(crate) fields: &'a Fields,
    pub(crate) body: &'a [u8],
    /// How long a connection may take, so that another endpoint can be asked.
    pub(crate) connect_time: Duration,
}

/// Why an endpoint gave no answer.
pub(crate) enum SubrequestError {
    /// Nothing was sent, so another endpoint can be asked.
    NotReached(UpstreamError),
    Failed(UpstreamError),
    TooManyInterim,
}

impl Subrequest<'_> {
    /// Sends the request, and waits for the head of its answer.
    pub(crate) async fn send(&self) -> Result<(UpstreamStream, ResponseHead), SubrequestError> {
        let Self { connector, endpoint, connect_time, .. } = self;
        let need = ConnectionNeed {
            owner: ConnectionOwner::Shared,
            client: None,
            is_upgrade: false,
            is_repeatable: true,
            connect_timeout: *connect_time,
        };
        let mut stale = 0;
        loop {
            let kept = if stale < STALE_MAX { connector.checkout(endpoint, &need) } else { None };
            let mut stream = match kept {
                Some(stream) => stream,
                None => match connector.connect(endpoint, &need).await {
                    Ok(stream) => {
                        endpoint.state.connected();
                        stream
                    }
                    Err(error) => {
                        endpoint.state.note_trouble(trouble(error.kind));
                        return Err(SubrequestError::NotReached(error));
                    }
                },
            };
            let is_stale = |kind| matches!(kind, UpstreamErrorKind::ClosedUnanswered | UpstreamErrorKind::Unprocessed);
            match self.head(&mut stream).await {
                Ok(head) => return Ok((stream, head)),
                Err(SubrequestError::Failed(error))
                    if stream.is_reused() && is_stale(error.kind) && stale < STALE_MAX =>
                {
                    stale += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn head(&self, stream: &mut UpstreamStream) -> Result<ResponseHead, SubrequestError> {
        let started = stream.start_request(&UpstreamRequest {
            method: &self.method,
            target: self.target,
            fields: self.fields,
            body: match self.body.len() {
                0 => BodyLength::Empty,
                len => BodyLength::Sized(len as u64),
            },
            is_upgrade: false,
            is_last: false,
        });
        started.map_err(SubrequestError::Failed)?;
        let (mut head, mut interim) = (ResponseHead::default(), 0);
        let mut sending = Sending { rest: self.body, state: SendingState::Body };
        poll_fn(|cx| {
            sending.poll(stream, cx);
            loop {
                // It may answer before it has read the body.
                match ready!(stream.poll_response_head(cx, &mut head)) {
                    Ok(()) if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS => {
                        interim += 1;
                        if interim > INTERIM_MAX {
                            return Poll::Ready(Err(SubrequestError::TooManyInterim));
                        }
                    }
                    Ok(()) => return Poll::Ready(Ok(())),
                    Err(error) => return Poll::Ready(Err(SubrequestError::Failed(sending.first_failure(error)))),
                }
            }
        })
        .await?;
        Ok(head)
    }
}

/// How far a request was sent.
struct Sending<'a> {
    rest: &'a [u8],
    state: SendingState,
}

enum SendingState {
    Body,
    Done,
    /// The endpoint takes no more. It may have answered all the same.
    Failed(UpstreamError),
}

impl Sending<'_> {
    /// Sends as far as the endpoint takes it.
    fn poll(&mut self, stream: &mut UpstreamStream, cx: &mut Context<'_>) {
        while let SendingState::Body = self.state {
            let sent = match self.rest {
                [] => match stream.poll_finish_request(cx, None) {
                    Poll::Ready(finished) => finished.map(|()| self.state = SendingState::Done),
                    Poll::Pending => return,
                },
                rest => match stream.poll_send(cx, rest.into()) {
                    Poll::Ready(taken) => taken.map(|taken| self.rest = &rest[taken..]),
                    Poll::Pending => return,
                },
            };
            if let Err(error) = sent {
                self.state = SendingState::Failed(error);
            }
        }
    }

    /// The failure to report when no answer came: the one that was met first.
    fn first_failure(&mut self, error: UpstreamError) -> UpstreamError {
        match std::mem::replace(&mut self.state, SendingState::Done) {
            SendingState::Failed(first) if error.kind == UpstreamErrorKind::ClosedUnanswered => first,
            SendingState::Failed(_) | SendingState::Body | SendingState::Done => error,
        }
    }
}

/// A word for the questions of this process to one kind of service. No other process has it.
pub(crate) fn new_mark(service: &str) -> Box<str> {
    format!("gangway-{:016x}-{service}", fastrand::u64(..)).into()
}

/// Whether a request has come from us, in whatever way: one of ours leads back to us.
pub(crate) fn is_of_ours(fields: &Fields, own_mark: &str) -> bool {
    fields.all_named(LOOP_FIELD).any(|value| memchr::memmem::find(value, own_mark.as_bytes()).is_some())
}

/// Marks a request of ours on behalf of another one.
pub(crate) fn mark(of: &Fields, own_mark: &str, fields: &mut Fields) {
    let mut seen = Vec::new();
    for value in of.all_named(LOOP_FIELD) {
        seen.extend_from_slice(value);
        seen.extend_from_slice(b", ");
    }
    fields.push(LOOP_FIELD, &[&seen, own_mark.as_bytes()].concat());
}

/// Reads the body that has come with the head, and does not wait for more. If that was not all, the connection closes
/// when it is released.
pub(crate) async fn skip_what_has_come(stream: &mut UpstreamStream) {
    let mut left = UNREAD_MAX;
    poll_fn(|cx| {
        loop {
            let len = match stream.poll_body(cx, ReadWidth::Narrow) {
                Poll::Ready(Ok(BodyFrame::Data(data))) if data.len() <= left => data.len(),
                Poll::Ready(Ok(BodyFrame::End | BodyFrame::Data(_)) | Err(_)) | Poll::Pending => {
                    return Poll::Ready(());
                }
            };
            left -= len;
            stream.consume(len);
        }
    })
    .await;
}

/// Reads a whole body of at most `max` bytes; none if it has more.
pub(crate) async fn body_of(stream: &mut UpstreamStream, max: usize) -> Result<Option<Bytes>, UpstreamError> {
    let mut body = BytesMut::new();
    loop {
        let len = poll_fn(|cx| {
            stream.poll_body(cx, ReadWidth::Narrow).map_ok(|frame| match frame {
                BodyFrame::Data(data) => {
                    let room = max + 1 - body.len().min(max);
                    body.extend_from_slice(&data[..data.len().min(room)]);
                    Some(data.len())
                }
                BodyFrame::End => None,
            })
        });
        match len.await? {
            None => return Ok(Some(body.freeze())),
            Some(_) if body.len() > max => return Ok(None),
            Some(len) => stream.consume(len),
        }
    }
}
