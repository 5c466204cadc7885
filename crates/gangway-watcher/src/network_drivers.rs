//! The drivers of an engine's networks.
//!
//! Gangway asks for them only where it runs on the host, because there they decide over which of its networks a
//! container is reached. It asks once a session, and again when a container is on an unknown network. The time to
//! answer is short, and a reading succeeds without the answer. An engine that refuses (for example because a socket
//! proxy forbids the request) is not asked again.

use std::collections::BTreeSet;
use std::time::Duration;

use gangway_model::{Container, ContainerState, Drivers};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::client::Client;
use crate::engine_error::{Cause, EngineError};

/// The time limit for requests that a reading can do without.
pub(crate) const OPTIONAL_MAX: Duration = Duration::from_secs(2);

/// An engine that did not answer is asked again after this long. Readings until then do not wait for it.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The drivers that are known in one session.
#[derive(Debug, Default)]
pub(crate) struct NetworkDrivers {
    drivers: Drivers,
    /// Networks of containers that the engine's list of networks lacks.
    unlisted: BTreeSet<Box<str>>,
    refused: bool,
    /// The engine is not asked before then.
    next_try: Option<Instant>,
}

impl NetworkDrivers {
    /// Asks the engine if one of these containers is on an unknown network. Returns the drivers of all networks if the
    /// engine answered.
    pub(crate) async fn learn(&mut self, client: &Client, containers: &[Container]) -> Option<Drivers> {
        let unknown = self.unknown(containers);
        let is_paused = self.next_try.is_some_and(|next_try| Instant::now() < next_try);
        if unknown.is_empty() || self.refused || is_paused {
            return None;
        }
        self.next_try = None;
        let refused = |error: &EngineError| matches!(&error.cause, Cause::Refused { status, .. } if *status < 500);
        match timeout(OPTIONAL_MAX, client.networks()).await {
            Ok(Ok(answer)) => {
                self.drivers = drivers(&answer.value);
                self.unlisted.extend(unknown);
                return Some(self.drivers.clone());
            }
            Ok(Err(error)) => {
                debug!(%error, "failed to list the networks");
                self.refused = refused(&error);
            }
            Err(_) => debug!("the networks were not listed in time"),
        }
        self.next_try = Some(Instant::now() + RETRY_AFTER);
        None
    }

    /// Whether one of these containers is on a network that is known to be a bridge.
    pub(crate) fn any_bridge(&self, containers: &[Container]) -> bool {
        used(containers).any(|id| self.drivers.get(id).is_some_and(|driver| **driver == *"bridge"))
    }

    /// Forgets networks that no container uses. `containers` are all containers of the engine.
    pub(crate) fn keep_used(&mut self, containers: &[Container]) {
        if !self.unlisted.is_empty() {
            let used: BTreeSet<&str> = used(containers).collect();
            self.unlisted.retain(|id| used.contains(&**id));
        }
    }

    fn unknown(&self, containers: &[Container]) -> BTreeSet<Box<str>> {
        let is_unknown = |id: &&str| !self.drivers.contains_key(*id) && !self.unlisted.contains(*id);
        used(containers).filter(is_unknown).map(Into::into).collect()
    }
}

/// The networks of running containers. For other containers, an engine lists networks without their ids.
fn used(containers: &[Container]) -> impl Iterator<Item = &str> {
    let is_up = |container: &&Container| container.state == ContainerState::Running;
    containers.iter().filter(is_up).flat_map(|container| &container.attachments).map(|at| &*at.network_id)
}

/// The drivers by the id and by the name of the network, because containers of Podman refer to networks by name.
fn drivers(listed: &[Value]) -> Drivers {
    let by = |key: &'static str| {
        listed
            .iter()
            .filter_map(move |network| Some((network[key].as_str()?.into(), network["Driver"].as_str()?.into())))
    };
    // If one network's name is another one's id, the id wins.
    by("Name").chain(by("Id")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_network_costs_only_itself() {
        let listed = r#"[{"Id":"1","Name":"lan","Driver":"macvlan"}, {"Id":"2","Name":null,"Driver":"bridge"},
            {"Id":"3","Name":"odd","Driver":7}, null, 5, {}, {"Id":"4","Name":"1","Driver":"ipvlan"}]"#;
        let drivers = drivers(&serde_json::from_str::<Vec<Value>>(listed).expect("a list"));
        let drivers: Vec<_> = drivers.iter().map(|(id, driver)| (&**id, &**driver)).collect();
        assert_eq!(drivers, [("1", "macvlan"), ("2", "bridge"), ("4", "ipvlan"), ("lan", "macvlan")]);
    }
}
