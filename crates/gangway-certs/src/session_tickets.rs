//! Keys for session tickets, made here, changed every twelve hours and shared over the volume.
//!
//! A new key opens tickets at once and seals only after every instance has had the time to read it: otherwise a
//! client that returns to another instance would not be known there. If the volume cannot be used, no keys are
//! shared, and each process seals with keys of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gangway_publish::Publisher;
use gangway_tls::{TicketKey, TicketKeys, UnixTime};
use rustls::crypto::aws_lc_rs::default_provider;
use serde::{Deserialize, Serialize};

use gangway_acme::Clock;
use gangway_acme::storage::{Storage, StorageError};

/// The storage key of the keys.
const KEY: &str = "tickets/keys.json";
pub(crate) const FOLDER: &str = "tickets";
const VERSION: u32 = 1;

/// A new key is made after this long.
const ROTATION: Duration = Duration::from_hours(12);

/// A key opens tickets for this long after it was made: tickets sealed in its last minute live for twelve hours.
const LIFETIME: Duration = ROTATION.saturating_mul(2).saturating_add(SEALS_AFTER);

/// The age at which a key begins to seal: other instances look for new keys every minute.
const SEALS_AFTER: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Deserialize, Serialize)]
struct TicketKeyFile {
    version: u32,
    /// All keys, the newest first.
    keys: Vec<StoredTicketKey>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct StoredTicketKey {
    /// The time at which the key was made, in seconds since the epoch.
    made: i64,
    /// Identifier and secret, base64url.
    id: String,
    secret: String,
}

/// Keeps shared keys in force, for ever.
pub(crate) async fn share<S: Storage>(storage: S, clock: Clock, mut tickets: Publisher<Arc<TicketKeys>>) -> Infallible {
    loop {
        let now = clock.now();
        match current(&storage, now).await {
            Ok(Some(keys)) => {
                let keys = in_force(&keys, now);
                if **tickets.reader().load() != keys {
                    tickets.publish(Arc::new(keys));
                }
            }
            // Another instance is changing the keys; those in force stay.
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "session keys are not shared"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The keys on the volume, with a new one if the newest is old. `None` while another instance has the lease.
async fn current<S: Storage>(storage: &S, now: UnixTime) -> Result<Option<TicketKeyFile>, StorageError> {
    let keys = read(storage).await?;
    if keys.as_ref().is_some_and(|keys| !keys.is_due(now)) {
        return Ok(keys);
    }
    let Some(lease) = storage.lock("tickets").await? else { return Ok(keys) };
    if is_damaged(storage).await? {
        let aside = storage.set_aside(KEY, &lease).await?;
        tracing::warn!(file = KEY, %aside, "set damaged session keys aside");
    }
    // Another instance may have been faster.
    let mut keys = read(storage).await?.unwrap_or(TicketKeyFile { version: VERSION, keys: Vec::new() });
    if keys.is_due(now) && keys.version == VERSION {
        let Some(made) = StoredTicketKey::now(now) else { return Ok(Some(keys)) };
        keys.keys.insert(0, made);
        // A key from the future was made under a wrong clock.
        keys.keys.retain(|key| (now - LIFETIME..=now).contains(&key.made()));
        let text = serde_json::to_vec_pretty(&keys).expect("text and numbers can always be written");
        storage.put(KEY, text, &lease).await?;
    }
    Ok(Some(keys))
}

async fn is_damaged<S: Storage>(storage: &S) -> Result<bool, StorageError> {
    let text = storage.get(KEY).await?;
    Ok(text.is_some_and(|text| serde_json::from_slice::<TicketKeyFile>(&text).is_err()))
}

/// Reads the keys. A file that cannot be read counts as none, which costs clients a full handshake.
async fn read<S: Storage>(storage: &S) -> Result<Option<TicketKeyFile>, StorageError> {
    Ok(storage.get(KEY).await?.and_then(|text| serde_json::from_slice(&text).ok()))
}

impl TicketKeyFile {
    fn is_due(&self, now: UnixTime) -> bool {
        self.keys.first().is_none_or(|newest| newest.made() > now || now.since(newest.made()) >= ROTATION)
    }
}

impl StoredTicketKey {
    fn now(now: UnixTime) -> Option<Self> {
        let (mut id, mut secret) = ([0; 16], [0; 32]);
        let random = default_provider().secure_random;
        random.fill(&mut id).and_then(|()| random.fill(&mut secret)).ok()?;
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Some(Self { made: now.seconds(), id: encode(&id), secret: encode(&secret) })
    }

    fn made(&self) -> UnixTime {
        UnixTime::from_seconds(self.made)
    }

    fn key(&self) -> Option<TicketKey> {
        let id = BASE64_URL_SAFE_NO_PAD.decode(&self.id).ok()?.try_into().ok()?;
        Some(TicketKey { id, secret: BASE64_URL_SAFE_NO_PAD.decode(&self.secret).ok()?.try_into().ok()? })
    }
}

/// The keys in force. The first one seals: the newest that all instances know, or the only one.
fn in_force(keys: &TicketKeyFile, now: UnixTime) -> TicketKeys {
    let fresh: Vec<&StoredTicketKey> = keys.keys.iter().filter(|key| now.since(key.made()) < LIFETIME).collect();
    let known =
        fresh.iter().position(|key| now.since(key.made()) >= SEALS_AFTER).unwrap_or(fresh.len().saturating_sub(1));
    let rest = fresh.iter().enumerate().filter(|(at, _)| *at != known).map(|(_, key)| key);
    fresh.get(known).into_iter().chain(rest).filter_map(|key| key.key()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gangway_acme::storage::FolderStorage;

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);

    #[tokio::test]
    async fn instances_on_one_volume_have_the_same_keys_and_change_them_together() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (FolderStorage::new(folder.path()), FolderStorage::new(folder.path()));
        let keys = async |storage: &FolderStorage, now| {
            in_force(&current(storage, now).await.expect("works").expect("is free"), now)
        };
        let first = keys(&one, NOW).await;
        assert_eq!((first.len(), keys(&two, NOW + Duration::from_mins(1)).await), (1, first.clone()));
        let later = NOW + ROTATION;
        let rotated = keys(&two, later).await;
        assert_eq!((rotated.len(), &rotated[0]), (2, &first[0]), "the new one does not seal yet");
        assert_eq!(keys(&one, later + Duration::from_mins(1)).await, rotated);
        let known = keys(&one, later + SEALS_AFTER).await;
        assert_eq!((&known[0], &known[1]), (&rotated[1], &rotated[0]));
        let at_last = keys(&one, NOW + LIFETIME).await;
        assert!(!at_last.contains(&first[0]), "what was sealed long ago cannot be opened any more");
        let text = std::fs::read_to_string(folder.path().join(KEY)).expect("is there");
        assert!(!format!("{known:?}").contains("secret: [") && text.contains("\"version\": 1"));
    }

    #[tokio::test]
    async fn what_is_damaged_is_replaced_and_what_is_of_the_future_is_not_used_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = FolderStorage::new(folder.path());
        let lease = storage.lock("tickets").await.expect("works").expect("is free");
        storage.put(KEY, b"half".to_vec(), &lease).await.expect("writes");
        drop(lease);
        let ahead = current(&storage, NOW + 10 * ROTATION).await.expect("works").expect("is free");
        assert_eq!(ahead.keys.len(), 1);
        let back = current(&storage, NOW).await.expect("works").expect("is free");
        assert_eq!((back.keys.len(), back.keys[0].made()), (1, NOW), "the clock was put right");
    }
}
