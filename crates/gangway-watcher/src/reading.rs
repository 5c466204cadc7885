//! Reads an engine's containers: all of them, or the few that something happened to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gangway_model::{Container, Drivers, EngineKind, EngineName, Health, LeftOut, OwnPlace};
use tokio::time::{Instant, timeout};
use tracing::trace;

use crate::client::{Client, TimedAnswer};
use crate::engine_error::{Cause, EngineError};
use crate::listing::{
    ContainerListing, InspectedContainer, InspectedFacts, ListedContainer, TranslationContext, translate,
};
use crate::network_drivers::{NetworkDrivers, OPTIONAL_MAX};
use crate::own_location::Locator;
use crate::own_mounts::{self, OwnMount};
use crate::own_network::{OwnNetwork, own_network};
use crate::read_scope::ReadScope;
use crate::shared_networks::SharedNetworks;

/// Results of earlier readings of a session, beside the listing.
#[derive(Debug, Default)]
pub(crate) struct EngineCache {
    facts: BTreeMap<Box<str>, InspectedFacts>,
    /// The mounts of our own container, with its id. They never change while it exists.
    own_mounts: Option<(Box<str>, Vec<OwnMount>)>,
    /// The last reading of all containers found that we run on the engine's host.
    is_on_host: bool,
    networks: NetworkDrivers,
    shared_networks: SharedNetworks,
    /// The kind of the engine according to `/info`, which is asked for only where it matters.
    kind: Option<EngineKind>,
    left_out: BTreeMap<Box<str>, LeftOut>,
}

/// Facts about an engine beside its containers.
#[derive(Debug, Default)]
pub(crate) struct EngineFacts {
    /// The drivers of all networks, if this reading asked for them.
    pub(crate) drivers: Option<Drivers>,
    /// The malformed parts of all containers.
    pub(crate) left_out: BTreeMap<Box<str>, LeftOut>,
    /// The containers that are in a network which no longer exists.
    pub(crate) stranded: BTreeSet<Box<str>>,
}

/// The place where Gangway runs and the network that clients reach it through, as far as an engine knows.
#[derive(Debug)]
pub(crate) struct OwnPosition {
    pub(crate) place: OwnPlace,
    pub(crate) network: OwnNetwork,
}

/// The result of one reading.
#[derive(Debug)]
pub(crate) struct EngineReading {
    pub(crate) scope: ReadScope,
    pub(crate) containers: Vec<Container>,
    /// `None` if not all containers were read.
    pub(crate) own: Option<Box<OwnPosition>>,
    pub(crate) facts: EngineFacts,
    /// The mounts of our own container, if this engine runs it and they are known.
    pub(crate) own_mounts: Option<Vec<OwnMount>>,
    /// How much of the time the engine took.
    pub(crate) took: Duration,
    /// To be passed to the next reading.
    pub(crate) cache: EngineCache,
}

/// Lists containers, and inspects those of which the listing says too little.
///
/// Most containers are inspected once in their lives. Those whose health is not in the listing are inspected each time.
pub(crate) async fn read(
    client: &Client,
    engine: &EngineName,
    locator: &Locator,
    mut cache: EngineCache,
    scope: ReadScope,
) -> Result<EngineReading, EngineError> {
    let (scope, TimedAnswer { value: listing, mut took }) = list(client, scope).await?;
    let listing = cache.take_listing(listing, &scope);
    let asked = Instant::now();
    let health = cache.inspect(client, &listing).await?;
    if health.is_some() {
        took += asked.elapsed();
    }

    let begun = Instant::now();
    let context = TranslationContext {
        engine,
        facts: &cache.facts,
        health: &health.unwrap_or_default(),
        now: seconds_since_epoch(),
    };
    let containers = translate(&listing, &context);
    let translating = begun.elapsed();
    let mut drivers = None;
    let own = match &scope {
        ReadScope::All => {
            let place = cache.own_place(client, locator, &listing, &containers, &mut drivers).await;
            cache.is_on_host = place == OwnPlace::Host;
            cache.networks.keep_used(&containers);
            let network = own_network(&locator.own_ids, &listing, &containers);
            Some(Box::new(OwnPosition { place, network }))
        }
        ReadScope::Only(_) => None,
    };
    let asked = Instant::now();
    if cache.is_on_host && drivers.is_none() {
        drivers = cache.networks.learn(client, &containers).await;
    }
    cache.shared_networks.update(client, &scope, &containers).await?;
    took += asked.elapsed();
    let (left_out, stranded) = (cache.left_out.clone(), cache.shared_networks.stranded());
    let facts = EngineFacts { drivers, left_out, stranded };
    cache.read_own_mounts(client, locator.own_container(&containers)).await;
    let own_mounts = cache.own_mounts.as_ref().map(|(_, mounts)| mounts.clone());
    trace!(containers = containers.len(), ?translating, "translated");
    Ok(EngineReading { scope, containers, own, facts, own_mounts, took, cache })
}

/// Lists the containers in the scope. The scope becomes all if the engine refuses to list some.
async fn list(client: &Client, scope: ReadScope) -> Result<(ReadScope, TimedAnswer<ContainerListing>), EngineError> {
    let ids = match &scope {
        ReadScope::All => return Ok((ReadScope::All, client.list().await?)),
        ReadScope::Only(ids) => ids,
    };
    match client.list_only(ids).await {
        Ok(listing) => Ok((scope, listing)),
        // Perhaps a socket proxy does not pass filters on.
        Err(EngineError { cause: Cause::Refused { .. }, .. }) => Ok((ReadScope::All, client.list().await?)),
        Err(error) => Err(error),
    }
}

fn seconds_since_epoch() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl EngineCache {
    /// Updates the cache from a listing, and returns the listed containers in the scope.
    fn take_listing(&mut self, listing: ContainerListing, scope: &ReadScope) -> Vec<ListedContainer> {
        let ContainerListing { mut containers, left_out } = listing;
        match scope {
            ReadScope::All => {
                let listed: BTreeSet<&str> = containers.iter().map(|listed| &*listed.id).collect();
                self.facts.retain(|id, _| listed.contains(&**id));
                self.left_out = left_out;
            }
            // A socket proxy may also have dropped the filter, and so listed more.
            ReadScope::Only(ids) => {
                containers.retain(|listed| ids.contains(&listed.id));
                self.left_out.retain(|id, _| !ids.contains(id));
                self.left_out.extend(left_out.into_iter().filter(|(id, _)| ids.contains(id)));
            }
        }
        containers
    }

    /// Inspects the containers that need it, and returns the health of those among them that have a check. `None` if
    /// no container was inspected.
    async fn inspect(
        &mut self,
        client: &Client,
        listing: &[ListedContainer],
    ) -> Result<Option<BTreeMap<Box<str>, Health>>, EngineError> {
        let wanted: BTreeMap<&str, &ListedContainer> =
            listing.iter().filter(|listed| self.needs_inspection(listed)).map(|listed| (&*listed.id, listed)).collect();
        let inspected = client.inspect_all(wanted.keys().map(|id| Box::from(*id))).await?;
        if inspected.is_empty() {
            return Ok(None);
        }
        let mut health = BTreeMap::new();
        for (id, inspected) in inspected {
            if let Some(verdict) = inspected.as_ref().and_then(InspectedContainer::health) {
                health.insert(id.clone(), verdict);
            }
            let facts = inspected.zip(wanted.get(&*id)).map(|(inspected, listed)| inspected.facts(listed));
            self.facts.insert(id, facts.unwrap_or_default());
        }
        Ok(Some(health))
    }

    fn needs_inspection(&self, listed: &ListedContainer) -> bool {
        match self.facts.get(&listed.id) {
            Some(facts) => facts.health_unlisted && listed.runs(),
            None => listed.lacks_facts(),
        }
    }

    /// The place where Gangway runs. If that may be elsewhere, the engine's kind and the drivers of its networks decide.
    async fn own_place(
        &mut self,
        client: &Client,
        locator: &Locator,
        listing: &[ListedContainer],
        containers: &[Container],
        drivers: &mut Option<Drivers>,
    ) -> OwnPlace {
        let place = locator.own_place(listing, containers, client.version.kind);
        if place != OwnPlace::Elsewhere(EngineKind::Other) {
            return place;
        }
        let kind = self.kind(client).await;
        *drivers = self.networks.learn(client, containers).await;
        // A host has no address on the networks of macvlan and overlay that it has, but it has one on its bridges.
        let may_be_here = kind == EngineKind::Other && !locator.may_be_elsewhere();
        if may_be_here && !self.networks.any_bridge(containers) { OwnPlace::Host } else { OwnPlace::Elsewhere(kind) }
    }

    /// The kind of the engine, for messages. The engine is asked once.
    async fn kind(&mut self, client: &Client) -> EngineKind {
        match self.kind {
            Some(kind) => kind,
            None => {
                let answer = timeout(OPTIONAL_MAX, client.kind()).await;
                *self.kind.insert(answer.ok().and_then(Result::ok).unwrap_or_default())
            }
        }
    }

    /// Reads the mounts of our own container, once. If the engine does not answer now, the next reading asks again.
    async fn read_own_mounts(&mut self, client: &Client, own: Option<&Container>) {
        let Some(own) = own else { return };
        if self.own_mounts.as_ref().is_some_and(|(id, _)| *id == own.id) {
            return;
        }
        if let Ok(Some(inspected)) = client.inspect(&own.id).await {
            self.own_mounts = Some((own.id.clone(), own_mounts::parse(&inspected.mounts)));
        }
    }
}
