//! Log-ins that were checked a short while ago, so that a hash is not computed for each request.

use std::time::Duration;

use ahash::HashMap;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use gangway_model::BasicUser;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a log-in counts without being checked again.
const KEPT: Duration = Duration::from_secs(600);

/// Log-ins of a shard.
const SHARD_MAX: usize = 256;

/// Threads that serve at the same time seldom meet in a shard.
const SHARDS: usize = 16;

/// A log-in as it is remembered: a keyed hash of hash, name and password. Nobody who reads our memory later learns the
/// password of it without the key, and a new hash in a label makes another one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct LoginTag([u8; 32]);

/// Log-ins that were checked a short while ago.
#[derive(Debug)]
pub(super) struct LoginCache {
    key: hmac::Key,
    shards: [Mutex<HashMap<LoginTag, Instant>>; SHARDS],
}

impl LoginCache {
    pub(super) fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).expect("the system has random numbers");
        Self { key, shards: std::array::from_fn(|_| Mutex::default()) }
    }

    pub(super) fn tag(&self, user: &BasicUser, password: &[u8]) -> LoginTag {
        let mut context = hmac::Context::with_key(&self.key);
        // Neither a hash nor a name has a zero byte.
        for part in [user.hash.as_str().as_bytes(), b"\0", user.name.as_bytes(), b"\0", password] {
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        LoginTag(tag)
    }

    /// Whether this log-in was checked, and was right.
    pub(super) fn knows(&self, tag: &LoginTag) -> bool {
        let shard = self.shard(tag).lock();
        shard.get(tag).is_some_and(|until| Instant::now() < *until)
    }

    /// Remembers a log-in that was right.
    pub(super) fn remember(&self, tag: LoginTag) {
        let now = Instant::now();
        let mut shard = self.shard(&tag).lock();
        if shard.len() >= SHARD_MAX {
            shard.retain(|_, until| now < *until);
        }
        if shard.len() >= SHARD_MAX {
            // More log-ins than are kept: any of them is only checked once more.
            let first = shard.keys().next().copied();
            first.and_then(|first| shard.remove(&first));
        }
        shard.insert(tag, now + KEPT);
    }

    fn shard(&self, tag: &LoginTag) -> &Mutex<HashMap<LoginTag, Instant>> {
        &self.shards[usize::from(tag.0[0]) % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, hash: &str) -> BasicUser {
        BasicUser::parse(&format!("{name}:{hash}")).expect("valid")
    }

    const ONE: &str = "{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=";
    const OTHER: &str = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=";

    #[tokio::test(start_paused = true)]
    async fn a_log_in_is_remembered_for_a_while_and_as_it_was() {
        let cache = LoginCache::new();
        let ann = user("ann", ONE);
        let tag = cache.tag(&ann, b"hello");
        assert!(!cache.knows(&tag));
        cache.remember(tag);
        assert!(cache.knows(&cache.tag(&ann, b"hello")));
        for (user, password) in [(&ann, "hello!"), (&user("bob", ONE), "hello"), (&user("ann", OTHER), "hello")] {
            assert!(!cache.knows(&cache.tag(user, password.as_bytes())));
        }
        assert!(!LoginCache::new().knows(&tag), "each process has a key of its own");
        crate::samples::pass(KEPT).await;
        assert!(!cache.knows(&tag));
    }

    #[tokio::test]
    async fn the_memory_is_bounded() {
        let cache = LoginCache::new();
        let ann = user("ann", ONE);
        for number in 0..10_000_u32 {
            cache.remember(cache.tag(&ann, &number.to_le_bytes()));
        }
        assert!(cache.shards.iter().all(|shard| shard.lock().len() <= SHARD_MAX));
        assert!(cache.knows(&cache.tag(&ann, &9999_u32.to_le_bytes())));
    }
}
