//! A project as the engine would list it: what the model compiles.
//!
//! One container stands for all replicas of a service, since they have the same labels. Addresses are
//! stand-ins and never shown, and so is the port where only the image knows it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use gangway_model::snapshot::{Attachment, ContainerState, EngineName, ExposedPort, Health, NetworkMode, OwnPlace};
use gangway_model::{Container, Snapshot};

use super::profiles::Party;
use super::project::Project;
use super::service::{Entries, Port, Service};

/// For services that name no port; the image decides then.
const STAND_IN_PORT: u16 = 8080;

/// The project as the model wants it, and the way back.
pub(super) struct Offline<'p> {
    pub(super) snapshot: Snapshot,
    /// By the container's name.
    pub(super) services: BTreeMap<String, Placed<'p>>,
}

/// A service behind a container.
pub(super) struct Placed<'p> {
    pub(super) service: &'p Service,
    pub(super) labels: Entries,
}

/// Builds the snapshot of the services of `party`, or of all. Gangway itself, where the file has it, decides which
/// networks are shared.
pub(super) fn offline<'p>(project: &'p Project, party: Option<&Party>) -> Offline<'p> {
    let own = project.services.values().find(|service| is_gangway(service));
    let own_networks = own.map(|service| network_names(project, service, &[])).unwrap_or_default();
    let mut snapshot = Snapshot::default();
    let mut services = BTreeMap::new();
    for (number, (name, service)) in project.services.iter().enumerate() {
        if party.is_some_and(|party| !party.contains(name)) {
            continue;
        }
        let mut container = container(project, service, number, &own_networks);
        if container.ports.is_empty() {
            // Whatever the image exposes; without a port there would be no route to check further.
            container.ports.push(ExposedPort { port: STAND_IN_PORT, published: None });
        }
        services.insert(container.name.to_string(), Placed { service, labels: service.all_labels() });
        snapshot.containers.push(container);
    }
    let place = own.map_or(OwnPlace::Host, |service| own_place(project, service));
    snapshot.own.insert(EngineName::default(), place);
    Offline { snapshot, services }
}

fn container(project: &Project, service: &Service, number: usize, own: &[String]) -> Container {
    let network = network_mode(project, service);
    let attachments = match &network {
        NetworkMode::Networks => network_names(project, service, own),
        _ => Vec::new(),
    };
    let mut labels: BTreeMap<Box<str>, Box<str>> =
        service.all_labels().into_iter().map(|(key, (_, value))| (key.into(), value.as_str().into())).collect();
    for (key, value) in [("project", &*project.name), ("service", service.name.as_str()), ("container-number", "1")] {
        labels.insert(format!("com.docker.compose.{key}").into(), value.into());
    }
    Container {
        id: id(project, service.name.as_str()),
        engine: EngineName::default(),
        name: container_name(project, service).into(),
        image: service.image.as_ref().map_or("", |image| image.as_str()).into(),
        created: 0,
        state: ContainerState::Running,
        ended: None,
        health: if service.healthcheck == Some(true) { Health::Healthy } else { Health::NoCheck },
        leaving: false,
        labels,
        network,
        attachments: attachments
            .into_iter()
            .map(|name| Attachment {
                network_id: (*name).into(),
                network: (*name).into(),
                address: Some(address(number)),
            })
            .collect(),
        ports: ports(service),
    }
}

/// Unique, and the same whatever else stands in the file.
fn id(project: &Project, service: &str) -> Box<str> {
    format!("{}/{service}", project.name).into()
}

fn container_name(project: &Project, service: &Service) -> String {
    match &service.container_name {
        Some(name) => name.as_str().to_owned(),
        None => format!("{}-{}-1", project.name, service.name.as_str()),
    }
}

/// An address of the range kept for measurements, so that none that someone has is ever meant.
fn address(number: usize) -> IpAddr {
    let [.., high, low] = u32::try_from(number + 2).unwrap_or(2).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 18, high, low))
}

fn network_mode(project: &Project, service: &Service) -> NetworkMode {
    let Some(mode) = service.network_mode.as_ref().map(super::text::Text::as_str) else {
        return NetworkMode::Networks;
    };
    match mode.split_once(':') {
        None if mode == "host" => NetworkMode::Host,
        None if mode == "none" => NetworkMode::None,
        Some(("service", name)) => NetworkMode::Container(id(project, name)),
        Some(("container", name)) => {
            let named = project.services.values().find(|other| container_name(project, other) == name);
            named.map_or(NetworkMode::Networks, |other| NetworkMode::Container(id(project, other.name.as_str())))
        }
        _ => NetworkMode::Networks,
    }
}

/// The networks of a service, or those of Gangway where it borrows from a container of another project:
/// what that one is on cannot be known, so nothing may be said against it.
fn network_names(project: &Project, service: &Service, own: &[String]) -> Vec<String> {
    match &service.network_mode {
        Some(mode) if mode.as_str().starts_with("container:") && !own.is_empty() => own.to_vec(),
        Some(mode) => vec![mode.as_str().to_owned()],
        None if service.networks.is_empty() => vec![project.network("default")],
        None => service.networks.keys().map(|key| project.network(key)).collect(),
    }
}

fn ports(service: &Service) -> Vec<ExposedPort> {
    let mut ports: BTreeMap<u16, Option<u16>> =
        service.expose.iter().map(|Port { port, published, .. }| (*port, *published)).collect();
    for Port { port, published, .. } in &service.ports {
        let known = ports.entry(*port).or_default();
        *known = known.or(*published);
    }
    ports.into_iter().map(|(port, published)| ExposedPort { port, published }).collect()
}

/// Whether a service is Gangway: by its image's name, its variables, or its own name where it is built.
pub(super) fn is_gangway(service: &Service) -> bool {
    let image = service.image.as_ref().map(super::text::Text::as_str);
    let repository = image.map(|image| image.rsplit('/').next().unwrap_or_default());
    let repository = repository.map(|last| last.split([':', '@']).next().unwrap_or_default());
    match repository {
        Some("gangway") => return true,
        None if service.name.as_str() == "gangway" => return true,
        _ => {}
    }
    let mut variables = service.environment.keys().chain(service.env_files.keys());
    variables.any(|name| name.starts_with("GANGWAY_"))
}

fn own_place(project: &Project, service: &Service) -> OwnPlace {
    match network_mode(project, service) {
        NetworkMode::Networks => {
            let names = network_names(project, service, &[]);
            OwnPlace::Container {
                id: id(project, service.name.as_str()),
                networks: names.into_iter().map(|name| (name.clone().into(), name.into())).collect(),
                host_gateway: Some(IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1))),
            }
        }
        _ => OwnPlace::Host,
    }
}
