//! The body of an HTTP/1.1 request, read from a buffer that is filled as needed.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// A line of a head or of chunked framing is never longer than this.
pub(super) const HEAD_MAX: usize = 256 * 1024;

/// How the rest of a body is framed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    Length(u64),
    /// What is left of the current chunk, or none where a chunk head comes next.
    Chunked(Option<u64>),
    Done,
}

impl Framing {
    /// The next part of the body, or none at its end.
    pub(super) async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut BytesMut,
    ) -> io::Result<Option<Bytes>> {
        loop {
            match *self {
                Self::Done | Self::Length(0) => {
                    *self = Self::Done;
                    return Ok(None);
                }
                Self::Length(left) => {
                    let part = some(stream, buffer, left).await?;
                    *self = Self::Length(left - part.len() as u64);
                    return Ok(Some(part));
                }
                Self::Chunked(None) => {
                    let line = line(stream, buffer).await?;
                    let size = line.split(';').next().unwrap_or_default().trim();
                    let size = u64::from_str_radix(size, 16).map_err(|_| bad("a chunk size"))?;
                    if size == 0 {
                        while !self::line(stream, buffer).await?.is_empty() {}
                        *self = Self::Done;
                    } else {
                        *self = Self::Chunked(Some(size));
                    }
                }
                Self::Chunked(Some(0)) => {
                    if !line(stream, buffer).await?.is_empty() {
                        return Err(bad("the end of a chunk"));
                    }
                    *self = Self::Chunked(None);
                }
                Self::Chunked(Some(left)) => {
                    let part = some(stream, buffer, left).await?;
                    *self = Self::Chunked(Some(left - part.len() as u64));
                    return Ok(Some(part));
                }
            }
        }
    }
}

async fn some(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut, limit: u64) -> io::Result<Bytes> {
    if buffer.is_empty() {
        buffer.reserve(64 * 1024);
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let len = buffer.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(buffer.split_to(len).freeze())
}

/// One line without its end.
pub(super) async fn line(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> io::Result<String> {
    loop {
        if let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(at + 1);
            return Ok(latin1(line[..at].strip_suffix(b"\r").unwrap_or(&line[..at])));
        }
        if buffer.len() > HEAD_MAX {
            return Err(bad("a line"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Every byte as the character of the same number, so that nothing of what was received is lost.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

pub(super) fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot read {what}"))
}
