//! The services of Gangway itself: which of them a router may name, and the routers that lead to them without being
//! declared.

use std::sync::Arc;

use gangway_diagnostic::{Finding, codes, nearest, quoted};

use super::entry_points;
use super::findings::VOCABULARY;
use super::names::Provider;
use super::provided::Provided;
use super::rule;
use super::tls_options::OneTlsOptions;
use crate::internal_service::InternalService;
use crate::label::{Mark, whole};
use crate::listener::{ListenerName, ListenerScope, Transport};
use crate::matcher::Matcher;
use crate::regex_pattern::RegexPattern;
use crate::replacement::Replacement;
use crate::route::{ListenerOptions, Middleware, TlsMode};
use crate::router::Router;
use crate::settings::InternalPages;
use crate::spec::{Delivery, Destination, Part, RouteSpec, UpstreamSpec};
use crate::tile::Tile;
use crate::url_redirect::{UrlChange, UrlRedirect};

/// Traefik's service by which its configuration is changed.
const REST: &str = "rest@internal";

/// The service of this whole name, if it is there. The finding says why the router that names it is closed.
pub(super) fn service(name: &str, internal: &InternalPages) -> Result<InternalService, Finding> {
    let missing = |help: String| {
        let message = format!("no service {} is there", quoted(name));
        whole(codes::TRAEFIK_SERVICE_MISSING, message, "", help)
    };
    if name == REST {
        return Err(missing("remove the router; nothing can be changed over HTTP here".to_owned()));
    }
    let Some(service) = InternalService::of_name(name) else {
        let known = InternalService::ALL.into_iter().filter(|service| !service.is_own_page());
        let known: Vec<String> = known.map(|service| service.to_string()).collect();
        let near = nearest(name, known.iter().map(|known| &**known));
        return Err(missing(match near {
            Some(near) => format!("did you mean {}?", quoted(near)),
            None => format!("write one of {}", known.join(", ")),
        }));
    };
    let asked_by = match service {
        InternalService::Noop => None,
        // Otherwise a container could open the page to everybody, under a host of its own.
        InternalService::Page | InternalService::StartPage => {
            return Err(missing("only a flag of Gangway or a route of its config file leads to it".to_owned()));
        }
        InternalService::Api => internal.api.is_none().then_some("api"),
        InternalService::Dashboard => internal.api.as_ref().is_none_or(|api| !api.has_dashboard).then_some("api"),
        InternalService::Ping => internal.ping.is_none().then_some("ping"),
        InternalService::Prometheus => internal.prometheus.is_none().then_some("metrics.prometheus"),
    };
    match asked_by {
        None => Ok(service),
        Some(option) => Err(missing(format!("switch it on by `{option}` of the static configuration"))),
    }
}

/// The routers that Traefik makes of its static configuration.
pub(super) fn routers<'s>(provided: &Provided<'s>) -> Vec<RouteSpec<'s>> {
    let InternalPages { api, ping, prometheus } = &provided.traefik.internal;
    let mut routers = Vec::new();
    let mut add = |name: &str, at: &Option<ListenerName>, path: &str, priority: i64, service, redirect| {
        let at = at.as_ref();
        routers.extend(at.and_then(|at| router(provided, name, at, path, priority, service, redirect)));
    };
    // Before every router that users can write: the priorities of those end below.
    for (page, path, service) in
        [(ping, "/ping", InternalService::Ping), (prometheus, "/metrics", InternalService::Prometheus)]
    {
        if let Some(page) = page {
            add(&service.to_string(), &page.entry_point, path, i64::MAX, service, None);
        }
    }
    if let Some(api) = api {
        let base = &api.base_path;
        add("api@internal", &api.open_at, &format!("{base}/api"), i64::MAX - 1, InternalService::Api, None);
        if api.has_dashboard {
            let to_page = to_dashboard(base);
            let path = if base.is_empty() { "/" } else { base };
            add("dashboard@internal", &api.open_at, path, i64::MAX - 2, InternalService::Api, to_page);
        }
    }
    routers
}

/// The redirection from the root to the page.
fn to_dashboard(base: &str) -> Option<UrlRedirect> {
    let pattern = RegexPattern::parse(&format!("^(https?://[^/]+){}/?$", regex::escape(base)), &mut Vec::new())?;
    let replacement = Replacement::parse_go(&format!("${{1}}{}/dashboard/", base.replace('$', "$$")), pattern.regex());
    Some(UrlRedirect { change: UrlChange::Matches { pattern, replacement }, is_permanent: true })
}

fn router<'s>(
    provided: &Provided<'s>,
    name: &str,
    at: &ListenerName,
    path: &str,
    priority: i64,
    service: InternalService,
    redirect: Option<UrlRedirect>,
) -> Option<RouteSpec<'s>> {
    let entry_point = provided.traefik.entry_points.iter().find(|one| one.name == *at)?;
    let is_tls = entry_point.tls.is_some();
    let text = format!("PathPrefix(`{path}`)");
    let mut findings = Vec::new();
    let matcher = rule::parse(&text, &mut findings).and_then(|rule| Matcher::from_expression(rule, &mut findings))?;
    let transport = if is_tls { Transport::Tls } else { Transport::Plain };
    // What an entry point says to its routers holds for these as well: it may protect them.
    let of_entry_point = entry_points::middlewares(&entry_point.middlewares, Provider::File, Mark::default());
    let redirect = redirect.map(|redirect| Part::Own(Middleware::UrlRedirect(Arc::new(redirect))));
    let tls = entry_point.tls.as_ref();
    let options = tls.map(|tls| entry_points::tls_options(Some(tls), &provided.tls_options));
    let is_unusable = matches!(options, Some(Err(_)));
    let OneTlsOptions { min: tls_min, client_ca, .. } = options.and_then(Result::ok).unwrap_or_default();
    let router = Router {
        rule: text.into(),
        priority,
        entry_points: Box::new([at.clone()]),
        service: service.to_string().into(),
        service_name: service.to_string().into(),
        middlewares: entry_point.middlewares.iter().map(|name| Provider::File.referred(name)).collect(),
        ..Router::default()
    };
    Some(RouteSpec {
        name: name.into(),
        matcher,
        claim: Mark::default(),
        priority,
        priority_mark: None,
        listener: ListenerOptions {
            scope: ListenerScope { names: Some([at.clone()].into()), transport },
            tls: if is_tls { TlsMode::Auto } else { TlsMode::Off },
            tls_min,
            client_ca,
            ..ListenerOptions::default()
        },
        middlewares: of_entry_point.chain(redirect).collect(),
        upstream: Part::Own(UpstreamSpec {
            destination: Destination::Internal(service),
            delivery: Delivery::default(),
        }),
        auth_service: None,
        auth_endpoints: Vec::new(),
        page_services: Vec::new(),
        closed: is_unusable,
        group: None,
        share: Box::default(),
        origins: Box::default(),
        words: &VOCABULARY,
        router: Some(Arc::new(router)),
        tile: Tile::default(),
        is_common: true,
    })
}
