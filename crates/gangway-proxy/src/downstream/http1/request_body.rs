//! The body of a request over HTTP/1, found in the bytes that come.

use crate::downstream::http1::input::Input;
use crate::http1::chunked::ChunkedDecoder;
use crate::message::body_length::BodyLength;
use crate::message::fields::Fields;

/// A body that is being read.
#[derive(Debug)]
pub(crate) struct RequestBody {
    state: BodyState,
    /// Used again for the next chunked body.
    decoder: ChunkedDecoder,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BodyState {
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

impl RequestBody {
    pub(crate) fn new() -> Self {
        Self { state: BodyState::Ended, decoder: ChunkedDecoder::for_requests() }
    }

    /// Begins the body of the next request.
    pub(crate) fn begin(&mut self, length: BodyLength) {
        self.state = match length {
            BodyLength::Empty => BodyState::Ended,
            BodyLength::Sized(len) => BodyState::Sized(len),
            BodyLength::Framed | BodyLength::UntilClose => BodyState::Chunked(0),
        };
        // Also for a body without trailers, which would otherwise seem to have those of the last one.
        self.decoder.reset();
    }

    /// From here on, all bytes belong to another protocol.
    pub(crate) fn switch_protocols(&mut self) {
        self.state = BodyState::Raw;
    }

    /// The stream has ended. Returns whether the body has then ended as it should.
    pub(crate) fn end_of_stream(&mut self) -> bool {
        if self.state == BodyState::Raw {
            self.state = BodyState::Ended;
        }
        self.has_ended()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state == BodyState::Ended
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.state == BodyState::Raw
    }

    /// How many bytes are to come, as far as that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.state {
            BodyState::Ended => Some(0),
            BodyState::Sized(left) => Some(left),
            BodyState::Chunked(_) | BodyState::Raw => None,
        }
    }

    /// The trailers, once the body has ended.
    pub(crate) fn trailers(&self) -> Option<&Fields> {
        self.decoder.trailers().filter(|_| self.has_ended())
    }

    /// Finds the next piece, and takes the framing before it out of the input.
    pub(crate) fn next(&mut self, input: &mut Input) -> Result<NextPiece, &'static str> {
        let available = input.bytes().len();
        match self.state {
            BodyState::Ended => Ok(NextPiece::End),
            BodyState::Sized(_) | BodyState::Raw | BodyState::Chunked(0) if available == 0 => Ok(NextPiece::Missing),
            BodyState::Sized(left) => {
                Ok(NextPiece::Data(usize::try_from(left).map_or(available, |left| left.min(available))))
            }
            BodyState::Raw => Ok(NextPiece::Data(available)),
            BodyState::Chunked(0) => {
                let decoded = self.decoder.decode(input.bytes())?;
                let data = decoded.data.len();
                input.consume(decoded.consumed - data);
                if self.decoder.has_ended() {
                    self.state = BodyState::Ended;
                    return Ok(NextPiece::End);
                }
                self.state = BodyState::Chunked(data);
                Ok(if data == 0 { NextPiece::Missing } else { NextPiece::Data(data) })
            }
            BodyState::Chunked(data) => Ok(NextPiece::Data(data)),
        }
    }

    /// Notes that bytes of the last piece were taken out of the input.
    pub(crate) fn consumed(&mut self, len: usize) {
        match &mut self.state {
            BodyState::Sized(left) => {
                *left = left.saturating_sub(len as u64);
                if *left == 0 {
                    self.state = BodyState::Ended;
                }
            }
            BodyState::Chunked(data) => *data = data.saturating_sub(len),
            BodyState::Ended | BodyState::Raw => {}
        }
    }
}
