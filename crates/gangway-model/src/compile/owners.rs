//! The owners of containers: containers of one owner are replicas.

use std::collections::HashMap;

use crate::engine_name::EngineName;
use crate::label::Source;
use crate::ownership::{Holdings, Party, Tenant};
use crate::snapshot::Container;
use crate::spec::RouteSpec;

/// The owner of a container's routes. Containers of one owner are replicas.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Owner<'s> {
    /// The same on every engine.
    Service { project: Option<&'s str>, service: &'s str },
    /// A container started by itself.
    Alone { engine: &'s EngineName, name: &'s str },
    /// Files of Traefik's file provider.
    Files,
}

/// Looks up the owners of containers.
pub(super) struct Owners<'s> {
    /// Containers that were started by themselves and held something, by id: a container that is renamed
    /// stays what it was, as the next one of its name is created beside it.
    known: HashMap<&'s str, &'s Party, ahash::RandomState>,
}

/// A party that other parties cannot take anything from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum TenantRef<'s> {
    File,
    Project(&'s str),
    Service(&'s str),
    Traefik,
    Container { engine: &'s str, name: &'s str },
}

impl<'s> Owners<'s> {
    pub(super) fn new(holdings: &'s Holdings) -> Self {
        Self { known: holdings.renamed() }
    }

    pub(super) fn of(&self, container: &'s Container) -> Owner<'s> {
        match (container.project(), container.service()) {
            (Some(project), service) => {
                Owner::Service { project: Some(project), service: service.unwrap_or(&container.name) }
            }
            (None, Some(service)) => Owner::Service { project: None, service },
            (None, None) => match self.known.get(&*container.id).map(|party| &party.tenant) {
                Some(Tenant::Container { engine, name }) => Owner::Alone { engine, name },
                Some(Tenant::File | Tenant::Project(_) | Tenant::Service(_) | Tenant::Traefik) | None => {
                    Owner::Alone { engine: &container.engine, name: &container.name }
                }
            },
        }
    }

    /// The party of a container's route.
    pub(super) fn party<Chain, Upstream>(
        &self,
        container: &'s Container,
        spec: &RouteSpec<'_, Chain, Upstream>,
    ) -> Party {
        if spec.is_common {
            return Party::common(&spec.name);
        }
        let owner = self.of(container);
        let main = container.app_name();
        let is_main = spec.name.eq_ignore_ascii_case(main);
        let (service, main) = match (owner, &spec.group) {
            (Owner::Service { project: Some(_), .. }, Some(group)) => (format!("@{group}").into(), &**group),
            (Owner::Service { service, .. }, _) => (service.into(), main),
            (Owner::Alone { name, .. }, _) => (Box::default(), name),
            (Owner::Files, _) => (Box::default(), main),
        };
        let route = if is_main { main } else { &spec.name };
        Party { tenant: owner.tenant(), service, route: route.into() }
    }
}

impl Owner<'_> {
    pub(super) fn tenant(self) -> Tenant {
        match self {
            Self::Service { project: Some(project), .. } => Tenant::Project(project.into()),
            Self::Service { project: None, service } => Tenant::Service(service.into()),
            Self::Files => Tenant::Traefik,
            Self::Alone { engine, name } => Tenant::Container { engine: engine.clone(), name: name.into() },
        }
    }
}

impl Party {
    /// The party of a route that is known by its name alone.
    pub(super) fn common(route: &str) -> Self {
        Self { tenant: Tenant::Traefik, service: Box::default(), route: route.into() }
    }

    /// The party of a route of the configuration file.
    pub(super) fn of_file(route: &str) -> Self {
        Self { tenant: Tenant::File, service: Box::default(), route: route.into() }
    }
}

impl<'s> TenantRef<'s> {
    /// The tenant of what is declared there; `is_common` says whether that is the same for all projects.
    pub(super) fn of(source: Source<'s>, is_common: bool) -> Self {
        if is_common {
            return Self::Traefik;
        }
        let Source::Container(container) = source else { return Self::File };
        match (container.project(), container.service()) {
            (Some(project), _) => Self::Project(project),
            (None, Some(service)) => Self::Service(service),
            (None, None) => Self::Container { engine: &container.engine.0, name: &container.name },
        }
    }
}
