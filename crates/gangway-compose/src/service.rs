//! A service of a compose file, as far as it decides about routes.
//!
//! The other keys of a service are not read, so that no diagnostic is about a value that does not matter here.

use std::collections::BTreeMap;

use crate::source_diagnostic::SourceDiagnostic;
use crate::source_map::FileSpan;
use crate::spanned_text::SpannedText;

/// Keys with their values. Both know their place in the file.
pub type Entries = BTreeMap<String, (SpannedText, SpannedText)>;

/// A service as one file, or several files together, define it.
#[derive(Clone, Debug)]
pub struct Service {
    /// The name, as the file writes it.
    pub name: SpannedText,
    pub(crate) extends: Option<Extends>,
    /// The value of `image`.
    pub image: Option<SpannedText>,
    pub(crate) container_name: Option<SpannedText>,
    /// The value of `network_mode`.
    pub network_mode: Option<SpannedText>,
    /// The keys under the file's `networks`.
    pub(crate) networks: BTreeMap<String, FileSpan>,
    pub(crate) labels: Entries,
    pub(crate) label_files: Entries,
    /// `deploy.labels`, which belong to the Swarm service and never reach a container.
    pub deploy_labels: Entries,
    /// `build.labels`, which belong to the image. Its containers inherit them.
    pub(crate) build_labels: Entries,
    /// The variables of `environment`.
    pub environment: Entries,
    pub(crate) env_files: Entries,
    /// The words of `entrypoint`.
    pub entrypoint: Vec<SpannedText>,
    /// The words of `command`.
    pub command: Vec<SpannedText>,
    /// The ports of `ports`, each one of a range by itself.
    pub ports: Vec<ServicePort>,
    pub(crate) expose: Vec<ServicePort>,
    /// The mounts of `volumes`, by their path inside the container.
    pub mounts: BTreeMap<String, VolumeMount>,
    /// Whether `volumes_from` adds the mounts of another container, which only the engine knows.
    pub borrows_mounts: bool,
    pub(crate) healthcheck: Option<bool>,
    /// The words of `healthcheck.test`; one for a command of a shell.
    pub health_test: Vec<SpannedText>,
    pub(crate) profiles: Vec<SpannedText>,
    /// Diagnostics about unset variables in values that matter only if the service is Gangway itself.
    pub gangway_only: Vec<SourceDiagnostic>,
}

/// A TCP port of a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServicePort {
    /// The port in the container.
    pub port: u16,
    /// The port on the host, where it is published.
    pub published: Option<u16>,
    /// The bytes of the file.
    pub span: FileSpan,
}

/// A path of the host, or a volume, inside the container.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VolumeMount {
    /// None for an anonymous volume.
    pub source: Option<String>,
    /// Whether the container cannot write there.
    pub is_read_only: bool,
    /// The bytes of the file.
    pub span: FileSpan,
}

/// The value of `extends`.
#[derive(Clone, Debug)]
pub(crate) struct Extends {
    pub(crate) service: SpannedText,
    pub(crate) file: Option<SpannedText>,
}

impl Service {
    /// Merges the values of a later file, or of the service that extends this one. They win.
    pub(crate) fn merge(&mut self, over: Self) {
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
        // A command replaces the earlier one and never continues it.
        for (command, over) in [
            (&mut self.entrypoint, over.entrypoint),
            (&mut self.command, over.command),
            (&mut self.health_test, over.health_test),
        ] {
            if !over.is_empty() {
                *command = over;
            }
        }
        self.ports.extend(over.ports);
        self.expose.extend(over.expose);
        self.mounts.extend(over.mounts);
        self.borrows_mounts |= over.borrows_mounts;
        self.profiles.extend(over.profiles);
        self.gangway_only.extend(over.gangway_only);
    }

    /// Whether the service is Gangway: by the name of its image, by its variables, or by its own name where the image
    /// is built.
    pub fn is_gangway(&self) -> bool {
        match self.repository() {
            Some("gangway") => return true,
            None if self.name.as_str() == "gangway" => return true,
            _ => {}
        }
        let mut variables = self.environment.keys().chain(self.env_files.keys());
        variables.any(|name| name.starts_with("GANGWAY_"))
    }

    /// Whether the service is Traefik, by the name of its image.
    pub fn is_traefik(&self) -> bool {
        self.repository() == Some("traefik")
    }

    /// The last name in the image, without a tag or a digest.
    fn repository(&self) -> Option<&str> {
        let last = self.image.as_ref()?.as_str().rsplit('/').next()?;
        last.split([':', '@']).next()
    }

    /// Removes the values at `path` below the service, as if they had never been set.
    pub(crate) fn reset(&mut self, path: &[String]) {
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
            "healthcheck" => (self.healthcheck, self.health_test) = (None, Vec::new()),
            "profiles" => self.profiles.clear(),
            _ => {}
        }
    }

    /// All labels of a container of this service. Those closer to the container win over those of a file or the image.
    pub fn all_labels(&self) -> Entries {
        let mut labels = self.build_labels.clone();
        for closer in [&self.label_files, &self.labels] {
            labels.extend(closer.iter().map(|(key, entry)| (key.clone(), entry.clone())));
        }
        labels
    }

    /// All variables that are set inside the container.
    pub fn variables(&self) -> Entries {
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

/// Removes all entries, or the one that `below` names.
fn clear<V>(entries: &mut BTreeMap<String, V>, below: &[String]) {
    match below.first() {
        None => entries.clear(),
        Some(key) => drop(entries.remove(key)),
    }
}

/// Removes labels below `deploy` or `build`, of which only `labels` is read.
fn clear_below(labels: &mut Entries, below: &[String]) {
    match below.split_first() {
        None => labels.clear(),
        Some((key, below)) if key == "labels" => clear(labels, below),
        Some(_) => {}
    }
}

/// Whether the key of a label has Gangway's prefix, in any case.
pub fn is_gangway_label(key: &str) -> bool {
    key.get(.."gangway.".len()).is_some_and(|start| start.eq_ignore_ascii_case("gangway."))
}
