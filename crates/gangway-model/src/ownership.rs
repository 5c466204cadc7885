//! The holders of hosts. Claims and the holdings before them go in, the new holdings come out.
//!
//! A host belongs to a [`Party`] and not to a container. A party takes a host when it is first served there. It keeps
//! the host as long as a container of it exists in any state, and for [`GRACE`] beyond. After that it is a *former*
//! holder: a container that was created after the party was gone takes the host at once, a container that was refused
//! before waits for `--keep-hosts`, and the party itself may return at any time.
//!
//! Towards each other, [`Tenant`]s hold hosts: a project serves every path of its host, and others only where it
//! shares. Within a tenant several parties serve one host, each its own rules. Of two parties that ask for the same
//! rule, the one that has it keeps it.
//!
//! Nothing is released while an engine on which the party was seen cannot be read.
//!
//! Everything is pure: the time is an argument, and the order of claims never matters.

mod claim;
mod decide;
mod few;
mod holding;
mod observation;
mod tenant;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
pub(crate) use claim::{Claim, Decision, Loss, Presence, Strength, Until};
pub use few::{FewMap, FewSet};
pub use holding::{Holding, RefusedClaim, RuleId, Tenure};
pub use observation::GRACE;
pub(crate) use observation::{Observation, seconds};
pub use tenant::{Party, Tenant};

use crate::matcher::HostCondition;

/// The most hosts without a present holder that are remembered of one tenant. Beyond, the oldest are forgotten.
const FORMER_OF_TENANT_MAX: usize = 1_000;

/// The most hosts without a present holder that are remembered in all. Containers that come and go under new names must
/// not fill the memory.
const FORMER_MAX: usize = 20_000;

/// All hosts that are held, or were held a short time ago.
///
/// Cheap to clone: unchanged hosts are shared with the value before.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    hosts: Arc<HashMap<HostCondition, Arc<Holding>, RandomState>>,
}

impl Holdings {
    /// Makes a value of stored hosts. Of a host that occurs twice the last one counts.
    pub fn new(hosts: impl IntoIterator<Item = (HostCondition, Holding)>) -> Self {
        let hosts = hosts.into_iter().map(|(host, holding)| (host, Arc::new(holding)));
        Self { hosts: Arc::new(hosts.collect()) }
    }

    /// All hosts, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&HostCondition, &Holding)> {
        self.hosts.iter().map(|(host, holding)| (host, &**holding))
    }

    /// The holding of one host.
    pub fn of(&self, host: &HostCondition) -> Option<&Holding> {
        self.hosts.get(host).map(|holding| &**holding)
    }

    /// Whether nothing differs from that value. This costs nothing, because deciding returns the same value where nothing
    /// changes.
    pub fn is_unchanged_since(&self, before: &Self) -> bool {
        Arc::ptr_eq(&self.hosts, &before.hosts)
    }

    /// The party of each container that was started by itself, by the container's id. A container that was renamed is
    /// still found.
    pub(crate) fn renamed(&self) -> HashMap<&str, &Party, RandomState> {
        let tenures = self.hosts.values().flat_map(|holding| holding.tenures.iter());
        tenures.flat_map(|(party, tenure)| tenure.containers.iter().map(move |id| (&**id, party))).collect()
    }

    /// The tenants that hold something. Of containers that do not run, only the labels of theirs matter.
    pub(crate) fn tenants(&self) -> HashSet<&Tenant, RandomState> {
        self.hosts.values().flat_map(|holding| holding.tenures.keys().map(|party| &party.tenant)).collect()
    }

    /// The time after which a host may be released although nothing happens.
    pub fn next_end(&self, now: i64, keep: Duration) -> Option<Duration> {
        let keep = seconds(keep);
        let tenures = self.hosts.values().flat_map(|holding| holding.tenures.values());
        let ends =
            tenures.filter_map(|tenure| tenure.gone).flat_map(|gone| [seconds(GRACE), keep].map(|end| gone + end));
        let next = ends.filter(|end| *end > now).min()?;
        Some(Duration::from_secs(u64::try_from(next - now).unwrap_or_default()))
    }

    /// Decides about all claims. The decisions are in the order of the claims.
    pub(crate) fn settle(
        &self,
        claims: &[Claim<'_>],
        released: &BTreeSet<HostCondition>,
        observation: Observation<'_>,
    ) -> (Self, Vec<Decision>) {
        let mut by_host: HashMap<&HostCondition, Vec<usize>, RandomState> =
            HashMap::with_capacity_and_hasher(claims.len(), RandomState::new());
        for (position, claim) in claims.iter().enumerate() {
            by_host.entry(claim.host).or_default().push(position);
        }
        let mut decisions: Vec<Decision> = vec![Decision::default(); claims.len()];
        let mut changes: Vec<(HostCondition, Option<Holding>)> = Vec::new();
        let unclaimed = self.hosts.keys().filter(|host| !by_host.contains_key(*host));
        let unclaimed: Vec<(&HostCondition, Vec<usize>)> = unclaimed.map(|host| (host, Vec::new())).collect();
        for (host, positions) in by_host.into_iter().chain(unclaimed) {
            let before = self.of(host);
            let of_host: Vec<&Claim<'_>> = positions.iter().map(|position| &claims[*position]).collect();
            let decided = decide::decide(before, &of_host, released.contains(host), observation);
            for (position, decision) in positions.into_iter().zip(decided.decisions) {
                decisions[position] = decision;
            }
            if let Some(holding) = decided.holding
                && before != holding.as_ref()
            {
                changes.push((host.clone(), holding));
            }
        }
        if changes.is_empty() {
            return (self.clone(), decisions);
        }
        let mut hosts = (*self.hosts).clone();
        for (host, holding) in changes {
            match holding {
                Some(holding) => drop(hosts.insert(host, Arc::new(holding))),
                None => drop(hosts.remove(&host)),
            }
        }
        forget_beyond(&mut hosts);
        (Self { hosts: Arc::new(hosts) }, decisions)
    }
}

/// Forgets the oldest hosts without a present holder, where there are too many.
fn forget_beyond(hosts: &mut HashMap<HostCondition, Arc<Holding>, RandomState>) {
    let gone = |holding: &Holding| holding.tenures.values().all(|tenure| tenure.gone.is_some());
    let mut former: Vec<(i64, Tenant, HostCondition)> = Vec::new();
    for (host, holding) in hosts.iter().filter(|(_, holding)| gone(holding)) {
        let Some((party, tenure)) = holding.tenures.iter().max_by_key(|(_, tenure)| tenure.gone) else { continue };
        former.push((tenure.gone.unwrap_or_default(), party.tenant.clone(), host.clone()));
    }
    if former.len() <= FORMER_OF_TENANT_MAX {
        return;
    }
    former.sort_by(|one, other| other.cmp(one));
    let mut of_tenants: HashMap<&Tenant, usize, RandomState> = HashMap::default();
    for (position, (_, tenant, host)) in former.iter().enumerate() {
        let count = of_tenants.entry(tenant).or_default();
        *count += 1;
        if *count > FORMER_OF_TENANT_MAX || position >= FORMER_MAX {
            hosts.remove(host);
        }
    }
}
