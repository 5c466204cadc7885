//! What the last read of a byte stream tells of the next one.

/// What the last read of a byte stream tells of the next one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LastRead {
    /// More may be there.
    Full,
    /// It had room for more, so that all was taken that had come. Whether more has come since is asked first: that costs less
    /// than a read that finds nothing, and needs no buffer.
    Short,
    /// It has found nothing, and its task is woken once there is something.
    Nothing,
}
