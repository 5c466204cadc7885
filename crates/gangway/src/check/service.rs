//! One service of a compose file, as far as it decides about routes.
//!
//! Everything else that compose knows of a service is left unread, so that only what matters here is
//! complained about.

mod read;

use std::collections::BTreeMap;

use super::finding::Finding;
use super::source::Spot;
use super::text::Text;

/// Keys with their values, both with their place.
pub(super) type Entries = BTreeMap<String, (Text, Text)>;

/// A service as one file writes it, or as several files together do.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) name: Text,
    pub(super) extends: Option<Extends>,
    pub(super) image: Option<Text>,
    pub(super) container_name: Option<Text>,
    pub(super) network_mode: Option<Text>,
    /// The keys under the file's `networks`.
    pub(super) networks: BTreeMap<String, Spot>,
    pub(super) labels: Entries,
    pub(super) label_files: Entries,
    /// `deploy.labels`: of the Swarm service. They never reach a container.
    pub(super) deploy_labels: Entries,
    /// `build.labels`: of the image, which its containers inherit.
    pub(super) build_labels: Entries,
    pub(super) environment: Entries,
    pub(super) env_files: Entries,
    pub(super) entrypoint: Vec<Text>,
    pub(super) command: Vec<Text>,
    pub(super) ports: Vec<Port>,
    pub(super) expose: Vec<Port>,
    /// By the path inside the container, which compose takes one of.
    pub(super) mounts: BTreeMap<String, Mount>,
    /// Whether it has the mounts of another container, which only the engine knows.
    pub(super) borrows_mounts: bool,
    pub(super) healthcheck: Option<bool>,
    pub(super) profiles: Vec<Text>,
    /// What is wrong with variables in values that decide about nothing, unless the service is Gangway.
    pub(super) aside: Vec<Finding>,
}

/// A TCP port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Port {
    /// In the container.
    pub(super) port: u16,
    /// On the host, where it is published.
    pub(super) published: Option<u16>,
    pub(super) spot: Spot,
}

/// Something of the host, or a volume, inside the container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mount {
    /// None for an anonymous volume.
    pub(super) source: Option<String>,
    pub(super) is_read_only: bool,
    pub(super) spot: Spot,
}

/// `extends`.
#[derive(Clone, Debug)]
pub(super) struct Extends {
    pub(super) service: Text,
    pub(super) file: Option<Text>,
}

impl Service {
    /// Puts what a later file, or the service that extends this one, says over it.
    pub(super) fn join(&mut self, over: Self) {
        self.name = over.name;
        replace(&mut self.image, over.image);
        replace(&mut self.container_name, over.container_name);
        replace(&mut self.network_mode, over.network_mode);
        replace(&mut self.healthcheck, over.healthcheck);
        self.networks.extend(over.networks);
        self.labels.extend(over.labels);
        self.label_files.extend(over.label_files);
        self.deploy_labels.extend(over.deploy_labels);
        self.build_labels.extend(over.build_labels);
        self.environment.extend(over.environment);
        self.env_files.extend(over.env_files);
        // A command is replaced, never continued.
        for (command, over) in [(&mut self.entrypoint, over.entrypoint), (&mut self.command, over.command)] {
            if !over.is_empty() {
                *command = over;
            }
        }
        self.ports.extend(over.ports);
        self.expose.extend(over.expose);
        self.mounts.extend(over.mounts);
        self.borrows_mounts |= over.borrows_mounts;
        self.profiles.extend(over.profiles);
        self.aside.extend(over.aside);
    }

    /// Takes away what stands at `path` below the service, as if it had never been set.
    pub(super) fn reset(&mut self, path: &[String]) {
        let Some((key, below)) = path.split_first() else { return };
        match key.as_str() {
            "image" => self.image = None,
            "container_name" => self.container_name = None,
            "network_mode" => self.network_mode = None,
            "networks" => clear(&mut self.networks, below),
            "labels" => clear(&mut self.labels, below),
            "label_file" => self.label_files.clear(),
            "deploy" => clear_below(&mut self.deploy_labels, below),
            "build" => clear_below(&mut self.build_labels, below),
            "environment" => clear(&mut self.environment, below),
            "env_file" => self.env_files.clear(),
            "entrypoint" => self.entrypoint.clear(),
            "command" => self.command.clear(),
            "ports" => self.ports.clear(),
            "expose" => self.expose.clear(),
            "volumes" => self.mounts.clear(),
            "volumes_from" => self.borrows_mounts = false,
            "healthcheck" => self.healthcheck = None,
            "profiles" => self.profiles.clear(),
            _ => {}
        }
    }

    /// All labels a container of this service has. What stands closer to the container wins.
    pub(super) fn all_labels(&self) -> Entries {
        let mut labels = self.build_labels.clone();
        for closer in [&self.label_files, &self.labels] {
            labels.extend(closer.iter().map(|(key, entry)| (key.clone(), entry.clone())));
        }
        labels
    }

    /// Everything that is set inside the container, with its place.
    pub(super) fn variables(&self) -> Entries {
        let mut variables = self.env_files.clone();
        variables.extend(self.environment.clone());
        variables
    }
}

fn replace<T>(value: &mut Option<T>, over: Option<T>) {
    if over.is_some() {
        *value = over;
    }
}

/// All entries, or the one that `below` names.
fn clear<V>(entries: &mut BTreeMap<String, V>, below: &[String]) {
    match below.first() {
        None => entries.clear(),
        Some(key) => drop(entries.remove(key)),
    }
}

/// Of `deploy` and `build` only `labels` are known here.
fn clear_below(labels: &mut Entries, below: &[String]) {
    match below.split_first() {
        None => labels.clear(),
        Some((key, below)) if key == "labels" => clear(labels, below),
        Some(_) => {}
    }
}

/// Whether a label is one of ours.
pub(super) fn is_ours(key: &str) -> bool {
    key.get(.."gangway.".len()).is_some_and(|start| start.eq_ignore_ascii_case("gangway."))
}
