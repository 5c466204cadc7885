//! The phases that Pingora calls for each request, in their order.
//!
//! Each phase calls the module of its subject: [`routing`](crate::request::routing) admits a request and decides
//! about it, [`wait`] holds it, [`choice`] and [`peer`] find its endpoint, [`error`] classifies failures, and
//! [`request_log`] records the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, SET_COOKIE, UPGRADE};
use http::{HeaderValue, Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use tokio::time::Instant;

use crate::downstream::connection::ClientConnection;
use crate::hold::unavailable::no_endpoint;
use crate::hold::wait;
use crate::log::request_log;
use crate::middleware::chain;
use crate::panic_guard::guarded;
use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;
use crate::reply::rejection::Rejection;
use crate::reply::send::send;
use crate::request::context::RequestContext;
use crate::request::forwarding;
use crate::request::routing::{NextStep, receive};
use crate::request::upgrade::asks_for_websocket;
use crate::request::upstream_request;
use crate::shared::Shared;
use crate::upstream::choice::{self, Choice, ChosenBy};
use crate::upstream::dedicated::{self, ConnectionOwner};
use crate::upstream::endpoint_state::EndpointHealth;
use crate::upstream::error::{self, TRIES_MAX, UpstreamConnection};
use crate::upstream::peer::{self, Quiet};
use crate::upstream::retry_budget::RetryBudget;
use crate::upstream::sticky;

/// How often a waiting request is sent to an endpoint that looks ready but cannot be reached. Without this bound, a
/// container that crashes again and again would keep the request busy.
const UNREACHED_MAX: usize = 10;

/// The application that Pingora calls; each worker thread has one.
pub(crate) struct App {
    shared: Shared,
    budget: RetryBudget,
}

impl App {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared, budget: RetryBudget::new() }
    }
}

#[async_trait]
impl ProxyHttp for App {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext::new()
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<bool> {
        ctx.connection = ClientConnection::of(session.digest()).cloned();
        if session.get_header(UPGRADE).is_some() && !asks_for_websocket(session.req_header()) {
            // Pingora would tunnel any `Upgrade`, while the gate would read its bytes as requests.
            session.req_header_mut().remove_header(&UPGRADE);
        }
        let limits = &self.shared.settings.limits;
        session.set_write_timeout(Some(limits.stalled_write));
        // Pingora's own timeout would end a WebSocket that is silent for a minute. Our stream has deadlines of its
        // own.
        session.set_read_timeout(None);
        if self.shared.shutting_down.load(Ordering::Acquire) {
            session.set_keepalive(None);
        } else if session.get_keepalive().is_some() {
            // Unlimited for Pingora: our stream watches the idle time, with one timer a connection instead of one a
            // request.
            session.set_keepalive(Some(0));
        }
        match receive(&self.shared, session, ctx) {
            NextStep::Serve => Ok(false),
            // On the heap, so that this future stays small: it is moved for every request.
            step @ (NextStep::Hold | NextStep::Reply(_)) => {
                Box::pin(wait::wait_or_reply(&self.shared, session, ctx, step)).await
            }
        }
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        end_if_drained(ctx)?;
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            // The last frame of HTTP/2 may be empty. Pingora would write it as an empty chunk, which ends the body,
            // and then end the body once more: the application would read that as another request.
            *body = None;
        }
        let limit = ctx.routed.as_ref().and_then(|routed| routed.body_limit);
        if let (Some(limit), Some(body)) = (limit, body)
            && ctx.body.exceeds(body.len(), limit)
        {
            ctx.reply.reason = Some(Reason::BodyTooLarge);
            return Err(Error::explain(ErrorType::HTTPStatus(413), "the body is larger than the route allows"));
        }
        Ok(())
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<Box<HttpPeer>> {
        if ctx.attempt.tries > 0 {
            self.shared.metrics.retries.inc();
            // On the heap, so that this future stays small.
            Box::pin(wait::reconsider(&self.shared, session, ctx)).await?;
        } else {
            self.budget.pay();
        }
        let routing = ctx.routing()?;
        let (head, client) = (session.req_header(), routing.admission.origin.client);
        let (active, connection) = (Arc::clone(&routing.routed.active), Arc::clone(routing.connection));
        let idle = active.route.timeouts.idle;
        let quiet = if routing.admission.is_upgrade { Quiet::WebSocket(idle) } else { Quiet::Response(idle) };
        ctx.attempt.owner = choice::owner(head, &connection, client);
        let Some(Choice { position, endpoint, by }) = choice::choose(&active, head, &connection, &ctx.attempt, client)
        else {
            return Err(Error::explain(ErrorType::InternalError, "a route without endpoints"));
        };
        ctx.attempt.is_new_to_endpoint = by != ChosenBy::Client;
        ctx.attempt.chosen = Some(position);
        ctx.attempt.tries += 1;
        ctx.attempt.in_flight = Some(endpoint.state.begin());
        let mut peer = peer::peer(endpoint, head, quiet).await?;
        let idle = self.shared.settings.limits.idle;
        peer::dedicate(&mut peer, endpoint, ctx.attempt.owner, &connection, idle);
        Ok(peer)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        fd: std::os::fd::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        if !reused && let Some(state) = ctx.endpoint_state() {
            state.connected();
        }
        ctx.attempt.sent = Some(Instant::now());
        ctx.attempt.upstream_socket = Some(fd);
        ctx.attempt.is_last_there = false;
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        let public_https_port = self.shared.settings.public_https_port;
        guarded(|| upstream_request::prepare(session.req_header(), upstream, ctx, public_https_port))?
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        if ctx.attempt.first_byte.is_none() {
            ctx.attempt.first_byte = Some(Instant::now());
            ctx.hold.released = None;
        }
        let routing = ctx.routing()?;
        if response.status == StatusCode::SWITCHING_PROTOCOLS && !routing.admission.is_upgrade {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "a 101 that nobody asked for").into_up());
        }
        if let Some(announced) = response.headers.get("keep-alive")
            && let Some(state) = ctx.endpoint_state()
        {
            state.note_keep_alive(announced.as_bytes());
        }
        if dedicated::challenges(response) {
            if session.req_header().version < Version::HTTP_2 {
                routing.connection.dedicated.begin(routing.admission.origin.client);
            }
            // A shared HTTP/2 connection carries other requests too, and carried no credentials.
            ctx.attempt.is_last_there =
                ctx.attempt.owner == ConnectionOwner::Shared && response.version < Version::HTTP_2;
            if session.req_header().method == Method::HEAD || dedicated::ends_with_its_head(response) {
                ctx.attempt.answer_has_come();
            }
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            if let Some(connection) = &ctx.connection {
                connection.set_upgraded();
            }
            ctx.ends_with_endpoint();
        } else if response.status.is_informational() {
            return Ok(());
        } else {
            // Over HTTP/2 the connection carries other requests too.
            if session.req_header().version != Version::HTTP_2 && is_event_stream(response) {
                ctx.ends_with_endpoint();
            }
            forwarding::to_client(response);
        }
        if ctx.attempt.is_new_to_endpoint {
            set_sticky_cookie(response, ctx)?;
        }
        match &ctx.routed {
            Some(routed) => chain::on_response(&routed.active.route.middlewares, response, ctx.scheme()),
            None => Ok(()),
        }
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        if end_of_stream {
            ctx.attempt.answer_has_come();
        }
        end_if_drained(ctx)?;
        Ok(None)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut RequestContext,
        client_reused: bool,
    ) -> Box<Error> {
        let connection = if client_reused { UpstreamConnection::Reused } else { UpstreamConnection::Fresh };
        let retry = error::may_retry(session, &ctx.attempt, &error, connection) && self.budget.spend();
        if retry && let Some(state) = ctx.endpoint_state().cloned() {
            ctx.attempt.failed.push(state);
        }
        error.set_retry(retry);
        error
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestContext,
        mut error: Box<Error>,
    ) -> Box<Error> {
        ctx.attempt.in_flight = None;
        let Some(endpoint) = ctx.endpoint() else { return error };
        let state = Arc::clone(&endpoint.state);
        state.connect_failed();
        state.note_trouble(error::trouble(&error));
        let is_news = error::is_unreachable(&error) && state.mark_unreachable();
        if is_news && self.shared.suspects.try_send(endpoint.key.clone()).is_err() {
            // No probe would notice when the endpoint is back; so the next failure is reported again.
            state.set_health(EndpointHealth::Healthy);
        }
        ctx.attempt.unreached += 1;
        // Nothing was sent, so a request with any method may go to another endpoint. It may also wait for the only
        // endpoint there is, which is soon back if its container has just been started or is being replaced.
        let in_time = ctx.hold.until.is_none_or(|until| Instant::now() < until);
        let is_awaited = state.health() == EndpointHealth::Failing && ctx.attempt.unreached < UNREACHED_MAX && in_time;
        error.set_retry(ctx.attempt.tries < TRIES_MAX || is_awaited);
        ctx.attempt.failed.push(state);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut RequestContext) -> FailToProxy {
        let rejection = ctx.connection.as_ref().and_then(|connection| connection.take_rejection());
        let known = ctx.reply.reason.or(rejection.map(|rejection| rejection.reason));
        let Some(reason) = known.or_else(|| error::reason_for(error, &ctx.attempt)) else {
            // The client is gone, or its deadline has passed.
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        ctx.reply.reason = Some(reason);
        tracing::debug!(%error, reason = reason.token(), "a request failed");
        if session.response_written().is_none_or(|written| written.status.is_informational()) {
            session.set_keepalive(None);
            let reply = failure_reply(reason, rejection, error, ctx);
            if let Err(error) = send(&self.shared, session, ctx, reply).await {
                tracing::debug!(%error, "failed to write an answer of our own");
            }
        }
        // Otherwise it is too late for a reply: Pingora closes or resets the connection, so that a cut answer looks
        // cut.
        FailToProxy { error_code: reason.status(), can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &RequestContext, _error: &Error) -> bool {
        // The access log and the metrics report errors with their reason.
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &RequestContext,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut RequestContext) {
        if let Some(connection) = &ctx.connection {
            connection.set_answered();
        }
        request_log::record(&self.shared, session, error, ctx);
    }
}

/// The reply for a request that failed on its way to an endpoint.
fn failure_reply(reason: Reason, rejection: Option<Rejection>, error: &Error, ctx: &RequestContext) -> LocalReply {
    if matches!(reason, Reason::NoEndpoint | Reason::NoWay | Reason::EndpointNotReady)
        && let Some(routed) = &ctx.routed
    {
        return no_endpoint(&routed.active).into();
    }
    let detail = rejection
        .map_or_else(|| error::error_detail(error, ctx.endpoint(), &ctx.attempt), |rejection| rejection.to_string());
    FailureReply::new(reason).with_detail(detail).into()
}

/// On a sticky route, sets the cookie by which the client finds its endpoint again.
fn set_sticky_cookie(response: &mut ResponseHeader, ctx: &RequestContext) -> Result<()> {
    let cookie = ctx.routed.as_ref().and_then(|routed| routed.active.cookie.as_ref());
    let token = ctx.endpoint().and_then(|endpoint| endpoint.token.as_ref());
    let field = cookie
        .zip(token)
        .and_then(|(cookie, token)| sticky::set_cookie(cookie.current(), token.current(), ctx.scheme()));
    if let Some(field) = field {
        response.append_header(SET_COOKIE, field)?;
    }
    Ok(())
}

fn is_event_stream(response: &ResponseHeader) -> bool {
    let kind = response.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}

/// Ends a request whose endpoint has left and whose drain time is over.
fn end_if_drained(ctx: &RequestContext) -> Result<()> {
    if ctx.endpoint_state().is_some_and(|state| state.is_drained()) {
        return Err(Error::explain(ErrorType::ConnectionClosed, "the endpoint has left").into_up());
    }
    Ok(())
}
