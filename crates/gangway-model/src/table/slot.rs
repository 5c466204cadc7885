//! One alternative of one route, as the index keeps it.

use std::cmp::Reverse;
use std::sync::Arc;

use super::precedence::{HostRank, Precedence};
use crate::host::HostPattern;
use crate::listener::ListenerScope;
use crate::matcher::{Alternative, HostCondition, Matcher};
use crate::path::PathPattern;
use crate::request_view::RequestView;

/// One alternative of one route.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The route's position in the table.
    pub route: u32,
    /// Whether it takes every request of its hosts.
    pub takes_all: bool,
    /// The ways on which its requests come; none where any will do, which is nearly always.
    pub scope: Option<Arc<ListenerScope>>,
    pub alternative: Alternative,
    pub precedence: Precedence,
}

impl Slot {
    /// The slots of one route.
    pub(super) fn all(
        route: usize,
        matcher: Matcher,
        scope: ListenerScope,
        priority: i64,
        age: i64,
        id: &str,
    ) -> impl Iterator<Item = Self> {
        let scope = (!scope.is_everywhere()).then(|| Arc::new(scope));
        let route =
            u32::try_from(route).expect("a label is longer than a bit, so there are fewer routes than u32::MAX");
        matcher.into_alternatives().into_iter().map(move |alternative| Self {
            route,
            takes_all: scope.is_none()
                && alternative.tests().is_empty()
                && *alternative.path() == PathPattern::Prefix("/".into()),
            precedence: Precedence {
                priority,
                host: host_rank(alternative.host()),
                path: path_len(alternative.path()),
                conditions: conditions(&alternative, scope.as_deref()),
                age: Reverse(age),
                id: Reverse(id.into()),
            },
            scope: scope.clone(),
            alternative,
        })
    }

    /// Whether the request has come on a way on which the route is served.
    pub(crate) fn is_in_scope(&self, request: &RequestView<'_>) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.takes(request.arrival))
    }
}

/// The number of conditions besides host and path. Listeners that are named are one.
pub(super) fn conditions(alternative: &Alternative, scope: Option<&ListenerScope>) -> usize {
    alternative.tests().len() + usize::from(scope.is_some_and(|scope| scope.names.is_some()))
}

pub(super) fn host_rank(host: &HostCondition) -> HostRank {
    match host {
        HostCondition::Pattern(HostPattern::Exact(_)) => HostRank::Exact,
        HostCondition::Pattern(HostPattern::Wildcard(_)) => HostRank::Wildcard,
        HostCondition::Pattern(HostPattern::AnyDomain(_)) => HostRank::AnyDomain,
        HostCondition::Pattern(HostPattern::Any) => HostRank::Any,
        HostCondition::Regex(_) => HostRank::Regex,
    }
}

fn path_len(path: &PathPattern) -> usize {
    match path {
        PathPattern::Prefix(prefix) if **prefix == *"/" => 0,
        PathPattern::Prefix(prefix) => prefix.chars().count(),
        PathPattern::Exact(path) => path.chars().count() + 1,
        PathPattern::Regex(pattern) => pattern.as_str().chars().count(),
    }
}

/// The result of a look-up in the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotMatch {
    pub slot: usize,
    pub route: usize,
    /// Whether the slot takes every request of its hosts. It has no prefix then.
    pub takes_all: bool,
}
