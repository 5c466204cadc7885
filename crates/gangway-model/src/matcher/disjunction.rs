//! A rule → conjunctions, any of which may hold.
//!
//! `!` moves inwards, `&&` is distributed over `||`, and the values of host and path matchers are
//! taken apart, because each is looked up at its own place. The values of other matchers stay together:
//! `Method(GET, HEAD)` is one condition.

use super::{ALTERNATIVES_MAX, too_many};
use crate::diagnostic::Span;
use crate::rule::{Condition, Expression, Finding, Term};

/// Conditions that have to hold together.
pub(super) type Conjunction = Vec<Literal>;

/// A condition or its opposite, with at most one value where it is about host or path and not negated.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub negated: bool,
    pub condition: Condition,
    /// Where the matcher stands that it comes from.
    pub span: Span,
    /// Which of the matcher's values it is.
    pub value: usize,
}

/// None where there are more than [`ALTERNATIVES_MAX`], which is then a finding.
pub(super) fn conjunctions(rule: &Expression, findings: &mut Vec<Finding>) -> Option<Vec<Conjunction>> {
    match count(rule, false) {
        Ok(_) => Some(expand(rule, false)),
        Err(TooMany(span)) => {
            let message = format!("more than {ALTERNATIVES_MAX} combinations of conditions");
            findings.push(too_many(span.start..span.end, &message));
            None
        }
    }
}

/// How many conjunctions a rule has; none where there are more than [`ALTERNATIVES_MAX`].
pub(super) fn size(rule: &Expression) -> Option<usize> {
    count(rule, false).ok()
}

/// The smallest part of a rule that has too many.
struct TooMany(Span);

/// Counts what [`expand`] would give: a rule that is refused must not first be expanded.
fn count(expression: &Expression, negated: bool) -> Result<usize, TooMany> {
    let bounded = |count: usize| if count > ALTERNATIVES_MAX { Err(TooMany(expression.span())) } else { Ok(count) };
    match (expression.term(), negated) {
        (Term::Not(inner), _) => count(inner, !negated),
        (Term::All(parts), false) | (Term::Any(parts), true) => {
            parts.iter().try_fold(1, |product, part| bounded(product * count(part, negated)?))
        }
        (Term::Any(parts), false) | (Term::All(parts), true) => {
            parts.iter().try_fold(0, |sum, part| bounded(sum + count(part, negated)?))
        }
        (Term::Is(_), true) => Ok(1),
        (Term::Is(condition), false) => bounded(values(condition)),
    }
}

fn expand(expression: &Expression, negated: bool) -> Vec<Conjunction> {
    let span = expression.span();
    match (expression.term(), negated) {
        (Term::Not(inner), _) => expand(inner, !negated),
        (Term::All(parts), false) | (Term::Any(parts), true) => {
            parts.iter().fold(vec![Vec::new()], |product, part| multiply(&product, &expand(part, negated)))
        }
        (Term::Any(parts), false) | (Term::All(parts), true) => {
            parts.iter().flat_map(|part| expand(part, negated)).collect()
        }
        (Term::Is(condition), true) => {
            vec![vec![Literal { negated: true, condition: condition.clone(), span, value: 0 }]]
        }
        (Term::Is(condition), false) => {
            let literal = |(value, condition)| vec![Literal { negated: false, condition, span, value }];
            taken_apart(condition).into_iter().enumerate().map(literal).collect()
        }
    }
}

fn multiply(left: &[Conjunction], right: &[Conjunction]) -> Vec<Conjunction> {
    let both = |a: &Conjunction, b: &Conjunction| [&a[..], &b[..]].concat();
    left.iter().flat_map(|a| right.iter().map(move |b| both(a, b))).collect()
}

/// How many [`taken_apart`] gives.
fn values(condition: &Condition) -> usize {
    match condition {
        Condition::Host(hosts) => hosts.len(),
        Condition::HostRegexp(patterns) | Condition::PathRegexp(patterns) => patterns.len(),
        Condition::Path(paths) | Condition::PathPrefix(paths) => paths.len(),
        _ => 1,
    }
}

fn taken_apart(condition: &Condition) -> Vec<Condition> {
    fn each<V: Clone>(values: &[V], make: fn(Vec<V>) -> Condition) -> Vec<Condition> {
        values.iter().map(|value| make(vec![value.clone()])).collect()
    }
    match condition {
        Condition::Host(hosts) => each(hosts, Condition::Host),
        Condition::HostRegexp(patterns) => each(patterns, Condition::HostRegexp),
        Condition::Path(paths) => each(paths, Condition::Path),
        Condition::PathPrefix(prefixes) => each(prefixes, Condition::PathPrefix),
        Condition::PathRegexp(patterns) => each(patterns, Condition::PathRegexp),
        other => vec![other.clone()],
    }
}
