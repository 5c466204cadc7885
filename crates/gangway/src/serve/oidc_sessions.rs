//! The register of log-ins on the volume: what happens to sessions here goes in, and the ends of all instances come out.
//!
//! A user who logs in or out waits for none of it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gangway_acme::storage::StorageError;
use gangway_certs::{RegisteredSession, bound_login_sessions, change_login_sessions, login_sessions};
use gangway_diagnostic::{Diagnostic, Place, codes};
use gangway_oidc::{BegunSession, EndedAtProvider, EndedSessions, Providers, SessionEnd, SessionEvent, UnixSeconds};
use gangway_publish::{Publisher, Reader};
use gangway_tls::UnixTime;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use crate::finding_log::FindingLog;

/// How often other instances, and `gangway sessions revoke`, are heeded.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Events that are written at once.
const EVENTS_MAX: usize = 256;

/// Changes that wait for a volume that cannot be written. Log-ins make room for log-outs, and then the oldest for the others.
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
    let mut ends = Vec::new();
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
        keep_ends(&mut ends, sessions, UnixTime::now());
        let ended: EndedSessions = ends.iter().map(end_of).collect();
        if ended != published {
            published.clone_from(&ended);
            outputs.ended.publish(ended);
        }
    }
}

/// Adds the ends that a register knows to those that were known, within the bounds of a register.
fn keep_ends(ends: &mut Vec<RegisteredSession>, sessions: Vec<RegisteredSession>, now: UnixTime) {
    ends.extend(sessions.into_iter().filter(|session| session.is_ended));
    ends.retain(|session| session.ends > now.seconds());
    // One that stands for others counts before the same one that does not.
    ends.sort_by(|one, other| (&one.id, !one.and_older).cmp(&(&other.id, !other.and_older)));
    ends.dedup_by(|one, other| one.id == other.id);
    bound_login_sessions(ends);
}

/// Which sessions have ended according to an entry of the register.
fn end_of(RegisteredSession { id, provider, subject, begun, and_older, .. }: &RegisteredSession) -> SessionEnd {
    let begun = UnixSeconds::try_from(*begun).unwrap_or(0);
    match (and_older, &**provider) {
        (false, _) => SessionEnd::One(id.clone().into()),
        (true, "") => SessionEnd::OfEverybody { begun },
        (true, provider) => SessionEnd::OfUser { provider: provider.into(), subject: subject.clone(), begun },
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
            SessionEvent::Ended(ended) => Change::End(registered(ended)),
            SessionEvent::EndedAtProvider { provider, ended, done } => {
                waiting.push(done);
                Change::EndOf(provider, ended)
            }
        });
    }
    make_room(pending);
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

fn make_room(pending: &mut Vec<Change>) {
    let mut surplus = pending.len().saturating_sub(PENDING_MAX);
    pending.retain(|change| {
        let makes_room = surplus > 0 && matches!(change, Change::Add(_));
        surplus -= usize::from(makes_room);
        !makes_room
    });
    pending.drain(..surplus);
}

/// A change of the register.
enum Change {
    Add(RegisteredSession),
    End(RegisteredSession),
    EndOf(Box<str>, EndedAtProvider),
}

impl Change {
    fn apply(&self, sessions: &mut Vec<RegisteredSession>) {
        match self {
            Self::Add(session) => sessions.push(session.clone()),
            Self::End(ended) => {
                if !sessions.iter().any(|session| session.id == ended.id) {
                    // One that never came into the register. Its cookie must not count all the same.
                    sessions.push(ended.clone());
                }
                end(sessions, |session| session.id == ended.id);
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
        and_older: false,
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
            SessionEvent::Ended(session("1", "ann", None)),
            SessionEvent::Ended(session("unknown", "bob", None)),
        ];
        register(&data, events, &mut pending).await.expect_err("no volume");
        std::fs::remove_file(&data).expect("ours");
        std::fs::create_dir(&data).expect("ours");
        let sessions = register(&data, Vec::new(), &mut pending).await.expect("a volume");
        let all: Vec<_> = sessions.iter().map(|one| (&*one.id, &*one.user, one.is_ended)).collect();
        assert_eq!(all, [("1", "ann", true), ("unknown", "bob", true)]);
        assert!(pending.is_empty());
    }

    #[test]
    fn ends_that_were_known_outlast_the_register_and_do_not_grow() {
        let ended = |id: &str, begun| {
            let one = BegunSession { begun, ..session(id, "ann", None) };
            RegisteredSession { is_ended: true, ..registered(one) }
        };
        let (mut ends, now) = (Vec::new(), UnixTime::from_seconds(5));
        let loops = (0..10_000).map(|number| ended(&format!("{number}"), number));
        keep_ends(&mut ends, loops.collect(), now);
        keep_ends(&mut ends, vec![registered(session("counts", "bob", None)), ended("new", 20_000)], now);
        assert!(ends.len() < 200, "{}", ends.len());
        let told: Vec<SessionEnd> = ends.iter().map(end_of).collect();
        assert!(matches!(&told[0], SessionEnd::OfUser { subject, begun: 9000.., .. } if subject == "ann"), "{told:?}");
        assert_eq!(told.last(), Some(&SessionEnd::One("new".to_owned().into())));
        let mut of_all = ended("x", 30_000);
        (of_all.provider, of_all.and_older) = (String::new(), true);
        assert_eq!(end_of(&of_all), SessionEnd::OfEverybody { begun: 30_000 });
        keep_ends(&mut ends, Vec::new(), UnixTime::from_seconds(i64::MAX));
        assert!(ends.is_empty(), "they would have ended by now");
    }

    #[test]
    fn without_a_volume_log_outs_wait_longer_than_log_ins() {
        let end = |id: &str| Change::End(registered(session(id, "ann", None)));
        let mut pending = vec![end("first"), end("second")];
        pending
            .extend((0..PENDING_MAX).map(|number| Change::Add(registered(session(&number.to_string(), "bob", None)))));
        make_room(&mut pending);
        let name = |change: &Change| match change {
            Change::Add(session) | Change::End(session) => session.id.clone(),
            Change::EndOf(..) => String::new(),
        };
        let first: Vec<String> = pending.iter().take(3).map(name).collect();
        assert_eq!((pending.len(), first), (PENDING_MAX, ["first", "second", "2"].map(str::to_owned).to_vec()));
        pending.clear();
        pending.extend((0..=PENDING_MAX).map(|number| end(&number.to_string())));
        make_room(&mut pending);
        assert_eq!((pending.len(), name(&pending[0])), (PENDING_MAX, "1".to_owned()));
    }
}
