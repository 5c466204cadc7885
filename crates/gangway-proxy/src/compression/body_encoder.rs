//! Encodes a body by a content coding, piece by piece.

use std::fmt;
use std::io;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::flate::params::FlateEncoderParams;
use compression_codecs::zstd::params::CParameter;
use compression_codecs::{BrotliEncoder, EncodeV2, GzipEncoder, ZstdEncoder};
use gangway_model::ContentCoding;

use crate::overload::memory_budget::{MemoryBudget, MemoryLease};

/// Bytes that an encoder gives at once.
const OUTPUT_LEN: usize = 16 * 1024;

/// Bytes of a body that are encoded in a row, before other requests of the thread have their turn.
pub(crate) const ENCODED_IN_A_ROW_MAX: usize = 64 * 1024;

/// How hard each coding tries. Beyond these levels, a tenth less of bytes costs twice the time or memory.
const ZSTD_LEVEL: i32 = 2;
const BROTLI_LEVEL: i32 = 3;
const GZIP_LEVEL: i32 = 4;

/// The windows of zstd and Brotli, as powers of two. They bound the memory of an encoder; most pages fit into them.
const ZSTD_WINDOW: u32 = 18;
const BROTLI_WINDOW: i32 = 17;

/// Encodes one body. The memory that it takes is leased for as long as it lives.
pub(crate) struct BodyEncoder {
    codec: Box<dyn EncodeV2 + Send + Sync>,
    output: Box<[u8]>,
    /// Bytes of the output that were not taken yet.
    pending: Range<usize>,
    state: State,
    _memory: MemoryLease,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// All bytes that were encoded are in the output.
    Flushed,
    /// The codec may hold bytes back.
    Dirty,
    /// No more bytes come, and the codec has not given its last ones.
    Finishing,
    Finished,
}

impl BodyEncoder {
    pub(crate) fn new(coding: ContentCoding, memory: &MemoryBudget) -> Self {
        let codec: Box<dyn EncodeV2 + Send + Sync> = match coding {
            ContentCoding::Zstd => {
                Box::new(ZstdEncoder::new_with_params(ZSTD_LEVEL, &[CParameter::window_log(ZSTD_WINDOW)]))
            }
            ContentCoding::Brotli => {
                let params = EncoderParams::default().quality(Level::Precise(BROTLI_LEVEL)).window_size(BROTLI_WINDOW);
                Box::new(BrotliEncoder::new(params))
            }
            ContentCoding::Gzip => Box::new(GzipEncoder::new(FlateEncoderParams::from(Level::Precise(GZIP_LEVEL)))),
        };
        Self {
            codec,
            output: vec![0; OUTPUT_LEN].into(),
            pending: 0..0,
            state: State::Flushed,
            _memory: memory.lease(footprint(coding)),
        }
    }

    /// Encoded bytes to be sent. Nothing else may be asked of the encoder before they are consumed.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.output[self.pending.clone()]
    }

    /// Takes bytes off those that are pending.
    pub(crate) fn consume(&mut self, len: usize) {
        self.pending.start += len;
    }

    /// Encodes bytes of the body, as many as there is room for. Returns how many were taken.
    pub(crate) fn encode(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut input = PartialBuffer::new(data);
        self.state = State::Dirty;
        let (codec, mut output) = self.output();
        codec.encode(&mut input, &mut output)?;
        let written = output.written_len();
        self.pending = 0..written;
        Ok(input.written_len())
    }

    /// Whether bytes may be held back that a client could wait for.
    pub(crate) fn needs_flush(&self) -> bool {
        self.state == State::Dirty
    }

    /// Makes bytes pending that were held back. To be called again once they are consumed, until none is needed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let (codec, mut output) = self.output();
        let is_flushed = codec.flush(&mut output)?;
        let written = output.written_len();
        self.pending = 0..written;
        if is_flushed {
            self.state = State::Flushed;
        }
        Ok(())
    }

    /// Ends the body: the last bytes become pending. To be called again once they are consumed, until it has ended.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.state = State::Finishing;
        let (codec, mut output) = self.output();
        let is_finished = codec.finish(&mut output)?;
        let written = output.written_len();
        self.pending = 0..written;
        if is_finished {
            self.state = State::Finished;
        }
        Ok(())
    }

    /// Whether the body has ended and all of it is pending or consumed.
    pub(crate) fn has_finished(&self) -> bool {
        self.state == State::Finished
    }

    /// Encodes a whole body that is at hand.
    pub(crate) fn encode_whole(mut self, body: &[u8]) -> io::Result<Bytes> {
        let (mut rest, mut encoded) = (body, BytesMut::new());
        loop {
            encoded.extend_from_slice(self.pending());
            self.consume(self.pending.len());
            match rest {
                [] if self.has_finished() => return Ok(encoded.freeze()),
                [] => self.finish()?,
                _ => rest = &rest[self.encode(rest)?..],
            }
        }
    }

    fn output(&mut self) -> (&mut (dyn EncodeV2 + Send + Sync), WriteBuffer<'_>) {
        (&mut *self.codec, WriteBuffer::new_initialized(&mut self.output))
    }
}

impl fmt::Debug for BodyEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyEncoder")
            .field("pending", &self.pending)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The memory that an encoder takes, its output included: the most that was measured, and a little more.
fn footprint(coding: ContentCoding) -> usize {
    1024 * match coding {
        ContentCoding::Zstd => 800,
        ContentCoding::Brotli => 1300,
        ContentCoding::Gzip => 350,
    }
}

#[cfg(test)]
mod tests {
    use compression_codecs::{BrotliDecoder, DecodeV2, GzipDecoder, ZstdDecoder};

    use super::*;

    /// Text that becomes smaller, and in the middle bytes that do not.
    fn body(len: usize) -> Vec<u8> {
        let text = (0..).flat_map(|number: u32| format!("line {number} of a text\n").into_bytes());
        let mut body: Vec<u8> = text.take(len).collect();
        let mut seed = 1_u32;
        for byte in body.iter_mut().skip(len / 3).take(len / 3) {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = seed.to_be_bytes()[0];
        }
        body
    }

    fn take(encoder: &mut BodyEncoder, encoded: &mut Vec<u8>) {
        // In two parts, as a client takes them that is slow.
        let half = encoder.pending().len().div_ceil(2);
        encoded.extend_from_slice(&encoder.pending()[..half]);
        encoder.consume(half);
        let rest = encoder.pending().len();
        encoded.extend_from_slice(encoder.pending());
        encoder.consume(rest);
    }

    fn encode(encoder: &mut BodyEncoder, mut data: &[u8], encoded: &mut Vec<u8>) {
        while !data.is_empty() {
            let taken = encoder.encode(data).expect("encoded");
            data = &data[taken..];
            take(encoder, encoded);
        }
    }

    fn flush(encoder: &mut BodyEncoder, encoded: &mut Vec<u8>) {
        while encoder.needs_flush() {
            encoder.flush().expect("flushed");
            take(encoder, encoded);
        }
    }

    fn finish(encoder: &mut BodyEncoder, encoded: &mut Vec<u8>) {
        while !encoder.has_finished() {
            encoder.finish().expect("finished");
            take(encoder, encoded);
        }
    }

    /// What can be decoded of bytes that need not be whole.
    fn decoded(coding: ContentCoding, encoded: &[u8]) -> Vec<u8> {
        let mut decoder: Box<dyn DecodeV2> = match coding {
            ContentCoding::Zstd => Box::new(ZstdDecoder::new()),
            ContentCoding::Brotli => Box::new(BrotliDecoder::new()),
            ContentCoding::Gzip => Box::new(GzipDecoder::new()),
        };
        let (mut input, mut all, mut piece) = (PartialBuffer::new(encoded), Vec::new(), [0; 4096]);
        loop {
            let (before, mut output) = (input.written_len(), WriteBuffer::new_initialized(&mut piece));
            // Some decoders take the lack of more input for an error.
            let has_ended = decoder.decode(&mut input, &mut output).unwrap_or(true);
            let written = output.written_len();
            all.extend_from_slice(&piece[..written]);
            if has_ended || written == 0 && input.written_len() == before {
                assert!(input.unwritten().is_empty(), "bytes were not understood");
                return all;
            }
        }
    }

    #[test]
    fn a_body_of_any_length_is_decoded_to_itself() {
        let memory = MemoryBudget::new(usize::MAX);
        for coding in ContentCoding::ALL {
            for len in [0, 1, 1024, 16 * 1024, 400_000] {
                let (mut encoder, mut encoded) = (BodyEncoder::new(coding, &memory), Vec::new());
                for piece in body(len).chunks(10_000) {
                    encode(&mut encoder, piece, &mut encoded);
                }
                finish(&mut encoder, &mut encoded);
                assert_eq!(decoded(coding, &encoded), body(len), "{coding} {len}");
                assert!(len < 16 * 1024 || encoded.len() < len / 2, "{coding} {len}: {}", encoded.len());
            }
            // Its end does not become smaller, so more is left at the end than fits into the output.
            let body = &body(400_000)[..260_000];
            let (mut encoder, mut encoded) = (BodyEncoder::new(coding, &memory), Vec::new());
            encode(&mut encoder, body, &mut encoded);
            finish(&mut encoder, &mut encoded);
            assert_eq!(decoded(coding, &encoded), body, "{coding}");
        }
    }

    #[test]
    fn what_was_flushed_can_be_decoded_before_the_body_ends() {
        let memory = MemoryBudget::new(usize::MAX);
        for coding in ContentCoding::ALL {
            let (mut encoder, mut encoded) = (BodyEncoder::new(coding, &memory), Vec::new());
            for piece in ["event: a\n\n", "event: b\n\n", &"x".repeat(40_000)] {
                let before = decoded(coding, &encoded).len();
                encode(&mut encoder, piece.as_bytes(), &mut encoded);
                flush(&mut encoder, &mut encoded);
                assert_eq!(decoded(coding, &encoded).len() - before, piece.len(), "{coding}");
                assert!(!encoder.needs_flush());
            }
        }
    }

    #[test]
    fn what_a_client_needs_to_decode_a_body_is_bounded() {
        let beginning = |coding| {
            let (mut encoder, mut encoded) = (BodyEncoder::new(coding, &MemoryBudget::new(usize::MAX)), Vec::new());
            encode(&mut encoder, &body(1_000_000), &mut encoded);
            flush(&mut encoder, &mut encoded);
            encoded
        };
        // RFC 8878, section 3.1.1.1.2: the exponent of the window is in the upper five bits.
        assert_eq!(u32::from(beginning(ContentCoding::Zstd)[5] >> 3) + 10, ZSTD_WINDOW);
        // RFC 7932, section 9.1: so begins a stream whose window has 17 bits.
        assert_eq!((beginning(ContentCoding::Brotli)[0] & 0x7f, BROTLI_WINDOW), (1, 17));
    }

    #[test]
    fn the_memory_of_an_encoder_is_leased_while_it_lives() {
        let memory = MemoryBudget::new(usize::MAX);
        let encoder = BodyEncoder::new(ContentCoding::Gzip, &memory);
        assert_eq!(memory.leased(), 350 * 1024);
        drop(encoder);
        assert_eq!(memory.leased(), 0);
    }
}
