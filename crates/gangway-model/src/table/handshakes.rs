//! The requirements of TLS handshakes by host. They are looked up as routes are, without a walk over all routes.
//!
//! A handshake is for a host, before any request is known. A requirement of one route therefore holds for every route
//! of its hosts. A pattern of hosts requires nothing of a host that other tenants serve by its name: otherwise a user
//! who starts a container could lock their clients out.

use std::collections::HashMap;

use ahash::RandomState;

use super::index::{Index, first_labels};
use crate::host::HostPattern;
use crate::matcher::HostCondition;
use crate::regex_pattern::RegexPattern;
use crate::route::TlsVersion;

/// The requirement of all routes of a host together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Handshake {
    /// The oldest version that is accepted.
    pub tls_min: TlsVersion,
    /// The name of the client CA file that clients need a certificate of. The most specific route that names one
    /// decides.
    pub client_ca: Option<Box<str>>,
}

/// Requirements by host. Only routes that require more than the default are listed, and mostly there are none.
#[derive(Debug, Default)]
pub struct Handshakes {
    exact: HashMap<Box<str>, NamedHost, RandomState>,
    wildcard: ByKey,
    any_domain: ByKey,
    any_domain_labels_max: usize,
    /// Expressions are tried one after the other.
    regex: Vec<(RegexPattern, ByTenant)>,
    any: ByTenant,
}

/// The requirement of the routes that name a host, and their tenants.
#[derive(Debug, Default)]
struct NamedHost {
    asked: Handshake,
    /// Only needed where a pattern requires something.
    tenants: Vec<u32>,
}

/// The requirements of the routes of a pattern, by tenant.
type ByTenant = Vec<(u32, Handshake)>;

type ByKey = HashMap<Box<str>, ByTenant, RandomState>;

impl Handshake {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the requirement of a less specific route.
    fn meet(&mut self, other: &Self) {
        self.tls_min = self.tls_min.max(other.tls_min);
        if self.client_ca.is_none() {
            self.client_ca.clone_from(&other.client_ca);
        }
    }
}

impl Handshakes {
    /// `asks` gives the requirement of the route at a position, and `tenant` its tenant.
    pub(super) fn new<'t>(index: &Index, asks: impl Fn(usize) -> Handshake, tenant: impl Fn(usize) -> &'t str) -> Self {
        let mut handshakes = Self::default();
        let mut numbers: HashMap<&str, u32, RandomState> = HashMap::default();
        let mut number = |tenant: &'t str| {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            *numbers.entry(tenant).or_insert(next)
        };
        for slot in index.slots() {
            let asked = asks(slot.route as usize);
            if !asked.is_usual() {
                handshakes.add(slot.alternative.host(), number(tenant(slot.route as usize)), &asked);
            }
        }
        if handshakes.has_patterns() {
            for slot in index.slots() {
                if let HostCondition::Pattern(HostPattern::Exact(name)) = slot.alternative.host() {
                    let tenants = &mut handshakes.exact.entry(name.as_str().into()).or_default().tenants;
                    let number = number(tenant(slot.route as usize));
                    if !tenants.contains(&number) {
                        tenants.push(number);
                    }
                }
            }
            // A host that its holder does not serve now is not open to the patterns of other tenants either.
            for (host, is_admitted) in index.admission().hosts() {
                let tenants = &mut handshakes.exact.entry(host.into()).or_default().tenants;
                tenants.extend(numbers.iter().filter(|(tenant, _)| is_admitted(tenant)).map(|(_, number)| *number));
            }
        }
        handshakes
    }

    fn has_patterns(&self) -> bool {
        !(self.wildcard.is_empty() && self.any_domain.is_empty() && self.regex.is_empty() && self.any.is_empty())
    }

    fn add(&mut self, host: &HostCondition, tenant: u32, asked: &Handshake) {
        let wishes = match host {
            HostCondition::Pattern(HostPattern::Exact(name)) => {
                self.exact.entry(name.as_str().into()).or_default().asked.meet(asked);
                return;
            }
            HostCondition::Pattern(HostPattern::Wildcard(parent)) => {
                self.wildcard.entry(parent.as_str().into()).or_default()
            }
            HostCondition::Pattern(HostPattern::AnyDomain(first)) => {
                self.any_domain_labels_max = self.any_domain_labels_max.max(first.split('.').count());
                self.any_domain.entry(first.clone()).or_default()
            }
            HostCondition::Pattern(HostPattern::Any) => &mut self.any,
            HostCondition::Regex(pattern) => {
                let known = self.regex.iter().position(|(known, _)| known == pattern);
                let at = known.unwrap_or_else(|| {
                    self.regex.push((pattern.clone(), Vec::new()));
                    self.regex.len() - 1
                });
                &mut self.regex[at].1
            }
        };
        match wishes.iter_mut().find(|(known, _)| *known == tenant) {
            Some((_, known)) => known.meet(asked),
            None => wishes.push((tenant, asked.clone())),
        }
    }

    /// The requirement for a host, in lower case without port.
    pub fn of(&self, host: &str) -> Handshake {
        let of_name = self.exact.get(host);
        let mut handshake = of_name.map(|of_name| of_name.asked.clone()).unwrap_or_default();
        let below = host.split_once('.').filter(|(first, _)| !first.is_empty());
        let wildcard = below.and_then(|(_, parent)| self.wildcard.get(parent));
        let first = first_labels(host, self.any_domain_labels_max).filter_map(|first| self.any_domain.get(first));
        let regex = self.regex.iter().filter(|(pattern, _)| pattern.is_match(host)).map(|(_, wishes)| wishes);
        // The most specific first.
        for (tenant, asked) in wildcard.into_iter().chain(first).chain(regex).chain([&self.any]).flatten() {
            if of_name.is_none_or(|of_name| of_name.tenants.contains(tenant)) {
                handshake.meet(asked);
            }
        }
        handshake
    }
}
