//! Events of the fake engine.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{REMEMBERED, State};

/// One event, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Event {
    kind: &'static str,
    action: String,
    /// Nanoseconds since the epoch.
    at: u128,
    json: Value,
}

/// What a subscriber wants to hear.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    kinds: Vec<String>,
    actions: Vec<String>,
}

impl Event {
    pub(super) fn line(&self) -> String {
        format!("{}\n", self.json)
    }

    pub(super) fn is_since(&self, nanos: u128) -> bool {
        self.at >= nanos
    }
}

impl Wanted {
    /// From the query's `filters`.
    pub(super) fn parse(filters: &str) -> Self {
        let filters: Value = serde_json::from_str(filters).unwrap_or_default();
        let list = |key: &str| {
            // Docker's own clients send a map of values to `true`, others a list.
            let words: Vec<String> = match &filters[key] {
                Value::Array(values) => values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect(),
                Value::Object(map) => map.keys().cloned().collect(),
                _ => Vec::new(),
            };
            words
        };
        Self { kinds: list("type"), actions: list("event") }
    }

    pub(super) fn takes(&self, event: &Event) -> bool {
        let word = event.action.split(':').next().unwrap_or_default();
        (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == event.kind))
            && (self.actions.is_empty() || self.actions.iter().any(|action| action == word || *action == event.action))
    }
}

impl State {
    pub(super) fn tell_container(&mut self, id: &str, action: &str, more: &[(&str, &str)]) {
        let Some(container) = self.containers.get(id) else { return };
        let mut attributes: serde_json::Map<String, Value> =
            container.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        attributes.insert("name".into(), json!(container.name));
        attributes.insert("image".into(), json!(container.image));
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
        self.tell("container", action, id, &Value::Object(attributes));
    }

    /// All its networks, unless the engine never tells.
    pub(super) fn tell_networks(&mut self, id: &str, action: &str) {
        let names: Vec<String> = self.containers[id].networks.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            self.tell_network(id, &name, action);
        }
    }

    pub(super) fn tell_network(&mut self, id: &str, network: &str, action: &str) {
        if self.flavour == super::Flavour::Podman {
            return;
        }
        let network_id = self.networks.get(network).cloned().unwrap_or_default();
        let attributes = json!({ "container": id, "name": network, "type": "bridge" });
        self.tell("network", action, &network_id, &attributes);
    }

    fn tell(&mut self, kind: &'static str, action: &str, id: &str, attributes: &Value) {
        if self.loses_events {
            return;
        }
        let at = now();
        let json = json!({
            "status": action, "id": id, "Type": kind, "Action": action,
            "Actor": { "ID": id, "Attributes": attributes },
            "scope": "local", "time": u64::try_from(at / 1_000_000_000).unwrap_or_default(),
            "timeNano": u64::try_from(at).unwrap_or_default(),
        });
        let event = Event { kind, action: action.to_owned(), at, json };
        self.subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(event);
    }
}

/// By the engine's clock.
pub(super) fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}
