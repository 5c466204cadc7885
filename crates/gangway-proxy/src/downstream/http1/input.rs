//! Bytes that have come from a client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::buffer_pool::{self, Buffer};

/// Bytes that have come and were not taken yet. No buffer is held while there are none.
#[derive(Debug, Default)]
pub(crate) struct ClientInput {
    storage: Option<InputBuffer>,
    start: usize,
    end: usize,
}

#[derive(Debug)]
enum InputBuffer {
    Pooled(Buffer),
    /// For a head that does not fit into a buffer of the pool.
    Large(Box<[u8]>),
}

impl ClientInput {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.storage.as_ref().map_or(&[], |storage| &storage.bytes()[self.start..self.end])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether there is no room for another byte.
    pub(crate) fn is_full(&self) -> bool {
        self.end == self.memory()
    }

    /// Gives the buffer back if nothing is in it.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// The bytes of memory that it holds.
    pub(crate) fn memory(&self) -> usize {
        self.storage.as_ref().map_or(0, |storage| storage.bytes().len())
    }

    /// Takes bytes from the beginning.
    pub(crate) fn consume(&mut self, len: usize) {
        self.start += len;
        debug_assert!(self.start <= self.end, "only bytes that are there are taken");
        if self.start == self.end {
            *self = Self::default();
        }
    }

    /// Takes bytes from the beginning, and keeps the buffer up to the next read that finds nothing.
    pub(crate) fn consume_and_keep(&mut self, len: usize) {
        self.start += len;
        debug_assert!(self.start <= self.end, "only bytes that are there are taken");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads more bytes, and returns how many. 0 is the end of the stream.
    ///
    /// The buffer grows if it is full. So the caller reads on only as long as bytes are missing that its bounds allow.
    pub(crate) fn poll_fill(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let storage = match self.storage.take() {
            None => InputBuffer::Pooled(buffer_pool::take()),
            Some(storage) => self.with_room(storage),
        };
        let storage = self.storage.insert(storage);
        let mut space = ReadBuf::new(&mut storage.bytes_mut()[self.end..]);
        let outcome = Pin::new(io).poll_read(cx, &mut space);
        let len = space.filled().len();
        self.end += len;
        self.shrink();
        ready!(outcome)?;
        Poll::Ready(Ok(len))
    }

    fn with_room(&mut self, mut storage: InputBuffer) -> InputBuffer {
        let space = storage.bytes_mut();
        if self.end < space.len() {
            return storage;
        }
        let kept = self.start..self.end;
        let len = kept.len();
        let storage = if self.start > 0 {
            space.copy_within(kept, 0);
            storage
        } else {
            let mut larger = vec![0; 2 * len].into_boxed_slice();
            larger[..len].copy_from_slice(space);
            InputBuffer::Large(larger)
        };
        (self.start, self.end) = (0, len);
        storage
    }
}

impl InputBuffer {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Pooled(buffer) => buffer,
            Self::Large(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Pooled(buffer) => buffer,
            Self::Large(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::buffer_pool::BUFFER_LEN;

    async fn fill(input: &mut ClientInput, mut io: &[u8]) -> usize {
        poll_fn(|cx| input.poll_fill(&mut io, cx)).await.expect("a slice has no faults")
    }

    #[tokio::test]
    async fn bytes_are_taken_in_order_and_an_empty_input_holds_no_buffer() {
        let mut input = ClientInput::default();
        assert_eq!(fill(&mut input, b"").await, 0);
        assert!(input.storage.is_none());
        assert_eq!(fill(&mut input, b"abc").await, 3);
        input.consume(1);
        assert_eq!(fill(&mut input, b"d").await, 1);
        assert_eq!(input.bytes(), b"bcd");
        input.consume(3);
        assert!(input.is_empty() && input.storage.is_none());
    }

    #[tokio::test]
    async fn a_buffer_that_is_kept_is_given_back_by_a_read_that_finds_nothing() {
        let mut input = ClientInput::default();
        assert_eq!(fill(&mut input, b"abc").await, 3);
        input.consume_and_keep(1);
        assert_eq!((input.bytes(), input.is_empty()), (&b"bc"[..], false));
        input.consume_and_keep(2);
        assert!(input.is_empty() && input.storage.is_some());
        assert_eq!(fill(&mut input, b"de").await, 2);
        assert_eq!(input.bytes(), b"de");
        input.consume_and_keep(2);
        let (mut nothing, _other_end) = tokio::io::duplex(1);
        assert!(poll_fn(|cx| Poll::Ready(input.poll_fill(&mut nothing, cx).is_pending())).await);
        assert!(input.is_empty() && input.storage.is_none());
    }

    #[tokio::test]
    async fn room_is_made_at_the_front_first_and_then_by_growing() {
        let bytes: Vec<u8> = (0..3 * BUFFER_LEN).map(|at| at as u8).collect();
        let mut input = ClientInput::default();
        assert_eq!(fill(&mut input, &bytes).await, BUFFER_LEN);
        input.consume(100);
        assert_eq!(fill(&mut input, &bytes[BUFFER_LEN..]).await, 100);
        assert!(matches!(input.storage, Some(InputBuffer::Pooled(_))));
        assert_eq!(fill(&mut input, &bytes[BUFFER_LEN + 100..]).await, BUFFER_LEN);
        assert!(matches!(input.storage, Some(InputBuffer::Large(_))));
        assert_eq!(input.bytes(), &bytes[100..2 * BUFFER_LEN + 100]);
    }
}
