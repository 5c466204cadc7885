//! One host: what was held, what is claimed, and who gets it.

mod admit;
mod award;
mod seat;

use std::collections::{BTreeMap, BTreeSet};

use super::{GRACE, Holding, Moment, Party, Refusal, RuleId, Tenant, Tenure, seconds};
use crate::matcher::HostCondition;
use crate::snapshot::EngineName;

/// What a party asks for on one host. There is one claim of a party to a host.
#[derive(Debug)]
pub(crate) struct Claim<'c> {
    pub party: &'c Party,
    pub host: &'c HostCondition,
    pub rules: Vec<RuleId>,
    pub share: &'c [Box<str>],
    pub strength: Strength,
    pub presence: Presence<'c>,
}

/// What a claim may bring.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Strength {
    /// It can be served: it takes the host, or a place on it.
    Served,
    /// It cannot be served now: it is let in where nobody else wants to be, and takes nothing.
    Weak,
    /// It only shows that the party is still there.
    Absent,
}

/// The containers behind a claim.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence<'c> {
    /// Does one exist, in whatever state? Not where the route is only held.
    pub exists: bool,
    /// When the oldest and the newest were created, in seconds since the epoch.
    pub oldest: i64,
    pub newest: i64,
    pub engines: BTreeSet<&'c EngineName>,
    /// Ids, where the tenant is a container.
    pub containers: BTreeSet<&'c str>,
}

/// What became of a claim.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Decision {
    /// Somebody else holds the host, and does not share it.
    pub refused: Option<Loss>,
    /// Rules, by their position in the claim, that somebody else serves.
    pub lost: Vec<(usize, Loss)>,
    /// Served as a guest of the holder.
    pub is_guest: bool,
    /// Since when the party holds the host, and the age of its oldest container then; none where it holds
    /// nothing.
    pub seniority: Option<(i64, i64)>,
    /// The host was another party's, which is gone.
    pub taken_over: Option<Party>,
}

/// Who has what was asked for, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loss {
    pub holder: Party,
    /// None where the holder is the configuration file, or was never served.
    pub since: Option<i64>,
    pub until: Until,
}

/// How long a holder keeps what it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Until {
    /// While a container of it exists, and [`GRACE`] beyond.
    Exists,
    /// Until then, unless a container of it is created: the last one is gone.
    Grace(i64),
    /// Until then, for those that were refused before; the holder is gone.
    Kept(i64),
}

pub(super) struct Decided {
    /// None where it is as before, else what there is now.
    pub holding: Option<Option<Holding>>,
    /// In the order of the claims.
    pub decisions: Vec<Decision>,
}

/// Decides about one host. The order of the claims does not matter.
pub(super) fn decide(
    before: Option<&Holding>,
    claims: &[&Claim<'_>],
    is_released: bool,
    moment: Moment<'_>,
) -> Decided {
    if let Some(decided) =
        undisputed(before, claims, is_released).or_else(|| unclaimed(before, claims, is_released, moment))
    {
        return decided;
    }
    by_court(before, claims, is_released, moment)
}

fn by_court(before: Option<&Holding>, claims: &[&Claim<'_>], is_released: bool, moment: Moment<'_>) -> Decided {
    let mut court = Court::open(before, claims, is_released, moment);
    court.let_go();
    court.seat_holder();
    court.admit();
    court.award_rules();
    court.close()
}

/// By far the most hosts are asked for by the party that has them, and by nobody else.
fn undisputed(before: Option<&Holding>, claims: &[&Claim<'_>], is_released: bool) -> Option<Decided> {
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
    (is_alone && is_as_before).then(|| Decided { holding: None, decisions: vec![decision] })
}

/// Of those that are gone, by far the most only wait until they are forgotten.
fn unclaimed(
    before: Option<&Holding>,
    claims: &[&Claim<'_>],
    is_released: bool,
    moment: Moment<'_>,
) -> Option<Decided> {
    let ([], Some(before), false) = (claims, before, is_released) else { return None };
    let mut tenures = before.tenures.values();
    let (Some(tenure), None, true) = (tenures.next(), tenures.next(), before.refused.is_empty()) else { return None };
    let gone = tenure.gone.filter(|gone| *gone <= moment.now)?;
    let is_kept = !tenure.is_guest && moment.now < gone + seconds(GRACE).max(moment.keep);
    is_kept.then(|| Decided { holding: None, decisions: Vec::new() })
}

/// Who the host is held by.
#[derive(Clone, Debug)]
enum Holder {
    Nobody,
    /// The file goes before everybody, and leaves without a trace.
    File,
    /// It is there, or was a moment ago.
    Active(Tenant),
    /// It is gone since then.
    Former(Tenant, i64),
}

/// The claims to one host before their judge.
struct Court<'c> {
    claims: &'c [&'c Claim<'c>],
    is_released: bool,
    moment: Moment<'c>,
    tenures: BTreeMap<Party, Tenure>,
    refused_before: BTreeMap<Party, Refusal>,
    holder: Holder,
    decisions: Vec<Decision>,
}

impl<'c> Court<'c> {
    fn open(before: Option<&Holding>, claims: &'c [&'c Claim<'c>], is_released: bool, moment: Moment<'c>) -> Self {
        let Holding { tenures, refused } = before.cloned().unwrap_or_default();
        Self {
            claims,
            is_released,
            moment,
            tenures,
            refused_before: refused,
            holder: Holder::Nobody,
            decisions: vec![Decision::default(); claims.len()],
        }
    }

    fn close(self) -> Decided {
        let is_there = self.tenures.values().any(|tenure| !tenure.is_guest && tenure.gone.is_none());
        let refused = self.claims.iter().zip(&self.decisions).filter(|(claim, decision)| {
            claim.strength == Strength::Served && (decision.refused.is_some() || !decision.lost.is_empty())
        });
        let refusal = |claim: &Claim<'_>| {
            let before = self.refused_before.get(claim.party);
            let waited = before.and_then(|refusal| refusal.waited);
            Refusal {
                since: before.map_or(self.moment.now, |refusal| refusal.since),
                waited: if is_there { waited.max(Some(claim.presence.newest)) } else { waited },
            }
        };
        let refused = refused.map(|(claim, _)| (claim.party.clone(), refusal(claim))).collect();
        let holding = Holding { tenures: self.tenures, refused };
        let is_kept = !holding.tenures.is_empty();
        Decided { holding: Some(is_kept.then_some(holding)), decisions: self.decisions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_looked_at_would_not_have_changed() {
        let unread = BTreeSet::new();
        let party = Party { tenant: Tenant::Project("shop".into()), service: "web".into(), route: "web".into() };
        for (now, is_short) in [(100, true), (159, true), (160, true), (199, true), (200, false)] {
            let tenure = Tenure { gone: Some(100), engines: [EngineName::default()].into(), ..Tenure::default() };
            let before = Holding { tenures: [(party.clone(), tenure)].into(), refused: BTreeMap::new() };
            let moment = Moment { now, keep: 100, unread: &unread };
            let short = unclaimed(Some(&before), &[], false, moment);
            assert_eq!(short.is_some(), is_short, "after {now} seconds");
            let after = by_court(Some(&before), &[], false, moment).holding.flatten();
            assert_eq!(after.as_ref() == Some(&before), is_short, "after {now} seconds");
        }
    }
}
