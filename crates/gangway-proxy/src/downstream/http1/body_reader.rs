//! The body of a request over HTTP/1, found in the bytes that come.

use crate::downstream::http1::input::ClientInput;
use crate::http1::chunked::ChunkedDecoder;
use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;

/// A body that is being read.
#[derive(Debug)]
pub(crate) struct BodyReader {
    state: BodyPosition,
    /// Used again for the next chunked body.
    decoder: ChunkedDecoder,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BodyPosition {
    Ended,
    /// This many bytes are to come.
    Sized(u64),
    /// This many bytes of the current chunk are at hand, without framing between them.
    Chunked(usize),
    /// The protocol was switched: everything up to the end of the stream is data.
    Raw,
}

/// What comes next in a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NextPiece {
    /// The input begins with this many bytes of data.
    Data(usize),
    /// More bytes have to come.
    Missing,
    End,
}

impl BodyReader {
    pub(crate) fn new() -> Self {
        Self { state: BodyPosition::Ended, decoder: ChunkedDecoder::for_requests() }
    }

    /// Begins the body of the next request.
    pub(crate) fn begin(&mut self, length: BodyLength) {
        self.state = match length {
            BodyLength::Empty => BodyPosition::Ended,
            BodyLength::Sized(len) => BodyPosition::Sized(len),
            BodyLength::Framed | BodyLength::UntilClose => BodyPosition::Chunked(0),
        };
        // Also for a body without trailers, which would otherwise seem to have those of the last one.
        self.decoder.reset();
    }

    /// From here on, all bytes belong to another protocol.
    pub(crate) fn switch_protocols(&mut self) {
        self.state = BodyPosition::Raw;
    }

    /// The stream has ended. Returns whether the body has then ended as it should.
    pub(crate) fn end_of_stream(&mut self) -> bool {
        if self.state == BodyPosition::Raw {
            self.state = BodyPosition::Ended;
        }
        self.has_ended()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state == BodyPosition::Ended
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.state == BodyPosition::Raw
    }

    /// How many bytes are to come, as far as that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.state {
            BodyPosition::Ended => Some(0),
            BodyPosition::Sized(left) => Some(left),
            BodyPosition::Chunked(_) | BodyPosition::Raw => None,
        }
    }

    /// The trailers, once the body has ended.
    pub(crate) fn trailers(&self) -> Option<&Fields> {
        self.decoder.trailers().filter(|_| self.has_ended())
    }

    /// Finds the next piece, and takes the framing before it out of the input.
    pub(crate) fn next(&mut self, input: &mut ClientInput) -> Result<NextPiece, &'static str> {
        let available = input.bytes().len();
        match self.state {
            BodyPosition::Ended => Ok(NextPiece::End),
            BodyPosition::Sized(_) | BodyPosition::Raw | BodyPosition::Chunked(0) if available == 0 => {
                Ok(NextPiece::Missing)
            }
            BodyPosition::Sized(left) => {
                Ok(NextPiece::Data(usize::try_from(left).map_or(available, |left| left.min(available))))
            }
            BodyPosition::Raw => Ok(NextPiece::Data(available)),
            BodyPosition::Chunked(0) => {
                let decoded = self.decoder.decode(input.bytes())?;
                let data = decoded.data.len();
                input.consume(decoded.consumed - data);
                if self.decoder.has_ended() {
                    self.state = BodyPosition::Ended;
                    return Ok(NextPiece::End);
                }
                self.state = BodyPosition::Chunked(data);
                Ok(if data == 0 { NextPiece::Missing } else { NextPiece::Data(data) })
            }
            BodyPosition::Chunked(data) => Ok(NextPiece::Data(data)),
        }
    }

    /// Notes that bytes of the last piece were taken out of the input.
    pub(crate) fn consumed(&mut self, len: usize) {
        match &mut self.state {
            BodyPosition::Sized(left) => {
                *left = left.saturating_sub(len as u64);
                if *left == 0 {
                    self.state = BodyPosition::Ended;
                }
            }
            BodyPosition::Chunked(data) => *data = data.saturating_sub(len),
            BodyPosition::Ended | BodyPosition::Raw => {}
        }
    }
}
