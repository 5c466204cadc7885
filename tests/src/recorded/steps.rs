//! Asks what a step asks, and does what it does.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use gangway_testkit::client::Client;
use gangway_testkit::raw::{Asked, Raw, RawAnswer};
use gangway_testkit::wait::eventually;
use serde_json::Value;

use super::case::{LogOfCase, Step};
use super::instance::{Instance, OWN_ENTRY_POINT};
use super::{api, log_lines};
use crate::STUCK;

/// The key of RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What came of a step.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// No answer.
    Failed,
    /// An answer, and the fields that were sent for it.
    Answer { answer: RawAnswer, sent: Vec<(String, String)>, is_https: bool },
    /// Several, each a status and an application.
    Several(Vec<String>),
    /// What an application says that it saw.
    Told(Value),
    /// A WebSocket that gave back what was sent, or not.
    Echoed { answer: RawAnswer, is_same: bool },
    /// What the API says, as it is compared; the error is the text of an answer that is no JSON.
    Shown { status: u16, json: Result<Value, String> },
    /// Lines of the access log, as they are compared.
    Logged(Vec<Value>),
}

/// Runs a step; none where nothing was asked.
pub(super) async fn run(instance: &mut Instance<'_>, step: &Step) -> Option<Outcome> {
    if let Some(act) = &step.act {
        let act = instance.text(act);
        happen(instance, &act).await;
        return None;
    }
    if let Some(name) = &step.last {
        // A health check comes when it is due.
        let address = instance.address_of(name);
        let what = format!("`{name}` has seen a request");
        let told = eventually(&what, STUCK, async || {
            let told = direct(address, "/_last").await;
            told["method"].is_string().then_some(told)
        });
        return Some(Outcome::Told(told.await));
    }
    if let Some(name) = &step.count {
        return Some(Outcome::Told(direct(instance.address_of(name), "/_count").await));
    }
    if let Some(path) = &step.api {
        let path = instance.text(path);
        return Some(show(instance, step, &path).await.unwrap_or(Outcome::Failed));
    }
    if let Some(LogOfCase::Access) = step.log {
        let count = step.expected().and_then(|expected| expected.lines.as_ref()).map_or(0, Vec::len);
        let lines = instance.new_log_lines(count).await;
        return Some(Outcome::Logged(lines.iter().map(|line| log_lines::compared(line)).collect()));
    }
    if let Some(url) = &step.ws {
        let url = instance.text(&format!("GET {url}"));
        return Some(ask(instance, step, &url, true).await.unwrap_or(Outcome::Failed));
    }
    let request = instance.text(step.req.as_ref().expect("a step asks or does something"));
    let Some(times) = step.n else {
        return Some(ask(instance, step, &request, false).await.unwrap_or(Outcome::Failed));
    };
    let mut all = Vec::new();
    for _ in 0..times {
        all.push(match ask(instance, step, &request, false).await {
            Ok(Outcome::Answer { answer, .. }) => {
                let status = answer.status;
                answer.all("x-app").first().map_or_else(|| status.to_string(), |app| format!("{status} {app}"))
            }
            Ok(_) | Err(_) => "none".to_owned(),
        });
    }
    Some(Outcome::Several(all))
}

async fn ask(instance: &mut Instance<'_>, step: &Step, request: &str, is_websocket: bool) -> io::Result<Outcome> {
    let (method, url) = request.split_once(' ').expect("a method and a URL");
    let (scheme, rest) = url.split_once("://").expect("a whole URL");
    let is_https = scheme == "https";
    let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let entry_point = step.ep.clone().unwrap_or_else(|| instance.usual_entry_point(is_https).to_owned());
    let address = instance.address(&entry_point);
    let mut client = if is_https { Client::tls_unverified(address)? } else { Client::plain(address) };
    if let Some(from) = step.from {
        client = client.leaving_from(from);
    }
    if let Some(raw) = &step.raw {
        client = client.beginning_with(instance.text(raw));
    }
    let mut fields = vec![("Host".to_owned(), host.to_owned())];
    if !step.fields.contains_key("User-Agent") {
        fields.push(("User-Agent".to_owned(), "gw".to_owned()));
    }
    for (name, values) in &step.fields {
        for value in values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            fields.push((name.clone(), instance.text(&text)));
        }
    }
    let body = match &step.body {
        Some(Value::Number(len)) => "b".repeat(usize::try_from(len.as_u64().unwrap_or(0)).unwrap_or(0)),
        Some(text) => text.as_str().unwrap_or_default().to_owned(),
        None => String::new(),
    };
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        fields.push(("Content-Length".to_owned(), body.len().to_string()));
    }
    if step.cookies && !instance.cookies.is_empty() {
        let all: Vec<String> = instance.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fields.push(("Cookie".to_owned(), all.join("; ")));
    }
    if is_websocket {
        let asked = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];
        let asked = asked.into_iter().chain([("Sec-WebSocket-Key", KEY)]);
        fields.extend(asked.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let sni = step.sni.clone().unwrap_or_else(|| host.split(':').next().unwrap_or_default().to_owned());
    // An address is never sent as a name of a server (RFC 6066, section 3).
    let sni = if sni.is_empty() { "127.0.0.1" } else { &sni };
    let mut connection = Raw::over(client.stream(sni).await?);
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    connection.send(format!("{method} {target} HTTP/1.1\r\n{lines}\r\n{body}")).await?;
    let asked = if method == "HEAD" { Asked::ForHead } else { Asked::ForAll };
    let answer = loop {
        let answer = connection.answer(asked).await?;
        if answer.status == 101 || answer.status >= 200 {
            break answer;
        }
    };
    for set in answer.all("set-cookie") {
        if let Some((name, value)) = set.split(';').next().and_then(|pair| pair.split_once('=')) {
            instance.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
    if is_websocket && answer.status == 101 {
        // A masked text, and the same as it is sent by a server that does not look into it.
        let frame: Vec<u8> = [0x81, 0x84, 1, 2, 3, 4]
            .into_iter()
            .chain(b"ping".iter().zip(1..).map(|(byte, mask)| byte ^ mask))
            .collect();
        connection.send(&frame).await?;
        let echoed = connection.bytes(6).await?;
        return Ok(Outcome::Echoed { answer, is_same: echoed == b"\x81\x04ping" });
    }
    Ok(Outcome::Answer { answer, sent: fields, is_https })
}

/// Asks Traefik's API.
async fn show(instance: &Instance<'_>, step: &Step, path: &str) -> io::Result<Outcome> {
    let address = instance.address(OWN_ENTRY_POINT);
    let answer = Client::plain(address).get(&address.to_string(), path).await?;
    let text = answer.text();
    let json = serde_json::from_str(&text).map_err(|_| text);
    let json = json.map(|json| api::compared(&json, &step.pick, step.shape));
    Ok(Outcome::Shown { status: answer.status.as_u16(), json })
}

/// Asks a container past Gangway.
async fn direct(address: SocketAddr, path: &str) -> Value {
    Client::plain(address).get("direct", path).await.expect("the application answers").json()
}

/// Changes a container, and waits until the table in force was made of what it is now.
async fn happen(instance: &mut Instance<'_>, act: &str) {
    let (verb, name) = act.split_once(' ').expect("a verb and a name");
    let state = match verb {
        // What follows is compared by what it finds, so that a time of the recording does not matter here.
        "sleep" => return,
        "sick" | "well" => {
            direct(instance.address_of(name), &format!("/{verb}")).await;
            if instance.container(name).health.is_none() {
                return;
            }
            let health = if verb == "sick" { "unhealthy" } else { "healthy" };
            return until_it_knows(instance, name, |found| found.is_some_and(|found| found["health"] == health)).await;
        }
        "run" => {
            let container = instance.container(name).clone();
            instance.run(&container).await;
            "running"
        }
        "rm" => {
            instance.docker().command(["rm", "-f", "-v", &instance.name_on_engine(name)]);
            return until_it_knows(instance, name, |found| found.is_none()).await;
        }
        verb => {
            let whole = if verb == "stop" { vec![verb, "-t", "1"] } else { vec![verb] };
            let name = instance.name_on_engine(name);
            instance.docker().command(whole.into_iter().chain([&*name]));
            match verb {
                "stop" | "kill" => "exited",
                "pause" => "paused",
                "start" | "unpause" => "running",
                verb => panic!("nobody knows what is seen after `{verb}`"),
            }
        }
    };
    until_it_knows(instance, name, |found| found.is_some_and(|found| found["state"] == state)).await;
}

/// Waits until what the table in force says of a container is so. Other cases run beside this one on the same engine, so the
/// next table may be without news of it.
async fn until_it_knows(instance: &Instance<'_>, name: &str, is_so: impl Fn(Option<&Value>) -> bool) {
    let name = instance.name_on_engine(name);
    eventually(&format!("Gangway knows what became of {name}"), STUCK, async || {
        let all = instance.containers().await;
        let found = all.as_array().and_then(|all| all.iter().find(|one| one["name"] == *name));
        is_so(found).then_some(())
    })
    .await;
}

/// The answers of several requests, counted.
pub(super) fn counted(all: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one.clone()).or_insert(0) += 1;
    }
    counts
}
