//! Pages from behind a protection.
//!
//! Everybody sees a page, also those who are not let in elsewhere. So no page comes from a container that stands behind a
//! protection of its own: asking it directly would be a way around that.

use std::collections::BTreeSet;

use super::led_to::{Service, led_to, service};
use super::page_services::about;
use super::replicas::RouteGroup;
use crate::route::Middleware;
use gangway_diagnostic::{Diagnostic, Finding, codes, quoted};

/// Takes no page from what stands behind a protection.
pub(super) fn settle(groups: &mut [RouteGroup<'_>], found: &mut Vec<Diagnostic>) {
    if groups.iter().all(|group| group.spec.page_services.is_empty()) {
        return;
    }
    let protected: BTreeSet<Service> = groups.iter().filter(|group| is_protected(group)).flat_map(led_to).collect();
    for group in groups.iter_mut() {
        let RouteGroup { spec, origin, held, .. } = group;
        for wanted in &mut spec.page_services {
            if wanted.endpoints.iter().any(|endpoint| protected.contains(&service(endpoint))) {
                wanted.endpoints.clear();
                let message = format!("pages from {}, which is protected itself", quoted(&wanted.name));
                let help = "take pages from a folder in `errors/`, or from a container that everybody may see";
                let finding = Finding::error(codes::PAGE_SERVICE_PROTECTED, 0..0, message, "not for everybody", help);
                // Nothing is said about routes that are held: it was said while their containers ran.
                if !*held {
                    found.push(about(origin.source, wanted, &spec.name, finding));
                }
            }
        }
    }
}

fn is_protected(group: &RouteGroup<'_>) -> bool {
    let protects = |middleware: &Middleware| match middleware {
        Middleware::AddressFilter(_)
        | Middleware::Crowdsec(_)
        | Middleware::Appsec(_)
        | Middleware::Authentication(_) => true,
        Middleware::StripPrefix(_)
        | Middleware::AddPrefix(_)
        | Middleware::Rewrite { .. }
        | Middleware::Redirect { .. }
        | Middleware::UrlRedirect(_)
        | Middleware::PathChange(_)
        | Middleware::RequestHeader(..)
        | Middleware::ResponseHeader(..)
        | Middleware::BodyLimit(_)
        | Middleware::Hsts(_)
        | Middleware::SecureHeaders { .. }
        | Middleware::RateLimit(_)
        | Middleware::ConcurrencyLimit(_)
        | Middleware::Compression(_)
        | Middleware::ErrorPages(_)
        | Middleware::Cors(_)
        | Middleware::AllowedHosts(_)
        | Middleware::ResponseLimit(_)
        | Middleware::Cache(_) => false,
    };
    group.spec.closed || group.spec.listener.client_ca.is_some() || group.spec.middlewares.iter().any(protects)
}
