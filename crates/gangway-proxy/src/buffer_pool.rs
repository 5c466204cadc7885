//! Buffers for bytes on their way, shared by the connections of a thread.
//!
//! A connection takes a buffer while bytes are there and gives it back afterwards, so an idle connection holds none.
//! A buffer that was just used is still in the cache of its core; that is why the one given back last is taken first,
//! and why buffers are small.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// The memory that a buffer takes: what a TLS record carries.
const BLOCK_LEN: usize = 16 * 1024;

/// Bytes at the front of the memory that no buffer uses.
///
/// Large blocks of memory begin at the same place modulo 4096, and TLS copies what it encrypts to a place some bytes
/// behind the beginning of one. Processors by AMD copy 25 times more slowly if the destination lies up to 62 bytes
/// behind the source, modulo 4096: by the instruction that the C library uses for 2 to 4 KiB and more (bug 30994 of glibc).
/// So buffers begin further behind.
///
/// The bytes that are missing leave room for the nine bytes before an HTTP/2 frame or the size of a chunk: a full buffer
/// and its frame fit into one TLS record.
pub(crate) const FRONT_LEN: usize = 128;

/// The bytes of a buffer.
pub(crate) const BUFFER_LEN: usize = BLOCK_LEN - FRONT_LEN;

/// The memory that a wide buffer takes: what three TLS records carry.
const WIDE_BLOCK_LEN: usize = 3 * BLOCK_LEN;

/// The bytes of a wide buffer.
pub(crate) const WIDE_LEN: usize = WIDE_BLOCK_LEN - FRONT_LEN;

/// The unused buffers that a thread keeps. Further ones go back to the allocator.
const UNUSED_MAX: usize = 64;

/// The unused wide buffers that a thread keeps. A task gives its own back before the next one runs, unless its client
/// is slow; so one is enough for all that are fast.
const UNUSED_WIDE_MAX: usize = 8;

thread_local! {
    static UNUSED: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    static UNUSED_WIDE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    static UNUSED_GROWING: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`BUFFER_LEN`] or of [`WIDE_LEN`] bytes. Dropped, it goes to the pool of the thread that drops it.
///
/// It is not emptied in between: its user has to know how many bytes of it count.
pub(crate) struct Buffer(Box<[u8]>);

/// Takes a buffer out of the pool of this thread, or makes one.
pub(crate) fn take() -> Buffer {
    let unused = UNUSED.try_with(|unused| unused.borrow_mut().pop()).ok().flatten();
    Buffer(unused.unwrap_or_else(|| vec![0; BLOCK_LEN].into_boxed_slice()))
}

/// Takes a buffer of [`WIDE_LEN`] bytes.
pub(crate) fn take_wide() -> Buffer {
    let unused = UNUSED_WIDE.try_with(|unused| unused.borrow_mut().pop()).ok().flatten();
    Buffer(unused.unwrap_or_else(|| vec![0; WIDE_BLOCK_LEN].into_boxed_slice()))
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[FRONT_LEN..]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0[FRONT_LEN..]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        let (pool, max) = match bytes.len() {
            WIDE_BLOCK_LEN => (&UNUSED_WIDE, UNUSED_WIDE_MAX),
            _ => (&UNUSED, UNUSED_MAX),
        };
        // A thread that ends has no pool any more.
        let _ = pool.try_with(|unused| {
            let mut unused = unused.borrow_mut();
            if unused.len() < max {
                unused.push(bytes);
            }
        });
    }
}

impl fmt::Debug for Buffer {
    /// Without the bytes, which may be a secret of a request that is long over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buffer")
    }
}

/// A buffer with room for [`BUFFER_LEN`] bytes that are written one after the other, empty at first. Dropped, it goes to
/// the pool of the thread that drops it, unless it has grown.
pub(crate) struct GrowingBuffer {
    /// The front that no buffer uses, and then its bytes.
    block: Vec<u8>,
}

/// Takes an empty buffer out of the pool of this thread, or makes one.
pub(crate) fn take_growing() -> GrowingBuffer {
    let unused = UNUSED_GROWING.try_with(|unused| unused.borrow_mut().pop()).ok().flatten();
    let block = unused.unwrap_or_else(|| {
        let mut block = Vec::with_capacity(BLOCK_LEN);
        block.resize(FRONT_LEN, 0);
        block
    });
    GrowingBuffer { block }
}

impl GrowingBuffer {
    /// The bytes and the unused front before them, for more to be appended.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.block
    }

    /// Drops bytes at the beginning.
    pub(crate) fn drop_first(&mut self, len: usize) {
        self.block.drain(FRONT_LEN..FRONT_LEN + len);
    }
}

impl Deref for GrowingBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.block[FRONT_LEN..]
    }
}

impl Drop for GrowingBuffer {
    fn drop(&mut self) {
        let mut block = std::mem::take(&mut self.block);
        if block.capacity() > BLOCK_LEN {
            return;
        }
        block.truncate(FRONT_LEN);
        let _ = UNUSED_GROWING.try_with(|unused| {
            let mut unused = unused.borrow_mut();
            if unused.len() < UNUSED_MAX {
                unused.push(block);
            }
        });
    }
}

impl fmt::Debug for GrowingBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrowingBuffer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processors compare addresses modulo this number to find out whether a copy may overlap.
    const PAGE_LEN: usize = 4096;

    /// A destination that lies some bytes behind its source, modulo a page, and less than this, is slow.
    const SLOW_BELOW: usize = 64;

    /// The header of a TLS record.
    const RECORD_HEADER_LEN: usize = 5;

    #[test]
    fn tls_copies_bytes_of_buffers_to_no_place_right_behind_them() {
        let mut growing = take_growing();
        growing.end().extend_from_slice(&[0; BUFFER_LEN]);
        let (buffer, wide) = (take(), take_wide());
        for len in (PAGE_LEN / 2..=BLOCK_LEN).step_by(500) {
            // Several of each length, for they begin at different places of a page.
            let records: Vec<Vec<u8>> = (0..4).map(|_| Vec::with_capacity(RECORD_HEADER_LEN + len)).collect();
            for record in &records {
                for source in [&*buffer, &*growing, &*wide] {
                    let destination = record.as_ptr().addr() + RECORD_HEADER_LEN;
                    let behind = destination.wrapping_sub(source.as_ptr().addr()) % PAGE_LEN;
                    assert!(!(1..SLOW_BELOW).contains(&behind), "a record of {len} bytes lies {behind} bytes behind");
                }
            }
        }
    }

    fn unused() -> usize {
        UNUSED.with_borrow(Vec::len)
    }

    #[test]
    fn a_buffer_is_used_again_and_the_unused_ones_are_bounded() {
        let first = take();
        let place = first.as_ptr();
        assert_eq!(first.len(), BUFFER_LEN);
        drop(first);
        let again = take();
        assert_eq!((again.as_ptr(), unused()), (place, 0));
        let many: Vec<Buffer> = (0..2 * UNUSED_MAX).map(|_| take()).collect();
        drop(many);
        assert_eq!(unused(), UNUSED_MAX);
        let wide: Vec<Buffer> = (0..2 * UNUSED_WIDE_MAX).map(|_| take_wide()).collect();
        assert!(wide.iter().all(|buffer| buffer.len() == WIDE_LEN));
        drop(wide);
        assert_eq!((unused(), UNUSED_WIDE.with_borrow(Vec::len)), (UNUSED_MAX, UNUSED_WIDE_MAX));
        assert_eq!((take().len(), take_wide().len()), (BUFFER_LEN, WIDE_LEN));
    }

    #[test]
    fn a_buffer_that_has_grown_is_not_kept() {
        let mut first = take_growing();
        first.end().extend_from_slice(b"xyz");
        first.drop_first(1);
        assert_eq!(*first, *b"yz");
        let place = first.as_ptr();
        drop(first);
        let mut again = take_growing();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        again.end().resize(BLOCK_LEN + 1, 0);
        drop(again);
        assert_eq!(UNUSED_GROWING.with_borrow(Vec::len), 0);
    }

    #[test]
    fn a_buffer_may_be_dropped_by_another_thread() {
        let mut buffer = take();
        buffer[0] = 1;
        std::thread::spawn(move || {
            drop(buffer);
            assert_eq!((unused(), take()[0]), (1, 1));
        })
        .join()
        .expect("no panic");
        assert_eq!(unused(), 0);
    }
}
