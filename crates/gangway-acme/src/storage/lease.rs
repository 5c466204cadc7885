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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A holder that has not rewritten its token for so long has lost its lease.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// A lease on a folder. Dropping it gives it back.
#[derive(Debug)]
pub struct FolderLease {
    path: PathBuf,
    file: File,
    /// How often it was renewed, after the instance's own mark: never the same text twice.
    beat: Mutex<u64>,
    mark: Arc<str>,
}

/// What this process saw of other holders' tokens, and since when they look like that.
#[derive(Debug, Default)]
pub(super) struct Observed(Mutex<HashMap<PathBuf, (Vec<u8>, Instant)>>);

impl FolderLease {
    /// Takes the lease at `path`, or none while another has it.
    pub(super) fn take(path: &Path, mark: &Arc<str>, observed: &Observed) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if observed.is_stale(path)? => return Self::take_over(path, mark).map(Some),
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Without locks the token alone must do.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                let is_free = file.metadata()?.len() == 0 || observed.is_stale(path)?;
                return if is_free { Self::take_over(path, mark).map(Some) } else { Ok(None) };
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let lease = Self { path: path.into(), file, beat: Mutex::new(0), mark: Arc::clone(mark) };
        // Between opening and locking another may have put a new file in its place.
        Ok(if lease.is_held()? && lease.renew()? { Some(lease) } else { None })
    }

    /// Puts a new file, already locked, in the place of one whose holder hangs.
    fn take_over(path: &Path, mark: &Arc<str>) -> io::Result<Self> {
        let beside = path.with_extension(format!("lock-{mark}"));
        let file = open(&beside)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => return Err(error.into()),
        }
        std::fs::rename(&beside, path)?;
        let lease = Self { path: path.into(), file, beat: Mutex::new(0), mark: Arc::clone(mark) };
        if lease.renew()? { Ok(lease) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// Shows that the holder lives; false once another has taken the lease over.
    pub(super) fn renew(&self) -> io::Result<bool> {
        if !self.is_held()? {
            return Ok(false);
        }
        let mut beat = self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        *beat += 1;
        let mut file = &self.file;
        file.rewind()?;
        file.write_all(format!("{} {:020}\n", self.mark, *beat).as_bytes())?;
        Ok(true)
    }

    /// Whether the file at the path is still the one that we have locked.
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
        // Empty means free where there are no locks. The file stays: removing it would race with another
        // who has just opened it.
        if matches!(self.is_held(), Ok(true)) {
            let _ = self.file.set_len(0);
        }
    }
}

impl Observed {
    /// Whether the token at `path` has looked the same for a minute of our own time. Clocks of
    /// different machines are never compared.
    fn is_stale(&self, path: &Path) -> io::Result<bool> {
        let mut token = Vec::new();
        File::open(path)?.take(256).read_to_end(&mut token)?;
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match seen.get(path) {
            Some((known, since)) if *known == token => Ok(now.duration_since(*since) >= STALE_AFTER),
            _ => {
                seen.insert(path.into(), (token, now));
                Ok(false)
            }
        }
    }
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
        let first = FolderLease::take(&path, &mark("a"), &observed).expect("works").expect("is free");
        assert!(FolderLease::take(&path, &mark("b"), &observed).expect("works").is_none());
        assert!(first.renew().expect("works"));
        drop(first);
        assert!(FolderLease::take(&path, &mark("b"), &observed).expect("works").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_hangs_for_a_minute_loses_it_and_notices() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, observed) = (folder.path().join("x.lock"), Observed::default());
        let first = FolderLease::take(&path, &mark("a"), &observed).expect("works").expect("is free");
        assert!(FolderLease::take(&path, &mark("b"), &observed).expect("works").is_none());
        tokio::time::advance(STALE_AFTER / 2).await;
        assert!(first.renew().expect("works"));
        assert!(FolderLease::take(&path, &mark("b"), &observed).expect("works").is_none(), "it was renewed since");
        tokio::time::advance(STALE_AFTER).await;
        let second = FolderLease::take(&path, &mark("b"), &observed).expect("works").expect("the first one hangs");
        assert!(!first.renew().expect("works"));
        assert!(!first.is_held().expect("works") && second.is_held().expect("works"));
        drop(first);
        assert!(second.is_held().expect("works"), "the loser must not take it down");
    }
}
