//! The AppSec component of an engine, as the data plane asks it: the key, and what became of the questions.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

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
    /// Why the last question failed that did; none after that was told.
    failure: watch::Sender<Option<EngineError>>,
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
        match outcome {
            Ok(Verdict::Allowed) => self.0.allowed.inc(),
            Ok(Verdict::Blocked { .. }) => {
                self.0.blocked.inc();
                self.0.bouncer.note_dropped(ORIGIN, client);
            }
            Ok(Verdict::Challenged(_)) => self.0.challenged.inc(),
            Err(error) => {
                self.0.failed.inc();
                self.0.failure.send_replace(Some(error.clone()));
            }
        }
    }

    pub(crate) fn note_state(&self, trouble: Option<&EngineError>) {
        self.0.up.set(i64::from(trouble.is_none()));
    }

    /// Waits until a question has failed, and says why. Cancel-safe.
    pub(crate) async fn failure(&self) -> EngineError {
        let mut failures = self.0.failure.subscribe();
        let failure = failures.wait_for(Option::is_some).await.ok().and_then(|failure| failure.clone());
        match failure {
            Some(failure) => failure,
            // The sender is ours, so it is not gone.
            None => std::future::pending().await,
        }
    }

    /// Forgets failures of questions so far.
    pub(crate) fn forget_failures(&self) {
        self.0.failure.send_replace(None);
    }
}

impl fmt::Debug for Appsec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appsec").finish_non_exhaustive()
    }
}
