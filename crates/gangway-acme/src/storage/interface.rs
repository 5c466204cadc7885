//! What a place must offer to be a storage.

use std::future::Future;
use std::io;
use std::time::Duration;

/// A place for small values under keys such as `ca/root.crt`.
///
/// Keys are relative paths of lower-case ASCII letters, digits and `._@-`.
pub trait Storage: Clone + Send + Sync + 'static {
    /// The right to write, held by one instance at a time. Dropping it gives it back.
    type Lease: Send + Sync;

    /// Reads the value, or `None` if there is none.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StorageError>> + Send;

    /// Replaces the whole value: after a crash the old one or the new one is there.
    fn put(
        &self,
        key: &str,
        value: Vec<u8>,
        lease: &Self::Lease,
    ) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Removes the value, if there is one.
    fn delete(&self, key: &str, lease: &Self::Lease) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Moves a value that cannot be read out of the way, where a person can still look at it, and returns its new
    /// key.
    fn set_aside(&self, key: &str, lease: &Self::Lease) -> impl Future<Output = Result<String, StorageError>> + Send;

    /// Lists all values below a prefix that ends with `/`, sorted by key, without those that were set aside.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<Vec<Stored>, StorageError>> + Send;

    /// Takes the lease of this name. `None` while another instance has it.
    ///
    /// The lease is free if its holder is gone or has not renewed for a minute.
    fn lock(&self, name: &str) -> impl Future<Output = Result<Option<Self::Lease>, StorageError>> + Send;

    /// Shows that the holder lives. False if another instance took the lease: stop writing.
    fn renew(&self, lease: &Self::Lease) -> impl Future<Output = Result<bool, StorageError>> + Send;

    /// Whether leases are uncertain here: two instances that begin in the same moment may both have one for a
    /// while.
    fn lacks_locks(&self) -> bool;
}

/// Interval at which a lease is renewed; a lease is lost after a minute.
const BEAT: Duration = Duration::from_secs(15);

/// Runs the future while we hold the lease, and renews the lease meanwhile. `None` once another instance has the
/// lease.
pub(crate) async fn while_held<S: Storage, T>(
    storage: &S,
    lease: &S::Lease,
    act: impl Future<Output = T>,
) -> Option<T> {
    let beat = async {
        loop {
            tokio::time::sleep(BEAT).await;
            // A lease that cannot be renewed just now may still be ours; each write makes sure.
            if matches!(storage.renew(lease).await, Ok(false)) {
                return;
            }
        }
    };
    tokio::select! {
        outcome = act => Some(outcome),
        () = beat => None,
    }
}

/// A value in a list.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Stored {
    /// The key of the value.
    pub key: String,
    /// A number that changes whenever the value is replaced.
    pub version: u64,
}

/// A key component for a host name, as Caddy writes it: `*.example.org` becomes `wildcard_.example.org`.
pub fn safe_name(name: &str) -> String {
    let name = name.to_ascii_lowercase().replace('*', "wildcard_").replace(':', "-");
    name.chars().filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '@' | '-')).collect()
}

/// A failure of the storage. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
#[error("{act} `{key}`: {cause}")]
pub struct StorageError {
    /// The act that failed, such as `write`.
    pub act: &'static str,
    /// The key it was for.
    pub key: Box<str>,
    /// The cause of the failure.
    pub cause: StorageCause,
}

/// The cause of a failure of the storage.
#[derive(Debug, thiserror::Error)]
pub enum StorageCause {
    /// The system reported an error.
    #[error("{0}")]
    Io(io::Error),
    /// Another instance has the lease now.
    #[error("another instance took over")]
    LeaseLost,
    /// The value is larger than any that this crate writes.
    #[error("it is larger than 16 MiB")]
    TooLarge,
    /// The key is malformed, which is a bug.
    #[error("not a key")]
    BadKey,
}

impl StorageError {
    /// The failure of an act whose lease another instance has.
    pub fn busy(act: &'static str, key: &str) -> Self {
        Self { act, key: key.into(), cause: StorageCause::LeaseLost }
    }

    /// The remedy, for the operator.
    pub fn help(&self) -> &'static str {
        let StorageCause::Io(error) = &self.cause else { return "nothing; it is tried again" };
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space on the volume",
            io::ErrorKind::ReadOnlyFilesystem => "mount the volume writable",
            io::ErrorKind::PermissionDenied => {
                "give the volume to the user that gangway runs as, with mode 0700 and its files 0600"
            }
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "mount a volume at the data folder",
            _ => "look at the volume and the kernel's log",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_key_components_that_cannot_leave_their_folder() {
        assert_eq!(safe_name("*.Example.org"), "wildcard_.example.org");
        assert_eq!(safe_name("2001:db8::1"), "2001-db8--1");
        assert_eq!(safe_name("a/../b"), "a..b");
    }
}
