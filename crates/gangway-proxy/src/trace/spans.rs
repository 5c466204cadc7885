//! A request that has ended → its spans, by the semantic conventions of OpenTelemetry for HTTP.

use std::net::IpAddr;
use std::time::SystemTime;

use gangway_model::secret::masked_target;
use gangway_otlp::{AttributeValue, Span, SpanId, SpanKind, SpanStatus};
use http::{Method, Version};
use tokio::time::Instant;

use crate::downstream::connection::ClientConnection;
use crate::message::field_kind::FieldKind;
use crate::message::request_head::RequestHead;
use crate::request::context::RequestContext;
use crate::trace::bounded_text::bounded;
use crate::trace::request_trace::{RequestTrace, TryTrace};

/// A request that has ended.
pub(crate) struct EndedTrace<'r> {
    pub(crate) head: &'r RequestHead,
    pub(crate) connection: &'r ClientConnection,
    pub(crate) context: &'r RequestContext,
    /// 0 if none was sent.
    pub(crate) status: u16,
    /// Why we replied ourselves, or why the response was cut; empty if an application answered.
    pub(crate) reason: &'static str,
    pub(crate) cut: Cut,
    pub(crate) ended: Instant,
}

/// Whether a response was cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cut {
    None,
    /// The client went, or took nothing.
    ByClient,
    ByUs,
}

type Attributes = Vec<(&'static str, AttributeValue)>;

/// The span of the request, and one for each try.
pub(crate) fn spans(trace: &RequestTrace, request: &EndedTrace<'_>) -> Vec<Span> {
    let mut spans = Vec::with_capacity(1 + trace.tries.len());
    spans.push(server_span(trace, request));
    let tries = trace.tries.iter().enumerate();
    spans.extend(tries.map(|(number, one)| client_span(trace, request, number, one)));
    spans
}

fn server_span(trace: &RequestTrace, request: &EndedTrace<'_>) -> Span {
    let EndedTrace { head, connection, context, status, reason, cut, ended } = request;
    let admission = context.admission();
    let route = context.routed.as_ref().map(|routed| &routed.active.route);
    let mut attributes = Attributes::with_capacity(20);
    let method = method(&head.method, &mut attributes);
    attributes.push(("url.scheme", context.scheme().text().into()));
    let target = masked_target(&head.target);
    let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
    attributes.push(("url.path", bounded(path).into()));
    if let Some(query) = query {
        attributes.push(("url.query", bounded(query).into()));
    }
    if let Some(admission) = admission {
        attributes.push(("server.address", bounded(admission.host(head).trim_matches(['[', ']'])).into()));
        attributes.extend(admission.port.map(|port| ("server.port", port.into())));
    }
    let client: IpAddr = admission.map_or_else(|| connection.peer_ip(), |admission| admission.origin.client);
    attributes.push(("client.address", client.to_string().into()));
    attributes.push(("network.peer.address", connection.peer_ip().to_string().into()));
    attributes.push(("network.peer.port", connection.peer.port().into()));
    attributes.push(("network.protocol.version", protocol_version(head.version).into()));
    if let Some(agent) = head.fields.get(FieldKind::UserAgent).and_then(|agent| std::str::from_utf8(agent).ok()) {
        attributes.push(("user_agent.original", bounded(agent).into()));
    }
    if let Some(route) = route {
        attributes.push(("http.route", (&*route.name).into()));
        attributes.push(("gangway.route", (&*route.id).into()));
    }
    if let Some(endpoint) = context.endpoint() {
        attributes.push(("gangway.endpoint", (&*endpoint.name).into()));
    }
    if let Some(id) = context.known_request_id() {
        attributes.push(("gangway.request.id", id.into()));
    }
    if !reason.is_empty() {
        attributes.push(("gangway.reason", (*reason).into()));
    }
    if *status != 0 {
        attributes.push(("http.response.status_code", (*status).into()));
    }
    // What a client asks wrongly is no error of ours, nor is that it goes. With a good status and a reason, the answer of the
    // application was not whole.
    let is_error = match cut {
        Cut::None => *status >= 500 || *status < 400 && !reason.is_empty(),
        Cut::ByClient => *status >= 500,
        Cut::ByUs => true,
    };
    if is_error || *cut == Cut::ByClient {
        let kind = if reason.is_empty() { status.to_string() } else { (*reason).to_owned() };
        attributes.push(("error.type", kind.into()));
    }
    let name = match route {
        Some(route) => format!("{method} {}", route.name),
        None => method.to_owned(),
    };
    Span {
        id: trace.context.here.span,
        parent: trace.context.parent,
        kind: SpanKind::Server,
        name,
        started: trace.started,
        ended: time_of(trace, context, *ended),
        attributes,
        status: if is_error { SpanStatus::Error } else { SpanStatus::Unset },
        ..span(trace, trace.context.here.span)
    }
}

fn client_span(trace: &RequestTrace, request: &EndedTrace<'_>, number: usize, one: &TryTrace) -> Span {
    let mut attributes = Attributes::with_capacity(12);
    let method = method(&request.head.method, &mut attributes);
    attributes.push(("server.address", (&*one.address).into()));
    attributes.push(("server.port", one.port.into()));
    if let Some(url) = &one.url {
        attributes.push(("url.full", (&**url).into()));
        attributes.push(("network.protocol.version", protocol_version(one.version).into()));
    }
    attributes.push(("gangway.endpoint", (&*one.endpoint).into()));
    if let Ok(resent @ 1..) = u16::try_from(number) {
        attributes.push(("http.request.resend_count", resent.into()));
    }
    // One that goes on ends with its request.
    let (at, status, error) = match one.end {
        Some(end) => (end.at, end.status, end.error),
        None => (request.ended, None, Some(request.reason).filter(|reason| !reason.is_empty())),
    };
    attributes.extend(status.map(|status| ("http.response.status_code", status.into())));
    let refused = status.filter(|status| *status >= 400);
    let kind = error.map(str::to_owned).or_else(|| refused.map(|status| status.to_string()));
    let is_error = kind.is_some();
    attributes.extend(kind.map(|kind| ("error.type", kind.into())));
    Span {
        parent: Some(trace.context.here.span),
        kind: SpanKind::Client,
        name: method.to_owned(),
        started: time_of(trace, request.context, one.began),
        ended: time_of(trace, request.context, at),
        attributes,
        status: if is_error { SpanStatus::Error } else { SpanStatus::Unset },
        ..span(trace, one.id)
    }
}

/// A span of this trace of which nothing else is known.
fn span(trace: &RequestTrace, id: SpanId) -> Span {
    Span {
        trace: trace.context.here.trace,
        id,
        parent: None,
        state: trace.context.state.clone(),
        kind: SpanKind::Server,
        name: String::new(),
        started: trace.started,
        ended: trace.started,
        attributes: Vec::new(),
        status: SpanStatus::Unset,
    }
}

/// Adds the method, and returns how names begin. Methods that are not known would make many names.
fn method<'m>(method: &'m Method, attributes: &mut Attributes) -> &'m str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    if KNOWN.contains(method) {
        attributes.push(("http.request.method", method.as_str().into()));
        return method.as_str();
    }
    attributes.push(("http.request.method", "_OTHER".into()));
    attributes.push(("http.request.method_original", bounded(method.as_str()).into()));
    "HTTP"
}

fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// The time of day of a moment of the request.
fn time_of(trace: &RequestTrace, context: &RequestContext, moment: Instant) -> SystemTime {
    trace.started + moment.saturating_duration_since(context.started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_nobody_knows_make_no_names() {
        for (name, begins, attributes) in [
            ("GET", "GET", vec![("http.request.method", "GET".into())]),
            (
                "PROPFIND",
                "HTTP",
                vec![("http.request.method", "_OTHER".into()), ("http.request.method_original", "PROPFIND".into())],
            ),
        ] {
            let (mut told, known) = (Attributes::new(), Method::from_bytes(name.as_bytes()).expect("a method"));
            assert_eq!((method(&known, &mut told), &told), (begins, &attributes));
        }
    }
}
