//! Records a request that has ended: in the counters, in the failures of its route, and in the access log.

use http::Version;
use pingora::Error;
use pingora::proxy::Session;

use crate::log::record::LogRecord;
use crate::reply::reason::Reason;
use crate::request::context::{Received, RequestContext};
use crate::shared::Shared;

/// Called once for each request.
pub(crate) fn record(shared: &Shared, session: &Session, error: Option<&Error>, ctx: &RequestContext) {
    let status = session.response_written().map_or(0, |response| response.status.as_u16());
    let duration = ctx.started.elapsed();
    let active = ctx.routed.as_ref().map(|routed| &routed.active);
    if let Some(active) = active {
        active.metrics.answered(status, duration.as_secs_f64());
        if let Some(reason) = ctx.reply.reason.filter(|reason| reason.status() >= 500) {
            active.state.failures.note(reason.token(), ctx.reply.detail.as_deref().unwrap_or_default());
            shared.failures.notify_one();
        }
    }
    if !shared.access_log.is_on() {
        return;
    }
    let request = session.req_header();
    let text = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let target = String::from_utf8_lossy(request.raw_path());
    let (method, target) = match &ctx.received {
        // The head at hand only stands in for what the client sent.
        Received::StandIn => ("-", "-"),
        Received::Nothing | Received::Admitted(_) => (request.method.as_str(), &*target),
    };
    let detail = match (&ctx.reply.detail, error) {
        (Some(detail), _) => detail,
        // The application's answer was cut, or the client went away.
        (None, Some(error)) => error.etype().as_str(),
        (None, None) => "",
    };
    let admission = ctx.admission();
    let (sent, first_byte) = (ctx.attempt.sent, ctx.attempt.first_byte);
    shared.access_log.write(&LogRecord {
        client: admission
            .map(|admission| admission.origin.client)
            .or(ctx.connection.as_ref().map(|connection| connection.peer_ip())),
        method,
        scheme: ctx.scheme().text(),
        host: admission.map_or("", |admission| &admission.host),
        target,
        version: version_text(request.version),
        status,
        bytes_in: session.body_bytes_read(),
        bytes_out: session.body_bytes_sent(),
        duration,
        upstream: sent.zip(first_byte).map(|(sent, first)| first.saturating_duration_since(sent)),
        route: active.map_or("", |active| &active.route.name),
        endpoint: ctx.endpoint().map_or("", |endpoint| &endpoint.name),
        reason: ctx.reply.reason.map_or("", Reason::token),
        request_id: ctx.known_request_id().unwrap_or(""),
        user_agent: text("user-agent"),
        referrer: text("referer"),
        detail,
    });
}

fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
