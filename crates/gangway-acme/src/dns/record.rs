//! A record in the DNS, and what is done about it.

use tokio::sync::OwnedMutexGuard;

/// A record that was made and is to be removed again.
#[derive(Debug)]
pub(crate) struct TxtRecord {
    /// Where it is, at the end of all CNAMEs.
    pub(super) owner: String,
    /// The zone that it is in; none where the provider finds that out itself.
    pub(super) zone: Option<String>,
    pub(super) value: String,
    /// Where only one value can be kept at a name, nobody else's may take its place.
    pub(super) _turn: Option<OwnedMutexGuard<()>>,
}

/// What is done about a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RecordChange {
    Present,
    Remove,
}
