//! Pairs of routes between which only age decides.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::entry::Entry;
use super::slot::conditions;
use crate::matcher::{Alternative, HostCondition, exclude_each_other};
use crate::path::PathPattern;

/// The most others of the same host and path that a route is compared with: a thousand equal routes of an attacker
/// must not cause a million comparisons.
const COMPARED_MAX: usize = 8;

/// Two entries that are equally specific for some requests. The older one takes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tie {
    /// The position of the entry that wins.
    pub winner: usize,
    /// The position of the entry that loses.
    pub loser: usize,
    /// Whether both ask for exactly the same, so that the loser gets none of it.
    pub is_same: bool,
    /// The alternative of the loser, as a rule.
    pub rule: String,
}

/// Every pair of entries between which only age, or in the end the id, decides: both have the same priority, host, path
/// and number of other conditions, and these do not exclude each other, nor do the listeners. Each pair is listed once, sorted by winner and
/// loser. An entry is compared with at most a few others of the same kind.
pub fn ties<T>(entries: &[Entry<T>]) -> Vec<Tie> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|position| (entries[*position].age, &entries[*position].id, Reverse(*position)));
    let mut claims: HashMap<TieKey<'_>, Vec<(usize, &Alternative)>, ahash::RandomState> =
        HashMap::with_capacity_and_hasher(entries.len(), ahash::RandomState::new());
    let mut ties = Vec::new();
    for loser in order {
        let entry = &entries[loser];
        for alternative in entry.matcher.alternatives() {
            let others = conditions(alternative, Some(&entry.scope));
            let claim = (alternative.host(), alternative.path(), others, entry.priority);
            let claimants = claims.entry(claim).or_default();
            for (winner, other) in claimants.iter().filter(|(winner, _)| *winner != loser) {
                let scope = &entries[*winner].scope;
                if scope.overlaps(&entry.scope) && !exclude_each_other(other.tests(), alternative.tests()) {
                    let is_same = *other == alternative && *scope == entry.scope;
                    ties.push(Tie { winner: *winner, loser, is_same, rule: alternative.to_string() });
                }
            }
            if claimants.len() < COMPARED_MAX {
                claimants.push((loser, alternative));
            }
        }
    }
    ties.sort_by_key(|tie| (tie.winner, tie.loser, Reverse(tie.is_same)));
    ties.dedup_by_key(|tie| (tie.winner, tie.loser));
    ties
}

/// The properties by which two alternatives are equally specific for the same requests.
type TieKey<'e> = (&'e HostCondition, &'e PathPattern, usize, i64);
