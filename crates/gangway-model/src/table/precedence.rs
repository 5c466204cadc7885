//! The order of routes that match the same request.

use std::cmp::Reverse;

/// How specifically an entry matches. The greatest precedence wins.
///
/// Fields are compared in order, so the declaration *is* the rule: an explicit priority first, then
/// the host, then the path, then the number of other conditions, then the one that was served first.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Precedence {
    /// `priority`.
    pub priority: i64,
    /// The kind of host condition: exact over `*.` over `x.*` over `*`.
    pub host: HostRank,
    /// The length of the path condition in characters. An exact path counts one more than the prefix, a regular
    /// expression counts as it is written, and `/` counts nothing.
    pub path: usize,
    /// The number of conditions besides host and path. Listeners that the route names are one.
    pub conditions: usize,
    /// The place by seniority, reversed: the route that was served first is greater.
    pub age: Reverse<i64>,
    /// The id, reversed. It is the last resort, so that the order of listing never matters.
    pub id: Reverse<Box<str>>,
}

/// How specific a host condition is. Later variants are more specific.
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
