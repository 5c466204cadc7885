//! The holder of the host: parties that are gone, that keep it, that take it, and that receive it.

use std::collections::BTreeSet;

use super::{Holder, HostCase};
use crate::ownership::claim::{Claim, Strength};
use crate::ownership::few::FewSet;
use crate::ownership::holding::Tenure;
use crate::ownership::observation::{GRACE, Observation, seconds};
use crate::ownership::tenant::{Party, Tenant};

impl HostCase<'_> {
    /// Notes which parties are there and which are gone, and forgets parties that have been gone for long enough.
    pub(super) fn expire(&mut self) {
        let present: BTreeSet<&Party> =
            self.claims.iter().filter(|claim| claim.presence.exists).map(|claim| claim.party).collect();
        let Observation { now, keep, unread } = self.observation;
        let grace = seconds(GRACE);
        self.tenures.retain(|party, tenure| {
            if present.contains(party) {
                let returns = tenure.gone.take().is_some_and(|gone| gone + grace <= now);
                if returns {
                    // Others keep the rules that they received meanwhile.
                    (tenure.since, tenure.rules) = (now, FewSet::default());
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

    /// Whether the party is there, or was there a short time ago.
    pub(super) fn is_active(&self, tenure: &Tenure) -> bool {
        self.observation.has(tenure)
    }

    /// Finds the holder of the host, and gives it to a successor where there is one.
    pub(super) fn find_holder(&mut self) {
        if self.claims.iter().any(|claim| claim.party.tenant == Tenant::File) {
            self.holder = Holder::File;
            return;
        }
        self.holder = self.holder_before();
        if self.is_released {
            self.release();
        }
        // Guests of a host without a holder are not dropped: the guest that was there first becomes the holder.
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

    /// The holder of the host until now.
    fn holder_before(&self) -> Holder {
        let owners = || self.tenures.iter().filter(|(_, tenure)| !tenure.is_guest);
        let active = owners().filter(|(_, tenure)| self.is_active(tenure));
        if let Some((party, _)) = active.min_by_key(|(party, tenure)| (tenure.since, tenure.created, *party)) {
            return Holder::Active(party.tenant.clone());
        }
        match owners().max_by_key(|(party, tenure)| (tenure.gone, *party)) {
            Some((party, tenure)) => Holder::Former(party.tenant.clone(), tenure.gone.unwrap_or(self.observation.now)),
            None => Holder::Nobody,
        }
    }

    /// The tenant that takes a host without a present holder.
    fn successor(&self) -> Option<Tenant> {
        let served = self.claims.iter().filter(|claim| claim.strength == Strength::Served);
        let (former, gone) = match &self.holder {
            Holder::File | Holder::Active(_) => return None,
            Holder::Former(tenant, gone) => (Some(tenant), *gone),
            Holder::Nobody => (None, i64::MIN),
        };
        let returns = |claim: &Claim<'_>| Some(&claim.party.tenant) == former;
        // A container that was created after the holder was gone did not wait for it to go.
        let is_new = |claim: &Claim<'_>| {
            let waited = self.refused_before.get(claim.party).and_then(|refusal| refusal.waited);
            // A guest was there before, so it waited.
            let waited = if self.tenures.contains_key(claim.party) { Some(gone) } else { waited };
            claim.presence.newest >= gone && waited.is_none_or(|waited| claim.presence.newest > waited)
        };
        let eligible = served.filter(|claim| returns(claim) || former.is_none() || is_new(claim));
        let first = eligible.min_by_key(|claim| (!returns(claim), claim.presence.oldest, claim.party));
        first.map(|claim| claim.party.tenant.clone())
    }

    /// Gives the host to the first party that waits for it. Without one, a present holder keeps it.
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
            // Nothing is kept of a former holder.
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
}
