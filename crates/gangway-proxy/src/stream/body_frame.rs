//! A piece of a body.

/// A piece of a body, or its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BodyFrame<D> {
    /// Bytes of the body, without any framing. Never empty.
    Data(D),
    /// The body has ended; trailers may be there.
    End,
}
