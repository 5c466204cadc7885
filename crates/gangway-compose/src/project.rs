//! The services and networks that a set of compose files defines.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use gangway_diagnostic::codes::{LABELS_BELOW_DEPLOY, NETWORK_UNDEFINED};

use crate::source_diagnostic::SourceDiagnostic;

use crate::service::{Service, is_gangway_label};
use crate::source_map::SourceMap;

/// The definitions of one set of compose files.
#[derive(Debug, Default)]
pub struct Project {
    pub(crate) name: String,
    /// By name. Services of every profile are among them.
    pub services: BTreeMap<String, Service>,
    /// The engine's name of each network, by its key in the file.
    pub(crate) networks: HashMap<String, String>,
}

impl Project {
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The service that is Gangway, or else the one that is Traefik, whose place Gangway can take.
    pub fn proxy(&self) -> Option<&Service> {
        let gangway = self.services.values().find(|service| service.is_gangway());
        gangway.or_else(|| self.services.values().find(|service| service.is_traefik()))
    }

    /// Adds a service, or merges it into the one of the same name.
    pub(crate) fn merge_service(&mut self, name: String, service: Service) {
        match self.services.entry(name) {
            Entry::Occupied(mut base) => base.get_mut().merge(service),
            Entry::Vacant(place) => drop(place.insert(service)),
        }
    }

    /// Removes the values at a path, as if they had never been set.
    pub(crate) fn reset(&mut self, path: &[String]) {
        match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["services"] => self.services.clear(),
            ["services", name] => drop(self.services.remove(*name)),
            ["services", name, ..] => {
                if let Some(service) = self.services.get_mut(*name) {
                    service.reset(&path[2..]);
                }
            }
            ["networks"] => self.networks.clear(),
            ["networks", key, ..] => drop(self.networks.remove(*key)),
            _ => {}
        }
    }

    /// The engine's name of a network.
    pub(crate) fn network(&self, key: &str) -> String {
        self.networks.get(key).cloned().unwrap_or_else(|| format!("{}_{key}", self.name))
    }

    /// Diagnostics that need all files to be merged.
    pub(crate) fn diagnostics(&self, sources: &SourceMap) -> Vec<SourceDiagnostic> {
        let mut diagnostics = self.undefined_networks(sources);
        diagnostics.extend(self.services.values().filter_map(|service| labels_below_deploy(sources, service)));
        diagnostics
    }

    fn undefined_networks(&self, sources: &SourceMap) -> Vec<SourceDiagnostic> {
        let mut diagnostics = Vec::new();
        for service in self.services.values() {
            for (key, span) in &service.networks {
                if key == "default" || self.networks.contains_key(key) {
                    continue;
                }
                let message = format!("the network `{key}` is not defined");
                diagnostics.push(
                    SourceDiagnostic::error(sources, NETWORK_UNDEFINED, span.clone(), message)
                        .about_service(service.name.as_str())
                        .with_note("not under `networks`")
                        .with_help(format!("add `{key}:` to `networks:` at the end of the file, with `external: true` where another file makes it"))
                        .with_effect("compose starts nothing of this file; the network was taken as one of this project here"),
                );
            }
        }
        diagnostics
    }
}

/// A diagnostic about Gangway's labels that only the Swarm service has, and no container.
fn labels_below_deploy(sources: &SourceMap, service: &Service) -> Option<SourceDiagnostic> {
    let labels = || service.deploy_labels.values().map(|(key, _)| key).filter(|key| is_gangway_label(key.as_str()));
    let first = labels().min_by_key(|key| key.span())?;
    let more = labels().count() - 1;
    let others = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = "labels below `deploy` never reach the container";
    Some(
        SourceDiagnostic::error(sources, LABELS_BELOW_DEPLOY, first.span(), message)
            .about_label(service.name.as_str(), first.as_str())
            .with_note("a label of the Swarm service")
            .with_help(format!(
                "put `{}`{others} below `labels:` of the service itself, beside `image:`",
                first.as_str()
            ))
            .with_effect("the container has no such label, so it does nothing"),
    )
}
