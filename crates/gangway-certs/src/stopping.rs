//! A storage that stops working after some steps, for tests of the state after a crash or on a full volume.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use gangway_acme::storage::{FolderStorage, Storage, StorageCause, StorageError, Stored};

/// Each write has two steps: it happens, and it is reported. A test may stop before either.
#[derive(Clone)]
pub(crate) struct StoppingStorage {
    inner: FolderStorage,
    steps_left: Arc<AtomicI64>,
}

impl StoppingStorage {
    pub(crate) fn new(inner: FolderStorage) -> Self {
        Self { inner, steps_left: Arc::new(i64::MAX.into()) }
    }

    pub(crate) fn stop_after(&self, steps: i64) {
        self.steps_left.store(steps, Ordering::SeqCst);
    }

    fn step(&self, act: &'static str, key: &str) -> Result<(), StorageError> {
        match self.steps_left.fetch_sub(1, Ordering::SeqCst) {
            left if left > 0 => Ok(()),
            _ => Err(StorageError {
                act,
                key: key.into(),
                cause: StorageCause::Io(io::Error::other("stopped by the test")),
            }),
        }
    }
}

impl Storage for StoppingStorage {
    type Lease = <FolderStorage as Storage>::Lease;

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, lease: &Self::Lease) -> Result<(), StorageError> {
        self.step("write", key)?;
        self.inner.put(key, value, lease).await?;
        self.step("write", key)
    }

    async fn delete(&self, key: &str, lease: &Self::Lease) -> Result<(), StorageError> {
        self.step("remove", key)?;
        self.inner.delete(key, lease).await?;
        self.step("remove", key)
    }

    async fn set_aside(&self, key: &str, lease: &Self::Lease) -> Result<String, StorageError> {
        self.step("set aside", key)?;
        let aside = self.inner.set_aside(key, lease).await?;
        self.step("set aside", key)?;
        Ok(aside)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Stored>, StorageError> {
        self.inner.list(prefix).await
    }

    async fn lock(&self, name: &str) -> Result<Option<Self::Lease>, StorageError> {
        self.inner.lock(name).await
    }

    async fn renew(&self, lease: &Self::Lease) -> Result<bool, StorageError> {
        self.inner.renew(lease).await
    }

    fn lacks_locks(&self) -> bool {
        self.inner.lacks_locks()
    }
}
