//! Keys that are made here, changed now and then, and shared over the volume.
//!
//! A new key opens at once and seals only after every instance has had the time to read it: otherwise what one instance has
//! sealed would not be known at another.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use gangway_tls::UnixTime;
use rustls::crypto::aws_lc_rs::default_provider;
use serde::{Deserialize, Serialize};

use gangway_acme::storage::{Storage, StorageError};

const VERSION: u32 = 1;

/// The age at which a key begins to seal: other instances look for new keys every minute.
pub(crate) const SEALS_AFTER: Duration = Duration::from_mins(3);
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Where keys are, and how long they are in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyRing {
    /// The storage key of the file.
    pub(crate) file: &'static str,
    /// The name of its lease.
    pub(crate) lease: &'static str,
    /// A new key is made after this long.
    pub(crate) rotation: Duration,
    /// A key opens for this long after it was made.
    pub(crate) lifetime: Duration,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct KeyFile {
    version: u32,
    /// All keys, the newest first.
    pub(crate) keys: Vec<StoredKey>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct StoredKey {
    /// The time at which the key was made, in seconds since the epoch.
    made: i64,
    /// Identifier and secret, base64url.
    id: String,
    secret: String,
}

impl KeyRing {
    /// The keys on the volume, with a new one if the newest is old. `None` while another instance has the lease and there
    /// are none.
    pub(crate) async fn current<S: Storage>(
        &self,
        storage: &S,
        now: UnixTime,
    ) -> Result<Option<KeyFile>, StorageError> {
        let keys = self.read(storage).await?;
        if keys.as_ref().is_some_and(|keys| !self.is_due(keys, now)) {
            return Ok(keys);
        }
        let Some(lease) = storage.lock(self.lease).await? else { return Ok(keys) };
        if self.is_damaged(storage).await? {
            let aside = storage.set_aside(self.file, &lease).await?;
            tracing::warn!(file = self.file, %aside, "set damaged session keys aside");
        }
        // Another instance may have been faster.
        let mut keys = self.read(storage).await?.unwrap_or(KeyFile { version: VERSION, keys: Vec::new() });
        if self.is_due(&keys, now) && keys.version == VERSION {
            let Some(made) = StoredKey::now(now) else { return Ok(Some(keys)) };
            keys.keys.insert(0, made);
            // A key from the future was made under a wrong clock.
            keys.keys.retain(|key| (now - self.lifetime..=now).contains(&key.made()));
            let text = serde_json::to_vec_pretty(&keys).expect("text and numbers can always be written");
            storage.put(self.file, text, &lease).await?;
        }
        Ok(Some(keys))
    }

    async fn is_damaged<S: Storage>(&self, storage: &S) -> Result<bool, StorageError> {
        let text = storage.get(self.file).await?;
        Ok(text.is_some_and(|text| serde_json::from_slice::<KeyFile>(&text).is_err()))
    }

    /// Reads the keys. A file that cannot be read counts as none: what was sealed has to be made anew.
    async fn read<S: Storage>(&self, storage: &S) -> Result<Option<KeyFile>, StorageError> {
        Ok(storage.get(self.file).await?.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    fn is_due(&self, keys: &KeyFile, now: UnixTime) -> bool {
        keys.keys.first().is_none_or(|newest| newest.made() > now || now.since(newest.made()) >= self.rotation)
    }

    /// The keys in force. The first one seals: the newest that all instances know, or the only one.
    pub(crate) fn in_force<'k>(&self, keys: &'k KeyFile, now: UnixTime) -> Vec<&'k StoredKey> {
        let mut fresh: Vec<&StoredKey> = keys.keys.iter().filter(|key| now.since(key.made()) < self.lifetime).collect();
        let known = fresh.iter().position(|key| now.since(key.made()) >= SEALS_AFTER);
        let known = known.unwrap_or(fresh.len().saturating_sub(1));
        if known < fresh.len() {
            let first = fresh.remove(known);
            fresh.insert(0, first);
        }
        fresh
    }
}

impl StoredKey {
    fn now(now: UnixTime) -> Option<Self> {
        let (mut id, mut secret) = ([0; 16], [0; 32]);
        let random = default_provider().secure_random;
        random.fill(&mut id).and_then(|()| random.fill(&mut secret)).ok()?;
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Some(Self { made: now.seconds(), id: encode(&id), secret: encode(&secret) })
    }

    pub(crate) fn made(&self) -> UnixTime {
        UnixTime::from_seconds(self.made)
    }

    pub(crate) fn id(&self) -> Option<[u8; 16]> {
        BASE64_URL_SAFE_NO_PAD.decode(&self.id).ok()?.try_into().ok()
    }

    pub(crate) fn secret(&self) -> Option<[u8; 32]> {
        BASE64_URL_SAFE_NO_PAD.decode(&self.secret).ok()?.try_into().ok()
    }
}
