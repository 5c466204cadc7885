//! The secret of a volume, which protects values against forgery and is never shown.
//!
//! Cookies of sticky routes are signed with it, and at a hand-over two instances prove to each other that they serve from one
//! volume. It is 32 random bytes in a file of its own, made once. Its loss costs only that clients may come to another
//! replica once.
//!
//! Versions without this file used the key of the internal CA instead. What they signed is still accepted, so an upgrade
//! loses nothing.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use gangway_acme::storage::{FolderStorage, Storage, StorageError};
use rustls::crypto::aws_lc_rs::default_provider;

use crate::internal_ca;

/// The storage key of the secret.
pub(crate) const KEY: &str = "secret";
const LEN: usize = 32;

/// The longest wait for another instance, which makes it in far less time; without file locks, a lease takes four
/// seconds.
const WAIT: Duration = Duration::from_secs(6);

/// Between two looks at a lease that another instance holds.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Makes the secret of the volume if there is none. A damaged file is set aside.
///
/// Waits for a bounded time. If this fails, [`secrets`] returns the secrets that exist.
pub async fn make_secret(data: &Path) -> Result<(), SecretError> {
    if read(&data.join(KEY)).is_some() {
        return Ok(());
    }
    let storage = FolderStorage::new(data);
    let made = async {
        loop {
            match make(&storage).await {
                // Another instance is making it, and this one must not go on with another key.
                Err(SecretError::Busy) => tokio::time::sleep(RETRY_AFTER).await,
                made => return made,
            }
        }
    };
    tokio::time::timeout(WAIT, made).await.unwrap_or(Err(SecretError::Busy))
}

async fn make<S: Storage>(storage: &S) -> Result<(), SecretError> {
    let lease = storage.lock(KEY).await?.ok_or(SecretError::Busy)?;
    // Read again under the lease: another instance may have been faster.
    match storage.get(KEY).await? {
        Some(text) if text.len() == LEN => return Ok(()),
        Some(_) => {
            let aside = storage.set_aside(KEY, &lease).await?;
            tracing::warn!(file = KEY, %aside, "set a damaged secret aside; sticky clients may come to another replica once");
        }
        None => {}
    }
    let mut secret = [0; LEN];
    default_provider().secure_random.fill(&mut secret).map_err(|_| SecretError::NoRandomness)?;
    Ok(storage.put(KEY, secret.to_vec(), &lease).await?)
}

/// The secret that this volume signs with, followed by the one that earlier versions signed with. Empty if the
/// volume has neither.
///
/// Instances on one volume have the same secrets. They must never be shown.
pub fn secrets(data: &Path) -> Vec<Vec<u8>> {
    let former = std::fs::read(data.join(internal_ca::KEY)).ok().filter(|key| !key.is_empty());
    read(&data.join(KEY)).into_iter().chain(former).collect()
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut secret = Vec::new();
    std::fs::File::open(path).ok()?.take(LEN as u64 + 1).read_to_end(&mut secret).ok()?;
    (secret.len() == LEN).then_some(secret)
}

/// The reason why there is no secret on the volume. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The volume cannot be used.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// Another instance holds the lease for too long.
    #[error("make the volume's secret: another instance has been at it for too long")]
    Busy,
    /// The system gave no random numbers.
    #[error("make the volume's secret: the system gave no random numbers")]
    NoRandomness,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn put(path: &Path, text: &[u8]) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("is ours");
        fs::File::create(path).and_then(|mut file| file.write_all(text)).expect("is ours");
    }

    #[tokio::test]
    async fn it_is_made_once_for_all_instances_and_readable_by_us_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(secrets(folder.path()).is_empty());
        let made = futures::future::join_all((0..4).map(|_| make_secret(folder.path()))).await;
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        let secret = secrets(folder.path());
        make_secret(folder.path()).await.expect("it is there");
        assert_eq!((secrets(folder.path()), secret.len(), secret[0].len()), (secret.clone(), 1, LEN));
        let mode = fs::metadata(folder.path().join(KEY)).expect("is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[tokio::test]
    async fn the_key_of_the_internal_ca_comes_after_it_and_alone_where_there_is_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        put(&folder.path().join(internal_ca::KEY), b"the key of a CA");
        assert_eq!(secrets(folder.path()), [b"the key of a CA".to_vec()]);
        make_secret(folder.path()).await.expect("makes it");
        let secrets = secrets(folder.path());
        assert_eq!((secrets.len(), secrets[0].len(), &*secrets[1]), (2, LEN, &b"the key of a CA"[..]));
    }

    #[tokio::test]
    async fn a_damaged_one_is_set_aside_and_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        put(&folder.path().join(KEY), b"half");
        assert!(secrets(folder.path()).is_empty());
        make_secret(folder.path()).await.expect("makes another");
        assert_eq!(secrets(folder.path()).len(), 1);
        let names = fs::read_dir(folder.path()).expect("is there").flatten().map(|entry| entry.file_name());
        let aside = names.filter(|name| name.to_string_lossy().starts_with("secret.corrupt-")).count();
        assert_eq!(aside, 1);
    }

    #[test]
    fn a_secret_of_the_first_format_is_read() {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/secret-1");
        let expected: Vec<u8> = (0..32).map(|number| number * 7 + 1).collect();
        assert_eq!(secrets(&samples), [expected]);
    }
}
