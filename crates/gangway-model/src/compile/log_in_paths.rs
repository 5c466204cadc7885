//! The paths that belong to a log-in at the hosts of the applications before which it stands: those that a log-in service
//! serves there, and the one at which Gangway itself finishes log-ins at an OpenID provider.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::authentication::{Authentication, LoginMethod};
use crate::host::HostPattern;
use crate::listener::ListenerScope;
use crate::matcher::Matcher;
use crate::oidc_auth::OIDC_PATH;
use crate::path::PathPattern;
use crate::request_limit::ClientKey;
use crate::route::{HostHeader, Middleware, Policy, Route, Timeouts, Upstream};
use crate::table::Entry;
use crate::tile::Tile;

/// The entries for these paths. Where a host has them twice, the more senior route's counts; a route that a label makes
/// for such a path goes before. No route that asks the service goes before: it would ask about the page to log in at.
pub(super) fn entries(of_routes: &[Entry<Arc<Route>>]) -> Vec<Entry<Arc<Route>>> {
    let mut by_age: Vec<&Entry<Arc<Route>>> =
        of_routes.iter().filter(|entry| own_path(&entry.payload).is_some()).collect();
    by_age.sort_by_key(|entry| (entry.age, &entry.id));
    let mut highest = BTreeMap::new();
    for entry in &by_age {
        for host in own_path(&entry.payload).iter().flat_map(|_| &entry.payload.hosts) {
            let priority = highest.entry(host).or_insert(entry.priority);
            *priority = entry.priority.max(*priority);
        }
    }
    let mut taken: BTreeSet<(HostPattern, &'static str, &ListenerScope)> = BTreeSet::new();
    let mut entries = Vec::new();
    for entry in by_age {
        let Some(path) = own_path(&entry.payload) else { continue };
        let is_new = |host: &&HostPattern| taken.insert(((*host).clone(), path, &entry.scope));
        let hosts: Vec<HostPattern> = entry.payload.hosts.iter().filter(is_new).cloned().collect();
        if hosts.is_empty() {
            continue;
        }
        let priority = hosts.iter().filter_map(|host| highest.get(host)).copied().max().unwrap_or(entry.priority);
        let mut findings = Vec::new();
        let path = PathPattern::parse(path, &mut findings);
        let matcher = path.and_then(|path| Matcher::from_lists(hosts, vec![path], &mut findings));
        // As many alternatives as the route has hosts, so there are not too many.
        if let Some(matcher) = matcher {
            let route = route(&entry.payload, &matcher);
            let (id, scope) = (route.id.clone(), entry.scope.clone());
            entries.push(Entry { matcher, scope, priority, age: i64::MAX, id, payload: Arc::new(route) });
        }
    }
    entries
}

fn own_path(route: &Route) -> Option<&'static str> {
    let mut log_ins = route.middlewares.iter().filter_map(Middleware::authentication);
    log_ins.find_map(|authentication| match &authentication.method {
        LoginMethod::Basic(_) => None,
        LoginMethod::Forward(_) if route.auth_services.is_empty() => None,
        LoginMethod::Forward(forward) => forward.product?.own_path(),
        LoginMethod::Oidc(_) => Some(OIDC_PATH),
    })
}

/// The route to the service, with what protects the route before which it stands, but for the log-in. At an OpenID provider
/// that is what answers: it stays, and nothing is spared it.
fn route(of: &Route, matcher: &Matcher) -> Route {
    let id: Box<str> = format!("{}@log-in", of.id).into();
    let oidc = of.middlewares.iter().filter_map(Middleware::authentication).find(|one| one.oidc().is_some());
    // No request reaches an endpoint of the route, but without any it would not come to its log-in.
    let endpoints = if oidc.is_some() { of.upstream.endpoints.clone() } else { of.auth_services.concat() };
    let held = oidc.is_some() && of.upstream.held;
    let internal = of.upstream.internal.filter(|_| oidc.is_some());
    // A service in the world outside is one of several behind its own proxy.
    let host_header = match oidc.is_none() && endpoints.iter().all(|endpoint| endpoint.host.is_some()) {
        true => HostHeader::Upstream,
        false => HostHeader::Keep,
    };
    let stays = |middleware: &&Middleware| match middleware {
        Middleware::AddressFilter(_)
        | Middleware::Crowdsec(_)
        | Middleware::Appsec(_)
        | Middleware::ConcurrencyLimit(_)
        | Middleware::Hsts(_)
        | Middleware::SecureHeaders { .. }
        | Middleware::AllowedHosts(_)
        | Middleware::ResponseLimit(_)
        | Middleware::Compression(_) => true,
        Middleware::RateLimit(limit) => limit.key != ClientKey::User,
        Middleware::StripPrefix(_)
        | Middleware::AddPrefix(_)
        | Middleware::Rewrite { .. }
        | Middleware::Redirect { .. }
        | Middleware::UrlRedirect(_)
        | Middleware::PathChange(_)
        | Middleware::RequestHeader(..)
        | Middleware::ResponseHeader(..)
        | Middleware::BodyLimit(_)
        | Middleware::Authentication(_)
        | Middleware::ErrorPages(_)
        | Middleware::Cors(_)
        | Middleware::Cache(_) => false,
    };
    let mut middlewares: Vec<Middleware> = of.middlewares.iter().filter(stays).cloned().collect();
    middlewares.extend(oidc.map(|oidc| {
        let authentication = Authentication { method: oidc.method.clone(), skip: Vec::new() };
        Middleware::Authentication(Arc::new(authentication))
    }));
    Route {
        id: id.clone(),
        name: of.name.clone(),
        rule: matcher.rule().to_string().into(),
        tenant: of.tenant.clone(),
        origin: of.origin.clone(),
        is_of_operator: of.is_of_operator,
        hosts: matcher.hosts(),
        listener: of.listener.clone(),
        middlewares,
        timeouts: Timeouts::default(),
        host_header,
        upgrades: Box::default(),
        upstream: Arc::new(Upstream { id, endpoints, policy: Policy::default(), held, unreachable: None, internal }),
        auth_services: Vec::new(),
        page_services: Vec::new(),
        closed: of.closed,
        origins: of.origins.clone(),
        router: of.router.clone(),
        // Nobody looks for it.
        tile: Tile { hidden: true, ..Tile::default() },
    }
}
