//! The head of an endpoint's response as the client gets it.

use http::{StatusCode, Version};

use crate::message::field_kind::FieldKind;
use crate::message::request_head::RequestHead;
use crate::message::response_head::ResponseHead;
use crate::middleware::chain;
use crate::request::context::RequestContext;
use crate::upstream::sticky;

/// Turns the head of a final response, or of a 101, into the head for the client: without what the endpoint says to the
/// proxy, with the cookie of a sticky route, and changed by the middlewares of the route. The fields that concern only
/// the connection to the endpoint are gone already: its side has removed them.
pub(crate) fn prepare(ctx: &RequestContext, request: &RequestHead, response: &mut ResponseHead) {
    let fields = &mut response.fields;
    fields.remove(FieldKind::ProxyAuthenticate);
    let Some(routed) = &ctx.routed else { return };
    if ctx.attempt.is_new_to_endpoint
        && let Some(cookie) = &routed.active.cookie
        && let Some(token) = ctx.endpoint().and_then(|endpoint| endpoint.token.as_ref())
    {
        sticky::set_cookie(cookie.current(), token.current(), ctx.scheme(), fields);
    }
    chain::on_response(&routed.active.route.middlewares, &ctx.passage, request, fields, ctx.scheme());
}

/// Whether a response may last for hours, so that its client connection ends together with the endpoint. Over HTTP/2
/// the connection carries other requests too.
pub(crate) fn ends_with_endpoint(head: &RequestHead, response: &ResponseHead) -> bool {
    let kind = response.fields.get(FieldKind::ContentType).unwrap_or_default();
    let names_events = kind.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"));
    response.status == StatusCode::SWITCHING_PROTOCOLS || names_events && head.version < Version::HTTP_2
}

#[cfg(test)]
mod tests {
    use gangway_model::{Middleware, Route};
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::message::fields::Fields;
    use crate::middleware::chain::BodyBounds;
    use crate::request::decision::RoutedTo;
    use crate::samples::table;

    /// The context of a request that its route's endpoint serves.
    fn served(change: impl FnOnce(&mut Route)) -> RequestContext {
        let table = table(change);
        let active = table.routes().iter().find(|active| !active.ready.is_empty()).expect("the route").clone();
        let mut ctx = RequestContext::default();
        ctx.routed = Some(RoutedTo {
            active,
            prefix: "".into(),
            bounds: BodyBounds::default(),
            is_at_gate: true,
            is_upgrade: false,
        });
        ctx.attempt.chosen = Some(0);
        ctx
    }

    fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        let status = StatusCode::from_u16(status).expect("a status");
        let mut response = ResponseHead { status, ..ResponseHead::default() };
        for (name, value) in fields {
            response.fields.push(name.as_bytes(), value.as_bytes());
        }
        response
    }

    fn names(fields: &Fields) -> Vec<&str> {
        fields.iter().map(|field| std::str::from_utf8(field.name).expect("text")).collect()
    }

    #[test]
    fn a_response_passes_the_middlewares() {
        let ctx = served(|route| {
            let value = Some(HeaderValue::from_static("1"));
            route.middlewares = vec![Middleware::ResponseHeader(HeaderName::from_static("x-set").into(), value)];
        });
        let mut response = response(101, &[("Upgrade", "websocket"), ("Proxy-Authenticate", "NTLM"), ("Link", "</a>")]);
        prepare(&ctx, &RequestHead::default(), &mut response);
        assert_eq!(names(&response.fields), ["Upgrade", "Link", "x-set"]);
    }

    #[test]
    fn a_client_that_is_new_to_its_endpoint_gets_the_cookie_of_the_route() {
        let mut ctx = served(|route| {
            let upstream = std::sync::Arc::get_mut(&mut route.upstream).expect("the only one");
            upstream.policy.sticky = Some("stay".into());
        });
        for (is_new_to_endpoint, cookies) in [(true, 1), (false, 0)] {
            ctx.attempt.is_new_to_endpoint = is_new_to_endpoint;
            let mut response = response(200, &[]);
            prepare(&ctx, &RequestHead::default(), &mut response);
            assert_eq!(response.fields.all(FieldKind::SetCookie).count(), cookies);
        }
    }

    #[test]
    fn what_lasts_ends_with_its_endpoint() {
        let mut head = RequestHead::default();
        let lasts =
            |head: &RequestHead, status, kind| ends_with_endpoint(head, &response(status, &[("content-type", kind)]));
        assert!(lasts(&head, 200, "Text/Event-Stream; charset=utf-8") && lasts(&head, 101, "x"));
        assert!(!lasts(&head, 200, "text/event") && !lasts(&head, 200, "text/html"));
        head.version = Version::HTTP_2;
        assert!(!lasts(&head, 200, "text/event-stream"));
    }
}
