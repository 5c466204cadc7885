//! The party that serves each rule of a host.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ahash::RandomState;

use super::HostCase;
use crate::ownership::claim::{Claim, Loss, Strength, Until};
use crate::ownership::holding::{RuleId, Tenure};
use crate::ownership::tenant::{Party, Tenant};

impl<'c> HostCase<'c> {
    /// Assigns each rule. Of the parties that ask for it, the one that has it keeps it; otherwise the one that was here
    /// first gets it.
    pub(super) fn assign_rules(&mut self) {
        let mut winners: HashMap<RuleId, Party, RandomState> = HashMap::default();
        // Guests never take a rule that the holder serves, whatever their priority.
        let mut of_holder: HashMap<u64, Party, RandomState> = HashMap::default();
        let order = self.order();
        for claim in self.claims.iter().filter(|claim| claim.party.tenant == Tenant::File) {
            for rule in &claim.rules {
                winners.entry(*rule).or_insert_with(|| claim.party.clone());
            }
        }
        let here: BTreeMap<&Party, &Claim<'_>> =
            self.claims.iter().filter(|claim| claim.presence.exists).map(|claim| (claim.party, *claim)).collect();
        // Parties that have rules and did not give them up.
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
                // A renamed service need not wait: the new one was created after the old one was gone, or is here for the
                // first time, where nobody was there to see the old one go.
                let renewed = tenure.gone.and_then(|gone| {
                    let is_successor =
                        |(newest, new): &&(i64, &Party)| *newest >= gone || !self.refused_before.contains_key(*new);
                    newest.get(&(&party.tenant, *rule)).filter(is_successor).filter(|_| asked.is_none())
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
        self.record_rules(&winners);
    }

    /// For each tenant and rule, the party whose container was created last, with the time of that.
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

    /// The positions of the claims, sorted by which goes first.
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

    /// Records the rules that each party serves now.
    fn record_rules(&mut self, winners: &HashMap<RuleId, Party, RandomState>) {
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
                tenure.rules = won.into_iter().collect();
            } else {
                // A party that is stopped returns to the rules that no other party received.
                tenure.rules = tenure.rules.iter().filter(|rule| won.contains(rule)).copied().collect();
            }
        }
    }
}
