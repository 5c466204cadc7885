//! How much of a response may be read at once.

/// How much of a response may be read at once.
///
/// A wide read costs one system call instead of three, and its bytes leave together. But a client that does not take them
/// has all of them kept for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ReadWidth {
    /// A buffer.
    Narrow,
    /// A wide buffer, if the endpoint has been sending more than a buffer.
    Wide,
}
