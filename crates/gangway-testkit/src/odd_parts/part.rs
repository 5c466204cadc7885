//! One odd part, and the suites that it is for.

/// The suites that use an odd part.
///
/// The record was made once, by an engine that is gone, so nothing can be added to it. The comparison is a page of the
/// documentation, so it leaves out what no server finds odd.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Suites {
    /// The record of the data plane and the comparison with other servers.
    Both,
    /// Only the record.
    Recorded,
    /// Only the comparison.
    Compared,
}

/// A part of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OddPart<T>(pub Suites, pub T);

/// The parts that are recorded, in the order in which they were.
pub fn recorded<T: Copy>(parts: &[OddPart<T>]) -> impl Iterator<Item = T> {
    parts.iter().filter(|part| part.0 != Suites::Compared).map(|part| part.1)
}

/// The parts that are compared.
pub fn compared<T: Copy>(parts: &[OddPart<T>]) -> impl Iterator<Item = T> {
    parts.iter().filter(|part| part.0 != Suites::Recorded).map(|part| part.1)
}
