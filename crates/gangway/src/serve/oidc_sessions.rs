//! The register of log-ins on the volume: what happens to sessions here goes in, and the ends of all instances come out.
//!
//! A user who logs in or out waits for none of it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gangway_acme::storage::StorageError;
use gangway_certs::{RegisteredSession, change_login_sessions, login_sessions};
use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_oidc::{BegunSession, EndedAtProvider, EndedSessions, Providers, SessionEvent, UnixSeconds};
use gangway_publish::{Publisher, Reader};
use gangway_tls::UnixTime;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use super::finding_log::FindingLog;

/// How often other instances, and `gangway sessions revoke`, are heeded.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Events that are written at once.
const EVENTS_MAX: usize = 256;

/// Changes that wait for a volume that cannot be written. The oldest make room.
const PENDING_MAX: usize = 100_000;

/// The written ends of what the task knows.
pub(super) struct SessionOutputs {
    pub(super) ended: Publisher<EndedSessions>,
    pub(super) findings: Publisher<Vec<Diagnostic>>,
}

/// Keeps the register, for ever. Nothing is read or written where no provider is configured.
pub(super) async fn follow(
    data: PathBuf,
    events: Arc<Mutex<mpsc::Receiver<SessionEvent>>>,
    providers: Reader<Providers>,
    mut outputs: SessionOutputs,
) -> Infallible {
    let mut events = events.lock().await;
    let mut log = FindingLog::default();
    let mut pending = Vec::new();
    // The ends that are known, until the sessions would have ended anyway: a register that is gone takes none back.
    let mut ends: HashMap<String, i64> = HashMap::new();
    let mut published = EndedSessions::default();
    loop {
        let mut batch = Vec::new();
        // An elapsed time is the time to look. The sender lives as long as the process.
        let _ = timeout(LOOK_EVERY, events.recv_many(&mut batch, EVENTS_MAX)).await;
        if batch.is_empty() && pending.is_empty() && providers.load().is_empty() {
            continue;
        }
        let sessions = match batch.is_empty() && pending.is_empty() {
            true => login_sessions(&data).await,
            false => register(&data, batch, &mut pending).await,
        };
        let finding = sessions.as_ref().err().map(trouble);
        if log.tell(finding.as_slice()) {
            outputs.findings.publish(finding.into_iter().collect());
        }
        // Without the register, the ends that were known stay so.
        let Ok(sessions) = sessions else { continue };
        ends.retain(|_, until| *until > UnixTime::now().seconds());
        ends.extend(sessions.into_iter().filter(|one| one.is_ended).map(|one| (one.id, one.ends)));
        let ended: EndedSessions = ends.keys().map(|id| id.clone().into()).collect();
        if ended != published {
            published.clone_from(&ended);
            outputs.ended.publish(ended);
        }
    }
}

/// Writes what is pending and then events, and tells those who wait for it. What cannot be written stays pending.
async fn register(
    data: &Path,
    batch: Vec<SessionEvent>,
    pending: &mut Vec<Change>,
) -> Result<Vec<RegisteredSession>, StorageError> {
    let mut waiting = Vec::new();
    for event in batch {
        pending.push(match event {
            SessionEvent::Begun(begun) => Change::Add(registered(begun)),
            SessionEvent::Ended(id, ends) => Change::End(id.as_str().to_owned(), seconds(ends)),
            SessionEvent::EndedAtProvider { provider, ended, done } => {
                waiting.push(done);
                Change::EndOf(provider, ended)
            }
        });
    }
    pending.drain(..pending.len().saturating_sub(PENDING_MAX));
    let apply = |sessions: &mut Vec<RegisteredSession>| pending.iter().for_each(|change| change.apply(sessions));
    let sessions = change_login_sessions(data, UnixTime::now(), apply).await;
    if sessions.is_ok() {
        pending.clear();
    }
    // Who does not wait any more needs no answer.
    for done in waiting {
        let _ = done.send(sessions.is_ok());
    }
    sessions
}

/// A change of the register.
enum Change {
    Add(RegisteredSession),
    /// It would have counted until then.
    End(String, i64),
    EndOf(Box<str>, EndedAtProvider),
}

impl Change {
    fn apply(&self, sessions: &mut Vec<RegisteredSession>) {
        match self {
            Self::Add(session) => sessions.push(session.clone()),
            Self::End(id, ends) => {
                if !sessions.iter().any(|session| session.id == *id) {
                    // One that the register has forgotten. Its cookie must not count all the same.
                    sessions.push(unknown(id.clone(), *ends));
                }
                end(sessions, |session| session.id == *id);
            }
            Self::EndOf(provider, EndedAtProvider { subject, session: ended }) => end(sessions, |session| {
                // What names both means the session of the user.
                *session.provider == **provider
                    && subject.as_ref().is_none_or(|subject| session.subject == *subject)
                    && (ended.is_none() || session.provider_session == *ended)
            }),
        }
    }
}

fn end(sessions: &mut [RegisteredSession], is_meant: impl Fn(&RegisteredSession) -> bool) {
    sessions.iter_mut().filter(|session| is_meant(session)).for_each(|session| session.is_ended = true);
}

fn seconds(seconds: UnixSeconds) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn unknown(id: String, ends: i64) -> RegisteredSession {
    RegisteredSession {
        id,
        provider: String::new(),
        subject: String::new(),
        user: String::new(),
        scope: String::new(),
        begun: 0,
        ends,
        provider_session: None,
        is_ended: true,
    }
}

fn registered(begun: BegunSession) -> RegisteredSession {
    let BegunSession { id, provider, subject, user, scope, begun, ends, provider_session } = begun;
    RegisteredSession {
        id: id.as_str().to_owned(),
        provider: provider.into(),
        subject,
        user,
        scope,
        begun: seconds(begun),
        ends: seconds(ends),
        provider_session,
        is_ended: false,
    }
}

fn trouble(error: &StorageError) -> Diagnostic {
    let message = format!("failed to keep the register of log-ins: {error}");
    Diagnostic::error(codes::OIDC_SESSIONS, Place::Name("oidc/sessions.json".into()), message)
        .with_help(error.help())
        .with_effect("log-ins count; log-outs count here, and at other instances once they are written")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, subject: &str, at_provider: Option<&str>) -> BegunSession {
        BegunSession {
            id: id.to_owned().into(),
            provider: "home".into(),
            subject: subject.into(),
            user: subject.into(),
            scope: "a.example.org".into(),
            begun: 1,
            ends: u64::MAX,
            provider_session: at_provider.map(str::to_owned),
        }
    }

    #[tokio::test]
    async fn what_a_provider_ends_is_what_it_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let begun = [("1", "ann", Some("x")), ("2", "ann", Some("y")), ("3", "bob", Some("x")), ("4", "bob", None)];
        let begun = begun.map(|(id, subject, at_provider)| SessionEvent::Begun(session(id, subject, at_provider)));
        register(folder.path(), begun.into(), &mut Vec::new()).await.expect("the volume");
        for (provider, subject, at_provider, ended) in [
            ("other", Some("ann"), None, &[][..]),
            ("home", Some("ann"), Some("z"), &[]),
            ("home", Some("ann"), Some("y"), &["2"]),
            ("home", None, Some("x"), &["1", "2", "3"]),
            ("home", Some("bob"), None, &["1", "2", "3", "4"]),
        ] {
            let (done, is_done) = tokio::sync::oneshot::channel();
            let named =
                EndedAtProvider { subject: subject.map(str::to_owned), session: at_provider.map(str::to_owned) };
            let event = SessionEvent::EndedAtProvider { provider: provider.into(), ended: named, done };
            let sessions = register(folder.path(), vec![event], &mut Vec::new()).await.expect("the volume");
            let ids: Vec<&str> = sessions.iter().filter(|one| one.is_ended).map(|one| &*one.id).collect();
            assert_eq!((&ids[..], is_done.await), (ended, Ok(true)), "{provider} {subject:?} {at_provider:?}");
        }
    }

    #[tokio::test]
    async fn without_a_volume_who_waits_is_told_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        std::fs::File::create(&data).expect("a file in its place");
        let (done, is_done) = tokio::sync::oneshot::channel();
        let ended = EndedAtProvider { subject: Some("ann".into()), session: None };
        let event = SessionEvent::EndedAtProvider { provider: "home".into(), ended, done };
        let error = register(&data, vec![event], &mut Vec::new()).await.expect_err("no volume");
        assert_eq!((is_done.await, trouble(&error).code), (Ok(false), codes::OIDC_SESSIONS));
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_later_and_an_end_is_kept_of_a_session_that_nobody_knows() {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, mut pending) = (folder.path().join("data"), Vec::new());
        std::fs::File::create(&data).expect("a file in its place");
        let events = vec![
            SessionEvent::Begun(session("1", "ann", None)),
            SessionEvent::Ended("1".to_owned().into(), u64::MAX),
            SessionEvent::Ended("forgotten".to_owned().into(), u64::MAX),
        ];
        register(&data, events, &mut pending).await.expect_err("no volume");
        std::fs::remove_file(&data).expect("ours");
        std::fs::create_dir(&data).expect("ours");
        let sessions = register(&data, Vec::new(), &mut pending).await.expect("a volume");
        let all: Vec<_> = sessions.iter().map(|one| (&*one.id, &*one.user, one.is_ended)).collect();
        assert_eq!(all, [("1", "ann", true), ("forgotten", "", true)]);
        assert!(pending.is_empty());
    }
}
