//! Containers that use the network of another container, and whether that network still exists.
//!
//! Such a guest stays in the network that its host had when the guest was started. If the host is restarted, it gets a
//! new network, perhaps with the same address, and no listing shows the difference. The start times of both do, so
//! guests and hosts are inspected each time that something may have happened to them. They are few.

use std::collections::{BTreeMap, BTreeSet};

use gangway_model::{Container, ContainerState, NetworkMode};

use crate::client::Client;
use crate::engine_error::EngineError;
use crate::listing::{EngineTime, InspectedContainer};
use crate::read_scope::ReadScope;

/// The guests and hosts of one engine, for one session.
#[derive(Debug, Default)]
pub(crate) struct SharedNetworks {
    /// The host of each guest that is up.
    hosts: BTreeMap<Box<str>, Box<str>>,
    /// When guests and hosts were started last.
    started: BTreeMap<Box<str>, EngineTime>,
}

impl SharedNetworks {
    /// Updates the guests from a reading, and asks for the start times of those that the reading covers.
    pub(crate) async fn update(
        &mut self,
        client: &Client,
        scope: &ReadScope,
        containers: &[Container],
    ) -> Result<(), EngineError> {
        self.hosts.retain(|guest, _| !scope.covers(guest));
        self.hosts.extend(containers.iter().filter_map(|container| match &container.network {
            NetworkMode::Container(host) if is_up(container) => Some((container.id.clone(), host.clone())),
            NetworkMode::Container(_) | NetworkMode::Networks | NetworkMode::Host | NetworkMode::None => None,
        }));
        let involved: BTreeSet<Box<str>> = self.hosts.iter().flat_map(|(guest, host)| [guest, host]).cloned().collect();
        // A container that was read may have been restarted.
        self.started.retain(|id, _| involved.contains(id) && !scope.covers(id));
        let unknown = involved.into_iter().filter(|id| !self.started.contains_key(id));
        // The next reading asks again for those that cannot be inspected now. Until a start time is known, nothing is
        // concluded from it.
        for (id, inspected) in client.inspect_all(unknown).await? {
            self.started.extend(inspected.as_ref().and_then(InspectedContainer::started).map(|started| (id, started)));
        }
        Ok(())
    }

    /// Guests that were started before their host was, so that their network no longer exists.
    pub(crate) fn stranded(&self) -> BTreeSet<Box<str>> {
        let started = |id: &str| self.started.get(id);
        let is_older =
            |guest: &str, host: &str| started(guest).zip(started(host)).is_some_and(|(guest, host)| guest < host);
        self.hosts.iter().filter(|(guest, host)| is_older(guest, host)).map(|(guest, _)| guest.clone()).collect()
    }
}

fn is_up(container: &Container) -> bool {
    container.state == ContainerState::Running
}
