//! The latest known state of all engines, which the next table is compiled from.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use gangway_model::{Container, ContainerState, EngineName, HostCondition, Snapshot};
use tokio::time::Instant;
use tracing::debug;

use crate::address::Engine;
use crate::read_scope::ReadScope;
use crate::reading::EngineFacts;
use crate::recently_gone::RecentlyGone;
use crate::report::{ContainersRead, EngineChange, EventTiming, Report};
use crate::status::EngineStatus;

/// The event that a table answers: the position of its engine, and when it arrived.
pub(crate) type AnsweredEvent = (usize, EventTiming);

/// Whether a new table has to be compiled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Recompile,
    Nothing,
}

/// The state that the reports of all engines add up to.
pub(crate) struct Engines {
    /// Shared with the table that is being compiled, if any. A change meanwhile is made in a copy.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) recently_gone: RecentlyGone,
    engines: Vec<EngineState>,
    /// Hosts that the next table releases from their holders.
    pub(crate) released: BTreeSet<HostCondition>,
    /// The generation of the latest publication in `released`.
    pub(crate) releases: u64,
    /// The events that the next table answers.
    pub(crate) causes: Vec<AnsweredEvent>,
    /// Containers of earlier readings. They are freed once the next table is published, when no client waits for it.
    pub(crate) replaced: Vec<Container>,
}

struct EngineState {
    status: EngineStatus,
    /// The engine was read, or could not be read, at least once.
    is_known: bool,
    /// The last reading failed.
    is_failing: bool,
}

impl Engines {
    pub(crate) fn new(engines: &[Engine]) -> Self {
        let state = |engine: &Engine| EngineState {
            status: EngineStatus {
                events: engine.events.clone(),
                ..EngineStatus::unknown(&engine.name.0, &engine.url)
            },
            is_known: false,
            is_failing: false,
        };
        Self {
            snapshot: Arc::default(),
            released: BTreeSet::new(),
            releases: 0,
            recently_gone: RecentlyGone::default(),
            engines: engines.iter().map(state).collect(),
            causes: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// The snapshot to be changed. It is copied if a table is being compiled from it.
    pub(crate) fn snapshot_mut(&mut self) -> &mut Snapshot {
        Arc::make_mut(&mut self.snapshot)
    }

    /// Takes note of a report.
    pub(crate) fn apply(&mut self, Report { engine, change }: Report) -> Effect {
        let is_first = !std::mem::replace(&mut self.engines[engine].is_known, true);
        let is_changed = match change {
            EngineChange::Failed { trouble } => {
                self.apply_failure(engine, trouble);
                is_first
            }
            EngineChange::Read(read) => self.apply_read(engine, read, is_first),
            EngineChange::Lingering { ids } => {
                let name = self.engines[engine].status.name.clone();
                self.snapshot_mut().lingering.insert(name, ids);
                true
            }
            EngineChange::Stopping { ids, cause } => {
                let is_changed = self.set_leaving(engine, &ids, true);
                self.causes.extend(is_changed.then_some((engine, cause)));
                is_changed
            }
            EngineChange::NotStopping { ids } => self.set_leaving(engine, &ids, false),
        };
        if is_changed { Effect::Recompile } else { Effect::Nothing }
    }

    fn apply_failure(&mut self, engine: usize, trouble: String) {
        let state = &mut self.engines[engine];
        state.status.failures += 1;
        state.status.trouble = Some(trouble);
        state.is_failing = true;
    }

    /// Replaces the containers that were read. Returns whether a table could differ.
    fn apply_read(&mut self, engine: usize, read: ContainersRead, is_first: bool) -> bool {
        let ContainersRead { scope, mut containers, own, facts, own_mounts, version, trouble, cause } = read;
        let state = &mut self.engines[engine];
        let status = &mut state.status;
        // While the engine could not be read, some conclusions were not drawn. Now they have to be.
        let was_unread = status.reads == 0 || std::mem::take(&mut state.is_failing);
        status.reads += 1;
        status.version = Some(version);
        status.trouble = trouble;
        status.own_mounts = own_mounts;
        let name = status.name.clone();
        let snapshot = Arc::make_mut(&mut self.snapshot);
        let old = take_containers(snapshot, &name, &scope);
        // Their order says nothing, and it differs if some were read alone.
        containers.sort_by(|one, other| one.id.cmp(&other.id));
        keep_end_times(&old, &mut containers);
        status.containers = status.containers.saturating_sub(old.len()) + containers.len();
        let mut is_changed = is_first || was_unread || old != containers;
        if let Some(own) = own {
            status.own_network = own.network;
            is_changed |= snapshot.own.get(&name) != Some(&own.place);
            snapshot.own.insert(name.clone(), own.place);
        }
        is_changed |= apply_facts(snapshot, &name, facts);
        self.recently_gone.compare(Instant::now(), &old, &containers);
        snapshot.containers.extend(containers);
        if is_changed {
            self.causes.extend(cause.map(|cause| (engine, cause)));
            self.replaced.extend(old);
        }
        is_changed
    }

    /// Marks the running ones of these containers as leaving or not. Returns whether any was marked otherwise before.
    fn set_leaving(&mut self, engine: usize, ids: &[Box<str>], leaving: bool) -> bool {
        let name = &self.engines[engine].status.name;
        let mut is_changed = false;
        let snapshot = Arc::make_mut(&mut self.snapshot);
        for container in snapshot.containers.iter_mut().filter(|container| container.engine == *name) {
            let is_concerned = container.state == ContainerState::Running && ids.contains(&container.id);
            if is_concerned && container.leaving != leaving {
                container.leaving = leaving;
                is_changed = true;
            }
        }
        is_changed
    }

    /// Whether every engine was read or has failed once, and at least one could be read.
    ///
    /// While none can be read, a table without containers would answer "no such route" where "not ready" is true.
    pub(crate) fn may_publish(&self, has_file_routes: bool) -> bool {
        let all_known = self.engines.iter().all(|state| state.is_known);
        let any_read = self.engines.iter().any(|state| state.status.reads > 0);
        all_known && (any_read || self.engines.is_empty() || has_file_routes)
    }

    /// The engines whose present state is not known.
    pub(crate) fn unread(&self) -> BTreeSet<EngineName> {
        let is_unread = |state: &&EngineState| state.status.reads == 0 || state.is_failing;
        self.engines.iter().filter(is_unread).map(|state| state.status.name.clone()).collect()
    }

    /// Records how long it took from these events until their table was published.
    pub(crate) fn record_latency(&self, published: Instant, causes: Vec<AnsweredEvent>) {
        for (engine, EventTiming { received, engine: share }) in causes {
            let whole = published.saturating_duration_since(received);
            self.engines[engine].status.latency.record(whole, share);
            debug!(?whole, ours = ?whole.saturating_sub(share), "a table answers an event");
        }
    }

    /// The names of the running containers among those with these names.
    pub(crate) fn running(&self, names: &HashSet<&str>) -> HashSet<Box<str>> {
        let containers = self.snapshot.containers.iter();
        let running = containers
            .filter(|container| container.state == ContainerState::Running && names.contains(&*container.name));
        running.map(|container| container.name.clone()).collect()
    }

    pub(crate) fn statuses(&self) -> Vec<EngineStatus> {
        self.engines.iter().map(|state| state.status.clone()).collect()
    }
}

/// Removes the containers in the scope from the snapshot, and returns them sorted by id.
fn take_containers(snapshot: &mut Snapshot, engine: &EngineName, scope: &ReadScope) -> Vec<Container> {
    let is_read = |container: &mut Container| container.engine == *engine && scope.covers(&container.id);
    let mut old: Vec<Container> = snapshot.containers.extract_if(.., is_read).collect();
    old.sort_by(|one, other| one.id.cmp(&other.id));
    old
}

/// Puts the facts about an engine into the snapshot. Returns whether any of them changed.
fn apply_facts(snapshot: &mut Snapshot, engine: &EngineName, facts: EngineFacts) -> bool {
    let EngineFacts { drivers, left_out, stranded } = facts;
    let mut is_changed = false;
    if let Some(drivers) = drivers {
        let before = snapshot.drivers.insert(engine.clone(), drivers);
        is_changed |= before.as_ref() != snapshot.drivers.get(engine);
    }
    let before = snapshot.left_out.insert(engine.clone(), left_out);
    is_changed |= before.unwrap_or_default() != snapshot.left_out[engine];
    let before = snapshot.stranded.insert(engine.clone(), stranded);
    is_changed | (before.unwrap_or_default() != snapshot.stranded[engine])
}

/// Keeps the end times that were read first. An engine states them less exactly as time goes by, so each reading would
/// count as a change.
fn keep_end_times(old: &[Container], containers: &mut [Container]) {
    for container in containers.iter_mut().filter(|container| container.ended.is_some()) {
        let Ok(at) = old.binary_search_by(|old| old.id.cmp(&container.id)) else { continue };
        let known = &old[at];
        let is_same = known.state == container.state && known.ended.map(|e| e.code) == container.ended.map(|e| e.code);
        // A container that restarts again and again ends again and again, but the time of its last end is not used.
        if is_same {
            container.ended = known.ended;
        }
    }
}
