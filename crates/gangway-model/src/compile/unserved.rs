//! Claims of containers that exist and are not served: they are not up, or their routes are left out.
//!
//! They show that their party still is, so that it keeps what it holds. Only hosts that their tenant holds matter.

use std::collections::HashSet;

use ahash::RandomState;

use crate::bounds::ALTERNATIVES_IN_ALL_MAX;
use crate::listener::ListenerScope;
use crate::matcher::{Alternative, HostCondition, Matcher};
use crate::ownership::{Holdings, Party};
use crate::snapshot::Container;

/// The claims of one route that is not served.
pub(super) struct UnservedClaim<'s> {
    pub party: Party,
    pub container: &'s Container,
    pub alternatives: Vec<Alternative>,
    pub scope: ListenerScope,
    pub priority: i64,
}

/// All of them.
pub(super) struct UnservedClaims<'s> {
    holdings: &'s Holdings,
    absent: Vec<UnservedClaim<'s>>,
    /// Alternatives for which there is room.
    left: usize,
    /// Parties and hosts for which there was no room.
    beyond: HashSet<(Party, HostCondition), RandomState>,
}

impl<'s> UnservedClaims<'s> {
    pub(super) fn new(holdings: &'s Holdings) -> Self {
        Self { holdings, absent: Vec::new(), left: ALTERNATIVES_IN_ALL_MAX, beyond: HashSet::default() }
    }

    /// Adds a route. Thousands of containers that are created and never started cost only the room there is: beyond it,
    /// one alternative of a party and a host stands for all.
    pub(super) fn add(
        &mut self,
        party: Party,
        container: &'s Container,
        matcher: Matcher,
        scope: ListenerScope,
        priority: i64,
    ) {
        let is_held = |asked: &Alternative| {
            let holding = self.holdings.of(asked.host());
            holding.is_some_and(|holding| holding.tenures.keys().any(|holder| holder.tenant == party.tenant))
        };
        let mut alternatives = matcher.into_alternatives();
        alternatives.retain(is_held);
        if alternatives.len() > self.left {
            alternatives.retain(|asked| self.beyond.insert((party.clone(), asked.host().clone())));
        }
        if !alternatives.is_empty() {
            self.left = self.left.saturating_sub(alternatives.len());
            self.absent.push(UnservedClaim { party, container, alternatives, scope, priority });
        }
    }

    pub(super) fn all(self) -> Vec<UnservedClaim<'s>> {
        self.absent
    }
}
