//! Records a request that has ended: in the counters, in the failures of its route, and in the access log.

use std::net::SocketAddr;

use gangway_model::{HTTP, HTTPS, Scheme};
use tokio::time::Instant;

use crate::downstream::connection::ClientConnection;
use crate::log::record::LogRecord;
use crate::log::traefik_line::NamedRecord;
use crate::message::field_kind::FieldKind;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::named_metrics::CountedEnd;
use crate::reply::reason::Reason;
use crate::request::context::{Received, RequestContext};
use crate::route_history::{EndedRequest, version_text};
use crate::shared::Shared;
use crate::trace::request_trace::RequestTrace;
use crate::trace::spans::{Cut, EndedTrace, spans};

/// Why a request ended before the end of its response, where no reply of ours says it. The tokens are stable: they are
/// part of the access log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CutReason {
    ClientGone,
    ClientStalled,
    /// The endpoint has left and its drain time is over.
    EndpointLeft,
    /// Gangway ended the connection: at the end of a shutdown, for lack of memory, or together with an endpoint that
    /// another request of the connection was for.
    ConnectionCut,
    /// A panic.
    Internal,
}

impl CutReason {
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::ClientGone => "client-gone",
            Self::ClientStalled => "client-stalled",
            Self::EndpointLeft => "endpoint-left",
            Self::ConnectionCut => "connection-cut",
            Self::Internal => Reason::Internal.token(),
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestOutcome<'a> {
    /// The status that was sent; 0 if none was.
    pub(crate) status: u16,
    /// Bytes of the request's body.
    pub(crate) bytes_in: u64,
    /// Bytes of the response's body.
    pub(crate) bytes_out: u64,
    /// Why the response was cut, or none was sent.
    pub(crate) error: Option<&'a str>,
    pub(crate) cut: Option<CutReason>,
}

/// Called once for each request, when it ends. Returns that time. `response` is the head of the application's answer, if it
/// gave one; `trace` is there if the request is recorded.
pub(crate) fn record(
    shared: &Shared,
    (head, response): (&RequestHead, &ResponseHead),
    connection: &ClientConnection,
    (ctx, trace): (&RequestContext, Option<&RequestTrace>),
    outcome: RequestOutcome<'_>,
) -> Instant {
    let ended = Instant::now();
    let duration = ended.saturating_duration_since(ctx.started);
    let active = ctx.routed.as_ref().map(|routed| &routed.active);
    if let Some(active) = active {
        active.metrics.answered(outcome.status, duration, (outcome.bytes_in, outcome.bytes_out));
        let reason = ctx.reply.reason;
        active.history.note(&EndedRequest {
            ended,
            method: &head.method,
            target: &head.target,
            status: outcome.status,
            duration,
            reason: reason_token(ctx, outcome.cut),
            endpoint: ctx.endpoint().map_or("", |endpoint| &endpoint.name),
            version: head.version,
        });
        if outcome.cut == Some(CutReason::EndpointLeft) || reason.is_some_and(Reason::is_lack_of_endpoint) {
            active.history.lost();
        }
        if let Some(reason) = ctx.reply.reason.filter(|reason| reason.status() >= 500) {
            active.state.failures.note(reason.token(), ctx.reply.detail.as_deref().unwrap_or_default());
            shared.failures.notify_one();
        }
    }
    if let Some(named) = &shared.metrics.named {
        let router = active.and_then(|active| active.route.router.as_deref());
        named.count(&CountedEnd {
            entry_point: &connection.listener.name,
            router: active.filter(|_| router.is_some()).map_or("", |active| &active.route.name),
            service: router.map_or("", |router| &router.service_name),
            is_served: ctx.attempt.chosen.is_some(),
            status: outcome.status,
            method: &head.method,
            duration,
            bytes_in: outcome.bytes_in,
            bytes_out: outcome.bytes_out,
        });
    }
    if let Some(trace) = trace {
        send_spans(shared, trace, (head, connection, ctx), outcome, ended);
    }
    if !shared.access_log.is_on() {
        return ended;
    }
    let text = |kind| head.fields.get(kind).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or("");
    let (method, target) = match &ctx.received {
        Received::NoHead => ("-", "-"),
        Received::Nothing | Received::Admitted(_) => (head.method.as_str(), &*head.target),
    };
    let admission = ctx.admission();
    let (sent, first_byte) = (ctx.attempt.sent, ctx.attempt.first_byte);
    let record = LogRecord {
        client: admission.map_or_else(|| connection.peer_ip(), |admission| admission.origin.client),
        method,
        scheme: ctx.scheme().text(),
        listener: Some(&*connection.listener.name).filter(|name| ![HTTP, HTTPS].contains(name)).unwrap_or(""),
        host: admission.map_or("", |admission| admission.host(head)),
        target,
        version: version_text(head.version),
        status: outcome.status,
        bytes_in: outcome.bytes_in,
        bytes_out: outcome.bytes_out,
        duration,
        upstream: sent.zip(first_byte).map(|(sent, first)| first.saturating_duration_since(sent)),
        route: active.map_or("", |active| &active.route.name),
        endpoint: ctx.endpoint().map_or("", |endpoint| &endpoint.name),
        reason: reason_token(ctx, outcome.cut),
        request_id: ctx.known_request_id().unwrap_or(""),
        trace: trace.map(|trace| trace.context.here.trace),
        user_agent: text(FieldKind::UserAgent),
        referrer: text(FieldKind::Referer),
        detail: ctx.reply.detail.as_deref().or(outcome.error).unwrap_or_default(),
    };
    match shared.access_log.traefik() {
        None => shared.access_log.write(&record),
        Some(log) => shared.access_log.write_named(&named(&record, head, response, connection, ctx, ended), log),
    }
    ended
}

#[cold]
fn send_spans(
    shared: &Shared,
    trace: &RequestTrace,
    (head, connection, context): (&RequestHead, &ClientConnection, &RequestContext),
    outcome: RequestOutcome<'_>,
    ended: Instant,
) {
    let Some(tracer) = &shared.tracer else { return };
    let cut = match outcome.cut {
        None => Cut::None,
        Some(CutReason::ClientGone | CutReason::ClientStalled) => Cut::ByClient,
        Some(CutReason::EndpointLeft | CutReason::ConnectionCut | CutReason::Internal) => Cut::ByUs,
    };
    let (status, reason) = (outcome.status, reason_token(context, outcome.cut));
    let request = EndedTrace { head, connection, context, status, reason, cut, ended };
    tracer.finish(spans(trace, &request));
}

/// The record with what Traefik's fields tell beside it.
fn named<'a>(
    base: &LogRecord<'a>,
    head: &'a RequestHead,
    response: &'a ResponseHead,
    connection: &'a ClientConnection,
    ctx: &'a RequestContext,
    ended: Instant,
) -> NamedRecord<'a> {
    let route = ctx.routed.as_ref().map(|routed| &routed.active.route);
    let router = route.and_then(|route| route.router.as_deref());
    let server = ctx.endpoint().map(|chosen| {
        let of_route = route.into_iter().flat_map(|route| &route.upstream.endpoints);
        let scheme = of_route.clone().find(|one| one.key == chosen.key).map_or(Scheme::Http, |one| one.scheme);
        let scheme = match scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::H2c => "h2c",
        };
        (scheme, chosen.key.address.to_string())
    });
    let authority = head.fields.get(FieldKind::Host).and_then(|host| std::str::from_utf8(host).ok());
    NamedRecord {
        base: *base,
        peer: SocketAddr::new(connection.peer_ip(), connection.peer.port()),
        authority: authority.unwrap_or(""),
        user: ctx.passage.user().unwrap_or(""),
        service: router.map_or("", |router| &router.service_name),
        is_unlogged: router.is_some_and(|router| router.is_unlogged),
        server,
        entry_point: &connection.listener.name,
        tls_version: connection.secure.then_some(if connection.is_tls13 { "1.3" } else { "1.2" }),
        cipher: connection.cipher,
        retries: ctx.attempt.tries.saturating_sub(1),
        at_origin: ctx.attempt.sent.map(|sent| ended.saturating_duration_since(sent)).unwrap_or_default(),
        request: &head.fields,
        response: ctx.attempt.first_byte.map(|_| &response.fields),
    }
}

/// Why Gangway replied itself, or why the response was cut. Empty if an application answered.
fn reason_token(ctx: &RequestContext, cut: Option<CutReason>) -> &'static str {
    ctx.reply.reason.map(Reason::token).or(cut.map(CutReason::token)).unwrap_or("")
}
