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
    match expand(rule, false) {
        Ok(conjunctions) => Some(conjunctions),
        Err(TooMany(span)) => {
            let message = format!("more than {ALTERNATIVES_MAX} combinations of conditions");
            findings.push(too_many(span.start..span.end, &message));
            None
        }
    }
}

struct TooMany(Span);

fn expand(expression: &Expression, negated: bool) -> Result<Vec<Conjunction>, TooMany> {
    let span = expression.span();
    match (expression.term(), negated) {
        (Term::Not(inner), _) => expand(inner, !negated),
        (Term::All(parts), false) | (Term::Any(parts), true) => {
            let mut product = vec![Vec::new()];
            for part in parts {
                product = multiply(product, expand(part, negated)?).ok_or(TooMany(span))?;
            }
            Ok(product)
        }
        (Term::Any(parts), false) | (Term::All(parts), true) => {
            let mut sum = Vec::new();
            for part in parts {
                sum.extend(expand(part, negated)?);
                if sum.len() > ALTERNATIVES_MAX {
                    return Err(TooMany(span));
                }
            }
            Ok(sum)
        }
        (Term::Is(condition), true) => {
            Ok(vec![vec![Literal { negated: true, condition: condition.clone(), span, value: 0 }]])
        }
        (Term::Is(condition), false) => {
            let values = taken_apart(condition);
            if values.len() > ALTERNATIVES_MAX {
                return Err(TooMany(span));
            }
            let literal = |(value, condition)| vec![Literal { negated: false, condition, span, value }];
            Ok(values.into_iter().enumerate().map(literal).collect())
        }
    }
}

fn multiply(left: Vec<Conjunction>, right: Vec<Conjunction>) -> Option<Vec<Conjunction>> {
    if left.len() * right.len() > ALTERNATIVES_MAX {
        return None;
    }
    let both = |a: &Conjunction, b: &Conjunction| [&a[..], &b[..]].concat();
    Some(left.iter().flat_map(|a| right.iter().map(move |b| both(a, b))).collect())
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
