//! A piece of a body.

/// A piece of a body, or its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyFrame<'b> {
    /// Bytes of the body, without any framing. Never empty.
    Data(&'b [u8]),
    /// The body has ended; trailers may be there.
    End,
}
