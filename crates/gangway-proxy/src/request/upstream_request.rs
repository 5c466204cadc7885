//! The head of a request as its endpoint gets it.

use std::borrow::Cow;

use gangway_model::HostHeader;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Version};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, Result};

use crate::middleware::chain;
use crate::request::context::RequestContext;
use crate::request::forwarding::{self, ForwardingFacts};
use crate::upstream::dedicated::ConnectionOwner;

/// Turns the head of a request into the head for its endpoint. First the middlewares change the target, then the
/// forwarding fields are set, then the middlewares change fields, so that labels override forwarding fields.
pub(crate) fn prepare(
    original: &RequestHeader,
    upstream: &mut RequestHeader,
    ctx: &RequestContext,
    public_https_port: Option<u16>,
) -> Result<()> {
    let routing = ctx.routing()?;
    let (admission, route) = (routing.admission, &routing.routed.active.route);
    let sent = std::str::from_utf8(original.raw_path()).unwrap_or("/");
    let target = chain::upstream_target(&route.middlewares, sent, &routing.routed.prefix)
        .map_err(|unconfined| Error::explain(ErrorType::HTTPStatus(400), unconfined.to_string()))?;
    if let Cow::Owned(path) = &target.text {
        upstream.set_raw_path(path.as_bytes())?;
    }
    let facts = ForwardingFacts {
        connection: routing.connection,
        origin: admission.origin,
        port: admission.port,
        public_https_port,
        prefix: target.removed_prefix,
        trailers: original.version == Version::HTTP_2 && upstream.version == Version::HTTP_2,
    };
    forwarding::to_upstream(upstream, original, &facts)?;
    if matches!(ctx.attempt.owner, ConnectionOwner::Request(_)) && upstream.version < Version::HTTP_2 {
        upstream.insert_header(CONNECTION, HeaderValue::from_static("close"))?;
    }
    chain::on_upstream_head(&route.middlewares, upstream)?;
    match &route.host_header {
        HostHeader::Keep => {}
        HostHeader::Named(host) => upstream.insert_header(HOST, host.clone())?,
        HostHeader::Upstream => {
            if let Some(endpoint) = ctx.endpoint() {
                upstream.insert_header(HOST, endpoint.host.clone())?;
            }
        }
    }
    Ok(())
}
