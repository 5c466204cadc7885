//! Claims to hosts, and what becomes of them.

use std::collections::BTreeSet;

use super::holding::RuleId;
use super::tenant::Party;
use crate::engine_name::EngineName;
use crate::matcher::HostCondition;

/// What a party asks for on one host. There is one claim of a party to a host.
#[derive(Debug)]
pub(crate) struct Claim<'c> {
    pub party: &'c Party,
    pub host: &'c HostCondition,
    pub rules: Vec<RuleId>,
    pub share: &'c [Box<str>],
    pub strength: Strength,
    pub presence: Presence<'c>,
}

/// What a claim may bring.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Strength {
    /// It can be served: it takes the host, or a place on it.
    Served,
    /// It cannot be served now: it is let in where nobody else wants to be, and takes nothing.
    Weak,
    /// It only shows that the party is still there.
    Absent,
}

/// The containers behind a claim.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence<'c> {
    /// Does one exist, in whatever state? Not where the route is only held.
    pub exists: bool,
    /// When the oldest and the newest were created, in seconds since the epoch.
    pub oldest: i64,
    pub newest: i64,
    pub engines: BTreeSet<&'c EngineName>,
    /// Ids, where the tenant is a container.
    pub containers: BTreeSet<&'c str>,
}

/// What became of a claim.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Decision {
    /// Somebody else holds the host, and does not share it.
    pub refused: Option<Loss>,
    /// Rules, by their position in the claim, that somebody else serves.
    pub lost: Vec<(usize, Loss)>,
    /// Served as a guest of the holder.
    pub is_guest: bool,
    /// Since when the party holds the host, and the age of its oldest container then; none where it holds
    /// nothing.
    pub seniority: Option<(i64, i64)>,
    /// The host was another party's, which is gone.
    pub taken_over: Option<Party>,
}

/// Who has what was asked for, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loss {
    pub holder: Party,
    /// None where the holder is the configuration file, or was never served.
    pub since: Option<i64>,
    pub until: Until,
}

/// How long a holder keeps what it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Until {
    /// While a container of it exists, and [`GRACE`](super::GRACE) beyond.
    Exists,
    /// Until then, unless a container of it is created: the last one is gone.
    Grace(i64),
    /// Until then, for those that were refused before; the holder is gone.
    Kept(i64),
}
