//! One try of a request at an endpoint.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Version};
use tokio::time::Instant;

use crate::app_hints::search::{Answered, Search};
use crate::cache::recorder::Recorder;
use crate::cache::run::Verdict;
use crate::compression::{self, body_encoder::BodyEncoder};
use crate::downstream::connection::ClientConnection;
use crate::exchange::client_wait::unless_client_goes;
use crate::exchange::send::send;
use crate::exchange::state::Exchange;
use crate::exchange::transfer::{Transfer, TransferError, TransferParts, TransferRules};
use crate::exchange::worker::Worker;
use crate::message::body_length::BodyLength;
use crate::message::field_kind::FieldKind;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::pages::lookup::{self, PageSources};
use crate::pages::page;
use crate::panic_guard::guarded;
use crate::request::context::{RequestContext, Routing};
use crate::request::{client_response, upgrade, upstream_request};
use crate::serving_table::{ActiveEndpoint, ActiveRoute};
use crate::settings::TraefikLog;
use crate::stream::downstream::{Downstream, DownstreamError};
use crate::stream::upstream_error::{UpstreamError, UpstreamErrorKind};
use crate::stream::upstream_request::UpstreamRequest;
use crate::upstream::choice::{self, Choice, ChosenBy};
use crate::upstream::connector::ConnectionNeed;
use crate::upstream::dedicated::{self, ConnectionOwner};
use crate::upstream::endpoint_state::EndpointHealth;
use crate::upstream::error::{self, BodySent, FailedTry, TRIES_MAX, UpstreamConnection};
use crate::upstream::subrequest;

/// How often a waiting request is sent to an endpoint that looks ready but cannot be reached. Without this bound, a
/// container that crashes again and again would keep the request busy.
const UNREACHED_MAX: usize = 10;

/// Why a try failed.
pub(super) struct AttemptFailure {
    pub(super) error: TransferError,
    /// Whether the client was given the head of a response.
    pub(super) has_begun: bool,
    /// Whether the request may be sent again.
    pub(super) may_retry: bool,
}

impl AttemptFailure {
    /// A failure after which the request is not sent again, and nothing was sent to the client.
    pub(super) fn last(error: TransferError) -> Self {
        Self { error, has_begun: false, may_retry: false }
    }
}

/// Sends the request to an endpoint of its route and relays the response.
pub(super) async fn attempt<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &mut D,
) -> Result<(), AttemptFailure> {
    let internal = || AttemptFailure::last(TransferError::Internal);
    let Exchange { head, context, response, upstream_fields, replay, timer, trace, client_timer: _, ended: _ } =
        exchange;
    context.begin_try();
    let Some(Routing { admission, routed, .. }) = context.routing() else { return Err(internal()) };
    let active = Arc::clone(&routed.active);
    let (is_upgrade, client_address) = (routed.is_upgrade, admission.origin.client);
    context.attempt.owner = choice::owner(head, connection, client_address);
    let choice = choice::choose(&active, head, connection, &context.attempt, client_address);
    let Some(Choice { position, endpoint, by }) = choice else { return Err(internal()) };
    context.attempt.is_new_to_endpoint = by != ChosenBy::Client;
    context.attempt.chosen = Some(position);
    context.attempt.in_flight = Some(endpoint.state.begin());
    if let Some(trace) = trace {
        trace.begin_try(head, endpoint);
    }
    let need = ConnectionNeed {
        owner: context.attempt.owner,
        client: Some(connection),
        is_upgrade,
        is_repeatable: head.method.is_idempotent(),
        connect_timeout: active.route.timeouts.connect,
    };
    let mut has_waited = context.attempt.tries > 1 || context.hold.until.is_some() || context.is_at_gate();
    let mut stream = match worker.connector.checkout(endpoint, &need) {
        Some(stream) => stream,
        None => {
            has_waited = true;
            // On the heap, so that this future stays small.
            let connecting = Box::pin(worker.connector.connect(endpoint, &need));
            match unless_client_goes(client, connecting).await {
                Ok(Ok(stream)) => {
                    endpoint.state.connected();
                    stream
                }
                Ok(Err(error)) if error.kind == UpstreamErrorKind::Exhausted => {
                    return Err(AttemptFailure::last(error.into()));
                }
                Ok(Err(error)) => return Err(unreached(worker, endpoint, context, error)),
                Err(error) => return Err(AttemptFailure::last(error.into())),
            }
        }
    };
    let prepared = guarded(|| {
        let settings = &worker.shared.settings;
        let routing = context.routing()?;
        let version = stream.version();
        Some(upstream_request::prepare(head, routing, connection, endpoint, version, settings, upstream_fields))
    });
    let target = match prepared {
        Ok(Some(Ok(target))) => target,
        Ok(Some(Err(rejection))) => return Err(AttemptFailure::last(DownstreamError::Rejected(rejection).into())),
        Ok(None) | Err(_) => return Err(internal()),
    };
    if let Some(trace) = trace {
        trace.asks(endpoint, &target, stream.version());
    }
    if let Some(run) = &mut context.cache {
        run.change_upstream_fields(upstream_fields);
    }
    let is_last = matches!(context.attempt.owner, ConnectionOwner::Request);
    let started = stream.start_request(&UpstreamRequest {
        method: &head.method,
        target: &target,
        fields: upstream_fields,
        body: head.body,
        is_upgrade,
        is_last,
    });
    upstream_fields.release();
    // The clock is not asked again where no time has passed.
    let sent = if has_waited { Instant::now() } else { context.started };
    context.attempt.sent = Some(sent);
    let has_body = head.body != BodyLength::Empty;
    let is_reused = stream.is_reused();
    let may_wait = is_upgrade || accepts_events(head);
    let may_have_page = active.pages.is_some();
    let rules = Rules {
        worker,
        connection,
        head,
        context,
        active: &active,
        endpoint,
        sent,
        is_upgrade,
        may_wait,
        may_have_page,
        onlookers: None,
    };
    let parts = TransferParts { client, endpoint: &mut stream, response, replay, timer, rules };
    let mut transfer = Transfer::new(parts, has_body);
    let mut outcome = match started {
        Ok(()) => poll_fn(|cx| transfer.poll(cx)).await,
        Err(error) => Err(error.into()),
    };
    let mut has_begun_page = false;
    if let Err(TransferError::PageWanted) = outcome {
        outcome = match Box::pin(answer_by_page(&mut transfer)).await {
            Ok(ByPage::Sent) => {
                if transfer.is_request_sent() {
                    subrequest::skip_what_has_come(&mut stream).await;
                    worker.connector.release(stream);
                }
                return Ok(());
            }
            Ok(ByPage::None) => poll_fn(|cx| transfer.poll(cx)).await,
            Err(error) => {
                has_begun_page = transfer.parts().rules.context.begun.is_some();
                Err(error)
            }
        };
    }
    if let Err(TransferError::KeptAnswer(_)) = &outcome
        && transfer.is_request_sent()
    {
        subrequest::skip_what_has_come(&mut stream).await;
        worker.connector.release(stream);
        return outcome.map_err(AttemptFailure::last);
    }
    let (is_request_sent, has_begun) = (transfer.is_request_sent(), transfer.has_begun_response() || has_begun_page);
    match outcome {
        Ok(()) => {
            // Otherwise the connection closes: nobody may read the rest of this request as another one.
            if is_request_sent {
                worker.connector.release(stream);
            }
            Ok(())
        }
        Err(error) => {
            let may_retry = match &error {
                TransferError::Upstream(error) => {
                    let failed = FailedTry {
                        method: &head.method,
                        tries: context.attempt.tries,
                        is_answered: has_begun,
                        body: match (has_body, client.body_bytes_received()) {
                            (false, _) => BodySent::NoBody,
                            (true, 0) => BodySent::Nothing,
                            (true, _) if replay.is_whole() => BodySent::AtHand,
                            (true, _) => BodySent::Gone,
                        },
                        connection: match is_reused {
                            true => UpstreamConnection::Reused,
                            false => UpstreamConnection::Fresh,
                        },
                    };
                    error::may_retry(error.kind, failed) && worker.retry_budget.spend()
                }
                TransferError::Downstream(_)
                | TransferError::BodyTooLarge
                | TransferError::ResponseTooLarge
                | TransferError::PageWanted
                | TransferError::KeptAnswer(_)
                | TransferError::Internal => false,
            };
            if may_retry {
                context.attempt.failed.push(Arc::clone(&endpoint.state));
            }
            Err(AttemptFailure { error, has_begun, may_retry })
        }
    }
}

/// What became of an error for which a page was wanted.
enum ByPage {
    /// The client has got a page.
    Sent,
    /// There is none, and the response is relayed.
    None,
}

/// Sends a page in place of the response whose head is at hand, if there is one.
async fn answer_by_page<D: Downstream>(transfer: &mut Transfer<'_, D, Rules<'_>>) -> Result<ByPage, TransferError> {
    let TransferParts { client, response, rules, .. } = transfer.parts();
    rules.may_have_page = false;
    let found = {
        let Rules { worker, head, context, active, .. } = rules;
        let request_id = context.request_id().to_owned();
        let sources = PageSources { shared: &worker.shared, connector: &worker.connector };
        match context.admission() {
            Some(admission) => {
                let finding = lookup::find(&sources, active, (head, admission), response, &request_id);
                unless_client_goes(*client, finding).await?
            }
            None => None,
        }
    };
    lookup::vary_by_audience(rules.active, response);
    let Some(page) = found else {
        return transfer.resume().map(|()| ByPage::None);
    };
    let mut body = page::replace(&page, rules.head, response);
    if let Some(encoder) = rules.on_response(response)? {
        body = encoder.encode_whole(&body).map_err(|_| TransferError::Internal)?;
    }
    send(rules.context, *client, response, body).await?;
    Ok(ByPage::Sent)
}

/// Notes that an endpoint could not be connected to, and decides whether the request tries on.
fn unreached(
    worker: &Worker,
    endpoint: &ActiveEndpoint,
    context: &mut RequestContext,
    error: UpstreamError,
) -> AttemptFailure {
    context.attempt.in_flight = None;
    let state = &endpoint.state;
    state.connect_failed();
    state.note_trouble(error::trouble(error.kind));
    if error::is_unreachable(error.kind) && state.mark_unreachable() {
        worker.shared.suspects.note(&endpoint.key);
    }
    context.attempt.unreached += 1;
    // Nothing was sent, so a request with any method may go to another endpoint. It may also wait for the only
    // endpoint there is, which is soon back if its container has just been started or is being replaced.
    let in_time = context.hold.until.is_none_or(|until| Instant::now() < until);
    let is_awaited = state.health() == EndpointHealth::Failing && context.attempt.unreached < UNREACHED_MAX && in_time;
    context.attempt.failed.push(Arc::clone(state));
    let may_retry = context.attempt.tries < TRIES_MAX || is_awaited;
    AttemptFailure { error: error.into(), has_begun: false, may_retry }
}

/// The rules of one try.
struct Rules<'r> {
    worker: &'r Worker,
    connection: &'r Arc<ClientConnection>,
    head: &'r mut RequestHead,
    context: &'r mut RequestContext,
    active: &'r ActiveRoute,
    endpoint: &'r ActiveEndpoint,
    sent: Instant,
    is_upgrade: bool,
    /// Whether the response may begin late: a WebSocket, an event stream.
    may_wait: bool,
    /// Whether the route has pages for errors, and none was looked for.
    may_have_page: bool,
    /// Look at the response on its way; few responses have any.
    onlookers: Option<Box<Onlookers>>,
}

/// What looks at a response while it passes.
#[derive(Default)]
struct Onlookers {
    /// Keeps it.
    recorder: Option<Box<Recorder>>,
    /// Looks for what an application refuses because of its own settings.
    search: Option<Search>,
    /// The bytes that may still come, where the route bounds them.
    left: Option<u64>,
}

impl Rules<'_> {
    fn prepare_response(&mut self, response: &mut ResponseHead) -> Result<Option<BodyEncoder>, TransferError> {
        if let Some(run) = &mut self.context.cache {
            match run.on_response(response, lookup::has_rule(self.active, response.status.as_u16())) {
                Verdict::Relay(None) => {}
                Verdict::Relay(recorder) => self.onlookers.get_or_insert_default().recorder = recorder,
                Verdict::Replace(replacement) => return Err(TransferError::KeptAnswer(Box::new(replacement))),
            }
        }
        if self.may_have_page && lookup::is_wanted(self.active, self.head, response) {
            return Err(TransferError::PageWanted);
        }
        // What comes after a switch of the protocol is no body.
        if let Some(max) = self.context.routed.as_ref().and_then(|routed| routed.bounds.response)
            && response.status != StatusCode::SWITCHING_PROTOCOLS
        {
            if matches!(response.body, BodyLength::Sized(len) if len > max) {
                return Err(TransferError::ResponseTooLarge);
            }
            self.onlookers.get_or_insert_default().left = Some(max);
        }
        // One comparison sorts out nearly all responses.
        if !(200..400).contains(&response.status.as_u16()) {
            self.look_at_unusual(response)?;
        }
        let (context, state) = (&mut *self.context, &self.endpoint.state);
        if self.worker.shared.access_log.is_on() {
            context.attempt.first_byte = Some(Instant::now());
        }
        context.hold.released = None;
        if self.head.version < Version::HTTP_2
            && dedicated::challenges(response)
            && let Some(admission) = context.admission()
        {
            self.connection.dedicated.begin(admission.origin.client);
        }
        if client_response::ends_with_endpoint(self.head, response)
            && let Some(task) = self.connection.idle.as_ref().and_then(|mark| mark.task())
        {
            state.end_with_endpoint(task.clone());
        }
        client_response::prepare(context, self.head, response);
        if let Some(run) = &context.cache {
            let outcome = run.outcome();
            self.worker.shared.metrics.cache_requests.with_label_values(&[outcome.label()]).inc();
            outcome.tell(response);
        }
        context.begun = Some(response.status);
        let Some(offered) = self.active.route.compression() else { return Ok(None) };
        let memory = &self.worker.shared.overload.memory;
        let coding = compression::response::on_response(offered, self.head, memory.is_plentiful(), response);
        Ok(coding.map(|coding| BodyEncoder::new(coding, memory)))
    }

    /// Refuses a 101 that nobody has asked for, and begins to look at what may be a refusal.
    #[cold]
    fn look_at_unusual(&mut self, response: &ResponseHead) -> Result<(), TransferError> {
        let is_switch = response.status == StatusCode::SWITCHING_PROTOCOLS;
        if is_switch && !(self.is_upgrade && upgrade::accepts(self.head, response)) {
            let detail = "a 101 that was not asked for";
            return Err(UpstreamError::new(UpstreamErrorKind::Malformed, detail).into());
        }
        let Some(Routing { admission, routed, .. }) = self.context.routing() else { return Ok(()) };
        let answered = Answered {
            head: self.head,
            admission,
            active: &routed.active,
            endpoint: self.endpoint,
            news: &self.worker.shared.refused,
        };
        if let Some(search) = Search::begin(&answered, response) {
            self.onlookers.get_or_insert_default().search = Some(search);
        }
        Ok(())
    }
}

impl Onlookers {
    /// Shows them a piece of the body. Returns whether one of them looks on.
    fn push(&mut self, data: &[u8]) -> Result<bool, TransferError> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(data.len() as u64).ok_or(TransferError::ResponseTooLarge)?;
        }
        if self.recorder.as_mut().is_some_and(|recorder| !recorder.push(data)) {
            self.recorder = None;
        }
        if self.search.as_mut().is_some_and(|search| !search.push(data)) {
            self.search = None;
        }
        Ok(self.recorder.is_some() || self.search.is_some() || self.left.is_some())
    }
}

impl TransferRules for Rules<'_> {
    fn on_response(&mut self, head: &mut ResponseHead) -> Result<Option<BodyEncoder>, TransferError> {
        let encoder = guarded(|| self.prepare_response(head)).unwrap_or(Err(TransferError::Internal))?;
        // The request is not sent again. A download may last long, and only the log asks for fields afterwards.
        self.head
            .fields
            .shrink_to(|field| matches!(field.kind, FieldKind::Host | FieldKind::UserAgent | FieldKind::Referer));
        Ok(encoder)
    }

    fn on_request_data(&mut self, len: usize) -> Result<(), TransferError> {
        let limit = self.context.routed.as_ref().and_then(|routed| routed.bounds.request);
        match limit {
            Some(limit) if self.context.body.exceeds(len, limit) => Err(TransferError::BodyTooLarge),
            Some(_) | None => Ok(()),
        }
    }

    fn on_response_data(&mut self, data: &[u8]) -> Result<(), TransferError> {
        if let Some(onlookers) = &mut self.onlookers
            && !onlookers.push(data)?
        {
            self.onlookers = None;
        }
        Ok(())
    }

    fn on_response_end(&mut self, has_trailers: impl FnOnce() -> bool) {
        // Nothing is kept of trailers, so an answer that has some would not be whole.
        if let Some(recorder) = self.onlookers.take().and_then(|onlookers| onlookers.recorder)
            && !has_trailers()
        {
            recorder.finish();
        }
    }

    fn expects_continue(&self) -> bool {
        self.head.expects_continue
    }

    fn keeps_response_fields(&self) -> bool {
        self.worker.shared.access_log.traefik().is_some_and(TraefikLog::has_response_headers)
    }

    fn is_drained(&self) -> bool {
        self.endpoint.state.is_drained()
    }

    fn response_due(&self) -> Instant {
        // Asked for at the moment when the request is sent; without a body that was at the beginning.
        let sent = if self.head.body == BodyLength::Empty { self.sent } else { Instant::now() };
        sent + if self.may_wait { self.idle_time() } else { self.active.route.timeouts.response }
    }

    fn idle_time(&self) -> Duration {
        self.active.route.timeouts.idle
    }
}

/// Whether the client accepts an event stream, which may pause before and between events for any time.
fn accepts_events(head: &RequestHead) -> bool {
    let accept = head.fields.get(FieldKind::Accept);
    accept.is_some_and(|accept| memchr::memmem::find(accept, b"text/event-stream").is_some())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use gangway_model::Scheme;

    use super::*;
    use crate::samples::SampleState;
    use crate::upstream::samples::{connector, endpoint};

    #[tokio::test]
    async fn endpoints_that_cannot_be_reached_stay_so_and_reach_the_probes_however_many() {
        let worker = Worker::new(SampleState::new().shared, connector());
        let endpoints: Vec<_> = (1..=2000).map(|port| endpoint(Scheme::Http, ([192, 0, 2, 1], port).into())).collect();
        for _ in 0..2 {
            for endpoint in &endpoints {
                let refused = UpstreamError::new(UpstreamErrorKind::Refused, "connection refused");
                let _ = unreached(&worker, endpoint, &mut RequestContext::default(), refused);
                assert_eq!(endpoint.state.health(), EndpointHealth::Failing);
            }
        }
        let suspects: HashSet<_> = worker.shared.suspects.take().await.into_iter().collect();
        assert_eq!(suspects, endpoints.iter().map(|endpoint| endpoint.key.clone()).collect());
    }
}
