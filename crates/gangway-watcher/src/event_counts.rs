//! How many events an engine has sent, by what they are.
//!
//! Counting one is an atomic addition, whatever comes and however much of it: no name of the engine's is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an event of an engine is: an action that Gangway acts upon, or any other one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventAction {
    /// A container has started.
    Start,
    /// A container is dead.
    Die,
    /// A container was sent a signal.
    Kill,
    /// A container is being stopped.
    Stop,
    /// A container was paused.
    Pause,
    /// A container goes on.
    Unpause,
    /// A container has another name.
    Rename,
    /// A container has other settings.
    Update,
    /// A container is gone.
    Destroy,
    /// A health check has another result.
    HealthStatus,
    /// A container was connected to a network.
    Connect,
    /// A container was disconnected from a network.
    Disconnect,
    /// Anything else. It arrives through a socket proxy that does not pass filters on.
    Other,
}

impl EventAction {
    /// All actions, in their order.
    pub const ALL: [Self; 13] = [
        Self::Start,
        Self::Die,
        Self::Kill,
        Self::Stop,
        Self::Pause,
        Self::Unpause,
        Self::Rename,
        Self::Update,
        Self::Destroy,
        Self::HealthStatus,
        Self::Connect,
        Self::Disconnect,
        Self::Other,
    ];

    /// The action of this name. `died` and `remove` are Podman's names.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "start" => Self::Start,
            "die" | "died" => Self::Die,
            "kill" => Self::Kill,
            "stop" => Self::Stop,
            "pause" => Self::Pause,
            "unpause" => Self::Unpause,
            "rename" => Self::Rename,
            "update" => Self::Update,
            "destroy" | "remove" => Self::Destroy,
            "health_status" => Self::HealthStatus,
            "connect" => Self::Connect,
            "disconnect" => Self::Disconnect,
            _ => Self::Other,
        }
    }

    /// The name, as Docker has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Die => "die",
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Rename => "rename",
            Self::Update => "update",
            Self::Destroy => "destroy",
            Self::HealthStatus => "health_status",
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::Other => "other",
        }
    }
}

/// The events of one engine so far, by action. A handle: clones share their counts.
#[derive(Clone, Debug, Default)]
pub struct EventCounts(Arc<[AtomicU64; EventAction::ALL.len()]>);

impl EventCounts {
    pub(crate) fn add(&self, action: EventAction) {
        self.0[action as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The number of events of each action.
    pub fn all(&self) -> impl Iterator<Item = (EventAction, u64)> {
        EventAction::ALL.into_iter().map(|action| (action, self.0[action as usize].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_a_count_and_a_name_of_its_own() {
        for (position, action) in EventAction::ALL.into_iter().enumerate() {
            assert_eq!((action as usize, EventAction::named(action.name())), (position, action));
        }
        assert_eq!(EventAction::ALL.last(), Some(&EventAction::Other), "no action is missing behind it");
        for (podman, docker) in [("died", EventAction::Die), ("remove", EventAction::Destroy)] {
            assert_eq!(EventAction::named(podman), docker);
        }
    }
}
