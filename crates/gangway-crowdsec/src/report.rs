//! Tells the engine how much was kept out, for `cscli metrics` and the console.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gangway_publish::Reader;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::bouncer::{Bouncer, Counted};
use crate::decisions::Decisions;
use crate::lapi::Lapi;
use crate::settings::LapiSettings;

/// How often the engine gets a report, as from its own bouncers.
const REPORT_EVERY: Duration = Duration::from_secs(30 * 60);

/// Reports for ever, from the first decisions on. An engine that does not want to know is not told again.
///
/// `version` is that of the program, and `started` is when it began.
pub async fn report(
    settings: LapiSettings,
    bouncer: Bouncer,
    decisions: Reader<Decisions>,
    version: &str,
    started: SystemTime,
) -> Infallible {
    if decisions.first().await.is_err() {
        return pending().await;
    }
    let lapi = Lapi::new(settings);
    let mut told = Told::default();
    let mut since = Instant::now();
    loop {
        let counted = bouncer.counted();
        let window = since.elapsed();
        let metrics = metrics(&told.items(&counted), version, seconds(started), seconds(SystemTime::now()), window);
        match lapi.report(metrics.to_string().into_bytes()).await {
            Ok(true) => (told, since) = (Told::of(&counted), Instant::now()),
            Ok(false) => {
                tracing::debug!("the CrowdSec engine takes no usage metrics");
                return pending().await;
            }
            // The next report has it all. The task that reads decisions says that the engine is away.
            Err(error) => tracing::debug!(%error, "failed to report to the CrowdSec engine"),
        }
        sleep(REPORT_EVERY).await;
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What the counters said when the engine was told last.
#[derive(Debug, Default)]
struct Told(BTreeMap<(&'static str, BTreeMap<String, String>), f64>);

impl Told {
    fn of(counted: &[Counted]) -> Self {
        Self(counted.iter().map(|one| ((one.name, one.labels.clone()), one.value)).collect())
    }

    /// What is to be told: how much a counter has grown, and how many decisions there are.
    fn items(&self, counted: &[Counted]) -> Vec<Value> {
        let mut items = Vec::new();
        for Counted { name, unit, labels, value } in counted {
            let before = self.0.get(&(*name, labels.clone())).copied().unwrap_or_default();
            let (value, labels) = match *name {
                "active_decisions" => (*value, active(labels)),
                "dropped" => (value - before, with(labels, "remediation", "ban")),
                _ => (value - before, labels.clone()),
            };
            if value > 0.0 {
                items.push(json!({ "name": name, "unit": unit, "value": value, "labels": labels }));
            }
        }
        items
    }
}

fn with(labels: &BTreeMap<String, String>, name: &str, value: &str) -> BTreeMap<String, String> {
    let own = std::iter::once((name.to_owned(), value.to_owned()));
    labels.clone().into_iter().chain(own).collect()
}

/// The engine knows of two versions of IP and of no places.
fn active(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let told = labels.iter().filter(|(_, value)| *value != "place");
    told.map(|(name, value)| (if name == "about" { "ip_type".to_owned() } else { name.clone() }, value.clone()))
        .collect()
}

fn metrics(items: &[Value], version: &str, started: u64, now: u64, window: Duration) -> Value {
    json!({
        "remediation_components": [{
            "type": "gangway",
            "version": version,
            "utc_startup_timestamp": started,
            "feature_flags": [],
            "metrics": [{
                // Early versions of the engine ask for the start here as well.
                "meta": {
                    "utc_now_timestamp": now,
                    "utc_startup_timestamp": started,
                    "window_size_seconds": window.as_secs(),
                },
                "items": items,
            }],
        }],
        "log_processors": [],
    })
}

#[cfg(test)]
mod tests {
    use gangway_model::{ClientPlace, NoGeography, Reputation as _};
    use gangway_publish::channel;
    use gangway_testkit::crowdsec::{BOUNCER_KEY, CrowdSec};
    use gangway_testkit::wait::eventually;

    use super::*;
    use crate::ledger::Ledger;
    use crate::stream_answer::StreamAnswer;

    const DECISIONS: &str = r#"{"deleted":null,"new":[
        {"id":1,"duration":"4h","scope":"Ip","value":"192.0.2.7","origin":"cscli"},
        {"id":2,"duration":"4h","scope":"Ip","value":"2001:db8::7","origin":"CAPI"},
        {"id":3,"duration":"4h","scope":"Country","value":"FR","origin":"cscli"}]}"#;

    fn bouncer() -> (Bouncer, gangway_publish::Publisher<Decisions>) {
        let (mut publisher, reader) = channel(Decisions::default());
        let bouncer = Bouncer::new(reader).expect("good names");
        let answer = StreamAnswer::parse(DECISIONS.as_bytes()).expect("an answer");
        let ledger = Ledger::of(&answer, Instant::now());
        bouncer.note_decisions(&ledger.counts());
        publisher.publish(ledger.decisions());
        (bouncer, publisher)
    }

    fn visit(bouncer: &Bouncer, address: &str) {
        let _ = bouncer.of_request().judge(&ClientPlace::new(address.parse().expect("an address"), &NoGeography));
    }

    fn shown(items: &[Value]) -> Vec<String> {
        let mut shown: Vec<_> =
            items.iter().map(|item| format!("{} {} {}", item["name"], item["value"], item["labels"])).collect();
        shown.sort();
        shown
    }

    #[tokio::test]
    async fn counters_are_told_by_how_much_they_have_grown() {
        let (bouncer, _decisions) = bouncer();
        for address in ["192.0.2.7", "192.0.2.7", "192.0.2.8", "2001:db8::7"] {
            visit(&bouncer, address);
        }
        let decisions = [
            r#""active_decisions" 1.0 {"ip_type":"ipv4","origin":"cscli"}"#,
            r#""active_decisions" 1.0 {"ip_type":"ipv6","origin":"CAPI"}"#,
            r#""active_decisions" 1.0 {"origin":"cscli"}"#,
        ];
        let first = bouncer.counted();
        let expected = [
            &decisions[..],
            &[
                r#""dropped" 1.0 {"ip_type":"ipv6","origin":"CAPI","remediation":"ban"}"#,
                r#""dropped" 2.0 {"ip_type":"ipv4","origin":"cscli","remediation":"ban"}"#,
                r#""processed" 1.0 {"ip_type":"ipv6"}"#,
                r#""processed" 3.0 {"ip_type":"ipv4"}"#,
            ],
        ];
        assert_eq!(shown(&Told::default().items(&first)), expected.concat());
        assert_eq!(shown(&Told::of(&first).items(&first)), decisions, "nothing has happened since");
        visit(&bouncer, "192.0.2.9");
        let expected = [&decisions[..], &[r#""processed" 1.0 {"ip_type":"ipv4"}"#]];
        assert_eq!(shown(&Told::of(&first).items(&bouncer.counted())), expected.concat());
    }

    #[tokio::test]
    async fn the_engine_takes_the_report_and_one_that_does_not_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let key_file = folder.path().join("key");
        std::fs::File::create(&key_file)
            .and_then(|mut file| std::io::Write::write_all(&mut file, BOUNCER_KEY.as_bytes()))
            .expect("ours");
        for takes_metrics in [true, false] {
            let engine = CrowdSec::start().await.expect("a free port");
            if !takes_metrics {
                engine.without_metrics();
            }
            let (bouncer, decisions) = bouncer();
            let settings = LapiSettings { url: engine.url.clone().into(), key_file: key_file.clone() };
            let task = tokio::spawn(report(settings, bouncer, decisions.reader(), "1.2.3", SystemTime::now()));
            eventually("it is told", Duration::from_secs(20), async || {
                engine.asked().iter().any(|asked| asked.head.starts_with("POST /v1/usage-metrics ")).then_some(())
            })
            .await;
            let reported = engine.reported();
            assert_eq!(reported.len(), usize::from(takes_metrics));
            if let [metrics] = &reported[..] {
                let component = &metrics["remediation_components"][0];
                assert_eq!((&component["type"], &component["version"]), (&json!("gangway"), &json!("1.2.3")));
            }
            task.abort();
        }
    }
}
