//! A rule becomes conjunctions, any of which may hold.
//!
//! `!` moves inwards, `&&` is distributed over `||`, and the values of host and path matchers are split, because each
//! is looked up at its own place. The values of other matchers stay together:
//! `Method(GET, HEAD)` is one condition.

use std::ops::Range;

use gangway_diagnostic::{Finding, Span, codes};

use crate::rule::{Condition, Expression, Term};

/// A rule with more alternatives than this is refused: a label of 4 KiB could otherwise ask for
/// millions.
pub const ALTERNATIVES_MAX: usize = 1024;

/// Conditions that have to hold together.
pub(super) type Conjunction = Vec<Literal>;

/// A condition or its opposite, with at most one value where it is about host or path and not negated.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub negated: bool,
    pub condition: Condition,
    /// The place of its matcher in the rule.
    pub span: Span,
    /// The position of its value among those of the matcher.
    pub value: usize,
}

/// Whether an expression is needed as it is written, or its opposite.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Polarity {
    Plain,
    Negated,
}

impl Polarity {
    fn flipped(self) -> Self {
        match self {
            Self::Plain => Self::Negated,
            Self::Negated => Self::Plain,
        }
    }
}

/// The conjunctions of a rule. None, with a finding, where there are more than [`ALTERNATIVES_MAX`].
pub(super) fn conjunctions(rule: &Expression, findings: &mut Vec<Finding>) -> Option<Vec<Conjunction>> {
    match count(rule, Polarity::Plain) {
        Ok(_) => Some(expand(rule, Polarity::Plain)),
        Err(TooMany(span)) => {
            let message = format!("more than {ALTERNATIVES_MAX} combinations of conditions");
            findings.push(too_many(span.into(), &message));
            None
        }
    }
}

/// The number of conjunctions of a rule; none where there are more than [`ALTERNATIVES_MAX`].
pub(super) fn size(rule: &Expression) -> Option<usize> {
    count(rule, Polarity::Plain).ok()
}

/// The smallest part of a rule that has too many.
struct TooMany(Span);

/// Counts the conjunctions that [`expand`] would return, so that a rule that is refused is never expanded.
fn count(expression: &Expression, polarity: Polarity) -> Result<usize, TooMany> {
    let bounded = |count: usize| if count > ALTERNATIVES_MAX { Err(TooMany(expression.span())) } else { Ok(count) };
    match (expression.term(), polarity) {
        (Term::Not(inner), _) => count(inner, polarity.flipped()),
        (Term::All(parts), Polarity::Plain) | (Term::Any(parts), Polarity::Negated) => {
            parts.iter().try_fold(1, |product, part| bounded(product * count(part, polarity)?))
        }
        (Term::Any(parts), Polarity::Plain) | (Term::All(parts), Polarity::Negated) => {
            parts.iter().try_fold(0, |sum, part| bounded(sum + count(part, polarity)?))
        }
        (Term::Is(_), Polarity::Negated) => Ok(1),
        (Term::Is(condition), Polarity::Plain) => bounded(values(condition)),
    }
}

fn expand(expression: &Expression, polarity: Polarity) -> Vec<Conjunction> {
    let span = expression.span();
    match (expression.term(), polarity) {
        (Term::Not(inner), _) => expand(inner, polarity.flipped()),
        (Term::All(parts), Polarity::Plain) | (Term::Any(parts), Polarity::Negated) => {
            parts.iter().fold(vec![Vec::new()], |product, part| multiply(product, expand(part, polarity)))
        }
        (Term::Any(parts), Polarity::Plain) | (Term::All(parts), Polarity::Negated) => {
            parts.iter().flat_map(|part| expand(part, polarity)).collect()
        }
        (Term::Is(condition), Polarity::Negated) => {
            vec![vec![Literal { negated: true, condition: condition.clone(), span, value: 0 }]]
        }
        (Term::Is(condition), Polarity::Plain) => {
            let literal = |(value, condition)| vec![Literal { negated: false, condition, span, value }];
            split(condition).into_iter().enumerate().map(literal).collect()
        }
    }
}

fn multiply(mut left: Vec<Conjunction>, mut right: Vec<Conjunction>) -> Vec<Conjunction> {
    // Most rules are one conjunction, which needs no copies.
    if let ([a], [b]) = (&mut *left, &mut *right) {
        a.append(b);
        return left;
    }
    let both = |a: &Conjunction, b: &Conjunction| [&a[..], &b[..]].concat();
    left.iter().flat_map(|a| right.iter().map(move |b| both(a, b))).collect()
}

/// The number of conditions that [`split`] returns.
fn values(condition: &Condition) -> usize {
    match condition {
        Condition::Host(hosts) => hosts.len(),
        Condition::HostRegexp(patterns) | Condition::PathRegexp(patterns) => patterns.len(),
        Condition::Path(paths) | Condition::PathPrefix(paths) => paths.len(),
        Condition::Method(_)
        | Condition::Header(..)
        | Condition::HeaderRegexp(..)
        | Condition::Query(..)
        | Condition::QueryRegexp(..)
        | Condition::ClientIp(_) => 1,
    }
}

fn split(condition: &Condition) -> Vec<Condition> {
    fn each<V: Clone>(values: &[V], make: fn(Vec<V>) -> Condition) -> Vec<Condition> {
        values.iter().map(|value| make(vec![value.clone()])).collect()
    }
    match condition {
        Condition::Host(hosts) => each(hosts, Condition::Host),
        Condition::HostRegexp(patterns) => each(patterns, Condition::HostRegexp),
        Condition::Path(paths) => each(paths, Condition::Path),
        Condition::PathPrefix(prefixes) => each(prefixes, Condition::PathPrefix),
        Condition::PathRegexp(patterns) => each(patterns, Condition::PathRegexp),
        Condition::Method(_)
        | Condition::Header(..)
        | Condition::HeaderRegexp(..)
        | Condition::Query(..)
        | Condition::QueryRegexp(..)
        | Condition::ClientIp(_) => vec![condition.clone()],
    }
}

pub(super) fn too_many(span: Range<usize>, message: &str) -> Finding {
    Finding::error(
        codes::ALTERNATIVES_TOO_MANY,
        span,
        message,
        format!("at most {ALTERNATIVES_MAX}"),
        "split it into several routes, or use a wildcard or a regular expression",
    )
}
