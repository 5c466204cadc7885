//! The register of log-ins on the volume: who is logged in, and which sessions count no more.
//!
//! A session is in the cookie of its user. What stands here is for people, and for ends that a cookie cannot know of. Without
//! the register nobody is logged out.

use std::path::Path;
use std::time::Duration;

use gangway_acme::storage::{FolderStorage, Storage, StorageError};
use gangway_tls::UnixTime;
use serde::{Deserialize, Serialize};

const FILE: &str = "oidc/sessions.json";
const LEASE: &str = "oidc-sessions";
const VERSION: u32 = 1;

/// Sessions that are remembered. The oldest that still count are forgotten first, and count on until they end.
const SESSIONS_MAX: usize = 20_000;

/// Another holder of the lease only changes the file, so it is waited for.
const LEASE_TRIES: u32 = 50;
const LEASE_PAUSE: Duration = Duration::from_millis(100);

/// A session, from its log-in until it could not count any more.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RegisteredSession {
    /// Tells it from all others.
    pub id: String,
    /// The name of the OpenID provider.
    pub provider: String,
    /// The user at the provider.
    pub subject: String,
    /// The name under which people know the user.
    pub user: String,
    /// The host, or the domain of hosts, where it counts.
    pub scope: String,
    /// Seconds since the epoch.
    pub begun: i64,
    /// Seconds since the epoch.
    pub ends: i64,
    /// Which session it is at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_session: Option<String>,
    /// It has been ended: its cookie does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_ended: bool,
}

#[derive(Deserialize, Serialize)]
struct RegisterFile {
    version: u32,
    sessions: Vec<RegisteredSession>,
}

/// The sessions of a volume, the oldest first. A file that cannot be read counts as none.
///
/// # Errors
///
/// The volume cannot be used.
pub async fn login_sessions(data: &Path) -> Result<Vec<RegisteredSession>, StorageError> {
    Ok(read(&FolderStorage::new(data)).await?.unwrap_or_default())
}

/// Changes the sessions of a volume, and forgets those that cannot count any more. Returns those that are left.
///
/// # Errors
///
/// The volume cannot be used, or another process keeps the register for long.
pub async fn change_login_sessions(
    data: &Path,
    now: UnixTime,
    change: impl FnOnce(&mut Vec<RegisteredSession>) + Send,
) -> Result<Vec<RegisteredSession>, StorageError> {
    let storage = FolderStorage::new(data);
    let lease = lease(&storage).await?;
    let known = read(&storage).await?;
    if known.is_none() && storage.get(FILE).await?.is_some() {
        let aside = storage.set_aside(FILE, &lease).await?;
        tracing::warn!(file = FILE, %aside, "set a damaged register of log-ins aside");
    }
    let mut sessions = known.unwrap_or_default();
    let before = sessions.clone();
    change(&mut sessions);
    sessions.retain(|session| session.ends > now.seconds());
    let surplus = sessions.len().saturating_sub(SESSIONS_MAX);
    let mut forgotten = 0;
    // An ended one that is forgotten would count again.
    sessions.retain(|session| {
        let is_forgotten = forgotten < surplus && !session.is_ended;
        forgotten += usize::from(is_forgotten);
        !is_forgotten
    });
    if sessions != before {
        let text = serde_json::to_vec(&RegisterFile { version: VERSION, sessions: sessions.clone() });
        storage.put(FILE, text.expect("text and numbers can always be written"), &lease).await?;
    }
    Ok(sessions)
}

async fn lease<S: Storage>(storage: &S) -> Result<S::Lease, StorageError> {
    for _ in 0..LEASE_TRIES {
        if let Some(lease) = storage.lock(LEASE).await? {
            return Ok(lease);
        }
        tokio::time::sleep(LEASE_PAUSE).await;
    }
    Err(StorageError::busy("write", FILE))
}

async fn read<S: Storage>(storage: &S) -> Result<Option<Vec<RegisteredSession>>, StorageError> {
    let text = storage.get(FILE).await?;
    Ok(text.and_then(|text| serde_json::from_slice::<RegisterFile>(&text).ok()).map(|file| file.sessions))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_790_000_000);

    fn session(id: &str, ends: i64) -> RegisteredSession {
        RegisteredSession {
            id: id.into(),
            provider: "home".into(),
            subject: "s-1".into(),
            user: "ann".into(),
            scope: "a.example.org".into(),
            begun: NOW.seconds(),
            ends: NOW.seconds() + ends,
            provider_session: None,
            is_ended: false,
        }
    }

    #[tokio::test]
    async fn sessions_are_known_to_all_instances_until_they_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        assert_eq!(login_sessions(data).await.expect("the volume"), []);
        let add = |id: &'static str, ends| change_login_sessions(data, NOW, move |all| all.push(session(id, ends)));
        let [one, two] = [add("1", 10).await, add("2", 20).await].map(|sessions| sessions.expect("the volume").len());
        assert_eq!((one, two), (1, 2));
        let later = NOW + Duration::from_secs(10);
        let end_all = |all: &mut Vec<RegisteredSession>| all.iter_mut().for_each(|session| session.is_ended = true);
        let left = change_login_sessions(data, later, end_all).await.expect("the volume");
        assert_eq!(left.iter().map(|session| (&*session.id, session.is_ended)).collect::<Vec<_>>(), [("2", true)]);
        assert_eq!(login_sessions(data).await.expect("the volume"), left);
    }

    #[tokio::test]
    async fn a_damaged_register_is_kept_beside_the_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("oidc")).expect("ours");
        let mut file = std::fs::File::create(folder.path().join(FILE)).expect("ours");
        std::io::Write::write_all(&mut file, b"{").expect("ours");
        let sessions = change_login_sessions(folder.path(), NOW, |all| all.push(session("1", 10))).await;
        assert_eq!(sessions.expect("the volume").len(), 1);
        let files = std::fs::read_dir(folder.path().join("oidc")).expect("ours").count();
        assert!(files >= 2, "{files}");
    }

    #[tokio::test]
    async fn the_register_is_bounded_and_forgets_no_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let fill = |all: &mut Vec<RegisteredSession>| {
            all.push(RegisteredSession { is_ended: true, ..session("ended", 10) });
            all.extend((0..SESSIONS_MAX).map(|id| session(&id.to_string(), 10)));
        };
        let sessions = change_login_sessions(folder.path(), NOW, fill).await.expect("the volume");
        assert_eq!((sessions.len(), &*sessions[0].id, &*sessions[1].id), (SESSIONS_MAX, "ended", "1"));
    }
}
