//! The AppSec component of an engine, as the data plane asks it: the key, and what became of the questions.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gangway_publish::{Generation, Reader};
use http::HeaderValue;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tokio::sync::watch;

use crate::bouncer::Bouncer;
use crate::engine_error::EngineError;
use crate::verdict::Verdict;

/// The name by which the engine knows whose refusals these are.
const ORIGIN: &str = "appsec";

/// The AppSec component of an engine. Cloning is cheap, and clones count together.
#[derive(Clone)]
pub struct Appsec(Arc<Shared>);

struct Shared {
    key: Reader<AppsecKey>,
    bouncer: Bouncer,
    requests: IntCounterVec,
    /// By outcome, looked up once.
    allowed: IntCounter,
    blocked: IntCounter,
    challenged: IntCounter,
    failed: IntCounter,
    up: IntGauge,
    /// Questions that failed since one was answered.
    failed_in_row: AtomicU32,
    /// Why the last question failed that did; none after that was taken.
    failure: watch::Sender<Option<EngineError>>,
}

/// Questions about requests that failed.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// Why the last one did, if any did since this was taken last.
    pub(crate) last: Option<EngineError>,
    /// How many did since one was answered.
    pub(crate) in_row: u32,
}

/// The key for the component, as it was read last. Nothing is published before it was read.
#[derive(Clone, Debug, Default)]
pub struct AppsecKey(Option<Result<HeaderValue, EngineError>>);

impl From<Result<HeaderValue, EngineError>> for AppsecKey {
    fn from(read: Result<HeaderValue, EngineError>) -> Self {
        Self(Some(read))
    }
}

impl Appsec {
    /// One whose key is published there. What it keeps out is counted with what `bouncer` does.
    ///
    /// # Errors
    ///
    /// Never for the names that are given here.
    pub fn new(key: Reader<AppsecKey>, bouncer: Bouncer) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("gangway_crowdsec_appsec_requests_total", "Requests that AppSec was asked about, by outcome."),
            &["outcome"],
        )?;
        Ok(Self(Arc::new(Shared {
            key,
            bouncer,
            allowed: requests.with_label_values(&["allowed"]),
            blocked: requests.with_label_values(&["blocked"]),
            challenged: requests.with_label_values(&["challenged"]),
            failed: requests.with_label_values(&["failed"]),
            requests,
            up: IntGauge::new("gangway_crowdsec_appsec_up", "Whether AppSec answered the last question.")?,
            failed_in_row: AtomicU32::new(0),
            failure: watch::Sender::new(None),
        })))
    }

    /// Registers its counters, where there is such a component: without one, it would seem to be down.
    ///
    /// # Errors
    ///
    /// The registry has such counters already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.0.requests.clone()))?;
        registry.register(Box::new(self.0.up.clone()))
    }

    /// The key. Waits until it was read for the first time.
    ///
    /// # Errors
    ///
    /// The file of the key cannot be used.
    pub async fn key(&self) -> Result<HeaderValue, EngineError> {
        let unread = || EngineError::Key("it was not read".to_owned());
        if self.0.key.generation() == Generation::INITIAL {
            self.0.key.first().await.map_err(|_| unread())?;
        }
        self.0.key.load().0.clone().ok_or_else(unread)?
    }

    /// Counts what became of a question about a request of a client.
    pub fn note(&self, client: IpAddr, outcome: &Result<Verdict, EngineError>) {
        // Seldom written: all threads share it.
        if outcome.is_ok() && self.0.failed_in_row.load(Ordering::Relaxed) > 0 {
            self.0.failed_in_row.store(0, Ordering::Relaxed);
        }
        match outcome {
            Ok(Verdict::Allowed) => self.0.allowed.inc(),
            Ok(Verdict::Blocked { .. }) => {
                self.0.blocked.inc();
                self.0.bouncer.note_dropped(ORIGIN, client);
            }
            Ok(Verdict::Challenged(_)) => self.0.challenged.inc(),
            Err(error) => {
                self.0.failed.inc();
                self.0.failed_in_row.fetch_add(1, Ordering::Relaxed);
                self.0.failure.send_replace(Some(error.clone()));
            }
        }
    }

    pub(crate) fn note_state(&self, trouble: Option<&EngineError>) {
        self.0.up.set(i64::from(trouble.is_none()));
    }

    /// Waits until a question has failed since failures were taken. Cancel-safe.
    pub(crate) async fn failure(&self) {
        // The sender is ours, so it is not gone.
        let _ = self.0.failure.subscribe().wait_for(Option::is_some).await;
    }

    /// The failures of questions so far.
    pub(crate) fn take_failures(&self) -> Failures {
        Failures { last: self.0.failure.send_replace(None), in_row: self.0.failed_in_row.load(Ordering::Relaxed) }
    }

    /// Forgets failures of questions so far.
    pub(crate) fn forget_failures(&self) {
        self.0.failure.send_replace(None);
        self.0.failed_in_row.store(0, Ordering::Relaxed);
    }
}

impl fmt::Debug for Appsec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appsec").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use gangway_publish::channel;

    use super::*;
    use crate::decisions::Decisions;
    use crate::verdict::Challenge;

    #[tokio::test]
    async fn the_key_is_waited_for_until_it_was_read() {
        let bouncer = Bouncer::new(channel(Decisions::default()).1).expect("fresh names");
        let (mut keys, key) = channel(AppsecKey::default());
        let appsec = Appsec::new(key, bouncer).expect("fresh names");
        let publish = async { keys.publish(Ok(HeaderValue::from_static("k")).into()) };
        let (read, _) = tokio::join!(appsec.key(), publish);
        assert_eq!(read, Ok(HeaderValue::from_static("k")));
    }

    #[tokio::test]
    async fn failures_count_until_a_question_is_answered_and_are_told_once() {
        let bouncer = Bouncer::new(channel(Decisions::default()).1).expect("fresh names");
        let appsec = Appsec::new(channel(AppsecKey::default()).1, bouncer).expect("fresh names");
        let failed = EngineError::Invalid("x".to_owned());
        let note = |outcome| appsec.note([192, 0, 2, 7].into(), &outcome);
        let taken = || {
            let Failures { last, in_row } = appsec.take_failures();
            (last, in_row)
        };
        assert_eq!(taken(), (None, 0));
        note(Err(failed.clone()));
        note(Err(failed.clone()));
        appsec.failure().await;
        assert_eq!((taken(), taken()), ((Some(failed.clone()), 2), (None, 2)));
        note(Ok(Verdict::Allowed));
        assert_eq!(taken(), (None, 0));
        note(Err(failed.clone()));
        note(Ok(Verdict::BLOCKED));
        assert_eq!(taken(), (Some(failed.clone()), 0), "a refusal is an answer too");
        let (status, fields) = (http::StatusCode::OK, Vec::new());
        note(Ok(Verdict::Challenged(Box::new(Challenge { status, fields, body: "prove".to_owned() }))));
        note(Err(failed));
        appsec.forget_failures();
        assert_eq!(taken(), (None, 0));
        let counted =
            [&appsec.0.allowed, &appsec.0.blocked, &appsec.0.challenged, &appsec.0.failed].map(IntCounter::get);
        assert_eq!(counted, [1, 1, 1, 4]);
    }
}
