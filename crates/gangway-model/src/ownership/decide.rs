//! One host: what was held, what is claimed, and who gets it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ahash::RandomState;

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
    if let Some(decided) = undisputed(before, claims, is_released) {
        return decided;
    }
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

    /// Notes who is there and who is gone, and forgets those that have been gone for long enough.
    fn let_go(&mut self) {
        let present: BTreeSet<&Party> =
            self.claims.iter().filter(|claim| claim.presence.exists).map(|claim| claim.party).collect();
        let Moment { now, keep, unread } = self.moment;
        let grace = seconds(GRACE);
        self.tenures.retain(|party, tenure| {
            if present.contains(party) {
                let returns = tenure.gone.take().is_some_and(|gone| gone + grace <= now);
                if returns {
                    // What others were given meanwhile stays theirs.
                    (tenure.since, tenure.rules) = (now, BTreeSet::new());
                }
                return true;
            }
            if tenure.engines.iter().any(|engine| unread.contains(engine)) {
                return true;
            }
            // A clock that was wrong must not keep a host for years.
            let gone = tenure.gone.unwrap_or(now).min(now);
            tenure.gone = Some(gone);
            now < gone + grace.max(keep)
        });
    }

    /// Is it there, or was it a moment ago?
    fn is_active(&self, tenure: &Tenure) -> bool {
        self.moment.has(tenure)
    }

    /// Finds out whose the host is, and lets those have it who may.
    fn seat_holder(&mut self) {
        if self.claims.iter().any(|claim| claim.party.tenant == Tenant::File) {
            self.holder = Holder::File;
            return;
        }
        self.holder = self.holder_before();
        if self.is_released {
            self.release();
        }
        // Guests whose host is nobody's any more are not thrown out: the one that was there first has it.
        if matches!(self.holder, Holder::Nobody) {
            let first = self.tenures.iter().min_by_key(|(party, tenure)| (tenure.since, tenure.created, *party));
            if let Some(tenant) = first.map(|(party, _)| party.tenant.clone()) {
                self.seat(tenant);
            }
        }
        let Some(successor) = self.successor() else { return };
        if matches!(&self.holder, Holder::Former(former, _) if *former != successor) {
            let former = self.tenures.iter().find(|(_, tenure)| !tenure.is_guest).map(|(party, _)| party.clone());
            for (claim, decision) in self.claims.iter().zip(&mut self.decisions) {
                if claim.party.tenant == successor {
                    decision.taken_over.clone_from(&former);
                }
            }
            self.tenures.retain(|_, tenure| tenure.is_guest);
        }
        self.seat(successor);
    }

    /// Whose the host was until now.
    fn holder_before(&self) -> Holder {
        let owners = || self.tenures.iter().filter(|(_, tenure)| !tenure.is_guest);
        let active = owners().filter(|(_, tenure)| self.is_active(tenure));
        if let Some((party, _)) = active.min_by_key(|(party, tenure)| (tenure.since, tenure.created, *party)) {
            return Holder::Active(party.tenant.clone());
        }
        match owners().max_by_key(|(party, tenure)| (tenure.gone, *party)) {
            Some((party, tenure)) => Holder::Former(party.tenant.clone(), tenure.gone.unwrap_or(self.moment.now)),
            None => Holder::Nobody,
        }
    }

    /// Who takes a host that nobody has now.
    fn successor(&self) -> Option<Tenant> {
        let served = self.claims.iter().filter(|claim| claim.strength == Strength::Served);
        let (former, gone) = match &self.holder {
            Holder::File | Holder::Active(_) => return None,
            Holder::Former(tenant, gone) => (Some(tenant), *gone),
            Holder::Nobody => (None, i64::MIN),
        };
        let returns = |claim: &Claim<'_>| Some(&claim.party.tenant) == former;
        // Whoever was created after it was gone was not waiting for it to go.
        let is_new = |claim: &Claim<'_>| {
            let waited = self.refused_before.get(claim.party).and_then(|refusal| refusal.waited);
            // A guest was there before.
            let waited = if self.tenures.contains_key(claim.party) { Some(gone) } else { waited };
            claim.presence.newest >= gone && waited.is_none_or(|waited| claim.presence.newest > waited)
        };
        let eligible = served.filter(|claim| returns(claim) || former.is_none() || is_new(claim));
        let first = eligible.min_by_key(|claim| (!returns(claim), claim.presence.oldest, claim.party));
        first.map(|claim| claim.party.tenant.clone())
    }

    /// The holder gives the host to whoever waits for it; where nobody does, nothing changes.
    fn release(&mut self) {
        let tenant = match &self.holder {
            Holder::Nobody | Holder::File => return,
            Holder::Active(tenant) | Holder::Former(tenant, _) => tenant.clone(),
        };
        let waits = |claim: &&&Claim<'_>| {
            claim.strength == Strength::Served
                && claim.party.tenant != tenant
                && !self.tenures.contains_key(claim.party)
        };
        let first = |claim: &&&Claim<'_>| {
            let refused = self.refused_before.get(claim.party).map_or(i64::MAX, |refusal| refusal.since);
            (refused, claim.presence.oldest, claim.party.clone())
        };
        let waiting = self.claims.iter().filter(waits).min_by_key(first).map(|claim| claim.party.tenant.clone());
        match waiting {
            Some(waiting) => {
                self.tenures.retain(|party, tenure| tenure.is_guest && party.tenant != tenant);
                self.seat(waiting);
            }
            // A former holder leaves nothing behind.
            None if matches!(self.holder, Holder::Former(..)) => {
                self.tenures.retain(|_, tenure| tenure.is_guest);
                self.holder = Holder::Nobody;
            }
            None => {}
        }
    }

    fn seat(&mut self, tenant: Tenant) {
        for (party, tenure) in &mut self.tenures {
            tenure.is_guest = tenure.is_guest && party.tenant != tenant;
        }
        self.holder = Holder::Active(tenant);
    }

    /// Lets in those that the holder lets in, and gives them tenure where they are served.
    fn admit(&mut self) {
        let door = self.door();
        let guest_or_not = |claim: &&Claim<'_>| door.as_ref().and_then(|door| door.guest_or_not(claim.party));
        let admitted: Vec<Option<bool>> = self.claims.iter().map(guest_or_not).collect();
        for (claim, is_guest) in self.claims.iter().zip(&admitted) {
            if let Some(is_guest) = is_guest
                && claim.party.tenant != Tenant::File
            {
                take_up(&mut self.tenures, claim, *is_guest, self.moment.now);
            }
        }
        let loss = self.loss_of_host();
        for (admitted, decision) in admitted.into_iter().zip(&mut self.decisions) {
            match admitted {
                Some(is_guest) => decision.is_guest = is_guest,
                None => decision.refused.clone_from(&loss),
            }
        }
        // One that was let in and is not any more is no guest.
        let refused: BTreeSet<&Party> = (self.claims.iter().zip(&self.decisions))
            .filter(|(_, decision)| decision.refused.is_some())
            .map(|(claim, _)| claim.party)
            .collect();
        self.tenures.retain(|party, tenure| !tenure.is_guest || !refused.contains(party));
        for (claim, decision) in self.claims.iter().zip(&mut self.decisions) {
            if decision.refused.is_none() {
                decision.seniority = self.tenures.get(claim.party).map(|tenure| (tenure.since, tenure.created));
            }
        }
    }

    /// Who is let in.
    fn door(&self) -> Option<Door<'_>> {
        let tenant = match &self.holder {
            Holder::File => &Tenant::File,
            Holder::Active(tenant) | Holder::Former(tenant, _) => tenant,
            Holder::Nobody => {
                // Nobody is served here, so the first of those that would like to be is let in.
                let weak = self.claims.iter().filter(|claim| claim.strength == Strength::Weak);
                &weak.min_by_key(|claim| (claim.presence.oldest, claim.party))?.party.tenant
            }
        };
        let served = self.claims.iter().filter(|claim| claim.strength == Strength::Served);
        let served: BTreeSet<&Party> = served.map(|claim| claim.party).collect();
        // What one that is not there said last holds on.
        let away = self.tenures.iter().filter(|(party, tenure)| !tenure.is_guest && !served.contains(party));
        let away = away.map(|(party, tenure)| (party, &*tenure.share));
        let here = self.claims.iter().map(|claim| (claim.party, claim.share));
        let of_holder = away.chain(here).filter(|(party, _)| party.tenant == *tenant);
        let share = of_holder.flat_map(|(_, share)| share.iter().map(|with| with.to_ascii_lowercase())).collect();
        // Guests stay while the host is kept for its holder.
        let known = matches!(self.holder, Holder::Former(..)).then(|| self.tenures.keys().collect());
        Some(Door { tenant, share, known })
    }

    /// What those are told who are not let in.
    fn loss_of_host(&self) -> Option<Loss> {
        let of = |tenant: &Tenant| {
            let owners = self.tenures.iter().filter(|(party, tenure)| party.tenant == *tenant && !tenure.is_guest);
            owners.min_by_key(|(party, tenure)| (tenure.gone.is_some(), tenure.since, tenure.created, *party))
        };
        let claimed = |tenant: Option<&Tenant>| {
            let claims = self.claims.iter().filter(|claim| tenant.is_none_or(|tenant| claim.party.tenant == *tenant));
            let first = claims
                .filter(|claim| claim.strength != Strength::Absent)
                .min_by_key(|claim| (claim.strength, claim.presence.oldest, claim.party));
            first.map(|claim| Loss { holder: claim.party.clone(), since: None, until: Until::Exists })
        };
        match &self.holder {
            Holder::Nobody => claimed(None),
            Holder::File => claimed(Some(&Tenant::File)),
            Holder::Active(tenant) | Holder::Former(tenant, _) => match of(tenant) {
                Some((party, tenure)) => Some(self.loss_to(party, tenure)),
                None => claimed(Some(tenant)),
            },
        }
    }

    fn loss_to(&self, party: &Party, tenure: &Tenure) -> Loss {
        let until = match tenure.gone {
            None => Until::Exists,
            Some(gone) if self.is_active(tenure) => Until::Grace(gone + seconds(GRACE)),
            Some(gone) => Until::Kept(gone + self.moment.keep),
        };
        Loss { holder: party.clone(), since: Some(tenure.since), until }
    }

    /// Of those that ask for the same rule, whoever has it keeps it; else the one that was here first gets it.
    fn award_rules(&mut self) {
        let mut winners: HashMap<RuleId, Party, RandomState> = HashMap::default();
        // Guests take nothing that the holder serves, whatever their priority.
        let mut of_holder: HashMap<u64, Party, RandomState> = HashMap::default();
        let order = self.order();
        for claim in self.claims.iter().filter(|claim| claim.party.tenant == Tenant::File) {
            for rule in &claim.rules {
                winners.entry(*rule).or_insert_with(|| claim.party.clone());
            }
        }
        let here: BTreeMap<&Party, &Claim<'_>> =
            self.claims.iter().filter(|claim| claim.presence.exists).map(|claim| (claim.party, *claim)).collect();
        // Whoever has a rule and has not given it up.
        let mut keepers: Vec<(&Party, &Tenure)> =
            self.tenures.iter().filter(|(_, tenure)| !tenure.rules.is_empty() && self.is_active(tenure)).collect();
        keepers.sort_by_key(|(party, tenure)| (tenure.is_guest, tenure.since, tenure.created, (*party).clone()));
        let newest = if keepers.iter().any(|(_, tenure)| tenure.gone.is_some()) {
            self.newest_by_rule()
        } else {
            HashMap::default()
        };
        for (party, tenure) in keepers {
            let asked = here.get(party).map(|claim| claim.rules.iter().collect::<BTreeSet<_>>());
            for rule in &tenure.rules {
                // A service that is renamed need not wait: the new one was created after the old one had gone.
                let renewed = tenure.gone.and_then(|gone| {
                    newest.get(&(&party.tenant, *rule)).filter(|(newest, _)| asked.is_none() && *newest >= gone)
                });
                let winner = match (&asked, renewed) {
                    (Some(asked), _) if !asked.contains(rule) => continue,
                    (None, Some((_, renewed))) => renewed,
                    _ => party,
                };
                winners.entry(*rule).or_insert_with(|| winner.clone());
                if !tenure.is_guest {
                    of_holder.entry(rule.conditions).or_insert_with(|| winner.clone());
                }
            }
        }
        for position in order {
            let (claim, decision) = (self.claims[position], &self.decisions[position]);
            if decision.refused.is_some() || claim.strength == Strength::Absent {
                continue;
            }
            for rule in &claim.rules {
                let is_free = !decision.is_guest || !of_holder.contains_key(&rule.conditions);
                if is_free {
                    winners.entry(*rule).or_insert_with(|| claim.party.clone());
                    if !decision.is_guest {
                        of_holder.entry(rule.conditions).or_insert_with(|| claim.party.clone());
                    }
                }
            }
        }
        for position in 0..self.claims.len() {
            let claim = self.claims[position];
            if self.decisions[position].refused.is_some() || claim.strength == Strength::Absent {
                continue;
            }
            let is_guest = self.decisions[position].is_guest;
            let lost = claim.rules.iter().enumerate().filter_map(|(at, rule)| {
                let of_holder = || of_holder.get(&rule.conditions).filter(|_| is_guest);
                let same = winners.get(rule).or_else(of_holder);
                let winner = same.filter(|winner| *winner != claim.party)?;
                let loss = match self.tenures.get(winner) {
                    Some(tenure) => self.loss_to(winner, tenure),
                    None => Loss { holder: winner.clone(), since: None, until: Until::Exists },
                };
                Some((at, loss))
            });
            self.decisions[position].lost = lost.collect();
        }
        self.write_down(&winners);
    }

    /// For each tenant and rule the party whose container was created last, and when that was.
    fn newest_by_rule(&self) -> HashMap<(&'c Tenant, RuleId), (i64, &'c Party), RandomState> {
        let mut newest = HashMap::default();
        for claim in self.claims.iter().filter(|claim| claim.strength == Strength::Served) {
            for rule in &claim.rules {
                let of_claim = (claim.presence.newest, claim.party);
                let of_rule = newest.entry((&claim.party.tenant, *rule)).or_insert(of_claim);
                *of_rule = of_claim.max(*of_rule);
            }
        }
        newest
    }

    /// The claims that are let in, those first that go before others.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.claims.len()).collect();
        order.sort_by_key(|position| {
            let (claim, decision) = (self.claims[*position], &self.decisions[*position]);
            let is_file = claim.party.tenant == Tenant::File;
            let seniority = decision.seniority.unwrap_or((i64::MAX, claim.presence.oldest));
            (!is_file, claim.strength, decision.is_guest, seniority, claim.party)
        });
        order
    }

    /// Which rules each party serves now.
    fn write_down(&mut self, winners: &HashMap<RuleId, Party, RandomState>) {
        let served: BTreeSet<&Party> = (self.claims.iter().zip(&self.decisions))
            .filter(|(claim, decision)| claim.strength == Strength::Served && decision.refused.is_none())
            .map(|(claim, _)| claim.party)
            .collect();
        let mut won: BTreeMap<&Party, BTreeSet<RuleId>> = BTreeMap::new();
        for (rule, party) in winners {
            won.entry(party).or_default().insert(*rule);
        }
        for (party, tenure) in &mut self.tenures {
            let won = won.remove(party).unwrap_or_default();
            if served.contains(party) {
                tenure.rules = won;
            } else {
                // One that is stopped comes back to what nobody else was given.
                tenure.rules.retain(|rule| won.contains(rule));
            }
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

/// Gives tenure to a party that is served, and notes what is new about one that has it.
fn take_up(tenures: &mut BTreeMap<Party, Tenure>, claim: &Claim<'_>, is_guest: bool, now: i64) {
    let presence = &claim.presence;
    let tenure = match (tenures.get_mut(claim.party), claim.strength) {
        (Some(tenure), _) => tenure,
        (None, Strength::Served) => {
            let new = Tenure { since: now, created: presence.oldest, is_guest, ..Tenure::default() };
            tenures.entry(claim.party.clone()).or_insert(new)
        }
        (None, Strength::Weak | Strength::Absent) => return,
    };
    tenure.is_guest = is_guest;
    if !presence.exists {
        return;
    }
    if claim.strength == Strength::Served {
        tenure.share = claim.share.into();
    }
    tenure.engines = presence.engines.iter().map(|engine| (*engine).clone()).collect();
    tenure.containers = presence.containers.iter().map(|id| (*id).into()).collect();
}

/// Who is let in on a host.
struct Door<'d> {
    /// The holder.
    tenant: &'d Tenant,
    /// With whom it shares, in lower case.
    share: BTreeSet<String>,
    /// Nobody but these, where it says so.
    known: Option<BTreeSet<&'d Party>>,
}

impl Door<'_> {
    /// None where it is refused, else whether it is there as a guest.
    fn guest_or_not(&self, party: &Party) -> Option<bool> {
        if party.tenant == *self.tenant {
            return Some(false);
        }
        let name = party.tenant.name().to_ascii_lowercase();
        let is_shared = self.share.contains("*") || (!name.is_empty() && self.share.contains(&name));
        let is_known = self.known.as_ref().is_none_or(|known| known.contains(party));
        (is_shared && is_known).then_some(true)
    }
}
