//! Serves one request.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Version;

use crate::access::gate::{AtGate, Passage};
use crate::access::guard::{GateKind, guards};
use crate::cache::run::Replacement;
use crate::downstream::connection::ClientConnection;
use crate::exchange::attempt::{AttemptFailure, attempt};
use crate::exchange::cached::{self, LookedUp};
use crate::exchange::client_wait::unless_client_goes;
use crate::exchange::hold_body::{HoldBounds, HoldError, hold_body};
use crate::exchange::send::send;
use crate::exchange::state::Exchange;
use crate::exchange::transfer::TransferError;
use crate::exchange::worker::Worker;
use crate::hold::unavailable::no_endpoint;
use crate::hold::wait::{AfterWait, Held};
use crate::log::request_log::{self, CutReason, RequestOutcome};
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::overload::address_account::CountedRequest;
use crate::overload::memory_budget::MemoryLease;
use crate::pages::lookup::{self, PageSources};
use crate::pages::page::{self, Page};
use crate::panic_guard::guarded;
use crate::reply::local_reply::{FailureReply, LocalReply, RETRY_AFTER};
use crate::reply::reason::Reason;
use crate::reply::rejection::Rejection;
use crate::reply::render::{pass_middlewares, render_for};
use crate::request::context::{Received, RequestContext};
use crate::request::routing::{NextStep, receive};
use crate::stream::downstream::{Downstream, DownstreamError};
use crate::stream::upstream_error::UpstreamErrorKind;
use crate::trace::request_trace::{self, RequestTrace};
use crate::upstream::error;

/// Memory that a stream of HTTP/2 takes beside its head: its state and a buffer.
const STREAM_BYTES: usize = 24 * 1024;

const BODY_TOO_LARGE: &str = "the body is larger than the route allows";
const RESPONSE_TOO_LARGE: &str = "the answer is larger than the route allows";

/// How a request ended, for the record.
struct Ending {
    /// The status that the client got; 0 if it got none.
    status: u16,
    /// Why the response is not whole, or not there.
    error: Option<Cow<'static, str>>,
    cut: Option<CutReason>,
}

impl Ending {
    fn whole(status: u16) -> Self {
        Self { status, error: None, cut: None }
    }

    /// The client is no longer there, or takes nothing.
    fn of_client(status: u16, error: DownstreamError) -> Self {
        let cut = match error {
            DownstreamError::Gone => Some(CutReason::ClientGone),
            DownstreamError::Stalled => Some(CutReason::ClientStalled),
            DownstreamError::Rejected(_) => None,
        };
        Self { status, error: Some(error.to_string().into()), cut }
    }
}

/// A request that has begun, with all that its record is made of. It is recorded once, however it ends: by its
/// [`Ending`], or when it is dropped, since its connection was cut, its stream was reset, or a panic came.
struct Recorded<'r, D: Downstream> {
    worker: &'r Worker,
    connection: &'r Arc<ClientConnection>,
    exchange: &'r mut Exchange,
    client: &'r mut D,
    is_recorded: bool,
}

impl<'r, D: Downstream> Recorded<'r, D> {
    fn begin(
        worker: &'r Worker,
        connection: &'r Arc<ClientConnection>,
        exchange: &'r mut Exchange,
        client: &'r mut D,
    ) -> Self {
        exchange.context.begin();
        Self { worker, connection, exchange, client, is_recorded: false }
    }

    fn end(mut self, ending: &Ending) {
        self.record(ending);
    }

    fn record(&mut self, ending: &Ending) {
        self.is_recorded = true;
        let outcome = RequestOutcome {
            status: ending.status,
            bytes_in: self.client.body_bytes_received(),
            bytes_out: self.client.body_bytes_sent(),
            error: ending.error.as_deref(),
            cut: ending.cut,
        };
        let Exchange { head, context, response, replay, trace, .. } = &mut *self.exchange;
        let (shared, trace) = (&self.worker.shared, trace.take());
        let ended =
            request_log::record(shared, (&*head, &*response), self.connection, (context, trace.as_deref()), outcome);
        context.end();
        replay.reset();
        self.exchange.ended = Some(ended);
    }

    /// How the request ended whose future is dropped now; none if somebody else records it.
    fn dropped(&self) -> Option<Ending> {
        let context = &self.exchange.context;
        let (cut, said) = if std::thread::panicking() {
            // The session of the connection still answers it, by a request of its own to be recorded.
            if self.exchange.head.version >= Version::HTTP_2 && context.begun.is_none() {
                return None;
            }
            (CutReason::Internal, "a panic of ours")
        } else if context.endpoint().is_some_and(|endpoint| endpoint.state.is_drained()) {
            (CutReason::EndpointLeft, "its endpoint has left")
        } else {
            (CutReason::ConnectionCut, "its connection was cut")
        };
        let status = context.begun.map_or(0, |status| status.as_u16());
        Some(Ending { status, error: Some(said.into()), cut: Some(cut) })
    }
}

impl<D: Downstream> Drop for Recorded<'_, D> {
    fn drop(&mut self) {
        if !self.is_recorded
            && let Some(ending) = self.dropped()
        {
            // A panic within a panic would end the process.
            let _ = guarded(|| self.record(&ending));
        }
    }
}

/// Serves the request whose head is in `exchange`, up to the end of its response, and records it.
pub(crate) async fn serve<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &mut D,
) {
    let recorded = Recorded::begin(worker, connection, exchange, client);
    if let Some(tracer) = &worker.shared.tracer {
        recorded.exchange.trace = request_trace::begin(tracer, connection, &mut recorded.exchange.head);
    }
    let place = match admit(worker, connection, &recorded.exchange.head) {
        Ok(place) => place,
        Err(refused) => {
            let ending = Box::pin(reply(worker, recorded.exchange, recorded.client, refused)).await;
            return recorded.end(&ending);
        }
    };
    let (exchange, client) = (&mut *recorded.exchange, &mut *recorded.client);
    let step = receive(&worker.shared, &exchange.head, connection, &mut exchange.context);
    let ending = match step {
        NextStep::Serve => proxy(worker, connection, exchange, client).await,
        NextStep::Hold if exchange.context.is_at_gate() => {
            Box::pin(hold_behind_gate(worker, connection, exchange, client)).await
        }
        // On the heap, so that this future stays small.
        step @ (NextStep::Hold | NextStep::Reply(_)) => {
            Box::pin(wait_or_reply(worker, connection, exchange, client, step)).await
        }
    };
    recorded.end(&ending);
    drop(place);
}

/// What a request holds while it is under way, beside what its connection holds.
type Place = (Option<CountedRequest>, MemoryLease);

/// Takes what a request needs. Over HTTP/1 the connection has it already.
fn admit(worker: &Worker, connection: &ClientConnection, head: &RequestHead) -> Result<Option<Place>, LocalReply> {
    let shared = &worker.shared;
    let busy = |what: &str, detail: &'static str| {
        shared.metrics.shed.with_label_values(&[what]).inc();
        let reply = FailureReply::new(Reason::Overloaded).with_retry_after(RETRY_AFTER).with_detail(detail);
        // What is refused has no lease, so it must not be able to stay.
        Err(if head.version < Version::HTTP_2 { reply } else { reply.without_body() }.into())
    };
    if shared.overload.memory.is_used_up() {
        return busy("request", "the memory of Gangway is nearly used up");
    }
    if head.version < Version::HTTP_2 {
        return Ok(None);
    }
    let bytes = STREAM_BYTES + head.fields.wire_len();
    let counted = match &connection.account {
        None => None,
        Some(account) => match account.begin_request(shared.settings.limits.requests_per_address, bytes) {
            Some(counted) => Some(counted),
            None => return busy("request-of-address", "the client has too many requests under way"),
        },
    };
    Ok(Some((counted, shared.overload.memory.lease(bytes))))
}

/// Answers a request that is rejected before its head was whole, and records it.
pub(crate) async fn reject<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &mut D,
    rejection: Rejection,
) {
    let recorded = Recorded::begin(worker, connection, exchange, client);
    recorded.exchange.context.received = Received::NoHead;
    let ending = reply(worker, recorded.exchange, recorded.client, rejection.into()).await;
    recorded.end(&ending);
}

/// Handles a request that cannot simply be served: waits for the first table or for an endpoint, or replies.
async fn wait_or_reply<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &mut D,
    step: NextStep,
) -> Ending {
    match held(worker, connection, exchange, client).wait_or_reply(step).await {
        AfterWait::Serve => proxy(worker, connection, exchange, client).await,
        AfterWait::Reply(local) => reply_after_wait(worker, connection, exchange, client, local).await,
        AfterWait::ClientGone => not_waited_for(worker, exchange, client).await,
    }
}

/// Answers a request that has waited. The route that the wait has ended with may be another one than it began with.
async fn reply_after_wait<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &mut D,
    local: LocalReply,
) -> Ending {
    // A refusal says nothing of the application; anything else is for clients that are let in.
    if local.reason().is_none() && exchange.context.is_at_gate() {
        let stopped = pass_gate(worker, connection, exchange, client).await.err();
        return end_at_gate(worker, exchange, client, stopped.unwrap_or(AtGateEnd::Reply(local))).await;
    }
    reply(worker, exchange, client, local).await
}

/// Holds a request whose client is let in.
async fn hold_behind_gate<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &mut D,
) -> Ending {
    match pass_gate(worker, connection, exchange, client).await {
        Ok(()) => wait_or_reply(worker, connection, exchange, client, NextStep::Hold).await,
        Err(stopped) => end_at_gate(worker, exchange, client, stopped).await,
    }
}

/// Why a request ends at the gate of its route.
enum AtGateEnd {
    Reply(LocalReply),
    Client(DownstreamError),
}

/// Lets the request past the gate of its route, or says why not. A client that goes while a service is asked is not waited
/// for. The check of a password goes on without its client: otherwise a wrong one would not be counted.
async fn pass_gate<D: Downstream>(
    worker: &Worker,
    connection: &ClientConnection,
    exchange: &mut Exchange,
    client: &mut D,
) -> Result<(), AtGateEnd> {
    let (request, passage) = at_gate(worker, connection, exchange)?;
    let route = Arc::clone(&request.active.route);
    if passage.is_for(&route) {
        return Ok(());
    }
    passage.begin();
    for guard in guards(&route) {
        let (request, _) = at_gate(worker, connection, exchange)?;
        if let Some(held) = guard.wanted_body(request.head, request.admission) {
            let Exchange { head, context, replay, .. } = &mut *exchange;
            let allowed = context.routed.as_ref().and_then(|routed| routed.bounds.request);
            let (memory, account) = (&worker.shared.overload.memory, connection.account.as_ref());
            hold_body(client, head, replay, HoldBounds { held, allowed, memory, account }).await.map_err(not_held)?;
        }
        let (request, passage) = at_gate(worker, connection, exchange)?;
        let passing = pin!(worker.shared.access.pass(guard, request, passage));
        let outcome = match guard.asks_service() {
            true => unless_client_goes(client, passing).await.map_err(AtGateEnd::Client)?,
            false => passing.await,
        };
        outcome.map_err(AtGateEnd::Reply)?;
    }
    exchange.context.passage.finish(&route);
    Ok(())
}

/// The request as the gate of its route sees it, and what it has passed.
fn at_gate<'e>(
    worker: &'e Worker,
    connection: &'e ClientConnection,
    exchange: &'e mut Exchange,
) -> Result<(AtGate<'e>, &'e mut Passage), AtGateEnd> {
    let Exchange { head, context, replay, .. } = exchange;
    let RequestContext { started, received, routed, passage, .. } = context;
    let (Received::Admitted(admission), Some(routed)) = (received, routed) else {
        return Err(AtGateEnd::Reply(FailureReply::new(Reason::Internal).into()));
    };
    let request = AtGate {
        head,
        admission,
        started: *started,
        body: replay.bytes(),
        connection,
        active: &routed.active,
        connector: &worker.connector,
        public_https_port: worker.shared.settings.public_https_port,
    };
    Ok((request, passage))
}

/// Lets the request past the gate of a route that has only limits.
fn pass_limits(worker: &Worker, connection: &ClientConnection, exchange: &mut Exchange) -> Result<(), AtGateEnd> {
    let (request, passage) = at_gate(worker, connection, exchange)?;
    worker.shared.access.pass_limits(&request, passage).map_err(AtGateEnd::Reply)
}

/// How a request ends whose body cannot be held.
fn not_held(error: HoldError) -> AtGateEnd {
    let reply = match error {
        HoldError::Client(error) => return AtGateEnd::Client(error),
        HoldError::TooLarge => FailureReply::new(Reason::BodyTooLarge).with_detail(BODY_TOO_LARGE),
        HoldError::NoMemory => FailureReply::new(Reason::Overloaded)
            .with_retry_after(RETRY_AFTER)
            .with_detail("the memory of Gangway is nearly used up"),
        HoldError::Gone => FailureReply::new(Reason::Internal),
    };
    AtGateEnd::Reply(reply.into())
}

async fn end_at_gate<D: Downstream>(
    worker: &Worker,
    exchange: &mut Exchange,
    client: &mut D,
    end: AtGateEnd,
) -> Ending {
    match end {
        AtGateEnd::Reply(local) => reply(worker, exchange, client, local).await,
        AtGateEnd::Client(error) => fail(worker, exchange, client, AttemptFailure::last(error.into())).await,
    }
}

fn held<'a, D: Downstream>(
    worker: &'a Worker,
    connection: &'a Arc<ClientConnection>,
    exchange: &'a mut Exchange,
    client: &'a mut D,
) -> Held<'a, impl FnMut(&mut Context<'_>) -> Poll<()> + use<'a, D>> {
    Held {
        shared: &worker.shared,
        head: &exchange.head,
        connection,
        ctx: &mut exchange.context,
        client_gone: |cx: &mut Context<'_>| match client.poll_gone(cx) {
            Poll::Pending if !client.may_have_gone() => Poll::Pending,
            Poll::Pending | Poll::Ready(_) => Poll::Ready(()),
        },
    }
}

/// Ends a request that waits for nothing any more, since its client has gone or may have. A client that has only ended
/// its sending side learns at once that there is no endpoint.
async fn not_waited_for<D: Downstream>(worker: &Worker, exchange: &mut Exchange, client: &mut D) -> Ending {
    if !client.may_have_gone() {
        client.cut();
        return Ending::of_client(0, DownstreamError::Gone);
    }
    let local = match &exchange.context.routed {
        Some(routed) => no_endpoint(&routed.active),
        None => FailureReply::new(Reason::NotReady).with_retry_after(RETRY_AFTER),
    };
    reply(worker, exchange, client, local.into()).await
}

/// Sends the request to an endpoint, and to others as long as that is of use.
async fn proxy<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &mut D,
) -> Ending {
    worker.retry_budget.pay();
    exchange.replay.keep(exchange.head.method.is_idempotent());
    loop {
        // Each time: the route may be another one now.
        let passed = match exchange.context.gate() {
            GateKind::Open => Ok(()),
            GateKind::Limits => pass_limits(worker, connection, exchange),
            GateKind::MayWait => Box::pin(pass_gate(worker, connection, exchange, client)).await,
        };
        if let Err(end) = passed {
            return Box::pin(end_at_gate(worker, exchange, client, end)).await;
        }
        if cached::is_wanted(exchange) {
            match Box::pin(cached::look_up(worker, connection, exchange, client)).await {
                Ok(LookedUp::Forward) => {}
                looked_up => {
                    return Box::pin(answered_by_cache(worker, exchange, client, looked_up.map(drop))).await;
                }
            }
        }
        let tried = attempt(worker, connection, exchange, client).await;
        if let Some(trace) = &mut exchange.trace {
            end_try(trace, &tried, &exchange.response);
        }
        let failure = match tried {
            Ok(()) => return Ending::whole(exchange.response.status.as_u16()),
            Err(failure) => failure,
        };
        let failure = match cached::replacement(exchange, failure) {
            Ok(Replacement::AskAgain) => continue,
            Ok(Replacement::Stored(stored, outcome)) => {
                let sent = Box::pin(cached::send(worker, exchange, client, &stored, outcome)).await;
                return Box::pin(answered_by_cache(worker, exchange, client, sent)).await;
            }
            Err(failure) => failure,
        };
        if !failure.may_retry {
            return Box::pin(fail(worker, exchange, client, failure)).await;
        }
        worker.shared.metrics.retries.inc();
        if let Some(routed) = &exchange.context.routed {
            routed.active.history.retried();
        }
        match Box::pin(held(worker, connection, exchange, client).reconsider()).await {
            AfterWait::Serve => {}
            AfterWait::Reply(local) => {
                return Box::pin(reply_after_wait(worker, connection, exchange, client, local)).await;
            }
            AfterWait::ClientGone => return Box::pin(not_waited_for(worker, exchange, client)).await,
        }
    }
}

/// Notes how a try ended, for its span.
#[cold]
fn end_try(trace: &mut RequestTrace, tried: &Result<(), AttemptFailure>, response: &ResponseHead) {
    let answered = Some(response.status.as_u16());
    let (status, error) = match tried {
        Ok(()) | Err(AttemptFailure { error: TransferError::KeptAnswer(_), .. }) => (answered, None),
        Err(failure) => (answered.filter(|_| failure.has_begun), Some(failure.error.token())),
    };
    trace.end_try(status, error);
}

/// Ends a request whose answer came from a cache.
async fn answered_by_cache<D: Downstream>(
    worker: &Worker,
    exchange: &mut Exchange,
    client: &mut D,
    sent: Result<(), TransferError>,
) -> Ending {
    match sent {
        Ok(()) => Ending::whole(exchange.response.status.as_u16()),
        Err(error) => {
            let has_begun = exchange.context.begun.is_some();
            fail(worker, exchange, client, AttemptFailure { has_begun, ..AttemptFailure::last(error) }).await
        }
    }
}

/// Ends a request that failed for good: by a reply if none has begun, or by a response that looks cut.
async fn fail<D: Downstream>(
    worker: &Worker,
    exchange: &mut Exchange,
    client: &mut D,
    failure: AttemptFailure,
) -> Ending {
    let AttemptFailure { error, has_begun, .. } = failure;
    let context = &mut exchange.context;
    let mut cut = None;
    let (said, local): (Cow<'static, str>, Option<LocalReply>) = match error {
        TransferError::Downstream(error) => {
            cut = Ending::of_client(0, error).cut;
            (error.to_string().into(), error::reply_for_client(error))
        }
        TransferError::BodyTooLarge => {
            (BODY_TOO_LARGE.into(), Some(FailureReply::new(Reason::BodyTooLarge).with_detail(BODY_TOO_LARGE).into()))
        }
        TransferError::ResponseTooLarge => {
            let reply = FailureReply::new(Reason::ResponseTooLarge).with_detail(RESPONSE_TOO_LARGE);
            (RESPONSE_TOO_LARGE.into(), Some(reply.into()))
        }
        // It was handled where it arose.
        TransferError::PageWanted | TransferError::KeptAnswer(_) | TransferError::Internal => {
            ("a fault of ours".into(), Some(FailureReply::new(Reason::Internal).into()))
        }
        TransferError::Upstream(error) => {
            cut = (has_begun && error.kind == UpstreamErrorKind::Drained).then_some(CutReason::EndpointLeft);
            let reply = FailureReply::new(error::reason_for(error.kind));
            let reply = match context.endpoint() {
                Some(endpoint) => reply.with_detail(error::error_detail(&error, endpoint)),
                None => reply.with_detail(error.detail.clone()),
            };
            (error.detail, Some(reply.into()))
        }
    };
    match local {
        Some(local) if !has_begun => {
            tracing::debug!(error = %said, "a request failed");
            client.close_after_response();
            reply(worker, exchange, client, local).await
        }
        local => {
            context.reply.reason = local.as_ref().filter(|_| cut.is_none()).and_then(LocalReply::reason);
            let status = if has_begun { exchange.response.status.as_u16() } else { 0 };
            client.cut();
            Ending { status, error: Some(said), cut }
        }
    }
}

/// Sends a reply of our own.
async fn reply<D: Downstream>(worker: &Worker, exchange: &mut Exchange, client: &mut D, reply: LocalReply) -> Ending {
    if reply.closes() {
        client.close_after_response();
    }
    let (mut head, mut body) = render_for(&worker.shared, &exchange.head, &mut exchange.context, &reply);
    // On the heap, so that this future stays small.
    let page = match is_page_wanted(exchange, &head) {
        true => Box::pin(page(worker, exchange, client, &head)).await,
        false => None,
    };
    if let Some(page) = &page {
        body = page::replace(page, &exchange.head, &mut head);
    }
    pass_middlewares(&exchange.context, &exchange.head, &mut head);
    let status = head.status.as_u16();
    match send(&mut exchange.context, client, &head, body).await {
        Ok(()) => Ending::whole(status),
        Err(error) => {
            tracing::debug!(?error, "failed to send a reply of our own");
            client.cut();
            Ending { error: Some("the client took no reply".into()), ..Ending::of_client(status, error) }
        }
    }
}

/// Whether the route of a request may have a page for a reply.
fn is_page_wanted(exchange: &Exchange, reply: &ResponseHead) -> bool {
    let routed = exchange.context.routed.as_ref();
    routed.is_some_and(|routed| lookup::is_wanted(&routed.active, &exchange.head, reply))
}

/// The page for a reply, unless the client goes first.
async fn page<D: Downstream>(
    worker: &Worker,
    exchange: &mut Exchange,
    client: &mut D,
    reply: &ResponseHead,
) -> Option<Page> {
    let Exchange { head, context, .. } = exchange;
    let request_id = context.request_id().to_owned();
    let active = &context.routed.as_ref()?.active;
    let sources = PageSources { shared: &worker.shared, connector: &worker.connector };
    let request = (&*head, context.admission()?);
    unless_client_goes(client, lookup::find(&sources, active, request, reply, &request_id)).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tokio::io::duplex;
    use tokio::sync::watch;

    use super::*;
    use crate::downstream::http1::session::Http1Session;
    use crate::downstream::listener_profile::Leaving;
    use crate::lifecycle::Lifecycle;
    use crate::limits::Limits;
    use crate::log::access_log::AccessLog;
    use crate::metrics::Metrics;
    use crate::samples::{self, SampleState};
    use crate::settings::{AccessLogFormat, AccessLogTarget};
    use crate::upstream::connector::Connector;

    /// The lines that a request leaves whose future ends as `end` does.
    fn lines_after(end: impl Fn(&mut Exchange)) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("access.log");
        let mut shared = SampleState::new().shared;
        let dropped = Metrics::new(&prometheus::Registry::new()).expect("fresh registry").access_log_dropped;
        let target = AccessLogTarget::File(log.clone());
        shared.access_log = AccessLog::start(&target, AccessLogFormat::Text, dropped).expect("a file");
        let connector = Connector::new(&shared.connector);
        let worker = Worker::new(shared, connector);
        let connection = Arc::new(samples::connection(false));
        let (_client, io) = duplex(64);
        let (_phase, phases) = watch::channel(Lifecycle::Serving);
        let memory = worker.shared.overload.memory.clone();
        let leaving = Leaving::new(Arc::default(), Arc::clone(&connection.listener));
        let mut session = Http1Session::new(io, &Limits::default(), memory, leaving, phases);
        let mut exchange = Exchange { head: RequestHead::of_test("GET", "/cut", &[]), ..Exchange::default() };
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let recorded = Recorded::begin(&worker, &connection, &mut exchange, &mut session);
            end(recorded.exchange);
        }));
        worker.shared.access_log.flush();
        std::fs::read_to_string(&log).expect("a log")
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_or_panics_leaves_one_line() {
        let cut = lines_after(|_| {});
        assert!(cut.lines().count() == 1 && cut.contains("/cut HTTP/1.1 0 "), "{cut}");
        assert!(cut.contains(" reason=connection-cut "), "{cut}");
        let begun = lines_after(|exchange| exchange.context.begun = Some(http::StatusCode::OK));
        assert!(begun.lines().count() == 1 && begun.contains("/cut HTTP/1.1 200 "), "{begun}");
        let panicked = lines_after(|_| panic!("on purpose"));
        assert!(panicked.lines().count() == 1 && panicked.contains(" reason=internal "), "{panicked}");
        let by_session = lines_after(|exchange| {
            exchange.head.version = Version::HTTP_2;
            panic!("on purpose");
        });
        assert_eq!(by_session, "", "the session answers it, and that is recorded");
    }
}
