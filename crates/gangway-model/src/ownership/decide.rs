//! The decision about one host.

mod admission;
mod holder;
mod rules;

use std::collections::BTreeMap;

use super::claim::{Claim, Decision, Strength};
use super::holding::{Holding, RefusedClaim, Tenure};
use super::observation::{GRACE, Observation, seconds};
use super::tenant::{Party, Tenant};

pub(super) struct HostDecision {
    /// The new holding; none where it is as before.
    pub holding: Option<Option<Holding>>,
    /// In the order of the claims.
    pub decisions: Vec<Decision>,
}

/// Decides about one host. The order of the claims does not matter.
pub(super) fn decide(
    before: Option<&Holding>,
    claims: &[&Claim<'_>],
    is_released: bool,
    observation: Observation<'_>,
) -> HostDecision {
    if let Some(decided) =
        undisputed(before, claims, is_released).or_else(|| unclaimed(before, claims, is_released, observation))
    {
        return decided;
    }
    decide_in_full(before, claims, is_released, observation)
}

fn decide_in_full(
    before: Option<&Holding>,
    claims: &[&Claim<'_>],
    is_released: bool,
    observation: Observation<'_>,
) -> HostDecision {
    let mut case = HostCase::new(before, claims, is_released, observation);
    case.expire();
    case.find_holder();
    case.admit();
    case.assign_rules();
    case.finish()
}

/// A shortcut: nearly all hosts are claimed by their holder and by no other party.
fn undisputed(before: Option<&Holding>, claims: &[&Claim<'_>], is_released: bool) -> Option<HostDecision> {
    let ([claim], Some(before), false) = (claims, before, is_released) else { return None };
    let tenure = before.tenures.get(claim.party)?;
    let is_alone = before.tenures.len() == 1 && before.refused.is_empty();
    let is_as_before = tenure.gone.is_none()
        && !tenure.is_guest
        && claim.strength == Strength::Served
        && claim.presence.exists
        && *tenure.share == *claim.share
        && tenure.rules.len() == claim.rules.len()
        && claim.rules.iter().all(|rule| tenure.rules.contains(rule))
        && tenure.engines.iter().eq(claim.presence.engines.iter().copied())
        && tenure.containers.iter().map(|id| &**id).eq(claim.presence.containers.iter().copied());
    let decision = Decision { seniority: Some((tenure.since, tenure.created)), ..Decision::default() };
    (is_alone && is_as_before).then(|| HostDecision { holding: None, decisions: vec![decision] })
}

/// A shortcut: nearly all parties that are gone only wait until they are forgotten.
fn unclaimed(
    before: Option<&Holding>,
    claims: &[&Claim<'_>],
    is_released: bool,
    observation: Observation<'_>,
) -> Option<HostDecision> {
    let ([], Some(before), false) = (claims, before, is_released) else { return None };
    let mut tenures = before.tenures.values();
    let (Some(tenure), None, true) = (tenures.next(), tenures.next(), before.refused.is_empty()) else { return None };
    let gone = tenure.gone.filter(|gone| *gone <= observation.now)?;
    let is_kept = !tenure.is_guest && observation.now < gone + seconds(GRACE).max(observation.keep);
    is_kept.then(|| HostDecision { holding: None, decisions: Vec::new() })
}

/// The holder of the host.
#[derive(Clone, Debug)]
enum Holder {
    Nobody,
    /// The configuration file. It goes before all tenants, and nothing is remembered of it.
    File,
    /// The tenant is there, or was a moment ago.
    Active(Tenant),
    /// The tenant is gone, since this time.
    Former(Tenant, i64),
}

/// The claims to one host, with what is known of it up to now.
struct HostCase<'c> {
    claims: &'c [&'c Claim<'c>],
    is_released: bool,
    observation: Observation<'c>,
    tenures: BTreeMap<Party, Tenure>,
    refused_before: BTreeMap<Party, RefusedClaim>,
    holder: Holder,
    decisions: Vec<Decision>,
}

impl<'c> HostCase<'c> {
    fn new(
        before: Option<&Holding>,
        claims: &'c [&'c Claim<'c>],
        is_released: bool,
        observation: Observation<'c>,
    ) -> Self {
        let tenures = before.into_iter().flat_map(|before| before.tenures.iter());
        let tenures = tenures.map(|(party, tenure)| (party.clone(), tenure.clone())).collect();
        Self {
            claims,
            is_released,
            observation,
            tenures,
            refused_before: before.map(|before| before.refused.clone()).unwrap_or_default(),
            holder: Holder::Nobody,
            decisions: vec![Decision::default(); claims.len()],
        }
    }

    fn finish(self) -> HostDecision {
        let is_there = self.tenures.values().any(|tenure| !tenure.is_guest && tenure.gone.is_none());
        let refused = self.claims.iter().zip(&self.decisions).filter(|(claim, decision)| {
            claim.strength == Strength::Served && (decision.refused.is_some() || !decision.lost.is_empty())
        });
        let refusal = |claim: &Claim<'_>| {
            let before = self.refused_before.get(claim.party);
            let waited = before.and_then(|refusal| refusal.waited);
            RefusedClaim {
                since: before.map_or(self.observation.now, |refusal| refusal.since),
                waited: if is_there { waited.max(Some(claim.presence.newest)) } else { waited },
            }
        };
        let refused = refused.map(|(claim, _)| (claim.party.clone(), refusal(claim))).collect();
        let holding = Holding { tenures: self.tenures.into_iter().collect(), refused };
        let is_kept = !holding.tenures.is_empty();
        HostDecision { holding: Some(is_kept.then_some(holding)), decisions: self.decisions }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::engine_name::EngineName;
    use crate::ownership::few::{FewMap, FewSet};

    #[test]
    fn what_is_not_looked_at_would_not_have_changed() {
        let unread = BTreeSet::new();
        let party = Party { tenant: Tenant::Project("shop".into()), service: "web".into(), route: "web".into() };
        for (now, is_short) in [(100, true), (159, true), (160, true), (199, true), (200, false)] {
            let tenure =
                Tenure { gone: Some(100), engines: FewSet::from_iter([EngineName::default()]), ..Tenure::default() };
            let before = Holding { tenures: FewMap::from_iter([(party.clone(), tenure)]), refused: BTreeMap::new() };
            let observation = Observation { now, keep: 100, unread: &unread };
            let short = unclaimed(Some(&before), &[], false, observation);
            assert_eq!(short.is_some(), is_short, "after {now} seconds");
            let after = decide_in_full(Some(&before), &[], false, observation).holding.flatten();
            assert_eq!(after.as_ref() == Some(&before), is_short, "after {now} seconds");
        }
    }
}
