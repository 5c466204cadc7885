//! What sends: the queue, its two tasks, and how they end.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use prometheus::proto::MetricFamily;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::collector_client::{CollectorClient, METRICS_PATH, TRACES_PATH};
use crate::counters::Counters;
use crate::export::{Exporter, export_metrics, export_spans};
use crate::resource::Sender;
use crate::settings::OtlpSettings;
use crate::span::Span;
use crate::tracer::Tracer;

/// How long the end of the process waits for what is left. With the time that requests have, this is less than the ten
/// seconds after which an engine kills.
pub const FLUSH_TIME: Duration = Duration::from_millis(1500);

/// What sends to one collector. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Otlp(Arc<State>);

#[derive(Debug)]
struct State {
    settings: OtlpSettings,
    sender: Sender,
    counters: Counters,
    tracer: Tracer,
    /// A task that is started again after a panic goes on with it.
    queue: Mutex<Receiver<Span>>,
    closing: watch::Sender<bool>,
    /// Whether the tasks have sent the last: spans, metrics.
    done: [watch::Sender<bool>; 2],
}

impl Otlp {
    /// Prepares to send to a collector, as one instance of a service of this version.
    ///
    /// # Errors
    ///
    /// The registry has such counters already.
    pub fn new(settings: OtlpSettings, version: &str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = Counters::register(registry)?;
        let (tracer, queue) = Tracer::new(settings.sample, counters.traces.queue_full.clone());
        let sender = Sender::new(&settings.service, version);
        let (queue, closing, done) = (Mutex::new(queue), watch::Sender::new(false), Default::default());
        Ok(Self(Arc::new(State { settings, sender, counters, tracer, queue, closing, done })))
    }

    /// What takes spans. None where none are sent.
    pub fn tracer(&self) -> Option<Tracer> {
        self.0.settings.signals.traces.then(|| self.0.tracer.clone())
    }

    /// Sends spans, for ever.
    pub async fn send_spans(self) -> Infallible {
        let state = &*self.0;
        if state.settings.signals.traces {
            let client = CollectorClient::new(&state.settings, TRACES_PATH);
            let mut exporter = Exporter::new(client, "traces", state.counters.traces.clone());
            let mut queue = state.queue.lock().await;
            export_spans(&mut queue, &state.sender, &mut exporter, state.closing.subscribe()).await;
        }
        state.done[0].send_replace(true);
        pending().await
    }

    /// Sends what the function gives, for ever.
    pub async fn send_metrics(self, families: impl Fn() -> Vec<MetricFamily> + Sync) -> Infallible {
        let state = &*self.0;
        if state.settings.signals.metrics {
            let client = CollectorClient::new(&state.settings, METRICS_PATH);
            let mut exporter = Exporter::new(client, "metrics", state.counters.metrics.clone());
            export_metrics(&families, &state.sender, &mut exporter, state.closing.subscribe()).await;
        }
        state.done[1].send_replace(true);
        pending().await
    }

    /// Sends what is left, for the last time, and waits for that no longer than [`FLUSH_TIME`].
    pub async fn flush(&self) {
        self.0.closing.send_replace(true);
        let all = async {
            for done in &self.0.done {
                // The sender is ours, so there is no error.
                let _ = done.subscribe().wait_for(|is_done| *is_done).await;
            }
        };
        if timeout(FLUSH_TIME, all).await.is_err() {
            tracing::warn!("the OpenTelemetry collector did not take all that was left in time");
        }
    }
}
