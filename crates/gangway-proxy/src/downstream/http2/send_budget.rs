//! Bounds the bytes of responses that a connection buffers because its client does not take them.
//!
//! The h2 library bounds what it buffers for a stream, but not for a connection. A client with large windows that reads
//! nothing would make it hold the most for every stream.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Buf;
use parking_lot::Mutex;

use crate::buffer_pool::{self, BUFFER_LEN, Buffer, FRONT_LEN};
use crate::downstream::http2::watched_io::HELD_MAX;

/// Bytes of bodies that a connection buffers, together with those that its byte stream holds back. The one piece that
/// begins below this bound may exceed it.
const BUFFERED_MAX: usize = 128 * 1024 - HELD_MAX;

/// From this length on a piece is kept in a buffer of the pool, of which it then leaves little unused.
const POOLED_MIN: usize = BUFFER_LEN / 4 * 3;

/// Shorter pieces are copied fast wherever they are.
const FRONTED_MIN: usize = 2 * 1024;

/// The bytes of bodies that were given to the h2 library for one connection and that it has not written yet.
#[derive(Debug, Default)]
pub(super) struct SendBudget(Mutex<Buffered>);

#[derive(Debug, Default)]
struct Buffered {
    bytes: usize,
    /// The number of pieces of each stream that has some. There are few, so they are searched from the start.
    pieces: Vec<(u32, u32)>,
    /// The tasks of streams that wait for room, or for their own pieces to be written.
    waiting: Vec<(u32, Waker)>,
}

/// A place for a piece in the budget, until it is dropped.
#[derive(Debug)]
pub(super) struct SendHold {
    budget: Arc<SendBudget>,
    stream: u32,
    len: usize,
}

/// A piece of a body on its way to the client. The h2 library drops it once it is written.
#[derive(Debug)]
pub(super) struct SendPiece {
    bytes: PieceBytes,
    /// Where the bytes that were not written yet begin and end.
    at: usize,
    end: usize,
    _hold: Option<SendHold>,
}

#[derive(Debug)]
enum PieceBytes {
    None,
    Own(Box<[u8]>),
    Pooled(Buffer),
}

impl SendBudget {
    /// Waits for room and takes it for `len` bytes.
    pub(super) fn poll_take(self: &Arc<Self>, stream: u32, len: usize, cx: &Context<'_>) -> Poll<SendHold> {
        let mut buffered = self.0.lock();
        if buffered.bytes >= BUFFERED_MAX {
            buffered.wait(stream, cx);
            return Poll::Pending;
        }
        buffered.add(stream, len);
        Poll::Ready(SendHold { budget: Arc::clone(self), stream, len })
    }

    /// A place for a piece without bytes, for which there is always room.
    pub(super) fn mark(self: &Arc<Self>, stream: u32) -> SendHold {
        self.0.lock().add(stream, 0);
        SendHold { budget: Arc::clone(self), stream, len: 0 }
    }

    /// Whether pieces of the stream are still to be written.
    pub(super) fn has_pieces(&self, stream: u32) -> bool {
        self.0.lock().pieces.iter().any(|(of, _)| *of == stream)
    }

    /// Waits until all pieces of the stream were written, or dropped because the connection has ended.
    pub(super) fn poll_written(&self, stream: u32, cx: &Context<'_>) -> Poll<()> {
        let mut buffered = self.0.lock();
        if buffered.pieces.iter().all(|(of, _)| *of != stream) {
            return Poll::Ready(());
        }
        buffered.wait(stream, cx);
        Poll::Pending
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.0.lock().bytes
    }
}

impl Buffered {
    fn add(&mut self, stream: u32, len: usize) {
        self.bytes += len;
        match self.pieces.iter_mut().find(|(of, _)| *of == stream) {
            Some((_, pieces)) => *pieces += 1,
            None => self.pieces.push((stream, 1)),
        }
    }

    fn wait(&mut self, stream: u32, cx: &Context<'_>) {
        match self.waiting.iter_mut().find(|(of, _)| *of == stream) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => self.waiting.push((stream, cx.waker().clone())),
        }
    }
}

impl Drop for SendHold {
    fn drop(&mut self) {
        let mut buffered = self.budget.0.lock();
        buffered.bytes -= self.len;
        if let Some(at) = buffered.pieces.iter().position(|(of, _)| *of == self.stream) {
            buffered.pieces[at].1 -= 1;
            if buffered.pieces[at].1 == 0 {
                buffered.pieces.swap_remove(at);
            }
        }
        // All of them, since each may wait for something else. They are no more than the streams.
        let waiting = std::mem::take(&mut buffered.waiting);
        drop(buffered);
        for (_, waker) in waiting {
            waker.wake();
        }
    }
}

impl SendPiece {
    /// A copy of `bytes`.
    pub(super) fn new(bytes: &[u8], hold: SendHold) -> Self {
        if (POOLED_MIN..=BUFFER_LEN).contains(&bytes.len()) {
            let mut buffer = buffer_pool::take();
            buffer[..bytes.len()].copy_from_slice(bytes);
            return Self { bytes: PieceBytes::Pooled(buffer), at: 0, end: bytes.len(), _hold: Some(hold) };
        }
        // As in a buffer, the front of a larger block stays unused.
        let at = if bytes.len() < FRONTED_MIN { 0 } else { FRONT_LEN };
        let end = at + bytes.len();
        let mut own = Vec::with_capacity(end);
        own.resize(at, 0);
        own.extend_from_slice(bytes);
        Self { bytes: PieceBytes::Own(own.into_boxed_slice()), at, end, _hold: Some(hold) }
    }

    /// A piece without bytes, to end a stream.
    pub(super) fn end() -> Self {
        Self { bytes: PieceBytes::None, at: 0, end: 0, _hold: None }
    }

    /// A piece without bytes, to notice when all before it was written.
    pub(super) fn marker(hold: SendHold) -> Self {
        Self { bytes: PieceBytes::None, at: 0, end: 0, _hold: Some(hold) }
    }
}

impl Buf for SendPiece {
    fn remaining(&self) -> usize {
        self.end - self.at
    }

    fn chunk(&self) -> &[u8] {
        match &self.bytes {
            PieceBytes::None => &[],
            PieceBytes::Own(bytes) => &bytes[self.at..self.end],
            PieceBytes::Pooled(buffer) => &buffer[self.at..self.end],
        }
    }

    fn advance(&mut self, len: usize) {
        assert!(len <= self.remaining(), "more bytes are taken than are there");
        self.at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_any_length_gives_the_bytes_that_it_was_made_of() {
        let budget = Arc::new(SendBudget::default());
        for len in [0, 1, FRONTED_MIN, POOLED_MIN - 1, POOLED_MIN, BUFFER_LEN, BUFFER_LEN + 1] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut piece = SendPiece::new(&bytes, budget.mark(1));
            assert_eq!((piece.remaining(), piece.chunk()), (len, &bytes[..]));
            piece.advance(len / 2);
            assert_eq!((piece.remaining(), piece.chunk()), (len - len / 2, &bytes[len / 2..]));
            assert_eq!(matches!(piece.bytes, PieceBytes::Pooled(_)), (POOLED_MIN..=BUFFER_LEN).contains(&len));
        }
    }

    #[test]
    fn room_is_given_back_with_the_piece() {
        let budget = Arc::new(SendBudget::default());
        let cx = Context::from_waker(Waker::noop());
        let mut pieces = Vec::new();
        while let Poll::Ready(hold) = budget.poll_take(1, BUFFERED_MAX / 8, &cx) {
            pieces.push(SendPiece::new(b"x", hold));
        }
        assert_eq!(budget.bytes(), BUFFERED_MAX);
        assert!(budget.poll_take(3, 1, &cx).is_pending());
        assert!(budget.has_pieces(1) && !budget.has_pieces(3));
        pieces.pop();
        let other = budget.poll_take(3, 1, &cx);
        assert!(other.is_ready() && budget.has_pieces(3));
        assert!(budget.poll_written(1, &cx).is_pending());
        pieces.clear();
        assert!(budget.poll_written(1, &cx).is_ready());
        drop(other);
        assert_eq!(budget.bytes(), 0);
    }
}
