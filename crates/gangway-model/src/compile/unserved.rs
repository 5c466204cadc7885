//! Containers that are there and are not served: those that are not up, and those whose routes are left out.
//!
//! They show that their party still is, so that it keeps what it holds. Only hosts that their tenant holds matter.

use std::collections::HashSet;

use ahash::RandomState;

use crate::bounds::ALTERNATIVES_IN_ALL_MAX;
use crate::matcher::{Alternative, HostCondition, Matcher};
use crate::ownership::{Holdings, Party};
use crate::snapshot::Container;

/// What one of them asks for with one route.
pub(super) struct UnservedClaim<'s> {
    pub party: Party,
    pub container: &'s Container,
    pub alternatives: Vec<Alternative>,
    pub priority: i64,
}

/// All of them.
pub(super) struct UnservedClaims<'s> {
    holdings: &'s Holdings,
    absent: Vec<UnservedClaim<'s>>,
    /// Alternatives for which there is room.
    left: usize,
    /// What is known of those for whom there was none.
    beyond: HashSet<(Party, HostCondition), RandomState>,
}

impl<'s> UnservedClaims<'s> {
    pub(super) fn new(holdings: &'s Holdings) -> Self {
        Self { holdings, absent: Vec::new(), left: ALTERNATIVES_IN_ALL_MAX, beyond: HashSet::default() }
    }

    /// One more. Thousands that are made and never started cost no more than there is room for: beyond, one of a
    /// party stands for all, and one alternative for all of a host.
    pub(super) fn add(&mut self, party: Party, container: &'s Container, matcher: Matcher, priority: i64) {
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
            self.absent.push(UnservedClaim { party, container, alternatives, priority });
        }
    }

    pub(super) fn all(self) -> Vec<UnservedClaim<'s>> {
        self.absent
    }
}
