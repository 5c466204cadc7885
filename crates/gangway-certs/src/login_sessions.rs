//! The register of log-ins on the volume: who is logged in, and which sessions count no more.
//!
//! A session is in the cookie of its user. What stands here is for people, and for ends that a cookie cannot know of. Without
//! the register nobody is logged out.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;
use std::time::Duration;

use gangway_acme::storage::{FolderStorage, Storage, StorageError};
use gangway_tls::UnixTime;
use serde::{Deserialize, Serialize};

const FILE: &str = "oidc/sessions.json";
const LEASE: &str = "oidc-sessions";
const VERSION: u32 = 1;

/// Sessions that are remembered. Beyond them, the sessions of those who have the most of them end, the oldest first.
const SESSIONS_MAX: usize = 20_000;

/// Sessions of one user that are remembered, those that were ended among them: nobody fills the register alone.
const USER_SESSIONS_MAX: usize = 100;

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
    /// It stands for all sessions of its user that began no later, which have ended too. Without a provider it stands for
    /// those of everybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub and_older: bool,
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
    bound_login_sessions(&mut sessions);
    if sessions != before {
        let text = serde_json::to_vec(&RegisterFile { version: VERSION, sessions: sessions.clone() });
        storage.put(FILE, text.expect("text and numbers can always be written"), &lease).await?;
    }
    Ok(sessions)
}

/// Holds sessions to their bounds, and puts the oldest first. No end is lost: what is left out has ended, and one that is left
/// in says so.
pub fn bound_login_sessions(sessions: &mut Vec<RegisteredSession>) {
    let of_user = |session: &RegisteredSession| (session.provider.clone(), session.subject.clone());
    let mut user_max = USER_SESSIONS_MAX;
    fold(sessions, user_max, of_user, |session| session.and_older);
    while sessions.len() > SESSIONS_MAX && user_max > 1 {
        user_max /= 2;
        fold(sessions, user_max, of_user, |session| session.and_older);
    }
    if sessions.len() > SESSIONS_MAX {
        fold(sessions, SESSIONS_MAX - 1, |_| (), is_of_everybody);
        // The oldest one stands for all before, whosever they are.
        if let Some(mark) = sessions.first_mut() {
            [&mut mark.provider, &mut mark.subject, &mut mark.user, &mut mark.scope]
                .into_iter()
                .for_each(String::clear);
        }
    }
}

fn is_of_everybody(session: &RegisteredSession) -> bool {
    session.and_older && session.provider.is_empty()
}

/// Leaves each owner so many of the newest sessions, and one that stands for all before, unless one stands for them already.
fn fold<O: Clone + Eq + Hash>(
    sessions: &mut Vec<RegisteredSession>,
    max: usize,
    owner: impl Fn(&RegisteredSession) -> O,
    is_mark: impl Fn(&RegisteredSession) -> bool,
) {
    sessions.sort_by(|one, other| (one.begun, &one.id).cmp(&(other.begun, &other.id)));
    let (mut counts, mut marks) = (HashMap::<O, usize>::new(), HashMap::<O, RegisteredSession>::new());
    for session in sessions.iter().rev() {
        let owner = owner(session);
        let count = counts.entry(owner.clone()).or_default();
        *count += 1;
        if *count > max || is_mark(session) {
            let mark = RegisteredSession { is_ended: true, and_older: true, ..session.clone() };
            marks.entry(owner).or_insert(mark);
        }
    }
    sessions.retain(|session| match marks.get_mut(&owner(session)) {
        Some(mark) if session.begun <= mark.begun => {
            mark.ends = mark.ends.max(session.ends);
            false
        }
        Some(_) | None => true,
    });
    sessions.extend(marks.into_values());
    sessions.sort_by(|one, other| (one.begun, &one.id).cmp(&(other.begun, &other.id)));
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
            and_older: false,
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

    fn of(subject: usize, number: i64) -> RegisteredSession {
        let begun = NOW.seconds() + number;
        RegisteredSession { subject: format!("s-{subject}"), begun, ..session(&format!("{subject}-{number}"), number) }
    }

    /// Whether the register says that a session has ended, or knows it as one that counts.
    fn has_ended(all: &[RegisteredSession], asked: &RegisteredSession) -> bool {
        let is_its = |mark: &RegisteredSession| {
            let is_owner = mark.provider.is_empty() || mark.subject == asked.subject;
            mark.id == asked.id || mark.and_older && is_owner && asked.begun <= mark.begun
        };
        let known: Vec<_> = all.iter().filter(|mark| is_its(mark)).collect();
        assert!(!known.is_empty(), "it is forgotten: {asked:?}");
        known.iter().any(|mark| mark.is_ended)
    }

    #[tokio::test]
    async fn nobody_pushes_the_sessions_of_others_out_of_the_register_or_makes_it_grow() {
        let victim = RegisteredSession { subject: "victim".into(), ..session("victim", 10) };
        for is_ended in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let fill = |all: &mut Vec<RegisteredSession>| {
                all.push(victim.clone());
                all.extend((1..=25_000).map(|number| RegisteredSession { is_ended, ..of(1, number) }));
            };
            let all = change_login_sessions(folder.path(), NOW, fill).await.expect("the volume");
            assert!(all.len() <= USER_SESSIONS_MAX + 2, "{}", all.len());
            assert!(!has_ended(&all, &victim));
            assert!(has_ended(&all, &of(1, 1)), "it counts no more, since nobody could end it");
            assert_eq!(has_ended(&all, &of(1, 25_000)), is_ended, "the newest is as it was");
            let mark = all.iter().find(|session| session.and_older).expect("one stands for the others");
            assert!((24_900..25_000).contains(&(mark.ends - NOW.seconds())), "{mark:?}");
        }
    }

    #[tokio::test]
    async fn the_register_is_bounded_and_forgets_no_end() {
        let folder = tempfile::tempdir().expect("a folder");
        // There is room for all users, but not for all that they have.
        let victim = RegisteredSession { subject: "victim".into(), ..session("victim", 10) };
        let few = |all: &mut Vec<RegisteredSession>| {
            all.push(victim.clone());
            all.extend((1..=3000).flat_map(|user| (1..=10).map(move |number| of(user, number))));
        };
        let all = change_login_sessions(folder.path(), NOW, few).await.expect("the volume");
        assert!(all.len() <= SESSIONS_MAX && !has_ended(&all, &victim), "{}", all.len());
        assert!(has_ended(&all, &of(7, 1)) && !has_ended(&all, &of(7, 10)));
        // More users than there is room for: the oldest sessions end, whosever they are.
        let many = |all: &mut Vec<RegisteredSession>| {
            all.extend((1..=25_000).zip(5001..).map(|(user, number)| of(user, number)));
        };
        let all = change_login_sessions(folder.path(), NOW, many).await.expect("the volume");
        assert_eq!(all.len(), SESSIONS_MAX);
        assert!([victim, of(7, 10), of(7, 5007)].iter().all(|old| has_ended(&all, old)));
        assert!(!has_ended(&all, &of(25_000, 30_000)));
        let again = change_login_sessions(folder.path(), NOW, |_| ()).await.expect("the volume");
        assert_eq!(again, all, "what is within its bounds stays as it is");
    }
}
