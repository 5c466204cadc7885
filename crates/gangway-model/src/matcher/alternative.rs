//! One alternative of a matcher: a host, a path and further tests.

use std::fmt::{self, Display, Formatter};

use crate::host::HostPattern;
use crate::path::PathPattern;
use crate::regex_pattern::RegexPattern;
use crate::rule::{Condition, Expression};

/// One way to match: the host, the path and all tests.
///
/// Equal alternatives take the same requests, however they were written. They *claim the same*. Other overlaps of two
/// alternatives are not decided here.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Alternative {
    host: HostCondition,
    path: PathPattern,
    tests: Box<[Test]>,
}

/// The condition on the host.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum HostCondition {
    /// A name or a wildcard; [`HostPattern::Any`] where there is no condition.
    Pattern(HostPattern),
    /// The expression of a `HostRegexp`.
    Regex(RegexPattern),
}

/// One further condition.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Test {
    /// Whether the condition must not hold.
    pub negated: bool,
    /// The condition.
    pub condition: Condition,
}

impl Alternative {
    pub(super) fn new(host: HostCondition, path: PathPattern, tests: Box<[Test]>) -> Self {
        Self { host, path, tests }
    }

    /// The condition on the host.
    pub fn host(&self) -> &HostCondition {
        &self.host
    }

    /// The condition on the path; the prefix `/` where there is none.
    pub fn path(&self) -> &PathPattern {
        &self.path
    }

    /// The further conditions, in a canonical order.
    pub fn tests(&self) -> &[Test] {
        &self.tests
    }

    /// The path prefix below which it matches; empty where that is everything, and where the path condition is no
    /// prefix.
    pub fn prefix(&self) -> &str {
        match &self.path {
            PathPattern::Prefix(prefix) if **prefix != *"/" => prefix,
            PathPattern::Prefix(_) | PathPattern::Exact(_) | PathPattern::Regex(_) => "",
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
    /// Whether it matches a host in the form in which hosts are compared.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches(host),
            Self::Regex(pattern) => pattern.is_match(host),
        }
    }
}

/// The stored form: a pattern as in the label `host`, or a regular expression behind `~`.
impl Display for HostCondition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => pattern.fmt(f),
            Self::Regex(pattern) => write!(f, "~{}", pattern.as_str()),
        }
    }
}

impl HostCondition {
    /// Reads the stored form, which `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('~') {
            Some(regex) => RegexPattern::parse_for_host(regex, &mut Vec::new()).map(Self::Regex),
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

/// The rule for a list of paths; none where every path matches.
pub(super) fn path_expression(paths: &[PathPattern]) -> Option<Expression> {
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
