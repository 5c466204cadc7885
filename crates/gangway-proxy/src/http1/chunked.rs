//! Decodes a chunked body (RFC 9112, section 7.1), and collects its trailers.

use std::ops::Range;

use crate::grammar::{is_value, token_len};
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::trailer_fate::{BodySender, TrailerFate};

/// Digits of a chunk size. A petabyte has thirteen.
const DIGITS_MAX: u8 = 15;

/// Bytes of a chunk's extension. Extensions are practically unused, but a signature for each chunk fits. Without a
/// bound, a peer could make us read megabytes for one byte of body.
const EXTENSION_MAX: usize = 256;

/// Bytes of all trailers together. Checksums and a gRPC status with its message fit.
const TRAILERS_MAX: usize = 4096;

/// The position in a chunked body.
#[derive(Clone, Debug)]
pub(crate) struct ChunkedDecoder {
    sender: BodySender,
    at: At,
    /// The size of the chunk while it is read, then the rest of the chunk.
    left: u64,
    digits: u8,
    /// Bytes between the size of a chunk and the end of its line.
    extension_len: usize,
    /// The lines of the trailers so far.
    lines: Vec<u8>,
    /// Where the current one of them begins.
    line: usize,
    trailers: Fields,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Size,
    /// Behind a size, where some applications pad with spaces.
    Padding,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    End,
}

/// The part of some bytes that belongs to a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Decoded {
    /// How many of the bytes belong to the body, with its framing.
    pub(crate) consumed: usize,
    /// The bytes among them that are data, up to the end of `consumed`. Empty if all of them are framing.
    pub(crate) data: Range<usize>,
}

impl ChunkedDecoder {
    /// For the body of a request.
    pub(crate) fn for_requests() -> Self {
        Self::new(BodySender::Client)
    }

    /// For the body of a response.
    pub(crate) fn for_responses() -> Self {
        Self::new(BodySender::Application)
    }

    fn new(sender: BodySender) -> Self {
        Self {
            sender,
            at: At::Size,
            left: 0,
            digits: 0,
            extension_len: 0,
            lines: Vec::new(),
            line: 0,
            trailers: Fields::default(),
        }
    }

    /// Begins the next body. The buffers stay.
    pub(crate) fn reset(&mut self) {
        self.at = At::Size;
        self.left = 0;
        self.digits = 0;
        self.lines.clear();
        self.line = 0;
        self.trailers.clear();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.at == At::End
    }

    /// The trailers, once the body has ended; none if there are none.
    pub(crate) fn trailers(&self) -> Option<&Fields> {
        (self.has_ended() && self.trailers.len() > 0).then_some(&self.trailers)
    }

    /// Decodes `bytes`, which follow those that earlier calls have consumed, up to the end of the first piece of data
    /// or of the body. Without any data in the result, all bytes are consumed, or the body has ended.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, &'static str> {
        let mut position = 0;
        while position < bytes.len() && self.at != At::End {
            if self.at == At::Data {
                let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - position);
                self.left -= len as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                return Ok(Decoded { consumed: position + len, data: position..position + len });
            }
            self.at = self.step(bytes[position])?;
            position += 1;
        }
        Ok(Decoded { consumed: position, data: position..position })
    }

    fn step(&mut self, byte: u8) -> Result<At, &'static str> {
        match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte),
            (At::Size, _) if self.digits == 0 => Err("a chunk size is empty"),
            (At::Size | At::Padding | At::Extension, b'\r') => Ok(At::SizeLf),
            (At::Size | At::Padding, b';') => Ok(At::Extension),
            (At::Size | At::Padding, b' ' | b'\t') if self.sender == BodySender::Application => {
                self.extension_byte(byte, At::Padding)
            }
            (At::Size | At::Padding, _) => Err("a chunk size is no number"),
            (At::Extension, _) => self.extension_byte(byte, At::Extension),
            (At::SizeLf, b'\n') => {
                self.digits = 0;
                self.extension_len = 0;
                Ok(if self.left == 0 { At::Trailers } else { At::Data })
            }
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::Size),
            (At::Trailers, _) => self.trailer_byte(byte),
            (At::SizeLf | At::Data | At::DataCr | At::DataLf | At::End, _) => {
                Err("a line of a chunked body does not end as it must")
            }
        }
    }

    fn digit(&mut self, byte: u8) -> Result<At, &'static str> {
        if self.digits == DIGITS_MAX {
            return Err("a chunk size is too large");
        }
        let digit = char::from(byte).to_digit(16).expect("only digits are given");
        self.left = self.left << 4 | u64::from(digit);
        self.digits += 1;
        Ok(At::Size)
    }

    fn extension_byte(&mut self, byte: u8, next: At) -> Result<At, &'static str> {
        self.extension_len += 1;
        if self.extension_len > EXTENSION_MAX {
            return Err(TOO_LONG);
        }
        if !is_value(&[byte]) {
            return Err("a control byte between chunks");
        }
        Ok(next)
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<At, &'static str> {
        self.lines.push(byte);
        if byte != b'\n' {
            // The final empty line does not count.
            return if self.lines.len() > TRAILERS_MAX + 1 { Err(TOO_LONG) } else { Ok(At::Trailers) };
        }
        let start = std::mem::replace(&mut self.line, self.lines.len());
        let line = self.lines[start..].strip_suffix(b"\r\n");
        let line_len = line.ok_or("a line of a chunked body does not end as it must")?.len();
        if line_len == 0 {
            self.trailers.store(&self.lines);
            return Ok(At::End);
        }
        self.trailer(start, line_len)?;
        Ok(At::Trailers)
    }

    /// Notes the trailer whose line begins at `start`.
    fn trailer(&mut self, start: usize, line_len: usize) -> Result<(), &'static str> {
        let line = &self.lines[start..start + line_len];
        let name_len = token_len(line);
        if name_len == 0 || line.get(name_len) != Some(&b':') {
            return Err("a trailer is malformed");
        }
        let rest = &line[name_len + 1..];
        if !is_value(rest) {
            return Err("a control byte between chunks");
        }
        let kind = FieldKind::of(&line[..name_len]);
        match TrailerFate::of(kind, self.sender) {
            TrailerFate::Passes => {
                let value = rest.trim_ascii_start();
                let value_start = start + line_len - value.len();
                let value_end = value_start + value.trim_ascii_end().len();
                self.trailers.note(kind, start..start + name_len, value_start..value_end, start + line_len + 2);
                Ok(())
            }
            TrailerFate::IsDropped => Ok(()),
            TrailerFate::BreaksBody => Err("a trailer that may not come after the body"),
        }
    }
}

const TOO_LONG: &str = "the extension of a chunk, or the trailers, are too long";

#[cfg(test)]
mod tests {
    use super::*;

    /// The data, how many bytes belong to the body, and whether it has ended there.
    fn read(mut decoder: ChunkedDecoder, body: &[u8]) -> Result<(Vec<u8>, usize, bool), &'static str> {
        let mut data = Vec::new();
        let mut at = 0;
        loop {
            let decoded = decoder.decode(&body[at..])?;
            data.extend_from_slice(&body[at..][decoded.data.clone()]);
            at += decoded.consumed;
            if decoded.data.is_empty() {
                return Ok((data, at, decoder.has_ended()));
            }
        }
    }

    fn from_client(body: &str) -> Result<(usize, bool), &'static str> {
        read(ChunkedDecoder::for_requests(), body.as_bytes()).map(|(_, len, has_ended)| (len, has_ended))
    }

    fn from_application(body: &str) -> Result<(usize, bool), &'static str> {
        read(ChunkedDecoder::for_responses(), body.as_bytes()).map(|(_, len, has_ended)| (len, has_ended))
    }

    fn trailers(mut decoder: ChunkedDecoder, body: &str) -> String {
        let decoded = decoder.decode(body.as_bytes()).expect("in order");
        assert_eq!(decoded, Decoded { consumed: body.len(), data: body.len()..body.len() });
        let mut out = Vec::new();
        if let Some(trailers) = decoder.trailers() {
            trailers.write_lines(&mut out);
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_body_ends_where_it_says() {
        for (body, data) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("a;name=\"value\"\r\n0123456789\r\n00\r\n\r\n", "0123456789"),
            ("1\r\n\n\r\n0\r\nX-Sum: abc\t\u{e4}\r\nY:\r\n\r\n", "\n"),
            ("2\r\nab\r\nB\r\n0123456789-\r\n0\r\n\r\n", "ab0123456789-"),
        ] {
            for decoder in [ChunkedDecoder::for_requests(), ChunkedDecoder::for_responses()] {
                let read = |body: &str| read(decoder.clone(), body.as_bytes());
                let expected = |len, has_ended| Ok((data.as_bytes().to_vec(), len, has_ended));
                assert_eq!(read(body), expected(body.len(), true), "{body:?}");
                assert_eq!(read(&format!("{body}GET / HTTP/1.1")), expected(body.len(), true), "{body:?}");
                assert_eq!(read(&body[..body.len() - 1]), expected(body.len() - 1, false), "{body:?}");
            }
        }
    }

    #[test]
    fn what_two_parsers_could_end_differently_is_refused() {
        for body in [
            "\r\n",
            ";x\r\n",
            " 5\r\n",
            "0x5\r\n",
            "+5\r\n",
            "-1\r\n",
            "5\nhello",
            "5;\nhello",
            "5;a\x01\r\n",
            "5;a\rb\r\n",
            "5 5\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "1000000000000000\r\n",
            "0000000000000001\r\n",
            "0\r\n\n",
            "0\r\nX\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\nX: y\rz\r\n\r\n",
            "0\r\n: y\r\n\r\n",
            "0\r\nX: \0\r\n\r\n",
        ] {
            assert!(from_client(body).is_err(), "{body:?}");
            assert!(from_application(body).is_err(), "{body:?}");
        }
        for body in [
            "5 \r\n",
            "5\t;x\r\n",
            "0\r\nContent-Length: 5\r\n\r\n",
            "0\r\nTRANSFER-ENCODING: chunked\r\n\r\n",
            "0\r\nHost: a\r\n\r\n",
        ] {
            assert!(from_client(body).is_err(), "{body:?}");
            assert!(from_application(body).is_ok(), "{body:?}");
        }
    }

    #[test]
    fn trailers_pass_unless_they_decide_what_was_decided() {
        let body = "0\r\nX-Sum:  abc \r\nKeep-Alive: 1\r\nx-real-ip: 1.2.3.4\r\nCookie: a\r\ngrpc-status: 0\r\n\r\n";
        assert_eq!(trailers(ChunkedDecoder::for_requests(), body), "X-Sum:  abc \r\ngrpc-status: 0\r\n");
        let body = "0\r\nContent-Length: 5\r\nX: y\r\nUpgrade: x\r\nProxy-Connection: x\r\n\r\n";
        assert_eq!(trailers(ChunkedDecoder::for_responses(), body), "X: y\r\n");
        let mut again = ChunkedDecoder::for_responses();
        again.decode(body.as_bytes()).expect("in order");
        again.reset();
        assert!(!again.has_ended() && again.trailers().is_none());
        assert_eq!(trailers(again, "0\r\n\r\n"), "");
    }

    #[test]
    fn what_stands_between_chunks_has_a_bound() {
        let extended = |len: usize| format!("1;{}\r\n", "x".repeat(len));
        assert_eq!(from_client(&extended(EXTENSION_MAX)), Ok((EXTENSION_MAX + 4, false)));
        assert!(from_client(&extended(EXTENSION_MAX + 1)).is_err());
        assert_eq!(from_client(&format!("{}x\r\n", extended(200)).repeat(3)).map(|(_, ended)| ended), Ok(false));
        assert!(from_application(&format!("1{}\r\n", " ".repeat(EXTENSION_MAX + 1))).is_err());
        assert!(from_client(&format!("0\r\n{}", "X-Trailer: y\r\n".repeat(1000))).is_err());
        assert!(from_client(&format!("0\r\n{}", "x".repeat(5000))).is_err());
        assert!(from_client(&format!("0\r\nX: {}\r\n\r\n", "y".repeat(TRAILERS_MAX - 5))).is_ok());
        assert!(from_client(&format!("0\r\nX: {}\r\n\r\n", "y".repeat(TRAILERS_MAX - 3))).is_err());
    }
}
