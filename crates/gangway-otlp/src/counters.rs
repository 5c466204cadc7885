//! How much was sent, and how much was not.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The counters of one signal.
#[derive(Clone, Debug)]
pub(crate) struct SignalCounters {
    /// Spans, or points of metrics, that the collector has taken.
    pub(crate) sent: IntCounter,
    /// Those that found the queue full.
    pub(crate) queue_full: IntCounter,
    /// Those that the collector did not take in time, or not at all.
    pub(crate) not_taken: IntCounter,
    /// Those of a request that was taken which the collector rejected.
    pub(crate) rejected: IntCounter,
}

/// The counters of both signals.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    pub(crate) traces: SignalCounters,
    pub(crate) metrics: SignalCounters,
}

impl Counters {
    /// Makes the counters and registers them.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let sent = Opts::new("gangway_otlp_sent_total", "Spans and points of metrics that the collector has taken.");
        let sent = IntCounterVec::new(sent, &["signal"])?;
        let dropped =
            Opts::new("gangway_otlp_dropped_total", "Spans and points of metrics that were not sent or not taken.");
        let dropped = IntCounterVec::new(dropped, &["signal", "reason"])?;
        registry.register(Box::new(sent.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        let of = |signal: &str| SignalCounters {
            sent: sent.with_label_values(&[signal]),
            queue_full: dropped.with_label_values(&[signal, "queue-full"]),
            not_taken: dropped.with_label_values(&[signal, "not-taken"]),
            rejected: dropped.with_label_values(&[signal, "rejected"]),
        };
        Ok(Self { traces: of("traces"), metrics: of("metrics") })
    }
}
