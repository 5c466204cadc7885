//! A stand-in for the local API of a CrowdSec engine (LAPI): as strict as that one is, and wrong on request.
//!
//! It answers as version 1.4.6 of the engine does, byte for byte where that matters: durations of Go, `null` for empty lists,
//! deletions that come twice, and only the longest of several decisions about one value unless `dedup=false` asks for
//! all of them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::scripted::{Asked, Scripted};

/// The engine. It ends when this is dropped.
pub struct CrowdSec {
    /// The URL of its local API.
    pub url: String,
    state: Arc<Mutex<State>>,
    service: Scripted,
}

/// The key of the only bouncer that the engine knows.
pub const BOUNCER_KEY: &str = "be5ccd9bde841fceceb131cfb62c92c4";

#[derive(Default)]
struct State {
    decisions: BTreeMap<i64, Decision>,
    last_id: i64,
    /// What the bouncer was told last.
    told: i64,
    /// What ended since the answer before the last one, and since the last one.
    deleted: [Vec<i64>; 2],
    reported: Vec<Value>,
    takes_metrics: bool,
    /// What it answers to everything.
    wrong: Option<Vec<u8>>,
}

#[derive(Clone)]
struct Decision {
    scope: String,
    value: String,
    kind: String,
    origin: String,
    until: SystemTime,
}

impl CrowdSec {
    /// Starts one on a free port of loopback, without decisions.
    pub async fn start() -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State { takes_metrics: true, ..State::default() }));
        let answering = Arc::clone(&state);
        let service = Scripted::answering(move |asked| locked(&answering).answer(asked)).await?;
        Ok(Self { url: format!("http://{}", service.address), state, service })
    }

    /// Decides, as `cscli decisions add` does. Returns the number of the decision.
    pub fn add(&self, scope: &str, value: &str, kind: &str, lasts: Duration) -> i64 {
        let mut state = locked(&self.state);
        state.last_id += 1;
        let id = state.last_id;
        let (scope, value, kind) = (scope.to_owned(), value.to_owned(), kind.to_owned());
        let until = SystemTime::now() + lasts;
        state.decisions.insert(id, Decision { scope, value, kind, origin: "cscli".to_owned(), until });
        id
    }

    /// Bans an address for four hours.
    pub fn ban(&self, address: &str) -> i64 {
        self.add("Ip", address, "ban", Duration::from_secs(4 * 3600))
    }

    /// Ends a decision, as `cscli decisions delete --id` does.
    pub fn delete(&self, id: i64) {
        let mut state = locked(&self.state);
        if let Some(decision) = state.decisions.get_mut(&id) {
            decision.until = SystemTime::now();
            state.deleted[1].push(id);
        }
    }

    /// Loses all decisions without a word, as an engine with a new volume.
    pub fn forget(&self) {
        let mut state = locked(&self.state);
        state.decisions.clear();
        (state.deleted, state.told) = (Default::default(), state.last_id);
    }

    /// Answers everything by these bytes from now on; by none, as it should.
    pub fn answer_all_with(&self, wrong: Option<Vec<u8>>) {
        locked(&self.state).wrong = wrong;
    }

    /// Knows no usage metrics, as versions before 1.6.3.
    pub fn without_metrics(&self) {
        locked(&self.state).takes_metrics = false;
    }

    /// The usage metrics that it was sent.
    pub fn reported(&self) -> Vec<Value> {
        locked(&self.state).reported.clone()
    }

    /// All requests so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.service.asked()
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer as the engine gives it.
pub fn reply(status: u16, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} Any\r\nContent-Type: application/json; charset=utf-8\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn refused(status: u16, message: &str) -> Vec<u8> {
    reply(status, &json!({ "message": message }).to_string())
}

/// A duration as Go writes it, which may be below zero.
fn go_duration(until: SystemTime) -> String {
    let now = SystemTime::now();
    let (sign, lasts) = match until.duration_since(now) {
        Ok(lasts) => ("", lasts),
        Err(error) => ("-", error.duration()),
    };
    let (seconds, nanoseconds) = (lasts.as_secs(), lasts.subsec_nanos());
    let second = format!("{}.{nanoseconds:09}s", seconds % 60);
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{sign}{second}"),
        (0, minute) => format!("{sign}{minute}m{second}"),
        (hour, minute) => format!("{sign}{hour}h{minute}m{second}"),
    }
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Vec<u8> {
        if let Some(wrong) = &self.wrong {
            return wrong.clone();
        }
        if asked.field("x-api-key") != BOUNCER_KEY {
            return refused(403, "access forbidden");
        }
        // The engine shows type and version of its bouncers, which it takes from this field.
        if asked.field("user-agent").split('/').filter(|part| !part.is_empty()).count() != 2 {
            return refused(400, "a bouncer names itself");
        }
        let mut words = asked.head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match (method, path) {
            ("GET", "/v1/decisions/stream") => self.stream(query),
            ("POST", "/v1/usage-metrics") if self.takes_metrics => self.take_metrics(&asked.body),
            _ => reply(404, ""),
        }
    }

    fn stream(&mut self, query: &str) -> Vec<u8> {
        let query: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let scopes = query.get("scopes").map_or("ip,range", String::as_str).to_ascii_lowercase();
        let is_asked =
            |decision: &Decision| scopes.split(',').any(|scope| scope == decision.scope.to_ascii_lowercase());
        let keeps_all = query.get("dedup").is_some_and(|dedup| dedup == "false");
        let now = SystemTime::now();
        let has_longer = |decision: &Decision| {
            self.decisions.values().any(|other| {
                let is_same =
                    (&other.scope, &other.value, &other.kind) == (&decision.scope, &decision.value, &decision.kind);
                is_same && other.until > decision.until
            })
        };
        let is_told = |decision: &Decision| is_asked(decision) && (keeps_all || !has_longer(decision));
        let is_startup = query.get("startup").is_some_and(|startup| startup == "true");
        let new = self
            .decisions
            .iter()
            .filter(|(id, decision)| decision.until > now && is_told(decision) && (is_startup || **id > self.told));
        let new: Vec<Value> = new.map(|(id, decision)| decision.shown(*id)).collect();
        let gone = self.decisions.iter().filter(|(id, decision)| {
            let is_recent = self.deleted.iter().flatten().any(|gone| gone == *id);
            decision.until <= now && is_told(decision) && (is_startup || is_recent || **id > self.told)
        });
        let gone: Vec<Value> = gone.map(|(id, decision)| decision.shown(*id)).collect();
        self.told = self.last_id;
        self.deleted = [std::mem::take(&mut self.deleted[1]), Vec::new()];
        let listed = |list: Vec<Value>| if list.is_empty() { Value::Null } else { list.into() };
        reply(200, &json!({ "deleted": listed(gone), "new": listed(new) }).to_string())
    }

    fn take_metrics(&mut self, body: &[u8]) -> Vec<u8> {
        let Ok(metrics) = serde_json::from_slice::<Value>(body) else { return refused(400, "no JSON") };
        let Some([component]) = metrics["remediation_components"].as_array().map(Vec::as_slice) else {
            return refused(400, "Missing remediation component data");
        };
        let is_whole = component["version"].is_string()
            && component["utc_startup_timestamp"].is_u64()
            && component["metrics"].as_array().is_some_and(|all| all.iter().all(is_detailed));
        if !is_whole {
            return refused(422, "validation failure list");
        }
        self.reported.push(metrics);
        reply(201, "")
    }
}

/// Whether metrics have the form that the engine's API describes.
fn is_detailed(metrics: &Value) -> bool {
    let meta = &metrics["meta"];
    let is_item = |item: &Value| {
        let labels = item["labels"].as_object();
        item["name"].is_string()
            && item["unit"].is_string()
            && item["value"].is_number()
            && labels.is_none_or(|labels| labels.values().all(Value::is_string))
    };
    meta["utc_now_timestamp"].is_u64()
        && meta["window_size_seconds"].is_u64()
        && metrics["items"].as_array().is_some_and(|items| items.iter().all(is_item))
}

impl Decision {
    fn shown(&self, id: i64) -> Value {
        json!({
            "duration": go_duration(self.until),
            "id": id,
            "origin": self.origin,
            "scenario": format!("manual '{}' from 'stand-in'", self.kind),
            "scope": self.scope,
            "type": self.kind,
            "value": self.value,
        })
    }
}
