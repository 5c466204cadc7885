//! Why a request is answered as it is: what the table says, and what else there is to know about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use gangway_model::explain::{Considered, Nearest};
use gangway_model::location::{PublicPorts, slash_redirect};
use gangway_model::mention::{self, Named};
use gangway_model::route::{Readiness, TlsMode};
use gangway_model::{Compiled, Diagnostic, Endpoint, Middleware, RequestView, Route};
use gangway_tls::{Origin, Store};

use crate::api;
use crate::convert::{self, Endpoints};
use crate::instance::{Certificate, Engine};
use crate::question::Question;

/// Diagnostics that are told along; more would bury the answer.
const DIAGNOSTICS_MAX: usize = 20;

/// What is known at the moment of asking.
pub(crate) struct Known<'a> {
    pub(crate) compiled: &'a Compiled,
    pub(crate) is_table_in_force: bool,
    pub(crate) store: &'a Store,
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) engines: &'a [Engine],
    pub(crate) diagnostics: &'a [Diagnostic],
    /// Under which clients reach us.
    pub(crate) ports: PublicPorts,
    /// Plain HTTP is refused while a name has no certificate.
    pub(crate) refuses_plain: bool,
    /// Seconds since the epoch.
    pub(crate) now: i64,
}

/// Everything there is to say about one request.
pub(crate) fn explain(question: &Question, known: &Known<'_>) -> api::Explanation {
    let view = RequestView {
        host: &question.host,
        path: &question.path,
        query: &question.query,
        method: &question.method,
        headers: &question.headers,
        client: question.from,
    };
    let table = &known.compiled.table;
    let routes = table.routes();
    let found = table.explain(&view);
    let winner = found.winner.as_ref().map(|winner| &routes[winner.route]);
    let is_placeholder = known.store.is_placeheld(&question.host);
    // Only where no route is served under the host at all: else it is the path that was not found.
    let is_unknown = winner.is_none() && found.doubt.is_none() && found.considered.is_empty();
    let named = match is_unknown && known.is_table_in_force {
        true => mention::naming(&question.host, &known.compiled.containers, known.now),
        false => Vec::new(),
    };
    let outcome = match winner {
        _ if !known.is_table_in_force => not_ready(known.engines),
        Some(route) => {
            let prefix = table.find(&view).map_or("", |found| found.prefix);
            let outcome = |is_placeholder| outcome(route, question, prefix, is_placeholder, known);
            match is_placeholder && route.listener.https_redirect && !route.closed {
                true => without_certificate(outcome(true), question.secure, known.refuses_plain),
                false => outcome(is_placeholder),
            }
        }
        None if found.doubt.is_some() => {
            "404 no-route: no route takes it, for its path can be read in two ways".to_owned()
        }
        None if is_unknown => match named.first() {
            Some(named) => format!("404 no-route: no route is served under this host; {}", named.said),
            None => "404 no-route: no route is served under this host".to_owned(),
        },
        None => "404 no-route: no route takes it".to_owned(),
    };
    let route_named = |id: &str, route: usize, rule: &str, why: &str| api::Considered {
        id: id.to_owned(),
        name: routes[route].name.to_string(),
        rule: rule.to_owned(),
        why: why.to_owned(),
    };
    let considered: Vec<_> =
        found.considered.iter().map(|Considered { id, route, rule, why }| route_named(id, *route, rule, why)).collect();
    let nearest: Vec<_> =
        found.nearest.iter().map(|Nearest { id, route, rule, why }| route_named(id, *route, rule, why)).collect();
    let concerned = winner.into_iter().chain(found.considered.iter().map(|other| &routes[other.route]));
    let diagnostics = diagnostics(known, &concerned.collect::<Vec<_>>(), &named, is_unknown, &question.host);
    let containers = known.compiled.containers.iter().filter_map(|container| match winner {
        Some(route) if container.routes.contains(&route.id) => {
            Some(api::Container { reason: container.way(&route.name).to_owned(), ..convert::container(container) })
        }
        _ => {
            let is_told = |found: &&Diagnostic| found.place.container() == Some(&*container.name);
            diagnostics.iter().any(is_told).then(|| convert::container(container))
        }
    });
    let named = named.iter().map(|named| api::Named {
        container: named.container.name.to_string(),
        label: named.label.to_owned(),
        why: named.said.clone(),
    });
    api::Explanation {
        request: api::Request {
            url: url(question, known.ports),
            scheme: if question.secure { "https" } else { "http" }.to_owned(),
            host: question.host.clone(),
            path: question.path.clone(),
            query: question.query.clone(),
            method: question.method.to_string(),
            from: question.from.to_string(),
        },
        outcome,
        route: winner.map(|route| convert::route(route, known.endpoints)),
        matched: found.winner.as_ref().map(|winner| winner.rule.clone()),
        why: found.winner.as_ref().map(|winner| winner.why.clone()),
        doubt: found.doubt,
        considered,
        considered_more: found.considered_more,
        nearest,
        named: named.collect(),
        certificate: certificate(&question.host, known),
        containers: containers.collect(),
        diagnostics: diagnostics.into_iter().map(|found| convert::diagnostic(found)).collect(),
    }
}

/// As a client writes it that reaches us.
fn url(question: &Question, ports: PublicPorts) -> String {
    let place = match question.query.as_str() {
        "" => format!("{}{}", question.host, question.path),
        query => format!("{}{}?{query}", question.host, question.path),
    };
    if question.secure { ports.https_url(&place) } else { ports.http_url(&place) }
}

/// What becomes of a request for a name that waits for its certificate, and how others of it fare.
fn without_certificate(outcome: String, secure: bool, refuses_plain: bool) -> String {
    if refuses_plain && !secure {
        return "503 no-certificate: there is no certificate yet, and `--no-plain-fallback` refuses plain HTTP"
            .to_owned();
    }
    let plain = if refuses_plain { "refused" } else { "answered in the clear" };
    format!("{outcome}; no certificate yet: plain HTTP is {plain}; the https placeholder is self-signed")
}

/// Why there is no table, as far as the engines know.
fn not_ready(engines: &[Engine]) -> String {
    let trouble = |engine: &Engine| {
        let trouble = engine.trouble.as_ref()?;
        Some(format!("; engine {} cannot be read: failed to {trouble}", engine.name))
    };
    let troubles: String = engines.iter().filter_map(trouble).collect();
    format!("503 not-ready: no table is in force yet{troubles}")
}

/// What the data plane does with a request that `route` takes, in the order in which it decides.
fn outcome(route: &Route, question: &Question, prefix: &str, is_placeholder: bool, known: &Known<'_>) -> String {
    if route.listener.tls == TlsMode::Off && question.secure {
        return "404 no-route: the route is served by plain HTTP only".to_owned();
    }
    if route.closed {
        return "503 route-closed: a protecting label could not be applied, so nobody is let in".to_owned();
    }
    // With a placeholder only, sending browsers to https would show them a warning instead of the app.
    if route.listener.https_redirect && !question.secure && !is_placeholder {
        let location = known.ports.https_url(&format!("{}{}", question.host, question.target));
        return format!("308: redirected to {location}");
    }
    let target = question.target.as_bytes();
    for middleware in &route.middlewares {
        let (status, location) = match middleware {
            Middleware::StripPrefix(_) => match slash_redirect(target, prefix) {
                Some(location) => (308, location),
                None => continue,
            },
            Middleware::Redirect { status, target: to } => (*status, to.location(&question.host, target)),
            Middleware::AddPrefix(_)
            | Middleware::Rewrite { .. }
            | Middleware::RequestHeader(..)
            | Middleware::ResponseHeader(..)
            | Middleware::BodyLimit(_)
            | Middleware::Hsts(_) => continue,
        };
        return format!("{status}: redirected to {}", String::from_utf8_lossy(&location));
    }
    let all = &route.upstream.endpoints;
    let now = |endpoint: &Endpoint| known.endpoints.get(&endpoint.key);
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
        ([], [], []) => no_endpoint(route, known),
        ([], [], [_, ..]) => "503: none of its endpoints is ready".to_owned(),
    }
}

/// With the reason of the first container that should be one.
fn no_endpoint(route: &Route, known: &Known<'_>) -> String {
    let behind = known.compiled.containers.iter().find(|container| container.routes.contains(&route.id));
    match behind {
        Some(container) => format!("503 no-endpoint: `{}`: {}", container.name, container.way(&route.name)),
        None => "503 no-endpoint: the route has no endpoint".to_owned(),
    }
}

/// Findings about the routes that were considered and the containers behind them, about containers that were
/// meant to serve the host, and those that say it.
fn diagnostics<'a>(
    known: &'a Known<'_>,
    concerned: &[&Arc<Route>],
    named: &[Named<'_>],
    is_unknown: bool,
    host: &str,
) -> Vec<&'a Diagnostic> {
    let origins = concerned.iter().flat_map(|route| route.origin.iter().map(|origin| &**origin));
    let containers: BTreeSet<&str> = origins.chain(named.iter().map(|named| &*named.container.name)).collect();
    // A route of the config file without a host is served under its name; a broken one is in no table.
    let of_name = host.split('.').next().filter(|_| is_unknown);
    let files: BTreeSet<&str> = concerned.iter().map(|route| &*route.name).chain(of_name).collect();
    let concerns = |found: &&Diagnostic| {
        let place = &found.place;
        let file_key = place.position().and_then(|_| place.subject());
        place.container().is_some_and(|name| containers.contains(name))
            || file_key.and_then(file_route).is_some_and(|name| files.contains(name))
            || place.subject() == Some(host)
            || mention::says(&found.text, host)
            || mention::says(&found.message, host)
    };
    known.diagnostics.iter().filter(concerns).take(DIAGNOSTICS_MAX).collect()
}

/// The route that a key of the config file belongs to: `nas` of `routes.nas.host`.
fn file_route(key: &str) -> Option<&str> {
    key.strip_prefix("routes.")?.split('.').next()
}

fn certificate(host: &str, known: &Known<'_>) -> Option<api::Certificate> {
    let origin = known.store.origin(host)?;
    let is_ours = matches!(origin, Origin::Internal | Origin::Placeholder);
    // One of ours that is out of date is made anew in the handshake, as one is that was never asked for.
    let bundle = known.store.find(host).filter(|bundle| !is_ours || bundle.is_valid_at(known.now));
    let Some(bundle) = bundle else {
        let promised = Certificate { name: host.to_owned(), origin: Some(origin), ..Certificate::default() };
        return Some(convert::certificate(&promised, known.now));
    };
    let trouble = (!bundle.is_valid_at(known.now)).then(|| "out of date".to_owned());
    let certificate = Certificate {
        name: bundle.names.join(" "),
        issuer: bundle.issuer.to_string(),
        serial: bundle.serial.to_string(),
        not_before: bundle.not_before,
        not_after: bundle.not_after,
        origin: Some(origin),
        next: None,
        renewal_window: None,
        on_demand: false,
        trouble,
    };
    Some(convert::certificate(&certificate, known.now))
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
