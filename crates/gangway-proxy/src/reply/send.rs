//! Sends a local reply to the client of a request.

use gangway_model::secret::masked_target;
use pingora::Result;
use pingora::proxy::Session;

use crate::middleware::chain;
use crate::reply::local_reply::LocalReply;
use crate::reply::page::Audience;
use crate::request::admission::Admission;
use crate::request::context::RequestContext;
use crate::shared::Shared;

/// Sends `reply`, and closes the connection afterwards if it cannot carry another request.
pub(crate) async fn reply_with(
    shared: &Shared,
    session: &mut Session,
    ctx: &mut RequestContext,
    reply: LocalReply,
) -> Result<()> {
    ctx.reply.reason = reply.reason();
    if reply.closes() {
        session.set_keepalive(None);
    }
    send(shared, session, ctx, reply).await
}

/// Sends `reply`. The route's middlewares see it like the response of an application.
pub(crate) async fn send(
    shared: &Shared,
    session: &mut Session,
    ctx: &mut RequestContext,
    reply: LocalReply,
) -> Result<()> {
    if let Some(reason) = reply.reason() {
        shared.metrics.own_answer(reason.token());
    }
    ctx.reply.detail = reply.detail().map(str::to_owned);
    let request_id = ctx.request_id().to_owned();
    let request = session.req_header();
    let admission = ctx.admission().filter(|admission| admission.origin.local);
    let url = admission.map_or_else(String::new, |admission| url(request.raw_path(), admission));
    let compiled = shared.compiled.load();
    // Only clients on the local network see the name of our own container, so it is looked for only then.
    let own = admission.and_then(|_| compiled.containers.iter().find(|container| container.is_own));
    let audience =
        Audience { request_id: &request_id, local: admission.is_some(), url: &url, own: own.map(|own| &*own.name) };
    let (mut response, body) = reply.render(request, audience)?;
    drop(compiled);
    if let Some(routed) = &ctx.routed {
        chain::on_response(&routed.active.route.middlewares, &mut response, ctx.scheme())?;
    }
    session.write_response_header(Box::new(response), body.is_empty()).await?;
    if !body.is_empty() {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// The URL that the client asked for, without the values of secret parameters.
fn url(target: &[u8], admission: &Admission) -> String {
    let scheme = admission.origin.scheme().text();
    let port = admission.port.map(|port| format!(":{port}")).unwrap_or_default();
    let target = String::from_utf8_lossy(target);
    format!("{scheme}://{}{port}{}", admission.host, masked_target(&target))
}
