//! Claims to hosts, and what becomes of them.

use std::collections::BTreeSet;

use super::holding::RuleId;
use super::tenant::Party;
use crate::engine_name::EngineName;
use crate::matcher::HostCondition;

/// The demand of a party for one host. A party has one claim to a host.
#[derive(Debug)]
pub(crate) struct Claim<'c> {
    pub party: &'c Party,
    pub host: &'c HostCondition,
    pub rules: Vec<RuleId>,
    pub share: &'c [Box<str>],
    pub strength: Strength,
    pub presence: Presence<'c>,
}

/// What a claim can achieve.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Strength {
    /// The party can be served: it takes the host, or a place on it.
    Served,
    /// The party cannot be served now: it is admitted where no other party wants the host, and takes nothing.
    Weak,
    /// The claim only shows that the party is still there.
    Absent,
}

/// The containers behind a claim.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence<'c> {
    /// Whether one exists, in any state. False where the route is only held.
    pub exists: bool,
    /// The times at which the oldest and the newest were created, in seconds since the epoch.
    pub oldest: i64,
    pub newest: i64,
    pub engines: BTreeSet<&'c EngineName>,
    /// The ids of the containers, where the tenant is a container.
    pub containers: BTreeSet<&'c str>,
}

/// The result for a claim.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Decision {
    /// The loss of the host: another tenant holds it and does not share it.
    pub refused: Option<Loss>,
    /// The rules that another party serves, by their position in the claim.
    pub lost: Vec<(usize, Loss)>,
    /// Whether it is served as a guest of the holder.
    pub is_guest: bool,
    /// The time since which the party holds the host, and the time at which its oldest container was created; none where
    /// it holds nothing.
    pub seniority: Option<(i64, i64)>,
    /// The party that held the host before and is gone.
    pub taken_over: Option<Party>,
}

/// The party that has what the claim asks for, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loss {
    pub holder: Party,
    /// None where the holder is the configuration file, or was never served.
    pub since: Option<i64>,
    pub until: Until,
}

/// How long a holder keeps its host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Until {
    /// While a container of it exists, and [`GRACE`](super::GRACE) beyond.
    Exists,
    /// Until then, unless a container of it is created: the last one is gone.
    Grace(i64),
    /// Until then, for those that were refused before; the holder is gone.
    Kept(i64),
}
