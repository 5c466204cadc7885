//! What each middleware of a route decides about one request.
//!
//! Nothing is asked and nothing is counted: where the decision is a log-in service's, or depends on a password or on other
//! requests, the step says so. No value of a field that may be a secret is shown.

use std::net::IpAddr;

use gangway_model::{
    AddressFilter, AddressSource, AddressVerdict, Authentication, BasicAuth, CasedHeaderName, ClientKey, ClientPlace,
    Cors, Endpoint, ForwardAuth, Judgement, Located, LoginMethod, Middleware, OidcAuth, OnDoubt, PlaceKind, Route,
    SkipRule, choose_coding, overrides_method,
};
use http::Method;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONTENT_LENGTH, ORIGIN, RANGE, UPGRADE,
};

use crate::api;
use crate::explain_query::ExplainQuery;
use crate::views;

/// What is known of the client of a query.
pub(crate) struct KnownClient<'a> {
    pub(crate) place: ClientPlace<'a>,
    /// Whether it is banned.
    pub(crate) judgement: Judgement,
    /// The address of a gateway with which clients come, if any did. It is in no network, and no client's.
    pub(crate) gateway: Option<IpAddr>,
}

impl KnownClient<'_> {
    fn is_of_gateway(&self) -> bool {
        self.gateway.is_some_and(|gateway| gateway == self.place.address())
    }
}

/// Every middleware of the route, in order, with its decision and where it was written.
pub(crate) fn steps(route: &Route, query: &ExplainQuery, client: &KnownClient<'_>) -> Vec<api::StepView> {
    let step = |middleware: &Middleware| {
        let origins = || route.origins.iter().filter(|origin| is_of(middleware, &origin.key));
        api::StepView {
            step: views::middleware(middleware),
            decision: decision(middleware, route, query, client),
            definitions: once(origins().filter_map(|origin| Some(origin.definition()?.0.to_owned()))),
            written: once(origins().filter_map(views::own_place)),
        }
    };
    route.middlewares.iter().map(step).collect()
}

/// The answer to a client that is banned, whatever the route.
pub(crate) fn ban(query: &ExplainQuery, client: &KnownClient<'_>) -> Option<String> {
    match &client.judgement {
        Judgement::Banned { origin } if !client.is_of_gateway() => Some(format!(
            "403 banned: CrowdSec has banned {}, as `{origin}` decided; its own connections are closed unanswered",
            query.from
        )),
        Judgement::Banned { .. } | Judgement::Unknown | Judgement::Free | Judgement::Undecided(_) => None,
    }
}

/// The doubt for which a route with `crowdsec` is closed to a client.
fn doubt(query: &ExplainQuery, client: &KnownClient<'_>) -> Option<String> {
    match &client.judgement {
        _ if client.is_of_gateway() => {
            Some(format!("{} is the address of a gateway, so it is not a client's", query.from))
        }
        Judgement::Unknown => Some("the CrowdSec engine has not told yet who is banned".to_owned()),
        Judgement::Undecided(kind) => {
            let from = query.from;
            Some(format!("CrowdSec has decided by {kind}, and no file of `--geoip` tells the {kind} of {from}"))
        }
        Judgement::Free | Judgement::Banned { .. } => None,
    }
}

/// The answer to a request that this middleware refuses before a log-in or an endpoint is asked.
pub(crate) fn refusal(middleware: &Middleware, query: &ExplainQuery, client: &KnownClient<'_>) -> Option<String> {
    let place = &client.place;
    match middleware {
        // Only the data plane knows who has sent a request, and what its lists are worth.
        Middleware::AddressFilter(filter) if filter.by.source != AddressSource::Client => None,
        Middleware::AddressFilter(_) if client.is_of_gateway() => {
            Some(format!("503 route-closed: {} is the address of a gateway, so it is not a client's", query.from))
        }
        Middleware::AddressFilter(filter) => match filter.verdict(place) {
            AddressVerdict::Admitted => None,
            AddressVerdict::Refused => {
                let denied = filter.deny.entry_with(place).map(|entry| format!("`deny` names `{entry}`"));
                let why = denied.unwrap_or_else(|| "`allow` does not name it".to_owned());
                let (status, place) = (refusal_status(filter), found_place(filter, place));
                Some(format!("{status} forbidden: {} may not come in, for {why}{place}", query.from))
            }
            AddressVerdict::Undecided(kind) => {
                let why = format!("no file of `--geoip` tells the {kind} of {}, so nobody is let in", query.from);
                Some(format!("503 route-closed: {why}"))
            }
        },
        Middleware::Crowdsec(on_doubt) => ban(query, client).or_else(|| match on_doubt {
            OnDoubt::Close => doubt(query, client).map(|doubt| format!("503 route-closed: {doubt}")),
            OnDoubt::Admit => None,
        }),
        Middleware::AllowedHosts(hosts) => {
            let port = query.port.map(|port| format!("{}:{port}", query.host));
            let is_allowed = hosts.iter().any(|host| **host == query.host || Some(&**host) == port.as_deref());
            (!is_allowed).then(|| format!("500 host-not-allowed: `{}` is not among the hosts", query.host))
        }
        Middleware::BodyLimit(max) => {
            (body_len(query)? > *max).then(|| format!("413: the body is larger than {max} bytes"))
        }
        Middleware::StripPrefix(_)
        | Middleware::AddPrefix(_)
        | Middleware::Rewrite { .. }
        | Middleware::Redirect { .. }
        | Middleware::UrlRedirect(_)
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
        | Middleware::ResponseLimit(_)
        | Middleware::Cors(_)
        | Middleware::Cache(_) => None,
    }
}

/// Whether `auth.skip` lets a request in without a log-in.
enum Skip<'l> {
    /// The client's address does not count.
    Surely(&'l SkipRule),
    /// If the data plane is certain that the address is the client's, which nobody who asks for an explanation can say.
    IfCertain(&'l SkipRule),
    /// A log-in is needed.
    Not,
}

fn skip<'l>(login: &'l Authentication, query: &ExplainQuery, client: &KnownClient<'_>) -> Skip<'l> {
    let by = |is_client_certain| login.skipped_by(&query.view(), is_client_certain);
    match by(false) {
        Some(rule) => Skip::Surely(rule),
        None if client.is_of_gateway() => Skip::Not,
        None => by(true).map_or(Skip::Not, Skip::IfCertain),
    }
}

/// The condition of [`Skip::IfCertain`].
fn if_certain(query: &ExplainQuery, client: &KnownClient<'_>) -> String {
    let seen = client.gateway.map(|gateway| format!(" (clients have come with `{gateway}`, which is a gateway's)"));
    let seen = seen.unwrap_or_default();
    format!("if {} is certain to be the client's address, not an unnamed proxy's or a gateway's{seen}", query.from)
}

/// What a log-in of the route makes of the outcome that the request would have without it.
pub(crate) fn outcome_behind_log_in(
    route: &Route,
    query: &ExplainQuery,
    client: &KnownClient<'_>,
    outcome: String,
) -> String {
    let Some(login) = route.middlewares.iter().find_map(Middleware::authentication) else { return outcome };
    match skip(login, query, client) {
        Skip::Surely(_) => outcome,
        Skip::IfCertain(_) => {
            let condition = if_certain(query, client);
            let otherwise = outcome_of_log_in(login, route, query, &outcome);
            format!("{outcome}, {condition}; else {otherwise}")
        }
        Skip::Not => outcome_of_log_in(login, route, query, &outcome),
    }
}

fn outcome_of_log_in(login: &Authentication, route: &Route, query: &ExplainQuery, outcome: &str) -> String {
    match &login.method {
        LoginMethod::Basic(_) if !query.headers.contains_key(AUTHORIZATION) => {
            format!("401 unauthorized: a name and a password are asked for; with them, {outcome}")
        }
        LoginMethod::Basic(_) => format!("{outcome}, if name and password are right; else 401 unauthorized"),
        LoginMethod::Oidc(oidc) => {
            format!(
                "302 to OpenID provider `{}` for a page, 401 for anything else; after a log-in, {outcome}",
                oidc.provider
            )
        }
        LoginMethod::Forward(_) if route.auth_services.is_empty() => {
            "503 auth-unavailable: the log-in service is not there, so nobody is let in".to_owned()
        }
        LoginMethod::Forward(forward) => {
            let service = views::without_secrets(forward).service;
            format!("{outcome}, if log-in service `{service}` lets it in; else as that answers")
        }
    }
}

fn decision(middleware: &Middleware, route: &Route, query: &ExplainQuery, client: &KnownClient<'_>) -> Option<String> {
    if let Some(refusal) = refusal(middleware, query, client) {
        return Some(refusal);
    }
    Some(match middleware {
        Middleware::AddressFilter(filter) if filter.by.source != AddressSource::Client => {
            let status = refusal_status(filter);
            format!("the address of {} is compared; who is not let in gets {status}", filter.by.source)
        }
        Middleware::AddressFilter(filter) => {
            let allowed = filter.allow.as_ref().and_then(|allow| allow.entry_with(&client.place));
            let why = match allowed {
                Some(entry) => format!("`allow` names `{entry}`"),
                None => "`deny` does not name it".to_owned(),
            };
            format!("{} is let in, for {why}{}", query.from, found_place(filter, &client.place))
        }
        Middleware::Crowdsec(_) => match doubt(query, client) {
            None => format!("{} is let in, for CrowdSec has not banned it", query.from),
            Some(doubt) => format!("{} is let in, though {doubt}", query.from),
        },
        Middleware::RateLimit(limit) => {
            format!("counts for {}; what is beyond gets 429", limited_client(&limit.key, query))
        }
        Middleware::ConcurrencyLimit(limit) => {
            let client = limited_client(&limit.key, query);
            format!("counts for {client}; more than {} under way get 429", limit.requests)
        }
        Middleware::Cors(cors) => cross_origin(cors, query),
        Middleware::AllowedHosts(_) => format!("`{}` is among the hosts", query.host),
        Middleware::Appsec(on_doubt) => {
            let otherwise = match on_doubt {
                OnDoubt::Close => "503 appsec-unavailable if that cannot be asked",
                OnDoubt::Admit => "let in if that cannot be asked",
            };
            format!("CrowdSec AppSec is asked, and what it blocks gets 403 appsec-blocked; {otherwise}")
        }
        Middleware::Authentication(login) => log_in(login, route, query, client),
        Middleware::Cache(_) => cache(route, query),
        Middleware::ErrorPages(_) => "errors get the page of the first rule with their status".to_owned(),
        Middleware::Compression(offered) => {
            let accepted = query.headers.get_all(ACCEPT_ENCODING).iter().map(http::HeaderValue::as_bytes);
            match choose_coding(accepted, &offered.codings) {
                Some(coding) => format!("by {coding}, where the answer is worth it"),
                None if query.headers.contains_key(ACCEPT_ENCODING) => {
                    "not compressed: `Accept-Encoding` takes none of these".to_owned()
                }
                None => "not compressed: the request has no `Accept-Encoding`".to_owned(),
            }
        }
        Middleware::BodyLimit(_) => match body_len(query) {
            Some(len) => format!("{len} bytes are few enough"),
            None => "a larger body gets 413".to_owned(),
        },
        Middleware::ResponseLimit(_) => "a larger answer becomes 500".to_owned(),
        Middleware::Hsts(_) if query.secure => "sent".to_owned(),
        Middleware::Hsts(_) => "not sent by plain HTTP".to_owned(),
        Middleware::SecureHeaders { .. } => "those are added that the answer does not have".to_owned(),
        Middleware::StripPrefix(_)
        | Middleware::AddPrefix(_)
        | Middleware::Rewrite { .. }
        | Middleware::Redirect { .. }
        | Middleware::UrlRedirect(_)
        | Middleware::PathChange(_)
        | Middleware::RequestHeader(..)
        | Middleware::ResponseHeader(..) => return None,
    })
}

/// The status of the answer to a client that is not let in.
fn refusal_status(filter: &AddressFilter) -> u16 {
    filter.refusal.map_or(403, |status| status.as_u16())
}

/// What the cache of a route does with a request; what is kept, only the data plane knows.
fn cache(route: &Route, query: &ExplainQuery) -> String {
    let has = |name: http::HeaderName| query.headers.contains_key(name);
    let bypass = match () {
        () if !matches!(query.method, Method::GET | Method::HEAD) => Some(format!("{} is not kept", query.method)),
        () if overrides_method(&query.headers) => Some("the request asks for another method".to_owned()),
        () if has(UPGRADE) => Some("the request asks for another protocol".to_owned()),
        () if has(RANGE) => Some("the request asks for a range".to_owned()),
        () if body_len(query).is_some_and(|len| len > 0) => Some("the request has a body".to_owned()),
        () => None,
    };
    if let Some(why) = bypass {
        return format!("goes to the application, for {why}");
    }
    let has_logged_in = route.middlewares.iter().any(|one| one.authentication().is_some());
    let condition = match () {
        () if has_logged_in || route.listener.client_ca.is_some() => {
            "kept for all who are let in only where `Cache-Control` of the answer says `public`"
        }
        () if has(AUTHORIZATION) => {
            "kept only where `Cache-Control` of the answer says `public`, as the request has `Authorization`"
        }
        () => "kept where `Cache-Control` or `Expires` of the answer allows it",
    };
    format!("answered from memory if it is kept and fresh; else by the application, and {condition}")
}

/// What is said to pages of other origins.
fn cross_origin(cors: &Cors, query: &ExplainQuery) -> String {
    let header = |name| query.headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = header(ORIGIN) else { return "the request has no `Origin`".to_owned() };
    let allowed = match cors.allowed(origin) {
        Some(_) => format!("pages of `{origin}` may read the answer"),
        None => format!("pages of `{origin}` may not read the answer, unless the application says so"),
    };
    match query.method == Method::OPTIONS && header(ACCESS_CONTROL_REQUEST_METHOD).is_some() {
        true => format!("200: answers in place of the application; {allowed}"),
        false => allowed,
    }
}

/// What is known of the place of a client, as far as the lists ask for it. A part of a sentence, or nothing.
fn found_place(filter: &AddressFilter, place: &ClientPlace<'_>) -> String {
    let country = filter.asks_for(PlaceKind::Country).then(|| match place.country() {
        Located::Known(code) => format!("its country is {code}"),
        Located::Unknown => "its country is unknown".to_owned(),
        Located::Unavailable => "no file of `--geoip` tells its country".to_owned(),
    });
    let system = filter.asks_for(PlaceKind::AutonomousSystem).then(|| match place.autonomous_system() {
        Located::Known(number) => format!("its AS number is {number}"),
        Located::Unknown => "its AS number is unknown".to_owned(),
        Located::Unavailable => "no file of `--geoip` tells its AS number".to_owned(),
    });
    match country.into_iter().chain(system).collect::<Vec<_>>().join(", ") {
        nothing if nothing.is_empty() => nothing,
        known => format!("; {known}"),
    }
}

fn log_in(login: &Authentication, route: &Route, query: &ExplainQuery, client: &KnownClient<'_>) -> String {
    let by_method = || match &login.method {
        LoginMethod::Basic(basic) => by_password(basic, query),
        LoginMethod::Forward(forward) => {
            let service = route.auth_service_of(login).and_then(|at| route.auth_services.get(at));
            by_service(forward, service.map_or(&[][..], |service| service))
        }
        LoginMethod::Oidc(oidc) => at_provider(oidc),
    };
    match skip(login, query, client) {
        Skip::Surely(rule) => format!("let in without a log-in, by `auth.skip` `{rule}`"),
        Skip::IfCertain(rule) => {
            let condition = if_certain(query, client);
            format!("let in without a log-in, by `auth.skip` `{rule}`, {condition}; else {}", by_method())
        }
        Skip::Not => by_method(),
    }
}

fn by_password(basic: &BasicAuth, query: &ExplainQuery) -> String {
    let own = (!basic.users.is_empty()).then(|| "the users of the route".to_owned());
    let lists = basic.lists.iter().map(|list| format!("the list `{list}`"));
    let among = own.into_iter().chain(lists).collect::<Vec<_>>().join(" and ");
    if query.headers.contains_key(AUTHORIZATION) {
        format!("the name and the password in `Authorization` are checked against {among}")
    } else {
        format!("401: asks for a name and a password of {among}, realm `{}`", basic.realm)
    }
}

fn by_service(forward: &ForwardAuth, service: &[Endpoint]) -> String {
    let target = views::without_secrets(forward).target;
    let asked = service.iter().map(|endpoint| format!("`{}{target}`", views::endpoint_url(endpoint)));
    match asked.collect::<Vec<_>>().join(" or ") {
        asked if asked.is_empty() => "503: the log-in service is not there, so nobody is let in".to_owned(),
        asked => {
            let otherwise = match &forward.rules {
                None => "redirections and 4xx go to the client, anything else is 502 auth-invalid",
                Some(_) => "any other answer goes to the client",
            };
            format!("asks {asked}; 2xx lets the request in, {otherwise}")
        }
    }
}

fn at_provider(oidc: &OidcAuth) -> String {
    let narrowed = [("users", &oidc.users), ("groups", &oidc.groups), ("domains", &oidc.domains)];
    let narrowed = narrowed.iter().filter(|(_, entries)| !entries.is_empty());
    let narrowed: Vec<String> = narrowed.map(|(key, _)| format!("`auth.{key}`")).collect();
    let then = match narrowed.is_empty() {
        true => "every user of the provider is let in".to_owned(),
        false => format!("users whom {} does not let in get 403", narrowed.join(" or ")),
    };
    let token = if oidc.bearer.is_some() { ", or an access token of the provider" } else { "" };
    format!("needs a log-in at OpenID provider `{}`, kept in a cookie{token}; {then}", oidc.provider)
}

/// A client as limits tell it from others.
fn limited_client(key: &ClientKey, query: &ExplainQuery) -> String {
    match key {
        ClientKey::Address => client_of(query.from),
        ClientKey::User => "the user who has logged in".to_owned(),
        ClientKey::Host => format!("all clients of `{}`", query.host),
        ClientKey::AddressBy(choice) => format!("the address of {}", choice.source),
        // Several values would be several clients.
        ClientKey::Header(name) => match query.headers.get_all(name).iter().collect::<Vec<_>>()[..] {
            [value] if !value.is_empty() => format!("the value of `{name}`"),
            _ => format!("{}, as `{name}` has no single value", client_of(query.from)),
        },
    }
}

fn client_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            format!("{}/64", std::net::Ipv6Addr::from(network))
        }
    }
}

fn body_len(query: &ExplainQuery) -> Option<u64> {
    query.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a middleware comes from a key.
fn is_of(middleware: &Middleware, key: &str) -> bool {
    let of_header = |begin: &str, name: &CasedHeaderName| {
        key.strip_prefix(begin).is_some_and(|written| written.eq_ignore_ascii_case(name.as_str()))
    };
    match middleware {
        Middleware::AddressFilter(_) => matches!(key, "allow" | "deny"),
        Middleware::Crowdsec(_) => key == "crowdsec",
        Middleware::Appsec(_) => key == "appsec",
        Middleware::RateLimit(_) => key == "rate-limit",
        Middleware::ConcurrencyLimit(_) => key == "concurrency",
        Middleware::Authentication(_) => key.starts_with("auth."),
        Middleware::Compression(_) => key == "compress",
        Middleware::ErrorPages(_) => key == "errors",
        Middleware::Cache(_) => key == "cache",
        Middleware::BodyLimit(_) => key == "body-limit",
        Middleware::Hsts(_) => key == "hsts",
        Middleware::SecureHeaders { .. } => key == "headers",
        Middleware::StripPrefix(_) => key == "strip-prefix",
        Middleware::AddPrefix(_) => key == "add-prefix",
        Middleware::Rewrite { .. } => key == "rewrite",
        Middleware::Redirect { .. } => key == "redirect",
        // No label of ours makes them.
        Middleware::Cors(_)
        | Middleware::AllowedHosts(_)
        | Middleware::ResponseLimit(_)
        | Middleware::UrlRedirect(_)
        | Middleware::PathChange(_) => false,
        Middleware::RequestHeader(name, _) => of_header("request.header.", name),
        Middleware::ResponseHeader(name, _) => of_header("response.header.", name),
    }
}

/// The texts without repeats, in order.
fn once(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        if !kept.contains(&text) {
            kept.push(text);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use gangway_diagnostic::FilePosition;
    use gangway_model::{Container, CountryCode, Geography, MiddlewareTable, Reputation, Settings, Snapshot, compile};

    use super::*;

    const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 18, 0, 1));
    /// One network is in Germany, and nobody tells AS numbers of another.
    struct Known;

    impl Geography for Known {
        fn country(&self, address: IpAddr) -> Located<CountryCode> {
            match address.to_string().starts_with("203.0.113.") {
                true => CountryCode::of("DE").map_or(Located::Unknown, Located::Known),
                false => Located::Unknown,
            }
        }

        fn autonomous_system(&self, address: IpAddr) -> Located<u32> {
            if address.is_ipv6() { Located::Unavailable } else { Located::Known(64_500) }
        }
    }

    /// One network is banned, and of one nobody can tell.
    impl Reputation for Known {
        fn judge(&self, client: &ClientPlace<'_>) -> Judgement {
            match client.address().to_string() {
                address if address.starts_with("198.51.100.") => Judgement::Banned { origin: "cscli".into() },
                address if address.starts_with("2001:db8:") => Judgement::Undecided(PlaceKind::Country),
                _ => Judgement::Free,
            }
        }
    }

    fn decided(keys: &[(&str, &str)], query: &str) -> (Vec<Option<String>>, Option<String>) {
        let place = gangway_diagnostic::Place::Configuration;
        let keys = keys.iter().map(|(key, value)| ((*key).into(), (*value).into(), place.clone())).collect();
        let table = MiddlewareTable { name: "doors".into(), keys, ..MiddlewareTable::default() };
        let route = [("host", "a.test"), ("upstream", "http://192.0.2.9:80"), ("use", "doors")];
        let route = route.map(|(key, value)| (key.into(), value.into(), place.clone()));
        let route = gangway_model::FileRoute { name: "a".into(), keys: route.into(), place: place.clone() };
        let settings = Settings {
            file_routes: vec![route],
            middlewares: vec![table],
            has_geoip: true,
            has_crowdsec: true,
            has_appsec: true,
            ..Settings::default()
        };
        let compiled = compile(&Snapshot::default(), &settings);
        assert!(compiled.diagnostics.is_empty(), "{}", compiled.diagnostics);
        let route = &compiled.table.routes()[0];
        let query = ExplainQuery::parse(query).expect("a query");
        let place = ClientPlace::new(query.from, &Known);
        let client = KnownClient { judgement: Known.judge(&place), place, gateway: Some(GATEWAY) };
        let steps = steps(route, &query, &client);
        assert!(steps.iter().all(|step| step.definitions == ["doors"]), "{steps:?}");
        let refused = || route.middlewares.iter().find_map(|one| refusal(one, &query, &client));
        let refusal = ban(&query, &client).or_else(refused);
        (steps.into_iter().map(|step| step.decision).collect(), refusal)
    }

    #[test]
    fn a_step_tells_the_label_or_the_place_in_a_file_that_wrote_it() {
        let at = |key: &str| gangway_diagnostic::Place::ConfigFile {
            key: Some(format!("routes.nas.{key}").into()),
            at: FilePosition { file: "gangway.toml".into(), line: 7, column: 9 },
        };
        let keys = [("host", "nas.test"), ("upstream", "http://192.0.2.9"), ("allow", "lan")];
        let keys = keys.map(|(key, value)| (key.into(), value.into(), at(key))).into();
        let route = gangway_model::FileRoute { name: "nas".into(), keys, place: at("host") };
        let settings = Settings { file_routes: vec![route], ..Settings::default() };
        let labels =
            [("gangway.routes.web.host", "shop.test"), ("gangway.routes.web.Request.Header.X-A", "b"), ("a", "b")];
        let shop = Container::named("shop").with_labels(&labels).reached_at("edge", [172, 20, 0, 3].into(), 80);
        let compiled = compile(&Snapshot { containers: vec![shop], ..Snapshot::default() }, &settings);
        let query = ExplainQuery::parse("url=http%3A%2F%2Fa.test&from=192.0.2.7").expect("a query");
        let place = ClientPlace::new(query.from, &Known);
        let client = KnownClient { judgement: Judgement::Free, place, gateway: None };
        let written = |name: &str, step: &str| {
            let route = compiled.table.routes().iter().find(|route| &*route.name == name).expect("a route");
            let steps = steps(route, &query, &client);
            steps.into_iter().find(|one| one.step.starts_with(step)).expect("a step").written
        };
        assert_eq!(written("nas", "allow"), ["gangway.toml:7:9, key `routes.nas.allow`"]);
        assert_eq!(written("web", "request.header"), ["gangway.routes.web.Request.Header.X-A"]);
    }

    #[test]
    fn each_step_says_what_it_decides_and_why() {
        let user = "ann:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC, @friends";
        for (keys, query, decision) in [
            (
                &[("allow", "lan, 203.0.113.0/24")][..],
                "from=203.0.113.9",
                "203.0.113.9 is let in, for `allow` names `203.0.113.0/24`",
            ),
            (&[("deny", "192.0.2.1")], "from=192.0.2.2", "192.0.2.2 is let in, for `deny` does not name it"),
            (
                &[("allow", "country:DE")],
                "from=203.0.113.9",
                "203.0.113.9 is let in, for `allow` names `country:DE`; its country is DE",
            ),
            (
                &[("allow", "lan, country:DE"), ("deny", "as:64501")],
                "from=192.168.1.1",
                "192.168.1.1 is let in, for `allow` names `lan`; its country is unknown, its AS number is 64500",
            ),
            (&[("rate-limit", "5/s")], "from=192.0.2.2", "counts for 192.0.2.2; what is beyond gets 429"),
            (
                &[("rate-limit", "5/s")],
                "from=2001:db8:1:2:3::4",
                "counts for 2001:db8:1:2::/64; what is beyond gets 429",
            ),
            (
                &[("rate-limit", "5/s by header X-Api-Key")],
                "header=X-Api-Key:hunter2",
                "counts for the value of `x-api-key`; what is beyond gets 429",
            ),
            (
                &[("rate-limit", "5/s by header X-Api-Key")],
                "from=192.0.2.2",
                "counts for 192.0.2.2, as `x-api-key` has no single value; what is beyond gets 429",
            ),
            (&[("crowdsec", "closed")], "from=192.0.2.2", "192.0.2.2 is let in, for CrowdSec has not banned it"),
            (
                &[("crowdsec", "open")],
                "from=2001:db8::1",
                "2001:db8::1 is let in, though CrowdSec has decided by country, and no file of `--geoip` tells the country \
                 of 2001:db8::1",
            ),
            (
                &[("appsec", "closed")],
                "from=192.0.2.2",
                "CrowdSec AppSec is asked, and what it blocks gets 403 appsec-blocked; 503 appsec-unavailable if that \
                 cannot be asked",
            ),
            (
                &[("appsec", "open")],
                "from=192.0.2.2",
                "CrowdSec AppSec is asked, and what it blocks gets 403 appsec-blocked; let in if that cannot be asked",
            ),
            (&[("concurrency", "7")], "from=192.0.2.2", "counts for 192.0.2.2; more than 7 under way get 429"),
            (
                &[("auth.basic", user), ("auth.realm", "house")],
                "method=GET",
                "401: asks for a name and a password of the users of the route and the list `friends`, realm `house`",
            ),
            (
                &[("auth.basic", "@friends")],
                "header=Authorization:Basic+YW5uOmh1bnRlcjI=",
                "the name and the password in `Authorization` are checked against the list `friends`",
            ),
            (
                &[("auth.basic", "@friends"), ("auth.skip", "=/b, /x")],
                "method=GET",
                "let in without a log-in, by `auth.skip` `/x`",
            ),
            (
                &[("auth.basic", "@friends"), ("auth.skip", "method:OPTIONS")],
                "method=OPTIONS",
                "let in without a log-in, by `auth.skip` `method:OPTIONS`",
            ),
            (
                &[("auth.basic", "@friends"), ("auth.skip", "method:GET")],
                "header=X-Http-Method-Override:DELETE",
                "401: asks for a name and a password of the list `friends`, realm `restricted`",
            ),
            (
                &[("auth.basic", "@friends"), ("auth.skip", "/api, 10.0.0.0/8")],
                "from=10.1.2.3",
                "let in without a log-in, by `auth.skip` `10.0.0.0/8`, if 10.1.2.3 is certain to be the client's address, \
                 not an unnamed proxy's or a gateway's (clients have come with `172.18.0.1`, which is a gateway's); else \
                 401: asks for a name and a password of the list `friends`, realm `restricted`",
            ),
            // Nobody has the address of a gateway.
            (
                &[("auth.basic", "@friends"), ("auth.skip", "lan")],
                "from=172.18.0.1",
                "401: asks for a name and a password of the list `friends`, realm `restricted`",
            ),
            (
                &[("auth.basic", "@friends"), ("auth.skip", "lan, /x")],
                "from=172.18.0.1",
                "let in without a log-in, by `auth.skip` `/x`",
            ),
            (
                &[("auth.forward", "http://192.0.2.8:9091/check?token=hunter2")],
                "method=GET",
                "asks `http://192.0.2.8:9091/check?token=***`; 2xx lets the request in, redirections and 4xx go to the \
                 client, anything else is 502 auth-invalid",
            ),
            (
                &[("cache", "true")],
                "method=HEAD",
                "answered from memory if it is kept and fresh; else by the application, and kept where `Cache-Control` or \
                 `Expires` of the answer allows it",
            ),
            (&[("cache", "1GiB")], "method=POST", "goes to the application, for POST is not kept"),
            (
                &[("cache", "true")],
                "header=Range:bytes%3D0-1",
                "goes to the application, for the request asks for a range",
            ),
            (
                &[("cache", "true")],
                "header=Authorization:Bearer+x",
                "answered from memory if it is kept and fresh; else by the application, and kept only where `Cache-Control` \
                 of the answer says `public`, as the request has `Authorization`",
            ),
            (&[("compress", "true")], "header=Accept-Encoding:gzip,br", "by br, where the answer is worth it"),
            (
                &[("compress", "gzip")],
                "header=Accept-Encoding:br",
                "not compressed: `Accept-Encoding` takes none of these",
            ),
            (&[("compress", "true")], "method=GET", "not compressed: the request has no `Accept-Encoding`"),
            (&[("body-limit", "10")], "header=Content-Length:10", "10 bytes are few enough"),
            (&[("hsts", "true")], "method=GET", "sent"),
            (&[("headers", "secure")], "method=GET", "those are added that the answer does not have"),
        ] {
            let (decisions, refusal) = decided(keys, &format!("url=https://a.test/x/y&{query}"));
            assert_eq!((&decisions[..], refusal), (&[Some(decision.to_owned())][..], None), "{keys:?}");
            assert!(!decision.contains("hunter2"));
        }
    }

    #[test]
    fn a_list_with_a_status_of_its_own_refuses_by_it() {
        let query = ExplainQuery::parse("url=https://a.test/&from=192.0.2.7").expect("a query");
        let place = ClientPlace::new(query.from, &Known);
        let client = KnownClient { judgement: Judgement::Free, place, gateway: None };
        for (refusal, status) in [(None, 403), (Some(http::StatusCode::NOT_FOUND), 404)] {
            let allow = Some(gangway_model::ClientList::default());
            let filter = AddressFilter { allow, refusal, ..AddressFilter::default() };
            let said = super::refusal(&Middleware::AddressFilter(filter.into()), &query, &client);
            let expected = format!("{status} forbidden: 192.0.2.7 may not come in, for `allow` does not name it");
            assert_eq!(said, Some(expected));
        }
    }

    #[test]
    fn what_becomes_of_the_answers_of_a_log_in_service_depends_on_how_it_is_asked() {
        let at = |key: &str, value: &str| (key.into(), value.into(), gangway_diagnostic::Place::Configuration);
        let keys = [("host", "a.test"), ("upstream", "http://192.0.2.9"), ("auth.forward", "http://192.0.2.8/check")];
        let keys = keys.map(|(key, value)| at(key, value)).into();
        let place = gangway_diagnostic::Place::Configuration;
        let file_routes = vec![gangway_model::FileRoute { name: "a".into(), keys, place }];
        let compiled = compile(&Snapshot::default(), &Settings { file_routes, ..Settings::default() });
        let route = &compiled.table.routes()[0];
        let login = route.middlewares.iter().find_map(Middleware::authentication).expect("a log-in");
        let LoginMethod::Forward(forward) = &login.method else { panic!("a service") };
        let as_traefik = ForwardAuth { rules: Some(Box::default()), ..forward.clone() };
        let asked = "asks `http://192.0.2.8:80/check`; 2xx lets the request in,";
        let ours = "redirections and 4xx go to the client, anything else is 502 auth-invalid";
        assert_eq!(by_service(forward, &route.auth_services[0]), format!("{asked} {ours}"));
        assert_eq!(
            by_service(&as_traefik, &route.auth_services[0]),
            format!("{asked} any other answer goes to the client")
        );
    }

    #[test]
    fn what_pages_of_other_origins_may_do_is_said() {
        let cors = Cors { origins: ["https://a.test".into()].into(), ..Cors::default() };
        let origin = |host: &str| format!("header=Origin:https%3A%2F%2F{host}");
        for (query, said) in [
            (String::new(), "the request has no `Origin`"),
            (origin("a.test"), "pages of `https://a.test` may read the answer"),
            (origin("b.test"), "pages of `https://b.test` may not read the answer, unless the application says so"),
            (
                format!("method=OPTIONS&header=Access-Control-Request-Method:PUT&{}", origin("a.test")),
                "200: answers in place of the application; pages of `https://a.test` may read the answer",
            ),
        ] {
            let query = ExplainQuery::parse(&format!("url=https://a.test/&{query}")).expect("a query");
            assert_eq!(cross_origin(&cors, &query), said);
        }
    }

    #[test]
    fn what_refuses_a_request_says_so() {
        for (keys, query, expected) in [
            (
                &[("allow", "lan")][..],
                "from=203.0.113.9",
                "403 forbidden: 203.0.113.9 may not come in, for `allow` does not name it",
            ),
            (
                &[("allow", "lan"), ("deny", "192.168.1.0/24")],
                "from=192.168.1.9",
                "403 forbidden: 192.168.1.9 may not come in, for `deny` names `192.168.1.0/24`",
            ),
            (
                &[("allow", "lan")],
                "from=172.18.0.1",
                "503 route-closed: 172.18.0.1 is the address of a gateway, so it is not a client's",
            ),
            (
                &[("allow", "country:FR")],
                "from=203.0.113.9",
                "403 forbidden: 203.0.113.9 may not come in, for `allow` does not name it; its country is DE",
            ),
            (
                &[("allow", "lan, country:DE"), ("deny", "as:64500")],
                "from=203.0.113.9",
                "403 forbidden: 203.0.113.9 may not come in, for `deny` names `as:64500`; its country is DE, its AS number \
                 is 64500",
            ),
            (
                &[("deny", "as:64500")],
                "from=2001:db8::1",
                "503 route-closed: no file of `--geoip` tells the AS number of 2001:db8::1, so nobody is let in",
            ),
            (
                &[("crowdsec", "open")],
                "from=198.51.100.7",
                "403 banned: CrowdSec has banned 198.51.100.7, as `cscli` decided; its own connections are closed unanswered",
            ),
            (
                &[("crowdsec", "true")],
                "from=2001:db8::1",
                "503 route-closed: CrowdSec has decided by country, and no file of `--geoip` tells the country of 2001:db8::1",
            ),
            (
                &[("crowdsec", "true")],
                "from=172.18.0.1",
                "503 route-closed: 172.18.0.1 is the address of a gateway, so it is not a client's",
            ),
            (&[("body-limit", "10")], "header=Content-Length:11", "413: the body is larger than 10 bytes"),
        ] {
            let (decisions, refusal) = decided(keys, &format!("url=https://a.test/&{query}"));
            assert_eq!((decisions, refusal), (vec![Some(expected.to_owned())], Some(expected.to_owned())), "{keys:?}");
        }
    }
}
