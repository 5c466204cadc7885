//! The index of a table: slots sorted by precedence, and buckets of them by host.
//!
//! The position of a slot *is* its rank: the lower of two wins. Precedences are compared once, when the table is
//! built, and a look-up compares numbers.

use std::collections::HashMap;

use ahash::RandomState;
use smol_str::SmolStr;

use super::bucket::{Best, Bucket, LOOKED_AT_MAX};
use super::precedence::{HostRank, Precedence};
use super::reserved::HostAdmission;
use super::slot::{Slot, SlotMatch, host_rank};
use crate::host::HostPattern;
use crate::matcher::HostCondition;
use crate::path;
use crate::request_view::RequestView;

/// Names of usual length lie in the map itself: where there are many, each piece of memory that a look-up reads is in no
/// cache.
type Buckets = HashMap<SmolStr, Bucket, RandomState>;

#[derive(Debug)]
pub(crate) struct Index {
    /// By precedence, the greatest first.
    slots: Vec<Slot>,
    /// Buckets by whole host.
    exact: Buckets,
    /// Buckets by the part behind the first dot.
    wildcard: Buckets,
    /// Buckets by the part in front of one of the first dots.
    any_domain: Buckets,
    /// The most labels that a key of `any_domain` has: further dots need not be tried.
    any_domain_labels_max: usize,
    /// Slots without a host.
    any: Bucket,
    /// Slots with a regular expression for a host, the only ones that are tried one after the other.
    regex: Vec<u32>,
    /// The best slot of each kind. A kind that cannot win is not searched.
    best_wildcard: u32,
    best_any_domain: u32,
    best_any: u32,
    best_regex: u32,
    /// The tenants whose patterns may take a reserved host.
    admission: HostAdmission,
    /// The first slot of each host, for explanations; at most [`LOOKED_AT_MAX`].
    first_of_hosts: Box<[u32]>,
}

impl Index {
    pub(super) fn new(mut slots: Vec<Slot>, admission: HostAdmission) -> Self {
        // Stable: alternatives of one route that are equally specific stay in their canonical order.
        slots.sort_by(|a, b| b.precedence.cmp(&a.precedence));
        let mut hosts = ByHost::default();
        for (position, slot) in (0..).zip(&slots) {
            hosts.add(slot, position);
        }
        let of_names = [&hosts.exact, &hosts.wildcard, &hosts.any_domain];
        let mut first_of_hosts: Vec<u32> =
            of_names.into_iter().flat_map(HashMap::values).filter_map(|slots| slots.first().copied()).collect();
        first_of_hosts.sort_unstable();
        first_of_hosts.truncate(LOOKED_AT_MAX);
        let best = |bucket: &HashMap<_, Vec<u32>, RandomState>| {
            bucket.values().filter_map(|slots| slots.first().copied()).min()
        };
        let best_wildcard = best(&hosts.wildcard).unwrap_or(u32::MAX);
        let best_any_domain = best(&hosts.any_domain).unwrap_or(u32::MAX);
        let best_any = hosts.any.first().copied().unwrap_or(u32::MAX);
        let best_regex = hosts.regex.first().copied().unwrap_or(u32::MAX);
        let bucket = |positions: Vec<u32>| {
            let routes = positions.iter().map(|position| slots[*position as usize].route);
            let is_one = admission.is_one(routes);
            Bucket::new(positions, &slots, is_one)
        };
        let buckets = |hosts: HashMap<&str, Vec<u32>, RandomState>| {
            hosts.into_iter().map(|(host, positions)| (host.into(), bucket(positions))).collect::<Buckets>()
        };
        Self {
            any_domain_labels_max: hosts.any_domain.keys().map(|first| first.split('.').count()).max().unwrap_or(0),
            // A route that names a host may always take it.
            exact: hosts
                .exact
                .into_iter()
                .map(|(host, positions)| (host.into(), Bucket::new(positions, &slots, true)))
                .collect(),
            wildcard: buckets(hosts.wildcard),
            any_domain: buckets(hosts.any_domain),
            any: bucket(hosts.any),
            regex: hosts.regex,
            best_wildcard,
            best_any_domain,
            best_any,
            best_regex,
            slots,
            admission,
            first_of_hosts: first_of_hosts.into(),
        }
    }

    /// The slot that takes a request. None on doubt about its path.
    pub(crate) fn find(&self, request: &RequestView<'_>) -> Option<SlotMatch> {
        let found = self.best(request)?;
        let is_closed = path::is_doubtful(request.path) && self.doubt(request, found.route).is_some();
        (!is_closed).then_some(found)
    }

    /// A reading of the path that does not lead to the same route.
    pub(crate) fn doubt(&self, request: &RequestView<'_>, route: usize) -> Option<String> {
        path::other_readings(request.path).into_iter().find(|reading| {
            let other = self.best(&RequestView { path: reading, ..*request });
            other.is_none_or(|other| other.route != route)
        })
    }

    /// The slot that takes a request if its path is read as it is.
    pub(crate) fn best(&self, request: &RequestView<'_>) -> Option<SlotMatch> {
        let mut best = Best::new(&self.slots, request);
        let host = request.host;
        if let Some(bucket) = self.exact.get(host) {
            best.consider(bucket);
        }
        if self.best_of_patterns() > best.slot() {
            return best.found();
        }
        best.admit(self.admission.to(host));
        if self.best_wildcard < best.slot()
            && let Some((first, parent)) = host.split_once('.')
            && !first.is_empty()
            && let Some(bucket) = self.wildcard.get(parent)
        {
            best.consider(bucket);
        }
        if self.best_any_domain < best.slot() {
            for first in first_labels(host, self.any_domain_labels_max) {
                if let Some(bucket) = self.any_domain.get(first) {
                    best.consider(bucket);
                }
            }
        }
        best.consider_hosts(&self.regex);
        if self.best_any < best.slot() {
            best.consider(&self.any);
        }
        best.found()
    }

    /// The first slots that take requests of this host, ascending; at most [`LOOKED_AT_MAX`]. Empty only if there is none.
    pub(crate) fn first_of_host(&self, host: &str) -> Vec<u32> {
        let below = host.split_once('.').filter(|(first, _)| !first.is_empty());
        let below = below.and_then(|(_, parent)| self.wildcard.get(parent));
        let first = first_labels(host, self.any_domain_labels_max).filter_map(|first| self.any_domain.get(first));
        let buckets = self.exact.get(host).into_iter().chain(below).chain(first).chain([&self.any]);
        let accepts = |slot: &u32| self.slot(*slot as usize).alternative.host().matches(host);
        let by_regex = self.regex.iter().filter(|slot| accepts(slot)).take(LOOKED_AT_MAX);
        let mut slots: Vec<u32> = buckets.flat_map(|bucket| bucket.first().iter()).chain(by_regex).copied().collect();
        slots.sort_unstable();
        slots.truncate(LOOKED_AT_MAX);
        slots
    }

    /// Slots whose hosts are written nearly like this one, found by look-ups: with or without `www.`, and wildcards of
    /// the bare domain.
    pub(crate) fn first_of_sisters(&self, host: &str) -> Vec<u32> {
        let www = format!("www.{host}");
        let names = [Some(&*www), host.strip_prefix("www.")].into_iter().flatten();
        let sisters = names.filter_map(|name| self.exact.get(name)).chain(self.wildcard.get(host));
        sisters.flat_map(|bucket| bucket.first().iter().copied()).take(LOOKED_AT_MAX).collect()
    }

    /// The first slot of each host, for the hosts of the first slots; at most [`LOOKED_AT_MAX`].
    pub(crate) fn first_of_hosts(&self) -> &[u32] {
        &self.first_of_hosts
    }

    fn best_of_patterns(&self) -> u32 {
        self.best_wildcard.min(self.best_any_domain).min(self.best_any).min(self.best_regex)
    }

    pub(super) fn admission(&self) -> &HostAdmission {
        &self.admission
    }

    /// Whether a slot that takes this host by a pattern may take it.
    pub(crate) fn admits(&self, host: &str, slot: &Slot) -> bool {
        host_rank(slot.alternative.host()) == HostRank::Exact || self.admission.to(host).has(slot.route)
    }

    pub(super) fn knows_host(&self, host: &str) -> bool {
        if !self.admission.to(host).is_all() {
            return self.exact.contains_key(host) || self.any_by_pattern(host, |_| true);
        }
        self.best_any != u32::MAX
            || self.exact.contains_key(host)
            || host
                .split_once('.')
                .is_some_and(|(first, parent)| !first.is_empty() && self.wildcard.contains_key(parent))
            || first_labels(host, self.any_domain_labels_max).any(|first| self.any_domain.contains_key(first))
            || self.regex.iter().any(|slot| self.slot(*slot as usize).alternative.host().matches(host))
    }

    pub(super) fn names_host(&self, host: &str) -> bool {
        self.exact.contains_key(host)
    }

    /// Whether `is_so` holds for any slot that takes requests of this host without naming it.
    pub(super) fn any_by_pattern(&self, host: &str, is_so: impl Fn(&Slot) -> bool) -> bool {
        let admitted = self.admission.to(host);
        let is_so = |position: u32| {
            let slot = self.slot(position as usize);
            admitted.has(slot.route) && is_so(slot)
        };
        let below = host.split_once('.').filter(|(first, _)| !first.is_empty());
        let below = below.and_then(|(_, parent)| self.wildcard.get(parent));
        let first = first_labels(host, self.any_domain_labels_max).filter_map(|first| self.any_domain.get(first));
        let accepts = |slot: &u32| self.slot(*slot as usize).alternative.host().matches(host);
        below.into_iter().chain(first).chain([&self.any]).any(|bucket| bucket.any(is_so))
            || self.regex.iter().filter(|slot| accepts(slot)).copied().any(is_so)
    }

    /// All slots by precedence, the greatest first.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn slot(&self, position: usize) -> &Slot {
        &self.slots[position]
    }

    pub(super) fn precedence(&self, position: usize) -> &Precedence {
        &self.slots[position].precedence
    }
}

/// The part in front of the first dot, of the second, and so on. Something has to follow the dot.
pub(super) fn first_labels(host: &str, labels_max: usize) -> impl Iterator<Item = &str> {
    host.match_indices('.').take(labels_max).filter(|(dot, _)| dot + 1 < host.len()).map(|(dot, _)| &host[..dot])
}

/// Positions of slots, ascending, by host.
#[derive(Default)]
struct ByHost<'s> {
    exact: HashMap<&'s str, Vec<u32>, RandomState>,
    wildcard: HashMap<&'s str, Vec<u32>, RandomState>,
    any_domain: HashMap<&'s str, Vec<u32>, RandomState>,
    any: Vec<u32>,
    regex: Vec<u32>,
}

impl<'s> ByHost<'s> {
    fn add(&mut self, slot: &'s Slot, position: u32) {
        match slot.alternative.host() {
            HostCondition::Pattern(HostPattern::Exact(name)) => self.exact.entry(name.as_str()).or_default(),
            HostCondition::Pattern(HostPattern::Wildcard(parent)) => self.wildcard.entry(parent.as_str()).or_default(),
            HostCondition::Pattern(HostPattern::AnyDomain(first)) => self.any_domain.entry(first).or_default(),
            HostCondition::Pattern(HostPattern::Any) => &mut self.any,
            HostCondition::Regex(_) => &mut self.regex,
        }
        .push(position);
    }
}
