//! One service of a compose file, as far as it decides about routes.
//!
//! Everything else that compose knows of a service is left unread, so that only what matters here is
//! complained about.

mod read;

use std::collections::BTreeMap;

use super::source::Spot;
use super::text::Text;

/// Keys with their values, both with their place.
pub(super) type Entries = BTreeMap<String, (Text, Text)>;

/// A service as one file writes it, or as several files together do.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) name: Text,
    pub(super) extends: Option<Extends>,
    pub(super) image: Part<Option<Text>>,
    pub(super) container_name: Part<Option<Text>>,
    pub(super) network_mode: Part<Option<Text>>,
    /// The keys under the file's `networks`.
    pub(super) networks: Part<BTreeMap<String, Spot>>,
    pub(super) labels: Part<Entries>,
    pub(super) label_files: Part<Entries>,
    /// `deploy.labels`: of the Swarm service.
    pub(super) deploy_labels: Part<Entries>,
    /// `build.labels`: of the image, which its containers inherit.
    pub(super) build_labels: Part<Entries>,
    pub(super) environment: Part<Entries>,
    pub(super) env_files: Part<Entries>,
    pub(super) command: Part<Vec<Text>>,
    pub(super) ports: Part<Vec<Port>>,
    pub(super) expose: Part<Vec<Port>>,
    pub(super) healthcheck: Part<Option<bool>>,
}

/// A TCP port in the container, and on the host where it is published.
pub(super) type Port = (u16, Option<u16>);

/// `extends`.
#[derive(Clone, Debug)]
pub(super) struct Extends {
    pub(super) service: Text,
    pub(super) file: Option<Text>,
}

/// One key of a service, and whether it replaces what earlier files say.
#[derive(Clone, Debug, Default)]
pub(super) struct Part<T> {
    pub(super) value: T,
    alone: bool,
}

/// How compose joins what two files say about one key.
pub(super) trait Join {
    fn join(&mut self, over: Self);
}

impl<T> Join for Option<T> {
    fn join(&mut self, over: Self) {
        *self = over.or(self.take());
    }
}

impl<T> Join for Vec<T> {
    fn join(&mut self, over: Self) {
        self.extend(over);
    }
}

impl<V> Join for BTreeMap<String, V> {
    fn join(&mut self, over: Self) {
        self.extend(over);
    }
}

impl<T: Join> Part<T> {
    fn join(&mut self, over: Self) {
        if over.alone {
            *self = over;
        } else {
            self.value.join(over.value);
        }
    }
}

impl Service {
    /// Puts what a later file, or the service that extends this one, says over it.
    pub(super) fn join(&mut self, over: Self) {
        self.name = over.name;
        self.image.join(over.image);
        self.container_name.join(over.container_name);
        self.network_mode.join(over.network_mode);
        self.networks.join(over.networks);
        self.labels.join(over.labels);
        self.label_files.join(over.label_files);
        self.deploy_labels.join(over.deploy_labels);
        self.build_labels.join(over.build_labels);
        self.environment.join(over.environment);
        self.env_files.join(over.env_files);
        // A command is replaced, never continued.
        if !over.command.value.is_empty() || over.command.alone {
            self.command = over.command;
        }
        self.ports.join(over.ports);
        self.expose.join(over.expose);
        self.healthcheck.join(over.healthcheck);
    }

    /// All labels a container of this service has. What stands closer to the container wins.
    pub(super) fn all_labels(&self) -> Entries {
        let mut labels = self.build_labels.value.clone();
        for closer in [&self.deploy_labels, &self.label_files, &self.labels] {
            labels.extend(closer.value.iter().map(|(key, entry)| (key.clone(), entry.clone())));
        }
        labels
    }

    /// The value of a variable inside the container.
    pub(super) fn variable(&self, name: &str) -> Option<&Text> {
        let entry = self.environment.value.get(name).or_else(|| self.env_files.value.get(name));
        entry.map(|(_, value)| value)
    }
}
