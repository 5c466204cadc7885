//! Reads requests from a byte stream, through the gate or the frame watch, within the deadlines.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, BufWriter, ReadBuf};

use crate::downstream::connection::ClientConnection;
use crate::downstream::linger::ByteStream;
use crate::downstream::read_deadline::{Deadline, TooSlow};
use crate::http1::gate::Gate;
use crate::http2::frames::Frames;
use crate::reply::rejection::Rejection;

/// Reads HTTP/1 through the gate: Pingora sees only whole, valid heads, one request at a time.
pub(crate) fn poll_requests<T: ByteStream>(
    mut io: Pin<&mut BufWriter<T>>,
    gate: &mut Gate,
    deadline: &mut Deadline,
    connection: &ClientConnection,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let advanced = if connection.upgraded() {
            gate.upgraded()
        } else if connection.answered() {
            gate.request_finished()
        } else {
            Ok(())
        };
        if let Err(rejection) = advanced {
            return broken(connection, rejection);
        }
        announce_request(gate, connection);
        // Once a request is answered, the client owes the next one, or the rest of one that it has begun to send.
        deadline.expect(gate.awaiting());
        if gate.take_ready(buf) > 0 {
            return Poll::Ready(Ok(()));
        }
        if gate.is_holding() {
            // Another request has come before the current answer is out. Pingora reads again after the answer, so no
            // task needs to be woken.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        match io.as_mut().poll_read(cx, buf) {
            Poll::Ready(outcome) => {
                outcome?;
                let fresh_len = buf.filled().len() - before;
                if fresh_len == 0 && gate.has_kept() && !connection.answered() {
                    // The client has closed its side, but a request that it sent ahead is still to be served.
                    return Poll::Pending;
                }
                if fresh_len == 0 {
                    return Poll::Ready(Ok(()));
                }
                deadline.received(fresh_len);
                let passed = match gate.inspect(&buf.filled()[before..]) {
                    Ok(passed) => passed,
                    Err(rejection) => return broken(connection, rejection),
                };
                deadline.expect(gate.awaiting());
                // At once: until then, the last answer would count as the answer to this request.
                announce_request(gate, connection);
                buf.set_filled(before + passed);
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
            }
            Poll::Pending => match deadline.poll_expired(cx) {
                None => return Poll::Pending,
                // As if the client had closed: no request is there to reply to.
                Some(TooSlow::Idle) => return Poll::Ready(Ok(())),
                Some(TooSlow::Head) => {
                    gate.reject(Rejection::slow_head(deadline.head_time()));
                }
                Some(TooSlow::Body) => {
                    return broken(connection, Rejection::slow_body(deadline.body_rate()));
                }
            },
        }
    }
}

/// Ends reading within a body. The current request finds the reason at its connection.
fn broken(connection: &ClientConnection, rejection: Rejection) -> Poll<io::Result<()>> {
    connection.reject(rejection);
    Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, rejection.detail)))
}

/// Passes on what the gate found out about the request that is parsed next.
fn announce_request(gate: &mut Gate, connection: &ClientConnection) {
    if gate.take_released_head() {
        connection.set_unanswered();
        if let Some(rejection) = gate.take_rejection() {
            connection.reject(rejection);
        }
    }
}

/// Reads HTTP/2 and watches its frames.
pub(crate) fn poll_frames<T: ByteStream>(
    io: Pin<&mut BufWriter<T>>,
    frames: &mut Frames,
    deadline: &mut Deadline,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let before = buf.filled().len();
    match io.poll_read(cx, buf) {
        Poll::Ready(outcome) => {
            outcome?;
            let fresh = &buf.filled()[before..];
            deadline.received(fresh.len());
            deadline.expect(frames.inspect(fresh));
            Poll::Ready(Ok(()))
        }
        Poll::Pending => match deadline.poll_expired(cx) {
            None => Poll::Pending,
            Some(_) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        },
    }
}
