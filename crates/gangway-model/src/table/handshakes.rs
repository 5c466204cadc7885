//! What handshakes must come up to, found by host as routes are: without looking at each of them.
//!
//! A handshake is for a host, before any request is known, so what one route asks for, every route of its
//! hosts gets.

use std::collections::HashMap;

use ahash::RandomState;

use super::index::{Index, first_labels};
use crate::host::HostPattern;
use crate::matcher::HostCondition;
use crate::route::TlsVersion;
use crate::rule::Pattern;

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
    exact: ByKey,
    wildcard: ByKey,
    any_domain: ByKey,
    any_domain_labels_max: usize,
    /// Tried one after the other.
    regex: Vec<(Pattern, Handshake)>,
    any: Handshake,
}

type ByKey = HashMap<Box<str>, Handshake, RandomState>;

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
    /// `asks` says what the route at a position asks for.
    pub(super) fn new(index: &Index, asks: impl Fn(usize) -> Handshake) -> Self {
        let mut handshakes = Self::default();
        for slot in index.slots() {
            let asked = asks(slot.route as usize);
            if !asked.is_usual() {
                handshakes.add(slot.alternative.host(), &asked);
            }
        }
        handshakes
    }

    fn add(&mut self, host: &HostCondition, asked: &Handshake) {
        let entry = match host {
            HostCondition::Pattern(HostPattern::Exact(name)) => self.exact.entry(name.as_str().into()).or_default(),
            HostCondition::Pattern(HostPattern::Wildcard(parent)) => {
                self.wildcard.entry(parent.as_str().into()).or_default()
            }
            HostCondition::Pattern(HostPattern::AnyDomain(first)) => {
                self.any_domain_labels_max = self.any_domain_labels_max.max(first.split('.').count());
                self.any_domain.entry(first.clone()).or_default()
            }
            HostCondition::Pattern(HostPattern::Any) => &mut self.any,
            HostCondition::Regex(pattern) => {
                let known = self.regex.iter_mut().find(|(known, _)| known == pattern);
                match known {
                    Some((_, known)) => known.meet(asked),
                    None => self.regex.push((pattern.clone(), asked.clone())),
                }
                return;
            }
        };
        entry.meet(asked);
    }

    /// For a host in lower case without port.
    pub fn of(&self, host: &str) -> Handshake {
        let below = host.split_once('.').filter(|(first, _)| !first.is_empty());
        let wildcard = below.and_then(|(_, parent)| self.wildcard.get(parent));
        let first = first_labels(host, self.any_domain_labels_max).filter_map(|first| self.any_domain.get(first));
        let regex = self.regex.iter().filter(|(pattern, _)| pattern.is_match(host)).map(|(_, asked)| asked);
        let mut handshake = Handshake::default();
        // The most specific first.
        for asked in self.exact.get(host).into_iter().chain(wildcard).chain(first).chain(regex).chain([&self.any]) {
            handshake.meet(asked);
        }
        handshake
    }
}
