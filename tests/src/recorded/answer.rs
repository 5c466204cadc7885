//! Compares what was seen with what should be.

use std::collections::BTreeMap;

use gangway_testkit::raw::RawAnswer;
use serde_json::Value;

use super::case::{Seen, Step, Truth};
use super::instance::Instance;
use super::steps::{Outcome, counted};

/// Fields that every server sets as it likes.
const OF_THE_CONNECTION: [&str; 5] = ["connection", "content-length", "date", "keep-alive", "transfer-encoding"];

/// In place of what may be different each time.
const UNSTABLE: &str = "<unstable>";

/// Fields that Gangway adds to every answer, or to every request for an application.
const OURS: [&str; 3] = ["cdn-loop", "server", "x-request-id"];

/// What differs, one line each.
pub(super) fn compare(instance: &mut Instance<'_>, step: &Step, expected: &Truth, seen: &Outcome) -> Vec<String> {
    let mut differences = Differences(Vec::new());
    match seen {
        Outcome::Failed => differences.of("answer", &expected.error, &true),
        Outcome::Several(all) => {
            let counts = counted(all);
            if let Some(seq) = &expected.seq {
                differences.of("answers", seq, all);
            }
            if let Some(of_each) = &expected.all {
                differences.of("answers", of_each, &counts);
            }
            if let Some(distinct) = &expected.distinct {
                differences.of("different answers", distinct, &counts.len());
            }
        }
        Outcome::Told(told) => {
            if let Some(count) = expected.count {
                differences.of("requests", &Some(count), &told.as_u64());
            }
            if let Some(up) = &expected.up {
                let usual = BTreeMap::new();
                seen_by_app(instance, up, told, &[], usual, &mut differences);
            }
        }
        Outcome::Shown { status, json } => {
            differences.of("status", &expected.status, &Some(*status));
            match (json, &expected.json) {
                (Ok(found), Some(json)) => of_json("", &instance.value(json), found, &mut differences),
                (found, json) => {
                    differences.of("json", json, &found.as_ref().ok().cloned());
                    differences.of("body", &expected.body.as_ref(), &found.as_ref().err());
                }
            }
        }
        Outcome::Logged(lines) => {
            let wanted = instance.value(&expected.lines.clone().unwrap_or_default().into());
            of_json("", &wanted, &lines.clone().into(), &mut differences);
        }
        Outcome::Echoed { answer, is_same } => {
            differences.of("status", &expected.status, &Some(answer.status));
            differences.of("app", &expected.app.as_deref(), &answer.all("x-app").first().copied());
            if let Some(echo) = expected.echo {
                differences.of("echo", &echo, is_same);
            }
        }
        Outcome::Answer { answer, sent, is_https } => {
            differences.of("answer", &expected.error, &false);
            differences.of("status", &expected.status, &Some(answer.status));
            let app = answer.all("x-app").first().copied();
            if !(expected.app.as_deref() == Some(UNSTABLE) && app.is_some()) {
                differences.of("app", &expected.app.as_deref(), &app);
            }
            if differences.0.is_empty() {
                of_answer(instance, step, expected, (answer, sent, *is_https), &mut differences);
            }
        }
    }
    differences.0
}

fn of_answer(
    instance: &mut Instance<'_>,
    step: &Step,
    expected: &Truth,
    (answer, sent, is_https): (&RawAnswer, &[(String, String)], bool),
    differences: &mut Differences,
) {
    let told: Option<Value> = serde_json::from_slice(&answer.body).ok().filter(|_| expected.app.is_some());
    let by_app = told.as_ref().map(|told| fields(&told["sent"]));
    for (name, value) in &expected.res {
        let found: Vec<String> = answer.all(name).into_iter().map(str::to_owned).collect();
        of_field(instance, &format!("answer's {name}"), value, &found, differences);
    }
    // What is said without what the application saw, is said of the rest alone.
    if let Some(by_app) = by_app.filter(|_| expected.up.is_some()) {
        for (name, _) in &answer.fields {
            let name = name.to_ascii_lowercase();
            let is_known =
                [&OF_THE_CONNECTION[..], &OURS].concat().contains(&&*name) || expected.res.contains_key(&name);
            let found: Vec<String> = answer.all(&name).into_iter().map(str::to_owned).collect();
            if !is_known && by_app.get(&name) != Some(&found) {
                differences.0.push(format!("answer's {name}: more than expected, {found:?}"));
            }
        }
    }
    if let (Some(up), Some(told)) = (&expected.up, &told) {
        let usual = if up.std { usual(step, sent, is_https) } else { BTreeMap::new() };
        seen_by_app(instance, up, told, sent, usual, differences);
    }
}

/// What differs, under the names that lead to it. Lists of the same length are compared item by item.
fn of_json(at: &str, expected: &Value, found: &Value, differences: &mut Differences) {
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match (expected, found) {
        (Value::String(text), _) if text == UNSTABLE => {}
        (Value::Object(wanted), Value::Object(all)) => {
            for (name, expected) in wanted {
                match all.get(name) {
                    Some(found) => of_json(&below(name), expected, found, differences),
                    None => differences.0.push(format!("{}: missing", below(name))),
                }
            }
            for (name, found) in all.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
                differences.0.push(format!("{}: more than expected, {found}", below(name)));
            }
        }
        (Value::Array(wanted), Value::Array(all)) if wanted.len() == all.len() => {
            for (number, (expected, found)) in wanted.iter().zip(all).enumerate() {
                of_json(&format!("{at}[{number}]"), expected, found, differences);
            }
        }
        (expected, found) if expected == found => {}
        (expected, found) => differences.0.push(format!("{at}: {found} instead of {expected}")),
    }
}

/// The name of this machine.
fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// The fields that a proxy adds.
fn usual(step: &Step, sent: &[(String, String)], is_https: bool) -> BTreeMap<String, Value> {
    let from = step.from.map_or_else(|| "127.0.0.1".to_owned(), |from| from.to_string());
    let host = sent[0].1.clone();
    let named = host.rsplit_once(':').map(|(_, port)| port.to_owned()).filter(|port| port.parse::<u16>().is_ok());
    let port = named.unwrap_or_else(|| if is_https { "443" } else { "80" }.to_owned());
    let fields = [
        ("x-forwarded-for", from.clone()),
        ("x-forwarded-host", host),
        ("x-forwarded-port", port),
        ("x-forwarded-proto", if is_https { "https" } else { "http" }.to_owned()),
        ("x-forwarded-server", "{hostname}".to_owned()),
        ("x-real-ip", from),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}

fn seen_by_app(
    instance: &mut Instance<'_>,
    up: &Seen,
    told: &Value,
    sent: &[(String, String)],
    usual: BTreeMap<String, Value>,
    differences: &mut Differences,
) {
    let mut arrived = fields(&told["headers"]);
    let text = |what: &str| told[what].as_str().unwrap_or_default().to_owned();
    differences.of("target", &instance.text(&up.target), &format!("{} {}", text("method"), text("target")));
    let host = arrived.remove("host").or_else(|| arrived.remove(":authority")).unwrap_or_default();
    let wanted = up.host.as_ref().map(|host| instance.text(host)).or_else(|| Some(sent.first()?.1.clone()));
    if let Some(wanted) = wanted.filter(|wanted| wanted != UNSTABLE) {
        differences.of("host", &[wanted][..], &host[..]);
    }
    let local = text("local");
    if let Some(port) = up.port {
        differences.of("port", &Some(port.to_string()), &local.rsplit_once(':').map(|(_, port)| port.to_owned()));
    }
    if let Some(net) = up.net {
        differences.of("network", &Some(net), &instance.network_of(&local));
    }
    if let Some(body) = up.body {
        differences.of("length of the body", &Some(body), &told["body_len"].as_u64());
    }
    let mut by_client: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in sent {
        by_client.entry(name.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
    }
    let expected: BTreeMap<String, Value> = usual.into_iter().chain(up.headers.clone()).collect();
    for (name, value) in &expected {
        let found = arrived.get(name).cloned().unwrap_or_default();
        of_field(instance, &format!("the app's {name}"), value, &found, differences);
    }
    let is_known = |name: &String| {
        expected.contains_key(name) || [&OF_THE_CONNECTION[..], &OURS, &["host"]].concat().contains(&&**name)
    };
    for (name, values) in arrived.iter().filter(|(name, _)| !is_known(name)) {
        if !sent.is_empty() && by_client.get(name) != Some(values) {
            differences.0.push(format!("the app's {name}: other than the client's, {values:?}"));
        }
    }
    for name in by_client.keys().filter(|name| !is_known(name) && !arrived.contains_key(*name)) {
        differences.0.push(format!("the app's {name}: missing"));
    }
}

/// Fields by their names in lower case, as the application writes them.
fn fields(told: &Value) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for field in told.as_array().map(Vec::as_slice).unwrap_or_default() {
        if let (Some(name), Some(value)) = (field[0].as_str(), field[1].as_str()) {
            all.entry(name.to_ascii_lowercase()).or_default().push(value.to_owned());
        }
    }
    all
}

fn of_field(
    instance: &mut Instance<'_>,
    what: &str,
    expected: &Value,
    found: &[String],
    differences: &mut Differences,
) {
    let wanted: Vec<String> = match expected {
        Value::Null => Vec::new(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(|text| instance.text(text)).collect(),
        Value::String(text) if text == UNSTABLE => return,
        Value::String(text) if text == "{hostname}" => vec![hostname()],
        Value::String(text) => vec![instance.text(text)],
        other => vec![other.to_string()],
    };
    let same = |wanted: &String, found: &String| {
        *wanted == *found || wanted == "{hash}" && found.len() >= 12 && found.bytes().all(|byte| byte.is_ascii_hexdigit())
            // The value of a cookie may be any; its name and attributes count.
            || wanted.split_once("={hash}").is_some_and(|(name, rest)| found.starts_with(name) && found.ends_with(rest))
    };
    if wanted.len() != found.len() || !wanted.iter().zip(found).all(|(wanted, found)| same(wanted, found)) {
        differences.0.push(format!("{what}: {found:?} instead of {wanted:?}"));
    }
}

struct Differences(Vec<String>);

impl Differences {
    fn of<T: PartialEq + std::fmt::Debug + ?Sized>(&mut self, what: &str, expected: &T, found: &T) {
        if expected != found {
            self.0.push(format!("{what}: {found:?} instead of {expected:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_difference_of_json_is_named_by_the_way_to_it() {
        let found = |expected: Value, found: Value| {
            let mut differences = Differences(Vec::new());
            of_json("", &expected, &found, &mut differences);
            differences.0
        };
        let value = json!({"a": {"b": [1, {"c": "x"}], "d": null}});
        assert_eq!(found(value.clone(), value.clone()), [""; 0]);
        assert_eq!(
            found(value.clone(), json!({"a": {"b": [1, {"c": "y", "e": 2}]}})),
            ["a.b[1].c: \"y\" instead of \"x\"", "a.b[1].e: more than expected, 2", "a.d: missing"]
        );
        assert_eq!(found(value, json!({"a": {"b": [1], "d": null}})), ["a.b: [1] instead of [1,{\"c\":\"x\"}]"]);
        assert_eq!(found(json!({"a": "<unstable>"}), json!({"a": 5})), [""; 0]);
        assert_eq!(found(json!({"a": 1}), json!([])), [": [] instead of {\"a\":1}"]);
    }
}
