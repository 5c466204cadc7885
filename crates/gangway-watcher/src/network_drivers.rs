//! By which driver the networks of an engine are made.
//!
//! Only a Gangway on the host asks: it decides over which of its networks a container is reached from there. It is
//! asked once a session, and again when a container is on a network that is not known. Nobody waits long for the
//! answer, and no reading fails without it; who refuses it, as a guard before the engine may, is not asked again.

use std::collections::BTreeSet;
use std::time::Duration;

use gangway_model::snapshot::{Container, ContainerState, Drivers};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::client::{Cause, Client, EngineError};

/// For questions that no reading fails without: more of anyone's time they are not worth.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// Who did not answer is asked again after so long: meanwhile no reading waits for that.
const PAUSE: Duration = Duration::from_secs(30);

/// What is known of them, for one session.
#[derive(Debug, Default)]
pub(crate) struct NetworkDrivers {
    drivers: Drivers,
    /// Networks of containers that the engine does not list.
    unlisted: BTreeSet<Box<str>>,
    refused: bool,
    /// Not before then.
    next_try: Option<Instant>,
}

impl NetworkDrivers {
    /// Asks, where one of these containers is on a network that is not known; the drivers of all, where they were told.
    pub(crate) async fn learn(&mut self, client: &Client, containers: &[Container]) -> Option<Drivers> {
        let unknown = self.unknown(containers);
        let pauses = self.next_try.is_some_and(|next_try| Instant::now() < next_try);
        if unknown.is_empty() || self.refused || pauses {
            return None;
        }
        self.next_try = None;
        let refused = |error: &EngineError| matches!(&error.cause, Cause::Refused { status, .. } if *status < 500);
        match timeout(PATIENCE, client.networks()).await {
            Ok(Ok(answer)) => {
                self.drivers = drivers(&answer.value);
                self.unlisted.extend(unknown);
                return Some(self.drivers.clone());
            }
            Ok(Err(error)) => {
                debug!(%error, "networks are not told");
                self.refused = refused(&error);
            }
            Err(_) => debug!("networks are not told in time"),
        }
        self.next_try = Some(Instant::now() + PAUSE);
        None
    }

    /// Is one of these containers on a network that is known to be a bridge?
    pub(crate) fn any_bridge(&self, containers: &[Container]) -> bool {
        used(containers).any(|id| self.drivers.get(id).is_some_and(|driver| **driver == *"bridge"))
    }

    /// Forgets those that are in use no more; `containers` are all.
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

/// Of those that are not up, an engine lists networks without their ids.
fn used(containers: &[Container]) -> impl Iterator<Item = &str> {
    let is_up = |container: &&Container| container.state == ContainerState::Running;
    containers.iter().filter(is_up).flat_map(|container| &container.attachments).map(|at| &*at.network_id)
}

/// Under the names as well, as containers of Podman name their networks by these.
fn drivers(listed: &[Value]) -> Drivers {
    let by = |key: &'static str| {
        listed
            .iter()
            .filter_map(move |network| Some((network[key].as_str()?.into(), network["Driver"].as_str()?.into())))
    };
    // An id goes before a name, whoever has it.
    by("Name").chain(by("Id")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_costs_only_itself() {
        let listed = r#"[{"Id":"1","Name":"lan","Driver":"macvlan"}, {"Id":"2","Name":null,"Driver":"bridge"},
            {"Id":"3","Name":"odd","Driver":7}, null, 5, {}, {"Id":"4","Name":"1","Driver":"ipvlan"}]"#;
        let drivers = drivers(&serde_json::from_str::<Vec<Value>>(listed).expect("a list"));
        let drivers: Vec<_> = drivers.iter().map(|(id, driver)| (&**id, &**driver)).collect();
        assert_eq!(drivers, [("1", "macvlan"), ("2", "bridge"), ("4", "ipvlan"), ("lan", "macvlan")]);
    }
}
