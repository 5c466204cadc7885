//! The way of a request: admitted, matched, handed to an endpoint, answered, recorded.
//!
//! Pingora calls the phases in the order of this file. Each decides with the help of a pure module
//! ([`crate::request::admission`], [`crate::request::forwarding`], [`crate::middleware::path`]) and acts.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use gangway_model::location::slash_redirect;
use gangway_model::path::normalise;
use gangway_model::route::{HostHeader, Route, TlsMode, TlsVersion};
use gangway_model::{Middleware, RequestView};
use gangway_publish::Generation;
use http::header::{CONNECTION, HOST, STRICT_TRANSPORT_SECURITY, UPGRADE};
use http::{HeaderValue, Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::Digest;
use pingora::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use tokio::time::Instant;

use crate::downstream::connection::ClientConnection;
use crate::hold::limits::Waiting;
use crate::local_reply::LocalReply;
use crate::log::record::LogRecord;
use crate::middleware::path as target;
use crate::page::Audience;
use crate::panic_guard::guarded;
use crate::reason::Reason;
use crate::rejection::Rejection;
use crate::request::admission::admit;
use crate::request::client_origin::{ClientOrigin, origin};
use crate::request::context::{RequestContext, UnderWay};
use crate::request::forwarding::{self, ForwardingFacts};
use crate::request::upgrade::asks_for_websocket;
use crate::serving_table::{ActiveEndpoint, ActiveRoute, ActiveTable, DialTarget};
use crate::settings::PlainFallback;
use crate::shared::Shared;
use crate::upstream::balance::choose;
use crate::upstream::dedicated::{self, ConnectionOwner};
use crate::upstream::endpoint_state::{EndpointState, Health};
use crate::upstream::error::{
    RETRY_AFTER, TRIES_MAX, error_detail, is_unreachable, may_retry, no_endpoint, nothing_to_wait_for, reason_for,
    trouble, why_no_route,
};
use crate::upstream::retry_budget::RetryBudget;
use crate::upstream::sticky::{self, SecretAge};

/// How often a request that waits is brought to an endpoint that looked ready and could not be reached: one
/// that crashes again and again must not keep it busy.
const NOT_REACHED_MAX: usize = 10;

/// The application in Pingora's sense: one a thread.
pub(crate) struct App {
    shared: Shared,
    budget: RetryBudget,
}

/// What becomes of a request before any endpoint is asked.
enum Verdict {
    /// This route serves it.
    Serve,
    /// We answer.
    LocalReply(LocalReply),
    /// No endpoint may be asked yet, but one may be soon.
    Wait,
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
            // Pingora would take any `Upgrade` for one and tunnel what the gate reads as requests.
            session.req_header_mut().remove_header(&UPGRADE);
        }
        let limits = &self.shared.settings.limits;
        session.set_write_timeout(Some(limits.stalled_write));
        // Pingora's own would end a WebSocket that is silent for a minute; what a client owes us, and by
        // when, our side of the stream knows.
        session.set_read_timeout(None);
        if self.shared.shutting_down.load(Ordering::Acquire) {
            session.set_keepalive(None);
        } else if session.get_keepalive().is_some() {
            // Without end, in Pingora's books: the transport watches the time, with one timer a connection
            // instead of one a request.
            session.set_keepalive(Some(0));
        }
        match self.decide(session, ctx) {
            Verdict::Serve => Ok(false),
            // On the heap, so that this future stays small: it is moved for every request.
            verdict => Box::pin(self.answer_or_wait(session, ctx, verdict)).await,
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
            // The last frame of HTTP/2 may be empty. Pingora would write it as a chunk, which is the last one,
            // and then the last one: the app would take that for another request.
            *body = None;
        }
        if let (Some(limit), Some(body)) = (ctx.body_limit, body) {
            ctx.body_seen += body.len() as u64;
            if ctx.body_seen > limit {
                ctx.reason = Some(Reason::BodyTooLarge);
                return Err(Error::explain(ErrorType::HTTPStatus(413), "the body is larger than the route allows"));
            }
        }
        Ok(())
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<Box<HttpPeer>> {
        if ctx.tries > 0 {
            self.shared.metrics.retries.inc();
            // On the heap for the same reason as an answer of ours.
            Box::pin(self.reconsider(session, ctx)).await?;
        } else {
            self.budget.pay();
        }
        let Some(active) = ctx.route.clone() else {
            return Err(Error::explain(ErrorType::InternalError, "a request without a route"));
        };
        let client = ctx.origin.map(|origin| origin.client);
        ctx.owner = owner(session.req_header(), ctx);
        let begun = begun_endpoint(&active, ctx);
        let own = |age| own_endpoint(&active, session.req_header(), &ctx.failed, age);
        let known = begun.or_else(|| own(SecretAge::Current));
        // A cookie under a former secret leads to its endpoint, and is replaced.
        let own = known.or_else(|| own(SecretAge::Former));
        ctx.new_to_endpoint = known.is_none();
        let Some((position, endpoint)) = own.or_else(|| choose(&active, &ctx.failed, client)) else {
            return Err(Error::explain(ErrorType::InternalError, "a route without endpoints"));
        };
        ctx.chosen = Some(position);
        ctx.tries += 1;
        ctx.in_flight = Some(endpoint.state.begin());
        let mut peer = Box::new(endpoint.peer.clone());
        if let DialTarget::Name(name, port) = &endpoint.target {
            peer._address = PingoraAddress::Inet(Box::pin(look_up(endpoint, name, *port)).await?);
        }
        let timeouts = &active.route.timeouts;
        if ctx.upgrade {
            // Only HTTP/1.1 has this upgrade, and a quiet WebSocket is no slow answer.
            peer.options.set_http_version(1, 1);
            peer.options.read_timeout = Some(timeouts.idle);
        } else if accepts_events(session.req_header()) {
            peer.options.read_timeout = Some(timeouts.idle);
        }
        peer.options.idle_timeout = Some(endpoint.state.idle_timeout());
        if ctx.owner != ConnectionOwner::Shared {
            belong(&mut peer, endpoint, ctx, self.shared.settings.limits.idle);
        }
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
        if !reused && let Some(endpoint) = ctx.endpoint() {
            endpoint.state.connected();
        }
        ctx.sent = Some(Instant::now());
        ctx.upstream_socket = Some(fd);
        ctx.is_last_there = false;
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        guarded(|| prepare(session, upstream, ctx, self.shared.settings.public_https_port))?
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        if !ctx.answer_begun {
            ctx.answer_begun = true;
            ctx.released = None;
            ctx.first_byte = Some(Instant::now());
        }
        if response.status == StatusCode::SWITCHING_PROTOCOLS && !ctx.upgrade {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "a 101 that nobody asked for").into_up());
        }
        if let Some(announced) = response.headers.get("keep-alive")
            && let Some(endpoint) = ctx.endpoint()
        {
            endpoint.state.note_keep_alive(announced.as_bytes());
        }
        if dedicated::challenges(response) {
            let is_http1 = session.req_header().version < Version::HTTP_2;
            if let (Some(connection), Some(origin), true) = (&ctx.connection, ctx.origin, is_http1) {
                connection.own.begin(origin.client);
            }
            // Other requests may be under way on a shared one of HTTP/2; it carried no credentials.
            ctx.is_last_there = ctx.owner == ConnectionOwner::Shared && response.version < Version::HTTP_2;
            if session.req_header().method == Method::HEAD || dedicated::ends_with_its_head(response) {
                ctx.answer_has_come();
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
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(());
        }
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            if let Some(connection) = &ctx.connection {
                connection.set_upgraded();
            }
            ctx.lasts();
        } else {
            // Over HTTP/2 the connection carries other requests as well.
            if session.req_header().version != Version::HTTP_2 && is_event_stream(response) {
                ctx.lasts();
            }
            forwarding::to_client(response);
        }
        if ctx.new_to_endpoint {
            tell_endpoint(response, ctx)?;
        }
        decorate(response, ctx)
    }

    fn upstream_response_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut RequestContext,
    ) -> Result<Option<Duration>> {
        if end_of_stream {
            ctx.answer_has_come();
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
        let retry = may_retry(session, ctx, &error, client_reused) && self.budget.spend();
        if retry && let Some(state) = ctx.endpoint().map(|endpoint| Arc::clone(&endpoint.state)) {
            ctx.failed.push(state);
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
        ctx.in_flight = None;
        let Some(endpoint) = ctx.endpoint() else { return error };
        let state = Arc::clone(&endpoint.state);
        state.connect_failed();
        state.note_trouble(trouble(&error));
        let is_news = is_unreachable(&error) && state.not_reached();
        if is_news && self.shared.doubts.try_send(endpoint.key.clone()).is_err() {
            // Nobody would find out that it is back; so the next request says it again.
            state.set_standing(Health::Healthy);
        }
        ctx.not_reached += 1;
        // Nothing was sent, so any method may go elsewhere; and to the only one there is once it is reached
        // again, which is soon if its container has just been started, or is being replaced.
        let in_time = ctx.hold_until.is_none_or(|until| Instant::now() < until);
        let is_awaited = state.standing() == Health::Failing && ctx.not_reached < NOT_REACHED_MAX && in_time;
        error.set_retry(ctx.tries < TRIES_MAX || is_awaited);
        ctx.failed.push(state);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut RequestContext) -> FailToProxy {
        let refusal = ctx.connection.as_ref().and_then(|connection| connection.take_refusal());
        let known = ctx.reason.or(refusal.map(|refusal| refusal.reason));
        let Some(reason) = known.or_else(|| reason_for(error, ctx)) else {
            // The client is gone, or given up by the deadline on its reads.
            return FailToProxy { error_code: 0, can_reuse_downstream: false };
        };
        ctx.reason = Some(reason);
        tracing::debug!(%error, reason = reason.token(), "a request failed");
        if session.response_written().is_some_and(|written| !written.status.is_informational()) {
            // Too late for an answer of ours: Pingora closes or resets, so that a cut answer looks cut.
            return FailToProxy { error_code: reason.status(), can_reuse_downstream: false };
        }
        session.set_keepalive(None);
        let answer = match reason {
            Reason::NoEndpoint | Reason::NoWay | Reason::EndpointNotReady => no_endpoint(ctx),
            _ => {
                let detail = refusal.map_or_else(|| error_detail(error, ctx), |refusal| refusal.detail.to_owned());
                LocalReply::failure(reason).with_detail(detail)
            }
        };
        if let Err(error) = self.write(session, ctx, answer).await {
            tracing::debug!(%error, "failed to write an answer of our own");
        }
        FailToProxy { error_code: reason.status(), can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &RequestContext, _error: &Error) -> bool {
        // The access log and the metrics tell it with the reason.
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
            connection.set_answered(true);
        }
        self.record(session, error, ctx);
    }
}

impl App {
    /// Decides what becomes of a request, by the table in force.
    fn decide(&self, session: &Session, ctx: &mut RequestContext) -> Verdict {
        let internal = |_| Verdict::LocalReply(LocalReply::failure(Reason::Internal));
        guarded(|| self.decide_by_table(session, ctx)).unwrap_or_else(internal)
    }

    fn decide_by_table(&self, session: &Session, ctx: &mut RequestContext) -> Verdict {
        let request = session.req_header();
        let Some(connection) = ctx.connection.clone() else {
            return Verdict::LocalReply(LocalReply::failure(Reason::Internal));
        };
        if let Some(refusal) = connection.take_refusal() {
            ctx.refused = true;
            return refused(refusal);
        }
        let admitted = match admit(request, &self.shared.settings.limits) {
            Ok(admitted) => admitted,
            Err(refusal) => return refused(refusal),
        };
        ctx.host.clear();
        ctx.host.push_str(&admitted.host);
        ctx.upgrade = session.is_upgrade_req();
        let origin =
            origin(request, &connection, &self.shared.settings.trusted_proxies, &self.shared.whereabouts.load());
        ctx.origin = Some(origin);
        ctx.secure = origin.secure;
        ctx.port = admitted.port;

        if !ctx.secure
            && let Some(key_authorization) = self.acme_challenge(&ctx.host, admitted.path)
        {
            return Verdict::LocalReply(LocalReply::Challenge { key_authorization });
        }
        let tables = self.shared.tables.load();
        if tables.generation() == Generation::INITIAL {
            let answer = LocalReply::failure(Reason::NotReady).with_retry_after(RETRY_AFTER);
            return Verdict::LocalReply(match &self.shared.whereabouts.load().trouble {
                Some(why) => answer.with_detail(why.to_string()),
                None => answer,
            });
        }
        let path = normalise(admitted.path);
        let view = RequestView {
            host: &ctx.host,
            path: &path,
            query: admitted.query,
            method: &request.method,
            headers: &request.headers,
            // What is nobody's address is in no network.
            client: if origin.nobody { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { origin.client },
        };
        let Some(found) = tables.find(&view) else {
            self.shared.metrics.no_route();
            let answer = LocalReply::failure(Reason::NoRoute);
            return Verdict::LocalReply(match origin.local {
                true => {
                    let compiled = self.shared.compiled.load();
                    answer.with_detail(why_no_route(&tables, &view, &compiled, epoch()))
                }
                false => answer,
            });
        };
        if is_misdirected(&tables, &view, &found.route.route, &connection) {
            return Verdict::LocalReply(LocalReply::failure(Reason::Misdirected));
        }
        let active = Arc::clone(found.route);
        ctx.prefix.clear();
        ctx.prefix.push_str(found.prefix);
        drop(tables);
        let verdict = self.decide_for(&active, request, ctx);
        if matches!(verdict, Verdict::Serve) && ctx.under_way.is_none() {
            ctx.under_way = Some(UnderWay::count(&active.metrics.under_way));
        }
        ctx.route = Some(active);
        verdict
    }

    /// What answers a CA that asks whether we hold this host (RFC 8555, section 8.3): before any route,
    /// redirection or protection.
    fn acme_challenge(&self, host: &str, path: &str) -> Option<String> {
        let token = path.strip_prefix("/.well-known/acme-challenge/")?;
        self.shared.store.load().http_challenge(host, token).map(str::to_owned)
    }

    /// Decides again with every new table until an endpoint may be asked, the time is over, or too many
    /// wait already. Of the body nothing is read meanwhile.
    async fn wait(&self, session: &mut Session, ctx: &mut RequestContext) -> Verdict {
        let Some(active) = ctx.route.clone() else { return Verdict::Wait };
        let hold = active.route.upstream.policy.hold;
        let deadline = *ctx.hold_until.get_or_insert_with(|| Instant::now() + hold);
        let (waiters, gauge) = (&self.shared.waiters, &self.shared.metrics.waiting);
        let bytes = bytes_held(session, self.shared.settings.limits.h2_stream_window as usize);
        let Some(_waiting) = Waiting::begin(waiters, &active.state.waiting, bytes, gauge) else { return Verdict::Wait };
        let mut tables = self.shared.tables.clone();
        ctx.released = None;
        loop {
            // Once more before the first wait: a table may have come before this reader was made.
            let verdict = self.decide(session, ctx);
            match verdict {
                Verdict::Wait => {}
                // Whether it still may is decided again: the turn may have come late.
                Verdict::Serve if can_be_reached(ctx) && ctx.released.is_none() => {
                    ctx.released = Box::pin(active.state.turnstile.pass(deadline)).await;
                    if ctx.released.is_none() {
                        return verdict;
                    }
                    continue;
                }
                // Known to be out of reach, which the next table will say.
                Verdict::Serve if !can_be_reached(ctx) => {}
                // It was given up because its next container did not come, and there was one to wait for.
                Verdict::LocalReply(answer) if answer.reason() == Some(Reason::NoRoute) => return Verdict::Wait,
                verdict => return verdict,
            }
            // Its turn is another's while it waits on.
            ctx.released = None;
            if !matches!(tokio::time::timeout_at(deadline, tables.changed()).await, Ok(Ok(_))) {
                return verdict;
            }
        }
    }

    /// Looks at the table again for a request that an endpoint failed, and waits where nobody else can take
    /// it.
    async fn reconsider(&self, session: &mut Session, ctx: &mut RequestContext) -> Result<()> {
        // Of another table, an endpoint would be the wrong one.
        ctx.chosen = None;
        let verdict = match self.decide(session, ctx) {
            Verdict::Serve if can_be_reached(ctx) => return Ok(()),
            _ => self.wait(session, ctx).await,
        };
        match verdict {
            Verdict::Serve => Ok(()),
            Verdict::Wait => {
                ctx.reason = no_endpoint(ctx).reason();
                Err(Error::explain(ErrorType::HTTPStatus(503), "no endpoint is left"))
            }
            Verdict::LocalReply(answer) => {
                ctx.reason = answer.reason().or(Some(Reason::EndpointNotReady));
                Err(Error::explain(ErrorType::HTTPStatus(503), "the route takes it no more"))
            }
        }
    }

    fn decide_for(&self, active: &ActiveRoute, request: &RequestHeader, ctx: &mut RequestContext) -> Verdict {
        let route = &active.route;
        if route.listener.tls == TlsMode::Off && ctx.secure {
            return Verdict::LocalReply(
                LocalReply::failure(Reason::NoRoute).with_detail("this route is served by plain HTTP only"),
            );
        }
        if route.closed {
            return Verdict::LocalReply(LocalReply::failure(Reason::RouteClosed));
        }
        if let Some(bundle) = &route.listener.client_ca
            && self.shared.store.load().client_ca(bundle).is_none()
        {
            let detail = format!("`certs/clients/{bundle}` on the volume is missing or damaged");
            return Verdict::LocalReply(LocalReply::failure(Reason::RouteClosed).with_detail(detail));
        }
        if route.listener.https_redirect && !ctx.secure {
            if !self.has_only_a_placeholder(&ctx.host) {
                let location = self.https_location(&ctx.host, ctx.port, request.raw_path());
                return Verdict::LocalReply(LocalReply::redirect(308, location));
            }
            if self.shared.settings.plain_fallback == PlainFallback::Refuse {
                let detail = "no certificate has been obtained for this host yet, and `--no-plain-fallback` is set";
                return Verdict::LocalReply(LocalReply::failure(Reason::NoCertificate).with_detail(detail));
            }
        }
        if !is_held_to(route, ctx) {
            return Verdict::LocalReply(LocalReply::failure(Reason::Misdirected));
        }
        for middleware in &route.middlewares {
            match middleware {
                Middleware::StripPrefix(_) => {
                    if let Some(location) = slash_redirect(request.raw_path(), &ctx.prefix) {
                        return Verdict::LocalReply(LocalReply::redirect(308, location));
                    }
                }
                Middleware::Redirect { status, target } => {
                    let location = target.location(&ctx.host, request.raw_path());
                    return Verdict::LocalReply(LocalReply::redirect(*status, location));
                }
                Middleware::BodyLimit(limit) => {
                    if announced_len(request).is_some_and(|len| len > *limit) {
                        return Verdict::LocalReply(LocalReply::failure(Reason::BodyTooLarge));
                    }
                    ctx.body_limit = Some(*limit);
                }
                _ => {}
            }
        }
        match active.ready.is_empty() {
            false => Verdict::Serve,
            true => nothing_to_wait_for(active).map_or(Verdict::Wait, Verdict::LocalReply),
        }
    }

    /// A public name whose certificate has not come yet: sending browsers to https would show them a
    /// warning instead of the app.
    fn has_only_a_placeholder(&self, host: &str) -> bool {
        self.shared.store.load().is_placeheld(host)
    }

    fn https_location(&self, host: &str, port: Option<u16>, target: &[u8]) -> Vec<u8> {
        let found_out = || self.shared.whereabouts.load().https_port(&self.shared.listening, port.unwrap_or(80));
        let https = self.shared.settings.public_https_port.unwrap_or_else(found_out);
        let mut location = b"https://".to_vec();
        location.extend_from_slice(host.as_bytes());
        if https != 443 {
            location.extend_from_slice(format!(":{https}").as_bytes());
        }
        location.extend_from_slice(target);
        location
    }

    /// Whether the request was answered, for a verdict that is not simply to serve it.
    async fn answer_or_wait(&self, session: &mut Session, ctx: &mut RequestContext, verdict: Verdict) -> Result<bool> {
        let verdict = match verdict {
            Verdict::LocalReply(answer) if answer.reason() == Some(Reason::NotReady) => {
                self.shared.first_table().await;
                self.decide(session, ctx)
            }
            verdict => verdict,
        };
        let verdict = match verdict {
            Verdict::Wait => self.wait(session, ctx).await,
            verdict => verdict,
        };
        match verdict {
            Verdict::Serve => Ok(false),
            Verdict::LocalReply(answer) => self.answer(session, ctx, answer).await,
            Verdict::Wait => {
                let answer = no_endpoint(ctx);
                self.answer(session, ctx, answer).await
            }
        }
    }

    async fn answer(&self, session: &mut Session, ctx: &mut RequestContext, answer: LocalReply) -> Result<bool> {
        ctx.reason = answer.reason();
        if answer.closes() {
            session.set_keepalive(None);
        }
        self.write(session, ctx, answer).await?;
        Ok(true)
    }

    async fn write(&self, session: &mut Session, ctx: &mut RequestContext, answer: LocalReply) -> Result<()> {
        if let Some(reason) = answer.reason() {
            self.shared.metrics.own_answer(reason.token());
        }
        ctx.detail = answer.detail().map(str::to_owned);
        let request = session.req_header();
        let request_id = ctx.request_id().to_owned();
        let local = ctx.origin.is_some_and(|origin| origin.local);
        let url = if local { url(request, ctx) } else { String::new() };
        let compiled = self.shared.compiled.load();
        // Only those who may see it are told, and only then is it looked for.
        let own = local.then(|| compiled.containers.iter().find(|container| container.is_own)).flatten();
        let audience = Audience { request_id: &request_id, local, url: &url, own: own.map(|own| &*own.name) };
        let (mut response, body) = answer.render(request, audience)?;
        drop(compiled);
        decorate(&mut response, ctx)?;
        session.write_response_header(Box::new(response), body.is_empty()).await?;
        if !body.is_empty() {
            session.write_response_body(Some(body), true).await?;
        }
        Ok(())
    }

    /// Writes the access log and the counters, once a request.
    fn record(&self, session: &mut Session, error: Option<&Error>, ctx: &mut RequestContext) {
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        let duration = ctx.started.elapsed();
        if let Some(active) = &ctx.route {
            active.metrics.answered(status, duration.as_secs_f64());
            if let Some(reason) = ctx.reason.filter(|reason| reason.status() >= 500) {
                active.state.failures.note(reason.token(), ctx.detail.as_deref().unwrap_or_default());
                self.shared.failures.notify_one();
            }
        }
        if !self.shared.access_log.is_on() {
            return;
        }
        let (bytes_in, bytes_out) = (session.body_bytes_read(), session.body_bytes_sent());
        let request = session.req_header();
        let refused = ctx.refused;
        let text = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let target = String::from_utf8_lossy(request.raw_path());
        let detail = match (&ctx.detail, error) {
            (Some(detail), _) => detail.clone(),
            // The app's answer was cut, or the client went away.
            (None, Some(error)) => error.etype().as_str().to_owned(),
            (None, None) => String::new(),
        };
        self.shared.access_log.write(&LogRecord {
            client: ctx.origin.map(|origin| origin.client).or(ctx.connection.as_ref().map(|c| c.peer_ip())),
            // What stands in for a refused request is not what was sent.
            method: if refused { "-" } else { request.method.as_str() },
            scheme: if ctx.secure { "https" } else { "http" },
            host: &ctx.host,
            target: if refused { "-" } else { &target },
            version: version_text(request.version),
            status,
            bytes_in,
            bytes_out,
            duration,
            upstream: ctx.sent.zip(ctx.first_byte).map(|(sent, first)| first.saturating_duration_since(sent)),
            route: ctx.route.as_ref().map_or("", |active| &active.route.name),
            endpoint: ctx.endpoint().map_or("", |endpoint| &endpoint.name),
            reason: ctx.reason.map_or("", Reason::token),
            request_id: ctx.request_id.as_deref().unwrap_or(""),
            user_agent: text("user-agent"),
            referrer: text("referer"),
            detail: &detail,
        });
    }
}

fn refused(refusal: Rejection) -> Verdict {
    Verdict::LocalReply(LocalReply::failure(refusal.reason).with_detail(refusal.detail))
}

/// Whether the handshake of this connection was held to what the route asks for, whatever host it was
/// opened for. Plain HTTP has none, and neither has what a proxy before us has decrypted.
fn is_held_to(route: &Route, ctx: &RequestContext) -> bool {
    let Some(connection) = &ctx.connection else { return false };
    let is_known = route.listener.client_ca.is_none() || route.listener.client_ca == connection.client_ca;
    let is_new_enough = route.listener.tls_min == TlsVersion::Tls12 || !connection.secure || connection.is_tls13;
    is_known && is_new_enough
}

/// Whether a TLS connection that was opened for one host carries a request for another that is protected
/// differently: what was checked in the handshake was not checked for it.
fn is_misdirected(
    table: &ActiveTable,
    request: &RequestView<'_>,
    route: &Route,
    connection: &ClientConnection,
) -> bool {
    let Some(sni) = connection.sni.as_deref().filter(|sni| *sni != request.host) else { return false };
    let opened_for = table.find(&RequestView { host: sni, ..*request });
    opened_for.is_some_and(|other| {
        let other = &other.route.route;
        other.closed != route.closed || other.listener.client_ca != route.listener.client_ca
    })
}

/// Whose the connection is that a request goes out on.
fn owner(request: &RequestHeader, ctx: &RequestContext) -> ConnectionOwner {
    let (Some(connection), Some(origin)) = (&ctx.connection, ctx.origin) else { return ConnectionOwner::Shared };
    let authenticates = dedicated::authenticates(&request.headers);
    match request.version < Version::HTTP_2 {
        true => {
            if authenticates {
                connection.own.begin(origin.client);
            }
            connection.own.owner(origin.client)
        }
        false if authenticates => ConnectionOwner::request(),
        false => ConnectionOwner::Shared,
    }
}

/// The endpoint that a client has a connection of its own to, if it can take the request.
fn begun_endpoint<'r>(active: &'r ActiveRoute, ctx: &RequestContext) -> Option<(usize, &'r ActiveEndpoint)> {
    let (ConnectionOwner::Client(_), Some(connection)) = (ctx.owner, &ctx.connection) else { return None };
    active.ready.iter().enumerate().find(|(_, endpoint)| {
        connection.own.has(&endpoint.state) && !ctx.failed.iter().any(|state| Arc::ptr_eq(state, &endpoint.state))
    })
}

/// Has a connection opened, or found again, that belongs to a client connection or to one request.
fn belong(peer: &mut HttpPeer, endpoint: &ActiveEndpoint, ctx: &RequestContext, idle: Duration) {
    peer.group_key = ctx.owner.key();
    if peer.options.alpn.get_min_http_version() == 1 {
        // NTLM is not for HTTP/2, and what belongs to one client need not be shared by its requests.
        peer.options.set_http_version(1, 1);
    }
    match (ctx.owner, &ctx.connection) {
        (ConnectionOwner::Client(key), Some(connection)) => {
            peer.options.idle_timeout = Some(endpoint.state.idle_timeout_of_own(idle));
            let (connection, state) = (Arc::clone(connection), Arc::clone(&endpoint.state));
            peer.options.upstream_tcp_sock_tweak_hook = Some(Arc::new(move |socket| {
                let kept = connection.own.keep(key, &state, socket);
                kept.map_err(|error| Error::because(ErrorType::SocketError, "keeping it for its client", error))
            }));
        }
        _ => peer.options.idle_timeout = Some(Duration::ZERO),
    }
}

/// Of a sticky route, the endpoint that the client names by its cookie, if it can take the request.
fn own_endpoint<'r>(
    active: &'r ActiveRoute,
    request: &RequestHeader,
    failed: &[Arc<EndpointState>],
    age: SecretAge,
) -> Option<(usize, &'r ActiveEndpoint)> {
    let cookie = active.cookie.as_ref()?;
    sticky::sent_values(&request.headers, cookie, age).find_map(|value| {
        active.ready.iter().enumerate().find(|(_, endpoint)| {
            let is_it = endpoint.token.as_ref().is_some_and(|token| token.is(value, age));
            is_it && !endpoint.state.is_ejected() && !failed.iter().any(|state| Arc::ptr_eq(state, &endpoint.state))
        })
    })
}

/// Of a sticky route, lets the client know its endpoint again.
fn tell_endpoint(response: &mut ResponseHeader, ctx: &RequestContext) -> Result<()> {
    let cookie = ctx.route.as_ref().and_then(|active| active.cookie.as_ref());
    let token = ctx.endpoint().and_then(|endpoint| endpoint.token.as_ref());
    let field =
        cookie.zip(token).and_then(|(cookie, token)| sticky::set_cookie(cookie.current(), token.current(), ctx.secure));
    if let Some(field) = field {
        response.append_header(http::header::SET_COOKIE, field)?;
    }
    Ok(())
}

/// Whether the route has an endpoint that is not known to be out of reach.
fn can_be_reached(ctx: &RequestContext) -> bool {
    let ready = ctx.route.iter().flat_map(|active| &active.ready);
    ready.into_iter().any(|endpoint| endpoint.state.standing() != Health::Failing)
}

/// What a request that waits keeps in memory: its head, and over HTTP/2 what its client may send unread.
fn bytes_held(session: &mut Session, window: usize) -> usize {
    let is_empty = session.is_body_empty();
    let request = session.req_header();
    let fields: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    let body = match request.version {
        Version::HTTP_2 if !is_empty => {
            announced_len(request).map_or(window, |len| window.min(usize::try_from(len).unwrap_or(window)))
        }
        // The system holds it back.
        _ => 0,
    };
    request.raw_path().len() + fields + body
}

/// Sets what the route asks for on an answer, the app's or ours.
fn decorate(response: &mut ResponseHeader, ctx: &RequestContext) -> Result<()> {
    let Some(active) = &ctx.route else { return Ok(()) };
    for middleware in active.route.middlewares.iter().rev() {
        match middleware {
            Middleware::ResponseHeader(name, Some(value)) => response.insert_header(name.clone(), value.clone())?,
            Middleware::ResponseHeader(name, None) => drop(response.remove_header(name)),
            Middleware::Hsts(max_age) if ctx.secure => {
                response.insert_header(STRICT_TRANSPORT_SECURITY, format!("max-age={max_age}"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Turns the head of a request into the one that its endpoint gets.
fn prepare(
    session: &Session,
    upstream: &mut RequestHeader,
    ctx: &RequestContext,
    public_https_port: Option<u16>,
) -> Result<()> {
    let (Some(active), Some(connection)) = (&ctx.route, &ctx.connection) else {
        return Err(Error::explain(ErrorType::InternalError, "a request without a route"));
    };
    let route = &active.route;
    let rewritten = target::rewrite(session.req_header().raw_path(), &route.middlewares, &ctx.prefix)
        .ok_or_else(|| Error::explain(ErrorType::HTTPStatus(400), "the prefix to remove hides in the path"))?;
    if let Cow::Owned(path) = &rewritten.target {
        upstream.set_raw_path(path)?;
    }
    let original = session.req_header();
    let facts = ForwardingFacts {
        connection,
        origin: ctx.origin.unwrap_or(ClientOrigin {
            client: connection.peer_ip(),
            secure: connection.secure,
            local: false,
            nobody: true,
        }),
        port: ctx.port,
        public_https_port,
        prefix: rewritten.prefix,
        trailers: original.version == Version::HTTP_2 && upstream.version == Version::HTTP_2,
    };
    forwarding::to_upstream(upstream, original, &facts)?;
    if matches!(ctx.owner, ConnectionOwner::Request(_)) && upstream.version < Version::HTTP_2 {
        upstream.insert_header(CONNECTION, HeaderValue::from_static("close"))?;
    }
    for middleware in &route.middlewares {
        match middleware {
            Middleware::RequestHeader(name, Some(value)) => upstream.insert_header(name.clone(), value.clone())?,
            Middleware::RequestHeader(name, None) => drop(upstream.remove_header(name)),
            _ => {}
        }
    }
    match &route.host_header {
        HostHeader::Keep => {}
        HostHeader::Named(host) => upstream.insert_header(HOST, host.clone())?,
        HostHeader::Upstream => {
            if let Some(endpoint) = ctx.endpoint() {
                upstream.insert_header(HOST, endpoint.host.clone())?;
            }
        }
    }
    Ok(())
}

/// Looks a name up, unless that was done lately.
async fn look_up(endpoint: &ActiveEndpoint, name: &str, port: u16) -> Result<SocketAddr> {
    if let Some(address) = endpoint.state.fresh_address() {
        return Ok(address);
    }
    match tokio::net::lookup_host((name, port)).await.map(|mut addresses| addresses.next()) {
        Ok(Some(address)) => {
            endpoint.state.set_address(address);
            Ok(address)
        }
        Ok(None) | Err(_) => endpoint.state.stale_address().ok_or_else(|| {
            Error::explain(ErrorType::ConnectNoRoute, "the name of the upstream cannot be looked up").into_up()
        }),
    }
}

/// A stream of events may pause for as long as it likes between two of them.
fn accepts_events(request: &RequestHeader) -> bool {
    let accept = request.headers.get(http::header::ACCEPT).map(HeaderValue::as_bytes);
    accept.is_some_and(|accept| memchr::memmem::find(accept, b"text/event-stream").is_some())
}

fn is_event_stream(response: &ResponseHeader) -> bool {
    let kind = response.headers.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
}

/// Ends a request whose endpoint has left and has had its time.
fn end_if_drained(ctx: &RequestContext) -> Result<()> {
    if ctx.endpoint().is_some_and(|endpoint| endpoint.state.is_drained()) {
        return Err(Error::explain(ErrorType::ConnectionClosed, "the endpoint has left").into_up());
    }
    Ok(())
}

fn announced_len(request: &RequestHeader) -> Option<u64> {
    request.headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn url(request: &RequestHeader, ctx: &RequestContext) -> String {
    if ctx.host.is_empty() {
        return String::new();
    }
    let scheme = if ctx.secure { "https" } else { "http" };
    let port = ctx.port.map(|port| format!(":{port}")).unwrap_or_default();
    let target = String::from_utf8_lossy(request.raw_path());
    format!("{scheme}://{}{port}{}", ctx.host, crate::log::redact::target(&target))
}

/// Seconds since the epoch.
fn epoch() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
