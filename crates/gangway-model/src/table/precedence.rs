//! The order of routes that match the same request.

use std::cmp::Reverse;

/// How specifically an entry matches; the greatest wins.
///
/// Fields are compared in order, so the declaration *is* the rule: an explicit priority first, then
/// the host, then the path, then the number of other conditions, then the one that was served first.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Precedence {
    /// `priority`.
    pub priority: i64,
    /// Exact over `*.` over `x.*` over `*`.
    pub host: HostRank,
    /// Length of the path condition in characters; exact paths count one more than the prefix. A regular
    /// expression counts as it is written, `/` and no condition count nothing.
    pub path: usize,
    /// Conditions besides host and path.
    pub conditions: usize,
    /// The place by seniority, reversed: whoever was served first is greater.
    pub age: Reverse<i64>,
    /// The last resort, so that the order of listing never matters: ids, reversed.
    pub id: Reverse<Box<str>>,
}

/// How specific a host condition is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum HostRank {
    /// `*`, or no condition on the host.
    Any,
    /// A regular expression.
    Regex,
    /// `budget.*`.
    AnyDomain,
    /// `*.example.org`.
    Wildcard,
    /// `shop.example.org`.
    Exact,
}
