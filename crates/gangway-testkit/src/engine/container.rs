//! A container of the fake engine, and how listings show it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};

use super::{Flavour, State};

/// A container as a test describes it. It runs on the default network unless it is given another one.
#[derive(Clone, Debug)]
pub struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) exposed: Vec<u16>,
    pub(super) published: Vec<(u16, u16)>,
    pub(super) networks: Vec<(String, Option<IpAddr>)>,
    /// Its address on whatever network it joins.
    pub(super) fixed: Option<IpAddr>,
    /// `host`, `none`, `container:<id>`; else it has networks.
    pub(super) mode: Option<String>,
    pub(super) state: String,
    /// The verdict of its health check, if it has one.
    pub(super) health: Option<String>,
    pub(super) created: i64,
    pub(super) stop_signal: Option<String>,
    pub(super) stop_timeout: Option<i64>,
    /// When it was started last; nanoseconds since the epoch.
    pub(super) started: u128,
    json: OnceLock<Arc<str>>,
}

impl Container {
    /// A running container that exposes port 8080.
    pub fn new(name: &str) -> Self {
        Self {
            id: String::new(),
            name: name.into(),
            image: "gangway-test/app".into(),
            labels: BTreeMap::new(),
            exposed: vec![8080],
            published: Vec::new(),
            networks: Vec::new(),
            fixed: None,
            mode: None,
            state: "running".into(),
            health: None,
            created: 0,
            stop_signal: None,
            stop_timeout: None,
            started: 0,
            json: OnceLock::new(),
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// The compose labels of a project's service.
    #[must_use]
    pub fn service(self, project: &str, service: &str) -> Self {
        self.label("com.docker.compose.project", project).label("com.docker.compose.service", service)
    }

    /// Its image.
    #[must_use]
    pub fn image(mut self, image: &str) -> Self {
        self.image = image.into();
        self
    }

    /// The ports it exposes, instead of 8080.
    #[must_use]
    pub fn exposes(mut self, ports: &[u16]) -> Self {
        self.exposed = ports.to_vec();
        self
    }

    /// A port that is published on the host.
    #[must_use]
    pub fn publishes(mut self, port: u16, on_host: u16) -> Self {
        self.published.push((port, on_host));
        self
    }

    /// One more network it is attached to, instead of the default one.
    #[must_use]
    pub fn network(mut self, network: &str) -> Self {
        self.networks.push((network.into(), None));
        self
    }

    /// Its address on every network, for a real listener behind it.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        self.fixed = Some(address);
        self
    }

    /// `host`, `none` or `container:<id>`.
    #[must_use]
    pub fn network_mode(mut self, mode: &str) -> Self {
        self.mode = Some(mode.into());
        self
    }

    /// It has a health check, with this verdict.
    #[must_use]
    pub fn health(mut self, verdict: &str) -> Self {
        self.health = Some(verdict.into());
        self
    }

    /// `running`, `exited`, `created`, `restarting`, or any other word.
    #[must_use]
    pub fn state(mut self, state: &str) -> Self {
        self.state = state.into();
        self
    }

    /// The signal by which it is asked to end, such as `SIGQUIT`.
    #[must_use]
    pub fn stop_signal(mut self, signal: &str) -> Self {
        self.stop_signal = Some(signal.into());
        self
    }

    /// How many seconds it is given to end.
    #[must_use]
    pub fn stop_timeout(mut self, seconds: i64) -> Self {
        self.stop_timeout = Some(seconds);
        self
    }

    /// Its id, instead of one that is made up.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = id.into();
        self
    }

    /// When it was made, in seconds since the epoch.
    #[must_use]
    pub fn created(mut self, seconds: i64) -> Self {
        self.created = seconds;
        self
    }

    pub(super) fn forget_json(&mut self) {
        self.json = OnceLock::new();
    }

    fn runs(&self) -> bool {
        matches!(self.state.as_str(), "running" | "paused")
    }

    /// Its entry in a listing. Kept until something changes: ten thousand are listed as quickly as ten.
    pub(super) fn listed(&self, flavour: Flavour, state: &State) -> Arc<str> {
        Arc::clone(self.json.get_or_init(|| self.entry(flavour, state).to_string().into()))
    }

    fn entry(&self, flavour: Flavour, state: &State) -> Value {
        let mut entry = json!({
            "Id": self.id,
            "Names": [format!("/{}", self.name)],
            "Image": self.image,
            "ImageID": "",
            "Command": "/app",
            "Created": self.created,
            "Ports": self.ports(flavour),
            "Labels": self.labels,
            "State": self.state,
            "Status": self.status(flavour),
            "NetworkSettings": { "Networks": self.attachments(flavour, state) },
            "Mounts": [],
        });
        if flavour != Flavour::Podman {
            entry["HostConfig"] = json!({ "NetworkMode": self.network_mode_as_listed(flavour) });
        }
        if flavour == Flavour::Docker2026 {
            entry["Health"] = json!({ "Status": self.health.as_deref().unwrap_or("none"), "FailingStreak": 0 });
        }
        entry
    }

    /// What inspecting it says, as far as anyone reads it here, and a secret that nobody should.
    pub(super) fn inspected(&self, flavour: Flavour, state: &State) -> Value {
        let exposed: Map<_, _> = self.exposed.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
        let stop_signal = match (&self.stop_signal, flavour) {
            (Some(signal), _) => json!(signal),
            (None, Flavour::Podman) => json!(15),
            (None, _) => Value::Null,
        };
        let mut inspected = json!({
            "Id": self.id,
            "Name": format!("/{}", self.name),
            "State": { "Status": self.state, "Running": self.runs(), "StartedAt": moment(self.started) },
            "HostConfig": { "NetworkMode": self.network_mode_as_listed(flavour) },
            "Config": {
                "Env": ["SECRET=never read"],
                "ExposedPorts": exposed,
                "StopSignal": stop_signal,
                "StopTimeout": self.stop_timeout,
                "Labels": self.labels,
            },
            "NetworkSettings": { "Networks": self.attachments(flavour, state) },
        });
        if let Some(verdict) = &self.health {
            inspected["State"]["Health"] = json!({ "Status": verdict, "FailingStreak": 0, "Log": [] });
            inspected["Config"]["Healthcheck"] = json!({ "Test": ["CMD", "/app", "hc"] });
        }
        inspected
    }

    pub(super) fn status(&self, flavour: Flavour) -> String {
        match (self.state.as_str(), self.health.as_deref()) {
            ("running", Some("starting")) if flavour != Flavour::Podman => "Up 2 minutes (health: starting)".into(),
            ("running", Some(verdict)) if flavour != Flavour::Podman => format!("Up 2 minutes ({verdict})"),
            ("running", _) => "Up 2 minutes".into(),
            ("paused", _) => "Up 2 minutes (Paused)".into(),
            ("created", _) => "Created".into(),
            ("restarting", _) => "Restarting (1) 2 seconds ago".into(),
            _ => "Exited (0) 2 minutes ago".into(),
        }
    }

    fn network_mode_as_listed(&self, flavour: Flavour) -> String {
        match (&self.mode, self.networks.first().map(|(name, _)| name.as_str())) {
            (Some(mode), _) => mode.clone(),
            (None, Some("bridge") | None) if flavour == Flavour::Docker2020 => "default".into(),
            (None, Some(_)) if flavour == Flavour::Podman => "bridge".into(),
            (None, Some(network)) => network.into(),
            (None, None) => "bridge".into(),
        }
    }

    fn ports(&self, flavour: Flavour) -> Vec<Value> {
        let on_a_network = self.runs() && self.mode.is_none();
        let mut ports: Vec<_> = self
            .published
            .iter()
            .filter(|_| on_a_network)
            .map(
                |(port, on_host)| json!({ "IP": "0.0.0.0", "PrivatePort": port, "PublicPort": on_host, "Type": "tcp" }),
            )
            .collect();
        let published = |port: &u16| self.published.iter().any(|(published, _)| published == port);
        for port in self.exposed.iter().filter(|port| on_a_network && !published(port)) {
            match flavour {
                Flavour::Docker2020 => ports.push(json!({ "PrivatePort": port, "Type": "tcp" })),
                Flavour::Docker2026 => ports.push(json!({ "IP": "", "PrivatePort": port, "Type": "tcp" })),
                Flavour::Podman => {}
            }
        }
        ports
    }

    fn attachments(&self, flavour: Flavour, state: &State) -> Map<String, Value> {
        let attachment = |(name, address): &(String, Option<IpAddr>)| {
            let id = match flavour {
                Flavour::Podman => name.clone(),
                _ => state.networks.get(name).filter(|_| self.runs()).cloned().unwrap_or_default(),
            };
            let text = |v6: bool| address.filter(|address| address.is_ipv6() == v6).map(|address| address.to_string());
            let gateway = |v6: bool| {
                let gateway = state.gateways.get(name).filter(|gateway| gateway.is_ipv6() == v6 && self.runs());
                gateway.map(ToString::to_string).unwrap_or_default()
            };
            let json = json!({
                "NetworkID": id,
                "Gateway": gateway(false),
                "IPv6Gateway": gateway(true),
                "IPAddress": text(false).unwrap_or_default(),
                "GlobalIPv6Address": text(true).unwrap_or_default(),
            });
            (name.clone(), json)
        };
        if self.mode.is_some() { Map::new() } else { self.networks.iter().map(attachment).collect() }
    }
}

/// As engines write it.
fn moment(nanos: u128) -> String {
    let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let date = time::OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap_or_default());
    let date = date.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{nanos:09}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        date.hour(),
        date.minute(),
        date.second()
    )
}
