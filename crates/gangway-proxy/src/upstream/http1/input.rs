//! The bytes that have come from an endpoint and are not used yet.

use crate::buffer_pool::{self, BUFFER_LEN, Buffer, WIDE_LEN};
use crate::message::response_head::HEAD_MAX;
use crate::stream::read_width::ReadWidth;

/// Room for the largest head, and for what comes with its end.
const LARGE_LEN: usize = HEAD_MAX + BUFFER_LEN;

/// A buffer that is there only while bytes are.
#[derive(Debug, Default)]
pub(crate) struct ResponseInput {
    store: InputStore,
    start: usize,
    end: usize,
    /// Whether the last read has filled its buffer, or a narrow one at least.
    is_much_coming: bool,
}

#[derive(Debug, Default)]
enum InputStore {
    #[default]
    Absent,
    Pooled(Buffer),
    /// For a head that is larger than a buffer.
    Large(Box<[u8]>),
}

impl ResponseInput {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.store.bytes()[self.start..self.end]
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes bytes from the front.
    pub(crate) fn consume(&mut self, len: usize) {
        debug_assert!(len <= self.len(), "only bytes that are there can be taken");
        self.start += len.min(self.len());
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if matches!(self.store, InputStore::Large(_)) {
                self.store = InputStore::Absent;
            }
        }
    }

    /// Room for further bytes; empty only if the largest head has found no end in it.
    pub(crate) fn space(&mut self, width: ReadWidth) -> &mut [u8] {
        let is_wide = width == ReadWidth::Wide && self.is_much_coming;
        if self.is_empty() && self.store.bytes().len() != if is_wide { WIDE_LEN } else { BUFFER_LEN } {
            // The one before goes first, so that it is there for the next taker.
            self.store = InputStore::Absent;
            self.store = InputStore::Pooled(if is_wide { buffer_pool::take_wide() } else { buffer_pool::take() });
        }
        if self.end == self.store.bytes().len() {
            self.make_room();
        }
        &mut self.store.bytes_mut()[self.end..]
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            let (start, end) = (self.start, self.end);
            self.store.bytes_mut().copy_within(start..end, 0);
            self.end -= start;
            self.start = 0;
        } else if let InputStore::Pooled(buffer) = &self.store {
            let mut large = vec![0; LARGE_LEN].into_boxed_slice();
            large[..self.end].copy_from_slice(&buffer[..self.end]);
            self.store = InputStore::Large(large);
        }
    }

    /// Notes that this many bytes of the space were filled.
    pub(crate) fn filled(&mut self, len: usize) {
        self.end += len;
        self.is_much_coming = self.end == self.store.bytes().len() || len > BUFFER_LEN;
    }

    /// Whether the last read has brought so much that more may be there.
    pub(crate) fn is_much_coming(&self) -> bool {
        self.is_much_coming
    }

    /// Gives the buffer back if nothing is in it.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            self.store = InputStore::Absent;
        }
    }
}

impl InputStore {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Absent => &[],
            Self::Pooled(buffer) => buffer,
            Self::Large(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Absent => &mut [],
            Self::Pooled(buffer) => buffer,
            Self::Large(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(input: &mut ResponseInput, byte: u8) -> usize {
        let space = input.space(ReadWidth::Narrow);
        space.fill(byte);
        let len = space.len();
        input.filled(len);
        len
    }

    /// Reads up to this many bytes, all of which are used at once. Returns how many a read could have brought.
    fn pass(input: &mut ResponseInput, width: ReadWidth, len: usize) -> usize {
        let space = input.space(width).len();
        input.filled(len.min(space));
        input.consume(input.len());
        space
    }

    #[test]
    fn reads_are_wide_while_they_bring_more_than_a_narrow_one_could() {
        let (mut input, all) = (ResponseInput::default(), usize::MAX);
        let widths = [
            // The first read of a body is as any other.
            (100, ReadWidth::Wide, BUFFER_LEN),
            (all, ReadWidth::Wide, BUFFER_LEN),
            (all, ReadWidth::Wide, WIDE_LEN),
            (BUFFER_LEN + 1, ReadWidth::Wide, WIDE_LEN),
            // The client is behind.
            (all, ReadWidth::Narrow, BUFFER_LEN),
            (BUFFER_LEN, ReadWidth::Wide, WIDE_LEN),
            (all, ReadWidth::Wide, BUFFER_LEN),
        ];
        for (at, (len, width, expected)) in widths.into_iter().enumerate() {
            assert_eq!(pass(&mut input, width, len), expected, "read {at}");
        }
        input.shrink();
        assert!(matches!(input.store, InputStore::Absent));
        assert_eq!(pass(&mut input, ReadWidth::Wide, 1), WIDE_LEN, "a pause says nothing of what follows it");
    }

    #[test]
    fn an_input_grows_for_a_large_head_and_shrinks_behind_it() {
        let mut input = ResponseInput::default();
        assert_eq!(put(&mut input, b'a'), BUFFER_LEN);
        input.consume(BUFFER_LEN - 1);
        assert_eq!(put(&mut input, b'b'), BUFFER_LEN - 1);
        assert_eq!((input.bytes()[0], input.bytes()[1], input.len()), (b'a', b'b', BUFFER_LEN));
        assert_eq!(put(&mut input, b'c'), LARGE_LEN - BUFFER_LEN);
        assert_eq!((input.bytes()[0], input.bytes()[BUFFER_LEN], input.len()), (b'a', b'c', LARGE_LEN));
        assert_eq!(input.space(ReadWidth::Narrow).len(), 0, "that is the bound");
        input.consume(LARGE_LEN);
        assert_eq!(input.space(ReadWidth::Narrow).len(), BUFFER_LEN);
        input.shrink();
        assert!(matches!(input.store, InputStore::Absent));
    }
}
