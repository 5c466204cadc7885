//! Holds a request until an endpoint can serve it.

use http::Version;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::time::{Instant, timeout_at};

use crate::grammar::announced_len;
use crate::hold::limits::Waiting;
use crate::hold::unavailable::no_endpoint;
use crate::reply::local_reply::LocalReply;
use crate::reply::reason::Reason;
use crate::reply::send::reply_with;
use crate::request::context::RequestContext;
use crate::request::routing::{NextStep, decide_again};
use crate::shared::Shared;
use crate::upstream::endpoint_state::EndpointHealth;

/// Handles a request that cannot simply be served: waits for the first table or for an endpoint, or replies. Returns
/// whether a reply was sent.
pub(crate) async fn wait_or_reply(
    shared: &Shared,
    session: &mut Session,
    ctx: &mut RequestContext,
    step: NextStep,
) -> Result<bool> {
    let step = match step {
        NextStep::Reply(reply) if reply.reason() == Some(Reason::NotReady) => {
            shared.first_table().await;
            decide_again(shared, session, ctx)
        }
        step => step,
    };
    let step = match step {
        NextStep::Hold => wait(shared, session, ctx).await,
        NextStep::Serve | NextStep::Reply(_) => step,
    };
    let reply = match step {
        NextStep::Serve => return Ok(false),
        NextStep::Reply(reply) => reply,
        NextStep::Hold => unavailable(ctx)?,
    };
    reply_with(shared, session, ctx, reply).await?;
    Ok(true)
}

/// Decides again about a request that an endpoint failed, and waits if no other endpoint can serve it.
pub(crate) async fn reconsider(shared: &Shared, session: &mut Session, ctx: &mut RequestContext) -> Result<()> {
    // The same position in the next table may be another endpoint.
    ctx.attempt.chosen = None;
    let step = match decide_again(shared, session, ctx) {
        NextStep::Serve if can_be_reached(ctx) => return Ok(()),
        NextStep::Serve | NextStep::Hold | NextStep::Reply(_) => wait(shared, session, ctx).await,
    };
    match step {
        NextStep::Serve => Ok(()),
        NextStep::Hold => {
            ctx.reply.reason = unavailable(ctx)?.reason();
            Err(Error::explain(ErrorType::HTTPStatus(503), "no endpoint is left"))
        }
        NextStep::Reply(reply) => {
            ctx.reply.reason = reply.reason().or(Some(Reason::EndpointNotReady));
            Err(Error::explain(ErrorType::HTTPStatus(503), "the route takes it no more"))
        }
    }
}

fn unavailable(ctx: &RequestContext) -> Result<LocalReply> {
    Ok(no_endpoint(&ctx.routing()?.routed.active).into())
}

/// Decides again with every new table until an endpoint can serve the request, its time is over, or too many requests
/// wait already. Meanwhile nothing of the body is read.
async fn wait(shared: &Shared, session: &mut Session, ctx: &mut RequestContext) -> NextStep {
    let Some(active) = ctx.routed.as_ref().map(|routed| routed.active.clone()) else { return NextStep::Hold };
    let hold = active.route.upstream.policy.hold;
    let deadline = *ctx.hold.until.get_or_insert_with(|| Instant::now() + hold);
    let (waiters, gauge) = (&shared.waiters, &shared.metrics.waiting);
    let bytes = bytes_held(session, shared.settings.limits.h2_stream_window);
    let Some(_waiting) = Waiting::begin(waiters, &active.state.waiting, bytes, gauge) else { return NextStep::Hold };
    let mut tables = shared.tables.clone();
    ctx.hold.released = None;
    loop {
        // Once before the first wait: a table may have come before this reader was made.
        let step = decide_again(shared, session, ctx);
        match step {
            NextStep::Hold => {}
            // All endpoints are known to be out of reach; the next table will reflect that.
            NextStep::Serve if !can_be_reached(ctx) => {}
            // After its release the request is decided about again: the table may have changed meanwhile.
            NextStep::Serve if ctx.hold.released.is_none() => {
                ctx.hold.released = Box::pin(active.state.release_queue.pass(deadline)).await;
                if ctx.hold.released.is_none() {
                    return step;
                }
                continue;
            }
            // The route is gone because its next container did not come in time; the reply says what was waited for.
            NextStep::Reply(reply) if reply.reason() == Some(Reason::NoRoute) => return NextStep::Hold,
            NextStep::Serve | NextStep::Reply(_) => return step,
        }
        // While the request waits on, another one may have its slot.
        ctx.hold.released = None;
        if !matches!(timeout_at(deadline, tables.changed()).await, Ok(Ok(_))) {
            return step;
        }
    }
}

/// Whether the route has an endpoint that is not known to be out of reach.
fn can_be_reached(ctx: &RequestContext) -> bool {
    let ready = ctx.routed.iter().flat_map(|routed| &routed.active.ready);
    ready.into_iter().any(|endpoint| endpoint.state.health() != EndpointHealth::Failing)
}

/// The memory that a waiting request holds: its head, and over HTTP/2 the part of its body that the client may send
/// although nothing reads it.
fn bytes_held(session: &mut Session, window: u32) -> usize {
    let window = usize::try_from(window).unwrap_or(usize::MAX);
    let is_empty = session.is_body_empty();
    let request = session.req_header();
    let fields: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    let announced = announced_len(&request.headers).and_then(|len| usize::try_from(len).ok());
    let body = match request.version {
        Version::HTTP_2 if !is_empty => announced.map_or(window, |len| window.min(len)),
        // Over HTTP/1 the system holds the body back.
        _ => 0,
    };
    request.raw_path().len() + fields + body
}
