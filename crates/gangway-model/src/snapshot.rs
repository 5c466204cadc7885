//! All containers, read together: what [`compile`](crate::compile()) starts from.
//!
//! A snapshot says what engines told and nothing that was concluded from it. The watcher builds it;
//! tests build it by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::engine_name::EngineName;
use crate::matcher::HostCondition;
use crate::ownership::Holdings;

/// Everything that was read in one pass over all engines.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// In no particular order; compiling sorts.
    pub containers: Vec<Container>,
    /// Where Gangway itself stands, for each engine.
    pub own: BTreeMap<EngineName, OwnPlace>,
    /// Containers that ran a moment ago and are stopped or removed now: their routes are held for them.
    pub gone: Vec<Gone>,
    /// Which party held which host until now.
    pub holdings: Holdings,
    /// Hosts that their holders give up.
    pub released: BTreeSet<HostCondition>,
    /// Engines that are given and cannot be read now, or were not read yet: nothing is concluded from what
    /// they do not list.
    pub unread: BTreeSet<EngineName>,
    /// When all this was put together, in seconds since the epoch; 0 where there is no clock.
    pub now: i64,
    /// Ids of containers that are [leaving](Container::leaving) for longer than they said they would need: where
    /// no other container serves a route, they do.
    pub lingering: BTreeMap<EngineName, BTreeSet<Box<str>>>,
    /// By which driver each engine makes its networks, by [their ids](Attachment::network_id); of one that is missing
    /// it is not known.
    pub drivers: BTreeMap<EngineName, Drivers>,
    /// Parts of engines' answers that make no sense, by the id of the container that they are about.
    pub left_out: BTreeMap<EngineName, BTreeMap<Box<str>, LeftOut>>,
    /// Ids of containers that [share the network](NetworkMode::Container) of one that was started after them: they are
    /// still in the network that it had before.
    pub stranded: BTreeMap<EngineName, BTreeSet<Box<str>>>,
}

/// What could not be read of one container.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LeftOut {
    /// The container's name, as far as that could be read.
    pub container: Box<str>,
    /// Where it stood, such as `Ports[0].PrivatePort`.
    pub parts: Vec<Box<str>>,
}

/// The drivers of networks, such as `bridge`, by the networks' ids.
pub type Drivers = BTreeMap<Box<str>, Box<str>>;

/// A container that has stopped or was removed, as it was when it last ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Gone {
    /// The container as it last ran; its addresses are no longer valid.
    pub container: Container,
    /// How long it has been gone.
    pub since: Duration,
}

/// From where Gangway reaches the containers of one engine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum OwnPlace {
    /// On the host or with host networking: every bridge network of the engine is reachable. A network whose
    /// [driver](Snapshot::drivers) keeps it from its own host is not.
    #[default]
    Host,
    /// In a container of this engine, attached to these networks only.
    Container {
        /// The id of our own container, which is never routed to.
        id: Box<str>,
        /// Networks by id, with their names.
        networks: BTreeMap<Box<str>, Box<str>>,
        /// The address at which the host itself is reached from inside: a gateway of one of our
        /// networks. For containers with host networking.
        host_gateway: Option<IpAddr>,
    },
    /// Neither: none of the engine's networks is where we are.
    Elsewhere(EngineKind),
}

/// Why an engine's networks may not be on the machine that it is asked from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EngineKind {
    /// It keeps them in a network namespace of its own, which belongs to a user.
    Rootless,
    /// It keeps them in a virtual machine.
    DockerDesktop,
    /// Nothing is known of it: another machine, or another container.
    #[default]
    Other,
}

/// One container as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// The engine's identifier; unique within the engine and never reused. The identity of a container.
    pub id: Box<str>,
    /// The engine it runs on.
    pub engine: EngineName,
    /// Without the leading slash. For people only: recreations rename containers.
    pub name: Box<str>,
    /// The image reference as the engine lists it, such as `actualbudget/actual-server:latest`.
    pub image: Box<str>,
    /// Seconds since the epoch; the older of two claimants keeps a host.
    pub created: i64,
    /// What the engine says it is doing.
    pub state: ContainerState,
    /// How it ended last; none where it runs, or never did.
    pub ended: Option<Ended>,
    /// The verdict of its Docker health check.
    pub health: Health,
    /// It was told to end and has not died or started anew since, however long that takes: it still runs, but new
    /// requests must not go to it.
    pub leaving: bool,
    /// All labels, ours and others'.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// How the container is connected.
    pub network: NetworkMode,
    /// One entry per network, in no particular order.
    pub attachments: Vec<Attachment>,
    /// TCP ports the image or the container exposes or publishes, without repeats.
    pub ports: Vec<ExposedPort>,
}

/// The `State` of a container listing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// The process runs.
    Running,
    /// Frozen: connections would hang.
    Paused,
    /// Died and will be started again by the engine.
    Restarting,
    /// Being removed.
    Removing,
    /// Stopped.
    Exited,
    /// Could not be removed.
    Dead,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ended {
    /// What its process returned, as far as the engine says it.
    pub code: Option<i32>,
    /// When, in seconds since the epoch, as precisely as the engine says it.
    pub at: Option<i64>,
}

/// The verdict of a Docker health check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// No check is configured.
    NoCheck,
    /// Checked, no verdict yet.
    Starting,
    /// Passing.
    Healthy,
    /// Failing.
    Unhealthy,
}

/// How a container is connected, as far as it decides where to reach it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NetworkMode {
    /// Attached to the networks listed as [`Attachment`]s.
    Networks,
    /// `network_mode: host`: reached at the host itself.
    Host,
    /// `network_mode: service:x` or `container:x`: reached at the other container, named by id.
    Container(Box<str>),
    /// `network_mode: none`.
    None,
}

/// One network a container is attached to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attachment {
    /// The engine's id of the network; what two sides compare. Where an engine does not tell ids in
    /// its listing (Podman), the name again.
    pub network_id: Box<str>,
    /// The name people know, such as `shop_default`.
    pub network: Box<str>,
    /// The container's address there; IPv4 preferred. None while it is not running.
    pub address: Option<IpAddr>,
}

/// A TCP port of a container.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ExposedPort {
    /// Inside the container.
    pub port: u16,
    /// On the host, where published.
    pub published: Option<u16>,
}

impl Container {
    /// A running container of this id and name, of which nothing else is known.
    pub fn named(name: &str) -> Self {
        Self {
            id: name.into(),
            engine: EngineName::default(),
            name: name.into(),
            image: Box::default(),
            created: 0,
            state: ContainerState::Running,
            ended: None,
            health: Health::NoCheck,
            leaving: false,
            labels: BTreeMap::new(),
            network: NetworkMode::Networks,
            attachments: Vec::new(),
            ports: Vec::new(),
        }
    }

    /// The smallest is the oldest. Engines tell whole seconds, and a project's containers are made in fewer; of one second
    /// the first by name counts as the oldest, so that making them anew changes nothing.
    pub fn seniority(&self) -> (i64, &str, &str) {
        (self.created, &self.name, &self.id)
    }

    /// The same with these labels.
    pub fn with_labels(self, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Self { labels, ..self }
    }

    /// The same on one network more, which has its name for an id, exposing one port more.
    pub fn reached_at(mut self, network: &str, address: IpAddr, port: u16) -> Self {
        let (network_id, network) = (network.into(), network.into());
        self.attachments.push(Attachment { network_id, network, address: Some(address) });
        self.ports.push(ExposedPort { port, published: None });
        self
    }

    /// A label's value, by its exact key.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(|value| &**value)
    }

    /// The compose project, the Swarm stack, or none.
    pub fn project(&self) -> Option<&str> {
        self.name_in(&["com.docker.compose.project", "com.docker.stack.namespace", "io.podman.compose.project"])
    }

    /// The compose or Swarm service, or none.
    pub fn service(&self) -> Option<&str> {
        self.name_in(&["com.docker.compose.service", "com.docker.swarm.service.name"])
    }

    /// What the application is called: its service, without the stack that Swarm puts in front of it, or else the
    /// container.
    pub(crate) fn app_name(&self) -> &str {
        let Some(service) = self.service() else { return &self.name };
        let stack = self.label("com.docker.stack.namespace");
        let in_stack = stack.and_then(|stack| service.strip_prefix(stack)?.strip_prefix('_'));
        in_stack.filter(|name| !name.is_empty()).unwrap_or(service)
    }

    /// The labels may be written by anyone, and names of megabytes would become identities.
    fn name_in(&self, keys: &[&str]) -> Option<&str> {
        const LEN_MAX: usize = 255;
        let name = keys.iter().find_map(|key| self.label(key));
        name.filter(|name| (1..=LEN_MAX).contains(&name.len()))
    }
}
