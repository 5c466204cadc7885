//! Routes of which only age decides who wins.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::entry::Entry;
use crate::matcher::{Alternative, HostCondition, exclude_each_other};
use crate::path::PathPattern;

/// A route is compared with so many others that ask for the same host and path; an attacker's thousand
/// equal routes need not be compared a million times.
const COMPARED_MAX: usize = 8;

/// Two entries that are equally specific for some requests: the older takes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tie {
    /// The position of the one that wins.
    pub winner: usize,
    /// The position of the one that loses.
    pub loser: usize,
    /// Do they ask for exactly the same, so that the loser gets nothing of it?
    pub is_same: bool,
    /// What the loser asks for, as a rule.
    pub rule: String,
}

/// Every two entries that only age, or in the end the id, decides between: of the same priority, host,
/// path and number of other conditions, where those do not exclude each other. Once for two entries,
/// sorted by winner and loser; an entry is compared with few others of the same kind.
pub fn ties<T>(entries: &[Entry<T>]) -> Vec<Tie> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by_key(|position| (entries[*position].age, &entries[*position].id, Reverse(*position)));
    let mut claims: HashMap<TieKey<'_>, Vec<(usize, &Alternative)>, ahash::RandomState> =
        HashMap::with_capacity_and_hasher(entries.len(), ahash::RandomState::new());
    let mut ties = Vec::new();
    for loser in order {
        let entry = &entries[loser];
        for alternative in entry.matcher.alternatives() {
            let claim = (alternative.host(), alternative.path(), alternative.tests().len(), entry.priority);
            let claimants = claims.entry(claim).or_default();
            for (winner, other) in claimants.iter().filter(|(winner, _)| *winner != loser) {
                if !exclude_each_other(other.tests(), alternative.tests()) {
                    let is_same = *other == alternative;
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

/// What makes two alternatives equally specific for the same requests.
type TieKey<'e> = (&'e HostCondition, &'e PathPattern, usize, i64);
