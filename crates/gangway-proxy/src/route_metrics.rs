//! The counters of routes, those of one route in one piece.
//!
//! Where there are many routes, a request finds the counters of its own in no cache. So they are few lines of memory, and
//! a request writes them without looking anything up.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::core::{Collector, Desc, Number as _};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::route_history::{RouteHistories, Troubles};

/// Durations that are counted together, each by its upper bound in microseconds: from a fast local application to a slow
/// upload.
pub const DURATION_BOUNDS: [u32; 14] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 60_000_000,
];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counters of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteMetrics {
    /// Requests, streams and WebSockets.
    under_way: AtomicI64,
    by_class: [AtomicU64; CLASSES.len()],
    /// The sum of all durations.
    nanoseconds: AtomicU64,
    by_duration: [AtomicU64; DURATION_BOUNDS.len()],
    longer: AtomicU64,
    /// Bytes of bodies.
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// The values of a route's counters at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RouteCount {
    /// Requests, streams and WebSockets under way.
    pub under_way: u64,
    /// Requests answered, by the first digit of their status, from 1.
    pub by_class: [u64; 5],
    /// The same, by duration: one number for each of [`DURATION_BOUNDS`], and one for what is longer.
    pub by_duration: [u64; DURATION_BOUNDS.len() + 1],
}

/// Counts a request until it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<RouteMetrics>);

/// The counters of all routes, as Prometheus reads them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AllRouteMetrics {
    by_id: Arc<Mutex<BTreeMap<Arc<str>, Arc<RouteMetrics>>>>,
    histories: RouteHistories,
    descriptions: Arc<Vec<Desc>>,
}

/// A metric that is one number for each route.
struct Sample {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    of: fn(&RouteMetrics, usize, Troubles) -> u64,
}

const SAMPLES: [Sample; 7] = [
    Sample {
        name: "gangway_requests_under_way",
        help: "Requests, streams and WebSockets under way.",
        kind: MetricType::GAUGE,
        of: |route, _, _| u64::try_from(route.under_way.load(Ordering::Relaxed)).unwrap_or_default(),
    },
    Sample {
        name: "gangway_request_body_bytes_total",
        help: "Bytes of the bodies of requests.",
        kind: MetricType::COUNTER,
        of: |route, _, _| route.bytes_in.load(Ordering::Relaxed),
    },
    Sample {
        name: "gangway_response_body_bytes_total",
        help: "Bytes of the bodies of answers.",
        kind: MetricType::COUNTER,
        of: |route, _, _| route.bytes_out.load(Ordering::Relaxed),
    },
    Sample {
        name: "gangway_route_requests_waiting",
        help: "Requests of a route that wait for an endpoint.",
        kind: MetricType::GAUGE,
        of: |_, waiting, _| waiting as u64,
    },
    Sample {
        name: "gangway_route_requests_waited_total",
        help: "Requests that had to wait for an endpoint.",
        kind: MetricType::COUNTER,
        of: |_, _, troubles| troubles.waited,
    },
    Sample {
        name: "gangway_route_requests_lost_total",
        help: "Requests that failed because no endpoint answered them.",
        kind: MetricType::COUNTER,
        of: |_, _, troubles| troubles.lost,
    },
    Sample {
        name: "gangway_route_retries_total",
        help: "Requests sent again to an endpoint.",
        kind: MetricType::COUNTER,
        of: |_, _, troubles| troubles.retries,
    },
];

impl RouteMetrics {
    /// Counts a request that has ended. `bytes` are those of its body and of the body of its answer.
    pub(crate) fn answered(&self, status: u16, duration: Duration, (bytes_in, bytes_out): (u64, u64)) {
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        self.by_class[class].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(0), Ordering::Relaxed);
        let is_within = |bound: &u32| duration <= Duration::from_micros(u64::from(*bound));
        let counter = DURATION_BOUNDS.iter().zip(&self.by_duration).find(|(bound, _)| is_within(bound));
        counter.map_or(&self.longer, |(_, counter)| counter).fetch_add(1, Ordering::Relaxed);
        // Most requests have no body.
        if bytes_in > 0 {
            self.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        }
        self.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
    }

    fn count(&self) -> RouteCount {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut by_duration = [0; DURATION_BOUNDS.len() + 1];
        let counters = self.by_duration.iter().chain([&self.longer]);
        by_duration.iter_mut().zip(counters).for_each(|(count, counter)| *count = value(counter));
        RouteCount {
            under_way: u64::try_from(self.under_way.load(Ordering::Relaxed)).unwrap_or_default(),
            by_class: self.by_class.each_ref().map(value),
            by_duration,
        }
    }

    /// The number of requests that were answered by 2xx.
    pub(crate) fn well_answered(&self) -> u64 {
        self.by_class[1].load(Ordering::Relaxed)
    }

    fn durations(&self) -> Histogram {
        let (mut buckets, mut count) = (Vec::with_capacity(DURATION_BOUNDS.len()), 0);
        for (bound, counter) in DURATION_BOUNDS.iter().zip(&self.by_duration) {
            count += counter.load(Ordering::Relaxed);
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(f64::from(*bound) / 1e6);
            bucket.set_cumulative_count(count);
            buckets.push(bucket);
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(count + self.longer.load(Ordering::Relaxed));
        histogram.set_sample_sum(self.nanoseconds.load(Ordering::Relaxed).into_f64() / 1e9);
        histogram
    }
}

impl UnderWay {
    pub(crate) fn count(metrics: &Arc<RouteMetrics>) -> Self {
        metrics.under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(metrics))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AllRouteMetrics {
    pub(crate) fn new(histories: RouteHistories) -> Result<Self, prometheus::Error> {
        let description = |name: &str, help: &str, labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        let mut descriptions = vec![
            description(
                "gangway_requests_total",
                "Requests answered, by route and class of status.",
                &["route", "status"],
            )?,
            description(
                "gangway_request_duration_seconds",
                "Time from the head of a request to the end of its answer.",
                &["route"],
            )?,
        ];
        for Sample { name, help, .. } in SAMPLES {
            descriptions.push(description(name, help, &["route"])?);
        }
        Ok(Self { by_id: Arc::default(), histories, descriptions: Arc::new(descriptions) })
    }

    /// The counters of a route, which exist from now on.
    pub(crate) fn of(&self, id: &str) -> Arc<RouteMetrics> {
        Arc::clone(self.by_id.lock().entry(id.into()).or_default())
    }

    /// The counters of all routes as they are now.
    pub(crate) fn counts(&self) -> Vec<(Arc<str>, RouteCount)> {
        self.by_id.lock().iter().map(|(id, metrics)| (Arc::clone(id), metrics.count())).collect()
    }

    pub(crate) fn forget(&self, id: &str) {
        self.by_id.lock().remove(id);
    }
}

impl Collector for AllRouteMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let by_id = self.by_id.lock().clone();
        let (mut requests, mut durations) = (Vec::new(), Vec::new());
        let mut samples = [const { Vec::new() }; SAMPLES.len()];
        for (id, route) in &by_id {
            for (class, count) in CLASSES.iter().zip(&route.by_class) {
                let mut metric = Metric::from_label(vec![label("route", id), label("status", class)]);
                metric.set_counter(counter(count.load(Ordering::Relaxed)));
                requests.push(metric);
            }
            let mut metric = Metric::from_label(vec![label("route", id)]);
            metric.set_histogram(route.durations());
            durations.push(metric);
            let history = self.histories.find(id);
            let waiting = history.as_ref().map_or(0, |history| history.waiting.load(Ordering::Relaxed));
            let troubles = history.map(|history| history.troubles()).unwrap_or_default();
            for (sample, metrics) in SAMPLES.iter().zip(&mut samples) {
                let mut metric = Metric::from_label(vec![label("route", id)]);
                let value = (sample.of)(route, waiting, troubles);
                if sample.kind == MetricType::GAUGE {
                    let mut gauge = Gauge::default();
                    gauge.set_value(value.into_f64());
                    metric.set_gauge(gauge);
                } else {
                    metric.set_counter(counter(value));
                }
                metrics.push(metric);
            }
        }
        let of_kinds = [(MetricType::COUNTER, requests), (MetricType::HISTOGRAM, durations)];
        let of_samples = SAMPLES.iter().map(|sample| sample.kind).zip(samples);
        let family = |(description, (kind, metrics)): (&Desc, (MetricType, Vec<Metric>))| {
            let mut family = MetricFamily::default();
            family.set_name(description.fq_name.clone());
            family.set_help(description.help.clone());
            family.set_field_type(kind);
            family.set_metric(metrics);
            family
        };
        self.descriptions.iter().zip(of_kinds.into_iter().chain(of_samples)).map(family).collect()
    }
}

fn counter(value: u64) -> Counter {
    let mut counter = Counter::default();
    counter.set_value(value.into_f64());
    counter
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn what_is_counted_is_read() {
        let histories = RouteHistories::default();
        let (all, registry) = (AllRouteMetrics::new(histories.clone()).expect("descriptions"), Registry::new());
        registry.register(Box::new(all.clone())).expect("fresh");
        let text = || TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
        assert_eq!(text(), "");
        let route = all.of("shop/web");
        for (status, millis) in [(101, 0), (200, 1), (204, 2), (503, 60_000), (200, 60_001)] {
            route.answered(status, Duration::from_millis(millis), (0, 10));
        }
        let under_way = UnderWay::count(&all.of("shop/web"));
        let history = histories.of("shop/web");
        history.waited();
        history.waited();
        history.lost();
        history.retried();
        let read = text();
        for line in [
            "# TYPE gangway_requests_total counter",
            r#"gangway_requests_total{route="shop/web",status="1xx"} 1"#,
            r#"gangway_requests_total{route="shop/web",status="2xx"} 3"#,
            r#"gangway_requests_total{route="shop/web",status="4xx"} 0"#,
            r#"gangway_requests_total{route="shop/web",status="5xx"} 1"#,
            "# TYPE gangway_request_duration_seconds histogram",
            r#"gangway_request_duration_seconds_bucket{route="shop/web",le="0.001"} 2"#,
            r#"gangway_request_duration_seconds_bucket{route="shop/web",le="0.0025"} 3"#,
            r#"gangway_request_duration_seconds_bucket{route="shop/web",le="10"} 3"#,
            r#"gangway_request_duration_seconds_bucket{route="shop/web",le="60"} 4"#,
            r#"gangway_request_duration_seconds_bucket{route="shop/web",le="+Inf"} 5"#,
            r#"gangway_request_duration_seconds_sum{route="shop/web"} 120.004"#,
            r#"gangway_request_duration_seconds_count{route="shop/web"} 5"#,
            "# TYPE gangway_requests_under_way gauge",
            r#"gangway_requests_under_way{route="shop/web"} 1"#,
            "# TYPE gangway_response_body_bytes_total counter",
            r#"gangway_request_body_bytes_total{route="shop/web"} 0"#,
            r#"gangway_response_body_bytes_total{route="shop/web"} 50"#,
            r#"gangway_route_requests_waiting{route="shop/web"} 0"#,
            r#"gangway_route_requests_waited_total{route="shop/web"} 2"#,
            r#"gangway_route_requests_lost_total{route="shop/web"} 1"#,
            r#"gangway_route_retries_total{route="shop/web"} 1"#,
        ] {
            assert!(read.lines().any(|read| read == line), "{line} is missing: {read}");
        }
        drop(under_way);
        assert!(text().contains(r#"gangway_requests_under_way{route="shop/web"} 0"#));
        all.forget("shop/web");
        assert_eq!(text(), "");
    }

    #[test]
    fn the_counters_of_a_route_are_few_lines_of_memory() {
        assert!(size_of::<RouteMetrics>() <= 3 * 64, "{}", size_of::<RouteMetrics>());
    }
}
