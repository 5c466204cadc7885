//! Reads the key for the AppSec component, and finds out whether the component is there.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use gangway_publish::Publisher;
use http::header::{HeaderValue, USER_AGENT};
use http::{Method, Request};
use tokio::time::sleep;

use crate::appsec::{Appsec, AppsecKey};
use crate::engine_client::{AnswerBounds, EngineClient, OWN_NAME, read_key};
use crate::engine_error::EngineError;
use crate::follow::POLL_EVERY;
use crate::verdict::{APPSEC_ANSWER_BYTES_MAX, Verdict};

/// How long a question of our own may take. At its first question the component asks the local API about the key.
const DEADLINE: Duration = Duration::from_secs(5);

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
    /// Why the last question failed; none while it answers.
    pub trouble: Option<EngineError>,
}

/// The written ends of what the task knows.
pub struct AppsecOutputs {
    /// The key. Published as soon as it was read, and with each change.
    pub key: Publisher<AppsecKey>,
    /// How the component is. Published with each change, for the first time within a few seconds.
    pub status: Publisher<AppsecStatus>,
}

/// Follows the key file and the state of the component, for ever.
///
/// The component is asked at the start, so that it is known before the first request whether it is there, and then only after
/// a question about a request has failed, until it is well again.
pub async fn follow_appsec(settings: AppsecSettings, appsec: Appsec, outputs: AppsecOutputs) -> Infallible {
    let AppsecOutputs { key: mut keys, status: mut statuses } = outputs;
    let (client, mut known, mut in_force, mut told) = (EngineClient::new(), None, None, None);
    loop {
        let read = read_key(&settings.key_file).await;
        if is_news(&read, known.as_ref()) {
            keys.publish(read.clone().into());
            known = Some(read.clone());
            // The old one says nothing about the new one.
            in_force = None;
        } else if let (Err(error), Some(Ok(_))) = (&read, &known)
            && told.as_ref() != Some(error)
        {
            tracing::warn!(%error, "kept the last key for CrowdSec AppSec");
        }
        told = read.as_ref().err().cloned();
        let is_well = matches!(in_force, Some(AppsecStatus { trouble: None }));
        if !is_well {
            let trouble = match known.clone().unwrap_or(read) {
                Ok(key) => ask(&client, &settings.url, key).await.err(),
                Err(error) => Some(error),
            };
            appsec.forget_failures();
            tell(AppsecStatus { trouble }, &mut in_force, &appsec, &mut statuses);
        }
        tokio::select! {
            () = sleep(POLL_EVERY) => {}
            error = appsec.failure(), if matches!(in_force, Some(AppsecStatus { trouble: None })) => {
                tell(AppsecStatus { trouble: Some(error) }, &mut in_force, &appsec, &mut statuses);
                // However often single questions fail, the state changes no more often than this.
                sleep(POLL_EVERY).await;
            }
        }
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

fn tell(
    status: AppsecStatus,
    in_force: &mut Option<AppsecStatus>,
    appsec: &Appsec,
    statuses: &mut Publisher<AppsecStatus>,
) {
    appsec.note_state(status.trouble.as_ref());
    if in_force.as_ref() != Some(&status) {
        *in_force = Some(status.clone());
        statuses.publish(status);
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
        assert_eq!(component.asked().len(), 1);
        assert_eq!(following.appsec.key().await.expect("a key").as_bytes(), BOUNCER_KEY.as_bytes());
        let failure = EngineError::Unreachable("connection refused".to_owned());
        following.appsec.note([192, 0, 2, 7].into(), &Err(failure.clone()));
        following.becomes("the failure is told", |trouble| trouble == Some(&failure)).await;
        following.becomes("it is well again", |trouble| trouble.is_none()).await;
        assert_eq!(component.asked().len(), 2);
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
