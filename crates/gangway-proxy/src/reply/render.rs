//! Renders a local reply for the client of a request.

use bytes::Bytes;
use gangway_model::secret::masked_target;

use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::middleware::chain;
use crate::reply::internal;
use crate::reply::local_reply::LocalReply;
use crate::reply::page::Audience;
use crate::request::admission::Admission;
use crate::request::context::RequestContext;
use crate::shared::Shared;

/// The head and the body of `reply` for the client that sent `head`. The reply is counted, and noted for the access
/// log. [`pass_middlewares`] follows.
pub(crate) fn render_for(
    shared: &Shared,
    head: &RequestHead,
    ctx: &mut RequestContext,
    reply: &LocalReply,
) -> (ResponseHead, Bytes) {
    if let Some(reason) = reply.reason() {
        shared.metrics.own_answer(reason.token());
    }
    ctx.reply.reason = reply.reason();
    ctx.reply.detail = reply.detail().map(str::to_owned);
    let request_id = ctx.request_id().to_owned();
    if let LocalReply::OfInternalService(service) = reply {
        return internal::render(&*shared.internal, *service, head, ctx, &request_id);
    }
    let admission = ctx.admission().filter(|admission| admission.origin.local);
    let url = admission.map_or_else(String::new, |admission| url(head, admission));
    let compiled = shared.compiled.load();
    // Only clients on the local network see the name of our own container.
    let own = compiled.own.as_deref().filter(|_| admission.is_some());
    let audience = Audience { request_id: &request_id, local: admission.is_some(), url: &url, own };
    reply.render(head, audience)
}

/// Changes the head of a reply as the middlewares of the route change those of the application's responses.
pub(crate) fn pass_middlewares(ctx: &RequestContext, request: &RequestHead, response: &mut ResponseHead) {
    if let Some(routed) = &ctx.routed {
        chain::on_response(&routed.active.route.middlewares, &ctx.passage, request, &mut response.fields, ctx.scheme());
    }
}

/// The URL that the client asked for, without the values of secret parameters.
pub(crate) fn url(head: &RequestHead, admission: &Admission) -> String {
    let scheme = admission.origin.scheme().text();
    let port = admission.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}{}", admission.host(head), masked_target(&head.target))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::reply::local_reply::FailureReply;
    use crate::reply::reason::Reason;
    use crate::request::client_origin::ClientOrigin;
    use crate::request::context::Received;
    use crate::samples::SampleState;

    #[test]
    fn a_reply_is_noted_and_tells_only_local_clients_the_url_without_secrets() {
        let state = SampleState::new();
        let head = RequestHead::of_test("GET", "/x?token=s3cret", &[("Host", "a:8080")]);
        for local in [false, true] {
            let origin = ClientOrigin {
                client: [192, 0, 2, 7].into(),
                secure: false,
                local,
                is_anonymous: false,
                is_certain: true,
            };
            let mut ctx = RequestContext::default();
            ctx.received = Received::Admitted(Admission::of(&head, origin).expect("in order"));
            let reply = FailureReply::new(Reason::NoEndpoint).with_detail("why").into();
            let (response, body) = render_for(&state.shared, &head, &mut ctx, &reply);
            let body = String::from_utf8(body.to_vec()).expect("text");
            assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(body.contains("http://a:8080/x?token=***"), local, "{body}");
            assert!(!body.contains("s3cret"), "{body}");
            assert_eq!((ctx.reply.reason, ctx.reply.detail.as_deref()), (Some(Reason::NoEndpoint), Some("why")));
            assert!(ctx.known_request_id().is_some_and(|id| body.contains(id)));
        }
    }
}
