//! The keys of holdings in the storage, and the name of their lock.

/// The file of the holdings.
pub(super) const HOLDINGS: &str = "hosts/held.json";

/// The prefix of the notes about released hosts.
pub(super) const RELEASE_NOTES: &str = "hosts/released/";

/// The lock that a writer of the holdings has, so that two instances do not overwrite each other.
pub(super) const LOCK: &str = "hosts";

/// The lock that a writer of notes has.
pub(super) const NOTES_LOCK: &str = "hosts-released";
