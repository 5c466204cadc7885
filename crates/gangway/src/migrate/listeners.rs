//! Entry points → listeners, and what routes have to say about them.
//!
//! The usual pair of entry points becomes the usual pair of listeners, which need no word: one for plain HTTP, which redirects to
//! the other one. Any other entry point becomes a listener of its own name.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use gangway_model::{EntryPoint, ListenerName, Middleware, Route, RoutingTable, Transport, UrlChange};
use gangway_traefik::{EntryPointAddress, OWN_ENTRY_POINT};

use crate::check::traefik_stack::TraefikStack;

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// What an entry point becomes.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Listener {
    /// The one of `--http`.
    Http,
    /// The one of `--https`.
    Https,
    /// One of `--listen`.
    Named,
}

/// The listeners of a stack.
pub(super) struct ListenerPlan {
    listeners: BTreeMap<ListenerName, (Listener, Option<EntryPointAddress>)>,
    /// Every request to the plain listener is redirected.
    redirects: bool,
    /// The ids of routes that our listeners make superfluous.
    superfluous: Vec<Box<str>>,
    /// The rules for which plain HTTP is redirected by a router.
    redirected_rules: Vec<Box<str>>,
    /// The rules of which one route is served in clear, and another one over TLS.
    parted_rules: Vec<Box<str>>,
    /// The rules that are served in clear as they are over TLS.
    open_rules: Vec<Box<str>>,
    /// The entry point at which there is nothing but Traefik's own pages.
    own_pages: Option<ListenerName>,
}

impl ListenerPlan {
    /// `is_free` says whether a port can be given up: a published one leads nowhere if nothing listens there.
    pub(super) fn new(stack: &TraefikStack, table: &RoutingTable, is_free: &dyn Fn(u16) -> bool) -> Self {
        let routes = table.routes();
        let port_of = |name: &ListenerName| Some(stack.config.entry_points.get(name)?.address?.port);
        let own_pages = own_pages(stack, routes).filter(|name| port_of(name).is_none_or(is_free));
        let entry_points: Vec<&EntryPoint> =
            stack.settings.entry_points.iter().filter(|entry| Some(&entry.name) != own_pages.as_ref()).collect();
        let address = |entry: &EntryPoint| stack.config.entry_points.get(&entry.name)?.address;
        let port = |entry: &EntryPoint| address(entry).map(|at| at.port);
        let names = |entry: &EntryPoint, transport: Transport| {
            let is_meant = |route: &&Arc<Route>| {
                route.listener.scope.takes_listener(&entry.name)
                    && route.listener.scope.transport == transport
                    && !is_redirection(route)
            };
            routes.iter().any(|route| is_meant(&route))
        };
        let is_tls = |entry: &EntryPoint| entry.tls.is_some() || names(entry, Transport::Tls);
        let is_plain = |entry: &EntryPoint| names(entry, Transport::Plain);
        // The one on the usual port, or else the first.
        let usual = |usual: u16, other: u16, fits: &dyn Fn(&EntryPoint) -> bool| {
            let mut fitting = entry_points.iter().copied().filter(|entry| fits(entry) && port(entry) != Some(other));
            let of_port = entry_points.iter().copied().find(|entry| fits(entry) && port(entry) == Some(usual));
            of_port.or_else(|| fitting.next()).map(|entry| entry.name.clone())
        };
        let https =
            usual(443, 80, &|entry| is_tls(entry) && !is_plain(entry) || port(entry) == Some(443) && !is_plain(entry));
        let http = usual(80, 443, &|entry| !is_tls(entry) && Some(&entry.name) != https.as_ref());
        let listeners: BTreeMap<_, _> = entry_points
            .iter()
            .map(|entry| {
                let listener = match &entry.name {
                    name if Some(name) == https.as_ref() => Listener::Https,
                    name if Some(name) == http.as_ref() => Listener::Http,
                    _ => Listener::Named,
                };
                (entry.name.clone(), (listener, address(entry)))
            })
            .collect();
        let is_http =
            |name: &ListenerName| listeners.get(name).is_some_and(|(listener, _)| *listener == Listener::Http);
        let redirects =
            !stack.is_known || entry_points.iter().any(|entry| is_http(&entry.name) && entry.redirection.is_some());
        let mut plan = Self {
            listeners,
            redirects,
            superfluous: Vec::new(),
            redirected_rules: Vec::new(),
            parted_rules: Vec::new(),
            open_rules: Vec::new(),
            own_pages,
        };
        let at_own_pages = routes.iter().filter(|route| {
            let names = route.listener.scope.names.as_deref().unwrap_or_default();
            names.iter().any(|name| Some(name) == plan.own_pages.as_ref())
        });
        plan.superfluous.extend(at_own_pages.map(|route| route.id.clone()));
        for route in routes.iter().filter(|route| route.listener.scope.transport == Transport::Plain) {
            let is_of_entry_point = is_redirection(route) && route.name.ends_with("@internal");
            let twin = routes.iter().find(|other| {
                other.listener.scope.transport == Transport::Tls && other.rule == route.rule && other.id != route.id
            });
            let is_same = |other: &Route| {
                other.middlewares == route.middlewares && other.upstream.endpoints == route.upstream.endpoints
            };
            match twin {
                _ if is_of_entry_point => {}
                // The redirection of the entry point comes before it.
                _ if stack.is_known && plan.redirects && plan.names(route) == ["http"] => {}
                Some(_) if plan.redirects && is_redirection(route) => {}
                Some(_) if is_redirection(route) => plan.redirected_rules.push(route.rule.clone()),
                Some(other) if is_same(other) && plan.is_usual(route) => plan.open_rules.push(route.rule.clone()),
                Some(_) => {
                    plan.parted_rules.push(route.rule.clone());
                    continue;
                }
                None => continue,
            }
            plan.superfluous.push(route.id.clone());
        }
        plan
    }

    /// Whether our listeners do what the route does.
    pub(super) fn goes_without_saying(&self, route: &Route) -> bool {
        self.superfluous.contains(&route.id)
    }

    /// The labels about listeners and TLS.
    pub(super) fn labels(&self, route: &Route) -> Vec<(&'static str, String)> {
        let mut labels = Vec::new();
        if let Some((is_permanent, port)) = redirection(route) {
            let status = if is_permanent { 301 } else { 302 };
            let port = port.filter(|port| *port != 443).map(|port| format!(":{port}")).unwrap_or_default();
            labels.push(("redirect", format!("{status} https://{{host}}{port}{{path}}?{{query}}")));
        }
        let mut names: Vec<String> = self.names(route);
        match route.listener.scope.transport {
            Transport::Tls => {
                if self.open_rules.contains(&route.rule) {
                    labels.push(("https-redirect", "false".to_owned()));
                    names.push("http".to_owned());
                } else if self.parted_rules.contains(&route.rule) {
                    // The other one is served there.
                } else if (self.redirects && names.iter().any(|name| name == "https")
                    || self.redirected_rules.contains(&route.rule))
                    && !self.is_replaced(&Listener::Http, HTTP_PORT)
                {
                    names.push("http".to_owned());
                }
            }
            Transport::Plain => labels.push(("tls", "off".to_owned())),
            Transport::Any => {}
        }
        names.sort();
        names.dedup();
        let mut all: Vec<String> = self.listeners.iter().map(|(name, (listener, _))| listener.name(name)).collect();
        if !self.is_replaced(&Listener::Http, HTTP_PORT) {
            all.push("http".to_owned());
        }
        all.sort();
        all.dedup();
        // A route that is not served over TLS is on no listener that has it.
        let is_plain_pair = route.listener.scope.transport == Transport::Plain
            && names == ["http"]
            && !all.iter().any(|name| name != "http" && name != "https");
        if names != all && !is_plain_pair && !names.is_empty() {
            labels.push(("listen", names.join(", ")));
        }
        if route.listener.is_over_tls() && route.listener.tls_min == gangway_model::TlsVersion::Tls13 {
            labels.push(("tls-min", "1.3".to_owned()));
        }
        labels
    }

    /// The flags that open the listeners, where the usual ones are not enough.
    pub(super) fn flags(&self) -> Vec<String> {
        let mut flags = Vec::new();
        for (listener, flag, port) in [(Listener::Http, "http", HTTP_PORT), (Listener::Https, "https", HTTPS_PORT)] {
            if self.is_replaced(&listener, port) {
                flags.push(format!("--{flag}=none"));
            }
        }
        for (name, (listener, address)) in &self.listeners {
            let Some(address) = address else { continue };
            let at = address_text(*address);
            let is_on = |port: u16| at == format!(":{port}") || at == format!("[::]:{port}");
            match listener {
                Listener::Http if !is_on(HTTP_PORT) => flags.push(format!("--http={at}")),
                Listener::Https if !is_on(HTTPS_PORT) => flags.push(format!("--https={at}")),
                Listener::Http | Listener::Https => {}
                Listener::Named => flags.push(format!("--listen={name}={at},auto")),
            }
        }
        flags
    }

    /// The name of the listener that an entry point becomes. None where nothing listens in its place.
    pub(super) fn listener(&self, entry_point: &ListenerName) -> Option<String> {
        let (listener, address) = self.listeners.get(entry_point)?;
        address.is_some_and(|address| !address.is_udp).then(|| listener.name(entry_point))
    }

    /// The entry point at which there is nothing but Traefik's own pages, if there is one.
    pub(super) fn own_pages(&self) -> Option<&ListenerName> {
        self.own_pages.as_ref()
    }

    /// The keys without which a table of this listener could not stand in a file by itself.
    pub(super) fn table_keys(&self, entry_point: &ListenerName) -> Vec<(&'static str, String)> {
        match self.listeners.get(entry_point) {
            Some((Listener::Named, Some(address))) => {
                vec![("address", address_text(*address)), ("protocol", "auto".to_owned())]
            }
            Some((Listener::Http | Listener::Https, _) | (Listener::Named, None)) | None => Vec::new(),
        }
    }

    /// Whether requests that come to an entry point in clear are redirected by its listener.
    pub(super) fn redirects(&self, entry_point: &ListenerName) -> bool {
        self.redirects && self.listeners.get(entry_point).is_some_and(|(listener, _)| *listener == Listener::Http)
    }

    /// The port to which it redirects where nothing else is said.
    pub(super) fn https_port(&self) -> u16 {
        let mut addresses = self.listeners.values().filter(|(listener, _)| *listener == Listener::Https);
        addresses.find_map(|(_, address)| Some((*address)?.port)).unwrap_or(HTTPS_PORT)
    }

    /// Whether no entry point becomes this usual listener, and another one is on its port.
    fn is_replaced(&self, usual: &Listener, port: u16) -> bool {
        let all = || self.listeners.values();
        !all().any(|(listener, _)| listener == usual)
            && all().any(|(_, address)| address.is_some_and(|address| address.port == port))
    }

    fn names(&self, route: &Route) -> Vec<String> {
        let of = |name: &ListenerName| match self.listeners.get(name) {
            Some((listener, _)) => listener.name(name),
            None => name.to_string(),
        };
        route.listener.scope.names.iter().flatten().map(of).collect()
    }

    fn is_usual(&self, route: &Route) -> bool {
        let names = self.names(route);
        names.iter().all(|name| name == "http" || name == "https")
    }
}

impl Listener {
    fn name(&self, entry_point: &ListenerName) -> String {
        match self {
            Self::Http => "http".to_owned(),
            Self::Https => "https".to_owned(),
            Self::Named => entry_point.to_string(),
        }
    }
}

/// The names that the router of a route may have where the route is a part of it: a router to which entry points say different
/// things is several routes, named `<entry point>-<router>`.
pub(super) fn names_without_entry_point(route: &Route) -> impl Iterator<Item = &str> {
    let names = route.listener.scope.names.iter().flatten();
    names.filter_map(|name| route.name.strip_prefix(&**name)?.strip_prefix('-'))
}

/// An address of one interface says who reaches the listener.
fn address_text(address: EntryPointAddress) -> String {
    match address.ip {
        Some(ip) => SocketAddr::new(ip, address.port).to_string(),
        None => format!(":{}", address.port),
    }
}

/// The entry point that Traefik makes for its own pages, if there is nothing else.
fn own_pages(stack: &TraefikStack, routes: &[Arc<Route>]) -> Option<ListenerName> {
    let name = ListenerName::parse(OWN_ENTRY_POINT).filter(|_| stack.is_known)?;
    let mut there = routes.iter().filter(|route| route.listener.scope.takes_listener(&name)).peekable();
    let is_known = there.peek().is_some();
    let is_alone = |route: &Arc<Route>| {
        let is_internal = route.upstream.internal.is_some() || route.name.ends_with("@internal");
        is_internal && route.listener.scope.names.as_ref().is_some_and(|names| names.len() == 1)
    };
    (is_known && there.all(is_alone)).then_some(name)
}

/// What of listeners and TLS no label says; `is_told` says which names of certificates are ordered or were told of before.
pub(super) fn differences(route: &Route, is_told: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut differences = Vec::new();
    let names: Vec<String> =
        route.listener.cert_names.iter().map(ToString::to_string).filter(|name| !is_told(name)).collect();
    if !names.is_empty() {
        differences.push(format!(
            "a certificate is ordered for the hosts alone, and not for {}: `--acme-wildcard` asks for wildcards",
            names.join(", ")
        ));
    }
    if let Some(ca) = &route.listener.client_ca {
        differences.push(format!(
            "put the CA file `{ca}` into `certs/clients/` on the volume, and replace `deny` by `client-ca` with its name"
        ));
    }
    differences
}

/// Whether a route in clear does nothing but redirect to https.
fn is_redirection(route: &Route) -> bool {
    redirection(route).is_some()
}

/// The redirection to https of a route in clear: whether it is permanent, and the port.
fn redirection(route: &Route) -> Option<(bool, Option<u16>)> {
    let mut middlewares = route.middlewares.iter().filter(|_| route.listener.scope.transport == Transport::Plain);
    middlewares.find_map(|middleware| match middleware {
        Middleware::UrlRedirect(redirect) => match &redirect.change {
            UrlChange::Scheme { scheme, port } if **scheme == *"https" => Some((redirect.is_permanent, *port)),
            UrlChange::Scheme { .. } | UrlChange::Matches { .. } => None,
        },
        Middleware::StripPrefix(_)
        | Middleware::AddPrefix(_)
        | Middleware::Rewrite { .. }
        | Middleware::Redirect { .. }
        | Middleware::PathChange(_)
        | Middleware::RequestHeader(..)
        | Middleware::ResponseHeader(..)
        | Middleware::BodyLimit(_)
        | Middleware::ResponseLimit(_)
        | Middleware::Cors(_)
        | Middleware::AllowedHosts(_)
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
        | Middleware::Cache(_) => None,
    })
}
