//! Serves one request.

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Version;

use crate::access::gate::AtGate;
use crate::downstream::connection::ClientConnection;
use crate::exchange::attempt::{AttemptFailure, attempt};
use crate::exchange::state::Exchange;
use crate::exchange::transfer::TransferError;
use crate::exchange::worker::Worker;
use crate::hold::unavailable::no_endpoint;
use crate::hold::wait::{AfterWait, Held};
use crate::log::request_log::{self, RequestOutcome};
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::overload::address_account::CountedRequest;
use crate::overload::memory_budget::{MemoryLease, MemoryPressure};
use crate::reply::local_reply::{FailureReply, LocalReply, RETRY_AFTER};
use crate::reply::reason::Reason;
use crate::reply::rejection::Rejection;
use crate::reply::render::render_for;
use crate::request::context::{Received, RequestContext};
use crate::request::routing::{NextStep, receive};
use crate::stream::downstream::{Downstream, DownstreamError};
use crate::upstream::error;

/// Memory that a stream of HTTP/2 takes beside its head: its state and a buffer.
const STREAM_BYTES: usize = 24 * 1024;

/// How a request ended, for the record.
struct Ending {
    /// The status that the client got; 0 if it got none.
    status: u16,
    /// Why the response is not whole, or not there.
    error: Option<Cow<'static, str>>,
}

/// Serves the request whose head is in `exchange`, up to the end of its response, and records it.
pub(crate) async fn serve<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &mut D,
) {
    exchange.context.begin();
    let place = match admit(worker, connection, &exchange.head) {
        Ok(place) => place,
        Err(refused) => {
            let ending = Box::pin(reply(worker, exchange, client, refused)).await;
            return record(worker, connection, exchange, client, &ending);
        }
    };
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
    record(worker, connection, exchange, client, &ending);
    drop(place);
}

/// What a request holds while it is under way, beside what its connection holds.
type Place = (Option<CountedRequest>, MemoryLease);

/// Takes what a request needs. Over HTTP/1 the connection has it already.
fn admit(worker: &Worker, connection: &ClientConnection, head: &RequestHead) -> Result<Option<Place>, LocalReply> {
    let shared = &worker.shared;
    let busy = |what: &str, detail: &'static str| {
        shared.metrics.shed.with_label_values(&[what]).inc();
        Err(FailureReply::new(Reason::Overloaded).with_retry_after(RETRY_AFTER).with_detail(detail).into())
    };
    if shared.overload.memory.pressure() == MemoryPressure::Refuse {
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
    exchange.context.begin();
    exchange.context.received = Received::NoHead;
    let ending = reply(worker, exchange, client, rejection.into()).await;
    record(worker, connection, exchange, client, &ending);
}

fn record<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &D,
    ending: &Ending,
) {
    let outcome = RequestOutcome {
        status: ending.status,
        bytes_in: client.body_bytes_received(),
        bytes_out: client.body_bytes_sent(),
        error: ending.error.as_deref(),
    };
    request_log::record(&worker.shared, &exchange.head, connection, &exchange.context, outcome);
    exchange.context.end();
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
        // A refusal says nothing of the application; anything else is for clients that are let in.
        AfterWait::Reply(local) if local.reason().is_none() && exchange.context.is_at_gate() => {
            let local = pass_gate(worker, exchange).await.err().unwrap_or(local);
            reply(worker, exchange, client, local).await
        }
        AfterWait::Reply(local) => reply(worker, exchange, client, local).await,
        AfterWait::ClientGone => not_waited_for(worker, exchange, client).await,
    }
}

/// Holds a request whose client is let in.
async fn hold_behind_gate<D: Downstream>(
    worker: &Worker,
    connection: &Arc<ClientConnection>,
    exchange: &mut Exchange,
    client: &mut D,
) -> Ending {
    match pass_gate(worker, exchange).await {
        Ok(()) => wait_or_reply(worker, connection, exchange, client, NextStep::Hold).await,
        Err(local) => reply(worker, exchange, client, local).await,
    }
}

/// Lets the request past the gate of its route, or makes the reply that says why not.
async fn pass_gate(worker: &Worker, exchange: &mut Exchange) -> Result<(), LocalReply> {
    let Exchange { head, context, .. } = exchange;
    let RequestContext { received, routed, passage, .. } = context;
    let (Received::Admitted(admission), Some(routed)) = (received, routed) else {
        return Err(FailureReply::new(Reason::Internal).into());
    };
    let request = AtGate {
        head,
        client: admission.origin.client,
        path: admission.normal_path(head),
        route: &routed.active.route,
    };
    worker.shared.access.pass(request, passage).await
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
        return Ending { status: 0, error: Some(DownstreamError::Gone.to_string().into()) };
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
    exchange.replay.reset(exchange.head.method.is_idempotent());
    loop {
        // Each time: the route may be another one now.
        if exchange.context.is_at_gate()
            && let Err(local) = Box::pin(pass_gate(worker, exchange)).await
        {
            return Box::pin(reply(worker, exchange, client, local)).await;
        }
        let failure = match attempt(worker, connection, exchange, client).await {
            Ok(()) => return Ending { status: exchange.response.status.as_u16(), error: None },
            Err(failure) => failure,
        };
        if !failure.may_retry {
            return Box::pin(fail(worker, exchange, client, failure)).await;
        }
        worker.shared.metrics.retries.inc();
        match Box::pin(held(worker, connection, exchange, client).reconsider()).await {
            AfterWait::Serve => {}
            AfterWait::Reply(local) => return Box::pin(reply(worker, exchange, client, local)).await,
            AfterWait::ClientGone => return Box::pin(not_waited_for(worker, exchange, client)).await,
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
    let (said, local): (Cow<'static, str>, Option<LocalReply>) = match error {
        TransferError::Downstream(error) => (error.to_string().into(), error::reply_for_client(error)),
        TransferError::BodyTooLarge => {
            let detail = "the body is larger than the route allows";
            (detail.into(), Some(FailureReply::new(Reason::BodyTooLarge).with_detail(detail).into()))
        }
        TransferError::Internal => ("a fault of ours".into(), Some(FailureReply::new(Reason::Internal).into())),
        TransferError::Upstream(error) => {
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
            context.reply.reason = local.as_ref().and_then(LocalReply::reason);
            let status = if has_begun { exchange.response.status.as_u16() } else { 0 };
            client.cut();
            Ending { status, error: Some(said) }
        }
    }
}

/// Sends a reply of our own.
async fn reply<D: Downstream>(worker: &Worker, exchange: &mut Exchange, client: &mut D, reply: LocalReply) -> Ending {
    if reply.closes() {
        client.close_after_response();
    }
    let (head, body) = render_for(&worker.shared, &exchange.head, &mut exchange.context, &reply);
    let status = head.status.as_u16();
    match send(client, &head, body).await {
        Ok(()) => Ending { status, error: None },
        Err(error) => {
            tracing::debug!(?error, "failed to send a reply of our own");
            client.cut();
            Ending { status, error: Some("the client took no reply".into()) }
        }
    }
}

async fn send<D: Downstream>(client: &mut D, head: &ResponseHead, mut body: Bytes) -> Result<(), DownstreamError> {
    client.start_response(head)?;
    poll_fn(|cx| {
        while !body.is_empty() {
            match client.poll_send(cx, &body)? {
                Poll::Ready(taken) => drop(body.split_to(taken)),
                Poll::Pending => return Poll::Pending,
            }
        }
        client.poll_finish(cx, None)
    })
    .await
}
