//! Requests counted under the names that Traefik's metrics have, by entry point, router and service.
//!
//! They are counted only where the static configuration asks for them: each has a series for every status and method.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use parking_lot::Mutex;
use prometheus::IntGaugeVec;
use prometheus::core::{Collector, Desc, Number as _};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

/// Series of one kind. Names of routers come and go, and statuses are the application's choice.
const SERIES_MAX: usize = 20_000;

/// What is counted under the names of Traefik's metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedMetrics {
    /// Requests by entry point.
    pub entry_points: bool,
    /// Requests by router.
    pub routers: bool,
    /// Requests by service.
    pub services: bool,
    /// Durations that are counted together, each by its upper bound in seconds.
    pub buckets: Vec<f64>,
}

impl Default for NamedMetrics {
    fn default() -> Self {
        Self { entry_points: true, routers: false, services: true, buckets: Vec::new() }
    }
}

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountedEnd<'a> {
    pub(crate) entry_point: &'a str,
    /// Empty where no router took it.
    pub(crate) router: &'a str,
    pub(crate) service: &'a str,
    /// Whether an endpoint had it.
    pub(crate) is_served: bool,
    pub(crate) status: u16,
    pub(crate) method: &'a Method,
    pub(crate) duration: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// The counters of all entry points, routers and services. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct NamedCounters {
    kinds: Arc<[KindCounters; 3]>,
    buckets: Arc<[f64]>,
    /// Open connections, by listener.
    connections: IntGaugeVec,
    open_connections: Desc,
}

#[derive(Debug)]
struct KindCounters {
    kind: Kind,
    is_counted: bool,
    /// The number of requests, their duration, the bytes of their bodies and those of their answers.
    descriptions: [Desc; 4],
    series: Mutex<BTreeMap<SeriesKey, Series>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    EntryPoint,
    Router,
    Service,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct SeriesKey {
    name: Box<str>,
    /// Of a router only.
    service: Box<str>,
    code: u16,
    method: &'static str,
}

#[derive(Clone, Debug, Default)]
struct Series {
    requests: u64,
    seconds: f64,
    by_duration: Vec<u64>,
    bytes_in: u64,
    bytes_out: u64,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::EntryPoint => "entrypoint",
            Self::Router => "router",
            Self::Service => "service",
        }
    }

    fn names<'a>(self, end: &CountedEnd<'a>) -> Option<(&'a str, &'a str)> {
        match self {
            Self::EntryPoint => Some((end.entry_point, "")),
            Self::Router => (!end.router.is_empty()).then_some((end.router, end.service)),
            Self::Service => (end.is_served && !end.service.is_empty()).then_some((end.service, "")),
        }
    }
}

impl KindCounters {
    fn new(kind: Kind, is_counted: bool) -> Result<Self, prometheus::Error> {
        let word = kind.word();
        let description = |what: &str, help: &str| {
            Desc::new(format!("traefik_{word}_{what}"), format!("{help}, by {word}."), Vec::new(), HashMap::new())
        };
        let descriptions = [
            description("requests_total", "Requests answered")?,
            description("request_duration_seconds", "Time from the head of a request to the end of its answer")?,
            description("requests_bytes_total", "Bytes of the bodies of requests")?,
            description("responses_bytes_total", "Bytes of the bodies of answers")?,
        ];
        Ok(Self { kind, is_counted, descriptions, series: Mutex::default() })
    }

    fn count(&self, end: &CountedEnd<'_>, buckets: &[f64]) {
        let Some((name, service)) = self.kind.names(end).filter(|_| self.is_counted) else { return };
        let key =
            SeriesKey { name: name.into(), service: service.into(), code: end.status, method: method_word(end.method) };
        let mut all = self.series.lock();
        if all.len() >= SERIES_MAX && !all.contains_key(&key) {
            return;
        }
        let series =
            all.entry(key).or_insert_with(|| Series { by_duration: vec![0; buckets.len()], ..Series::default() });
        let seconds = end.duration.as_secs_f64();
        series.requests += 1;
        series.seconds += seconds;
        if let Some(bucket) = buckets.iter().position(|bound| seconds <= *bound) {
            series.by_duration[bucket] += 1;
        }
        series.bytes_in += end.bytes_in;
        series.bytes_out += end.bytes_out;
    }

    fn collect(&self, buckets: &[f64]) -> [MetricFamily; 4] {
        let all = self.series.lock().clone();
        let labels = |key: &SeriesKey| {
            let code = key.code.to_string();
            let mut labels = vec![
                label("code", &code),
                label("method", key.method),
                label("protocol", "http"),
                label(self.kind.word(), &key.name),
            ];
            if self.kind == Kind::Router {
                labels.push(label("service", &key.service));
            }
            labels
        };
        let counters = |value: fn(&Series) -> u64| {
            let metric = |(key, series): (&SeriesKey, &Series)| {
                let mut counter = Counter::default();
                counter.set_value(value(series).into_f64());
                let mut metric = Metric::from_label(labels(key));
                metric.set_counter(counter);
                metric
            };
            all.iter().map(metric).collect::<Vec<_>>()
        };
        let durations = all.iter().map(|(key, series)| {
            let mut metric = Metric::from_label(labels(key));
            metric.set_histogram(series.durations(buckets));
            metric
        });
        let [requests, duration, bytes_in, bytes_out] = &self.descriptions;
        [
            family(requests, MetricType::COUNTER, counters(|series| series.requests)),
            family(duration, MetricType::HISTOGRAM, durations.collect()),
            family(bytes_in, MetricType::COUNTER, counters(|series| series.bytes_in)),
            family(bytes_out, MetricType::COUNTER, counters(|series| series.bytes_out)),
        ]
    }
}

impl Series {
    fn durations(&self, buckets: &[f64]) -> Histogram {
        let mut count = 0;
        let bucket = |(bound, within): (&f64, &u64)| {
            count += within;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.iter().zip(&self.by_duration).map(bucket).collect());
        histogram.set_sample_count(self.requests);
        histogram.set_sample_sum(self.seconds);
        histogram
    }
}

impl NamedCounters {
    pub(crate) fn new(settings: &NamedMetrics, connections: IntGaugeVec) -> Result<Self, prometheus::Error> {
        let mut buckets = settings.buckets.clone();
        buckets.sort_by(f64::total_cmp);
        buckets.dedup();
        let kinds = [
            KindCounters::new(Kind::EntryPoint, settings.entry_points)?,
            KindCounters::new(Kind::Router, settings.routers)?,
            KindCounters::new(Kind::Service, settings.services)?,
        ];
        let help = "Open client connections, by entry point.".to_owned();
        let open_connections = Desc::new("traefik_open_connections".to_owned(), help, Vec::new(), HashMap::new())?;
        Ok(Self { kinds: Arc::new(kinds), buckets: buckets.into(), connections, open_connections })
    }

    /// Counts a request. Those of internal routers are not counted.
    pub(crate) fn count(&self, end: &CountedEnd<'_>) {
        if !end.router.ends_with("@internal") {
            self.kinds.iter().for_each(|kind| kind.count(end, &self.buckets));
        }
    }

    /// Forgets routers and services that are not among these: otherwise they would pile up as routers come and go.
    pub(crate) fn keep<'r>(&self, routers: impl Iterator<Item = (&'r str, &'r str)>) {
        let (routers, services): (HashSet<&str>, HashSet<&str>) = routers.unzip();
        for kind in &*self.kinds {
            let kept = match kind.kind {
                Kind::EntryPoint => continue,
                Kind::Router => &routers,
                Kind::Service => &services,
            };
            kind.series.lock().retain(|key, _| kept.contains(&*key.name));
        }
    }

    fn open_connections(&self) -> MetricFamily {
        let listeners = self.connections.collect();
        let metric = |of_listener: &Metric| {
            let mut labels = vec![label("protocol", "TCP")];
            labels.extend(of_listener.get_label().iter().map(|one| label("entrypoint", one.value())));
            labels.sort_by(|one, other| one.name().cmp(other.name()));
            let mut metric = Metric::from_label(labels);
            let mut gauge = Gauge::default();
            gauge.set_value(of_listener.get_gauge().get_value());
            metric.set_gauge(gauge);
            metric
        };
        let metrics = listeners.iter().flat_map(MetricFamily::get_metric).map(metric).collect();
        family(&self.open_connections, MetricType::GAUGE, metrics)
    }
}

impl Collector for NamedCounters {
    fn desc(&self) -> Vec<&Desc> {
        self.kinds.iter().flat_map(|kind| &kind.descriptions).chain([&self.open_connections]).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counted = self.kinds.iter().filter(|kind| kind.is_counted);
        counted.flat_map(|kind| kind.collect(&self.buckets)).chain([self.open_connections()]).collect()
    }
}

/// A client can send any method, and each is a series.
fn method_word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "CONNECT" => "CONNECT",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "PATCH" => "PATCH",
        _ => "EXTENSION_METHOD",
    }
}

fn family(description: &Desc, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(description.fq_name.clone());
    family.set_help(description.help.clone());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

#[cfg(test)]
mod tests {
    use prometheus::{Opts, Registry, TextEncoder};

    use super::*;

    fn counters(change: impl FnOnce(&mut NamedMetrics)) -> (NamedCounters, Registry) {
        let mut settings = NamedMetrics { buckets: vec![1.0, 0.1], ..NamedMetrics::default() };
        change(&mut settings);
        let connections = IntGaugeVec::new(Opts::new("c", "c"), &["listener"]).expect("a gauge");
        connections.with_label_values(&["web"]).set(3);
        let (counters, registry) = (NamedCounters::new(&settings, connections).expect("names"), Registry::new());
        registry.register(Box::new(counters.clone())).expect("fresh");
        (counters, registry)
    }

    fn text(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).expect("text")
    }

    fn end<'a>(router: &'a str, method: &'a Method) -> CountedEnd<'a> {
        CountedEnd {
            entry_point: "web",
            router,
            service: "s@docker",
            is_served: !router.is_empty(),
            status: 200,
            method,
            duration: Duration::from_millis(500),
            bytes_in: 3,
            bytes_out: 7,
        }
    }

    #[test]
    fn requests_are_counted_by_entry_point_router_and_service() {
        let (counters, registry) = counters(|settings| settings.routers = true);
        counters.count(&end("a@docker", &Method::GET));
        counters.count(&CountedEnd { duration: Duration::from_secs(2), ..end("a@docker", &Method::GET) });
        let odd = Method::from_bytes(b"ODD").expect("a method");
        counters.count(&CountedEnd { status: 404, ..end("", &odd) });
        counters.count(&end("ping@internal", &Method::GET));
        let read = text(&registry);
        for line in [
            r#"traefik_entrypoint_requests_total{code="200",method="GET",protocol="http",entrypoint="web"} 2"#,
            r#"traefik_entrypoint_requests_total{code="404",method="EXTENSION_METHOD",protocol="http",entrypoint="web"} 1"#,
            r#"traefik_router_requests_total{code="200",method="GET",protocol="http",router="a@docker",service="s@docker"} 2"#,
            r#"traefik_service_requests_bytes_total{code="200",method="GET",protocol="http",service="s@docker"} 6"#,
            r#"traefik_service_responses_bytes_total{code="200",method="GET",protocol="http",service="s@docker"} 14"#,
            r#"traefik_service_request_duration_seconds_bucket{code="200",method="GET",protocol="http",service="s@docker",le="0.1"} 0"#,
            r#"traefik_service_request_duration_seconds_bucket{code="200",method="GET",protocol="http",service="s@docker",le="1"} 1"#,
            r#"traefik_service_request_duration_seconds_bucket{code="200",method="GET",protocol="http",service="s@docker",le="+Inf"} 2"#,
            r#"traefik_open_connections{entrypoint="web",protocol="TCP"} 3"#,
        ] {
            assert!(read.lines().any(|read| read == line), "{line} is missing: {read}");
        }
        assert!(!read.contains("ping@internal"), "{read}");
        counters.keep([("b@docker", "s@docker")].into_iter());
        let read = text(&registry);
        assert!(!read.contains("a@docker") && read.contains("s@docker"), "{read}");
    }

    #[test]
    fn what_is_not_asked_for_is_not_counted() {
        let (counters, registry) = counters(|settings| settings.entry_points = false);
        counters.count(&end("a@docker", &Method::GET));
        let read = text(&registry);
        assert!(read.contains("traefik_service_requests_total") && !read.contains("traefik_entrypoint"), "{read}");
        assert!(!read.contains("traefik_router"), "{read}");
    }
}
