//! A rule as it is evaluated: alternatives of host, path and other conditions.
//!
//! Whatever was written, lists of hosts and paths or a rule, becomes a disjunction of
//! [`Alternative`]s. Each has one host condition and one path condition, and with them its own
//! precedence and its own place in the table's index. Two alternatives that are equal claim the same
//! requests.

mod disjunction;
mod evaluate;
mod simplify;

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

pub(crate) use simplify::exclude_each_other;

use crate::host::HostPattern;
use crate::path::PathPattern;
use crate::rule::{Condition, Expression, Finding, Pattern, codes};

/// A rule with more alternatives than this is refused: a label of 4 KiB could otherwise ask for
/// millions.
pub const ALTERNATIVES_MAX: usize = 1024;

/// Which requests a route takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Matcher {
    rule: Expression,
    alternatives: Vec<Alternative>,
}

/// One way to match: all of host, path and tests.
///
/// Equal alternatives take the same requests, however they were written: that is what *claiming the
/// same* means. What two alternatives have in common besides is not decided here.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Alternative {
    host: HostCondition,
    path: PathPattern,
    tests: Box<[Test]>,
}

/// What is asked of the host.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum HostCondition {
    /// A name or a wildcard; [`HostPattern::Any`] where nothing is asked.
    Pattern(HostPattern),
    /// `HostRegexp`.
    Regex(Pattern),
}

/// One further condition.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Test {
    /// Must the condition hold, or must it not?
    pub negated: bool,
    /// The condition.
    pub condition: Condition,
}

impl Matcher {
    /// From the `host` and `path` labels. No hosts means every host, no paths means every path.
    ///
    /// None only where there are more than [`ALTERNATIVES_MAX`] combinations, which is then a finding.
    pub fn from_lists(hosts: Vec<HostPattern>, paths: Vec<PathPattern>, findings: &mut Vec<Finding>) -> Option<Self> {
        let rule = Expression::all([host_expression(&hosts), path_expression(&paths)].into_iter().flatten().collect());
        let hosts = in_order(hosts, HostPattern::Any);
        let paths = in_order(paths, PathPattern::everything());
        let combinations = hosts.len() * paths.len();
        if combinations > ALTERNATIVES_MAX {
            findings.push(too_many(0..0, &format!("{combinations} combinations of hosts and paths")));
            return None;
        }
        let mut alternatives = Vec::with_capacity(combinations);
        for host in hosts {
            let host = HostCondition::Pattern(host);
            alternatives.extend(paths.iter().map(|path| Alternative {
                host: host.clone(),
                path: path.clone(),
                tests: Box::default(),
            }));
        }
        Some(Self { rule, alternatives })
    }

    /// How many alternatives a rule has before it is simplified; none where there are more than
    /// [`ALTERNATIVES_MAX`]. Costs little, whatever the rule.
    pub(crate) fn size_of(rule: &Expression) -> Option<usize> {
        disjunction::size(rule)
    }

    /// From the `rule` label.
    ///
    /// None where it can never match or has too many alternatives, which is then a finding. Parts of it
    /// that can never match are left out with a warning.
    pub fn from_expression(rule: Expression, findings: &mut Vec<Finding>) -> Option<Self> {
        let conjunctions = disjunction::conjunctions(&rule, findings)?;
        let alternatives = simplify::alternatives(&conjunctions, findings)?;
        Some(Self { rule, alternatives })
    }

    /// In a canonical order, without repeats; at least one.
    pub fn alternatives(&self) -> &[Alternative] {
        &self.alternatives
    }

    pub(crate) fn into_alternatives(self) -> Vec<Alternative> {
        self.alternatives
    }

    /// Without some of its alternatives, and with the rule that is left; none where nothing is.
    pub(crate) fn retain(mut self, keep: impl FnMut(&Alternative) -> bool) -> Option<Self> {
        let len = self.alternatives.len();
        self.alternatives.retain(keep);
        if self.alternatives.is_empty() {
            return None;
        }
        if self.alternatives.len() < len {
            self.rule = Expression::any(self.alternatives.iter().map(Alternative::expression).collect());
        }
        Some(self)
    }

    /// The rule it stands for; its `Display` is the canonical text.
    pub fn rule(&self) -> &Expression {
        &self.rule
    }

    /// Every host pattern it may be reached under, sorted, without repeats. What is only known by a
    /// regular expression is not among them.
    pub fn hosts(&self) -> Vec<HostPattern> {
        let hosts: BTreeSet<&HostPattern> = self
            .alternatives
            .iter()
            .filter_map(|alternative| match &alternative.host {
                HostCondition::Pattern(pattern) => Some(pattern),
                HostCondition::Regex(_) => None,
            })
            .collect();
        hosts.into_iter().cloned().collect()
    }

    /// Every host condition, regular expressions among them, sorted, without repeats.
    pub(crate) fn host_conditions(&self) -> Vec<HostCondition> {
        let mut hosts: Vec<_> = self.alternatives.iter().map(|alternative| alternative.host.clone()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// Every path prefix but `/`, sorted, without repeats: what `strip-prefix` may remove.
    pub fn prefixes(&self) -> Vec<Box<str>> {
        let prefixes: BTreeSet<&str> =
            self.alternatives.iter().map(Alternative::prefix).filter(|prefix| !prefix.is_empty()).collect();
        prefixes.into_iter().map(Into::into).collect()
    }
}

impl Alternative {
    /// What is asked of the host.
    pub fn host(&self) -> &HostCondition {
        &self.host
    }

    /// What is asked of the path; the prefix `/` where nothing is.
    pub fn path(&self) -> &PathPattern {
        &self.path
    }

    /// What else is asked, in a canonical order.
    pub fn tests(&self) -> &[Test] {
        &self.tests
    }

    /// The path prefix below which it matches; empty where that is everything, or no prefix is asked for.
    pub fn prefix(&self) -> &str {
        match &self.path {
            PathPattern::Prefix(prefix) if **prefix != *"/" => prefix,
            _ => "",
        }
    }

    /// The rule that says the same.
    pub fn expression(&self) -> Expression {
        let host = match &self.host {
            HostCondition::Pattern(HostPattern::Any) => None,
            HostCondition::Pattern(pattern) => Some(Condition::Host(vec![pattern.clone()])),
            HostCondition::Regex(pattern) => Some(Condition::HostRegexp(vec![pattern.clone()])),
        };
        let path = path_expression(std::slice::from_ref(&self.path));
        let tests = self.tests.iter().map(Test::expression);
        Expression::all(host.map(Expression::is).into_iter().chain(path).chain(tests).collect())
    }
}

/// The rule that says the same.
impl Display for Alternative {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.expression().fmt(f)
    }
}

impl HostCondition {
    /// Does it match a host in the form in which hosts are compared?
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches(host),
            Self::Regex(pattern) => pattern.is_match(host),
        }
    }
}

/// As it is written down: a pattern as in the label `host`, and `~` before a regular expression.
impl Display for HostCondition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => pattern.fmt(f),
            Self::Regex(pattern) => write!(f, "~{}", pattern.as_str()),
        }
    }
}

impl HostCondition {
    /// Reads what its `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('~') {
            Some(regex) => Pattern::parse_for_host(regex, &mut Vec::new()).map(Self::Regex),
            None => HostPattern::parse(text, &mut Vec::new()).map(Self::Pattern),
        }
    }
}

impl Test {
    /// The rule that says the same.
    pub fn expression(&self) -> Expression {
        let condition = Expression::is(self.condition.clone());
        if self.negated { Expression::not(condition) } else { condition }
    }
}

/// Sorted and without repeats; what is meant where nothing was written.
fn in_order<V: Ord>(mut values: Vec<V>, unwritten: V) -> Vec<V> {
    if values.is_empty() {
        values.push(unwritten);
    }
    values.sort();
    values.dedup();
    values
}

fn host_expression(hosts: &[HostPattern]) -> Option<Expression> {
    (!hosts.is_empty()).then(|| Expression::is(Condition::Host(hosts.to_vec())))
}

/// None where nothing is asked.
fn path_expression(paths: &[PathPattern]) -> Option<Expression> {
    if paths.iter().all(|path| *path == PathPattern::everything()) {
        return None;
    }
    let (mut prefixes, mut exact, mut patterns) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        match path {
            PathPattern::Prefix(prefix) => prefixes.push(prefix.clone()),
            PathPattern::Exact(path) => exact.push(path.clone()),
            PathPattern::Regex(pattern) => patterns.push(pattern.clone()),
        }
    }
    let parts = [
        (!prefixes.is_empty()).then_some(Condition::PathPrefix(prefixes)),
        (!exact.is_empty()).then_some(Condition::Path(exact)),
        (!patterns.is_empty()).then_some(Condition::PathRegexp(patterns)),
    ];
    let parts: Vec<Expression> = parts.into_iter().flatten().map(Expression::is).collect();
    Some(Expression::any(parts))
}

fn too_many(span: std::ops::Range<usize>, message: &str) -> Finding {
    Finding::error(
        codes::ALTERNATIVES_TOO_MANY,
        span,
        message,
        format!("at most {ALTERNATIVES_MAX}"),
        "split it into several routes, or use a wildcard or a regular expression",
    )
}
