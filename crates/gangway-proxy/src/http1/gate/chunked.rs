//! Follows a chunked body (RFC 9112, section 7.1) to its end.

use crate::grammar::is_token;
use crate::reply::rejection::Rejection;

/// Digits of a chunk size. A petabyte has thirteen.
const DIGITS_MAX: u8 = 15;

/// Bytes of a chunk's extension. Extensions are practically unused, but a signature for each chunk fits. Without a
/// bound, a client could make us read megabytes for one byte of body.
const EXTENSION_MAX: usize = 256;

/// Bytes of all trailers together. Checksums and a gRPC status with its message fit.
const TRAILERS_MAX: usize = 4096;

/// Trailers that would decide about framing, routing or the connection after the fact.
const FORBIDDEN: [&[u8]; 7] =
    [b"connection", b"content-length", b"host", b"te", b"trailer", b"transfer-encoding", b"upgrade"];

/// The length of the longest forbidden name.
const NAME_MAX: usize = 17;

/// The position in a chunked body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunked {
    at: At,
    /// The size of the chunk while it is read, then the rest of the chunk.
    left: u64,
    digits: u8,
    /// Bytes of the extension, or of all trailers so far.
    counted: usize,
    /// The name of the trailer, as far as it may be a forbidden one.
    name: [u8; NAME_MAX],
    name_len: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer or of the last line.
    Line,
    Name,
    Value,
    LineLf,
    LastLf,
    End,
}

impl Chunked {
    pub(crate) fn new() -> Self {
        Self { at: At::Size, left: 0, digits: 0, counted: 0, name: [0; NAME_MAX], name_len: 0 }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.at == At::End
    }

    /// Follows `bytes` and returns how many of them belong to the body.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<usize, Rejection> {
        let mut position = 0;
        while position < bytes.len() && self.at != At::End {
            if self.at == At::Data {
                let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - position);
                self.left -= len as u64;
                position += len;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
            } else {
                self.at = self.step(bytes[position])?;
                position += 1;
            }
        }
        Ok(position)
    }

    fn step(&mut self, byte: u8) -> Result<At, Rejection> {
        match (self.at, byte) {
            (At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte),
            (At::Size, _) if self.digits == 0 => refuse("a chunk size is empty"),
            (At::Size | At::Extension, b'\r') => Ok(At::SizeLf),
            (At::Size, b';') => {
                self.counted = 0;
                Ok(At::Extension)
            }
            (At::Size, _) => refuse("a chunk size is no number"),
            (At::Extension, _) => self.counted_byte(byte, EXTENSION_MAX, At::Extension),
            (At::SizeLf, b'\n') => {
                self.counted = 0;
                self.digits = 0;
                Ok(if self.left == 0 { At::Line } else { At::Data })
            }
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::Size),
            (At::Line, b'\r') => Ok(At::LastLf),
            (At::Line, _) => {
                self.name_len = 0;
                self.name_byte(byte)
            }
            (At::Name, b':') if !self.is_forbidden() => Ok(At::Value),
            (At::Name, b':') => refuse("a trailer that may not come after the body"),
            (At::Name, _) => self.name_byte(byte),
            (At::Value, b'\r') => Ok(At::LineLf),
            (At::Value, _) => self.counted_byte(byte, TRAILERS_MAX, At::Value),
            (At::LineLf, b'\n') => Ok(At::Line),
            (At::LastLf, b'\n') => Ok(At::End),
            _ => refuse("a line of a chunked body does not end as it must"),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<At, Rejection> {
        if self.digits == DIGITS_MAX {
            return refuse("a chunk size is too large");
        }
        let digit = char::from(byte).to_digit(16).expect("only digits are given");
        self.left = self.left << 4 | u64::from(digit);
        self.digits += 1;
        Ok(At::Size)
    }

    fn name_byte(&mut self, byte: u8) -> Result<At, Rejection> {
        if !is_token(byte) {
            return refuse("a trailer is malformed");
        }
        if let Some(place) = self.name.get_mut(self.name_len) {
            *place = byte.to_ascii_lowercase();
        }
        self.name_len += 1;
        self.counted_byte(byte, TRAILERS_MAX, At::Name)
    }

    fn is_forbidden(&self) -> bool {
        self.name.get(..self.name_len).is_some_and(|name| FORBIDDEN.contains(&name))
    }

    fn counted_byte(&mut self, byte: u8, max: usize, next: At) -> Result<At, Rejection> {
        self.counted += 1;
        if self.counted > max {
            return refuse("the extension of a chunk, or the trailers, are too long");
        }
        if byte < 0x20 && byte != b'\t' || byte == 0x7f {
            return refuse("a control byte between chunks");
        }
        Ok(next)
    }
}

fn refuse<T>(detail: &'static str) -> Result<T, Rejection> {
    Err(Rejection::bad(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes belong to the body and whether it has ended there.
    fn read(body: &str) -> Result<(usize, bool), &'static str> {
        let mut chunked = Chunked::new();
        let len = chunked.read(body.as_bytes()).map_err(|rejection| rejection.detail)?;
        Ok((len, chunked.has_ended()))
    }

    #[test]
    fn a_body_ends_where_it_says() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "a;name=\"value\"\r\n0123456789\r\n00\r\n\r\n",
            "1\r\n\n\r\n0\r\nX-Sum: abc\t\u{e4}\r\nY:\r\n\r\n",
        ] {
            assert_eq!(read(body), Ok((body.len(), true)), "{body:?}");
            assert_eq!(read(&format!("{body}GET / HTTP/1.1")), Ok((body.len(), true)), "{body:?}");
            assert_eq!(read(&body[..body.len() - 1]), Ok((body.len() - 1, false)), "{body:?}");
        }
    }

    #[test]
    fn what_two_parsers_could_end_differently_is_refused() {
        for body in [
            "\r\n",
            ";x\r\n",
            " 5\r\n",
            "5 \r\n",
            "0x5\r\n",
            "+5\r\n",
            "-1\r\n",
            "5\nhello",
            "5;\nhello",
            "5;a\x01\r\n",
            "5;a\rb\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "1000000000000000\r\n",
            "0000000000000001\r\n",
            "0\r\n\n",
            "0\r\nX\r\n\r\n",
            "0\r\nX : y\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\nX: \0\r\n\r\n",
            "0\r\nContent-Length: 5\r\n\r\n",
            "0\r\nTRANSFER-ENCODING: chunked\r\n\r\n",
            "0\r\nHost: a\r\n\r\n",
        ] {
            assert!(read(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn what_stands_between_chunks_has_a_bound() {
        assert_eq!(read(&format!("1;{}\r\n", "x".repeat(EXTENSION_MAX))), Ok((EXTENSION_MAX + 4, false)));
        assert!(read(&format!("1;{}\r\n", "x".repeat(EXTENSION_MAX + 1))).is_err());
        assert!(read(&format!("0\r\n{}", "X-Trailer: y\r\n".repeat(1000))).is_err());
        assert!(read(&format!("0\r\n{}", "x".repeat(5000))).is_err());
    }
}
