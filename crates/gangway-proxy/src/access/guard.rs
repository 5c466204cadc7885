//! The middlewares that act at the gate of a route.

use gangway_model::{Authentication, ConcurrencyLimit, Middleware, OnDoubt, RateLimit, Route};

/// How requests pass the gate of a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GateKind {
    /// There is none.
    Open,
    /// Only limits are checked, which takes no time.
    Limits,
    /// There is a log-in or a firewall, which may take time.
    MayWait,
}

impl GateKind {
    /// How requests pass the gate of this route.
    pub(crate) fn of(route: &Route) -> Self {
        guards(route).fold(Self::Open, |kind, guard| match (kind, guard) {
            (Self::MayWait, _) | (_, Guard::Appsec(_) | Guard::Login(_)) => Self::MayWait,
            (Self::Open | Self::Limits, Guard::Limit(_)) => Self::Limits,
        })
    }
}

/// A middleware that acts at the gate: it needs a state, or takes time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Guard<'m> {
    Limit(Limit<'m>),
    /// Asks the web application firewall.
    Appsec(OnDoubt),
    Login(&'m Authentication),
}

/// A guard that takes no time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Limit<'m> {
    Rate(&'m RateLimit),
    Concurrency(&'m ConcurrencyLimit),
}

impl<'m> Guard<'m> {
    fn of(middleware: &'m Middleware) -> Option<Self> {
        match middleware {
            Middleware::RateLimit(limit) => Some(Self::Limit(Limit::Rate(limit))),
            Middleware::ConcurrencyLimit(limit) => Some(Self::Limit(Limit::Concurrency(limit))),
            Middleware::Appsec(on_doubt) => Some(Self::Appsec(*on_doubt)),
            Middleware::Authentication(authentication) => Some(Self::Login(authentication)),
            Middleware::AddressFilter(_)
            | Middleware::Crowdsec(_)
            | Middleware::StripPrefix(_)
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
            | Middleware::Compression(_)
            | Middleware::ErrorPages(_)
            | Middleware::Cors(_)
            | Middleware::AllowedHosts(_)
            | Middleware::ResponseLimit(_)
            | Middleware::Cache(_) => None,
        }
    }
}

/// Whether a middleware acts at the gate.
pub(crate) fn is_guard(middleware: &Middleware) -> bool {
    Guard::of(middleware).is_some()
}

/// The guards of a route, in the order in which a request meets them.
pub(crate) fn guards(route: &Route) -> impl Iterator<Item = Guard<'_>> {
    route.middlewares.iter().filter_map(Guard::of)
}
