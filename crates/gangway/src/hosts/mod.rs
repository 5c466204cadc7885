//! Who holds which host, remembered on the volume; and giving a host up.
//!
//! The model decides who holds what. Here that is read at the start and written down whenever it changes.
//! `gangway hosts` reads what is written; `gangway release` leaves a note there, which the running instance,
//! or the next one, carries out.

mod command;
mod format;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use gangway_acme::storage::{FolderStorage, Storage as _};
use gangway_model::Compiled;
use gangway_model::matcher::HostCondition;
use gangway_model::ownership::Holdings;
use gangway_publish::{Publisher, Reader};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{info, warn};

pub(crate) use self::command::{hosts, release};

/// Where holdings stand.
const KEY: &str = "hosts/held.json";

/// Where notes about hosts that are given up stand.
const NOTES: &str = "hosts/released/";

/// Who writes holdings.
const LOCK: &str = "hosts";

/// How soon a note is seen.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A storm of containers need not become a storm of writes.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// A volume that cannot be written is tried again after so long.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// What is remembered on the volume; nothing where nothing was written, or it cannot be read. What cannot be
/// read is put aside, so that a person can look at it.
pub(crate) async fn remembered(storage: &FolderStorage) -> Holdings {
    const LOST: &str = "who holds which host cannot be read: whoever is served first has it";
    let text = match storage.get(KEY).await {
        Ok(Some(text)) => text,
        Ok(None) => return Holdings::default(),
        Err(error) => {
            warn!(%error, "{LOST}");
            return Holdings::default();
        }
    };
    format::read(&text).unwrap_or_else(|error| {
        warn!(file = KEY, error, "{LOST}");
        Holdings::default()
    })
}

/// Puts aside what is there and cannot be read, before it is overwritten.
async fn put_aside_unreadable(storage: &FolderStorage) {
    let Ok(Some(text)) = storage.get(KEY).await else { return };
    if format::read(&text).is_ok() {
        return;
    }
    let Ok(Some(lease)) = storage.lock(LOCK).await else { return };
    match storage.set_aside(KEY, &lease).await {
        Ok(aside) => info!(file = aside, "who held which host was put aside"),
        Err(error) => warn!(%error, "who held which host is overwritten"),
    }
}

/// Writes holdings down whenever they change, and hands notes about hosts that are given up to the watcher, for
/// ever.
pub(crate) async fn remember(
    data: PathBuf,
    mut compiled: Reader<Compiled>,
    mut released: Publisher<BTreeSet<HostCondition>>,
) -> Infallible {
    let storage = FolderStorage::new(&data);
    put_aside_unreadable(&storage).await;
    // What the watcher began with is what stands there.
    let written = compiled.load().holdings.clone();
    let mut memory = Memory { storage, written, trouble: None };
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_write = Instant::now();
    loop {
        let is_due = !compiled.load().holdings.is_unchanged_since(&memory.written);
        tokio::select! {
            outcome = compiled.changed() => gone_for_good(outcome).await,
            () = sleep_until(next_write), if is_due => {
                let holdings = compiled.load().holdings.clone();
                let wait = if memory.write(&holdings).await { WRITE_EVERY } else { RETRY_AFTER };
                next_write = Instant::now() + wait;
            }
            _ = looks.tick() => {
                let notes = memory.notes().await;
                if notes.is_empty() {
                    continue;
                }
                notes.iter().for_each(|(_, host)| info!(%host, "a host is given up"));
                let publication = released.publish(notes.iter().map(|(_, host)| host.clone()).collect()).count();
                // A note is removed once it was carried out and what came of it is written.
                while compiled.load().releases < publication {
                    let outcome = compiled.changed().await;
                    gone_for_good(outcome).await;
                }
                let holdings = compiled.load().holdings.clone();
                memory.write(&holdings).await;
                memory.remove(&notes).await;
            }
        }
    }
}

/// Nothing will change any more where nobody compiles.
async fn gone_for_good<T, E>(outcome: Result<T, E>) {
    if outcome.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The volume, and what stands there.
struct Memory {
    storage: FolderStorage,
    written: Holdings,
    /// Why it cannot be written, as it was told.
    trouble: Option<String>,
}

impl Memory {
    /// Whether it is written. What cannot be written is remembered by this process all the same.
    async fn write(&mut self, holdings: &Holdings) -> bool {
        let outcome = match self.storage.lock(LOCK).await {
            Ok(Some(lease)) => {
                self.storage.put(KEY, format::write(holdings), &lease).await.map_err(|error| error.to_string())
            }
            Ok(None) => Err("write who holds which host: another instance is at it".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(()) => {
                self.written = holdings.clone();
                if self.trouble.take().is_some() {
                    info!("who holds which host is written down again");
                }
                true
            }
            Err(error) => {
                if self.trouble.as_ref() != Some(&error) {
                    warn!(error, "who holds which host is remembered only until Gangway ends");
                }
                self.trouble = Some(error);
                false
            }
        }
    }

    /// Hosts that are to be given up, with the keys of their notes.
    async fn notes(&self) -> Vec<(String, HostCondition)> {
        let mut notes = Vec::new();
        for stored in self.storage.list(NOTES).await.unwrap_or_default() {
            let Ok(Some(text)) = self.storage.get(&stored.key).await else { continue };
            let host = String::from_utf8(text).ok().and_then(|text| HostCondition::parse(text.trim()));
            notes.extend(host.map(|host| (stored.key, host)));
        }
        notes
    }

    async fn remove(&self, notes: &[(String, HostCondition)]) {
        let Ok(Some(lease)) = self.storage.lock(LOCK).await else { return };
        for (key, _) in notes {
            if let Err(error) = self.storage.delete(key, &lease).await {
                warn!(%error, "a note about a host that was given up is carried out again");
            }
        }
    }
}
