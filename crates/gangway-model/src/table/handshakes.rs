//! What handshakes must come up to, found by host as routes are: without looking at each of them.
//!
//! A handshake is for a host, before any request is known, so what one route asks for, every route of its
//! hosts gets. Only a pattern of hosts asks nothing of a host that others serve by its name: else whoever
//! starts a container could lock their clients out.

use std::collections::HashMap;

use ahash::RandomState;

use super::index::{Index, first_labels};
use crate::host::HostPattern;
use crate::matcher::HostCondition;
use crate::regex_pattern::RegexPattern;
use crate::route::TlsVersion;

/// What the routes of a host ask for together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Handshake {
    /// The oldest version that will do.
    pub tls_min: TlsVersion,
    /// The bundle that clients must show a certificate of: that of the most specific route that asks for one.
    pub client_ca: Option<Box<str>>,
}

/// By host, for the routes that ask for more than usual; mostly none.
#[derive(Debug, Default)]
pub struct Handshakes {
    exact: HashMap<Box<str>, OfName, RandomState>,
    wildcard: ByKey,
    any_domain: ByKey,
    any_domain_labels_max: usize,
    /// Tried one after the other.
    regex: Vec<(RegexPattern, Wishes)>,
    any: Wishes,
}

/// What the routes that name a host ask for, and whose they are.
#[derive(Debug, Default)]
struct OfName {
    asked: Handshake,
    /// Only looked at where a pattern asks for something.
    tenants: Vec<u32>,
}

/// What the routes of a pattern ask for, by tenant.
type Wishes = Vec<(u32, Handshake)>;

type ByKey = HashMap<Box<str>, Wishes, RandomState>;

impl Handshake {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// With what a less specific route asks for.
    fn meet(&mut self, other: &Self) {
        self.tls_min = self.tls_min.max(other.tls_min);
        if self.client_ca.is_none() {
            self.client_ca.clone_from(&other.client_ca);
        }
    }
}

impl Handshakes {
    /// `asks` says what the route at a position asks for, and `tenant` whose it is.
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
            // A host that somebody has and does not serve now is no stranger's either.
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

    /// For a host in lower case without port.
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
