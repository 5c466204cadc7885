//! Explains how a request is answered, from the table and from everything known about its route.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use gangway_diagnostic::Diagnostic;
use gangway_model::mention::{self, MentionedBy};
use gangway_model::{
    ClientPlace, Compiled, Considered, Endpoint, Explanation, Geography, HTTP, HTTPS, Middleware, Nearest, PublicPorts,
    Readiness, Reputation, RequestView, RequestedUrl, Route, TlsMode, UpgradeFate, follows_redirects, https_listener,
    slash_redirect, target_change,
};
use gangway_tls::{CertificateResolver, Origin, UnixTime};
use http::header::UPGRADE;

use crate::api::{self, EngineView, ListenerView};
use crate::explain_query::ExplainQuery;
use crate::steps::{self, KnownClient};
use crate::views::{self, Endpoints};

/// The number of diagnostics in an explanation. More would bury the answer.
const DIAGNOSTICS_MAX: usize = 20;

/// The sources of an explanation, at the moment of asking.
pub(crate) struct ExplainContext<'a> {
    pub(crate) compiled: &'a Compiled,
    pub(crate) is_table_in_force: bool,
    pub(crate) certificates: &'a CertificateResolver,
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) engines: &'a [EngineView],
    pub(crate) diagnostics: &'a [Diagnostic],
    /// The ports that clients connect to, by `http` and by `https`.
    pub(crate) ports: PublicPorts,
    pub(crate) listeners: &'a [ListenerView],
    /// The address of a gateway with which clients come, if any did.
    pub(crate) gateway: Option<IpAddr>,
    /// Plain HTTP is refused while a name has no certificate.
    pub(crate) refuses_plain: bool,
    /// Tells where clients are.
    pub(crate) geography: &'a dyn Geography,
    /// Tells which clients are banned.
    pub(crate) reputation: &'a dyn Reputation,
    pub(crate) now: UnixTime,
}

/// The result of looking a request up in the table.
struct TableLookup<'a> {
    found: Explanation,
    winner: Option<&'a Arc<Route>>,
    /// No route is served under the host. Otherwise, a request without a route is about a path that was not found.
    is_unknown_host: bool,
    /// Containers that name the host and are not served under it.
    mentions: Vec<MentionedBy<'a>>,
}

impl<'a> ExplainContext<'a> {
    fn listener(&self, name: &str) -> Option<&'a ListenerView> {
        self.listeners.iter().find(|one| one.name == name)
    }

    /// The ports for URLs by which clients come to this listener.
    fn ports_at(&self, listener: Option<&ListenerView>) -> PublicPorts {
        match listener.and_then(|one| one.port.filter(|_| ![HTTP, HTTPS].contains(&&*one.name))) {
            Some(port) => PublicPorts { http: port, https: port },
            None => self.ports,
        }
    }

    /// The outcome of a request in clear that is redirected to https.
    fn redirected_to_https(&self, route: &Route, query: &ExplainQuery) -> String {
        let listener = https_listener(self.listeners, &route.listener.scope, query.listener());
        let location = self.ports_at(listener).https_url(&format!("{}{}", query.host, query.target));
        let closed = listener.filter(|one| one.addresses.is_empty());
        let closed = closed.map_or_else(String::new, |one| format!(", but listener `{}` is not open", one.name));
        format!("308: redirected to {location}{closed}")
    }

    fn client_of(&self, query: &ExplainQuery) -> KnownClient<'a> {
        let place = ClientPlace::new(query.from, self.geography);
        KnownClient { judgement: self.reputation.judge(&place), place, gateway: self.gateway }
    }
}

/// Explains what becomes of one request.
pub(crate) fn explain(query: &ExplainQuery, context: &ExplainContext<'_>) -> api::ExplainResponse {
    let view = query.view();
    let lookup = look_up(&view, context);
    let client = context.client_of(query);
    let routes = context.compiled.table.routes();
    let candidate = |id: &str, route: usize, rule: &str, why: &str| api::CandidateView {
        id: id.to_owned(),
        name: routes[route].name.to_string(),
        rule: rule.to_owned(),
        why: why.to_owned(),
    };
    let considered = lookup.found.considered.iter();
    let considered = considered.map(|Considered { id, route, rule, why }| candidate(id, *route, rule, why)).collect();
    let nearest = lookup.found.nearest.iter();
    let nearest = nearest.map(|Nearest { id, route, rule, why }| candidate(id, *route, rule, why)).collect();
    let diagnostics = diagnostics(&lookup, &query.host, context);
    let mentions = lookup.mentions.iter().map(|mention| api::MentionView {
        container: mention.container.name.to_string(),
        label: mention.label.to_owned(),
        why: mention.said.clone(),
    });
    api::ExplainResponse {
        request: request(query, context),
        outcome: outcome(&lookup, &view, query, context),
        route: lookup.winner.map(|route| views::route(route, context.endpoints)),
        steps: lookup.winner.map(|route| steps::steps(route, query, &client)).unwrap_or_default(),
        matched: lookup.found.winner.as_ref().map(|winner| winner.rule.clone()),
        why: lookup.found.winner.as_ref().map(|winner| winner.why.clone()),
        considered,
        nearest,
        named: mentions.collect(),
        certificate: certificate(&query.host, context),
        containers: containers(lookup.winner, &diagnostics, context),
        diagnostics: diagnostics.into_iter().map(views::diagnostic).collect(),
        considered_more: lookup.found.considered_more,
        doubt: lookup.found.doubt,
    }
}

fn look_up<'a>(view: &RequestView<'_>, context: &ExplainContext<'a>) -> TableLookup<'a> {
    let table = &context.compiled.table;
    let found = table.explain_whole(view);
    let winner = found.winner.as_ref().map(|winner| &table.routes()[winner.route]);
    let is_unknown_host = winner.is_none() && found.doubt.is_none() && found.considered.is_empty();
    let mentions = if is_unknown_host && context.is_table_in_force {
        mention::naming_in_all(view.host, &context.compiled.containers, context.now.seconds())
    } else {
        Vec::new()
    };
    TableLookup { found, winner, is_unknown_host, mentions }
}

fn request(query: &ExplainQuery, context: &ExplainContext<'_>) -> api::ExplainedRequest {
    api::ExplainedRequest {
        url: url(query, context),
        listener: query.listener().to_owned(),
        scheme: if query.secure { "https" } else { "http" }.to_owned(),
        host: query.host.clone(),
        path: query.path.clone(),
        query: query.query.clone(),
        method: query.method.to_string(),
        from: query.from.to_string(),
    }
}

/// The outcome of the request, in one line.
fn outcome(
    lookup: &TableLookup<'_>,
    view: &RequestView<'_>,
    query: &ExplainQuery,
    context: &ExplainContext<'_>,
) -> String {
    if !context.is_table_in_force {
        return not_ready(context.engines);
    }
    let Some(route) = lookup.winner else { return no_route(lookup) };
    let prefix = context.compiled.table.find(view).map_or("", |found| found.prefix);
    let is_placeholder = context.certificates.is_placeheld(&query.host);
    let outcome = route_outcome(route, query, prefix, context);
    if is_placeholder && route.listener.https_redirect && !route.closed {
        without_certificate(&outcome, query, context)
    } else {
        outcome
    }
}

fn no_route(lookup: &TableLookup<'_>) -> String {
    if lookup.found.doubt.is_some() {
        return "404 no-route: no route takes it, for its path can be read in two ways".to_owned();
    }
    match lookup.mentions.first() {
        _ if !lookup.is_unknown_host => "404 no-route: no route takes it".to_owned(),
        Some(mention) => format!("404 no-route: no route is served under this host; {}", mention.said),
        None => "404 no-route: no route is served under this host".to_owned(),
    }
}

/// The containers behind the route, and those that the diagnostics are about.
fn containers(
    winner: Option<&Arc<Route>>,
    diagnostics: &[&Diagnostic],
    context: &ExplainContext<'_>,
) -> Vec<api::ContainerView> {
    let containers = context.compiled.containers.iter().filter_map(|container| match winner {
        Some(route) if container.routes.contains(&route.id) => {
            let reason = container.way(&route.name).to_owned();
            Some(api::ContainerView { reason, ..views::container(container) })
        }
        Some(_) | None => {
            let is_found = |found: &&Diagnostic| found.place.container() == Some(&*container.name);
            diagnostics.iter().any(is_found).then(|| views::container(container))
        }
    });
    containers.collect()
}

/// The URL as a client writes it.
fn url(query: &ExplainQuery, context: &ExplainContext<'_>) -> String {
    let ports = context.ports_at(context.listener(query.listener()));
    let place = match query.query.as_str() {
        "" => format!("{}{}", query.host, query.path),
        text => format!("{}{}?{text}", query.host, query.path),
    };
    if query.secure { ports.https_url(&place) } else { ports.http_url(&place) }
}

/// The outcome for a name that waits for its certificate, with what happens to plain HTTP and to https meanwhile.
fn without_certificate(outcome: &str, query: &ExplainQuery, context: &ExplainContext<'_>) -> String {
    if context.refuses_plain && !query.secure {
        return "503 no-certificate: there is no certificate yet, and `--no-plain-fallback` refuses plain HTTP"
            .to_owned();
    }
    let plain = if context.refuses_plain { "refused" } else { "answered in the clear" };
    format!("{outcome}; no certificate yet: plain HTTP is {plain}; the https placeholder is self-signed")
}

/// The outcome without a table, with the reasons that the engines give.
fn not_ready(engines: &[EngineView]) -> String {
    let trouble = |engine: &EngineView| {
        let trouble = engine.trouble.as_ref()?;
        Some(format!("; engine {} cannot be read: failed to {trouble}", engine.name))
    };
    let troubles: String = engines.iter().filter_map(trouble).collect();
    format!("503 not-ready: no table is in force yet{troubles}")
}

/// The outcome of a request that `route` takes. The checks are in the order in which the data plane decides.
fn route_outcome(route: &Route, query: &ExplainQuery, prefix: &str, context: &ExplainContext<'_>) -> String {
    if route.listener.tls == TlsMode::Off && query.secure {
        return "404 no-route: the route is served by plain HTTP only".to_owned();
    }
    if route.closed {
        return "503 route-closed: a protecting label could not be applied, so nobody is let in".to_owned();
    }
    // While there is only a placeholder, a redirect to https would show browsers a warning instead of the app.
    if route.listener.https_redirect && !query.secure && !context.certificates.is_placeheld(&query.host) {
        return context.redirected_to_https(route, query);
    }
    let client = context.client_of(query);
    if let Some(answer) = answer_by_middleware(route, query, &client, prefix) {
        return answer;
    }
    let outcome = format!("{}{}", endpoint_outcome(route, context), upgrade_outcome(route, query));
    steps::outcome_behind_log_in(route, query, &client, outcome)
}

/// What becomes of the request's `Upgrade`, as the end of an outcome. Empty if there is none, or for a WebSocket.
fn upgrade_outcome(route: &Route, query: &ExplainQuery) -> String {
    let Some(asked) = query.headers.get(UPGRADE).and_then(|asked| asked.to_str().ok()) else { return String::new() };
    let is_alone = query.headers.get_all(UPGRADE).iter().count() == 1;
    let removed = |why: &str| format!("; `Upgrade: {asked}` is removed: {why}");
    match UpgradeFate::of(asked, &route.upgrades) {
        _ if !is_alone => removed("one protocol is asked for at a time"),
        UpgradeFate::WebSocket => String::new(),
        UpgradeFate::Allowed => "; the connection is switched if the application answers 101".to_owned(),
        UpgradeFate::NotNamed => removed("no label names the protocol; `gangway.upgrade` allows it"),
        UpgradeFate::CarriesRequests => removed("it carries further requests, which nothing would check"),
        UpgradeFate::NoProtocol => removed("it is not the name of one protocol"),
    }
}

/// The first answer that one of the route's middlewares gives before a log-in or an endpoint is asked.
fn answer_by_middleware(route: &Route, query: &ExplainQuery, client: &KnownClient<'_>, prefix: &str) -> Option<String> {
    steps::ban(query, client).or_else(|| {
        route.middlewares.iter().enumerate().find_map(|(place, middleware)| {
            let redirected = || redirect_by_middleware(&route.middlewares[..place], middleware, query, prefix);
            let location = || redirected().map(|(status, location)| format!("{status}: redirected to {location}"));
            steps::refusal(middleware, query, client).or_else(location)
        })
    })
}

/// The redirect that a middleware answers with, after those `before` it: status and location.
fn redirect_by_middleware(
    before: &[Middleware],
    middleware: &Middleware,
    query: &ExplainQuery,
    prefix: &str,
) -> Option<(u16, String)> {
    let target = &*query.target;
    let is_followed = follows_redirects(&query.method) && !query.headers.contains_key(UPGRADE);
    match middleware {
        Middleware::StripPrefix(_) if !is_followed => None,
        Middleware::StripPrefix(_) => slash_redirect(target, prefix).map(|location| (308, location)),
        Middleware::Redirect { status, target: to } => Some((*status, to.location(&query.host, target))),
        Middleware::UrlRedirect(redirect) => {
            let target = changed_target(before, target, prefix)?;
            let asked = RequestedUrl { is_secure: query.secure, host: &query.host, port: query.port, target: &target };
            redirect.answer(&query.method, &asked)
        }
        Middleware::AddPrefix(_)
        | Middleware::Rewrite { .. }
        | Middleware::PathChange(_)
        | Middleware::RequestHeader(..)
        | Middleware::ResponseHeader(..)
        | Middleware::BodyLimit(_)
        | Middleware::Hsts(_)
        | Middleware::SecureHeaders { .. }
        | Middleware::AddressFilter(_)
        | Middleware::Crowdsec(_)
        | Middleware::Appsec(_)
        | Middleware::RateLimit(_)
        | Middleware::ConcurrencyLimit(_)
        | Middleware::Authentication(_)
        | Middleware::Compression(_)
        | Middleware::ErrorPages(_)
        | Middleware::Cors(_)
        | Middleware::AllowedHosts(_)
        | Middleware::ResponseLimit(_)
        | Middleware::Cache(_) => None,
    }
}

/// The target after these middlewares. None where one of them refuses it.
fn changed_target(middlewares: &[Middleware], target: &str, prefix: &str) -> Option<String> {
    let mut target = target.to_owned();
    for middleware in middlewares {
        let changed = match middleware {
            Middleware::StripPrefix(_) if matches!(prefix, "" | "/") => None,
            Middleware::StripPrefix(_) => Some(target_change::without_prefix(prefix, &target)?),
            Middleware::AddPrefix(added) => Some(target_change::with_prefix(added, &target).ok()?),
            Middleware::Rewrite { pattern, replacement } => {
                target_change::rewritten(pattern, replacement, &target).ok()?
            }
            Middleware::PathChange(change) => change.apply(&target).ok()?.map(|changed| changed.target),
            Middleware::Redirect { .. }
            | Middleware::UrlRedirect(_)
            | Middleware::RequestHeader(..)
            | Middleware::ResponseHeader(..)
            | Middleware::BodyLimit(_)
            | Middleware::Hsts(_)
            | Middleware::SecureHeaders { .. }
            | Middleware::AddressFilter(_)
            | Middleware::Crowdsec(_)
            | Middleware::Appsec(_)
            | Middleware::RateLimit(_)
            | Middleware::ConcurrencyLimit(_)
            | Middleware::Authentication(_)
            | Middleware::Compression(_)
            | Middleware::ErrorPages(_)
            | Middleware::Cors(_)
            | Middleware::AllowedHosts(_)
            | Middleware::ResponseLimit(_)
            | Middleware::Cache(_) => None,
        };
        target = changed.unwrap_or(target);
    }
    Some(target)
}

/// The outcome by the state of the route's endpoints.
fn endpoint_outcome(route: &Route, context: &ExplainContext<'_>) -> String {
    if let Some(service) = route.upstream.internal {
        return format!("answered by Gangway itself, as `{service}`");
    }
    let all = &route.upstream.endpoints;
    let now = |endpoint: &Endpoint| context.endpoints.get(&endpoint.key);
    let ready = all.iter().filter(|endpoint| endpoint.readiness == Readiness::Ready);
    let (ejected, usable): (Vec<_>, Vec<_>) =
        ready.partition(|endpoint| now(endpoint).is_some_and(|now| now.is_ejected));
    match (usable.as_slice(), ejected.as_slice(), all.as_slice()) {
        ([one], ..) => format!("served by `{}`", one.name),
        ([_, ..], ..) => format!("served by one of {} endpoints", usable.len()),
        ([], [first, ..], _) => {
            let trouble = now(first).and_then(|now| now.trouble.as_deref());
            let trouble = trouble.map_or_else(String::new, |trouble| format!(" (`{}`: {trouble})", first.name));
            format!("probably 502: its endpoints could not be connected to just now{trouble}")
        }
        ([], [], []) => no_endpoint(route, context),
        ([], [], [_, ..]) => "503: none of its endpoints is ready".to_owned(),
    }
}

/// The outcome for a route without endpoints, with the reason of the first container that should be one.
fn no_endpoint(route: &Route, context: &ExplainContext<'_>) -> String {
    let behind = context.compiled.containers.iter().find(|container| container.routes.contains(&route.id));
    match behind {
        Some(container) => format!("503 no-endpoint: `{}`: {}", container.name, container.way(&route.name)),
        None => "503 no-endpoint: the route has no endpoint".to_owned(),
    }
}

/// The findings about the routes that were considered, the containers behind them, the containers that name the host,
/// and those whose text contains the host.
fn diagnostics<'a>(lookup: &TableLookup<'_>, host: &str, context: &'a ExplainContext<'_>) -> Vec<&'a Diagnostic> {
    let all_routes = context.compiled.table.routes();
    let routes =
        || lookup.winner.into_iter().chain(lookup.found.considered.iter().map(|other| &all_routes[other.route]));
    let origins = routes().flat_map(|route| route.origin.iter().map(|origin| &**origin));
    let mentions = lookup.mentions.iter().map(|mention| &*mention.container.name);
    let containers: BTreeSet<&str> = origins.chain(mentions).collect();
    // A route of the config file without a host is served under its name. If it is broken, it is in no table.
    let by_name = host.split('.').next().filter(|_| lookup.is_unknown_host);
    let file_routes: BTreeSet<&str> = routes().map(|route| &*route.name).chain(by_name).collect();
    let concerns = |found: &&Diagnostic| {
        let place = &found.place;
        let file_key = place.position().and_then(|_| place.subject());
        place.container().is_some_and(|name| containers.contains(name))
            || file_key.and_then(file_route).is_some_and(|name| file_routes.contains(name))
            || place.subject() == Some(host)
            || mention::says(&found.text, host)
            || mention::says(&found.message, host)
    };
    context.diagnostics.iter().filter(concerns).take(DIAGNOSTICS_MAX).collect()
}

/// The route that a key of the config file belongs to: `nas` of `routes.nas.host`.
fn file_route(key: &str) -> Option<&str> {
    key.strip_prefix("routes.")?.split('.').next()
}

/// The certificate that a client of this host gets.
fn certificate(host: &str, context: &ExplainContext<'_>) -> Option<api::CertificateView> {
    let origin = context.certificates.origin(host)?;
    let is_ours = matches!(origin, Origin::Internal | Origin::Placeholder);
    // One of our own certificates that has expired, or was never needed, is made in the next handshake.
    let bundle = context.certificates.find(host).filter(|bundle| !is_ours || bundle.is_valid_at(context.now));
    let Some(bundle) = bundle else {
        let promised = api::CertificateView { name: host.to_owned(), ..api::CertificateView::default() };
        return Some(promised.with_origin(Some(&origin)));
    };
    let certificate = api::CertificateView {
        name: bundle.names.join(" "),
        issuer: bundle.issuer.to_string(),
        serial: bundle.serial.to_string(),
        trouble: (!bundle.is_valid_at(context.now)).then(|| "out of date".to_owned()),
        ..api::CertificateView::default()
    };
    let certificate = certificate.with_origin(Some(&origin)).with_chain(&bundle.chain);
    Some(certificate.with_validity(bundle.not_before, bundle.not_after, context.now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_config_file_belongs_to_a_route() {
        assert_eq!((file_route("routes.nas.host"), file_route("routes.nas")), (Some("nas"), Some("nas")));
        assert_eq!((file_route("http"), file_route("routesx.nas")), (None, None));
    }
}
