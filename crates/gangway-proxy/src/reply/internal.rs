//! Answers of the services that Gangway gives itself.

use bytes::Bytes;
use gangway_model::target_change::without_prefix;
use gangway_model::{InternalService, slash_redirect};
use http::{Method, Response, StatusCode};

use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::middleware::changed_target::upstream_target;
use crate::reply::auth_reply::AuthReply;
use crate::request::context::RequestContext;

/// Gives the services of Gangway itself to which routes lead. The caller of [`start`](crate::start) knows what they say.
pub trait InternalServices: Send + Sync {
    /// The whole answer to a request that has passed the middlewares of its route. It must not wait. The answer to HEAD
    /// has the body that GET would get; it is not sent.
    fn answer(&self, request: &InternalRequest<'_>) -> Response<Bytes>;
}

/// A request to a service of Gangway itself.
#[derive(Clone, Copy, Debug)]
pub struct InternalRequest<'a> {
    /// The service.
    pub service: InternalService,
    /// The method.
    pub method: &'a Method,
    /// The path and query as an application would get them.
    pub target: &'a str,
}

/// The head and the body of the answer for the client that sent `head`.
pub(super) fn render(
    services: &dyn InternalServices,
    service: InternalService,
    head: &RequestHead,
    ctx: &RequestContext,
    request_id: &str,
) -> (ResponseHead, Bytes) {
    let routed = ctx.routed.as_ref();
    let target = routed.and_then(|routed| {
        let middlewares = &routed.active.route.middlewares;
        upstream_target(middlewares, &head.target, &routed.prefix).ok()
    });
    let Some(target) = target else {
        return AuthReply::own(StatusCode::BAD_REQUEST, Fields::default(), Bytes::new()).render(head, request_id);
    };
    // A page of ours knows no prefix: its links are relative, and it stands below whatever path its route has.
    let prefix = routed.filter(|_| service.is_own_page() && target.removed_prefix.is_empty()).map(|to| &*to.prefix);
    let prefix = prefix.filter(|prefix| !matches!(*prefix, "" | "/"));
    if let Some(location) = prefix.and_then(|prefix| slash_redirect(&target.text, prefix)) {
        return AuthReply::redirect(&location).render(head, request_id);
    }
    let below = prefix.and_then(|prefix| without_prefix(prefix, &target.text));
    let target = below.as_deref().unwrap_or(&target.text);
    let answer = services.answer(&InternalRequest { service, method: &head.method, target });
    let (parts, body) = answer.into_parts();
    let mut fields = Fields::default();
    for (name, value) in &parts.headers {
        fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
    AuthReply::own(parts.status, fields, body).render(head, request_id)
}
