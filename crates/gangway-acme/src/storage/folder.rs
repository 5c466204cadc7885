//! A folder of the volume as [`Storage`].
//!
//! A value is written to a temporary file, synced to the disk and renamed over the old one; then the folder is
//! synced. Whenever the machine stops, the old value or the new one is there, and the next start sweeps leftovers
//! away. Files are readable by us alone.

use std::collections::hash_map::RandomState;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::macros::format_description;

use super::interface::{Storage, StorageCause, StorageError, Stored};
use super::lease::{FolderLease, Observed, SETTLE};

/// Larger than any chain or account. A larger file was not written by gangway and is not read into memory.
const VALUE_BYTES_MAX: u64 = 16 << 20;

/// The age at which leftovers of a write are swept away; a younger one may be another instance's.
const LEFTOVER_AGE: Duration = Duration::from_secs(600);

/// The part of a file's name that marks an unfinished write.
const UNFINISHED: &str = ".unfinished-";

/// A folder of the volume.
#[derive(Clone, Debug)]
pub struct FolderStorage {
    root: Arc<Path>,
    /// The mark of this instance; no two are alike.
    mark: Arc<str>,
    observed: Arc<Observed>,
    #[cfg(test)]
    pub(crate) fault: Fault,
    #[cfg(test)]
    pub(crate) lacks_locks: bool,
}

/// Stops a process at its n-th access to the disk, for tests of the state after a crash.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault(pub(crate) Arc<std::sync::atomic::AtomicI64>);

impl FolderStorage {
    /// A storage at `root`, which need not exist yet.
    pub fn new(root: &Path) -> Self {
        // A hasher's keys are random: enough to tell instances apart, and no secret.
        let mark = format!("{:016x}", RandomState::new().build_hasher().finish());
        Self {
            root: root.into(),
            mark: mark.into(),
            observed: Arc::default(),
            #[cfg(test)]
            fault: Fault(Arc::new(i64::MAX.into())),
            #[cfg(test)]
            lacks_locks: false,
        }
    }

    /// Makes a folder below the root that only we can read, takes rights from others if it exists already, and
    /// sweeps leftovers away. Returns whether rights had to be taken.
    pub fn prepare(&self, folder: &str) -> Result<bool, StorageError> {
        let path = self.root.join(folder);
        let error = |error| StorageError { act: "prepare", key: folder.into(), cause: StorageCause::Io(error) };
        make_folder(&path).map_err(error)?;
        let was_open = restrict(&path, 0o700).map_err(error)?;
        Self::sweep(&path);
        Ok(was_open)
    }

    fn sweep(folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let age = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            let is_old =
                age.is_some_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > LEFTOVER_AGE));
            if is_old && entry.file_name().to_string_lossy().contains(UNFINISHED) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, act: &'static str, key: &str) -> Result<PathBuf, StorageError> {
        let is_plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'@' | b'-'))
        };
        if key.split('/').all(is_plain) {
            Ok(self.root.join(key))
        } else {
            Err(StorageError { act, key: key.into(), cause: StorageCause::BadKey })
        }
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let path = self.path("read", key)?;
        let error = |cause| StorageError { act: "read", key: key.into(), cause };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(error(StorageCause::Io(cause))),
        };
        // Only we may read the file; if that cannot be set, the value is valid all the same.
        let _ = restrict(&path, 0o600);
        let mut value = Vec::new();
        file.take(VALUE_BYTES_MAX + 1).read_to_end(&mut value).map_err(|cause| error(StorageCause::Io(cause)))?;
        if value.len() as u64 > VALUE_BYTES_MAX { Err(error(StorageCause::TooLarge)) } else { Ok(Some(value)) }
    }

    fn write(&self, key: &str, value: &[u8], lease: &FolderLease) -> Result<(), StorageError> {
        let path = self.path("write", key)?;
        let error = |cause| StorageError { act: "write", key: key.into(), cause: StorageCause::Io(cause) };
        let folder = path.parent().unwrap_or(&self.root);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let beside = folder.join(format!(".{name}{UNFINISHED}{}", self.mark));
        self.touch().and_then(|()| make_folder(folder)).map_err(error)?;
        let written = self.write_beside(&beside, value).map_err(error).and_then(|()| {
            Self::fence("write", key, lease)?;
            self.touch().and_then(|()| fs::rename(&beside, &path)).map_err(error)
        });
        if written.is_err() && self.touch().is_ok() {
            let _ = fs::remove_file(&beside);
        }
        written?;
        self.touch().and_then(|()| sync_folder(folder)).map_err(error)
    }

    fn write_beside(&self, beside: &Path, value: &[u8]) -> io::Result<()> {
        self.touch()?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(beside)?;
        // Write in two parts, so that a test can stop between them.
        let (first, second) = value.split_at(value.len() / 2);
        file.write_all(first)?;
        self.touch()?;
        file.write_all(second)?;
        self.touch()?;
        file.sync_all()
    }

    fn remove(&self, key: &str, lease: &FolderLease) -> Result<(), StorageError> {
        let path = self.path("remove", key)?;
        Self::fence("remove", key, lease)?;
        match self.touch().and_then(|()| fs::remove_file(path)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(StorageError { act: "remove", key: key.into(), cause: StorageCause::Io(cause) })
            }
            _ => Ok(()),
        }
    }

    fn move_aside(&self, key: &str, lease: &FolderLease) -> Result<String, StorageError> {
        let path = self.path("set aside", key)?;
        Self::fence("set aside", key, lease)?;
        let error = |cause| StorageError { act: "set aside", key: key.into(), cause: StorageCause::Io(cause) };
        let stamp = OffsetDateTime::now_utc()
            .format(format_description!("[year][month][day]t[hour][minute][second]z"))
            .unwrap_or_default();
        let aside =
            (0..100)
                .map(|number| {
                    if number == 0 {
                        format!("{key}.corrupt-{stamp}")
                    } else {
                        format!("{key}.corrupt-{stamp}-{number}")
                    }
                })
                .find(|aside| !self.root.join(aside).exists())
                .ok_or_else(|| error(io::ErrorKind::AlreadyExists.into()))?;
        self.touch().and_then(|()| fs::rename(&path, self.root.join(&aside))).map_err(error)?;
        self.touch().and_then(|()| sync_folder(path.parent().unwrap_or(&self.root))).map_err(error)?;
        Ok(aside)
    }

    fn entries(&self, prefix: &str) -> Result<Vec<Stored>, StorageError> {
        let mut found = Vec::new();
        let mut open = vec![prefix.trim_end_matches('/').to_owned()];
        while let Some(folder) = open.pop() {
            let error =
                |cause| StorageError { act: "list", key: folder.as_str().into(), cause: StorageCause::Io(cause) };
            let entries = match fs::read_dir(self.root.join(&folder)) {
                Ok(entries) => entries,
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
                Err(cause) => return Err(error(cause)),
            };
            for entry in entries {
                let entry = entry.map_err(error)?;
                let key = format!("{folder}/{}", entry.file_name().to_string_lossy());
                if self.path("list", &key).is_err() || key.contains(".corrupt-") {
                    continue;
                }
                match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => open.push(key),
                    Ok(metadata) => found.push(Stored { key, version: version(&metadata) }),
                    // The file was replaced or removed since it was listed; the next look will see that.
                    Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                    Err(cause) => return Err(error(cause)),
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn take_lease(&self, name: &str) -> Result<Option<FolderLease>, StorageError> {
        let key = format!("locks/{name}.lock");
        let path = self.path("lock", &key)?;
        let taken = make_folder(&self.root.join("locks"))
            .and_then(|()| FolderLease::take(&path, &self.mark, &self.observed, self.try_lock()));
        taken.map_err(|cause| StorageError { act: "lock", key: key.into(), cause: StorageCause::Io(cause) })
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests have file systems without locks")]
    fn try_lock(&self) -> super::lease::TryLock {
        File::try_lock
    }

    #[cfg(test)]
    fn try_lock(&self) -> super::lease::TryLock {
        if self.lacks_locks {
            |_| Err(fs::TryLockError::Error(rustix::io::Errno::NOLCK.into()))
        } else {
            File::try_lock
        }
    }

    /// Refuses a write of a holder that lost its lease while it hung.
    fn fence(act: &'static str, key: &str, lease: &FolderLease) -> Result<(), StorageError> {
        let held = lease.is_held();
        let error = |cause| StorageError { act, key: key.into(), cause };
        match held {
            Ok(true) => Ok(()),
            Ok(false) => Err(error(StorageCause::LeaseLost)),
            Err(cause) => Err(error(StorageCause::Io(cause))),
        }
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests stop the process here")]
    fn touch(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn touch(&self) -> io::Result<()> {
        match self.fault.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) {
            left if left > 0 => Ok(()),
            _ => Err(io::Error::other("stopped by the test")),
        }
    }
}

impl Storage for FolderStorage {
    type Lease = Arc<FolderLease>;

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.blocking(key, Self::read).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, lease: &Self::Lease) -> Result<(), StorageError> {
        let lease = Arc::clone(lease);
        self.blocking(key, move |storage, key| storage.write(key, &value, &lease)).await
    }

    async fn delete(&self, key: &str, lease: &Self::Lease) -> Result<(), StorageError> {
        let lease = Arc::clone(lease);
        self.blocking(key, move |storage, key| storage.remove(key, &lease)).await
    }

    async fn set_aside(&self, key: &str, lease: &Self::Lease) -> Result<String, StorageError> {
        let lease = Arc::clone(lease);
        self.blocking(key, move |storage, key| storage.move_aside(key, &lease)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Stored>, StorageError> {
        self.blocking(prefix, Self::entries).await
    }

    async fn lock(&self, name: &str) -> Result<Option<Self::Lease>, StorageError> {
        let taken = self.blocking(name, |storage, name| Ok(storage.take_lease(name)?.map(Arc::new))).await?;
        let Some(lease) = taken else { return Ok(None) };
        if !lease.must_settle() {
            return Ok(Some(lease));
        }
        tokio::time::sleep(SETTLE).await;
        let there = Arc::clone(&lease);
        let stands = self.blocking(name, move |_, name| {
            let error = |cause| StorageError { act: "lock", key: name.into(), cause: StorageCause::Io(cause) };
            there.stands().map_err(error)
        });
        Ok(stands.await?.then_some(lease))
    }

    fn lacks_locks(&self) -> bool {
        self.observed.lacks_locks()
    }

    async fn renew(&self, lease: &Self::Lease) -> Result<bool, StorageError> {
        let lease = Arc::clone(lease);
        let error = |cause| StorageError { act: "renew", key: "locks".into(), cause: StorageCause::Io(cause) };
        self.blocking("locks", move |_, _| lease.renew().map_err(error)).await
    }
}

impl FolderStorage {
    /// Runs an action on a thread of its own, since a disk may take its time.
    async fn blocking<T: Send + 'static>(
        &self,
        key: &str,
        act: impl FnOnce(&Self, &str) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (storage, owned) = (self.clone(), key.to_owned());
        tokio::task::spawn_blocking(move || act(&storage, &owned)).await.unwrap_or_else(|_| {
            Err(StorageError {
                act: "use",
                key: key.into(),
                cause: StorageCause::Io(io::Error::other("a fault of ours")),
            })
        })
    }
}

/// A number that changes whenever a file is renamed into place, independent of the clock.
fn version(metadata: &fs::Metadata) -> u64 {
    let mut hasher = DefaultHasher::new();
    (metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec()).hash(&mut hasher);
    hasher.finish()
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes the rights of others and returns whether there were any.
pub fn restrict(path: &Path, mode: u32) -> io::Result<bool> {
    let metadata = fs::metadata(path)?;
    if metadata.mode() & 0o777 & !mode == 0 {
        return Ok(false);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(metadata.mode() & 0o7777 & (mode | !0o777)))?;
    Ok(true)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    async fn keys(storage: &FolderStorage, prefix: &str) -> Vec<String> {
        storage.list(prefix).await.expect("works").into_iter().map(|stored| stored.key).collect()
    }

    async fn storage() -> (tempfile::TempDir, FolderStorage, Arc<FolderLease>) {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = FolderStorage::new(folder.path());
        let lease = storage.lock("test").await.expect("works").expect("is free");
        (folder, storage, lease)
    }

    #[tokio::test]
    async fn what_was_put_is_found_by_us_alone() {
        let (folder, storage, lease) = storage().await;
        assert_eq!(storage.get("a/b.json").await.expect("works"), None);
        storage.put("a/b.json", b"one".to_vec(), &lease).await.expect("writes");
        storage.put("a/b.json", b"two".to_vec(), &lease).await.expect("writes again");
        assert_eq!(storage.get("a/b.json").await.expect("works").as_deref(), Some(&b"two"[..]));
        let mode = |path: &str| fs::metadata(folder.path().join(path)).expect("is there").mode() & 0o777;
        assert_eq!((mode("a"), mode("a/b.json")), (0o700, 0o600));
        assert_eq!(keys(&storage, "a/").await, ["a/b.json"]);
    }

    #[tokio::test]
    async fn rights_that_others_were_given_are_taken_back() {
        let (folder, storage, lease) = storage().await;
        storage.put("a/k", b"secret".to_vec(), &lease).await.expect("writes");
        let path = folder.path().join("a/k");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("is ours");
        fs::set_permissions(folder.path().join("a"), fs::Permissions::from_mode(0o755)).expect("is ours");
        storage.get("a/k").await.expect("works");
        assert_eq!(fs::metadata(&path).expect("is there").mode() & 0o777, 0o600);
        assert!(storage.prepare("a").expect("works"), "it says so");
        assert!(!storage.prepare("a").expect("works"));
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_instances_on_a_file_system_without_locks_one_gets_the_lease() {
        let folder = tempfile::tempdir().expect("a folder");
        let instance = || FolderStorage { lacks_locks: true, ..FolderStorage::new(folder.path()) };
        let (one, other) = (instance(), instance());
        for _ in 0..20 {
            let taken = tokio::join!(one.lock("test"), other.lock("test"));
            let held = [taken.0, taken.1].map(|taken| taken.expect("works")).into_iter().flatten();
            assert_eq!(held.count(), 1);
        }
        assert!(Storage::lacks_locks(&one) && !Storage::lacks_locks(&FolderStorage::new(folder.path())));
    }

    #[tokio::test]
    async fn a_key_cannot_leave_the_folder() {
        let (_folder, storage, lease) = storage().await;
        for key in ["../a", "a/../b", "/a", "a//b", ".a", "a/.b", "", "A", "a b"] {
            let error = storage.put(key, Vec::new(), &lease).await.expect_err(key);
            assert!(matches!(error.cause, StorageCause::BadKey), "{key}");
        }
    }

    #[tokio::test]
    async fn wherever_a_write_stops_the_old_or_the_new_value_is_there() {
        let (_folder, storage, lease) = storage().await;
        let (old, new) = (vec![b'o'; 5000], vec![b'n'; 7000]);
        let mut seen = Vec::new();
        for touches in 0..12 {
            storage.fault.0.store(i64::MAX, Ordering::SeqCst);
            storage.put("a/k", old.clone(), &lease).await.expect("writes");
            storage.fault.0.store(touches, Ordering::SeqCst);
            let outcome = storage.put("a/k", new.clone(), &lease).await;
            storage.fault.0.store(i64::MAX, Ordering::SeqCst);
            let value = storage.get("a/k").await.expect("works").expect("never gone");
            assert!(value == old || value == new);
            assert!(outcome.is_err() || value == new, "a write that succeeded is in force");
            seen.push(value == new);
            // The leftovers of a stopped process are not listed as keys.
            assert_eq!(keys(&storage, "a/").await, ["a/k"]);
        }
        assert!(!seen[0] && seen[11], "both happened: {seen:?}");
    }

    #[tokio::test]
    async fn old_leftovers_are_swept_away_and_young_ones_stay() {
        let (folder, storage, lease) = storage().await;
        storage.put("a/k", Vec::new(), &lease).await.expect("writes");
        for (name, age) in [("old", 3600), ("young", 1)] {
            let file = File::create(folder.path().join(format!("a/.k{UNFINISHED}{name}"))).expect("a file");
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).expect("is ours");
        }
        storage.prepare("a").expect("works");
        let mut left: Vec<_> =
            fs::read_dir(folder.path().join("a")).expect("a folder").flatten().map(|e| e.file_name()).collect();
        left.sort();
        assert_eq!(left, [format!(".k{UNFINISHED}young").as_str(), "k"]);
    }

    #[tokio::test]
    async fn what_is_set_aside_is_kept_under_another_name() {
        let (folder, storage, lease) = storage().await;
        for text in ["one", "two"] {
            storage.put("a/k", text.into(), &lease).await.expect("writes");
            let aside = storage.set_aside("a/k", &lease).await.expect("works");
            assert!(aside.starts_with("a/k.corrupt-"));
            assert_eq!(fs::read_to_string(folder.path().join(aside)).expect("is there"), text);
        }
        assert_eq!(keys(&storage, "a/").await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn who_was_overtaken_cannot_write() {
        let (folder, storage, lease) = storage().await;
        fs::rename(folder.path().join("locks/test.lock"), folder.path().join("locks/other")).expect("is there");
        let error = storage.put("a/k", Vec::new(), &lease).await.expect_err("the lease is lost");
        assert!(matches!(error.cause, StorageCause::LeaseLost));
        assert_eq!(storage.get("a/k").await.expect("works"), None);
    }

    #[tokio::test]
    async fn a_value_larger_than_ours_is_not_read() {
        let (folder, storage, _lease) = storage().await;
        let file = File::create(folder.path().join("big")).expect("a file");
        file.set_len(VALUE_BYTES_MAX + 1).expect("is ours");
        assert!(matches!(storage.get("big").await.expect_err("refused").cause, StorageCause::TooLarge));
    }
}
