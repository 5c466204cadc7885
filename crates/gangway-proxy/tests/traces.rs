//! Traces of requests: the trace context that applications get, and the spans that a collector gets.

mod common;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::ways::Ways;
use common::{Plane, app, held, route};
use gangway_model::{Readiness, Scheme};
use gangway_otlp::{Otlp, OtlpSettings, SampleRatio, Signals, TraceParent};
use gangway_proxy::TrustedProxies;
use gangway_testkit::client::{Answer, Client, Speaks};
use gangway_testkit::otlp::{Collector, SeenSpan};
use gangway_testkit::ports::ClosedPort;
use gangway_testkit::wait::eventually;
use prometheus::Registry;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The peer that is believed.
const TRUSTED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

struct Traced {
    plane: Plane,
    otlp: Otlp,
    collector: Collector,
    registry: Registry,
}

fn otlp(url: &str, ratio: f64) -> (Otlp, Registry) {
    gangway_tls::install_crypto_provider();
    let settings = OtlpSettings {
        url: url.into(),
        headers_file: None,
        signals: Signals { traces: true, metrics: false },
        sample: SampleRatio::of(ratio).expect("a ratio"),
        service: "gangway".into(),
    };
    let registry = Registry::new();
    let otlp = Otlp::new(settings, "0", &registry).expect("good names");
    (otlp, registry)
}

/// Ends as the binary does: every request is recorded, and then the last spans are sent.
async fn end(plane: Plane, otlp: &Otlp) {
    plane.plane.shutdown(Duration::from_secs(8)).await;
    otlp.flush().await;
}

/// A plane that sends spans, and serves nothing yet.
async fn traced(ratio: f64) -> Traced {
    let collector = Collector::start().await.expect("a free port");
    let (otlp, registry) = otlp(&collector.url, ratio);
    tokio::spawn(otlp.clone().send_spans());
    tokio::spawn(otlp.clone().send_metrics(Vec::new));
    let plane = Plane::start_with_tracer(otlp.tracer().expect("traces are on"), |settings| {
        settings.trusted_proxies = TrustedProxies::parse("127.0.0.2").expect("an address");
    });
    Traced { plane, otlp, collector, registry }
}

async fn ask(client: &Client, host: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut connection = client.connect(host).await.expect("connected");
    connection.ask("GET", path, fields, "").await.expect("answered")
}

/// The values of a field that an application got.
fn told(answer: &Answer, name: &str) -> Vec<String> {
    let json = answer.json();
    let fields = json["headers"].as_array().expect("fields").iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let named = fields.filter(|field| text(&field[0]).eq_ignore_ascii_case(name));
    named.map(|field| text(&field[1])).collect()
}

/// What the only `traceparent` says that an application got.
fn told_parent(answer: &Answer) -> TraceParent {
    let told = told(answer, "traceparent");
    assert_eq!(told.len(), 1, "{told:?}");
    TraceParent::parse(told[0].as_bytes()).expect("in order")
}

/// The spans of a trace: that of the server, and those of clients.
fn of_trace(spans: &[SeenSpan], trace: &str) -> (SeenSpan, Vec<SeenSpan>) {
    let of_trace = spans.iter().filter(|span| span.trace == trace).cloned();
    let (mut server, client): (Vec<_>, Vec<_>) = of_trace.partition(|span| span.is_server);
    assert_eq!(server.len(), 1, "{spans:?}");
    (server.remove(0), client)
}

#[tokio::test]
async fn an_application_is_told_its_parent_and_only_a_trusted_peer_is_believed_on_every_way() {
    let Traced { plane, otlp, collector, registry: _registry } = traced(1.0).await;
    let ways = Ways::through(plane, "traced", |_| {}).await;
    let mut asked = Vec::new();
    for way in ways.all() {
        let said = format!("00-{TRACE}-{PARENT}-01");
        let fields = [("traceparent", &*said), ("tracestate", "rojo=1"), ("TraceState", "congo=2")];
        let path = "/echo?token=s3cret&a=b";
        let stranger = ask(&way.client, way.host, path, &fields).await;
        let trusted = ask(&way.client.clone().leaving_from(TRUSTED), way.host, path, &fields).await;
        assert_eq!(told(&stranger, "tracestate"), Vec::<String>::new(), "{}", way.name);
        assert_eq!(told(&trusted, "tracestate"), ["rojo=1,congo=2"], "{}", way.name);
        let (strange, trusted) = (told_parent(&stranger), told_parent(&trusted));
        assert!(strange.is_sampled && trusted.is_sampled);
        assert_ne!(strange.trace.to_string(), TRACE, "{}", way.name);
        assert_eq!(trusted.trace.to_string(), TRACE, "{}", way.name);
        asked.push((way, strange, trusted));
    }
    end(ways.plane, &otlp).await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 4 * asked.len());
    let by_id: HashMap<&str, &SeenSpan> = spans.iter().map(|span| (&*span.id, span)).collect();
    for (way, strange, trusted) in asked {
        for (parent, caller, state, client) in
            [(strange, "", "", "127.0.0.1"), (trusted, PARENT, "rojo=1,congo=2", "127.0.0.2")]
        {
            let name = &way.name;
            let id = parent.span.to_string();
            let sent = by_id.get(&*id).unwrap_or_else(|| panic!("{name}: no span {id}"));
            let server = by_id.get(&*sent.parent).unwrap_or_else(|| panic!("{name}: no parent of {sent:?}"));
            assert_eq!((sent.is_server, server.is_server, &*server.parent), (false, true, caller), "{name}");
            assert_eq!((&*sent.state, &*server.state), (state, state), "{name}");
            assert!(server.times.0 <= sent.times.0 && sent.times.1 <= server.times.1 + 1_000_000, "{name}: {sent:?}");
            let version = if way.speaks == Speaks::H2 { "2" } else { "1.1" };
            for (attribute, expected) in [
                ("http.request.method", "GET"),
                ("url.scheme", if way.is_secure { "https" } else { "http" }),
                ("url.path", "/echo"),
                ("url.query", "token=***&a=b"),
                ("server.address", way.host),
                ("http.route", "test"),
                ("http.response.status_code", "200"),
                ("network.protocol.version", version),
                ("client.address", client),
                ("error.type", ""),
            ] {
                assert_eq!(server.get(attribute), expected, "{name}: {attribute}");
            }
            assert_eq!((&*server.name, &*sent.name), ("GET test", "GET"), "{name}");
            let url = sent.get("url.full");
            assert!(url.ends_with("/echo?token=***&a=b") && url.starts_with("http"), "{name}: {url}");
            assert_eq!(sent.get("network.protocol.version"), &way.endpoint_version["HTTP/".len()..], "{name}");
            assert_eq!(sent.get("http.response.status_code"), "200", "{name}");
            assert!(!server.is_error && !sent.is_error, "{name}");
        }
    }
    assert!(!format!("{spans:?}").contains("s3cret"));
}

#[tokio::test]
async fn what_a_trusted_peer_says_wrongly_begins_a_trace_and_its_decision_holds_otherwise() {
    let Traced { mut plane, otlp, collector, registry: _registry } = traced(0.0).await;
    let (address, _app) = app("traced").await;
    plane.serve(vec![route("app.localhost", address)]).await;
    let trusted = plane.http().leaving_from(TRUSTED);
    let good = format!("00-{TRACE}-{PARENT}-01");
    let state = ("tracestate", "a=1");
    for wrong in [format!("00-{TRACE}-{PARENT}-01-x"), format!("ff-{TRACE}-{PARENT}-01"), "nonsense".to_owned()] {
        let answer = ask(&trusted, "app.localhost", "/echo", &[("traceparent", &wrong), state]).await;
        assert_ne!(told_parent(&answer).trace.to_string(), TRACE, "{wrong}");
        assert!(told(&answer, "tracestate").is_empty() && !told_parent(&answer).is_sampled, "{wrong}");
    }
    let twice = ask(&trusted, "app.localhost", "/echo", &[("traceparent", &good), ("traceparent", &good)]).await;
    assert_ne!(told_parent(&twice).trace.to_string(), TRACE);
    // A request that is not recorded is no span: the application follows its caller.
    let unrecorded = format!("00-{TRACE}-{PARENT}-00");
    let silent = ask(&trusted, "app.localhost", "/echo", &[("traceparent", &unrecorded), state]).await;
    assert_eq!(told(&silent, "traceparent"), [unrecorded]);
    assert_eq!(told(&silent, "tracestate"), ["a=1"]);
    let recorded = ask(&trusted, "app.localhost", "/echo", &[("traceparent", &good)]).await;
    end(plane, &otlp).await;
    let spans = collector.spans();
    let (server, client) = of_trace(&spans, TRACE);
    assert_eq!((spans.len(), &*server.parent, client.len()), (2, PARENT, 1));
    assert_eq!(client[0].id, told_parent(&recorded).span.to_string());
}

#[tokio::test]
async fn each_try_and_each_failure_is_told() {
    let Traced { mut plane, otlp, collector, registry: _registry } = traced(1.0).await;
    let (address, _app) = app("traced").await;
    let closed = ClosedPort::new();
    let mut twice = route("twice.localhost", closed.address());
    twice.endpoints.push((address, Scheme::Http, Readiness::Ready));
    let gone = ClosedPort::new();
    let routes = vec![
        twice,
        route("app.localhost", address),
        route("gone.localhost", gone.address()),
        held("held.localhost", Duration::ZERO),
    ];
    plane.serve(routes).await;
    let trusted = plane.http().leaving_from(TRUSTED);
    let mut number = 0;
    let mut get = async |host: &str, path: &str| {
        number += 1;
        let trace = format!("{number:032x}");
        let answer = ask(&trusted, host, path, &[("traceparent", &format!("00-{trace}-{PARENT}-01"))]).await;
        (answer.status.as_u16(), trace)
    };
    // One of the first requests meets the endpoint that is not there; after that it is avoided. Each has an even chance, so four of
    // them are not enough.
    let mut tries = Vec::new();
    for _ in 0..40 {
        tries.push(get("twice.localhost", "/echo").await);
    }
    let cases = [
        ("app.localhost", "/status/404", 404, "", false, Some(("404", true))),
        ("app.localhost", "/status/503", 503, "503", true, Some(("503", true))),
        ("nobody.localhost", "/", 404, "", false, None),
        ("held.localhost", "/", 503, "not-ready", true, None),
    ];
    let mut ended = Vec::new();
    for case in cases {
        let (status, trace) = get(case.0, case.1).await;
        assert_eq!(status, case.2, "{}{}", case.0, case.1);
        ended.push((case, trace));
    }
    // Whether it is waited for depends on when a probe finds out.
    let (gone, trace_of_gone) = get("gone.localhost", "/").await;
    // An answer that ends too soon.
    let mut connection = trusted.connect("app.localhost").await.expect("connected");
    let cut = format!("{:032x}", 99);
    let said = format!("00-{cut}-{PARENT}-01");
    assert!(connection.ask("GET", "/cut/10", &[("traceparent", &said)], "").await.is_err());
    end(plane, &otlp).await;
    let spans = collector.spans();
    let (server, cut) = of_trace(&spans, &cut);
    let error = server.get("error.type");
    assert!(server.is_error && error.starts_with("upstream-"), "{server:?}");
    assert_eq!((server.get("http.response.status_code"), cut[0].get("http.response.status_code")), ("200", "200"));
    assert_eq!((cut[0].is_error, cut[0].get("error.type")), (true, error));
    let (server, failed) = of_trace(&spans, &trace_of_gone);
    let (reason, error) = (server.get("gangway.reason"), server.get("error.type"));
    assert!(gone >= 502 && server.is_error && !reason.is_empty() && error == reason, "{server:?}");
    assert!(
        failed.iter().all(|failed| failed.is_error && failed.get("error.type") == "upstream-refused"),
        "{failed:?}"
    );
    assert!(!failed.is_empty());
    let resent: Vec<Vec<SeenSpan>> = tries.iter().map(|(_, trace)| of_trace(&spans, trace).1).collect();
    assert!(tries.iter().all(|(status, _)| *status == 200));
    let both = resent.iter().find(|tries| tries.len() == 2).unwrap_or_else(|| panic!("nothing was resent: {resent:?}"));
    let [first, second] = &both[..] else { panic!("{both:?}") };
    assert_eq!((first.is_error, second.is_error), (true, false));
    assert_eq!(
        (first.get("server.port"), second.get("server.port")),
        (&*closed.address().port().to_string(), &*address.port().to_string())
    );
    assert_eq!((first.get("http.request.resend_count"), second.get("http.request.resend_count")), ("", "1"));
    assert_eq!((first.get("http.response.status_code"), second.get("http.response.status_code")), ("", "200"));
    assert_eq!(first.get("url.full"), "", "nothing was asked for");
    for ((host, path, status, error, is_error, tried), trace) in ended {
        let (server, tries) = of_trace(&spans, &trace);
        let (name, code) = (format!("{host}{path}"), status.to_string());
        assert_eq!((server.get("http.response.status_code"), server.is_error), (&*code, is_error), "{name}");
        assert_eq!(server.get("error.type"), error, "{name}: {server:?}");
        let last = tries.last().map(|last| (last.get("error.type"), last.is_error));
        assert_eq!(last, tried, "{name}: {tries:?}");
    }
}

#[tokio::test]
async fn a_span_is_as_the_guide_shows_it() {
    let Traced { mut plane, otlp, collector, registry: _registry } = traced(1.0).await;
    let (address, _app) = app("traced").await;
    plane.serve(vec![route("app.localhost", address)]).await;
    ask(&plane.http(), "app.localhost", "/status/503?token=s3cret", &[("user-agent", "curl/8")]).await;
    end(plane, &otlp).await;
    let spans = collector.spans();
    let mut server = spans.iter().find(|span| span.is_server).expect("it was sent").clone();
    // What differs each time.
    assert_eq!(server.attributes.remove("gangway.endpoint"), Some(format!("app-{}", address.port())));
    server.attributes.insert("gangway.endpoint".to_owned(), "app".to_owned());
    assert!(server.attributes.remove("network.peer.port").is_some_and(|port| port.parse::<u16>().is_ok()));
    let lines = server.attributes.iter().map(|(name, value)| format!("{name} = {value}\n"));
    let shown = format!("{}\n{}", server.name, lines.collect::<String>());
    assert_eq!(shown, include_str!("traces/server.txt"));
}

#[tokio::test]
async fn a_client_that_goes_is_no_error_of_ours() {
    let Traced { mut plane, otlp: _otlp, collector, registry: _registry } = traced(1.0).await;
    let (address, app) = app("traced").await;
    plane.serve(vec![route("app.localhost", address)]).await;
    let mut client = TcpStream::connect(plane.plane.listening().plain()[0]).await.expect("connected");
    client.write_all(b"GET /slow/60000 HTTP/1.1\r\nHost: app.localhost\r\n\r\n").await.expect("sent");
    let under_way = async || (app.under_way() > 0).then_some(());
    eventually("it is asked", Duration::from_secs(10), under_way).await;
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("set");
    drop(client);
    let sent = async || Some(collector.spans()).filter(|spans| spans.len() == 2);
    let spans = eventually("spans", Duration::from_secs(20), sent).await;
    for server in spans.iter().filter(|span| span.is_server) {
        assert_eq!((server.get("gangway.reason"), server.is_error), ("client-gone", false), "{server:?}");
        let sent = spans.iter().find(|span| span.parent == server.id).expect("it was sent");
        assert_eq!(sent.get("error.type"), "client-gone", "{sent:?}");
    }
}

#[tokio::test]
async fn requests_go_on_whatever_becomes_of_their_spans() {
    // Nobody takes anything out of the queue, as if the collector were silent for ever.
    let (otlp, registry) = otlp("http://127.0.0.1:1", 1.0);
    let mut plane = Plane::start_with_tracer(otlp.tracer().expect("traces are on"), |_| {});
    let (address, _app) = app("traced").await;
    plane.serve(vec![route("app.localhost", address)]).await;
    for client in [plane.http().speaking(Speaks::H1), plane.http().speaking(Speaks::H2)] {
        let mut connection = client.connect("app.localhost").await.expect("connected");
        for _ in 0..600 {
            assert_eq!(connection.get("/").await.expect("answered").status, 200);
        }
    }
    let families = registry.gather();
    let dropped = families.iter().filter(|family| family.name() == "gangway_otlp_dropped_total");
    let metrics = dropped.flat_map(prometheus::proto::MetricFamily::get_metric);
    let dropped: f64 = metrics.map(|metric| metric.get_counter().get_value()).sum();
    assert_eq!(dropped, 2.0 * 1200.0 - 2048.0);
}

#[tokio::test]
async fn without_a_collector_the_fields_are_passed_on_as_they_came() {
    let (address, _app): (SocketAddr, _) = app("plain").await;
    let plane = Plane::serving(vec![route("app.localhost", address)]).await;
    let fields = [("traceparent", "nonsense"), ("traceparent", "more"), ("tracestate", "A")];
    for client in plane.clients() {
        let answer = ask(&client, "app.localhost", "/echo", &fields).await;
        assert_eq!(told(&answer, "traceparent"), ["nonsense", "more"]);
        assert_eq!(told(&answer, "tracestate"), ["A"]);
    }
}
