//! The head of a request as its endpoint gets it.

use std::borrow::Cow;

use gangway_model::HostHeader;
use http::Version;

use crate::downstream::connection::ClientConnection;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::middleware::chain;
use crate::reply::rejection::Rejection;
use crate::request::context::Routing;
use crate::request::forwarding::{self, ForwardingFacts, NamedFields};
use crate::serving_table::ActiveEndpoint;

/// Fills `fields` with the fields for the endpoint and returns the target for it. `version` is the version of HTTP that
/// the endpoint's connection speaks.
///
/// First the middlewares change the target, then the forwarding fields are set, then the middlewares change fields, so
/// that labels override forwarding fields. Nothing is allocated for a request that no middleware changes.
pub(crate) fn prepare<'h>(
    head: &'h RequestHead,
    routing: Routing<'_>,
    connection: &ClientConnection,
    endpoint: &ActiveEndpoint,
    version: Version,
    public_https_port: Option<u16>,
    fields: &mut Fields,
) -> Result<Cow<'h, str>, Rejection> {
    let (admission, routed) = (routing.admission, routing.routed);
    let route = &routed.active.route;
    let target = chain::upstream_target(&route.middlewares, head.target.as_bytes(), &routed.prefix)?;
    fields.clear();
    let host = match &route.host_header {
        HostHeader::Keep => None,
        HostHeader::Named(host) => Some(host),
        HostHeader::Upstream => Some(&endpoint.host),
    };
    if let Some(host) = host {
        fields.push_known(FieldKind::Host, b"Host", &[host.as_bytes()]);
    }
    let named = NamedFields::of(&head.fields);
    fields.extend_from(&head.fields, |field| {
        let is_replaced = field.kind == FieldKind::Host && host.is_some();
        !is_replaced && forwarding::is_for_endpoint(field.kind) && !named.contain(field)
    });
    let facts = ForwardingFacts {
        connection,
        origin: admission.origin,
        port: admission.port,
        public_https_port,
        prefix: target.removed_prefix,
    };
    forwarding::tell(&facts, &head.fields, fields);
    chain::on_upstream_fields(&route.middlewares, fields);
    if routed.is_upgrade {
        if let Some(protocol) = head.fields.get(FieldKind::Upgrade) {
            fields.push_known(FieldKind::Connection, b"Connection", &[b"Upgrade"]);
            fields.push_known(FieldKind::Upgrade, b"Upgrade", &[protocol]);
        }
    } else if carries_trailers(head.version) && carries_trailers(version) && accepts_trailers(&head.fields) {
        fields.push_known(FieldKind::Te, b"TE", &[b"trailers"]);
        if version < Version::HTTP_2 {
            // RFC 9110, section 10.1.4: the field concerns the connection, and must say so.
            fields.push_known(FieldKind::Connection, b"Connection", &[b"TE"]);
        }
    }
    match target.bytes {
        Cow::Borrowed(_) => Ok(Cow::Borrowed(&head.target)),
        Cow::Owned(changed) => String::from_utf8(changed)
            .ok()
            .filter(|changed| changed.bytes().all(|byte| byte.is_ascii_graphic()))
            .map(Cow::Owned)
            .ok_or(Rejection::bad("the changed path is not ASCII")),
    }
}

fn carries_trailers(version: Version) -> bool {
    version >= Version::HTTP_11
}

/// Whether the client understands trailers in the response.
fn accepts_trailers(fields: &Fields) -> bool {
    let mut codings = fields.all(FieldKind::Te).flat_map(|te| te.split(|byte| *byte == b','));
    codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}
