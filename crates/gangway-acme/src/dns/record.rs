//! A record in the DNS, and the changes to it.

use tokio::sync::OwnedMutexGuard;

/// A record that was made and is to be removed again.
#[derive(Debug)]
pub(crate) struct TxtRecord {
    /// The name that holds the record, at the end of all CNAMEs.
    pub(super) owner: String,
    /// The zone that the record is in; `None` if the provider finds it itself.
    pub(super) zone: Option<String>,
    pub(super) value: String,
    /// Held if the provider keeps only one value at a name: no other value may replace this one meanwhile.
    pub(super) _turn: Option<OwnedMutexGuard<()>>,
}

/// A change to a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RecordChange {
    Present,
    Remove,
}
