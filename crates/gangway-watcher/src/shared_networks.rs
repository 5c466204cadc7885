//! Containers that use the network of another one, and whether it is still that one's.
//!
//! An engine leaves a container in the network that the other had when it was started. No listing tells: once the
//! other was restarted, it has another network, and perhaps the same address. When both were started does tell. Only
//! those few are inspected, each time that something may have happened to them.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use gangway_model::snapshot::{Container, ContainerState, NetworkMode};

use crate::client::{Cause, Client, EngineError};
use crate::listing::{EngineTime, InspectedContainer};
use crate::reading::{INSPECTIONS_MAX, ReadScope};

/// What is known of them, for one session.
#[derive(Debug, Default)]
pub(crate) struct SharedNetworks {
    /// The host of each guest that is up.
    hosts: BTreeMap<Box<str>, Box<str>>,
    /// When guests and hosts were started last.
    started: BTreeMap<Box<str>, EngineTime>,
}

impl SharedNetworks {
    /// Takes note of a reading, and asks about those that it is about.
    pub(crate) async fn learn(
        &mut self,
        client: &Client,
        extent: &ReadScope,
        containers: &[Container],
    ) -> Result<(), EngineError> {
        self.hosts.retain(|guest, _| !extent.covers(guest));
        self.hosts.extend(containers.iter().filter_map(|container| match &container.network {
            NetworkMode::Container(host) if is_up(container) => Some((container.id.clone(), host.clone())),
            _ => None,
        }));
        let involved: BTreeSet<Box<str>> = self.hosts.iter().flat_map(|(guest, host)| [guest, host]).cloned().collect();
        // What was read may have been started anew.
        self.started.retain(|id, _| involved.contains(id) && !extent.covers(id));
        let unknown: Vec<Box<str>> = involved.into_iter().filter(|id| !self.started.contains_key(id)).collect();
        let questions = unknown.into_iter().map(|id| ask(client, id));
        let mut answers = stream::iter(questions).buffer_unordered(INSPECTIONS_MAX);
        while let Some((id, answer)) = answers.next().await {
            match answer {
                Ok(inspected) => {
                    self.started
                        .extend(inspected.as_ref().and_then(InspectedContainer::started).map(|started| (id, started)));
                }
                // The next reading asks again. As long as nothing is known, nothing is concluded.
                Err(EngineError { cause: Cause::Refused { .. } | Cause::TooLarge | Cause::Nonsense(_), .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Guests that were started before their host was.
    pub(crate) fn stranded(&self) -> BTreeSet<Box<str>> {
        let started = |id: &str| self.started.get(id);
        let is_before = |guest: &str, host: &str| started(guest).zip(started(host)).is_some_and(|(one, two)| one < two);
        self.hosts.iter().filter(|(guest, host)| is_before(guest, host)).map(|(guest, _)| guest.clone()).collect()
    }
}

async fn ask(client: &Client, id: Box<str>) -> (Box<str>, Result<Option<InspectedContainer>, EngineError>) {
    let answer = client.inspect(&id).await;
    (id, answer)
}

fn is_up(container: &Container) -> bool {
    container.state == ContainerState::Running
}
