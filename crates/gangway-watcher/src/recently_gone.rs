//! Containers that were up and no longer are, remembered for as long as a route is held for them.
//!
//! A listing does not show a removed container, and does not say since when another one has exited. The compiler
//! decides which of them are remembered, and for how long. Time is an argument; nothing here waits.

use std::collections::{HashMap, HashSet};

use gangway_model::{Container, ContainerState, Gone, Hold};
use tokio::time::Instant;

/// More containers than ever stop together. The routes of any further ones end at once.
const REMEMBERED_MAX: usize = 1000;

/// The recently gone containers of all engines.
#[derive(Debug, Default)]
pub(crate) struct RecentlyGone {
    containers: Vec<GoneContainer>,
    /// When the first held route is given up.
    next_end: Option<Instant>,
}

#[derive(Debug)]
struct GoneContainer {
    container: Container,
    since: Instant,
    /// A snapshot contains it, so the table that is compiled from that snapshot decides whether it is remembered.
    in_snapshot: bool,
}

impl RecentlyGone {
    /// Compares two readings of one engine: adds the containers that went down and removes those that are up again.
    pub(crate) fn compare(&mut self, now: Instant, old: &[Container], new: &[Container]) {
        let states: HashMap<&str, bool> = new.iter().map(|container| (&*container.id, is_up(container))).collect();
        let is_up_now = |container: &Container| states.get(&*container.id) == Some(&true);
        if let Some(engine) = new.first().map(|container| &container.engine) {
            self.containers.retain(|gone| gone.container.engine != *engine || !is_up_now(&gone.container));
        }
        let gone = old.iter().filter(|container| is_up(container) && !is_up_now(container));
        self.containers.extend(gone.map(|container| GoneContainer {
            container: container.clone(),
            since: now,
            in_snapshot: false,
        }));
        let beyond = self.containers.len().saturating_sub(REMEMBERED_MAX);
        self.containers.drain(..beyond);
    }

    /// The containers for the snapshot of this moment.
    pub(crate) fn gone(&mut self, now: Instant) -> Vec<Gone> {
        let gone = |gone: &mut GoneContainer| {
            gone.in_snapshot = true;
            Gone { container: gone.container.clone(), since: now.saturating_duration_since(gone.since) }
        };
        self.containers.iter_mut().map(gone).collect()
    }

    /// Forgets the containers of the last snapshot for which no route is held. `holds` is the result of compiling that
    /// snapshot, and `now` is the moment of the snapshot.
    pub(crate) fn keep(&mut self, now: Instant, holds: &[Hold]) {
        let held: HashSet<_> = holds.iter().map(|hold| (&hold.engine, &hold.container)).collect();
        self.containers.retain(|GoneContainer { container, in_snapshot, .. }| {
            !in_snapshot || held.contains(&(&container.engine, &container.id))
        });
        self.next_end = holds.iter().map(|hold| now + hold.left).min();
    }

    /// When the next held route is to be given up.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.next_end
    }
}

/// Whether a container may get requests. A paused one answers as little as one that has exited.
fn is_up(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running | ContainerState::Restarting)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gangway_model::EngineName;

    use super::*;

    fn container(id: &str, state: ContainerState) -> Container {
        Container { engine: EngineName("one".into()), state, ..Container::named(id) }
    }

    fn hold(id: &str, left: u64) -> Hold {
        Hold { engine: EngineName("one".into()), container: id.into(), left: Duration::from_secs(left) }
    }

    #[tokio::test(start_paused = true)]
    async fn gone_containers_are_remembered_until_they_return_or_are_not_needed() {
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
            "the table that was being compiled does not know of a container that stopped meanwhile"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_remembered_containers_is_bounded_and_the_latest_stay() {
        let (mut departed, now) = (RecentlyGone::default(), Instant::now());
        let old: Vec<_> =
            (0..REMEMBERED_MAX + 5).map(|id| container(&id.to_string(), ContainerState::Running)).collect();
        departed.compare(now, &old, &[]);
        let gone = departed.gone(now);
        assert_eq!((gone.len(), &*gone[0].container.id), (REMEMBERED_MAX, "5"));
    }
}
