//! Conjunctions become alternatives: one host, one path, and tests.
//!
//! The most specific host and path conditions become those of the alternative. Others of the same kind are dropped
//! where they follow from them. A conjunction that contradicts itself is dropped. A condition that cannot be decided
//! here stays as a test, which each request decides.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use ahash::RandomState;
use gangway_diagnostic::{Finding, Span, codes};

use super::alternative::{Alternative, HostCondition, Test};
use super::disjunction::{Conjunction, Literal};
use crate::host::HostPattern;
use crate::path::{PathPattern, begins_with};
use crate::regex_pattern::RegexPattern;
use crate::rule::Condition;

/// The alternatives of a rule. None, with a finding, where nothing can ever match. A part that can never match beside
/// others gives a warning.
pub(super) fn alternatives(conjunctions: &[Conjunction], findings: &mut Vec<Finding>) -> Option<Vec<Alternative>> {
    let mut alternatives = Vec::with_capacity(conjunctions.len());
    let mut cache = TestCache::default();
    let mut alive = BTreeSet::new();
    let mut contradictions = Vec::new();
    for conjunction in conjunctions {
        match simplify(conjunction, &mut cache) {
            Ok(simple) => {
                alternatives.push(simple);
                alive.extend(conjunction.iter().map(identity));
            }
            Err(contradiction) => contradictions.push((conjunction, contradiction)),
        }
    }
    if alternatives.is_empty() {
        let (_, Contradiction { span, with, .. }) = contradictions.into_iter().next()?;
        findings.push(Finding::error(
            codes::RULE_NEVER_MATCHES,
            span.into(),
            "rule can never match",
            format!("contradicts {with}"),
            "join conditions of which one has to hold by `||`, or remove one of them",
        ));
        return None;
    }
    // Distributing `&&` over `||` combines conditions that were not meant to hold together. Only a condition that is
    // left in no alternative was written in vain.
    let mut reported = BTreeSet::new();
    for (conjunction, Contradiction { span, this, with }) in contradictions {
        let mut vain =
            conjunction.iter().filter(|literal| !alive.contains(&identity(literal))).map(|literal| literal.span);
        let Some(first) = vain.next() else { continue };
        let is_this = first == span || vain.any(|vain| vain == span);
        let (at, with) = if is_this { (span, with) } else { (first, this) };
        if reported.insert(at) {
            let never = Finding::error(
                codes::PART_NEVER_MATCHES,
                at.into(),
                "part of the rule can never match",
                format!("contradicts {with}"),
                "remove it, or join it by `||`",
            );
            findings.push(never.warning());
        }
    }
    alternatives.sort_by(Simple::order);
    let mut alternatives: Vec<Alternative> = alternatives.into_iter().map(Simple::alternative).collect();
    alternatives.dedup();
    Some(alternatives)
}

/// Whether surely no request passes both.
pub(crate) fn exclude_each_other(a: &[Test], b: &[Test]) -> bool {
    a.iter().any(|a| b.iter().any(|b| excludes(a, b)))
}

fn identity(literal: &Literal) -> (Span, usize, bool) {
    (literal.span, literal.value, literal.negated)
}

/// Two conditions that cannot hold together.
struct Contradiction {
    /// The place of one of them.
    span: Span,
    /// That condition, as a rule.
    this: String,
    /// The other condition, as a rule.
    with: String,
}

impl Contradiction {
    fn between(literal: &Literal, with: impl std::fmt::Display) -> Self {
        let not = if literal.negated { "!" } else { "" };
        Self { span: literal.span, this: format!("{not}{}", literal.condition), with: with.to_string() }
    }
}

/// A test and the text that it is sorted by.
struct Sorted {
    test: Test,
    text: String,
}

/// Tests by their conditions. Each occurs in many conjunctions and is made once.
type TestCache<'c> = HashMap<(&'c Condition, bool), Rc<Sorted>, RandomState>;

/// An alternative that shares its tests with others.
struct Simple {
    host: HostCondition,
    path: PathPattern,
    tests: Vec<Rc<Sorted>>,
}

impl Simple {
    fn order(&self, other: &Self) -> Ordering {
        let texts = || {
            let (one, other) = (self.tests.iter(), other.tests.iter());
            one.map(|sorted| &sorted.text).cmp(other.map(|sorted| &sorted.text))
        };
        (&self.host, &self.path).cmp(&(&other.host, &other.path)).then_with(texts)
    }

    fn alternative(self) -> Alternative {
        let tests = self.tests.iter().map(|sorted| sorted.test.clone()).collect();
        Alternative::new(self.host, self.path, tests)
    }
}

fn simplify<'c>(conjunction: &'c Conjunction, cache: &mut TestCache<'c>) -> Result<Simple, Contradiction> {
    let host = host(conjunction)?;
    let path = path(conjunction)?;
    let mut tests: Vec<Rc<Sorted>> = Vec::new();
    for literal in conjunction {
        match decided(literal, &host, &path) {
            Some(true) => continue,
            Some(false) => {
                let alternative = Alternative::new(host, path, Box::default());
                return Err(Contradiction::between(literal, alternative));
            }
            None => {}
        }
        let sorted = cache.entry((&literal.condition, literal.negated)).or_insert_with(|| {
            let test = Test { negated: literal.negated, condition: sorted(&literal.condition) };
            Rc::new(Sorted { text: test.expression().to_string(), test })
        });
        if let Some(other) = tests.iter().find(|other| excludes(&other.test, &sorted.test)) {
            return Err(Contradiction::between(literal, other.test.expression()));
        }
        if tests.iter().all(|other| other.test != sorted.test) {
            tests.push(Rc::clone(sorted));
        }
    }
    tests.sort_by(|a, b| a.text.cmp(&b.text));
    Ok(Simple { host, path, tests })
}

/// The most specific of the host conditions.
fn host(conjunction: &Conjunction) -> Result<HostCondition, Contradiction> {
    let mut chosen = HostPattern::Any;
    let mut regex: Option<&RegexPattern> = None;
    for literal in conjunction.iter().filter(|literal| !literal.negated) {
        match &literal.condition {
            Condition::Host(hosts) => {
                for host in hosts {
                    if chosen.covers(host) {
                        chosen = host.clone();
                    } else if disjoint(&chosen, host) {
                        return Err(Contradiction::between(literal, format_args!("Host(`{chosen}`)")));
                    } else if rank(host) > rank(&chosen) {
                        chosen = host.clone();
                    }
                }
            }
            Condition::HostRegexp(patterns) => regex = patterns.iter().chain(regex).min(),
            Condition::Path(_)
            | Condition::PathPrefix(_)
            | Condition::PathRegexp(_)
            | Condition::Method(_)
            | Condition::Header(..)
            | Condition::HeaderRegexp(..)
            | Condition::Query(..)
            | Condition::QueryRegexp(..)
            | Condition::ClientIp(_) => {}
        }
    }
    Ok(match (chosen, regex) {
        (HostPattern::Any, Some(regex)) => HostCondition::Regex(regex.clone()),
        (pattern, _) => HostCondition::Pattern(pattern),
    })
}

fn rank(host: &HostPattern) -> u8 {
    match host {
        HostPattern::Any => 0,
        HostPattern::AnyDomain(_) => 1,
        HostPattern::Wildcard(_) => 2,
        HostPattern::Exact(_) => 3,
    }
}

/// Whether surely no host matches both.
fn disjoint(a: &HostPattern, b: &HostPattern) -> bool {
    let overlap_unknown = rank(a) != rank(b) && rank(a) < 3 && rank(b) < 3;
    !overlap_unknown && !a.covers(b) && !b.covers(a)
}

/// The most specific of the path conditions: an exact one, otherwise the longest prefix, otherwise the longest
/// expression.
fn path(conjunction: &Conjunction) -> Result<PathPattern, Contradiction> {
    let mut exact: Option<&str> = None;
    let mut prefix = "/";
    let mut regex: Option<&RegexPattern> = None;
    for literal in conjunction.iter().filter(|literal| !literal.negated) {
        match &literal.condition {
            Condition::Path(paths) => {
                for path in paths {
                    if exact.is_some_and(|exact| *exact != **path) {
                        return Err(Contradiction::between(literal, "another path"));
                    }
                    exact = Some(path);
                }
            }
            Condition::PathPrefix(prefixes) => {
                for other in prefixes {
                    if begins_with(other, prefix) {
                        prefix = other;
                    } else if !begins_with(prefix, other) {
                        return Err(Contradiction::between(literal, format_args!("PathPrefix(`{prefix}`)")));
                    }
                }
            }
            Condition::PathRegexp(patterns) => {
                regex = patterns
                    .iter()
                    .chain(regex)
                    .min_by_key(|pattern| (std::cmp::Reverse(pattern.as_str().len()), *pattern));
            }
            Condition::Host(_)
            | Condition::HostRegexp(_)
            | Condition::Method(_)
            | Condition::Header(..)
            | Condition::HeaderRegexp(..)
            | Condition::Query(..)
            | Condition::QueryRegexp(..)
            | Condition::ClientIp(_) => {}
        }
    }
    Ok(match (exact, prefix, regex) {
        (Some(exact), ..) => PathPattern::Exact(exact.into()),
        (None, "/", Some(regex)) => PathPattern::Regex(regex.clone()),
        (None, prefix, _) => PathPattern::Prefix(prefix.into()),
    })
}

/// Whether a condition holds, if the host and the path of the alternative decide it.
fn decided(literal: &Literal, host: &HostCondition, path: &PathPattern) -> Option<bool> {
    let holds =
        match &literal.condition {
            Condition::Host(patterns) => match host {
                HostCondition::Pattern(host) => any(patterns, |pattern| {
                    if pattern.covers(host) { Some(true) } else { disjoint(pattern, host).then_some(false) }
                }),
                HostCondition::Regex(_) => any(patterns, |pattern| (*pattern == HostPattern::Any).then_some(true)),
            },
            Condition::HostRegexp(patterns) => match host {
                HostCondition::Pattern(HostPattern::Exact(name)) => {
                    any(patterns, |pattern| Some(pattern.is_match(name.as_str())))
                }
                HostCondition::Pattern(_) => None,
                HostCondition::Regex(host) => any(patterns, |pattern| (pattern == host).then_some(true)),
            },
            Condition::Path(paths) => match path {
                PathPattern::Exact(path) => any(paths, |other| Some(path == other)),
                PathPattern::Prefix(prefix) => any(paths, |other| (!begins_with(other, prefix)).then_some(false)),
                PathPattern::Regex(_) => None,
            },
            Condition::PathPrefix(prefixes) => match path {
                PathPattern::Exact(path) => any(prefixes, |prefix| Some(begins_with(path, prefix))),
                PathPattern::Prefix(path) => any(prefixes, |prefix| {
                    let is_apart = !begins_with(prefix, path);
                    if begins_with(path, prefix) { Some(true) } else { is_apart.then_some(false) }
                }),
                PathPattern::Regex(_) => any(prefixes, |prefix| (**prefix == *"/").then_some(true)),
            },
            Condition::PathRegexp(patterns) => match path {
                PathPattern::Exact(path) => any(patterns, |pattern| Some(pattern.is_match(path))),
                PathPattern::Prefix(_) => None,
                PathPattern::Regex(path) => any(patterns, |pattern| (pattern == path).then_some(true)),
            },
            Condition::Method(_)
            | Condition::Header(..)
            | Condition::HeaderRegexp(..)
            | Condition::Query(..)
            | Condition::QueryRegexp(..)
            | Condition::ClientIp(_) => None,
        };
    holds.map(|holds| holds != literal.negated)
}

/// `||` of values that may be unknown.
fn any<V>(values: &[V], holds: impl Fn(&V) -> Option<bool>) -> Option<bool> {
    let mut all_known = true;
    for value in values {
        match holds(value) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => all_known = false,
        }
    }
    all_known.then_some(false)
}

fn excludes(a: &Test, b: &Test) -> bool {
    match (&a.condition, &b.condition) {
        (one, other) if one == other => a.negated != b.negated,
        _ if a.negated || b.negated => false,
        (Condition::Method(some), Condition::Method(others)) => !some.iter().any(|method| others.contains(method)),
        (Condition::ClientIp(some), Condition::ClientIp(others)) => {
            !some.iter().any(|net| others.iter().any(|other| net.contains(other) || other.contains(net)))
        }
        _ => false,
    }
}

/// The same condition with its values in a canonical order.
fn sorted(condition: &Condition) -> Condition {
    fn in_order<V: Clone>(values: &[V], key: impl Fn(&V) -> String) -> Vec<V> {
        let mut values = values.to_vec();
        values.sort_by_cached_key(&key);
        values.dedup_by_key(|value| key(value));
        values
    }
    match condition {
        Condition::Host(hosts) => Condition::Host(in_order(hosts, ToString::to_string)),
        Condition::HostRegexp(patterns) => Condition::HostRegexp(in_order(patterns, |pattern| pattern.as_str().into())),
        Condition::Path(paths) => Condition::Path(in_order(paths, ToString::to_string)),
        Condition::PathPrefix(prefixes) => Condition::PathPrefix(in_order(prefixes, ToString::to_string)),
        Condition::PathRegexp(patterns) => Condition::PathRegexp(in_order(patterns, |pattern| pattern.as_str().into())),
        Condition::Method(methods) => Condition::Method(in_order(methods, ToString::to_string)),
        Condition::ClientIp(networks) => Condition::ClientIp(in_order(networks, ToString::to_string)),
        Condition::Header(..) | Condition::HeaderRegexp(..) | Condition::Query(..) | Condition::QueryRegexp(..) => {
            condition.clone()
        }
    }
}
