//! Answers requests from the cache of their route, and sends what is kept.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, StatusCode};
use tokio::time::Instant;

use crate::cache::conditions;
use crate::cache::run::{CacheRequest, Replacement};
use crate::cache::status::CacheOutcome;
use crate::cache::store::{Found, Missing, RouteCache};
use crate::cache::stored::Stored;
use crate::compression::body_encoder::{BodyEncoder, ENCODED_IN_A_ROW_MAX};
use crate::compression::response::on_response;
use crate::downstream::connection::ClientConnection;
use crate::exchange::attempt::AttemptFailure;
use crate::exchange::client_wait::unless_client_goes;
use crate::exchange::refresh;
use crate::exchange::state::Exchange;
use crate::exchange::transfer::TransferError;
use crate::exchange::worker::Worker;
use crate::message::body_length::BodyLength;
use crate::message::decimal::Decimal;
use crate::message::field_kind::FieldKind;
use crate::panic_guard::guarded;
use crate::reply::render::pass_middlewares;
use crate::request::upstream_request;
use crate::stream::downstream::Downstream;
use crate::upstream::choice;
use crate::upstream::dedicated::ConnectionOwner;

/// How often one request waits for others: each of them may go before its answer is whole.
const WAITS_MAX: usize = 3;

/// What became of a request that was looked up.
pub(super) enum LookedUp {
    /// The application is asked.
    Forward,
    /// The client has got an answer.
    Answered,
}

/// Whether a request has to do with a cache.
pub(super) fn is_wanted(exchange: &Exchange) -> bool {
    let context = &exchange.context;
    context.cache.is_some() || context.routed.as_ref().is_some_and(|routed| routed.active.cache.is_some())
}

/// Looks a request up whose client was let in, and answers it if it can.
pub(super) async fn look_up<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &mut D,
) -> Result<LookedUp, TransferError> {
    let cache = exchange.context.routed.as_ref().and_then(|routed| routed.active.cache.clone());
    let Some(cache) = cache else {
        exchange.context.cache = None;
        return Ok(LookedUp::Forward);
    };
    // At another try of the same request. Its route may be another one now, and what that answers is kept there.
    if exchange.context.cache.as_ref().is_some_and(|run| Arc::ptr_eq(&run.cache, &cache)) {
        return Ok(LookedUp::Forward);
    }
    exchange.context.cache = None;
    // What is wrong with the request is said on its way to the application.
    let Some(request) = guarded(|| describe(worker, connection, exchange)).ok().flatten() else {
        return Ok(LookedUp::Forward);
    };
    let (request, missing) = match find(&cache, request, client).await? {
        (request, Lookup::PassesBy) => (request, None),
        (request, Lookup::Missing(missing)) => (request, Some(missing)),
        (request, Lookup::Found(stored, outcome, missing)) => {
            if let Some(missing) = missing {
                let run = request.run(cache, &exchange.head, Some(missing));
                refresh::begin(worker, connection, exchange, run);
            }
            send(worker, exchange, client, &stored, outcome).await?;
            return Ok(LookedUp::Answered);
        }
    };
    exchange.context.cache = Some(Box::new(request.run(cache, &exchange.head, missing)));
    Ok(LookedUp::Forward)
}

/// The request as its cache sees it; none if it cannot be sent to any endpoint.
fn describe(worker: &Worker, connection: &Arc<ClientConnection>, exchange: &mut Exchange) -> Option<CacheRequest> {
    let Exchange { head, context, upstream_fields, .. } = exchange;
    let routing = context.routing()?;
    let active = &routing.routed.active;
    let endpoint = active.ready.first()?;
    let owner = choice::owner(head, connection, routing.admission.origin.client);
    let settings = &worker.shared.settings;
    let prepared =
        upstream_request::prepare(head, routing, connection, endpoint, head.version, settings, upstream_fields);
    prepared.ok()?;
    Some(CacheRequest::of(head, upstream_fields, active, owner != ConnectionOwner::Shared))
}

/// What a look-up has found.
enum Lookup {
    PassesBy,
    Missing(Missing),
    /// An answer, and what is to be asked to refresh it.
    Found(Arc<Stored>, CacheOutcome, Option<Missing>),
}

/// Looks a request up, and waits for another one that fetches the same.
async fn find<D: Downstream>(
    cache: &Arc<RouteCache>,
    mut request: CacheRequest,
    client: &mut D,
) -> Result<(CacheRequest, Lookup), TransferError> {
    let mut waits = 0;
    let mut waited_for = None;
    loop {
        let now = Instant::now();
        let Some(wanted) = request.wanted() else { return Ok((request, Lookup::PassesBy)) };
        let found = match cache.find(wanted, now) {
            Found::Fresh(stored) => {
                let outcome = match waited_for {
                    Some(why) => CacheOutcome::Collapsed(why),
                    None => hit(&stored, now),
                };
                Lookup::Found(stored, outcome, None)
            }
            Found::Meanwhile(stored, missing) => {
                let outcome = hit(&stored, now);
                Lookup::Found(stored, outcome, missing)
            }
            Found::Missing(missing) => Lookup::Missing(missing),
            Found::Awaited(awaited, why) => {
                waited_for = Some(why);
                waits += 1;
                if !unless_client_goes(client, awaited.end()).await? || waits >= WAITS_MAX {
                    request.stop_waiting();
                }
                continue;
            }
        };
        return Ok((request, found));
    }
}

fn hit(stored: &Stored, now: Instant) -> CacheOutcome {
    let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let ttl = match stored.freshness.time_to_live(now) {
        Some(left) => seconds(left),
        None => -seconds(stored.freshness.stale_for(now)).max(1),
    };
    CacheOutcome::Hit { ttl }
}

/// Sends what is kept, changed by the middlewares of the route and compressed for this client.
pub(super) async fn send<D: Downstream>(
    worker: &Worker,
    exchange: &mut Exchange,
    client: &mut D,
    stored: &Stored,
    outcome: CacheOutcome,
) -> Result<(), TransferError> {
    worker.shared.metrics.cache_requests.with_label_values(&[outcome.label()]).inc();
    let encoder = guarded(|| prepare(worker, exchange, stored, outcome)).map_err(|_| TransferError::Internal)?;
    let Exchange { head, context, response, .. } = exchange;
    client.start_response(response)?;
    context.begun = Some(response.status);
    let has_body = head.method != Method::HEAD && response.status != StatusCode::NOT_MODIFIED;
    let body = if has_body { &stored.body[..] } else { &[] };
    let mut sending = Sending { rest: body, encoder };
    poll_fn(|cx| sending.poll(cx, client)).await
}

/// Fills the head of the response. The result encodes its body, if it is to be encoded.
fn prepare(worker: &Worker, exchange: &mut Exchange, stored: &Stored, outcome: CacheOutcome) -> Option<BodyEncoder> {
    let Exchange { head, context, response, .. } = exchange;
    response.clear();
    let has_it = conditions::client_has(&head.fields, stored);
    if has_it {
        response.status = StatusCode::NOT_MODIFIED;
        response.fields.extend_from(&stored.fields, |field| conditions::is_of_not_modified(&field));
    } else {
        response.status = stored.status;
        response.reason_phrase.extend_from_slice(&stored.reason_phrase);
        response.fields.extend_from(&stored.fields, |field| field.kind != FieldKind::ContentLength);
        let len = stored.body.len() as u64;
        if stored.status != StatusCode::NO_CONTENT {
            response.fields.push_known(FieldKind::ContentLength, b"Content-Length", &[Decimal::of(len).bytes()]);
        }
        if len > 0 && head.method != Method::HEAD {
            response.body = BodyLength::Sized(len);
        }
    }
    let age = Decimal::of(stored.age_seconds(Instant::now()));
    response.fields.push(b"Age", age.bytes());
    pass_middlewares(context, head, response);
    outcome.tell(response);
    let offered = context.routed.as_ref()?.active.route.compression()?;
    let memory = &worker.shared.overload.memory;
    on_response(offered, head, memory.is_plentiful(), response).map(|coding| BodyEncoder::new(coding, memory))
}

/// A body that is at hand, on its way to the client.
struct Sending<'b> {
    rest: &'b [u8],
    encoder: Option<BodyEncoder>,
}

impl Sending<'_> {
    fn poll<D: Downstream>(&mut self, cx: &mut Context<'_>, client: &mut D) -> Poll<Result<(), TransferError>> {
        let mut encoded = 0;
        while let Some(encoder) = &mut self.encoder {
            while !encoder.pending().is_empty() {
                let Poll::Ready(taken) = client.poll_send(cx, encoder.pending())? else { return Poll::Pending };
                encoder.consume(taken);
            }
            if encoder.has_finished() {
                self.encoder = None;
                break;
            }
            if encoded >= ENCODED_IN_A_ROW_MAX {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let outcome = match self.rest {
                [] => encoder.finish(),
                rest => encoder.encode(&rest[..rest.len().min(ENCODED_IN_A_ROW_MAX)]).map(|taken| {
                    self.rest = &rest[taken..];
                    encoded += taken;
                }),
            };
            outcome.map_err(|_| TransferError::Internal)?;
        }
        while !self.rest.is_empty() {
            let Poll::Ready(taken) = client.poll_send(cx, self.rest)? else { return Poll::Pending };
            self.rest = &self.rest[taken..];
        }
        client.poll_finish(cx, None).map_err(TransferError::from)
    }
}

/// What goes to the client in place of a failed try: what is kept, where it replaces the answer, or where there is none and
/// no other endpoint might give one.
pub(super) fn replacement(exchange: &Exchange, failure: AttemptFailure) -> Result<Replacement, AttemptFailure> {
    let AttemptFailure { error, has_begun, may_retry } = failure;
    let failure = |error: TransferError| Err(AttemptFailure { error, has_begun, may_retry });
    match error {
        TransferError::KeptAnswer(replacement) => Ok(*replacement),
        TransferError::Upstream(error) => {
            let context = &exchange.context;
            let ready = context.routed.as_ref().map_or(0, |routed| routed.active.ready.len());
            let has_another = may_retry && context.attempt.failed.len() < ready;
            let stale = context.cache.as_ref().filter(|_| !has_begun && !has_another);
            match stale.and_then(|run| run.instead_of_error()) {
                Some(stale) => Ok(Replacement::Stored(stale, CacheOutcome::InsteadOfError(None))),
                None => failure(error.into()),
            }
        }
        error @ (TransferError::Downstream(_)
        | TransferError::BodyTooLarge
        | TransferError::ResponseTooLarge
        | TransferError::PageWanted
        | TransferError::Internal) => failure(error),
    }
}
