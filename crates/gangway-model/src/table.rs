//! The routing table, which finds the route of a request.
//!
//! [`compile`](crate::compile()) builds a table once, and nothing edits it. Finding a route costs the same at ten
//! hosts and at ten thousand: a hash look-up for the exact host, one for each wildcard form, then a walk over the
//! few entries of that host by precedence. Only routes without a host, or with a regular expression for one, cost
//! every request something.
//!
//! The payload is a parameter. The data plane keeps what it prepared for a route (peers, header values, counters) in
//! the slot that a look-up returns.

mod bucket;
mod entry;
mod handshakes;
mod index;
mod places;
mod precedence;
mod reserved;
mod slot;
mod ties;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use bucket::LOOKED_AT_MAX;
pub use entry::Entry;
pub use handshakes::{Handshake, Handshakes};
pub(crate) use index::Index;
pub use precedence::{HostRank, Precedence};
pub use reserved::Reserved;
pub(crate) use slot::Slot;
pub use ties::{Tie, ties};

use self::reserved::HostAdmission;
use crate::host::HostPattern;
use crate::request_view::RequestView;
use crate::route::{Route, TlsMode};
use crate::unknown_names::UnknownNames;

/// All routes at one time, indexed.
pub struct RoutingTable<T = Arc<Route>> {
    /// Shared with the tables that [`map`](Self::map) made of this one.
    index: Arc<Index>,
    /// By id.
    routes: Vec<T>,
    unknown_names: UnknownNames,
}

/// The result of a look-up.
#[derive(Debug)]
pub struct Match<'t, T> {
    /// The route.
    pub route: &'t T,
    /// The precedence of the alternative that matched.
    pub precedence: &'t Precedence,
    /// The path prefix that matched, in its decoded form, which `strip-prefix` removes. Empty where the route has no
    /// path condition, and where an exact path or a regular expression matched.
    pub prefix: &'t str,
}

impl<T> RoutingTable<T> {
    /// Indexes entries. The result does not depend on their order.
    pub fn build(entries: Vec<Entry<T>>) -> Self {
        Self::build_reserved(entries, Reserved::default(), |_| "")
    }

    /// Like [`build`](Self::build), with hosts that only some tenants may take by a pattern. `tenant` names the
    /// tenant of a route.
    pub fn build_reserved(mut entries: Vec<Entry<T>>, reserved: Reserved, tenant: impl Fn(&T) -> &str) -> Self {
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        let mut routes = Vec::with_capacity(entries.len());
        let mut slots = Vec::with_capacity(entries.len());
        for (route, Entry { matcher, scope, priority, age, id, payload }) in entries.into_iter().enumerate() {
            slots.extend(Slot::all(route, matcher, scope, priority, age, &id));
            routes.push(payload);
        }
        let admission = HostAdmission::new(reserved, routes.iter().map(tenant));
        let index = Arc::new(Index::new(slots, admission));
        Self { index, routes, unknown_names: UnknownNames::default() }
    }

    /// The same table with another treatment of names that no route names.
    #[must_use]
    pub fn with_unknown_names(self, unknown_names: UnknownNames) -> Self {
        Self { unknown_names, ..self }
    }

    /// Whether a handshake for this name goes on although no route names it.
    pub fn answers_unknown(&self, host: &str) -> bool {
        match self.unknown_names {
            UnknownNames::Answer => !self.names_host(host),
            UnknownNames::Refuse => false,
        }
    }

    /// The route that takes this request, by precedence.
    ///
    /// None also where the path can be read in several ways that lead to different routes; see [`crate::path`].
    /// Only such a path, and a query parameter that a regular expression needs decoded, cost an allocation.
    pub fn find<'t>(&'t self, request: &RequestView<'_>) -> Option<Match<'t, T>> {
        let found = self.index.find(request)?;
        Some(Match {
            route: &self.routes[found.route],
            precedence: self.index.precedence(found.slot),
            prefix: if found.takes_all { "" } else { self.index.slot(found.slot).alternative.prefix() },
        })
    }

    /// Whether any route could be served under this host, in lower case without port.
    pub fn knows_host(&self, host: &str) -> bool {
        self.index.knows_host(host)
    }

    /// Whether a route names this host, in lower case without port. A route that only takes it by a pattern does not
    /// count.
    pub fn names_host(&self, host: &str) -> bool {
        self.index.names_host(host)
    }

    /// The requirements of TLS handshakes. `asks` gives the requirement of each route, and `tenant` its tenant.
    pub fn handshakes<'t>(&'t self, asks: impl Fn(&T) -> Handshake, tenant: impl Fn(&'t T) -> &'t str) -> Handshakes {
        Handshakes::new(&self.index, |route| asks(&self.routes[route]), |route| tenant(&self.routes[route]))
    }

    /// Every route once, sorted by id.
    pub fn routes(&self) -> &[T] {
        &self.routes
    }

    /// The precedence of every alternative, the greatest first, with the position of its route in
    /// [`routes`](Self::routes).
    pub fn precedences(&self) -> impl Iterator<Item = (usize, &Precedence)> {
        self.index.slots().iter().map(|slot| (slot.route as usize, &slot.precedence))
    }

    /// The same index with another payload. `f` is called once per route.
    pub fn map<U: Clone>(&self, f: impl FnMut(&T) -> U) -> RoutingTable<U> {
        let (index, unknown_names) = (Arc::clone(&self.index), self.unknown_names);
        RoutingTable { index, routes: self.routes.iter().map(f).collect(), unknown_names }
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }
}

impl RoutingTable<Arc<Route>> {
    /// Exact names and `*.` wildcards of routes that are served over TLS, and further names that they want, each with the kind of CA. Where routes of one
    /// name differ, [`TlsMode::Auto`] serves both.
    pub fn names_needing_certificates(&self) -> BTreeMap<Box<str>, TlsMode> {
        let mut names = BTreeMap::new();
        for route in self.routes.iter().filter(|route| route.listener.is_over_tls()) {
            let certifiable = |host: &&HostPattern| matches!(host, HostPattern::Exact(_) | HostPattern::Wildcard(_));
            for host in route.hosts.iter().chain(&route.listener.cert_names).filter(certifiable) {
                let mode = names.entry(host.to_string().into()).or_insert(route.listener.tls);
                if route.listener.tls == TlsMode::Auto {
                    *mode = TlsMode::Auto;
                }
            }
        }
        names
    }

    /// The names of settings of issuers that routes choose, by the names of certificates. Where routes choose several for
    /// one name, the first in the order of their names.
    pub fn chosen_issuers(&self) -> BTreeMap<Box<str>, Box<str>> {
        let mut chosen: BTreeMap<Box<str>, Box<str>> = BTreeMap::new();
        for route in self.routes.iter().filter(|route| route.listener.is_over_tls()) {
            let Some(issuer) = &route.listener.cert_issuer else { continue };
            for host in route.hosts.iter().chain(&route.listener.cert_names) {
                let one = chosen.entry(host.to_string().into()).or_insert_with(|| issuer.clone());
                if *issuer < *one {
                    one.clone_from(issuer);
                }
            }
        }
        chosen
    }

    /// Whether a route that is served over TLS by [`TlsMode::Auto`] takes requests of this host, in lower
    /// case without port, by a pattern or for want of any host: such names stand in no list, and get
    /// certificates on demand or not at all.
    pub fn takes_by_pattern(&self, host: &str) -> bool {
        self.index.any_by_pattern(host, |slot| {
            let listener = &self.routes[slot.route as usize].listener;
            listener.is_over_tls() && listener.tls == TlsMode::Auto
        })
    }
}

impl<T> Default for RoutingTable<T> {
    fn default() -> Self {
        Self::build(Vec::new())
    }
}
