//! How the end of a body is found.

/// The length of a message's body, as its head tells.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum BodyLength {
    /// There is no body.
    #[default]
    Empty,
    /// The body has this many bytes; never 0.
    Sized(u64),
    /// The body ends by its framing: `chunked` over HTTP/1, END_STREAM over HTTP/2. Trailers may follow.
    Framed,
    /// The body ends when the connection closes (responses over HTTP/1 only).
    UntilClose,
}
