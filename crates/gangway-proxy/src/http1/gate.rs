//! The HTTP/1 gate: checks the raw bytes of requests before Pingora's parser sees them.
//!
//! Two parsers that read one stream differently make request smuggling possible. So the gate accepts only requests
//! that cannot be interpreted in several ways (RFC 9112, sections 2 to 7), releases whole heads, and releases one
//! request at a time: a request that a client sends ahead is kept until the current answer is out. Pingora would
//! otherwise close after the answer and lose it.
//!
//! A rejected head is replaced by a harmless one, so that the rejection is answered, recorded and counted on the same
//! path as every answer. There is no I/O here.

#[cfg(test)]
mod agreement;
mod chunked;
#[cfg(test)]
mod tests;

use tokio::io::ReadBuf;

use crate::downstream::read_deadline::Awaiting;
use crate::http1::gate::chunked::Chunked;
use crate::http1::head::{Framing, HeadReader};
use crate::http1::request_parser::HeadBounds;
use crate::limits::Limits;
use crate::reply::rejection::Rejection;

/// The request that Pingora's parser reads in place of a rejected one.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n";

/// Follows the requests of one connection.
#[derive(Debug)]
pub(crate) struct Gate {
    state: GateState,
    bounds: HeadBounds,
    /// A head that has not ended, or bytes that were read together with the end of a request.
    kept: Vec<u8>,
    /// Bytes that may pass, before any later ones.
    ready: Vec<u8>,
    ready_taken: usize,
    rejection: Option<Rejection>,
    seen_request: bool,
    /// A head was released and the caller has not asked yet.
    released_head: bool,
}

#[derive(Debug)]
enum GateState {
    /// Between requests or within a head.
    Head(HeadReader),
    /// This many bytes of the body are to come.
    Sized(u64),
    Chunked(Chunked),
    /// The request is complete; its answer is not.
    Answering {
        upgrade: bool,
    },
    /// The protocol was switched.
    WebSocketTunnel,
    /// A request was rejected: nothing further is read.
    Refused,
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let bounds = HeadBounds { bytes: limits.head_bytes, fields: limits.head_fields, target: limits.target_bytes };
        Self {
            state: GateState::Head(HeadReader::new(bounds)),
            bounds,
            kept: Vec::new(),
            ready: Vec::new(),
            ready_taken: 0,
            rejection: None,
            seen_request: false,
            released_head: false,
        }
    }

    /// Checks bytes that were just read and returns how many of them may pass unchanged; the others are kept. An
    /// error means that a body breaks its framing after its head was released, so that the connection must end.
    pub(crate) fn inspect(&mut self, fresh: &[u8]) -> Result<usize, Rejection> {
        if self.ready_len() > 0 || !self.kept.is_empty() {
            self.kept.extend_from_slice(fresh);
            self.advance_kept()?;
            return Ok(0);
        }
        let passed = self.advance(fresh)?;
        if !matches!(self.state, GateState::Refused) {
            self.kept.extend_from_slice(&fresh[passed..]);
        }
        Ok(passed)
    }

    /// Moves kept bytes that may pass by now into `buf` and returns how many.
    pub(crate) fn take_ready(&mut self, buf: &mut ReadBuf<'_>) -> usize {
        let len = buf.remaining().min(self.ready_len());
        buf.put_slice(&self.ready[self.ready_taken..self.ready_taken + len]);
        self.ready_taken += len;
        if self.ready_len() == 0 {
            self.ready = Vec::new();
            self.ready_taken = 0;
        }
        len
    }

    /// Notes that the answer to the current request is out, so that a request that was sent ahead may pass.
    ///
    /// Waits until all bytes of the current request were taken: otherwise Pingora, while it drains the body, would
    /// take the next request for a part of it.
    pub(crate) fn request_finished(&mut self) -> Result<(), Rejection> {
        if matches!(self.state, GateState::Answering { .. }) && self.ready_len() == 0 {
            self.state = GateState::Head(HeadReader::new(self.bounds));
            self.advance_kept()?;
        }
        Ok(())
    }

    /// Notes that the answer was 101: from here on, bytes belong to the new protocol.
    pub(crate) fn upgraded(&mut self) -> Result<(), Rejection> {
        if matches!(self.state, GateState::Answering { upgrade: true }) {
            self.state = GateState::WebSocketTunnel;
            self.advance_kept()?;
        }
        Ok(())
    }

    /// Rejects what the client sent. Nothing further is read, and the stand-in becomes ready.
    pub(crate) fn reject(&mut self, rejection: Rejection) {
        self.rejection = Some(rejection);
        self.state = GateState::Refused;
        self.kept = Vec::new();
        self.ready = STAND_IN.to_vec();
        self.ready_taken = 0;
        self.released_head = true;
    }

    /// Whether a head was released since the last call.
    pub(crate) fn take_released_head(&mut self) -> bool {
        std::mem::take(&mut self.released_head)
    }

    /// The reason, if the head that was just released is the stand-in.
    pub(crate) fn take_rejection(&mut self) -> Option<Rejection> {
        self.rejection.take()
    }

    /// Whether reading must wait for the answer, because another request has begun to come. Its remaining bytes stay
    /// with the client instead of in our memory.
    pub(crate) fn is_holding(&self) -> bool {
        matches!(self.state, GateState::Answering { .. }) && !self.kept.is_empty()
    }

    /// Whether a further request, or a part of it, came before the answer was out. The end of the stream then means
    /// only that nothing follows that request.
    pub(crate) fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Whether the client has not sent all of its request.
    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self.state, GateState::Sized(_) | GateState::Chunked(_) | GateState::Refused)
    }

    /// What the client has to send next.
    pub(crate) fn awaiting(&self) -> Awaiting {
        match self.state {
            // Old clients send an empty line after a request, which does not begin another one.
            GateState::Head(_) if !b"\r\n".starts_with(&self.kept) => Awaiting::RestOfHead,
            GateState::Head(_) if self.seen_request => Awaiting::NextRequest,
            GateState::Head(_) => Awaiting::FirstBytes,
            GateState::Sized(_) | GateState::Chunked(_) => Awaiting::Body,
            GateState::Answering { .. } | GateState::WebSocketTunnel | GateState::Refused => Awaiting::Nothing,
        }
    }

    fn ready_len(&self) -> usize {
        self.ready.len() - self.ready_taken
    }

    fn advance_kept(&mut self) -> Result<(), Rejection> {
        let kept = std::mem::take(&mut self.kept);
        let passed = self.advance(&kept)?;
        if matches!(self.state, GateState::Refused) {
            return Ok(());
        }
        self.ready.extend_from_slice(&kept[..passed]);
        self.kept = kept;
        self.kept.drain(..passed);
        Ok(())
    }

    /// Follows `bytes` as far as they may pass.
    fn advance(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.state {
                GateState::Head(head) => match head.read(&bytes[at..]) {
                    Ok(Some((len, framing))) => {
                        self.begin_request(framing);
                        at += len;
                    }
                    Ok(None) => return Ok(at),
                    Err(rejection) => {
                        self.reject(rejection);
                        return Ok(0);
                    }
                },
                GateState::Sized(left) => {
                    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - at);
                    *left -= len as u64;
                    at += len;
                    if *left == 0 {
                        self.state = GateState::Answering { upgrade: false };
                    }
                }
                GateState::Chunked(chunked) => match chunked.read(&bytes[at..]) {
                    Ok(len) => {
                        at += len;
                        if chunked.has_ended() {
                            self.state = GateState::Answering { upgrade: false };
                        }
                    }
                    // The head has not passed yet, so the whole request can be rejected like a bad head.
                    Err(rejection) if self.released_head => {
                        self.reject(rejection);
                        return Ok(0);
                    }
                    Err(rejection) => {
                        self.state = GateState::Refused;
                        return Err(rejection);
                    }
                },
                GateState::Answering { .. } | GateState::Refused => return Ok(at),
                GateState::WebSocketTunnel => return Ok(bytes.len()),
            }
        }
        Ok(at)
    }

    fn begin_request(&mut self, framing: Framing) {
        self.seen_request = true;
        self.released_head = true;
        self.state = match framing {
            Framing::None { upgrade } => GateState::Answering { upgrade },
            Framing::Sized(len) => GateState::Sized(len),
            Framing::Chunked => GateState::Chunked(Chunked::new()),
        };
    }
}
