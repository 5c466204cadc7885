//! Watches HTTP/2 frames to notice a request head that comes too slowly.
//!
//! The h2 library bounds the size of a head, but not its time. Only the nine bytes before each frame are decoded (RFC
//! 9113, section 4.1).

use crate::downstream::read_deadline::Awaiting;

const PREFACE_LEN: usize = 24;
const HEADER_LEN: usize = 9;
const TYPE_HEADERS: u8 = 1;
const TYPE_CONTINUATION: u8 = 9;
const FLAG_END_HEADERS: u8 = 4;

/// Follows the borders between frames in a client's bytes.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    preface_seen: usize,
    header: [u8; HEADER_LEN],
    header_len: usize,
    payload_left: usize,
    /// Whether the current frame, or the last one, belongs to a head that has not ended.
    in_head: bool,
    ends_head: bool,
}

impl Frames {
    /// Follows `bytes` and returns what the client has to send next.
    pub(crate) fn inspect(&mut self, mut bytes: &[u8]) -> Awaiting {
        let preface = bytes.len().min(PREFACE_LEN - self.preface_seen);
        self.preface_seen += preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skipped = bytes.len().min(self.payload_left);
                self.payload_left -= skipped;
                bytes = &bytes[skipped..];
            } else {
                let taken = bytes.len().min(HEADER_LEN - self.header_len);
                self.header[self.header_len..self.header_len + taken].copy_from_slice(&bytes[..taken]);
                self.header_len += taken;
                bytes = &bytes[taken..];
                if self.header_len == HEADER_LEN {
                    self.begin_frame();
                }
            }
            if self.header_len == 0 && self.payload_left == 0 && self.ends_head {
                self.in_head = false;
            }
        }
        if self.preface_seen < PREFACE_LEN {
            Awaiting::FirstBytes
        } else if self.in_head {
            Awaiting::RestOfHead
        } else {
            Awaiting::Nothing
        }
    }

    fn begin_frame(&mut self) {
        self.header_len = 0;
        self.payload_left =
            usize::from(self.header[0]) << 16 | usize::from(self.header[1]) << 8 | usize::from(self.header[2]);
        if matches!(self.header[3], TYPE_HEADERS | TYPE_CONTINUATION) {
            self.in_head = true;
            self.ends_head = self.header[4] & FLAG_END_HEADERS != 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, len: usize) -> Vec<u8> {
        let mut frame = vec![0, (len >> 8) as u8, len as u8, kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER_LEN + len, 0);
        frame
    }

    #[test]
    fn a_head_lasts_until_its_last_frame_has_ended() {
        let mut frames = Frames::default();
        assert_eq!(frames.inspect(&PREFACE[..5]), Awaiting::FirstBytes);
        assert_eq!(frames.inspect(&PREFACE[5..]), Awaiting::Nothing);
        assert_eq!(frames.inspect(&frame(4, 0, 18)), Awaiting::Nothing);
        assert_eq!(frames.inspect(&frame(TYPE_HEADERS, 0, 300)), Awaiting::RestOfHead);
        let last = frame(TYPE_CONTINUATION, FLAG_END_HEADERS, 10);
        assert_eq!(frames.inspect(&last[..15]), Awaiting::RestOfHead);
        assert_eq!(frames.inspect(&last[15..]), Awaiting::Nothing);
        assert_eq!(frames.inspect(&frame(0, 1, 700)), Awaiting::Nothing);
    }

    #[test]
    fn how_the_bytes_are_cut_does_not_matter() {
        let mut bytes = PREFACE.to_vec();
        for part in [frame(4, 0, 0), frame(TYPE_HEADERS, FLAG_END_HEADERS, 40), frame(TYPE_HEADERS, 0, 7)] {
            bytes.extend(part);
        }
        let mut whole = Frames::default();
        let mut single = Frames::default();
        let expected = whole.inspect(&bytes);
        let last = bytes.chunks(1).map(|byte| single.inspect(byte)).last();
        assert_eq!((expected, last), (Awaiting::RestOfHead, Some(Awaiting::RestOfHead)));
    }
}
