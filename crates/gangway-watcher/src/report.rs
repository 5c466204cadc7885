//! The reports of one engine's follower to the compile loop.

use std::collections::BTreeSet;
use std::time::Duration;

use gangway_model::Container;
use tokio::time::Instant;

use crate::own_mounts::OwnMount;
use crate::read_scope::ReadScope;
use crate::reading::{EngineFacts, OwnPosition};

/// A change at one engine.
#[derive(Debug)]
pub(crate) struct Report {
    /// The position of the engine in the list of engines.
    pub(crate) engine: usize,
    pub(crate) change: EngineChange,
}

/// The kinds of changes.
#[derive(Debug)]
pub(crate) enum EngineChange {
    /// Containers were read.
    Read(ContainersRead),
    /// These containers were asked to stop.
    Stopping { ids: Vec<Box<str>>, cause: EventTiming },
    /// These containers were asked to stop, and go on running.
    NotStopping { ids: Vec<Box<str>> },
    /// Of the containers that were asked to stop, these are past their grace period.
    Lingering { ids: BTreeSet<Box<str>> },
    /// The engine cannot be read now.
    Failed { trouble: String },
}

/// A good reading.
#[derive(Debug)]
pub(crate) struct ContainersRead {
    pub(crate) scope: ReadScope,
    pub(crate) containers: Vec<Container>,
    /// `None` if not all containers were read.
    pub(crate) own: Option<Box<OwnPosition>>,
    pub(crate) facts: EngineFacts,
    pub(crate) own_mounts: Option<Vec<OwnMount>>,
    /// The versions of the engine and of its API.
    pub(crate) version: String,
    /// Why events cannot be received although reading succeeds.
    pub(crate) trouble: Option<String>,
    /// The event that the reading answers, if any.
    pub(crate) cause: Option<EventTiming>,
}

/// When an event arrived, for measuring the time until its table is published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventTiming {
    /// When the oldest event that is answered arrived.
    pub(crate) received: Instant,
    /// How much of the time since then the engine took.
    pub(crate) engine: Duration,
}
