//! What a collector gets, over real connections.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use gangway_otlp::{
    AttributeValue, FLUSH_TIME, Otlp, OtlpSettings, SampleRatio, Signals, Span, SpanId, SpanKind, SpanStatus, TraceId,
};
use gangway_testkit::otlp::Collector;
use gangway_testkit::ports::ClosedPort;
use gangway_testkit::scripted::reply;
use prometheus::{IntCounter, Registry};
use tokio::net::TcpListener;
use tokio::time::Instant;

const SECRET: &str = "c2VjcmV0LXRva2Vu";

struct Sending {
    otlp: Otlp,
    registry: Registry,
}

impl Sending {
    fn to(url: &str, headers_file: Option<PathBuf>) -> Self {
        let settings = OtlpSettings {
            url: url.into(),
            headers_file,
            signals: Signals { traces: true, metrics: true },
            sample: SampleRatio::ALL,
            service: "edge".into(),
        };
        let registry = Registry::new();
        let otlp = Otlp::new(settings, "1.2.3", &registry).expect("good names");
        tokio::spawn(otlp.clone().send_spans());
        let families = registry.clone();
        tokio::spawn(otlp.clone().send_metrics(move || families.gather()));
        Self { otlp, registry }
    }

    fn finish(&self, spans: Vec<Span>) {
        self.otlp.tracer().expect("traces are on").finish(spans);
    }

    /// The value of a counter with these labels.
    fn counted(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.registry.gather();
        let metrics = families
            .iter()
            .filter(|family| family.name() == name)
            .flat_map(prometheus::proto::MetricFamily::get_metric);
        let is_meant = |metric: &&prometheus::proto::Metric| {
            labels.iter().all(|(name, value)| {
                metric.get_label().iter().any(|label| (label.name(), label.value()) == (*name, *value))
            })
        };
        metrics.filter(is_meant).map(|metric| metric.get_counter().get_value()).sum()
    }
}

fn span(kind: SpanKind, parent: Option<SpanId>, status: SpanStatus) -> Span {
    let started = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    Span {
        trace: TraceId::random(),
        id: SpanId::random(),
        parent,
        state: "a=1".into(),
        kind,
        name: "GET web".to_owned(),
        started,
        ended: started + Duration::from_nanos(11),
        attributes: vec![("url.path", AttributeValue::from("/x")), ("http.response.status_code", 200.into())],
        status,
    }
}

#[tokio::test]
async fn a_collector_reads_what_is_sent() {
    let collector = Collector::start().await.expect("a free port");
    let sending = Sending::to(&format!("{}/otlp/", collector.url), None);
    let asked = IntCounter::new("gangway_asked_total", "Asked.").expect("good");
    sending.registry.register(Box::new(asked.clone())).expect("new");
    asked.inc_by(5);
    let (first, second) = (
        span(SpanKind::Server, None, SpanStatus::Unset),
        span(SpanKind::Client, Some(SpanId::random()), SpanStatus::Error),
    );
    sending.finish(vec![first.clone(), second.clone()]);
    sending.otlp.flush().await;

    let spans = collector.spans();
    assert_eq!(spans.len(), 2, "{spans:?}");
    for (seen, sent) in spans.iter().zip([first, second]) {
        assert_eq!((&seen.trace, &seen.id), (&sent.trace.to_string(), &sent.id.to_string()));
        assert_eq!(seen.parent, sent.parent.map_or_else(String::new, |parent| parent.to_string()));
        assert_eq!(seen.times, (1_700_000_000_123_456_789, 1_700_000_000_123_456_800));
        assert_eq!((seen.is_server, seen.is_error), (sent.kind == SpanKind::Server, sent.status == SpanStatus::Error));
        assert_eq!((&*seen.name, &*seen.state), ("GET web", "a=1"));
        assert_eq!((seen.get("url.path"), seen.get("http.response.status_code")), ("/x", "200"));
        let of = |name: &str| seen.resource.get(name).map(String::as_str);
        assert_eq!((of("service.name"), of("service.version")), (Some("edge"), Some("1.2.3")));
        assert_eq!(of("service.instance.id").map(str::len), Some(36));
    }
    let points = collector.points();
    let point = points.iter().find(|point| point.name == "gangway_asked_total").expect("it is told");
    assert_eq!((point.kind, point.value, &point.resource), ("counter", 5.0, &spans[0].resource));
    assert_eq!(sending.counted("gangway_otlp_sent_total", &[("signal", "traces")]), 2.0);
    let mut targets: Vec<_> =
        collector.asked().iter().map(|asked| asked.head.lines().next().map(str::to_owned)).collect();
    targets.sort();
    let expected = ["POST /otlp/v1/metrics HTTP/1.1", "POST /otlp/v1/traces HTTP/1.1"];
    assert_eq!(targets, expected.map(|line| Some(line.to_owned())));
}

#[tokio::test]
async fn fields_of_the_file_go_with_each_request_and_another_key_counts_at_once() {
    let collector = Collector::start().await.expect("a free port");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("headers");
    let write = |text: &str| {
        use std::io::Write as _;
        std::fs::File::create(&file).and_then(|mut file| file.write_all(text.as_bytes())).expect("ours");
    };
    write(&format!("Authorization: Basic {SECRET}\nX-Scope-OrgID: home\n"));
    let sending = Sending::to(&collector.url, Some(file.clone()));
    sending.finish(vec![span(SpanKind::Server, None, SpanStatus::Unset)]);
    sending.otlp.flush().await;
    let asked = collector.asked();
    assert_eq!(asked.len(), 2);
    for asked in asked {
        assert_eq!((asked.field("authorization"), asked.field("x-scope-orgid")), (&*format!("Basic {SECRET}"), "home"));
        assert!(asked.field("user-agent").starts_with("gangway/"), "{}", asked.head);
    }
    assert!(!format!("{:?}", sending.otlp).contains(SECRET));

    // Without the file nothing is sent: it would go to a stranger, or be refused.
    std::fs::remove_file(&file).expect("ours");
    let sending = Sending::to(&collector.url, Some(file));
    sending.finish(vec![span(SpanKind::Server, None, SpanStatus::Unset)]);
    sending.otlp.flush().await;
    assert_eq!(collector.asked().len(), 2);
    let labels = [("signal", "traces"), ("reason", "not-taken")];
    assert_eq!(sending.counted("gangway_otlp_dropped_total", &labels), 1.0);
}

#[tokio::test]
async fn the_end_waits_for_no_collector_that_is_away_refuses_or_says_nothing() {
    let nobody = ClosedPort::new();
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let refusing = Collector::start().await.expect("a free port");
    refusing.answer_all_with(Some(reply("503 Service Unavailable", &[("Retry-After", "60")], SECRET)));
    let silent_url = format!("http://{}", silent.local_addr().expect("bound"));
    for url in [format!("http://{}", nobody.address()), silent_url, refusing.url.clone()] {
        let sending = Sending::to(&url, None);
        let began = Instant::now();
        sending.finish(vec![span(SpanKind::Server, None, SpanStatus::Unset)]);
        sending.otlp.flush().await;
        assert!(began.elapsed() < FLUSH_TIME * 3, "{url}");
    }
    assert!(refusing.spans().is_empty() && !refusing.asked().is_empty());
}

#[tokio::test]
async fn an_answer_in_other_words_is_an_answer_and_what_it_rejects_is_counted() {
    let collector = Collector::start().await.expect("a free port");
    // `partial_success` with one item rejected, and a text.
    let partial = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\x0a\x06\x08\x01\x12\x02no".to_vec();
    for (answer, rejected) in [(partial, 1.0), (reply("200 OK", &[], "{\"status\":\"fine\"}"), 0.0)] {
        collector.answer_all_with(Some(answer));
        let sending = Sending::to(&collector.url, None);
        sending.finish(vec![span(SpanKind::Server, None, SpanStatus::Unset); 3]);
        sending.otlp.flush().await;
        let labels = [("signal", "traces"), ("reason", "rejected")];
        assert_eq!(sending.counted("gangway_otlp_dropped_total", &labels), rejected);
        assert_eq!(sending.counted("gangway_otlp_sent_total", &[("signal", "traces")]), 3.0 - rejected);
    }
}
