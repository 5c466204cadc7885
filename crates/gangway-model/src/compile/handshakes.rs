//! `client-ca` and `tls-min` between parties.
//!
//! A handshake is for a host and not for a route: what one route asks of it, every route of the host gets. So
//! no route may ask for more where a more senior route of another tenant asks for less, or all that one's clients
//! would be locked out. And a handshake asks by one CA file: of two on one host the more senior route's is asked
//! for.
//!
//! A pattern of hosts asks nothing of a host that another tenant serves by its name, whatever the ages: the
//! table sees to that, so here such two are not in each other's way. Two patterns that could have a host in
//! common count as having one: closed on doubt.

use std::collections::HashMap;

use ahash::RandomState;

use super::owners::TenantRef;
use super::replicas::{RouteGroup, RouteOrigin};
use crate::host::HostPattern;
use crate::matcher::HostCondition;
use crate::route::TlsVersion;
use gangway_diagnostic::Diagnostic;
use gangway_diagnostic::Finding;
use gangway_diagnostic::codes;

/// Closes routes whose CA file cannot be asked for, and takes back demands that would lock out clients of others.
/// `groups` are sorted by age.
pub(super) fn settle(groups: &mut [RouteGroup<'_>], found: &mut Vec<Diagnostic>) {
    if groups.iter().all(|group| !HandshakeDemand::of(group).is_more_than_usual()) {
        return;
    }
    let mut older = SeniorRoutes::default();
    for position in 0..groups.len() {
        let (hosts, demand) = (groups[position].spec.matcher.host_conditions(), HandshakeDemand::of(&groups[position]));
        if demand.is_more_than_usual() {
            let in_the_way = older.first(&hosts, demand.tenant, |other| demand.is_kept_out_by(other));
            let held_back = older.first(&hosts, demand.tenant, |other| demand.is_slowed_by(other));
            let in_the_way = in_the_way.map(|other| groups[other].origin.described());
            let held_back = held_back.map(|other| {
                let other = &groups[other];
                (other.origin.described(), other.spec.listener.tls_min)
            });
            let group = &mut groups[position];
            let name = group.spec.name.clone();
            if let Some(other) = in_the_way {
                let finding = finding(&format!("client certificates on a host of {other}"));
                let effect =
                    format!("route `{name}` is closed: it answers 503 to everybody; other routes are unaffected");
                found.push(about(&group.origin, finding, effect));
                (group.spec.closed, group.spec.listener.client_ca) = (true, None);
            }
            if let Some((other, tls_min)) = held_back {
                let finding = finding(&format!("nothing but TLS 1.3 on a host of {other}"));
                let effect = format!("TLS 1.2 and 1.3 are served; the rest of route `{name}` is in force");
                found.push(about(&group.origin, finding, effect));
                group.spec.listener.tls_min = tls_min;
            }
        }
        older.add(position, HandshakeDemand::of(&groups[position]), hosts);
    }
}

/// What a route demands of handshakes, and its tenant.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct HandshakeDemand<'s> {
    tenant: TenantRef<'s>,
    client_ca: Option<Box<str>>,
    tls_min: TlsVersion,
}

impl<'s> HandshakeDemand<'s> {
    fn of(group: &RouteGroup<'s>) -> Self {
        let listener = &group.spec.listener;
        Self { tenant: group.tenant, client_ca: listener.client_ca.clone(), tls_min: listener.tls_min }
    }

    fn is_more_than_usual(&self) -> bool {
        self.client_ca.is_some() || self.tls_min != TlsVersion::default()
    }

    fn is_kept_out_by(&self, other: &Self) -> bool {
        self.client_ca.is_some()
            && other.client_ca != self.client_ca
            && (other.tenant != self.tenant || other.client_ca.is_some())
    }

    fn is_slowed_by(&self, other: &Self) -> bool {
        other.tenant != self.tenant && other.tls_min < self.tls_min
    }
}

/// The routes looked at so far, found by the hosts they have in common with another. Ten thousand routes that
/// ask for the same cost no more than as many that ask for nothing.
#[derive(Default)]
struct SeniorRoutes<'s> {
    /// Every demand once.
    demands: Vec<HandshakeDemand<'s>>,
    known: HashMap<HandshakeDemand<'s>, usize, RandomState>,
    exact: HashMap<Box<str>, HandshakeClaims, RandomState>,
    /// Whole names by what stands behind their first dot.
    below: HashMap<Box<str>, HandshakeClaims, RandomState>,
    wildcard: HashMap<Box<str>, HandshakeClaims, RandomState>,
    /// What could match anywhere, and everything, for what could.
    loose: Vec<(HandshakeClaim, HostCondition)>,
    all: Vec<(HandshakeClaim, HostCondition)>,
}

/// Claims to one host, the oldest with each demand.
type HandshakeClaims = Vec<HandshakeClaim>;

#[derive(Clone, Copy)]
struct HandshakeClaim {
    demand: usize,
    position: usize,
}

impl<'s> SeniorRoutes<'s> {
    fn add(&mut self, position: usize, demand: HandshakeDemand<'s>, hosts: Vec<HostCondition>) {
        let next = self.demands.len();
        let demand = *self.known.entry(demand).or_insert_with_key(|demand| {
            self.demands.push(demand.clone());
            next
        });
        let claim = HandshakeClaim { demand, position };
        let put = |claims: &mut HandshakeClaims| {
            if claims.iter().all(|other| other.demand != demand) {
                claims.push(claim);
            }
        };
        for host in hosts {
            match &host {
                HostCondition::Pattern(HostPattern::Exact(name)) => {
                    put(self.exact.entry(name.as_str().into()).or_default());
                    if let Some((_, parent)) = name.as_str().split_once('.') {
                        put(self.below.entry(parent.into()).or_default());
                    }
                }
                HostCondition::Pattern(HostPattern::Wildcard(parent)) => {
                    put(self.wildcard.entry(parent.as_str().into()).or_default());
                }
                HostCondition::Pattern(HostPattern::AnyDomain(_) | HostPattern::Any) | HostCondition::Regex(_) => {
                    self.loose.push((claim, host.clone()));
                }
            }
            self.all.push((claim, host));
        }
    }

    /// The oldest that has a host in common with these and demands something of this kind.
    fn first(
        &self,
        hosts: &[HostCondition],
        tenant: TenantRef<'_>,
        is_so: impl Fn(&HandshakeDemand<'s>) -> bool,
    ) -> Option<usize> {
        let is_demanded = |claim: &HandshakeClaim| is_so(&self.demands[claim.demand]);
        let is_own = |claim: &HandshakeClaim| self.demands[claim.demand].tenant == tenant;
        let of = |claims: Option<&HandshakeClaims>, is_met: &dyn Fn(&HandshakeClaim) -> bool| {
            let found = claims.into_iter().flatten().find(|claim| is_met(claim) && is_demanded(claim));
            found.map(|claim| claim.position)
        };
        let loose = |among: &[(HandshakeClaim, HostCondition)], host: &HostCondition| {
            let is_exact = |host: &HostCondition| matches!(host, HostCondition::Pattern(HostPattern::Exact(_)));
            let found = among.iter().find(|(claim, other)| {
                // By name against by pattern: only within a tenant.
                let is_met = is_exact(host) == is_exact(other) || is_own(claim);
                is_met && is_demanded(claim) && may_share(host, other)
            });
            found.map(|(claim, _)| claim.position)
        };
        let any = |_: &HandshakeClaim| true;
        let on_host = |host: &HostCondition| match host {
            HostCondition::Pattern(HostPattern::Exact(name)) => {
                let parent = name.as_str().split_once('.').map_or("", |(_, parent)| parent);
                let wildcard = of(self.wildcard.get(parent), &is_own);
                [of(self.exact.get(name.as_str()), &any), wildcard, loose(&self.loose, host)]
            }
            HostCondition::Pattern(HostPattern::Wildcard(parent)) => {
                let parent = parent.as_str();
                let below = of(self.below.get(parent), &is_own);
                [of(self.wildcard.get(parent), &any), below, loose(&self.loose, host)]
            }
            HostCondition::Pattern(HostPattern::AnyDomain(_) | HostPattern::Any) | HostCondition::Regex(_) => {
                // Mostly no route has such a demand, and then nothing needs to be compared.
                let is_any = self.demands.iter().any(&is_so);
                [is_any.then(|| loose(&self.all, host)).flatten(), None, None]
            }
        };
        hosts.iter().flat_map(on_host).flatten().min()
    }
}

fn finding(message: &str) -> Finding {
    let help = "take another host, or write the same on both routes";
    Finding::error(codes::HANDSHAKE_OF_OTHERS, 0..0, message, "an older route there asks for something else", help)
}

/// Points at the host, where one was written.
fn about(origin: &RouteOrigin<'_>, mut finding: Finding, effect: String) -> Diagnostic {
    let claim = origin.claim;
    if claim.label.is_empty() {
        return origin.source.about(finding, effect);
    }
    finding.span.end = claim.value.trim().len();
    origin.source.about_value(claim, finding, effect)
}

fn may_share(one: &HostCondition, other: &HostCondition) -> bool {
    use HostCondition::Pattern;
    match (one, other) {
        (Pattern(HostPattern::Exact(name)), condition) | (condition, Pattern(HostPattern::Exact(name))) => {
            condition.matches(name.as_str())
        }
        (Pattern(HostPattern::Wildcard(one)), Pattern(HostPattern::Wildcard(other))) => one == other,
        // Which names a pattern or an expression stands for cannot be told, so the two may share one.
        (
            Pattern(HostPattern::Wildcard(_) | HostPattern::AnyDomain(_) | HostPattern::Any) | HostCondition::Regex(_),
            Pattern(HostPattern::Wildcard(_) | HostPattern::AnyDomain(_) | HostPattern::Any) | HostCondition::Regex(_),
        ) => true,
    }
}
