//! Log-in services that are behind a log-in themselves.
//!
//! The route of a known product that asks that product is the page where people log in: it is served without being asked
//! about. Any other circle would let nobody log in, or ask for ever, so its routes are closed.

use std::collections::{BTreeMap, BTreeSet};

use super::led_to::{Service, led_to, service};
use super::replicas::RouteGroup;
use crate::forward_auth::AuthProduct;
use crate::route::{Endpoint, Middleware};
use gangway_diagnostic::{Diagnostic, Finding, codes};

/// Opens the pages where people log in, and closes routes in circles.
pub(super) fn settle(groups: &mut [RouteGroup<'_>], found: &mut Vec<Diagnostic>) {
    for group in groups.iter_mut().filter(|group| !group.spec.auth_endpoints.is_empty()) {
        if product(group).is_some_and(|product| is_portal(group, product)) {
            open(group, found);
        }
    }
    let asked: BTreeSet<Service> =
        groups.iter().flat_map(|group| &group.spec.auth_endpoints).flatten().map(service).collect();
    if asked.is_empty() {
        return;
    }
    // Of each service that routes lead to: the services that are asked on the way.
    let mut asked_before: BTreeMap<Service, BTreeSet<Service>> = BTreeMap::new();
    for group in groups.iter().filter(|group| !group.spec.auth_endpoints.is_empty()) {
        for led_to in led_to(group).filter(|service| asked.contains(service)) {
            let services = group.spec.auth_endpoints.iter().flatten().map(service);
            asked_before.entry(led_to).or_default().extend(services);
        }
    }
    if asked_before.is_empty() {
        return;
    }
    for group in groups.iter_mut().filter(|group| !group.spec.auth_endpoints.is_empty()) {
        let led_to: BTreeSet<Service> = led_to(group).collect();
        let first = group.spec.auth_endpoints.iter().flatten().map(service).collect();
        if !all_asked(first, &asked_before).is_disjoint(&led_to) {
            close(group, found);
        }
    }
}

/// The services that are asked where these are, and those that are asked on the way to them.
fn all_asked(first: BTreeSet<Service>, asked_before: &BTreeMap<Service, BTreeSet<Service>>) -> BTreeSet<Service> {
    let mut left: Vec<Service> = first.iter().cloned().collect();
    let mut all = first;
    while let Some(next) = left.pop() {
        for before in asked_before.get(&next).into_iter().flatten() {
            if all.insert(before.clone()) {
                left.push(before.clone());
            }
        }
    }
    all
}

/// Whether the route leads to the pages of the product that it asks. What else its container listens with, such as metrics,
/// does not protect itself.
fn is_portal(group: &RouteGroup<'_>, product: AuthProduct) -> bool {
    let is_its_page = |led_to: &Endpoint, asked: &Endpoint| {
        let port = led_to.key.address.port();
        let is_usual = port == product.port() || Some(port) == product.tls_port();
        service(led_to) == service(asked) && (is_usual || port == asked.key.address.port())
    };
    let mut asked = group.spec.auth_endpoints.iter().flatten();
    asked.any(|asked| group.endpoints.iter().any(|led_to| is_its_page(led_to, asked)))
}

fn product(group: &RouteGroup<'_>) -> Option<AuthProduct> {
    let mut log_ins = group.spec.middlewares.iter().filter_map(Middleware::authentication);
    log_ins.find_map(|authentication| authentication.forward()?.product)
}

fn open(group: &mut RouteGroup<'_>, found: &mut Vec<Diagnostic>) {
    group.spec.middlewares.retain(|middleware| !matches!(middleware, Middleware::Authentication(_)));
    group.spec.auth_endpoints.clear();
    let finding = Finding::error(
        codes::AUTH_OF_PORTAL,
        0..0,
        "the log-in service is asked about itself",
        "this is where people log in",
        "remove the label",
    );
    let effect = format!("route `{}` is served without a question; the service protects itself", group.spec.name);
    // A log-in of all routes was not written for the page where people log in.
    if group.spec.origins.iter().any(|origin| origin.is_default() && origin.key == "auth.forward") {
        return;
    }
    report(group, finding.warning(), effect, found);
}

fn close(group: &mut RouteGroup<'_>, found: &mut Vec<Diagnostic>) {
    group.spec.closed = true;
    let finding = Finding::error(
        codes::AUTH_LOOP,
        0..0,
        "the log-in service is behind this same log-in",
        "asked about requests to itself",
        "remove the label from the route that leads to the log-in service, or name the service by its container",
    );
    let name = &group.spec.name;
    let effect = format!("route `{name}` is closed: it answers 503 to everybody; other routes are unaffected");
    report(group, finding, effect, found);
}

fn report(group: &RouteGroup<'_>, finding: Finding, effect: String, found: &mut Vec<Diagnostic>) {
    // Nothing is said about routes that are held: it was said while their containers ran.
    if group.held {
        return;
    }
    let mark = group.spec.auth_service.as_ref().map(|service| service.mark).unwrap_or_default();
    found.push(group.origin.source.about_key(mark, finding, effect));
}
