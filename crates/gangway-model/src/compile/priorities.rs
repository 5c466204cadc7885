//! `priority` between tenants.
//!
//! A priority goes before everything else, so a new container with a large one could take every host
//! from all others. Between routes of one tenant it is in force as written. Where it would take requests
//! from a more senior route of another tenant that is more specific, it counts as 0.
//!
//! Two patterns of hosts that could have a host in common count as having one: closed on doubt.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use super::owners::TenantRef;
use super::replicas::RouteGroup;
use crate::host::HostPattern;
use crate::matcher::{Alternative, HostCondition};
use crate::path::{PathPattern, begins_with};
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::Finding;
use gangway_diagnostic::codes;

/// Lowers the priorities that would take something from a more senior route of another tenant. `groups` are
/// sorted by seniority.
pub(super) fn settle(groups: &mut [RouteGroup<'_>], found: &mut Vec<Diagnostic>) {
    if groups.iter().all(|group| group.spec.priority <= 0) {
        return;
    }
    let lowered: Vec<(usize, usize)> = {
        let mut claims = PriorityClaims::default();
        let mut lowered = Vec::new();
        for (position, group) in groups.iter().enumerate() {
            let overtaken = (group.spec.priority > 0).then(|| claims.overtaken_by(groups, group)).flatten();
            lowered.extend(overtaken.map(|older| (position, older)));
            claims.add(position, group);
        }
        lowered
    };
    for (position, older) in lowered {
        let older = groups[older].origin.described();
        let group = &mut groups[position];
        let message = format!("priority {} over an older route of {older}", group.spec.priority);
        let help = "remove it; a more exact host or a longer path wins without it";
        group.spec.priority = 0;
        let Some(mark) = group.spec.priority_mark else { continue };
        let len = mark.value.trim().len();
        let finding = Finding::error(codes::PRIORITY_OVER_OTHER_PROJECT, 0..len, message, "another project's", help);
        let effect = format!("route `{}` has priority 0; the rest of it is in force", group.spec.name);
        found.push(group.origin.source.about_value(mark, finding, effect));
    }
}

/// What the older routes ask for, so that those in the way of a newer one are found without comparing all.
#[derive(Default)]
struct PriorityClaims<'g> {
    /// By the exact host; sorted, so that all hosts that begin alike stand together.
    exact: BTreeMap<&'g str, OfHost<'g>>,
    /// Exact hosts by what stands behind their first dot.
    below: HashMap<&'g str, OfHost<'g>, ahash::RandomState>,
    /// All others, by what they ask of the host.
    patterns: HashMap<&'g HostCondition, OfHost<'g>, ahash::RandomState>,
    wildcards: Lowest<'g>,
    all: Lowest<'g>,
}

#[derive(Clone, Copy)]
struct PriorityClaim<'g> {
    group: usize,
    asked: &'g Alternative,
}

/// Everything that is asked for on one host.
#[derive(Default)]
struct OfHost<'g> {
    claims: Vec<PriorityClaim<'g>>,
    lowest: Lowest<'g>,
}

impl<'g> OfHost<'g> {
    fn add(&mut self, claim: PriorityClaim<'g>, group: &RouteGroup<'g>) {
        self.claims.push(claim);
        self.lowest.add(group.spec.priority, group.tenant, claim.group);
    }

    /// Empty where no other tenant has less priority, which is nearly always.
    fn below(&self, newer: &RouteGroup<'_>) -> &[PriorityClaim<'g>] {
        let is_any = self.lowest.below(newer.spec.priority, newer.tenant).is_some();
        if is_any { &self.claims } else { &[] }
    }
}

impl<'g> PriorityClaims<'g> {
    fn add(&mut self, position: usize, group: &'g RouteGroup<'g>) {
        for asked in group.spec.matcher.alternatives() {
            let claim = PriorityClaim { group: position, asked };
            self.all.add(group.spec.priority, group.tenant, position);
            match asked.host() {
                HostCondition::Pattern(HostPattern::Exact(name)) => {
                    self.exact.entry(name.as_str()).or_default().add(claim, group);
                    if let Some((_, parent)) = name.as_str().split_once('.') {
                        self.below.entry(parent).or_default().add(claim, group);
                    }
                }
                host => {
                    if matches!(host, HostCondition::Pattern(HostPattern::Wildcard(_))) {
                        self.wildcards.add(group.spec.priority, group.tenant, position);
                    }
                    self.patterns.entry(host).or_default().add(claim, group);
                }
            }
        }
    }

    /// A more senior route of another tenant from which the priority of this one would take something.
    fn overtaken_by(&self, groups: &[RouteGroup<'_>], newer: &RouteGroup<'_>) -> Option<usize> {
        newer.spec.matcher.alternatives().iter().find_map(|asked| {
            let is_in_the_way = |claim: &&PriorityClaim<'_>| {
                let older = &groups[claim.group];
                let is_same_host = claim.asked.host() == asked.host();
                // On the same host, what takes other paths is not in the way.
                let is_below = !is_same_host || is_within(claim.asked.path(), asked.path());
                let are_met = older.spec.listener.scope.overlaps(&newer.spec.listener.scope);
                older.tenant != newer.tenant && older.spec.priority < newer.spec.priority && is_below && are_met
            };
            let mut on_hosts = self.on_hosts_of(asked.host()).flat_map(|of_host| of_host.below(newer));
            let by_host = on_hosts.find(is_in_the_way).map(|claim| claim.group);
            by_host.or_else(|| self.lowest_on(asked.host())?.below(newer.spec.priority, newer.tenant))
        })
    }

    /// What is asked for on hosts that are among these, where they can be looked up.
    fn on_hosts_of<'c>(&'c self, host: &'c HostCondition) -> Box<dyn Iterator<Item = &'c OfHost<'g>> + 'c> {
        let same = || self.patterns.get(host).into_iter();
        match host {
            HostCondition::Pattern(HostPattern::Exact(name)) => Box::new(self.exact.get(name.as_str()).into_iter()),
            HostCondition::Pattern(HostPattern::Wildcard(parent)) => {
                Box::new(same().chain(self.below.get(parent.as_str())))
            }
            HostCondition::Pattern(HostPattern::AnyDomain(first)) => {
                let begin = format!("{first}.");
                let from = self.exact.range::<str, _>((Bound::Included(&*begin), Bound::Unbounded));
                let exact = from.take_while(move |(name, _)| name.starts_with(&begin)).map(|(_, of_host)| of_host);
                Box::new(same().chain(exact))
            }
            HostCondition::Pattern(HostPattern::Any) | HostCondition::Regex(_) => Box::new(std::iter::empty()),
        }
    }

    /// What could be asked for on one of these hosts besides.
    fn lowest_on(&self, host: &HostCondition) -> Option<&Lowest<'g>> {
        match host {
            HostCondition::Pattern(HostPattern::Exact(_) | HostPattern::Wildcard(_)) => None,
            HostCondition::Pattern(HostPattern::AnyDomain(_)) => Some(&self.wildcards),
            HostCondition::Pattern(HostPattern::Any) | HostCondition::Regex(_) => Some(&self.all),
        }
    }
}

/// The lowest priorities of two tenants: enough to know whether one of another tenant is below.
#[derive(Default)]
struct Lowest<'g> {
    first: Option<(i64, TenantRef<'g>, usize)>,
    /// Of another tenant than the first.
    second: Option<(i64, TenantRef<'g>, usize)>,
}

impl<'g> Lowest<'g> {
    fn add(&mut self, priority: i64, tenant: TenantRef<'g>, group: usize) {
        let is_below = |one: Option<(i64, TenantRef<'g>, usize)>| one.is_none_or(|(lowest, ..)| priority < lowest);
        let is_first = self.first.is_some_and(|(_, first, _)| first == tenant);
        if is_below(self.first) {
            if !is_first {
                self.second = self.first;
            }
            self.first = Some((priority, tenant, group));
        } else if !is_first && is_below(self.second) {
            self.second = Some((priority, tenant, group));
        }
    }

    fn below(&self, priority: i64, tenant: TenantRef<'_>) -> Option<usize> {
        let other = self.first.filter(|(_, first, _)| *first != tenant).or(self.second);
        other.filter(|(lowest, ..)| *lowest < priority).map(|(.., group)| group)
    }
}

/// Could the first of two paths of one host be below the second, or the same?
fn is_within(path: &PathPattern, outer: &PathPattern) -> bool {
    match (path, outer) {
        (PathPattern::Prefix(path) | PathPattern::Exact(path), PathPattern::Prefix(outer)) => begins_with(path, outer),
        (PathPattern::Exact(path), PathPattern::Exact(outer)) => path == outer,
        (PathPattern::Prefix(_), PathPattern::Exact(_)) => false,
        (PathPattern::Regex(_), _) | (_, PathPattern::Regex(_)) => true,
    }
}
