//! Containers that were up and are not any more: remembered for as long as a route is held for them.
//!
//! No listing shows one that was removed, and of one that has exited none says since when. Who needs to be
//! remembered, and for how long, compiling decides; time is an argument, nothing here waits.

use std::collections::{HashMap, HashSet};

use gangway_model::compile::Hold;
use gangway_model::snapshot::{Container, ContainerState, Gone};
use tokio::time::Instant;

/// More than ever leave together; of what is beyond, the routes end at once.
const REMEMBERED_MAX: usize = 1000;

/// Those of all engines.
#[derive(Debug, Default)]
pub(crate) struct RecentlyGone {
    containers: Vec<GoneContainer>,
    /// When the first of the holds ends.
    next_end: Option<Instant>,
}

/// One of them.
#[derive(Debug)]
struct GoneContainer {
    container: Container,
    at: Instant,
    /// A snapshot has it, so compiling will say whether it is to be remembered.
    told: bool,
}

impl RecentlyGone {
    /// Compares two readings of one engine.
    pub(crate) fn compare(&mut self, now: Instant, old: &[Container], new: &[Container]) {
        let states: HashMap<&str, bool> = new.iter().map(|container| (&*container.id, is_up(container))).collect();
        let is_up_now = |container: &Container| states.get(&*container.id) == Some(&true);
        if let Some(engine) = new.first().map(|container| &container.engine) {
            self.containers.retain(|left| left.container.engine != *engine || !is_up_now(&left.container));
        }
        let left = old.iter().filter(|container| is_up(container) && !is_up_now(container));
        self.containers.extend(left.map(|container| GoneContainer {
            container: container.clone(),
            at: now,
            told: false,
        }));
        let beyond = self.containers.len().saturating_sub(REMEMBERED_MAX);
        self.containers.drain(..beyond);
    }

    /// For a snapshot of this moment.
    pub(crate) fn gone(&mut self, now: Instant) -> Vec<Gone> {
        let gone = |left: &mut GoneContainer| {
            left.told = true;
            Gone { container: left.container.clone(), since: now.saturating_duration_since(left.at) }
        };
        self.containers.iter_mut().map(gone).collect()
    }

    /// Forgets those of the last snapshot for which no route is held; `holds` came of it, and it was of `now`.
    pub(crate) fn keep(&mut self, now: Instant, holds: &[Hold]) {
        let held: HashSet<_> = holds.iter().map(|hold| (&hold.engine, &hold.container)).collect();
        self.containers.retain(|GoneContainer { container, told, .. }| {
            !told || held.contains(&(&container.engine, &container.id))
        });
        self.next_end = holds.iter().map(|hold| now + hold.left).min();
    }

    /// When a route is to be given up.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.next_end
    }
}

/// May it have had requests? One that is paused answers no more than one that has exited.
fn is_up(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running | ContainerState::Restarting)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gangway_model::snapshot::EngineName;

    use super::*;

    fn container(id: &str, state: ContainerState) -> Container {
        Container { engine: EngineName("one".into()), state, ..Container::named(id) }
    }

    fn hold(id: &str, left: u64) -> Hold {
        Hold { engine: EngineName("one".into()), container: id.into(), left: Duration::from_secs(left) }
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_stopped_or_vanished_are_remembered_until_they_return_or_are_not_needed() {
        use ContainerState::{Created, Exited, Paused, Running};
        let (mut departed, now) = (RecentlyGone::default(), Instant::now());
        let old = [
            container("stays", Running),
            container("vanishes", Running),
            container("exits", Running),
            container("pauses", Running),
            container("never-ran", Created),
        ];
        let new = [container("stays", Running), container("exits", Exited), container("pauses", Paused)];
        departed.compare(now, &old, &new);
        let later = now + Duration::from_secs(3);
        let ids = |departed: &mut RecentlyGone| {
            let gone = departed.gone(later);
            gone.iter().map(|gone| format!("{} {:?}", gone.container.id, gone.since)).collect::<Vec<_>>()
        };
        assert_eq!(ids(&mut departed), ["vanishes 3s", "exits 3s", "pauses 3s"]);
        departed.keep(later, &[hold("vanishes", 7), hold("exits", 5)]);
        assert_eq!(departed.next_end(), Some(later + Duration::from_secs(5)));
        departed.compare(later, &new, &[container("stays", Running), container("exits", Running)]);
        assert_eq!(ids(&mut departed), ["vanishes 3s"]);
        departed.keep(later, &[]);
        assert_eq!((ids(&mut departed).len(), departed.next_end()), (0, None));
        departed.compare(later, &new, &[]);
        departed.keep(later, &[]);
        assert_eq!(
            ids(&mut departed),
            ["stays 0ns"],
            "what left while the table was made, that table knows nothing of"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded_and_the_latest_stay() {
        let (mut departed, now) = (RecentlyGone::default(), Instant::now());
        let old: Vec<_> =
            (0..REMEMBERED_MAX + 5).map(|id| container(&id.to_string(), ContainerState::Running)).collect();
        departed.compare(now, &old, &[]);
        let gone = departed.gone(now);
        assert_eq!((gone.len(), &*gone[0].container.id), (REMEMBERED_MAX, "5"));
    }
}
