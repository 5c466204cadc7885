//! Owners of hosts and routes.

use std::fmt::{self, Display, Formatter};

use gangway_diagnostic::quoted;

use crate::engine_name::EngineName;

/// The owner of hosts. One tenant cannot take a host from another.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Tenant {
    /// The configuration file.
    File,
    /// A compose project or a Swarm stack, the same on every engine.
    Project(Box<str>),
    /// A Swarm service that belongs to no stack.
    Service(Box<str>),
    /// All containers with Traefik's labels, and the files of its file provider: what they name is one for all projects.
    Traefik,
    /// A container that was started by itself.
    Container {
        /// The engine of the container.
        engine: EngineName,
        /// The name of the container when it was first served.
        name: Box<str>,
    },
}

/// The owner of a route. It stays the same when containers are recreated.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Party {
    /// The project, or the container.
    pub tenant: Tenant,
    /// The service, or the `group` of services; empty for a container and for the file.
    pub service: Box<str>,
    /// The route's name.
    pub route: Box<str>,
}

impl Tenant {
    /// A text that is different for every tenant.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::File => "file".to_owned(),
            Self::Project(name) => format!("project {name}"),
            Self::Service(name) => format!("service {name}"),
            Self::Traefik => "traefik".to_owned(),
            Self::Container { engine, name } => format!("container {}/{name}", engine.0),
        }
    }

    /// The name by which `share` admits it.
    pub fn name(&self) -> &str {
        match self {
            Self::File | Self::Traefik => "",
            Self::Project(name) | Self::Service(name) | Self::Container { name, .. } => name,
        }
    }
}

/// ``project `shop` ``, for people.
impl Display for Tenant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the configuration file"),
            Self::Project(name) => write!(f, "project {}", quoted(name)),
            Self::Service(name) => write!(f, "service {}", quoted(name)),
            Self::Traefik => f.write_str("the routers of Traefik"),
            Self::Container { name, .. } => write!(f, "container {}", quoted(name)),
        }
    }
}

/// ``service `web` of project `shop` ``, for people.
impl Display for Party {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            Tenant::File => write!(f, "route {} of the configuration file", quoted(&self.route)),
            Tenant::Project(_) => write!(f, "service {} of {}", quoted(&self.service), self.tenant),
            Tenant::Traefik => write!(f, "router {}", quoted(&self.route)),
            Tenant::Service(_) | Tenant::Container { .. } => self.tenant.fmt(f),
        }
    }
}
