//! One writer at a time on a folder that several instances share.
//!
//! The kernel's file lock is the lease: it goes away with its process, however that ends. The file also
//! carries a token that its holder rewrites now and then, for the two cases that the kernel does not
//! cover: a holder that hangs, and a file system that has no working locks.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::io::Errno;
use tokio::time::Instant;

/// A holder that has not rewritten its token for this long has lost its lease.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// Without locks two instances can take a free lease in the same moment. The instance whose token is still in the
/// file after this delay has the lease. The delay is longer than a network file system takes to show one machine
/// the writes of another.
pub(super) const SETTLE: Duration = Duration::from_secs(4);

/// Counts every token that this process writes, over all leases. No token is repeated while the process lives, so
/// that a lease which was given back and taken again does not look like one whose holder hangs.
static BEATS: AtomicU64 = AtomicU64::new(0);

/// A lease on a folder. Dropping it gives it back.
#[derive(Debug)]
pub struct FolderLease {
    path: PathBuf,
    file: File,
    mark: Arc<str>,
    /// The token as it was last written.
    token: Mutex<Vec<u8>>,
    has_lock: bool,
}

/// Tokens of other holders, and since when each has been unchanged.
#[derive(Debug, Default)]
pub(super) struct Observed {
    tokens: Mutex<HashMap<PathBuf, (Vec<u8>, Instant)>>,
    lacks_locks: AtomicBool,
}

/// The function that locks a file; tests replace it.
pub(super) type TryLock = fn(&File) -> Result<(), TryLockError>;

impl FolderLease {
    /// Takes the lease at `path`. `None` while another holder has it.
    ///
    /// Without locks the lease is not certain yet: see [`must_settle`](Self::must_settle).
    pub(super) fn take(path: &Path, mark: &Arc<str>, observed: &Observed, lock: TryLock) -> io::Result<Option<Self>> {
        let file = open(path)?;
        let has_lock = match lock(&file) {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) if observed.is_stale(path)? => {
                return Self::take_over(path, mark, observed, lock);
            }
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if lacks_locks(&error) => false,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        observed.lacks_locks.store(!has_lock, Ordering::Relaxed);
        if !has_lock {
            // There is no lock, so the token alone decides.
            let is_free = file.metadata()?.len() == 0 || observed.is_stale(path)?;
            return if is_free { Self::take_over(path, mark, observed, lock) } else { Ok(None) };
        }
        observed.forget(path);
        let lease = Self::new(path, file, mark, has_lock);
        // Between opening and locking, another instance may have put a new file in its place.
        Ok(if lease.is_held()? && lease.renew()? { Some(lease) } else { None })
    }

    /// Replaces the file of a holder that hangs with a new one that is already locked.
    fn take_over(path: &Path, mark: &Arc<str>, observed: &Observed, lock: TryLock) -> io::Result<Option<Self>> {
        observed.forget(path);
        let beside = path.with_extension(format!("lock-{mark}"));
        let file = open(&beside)?;
        let has_lock = match lock(&file) {
            Ok(()) => true,
            Err(TryLockError::Error(error)) if lacks_locks(&error) => false,
            Err(error) => return Err(error.into()),
        };
        let lease = Self::new(path, file, mark, has_lock);
        // Write the token first: an empty file in the lease's place would mean that it is free.
        lease.write_token()?;
        std::fs::rename(&beside, path)?;
        Ok(lease.is_held()?.then_some(lease))
    }

    fn new(path: &Path, file: File, mark: &Arc<str>, has_lock: bool) -> Self {
        Self { path: path.into(), file, mark: Arc::clone(mark), token: Mutex::default(), has_lock }
    }

    /// Whether another instance may have taken the lease in the same moment: it then counts only if it
    /// [stands](Self::stands) after [`SETTLE`].
    pub(super) fn must_settle(&self) -> bool {
        !self.has_lock
    }

    /// Whether the file at the path holds our token. It is opened by its name, since a network file system would
    /// otherwise answer from its cache.
    pub(super) fn stands(&self) -> io::Result<bool> {
        let token = self.token.lock().clone();
        match read_token(&self.path) {
            Ok(there) => Ok(there == token),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Shows that the holder lives. False if another instance has taken the lease over.
    pub(super) fn renew(&self) -> io::Result<bool> {
        if !self.is_held()? {
            return Ok(false);
        }
        self.write_token()?;
        Ok(true)
    }

    fn write_token(&self) -> io::Result<()> {
        let mut token = self.token.lock();
        let beat = BEATS.fetch_add(1, Ordering::Relaxed);
        *token = format!("{} {beat:020}\n", self.mark).into_bytes();
        let mut file = &self.file;
        file.rewind()?;
        file.write_all(&token)
    }

    /// Whether the file at the path is still the one that we locked.
    pub(super) fn is_held(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for FolderLease {
    fn drop(&mut self) {
        // An empty file means free if there are no locks. The file stays: removing it would race with an instance
        // that has just opened it.
        if matches!(self.is_held(), Ok(true)) {
            let _ = self.file.set_len(0);
        }
    }
}

impl Observed {
    /// Whether the token at `path` has been unchanged for a minute by our own clock. Clocks of different machines
    /// are never compared.
    fn is_stale(&self, path: &Path) -> io::Result<bool> {
        let token = read_token(path)?;
        let mut seen = self.tokens.lock();
        // The lease was just taken or just given back: its next holder is not the one that was seen.
        if token.is_empty() {
            seen.remove(path);
            return Ok(false);
        }
        let now = Instant::now();
        match seen.get(path) {
            Some((known, since)) if *known == token => Ok(now.duration_since(*since) >= STALE_AFTER),
            _ => {
                seen.insert(path.into(), (token, now));
                Ok(false)
            }
        }
    }

    fn forget(&self, path: &Path) {
        self.tokens.lock().remove(path);
    }

    /// Whether the file system had no locks at the last attempt.
    pub(super) fn lacks_locks(&self) -> bool {
        self.lacks_locks.load(Ordering::Relaxed)
    }
}

/// Whether the error means that the file system has no locks; NFS without its lock service answers `ENOLCK`.
fn lacks_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(Errno::NOLCK.raw_os_error())
}

fn read_token(path: &Path) -> io::Result<Vec<u8>> {
    let mut token = Vec::new();
    File::open(path)?.take(256).read_to_end(&mut token)?;
    Ok(token)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(name: &str) -> Arc<str> {
        name.into()
    }

    #[tokio::test(start_paused = true)]
    async fn one_has_it_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, observed) = (folder.path().join("x.lock"), Observed::default());
        let first = FolderLease::take(&path, &mark("a"), &observed, File::try_lock).expect("works").expect("is free");
        assert!(FolderLease::take(&path, &mark("b"), &observed, File::try_lock).expect("works").is_none());
        assert!(first.renew().expect("works"));
        drop(first);
        assert!(FolderLease::take(&path, &mark("b"), &observed, File::try_lock).expect("works").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_hangs_for_a_minute_loses_it_and_notices() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, observed) = (folder.path().join("x.lock"), Observed::default());
        let first = FolderLease::take(&path, &mark("a"), &observed, File::try_lock).expect("works").expect("is free");
        assert!(FolderLease::take(&path, &mark("b"), &observed, File::try_lock).expect("works").is_none());
        tokio::time::advance(STALE_AFTER / 2).await;
        assert!(first.renew().expect("works"));
        assert!(
            FolderLease::take(&path, &mark("b"), &observed, File::try_lock).expect("works").is_none(),
            "it was renewed since"
        );
        tokio::time::advance(STALE_AFTER).await;
        let second = FolderLease::take(&path, &mark("b"), &observed, File::try_lock)
            .expect("works")
            .expect("the first one hangs");
        assert!(!first.renew().expect("works"));
        assert!(!first.is_held().expect("works") && second.is_held().expect("works"));
        drop(first);
        assert!(second.is_held().expect("works"), "the loser must not take it down");
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_gives_it_back_and_takes_it_again_is_not_stale() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, observed) = (folder.path().join("x.lock"), Observed::default());
        let own = Observed::default();
        let take = |mark_of: &str, observed: &Observed| {
            FolderLease::take(&path, &mark(mark_of), observed, File::try_lock).expect("works")
        };
        let first = take("a", &own).expect("is free");
        assert!(take("b", &observed).is_none());
        drop(first);
        tokio::time::advance(2 * STALE_AFTER).await;
        let again = take("a", &own).expect("is free");
        assert!(take("b", &observed).is_none(), "it was taken anew a moment ago");
        assert!(again.is_held().expect("works"));
        drop(again);
        // The same among two takers of one process, which observe together.
        let mine = take("a", &own).expect("is free");
        assert!(take("a", &own).is_none());
        drop(mine);
        tokio::time::advance(2 * STALE_AFTER).await;
        let mine = take("a", &own).expect("is free");
        assert!(take("a", &own).is_none() && mine.is_held().expect("works"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_observation_ends_when_the_lease_is_seen_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, observed) = (folder.path().join("x.lock"), Observed::default());
        File::create(&path).and_then(|mut file| file.write_all(b"x 1\n")).expect("is ours");
        assert!(!observed.is_stale(&path).expect("works"));
        tokio::time::advance(STALE_AFTER).await;
        File::create(&path).expect("is ours");
        assert!(!observed.is_stale(&path).expect("works"));
        File::create(&path).and_then(|mut file| file.write_all(b"x 1\n")).expect("is ours");
        assert!(!observed.is_stale(&path).expect("works"), "this one was not seen before");
    }

    #[tokio::test(start_paused = true)]
    async fn without_locks_the_token_alone_decides_and_that_is_known() {
        for error in [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP] {
            assert!(lacks_locks(&error.into()), "{error:?}");
        }
        assert!(!lacks_locks(&Errno::IO.into()));
        let without: TryLock = |_| Err(TryLockError::Error(Errno::NOLCK.into()));
        let folder = tempfile::tempdir().expect("a folder");
        let (path, observed) = (folder.path().join("x.lock"), Observed::default());
        let take = |name: &str| FolderLease::take(&path, &mark(name), &observed, without).expect("works");
        let first = take("a").expect("is free");
        assert!(first.must_settle() && first.stands().expect("works") && observed.lacks_locks());
        assert!(take("b").is_none());
        drop(first);
        let second = take("b").expect("was given back");
        tokio::time::advance(STALE_AFTER / 2).await;
        assert!(take("c").is_none());
        tokio::time::advance(STALE_AFTER).await;
        let third = take("c").expect("the second one hangs");
        assert!(!second.renew().expect("works") && third.stands().expect("works"));
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_that_take_a_free_one_in_the_same_moment_one_sees_that_it_has_lost() {
        let without: TryLock = |_| Err(TryLockError::Error(Errno::NOLCK.into()));
        let folder = tempfile::tempdir().expect("a folder");
        let (path, observed) = (folder.path().join("x.lock"), Observed::default());
        // Both have seen it free.
        let take_over = |name: &str| FolderLease::take_over(&path, &mark(name), &observed, without).expect("works");
        let (first, second) = (take_over("a").expect("is free"), take_over("b").expect("is free"));
        assert!(!first.stands().expect("works") && second.stands().expect("works"));
        drop(first);
        assert!(second.stands().expect("works"), "the loser must not take it down");
    }
}
