//! The holders of one host, and the parties that were refused.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use super::few::{FewMap, FewSet};
use super::tenant::Party;
use crate::digest::Digest;
use crate::engine_name::EngineName;
use crate::listener::ListenerScope;
use crate::matcher::Alternative;

/// The holders of one host, and the parties that wait for it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holding {
    /// The tenures by party. Parties that are gone stay listed until they are forgotten.
    pub tenures: FewMap<Party, Tenure>,
    /// The parties that are not served on the host, or not with all rules that they ask for.
    pub refused: BTreeMap<Party, RefusedClaim>,
}

/// A claim that is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefusedClaim {
    /// The time of the first refusal, in seconds since the epoch.
    pub since: i64,
    /// The time at which the newest container was created that was refused while the holder was there. Such a container
    /// waited for the host.
    pub waited: Option<i64>,
}

/// The time for which a party holds a host, and what it serves there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tenure {
    /// The time at which it was first served, in seconds since the epoch.
    pub since: i64,
    /// The time at which its oldest container was created. It decides between parties that were first served in the same
    /// second.
    pub created: i64,
    /// The time at which its last container was gone, in seconds since the epoch; none while one exists.
    pub gone: Option<i64>,
    /// Whether it is here only because the holder shares the host.
    pub is_guest: bool,
    /// The tenants with which the party shares the host: names of projects or containers, or `*`.
    pub share: Box<[Box<str>]>,
    /// The rules it serves on the host.
    pub rules: FewSet<RuleId>,
    /// The engines it was last seen on.
    pub engines: FewSet<EngineName>,
    /// The ids of its containers, where the tenant is a container. A container that is renamed stays the same party.
    pub containers: FewSet<Box<str>>,
}

/// The identity of a rule on a host: its path, its other conditions, its listeners and its priority.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RuleId {
    /// A hash of path, conditions and listeners, which stays the same over restarts.
    pub conditions: u64,
    /// `priority`.
    pub priority: i64,
}

impl Holding {
    /// The party that was here first; guests do not count.
    pub fn holder(&self) -> Option<(&Party, &Tenure)> {
        let holders = self.tenures.iter().filter(|(_, tenure)| !tenure.is_guest);
        holders.min_by_key(|(party, tenure)| (tenure.gone.is_some(), tenure.since, tenure.created, *party))
    }
}

impl RuleId {
    /// The identity of an alternative, without its host.
    pub(crate) fn new(asked: &Alternative, scope: &ListenerScope, priority: i64) -> Self {
        // If an attacker makes two rules with one digest, only the newer of the two loses.
        let mut hasher = Digest::default();
        (asked.path(), asked.tests()).hash(&mut hasher);
        // The identities of rules without listeners stand on volumes.
        if !scope.is_everywhere() {
            scope.hash(&mut hasher);
        }
        Self { conditions: hasher.finish(), priority }
    }
}
