//! The HTTP/1 gate: decides on the raw bytes of requests before the parser behind it sees them.
//!
//! Two parsers that read one stream differently are how requests are smuggled. So the gate accepts
//! only what leaves no room for interpretation (RFC 9112, sections 2 to 7), releases whole heads, and
//! releases one request at a time: what a client sends ahead is kept until the answer is out. Pingora
//! would otherwise close after the answer and lose it.
//!
//! A refused head is replaced by a harmless one, so that the rejection is answered, recorded and counted
//! on the same path as every answer. There is no I/O here.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod tests;

use tokio::io::ReadBuf;

use crate::downstream::read_deadline::Awaiting;
use crate::http1::chunked::Chunked;
use crate::http1::head::{Framing, HeadBounds, HeadReader};
use crate::limits::Limits;
use crate::reply::rejection::Rejection;

/// What the parser behind the gate reads in place of a refused request.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n";

/// Follows one connection's requests.
#[derive(Debug)]
pub(crate) struct Gate {
    state: GateState,
    bounds: HeadBounds,
    /// A head that has not ended, or what was read together with the end of a request.
    kept: Vec<u8>,
    /// Bytes that may pass, in front of what comes next.
    ready: Vec<u8>,
    ready_taken: usize,
    rejection: Option<Rejection>,
    seen_request: bool,
    /// A head was released and the caller was not told yet.
    released_head: bool,
}

#[derive(Debug)]
enum GateState {
    /// Between requests or within a head.
    Head(HeadReader),
    /// So many bytes of a body are to come.
    Sized(u64),
    Chunked(Chunked),
    /// The request is complete; the answer is not.
    Answering {
        upgrade: bool,
    },
    /// Not HTTP any more.
    WebSocketTunnel,
    /// Refused: nothing further is read.
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

    /// Looks at bytes that were just read and says how many of them may pass as they are; the others
    /// are kept. An error is a body that breaks its framing after its head was released: there is no
    /// going on after it.
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

    /// Moves kept bytes that may pass by now into `buf` and says how many.
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

    /// The answer to the request under way is out: a request that was sent ahead may pass.
    ///
    /// Not before all of this request was taken: who drains its body would take the next for a part of it.
    pub(crate) fn request_finished(&mut self) -> Result<(), Rejection> {
        if matches!(self.state, GateState::Answering { .. }) && self.ready_len() == 0 {
            self.state = GateState::Head(HeadReader::new(self.bounds));
            self.advance_kept()?;
        }
        Ok(())
    }

    /// The answer was 101: from here on bytes mean what both ends agreed on.
    pub(crate) fn upgraded(&mut self) -> Result<(), Rejection> {
        if matches!(self.state, GateState::Answering { upgrade: true }) {
            self.state = GateState::WebSocketTunnel;
            self.advance_kept()?;
        }
        Ok(())
    }

    /// Gives the connection up for `refusal`; the stand-in becomes ready.
    pub(crate) fn reject(&mut self, rejection: Rejection) {
        self.rejection = Some(rejection);
        self.state = GateState::Refused;
        self.kept = Vec::new();
        self.ready = STAND_IN.to_vec();
        self.ready_taken = 0;
        self.released_head = true;
    }

    /// Whether a head was released since this was last asked.
    pub(crate) fn take_released_head(&mut self) -> bool {
        std::mem::take(&mut self.released_head)
    }

    /// Why the head that was just released is only a stand-in.
    pub(crate) fn take_rejection(&mut self) -> Option<Rejection> {
        self.rejection.take()
    }

    /// Whether reading must wait for the answer, since a further request has begun to come: what it
    /// holds stays with the client, not in our memory.
    pub(crate) fn is_holding(&self) -> bool {
        matches!(self.state, GateState::Answering { .. }) && !self.kept.is_empty()
    }

    /// Whether a next request, or a part of it, has come before the answer is out. The end of the
    /// stream then only means that nothing follows it.
    pub(crate) fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// The client has not sent all of its request.
    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self.state, GateState::Sized(_) | GateState::Chunked(_) | GateState::Refused)
    }

    /// What the client owes.
    pub(crate) fn awaiting(&self) -> Awaiting {
        match self.state {
            // An empty line after a request is a habit of old clients, and no beginning of another one.
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

    /// Goes through `bytes` as far as they may pass.
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
                    // Its head has not passed yet: the whole request is refused like a bad head.
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
