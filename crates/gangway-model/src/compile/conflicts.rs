//! Decides which of two routes gets what both ask for.
//!
//! Hosts are held by parties: [`ownership`](crate::ownership) decides about them, and here its decisions
//! are carried out. What another party holds is taken from a route and reported; the rest of the route is
//! served. What is left is put into the order of seniority, by which later steps and the table decide.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::replicas::{RouteGroup, RouteOrigin};
use super::unserved::UnservedClaim;
use crate::matcher::{Alternative, HostCondition};
use crate::ownership::{
    Claim, Decision, Holdings, Loss, Observation, Party, Presence, RuleId, Strength, Tenant, Until,
};
use crate::path::PathPattern;
use crate::route::Route;
use crate::snapshot::{Container, ContainerState};
use crate::table::{Entry, ties};
use crate::utc;
use crate::value::list;
use gangway_diagnostic::codes;
use gangway_diagnostic::{Code, Diagnostic};
use gangway_diagnostic::{Finding, quoted};

/// The result of settling all claims.
pub(super) struct Settled<'s> {
    /// Routes that have something left, the most senior first; [`RouteGroup::age`] is their place.
    pub left: Vec<RouteGroup<'s>>,
    /// Routes that lost everything.
    pub lost: Vec<RouteGroup<'s>>,
    pub holdings: Holdings,
    pub moves: Vec<Move>,
}

/// A host that went from a party that is gone to another one.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Move {
    /// The host, as it was written.
    pub host: Box<str>,
    /// The party that had it.
    pub from: Party,
    /// The party that has it.
    pub to: Party,
}

/// The claims to all hosts, and which alternative of which route each stands for.
#[derive(Default)]
struct HostClaims<'g> {
    claims: Vec<Claim<'g>>,
    positions: HashMap<(&'g Party, &'g HostCondition), usize, ahash::RandomState>,
}

/// Decides which party holds what, and takes from every route what others hold.
pub(super) fn settle<'s>(
    mut groups: Vec<RouteGroup<'s>>,
    absent: &[UnservedClaim<'s>],
    before: &Holdings,
    released: &BTreeSet<HostCondition>,
    moment: Observation<'_>,
    found: &mut Vec<Diagnostic>,
) -> Settled<'s> {
    // So that the order of listing shows nowhere, whatever is decided.
    groups.sort_by(|one, other| one.id.cmp(&other.id));
    let mut claims = HostClaims::default();
    let asked: Vec<Vec<(usize, usize)>> = groups.iter().map(|group| claims.add(group)).collect();
    absent.iter().for_each(|absent| claims.add_unserved(absent));
    let (holdings, decisions) = before.settle(&claims.claims, released, moment);
    let moves = moves(&claims.claims, &decisions);
    let decided: Vec<GroupDecision> = asked.iter().map(|asked| GroupDecision::of(asked, &decisions)).collect();
    drop(claims);
    let names = named(&groups, &decided);

    let mut left = Vec::with_capacity(groups.len());
    let mut lost = Vec::new();
    for (mut group, decided_group) in groups.into_iter().zip(decided) {
        let losses = decided_group.losses(&group);
        // A route that is only held was reported when its container ran.
        if !group.held {
            report(&group, &losses, &names, found);
        }
        if losses.len() == group.spec.matcher.alternatives().len() {
            lost.push(group);
            continue;
        }
        if !losses.is_empty() {
            let gone: BTreeSet<usize> = losses.iter().map(|loss| loss.alternative).collect();
            let mut number = 0..;
            let is_kept = |_: &Alternative| number.next().is_some_and(|number| !gone.contains(&number));
            match group.spec.matcher.clone().retain(is_kept) {
                Some(matcher) => group.spec.matcher = matcher,
                None => continue,
            }
        }
        left.push((decided_group.seniority(&group), group));
    }
    left.sort_by(|(one, group), (other, another)| (one, &group.id).cmp(&(other, &another.id)));
    let in_order = |(age, (_, group)): (i64, (Seniority, RouteGroup<'s>))| RouteGroup { age, ..group };
    Settled { left: (0..).zip(left).map(in_order).collect(), lost, holdings, moves }
}

/// The file, then those that hold something by the time that they do, then all others by their age.
type Seniority = (bool, i64, i64);

impl<'g> HostClaims<'g> {
    /// For each alternative of a group its claim, and its rule there.
    fn add(&mut self, group: &'g RouteGroup<'_>) -> Vec<(usize, usize)> {
        let strength = group.strength();
        let alternatives = group.spec.matcher.alternatives().iter();
        let add = |asked: &'g Alternative| {
            let claim = self.claim(&group.party, asked.host());
            let of_host = &mut self.claims[claim];
            if strength <= of_host.strength {
                (of_host.strength, of_host.share) = (strength, &group.spec.share);
            }
            of_host.rules.push(RuleId::new(asked, &group.spec.listener.scope, group.spec.priority));
            (claim, of_host.rules.len() - 1)
        };
        let asked: Vec<(usize, usize)> = alternatives.map(add).collect();
        let mut of_group: Vec<usize> = asked.iter().map(|(claim, _)| *claim).collect();
        of_group.dedup();
        for claim in of_group {
            let presence = &mut self.claims[claim].presence;
            match group.held {
                true => {}
                false if group.party.tenant == Tenant::File => presence.exists = true,
                false => group.origin.containers().for_each(|container| presence.add(container, &group.party)),
            }
        }
        asked
    }

    fn add_unserved(&mut self, absent: &'g UnservedClaim<'_>) {
        for asked in &absent.alternatives {
            let claim = self.claim(&absent.party, asked.host());
            let claim = &mut self.claims[claim];
            let rule = RuleId::new(asked, &absent.scope, absent.priority);
            if claim.strength == Strength::Absent {
                claim.rules.push(rule);
            }
            claim.presence.add(absent.container, &absent.party);
        }
    }

    /// The one claim of a party to a host.
    fn claim(&mut self, party: &'g Party, host: &'g HostCondition) -> usize {
        let next = self.claims.len();
        let position = *self.positions.entry((party, host)).or_insert(next);
        if position == next {
            let presence = Presence { oldest: i64::MAX, newest: i64::MIN, ..Presence::default() };
            self.claims.push(Claim {
                party,
                host,
                rules: Vec::new(),
                share: &[],
                strength: Strength::Absent,
                presence,
            });
        }
        position
    }
}

impl<'c> Presence<'c> {
    fn add(&mut self, container: &'c Container, party: &Party) {
        self.exists = true;
        self.oldest = self.oldest.min(container.created);
        self.newest = self.newest.max(container.created);
        self.engines.insert(&container.engine);
        if matches!(party.tenant, Tenant::Container { .. }) {
            self.containers.insert(&container.id);
        }
    }
}

impl RouteGroup<'_> {
    /// How strong its claims are.
    fn strength(&self) -> Strength {
        let is_restarting = || self.origin.containers().any(|container| container.state == ContainerState::Restarting);
        let is_served = !self.endpoints.is_empty()
            || self.party.tenant == Tenant::File
            || self.is_answered_here()
            || is_restarting();
        if is_served && !self.held { Strength::Served } else { Strength::Weak }
    }
}

/// The decision about one route.
struct GroupDecision {
    /// In the order of its alternatives.
    losses: Vec<Option<(Loss, Ground)>>,
    is_guest: Vec<bool>,
    seniority: Option<(i64, i64)>,
}

/// Why an alternative was lost.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Ground {
    Host,
    Rule,
    Expression,
}

impl GroupDecision {
    fn of(asked: &[(usize, usize)], decisions: &[Decision]) -> Self {
        let loss = |(claim, rule): &(usize, usize)| {
            let decision = &decisions[*claim];
            let of_rule =
                || decision.lost.binary_search_by_key(rule, |(at, _)| *at).ok().map(|at| &decision.lost[at].1);
            let of_host = decision.refused.as_ref().map(|loss| (loss.clone(), Ground::Host));
            of_host.or_else(|| of_rule().map(|loss| (loss.clone(), Ground::Rule)))
        };
        Self {
            losses: asked.iter().map(loss).collect(),
            is_guest: asked.iter().map(|(claim, _)| decisions[*claim].is_guest).collect(),
            seniority: asked.iter().filter_map(|(claim, _)| decisions[*claim].seniority).min(),
        }
    }

    fn losses(&self, group: &RouteGroup<'_>) -> Vec<Lost> {
        let alternatives = group.spec.matcher.alternatives().iter().zip(&self.losses).zip(&self.is_guest).enumerate();
        let lost = alternatives.filter_map(|(alternative, ((asked, loss), is_guest))| match loss {
            Some((loss, ground)) => Some(Lost { alternative, loss: Some(loss.clone()), ground: *ground }),
            // The paths that an expression takes cannot be told, and the host is another party's.
            None if *is_guest && matches!(asked.path(), PathPattern::Regex(_)) => {
                Some(Lost { alternative, loss: None, ground: Ground::Expression })
            }
            None => None,
        });
        lost.collect()
    }

    fn seniority(&self, group: &RouteGroup<'_>) -> Seniority {
        let is_file = group.party.tenant == Tenant::File;
        let (since, created) = match self.seniority {
            Some(seniority) => seniority,
            None if group.held => (i64::MAX, i64::MAX),
            None => (i64::MAX, group.age),
        };
        (!is_file, since, created)
    }
}

/// One alternative that another party has.
struct Lost {
    /// Its position among those of the loser.
    alternative: usize,
    loss: Option<Loss>,
    ground: Ground,
}

/// The containers of those that hold what others lose, for people: parties that have none go by their own names.
fn named(groups: &[RouteGroup<'_>], decided: &[GroupDecision]) -> HashMap<Party, String, ahash::RandomState> {
    let losses = decided.iter().flat_map(|decided_group| decided_group.losses.iter().flatten());
    let holders: BTreeSet<&Party> = losses.map(|(loss, _)| &loss.holder).collect();
    if holders.is_empty() {
        return HashMap::default();
    }
    let of_holders = groups.iter().filter(|group| !group.held && holders.contains(&group.party));
    of_holders.map(|group| (group.party.clone(), group.origin.described())).collect()
}

fn moves(claims: &[Claim<'_>], decisions: &[Decision]) -> Vec<Move> {
    let moved = claims.iter().zip(decisions).filter_map(|(claim, decision)| {
        let from = decision.taken_over.clone()?;
        let host = claim.host.to_string().into();
        (decision.refused.is_none()).then(|| Move { host, from, to: claim.party.clone() })
    });
    let mut moves: Vec<Move> = moved.collect();
    moves.sort();
    moves
}

/// Reports routes of one party between which only age decides.
pub(super) fn report_ties(entries: &[Entry<Arc<Route>>], origins: &[RouteOrigin<'_>], found: &mut Vec<Diagnostic>) {
    let mut of_losers: BTreeMap<usize, _> = BTreeMap::new();
    for tie in ties(entries) {
        // One is enough for the user to look; the same rule goes first.
        let known = of_losers.entry(tie.loser).or_insert_with(|| tie.clone());
        if tie.is_same && !known.is_same {
            *known = tie;
        }
    }
    for tie in of_losers.into_values() {
        let (winner, loser) = (&origins[tie.winner], &origins[tie.loser]);
        let (rule, older, name) = (brief(&tie.rule), winner.described(), &loser.name);
        let help = format!("give one of them a `{}`, or another host or path", loser.words.priority);
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

/// One diagnostic for each holder and each reason.
fn report(
    group: &RouteGroup<'_>,
    losses: &[Lost],
    names: &HashMap<Party, String, ahash::RandomState>,
    found: &mut Vec<Diagnostic>,
) {
    let mut by_holder: BTreeMap<(Ground, Option<&Party>), Vec<&Lost>> = BTreeMap::new();
    for lost in losses {
        by_holder.entry((lost.ground, lost.loss.as_ref().map(|loss| &loss.holder))).or_default().push(lost);
    }
    let alternatives = group.spec.matcher.alternatives();
    for ((ground, _), lost) in by_holder {
        let first = &alternatives[lost[0].alternative];
        let rule = brief(&first.to_string());
        let rule = match lost.len() - 1 {
            0 => rule,
            more => format!("{rule} and {more} more"),
        };
        let LossText { code, message, help, keeps } = match &lost[0].loss {
            Some(loss) => describe_loss(group, ground, loss, names.get(&loss.holder), &rule, first.host()),
            None => LossText {
                code: codes::EXPRESSION_ON_OTHER_PROJECT,
                message: format!("{rule} could take paths from the holder of the host"),
                help: "write the path as a prefix or with `=`, or take another host".to_owned(),
                keeps: "the holder keeps it".to_owned(),
            },
        };
        let finding = Finding::error(code, 0..0, message, "taken", help);
        let name = &group.origin.name;
        let rest = if losses.len() == alternatives.len() {
            format!("route `{name}` is not served")
        } else {
            format!("the rest of route `{name}` is served")
        };
        found.push(about_claim(&group.origin, Some(first.host()), finding, format!("{keeps}; {rest}")));
    }
}

struct LossText {
    code: Code,
    message: String,
    help: String,
    keeps: String,
}

/// Describes the holder, since when it holds, and until when.
fn describe_loss(
    group: &RouteGroup<'_>,
    ground: Ground,
    loss: &Loss,
    name: Option<&String>,
    rule: &str,
    host: &HostCondition,
) -> LossText {
    let Loss { holder, since, until } = loss;
    let since = match since.filter(|since| *since > 0) {
        Some(since) => format!(", which has it since {}", utc(since)),
        None => String::new(),
    };
    let keeps = match until {
        _ if holder.tenant == Tenant::File => "the file's route keeps it".to_owned(),
        Until::Exists => "it is kept there while a container of it exists, and a minute longer".to_owned(),
        Until::Grace(end) => format!("{holder} keeps it until {}: its last container is gone", utc(*end)),
        Until::Kept(end) => {
            format!("it is kept for {holder} until {}, unless a container is created that asks for it", utc(*end))
        }
    };
    let words = group.spec.words;
    let is_default = group.origin.claim.label.is_empty();
    let is_of_one_tenant = ground == Ground::Rule && holder.tenant == group.party.tenant;
    let is_same_service = is_of_one_tenant && holder.service == group.party.service;
    let code = match (&holder.tenant, is_of_one_tenant) {
        (Tenant::File, _) => codes::CLAIMED_BY_FILE,
        (_, true) => codes::CLAIMED_TWICE,
        (_, false) => codes::CLAIMED_BY_OTHER_PROJECT,
    };
    let help = if is_default {
        format!("add the label `{}` with a host of its own{}", words.host, collapsed(group, holder, host))
    } else if is_same_service {
        format!("give one of them a `{}`, or another host or path", words.priority)
    } else if is_of_one_tenant {
        format!("take another host or path; services that are one application say the same `{}`", words.group)
    } else if holder.tenant == Tenant::File || ground == Ground::Rule {
        "take another host or path, or remove the other one".to_owned()
    } else {
        let share = format!("{}: {}", words.share, group.party.tenant.name());
        format!(
            "take another host; or let this one in by the label {} on the other one; or give the host up: {}",
            quoted(&share),
            quoted(&format!("gangway release {host}"))
        )
    };
    let by = match name {
        _ if is_same_service => format!("route {}", quoted(&holder.route)),
        Some(name) => name.clone(),
        None => holder.to_string(),
    };
    LossText { code, message: format!("{rule} is already served by {by}{since}"), help, keeps }
}

/// Why a route without a host is given the one of a route with another name.
fn collapsed(group: &RouteGroup<'_>, holder: &Party, host: &HostCondition) -> String {
    let (name, host) = (&group.origin.name, host.to_string());
    let of_holder = host.split_once('.').and_then(|(_, domain)| (group.spec.words.default_host)(&holder.route, domain));
    match of_holder.is_some_and(|of_holder| of_holder.to_string() == host) && holder.route != *name {
        true => format!(
            ": only letters, digits and hyphens of a name can stand in one, and no more than 63, so {} and {} have the \
             same",
            quoted(name),
            quoted(&holder.route)
        ),
        false => String::new(),
    }
}

/// Points at the label by which a route said what it takes, and at the host in it that is meant.
fn about_claim(
    origin: &RouteOrigin<'_>,
    host: Option<&HostCondition>,
    mut finding: Finding,
    effect: String,
) -> Diagnostic {
    let claim = origin.claim;
    if claim.label.is_empty() {
        return origin.source.about(finding, effect);
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
    origin.source.about_value(claim, finding, effect)
}

/// A rule that is as long as people read.
fn brief(rule: &str) -> String {
    const LEN_MAX: usize = 120;
    match rule.char_indices().nth(LEN_MAX) {
        Some((at, _)) => format!("{}…", &rule[..at]),
        None => rule.to_owned(),
    }
}
