//! Where a request stands in its trace, and its tries at endpoints.
//!
//! Without a tracer none of this runs: the fields of trace context are passed on like any other.

use std::time::SystemTime;

use gangway_model::Address;
use gangway_model::secret::masked_target;
use gangway_otlp::{SpanId, TraceContext, TraceParent, Tracer, trace_state};
use http::Version;
use tokio::time::Instant;

use crate::downstream::connection::ClientConnection;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::serving_table::ActiveEndpoint;
use crate::trace::bounded_text::bounded;

const TRACEPARENT: &[u8] = b"traceparent";
const TRACESTATE: &[u8] = b"tracestate";

/// A request that is recorded.
#[derive(Debug)]
pub(crate) struct RequestTrace {
    pub(crate) context: TraceContext,
    pub(crate) started: SystemTime,
    /// As many as there were: the bounds are those of retries.
    pub(crate) tries: Vec<TryTrace>,
}

/// One try at an endpoint.
#[derive(Debug)]
pub(crate) struct TryTrace {
    pub(crate) id: SpanId,
    pub(crate) began: Instant,
    pub(crate) endpoint: Box<str>,
    pub(crate) address: String,
    pub(crate) port: u16,
    /// The URL with its secrets masked. None before there was a connection.
    pub(crate) url: Option<String>,
    pub(crate) version: Version,
    /// None while it goes on.
    pub(crate) end: Option<TryEnd>,
}

/// How a try ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TryEnd {
    pub(crate) at: Instant,
    /// None if there was no answer.
    pub(crate) status: Option<u16>,
    /// A word for the failure.
    pub(crate) error: Option<&'static str>,
}

/// Begins or continues the trace of a request, and writes its fields anew: what is sent on because of the request, to
/// whomever, belongs to it. None if the request is not recorded.
///
/// Only a trusted peer is believed. What it says wrongly begins a trace.
#[cold]
#[inline(never)]
pub(crate) fn begin(
    tracer: &Tracer,
    connection: &ClientConnection,
    head: &mut RequestHead,
) -> Option<Box<RequestTrace>> {
    let parent = connection.trusted.then(|| parent(&head.fields)).flatten();
    let context = tracer.begin(parent, || trace_state(head.fields.all_named(TRACESTATE)));
    head.fields.set(TRACEPARENT, context.here.to_string().as_bytes());
    head.fields.remove_named(TRACESTATE);
    if !context.state.is_empty() {
        head.fields.push(TRACESTATE, context.state.as_bytes());
    }
    let is_sampled = context.here.is_sampled;
    is_sampled.then(|| Box::new(RequestTrace { context, started: SystemTime::now(), tries: Vec::new() }))
}

/// What the only field says.
fn parent(fields: &Fields) -> Option<TraceParent> {
    let mut said = fields.all_named(TRACEPARENT);
    let first = said.next()?;
    if said.next().is_some() { None } else { TraceParent::parse(first) }
}

impl RequestTrace {
    /// Begins a try, and makes its span the parent that the endpoint reads.
    #[cold]
    pub(crate) fn begin_try(&mut self, head: &mut RequestHead, endpoint: &ActiveEndpoint) {
        let id = SpanId::random();
        let here = TraceParent { span: id, ..self.context.here };
        head.fields.set(TRACEPARENT, here.to_string().as_bytes());
        let (address, port) = match &endpoint.key.address {
            Address::Ip(address, port) => (address.to_string(), *port),
            Address::Name(name, port) => (name.to_string(), *port),
        };
        self.tries.push(TryTrace {
            id,
            began: Instant::now(),
            endpoint: endpoint.name.clone(),
            address,
            port,
            url: None,
            version: Version::HTTP_11,
            end: None,
        });
    }

    /// Notes what the last try asks for.
    #[cold]
    pub(crate) fn asks(&mut self, endpoint: &ActiveEndpoint, target: &str, version: Version) {
        let Some(last) = self.tries.last_mut() else { return };
        let scheme = if endpoint.transport.is_tls() { "https" } else { "http" };
        let target = masked_target(target);
        let (address, port) = (&last.address, last.port);
        let address = if address.contains(':') { format!("[{address}]") } else { address.clone() };
        last.url = Some(format!("{scheme}://{address}:{port}{}", bounded(&target)));
        last.version = version;
    }

    /// Ends the last try, if one goes on.
    pub(crate) fn end_try(&mut self, status: Option<u16>, error: Option<&'static str>) {
        if let Some(last) = self.tries.last_mut().filter(|last| last.end.is_none()) {
            last.end = Some(TryEnd { at: Instant::now(), status, error });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_fields_are_no_parent() {
        let value = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let said = |fields: &[(&str, &str)]| parent(&RequestHead::of_test("GET", "/", fields).fields);
        assert!(said(&[("TraceParent", value)]).is_some());
        assert!(said(&[("traceparent", value), ("traceparent", value)]).is_none());
        assert!(said(&[("traceparent", "x")]).is_none() && said(&[]).is_none());
    }
}
