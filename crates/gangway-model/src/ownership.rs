//! Who holds which host: claims and what was held before go in, what is held comes out.
//!
//! A host belongs to a [`Party`] and not to a container. A party takes a host when it is first served
//! there, and keeps it for as long as a container of it exists in any state, and for [`GRACE`] beyond.
//! After that the host is *former*: a container that was created after the party was gone takes it at
//! once, one that was refused before waits for `--keep-hosts`, and the party itself may return at any time.
//!
//! Hosts are held by [`Tenant`]s towards each other: a project serves every path of its host, and others
//! only where it shares. Within a tenant several parties serve one host, each its own rules; of two that
//! ask for the same, the one that has it keeps it.
//!
//! Nothing is released while an engine that the party was seen on cannot be read.
//!
//! The value is pure: the time is an argument, and the order of claims never matters.

mod decide;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;

pub(crate) use self::decide::{Claim, Decision, Loss, Presence, Strength, Until};
use crate::digest::Digest;
use crate::matcher::{Alternative, HostCondition};
use crate::snapshot::EngineName;

/// So long a host stays its party's after the last container of it is gone: somebody who recreates a
/// container by hand removes it first.
pub const GRACE: Duration = Duration::from_secs(60);

/// Former hosts remembered of one tenant; of more, the oldest are forgotten.
const FORMER_OF_TENANT_MAX: usize = 1_000;

/// Former hosts remembered in all: containers that come and go under new names must not fill the memory.
const FORMER_MAX: usize = 20_000;

/// Who cannot take anything from whom.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Tenant {
    /// The configuration file.
    File,
    /// A compose project or a Swarm stack, the same on every engine.
    Project(Box<str>),
    /// A Swarm service that belongs to no stack.
    Service(Box<str>),
    /// A container that was started by itself.
    Container {
        /// Its engine.
        engine: EngineName,
        /// Its name when it was first served.
        name: Box<str>,
    },
}

/// Whose a route is: what stays the same when containers are recreated.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Party {
    /// The project, or the container.
    pub tenant: Tenant,
    /// The service, or the `group` of services; empty for a container and for the file.
    pub service: Box<str>,
    /// The route's name.
    pub route: Box<str>,
}

/// All hosts that are held, or were a short time ago.
///
/// Cheap to clone: what does not change is shared with the value before.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    hosts: Arc<HashMap<HostCondition, Arc<Holding>, RandomState>>,
}

/// Who holds one host, and who would like to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holding {
    /// By party; those that are gone among them, until they are forgotten.
    pub tenures: BTreeMap<Party, Tenure>,
    /// Those that are served nowhere on it, or not with all that they ask for.
    pub refused: BTreeMap<Party, Refusal>,
}

/// A claim that is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
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

impl Moment<'_> {
    /// Is the party there, or was it a moment ago?
    pub(crate) fn has(&self, tenure: &Tenure) -> bool {
        let is_unknown = tenure.engines.iter().any(|engine| self.unread.contains(engine));
        is_unknown || tenure.gone.is_none_or(|gone| self.now < gone + seconds(GRACE))
    }
}

/// What is known of the world when claims are decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'w> {
    /// Seconds since the epoch.
    pub now: i64,
    /// `--keep-hosts`, in seconds.
    pub keep: i64,
    /// Engines that cannot be read now.
    pub unread: &'w BTreeSet<EngineName>,
}

impl Holdings {
    /// From what was written down. What is said of a host twice counts the last time.
    pub fn new(hosts: impl IntoIterator<Item = (HostCondition, Holding)>) -> Self {
        let hosts = hosts.into_iter().map(|(host, holding)| (host, Arc::new(holding)));
        Self { hosts: Arc::new(hosts.collect()) }
    }

    /// In no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&HostCondition, &Holding)> {
        self.hosts.iter().map(|(host, holding)| (host, &**holding))
    }

    /// Who holds a host.
    pub fn of(&self, host: &HostCondition) -> Option<&Holding> {
        self.hosts.get(host).map(|holding| &**holding)
    }

    /// Is nothing different from that value? Costs nothing: deciding gives the same value back where nothing
    /// changes.
    pub fn is_unchanged_since(&self, before: &Self) -> bool {
        Arc::ptr_eq(&self.hosts, &before.hosts)
    }

    /// The party that a container belongs to whatever its name is now, by its id: for those that were
    /// started by themselves.
    pub(crate) fn renamed(&self) -> HashMap<&str, &Party, RandomState> {
        let tenures = self.hosts.values().flat_map(|holding| &holding.tenures);
        tenures.flat_map(|(party, tenure)| tenure.containers.iter().map(move |id| (&**id, party))).collect()
    }

    /// The tenants that hold something: only of their containers that do not run the labels matter.
    pub(crate) fn tenants(&self) -> std::collections::HashSet<&Tenant, RandomState> {
        self.hosts.values().flat_map(|holding| holding.tenures.keys().map(|party| &party.tenant)).collect()
    }

    /// After how many seconds something may be let go although nothing happens.
    pub fn next_end(&self, now: i64, keep: Duration) -> Option<Duration> {
        let keep = seconds(keep);
        let tenures = self.hosts.values().flat_map(|holding| holding.tenures.values());
        let ends =
            tenures.filter_map(|tenure| tenure.gone).flat_map(|gone| [seconds(GRACE), keep].map(|end| gone + end));
        let next = ends.filter(|end| *end > now).min()?;
        Some(Duration::from_secs(u64::try_from(next - now).unwrap_or_default()))
    }

    /// Decides about all claims. The decisions stand in the order of the claims.
    pub(crate) fn settle(
        &self,
        claims: &[Claim<'_>],
        released: &BTreeSet<HostCondition>,
        moment: Moment<'_>,
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
            let decided = decide::decide(before, &of_host, released.contains(host), moment);
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

/// Forgets the oldest of those that are gone, where there are too many.
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

impl Tenant {
    /// A text that no other tenant has.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::File => "file".to_owned(),
            Self::Project(name) => format!("project {name}"),
            Self::Service(name) => format!("service {name}"),
            Self::Container { engine, name } => format!("container {}/{name}", engine.0),
        }
    }

    /// The name by which `share` lets it in.
    pub fn name(&self) -> &str {
        match self {
            Self::File => "",
            Self::Project(name) | Self::Service(name) | Self::Container { name, .. } => name,
        }
    }
}

/// ``project `shop` ``, for people.
impl Display for Tenant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the configuration file"),
            Self::Project(name) => write!(f, "project {}", crate::rule::shown(name)),
            Self::Service(name) => write!(f, "service {}", crate::rule::shown(name)),
            Self::Container { name, .. } => write!(f, "container {}", crate::rule::shown(name)),
        }
    }
}

/// ``service `web` of project `shop` ``, for people.
impl Display for Party {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            Tenant::File => write!(f, "route {} of the configuration file", crate::rule::shown(&self.route)),
            Tenant::Project(_) => write!(f, "service {} of {}", crate::rule::shown(&self.service), self.tenant),
            Tenant::Service(_) | Tenant::Container { .. } => self.tenant.fmt(f),
        }
    }
}

pub(crate) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX / 4)
}
