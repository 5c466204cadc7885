//! A running instance that tells an OpenTelemetry collector of requests and metrics.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod running;

use std::path::PathBuf;

use gangway_testkit::app::{self, App};
use gangway_testkit::client::{Client, Speaks};
use gangway_testkit::otlp::{Collector, SeenPoint};
use gangway_testkit::ports::ClosedPort;
use gangway_testkit::scripted::reply;
use gangway_testkit::wait::eventually;
use running::{Options, STUCK, put};
use rustix::process::Signal;
use tempfile::TempDir;

const SECRET: &str = "c2VjcmV0LXRva2Vu";

/// Options with one route to an application.
async fn serving(collector: &str) -> (Options, TempDir, PathBuf) {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let config = format!("[routes.app]\nhost = \"app.test\"\nupstream = \"http://{app}\"\nhttps-redirect = false\n");
    let folder = tempfile::tempdir().unwrap();
    let (headers, log) = (folder.path().join("headers"), folder.path().join("access.log"));
    put(&headers, &format!("Authorization: Basic {SECRET}\n"));
    let options = Options::config(&config)
        .flag("--otlp-headers-file", headers.to_str().unwrap())
        .flag("--access-log", log.to_str().unwrap())
        .flag("--access-log-format", "json")
        .variable("GANGWAY_OTLP", collector)
        .variable("GANGWAY_OTLP_SERVICE", "edge");
    (options, folder, log)
}

#[tokio::test]
async fn requests_and_metrics_are_told_and_what_is_left_at_the_end_too() {
    let collector = Collector::start().await.unwrap();
    let (options, _folder, access_log) = serving(&collector.url).await;
    let mut instance = options.start().await;
    for speaks in [Speaks::H1, Speaks::H2] {
        let answer = Client::plain(instance.http).speaking(speaks).get("app.test", "/echo").await.unwrap();
        assert!(answer.text().to_lowercase().contains("traceparent"), "{}", answer.text());
    }
    let mut shown = String::new();
    for path in ["/api/v1/status", "/api/v1/log", "/metrics", "/about", "/log"] {
        shown += &instance.get(path).await.unwrap().text();
    }
    let settings = instance.get("/about").await.unwrap().text();
    assert!(settings.contains("otlp-headers-file") && settings.contains(&collector.url), "{settings}");
    instance.signal(Signal::TERM);
    assert_eq!(instance.exit_code().await, Some(0));

    let (spans, points) = (collector.spans(), collector.points());
    let servers: Vec<_> = spans.iter().filter(|span| span.is_server).collect();
    assert_eq!((servers.len(), spans.len()), (2, 4), "{spans:?}");
    for span in &spans {
        assert_eq!(span.resource["service.name"], "edge");
        assert_eq!(span.resource["service.version"], env!("CARGO_PKG_VERSION"));
    }
    let lines = std::fs::read_to_string(access_log).unwrap();
    for (line, server) in lines.lines().zip(servers) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((line["trace_id"].as_str(), server.get("http.route")), (Some(&*server.trace), "app"));
    }
    let is_good = |point: &&SeenPoint| point.attributes.get("status").is_some_and(|status| status == "2xx");
    let requests = points.iter().filter(|point| point.name == "gangway_requests_total").find(is_good).unwrap();
    assert_eq!((requests.kind, requests.value), ("counter", 2.0), "{requests:?}");
    assert!(points.iter().any(|point| point.name == "gangway_build_info" && point.kind == "gauge"));
    assert!(points.iter().any(|point| point.name == "gangway_request_duration_seconds" && point.kind == "histogram"));
    let asked = collector.asked();
    assert!(asked.iter().all(|asked| asked.field("authorization") == format!("Basic {SECRET}")));
    let (log, lines) = (instance.log(), lines.as_str());
    assert!(![&*log, &*shown, lines].iter().any(|text| text.contains(SECRET)), "a secret is shown");
}

// The collector answers while this test waits for a line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_is_said_once_and_harms_nobody() {
    let nobody = ClosedPort::new();
    let refusing = Collector::start().await.unwrap();
    refusing.answer_all_with(Some(reply("401 Unauthorized", &[], SECRET)));
    let away = format!("http://{}", nobody.address());
    for (url, why) in [(&away, "refused"), (&refusing.url, "it answers 401")] {
        let (options, _folder, _log) = serving(url).await;
        let mut instance = options.start().await;
        let get = async || Client::plain(instance.http).get("app.test", "/").await.unwrap().status.as_u16();
        assert_eq!(get().await, 200);
        let line = instance.logged("failed to send to the OpenTelemetry collector");
        assert!(line.contains(why), "{line}");
        assert_eq!(Client::plain(instance.http).get("app.test", "/").await.unwrap().status, 200);
        instance.signal(Signal::TERM);
        assert_eq!(instance.exit_code().await, Some(0));
        let log = instance.log();
        let said = log.matches("failed to send to the OpenTelemetry collector").count();
        // Once for each signal: metrics are sent at the end for the first time.
        assert!(said <= 2 && !log.contains(SECRET), "{log}");
    }
}

#[tokio::test]
async fn without_a_collector_nothing_is_told_and_nothing_is_changed() {
    let (app, _) = app::spawn(App::new("app")).await.unwrap();
    let config = format!("[routes.app]\nhost = \"app.test\"\nupstream = \"http://{app}\"\nhttps-redirect = false\n");
    let instance = Options::config(&config).start().await;
    let served = async || {
        let mut connection = Client::plain(instance.http).connect("app.test").await.ok()?;
        let answer = connection.ask("GET", "/echo", &[("traceparent", "mine")], "").await.ok()?;
        (answer.status == 200).then(|| answer.text())
    };
    let told = eventually("the route is served", STUCK, served).await;
    assert!(told.contains("[\"traceparent\",\"mine\"]"), "{told}");
    assert!(!instance.get("/metrics").await.unwrap().text().contains("otlp"));
}
