//! A project as the engine would list it, and the way back from a diagnostic to the files.
//!
//! One container stands for all replicas of a service, because they have the same labels. Addresses are stand-ins and
//! never shown, and so is the port where only the image knows it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use gangway_diagnostic::{Diagnostic, codes};
use gangway_model::{
    Attachment, Container, ContainerState, EngineName, ExposedPort, Health, NetworkMode, OwnPlace, Snapshot,
};

use crate::profiles::ServiceSet;
use crate::project::Project;
use crate::service::{Entries, Service, ServicePort};
use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::{FileSpan, SourceMap};
use crate::spanned_text::SpannedText;

/// The port of services that name none. The image decides about it.
const STAND_IN_PORT: u16 = 8080;

/// The snapshot of a project, with the service behind each container.
pub struct ComposeSnapshot<'p> {
    /// The containers as the engine would list them.
    pub snapshot: Snapshot,
    /// The service behind each container, by the container's name.
    services: BTreeMap<String, LabelledService<'p>>,
}

/// A service with the labels of its container.
struct LabelledService<'p> {
    service: &'p Service,
    labels: Entries,
}

impl<'p> ComposeSnapshot<'p> {
    /// The snapshot of all services. The proxy's own service, where there is one, decides which networks are shared.
    pub fn new(project: &'p Project) -> Self {
        Self::filtered(project, |_| true)
    }

    /// The same for the services of a set.
    pub fn of_services(project: &'p Project, set: &ServiceSet) -> Self {
        Self::filtered(project, |name| set.contains(name))
    }

    fn filtered(project: &'p Project, is_included: impl Fn(&str) -> bool) -> Self {
        let own = project.proxy();
        let own_networks = own.map(|service| network_names(project, service, &[])).unwrap_or_default();
        let mut snapshot = Snapshot::default();
        let mut services = BTreeMap::new();
        // Numbered over all services, so that a container has the same address in each set.
        for (number, (_, service)) in project.services.iter().enumerate().filter(|(_, (name, _))| is_included(name)) {
            let mut container = container(project, service, number, &own_networks);
            if container.ports.is_empty() {
                // The image decides about its ports. Without one there would be no route to check further.
                container.ports.push(ExposedPort { port: STAND_IN_PORT, published: None });
            }
            services.insert(container.name.to_string(), LabelledService { service, labels: service.all_labels() });
            snapshot.containers.push(container);
        }
        let place = own.map_or(OwnPlace::Host, |service| own_place(project, service));
        snapshot.own.insert(EngineName::default(), place);
        Self { snapshot, services }
    }

    /// The service behind a container, by the container's name.
    pub fn service(&self, container: &str) -> Option<&'p Service> {
        self.services.get(container).map(|labelled| labelled.service)
    }

    /// A diagnostic of the model, moved to its place in the files, or to `start` where it is about no service.
    /// None for a diagnostic that depends on what only the engine knows.
    pub fn locate(&self, sources: &SourceMap, diagnostic: &Diagnostic, start: &FileSpan) -> Option<SourceDiagnostic> {
        let moved = |span| SourceDiagnostic::moved(sources, diagnostic, span);
        let Some(place) = diagnostic.place.container().and_then(|name| self.services.get(name)) else {
            return Some(moved(start.clone()));
        };
        if !is_known_offline(diagnostic, place.service) {
            return None;
        }
        let service = place.service.name.as_str();
        let Some((key, value)) = diagnostic.place.subject().and_then(|key| place.label(key)) else {
            return Some(moved(place.service.name.span()).about_service(service));
        };
        let part = diagnostic.span.start..diagnostic.span.end.max(diagnostic.span.start);
        let is_text = |text: &SpannedText| diagnostic.text == text.as_str() && part.end <= text.as_str().len();
        let location = if is_text(value) {
            value.locate(part.clone())
        } else if is_text(key) {
            key.locate(part.clone())
        } else {
            key.locate(0..key.as_str().len())
        };
        let moved = moved(location.span.clone()).with_value(&location, &diagnostic.text, part);
        Some(moved.about_label(service, key.as_str()))
    }
}

impl LabelledService<'_> {
    /// A label by its key as diagnostics show it. They cut a very long key.
    fn label(&self, shown: &str) -> Option<&(SpannedText, SpannedText)> {
        let cut = || {
            let start = shown.strip_suffix('…')?;
            let (key, entry) = self.labels.range(start.to_owned()..).next()?;
            key.starts_with(start).then_some(entry)
        };
        self.labels.get(shown).or_else(cut)
    }
}

/// Whether a diagnostic holds whatever ports the image exposes. A compose file names only some of them.
fn is_known_offline(diagnostic: &Diagnostic, service: &Service) -> bool {
    match diagnostic.code {
        codes::PORT_UNKNOWN => false,
        // A port of the host instead of the container's is a mistake in any case.
        codes::PORT_NOT_EXPOSED => {
            let published = service.ports.iter().filter_map(|port| port.published);
            published.map(|port| port.to_string()).any(|port| port == diagnostic.text.trim())
        }
        _ => true,
    }
}

/// A service as a container that runs.
fn container(project: &Project, service: &Service, number: usize, own: &[String]) -> Container {
    let network = network_mode(project, service);
    let attachments = match &network {
        NetworkMode::Networks => network_names(project, service, own),
        NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) => Vec::new(),
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

/// An id that depends on the service alone, so that other services of the file do not change it.
fn id(project: &Project, service: &str) -> Box<str> {
    format!("{}/{service}", project.name).into()
}

fn container_name(project: &Project, service: &Service) -> String {
    match &service.container_name {
        Some(name) => name.as_str().to_owned(),
        None => format!("{}-{}-1", project.name, service.name.as_str()),
    }
}

/// An address of the range reserved for benchmarks, so that it is never the address of a real machine.
fn address(number: usize) -> IpAddr {
    let [.., high, low] = u32::try_from(number + 2).unwrap_or(2).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(198, 18, high, low))
}

fn network_mode(project: &Project, service: &Service) -> NetworkMode {
    let Some(mode) = service.network_mode.as_ref().map(SpannedText::as_str) else {
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

/// The networks of a service. One that borrows those of a container of another project gets Gangway's own: its
/// networks cannot be known, so no diagnostic may be about them.
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
        service.expose.iter().map(|ServicePort { port, published, .. }| (*port, *published)).collect();
    for ServicePort { port, published, .. } in &service.ports {
        let known = ports.entry(*port).or_default();
        *known = known.or(*published);
    }
    ports.into_iter().map(|(port, published)| ExposedPort { port, published }).collect()
}

/// The place of Gangway itself.
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
        NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_) => OwnPlace::Host,
    }
}
