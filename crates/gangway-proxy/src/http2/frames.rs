//! Watches HTTP/2 frames to notice what the h2 library does not tell: a head that comes too slowly, and trailers with a
//! pseudo-field.
//!
//! The h2 library bounds the size of a head, but not its time. Of most frames only the nine bytes before them are decoded
//! (RFC 9113, section 4.1).

use crate::http2::field_blocks::FieldBlocks;

const PREFACE_LEN: usize = 24;
const HEADER_LEN: usize = 9;
const TYPE_DATA: u8 = 0;
const TYPE_HEADERS: u8 = 1;
const TYPE_CONTINUATION: u8 = 9;
const FLAG_END_HEADERS: u8 = 4;
const FLAG_PADDED: u8 = 8;
const FLAG_PRIORITY: u8 = 32;
const PRIORITY_LEN: usize = 5;

/// The bad trailers that are remembered between two calls of [`Frames::take_bad_trailers`]. A client that sends more of
/// them at once is cut off by the caller.
pub(crate) const BAD_TRAILERS_MAX: usize = 64;

/// What a client has begun to send and has to end in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unfinished {
    /// The first bytes of the connection.
    Preface,
    /// The head of a request, or trailers.
    Head,
    /// Nothing, or a frame that has no deadline of its own.
    Nothing,
}

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
    /// Bytes of the current frame before its fields, and whether the first of them is the length of the padding.
    prefix_left: usize,
    is_padding_len_next: bool,
    /// Bytes of padding after the fields of the current frame.
    padding_left: usize,
    fields: FieldBlocks,
    /// The stream of the current head.
    stream: u32,
    /// The last stream that a head has opened.
    last_opened: u32,
    /// Whether the current head is trailers.
    is_trailers: bool,
    /// The streams whose trailers have a pseudo-field.
    bad_trailers: Vec<u32>,
    /// The frames of data that have come: the stream of each, and its length.
    data: Vec<(u32, usize)>,
}

impl Frames {
    /// Follows `bytes` and returns what the client has to send next.
    pub(crate) fn inspect(&mut self, mut bytes: &[u8]) -> Unfinished {
        let preface = bytes.len().min(PREFACE_LEN - self.preface_seen);
        self.preface_seen += preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let (payload, rest) = bytes.split_at(bytes.len().min(self.payload_left));
                bytes = rest;
                if self.in_head {
                    self.inspect_head(payload);
                }
                self.payload_left -= payload.len();
                if self.payload_left == 0 {
                    self.end_payload();
                }
            } else {
                let taken = bytes.len().min(HEADER_LEN - self.header_len);
                self.header[self.header_len..self.header_len + taken].copy_from_slice(&bytes[..taken]);
                self.header_len += taken;
                bytes = &bytes[taken..];
                if self.header_len == HEADER_LEN {
                    self.begin_frame();
                }
            }
            if self.in_head && self.header_len == 0 && self.payload_left == 0 && self.ends_head {
                self.end_head();
            }
        }
        if self.preface_seen < PREFACE_LEN {
            Unfinished::Preface
        } else if self.in_head {
            Unfinished::Head
        } else {
            Unfinished::Nothing
        }
    }

    pub(crate) fn has_bad_trailers(&self) -> bool {
        !self.bad_trailers.is_empty()
    }

    /// The streams whose trailers were found to have a pseudo-field since the last call.
    pub(crate) fn take_bad_trailers(&mut self) -> impl Iterator<Item = u32> {
        self.bad_trailers.drain(..)
    }

    pub(crate) fn has_data(&self) -> bool {
        !self.data.is_empty()
    }

    /// The frames of data that have come as a whole since the last call: the stream of each, and its length.
    pub(crate) fn take_data(&mut self) -> impl Iterator<Item = (u32, usize)> {
        self.data.drain(..)
    }

    fn begin_frame(&mut self) {
        self.header_len = 0;
        let [_, _, _, kind, flags, stream @ ..] = self.header;
        self.payload_left = payload_len(self.header);
        if !matches!(kind, TYPE_HEADERS | TYPE_CONTINUATION) {
            return;
        }
        self.in_head = true;
        self.ends_head = flags & FLAG_END_HEADERS != 0;
        self.prefix_left = 0;
        self.is_padding_len_next = false;
        self.padding_left = 0;
        if kind == TYPE_HEADERS {
            self.is_padding_len_next = flags & FLAG_PADDED != 0;
            let priority = if flags & FLAG_PRIORITY != 0 { PRIORITY_LEN } else { 0 };
            self.prefix_left = usize::from(self.is_padding_len_next) + priority;
            self.stream = stream_id(stream);
            self.is_trailers = self.stream <= self.last_opened;
            self.last_opened = self.last_opened.max(self.stream);
            self.fields.begin();
        }
    }

    /// Notes the end of a frame with a payload.
    fn end_payload(&mut self) {
        let [_, _, _, kind, _, stream @ ..] = self.header;
        if kind == TYPE_DATA {
            self.data.push((stream_id(stream), payload_len(self.header)));
        }
    }

    /// Follows payload of a frame that carries fields.
    fn inspect_head(&mut self, mut payload: &[u8]) {
        let mut left = self.payload_left;
        while self.prefix_left > 0
            && let Some((&byte, rest)) = payload.split_first()
        {
            if std::mem::take(&mut self.is_padding_len_next) {
                self.padding_left = usize::from(byte);
            }
            payload = rest;
            left -= 1;
            self.prefix_left -= 1;
        }
        let fields_left = left.saturating_sub(self.padding_left);
        self.fields.inspect(&payload[..payload.len().min(fields_left)]);
    }

    fn end_head(&mut self) {
        self.in_head = false;
        if self.is_trailers && self.fields.has_pseudo_field() && self.bad_trailers.len() < BAD_TRAILERS_MAX {
            self.bad_trailers.push(self.stream);
        }
    }
}

/// The length of the payload that follows a header.
fn payload_len([high, middle, low, ..]: [u8; HEADER_LEN]) -> usize {
    usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)
}

/// The number of a stream; the bit before it says nothing.
fn stream_id(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & 0x7fff_ffff
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
        assert_eq!(frames.inspect(&PREFACE[..5]), Unfinished::Preface);
        assert_eq!(frames.inspect(&PREFACE[5..]), Unfinished::Nothing);
        assert_eq!(frames.inspect(&frame(4, 0, 18)), Unfinished::Nothing);
        assert_eq!(frames.inspect(&frame(TYPE_HEADERS, 0, 300)), Unfinished::Head);
        let last = frame(TYPE_CONTINUATION, FLAG_END_HEADERS, 10);
        assert_eq!(frames.inspect(&last[..15]), Unfinished::Head);
        assert_eq!(frames.inspect(&last[15..]), Unfinished::Nothing);
        assert_eq!(frames.inspect(&frame(0, 1, 700)), Unfinished::Nothing);
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
        assert_eq!((expected, last), (Unfinished::Head, Some(Unfinished::Head)));
    }

    /// Whether trailers that consist of `fields` are bad, after a head that consists of `head`.
    fn are_bad(head: &[u8], fields: &[u8]) -> bool {
        let mut frames = Frames::default();
        frames.inspect(PREFACE);
        for (block, flags) in [(head, FLAG_END_HEADERS), (fields, FLAG_END_HEADERS | 1)] {
            let mut bytes = frame(TYPE_HEADERS, flags, block.len());
            bytes.truncate(HEADER_LEN);
            bytes.extend_from_slice(block);
            // The result does not depend on how the bytes are cut.
            bytes.chunks(1).for_each(|byte| assert_ne!(frames.inspect(byte), Unfinished::Preface));
            frames.inspect(&frame(0, 0, 3));
        }
        frames.take_bad_trailers().collect::<Vec<_>>() == [1]
    }

    #[test]
    fn pseudo_fields_in_trailers_are_found_in_every_form() {
        // `:method: GET`, `:path: /`, and two entries for the dynamic table: `:authority: a`, then `x: y`.
        let head = b"\x82\x84\x41\x01a\x40\x01x\x01y";
        for good in [&b""[..], b"\xbe", b"\x00\x01x\x01y", b"\x7e\x01z", b"\x3f\xe1\x1f\xbe", b"\x90", b"\x0f\x2f\x00"]
        {
            assert!(!are_bad(head, good), "{good:?}");
        }
        let bad: [&[u8]; 9] = [
            b"\x82",
            b"\xbf",
            b"\x04\x02/x",
            b"\x44\x02/x",
            b"\x00\x05:path\x01/",
            // `:path` in the Huffman code.
            b"\x00\x84\xb9\x58\xd3\x3f\x01/",
            b"\x40\x84\xb9\x58\xd3\x3f\x01/",
            b"\x20\x3f\xe1\x1f\x41\x01b\xbe",
            b"\xbe\x88",
        ];
        for bad in bad {
            assert!(are_bad(head, bad), "{bad:?}");
        }
    }

    #[test]
    fn data_is_noted_with_its_stream_once_its_frame_has_come() {
        let mut frames = Frames::default();
        frames.inspect(PREFACE);
        let bytes = [frame(TYPE_DATA, 0, 700), frame(TYPE_HEADERS, FLAG_END_HEADERS, 5), frame(TYPE_DATA, 1, 0x1234)];
        let bytes = bytes.concat();
        let (first, rest) = bytes.split_at(HEADER_LEN + 699);
        frames.inspect(first);
        assert!(!frames.has_data());
        frames.inspect(rest);
        assert!(frames.has_data());
        assert_eq!(frames.take_data().collect::<Vec<_>>(), [(1, 700), (1, 0x1234)]);
        assert!(!frames.has_data());
    }

    #[test]
    fn padding_and_priority_are_no_fields() {
        let mut frames = Frames::default();
        frames.inspect(PREFACE);
        let head = [&[0, 0, 1, TYPE_HEADERS, FLAG_END_HEADERS, 0, 0, 0, 1][..], b"\x84"].concat();
        let payload = b"\x02\x80\x84\x82\x84\x10\x90\x84\x84";
        let flags = FLAG_END_HEADERS | FLAG_PADDED | FLAG_PRIORITY;
        let trailers = [&[0, 0, 9, TYPE_HEADERS, flags, 0, 0, 0, 1][..], payload].concat();
        assert_eq!(frames.inspect(&[head, trailers].concat()), Unfinished::Nothing);
        assert_eq!(frames.take_bad_trailers().count(), 0);
    }
}
