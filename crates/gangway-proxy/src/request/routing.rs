//! Admits a request, decides about it by the table in force, and keeps the result in its context.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gangway_crowdsec::Bouncer;
use gangway_model::{Compiled, Reputation, RequestView, mention};
use gangway_publish::Generation;
use gangway_tls::UnixTime;

use crate::access::geo_databases::PublishedGeography;
use crate::downstream::connection::ClientConnection;
use crate::message::request_head::RequestHead;
use crate::panic_guard::guarded;
use crate::reply::local_reply::{FailureReply, LocalReply, RETRY_AFTER};
use crate::reply::reason::Reason;
use crate::request::admission::Admission;
use crate::request::client_origin::{ClientOrigin, client_origin};
use crate::request::context::{Received, RequestContext};
use crate::request::decision::{InForce, RequestDecision, RoutedTo, decide};
use crate::request::upgrade;
use crate::route_metrics::UnderWay;
use crate::serving_table::{ActiveRoute, ActiveTable};
use crate::shared::Shared;

/// The next step for a request.
#[derive(Debug)]
pub(crate) enum NextStep {
    /// An endpoint of the route in the context serves it.
    Serve,
    /// No endpoint can serve it now, but one may soon.
    Hold,
    /// Gangway replies.
    Reply(LocalReply),
}

/// Admits a new request and decides about it.
pub(crate) fn receive(
    shared: &Shared,
    head: &RequestHead,
    connection: &Arc<ClientConnection>,
    ctx: &mut RequestContext,
) -> NextStep {
    guarded(|| match Admission::of(head, origin(shared, head, connection)) {
        Ok(admission) => {
            ctx.received = Received::Admitted(admission);
            let reputation = shared.bouncer.as_ref().map(Bouncer::of_request);
            decide_by_table(shared, reputation.as_ref().map(|one| one as _), head, connection, ctx)
        }
        Err(rejection) => NextStep::Reply(rejection.into()),
    })
    .unwrap_or_else(|_| bug())
}

/// Decides about an admitted request again, by the table that is in force now.
pub(crate) fn decide_again(
    shared: &Shared,
    head: &RequestHead,
    connection: &Arc<ClientConnection>,
    ctx: &mut RequestContext,
) -> NextStep {
    guarded(|| {
        // A request that waited for the first table came before the gateways of the engine's networks were known.
        if let Received::Admitted(admission) = &mut ctx.received {
            admission.origin = origin(shared, head, connection);
        }
        // It was counted when it came.
        decide_by_table(shared, shared.bouncer.as_ref().map(|one| one as _), head, connection, ctx)
    })
    .unwrap_or_else(|_| bug())
}

fn bug() -> NextStep {
    NextStep::Reply(FailureReply::new(Reason::Internal).into())
}

fn origin(shared: &Shared, head: &RequestHead, connection: &ClientConnection) -> ClientOrigin {
    let is_gateway = |client| shared.whereabouts.load().is_gateway(client);
    client_origin(&head.fields, connection, is_gateway)
}

fn decide_by_table(
    shared: &Shared,
    reputation: Option<&dyn Reputation>,
    head: &RequestHead,
    connection: &ClientConnection,
    ctx: &mut RequestContext,
) -> NextStep {
    let Some(request) = ctx.incoming(head, connection) else { return bug() };
    let (tables, store) = (shared.tables.load(), shared.certificates.store().load());
    let in_force = InForce {
        table: (tables.generation() != Generation::INITIAL).then_some(&tables),
        store: &store,
        is_placeheld: &|host| shared.certificates.is_placeheld(host),
        plain_fallback: shared.settings.plain_fallback,
        geography: &PublishedGeography(&shared.geography),
        reputation,
        https_port: &|scope, port| shared.https_port(scope, &connection.listener, port),
    };
    match decide(request, &in_force) {
        RequestDecision::Serve(routed) => {
            report_upgrade(head, &routed.active);
            if ctx.under_way.is_none() {
                ctx.under_way = Some(UnderWay::count(&routed.active.metrics));
            }
            next(ctx, routed, NextStep::Serve)
        }
        RequestDecision::Hold(routed) => next(ctx, routed, NextStep::Hold),
        RequestDecision::ReplyFor(routed, reply) => next(ctx, routed, NextStep::Reply(reply)),
        RequestDecision::Reply(reply) => NextStep::Reply(reply),
        RequestDecision::NoRoute => {
            shared.metrics.no_route();
            let reply = FailureReply::new(Reason::NoRoute);
            let detail = || {
                why_no_route(
                    &tables,
                    &request.admission.view(head, connection.arrival()),
                    &shared.compiled.load(),
                    UnixTime::now().seconds(),
                )
            };
            NextStep::Reply(match request.admission.origin.local {
                true => reply.with_detail(detail()).into(),
                false => reply.into(),
            })
        }
        RequestDecision::NotReady => {
            let reply = FailureReply::new(Reason::NotReady).with_retry_after(RETRY_AFTER);
            NextStep::Reply(match &shared.whereabouts.load().trouble {
                Some(why) => reply.with_detail(why.to_string()).into(),
                None => reply.into(),
            })
        }
    }
}

/// Logs once for each route that an `Upgrade` was removed which a label can allow.
fn report_upgrade(head: &RequestHead, active: &ActiveRoute) {
    if let Some(protocol) = upgrade::unnamed_protocol(head, &active.route)
        && !active.state.is_upgrade_reported.swap(true, Ordering::Relaxed)
    {
        tracing::info!(
            route = &*active.route.id,
            protocol,
            "`Upgrade` is removed from requests, since no label names the protocol; `gangway.upgrade` allows it"
        );
    }
}

fn next(ctx: &mut RequestContext, routed: RoutedTo, step: NextStep) -> NextStep {
    ctx.routed = Some(routed);
    step
}

/// Explains to a client on the local network why no route takes its request. `now` is in seconds since the epoch.
fn why_no_route(table: &ActiveTable, request: &RequestView<'_>, compiled: &Compiled, now: i64) -> String {
    let explanation = table.explain(request);
    if let Some(doubt) = explanation.doubt {
        return doubt;
    }
    // If routes of the host were considered, the path is the problem and not the host.
    let named = match explanation.considered.is_empty() {
        true => mention::naming(request.host, &compiled.containers, now),
        false => Vec::new(),
    };
    if !named.is_empty() {
        let named: Vec<String> = named.into_iter().map(|named| named.said).collect();
        return named.join("; ");
    }
    let considered = explanation.considered.iter().map(|other| format!("{}: {}", other.id, other.why));
    let nearest = explanation.nearest.iter().map(|other| format!("{}: {}", other.id, other.why));
    let near: Vec<String> = considered.chain(nearest).take(3).collect();
    if near.is_empty() { format!("no route is served under `{}`", request.host) } else { near.join("; ") }
}
