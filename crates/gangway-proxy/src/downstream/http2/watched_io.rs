//! The bytes of one connection, with the deadlines that concern the connection as a whole.
//!
//! A client has to end its preface and each head in time, and it has to take bytes while there are some for it. The
//! deadlines of bodies and of waiting responses are those of their streams.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::downstream::byte_stream::ByteStream;
use crate::http2::frames::{BAD_TRAILERS_MAX, Frames, Unfinished};
use crate::limits::Limits;
use crate::overload::memory_budget::MemoryBudget;
use crate::timer::Timer;

/// Bytes that are read and dropped at the end. Closing with unread bytes resets the connection, and the client would
/// lose the end of its last response.
const LAST_READ_MAX: usize = 64 * 1024;

/// A byte stream with deadlines.
#[derive(Debug)]
pub(super) struct WatchedIo<T> {
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
    state: Arc<IoState>,
}

/// What the rest of the connection knows about its bytes.
#[derive(Debug, Default)]
pub(super) struct IoState {
    is_writing: AtomicBool,
    bad_trailers: Mutex<Vec<u32>>,
}

impl<T: ByteStream> WatchedIo<T> {
    pub(super) fn new(io: T, limits: &Limits, memory: MemoryBudget) -> (Self, Arc<IoState>) {
        let state = Arc::<IoState>::default();
        let mut head_due = Timer::default();
        head_due.set(Instant::now() + limits.head_time);
        let watched = Self {
            io,
            frames: Frames::default(),
            memory,
            head_time: limits.head_time,
            stalled_write: limits.stalled_write,
            head_due,
            write_due: Timer::default(),
            bytes_written: 0,
            state: Arc::clone(&state),
        };
        (watched, state)
    }

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

impl<T: ByteStream> AsyncRead for WatchedIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Ready(outcome) => {
                outcome?;
                Poll::Ready(self.inspect(&buf.filled()[before..]))
            }
            Poll::Pending => {
                ready!(self.head_due.poll_expired(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<T: ByteStream> AsyncWrite for WatchedIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch_write(outcome, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watch_write(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        self.watch_write(outcome, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
