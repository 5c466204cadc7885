//! Keys for the cookies of log-ins, changed every week and shared over the volume.
//!
//! There is no other source of such keys: without the volume there are none, and nobody is let in by such a cookie.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use gangway_acme::storage::{FolderStorage, Storage, StorageError};
use gangway_tls::UnixTime;

use crate::rotating_keys::{KeyRing, LOOK_EVERY, SEALS_AFTER};

pub(crate) const FOLDER: &str = "oidc";

const ROTATION: Duration = Duration::from_hours(7 * 24);

/// The longest time for which a cookie may be in use that such a key has sealed.
pub const LOGIN_KEPT_MAX: Duration = Duration::from_hours(30 * 24);

/// How often keys are to be read: those that other instances make have to be known before they are used.
pub const LOGIN_KEYS_LOOK_EVERY: Duration = LOOK_EVERY;

const LIFETIME: Duration = ROTATION.saturating_add(LOGIN_KEPT_MAX).saturating_add(SEALS_AFTER);

const RING: KeyRing = KeyRing { file: "oidc/keys.json", lease: "oidc", rotation: ROTATION, lifetime: LIFETIME };

/// One key. Never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct LoginKey([u8; 32]);

impl LoginKey {
    /// The bytes of the key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginKey")
    }
}

/// The keys of a volume: the first one seals, and all of them open. Makes one where there is none, or where the newest is a
/// week old. Empty while another instance makes the first one.
///
/// # Errors
///
/// The volume cannot be used.
pub async fn login_keys(data: &Path, now: UnixTime) -> Result<Vec<LoginKey>, StorageError> {
    keys(&FolderStorage::new(data), now).await
}

async fn keys<S: Storage>(storage: &S, now: UnixTime) -> Result<Vec<LoginKey>, StorageError> {
    let file = RING.current(storage, now).await?;
    let keys = file.iter().flat_map(|file| RING.in_force(file, now));
    Ok(keys.filter_map(|key| key.secret().map(LoginKey)).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);

    #[tokio::test]
    async fn instances_share_them_and_a_key_opens_as_long_as_a_log_in_lasts() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = async |now| login_keys(folder.path(), now).await.expect("the volume");
        let first = at(NOW).await;
        assert_eq!((first.len(), at(NOW + Duration::from_mins(1)).await), (1, first.clone()));
        let rotated = at(NOW + ROTATION).await;
        assert_eq!((rotated.len(), &rotated[0]), (2, &first[0]), "the new one does not seal yet");
        let known = at(NOW + ROTATION + SEALS_AFTER).await;
        assert_eq!((&known[0], &known[1]), (&rotated[1], &first[0]));
        assert!(at(NOW + ROTATION + LOGIN_KEPT_MAX).await.contains(&first[0]));
        assert!(!at(NOW + LIFETIME).await.contains(&first[0]));
        let mode = std::fs::metadata(folder.path().join(RING.file)).expect("is there").permissions().mode() & 0o777;
        assert_eq!((mode, format!("{:?}", first[0])), (0o600, "LoginKey".to_owned()));
    }
}
