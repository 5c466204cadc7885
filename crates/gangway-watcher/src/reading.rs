//! Reading what one engine knows of its containers: all of them, or the few that something happened to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use futures::stream;
use gangway_model::snapshot::{Container, Drivers, EngineKind, EngineName, LeftOut, OwnPlace};
use tokio::time::{Instant, timeout};
use tracing::trace;

use crate::client::{Cause, Client, EngineError};
use crate::listing::{
    ContainerListing, InspectedContainer, InspectedFacts, ListedContainer, TranslationContext, translate,
};
use crate::network_drivers::{NetworkDrivers, PATIENCE};
use crate::own_location::Locator;
use crate::own_mounts::{self, OwnMount};
use crate::own_network::{self, OwnNetwork};
use crate::shared_networks::SharedNetworks;

/// Inspections under way at once: an engine answers each in a millisecond or two, and other clients want
/// it as well.
pub(crate) const INSPECTIONS_MAX: usize = 8;

/// What is known of containers beside their listing, kept from one reading to the next.
#[derive(Debug, Default)]
pub(crate) struct EngineCache {
    facts: BTreeMap<Box<str>, InspectedFacts>,
    /// Of our own container, by its id: they never change in its life.
    own_mounts: Option<(Box<str>, Vec<OwnMount>)>,
    /// We stood on the engine's host when everything was read last.
    is_on_host: bool,
    networks: NetworkDrivers,
    sharing: SharedNetworks,
    /// What the engine said of itself, where that was of interest.
    kind: Option<EngineKind>,
    left_out: BTreeMap<Box<str>, LeftOut>,
}

/// Listing a hundred containers takes an engine ten times as long as listing one; with more than so many, it
/// is asked for all.
const FEW: usize = 8;

/// Which containers are read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ReadScope {
    All,
    /// Those with these ids; the others stay as they were read last.
    Only(Vec<Box<str>>),
}

impl ReadScope {
    /// Of nothing yet.
    pub(crate) fn none() -> Self {
        Self::Only(Vec::new())
    }

    /// Is this one among them?
    pub(crate) fn covers(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.iter().any(|read| **read == *id),
        }
    }

    /// Adds the container that something happened to, if it is known which.
    pub(crate) fn add(&mut self, id: Option<Box<str>>) {
        let Self::Only(ids) = self else { return };
        match id.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            Some(id) if ids.contains(&id) => {}
            Some(id) if ids.len() < FEW => ids.push(id),
            _ => *self = Self::All,
        }
    }
}

/// What is known of an engine beside its containers.
#[derive(Debug, Default)]
pub(crate) struct EngineFacts {
    /// Of all networks, where they were asked for.
    pub(crate) drivers: Option<Drivers>,
    /// What makes no sense, of all containers.
    pub(crate) left_out: BTreeMap<Box<str>, LeftOut>,
    /// All that are in a network that is gone.
    pub(crate) stranded: BTreeSet<Box<str>>,
}

/// One reading.
#[derive(Debug)]
pub(crate) struct EngineReading {
    pub(crate) extent: ReadScope,
    pub(crate) containers: Vec<Container>,
    /// Where we are ourselves; only where all were read.
    pub(crate) own: Option<Box<(OwnPlace, OwnNetwork)>>,
    pub(crate) learnt: EngineFacts,
    /// What is mounted into our own container, if this engine runs it and that is known by now.
    pub(crate) own_mounts: Option<Vec<OwnMount>>,
    /// How much of the time was the engine's.
    pub(crate) took: Duration,
    /// For the next reading.
    pub(crate) known: EngineCache,
}

/// Lists containers, and inspects those of which the listing says too little: once in their lives, or each
/// time where the verdict of their health check is nowhere else.
pub(crate) async fn read(
    client: &Client,
    engine: &EngineName,
    surroundings: &Locator,
    mut known: EngineCache,
    mut extent: ReadScope,
) -> Result<EngineReading, EngineError> {
    let listing = match &extent {
        ReadScope::All => client.list().await?,
        ReadScope::Only(ids) => match client.list_only(ids).await {
            // By a guard that passes no filters on, perhaps.
            Err(EngineError { cause: Cause::Refused { .. }, .. }) => {
                extent = ReadScope::All;
                client.list().await?
            }
            listing => listing?,
        },
    };
    let mut took = listing.took;
    let ContainerListing { containers: mut listing, left_out } = listing.value;
    match &extent {
        ReadScope::All => {
            let listed: BTreeSet<&str> = listing.iter().map(|listed| &*listed.id).collect();
            known.facts.retain(|id, _| listed.contains(&**id));
            known.left_out = left_out;
        }
        // A guard may also have dropped the filter.
        ReadScope::Only(ids) => {
            listing.retain(|listed| ids.contains(&listed.id));
            known.left_out.retain(|id, _| !ids.contains(id));
            known.left_out.extend(left_out.into_iter().filter(|(id, _)| ids.contains(id)));
        }
    }

    let asked = Instant::now();
    let mut health = BTreeMap::new();
    let wanted: Vec<&ListedContainer> = listing.iter().filter(|listed| known.wants(listed)).collect();
    let inspected = inspect_all(client, wanted).await?;
    if !inspected.is_empty() {
        took += asked.elapsed();
    }
    for (listed, inspected) in inspected {
        if let Some(verdict) = inspected.as_ref().and_then(InspectedContainer::health) {
            health.insert(listed.id.clone(), verdict);
        }
        known.learn(listed, inspected.as_ref());
    }

    let begun = Instant::now();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let beside = TranslationContext { engine, facts: &known.facts, health: &health, now };
    let containers = translate(&listing, &beside);
    let mut drivers = None;
    let own = if extent == ReadScope::All {
        let seen = own_network::seen(&surroundings.traces, &listing, &containers);
        let own = match surroundings.own_place(&listing, &containers, client.version.kind) {
            OwnPlace::Elsewhere(EngineKind::Other) => {
                let kind = known.kind(client).await;
                drivers = known.networks.learn(client, &containers).await;
                // A host is not on the networks of macvlan and overlay that it has. Its bridges it would be on.
                let may_be_here = kind == EngineKind::Other && !surroundings.is_doubtful();
                if may_be_here && !known.networks.any_bridge(&containers) {
                    OwnPlace::Host
                } else {
                    OwnPlace::Elsewhere(kind)
                }
            }
            own => own,
        };
        Some(Box::new((own, seen)))
    } else {
        None
    };
    if let Some(own) = &own {
        known.is_on_host = own.0 == OwnPlace::Host;
        known.networks.keep_used(&containers);
    }
    let asked = Instant::now();
    if known.is_on_host && drivers.is_none() {
        drivers = known.networks.learn(client, &containers).await;
    }
    known.sharing.learn(client, &extent, &containers).await?;
    took += asked.elapsed();
    let (left_out, stranded) = (known.left_out.clone(), known.sharing.stranded());
    let learnt = EngineFacts { drivers, left_out, stranded };
    known.look_at_own_mounts(client, surroundings.own_container(&containers)).await;
    let own_mounts = known.own_mounts.as_ref().map(|(_, mounts)| mounts.clone());
    trace!(containers = containers.len(), translating = ?begun.elapsed(), "translated");
    Ok(EngineReading { extent, containers, own, learnt, own_mounts, took, known })
}

async fn inspect_all<'l>(
    client: &Client,
    wanted: Vec<&'l ListedContainer>,
) -> Result<Vec<(&'l ListedContainer, Option<InspectedContainer>)>, EngineError> {
    let questions: Vec<_> = wanted.into_iter().map(|listed| inspect(client, listed)).collect();
    let mut answers = stream::iter(questions).buffer_unordered(INSPECTIONS_MAX);
    let mut inspected = Vec::new();
    while let Some((listed, answer)) = answers.next().await {
        match answer {
            Ok(answer) => inspected.push((listed, answer)),
            // One container that cannot be inspected now is asked about again by the next reading.
            Err(EngineError { cause: Cause::Refused { .. } | Cause::TooLarge | Cause::Nonsense(_), .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(inspected)
}

async fn inspect<'l>(
    client: &Client,
    listed: &'l ListedContainer,
) -> (&'l ListedContainer, Result<Option<InspectedContainer>, EngineError>) {
    (listed, client.inspect(&listed.id).await)
}

impl EngineCache {
    /// Asks once. Where the engine does not say it now, the next reading asks again.
    async fn look_at_own_mounts(&mut self, client: &Client, own: Option<&Container>) {
        let Some(own) = own else { return };
        if self.own_mounts.as_ref().is_some_and(|(id, _)| *id == own.id) {
            return;
        }
        if let Ok(Some(inspected)) = client.inspect(&own.id).await {
            self.own_mounts = Some((own.id.clone(), own_mounts::read(&inspected.mounts)));
        }
    }

    /// What the engine is, for people; asked once.
    async fn kind(&mut self, client: &Client) -> EngineKind {
        match self.kind {
            Some(kind) => kind,
            None => {
                let told = timeout(PATIENCE, client.kind()).await;
                *self.kind.insert(told.ok().and_then(Result::ok).unwrap_or_default())
            }
        }
    }

    fn wants(&self, listed: &ListedContainer) -> bool {
        match self.facts.get(&listed.id) {
            Some(facts) => facts.health_unlisted && listed.runs(),
            None => listed.lacks_facts(),
        }
    }

    fn learn(&mut self, listed: &ListedContainer, inspected: Option<&InspectedContainer>) {
        let facts = inspected.map(|inspected| inspected.facts(listed)).unwrap_or_default();
        self.facts.insert(listed.id.clone(), facts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_read_alone_and_more_or_unknown_ones_with_all() {
        let extent = |ids: &[Option<&str>]| {
            let mut extent = ReadScope::none();
            ids.iter().for_each(|id| extent.add(id.map(Into::into)));
            extent
        };
        assert_eq!(extent(&[Some("ab"), Some("ab"), Some("cd")]), ReadScope::Only(vec!["ab".into(), "cd".into()]));
        assert_eq!(extent(&[Some("ab"), None]), ReadScope::All);
        assert_eq!(extent(&[Some("\"]}&all=0")]), ReadScope::All, "what is no id is not asked for");
        let many: Vec<String> = (0..=FEW).map(|number| number.to_string()).collect();
        let many: Vec<_> = many.iter().map(|id| Some(&**id)).collect();
        assert!(matches!(extent(&many[1..]), ReadScope::Only(_)));
        assert_eq!(extent(&many), ReadScope::All);
    }
}
