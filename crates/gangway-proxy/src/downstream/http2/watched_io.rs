//! The bytes of one connection, with the deadlines that concern the connection as a whole.
//!
//! The h2 library writes and flushes each frame with a body by itself. Frames of several responses that are ready at once
//! are held back and leave together, in few TLS records and system calls.
//!
//! A client has to end its preface and each head in time, and it has to take bytes while there are some for it. The
//! deadlines of bodies and of waiting responses are those of their streams.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::buffer_pool::{self, BUFFER_LEN, GrowingBuffer};
use crate::downstream::byte_stream::ByteStream;
use crate::downstream::http2::unread_bodies::UnreadBodies;
use crate::downstream::http2::wakes::{ConnectionPart, Wakes};
use crate::http2::frames::{BAD_TRAILERS_MAX, Frames, Unfinished};
use crate::limits::Limits;
use crate::overload::memory_budget::MemoryBudget;
use crate::timer::Timer;

/// Bytes that are read and dropped at the end. Closing with unread bytes resets the connection, and the client would
/// lose the end of its last response.
const LAST_READ_MAX: usize = 64 * 1024;

/// Bytes that are read before the streams get their turn. With fewer, the frames of uploads that come by turns would go to
/// their endpoints one by one. Read on and on, the bodies of many uploads would pile up to the size of their windows
/// before the first of them goes on to its endpoint, out of the processor's cache.
const TURN_MAX: usize = 256 * 1024;

/// The most bytes that are held back to leave together: what a TLS record carries.
pub(super) const HELD_MAX: usize = BUFFER_LEN;

/// The most slices that leave together: the bytes held back, and two of the h2 library, the frame's header and its body.
const SLICES_MAX: usize = 4;

/// The byte stream of a connection, for the h2 library and for what serves the connection.
#[derive(Debug)]
pub(super) struct SharedIo<T>(Arc<Mutex<WatchedIo<T>>>);

/// A byte stream with deadlines.
#[derive(Debug)]
struct WatchedIo<T> {
    io: T,
    frames: Frames,
    memory: MemoryBudget,
    head_time: Duration,
    stalled_write: Duration,
    /// Set while a preface or a head has begun.
    head_due: Timer,
    /// Set while there are bytes that the client does not take, and what the socket had taken when it was set.
    write_due: Timer,
    bytes_written: u64,
    /// Bytes that were read in this turn.
    turn_len: usize,
    /// The bytes that are held back. No buffer while there are none.
    held: Option<GrowingBuffer>,
    /// Set once the streams of the connection are served. Before, nothing is held back.
    input: Option<Input>,
    state: Arc<IoState>,
}

/// Whether there may be something to read.
#[derive(Debug)]
struct Input {
    wakes: Arc<Wakes>,
    waker: Waker,
    /// Whether nothing was there at the last read. Then nothing is read before the waker was used.
    is_awaited: bool,
}

/// What the rest of the connection knows about its bytes.
#[derive(Debug, Default)]
pub(super) struct IoState {
    is_writing: AtomicBool,
    bad_trailers: Mutex<Vec<u32>>,
    pub(super) unread: UnreadBodies,
}

impl<T: ByteStream> SharedIo<T> {
    pub(super) fn new(io: T, limits: &Limits, memory: MemoryBudget, unread: UnreadBodies) -> (Self, Arc<IoState>) {
        let state = Arc::new(IoState { unread, ..IoState::default() });
        let mut head_due = Timer::default();
        head_due.set(Instant::now() + limits.head_time);
        let watched = WatchedIo {
            io,
            frames: Frames::default(),
            memory,
            head_time: limits.head_time,
            stalled_write: limits.stalled_write,
            head_due,
            write_due: Timer::default(),
            bytes_written: 0,
            turn_len: 0,
            held: None,
            input: None,
            state: Arc::clone(&state),
        };
        (Self(Arc::new(Mutex::new(watched))), state)
    }

    /// The same byte stream once more, for the h2 library.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// Holds bytes back from now on, until they are flushed by [`SharedIo::poll_flush_held`], and notes in `wakes` when
    /// there is something to read.
    pub(super) fn begin_session(&self, wakes: &Arc<Wakes>) {
        let waker = wakes.waker(ConnectionPart::Input);
        self.0.lock().input = Some(Input { wakes: Arc::clone(wakes), waker, is_awaited: false });
    }

    /// Whether bytes have come that were not read. Costs a system call.
    pub(super) fn has_unread(&self) -> bool {
        self.0.lock().io.has_unread()
    }

    /// Writes the bytes that were held back.
    pub(super) fn poll_flush_held(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_flush_held(cx)
    }
}

impl<T: ByteStream> WatchedIo<T> {
    /// Notes what the client has sent.
    fn inspect(&mut self, fresh: &[u8]) -> io::Result<()> {
        // The h2 library keeps bodies, as much as the windows allow, until their streams take them.
        self.memory.arrived(fresh.len());
        match self.frames.inspect(fresh) {
            Unfinished::Nothing => self.head_due.clear(),
            // The time of the preface runs from the start of the connection.
            Unfinished::Preface => {}
            Unfinished::Head if self.head_due.due().is_some() => {}
            Unfinished::Head => self.head_due.set(Instant::now() + self.head_time),
        }
        if self.frames.has_data() {
            self.state.unread.arrived(self.frames.take_data());
        }
        if self.frames.has_bad_trailers() {
            let mut bad = self.state.bad_trailers.lock();
            bad.extend(self.frames.take_bad_trailers());
            if bad.len() >= BAD_TRAILERS_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(())
    }

    /// Notes whether the client takes bytes. `outcome` is of a write or a flush.
    fn watch_write<R>(&mut self, outcome: Poll<io::Result<R>>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        match &outcome {
            Poll::Ready(_) => {
                if self.write_due.due().is_some() {
                    self.write_due.clear();
                    self.state.is_writing.store(false, Ordering::Release);
                }
                outcome
            }
            Poll::Pending => {
                // Below TLS, so that each byte counts.
                let bytes_written = self.io.bytes_written();
                if self.write_due.due().is_none() || self.bytes_written != bytes_written {
                    self.bytes_written = bytes_written;
                    self.write_due.set(Instant::now() + self.stalled_write);
                    self.state.is_writing.store(true, Ordering::Release);
                }
                ready!(self.write_due.poll_expired(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let waker = match &mut self.input {
            None => None,
            Some(input) => {
                if input.is_awaited && !input.wakes.take_input() {
                    return Poll::Pending;
                }
                input.is_awaited = false;
                Some(input.waker.clone())
            }
        };
        let mut cx = Context::from_waker(waker.as_ref().unwrap_or(cx.waker()));
        if self.turn_len >= TURN_MAX {
            self.turn_len = 0;
            if let Some(input) = &mut self.input {
                input.is_awaited = true;
            }
            // The streams that got something are polled before more is read.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(&mut cx, buf) {
            Poll::Ready(outcome) => {
                outcome?;
                let fresh = &buf.filled()[before..];
                self.turn_len += fresh.len();
                Poll::Ready(self.inspect(fresh))
            }
            Poll::Pending => {
                self.turn_len = 0;
                if let Some(input) = &mut self.input {
                    input.is_awaited = true;
                }
                ready!(self.head_due.poll_expired(&mut cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Writes slices, or holds them back if they are few bytes.
    fn poll_write(&mut self, slices: &[io::IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.is_none() {
            let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
            return self.watch_write(outcome, cx);
        }
        let len = slices.iter().map(|slice| slice.len()).sum::<usize>();
        loop {
            let held = self.held.as_ref().map_or(0, |held| held.len());
            if held + len <= HELD_MAX {
                let held = self.held.get_or_insert_with(buffer_pool::take_growing).end();
                for slice in slices {
                    held.extend_from_slice(slice);
                }
                return Poll::Ready(Ok(len));
            }
            let mut record = [io::IoSlice::new(&[]); SLICES_MAX];
            let mut room = HELD_MAX;
            let held_bytes = self.held.as_deref().unwrap_or_default();
            let parts = std::iter::once(held_bytes).chain(slices.iter().map(|slice| &**slice));
            for (slot, part) in record.iter_mut().zip(parts) {
                let taken = &part[..part.len().min(room)];
                room -= taken.len();
                *slot = io::IoSlice::new(taken);
            }
            let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, &record);
            let written = ready!(self.watch_write(outcome, cx))?;
            self.release_held(written)?;
            if written > held {
                return Poll::Ready(Ok(written - held));
            }
        }
    }

    /// Drops bytes that were held back and are written now. An error if there was no progress.
    fn release_held(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let Some(held) = &mut self.held else { return Ok(()) };
        if written >= held.len() {
            self.held = None;
        } else {
            held.drop_first(written);
        }
        Ok(())
    }

    fn poll_write_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(held) = &self.held {
            let outcome = Pin::new(&mut self.io).poll_write(cx, held);
            let written = ready!(self.watch_write(outcome, cx))?;
            self.release_held(written)?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_held(cx))?;
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        self.watch_write(outcome, cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_held(cx))?;
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        ready!(self.watch_write(outcome, cx))?;
        let mut scrap = [0; 2048];
        for _ in 0..LAST_READ_MAX / scrap.len() {
            let mut buf = ReadBuf::new(&mut scrap);
            let outcome = Pin::new(&mut self.io).poll_read(cx, &mut buf);
            if !matches!(outcome, Poll::Ready(Ok(()))) || buf.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl IoState {
    /// Whether there are bytes that the client does not take at the moment.
    pub(super) fn is_writing(&self) -> bool {
        self.is_writing.load(Ordering::Acquire)
    }

    /// Whether the trailers of a request were found to have a pseudo-field. True once.
    pub(super) fn take_bad_trailers(&self, stream: u32) -> bool {
        let mut bad = self.bad_trailers.lock();
        match bad.iter().position(|of| *of == stream) {
            Some(at) => {
                bad.swap_remove(at);
                true
            }
            None => false,
        }
    }
}

impl<T: ByteStream> AsyncRead for SharedIo<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_read(cx, buf)
    }
}

impl<T: ByteStream> AsyncWrite for SharedIo<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(&[io::IoSlice::new(bytes)], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().poll_write(slices, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut watched = self.0.lock();
        match watched.input {
            // Flushed once for all frames that are ready.
            Some(_) => Poll::Ready(Ok(())),
            None => watched.poll_flush_held(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte stream that notes how it is used.
    #[derive(Debug, Default)]
    struct Noting {
        written: Vec<Vec<u8>>,
        /// The most bytes that it takes at once; 0 while it takes none.
        taken_max: usize,
        reads: usize,
        reader: Option<Waker>,
        /// What the socket below TLS has taken.
        bytes_written: u64,
    }

    impl AsyncRead for Noting {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.reads += 1;
            self.reader = Some(cx.waker().clone());
            Poll::Pending
        }
    }

    impl AsyncWrite for Noting {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            if self.taken_max == 0 {
                return Poll::Pending;
            }
            let mut bytes = slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<_>>();
            bytes.truncate(self.taken_max);
            let len = bytes.len();
            self.written.push(bytes);
            Poll::Ready(Ok(len))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl ByteStream for Noting {
        fn bytes_written(&self) -> u64 {
            self.bytes_written
        }

        fn reset_when_dropped(&self) {}

        fn probe(&self) {}

        fn is_broken(&self) -> bool {
            false
        }
    }

    fn watched(taken_max: usize) -> (SharedIo<Noting>, Arc<Wakes>) {
        let (io, _) = SharedIo::new(
            Noting { taken_max, ..Noting::default() },
            &Limits::default(),
            MemoryBudget::new(usize::MAX),
            UnreadBodies::default(),
        );
        let wakes = Arc::new(Wakes::new());
        io.begin_session(&wakes);
        (io, wakes)
    }

    /// Writes as the h2 library does: a frame's header and its body, until all is taken, and a flush.
    fn write_frame(io: &mut SharedIo<Noting>, len: usize, fill: u8, sent: &mut Vec<u8>) {
        let mut cx = Context::from_waker(Waker::noop());
        let frame = [vec![b'h'; 9], vec![fill; len]].concat();
        sent.extend_from_slice(&frame);
        let mut at = 0;
        while at < frame.len() {
            let (header, body) = frame[at..].split_at(9_usize.saturating_sub(at));
            let slices = [io::IoSlice::new(header), io::IoSlice::new(body)];
            let Poll::Ready(taken) = Pin::new(&mut *io).poll_write_vectored(&mut cx, &slices) else {
                panic!("it takes bytes");
            };
            at += taken.expect("no error");
        }
        assert!(Pin::new(io).poll_flush(&mut cx).is_ready());
    }

    fn flush(io: &SharedIo<Noting>) -> Vec<Vec<u8>> {
        let flushed = io.poll_flush_held(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(flushed, Poll::Ready(Ok(()))), "{flushed:?}");
        assert!(io.0.lock().held.is_none(), "an idle connection holds no buffer");
        std::mem::take(&mut io.0.lock().io.written)
    }

    #[tokio::test]
    async fn frames_that_are_ready_at_once_leave_together() {
        let (mut io, _) = watched(usize::MAX);
        let mut sent = Vec::new();
        for len in [0, 40, 1024, 7] {
            write_frame(&mut io, len, b'x', &mut sent);
        }
        assert!(io.0.lock().io.written.is_empty());
        assert_eq!(flush(&io), [sent]);
    }

    #[tokio::test]
    async fn bytes_leave_in_order_in_full_records_however_they_are_taken() {
        for taken_max in [usize::MAX, HELD_MAX, 5000, 700] {
            let (mut io, _) = watched(taken_max);
            let mut sent = Vec::new();
            for (fill, len) in (0..).zip([16_384, 16_384, 100, 16_384, 16_375, 3000, 70_000, 1]) {
                write_frame(&mut io, len, fill, &mut sent);
            }
            let written = flush(&io);
            assert!(written.concat() == sent, "{taken_max}");
            if taken_max >= HELD_MAX {
                let lens = written.iter().map(Vec::len).collect::<Vec<_>>();
                let (last, full) = lens.split_last().expect("something was written");
                assert!(full.iter().all(|len| *len == HELD_MAX) && *last <= HELD_MAX, "{lens:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_a_client_does_not_take_is_held_back_up_to_a_bound() {
        let (mut io, _) = watched(0);
        let mut cx = Context::from_waker(Waker::noop());
        let mut held = 0;
        while let Poll::Ready(taken) = Pin::new(&mut io).poll_write(&mut cx, &[b'x'; 1000]) {
            held += taken.expect("no error");
            assert!(held <= HELD_MAX);
        }
        assert!(io.0.lock().state.is_writing());
        assert!(io.poll_flush_held(&mut cx).is_pending() && Pin::new(&mut io).poll_shutdown(&mut cx).is_pending());
        io.0.lock().io.taken_max = usize::MAX;
        assert_eq!(flush(&io).concat().len(), held);
        assert!(!io.0.lock().state.is_writing());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_what_tls_had_held_back_is_not_stalled() {
        let stalled_max = Limits::default().stalled_write;
        let (mut io, _) = watched(0);
        let taken = Pin::new(&mut io).poll_write(&mut Context::from_waker(Waker::noop()), b"waits");
        assert!(taken.is_ready());
        let flushed = async |takes: u64| {
            io.0.lock().io.bytes_written += takes;
            let flushed = std::future::poll_fn(|cx| Poll::Ready(io.poll_flush_held(cx))).await;
            tokio::time::advance(stalled_max).await;
            flushed
        };
        for _ in 0..5 {
            assert!(flushed(1).await.is_pending());
        }
        assert!(matches!(flushed(0).await, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut));
    }

    #[tokio::test]
    async fn nothing_is_read_before_there_is_something() {
        let (mut io, wakes) = watched(0);
        let mut cx = Context::from_waker(Waker::noop());
        let mut scrap = [0; 16];
        let mut polls = |io: &mut SharedIo<Noting>, times: usize| {
            for _ in 0..times {
                assert!(Pin::new(&mut *io).poll_read(&mut cx, &mut ReadBuf::new(&mut scrap)).is_pending());
            }
            io.0.lock().io.reads
        };
        // The first wake was noted before anything was read.
        assert_eq!(polls(&mut io, 5), 2);
        let _ = wakes.take_connection();
        let reader = io.0.lock().io.reader.take().expect("it waits");
        reader.wake();
        assert!(wakes.take_connection(), "the h2 library reads");
        assert_eq!(polls(&mut io, 5), 3);
    }

    #[tokio::test]
    async fn nothing_is_held_back_before_streams_are_served() {
        let (mut io, _) = SharedIo::new(
            Noting { taken_max: 100, ..Noting::default() },
            &Limits::default(),
            MemoryBudget::new(usize::MAX),
            UnreadBodies::default(),
        );
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(Pin::new(&mut io).poll_write(&mut cx, &[b'x'; 50]), Poll::Ready(Ok(50))));
        assert_eq!(io.0.lock().io.written.len(), 1);
    }
}
