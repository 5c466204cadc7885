//! The parties that are admitted to a host, and the reason for the others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Holder, HostCase};
use crate::ownership::claim::{Claim, Loss, Strength, Until};
use crate::ownership::holding::Tenure;
use crate::ownership::observation::{GRACE, seconds};
use crate::ownership::tenant::{Party, Tenant};

impl HostCase<'_> {
    /// Admits the parties that the holder admits, and gives them tenure where they are served.
    pub(super) fn admit(&mut self) {
        let policy = self.policy();
        let guest_or_not = |claim: &&Claim<'_>| policy.as_ref().and_then(|policy| policy.guest_or_not(claim.party));
        let admitted: Vec<Option<bool>> = self.claims.iter().map(guest_or_not).collect();
        for (claim, is_guest) in self.claims.iter().zip(&admitted) {
            if let Some(is_guest) = is_guest
                && claim.party.tenant != Tenant::File
            {
                update_tenure(&mut self.tenures, claim, *is_guest, self.observation.now);
            }
        }
        let loss = self.loss_of_host();
        for (admitted, decision) in admitted.into_iter().zip(&mut self.decisions) {
            match admitted {
                Some(is_guest) => decision.is_guest = is_guest,
                None => decision.refused.clone_from(&loss),
            }
        }
        // A guest that is no longer admitted loses its tenure.
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

    /// The parties that the holder admits.
    fn policy(&self) -> Option<GuestPolicy<'_>> {
        let tenant = match &self.holder {
            Holder::File => &Tenant::File,
            Holder::Active(tenant) | Holder::Former(tenant, _) => tenant,
            Holder::Nobody => {
                // No party is served here, so the first one that asks is admitted.
                let weak = self.claims.iter().filter(|claim| claim.strength == Strength::Weak);
                &weak.min_by_key(|claim| (claim.presence.oldest, claim.party))?.party.tenant
            }
        };
        let served = self.claims.iter().filter(|claim| claim.strength == Strength::Served);
        let served: BTreeSet<&Party> = served.map(|claim| claim.party).collect();
        // The last `share` of a party that is away still counts.
        let away = self.tenures.iter().filter(|(party, tenure)| !tenure.is_guest && !served.contains(party));
        let away = away.map(|(party, tenure)| (party, &*tenure.share));
        let here = self.claims.iter().map(|claim| (claim.party, claim.share));
        let of_holder = away.chain(here).filter(|(party, _)| party.tenant == *tenant);
        let share = of_holder.flat_map(|(_, share)| share.iter().map(|with| with.to_ascii_lowercase())).collect();
        // Guests stay while the host is kept for its holder.
        let known = matches!(self.holder, Holder::Former(..)).then(|| self.tenures.keys().collect());
        Some(GuestPolicy { tenant, share, known })
    }

    /// The loss of the parties that are not admitted.
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

    pub(super) fn loss_to(&self, party: &Party, tenure: &Tenure) -> Loss {
        let until = match tenure.gone {
            None => Until::Exists,
            Some(gone) if self.is_active(tenure) => Until::Grace(gone + seconds(GRACE)),
            Some(gone) => Until::Kept(gone + self.observation.keep),
        };
        Loss { holder: party.clone(), since: Some(tenure.since), until }
    }
}

/// Gives tenure to a party that is served, and updates the tenure of a party that has it.
fn update_tenure(tenures: &mut BTreeMap<Party, Tenure>, claim: &Claim<'_>, is_guest: bool, now: i64) {
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

/// The rules by which the holder admits others.
struct GuestPolicy<'d> {
    /// The holding tenant.
    tenant: &'d Tenant,
    /// The names with which it shares, in lower case.
    share: BTreeSet<String>,
    /// The only parties that may be admitted; none where there is no such limit.
    known: Option<BTreeSet<&'d Party>>,
}

impl GuestPolicy<'_> {
    /// None where the party is refused, otherwise whether it is a guest.
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
