//! Why a request is answered as it is: what the table says, and what else there is to know about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use gangway_model::explain::{Considered, Nearest};
use gangway_model::route::{Readiness, TlsMode};
use gangway_model::{Compiled, Diagnostic, Middleware, RequestView, Route};
use gangway_tls::{Bundle, Store};

use crate::api;
use crate::convert::{self, Endpoints};
use crate::instance::Certificate;
use crate::question::Question;

/// Diagnostics that are told along; more would bury the answer.
const DIAGNOSTICS_MAX: usize = 20;

/// What is known at the moment of asking.
pub(crate) struct Known<'a> {
    pub(crate) compiled: &'a Compiled,
    pub(crate) is_table_in_force: bool,
    pub(crate) store: &'a Store,
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) diagnostics: &'a [Diagnostic],
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
    let bundle = known.store.find(&question.host);
    let is_placeholder = bundle.is_some_and(|bundle| bundle.origin == gangway_tls::Origin::Placeholder);
    let outcome = match winner {
        _ if !known.is_table_in_force => "503 not-ready: no table is in force yet".to_owned(),
        Some(route) => outcome(route, question.secure, is_placeholder, known.endpoints),
        None if found.doubt.is_some() => {
            "404 no-route: no route takes it, for its path can be read in two ways".to_owned()
        }
        None => "404 no-route: no route takes it".to_owned(),
    };
    let named = |id: &str, route: usize, rule: &str, why: &str| api::Considered {
        id: id.to_owned(),
        name: routes[route].name.to_string(),
        rule: rule.to_owned(),
        why: why.to_owned(),
    };
    let considered: Vec<_> =
        found.considered.iter().map(|Considered { id, route, rule, why }| named(id, *route, rule, why)).collect();
    let nearest: Vec<_> =
        found.nearest.iter().map(|Nearest { id, route, rule, why }| named(id, *route, rule, why)).collect();
    let ids = winner.map(|route| &*route.id).into_iter();
    let ids: BTreeSet<&str> =
        ids.chain(considered.iter().chain(&nearest).map(|considered| considered.id.as_str())).collect();
    let diagnostics = diagnostics(known, &ids, routes, &question.host);
    let containers = known.compiled.containers.iter().filter(|container| {
        let is_behind = winner.is_some_and(|route| container.routes.contains(&route.id));
        is_behind || diagnostics.iter().any(|found| *found.place.container == *container.name)
    });
    api::Explanation {
        request: api::Request {
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
        certificate: certificate(&question.host, bundle, known),
        containers: containers.map(convert::container).collect(),
        diagnostics: diagnostics.into_iter().map(convert::diagnostic).collect(),
    }
}

/// What the data plane does with a request that `route` takes, in the order in which it decides.
fn outcome(route: &Route, secure: bool, is_placeholder: bool, endpoints: &Endpoints) -> String {
    if route.tls == TlsMode::Off && secure {
        return "404 no-route: the route is served by plain HTTP only".to_owned();
    }
    if route.closed {
        return "503 route-closed: a protecting label could not be applied, so nobody is let in".to_owned();
    }
    // With a placeholder only, sending browsers to https would show them a warning instead of the app.
    if route.https_redirect && !secure && !is_placeholder {
        return "308: redirected to https".to_owned();
    }
    let redirect = route.middlewares.iter().find_map(|middleware| match middleware {
        Middleware::Redirect { status, target } => Some((status, target)),
        _ => None,
    });
    if let Some((status, target)) = redirect {
        return format!("{status}: redirected to {}", convert::redirect_target(target));
    }
    let all = &route.upstream.endpoints;
    let ready = all.iter().filter(|endpoint| endpoint.readiness == Readiness::Ready);
    let (passed_over, usable): (Vec<_>, Vec<_>) =
        ready.partition(|endpoint| endpoints.get(&endpoint.key).is_some_and(|now| now.passed_over));
    match (usable.as_slice(), passed_over.as_slice(), all.as_slice()) {
        ([one], ..) => format!("served by `{}`", one.name),
        ([_, ..], ..) => format!("served by one of {} endpoints", usable.len()),
        ([], [_, ..], _) => "probably 502: its endpoints could not be connected to just now".to_owned(),
        ([], [], []) => "503 no-endpoint: the route has no endpoint".to_owned(),
        ([], [], [_, ..]) => "503: none of its endpoints is ready".to_owned(),
    }
}

/// Findings about containers and routes that have to do with the request, or that say its host.
fn diagnostics<'a>(
    known: &'a Known<'_>,
    ids: &BTreeSet<&str>,
    routes: &[Arc<Route>],
    host: &str,
) -> Vec<&'a Diagnostic> {
    let origins: BTreeSet<&str> = routes
        .iter()
        .filter(|route| ids.contains(&*route.id))
        .flat_map(|route| route.origin.iter().map(|origin| &**origin))
        .collect();
    let concerns = |found: &&Diagnostic| {
        let place = &found.place;
        (!place.container.is_empty() && origins.contains(&*place.container))
            || *place.label == *host
            || says(&found.text, host)
            || says(&found.message, host)
    };
    known.diagnostics.iter().filter(concerns).take(DIAGNOSTICS_MAX).collect()
}

/// Whether a text has this host in it, and not as a part of another.
fn says(text: &str, host: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '.';
    !host.is_empty()
        && text.match_indices(host).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + host.len()..]);
            !before.ends_with(is_part) && !after.starts_with(is_part)
        })
}

fn certificate(host: &str, bundle: Option<&Arc<Bundle>>, known: &Known<'_>) -> Option<api::Certificate> {
    let Some(bundle) = bundle else {
        // Made in the handshake, for a name that only a wildcard covers.
        return known.store.serves(host).then(|| api::Certificate {
            name: host.to_owned(),
            origin: Some("internal".to_owned()),
            ..api::Certificate::default()
        });
    };
    let trouble = (!bundle.is_valid_at(known.now)).then(|| "out of date".to_owned());
    let certificate = Certificate {
        name: bundle.names.join(" "),
        issuer: bundle.issuer.to_string(),
        serial: bundle.serial.to_string(),
        not_before: bundle.not_before,
        not_after: bundle.not_after,
        origin: Some(bundle.origin.clone()),
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
    fn a_host_is_not_found_in_another() {
        assert!(says("host `Nas.test` is claimed twice", "nas.test") && says("nas", "nas"));
        assert!(!says("dynasty", "nas") && !says("my.nas.test", "nas.test") && !says("nas.test.org", "nas.test"));
    }
}
