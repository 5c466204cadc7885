//! Keys for session tickets, changed every twelve hours and shared over the volume.
//!
//! If the volume cannot be used, no keys are shared, and each process seals with keys of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use gangway_publish::Publisher;
use gangway_tls::{TicketKey, TicketKeys, UnixTime};

use crate::rotating_keys::{KeyFile, KeyRing, LOOK_EVERY, SEALS_AFTER};
use gangway_acme::Clock;
use gangway_acme::storage::Storage;

pub(crate) const FOLDER: &str = "tickets";

const ROTATION: Duration = Duration::from_hours(12);

/// Tickets sealed in a key's last minute live for twelve hours.
const LIFETIME: Duration = ROTATION.saturating_mul(2).saturating_add(SEALS_AFTER);

const RING: KeyRing = KeyRing { file: "tickets/keys.json", lease: "tickets", rotation: ROTATION, lifetime: LIFETIME };

/// Keeps shared keys in force, for ever.
pub(crate) async fn share<S: Storage>(storage: S, clock: Clock, mut tickets: Publisher<Arc<TicketKeys>>) -> Infallible {
    loop {
        let now = clock.now();
        match RING.current(&storage, now).await {
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

/// The keys in force. The first one seals.
fn in_force(keys: &KeyFile, now: UnixTime) -> TicketKeys {
    let keys = RING.in_force(keys, now).into_iter();
    keys.filter_map(|key| Some(TicketKey { id: key.id()?, secret: key.secret()? })).collect()
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
            in_force(&RING.current(storage, now).await.expect("works").expect("is free"), now)
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
        let text = std::fs::read_to_string(folder.path().join(RING.file)).expect("is there");
        assert!(!format!("{known:?}").contains("secret: [") && text.contains("\"version\": 1"));
    }

    #[tokio::test]
    async fn what_is_damaged_is_replaced_and_what_is_of_the_future_is_not_used_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = FolderStorage::new(folder.path());
        let lease = storage.lock("tickets").await.expect("works").expect("is free");
        storage.put(RING.file, b"half".to_vec(), &lease).await.expect("writes");
        drop(lease);
        let ahead = RING.current(&storage, NOW + 10 * ROTATION).await.expect("works").expect("is free");
        assert_eq!(ahead.keys.len(), 1);
        let back = RING.current(&storage, NOW).await.expect("works").expect("is free");
        assert_eq!((back.keys.len(), back.keys[0].made()), (1, NOW), "the clock was put right");
    }
}
