//! OpenTelemetry: spans of requests and the metrics of the process, sent to a collector over OTLP.
//!
//! A [`Tracer`] says how a request continues a trace and whether it is recorded, and takes finished spans without waiting.
//! [`Otlp`] owns the queue behind it: its two tasks send spans in batches and the metrics once a minute, and
//! [`Otlp::flush`] sends what is left at the end.
//!
//! A collector that is slow, away or wrong costs spans, which are counted, and never a request. No text holds what
//! `--otlp-headers-file` says.
//!
//! There is deliberately no second list of metrics: what is sent is what `GET /metrics` answers, in the form of OTLP.

mod backoff;
mod collector;
mod collector_client;
mod counters;
mod export;
mod export_error;
mod headers_file;
mod messages;
mod metric_messages;
mod otlp;
mod resource;
mod sample_ratio;
mod settings;
mod span;
mod span_messages;
mod trace_context;
mod trace_state;
mod tracer;

pub use collector_client::METRICS_PATH;
pub use collector_client::TRACES_PATH;
pub use export::METRICS_EVERY;
pub use otlp::{FLUSH_TIME, Otlp};
pub use sample_ratio::{NotARatio, SampleRatio};
pub use settings::{OtlpSettings, Signals};
pub use span::{AttributeValue, Span, SpanKind, SpanStatus};
pub use trace_context::{SpanId, TraceContext, TraceId, TraceParent};
pub use trace_state::trace_state;
pub use tracer::Tracer;
