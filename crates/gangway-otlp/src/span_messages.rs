//! Spans → a request of OTLP.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::messages::{
    ExportTraceRequest, KIND_CLIENT, KIND_SERVER, KeyValue, ResourceSpans, STATUS_ERROR, ScopeSpans, SpanMessage,
    Status,
};
use crate::resource::Sender;
use crate::span::{AttributeValue, Span, SpanKind, SpanStatus};

/// The flag of a trace that is recorded.
const SAMPLED: u32 = 1;

pub(crate) fn trace_request(sender: &Sender, spans: Vec<Span>) -> ExportTraceRequest {
    let spans = spans.into_iter().map(span_message).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(sender.scope.clone()), spans }];
    ExportTraceRequest { resource_spans: vec![ResourceSpans { resource: Some(sender.resource.clone()), scope_spans }] }
}

fn span_message(span: Span) -> SpanMessage {
    let attribute = |(key, value): (&'static str, AttributeValue)| match value {
        AttributeValue::Text(text) => KeyValue::text(key, &text),
        AttributeValue::Number(number) => KeyValue::number(key, number),
    };
    SpanMessage {
        trace_id: span.trace.bytes().to_vec(),
        span_id: span.id.bytes().to_vec(),
        trace_state: span.state.into(),
        parent_span_id: span.parent.map_or_else(Vec::new, |parent| parent.bytes().to_vec()),
        name: span.name,
        kind: match span.kind {
            SpanKind::Server => KIND_SERVER,
            SpanKind::Client => KIND_CLIENT,
        },
        start_time_unix_nano: unix_nanoseconds(span.started),
        end_time_unix_nano: unix_nanoseconds(span.ended),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        status: match span.status {
            SpanStatus::Unset => None,
            SpanStatus::Error => Some(Status { code: STATUS_ERROR }),
        },
        flags: SAMPLED,
    }
}

/// Enough for five hundred years; 0 for a clock that stands before the epoch.
pub(crate) fn unix_nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
