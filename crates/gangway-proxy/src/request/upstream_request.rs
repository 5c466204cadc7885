//! The head of a request as its endpoint gets it.

use std::borrow::Cow;

use gangway_model::{ADMIN_MARK, HostHeader};
use http::Version;

use crate::access::oidc_cookies;
use crate::downstream::connection::ClientConnection;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::middleware::chain;
use crate::middleware::changed_target::upstream_target;
use crate::reply::rejection::Rejection;
use crate::request::context::Routing;
use crate::request::forwarding::{self, ForwardingFacts};
use crate::serving_table::ActiveEndpoint;
use crate::settings::ProxySettings;

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
    settings: &ProxySettings,
    fields: &mut Fields,
) -> Result<Cow<'h, str>, Rejection> {
    let (admission, routed) = (routing.admission, routing.routed);
    let route = &routed.active.route;
    let target = upstream_target(&route.middlewares, &head.target, &routed.prefix)
        .map_err(|_| Rejection::bad("`..` hides in the path"))?;
    fields.clear();
    let host = match &route.host_header {
        HostHeader::Keep => None,
        HostHeader::Named(host) => Some(host),
        HostHeader::Upstream => Some(&endpoint.host),
    };
    if let Some(host) = host {
        fields.push_known(FieldKind::Host, b"Host", &[host.as_bytes()]);
    }
    fields.extend_from(&head.fields, |field| {
        let is_replaced = field.kind == FieldKind::Host && host.is_some();
        !is_replaced && forwarding::is_for_endpoint(field.kind)
    });
    oidc_cookies::hide(fields);
    let facts = ForwardingFacts {
        connection,
        origin: admission.origin,
        port: admission.port,
        public_https_port: settings.public_https_port,
        prefix: &target.removed_prefix,
    };
    forwarding::tell(&facts, &head.fields, fields);
    if let Some(path) = &target.replaced_path {
        fields.set(b"X-Replaced-Path", path.as_bytes());
    }
    chain::on_upstream_fields(&route.middlewares, routing.passage, fields);
    if route.is_of_operator && endpoint.is_of_operator {
        mark_for_admin(endpoint, settings, fields);
    }
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
    match target.text {
        Cow::Borrowed(_) => Ok(Cow::Borrowed(&head.target)),
        Cow::Owned(changed) if changed.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Cow::Owned(changed)),
        Cow::Owned(_) => Err(Rejection::bad("the changed path is not ASCII")),
    }
}

/// Lets the admin listener know that the operator wants this request to come there.
#[cold]
fn mark_for_admin(endpoint: &ActiveEndpoint, settings: &ProxySettings, fields: &mut Fields) {
    if let Some(mark) = settings.admin_mark.as_ref().filter(|mark| mark.port == endpoint.key.address.port()) {
        fields.set(ADMIN_MARK.as_bytes(), mark.value.as_bytes());
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

#[cfg(test)]
mod tests {
    use gangway_model::{CasedHeaderName, Middleware, Route};
    use http::HeaderValue;

    use super::*;
    use crate::message::request_head::Upgrade;
    use crate::middleware::chain::BodyBounds;
    use crate::request::admission::Admission;
    use crate::request::client_origin::ClientOrigin;
    use crate::request::context::{Received, RequestContext};
    use crate::request::decision::RoutedTo;
    use crate::samples::{HOST, connection, settings, table};

    /// The target and the fields that the endpoint of a route gets, one line each.
    fn sent(head: &RequestHead, version: Version, change: impl FnOnce(&mut Route)) -> (String, Vec<String>) {
        let (connection, table) = (connection(true), table(change));
        let active = table.routes().iter().find(|active| !active.ready.is_empty()).expect("the route").clone();
        let origin = ClientOrigin {
            client: connection.peer_ip(),
            secure: true,
            local: false,
            is_anonymous: false,
            is_certain: true,
        };
        let mut ctx = RequestContext::default();
        ctx.received = Received::Admitted(Admission::of(head, origin).expect("in order"));
        let is_upgrade = head.upgrade.is_some();
        ctx.routed = Some(RoutedTo {
            active,
            prefix: "/app".into(),
            bounds: BodyBounds::default(),
            is_at_gate: true,
            is_upgrade,
        });
        let routing = ctx.routing().expect("routed");
        let endpoint = &routing.routed.active.ready[0];
        let mut fields = Fields::default();
        fields.push(b"of-the-last-request", b"");
        let target =
            prepare(head, routing, &connection, endpoint, version, &settings(), &mut fields).expect("in order");
        let mut lines = Vec::new();
        fields.write_lines(&mut lines);
        let text = String::from_utf8(lines).expect("text");
        (target.into_owned(), text.lines().map(str::to_owned).collect())
    }

    const FORWARDING: [&str; 5] = [
        "X-Forwarded-For: 192.0.2.7",
        "X-Real-IP: 192.0.2.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: app.example.org",
        "X-Forwarded-Port: 443",
    ];

    fn forwarding_and(first: &[&str], last: &[&str]) -> Vec<String> {
        [first, &FORWARDING, last].concat().iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn an_ordinary_request_goes_on_as_it_came_with_the_forwarding_fields() {
        let fields = [("Host", HOST), ("User-Agent", "x"), ("Connection", "keep-alive"), ("Content-Length", "3")];
        let head = RequestHead::of_test("PUT", "/app/a?b", &fields);
        let (target, lines) = sent(&head, Version::HTTP_11, |_| {});
        assert_eq!(target, "/app/a?b");
        assert_eq!(lines, forwarding_and(&["Host: app.example.org", "User-Agent: x", "Content-Length: 3"], &[]));
    }

    #[test]
    fn labels_override_what_client_and_proxy_say() {
        let set = |name, value| Middleware::RequestHeader(CasedHeaderName::parse(name).expect("a name"), value);
        let head = RequestHead::of_test("GET", "/app", &[("Host", HOST), ("Cookie", "a=b"), ("X-A", "client")]);
        let (target, lines) = sent(&head, Version::HTTP_11, |route| {
            route.host_header = HostHeader::Upstream;
            route.middlewares = vec![
                Middleware::StripPrefix(vec!["/app".into()]),
                set("x-forwarded-for", Some(HeaderValue::from_static("label"))),
                set("X-a", Some(HeaderValue::from_static("label"))),
                set("cookie", None),
            ];
        });
        assert_eq!(target, "/");
        let last = ["X-Forwarded-Prefix: /app", "x-forwarded-for: label", "X-a: label"];
        let mut expected = forwarding_and(&["Host: 127.0.0.1:8080"], &last);
        expected.retain(|line| !line.starts_with("X-Forwarded-For"));
        assert_eq!(lines, expected);
        let (_, lines) = sent(&head, Version::HTTP_11, |route| {
            route.host_header = HostHeader::Named(HeaderValue::from_static("named"));
        });
        assert_eq!(lines, forwarding_and(&["Host: named", "Cookie: a=b", "X-A: client"], &[]));
    }

    #[test]
    fn trailers_are_accepted_where_both_sides_carry_them() {
        let mut head = RequestHead::of_test("GET", "/app", &[("Host", HOST), ("te", "gzip, trailers")]);
        let te = |head: &RequestHead, endpoint| -> Vec<String> {
            let (_, lines) = sent(head, endpoint, |_| {});
            lines.into_iter().filter(|line| line.starts_with("TE") || line.starts_with("Connection")).collect()
        };
        let none: Vec<String> = Vec::new();
        for client in [Version::HTTP_11, Version::HTTP_2] {
            head.version = client;
            assert_eq!(te(&head, Version::HTTP_11), ["TE: trailers", "Connection: TE"]);
            assert_eq!(te(&head, Version::HTTP_2), ["TE: trailers"]);
        }
        head.version = Version::HTTP_10;
        assert_eq!(te(&head, Version::HTTP_11), none);
        let without = RequestHead::of_test("GET", "/app", &[("Host", HOST), ("TE", "gzip")]);
        assert_eq!(te(&without, Version::HTTP_11), none);
    }

    #[test]
    fn an_upgrade_is_asked_for_once() {
        let fields =
            [("Host", HOST), ("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket"), ("TE", "trailers")];
        let mut head = RequestHead::of_test("GET", "/app", &fields);
        let (_, lines) = sent(&head, Version::HTTP_11, |_| {});
        assert!(!lines.iter().any(|line| line.contains("Upgrade")), "{lines:?}");
        head.upgrade = Some(Upgrade::WebSocket);
        let (_, lines) = sent(&head, Version::HTTP_11, |_| {});
        assert_eq!(lines, forwarding_and(&["Host: app.example.org"], &["Connection: Upgrade", "Upgrade: WebSocket"]));
    }

    #[test]
    fn a_target_that_no_middleware_changes_is_not_copied() {
        let head = RequestHead::of_test("GET", "/app", &[("Host", HOST)]);
        let target = upstream_target(&[], &head.target, "/app").expect("nothing is done");
        assert!(matches!(target.text, Cow::Borrowed(_)));
    }
}
