//! Reads the key for the AppSec component, and finds out whether the component is there.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use gangway_publish::Publisher;
use http::header::{HeaderValue, USER_AGENT};
use http::{Method, Request};
use tokio::time::{Instant, sleep};

use crate::appsec::{Appsec, AppsecKey, Failures};
use crate::engine_client::{AnswerBounds, EngineClient, OWN_NAME, read_key};
use crate::engine_error::EngineError;
use crate::follow::POLL_EVERY;
use crate::verdict::{APPSEC_ANSWER_BYTES_MAX, Verdict};

/// How long a question of our own may take. At its first question the component asks the local API about the key.
const DEADLINE: Duration = Duration::from_secs(5);

/// So many questions about requests that fail one after the other are a state of the component. A single one may be the fault of
/// its request.
const FAILURES_TOLD: u32 = 3;

/// A component that answers us, but failed at requests, counts as well after so much time without a failure: otherwise the
/// state would change with each of them.
const CALM: Duration = Duration::from_secs(60);

/// Where the AppSec component is, and what it knows us by.
#[derive(Clone, Debug)]
pub struct AppsecSettings {
    /// The URL, such as `http://crowdsec:7422`.
    pub url: Box<str>,
    /// The file with the key of this bouncer. It is read again every few seconds, so that another key counts without a
    /// restart.
    pub key_file: PathBuf,
}

/// How the AppSec component is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AppsecStatus {
    /// Why it does not answer, or not about requests; none while it does.
    pub trouble: Option<EngineError>,
}

/// The written ends of what the task knows.
pub struct AppsecOutputs {
    /// The key. Published as soon as it was read, and with each change.
    pub key: Publisher<AppsecKey>,
    /// How the component is. Published with each change, for the first time within a few seconds.
    pub status: Publisher<AppsecStatus>,
}

/// What the questions of late say of the component.
#[derive(Debug, Eq, PartialEq)]
enum Health {
    Well,
    /// It does not answer a question of our own.
    Away(EngineError),
    /// It answers us, but not about requests: the last failure, and when that was seen.
    Failing(EngineError, Instant),
}

impl Health {
    /// After a question of our own and those about requests since the last time. `before` is none at the beginning.
    fn after(before: Option<Self>, own: Result<(), EngineError>, failures: Failures, now: Instant) -> Self {
        match (own, before) {
            (Err(error), _) => Self::Away(error),
            // What failed while it was away is explained by that.
            (Ok(()), None | Some(Self::Away(_))) => Self::Well,
            (Ok(()), Some(Self::Well)) => match failures {
                Failures { last: Some(error), in_row: FAILURES_TOLD.. } => Self::Failing(error, now),
                Failures { .. } => Self::Well,
            },
            (Ok(()), Some(Self::Failing(error, since))) => match failures.last {
                Some(error) => Self::Failing(error, now),
                None if now.duration_since(since) < CALM => Self::Failing(error, since),
                None => Self::Well,
            },
        }
    }

    fn trouble(&self) -> Option<&EngineError> {
        match self {
            Self::Well => None,
            Self::Away(error) | Self::Failing(error, _) => Some(error),
        }
    }
}

/// Follows the key file and the state of the component, for ever.
///
/// The component is asked at the start, so that it is known before the first request whether it is there, and then only after
/// a question about a request has failed, until it is well again.
pub async fn follow_appsec(settings: AppsecSettings, appsec: Appsec, outputs: AppsecOutputs) -> Infallible {
    let AppsecOutputs { key: mut keys, status: mut statuses } = outputs;
    let (client, mut known, mut told) = (EngineClient::new(), None, None);
    let (mut health, mut published, mut has_failed) = (None, None, false);
    loop {
        let read = read_key(&settings.key_file).await;
        if is_news(&read, known.as_ref()) {
            keys.publish(read.clone().into());
            known = Some(read.clone());
            // The old one says nothing about the new one.
            health = None;
        } else if let (Err(error), Some(Ok(_))) = (&read, &known)
            && told.as_ref() != Some(error)
        {
            tracing::warn!(%error, "kept the last key for CrowdSec AppSec");
        }
        told = read.as_ref().err().cloned();
        if has_failed || health != Some(Health::Well) {
            let own = match known.clone().unwrap_or(read) {
                Ok(key) => ask(&client, &settings.url, key).await,
                Err(error) => Err(error),
            };
            let was_well = health == Some(Health::Well);
            let after = Health::after(health.take(), own, appsec.take_failures(), Instant::now());
            if after == Health::Well && !was_well {
                appsec.forget_failures();
            }
            let trouble = after.trouble().cloned();
            health = Some(after);
            appsec.note_state(trouble.as_ref());
            if published.as_ref() != Some(&trouble) {
                published = Some(trouble.clone());
                statuses.publish(AppsecStatus { trouble });
            }
            // However often questions fail, it is asked no more often than this.
            if has_failed {
                has_failed = false;
                sleep(POLL_EVERY).await;
                continue;
            }
        }
        has_failed = tokio::select! {
            () = sleep(POLL_EVERY) => false,
            () = appsec.failure(), if health == Some(Health::Well) => true,
        };
    }
}

/// Whether what was read of the key file counts from now on. A file that is just being written must not cost the key that
/// works.
fn is_news(read: &Result<HeaderValue, EngineError>, known: Option<&Result<HeaderValue, EngineError>>) -> bool {
    match (read, known) {
        (Err(_), Some(Ok(_))) => false,
        (read, known) => known != Some(read),
    }
}

/// Asks about a request of our own, as harmless as any. Whatever the verdict is, the component is there.
async fn ask(client: &EngineClient, url: &str, key: HeaderValue) -> Result<(), EngineError> {
    let request = Request::builder().method(Method::GET).uri(url).header(USER_AGENT, OWN_NAME);
    let request = request.header("X-Crowdsec-Appsec-Ip", "127.0.0.1").header("X-Crowdsec-Appsec-Uri", "/");
    let request = request.header("X-Crowdsec-Appsec-Host", "gangway").header("X-Crowdsec-Appsec-Verb", "GET");
    let request = request.header("X-Crowdsec-Appsec-User-Agent", OWN_NAME).header("X-Crowdsec-Appsec-Api-Key", key);
    let bounds = AnswerBounds { time: DEADLINE, bytes: APPSEC_ANSWER_BYTES_MAX };
    let (status, body) = client.send(request, Bytes::new(), bounds).await?;
    Verdict::of(status, &body).map(drop)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gangway_publish::{Reader, channel};
    use gangway_testkit::appsec::{AppsecComponent, Fault};
    use gangway_testkit::crowdsec::BOUNCER_KEY;
    use gangway_testkit::wait::eventually;
    use tempfile::TempDir;

    use super::*;
    use crate::bouncer::Bouncer;
    use crate::decisions::Decisions;

    /// Longer than the pause after a failure.
    const STUCK: Duration = Duration::from_secs(40);

    fn write(file: &Path, key: &str) {
        std::fs::File::create(file)
            .and_then(|mut file| std::io::Write::write_all(&mut file, key.as_bytes()))
            .expect("ours");
    }

    struct Following {
        folder: TempDir,
        appsec: Appsec,
        status: Reader<AppsecStatus>,
        _task: tokio::task::JoinHandle<Infallible>,
    }

    impl Following {
        fn of(url: &str, key: &str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let key_file = folder.path().join("key");
            write(&key_file, key);
            let ((keys, key), (statuses, status)) = (channel(AppsecKey::default()), channel(AppsecStatus::default()));
            let bouncer = Bouncer::new(channel(Decisions::default()).1).expect("fresh names");
            let appsec = Appsec::new(key, bouncer).expect("fresh names");
            let outputs = AppsecOutputs { key: keys, status: statuses };
            let settings = AppsecSettings { url: url.into(), key_file };
            let task = tokio::spawn(follow_appsec(settings, appsec.clone(), outputs));
            Self { folder, appsec, status, _task: task }
        }

        /// What `gangway_crowdsec_appsec_up` says.
        fn up(&self) -> f64 {
            let registry = prometheus::Registry::new();
            self.appsec.register(&registry).expect("a fresh registry");
            let families = registry.gather();
            let up = families.iter().find(|family| family.name() == "gangway_crowdsec_appsec_up").expect("it is there");
            up.get_metric()[0].get_gauge().get_value()
        }

        async fn becomes(&self, what: &str, is_it: impl Fn(Option<&EngineError>) -> bool) {
            eventually(what, STUCK, async || {
                let is_told = self.status.first().await.is_ok();
                (is_told && is_it(self.status.load().trouble.as_ref())).then_some(())
            })
            .await;
        }
    }

    #[tokio::test]
    async fn a_component_is_asked_once_and_again_after_a_failure() {
        let component = AppsecComponent::start().await.expect("a free port");
        let following = Following::of(&component.url, &format!("{BOUNCER_KEY}\n"));
        following.becomes("it is well", |trouble| trouble.is_none()).await;
        assert_eq!((component.asked().len(), following.up()), (1, 1.0));
        assert_eq!(following.appsec.key().await.expect("a key").as_bytes(), BOUNCER_KEY.as_bytes());
        let seen = following.status.generation();
        let failure = EngineError::Unreachable("connection refused".to_owned());
        let note = |outcome| following.appsec.note([192, 0, 2, 7].into(), &outcome);
        note(Err(failure.clone()));
        eventually("it is asked whether it is there", STUCK, async || (component.asked().len() == 2).then_some(()))
            .await;
        assert_eq!(following.status.generation(), seen, "a single failure changes nothing");
        for _ in 1..FAILURES_TOLD {
            note(Err(failure.clone()));
        }
        following.becomes("failures in a row are told", |trouble| trouble == Some(&failure)).await;
        assert_eq!(following.up(), 0.0);
    }

    #[test]
    fn a_state_is_told_of_what_lasts() {
        let error = |text: &str| EngineError::Unreachable(text.to_owned());
        let failures = |last: Option<&str>, in_row| Failures { last: last.map(error), in_row };
        let begun = Instant::now();
        let failing = |text: &str, after: u64| Health::Failing(error(text), begun + Duration::from_secs(after));
        let away = || Health::Away(error("own"));
        for (before, own, failed, becomes) in [
            (None, Ok(()), failures(Some("x"), 9), Health::Well),
            (None, Err(error("own")), failures(None, 0), away()),
            (Some(Health::Well), Err(error("own")), failures(Some("x"), 1), away()),
            (Some(Health::Well), Ok(()), failures(Some("x"), 2), Health::Well),
            (Some(Health::Well), Ok(()), failures(Some("x"), 3), failing("x", 100)),
            (Some(Health::Well), Ok(()), failures(None, 3), Health::Well),
            (Some(away()), Ok(()), failures(Some("x"), 9), Health::Well),
            (Some(failing("x", 41)), Ok(()), failures(None, 3), failing("x", 41)),
            (Some(failing("x", 40)), Ok(()), failures(None, 3), Health::Well),
            (Some(failing("x", 10)), Ok(()), failures(Some("y"), 1), failing("y", 100)),
            (Some(failing("x", 99)), Err(error("own")), failures(None, 0), away()),
        ] {
            let told = format!("{before:?} {own:?} {failed:?}");
            let after = Health::after(before, own, failed, begun + Duration::from_secs(100));
            assert_eq!(after, becomes, "{told}");
        }
    }

    #[test]
    fn a_key_that_works_is_kept_while_its_file_is_written() {
        let key = |text| Ok(HeaderValue::from_static(text));
        let empty = || Err(EngineError::Key("it is empty".to_owned()));
        assert!(is_news(&key("a"), None) && is_news(&empty(), None));
        assert!(is_news(&key("b"), Some(&key("a"))) && is_news(&key("a"), Some(&empty())));
        assert!(!is_news(&key("a"), Some(&key("a"))) && !is_news(&empty(), Some(&empty())));
        assert!(!is_news(&empty(), Some(&key("a"))));
    }

    #[tokio::test]
    async fn a_component_that_is_none_and_a_key_that_is_none_are_told_apart() {
        let component = AppsecComponent::start().await.expect("a free port");
        let is_refused = |trouble: Option<&EngineError>| matches!(trouble, Some(EngineError::Refused(401)));
        let by_another_key = Following::of(&component.url, "another");
        by_another_key.becomes("the key is refused", is_refused).await;
        let without_key = Following::of(&component.url, "");
        let lacks_key = |trouble: Option<&EngineError>| matches!(trouble, Some(EngineError::Key(_)));
        without_key.becomes("there is no key", lacks_key).await;
        assert!(matches!(without_key.appsec.key().await, Err(EngineError::Key(_))));
        let broken = AppsecComponent::start().await.expect("a free port");
        broken.fail_by(Some(Fault::Status(500)));
        let is_invalid = |trouble: Option<&EngineError>| matches!(trouble, Some(EngineError::Invalid(_)));
        Following::of(&broken.url, BOUNCER_KEY).becomes("it makes no sense", is_invalid).await;
        let url = broken.url.clone();
        drop(broken);
        let is_away = |trouble: Option<&EngineError>| matches!(trouble, Some(EngineError::Unreachable(_)));
        Following::of(&url, BOUNCER_KEY).becomes("it is away", is_away).await;
        // Another key counts without a restart.
        write(&by_another_key.folder.path().join("key"), BOUNCER_KEY);
        by_another_key.becomes("the new key counts", |trouble| trouble.is_none()).await;
    }
}
