//! Hosts that a tenant holds. Only the patterns of some tenants may take them.
//!
//! Without this, the requests of a host whose holder is stopped, with their cookies and passwords, would go to a
//! container that takes all hosts of the domain.

use std::collections::HashMap;

use ahash::RandomState;

/// The tenants that may take each reserved host by a pattern.
#[derive(Debug, Default)]
pub struct Reserved {
    tenants: HashMap<Box<str>, u32, RandomState>,
    hosts: HashMap<Box<str>, Box<[u32]>, RandomState>,
}

/// The number of a tenant that may take every host.
const EVERYWHERE: u32 = u32::MAX;

impl Reserved {
    /// Reserves no host yet. Tenants that are not named here may take every host.
    pub fn among(tenants: impl IntoIterator<Item = Box<str>>) -> Self {
        Self { tenants: tenants.into_iter().zip(0..EVERYWHERE).collect(), hosts: HashMap::default() }
    }

    /// Reserves a host, in lower case without port, for the patterns of these tenants. The last call for a host counts.
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

/// The reserved hosts, with the tenants of routes by number.
#[derive(Debug, Default)]
pub(super) struct HostAdmission {
    hosts: HashMap<Box<str>, Box<[u32]>, RandomState>,
    /// The tenant of each route.
    routes: Vec<u32>,
    /// The numbers of the tenants.
    tenants: HashMap<Box<str>, u32, RandomState>,
}

impl HostAdmission {
    /// `tenants` are those of the routes, in order.
    pub(super) fn new<'t>(reserved: Reserved, tenants: impl Iterator<Item = &'t str>) -> Self {
        if reserved.hosts.is_empty() {
            return Self::default();
        }
        let routes = tenants.map(|tenant| reserved.tenants.get(tenant).copied().unwrap_or(EVERYWHERE)).collect();
        Self { hosts: reserved.hosts, routes, tenants: reserved.tenants }
    }

    /// The tenants that are admitted to a host.
    pub(super) fn to(&self, host: &str) -> AdmittedTenants<'_> {
        let tenants = if self.hosts.is_empty() { None } else { self.hosts.get(host).map(|tenants| &**tenants) };
        AdmittedTenants { tenants, routes: &self.routes }
    }

    /// The reserved hosts, each with a function that says whether a tenant is admitted.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&str, impl Fn(&str) -> bool)> {
        self.hosts.iter().map(|(host, admitted)| {
            let is_admitted = |tenant: &str| self.tenants.get(tenant).is_none_or(|number| admitted.contains(number));
            (&**host, is_admitted)
        })
    }

    /// Whether all of these routes belong to one tenant, so that either all of them are admitted or none.
    pub(super) fn is_one(&self, mut routes: impl Iterator<Item = u32>) -> bool {
        let of = |route: u32| self.routes.get(route as usize).copied().unwrap_or(EVERYWHERE);
        let first = routes.next().map(of);
        routes.all(|route| Some(of(route)) == first)
    }
}

/// The tenants whose patterns may take one host.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdmittedTenants<'a> {
    /// None where every tenant is admitted.
    tenants: Option<&'a [u32]>,
    routes: &'a [u32],
}

impl AdmittedTenants<'_> {
    /// Every tenant, for a host that is not reserved.
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
