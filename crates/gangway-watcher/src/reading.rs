//! Reading everything that one engine knows of its containers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use gangway_model::snapshot::{Container, EngineName, OwnPlace};
use tokio::time::Instant;
use tracing::trace;

use crate::client::{Cause, Client, EngineError};
use crate::listing::{Beside, Facts, Inspected, Listed, translate};
use crate::own_place::Surroundings;

/// Inspections under way at once: an engine answers each in a millisecond or two, and other clients want
/// it as well.
const INSPECTIONS_MAX: usize = 8;

/// What is known of containers beside their listing, kept from one reading to the next.
#[derive(Debug, Default)]
pub(crate) struct Known {
    facts: BTreeMap<Box<str>, Facts>,
}

/// One full reading.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) containers: Vec<Container>,
    pub(crate) own: OwnPlace,
    /// How much of the time was the engine's.
    pub(crate) took: Duration,
    /// For the next reading.
    pub(crate) known: Known,
}

/// Lists all containers, and inspects those of which the listing says too little: once in their lives, or
/// each time where the verdict of their health check is nowhere else.
pub(crate) async fn read(
    client: &Client,
    engine: &EngineName,
    surroundings: &Surroundings,
    mut known: Known,
) -> Result<Reading, EngineError> {
    let listing = client.list().await?;
    let mut took = listing.took;
    let listing = listing.value;

    let listed: BTreeSet<&str> = listing.iter().map(|listed| &*listed.id).collect();
    known.facts.retain(|id, _| listed.contains(&**id));
    let asked = Instant::now();
    let mut health = BTreeMap::new();
    let wanted: Vec<&Listed> = listing.iter().filter(|listed| known.wants(listed)).collect();
    let inspected = inspect_all(client, wanted).await?;
    if !inspected.is_empty() {
        took += asked.elapsed();
    }
    for (listed, inspected) in inspected {
        if let Some(verdict) = inspected.as_ref().and_then(Inspected::health) {
            health.insert(listed.id.clone(), verdict);
        }
        known.learn(listed, inspected.as_ref());
    }

    let begun = Instant::now();
    let beside = Beside { engine, facts: &known.facts, health: &health };
    let containers = translate(&listing, &beside);
    let own = surroundings.own_place(&listing, &containers);
    trace!(containers = containers.len(), translating = ?begun.elapsed(), "translated");
    Ok(Reading { containers, own, took, known })
}

async fn inspect_all<'l>(
    client: &Client,
    wanted: Vec<&'l Listed>,
) -> Result<Vec<(&'l Listed, Option<Inspected>)>, EngineError> {
    let questions: Vec<_> = wanted.into_iter().map(|listed| inspect(client, listed)).collect();
    let mut answers = stream::iter(questions).buffer_unordered(INSPECTIONS_MAX);
    let mut inspected = Vec::new();
    while let Some((listed, answer)) = answers.next().await {
        match answer {
            Ok(answer) => inspected.push((listed, answer)),
            // One container that cannot be inspected now is asked about again by the next reading.
            Err(EngineError { cause: Cause::Refused { .. }, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(inspected)
}

async fn inspect<'l>(client: &Client, listed: &'l Listed) -> (&'l Listed, Result<Option<Inspected>, EngineError>) {
    (listed, client.inspect(&listed.id).await)
}

impl Known {
    fn wants(&self, listed: &Listed) -> bool {
        match self.facts.get(&listed.id) {
            Some(facts) => facts.health_unlisted && listed.runs(),
            None => listed.lacks_facts(),
        }
    }

    fn learn(&mut self, listed: &Listed, inspected: Option<&Inspected>) {
        let facts = inspected.map(|inspected| inspected.facts(listed)).unwrap_or_default();
        self.facts.insert(listed.id.clone(), facts);
    }
}
