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
            (Self::Open | Self::Limits, Guard::Limit(..)) => Self::Limits,
        })
    }
}

/// A middleware that acts at the gate: it needs a state, or takes time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Guard<'m> {
    /// Of two limits of a kind, each has counts of its own, which this number tells apart: it counts those of its kind.
    Limit(Limit<'m>, usize),
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

/// How many limits of a route were met, of each kind.
#[derive(Default)]
struct LimitsMet {
    rate: usize,
    concurrency: usize,
}

impl<'m> Guard<'m> {
    fn of(middleware: &'m Middleware, met: &mut LimitsMet) -> Option<Self> {
        let next = |met: &mut usize| std::mem::replace(met, *met + 1);
        match middleware {
            Middleware::RateLimit(limit) => Some(Self::Limit(Limit::Rate(limit), next(&mut met.rate))),
            Middleware::ConcurrencyLimit(limit) => {
                Some(Self::Limit(Limit::Concurrency(limit), next(&mut met.concurrency)))
            }
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
    Guard::of(middleware, &mut LimitsMet::default()).is_some()
}

/// The guards of a route, in the order in which a request meets them.
pub(crate) fn guards(route: &Route) -> impl Iterator<Item = Guard<'_>> {
    let mut met = LimitsMet::default();
    route.middlewares.iter().filter_map(move |middleware| Guard::of(middleware, &mut met))
}
