//! Orders to the fake engine over its own socket, for those who cannot call its functions.
//!
//! ```text
//! POST   /testkit/containers               one container as JSON; one of the same name is recreated
//! DELETE /testkit/containers/<name>
//! POST   /testkit/containers/<name>/<act>  start stop restart end pause unpause healthy unhealthy
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};

use super::answer::Answer;
use super::{Container, Engine};

impl Engine {
    pub(super) fn obey(&self, method: &str, order: &str, body: &str) -> Answer {
        let words: Vec<&str> = order.split('/').collect();
        match (method, words.as_slice()) {
            ("POST", ["containers"]) => match container_of(body) {
                Ok(container) => {
                    let name = container.name.clone();
                    if self.state_of(&name).is_some() {
                        self.stop(&name);
                        self.remove(&name);
                    }
                    Answer::json(&json!({ "Id": self.run(container) }))
                }
                Err(message) => Answer::error(400, &message),
            },
            ("DELETE", ["containers", name]) if self.state_of(name).is_some() => {
                self.remove(name);
                Answer::json(&json!({}))
            }
            ("POST", ["containers", name, act]) if self.state_of(name).is_some() => {
                match *act {
                    "start" => self.start(name),
                    "stop" => self.stop(name),
                    "restart" => self.restart(name),
                    "end" => self.end(name),
                    "pause" => self.pause(name),
                    "unpause" => self.unpause(name),
                    verdict @ ("healthy" | "unhealthy") => self.set_health(name, verdict),
                    _ => return Answer::error(400, &format!("unknown act `{act}`")),
                }
                Answer::json(&json!({}))
            }
            (_, ["containers", name, ..]) => Answer::error(404, &format!("No such container: {name}")),
            _ => Answer::error(404, "unknown order"),
        }
    }
}

/// `{"name": "web", "labels": {…}, "image": …, "ports": [8080], "address": "127.0.0.1", "networks": […],
/// "health": "starting", "project": "shop", "service": "web"}`; all but the name may be missing.
fn container_of(body: &str) -> Result<Container, String> {
    let given: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let text = |key: &str| given[key].as_str();
    let mut container = Container::new(text("name").ok_or("a container needs a name")?);
    if let Some(labels) = given["labels"].as_object() {
        let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        container.labels = labels.iter().map(|(key, at)| (key.clone(), value(at))).collect::<BTreeMap<_, _>>();
    }
    if let Some(ports) = given["ports"].as_array() {
        container.exposed = ports.iter().filter_map(|port| u16::try_from(port.as_u64()?).ok()).collect();
    }
    for network in given["networks"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        container = container.network(network);
    }
    if let Some(address) = text("address") {
        let address: IpAddr = address.parse().map_err(|_| format!("`{address}` is no address"))?;
        container = container.address(address);
    }
    if let (Some(project), Some(service)) = (text("project"), text("service")) {
        container = container.service(project, service);
    }
    if let Some(verdict) = text("health") {
        container = container.health(verdict);
    }
    if let Some(image) = text("image") {
        container = container.image(image);
    }
    Ok(container)
}
