//! Bytes for a client, and the deadline for taking them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::buffer_pool::{self, BUFFER_LEN, GrowingBuffer};
use crate::downstream::byte_stream::ByteStream;
use crate::timer::Timer;

/// Longer data is not copied: it leaves together with what waits before it.
const COPIED_MAX: usize = 4096;

/// Bytes that wait to be written. No buffer is held while there are none.
#[derive(Debug)]
pub(crate) struct ClientOutput {
    waiting: Option<GrowingBuffer>,
    /// How many of the waiting bytes were written.
    written: usize,
    /// Whether a layer below may keep bytes back.
    needs_flush: bool,
    /// How long the client may take nothing.
    stalled_max: Duration,
    stall: Option<Stall>,
}

/// A time in which the client has taken nothing.
#[derive(Debug)]
struct Stall {
    /// What the socket had taken when it began.
    bytes_written: u64,
    due: Instant,
}

/// Why bytes cannot be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClientOutputError {
    /// The connection is broken.
    Broken,
    /// The client takes nothing.
    Stalled,
}

impl ClientOutput {
    pub(crate) fn new(stalled_max: Duration) -> Self {
        Self { waiting: None, written: 0, needs_flush: false, stalled_max, stall: None }
    }

    /// The bytes that wait, for more to be appended. Callers keep that bounded.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        self.waiting.get_or_insert_with(buffer_pool::take_growing).end()
    }

    /// Whether the client is behind by a whole buffer.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= BUFFER_LEN
    }

    fn len(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.len() - self.written)
    }

    /// Takes a part of `data`, which is not empty, and returns its length. Short data waits for what follows.
    pub(crate) fn poll_send<T: ByteStream>(
        &mut self,
        io: &mut T,
        timer: &mut Timer,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, ClientOutputError>> {
        if data.len() <= COPIED_MAX && self.len() + data.len() <= BUFFER_LEN {
            self.buffer().extend_from_slice(data);
            return Poll::Ready(Ok(data.len()));
        }
        self.poll_send_at_once(io, timer, cx, data)
    }

    /// The same for data that nothing follows soon: it is not copied.
    pub(crate) fn poll_send_at_once<T: ByteStream>(
        &mut self,
        io: &mut T,
        timer: &mut Timer,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, ClientOutputError>> {
        let outcome = self.poll_write(io, cx, data);
        self.within_time(outcome, io, timer, cx)
    }

    /// Writes out what waits.
    pub(crate) fn poll_flush<T: ByteStream>(
        &mut self,
        io: &mut T,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ClientOutputError>> {
        let outcome = match self.poll_write(io, cx, &[]) {
            Poll::Ready(Ok(_)) if self.needs_flush => Pin::new(&mut *io).poll_flush(cx),
            other => other.map_ok(drop),
        };
        self.needs_flush &= !matches!(outcome, Poll::Ready(Ok(())));
        self.within_time(outcome, io, timer, cx)
    }

    /// Writes what waits and then `data`. Returns how much of `data` was written: none only if `data` is empty.
    fn poll_write<T: ByteStream>(&mut self, io: &mut T, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut io = Pin::new(io);
        while let Some(waiting) = &self.waiting {
            let rest = &waiting[self.written..];
            let rest_len = rest.len();
            let written = if data.is_empty() {
                ready!(io.as_mut().poll_write(cx, rest))?
            } else {
                ready!(io.as_mut().poll_write_vectored(cx, &[IoSlice::new(rest), IoSlice::new(data)]))?
            };
            self.note_written(written)?;
            self.written += written;
            if let Some(of_data) = written.checked_sub(rest_len) {
                self.waiting = None;
                self.written = 0;
                if of_data > 0 {
                    return Poll::Ready(Ok(of_data));
                }
            }
        }
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let written = ready!(io.poll_write(cx, data))?;
        self.note_written(written)?;
        Poll::Ready(Ok(written))
    }

    fn note_written(&mut self, len: usize) -> io::Result<()> {
        if len == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.needs_flush = true;
        self.stall = None;
        Ok(())
    }

    /// Ends a write that goes on for too long without any byte taken.
    fn within_time<T: ByteStream, L>(
        &mut self,
        outcome: Poll<io::Result<L>>,
        io: &T,
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Poll<Result<L, ClientOutputError>> {
        match outcome {
            Poll::Ready(outcome) => {
                self.stall = None;
                Poll::Ready(outcome.map_err(|_| ClientOutputError::Broken))
            }
            Poll::Pending => {
                let bytes_written = io.bytes_written();
                let has_taken = |stall: &Stall| stall.bytes_written != bytes_written;
                if self.stall.as_ref().is_none_or(has_taken) {
                    self.stall = Some(Stall { bytes_written, due: Instant::now() + self.stalled_max });
                }
                let stall = self.stall.as_ref().expect("set above");
                timer.set(stall.due);
                timer.poll_expired(cx).map(|()| Err(ClientOutputError::Stalled))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;

    /// A byte stream that takes nothing, while the socket below it takes what TLS had held back.
    #[derive(Debug, Default)]
    struct Draining {
        bytes_written: u64,
    }

    impl AsyncRead for Draining {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Draining {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl ByteStream for Draining {
        fn bytes_written(&self) -> u64 {
            self.bytes_written
        }

        fn reset_when_dropped(&self) {}

        fn probe(&self) {}

        fn is_broken(&self) -> bool {
            false
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_what_tls_had_held_back_is_not_stalled() {
        let stalled_max = Duration::from_secs(60);
        let (mut io, mut output, mut timer) = (Draining::default(), ClientOutput::new(stalled_max), Timer::default());
        output.buffer().extend_from_slice(b"waits");
        for _ in 0..5 {
            let flushed = std::future::poll_fn(|cx| Poll::Ready(output.poll_flush(&mut io, &mut timer, cx))).await;
            assert!(flushed.is_pending());
            tokio::time::advance(stalled_max).await;
            io.bytes_written += 1;
        }
        for outcome in [Poll::Pending, Poll::Ready(Err(ClientOutputError::Stalled))] {
            let flushed = std::future::poll_fn(|cx| Poll::Ready(output.poll_flush(&mut io, &mut timer, cx))).await;
            assert_eq!(flushed, outcome);
            tokio::time::advance(stalled_max).await;
        }
    }
}
