//! The answers of the fake engine.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::serve::decoded;
use super::{Asked, Container, Engine, Flavour, State};

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(value: &Value) -> Self {
        Self { status: 200, body: value.to_string() }
    }

    pub(super) fn error(status: u16, message: &str) -> Self {
        Self { status, body: json!({ "message": message }).to_string() }
    }
}

impl Engine {
    pub(super) fn answer_to(&self, asked: &Asked, body: &str) -> Answer {
        if let Some(order) = asked.path.strip_prefix("/testkit/") {
            return self.obey(&asked.method, order, body);
        }
        if !matches!(asked.method.as_str(), "GET" | "HEAD") {
            return Answer::error(403, "this engine can only be read");
        }
        let state = self.state();
        match asked.path.as_str() {
            "/_ping" => Answer { status: 200, body: "OK".into() },
            "/version" => Answer::json(&state.version()),
            "/containers/json" => Answer { status: 200, body: state.listing(&asked.query) },
            "/info" => Answer::json(&state.info()),
            "/networks" => Answer::json(&state.networks()),
            path => match path.strip_prefix("/containers/").and_then(|rest| rest.strip_suffix("/json")) {
                Some(container) => match state.find(container) {
                    Some(id) => Answer::json(&state.containers[&id].inspected(state.flavour, &state)),
                    None => Answer::error(404, &format!("No such container: {container}")),
                },
                None => Answer::error(404, "page not found"),
            },
        }
    }
}

impl State {
    fn version(&self) -> Value {
        let (engine, version, api, oldest) = match self.flavour {
            Flavour::Docker2020 => ("Engine", "20.10.24", "1.41", "1.12"),
            Flavour::Docker2026 => ("Engine", "30.0.0", "1.56", "1.40"),
            Flavour::Podman => ("Podman Engine", "4.3.1", "1.41", "1.24"),
        };
        let mut components = vec![json!({ "Name": engine, "Version": version, "Details": { "ApiVersion": api } })];
        if self.is_rootless && self.flavour != Flavour::Podman {
            components.push(json!({ "Name": "rootlesskit", "Version": "1.1.0", "Details": {} }));
        }
        json!({
            "Platform": { "Name": "" },
            "Components": components,
            "Version": version,
            "ApiVersion": api,
            "MinAPIVersion": oldest,
            "Os": "linux",
            "Arch": "amd64",
        })
    }

    fn info(&self) -> Value {
        let rootless = if self.is_rootless { "name=rootless" } else { "name=cgroupns" };
        json!({ "OperatingSystem": "Debian", "SecurityOptions": ["name=seccomp,profile=default", rootless] })
    }

    /// The newest container first, as all engines do it.
    fn listing(&self, query: &str) -> String {
        let parameters: BTreeMap<&str, String> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key, decoded(value)))
            .collect();
        let all = parameters.get("all").is_some_and(|all| matches!(all.as_str(), "1" | "true"));
        let filters =
            parameters.get("filters").map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or_default());
        let mut containers: Vec<&Container> = self.containers.values().collect();
        containers.retain(|container| all || matches!(container.state.as_str(), "running" | "paused" | "restarting"));
        containers.retain(|container| passes(container, &filters));
        containers.sort_by_key(|container| std::cmp::Reverse((container.created, &container.id)));
        let mut listing = String::from("[");
        for (position, container) in containers.iter().enumerate() {
            if position > 0 {
                listing.push(',');
            }
            listing.push_str(&container.listed(self.flavour, self));
        }
        listing.push(']');
        listing
    }

    fn networks(&self) -> Value {
        let driver = |name: &String| self.drivers.get(name).map_or("bridge", String::as_str);
        let network = |(name, id): (&String, &String)| json!({ "Name": name, "Id": id, "Driver": driver(name) });
        self.networks.iter().map(network).collect()
    }
}

/// The filters that people use with `docker ps`.
fn passes(container: &Container, filters: &Value) -> bool {
    let any = |key: &str, fits: &dyn Fn(&str) -> bool| match &filters[key] {
        Value::Array(values) => values.iter().filter_map(Value::as_str).any(fits),
        Value::Object(values) => values.keys().any(|value| fits(value)),
        _ => true,
    };
    any("id", &|id| container.id.starts_with(id))
        && any("name", &|name| container.name.contains(name.trim_start_matches('/')))
        && any("status", &|state| container.state == state)
        && any("label", &|label| match label.split_once('=') {
            Some((key, value)) => container.labels.get(key).is_some_and(|found| found == value),
            None => container.labels.contains_key(label),
        })
}
