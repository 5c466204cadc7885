//! Hosts that somebody has: of what takes hosts by a pattern, only some is asked there.
//!
//! Without this, the requests of a host whose holder is stopped, cookies and passwords among them, would go to
//! whoever takes all hosts of the domain.

use std::collections::HashMap;

use ahash::RandomState;

/// Which tenants are asked on which hosts.
#[derive(Debug, Default)]
pub struct Reserved {
    tenants: HashMap<Box<str>, u32, RandomState>,
    hosts: HashMap<Box<str>, Box<[u32]>, RandomState>,
}

/// A tenant that is asked everywhere.
const EVERYWHERE: u32 = u32::MAX;

impl Reserved {
    /// No host yet. Tenants that are not named here are asked everywhere.
    pub fn among(tenants: impl IntoIterator<Item = Box<str>>) -> Self {
        Self { tenants: tenants.into_iter().zip(0..EVERYWHERE).collect(), hosts: HashMap::default() }
    }

    /// Only these tenants' patterns are asked for a host, in lower case without port. What is said last counts.
    pub fn keep<'t>(&mut self, host: &str, tenants: impl IntoIterator<Item = &'t str>) {
        let mut numbers: Vec<u32> =
            tenants.into_iter().filter_map(|tenant| self.tenants.get(tenant).copied()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() < self.tenants.len() {
            self.hosts.insert(host.into(), numbers.into());
        } else {
            self.hosts.remove(host);
        }
    }
}

/// The same by routes.
#[derive(Debug, Default)]
pub(super) struct Admission {
    hosts: HashMap<Box<str>, Box<[u32]>, RandomState>,
    /// Whose each route is.
    routes: Vec<u32>,
    /// The tenants by their numbers.
    tenants: HashMap<Box<str>, u32, RandomState>,
}

impl Admission {
    /// `tenants` are those of the routes, in order.
    pub(super) fn new<'t>(reserved: Reserved, tenants: impl Iterator<Item = &'t str>) -> Self {
        if reserved.hosts.is_empty() {
            return Self::default();
        }
        let routes = tenants.map(|tenant| reserved.tenants.get(tenant).copied().unwrap_or(EVERYWHERE)).collect();
        Self { hosts: reserved.hosts, routes, tenants: reserved.tenants }
    }

    /// Who is admitted on a host.
    pub(super) fn to(&self, host: &str) -> AdmittedTenants<'_> {
        let tenants = if self.hosts.is_empty() { None } else { self.hosts.get(host).map(|tenants| &**tenants) };
        AdmittedTenants { tenants, routes: &self.routes }
    }

    /// The reserved hosts, each with what tells of a tenant whether it is admitted there.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&str, impl Fn(&str) -> bool)> {
        self.hosts.iter().map(|(host, admitted)| {
            let is_admitted = |tenant: &str| self.tenants.get(tenant).is_none_or(|number| admitted.contains(number));
            (&**host, is_admitted)
        })
    }

    /// Are all of these routes admitted where one of them is?
    pub(super) fn is_one(&self, mut routes: impl Iterator<Item = u32>) -> bool {
        let of = |route: u32| self.routes.get(route as usize).copied().unwrap_or(EVERYWHERE);
        let first = routes.next().map(of);
        routes.all(|route| Some(of(route)) == first)
    }
}

/// Whose patterns are asked for one host.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdmittedTenants<'a> {
    /// None where everybody's are.
    tenants: Option<&'a [u32]>,
    routes: &'a [u32],
}

impl AdmittedTenants<'_> {
    /// On a host that is nobody's.
    pub(super) fn all() -> Self {
        Self { tenants: None, routes: &[] }
    }

    pub(super) fn is_all(self) -> bool {
        self.tenants.is_none()
    }

    pub(super) fn has(self, route: u32) -> bool {
        let Some(tenants) = self.tenants else { return true };
        let tenant = self.routes.get(route as usize).copied().unwrap_or(EVERYWHERE);
        tenant == EVERYWHERE || tenants.contains(&tenant)
    }
}
