//! `client-ca` and `tls-min` between parties.
//!
//! A handshake is for a host and not for a route: what one route asks of it, every route of the host gets. So
//! nobody may ask for more where a more senior route of another tenant asks for less, or all that one's clients
//! would be locked out. And a handshake asks for one bundle: of two on one host the more senior route's is asked
//! for.
//!
//! A pattern of hosts asks nothing of a host that another tenant serves by its name, whatever the ages: the
//! table sees to that, so here such two are not in each other's way. Two patterns that could have a host in
//! common count as having one: closed on doubt.

use std::collections::HashMap;

use ahash::RandomState;

use super::replicas::{Group, Standing, TenantRef};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::host::HostPattern;
use crate::matcher::HostCondition;
use crate::route::TlsVersion;
use crate::rule::Finding;

/// Closes routes whose bundle cannot be asked for, and takes back what others would suffer from. `groups` are
/// sorted by age.
pub(super) fn settle(groups: &mut [Group<'_>], found: &mut Vec<Diagnostic>) {
    if groups.iter().all(|group| !Wish::of(group).is_more_than_usual()) {
        return;
    }
    let mut older = Older::default();
    for position in 0..groups.len() {
        let (hosts, wish) = (groups[position].spec.matcher.host_conditions(), Wish::of(&groups[position]));
        if wish.is_more_than_usual() {
            let in_the_way = older.first(&hosts, wish.tenant, |other| wish.is_kept_out_by(other));
            let held_back = older.first(&hosts, wish.tenant, |other| wish.is_slowed_by(other));
            let in_the_way = in_the_way.map(|other| groups[other].standing.described());
            let held_back = held_back.map(|other| {
                let other = &groups[other];
                (other.standing.described(), other.spec.listener.tls_min)
            });
            let group = &mut groups[position];
            let name = group.spec.name.clone();
            if let Some(other) = in_the_way {
                let finding = finding(&format!("client certificates on a host of {other}"));
                let effect =
                    format!("route `{name}` is closed: it answers 503 to everybody; other routes are unaffected");
                found.push(about(&group.standing, finding, effect));
                (group.spec.closed, group.spec.listener.client_ca) = (true, None);
            }
            if let Some((other, tls_min)) = held_back {
                let finding = finding(&format!("nothing but TLS 1.3 on a host of {other}"));
                let effect = format!("TLS 1.2 and 1.3 are served; the rest of route `{name}` is in force");
                found.push(about(&group.standing, finding, effect));
                group.spec.listener.tls_min = tls_min;
            }
        }
        older.add(position, Wish::of(&groups[position]), hosts);
    }
}

/// What a route asks of handshakes, and for whom.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Wish<'s> {
    tenant: TenantRef<'s>,
    client_ca: Option<Box<str>>,
    tls_min: TlsVersion,
}

impl<'s> Wish<'s> {
    fn of(group: &Group<'s>) -> Self {
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
struct Older<'s> {
    /// Every wish once.
    wishes: Vec<Wish<'s>>,
    known: HashMap<Wish<'s>, usize, RandomState>,
    exact: HashMap<Box<str>, Claims, RandomState>,
    /// Whole names by what stands behind their first dot.
    below: HashMap<Box<str>, Claims, RandomState>,
    wildcard: HashMap<Box<str>, Claims, RandomState>,
    /// What could match anywhere, and everything, for what could.
    loose: Vec<(Claim, HostCondition)>,
    all: Vec<(Claim, HostCondition)>,
}

/// Claims to one host, the oldest with each wish.
type Claims = Vec<Claim>;

#[derive(Clone, Copy)]
struct Claim {
    wish: usize,
    position: usize,
}

impl<'s> Older<'s> {
    fn add(&mut self, position: usize, wish: Wish<'s>, hosts: Vec<HostCondition>) {
        let next = self.wishes.len();
        let wish = *self.known.entry(wish).or_insert_with_key(|wish| {
            self.wishes.push(wish.clone());
            next
        });
        let claim = Claim { wish, position };
        let put = |claims: &mut Claims| {
            if claims.iter().all(|other| other.wish != wish) {
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
                _ => self.loose.push((claim, host.clone())),
            }
            self.all.push((claim, host));
        }
    }

    /// The oldest that has a host in common with these and wishes for something of this kind.
    fn first(
        &self,
        hosts: &[HostCondition],
        tenant: TenantRef<'_>,
        is_so: impl Fn(&Wish<'s>) -> bool,
    ) -> Option<usize> {
        let is_wished = |claim: &Claim| is_so(&self.wishes[claim.wish]);
        let is_own = |claim: &Claim| self.wishes[claim.wish].tenant == tenant;
        let of = |claims: Option<&Claims>, is_met: &dyn Fn(&Claim) -> bool| {
            let found = claims.into_iter().flatten().find(|claim| is_met(claim) && is_wished(claim));
            found.map(|claim| claim.position)
        };
        let loose = |among: &[(Claim, HostCondition)], host: &HostCondition| {
            let is_exact = |host: &HostCondition| matches!(host, HostCondition::Pattern(HostPattern::Exact(_)));
            let found = among.iter().find(|(claim, other)| {
                // By name against by pattern: only within a tenant.
                let is_met = is_exact(host) == is_exact(other) || is_own(claim);
                is_met && is_wished(claim) && may_share(host, other)
            });
            found.map(|(claim, _)| claim.position)
        };
        let any = |_: &Claim| true;
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
            // Nobody has such a wish, mostly, and then nothing need be compared.
            _ if !self.wishes.iter().any(&is_so) => [None; 3],
            _ => [loose(&self.all, host), None, None],
        };
        hosts.iter().flat_map(on_host).flatten().min()
    }
}

fn finding(message: &str) -> Finding {
    let help = "take another host, or write the same on both routes";
    Finding::error(codes::HANDSHAKE_OF_OTHERS, 0..0, message, "an older route there asks for something else", help)
}

/// Points at the host, where one was written.
fn about(standing: &Standing<'_>, mut finding: Finding, effect: String) -> Diagnostic {
    let claim = standing.claim;
    if claim.label.is_empty() {
        return standing.source.about(finding, effect);
    }
    finding.span.end = claim.value.trim().len();
    standing.source.about_value(claim, finding, effect)
}

fn may_share(one: &HostCondition, other: &HostCondition) -> bool {
    use HostCondition::Pattern;
    match (one, other) {
        (Pattern(HostPattern::Exact(name)), condition) | (condition, Pattern(HostPattern::Exact(name))) => {
            condition.matches(name.as_str())
        }
        (Pattern(HostPattern::Wildcard(one)), Pattern(HostPattern::Wildcard(other))) => one == other,
        _ => true,
    }
}
