//! HTTP/2 to the byte, for clients that keep no rules.
//!
//! Field blocks are written without compression and without the table that a connection keeps, so that every block is the
//! same on every stream (RFC 7541, section 6.2.2).

use std::io;

use gangway_testkit::client::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_LEN: usize = 9;

/// Bytes of a frame at most, unless the other side allows more.
const FRAME_MAX: usize = 16 * 1024;

/// `:status: 200`, and the first bits of a change of the table's size, in a field block (RFC 7541, sections 6.1 and 6.3).
const STATUS_200: u8 = 0x88;
const TABLE_SIZE: u8 = 0x20;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// SETTINGS_INITIAL_WINDOW_SIZE.
pub const INITIAL_WINDOW: u16 = 4;

/// The largest window (RFC 9113, section 6.9.1).
pub const WINDOW_MAX: u32 = (1 << 31) - 1;

/// The window of a connection before anything was said.
const WINDOW_AT_FIRST: u32 = 65_535;

/// A type of frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum FrameType {
    /// Bytes of a body.
    Data = 0,
    /// A head, or its beginning.
    Headers = 1,
    /// The end of a stream before its time.
    Reset = 3,
    /// What the sender allows.
    Settings = 4,
    /// Asks for an answer.
    Ping = 6,
    /// The end of the connection.
    GoAway = 7,
    /// Room for more bytes.
    WindowUpdate = 8,
    /// More of a head.
    Continuation = 9,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Follows {
    /// Nothing.
    Nothing,
    /// A body.
    Body,
    /// More of the head.
    Head,
}

/// One frame.
pub fn frame(kind: FrameType, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    let mut bytes = len[1..].to_vec();
    bytes.extend([kind as u8, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The first bytes of a client, with a window for each stream and the largest one for the connection.
pub fn preface(stream_window: u32) -> Vec<u8> {
    let settings = [&INITIAL_WINDOW.to_be_bytes()[..], &stream_window.to_be_bytes()].concat();
    let room = (WINDOW_MAX - WINDOW_AT_FIRST).to_be_bytes();
    let settings = frame(FrameType::Settings, 0, 0, &settings);
    [PREFACE, &settings, &frame(FrameType::WindowUpdate, 0, 0, &room)].concat()
}

/// The head of a request, in as many frames as it needs.
pub fn headers(stream: u32, block: &[u8], follows: Follows) -> Vec<u8> {
    let end_stream = if follows == Follows::Nothing { END_STREAM } else { 0 };
    let mut bytes = Vec::new();
    let mut pieces = block.chunks(FRAME_MAX).peekable();
    let mut kind = FrameType::Headers;
    while let Some(piece) = pieces.next() {
        let is_end = pieces.peek().is_none() && follows != Follows::Head;
        let flags = if is_end { END_HEADERS } else { 0 };
        let flags = if kind == FrameType::Headers { flags | end_stream } else { flags };
        bytes.extend(frame(kind, flags, stream, piece));
        kind = FrameType::Continuation;
    }
    bytes
}

/// A block with the fields of a request and `more` beside them.
pub fn block(method: &str, host: &str, path: &str, more: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)] {
        push_field(&mut block, name, value);
    }
    for (name, value) in more {
        push_field(&mut block, name, value);
    }
    block
}

/// Fields as large clients send them.
pub fn fields(count: usize, value_len: usize) -> Vec<(String, String)> {
    (0..count).map(|number| (format!("x-request-field-{number}"), "w".repeat(value_len))).collect()
}

fn push_field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        push_len(block, text.len());
        block.extend(text.as_bytes());
    }
}

/// A length in seven bits, or in more bytes if it does not fit (RFC 7541, section 5.1).
fn push_len(block: &mut Vec<u8>, len: usize) {
    const FIRST_MAX: usize = 127;
    let byte = |value: usize| u8::try_from(value).expect("seven bits, or eight");
    if len < FIRST_MAX {
        return block.push(byte(len));
    }
    block.push(byte(FIRST_MAX));
    let mut rest = len - FIRST_MAX;
    while rest >= 128 {
        block.push(byte(rest % 128 + 128));
        rest /= 128;
    }
    block.push(byte(rest));
}

/// Reads frames until `count` streams have got the head of a response with 200. Data on the way is dropped.
pub async fn read_heads(stream: &mut Stream, count: usize) -> io::Result<()> {
    let mut heads = 0;
    while heads < count {
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await?;
        let [len_high, len_middle, len_low, kind, ..] = header;
        let len = u32::from_be_bytes([0, len_high, len_middle, len_low]);
        let mut payload = vec![0; usize::try_from(len).expect("24 bits")];
        stream.read_exact(&mut payload).await?;
        if kind == FrameType::Headers as u8 {
            let status = payload.iter().find(|byte| **byte & 0xe0 != TABLE_SIZE);
            if status != Some(&STATUS_200) {
                return Err(io::Error::other(format!("another status, after {heads} heads: {payload:x?}")));
            }
            heads += 1;
        }
        if kind == FrameType::GoAway as u8 {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, format!("after {heads} heads")));
        }
    }
    Ok(())
}

/// Sends bytes at once.
pub async fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Sends bytes, and drops what comes meanwhile: a server that cannot write does not read either.
pub async fn send_and_drop_answers(stream: Stream, bytes: &[u8]) -> io::Result<Stream> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut nowhere = tokio::io::sink();
    let send = async {
        writing.write_all(bytes).await?;
        writing.flush().await
    };
    tokio::select! {
        sent = send => sent?,
        read = tokio::io::copy(&mut reading, &mut nowhere) => {
            read?;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(reading.unsplit(writing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_integers_with_a_prefix_of_seven_bits() {
        let written = |len| {
            let mut block = Vec::new();
            push_len(&mut block, len);
            block
        };
        assert_eq!(written(10), [10]);
        assert_eq!(written(127), [127, 0]);
        // The example of RFC 7541, section C.1.2, with a longer prefix.
        assert_eq!(written(1337), [127, 186, 9]);
    }

    #[test]
    fn a_frame_begins_with_its_length() {
        assert_eq!(frame(FrameType::Ping, 0, 1, &[7; 8])[..HEADER_LEN], [0, 0, 8, 6, 0, 0, 0, 0, 1]);
        assert_eq!(headers(3, b"ab", Follows::Nothing), [0, 0, 2, 1, 5, 0, 0, 0, 3, b'a', b'b']);
        let long = headers(3, &[0; FRAME_MAX + 1], Follows::Nothing);
        assert_eq!(long[..HEADER_LEN], [0, 64, 0, 1, 1, 0, 0, 0, 3]);
        assert_eq!(long[HEADER_LEN + FRAME_MAX..][..HEADER_LEN], [0, 0, 1, 9, 4, 0, 0, 0, 3]);
    }
}
