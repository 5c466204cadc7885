//! A rule as it is evaluated: alternatives of host, path and other conditions.
//!
//! Lists of hosts and paths, and rules, become a disjunction of [`Alternative`]s. Each has one host condition and one
//! path condition, and with them its own precedence and its own place in the index of the table. Two alternatives that
//! are equal claim the same requests.

mod alternative;
mod disjunction;
mod evaluate;
mod simplify;

use std::collections::BTreeSet;

pub use alternative::{Alternative, HostCondition, Test};
pub use disjunction::ALTERNATIVES_MAX;
use gangway_diagnostic::Finding;
pub(crate) use simplify::exclude_each_other;

use self::alternative::path_expression;
use self::disjunction::too_many;
use crate::host::HostPattern;
use crate::path::PathPattern;
use crate::rule::{Condition, Expression};

/// The requests that a route takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Matcher {
    rule: Expression,
    alternatives: Vec<Alternative>,
}

impl Matcher {
    /// Makes a matcher of the `host` and `path` labels. No hosts means every host, no paths means every path.
    ///
    /// None, with a finding, only where there are more than [`ALTERNATIVES_MAX`] combinations.
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
            alternatives.extend(paths.iter().map(|path| Alternative::new(host.clone(), path.clone(), Box::default())));
        }
        Some(Self { rule, alternatives })
    }

    /// The number of alternatives of a rule before it is simplified; none where there are more than
    /// [`ALTERNATIVES_MAX`]. Cheap for any rule.
    pub(crate) fn size_of(rule: &Expression) -> Option<usize> {
        disjunction::size(rule)
    }

    /// Makes a matcher of the `rule` label.
    ///
    /// None, with a finding, where the rule can never match or has too many alternatives. Parts that can never match
    /// are left out with a warning.
    pub fn from_expression(rule: Expression, findings: &mut Vec<Finding>) -> Option<Self> {
        let conjunctions = disjunction::conjunctions(&rule, findings)?;
        let alternatives = simplify::alternatives(&conjunctions, findings)?;
        Some(Self { rule, alternatives })
    }

    /// The alternatives, at least one, in a canonical order and without repeats.
    pub fn alternatives(&self) -> &[Alternative] {
        &self.alternatives
    }

    pub(crate) fn into_alternatives(self) -> Vec<Alternative> {
        self.alternatives
    }

    /// The matcher with those alternatives that `keep` accepts, and with the rule that is left; none where no
    /// alternative is.
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

    /// The rule, whose `Display` is the canonical text.
    pub fn rule(&self) -> &Expression {
        &self.rule
    }

    /// Every host pattern under which it may be reached, sorted, without repeats. Regular expressions are not listed.
    pub fn hosts(&self) -> Vec<HostPattern> {
        let hosts: BTreeSet<&HostPattern> = self
            .alternatives
            .iter()
            .filter_map(|alternative| match alternative.host() {
                HostCondition::Pattern(pattern) => Some(pattern),
                HostCondition::Regex(_) => None,
            })
            .collect();
        hosts.into_iter().cloned().collect()
    }

    /// Every host condition, regular expressions among them, sorted, without repeats.
    pub(crate) fn host_conditions(&self) -> Vec<HostCondition> {
        let mut hosts: Vec<_> = self.alternatives.iter().map(|alternative| alternative.host().clone()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// Every path prefix but `/`, sorted, without repeats. `strip-prefix` may remove them.
    pub fn prefixes(&self) -> Vec<Box<str>> {
        let prefixes: BTreeSet<&str> =
            self.alternatives.iter().map(Alternative::prefix).filter(|prefix| !prefix.is_empty()).collect();
        prefixes.into_iter().map(Into::into).collect()
    }
}

/// The values sorted and without repeats, or the default where there is none.
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
