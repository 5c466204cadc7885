//! How one engine is doing, for `status` and the API.

use gangway_model::EngineName;

use crate::event_counts::EventCounts;
use crate::latency::Latency;
use crate::own_mounts::OwnMount;
use crate::own_network::OwnNetwork;

/// How one engine is doing.
#[derive(Clone, Debug)]
pub struct EngineStatus {
    /// The name that identifies the engine in snapshots, logs and the API.
    pub name: EngineName,
    /// The address as the operator wrote it.
    pub url: Box<str>,
    /// The engine's own version and the API version in use. `None` before the first good read.
    pub version: Option<String>,
    /// Why the engine cannot be read now, in words that read well after "failed to". `None` while reads succeed.
    pub trouble: Option<String>,
    /// Number of containers in the last good read.
    pub containers: usize,
    /// Number of good reads.
    pub reads: u64,
    /// Number of failed reads.
    pub failures: u64,
    /// The mounts of our own container, if this engine runs it.
    pub own_mounts: Option<Vec<OwnMount>>,
    /// How many events it has sent.
    pub events: EventCounts,
    /// How long it takes from this engine's events to the tables that answer them.
    pub latency: Latency,
    /// How clients reach us, as far as this engine knows.
    pub own_network: OwnNetwork,
}

impl EngineStatus {
    /// The status of an engine that was not read yet.
    pub fn unknown(name: &str, url: &str) -> Self {
        Self {
            name: EngineName(name.into()),
            url: url.into(),
            version: None,
            trouble: None,
            containers: 0,
            reads: 0,
            failures: 0,
            own_mounts: None,
            events: EventCounts::default(),
            latency: Latency::default(),
            own_network: OwnNetwork::default(),
        }
    }
}
