//! What is known of one host: who holds it, and who was refused.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use super::tenant::Party;
use crate::digest::Digest;
use crate::engine_name::EngineName;
use crate::matcher::Alternative;

/// Who holds one host, and who would like to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holding {
    /// By party; those that are gone among them, until they are forgotten.
    pub tenures: BTreeMap<Party, Tenure>,
    /// Those that are served nowhere on it, or not with all that they ask for.
    pub refused: BTreeMap<Party, RefusedClaim>,
}

/// A claim that is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefusedClaim {
    /// Since when, in seconds since the epoch.
    pub since: i64,
    /// When the newest container was created by which it was refused while the holder was there; such a
    /// container waited for the host.
    pub waited: Option<i64>,
}

/// For how long, and for what, a party holds a host.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tenure {
    /// When it was first served, in seconds since the epoch.
    pub since: i64,
    /// When the oldest container that took it was created: decides between those that were first served
    /// in the same second.
    pub created: i64,
    /// When the last container of it was missed, in seconds since the epoch; none while one exists.
    pub gone: Option<i64>,
    /// Is it here only because the holder shares the host?
    pub is_guest: bool,
    /// With whom the party shares the host: names of projects or containers, or `*`.
    pub share: Box<[Box<str>]>,
    /// The rules it serves on the host.
    pub rules: BTreeSet<RuleId>,
    /// The engines it was last seen on.
    pub engines: BTreeSet<EngineName>,
    /// Ids of its containers, where the tenant is a container: one that is renamed stays what it was.
    pub containers: BTreeSet<Box<str>>,
}

/// One rule on a host, as far as it must be told from others: path, other conditions, and priority.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RuleId {
    /// A hash of path and conditions, which stays the same over restarts.
    pub conditions: u64,
    /// `priority`.
    pub priority: i64,
}

impl Holding {
    /// The party that was here first, guests apart.
    pub fn holder(&self) -> Option<(&Party, &Tenure)> {
        let holders = self.tenures.iter().filter(|(_, tenure)| !tenure.is_guest);
        holders.min_by_key(|(party, tenure)| (tenure.gone.is_some(), tenure.since, tenure.created, *party))
    }
}

impl RuleId {
    /// What is asked besides the host.
    pub(crate) fn new(asked: &Alternative, priority: i64) -> Self {
        // Two rules of one digest that somebody made on purpose make only the newer of the two lose.
        let mut hasher = Digest::default();
        (asked.path(), asked.tests()).hash(&mut hasher);
        Self { conditions: hasher.finish(), priority }
    }
}
