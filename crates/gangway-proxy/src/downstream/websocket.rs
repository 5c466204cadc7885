//! Follows the frames of a WebSocket towards its client, to send a close frame between two frames at shutdown.
//!
//! A client that gets the close code 1001 (RFC 6455, section 7.4.1) connects again at once and knows that nothing was
//! lost. A client whose connection is cut has to guess.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::lifecycle::{Lifecycle, PhaseWait, Phases, reached};

/// A close frame with the code 1001, "going away".
pub(crate) const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// The longest header of a frame (RFC 6455, section 5.2): two bytes, the extended length, the mask.
const HEADER_MAX: usize = 14;

/// The state of a connection after its protocol was switched.
pub(crate) struct WebSocketTunnel {
    borders: Borders,
    /// Ready once the data plane closes connections.
    ending: PhaseWait<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    goodbye: Goodbye,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Goodbye {
    NotDue,
    /// The close frame follows as soon as the current frame is written.
    Due,
    /// This many bytes of the close frame are written.
    Begun(usize),
    /// The close frame is written; further bytes of the application are dropped.
    Said,
}

impl WebSocketTunnel {
    pub(crate) fn new(phases: Phases) -> Self {
        let closing: Pin<Box<dyn Future<Output = ()> + Send + Sync>> = Box::pin(reached(phases, Lifecycle::Closing));
        Self { borders: Borders::default(), ending: PhaseWait::new(closing), goodbye: Goodbye::NotDue }
    }

    /// The bytes of the close frame to write now, if it is due. Otherwise registers the task to be woken then.
    pub(crate) fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Option<&'static [u8]> {
        if self.goodbye == Goodbye::NotDue && self.ending.poll(cx) == Poll::Ready(()) {
            self.goodbye = Goodbye::Due;
        }
        match self.goodbye {
            Goodbye::Due if self.borders.at_border() => Some(&GOING_AWAY),
            Goodbye::Begun(len) => Some(&GOING_AWAY[len..]),
            Goodbye::NotDue | Goodbye::Due | Goodbye::Said => None,
        }
    }

    /// Notes that `len` bytes of the close frame were written.
    pub(crate) fn goodbye_taken(&mut self, len: usize) {
        let before = if let Goodbye::Begun(before) = self.goodbye { before } else { 0 };
        let taken = before + len;
        self.goodbye = if taken >= GOING_AWAY.len() { Goodbye::Said } else { Goodbye::Begun(taken) };
    }

    /// Whether bytes of the application no longer reach the client.
    pub(crate) fn is_deaf(&self) -> bool {
        matches!(self.goodbye, Goodbye::Begun(_) | Goodbye::Said)
    }

    /// How many of these bytes may be written: all, or if the close frame is due, those up to the end of the frame.
    pub(crate) fn allowed(&self, bytes: &[u8]) -> usize {
        if self.goodbye == Goodbye::Due { self.borders.clone().pass_frame(bytes) } else { bytes.len() }
    }

    /// Notes that these bytes were written.
    pub(crate) fn written(&mut self, bytes: &[u8]) {
        self.borders.pass(bytes);
    }
}

impl fmt::Debug for WebSocketTunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketTunnel")
            .field("borders", &self.borders)
            .field("goodbye", &self.goodbye)
            .finish_non_exhaustive()
    }
}

/// Finds the borders between frames in the bytes of a server.
#[derive(Clone, Debug, Default)]
struct Borders {
    header: [u8; HEADER_MAX],
    header_len: usize,
    payload_left: u64,
}

impl Borders {
    fn at_border(&self) -> bool {
        self.header_len == 0 && self.payload_left == 0
    }

    /// Follows the bytes to their end.
    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.pass_frame(bytes)..];
        }
    }

    /// Follows the bytes to the next border, or to their end. Returns how many bytes that were.
    fn pass_frame(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if self.payload_left > 0 {
                let skipped = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.payload_left -= skipped as u64;
                at += skipped;
            } else {
                self.header[self.header_len] = bytes[at];
                self.header_len += 1;
                at += 1;
                if let Some(payload_len) = payload_len(&self.header[..self.header_len]) {
                    self.payload_left = payload_len;
                    self.header_len = 0;
                }
            }
            if self.at_border() {
                break;
            }
        }
        at
    }
}

/// The payload length of a frame, once its header is complete.
fn payload_len(header: &[u8]) -> Option<u64> {
    let (_, &second) = (header.first()?, header.get(1)?);
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if header.len() < 2 + extended + mask {
        return None;
    }
    if extended == 0 {
        return Some(u64::from(second & 0x7f));
    }
    Some(header[2..2 + extended].iter().fold(0, |len, byte| len << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn frame(payload_len: usize, mask: bool) -> Vec<u8> {
        let bit = if mask { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match payload_len {
            0..126 => frame.push(bit | payload_len as u8),
            126..65536 => {
                frame.push(bit | 126);
                frame.extend((payload_len as u16).to_be_bytes());
            }
            _ => {
                frame.push(bit | 127);
                frame.extend((payload_len as u64).to_be_bytes());
            }
        }
        if mask {
            frame.extend([1, 2, 3, 4]);
        }
        // Bytes that would be headers if they were taken for one.
        frame.extend(std::iter::repeat_n(0x85, payload_len));
        frame
    }

    #[test]
    fn borders_are_found_whatever_the_lengths_and_however_the_bytes_are_cut() {
        for len in [0, 1, 125, 126, 65535, 65536, 70000] {
            for mask in [false, true] {
                let bytes = [frame(3, mask), frame(len, mask)].concat();
                for piece in [1, 2, 7, bytes.len()] {
                    let mut borders = Borders::default();
                    let mut at = Vec::new();
                    let mut passed = 0;
                    for bytes in bytes.chunks(piece) {
                        let mut rest = bytes;
                        while !rest.is_empty() {
                            let len = borders.pass_frame(rest);
                            rest = &rest[len..];
                            passed += len;
                            if borders.at_border() {
                                at.push(passed);
                            }
                        }
                    }
                    assert_eq!(at, [frame(3, mask).len(), bytes.len()], "{len} {mask} {piece}");
                }
            }
        }
    }

    #[test]
    fn the_goodbye_waits_for_the_end_of_a_frame_and_then_nothing_else_is_written() {
        let (phase, phases) = tokio::sync::watch::channel(Lifecycle::Serving);
        let mut tunnel = WebSocketTunnel::new(phases);
        let cx = &mut Context::from_waker(Waker::noop());
        let frame = frame(10, false);
        tunnel.written(&frame[..5]);
        assert_eq!(tunnel.poll_goodbye(cx), None);
        phase.send_replace(Lifecycle::Closing);
        assert_eq!(tunnel.poll_goodbye(cx), None, "a frame is under way");
        let rest = [&frame[5..], &frame[..]].concat();
        assert_eq!(tunnel.allowed(&rest), frame.len() - 5, "no further frame is begun");
        tunnel.written(&frame[5..]);
        assert_eq!(tunnel.poll_goodbye(cx), Some(&GOING_AWAY[..]));
        tunnel.goodbye_taken(1);
        assert!(tunnel.is_deaf());
        assert_eq!(tunnel.poll_goodbye(cx), Some(&GOING_AWAY[1..]));
        tunnel.goodbye_taken(3);
        assert!(tunnel.is_deaf() && tunnel.poll_goodbye(cx).is_none());
    }
}
