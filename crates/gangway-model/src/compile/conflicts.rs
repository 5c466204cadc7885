//! Who gets what two routes ask for.
//!
//! Of two parties that ask for the same host and path, whatever else they ask for, the older keeps it;
//! the other loses just that. So nobody can take a host away from somebody by starting a container. A
//! longer path, or a more exact host, is something else and may be asked for by anybody: that is how
//! several projects share a host.
//!
//! Within a party nothing is taken away: the table itself lets the more specific win, and where only age
//! decides, that is reported.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::replicas::{Group, Party, Standing};
use crate::codes;
use crate::diagnostic::{Code, Diagnostic};
use crate::matcher::{Alternative, HostCondition, exclude_each_other};
use crate::path::PathPattern;
use crate::route::Route;
use crate::rule::Finding;
use crate::table::{Entry, ties};
use crate::value::list;

/// Takes from every route what an older one of another party has. Gives the routes that are left, and
/// those that lost everything.
pub(super) fn settle<'s>(mut groups: Vec<Group<'s>>, found: &mut Vec<Diagnostic>) -> (Vec<Group<'s>>, Vec<Group<'s>>) {
    groups.sort_by(|a, b| (a.age, &a.id).cmp(&(b.age, &b.id)));
    let lost = lost(&groups);
    for (loser, losses) in &lost {
        report(&groups, *loser, losses, found);
    }
    let (mut left, mut gone) = (Vec::with_capacity(groups.len()), Vec::new());
    for (position, mut group) in groups.into_iter().enumerate() {
        let losses = lost.get(&position).map(Vec::as_slice).unwrap_or_default();
        if losses.is_empty() {
            left.push(group);
            continue;
        }
        let mut number = 0..;
        let is_kept = |_: &Alternative| {
            let number = number.next();
            !losses.iter().any(|loss| Some(loss.alternative) == number)
        };
        if losses.len() == group.spec.matcher.alternatives().len() {
            gone.push(group);
            continue;
        }
        if let Some(matcher) = group.spec.matcher.clone().retain(is_kept) {
            group.spec.matcher = matcher;
            left.push(group);
        }
    }
    (left, gone)
}

/// Reports routes of one party between which only age decides.
pub(super) fn report_ties(entries: &[Entry<Arc<Route>>], standings: &[Standing<'_>], found: &mut Vec<Diagnostic>) {
    let mut of_losers: BTreeMap<usize, _> = BTreeMap::new();
    for tie in ties(entries) {
        // One is enough to make somebody look; the same first.
        let known = of_losers.entry(tie.loser).or_insert_with(|| tie.clone());
        if tie.is_same && !known.is_same {
            *known = tie;
        }
    }
    for tie in of_losers.into_values() {
        let (winner, loser) = (&standings[tie.winner], &standings[tie.loser]);
        let (rule, older, name) = (brief(&tie.rule), winner.described(), &loser.name);
        let help = "give one of them a `priority`, or another host or path";
        let finding = if tie.is_same {
            let message = format!("{rule} is asked for twice, by {older} too");
            Finding::error(codes::CLAIMED_TWICE, 0..0, message, "the older one has it", help)
        } else {
            let message = format!("only age decides between {rule} and a route of {older}");
            Finding::error(codes::TIE, 0..0, message, "equally specific for some requests", help).warning()
        };
        let effect = if tie.is_same {
            format!("the older one gets these requests; anything else that route `{name}` asks for it gets")
        } else {
            "requests that both match go to the older one".to_owned()
        };
        found.push(about_claim(loser, None, finding, effect));
    }
}

/// One alternative that an older route has.
struct Loss {
    /// Its position among those of the loser.
    alternative: usize,
    winner: usize,
    code: Code,
}

/// What each group loses, by its position in the list, which is sorted by age.
#[expect(clippy::mutable_key_type, reason = "a pattern is hashed and compared by its text")]
fn lost(groups: &[Group<'_>]) -> BTreeMap<usize, Vec<Loss>> {
    let mut claims: HashMap<(&HostCondition, &PathPattern), Vec<(usize, &Alternative)>, ahash::RandomState> =
        HashMap::with_capacity_and_hasher(groups.len(), ahash::RandomState::new());
    // Only looked at for expressions, which most tables have none of.
    let is_expression = |asked: &Alternative| matches!(asked.path(), PathPattern::Regex(_));
    let has_expressions = groups.iter().any(|group| group.spec.matcher.alternatives().iter().any(is_expression));
    let mut hosts: HashMap<&HostCondition, Oldest<'_>, ahash::RandomState> = HashMap::default();
    let mut lost: BTreeMap<usize, Vec<Loss>> = BTreeMap::new();
    for (position, group) in groups.iter().enumerate() {
        for (alternative, asked) in group.spec.matcher.alternatives().iter().enumerate() {
            let claimants = claims.entry((asked.host(), asked.path())).or_default();
            let same = claimants.iter().find(|(other, claim)| {
                groups[*other].party != group.party && !exclude_each_other(claim.tests(), asked.tests())
            });
            let on_host = || is_expression(asked).then(|| hosts.get(asked.host())?.other_than(group.party)).flatten();
            let loss = match (same, on_host()) {
                (Some((winner, _)), _) => {
                    let is_file = groups[*winner].party == Party::File;
                    Some((*winner, if is_file { codes::CLAIMED_BY_FILE } else { codes::CLAIMED_BY_OTHER_PROJECT }))
                }
                (None, Some(winner)) => Some((winner, codes::EXPRESSION_ON_OTHER_PROJECT)),
                (None, None) => None,
            };
            if let Some((winner, code)) = loss {
                lost.entry(position).or_default().push(Loss { alternative, winner, code });
                continue;
            }
            claimants.push((position, asked));
            if has_expressions {
                let oldest = || Oldest { first: (position, group.party), second: None };
                hosts.entry(asked.host()).or_insert_with(oldest).add(position, group.party);
            }
        }
    }
    lost
}

/// The oldest claimants of a host that are of two parties.
struct Oldest<'s> {
    first: (usize, Party<'s>),
    second: Option<(usize, Party<'s>)>,
}

impl<'s> Oldest<'s> {
    fn add(&mut self, position: usize, party: Party<'s>) {
        if self.second.is_none() && self.first.1 != party {
            self.second = Some((position, party));
        }
    }

    fn other_than(&self, party: Party<'_>) -> Option<usize> {
        let is_other = |claimant: &(usize, Party<'_>)| claimant.1 != party;
        Some(self.first).filter(is_other).or(self.second.filter(is_other)).map(|(position, _)| position)
    }
}

/// One diagnostic for each code and each winner.
fn report(groups: &[Group<'_>], loser: usize, losses: &[Loss], found: &mut Vec<Diagnostic>) {
    let mut by_winner: BTreeMap<(Code, usize), Vec<&Loss>> = BTreeMap::new();
    for loss in losses {
        by_winner.entry((loss.code, loss.winner)).or_default().push(loss);
    }
    let loser = &groups[loser];
    let alternatives = loser.spec.matcher.alternatives();
    for ((code, winner), losses) in by_winner {
        let winner = groups[winner].standing.described();
        let first = brief(&alternatives[losses[0].alternative].to_string());
        let more = match losses.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let is_default = loser.standing.claim.label.is_empty();
        let help = if code == codes::EXPRESSION_ON_OTHER_PROJECT {
            "write the path as a prefix or with `=`, or take another host"
        } else if is_default {
            "add the label `gangway.host` with a host of its own"
        } else {
            "take another host or path, or remove the other one"
        };
        let message = if code == codes::EXPRESSION_ON_OTHER_PROJECT {
            format!("{first}{more} could take paths from {winner}")
        } else {
            format!("{first}{more} is already served by {winner}")
        };
        let finding = Finding::error(code, 0..0, message, "taken", help);
        let keeper = if code == codes::CLAIMED_BY_FILE { "the file's route" } else { "the older one" };
        let name = &loser.standing.name;
        let rest = if losses.len() == alternatives.len() {
            format!("route `{name}` is not served")
        } else {
            format!("the rest of route `{name}` is served")
        };
        let host = alternatives[losses[0].alternative].host();
        found.push(about_claim(&loser.standing, Some(host), finding, format!("{keeper} keeps it; {rest}")));
    }
}

/// Points at the label by which a route said what it takes, and at the host in it that is meant.
fn about_claim(
    standing: &Standing<'_>,
    host: Option<&HostCondition>,
    mut finding: Finding,
    effect: String,
) -> Diagnostic {
    let claim = standing.claim;
    if claim.label.is_empty() {
        return standing.source.about(finding, effect);
    }
    let value = claim.value.trim();
    let entry = host.and_then(|host| match host {
        HostCondition::Pattern(pattern) => {
            let host = pattern.to_string();
            list(value).find(|(_, entry)| entry.eq_ignore_ascii_case(&host))
        }
        HostCondition::Regex(_) => None,
    });
    let (start, len) = entry.map_or((0, value.len()), |(start, entry)| (start, entry.len()));
    (finding.span.start, finding.span.end) = (start, start + len);
    standing.source.about_value(claim, finding, effect)
}

/// A rule that is as long as people read.
fn brief(rule: &str) -> String {
    const LEN_MAX: usize = 120;
    match rule.char_indices().nth(LEN_MAX) {
        Some((at, _)) => format!("{}…", &rule[..at]),
        None => rule.to_owned(),
    }
}
