//! What Traefik tells → keys such as its file provider reads.
//!
//! Names are whole there: `web@docker`. In a file a name cannot have a provider, so each becomes a name of its own, and is turned
//! back where it is shown.

use std::collections::BTreeMap;

use gangway_diagnostic::Place;
use gangway_model::DynamicKey;
use serde_json::{Map, Value};

/// What stands in place of the `@` of whole names.
const AT: char = '\u{1}';

/// What Traefik adds to the options of routers, services and middlewares.
const STATE: [&str; 6] = ["status", "using", "usedBy", "serverStatus", "error", "type"];

/// The options of a router that decide about requests.
const OF_ROUTERS: [&str; 6] = ["entryPoints", "middlewares", "service", "rule", "priority", "tls"];

/// Routers, services and middlewares of a running Traefik.
#[derive(Debug, Default)]
pub(super) struct RawData {
    routers: BTreeMap<String, RawRouter>,
    keys: Vec<DynamicKey>,
}

/// A router, as far as only Traefik knows it.
#[derive(Debug, Default)]
pub(super) struct RawRouter {
    /// Whether Traefik serves it.
    pub(super) is_enabled: bool,
    /// Why it does not.
    pub(super) errors: Vec<String>,
    /// Its entry points, as Traefik tells them.
    pub(super) entry_points: Vec<String>,
    /// Its rule, as it was written.
    pub(super) rule: String,
}

impl RawData {
    /// Reads the text.
    ///
    /// # Errors
    ///
    /// It is not what Traefik tells.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let root: Value = serde_json::from_str(text).map_err(|error| format!("the answer is no JSON: {error}"))?;
        let Value::Object(root) = root else { return Err("the answer is not Traefik's".to_owned()) };
        if !["routers", "services", "middlewares"].iter().any(|key| root.contains_key(*key)) {
            return Err("the answer is not Traefik's: there are no routers in it".to_owned());
        }
        let mut raw = Self::default();
        for (name, router) in objects(&root, "routers").filter(|(name, _)| !name.ends_with("@internal")) {
            let text = |option| router.get(option).and_then(Value::as_str);
            let texts = |option| {
                let all = router.get(option).and_then(Value::as_array).into_iter().flatten();
                all.filter_map(Value::as_str).map(str::to_owned).collect()
            };
            let told = RawRouter {
                is_enabled: text("status") != Some("disabled"),
                errors: texts("error"),
                entry_points: texts("entryPoints"),
                rule: text("rule").unwrap_or_default().trim().to_owned(),
            };
            raw.routers.insert(name.clone(), told);
            let provider = name.rsplit_once('@').map_or("", |(_, provider)| provider);
            for (option, value) in router.iter().filter(|(option, _)| OF_ROUTERS.contains(&option.as_str())) {
                let value = match (option.as_str(), value) {
                    ("service", Value::String(service)) => Value::String(referred(service, provider)),
                    ("middlewares", Value::Array(names)) => Value::Array(
                        names
                            .iter()
                            .filter_map(Value::as_str)
                            .map(|name| Value::String(referred(name, provider)))
                            .collect(),
                    ),
                    (_, value) => value.clone(),
                };
                raw.push(&["http", "routers", &changed(name), option], &value);
            }
        }
        for kind in ["services", "middlewares"] {
            for (name, object) in objects(&root, kind).filter(|(name, _)| !name.ends_with("@internal")) {
                let provider = name.rsplit_once('@').map_or("", |(_, provider)| provider);
                for (option, value) in object.iter().filter(|(option, _)| !STATE.contains(&option.as_str())) {
                    let value = with_changed_names(option, value, provider);
                    raw.push(&["http", kind, &changed(name), option], &value);
                }
            }
        }
        Ok(raw)
    }

    pub(super) fn routers(&self) -> &BTreeMap<String, RawRouter> {
        &self.routers
    }

    pub(super) fn keys(&self) -> &[DynamicKey] {
        &self.keys
    }

    fn push(&mut self, path: &[&str], value: &Value) {
        let text = match value {
            Value::Null => return,
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                for (position, item) in items.iter().enumerate() {
                    let position = format!("[{position}]");
                    self.push(&[path, &[&position]].concat(), item);
                }
                return;
            }
            Value::Object(object) if object.is_empty() => String::new(),
            Value::Object(object) => {
                object.iter().for_each(|(key, value)| self.push(&[path, &[key]].concat(), value));
                return;
            }
        };
        let path = path.iter().map(|part| (*part).into()).collect();
        self.keys.push(DynamicKey { path, value: text.into(), place: Place::Configuration });
    }
}

/// The whole name of a router of a table that was made of the keys.
pub(super) fn whole_name(name: &str) -> String {
    let name = name.strip_suffix("@file").filter(|name| name.contains(AT)).unwrap_or(name);
    name.replace(AT, "@")
}

fn changed(name: &str) -> String {
    name.replace('@', &AT.to_string())
}

/// A name as it is referred to by something of this provider. What Traefik has inside keeps its name.
fn referred(name: &str, provider: &str) -> String {
    match name.rsplit_once('@') {
        Some((_, "internal")) => name.to_owned(),
        Some(_) => changed(name),
        None => format!("{name}{AT}{provider}"),
    }
}

/// The value of an option with names of services and middlewares changed.
fn with_changed_names(option: &str, value: &Value, provider: &str) -> Value {
    match value {
        Value::String(name) if ["service", "fallback", "name"].contains(&option) => {
            Value::String(referred(name, provider))
        }
        Value::Array(items) if option == "middlewares" => {
            let name = |item: &Value| {
                item.as_str().map_or_else(|| item.clone(), |name| Value::String(referred(name, provider)))
            };
            Value::Array(items.iter().map(name).collect())
        }
        // Names of cookies and fields are no references.
        Value::Object(object) if option == "cookie" || option == "headers" => Value::Object(object.clone()),
        Value::Object(object) => Value::Object(
            object.iter().map(|(key, value)| (key.clone(), with_changed_names(key, value, provider))).collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(|item| with_changed_names("", item, provider)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn objects<'r>(root: &'r Map<String, Value>, kind: &str) -> impl Iterator<Item = (&'r String, &'r Map<String, Value>)> {
    let all = root.get(kind).and_then(Value::as_object).into_iter().flatten();
    all.filter_map(|(name, value)| Some((name, value.as_object()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_traefik_tells_becomes_keys() {
        let text = r#"{
            "routers": {
                "web@docker": {"entryPoints": ["web"], "service": "app", "rule": "Host(`a.test`)", "priority": 14,
                    "middlewares": ["auth@file"], "tls": {"options": "default", "certResolver": "le"}, "status": "enabled", "using": ["web"]},
                "broken@docker": {"rule": "x", "status": "disabled", "error": ["no service"]},
                "web-to-websecure@internal": {"rule": "HostRegexp(`^.+$`)"}
            },
            "services": {"app@docker": {"loadBalancer": {"servers": [{"url": "http://192.0.2.1:80"}]}, "serverStatus": {"x": "UP"}}},
            "middlewares": {"all@docker": {"chain": {"middlewares": ["auth@file"]}, "status": "enabled"}}
        }"#;
        let raw = RawData::parse(text).expect("Traefik's answer");
        let shown: Vec<String> =
            raw.keys().iter().map(|key| format!("{}={}", key.path.join("/"), key.value).replace(AT, "'")).collect();
        assert_eq!(
            shown,
            [
                "http/routers/broken'docker/rule=x",
                "http/routers/web'docker/entryPoints/[0]=web",
                "http/routers/web'docker/middlewares/[0]=auth'file",
                "http/routers/web'docker/priority=14",
                "http/routers/web'docker/rule=Host(`a.test`)",
                "http/routers/web'docker/service=app'docker",
                "http/routers/web'docker/tls/certResolver=le",
                "http/routers/web'docker/tls/options=default",
                "http/services/app'docker/loadBalancer/servers/[0]/url=http://192.0.2.1:80",
                "http/middlewares/all'docker/chain/middlewares/[0]=auth'file",
            ]
        );
        assert!(!raw.routers()["broken@docker"].is_enabled);
        assert_eq!(whole_name(&format!("web{AT}docker@file")), "web@docker");
        assert_eq!(whole_name("web@file"), "web@file");
    }

    #[test]
    fn another_answer_is_refused() {
        for text in ["", "[]", "{}", "<html>", "{\"version\": \"3\"}"] {
            assert!(RawData::parse(text).is_err(), "{text}");
        }
    }
}
