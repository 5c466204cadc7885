//! The internal CA on the volume.
//!
//! The CA is made once, under a lock, however many instances share the volume. While the volume cannot be written,
//! the CA works from memory, and it is written as soon as possible; if another instance was faster, its CA is used
//! instead. A file that cannot be read is set aside, never overwritten.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, Place, Severity, codes};
use gangway_publish::{Publisher, PublisherGone, Reader};
use gangway_tls::{InternalCa, InternalCaError, Scope, UnixTime};
use tokio::time::Instant;

use gangway_acme::Clock;
use gangway_acme::storage::{Storage, StorageError};

/// The storage key of the root.
pub(crate) const ROOT: &str = "ca/root.crt";
/// The storage key of the root's private key.
pub(crate) const KEY: &str = "ca/root.key";

/// Another instance makes a root in far less time; if it hangs, this one goes on without it.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Interval between attempts of a failed write, and between looks for changes to the files by another instance or a
/// person.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// The CA in force and its findings.
#[derive(Clone, Debug, Default)]
pub(crate) struct InternalCaView {
    pub(crate) ca: Option<Arc<InternalCa>>,
    pub(crate) findings: Vec<Diagnostic>,
    /// The volume cannot be written.
    pub(crate) degraded: bool,
}

/// Keeps a CA in force that permits the scope, for as long as the publisher of the scope lives.
pub(crate) async fn keep_ca<S: Storage>(
    storage: S,
    mut scopes: Reader<Scope>,
    clock: Clock,
    mut views: Publisher<InternalCaView>,
) -> Result<Infallible, PublisherGone> {
    let mut view = InternalCaView::default();
    // Damaged files are reported until the restart: the operator may have to act on them.
    let mut damages = Vec::new();
    loop {
        let (scope, now) = (scopes.load().clone(), clock.now());
        // A widened root signs at once; writing it to the volume may take time.
        if let Some(wider) = view.ca.as_deref().and_then(|ca| rewritten(ca, &scope, now)) {
            view.ca = Some(Arc::new(wider));
            views.publish(view.clone());
        }
        let settled = settle(&storage, view.ca.as_ref(), &scope, now).await;
        damages.extend(settled.damages);
        let findings: Vec<_> = settled.troubles.into_iter().chain(damages.iter().cloned()).collect();
        let next = InternalCaView { ca: settled.ca, degraded: settled.degraded, findings };
        let is_same = match (&view.ca, &next.ca) {
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            (before, after) => before.is_none() && after.is_none(),
        };
        if !is_same || view.findings != next.findings || view.degraded != next.degraded {
            views.publish(next.clone());
        }
        view = next;
        tokio::select! {
            changed = scopes.changed() => drop(changed?),
            () = tokio::time::sleep(CHECK_EVERY) => {}
        }
    }
}

/// The result of one look at the volume.
struct CaCheck {
    ca: Option<Arc<InternalCa>>,
    degraded: bool,
    troubles: Vec<Diagnostic>,
    damages: Vec<Diagnostic>,
}

/// The CA to use, and the changes that the two files need.
struct CaFilesPlan {
    ca: Arc<InternalCa>,
    set_aside: Vec<&'static str>,
    /// The key is written before the root: a key alone gives the same root again, a root alone is useless.
    write_key: bool,
    write_root: bool,
    damages: Vec<Diagnostic>,
}

async fn settle<S: Storage>(storage: &S, current: Option<&Arc<InternalCa>>, scope: &Scope, now: UnixTime) -> CaCheck {
    // Usually nothing must change, which needs no lock.
    match read(storage, current, scope, now).await {
        Ok(verdict) if verdict.is_done() => CaCheck::fine(verdict.ca),
        Ok(verdict) => match settle_locked(storage, current, scope, now).await {
            Ok(verdict) => CaCheck { damages: verdict.damages, ..CaCheck::fine(verdict.ca) },
            Err(error) => CaCheck::from_memory(verdict.ca, &error),
        },
        Err(error) => match current.map_or_else(|| InternalCa::make(scope, now).map(Arc::new), |ca| Ok(Arc::clone(ca)))
        {
            Ok(ca) => CaCheck::from_memory(ca, &error),
            Err(_) => CaCheck { ca: None, degraded: true, troubles: vec![error.finding()], damages: Vec::new() },
        },
    }
}

async fn settle_locked<S: Storage>(
    storage: &S,
    current: Option<&Arc<InternalCa>>,
    scope: &Scope,
    now: UnixTime,
) -> Result<CaFilesPlan, CaVolumeError> {
    let lease = lock(storage).await?;
    // Read again under the lease: another instance may have been faster.
    let verdict = read(storage, current, scope, now).await?;
    for key in &verdict.set_aside {
        let aside = storage.set_aside(key, &lease).await?;
        tracing::error!(file = *key, %aside, "set a damaged file of the internal CA aside");
    }
    if verdict.write_key {
        storage.put(KEY, verdict.ca.key_pem().into_bytes(), &lease).await?;
    }
    if verdict.write_root {
        storage.put(ROOT, verdict.ca.root_pem().as_bytes().to_vec(), &lease).await?;
        tracing::info!(file = ROOT, "wrote the internal root");
    }
    Ok(verdict)
}

async fn lock<S: Storage>(storage: &S) -> Result<S::Lease, CaVolumeError> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        if let Some(lease) = storage.lock("ca").await? {
            return Ok(lease);
        }
        if Instant::now() >= until {
            return Err(CaVolumeError::Busy);
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

async fn read<S: Storage>(
    storage: &S,
    current: Option<&Arc<InternalCa>>,
    scope: &Scope,
    now: UnixTime,
) -> Result<CaFilesPlan, CaVolumeError> {
    let (key, root) = (storage.get(KEY).await?, storage.get(ROOT).await?);
    let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(examine(text(key).as_deref(), text(root).as_deref(), current, scope, now)?)
}

/// Plans the changes to the two files, for any content.
fn examine(
    key: Option<&str>,
    root: Option<&str>,
    current: Option<&Arc<InternalCa>>,
    scope: &Scope,
    now: UnixTime,
) -> Result<CaFilesPlan, InternalCaError> {
    let kept = |ca| CaFilesPlan { ca, set_aside: Vec::new(), write_key: false, write_root: false, damages: Vec::new() };
    let in_memory = || current.map_or_else(|| InternalCa::make(scope, now).map(Arc::new), |ca| Ok(Arc::clone(ca)));
    match (key, root) {
        (None, None) => Ok(CaFilesPlan { write_key: true, write_root: true, ..kept(in_memory()?) }),
        // The key has been removed from a root that we still have.
        (None, Some(root)) if current.is_some_and(|ca| ca.root_pem() == root) => {
            Ok(CaFilesPlan { write_key: true, ..kept(in_memory()?) })
        }
        (None, Some(_)) => Ok(CaFilesPlan {
            set_aside: vec![ROOT],
            write_key: true,
            write_root: true,
            damages: vec![damage(KEY, "the internal root has lost its key", NEW_ROOT)],
            ..kept(in_memory()?)
        }),
        (Some(key), root) => {
            // The root in memory may be newer than that on a volume that cannot be written.
            let ahead = current.filter(|ca| ca.key_pem() == key && rewritten(ca, scope, now).is_none());
            let remade = || match ahead {
                Some(ca) => Ok(Arc::clone(ca)),
                None => InternalCa::with_key_pem(key, scope, now).map(Arc::new),
            };
            let error = match root.map(|root| InternalCa::load(root, key)) {
                Some(Ok(ca)) => {
                    return Ok(match (rewritten(&ca, scope, now), current) {
                        (Some(wider), _) => {
                            CaFilesPlan { write_root: true, ..kept(ahead.map_or_else(|| Arc::new(wider), Arc::clone)) }
                        }
                        (None, Some(current)) if current.root_pem() == ca.root_pem() => kept(Arc::clone(current)),
                        (None, _) => kept(Arc::new(ca)),
                    });
                }
                Some(Err(error)) => Some(error),
                None => None,
            };
            if InternalCa::is_key_pem(key) {
                let damages =
                    error.map(|error| damage(ROOT, &format!("the internal root cannot be used: {error}"), SAME_ROOT));
                let set_aside = root.map(|_| ROOT).into_iter().collect();
                return Ok(CaFilesPlan {
                    set_aside,
                    write_root: true,
                    damages: damages.into_iter().collect(),
                    ..kept(remade()?)
                });
            }
            Ok(CaFilesPlan {
                set_aside: [Some(KEY), root.map(|_| ROOT)].into_iter().flatten().collect(),
                write_key: true,
                write_root: true,
                damages: vec![damage(KEY, "the internal CA's key is damaged", NEW_ROOT)],
                ..kept(in_memory()?)
            })
        }
    }
}

/// The root to write in place of one of ours that is out of date or too narrow, or `None` if it is neither.
fn rewritten(ca: &InternalCa, scope: &Scope, now: UnixTime) -> Option<InternalCa> {
    let has_scope = scope.domains.iter().chain(&scope.hosts).all(|name| ca.permits(name));
    if ca.is_fresh_at(now) && has_scope || !ca.is_ours() {
        return None;
    }
    let wider = ca.scope().union(scope);
    let wider = if wider.is_bounded() { wider } else { scope.clone() };
    InternalCa::with_key_pem(&ca.key_pem(), &wider, now)
        .inspect_err(|error| tracing::warn!(%error, "failed to make a new internal root"))
        .ok()
}

const NEW_ROOT: &str = "set aside; a new internal CA is in force, which devices that trust the old one do not trust";
const SAME_ROOT: &str = "set aside; a root for the same key was made, and devices that trust the old one trust it";

fn damage(subject: &str, message: &str, effect: &str) -> Diagnostic {
    Diagnostic::new(
        if effect == NEW_ROOT { Severity::Error } else { Severity::Warning },
        codes::INTERNAL_CA_DAMAGED,
        Place::Name(subject.into()),
        message,
    )
    .with_help(if effect == NEW_ROOT {
        "install the root that `gangway ca` prints, or stop gangway and put the old files back"
    } else {
        "nothing; remove the file that was set aside once you have seen it"
    })
    .with_effect(effect)
}

impl CaFilesPlan {
    fn is_done(&self) -> bool {
        self.set_aside.is_empty() && !self.write_key && !self.write_root
    }
}

impl CaCheck {
    fn fine(ca: Arc<InternalCa>) -> Self {
        Self { ca: Some(ca), degraded: false, troubles: Vec::new(), damages: Vec::new() }
    }

    fn from_memory(ca: Arc<InternalCa>, error: &CaVolumeError) -> Self {
        Self { degraded: true, troubles: vec![error.finding()], ..Self::fine(ca) }
    }
}

/// The reason why the CA is in memory only.
#[derive(Debug, thiserror::Error)]
enum CaVolumeError {
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("{0}")]
    Ca(#[from] InternalCaError),
    #[error("lock the internal CA: another instance holds it")]
    Busy,
}

impl CaVolumeError {
    fn finding(&self) -> Diagnostic {
        let (subject, help) = match self {
            Self::Storage(error) => (error.key.clone(), error.help()),
            Self::Ca(_) => (KEY.into(), "set the clock; look at the log"),
            Self::Busy => ("ca".into(), "look at the other instance that uses this volume"),
        };
        Diagnostic::error(codes::VOLUME_UNUSABLE, Place::Name(subject), format!("failed to {self}"))
            .with_help(help)
            .with_effect("the internal CA goes on from memory; what is not on the volume is lost at a restart")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use gangway_publish::channel;

    use super::*;
    use crate::stopping::StoppingStorage;
    use gangway_acme::storage::FolderStorage;

    const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);
    const YEAR: Duration = Duration::from_hours(365 * 24);

    fn hosts(names: &[&str]) -> Scope {
        Scope { hosts: names.iter().map(|name| Box::from(*name)).collect(), ..Scope::default() }
    }

    async fn settled(folder: &Path, scope: &Scope) -> CaCheck {
        settle(&FolderStorage::new(folder), None, scope, NOW).await
    }

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder.join("ca")).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn it_is_made_once_and_read_ever_after() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = settled(folder.path(), &Scope::default()).await;
        assert!(!first.degraded && first.troubles.is_empty() && first.damages.is_empty());
        let second = settled(folder.path(), &Scope::default()).await;
        let pem = |settled: &CaCheck| settled.ca.as_ref().expect("a CA").root_pem().to_owned();
        assert_eq!(pem(&first), pem(&second));
        assert_eq!(files(folder.path()), ["root.crt", "root.key"]);
        for file in ["ca/root.crt", "ca/root.key"] {
            assert_eq!(fs::metadata(folder.path().join(file)).expect("is there").permissions().mode() & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn many_instances_on_one_volume_agree() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let path = folder.path().to_owned();
            tasks.spawn(async move { settled(&path, &Scope::default()).await.ca.expect("a CA").root_pem().to_owned() });
        }
        let roots: std::collections::BTreeSet<String> = tasks.join_all().await.into_iter().collect();
        assert_eq!(roots.len(), 1);
    }

    #[tokio::test]
    async fn a_wider_scope_gives_a_wider_root_with_the_same_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let narrow = settled(folder.path(), &hosts(&["nas"])).await.ca.expect("a CA");
        let wide = settled(folder.path(), &hosts(&["pi"])).await.ca.expect("a CA");
        assert!(wide.permits("nas") && wide.permits("pi"), "what was permitted once stays so");
        assert!(wide.has_key_of(&narrow) && !narrow.permits("pi"));
        let again = settled(folder.path(), &hosts(&["nas"])).await.ca.expect("a CA");
        assert_eq!(again.root_pem(), wide.root_pem(), "a narrower scope changes nothing");
    }

    #[tokio::test]
    async fn an_ending_root_is_renewed_with_the_same_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = FolderStorage::new(folder.path());
        let old = settle(&storage, None, &Scope::default(), NOW).await.ca.expect("a CA");
        let new = settle(&storage, Some(&old), &Scope::default(), NOW + 9 * YEAR + YEAR / 2).await.ca.expect("a CA");
        assert!(new.has_key_of(&old) && new.not_after() > old.not_after() + 9 * YEAR);
    }

    #[tokio::test]
    async fn a_damaged_root_is_set_aside_and_made_anew_for_the_same_key() {
        for damaged in ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let folder = tempfile::tempdir().expect("a folder");
            let before = settled(folder.path(), &Scope::default()).await.ca.expect("a CA");
            fs::File::create(folder.path().join(ROOT))
                .and_then(|mut file| std::io::Write::write_all(&mut file, damaged.as_bytes()))
                .expect("is ours");
            let after = settled(folder.path(), &Scope::default()).await;
            assert!(after.ca.expect("a CA").has_key_of(&before));
            assert_eq!(after.damages[0].severity, Severity::Warning);
            let left = files(folder.path());
            assert!(left.len() == 3 && left[1].starts_with("root.crt.corrupt-"), "{left:?}");
            assert!(settled(folder.path(), &Scope::default()).await.damages.is_empty(), "once is enough");
        }
    }

    #[tokio::test]
    async fn a_damaged_or_foreign_key_is_set_aside_with_its_root() {
        let other = InternalCa::make(&Scope::default(), NOW).expect("makes a CA");
        for (damaged, is_key) in [(String::new(), false), ("garbage".into(), false), (other.key_pem(), true)] {
            let folder = tempfile::tempdir().expect("a folder");
            let before = settled(folder.path(), &Scope::default()).await.ca.expect("a CA");
            fs::File::create(folder.path().join(KEY))
                .and_then(|mut file| std::io::Write::write_all(&mut file, damaged.as_bytes()))
                .expect("is ours");
            let after = settled(folder.path(), &Scope::default()).await;
            assert_eq!(after.damages.len(), 1);
            let ca = after.ca.expect("a CA");
            assert!(!ca.has_key_of(&before));
            assert_eq!(ca.has_key_of(&other), is_key, "a good key is not thrown away");
            assert_eq!(
                files(folder.path()).iter().filter(|name| name.contains(".corrupt-")).count(),
                if is_key { 1 } else { 2 }
            );
        }
    }

    #[tokio::test]
    async fn a_root_without_its_key_is_set_aside_but_the_key_in_memory_is_put_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = FolderStorage::new(folder.path());
        let before = settled(folder.path(), &Scope::default()).await.ca.expect("a CA");
        fs::remove_file(folder.path().join(KEY)).expect("is ours");
        let running = settle(&storage, Some(&before), &Scope::default(), NOW).await;
        assert!(running.damages.is_empty() && running.ca.expect("a CA").has_key_of(&before));
        assert_eq!(files(folder.path()), ["root.crt", "root.key"]);
        fs::remove_file(folder.path().join(KEY)).expect("is ours");
        let restarted = settled(folder.path(), &Scope::default()).await;
        assert_eq!(restarted.damages[0].severity, Severity::Error);
        assert!(!restarted.ca.expect("a CA").has_key_of(&before));
    }

    #[tokio::test]
    async fn wherever_a_start_stops_the_next_one_has_one_ca_and_nothing_is_lost() {
        let mut keys_kept = 0;
        for touches in 0..24 {
            let folder = tempfile::tempdir().expect("a folder");
            let storage = StoppingStorage::new(FolderStorage::new(folder.path()));
            storage.stop_after(touches);
            let stopped = settle(&storage, None, &Scope::default(), NOW).await;
            let next = settled(folder.path(), &Scope::default()).await;
            assert!(!next.degraded && next.damages.is_empty(), "{touches}: {:?}", next.damages);
            let (stopped_ca, next) = (stopped.ca.expect("one in memory"), next.ca.expect("a CA"));
            assert!(
                stopped.degraded || next.root_pem() == stopped_ca.root_pem(),
                "{touches}: what was promised is kept"
            );
            keys_kept += usize::from(next.has_key_of(&stopped_ca));
        }
        assert!(keys_kept > 4, "a key that reached the disk is used again: {keys_kept}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_volume_that_cannot_be_written_is_written_later_and_the_ca_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = StoppingStorage::new(FolderStorage::new(folder.path()));
        storage.stop_after(0);
        let (_scope_tx, scopes) = channel(Scope::default());
        let (views_tx, mut views) = channel(InternalCaView::default());
        let switch = storage.clone();
        let keeping = keep_ca(storage, scopes, Clock::new(|| NOW), views_tx);
        let checking = async {
            views.changed().await.expect("publishes");
            let first = views.load_full();
            assert!(first.degraded && first.findings[0].code == codes::VOLUME_UNUSABLE);
            assert!(!folder.path().join(ROOT).exists());
            switch.stop_after(i64::MAX);
            views.changed().await.expect("publishes");
            let second = views.load_full();
            assert!(!second.degraded && second.findings.is_empty());
            let pem = |view: &InternalCaView| view.ca.as_ref().expect("a CA").root_pem().to_owned();
            assert_eq!(pem(&first), pem(&second));
            assert_eq!(fs::read_to_string(folder.path().join(ROOT)).expect("is there"), pem(&second));
        };
        tokio::select! { _ = keeping => unreachable!("runs for ever"), () = checking => {} }
    }

    #[tokio::test(start_paused = true)]
    async fn who_could_not_write_takes_over_what_another_has_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let storage = StoppingStorage::new(FolderStorage::new(folder.path()));
        storage.stop_after(0);
        let (_scope_tx, scopes) = channel(Scope::default());
        let (views_tx, mut views) = channel(InternalCaView::default());
        let keeping = keep_ca(storage, scopes, Clock::new(|| NOW), views_tx);
        let checking = async {
            views.changed().await.expect("publishes");
            let other = settled(folder.path(), &Scope::default()).await.ca.expect("a CA");
            views.changed().await.expect("publishes");
            let view = views.load_full();
            assert_eq!(view.ca.as_ref().expect("a CA").root_pem(), other.root_pem());
            assert!(!view.degraded);
        };
        tokio::select! { _ = keeping => unreachable!("runs for ever"), () = checking => {} }
    }

    #[tokio::test]
    async fn a_root_of_another_tool_is_used_as_it_is() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "mkcert somebody@somewhere");
        let root = params.self_signed(&key).expect("signs").pem();
        let verdict = examine(Some(&key.serialize_pem()), Some(&root), None, &hosts(&["nas"]), NOW).expect("examines");
        assert!(verdict.is_done() && verdict.ca.root_pem() == root);
        assert!(verdict.ca.permits("example.org"), "it is not constrained");
    }
}
