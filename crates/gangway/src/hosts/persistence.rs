//! Holdings between the model and the volume, and release notes on their way to the watcher.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use gangway_acme::storage::{FolderStorage, Storage as _};
use gangway_model::{Compiled, Holdings, HostCondition};
use gangway_publish::{Publisher, Reader};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{info, warn};

use super::format;
use super::keys::{HOLDINGS, LOCK, RELEASE_NOTES};

/// The time between two looks for release notes. `gangway release` takes at most this long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The least time between two writes, so that a storm of containers does not become a storm of writes.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// The time until a failed write is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The holdings on the volume. Empty where nothing was written, or where it cannot be read.
pub(crate) async fn load(storage: &FolderStorage) -> Holdings {
    const LOST: &str = "failed to read the holders of hosts; the first route that asks for a host gets it";
    let text = match storage.get(HOLDINGS).await {
        Ok(Some(text)) => text,
        Ok(None) => return Holdings::default(),
        Err(error) => {
            warn!(%error, "{LOST}");
            return Holdings::default();
        }
    };
    format::read(&text).unwrap_or_else(|error| {
        warn!(file = HOLDINGS, error, "{LOST}");
        Holdings::default()
    })
}

/// Writes the holdings after each change, and publishes released hosts for the watcher. Runs for ever.
pub(crate) async fn persist(
    data: PathBuf,
    mut compiled: Reader<Compiled>,
    mut released: Publisher<BTreeSet<HostCondition>>,
) -> Infallible {
    let storage = FolderStorage::new(&data);
    set_aside_unreadable(&storage).await;
    // The watcher began with the holdings on the volume.
    let written = compiled.load().holdings.clone();
    let mut store = HoldingsStore { storage, written, last_error: None };
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_write = Instant::now();
    loop {
        let is_due = !compiled.load().holdings.is_unchanged_since(&store.written);
        tokio::select! {
            outcome = compiled.changed() => stop_if_gone(outcome).await,
            () = sleep_until(next_write), if is_due => {
                let holdings = compiled.load().holdings.clone();
                let wait = match store.write(&holdings).await {
                    WriteOutcome::Written => WRITE_EVERY,
                    WriteOutcome::Failed => RETRY_AFTER,
                };
                next_write = Instant::now() + wait;
            }
            _ = looks.tick() => {
                let notes = store.release_notes().await;
                if !notes.is_empty() {
                    carry_out(&notes, &mut store, &mut compiled, &mut released).await;
                }
            }
        }
    }
}

/// Has the hosts of notes released, and removes the notes.
async fn carry_out(
    notes: &[ReleaseNote],
    store: &mut HoldingsStore,
    compiled: &mut Reader<Compiled>,
    released: &mut Publisher<BTreeSet<HostCondition>>,
) {
    notes.iter().for_each(|note| info!(host = %note.host, "a host is released"));
    let publication = released.publish(notes.iter().map(|note| note.host.clone()).collect()).count();
    // A note is removed only after its host was released and the new holdings are written. A crash before that
    // carries it out again, which changes nothing.
    while compiled.load().releases < publication {
        let outcome = compiled.changed().await;
        stop_if_gone(outcome).await;
    }
    let holdings = compiled.load().holdings.clone();
    store.write(&holdings).await;
    store.remove(notes).await;
}

/// Waits for ever where the publisher is gone, because nothing will change again.
async fn stop_if_gone<T, E>(outcome: Result<T, E>) {
    if outcome.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Moves a file that cannot be read to another name, before it is overwritten, so that a person can look at it.
async fn set_aside_unreadable(storage: &FolderStorage) {
    let Ok(Some(text)) = storage.get(HOLDINGS).await else { return };
    if format::read(&text).is_ok() {
        return;
    }
    let Ok(Some(lease)) = storage.lock(LOCK).await else { return };
    match storage.set_aside(HOLDINGS, &lease).await {
        Ok(aside) => info!(file = aside, "the unreadable file of the holders of hosts was renamed"),
        Err(error) => warn!(%error, "the unreadable file of the holders of hosts will be overwritten"),
    }
}

/// A note that a host is released, with its key in the storage.
struct ReleaseNote {
    key: String,
    host: HostCondition,
}

/// The volume, with the holdings that were last written to it.
struct HoldingsStore {
    storage: FolderStorage,
    written: Holdings,
    /// The error of the last write, so that it is logged once.
    last_error: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum WriteOutcome {
    Written,
    /// This process keeps the holdings in memory all the same.
    Failed,
}

impl HoldingsStore {
    async fn write(&mut self, holdings: &Holdings) -> WriteOutcome {
        let outcome = match self.storage.lock(LOCK).await {
            Ok(Some(lease)) => {
                self.storage.put(HOLDINGS, format::write(holdings), &lease).await.map_err(|error| error.to_string())
            }
            Ok(None) => Err("write the holders of hosts: another instance is writing them".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(()) => {
                self.written = holdings.clone();
                if self.last_error.take().is_some() {
                    info!("the holders of hosts are written again");
                }
                WriteOutcome::Written
            }
            Err(error) => {
                if self.last_error.as_ref() != Some(&error) {
                    warn!(error, "failed to write the holders of hosts; they are kept until Gangway ends");
                }
                self.last_error = Some(error);
                WriteOutcome::Failed
            }
        }
    }

    async fn release_notes(&self) -> Vec<ReleaseNote> {
        let mut notes = Vec::new();
        for stored in self.storage.list(RELEASE_NOTES).await.unwrap_or_default() {
            let Ok(Some(text)) = self.storage.get(&stored.key).await else { continue };
            let host = String::from_utf8(text).ok().and_then(|text| HostCondition::parse(text.trim()));
            notes.extend(host.map(|host| ReleaseNote { key: stored.key, host }));
        }
        notes
    }

    async fn remove(&self, notes: &[ReleaseNote]) {
        let Ok(Some(lease)) = self.storage.lock(LOCK).await else { return };
        for note in notes {
            if let Err(error) = self.storage.delete(&note.key, &lease).await {
                warn!(%error, "failed to remove the note about a released host; it will be carried out again");
            }
        }
    }
}
