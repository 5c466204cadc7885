//! Runs all middlewares of a route over a request and its response.
//!
//! Each `match` names every middleware: a new one does not compile until each hook says what it does.

use gangway_model::{ClientPlace, Geography, Judgement, Middleware, Reputation, RequestedUrl};

use crate::access::chosen_address::chosen_address;
use crate::access::gate::Passage;
use crate::access::guard::is_guard;
use crate::downstream::connection::ClientConnection;
use crate::message::field_kind::FieldKind;
use crate::message::fields::Fields;
use crate::message::request_head::RequestHead;
use crate::middleware::changed_target::upstream_target;
use crate::middleware::{
    address_filter, allowed_hosts, body_limit, cors, crowdsec, headers, hsts, redirect, secure_headers, strip_prefix,
    url_redirect,
};
use crate::reply::local_reply::LocalReply;
use crate::request::client_origin::{ClientOrigin, ClientScheme};

/// A reply before an endpoint is chosen.
#[derive(Debug)]
pub(crate) struct EarlyReply {
    pub(crate) reply: LocalReply,
    /// Whether clients get it who were not let in: a redirection to https must come before a password is asked for.
    pub(crate) is_before_gate: bool,
}

/// The largest bodies that a route allows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct BodyBounds {
    pub(crate) request: Option<u64>,
    pub(crate) response: Option<u64>,
}

/// Of several bounds the narrowest holds.
fn tighten(bound: &mut Option<u64>, max: u64) {
    *bound = Some(bound.map_or(max, |known| known.min(max)));
}

/// Runs before an endpoint is chosen. The first middleware that replies ends the chain.
///
/// `host` is in the form in which hosts are compared, with the port that the client named, and `prefix` is the decoded
/// path prefix that matched. `geography` is asked only by lists that name places, and `reputation` once. What needs a
/// state or takes time happens later, at the gate.
pub(crate) fn on_request(
    middlewares: &[Middleware],
    head: &RequestHead,
    host: (&str, Option<u16>),
    client_of: (&ClientConnection, ClientOrigin),
    knowledge: (&dyn Geography, Option<&dyn Reputation>),
    prefix: &str,
) -> Result<BodyBounds, EarlyReply> {
    let ((connection, origin), (geography, reputation)) = (client_of, knowledge);
    let client = ClientPlace::new(origin.client, geography);
    let judgement = reputation.map_or(Judgement::Unknown, |reputation| reputation.judge(&client));
    if let Some(reply) = crowdsec::on_every_request(&judgement, origin) {
        return Err(EarlyReply { reply, is_before_gate: false });
    }
    let mut bounds = BodyBounds::default();
    for (place, middleware) in middlewares.iter().enumerate() {
        let reply = match middleware {
            Middleware::StripPrefix(_) if head.fields.has(FieldKind::Upgrade) => None,
            Middleware::StripPrefix(_) => strip_prefix::on_request(&head.method, &head.target, prefix),
            Middleware::Redirect { status, target } => {
                Some(redirect::on_request(*status, target, host.0, &head.target))
            }
            Middleware::UrlRedirect(redirect) => {
                // A path that cannot be changed is refused later, whatever the redirection would be.
                upstream_target(&middlewares[..place], &head.target, prefix).ok().and_then(|target| {
                    let asked =
                        RequestedUrl { is_secure: origin.secure, host: host.0, port: host.1, target: &target.text };
                    url_redirect::on_request(redirect, &head.method, &asked)
                })
            }
            Middleware::AddressFilter(filter) => {
                let chosen = chosen_address(&filter.by, &head.fields, connection, origin);
                address_filter::on_request(filter, chosen, &client, geography)
            }
            Middleware::Cors(cors) => cors::on_request(cors, head),
            Middleware::AllowedHosts(hosts) => allowed_hosts::on_request(hosts, host),
            Middleware::Crowdsec(on_doubt) => crowdsec::on_request(*on_doubt, &judgement, origin),
            Middleware::BodyLimit(max) => {
                tighten(&mut bounds.request, *max);
                body_limit::on_request(*max, head.body)
            }
            Middleware::ResponseLimit(max) => {
                tighten(&mut bounds.response, max.get());
                None
            }
            Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::PathChange(_)
            | Middleware::RequestHeader(..)
            | Middleware::ResponseHeader(..)
            | Middleware::Hsts(_)
            | Middleware::SecureHeaders { .. }
            | Middleware::RateLimit(_)
            | Middleware::ConcurrencyLimit(_)
            | Middleware::Appsec(_)
            | Middleware::Authentication(_)
            | Middleware::Compression(_)
            | Middleware::ErrorPages(_)
            | Middleware::Cache(_) => None,
        };
        if let Some(reply) = reply {
            // What stands before a guard in the chain answers before it. A preflight has no credentials.
            let is_answer = matches!(middleware, Middleware::UrlRedirect(_) | Middleware::Cors(_));
            let is_before_gate = is_answer && !middlewares[..place].iter().any(is_guard);
            return Err(EarlyReply { reply, is_before_gate });
        }
    }
    Ok(bounds)
}

/// Changes the fields for the endpoint, after the forwarding fields were set.
pub(crate) fn on_upstream_fields(middlewares: &[Middleware], passage: &Passage, fields: &mut Fields) {
    for (place, middleware) in middlewares.iter().enumerate() {
        match middleware {
            Middleware::Authentication(authentication) => {
                passage.change_upstream_fields(authentication, &middlewares[..place], fields);
            }
            Middleware::RequestHeader(name, value) => headers::apply(name, value.as_ref(), fields),
            Middleware::StripPrefix(_)
            | Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::Redirect { .. }
            | Middleware::UrlRedirect(_)
            | Middleware::PathChange(_)
            | Middleware::ResponseHeader(..)
            | Middleware::BodyLimit(_)
            | Middleware::Hsts(_)
            | Middleware::SecureHeaders { .. }
            | Middleware::AddressFilter(_)
            | Middleware::Crowdsec(_)
            | Middleware::Appsec(_)
            | Middleware::RateLimit(_)
            | Middleware::ConcurrencyLimit(_)
            | Middleware::Compression(_)
            | Middleware::ErrorPages(_)
            | Middleware::Cors(_)
            | Middleware::AllowedHosts(_)
            | Middleware::ResponseLimit(_)
            | Middleware::Cache(_) => {}
        }
    }
}

/// Changes the fields of a response to a request, of the application or of a local reply. Responses pass the chain in reverse.
pub(crate) fn on_response(
    middlewares: &[Middleware],
    passage: &Passage,
    request: &RequestHead,
    fields: &mut Fields,
    scheme: ClientScheme,
) {
    for (place, middleware) in middlewares.iter().enumerate().rev() {
        match middleware {
            Middleware::ResponseHeader(name, value) => headers::apply(name, value.as_ref(), fields),
            Middleware::Hsts(max_age) => hsts::on_response(*max_age, scheme, fields),
            Middleware::SecureHeaders { hsts } => secure_headers::on_response(*hsts, scheme, fields),
            Middleware::Authentication(authentication) => {
                passage.add_cookies(authentication, &middlewares[..place], fields);
            }
            Middleware::Cors(cors) => cors::on_response(cors, request, fields),
            Middleware::StripPrefix(_)
            | Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::Redirect { .. }
            | Middleware::UrlRedirect(_)
            | Middleware::PathChange(_)
            | Middleware::RequestHeader(..)
            | Middleware::BodyLimit(_)
            | Middleware::AddressFilter(_)
            | Middleware::Crowdsec(_)
            | Middleware::Appsec(_)
            | Middleware::RateLimit(_)
            | Middleware::ConcurrencyLimit(_)
            | Middleware::Compression(_)
            | Middleware::ErrorPages(_)
            | Middleware::AllowedHosts(_)
            | Middleware::ResponseLimit(_)
            | Middleware::Cache(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::IpAddr;
    use std::sync::Arc;

    use gangway_model::target_change::Unconfined;
    use gangway_model::{AddressFilter, ClientList, CountryCode, Hsts, Located, NoGeography, OnDoubt, PlaceKind};

    use super::*;
    use crate::samples;

    #[test]
    fn a_removed_prefix_is_told_and_one_that_does_not_begin_the_path_is_refused() {
        let chain = [Middleware::StripPrefix(vec!["/stash".into()])];
        let stripped = upstream_target(&chain, "/stash/a%2Fb//c?x=%20", "/stash").expect("it begins the path");
        assert_eq!((&*stripped.text, &*stripped.removed_prefix), ("/a%2Fb//c?x=%20", "/stash"));
        assert_eq!(upstream_target(&chain, "/stashed", "/stash"), Err(Unconfined));
    }

    #[test]
    fn each_middleware_changes_what_the_one_before_it_left() {
        let pattern = gangway_model::RegexPattern::parse("^/app/v1/(.*)$", &mut Vec::new()).expect("valid");
        let replacement = gangway_model::Replacement::parse("/api?p=$1", pattern.regex()).expect("valid");
        let chain = [Middleware::AddPrefix("/app/".into()), Middleware::Rewrite { pattern, replacement }];
        let rewritten = upstream_target(&chain, "/x/%2e%2e/v1/users?x=1", "").expect("nothing hides");
        assert_eq!(&*rewritten.text, "/api?p=users&x=1");
        assert_eq!(rewritten.removed_prefix, "");
    }

    #[test]
    fn responses_pass_the_chain_in_reverse_and_hsts_only_by_https() {
        let set = |value: &'static str| {
            let value = Some(http::HeaderValue::from_static(value));
            Middleware::ResponseHeader(http::HeaderName::from_static("x-from").into(), value)
        };
        let removed = Middleware::ResponseHeader(http::HeaderName::from_static("server").into(), None);
        let chain = [set("outer"), Middleware::Hsts(Hsts::of(60.try_into().expect("not 0"))), set("inner"), removed];
        for (scheme, hsts) in [(ClientScheme::Https, Some(&b"max-age=60"[..])), (ClientScheme::Http, None)] {
            let mut fields = Fields::default();
            fields.push(b"Server", b"app");
            fields.push(b"X-From", b"app");
            on_response(&chain, &Passage::default(), &RequestHead::default(), &mut fields, scheme);
            assert_eq!(fields.all_named(b"x-from").collect::<Vec<_>>(), [b"outer"]);
            assert_eq!(fields.get_named(b"strict-transport-security"), hsts);
            assert_eq!(fields.get_named(b"server"), None);
        }
    }

    const ORIGIN: ClientOrigin = ClientOrigin {
        client: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)),
        secure: true,
        local: false,
        is_anonymous: false,
        is_certain: true,
    };

    #[test]
    fn of_several_bounds_the_narrowest_holds() {
        let max = |max: u64| [Middleware::BodyLimit(max), Middleware::ResponseLimit(max.try_into().expect("not 0"))];
        for chain in [[max(10), max(100)].concat(), [max(100), max(10)].concat()] {
            let head = RequestHead::of_test("GET", "/", &[("host", "a")]);
            let client_of = (&samples::connection(true), ORIGIN);
            let bounds = on_request(&chain, &head, ("a", None), client_of, (&NoGeography, None), "/");
            assert_eq!(bounds.ok(), Some(BodyBounds { request: Some(10), response: Some(10) }));
        }
    }

    /// Counts how often somebody asks.
    #[derive(Default)]
    struct Counting(Cell<u32>);

    impl Geography for Counting {
        fn country(&self, _: IpAddr) -> Located<CountryCode> {
            self.0.set(self.0.get() + 1);
            Located::Known(CountryCode::of("DE").expect("two letters"))
        }

        fn autonomous_system(&self, _: IpAddr) -> Located<u32> {
            self.0.set(self.0.get() + 100);
            Located::Unknown
        }
    }

    #[test]
    fn places_are_looked_up_once_and_only_for_lists_that_name_them() {
        let list = |networks: &[&str], countries: &[&str], systems: &[u32]| {
            let networks = networks.iter().map(|network| network.parse::<ipnet::IpNet>().expect("a network"));
            let countries = countries.iter().map(|code| CountryCode::of(code).expect("two letters")).collect();
            ClientList::from_iter(networks).with(countries, systems.to_vec())
        };
        let filter = |allow, deny| {
            Middleware::AddressFilter(Arc::new(AddressFilter { allow, deny, ..AddressFilter::default() }))
        };
        let client = "192.0.2.0/24";
        for (chain, is_let_in, asked) in [
            (vec![filter(Some(list(&[client], &[], &[])), list(&["203.0.113.0/24"], &[], &[]))], true, 0),
            (vec![filter(Some(list(&[client], &["FR"], &[1])), ClientList::default())], true, 0),
            (vec![filter(None, list(&[client], &["FR"], &[1]))], false, 0),
            (vec![filter(None, list(&[], &["FR"], &[]))], true, 1),
            (vec![filter(Some(list(&[], &["DE"], &[1])), list(&[], &["FR"], &[]))], true, 1),
            (
                vec![
                    filter(None, list(&[], &["FR"], &[1])),
                    filter(Some(list(&[], &["DE"], &[])), list(&[], &[], &[2])),
                ],
                true,
                101,
            ),
        ] {
            let head = RequestHead::of_test("GET", "/", &[("host", "a")]);
            let counting = Counting::default();
            let result =
                on_request(&chain, &head, ("a", None), (&samples::connection(true), ORIGIN), (&counting, None), "/");
            assert_eq!((result.is_ok(), counting.0.get()), (is_let_in, asked), "{chain:?}");
        }
    }

    /// Says the same of everybody.
    struct Always(Judgement);

    impl Reputation for Always {
        fn judge(&self, _: &ClientPlace<'_>) -> Judgement {
            self.0.clone()
        }
    }

    #[test]
    fn a_ban_counts_everywhere_and_a_doubt_where_the_route_says_so() {
        let banned = || Judgement::Banned { origin: "cscli".into() };
        let undecided = || Judgement::Undecided(PlaceKind::Country);
        let behind_gateway = ClientOrigin { is_anonymous: true, is_certain: false, ..ORIGIN };
        let unnamed_proxy = ClientOrigin { is_certain: false, ..ORIGIN };
        let (plain, open, closed) =
            (vec![], vec![Middleware::Crowdsec(OnDoubt::Admit)], vec![Middleware::Crowdsec(OnDoubt::Close)]);
        for (judgement, origin, expected) in [
            (Judgement::Free, ORIGIN, [None, None, None]),
            (banned(), ORIGIN, [Some("banned"); 3]),
            (Judgement::Unknown, ORIGIN, [None, None, Some("route-closed")]),
            (undecided(), ORIGIN, [None, None, Some("route-closed")]),
            // The address is not the client's.
            (Judgement::Free, behind_gateway, [None, None, Some("route-closed")]),
            (banned(), behind_gateway, [None, None, Some("route-closed")]),
            (Judgement::Free, unnamed_proxy, [None, None, Some("route-closed")]),
            (banned(), unnamed_proxy, [Some("banned"); 3]),
        ] {
            let head = RequestHead::of_test("GET", "/", &[("host", "a")]);
            let reputation = Always(judgement.clone());
            let found = [&plain, &open, &closed].map(|chain| {
                let knowledge: (&dyn Geography, Option<&dyn Reputation>) = (&NoGeography, Some(&reputation));
                let reply = on_request(chain, &head, ("a", None), (&samples::connection(true), origin), knowledge, "/")
                    .err()?
                    .reply;
                reply.reason().map(crate::reply::reason::Reason::token)
            });
            assert_eq!(found, expected, "{judgement:?} {origin:?}");
        }
    }

    #[test]
    fn a_list_refuses_a_peer_by_its_own_address_and_closes_where_another_may_speak_by_it() {
        let networks = |networks: &[&str]| -> ClientList {
            networks.iter().map(|network| network.parse::<ipnet::IpNet>().expect("a network")).collect()
        };
        let here = || networks(&["192.0.2.0/24"]);
        let elsewhere = || networks(&["203.0.113.0/24"]);
        let german = || networks(&[]).with([CountryCode::of("DE").expect("two letters")].into(), Vec::new());
        let gateway = ClientOrigin { is_anonymous: true, is_certain: false, ..ORIGIN };
        let unnamed_proxy = ClientOrigin { is_certain: false, ..ORIGIN };
        let answer = |allow, deny, refusal, origin| {
            let chain = [Middleware::AddressFilter(Arc::new(AddressFilter {
                allow,
                deny,
                refusal,
                ..AddressFilter::default()
            }))];
            let head = RequestHead::of_test("GET", "/", &[("host", "a")]);
            let knowledge: (&dyn Geography, Option<&dyn Reputation>) = (&NoGeography, None);
            let reply = on_request(&chain, &head, ("a", None), (&samples::connection(true), origin), knowledge, "/")
                .err()?
                .reply;
            let audience = crate::reply::page::Audience { request_id: "id", local: false, url: "", own: None };
            Some((reply.render(&head, audience).0.status.as_u16(), reply.reason()?.token()))
        };
        let (forbidden, closed) = (Some((403, "forbidden")), Some((503, "route-closed")));
        let teapot = Some(http::StatusCode::IM_A_TEAPOT);
        for (allow, deny, refusal, [certain, by_proxy, by_gateway]) in [
            (Some(here()), networks(&[]), None, [None, closed, closed]),
            (Some(elsewhere()), networks(&[]), None, [forbidden, forbidden, closed]),
            (None, here(), None, [forbidden, forbidden, closed]),
            (None, elsewhere(), None, [None, closed, closed]),
            (None, here(), teapot, [Some((418, "forbidden")), Some((418, "forbidden")), closed]),
            // Nobody can tell.
            (Some(german()), networks(&[]), None, [closed, closed, closed]),
            (Some(german()), here(), None, [forbidden, forbidden, closed]),
        ] {
            for (origin, expected) in [(ORIGIN, certain), (unnamed_proxy, by_proxy), (gateway, by_gateway)] {
                let found = answer(allow.clone(), deny.clone(), refusal, origin);
                assert_eq!(found, expected, "{allow:?} {deny:?} {origin:?}");
            }
        }
    }

    #[test]
    fn only_what_a_client_follows_is_redirected_to_the_slash() {
        let chain = [Middleware::StripPrefix(vec!["/stash".into()])];
        let is_redirected = |method: &str, fields: &[(&str, &str)]| {
            let fields = [&[("host", "a")], fields].concat();
            let head = RequestHead::of_test(method, "/stash?x", &fields);
            on_request(&chain, &head, ("a", None), (&samples::connection(true), ORIGIN), (&NoGeography, None), "/stash")
                .is_err()
        };
        assert!(is_redirected("GET", &[]) && is_redirected("HEAD", &[]));
        assert!(!is_redirected("POST", &[]) && !is_redirected("OPTIONS", &[("access-control-request-method", "GET")]));
        assert!(!is_redirected("GET", &[("upgrade", "websocket"), ("connection", "upgrade")]));
        assert_eq!(&*upstream_target(&chain, "/stash?x", "/stash").expect("it is the prefix").text, "/?x");
    }
}
