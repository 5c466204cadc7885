//! Decides what happens to a request by one table. Pure, so that it can be repeated whenever the table changes.

use std::borrow::Cow;
use std::sync::Arc;

use gangway_model::{
    Geography, ListenerScope, Reputation, RequestView, Route, TlsMode, TlsVersion, Transport, https_redirect,
};
use gangway_tls::Store;

use crate::downstream::connection::ClientConnection;
use crate::hold::unavailable::nothing_to_wait_for;
use crate::message::request_head::RequestHead;
use crate::middleware::chain::{self, BodyBounds};
use crate::reply::local_reply::{FailureReply, LocalReply};
use crate::reply::reason::Reason;
use crate::request::admission::Admission;
use crate::request::upgrade;
use crate::serving_table::{ActiveRoute, ActiveTable};
use crate::settings::PlainFallback;

/// A request to decide about.
#[derive(Clone, Copy)]
pub(crate) struct Incoming<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) connection: &'a ClientConnection,
    pub(crate) admission: &'a Admission,
}

/// The state by which a request is decided.
pub(crate) struct InForce<'a> {
    /// None before the first table.
    pub(crate) table: Option<&'a ActiveTable>,
    pub(crate) store: &'a Store,
    /// Whether a handshake for a host would get a placeholder.
    pub(crate) is_placeheld: &'a dyn Fn(&str) -> bool,
    pub(crate) plain_fallback: PlainFallback,
    /// Tells where clients are.
    pub(crate) geography: &'a dyn Geography,
    /// Tells which clients are banned; none where nobody does.
    pub(crate) reputation: Option<&'a dyn Reputation>,
    /// Maps the port of plain HTTP that the client named to the port of https at a listener of the scope. Called for
    /// redirections only.
    pub(crate) https_port: &'a dyn Fn(&ListenerScope, Option<u16>) -> u16,
}

/// What happens to a request.
#[derive(Debug)]
pub(crate) enum RequestDecision {
    /// An endpoint of this route serves it.
    Serve(RoutedTo),
    /// No endpoint of this route can serve it now, but one may soon.
    Hold(RoutedTo),
    /// Gangway replies according to this route.
    ReplyFor(RoutedTo, LocalReply),
    /// Gangway replies independently of any route.
    Reply(LocalReply),
    /// No route takes it.
    NoRoute,
    /// No table is in force yet.
    NotReady,
}

/// The route that takes a request.
#[derive(Debug)]
pub(crate) struct RoutedTo {
    pub(crate) active: Arc<ActiveRoute>,
    /// The decoded path prefix that matched.
    pub(crate) prefix: Cow<'static, str>,
    /// The largest bodies that the route allows.
    pub(crate) bounds: BodyBounds,
    /// Whether the listener's rules are met. A reply of theirs comes before the gate: a password is asked for over https.
    pub(crate) is_at_gate: bool,
    /// Whether the request asks to switch to a protocol that the route passes on.
    pub(crate) is_upgrade: bool,
}

/// Decides about a request.
pub(crate) fn decide(request: Incoming<'_>, in_force: &InForce<'_>) -> RequestDecision {
    if let Some(reply) = challenge(request, in_force.store) {
        return RequestDecision::Reply(reply);
    }
    let Some(table) = in_force.table else { return RequestDecision::NotReady };
    let view = request.admission.view(request.head, request.connection.arrival());
    let Some(found) = table.find(&view) else { return RequestDecision::NoRoute };
    if is_misdirected(table, &view, &found.route.route, request.connection) {
        return RequestDecision::Reply(FailureReply::new(Reason::Misdirected).into());
    }
    let (active, prefix) = (Arc::clone(found.route), kept_prefix(found.prefix));
    let is_upgrade = upgrade::is_passed_on(request.head, &active.route);
    let mut routed = RoutedTo { active, prefix, bounds: BodyBounds::default(), is_at_gate: false, is_upgrade };
    let route = &routed.active.route;
    if let Err(reply) = listener_rules(route, view.host, request, in_force) {
        return RequestDecision::ReplyFor(routed, reply);
    }
    routed.is_at_gate = true;
    let (head, knowledge) = (request.head, (in_force.geography, in_force.reputation));
    let client_of = (request.connection, request.admission.origin);
    let host = (view.host, request.admission.port);
    match chain::on_request(&route.middlewares, head, host, client_of, knowledge, &routed.prefix) {
        Ok(bounds) => routed.bounds = bounds,
        Err(early) => {
            routed.is_at_gate = !early.is_before_gate;
            return RequestDecision::ReplyFor(routed, early.reply);
        }
    }
    if !routed.active.ready.is_empty() {
        return RequestDecision::Serve(routed);
    }
    if let Some(service) = routed.active.route.upstream.internal {
        return RequestDecision::ReplyFor(routed, LocalReply::OfInternalService(service));
    }
    match nothing_to_wait_for(&routed.active) {
        Some(reply) => RequestDecision::ReplyFor(routed, reply.into()),
        None => RequestDecision::Hold(routed),
    }
}

/// A copy of the prefix. Most routes have none, and then nothing is allocated.
fn kept_prefix(prefix: &str) -> Cow<'static, str> {
    match prefix {
        "" => Cow::Borrowed(""),
        "/" => Cow::Borrowed("/"),
        longer => Cow::Owned(longer.to_owned()),
    }
}

/// Replies to a CA that checks whether we control this host (RFC 8555, section 8.3). This precedes all routes,
/// redirections and protections.
fn challenge(request: Incoming<'_>, store: &Store) -> Option<LocalReply> {
    if request.admission.origin.secure {
        return None;
    }
    let token = request.admission.path(request.head).strip_prefix("/.well-known/acme-challenge/")?;
    let key_authorization = store.http_challenge(request.admission.host(request.head), token)?.to_owned();
    Some(LocalReply::Challenge { key_authorization })
}

/// Applies the rules by which a route is served to clients. Returns the reply that they demand. `host` is in the form in
/// which hosts are compared.
fn listener_rules(route: &Route, host: &str, request: Incoming<'_>, in_force: &InForce<'_>) -> Result<(), LocalReply> {
    let (admission, listener) = (request.admission, &route.listener);
    let is_secure = admission.origin.secure;
    // A scope of plain connections has been asked already, and says nothing of what a proxy before us decrypted.
    if listener.tls == TlsMode::Off && is_secure && listener.scope.transport != Transport::Plain {
        let detail = "this route is served by plain HTTP only";
        return Err(FailureReply::new(Reason::NoRoute).with_detail(detail).into());
    }
    if route.closed {
        return Err(FailureReply::new(Reason::RouteClosed).into());
    }
    if let Some(file) = &listener.client_ca
        && in_force.store.client_ca(file).is_none()
    {
        let detail = format!("`certs/clients/{file}` on the volume is missing or damaged");
        return Err(FailureReply::new(Reason::RouteClosed).with_detail(detail).into());
    }
    if listener.https_redirect && !is_secure {
        redirect_to_https(host, &listener.scope, request, in_force)?;
    }
    if !is_held_to(route, request.connection) {
        return Err(FailureReply::new(Reason::Misdirected).into());
    }
    Ok(())
}

/// Redirects plain HTTP to https, unless the host's certificate has not come yet: browsers would show a warning
/// instead of the application.
fn redirect_to_https(
    host: &str,
    scope: &ListenerScope,
    request: Incoming<'_>,
    in_force: &InForce<'_>,
) -> Result<(), LocalReply> {
    let port = request.admission.port;
    if !(in_force.is_placeheld)(host) {
        let https = (in_force.https_port)(scope, port);
        return Err(LocalReply::redirect(308, https_redirect(host, https, &request.head.target)));
    }
    match in_force.plain_fallback {
        PlainFallback::Serve => Ok(()),
        PlainFallback::Refuse => {
            let detail = "no certificate has been obtained for this host yet, and `--no-plain-fallback` is set";
            Err(FailureReply::new(Reason::NoCertificate).with_detail(detail).into())
        }
    }
}

/// Whether the handshake of this connection met the route's demands, whatever host it was opened for. Plain HTTP has
/// no handshake with us, also if a proxy before us has decrypted it.
fn is_held_to(route: &Route, connection: &ClientConnection) -> bool {
    let listener = &route.listener;
    let is_known = listener.client_ca.is_none() || listener.client_ca == connection.client_ca;
    let is_new_enough = listener.tls_min == TlsVersion::Tls12 || !connection.secure || connection.is_tls13;
    is_known && is_new_enough
}

/// Whether a TLS connection that was opened for one host carries a request for another host with other protection.
/// The handshake did not check what that host demands.
fn is_misdirected(
    table: &ActiveTable,
    request: &RequestView<'_>,
    route: &Route,
    connection: &ClientConnection,
) -> bool {
    let Some(sni) = connection.sni.as_deref().filter(|sni| *sni != request.host) else { return false };
    let opened_for = table.find(&RequestView { host: sni, ..*request });
    opened_for.is_some_and(|other| {
        let other = &other.route.route;
        other.closed != route.closed || other.listener.client_ca != route.listener.client_ca
    })
}

#[cfg(test)]
mod tests {
    use gangway_model::{Middleware, NoGeography};
    use http::StatusCode;

    use super::*;
    use crate::message::body_length::BodyLength;
    use crate::message::request_head::Upgrade;
    use crate::request::client_origin::ClientOrigin;
    use crate::samples::{HOST, OTHER_HOST, connection, table};

    fn asked(table: Option<&ActiveTable>, connection: &ClientConnection, url: (&str, &str)) -> RequestDecision {
        let (host, target) = url;
        let mut head = RequestHead::of_test("GET", target, &[("host", host), ("content-length", "20")]);
        head.body = BodyLength::Sized(20);
        asked_by(table, connection, &head)
    }

    fn asked_by(table: Option<&ActiveTable>, connection: &ClientConnection, head: &RequestHead) -> RequestDecision {
        let origin = ClientOrigin {
            client: connection.peer_ip(),
            secure: connection.secure,
            local: false,
            is_anonymous: false,
            is_certain: true,
        };
        let admission = Admission::of(head, origin).expect("in order");
        let in_force = InForce {
            table,
            store: &Store::default(),
            is_placeheld: &|_| false,
            plain_fallback: PlainFallback::Serve,
            geography: &NoGeography,
            reputation: None,
            https_port: &|_, named| if named == Some(8080) { 8443 } else { 443 },
        };
        decide(Incoming { head, connection, admission: &admission }, &in_force)
    }

    fn reason(decision: &RequestDecision) -> Option<Reason> {
        match decision {
            RequestDecision::Reply(reply) | RequestDecision::ReplyFor(_, reply) => reply.reason(),
            RequestDecision::Serve(_)
            | RequestDecision::Hold(_)
            | RequestDecision::NoRoute
            | RequestDecision::NotReady => None,
        }
    }

    fn location(decision: RequestDecision) -> String {
        match decision {
            RequestDecision::ReplyFor(_, LocalReply::Redirect { status: StatusCode::PERMANENT_REDIRECT, location }) => {
                location
            }
            other => panic!("no redirection: {other:?}"),
        }
    }

    #[test]
    fn a_request_is_served_held_or_not_found() {
        let (table, plain) = (table(|_| {}), connection(false));
        let served = asked(Some(&table), &plain, (HOST, "/app/x"));
        assert!(matches!(&served, RequestDecision::Serve(routed) if routed.prefix == "/app"), "{served:?}");
        let held = asked(Some(&table), &plain, (OTHER_HOST, "/app"));
        assert!(matches!(held, RequestDecision::Hold(_)), "{held:?}");
        assert!(matches!(asked(Some(&table), &plain, (HOST, "/")), RequestDecision::NoRoute));
        assert!(matches!(asked(None, &plain, (HOST, "/app")), RequestDecision::NotReady));
    }

    #[test]
    fn an_upgrade_is_passed_on_where_the_route_does_so() {
        let (table, plain) = (table(|route| route.upgrades = Box::new(["derp".into()])), connection(false));
        for (upgrade, protocol, is_passed_on) in [
            (None, "DERP", false),
            (Some(Upgrade::WebSocket), "websocket", true),
            (Some(Upgrade::Named), "DERP", true),
            (Some(Upgrade::Named), "other", false),
            (Some(Upgrade::Named), "h2c", false),
            (Some(Upgrade::Named), "websocket", false),
        ] {
            let mut head = RequestHead::of_test("GET", "/app", &[("host", HOST), ("upgrade", protocol)]);
            head.upgrade = upgrade;
            let decision = asked_by(Some(&table), &plain, &head);
            let RequestDecision::Serve(routed) = decision else { panic!("not served: {decision:?}") };
            assert_eq!(routed.is_upgrade, is_passed_on, "{upgrade:?} {protocol}");
            let unnamed = upgrade::unnamed_protocol(&head, &routed.active.route);
            assert_eq!(unnamed, (protocol == "other").then_some("other"));
        }
    }

    #[test]
    fn plain_http_is_sent_to_the_public_port_of_https() {
        let table = table(|route| route.listener.https_redirect = true);
        let plain = connection(false);
        let to = |host| location(asked(Some(&table), &plain, (host, "/app?a=b")));
        assert_eq!(to("App.Example.ORG"), "https://app.example.org/app?a=b");
        assert_eq!(to("app.example.org:8080"), "https://app.example.org:8443/app?a=b");
        assert!(matches!(asked(Some(&table), &connection(true), (HOST, "/app")), RequestDecision::Serve(_)));
    }

    #[test]
    fn protection_comes_before_everything_that_a_route_does() {
        let redirect = |route: &mut Route| route.listener.https_redirect = true;
        let closed = table(|route| {
            redirect(route);
            route.closed = true;
        });
        let without_ca = table(|route| {
            redirect(route);
            route.listener.client_ca = Some("missing.pem".into());
        });
        for table in [closed, without_ca] {
            let decision = asked(Some(&table), &connection(false), (HOST, "/app"));
            assert_eq!(reason(&decision), Some(Reason::RouteClosed), "{decision:?}");
        }
        let plain_only = table(|route| route.listener.tls = TlsMode::Off);
        let decision = asked(Some(&plain_only), &connection(true), (HOST, "/app"));
        assert_eq!(reason(&decision), Some(Reason::NoRoute));
    }

    #[test]
    fn a_connection_serves_only_hosts_that_are_protected_like_its_own() {
        let closed = table(|route| route.closed = true);
        let decision = asked(Some(&closed), &connection(true), (OTHER_HOST, "/app"));
        assert_eq!(reason(&decision), Some(Reason::Misdirected), "{decision:?}");
        let tls13 = table(|route| route.listener.tls_min = TlsVersion::Tls13);
        let mut connection = connection(true);
        let decision = asked(Some(&tls13), &connection, (HOST, "/app"));
        assert_eq!(reason(&decision), Some(Reason::Misdirected), "{decision:?}");
        connection.is_tls13 = true;
        assert!(matches!(asked(Some(&tls13), &connection, (HOST, "/app")), RequestDecision::Serve(_)));
    }

    #[test]
    fn middlewares_reply_or_bound_the_body() {
        let limited = |limit| table(move |route| route.middlewares = vec![Middleware::BodyLimit(limit)]);
        let decision = asked(Some(&limited(19)), &connection(false), (HOST, "/app"));
        assert_eq!(reason(&decision), Some(Reason::BodyTooLarge));
        let decision = asked(Some(&limited(20)), &connection(false), (HOST, "/app"));
        assert!(
            matches!(&decision, RequestDecision::Serve(routed) if routed.bounds.request == Some(20)),
            "{decision:?}"
        );
        let stripped = table(|route| route.middlewares = vec![Middleware::StripPrefix(vec!["/app".into()])]);
        let decision = asked(Some(&stripped), &connection(false), (HOST, "/app"));
        assert_eq!(location(decision), "/app/");
    }
}
