//! Relays one request to its endpoint and the response back, both at once.
//!
//! An application may answer before it has read the request, and may read and write at the same time (gRPC). So both
//! directions advance in one poll, each as far as it can. Bytes pass as soon as they have come: whenever one side has
//! nothing more at hand, the other side is flushed.

use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::cache::run::Replacement;
use crate::compression::body_encoder::{BodyEncoder, ENCODED_IN_A_ROW_MAX};
use crate::exchange::replay::Replay;
use crate::log::request_log::CutReason;
use crate::message::response_head::ResponseHead;
use crate::reply::reason::Reason;
use crate::stream::body_frame::BodyFrame;
use crate::stream::downstream::{Downstream, DownstreamError};
use crate::stream::read_width::ReadWidth;
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::timer::Timer;
use crate::upstream::error::reason_for;
use crate::upstream::stream::UpstreamStream;

/// How long an endpoint may be silent over a switched protocol that its client has ended.
const HALF_CLOSED_TIME: Duration = Duration::from_secs(60);

/// Bytes of a response that are relayed before other tasks have their turn. Both ends may be fast enough for never having
/// to wait.
const RELAYED_IN_A_ROW_MAX: usize = 1024 * 1024;

/// The rules of a request that concern its relay.
pub(crate) trait TransferRules {
    /// Called for the head of a response before it is sent to the client; 1xx heads but 101 pass without it. The result
    /// encodes the body, if it is to be encoded.
    fn on_response(&mut self, head: &mut ResponseHead) -> Result<Option<BodyEncoder>, TransferError>;

    /// Called for bytes of the request's body before they are sent.
    fn on_request_data(&mut self, len: usize) -> Result<(), TransferError>;

    /// Called for bytes of the response's body that the client takes, as the endpoint sent them.
    fn on_response_data(&mut self, data: &[u8]) -> Result<(), TransferError>;

    /// Called when the whole body of the response has come.
    fn on_response_end(&mut self, has_trailers: impl FnOnce() -> bool);

    /// Whether the client may wait for a 100 before it sends the request's body.
    fn expects_continue(&self) -> bool;

    /// Whether the fields of the response are asked for after they were sent.
    fn keeps_response_fields(&self) -> bool;

    /// Whether the relay must end because the endpoint has left.
    fn is_drained(&self) -> bool;

    /// When the response must have begun.
    fn response_due(&self) -> Instant;

    /// How long the next bytes of the response may take.
    fn idle_time(&self) -> Duration;
}

/// Why a relay ended early.
#[derive(Debug)]
pub(crate) enum TransferError {
    Upstream(UpstreamError),
    Downstream(DownstreamError),
    /// The request's body is larger than the route allows.
    BodyTooLarge,
    /// The response's body is larger than the route allows.
    ResponseTooLarge,
    /// The head of the response is at hand, and a page is to be looked for before it is passed on.
    PageWanted,
    /// The head of the response is at hand, and what is kept is to be sent in its place.
    KeptAnswer(Box<Replacement>),
    /// A fault of our own.
    Internal,
}

impl TransferError {
    /// A word for it, of those that the access log knows.
    pub(super) fn token(&self) -> &'static str {
        match self {
            Self::Upstream(error) if error.kind == UpstreamErrorKind::Drained => CutReason::EndpointLeft.token(),
            Self::Upstream(error) => reason_for(error.kind).token(),
            Self::Downstream(DownstreamError::Gone) => CutReason::ClientGone.token(),
            Self::Downstream(DownstreamError::Stalled) => CutReason::ClientStalled.token(),
            Self::Downstream(DownstreamError::Rejected(rejection)) => rejection.reason.token(),
            Self::BodyTooLarge => Reason::BodyTooLarge.token(),
            Self::ResponseTooLarge => Reason::ResponseTooLarge.token(),
            Self::PageWanted | Self::KeptAnswer(_) | Self::Internal => Reason::Internal.token(),
        }
    }
}

impl From<UpstreamError> for TransferError {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<DownstreamError> for TransferError {
    fn from(error: DownstreamError) -> Self {
        Self::Downstream(error)
    }
}

/// How far the request has been sent.
#[derive(Debug)]
enum Sending {
    /// Bytes of an earlier try, from this position on.
    Again(usize),
    Body,
    /// The body has ended; its end is to be sent.
    End,
    /// What was sent is to be written out.
    Flush,
    Done,
    /// The endpoint takes no more. It may have answered all the same.
    Abandoned(UpstreamError),
}

/// How far the response has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Receiving {
    Head,
    Body,
    End,
}

/// One relay. It borrows both ends.
pub(crate) struct Transfer<'t, D, R> {
    parts: TransferParts<'t, D, R>,
    sending: Sending,
    receiving: Receiving,
    /// Whether the timer is set for the wait that is going on.
    is_waiting: bool,
    /// Whether the endpoint took no bytes of the request at the last try.
    is_endpoint_full: bool,
    /// Whether the protocol was switched, so that both bodies are bytes of the new one.
    is_switched: bool,
    /// Whether the client holds its body back until the endpoint has said something.
    is_continue_awaited: bool,
    /// Encodes the body of the response. On the heap, so that a relay stays small.
    encoder: Option<Box<BodyEncoder>>,
}

/// Both ends of a relay, its rules, and the state that is used again for the next one.
pub(crate) struct TransferParts<'t, D, R> {
    pub(crate) client: &'t mut D,
    pub(crate) endpoint: &'t mut UpstreamStream,
    pub(crate) response: &'t mut ResponseHead,
    pub(crate) replay: &'t mut Replay,
    pub(crate) timer: &'t mut Timer,
    pub(crate) rules: R,
}

impl<'t, D: Downstream, R: TransferRules> Transfer<'t, D, R> {
    /// A relay of a request whose head the endpoint has been given. `has_body` tells whether a body follows.
    pub(crate) fn new(parts: TransferParts<'t, D, R>, has_body: bool) -> Self {
        let sending = match has_body {
            true => Sending::Again(0),
            false => Sending::Flush,
        };
        let is_continue_awaited = has_body && parts.rules.expects_continue();
        Self {
            parts,
            sending,
            receiving: Receiving::Head,
            is_waiting: false,
            is_endpoint_full: false,
            is_switched: false,
            is_continue_awaited,
            encoder: None,
        }
    }

    /// Whether the endpoint has got the whole request, so that its connection can carry another one.
    pub(crate) fn is_request_sent(&self) -> bool {
        matches!(self.sending, Sending::Done) && !self.is_switched
    }

    /// Whether the head of the response was given to the client.
    pub(crate) fn has_begun_response(&self) -> bool {
        self.receiving != Receiving::Head
    }

    /// Both ends, and the rules.
    pub(crate) fn parts(&mut self) -> &mut TransferParts<'t, D, R> {
        &mut self.parts
    }

    /// Passes the head on that is at hand, after [`TransferError::PageWanted`].
    pub(crate) fn resume(&mut self) -> Result<(), TransferError> {
        self.take_head()
    }

    /// Relays as far as both ends allow. Ready once the whole response is with the client.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransferError>> {
        loop {
            self.poll_request(cx)?;
            let was_switched = self.is_switched;
            match self.poll_response(cx)? {
                Poll::Ready(()) => return Poll::Ready(Ok(())),
                // What the client has sent ahead may go on now.
                Poll::Pending if self.is_switched && !was_switched => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends the request as far as possible. A failure of the endpoint is kept for later: it may have answered.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Result<(), TransferError> {
        match self.send_request(cx) {
            Err(TransferError::Upstream(error)) => {
                self.sending = Sending::Abandoned(error);
                Ok(())
            }
            other => other,
        }
    }

    fn send_request(&mut self, cx: &mut Context<'_>) -> Result<(), TransferError> {
        if std::mem::take(&mut self.is_endpoint_full) && self.receiving == Receiving::Head {
            // It may have taken some by now; the wait begins anew if it has.
            self.is_waiting &= !self.sends(cx)?;
            return Ok(());
        }
        self.sends(cx).map(drop)
    }

    /// Returns whether the endpoint took something.
    fn sends(&mut self, cx: &mut Context<'_>) -> Result<bool, TransferError> {
        let mut has_taken = false;
        loop {
            match self.sending {
                Sending::Again(at) => match self.parts.replay.bytes().get(at..) {
                    Some(rest) if !rest.is_empty() => match self.parts.endpoint.poll_send(cx, rest.into())? {
                        Poll::Ready(taken) => {
                            has_taken = true;
                            self.parts.rules.on_request_data(taken)?;
                            self.sending = Sending::Again(at + taken);
                        }
                        Poll::Pending => {
                            self.is_endpoint_full = true;
                            return Ok(has_taken);
                        }
                    },
                    _ => self.sending = Sending::Body,
                },
                Sending::Body => match self.parts.client.poll_body(cx)? {
                    Poll::Ready(BodyFrame::Data(data)) => {
                        let Poll::Ready(taken) = self.parts.endpoint.poll_send(cx, data)? else {
                            self.is_endpoint_full = true;
                            return Ok(has_taken);
                        };
                        has_taken = true;
                        if self.parts.rules.is_drained() {
                            return Err(drained());
                        }
                        self.parts.rules.on_request_data(taken)?;
                        if !self.is_switched {
                            data.up_to(taken).slices().for_each(|slice| self.parts.replay.note(slice));
                        }
                        self.parts.client.consume(taken);
                        // Over a switched protocol, each side keeps the other alive.
                        self.is_waiting &= !(self.is_switched || std::mem::take(&mut self.is_continue_awaited));
                    }
                    Poll::Ready(BodyFrame::End) => {
                        self.sending = Sending::End;
                        self.is_continue_awaited = false;
                        // A client that has left a switched protocol is waited for less long.
                        self.is_waiting &= !self.is_switched;
                    }
                    Poll::Pending => {
                        let _ = self.parts.endpoint.poll_flush(cx)?;
                        return Ok(has_taken);
                    }
                },
                Sending::End => {
                    match self.parts.endpoint.poll_finish_request(cx, self.parts.client.request_trailers())? {
                        Poll::Ready(()) => self.sending = Sending::Done,
                        Poll::Pending => return Ok(has_taken),
                    }
                }
                Sending::Flush => match self.parts.endpoint.poll_flush(cx)? {
                    Poll::Ready(()) => self.sending = Sending::Done,
                    Poll::Pending => return Ok(has_taken),
                },
                Sending::Done | Sending::Abandoned(_) => return Ok(has_taken),
            }
        }
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, TransferError> {
        let mut relayed = 0;
        loop {
            match self.receiving {
                Receiving::Head => match self.parts.endpoint.poll_response_head(cx, self.parts.response) {
                    Poll::Ready(Ok(())) => self.take_head()?,
                    Poll::Ready(Err(error)) => return Err(self.first_failure(error)),
                    Poll::Pending => {
                        self.wait_for_endpoint(cx)?;
                        return Ok(Poll::Pending);
                    }
                },
                Receiving::Body if self.encoder.is_some() => {
                    if self.poll_encoded(cx)?.is_pending() {
                        return Ok(Poll::Pending);
                    }
                    self.receiving = Receiving::End;
                }
                Receiving::Body if relayed >= RELAYED_IN_A_ROW_MAX => {
                    cx.waker().wake_by_ref();
                    return Ok(Poll::Pending);
                }
                Receiving::Body => match self.parts.endpoint.poll_body(cx, self.parts.client.read_width())? {
                    Poll::Ready(BodyFrame::Data(data)) => {
                        self.is_waiting = false;
                        let Poll::Ready(taken) = self.parts.client.poll_send(cx, data)? else {
                            return Ok(Poll::Pending);
                        };
                        relayed += taken;
                        self.parts.rules.on_response_data(&data[..taken])?;
                        self.parts.endpoint.consume(taken);
                        if self.parts.rules.is_drained() {
                            return Err(drained());
                        }
                    }
                    Poll::Ready(BodyFrame::End) => {
                        self.parts.rules.on_response_end(|| self.parts.endpoint.response_trailers().is_some());
                        self.receiving = Receiving::End;
                    }
                    Poll::Pending => {
                        self.wait_for_endpoint(cx)?;
                        return Ok(Poll::Pending);
                    }
                },
                Receiving::End => {
                    self.is_waiting = false;
                    return Ok(self.parts.client.poll_finish(cx, self.parts.endpoint.response_trailers())?);
                }
            }
        }
    }

    /// Relays a body that is encoded on the way. Ready once all of it was taken.
    fn poll_encoded(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, TransferError> {
        let mut encoded = 0;
        // Taken out and put back, since both ends are asked meanwhile.
        let Some(mut encoder) = self.encoder.take() else { return Ok(Poll::Ready(())) };
        loop {
            while !encoder.pending().is_empty() {
                let Poll::Ready(taken) = self.parts.client.poll_send(cx, encoder.pending())? else {
                    self.encoder = Some(encoder);
                    return Ok(Poll::Pending);
                };
                encoder.consume(taken);
            }
            if encoder.has_finished() {
                return Ok(Poll::Ready(()));
            }
            if encoded >= ENCODED_IN_A_ROW_MAX {
                cx.waker().wake_by_ref();
                self.encoder = Some(encoder);
                return Ok(Poll::Pending);
            }
            if self.parts.rules.is_drained() {
                return Err(drained());
            }
            let outcome = match self.parts.endpoint.poll_body(cx, ReadWidth::Narrow)? {
                Poll::Ready(BodyFrame::Data(data)) => {
                    self.is_waiting = false;
                    match encoder.encode(data) {
                        Ok(taken) => {
                            self.parts.rules.on_response_data(&data[..taken])?;
                            self.parts.endpoint.consume(taken);
                            encoded += taken;
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
                Poll::Ready(BodyFrame::End) => {
                    self.parts.rules.on_response_end(|| self.parts.endpoint.response_trailers().is_some());
                    encoder.finish()
                }
                Poll::Pending if encoder.needs_flush() => encoder.flush(),
                Poll::Pending => {
                    self.encoder = Some(encoder);
                    self.wait_for_endpoint(cx)?;
                    return Ok(Poll::Pending);
                }
            };
            outcome.map_err(|_| TransferError::Internal)?;
        }
    }

    /// Passes a head on.
    fn take_head(&mut self) -> Result<(), TransferError> {
        let status = self.parts.response.status;
        if status == StatusCode::CONTINUE {
            self.is_waiting &= !std::mem::take(&mut self.is_continue_awaited);
        }
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            self.parts.client.send_informational(self.parts.response)?;
            return Ok(());
        }
        self.encoder = self.parts.rules.on_response(self.parts.response)?.map(Box::new);
        self.parts.client.start_response(self.parts.response)?;
        if !self.parts.rules.keeps_response_fields() {
            self.parts.response.fields.release();
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            self.parts.endpoint.switch_protocols();
            self.is_switched = true;
            self.sending = Sending::Body;
        }
        self.is_waiting = false;
        self.receiving = Receiving::Body;
        Ok(())
    }

    /// Arranges to be woken when the endpoint has sent something, when its time is over, or when the client has gone.
    fn wait_for_endpoint(&mut self, cx: &mut Context<'_>) -> Result<(), TransferError> {
        if self.poll_time(cx).is_ready() {
            let what = match self.receiving {
                Receiving::Head => "no response in time",
                Receiving::Body | Receiving::End => "the response paused for too long",
            };
            return Err(UpstreamError::new(UpstreamErrorKind::Timeout, what).into());
        }
        if let Poll::Ready(outcome) = self.parts.client.poll_flush(cx) {
            outcome?;
        }
        // While the request's body is read, its end is noticed there.
        if self.is_sent()
            && !self.is_switched
            && let Poll::Ready(error) = self.parts.client.poll_gone(cx)
        {
            return Err(error.into());
        }
        Ok(())
    }

    /// Waits until the time of the endpoint is over. It begins with the wait.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { parts: TransferParts { timer, rules, .. }, .. } = self;
        if self.is_waiting {
            return timer.poll_expired(cx);
        }
        let is_sent = matches!(self.sending, Sending::Done | Sending::Abandoned(_));
        self.is_waiting = true;
        match self.receiving {
            // The time of the response begins once the request is sent, or its client waits for the endpoint.
            Receiving::Head if is_sent || self.is_continue_awaited => {
                timer.set(rules.response_due());
                timer.poll_expired(cx)
            }
            // The endpoint takes nothing.
            Receiving::Head if self.is_endpoint_full => timer.poll_after(cx, rules.idle_time()),
            // The client is waited for, and keeps its own time.
            Receiving::Head => {
                self.is_waiting = false;
                Poll::Pending
            }
            Receiving::Body if self.is_switched && is_sent => {
                timer.poll_after(cx, rules.idle_time().min(HALF_CLOSED_TIME))
            }
            Receiving::Body | Receiving::End => timer.poll_after(cx, rules.idle_time()),
        }
    }

    /// Whether nothing more of the request is sent.
    fn is_sent(&self) -> bool {
        matches!(self.sending, Sending::Done | Sending::Abandoned(_))
    }

    /// The failure to report when no response came: the one that was met first.
    fn first_failure(&mut self, error: UpstreamError) -> TransferError {
        match std::mem::replace(&mut self.sending, Sending::Done) {
            Sending::Abandoned(first) if error.kind == UpstreamErrorKind::ClosedUnanswered => first.into(),
            _ => error.into(),
        }
    }
}

fn drained() -> TransferError {
    UpstreamError::new(UpstreamErrorKind::Drained, "the endpoint has left").into()
}

#[cfg(test)]
mod tests;
