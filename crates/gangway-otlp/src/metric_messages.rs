//! The metrics of the process → a request of OTLP.
//!
//! Names and labels stay as `GET /metrics` tells them, so that dashboards go on whichever way figures come.

use std::collections::HashMap;

use prometheus::proto::{Metric, MetricFamily, MetricType};

use crate::messages::{
    CUMULATIVE, ExportMetricsRequest, Gauge, Histogram, HistogramPoint, KeyValue, MetricMessage, NumberPoint, Points,
    ResourceMetrics, ScopeMetrics, Sum,
};
use crate::resource::Sender;

/// Since when each series counts, in nanoseconds since the epoch.
///
/// The counters of a route begin anew when it comes back. Readers must be told, or they take the drop for a mistake.
#[derive(Debug)]
pub(crate) struct SeriesStarts {
    process: u64,
    /// What each series was at last, and since when it counts; of those alone that were told last time.
    known: HashMap<Series, (u64, f64)>,
}

/// A name, and labels in their order.
type Series = (String, Vec<(String, String)>);

impl SeriesStarts {
    /// `process` is when this process started.
    pub(crate) fn new(process: u64) -> Self {
        Self { process, known: HashMap::new() }
    }
}

/// The times of one request.
struct Times<'s> {
    now: u64,
    starts: &'s SeriesStarts,
    next: HashMap<Series, (u64, f64)>,
}

impl Times<'_> {
    /// Since when a series counts whose sum or number is now this.
    fn start(&mut self, name: &str, metric: &Metric, counted: f64) -> u64 {
        let labels = metric.get_label().iter().map(|label| (label.name().to_owned(), label.value().to_owned()));
        let series = (name.to_owned(), labels.collect());
        let start = match self.starts.known.get(&series) {
            Some((start, last)) if *last <= counted => *start,
            // It began anew at some time since the last request.
            Some(_) => self.now,
            None => self.starts.process,
        };
        self.next.insert(series, (start, counted));
        start
    }
}

pub(crate) fn metrics_request(
    sender: &Sender,
    families: &[MetricFamily],
    now: u64,
    starts: &mut SeriesStarts,
) -> ExportMetricsRequest {
    let mut times = Times { now, starts, next: HashMap::new() };
    let metrics = families.iter().filter_map(|family| metric_message(family, &mut times)).collect();
    starts.known = times.next;
    let scope_metrics = vec![ScopeMetrics { scope: Some(sender.scope.clone()), metrics }];
    let resource = Some(sender.resource.clone());
    ExportMetricsRequest { resource_metrics: vec![ResourceMetrics { resource, scope_metrics }] }
}

/// None of a summary, which nothing here makes: its quantiles are nobody's sum.
fn metric_message(family: &MetricFamily, times: &mut Times<'_>) -> Option<MetricMessage> {
    let (name, metrics) = (family.name(), family.get_metric());
    let gauge = |value: fn(&Metric) -> f64, now: u64| {
        let point = |metric| NumberPoint {
            start_time_unix_nano: 0,
            time_unix_nano: now,
            attributes: attributes(metric),
            as_double: Some(value(metric)),
        };
        Points::Gauge(Gauge { data_points: metrics.iter().map(point).collect() })
    };
    let points = match family.get_field_type() {
        MetricType::COUNTER => {
            let point = |metric: &Metric| {
                let value = metric.get_counter().get_value();
                NumberPoint {
                    start_time_unix_nano: times.start(name, metric, value),
                    time_unix_nano: times.now,
                    attributes: attributes(metric),
                    as_double: Some(value),
                }
            };
            let data_points = metrics.iter().map(point).collect();
            Points::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true })
        }
        MetricType::HISTOGRAM => {
            let data_points = metrics.iter().map(|metric| histogram_point(name, metric, times)).collect();
            Points::Histogram(Histogram { data_points, aggregation_temporality: CUMULATIVE })
        }
        MetricType::GAUGE => gauge(|metric| metric.get_gauge().get_value(), times.now),
        MetricType::UNTYPED | MetricType::SUMMARY => return None,
    };
    Some(MetricMessage {
        name: name.to_owned(),
        description: family.help().to_owned(),
        unit: unit(name).to_owned(),
        points: Some(points),
    })
}

fn histogram_point(name: &str, metric: &Metric, times: &mut Times<'_>) -> HistogramPoint {
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count();
    let (mut bounds, mut counts, mut before) = (Vec::new(), Vec::new(), 0);
    // Buckets count what is in smaller ones too, and the last one may be left out.
    for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        bounds.push(bucket.upper_bound());
        counts.push(bucket.cumulative_count().saturating_sub(before));
        before = bucket.cumulative_count();
    }
    counts.push(count.saturating_sub(before));
    HistogramPoint {
        start_time_unix_nano: times.start(name, metric, count as f64),
        time_unix_nano: times.now,
        count,
        sum: Some(histogram.get_sample_sum()),
        bucket_counts: counts,
        explicit_bounds: bounds,
        attributes: attributes(metric),
    }
}

fn attributes(metric: &Metric) -> Vec<KeyValue> {
    metric.get_label().iter().map(|label| KeyValue::text(label.name(), label.value())).collect()
}

/// The unit that a name tells, as UCUM writes it.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

    use super::*;

    fn request(registry: &Registry, now: u64, starts: &mut SeriesStarts) -> Vec<MetricMessage> {
        let sender = Sender::new("test", "1");
        let mut request = metrics_request(&sender, &registry.gather(), now, starts);
        request.resource_metrics.remove(0).scope_metrics.remove(0).metrics
    }

    #[test]
    fn every_kind_of_metric_becomes_its_own_in_otlp() {
        let registry = Registry::new();
        let requests = IntCounterVec::new(Opts::new("gangway_requests_total", "Requests."), &["route"]).expect("good");
        let opts = HistogramOpts::new("gangway_duration_seconds", "How long.").buckets(vec![0.1, 1.0]);
        let durations = HistogramVec::new(opts, &["route"]).expect("good");
        let memory = IntGauge::new("gangway_memory_bytes", "Memory.").expect("good");
        registry.register(Box::new(requests.clone())).expect("new");
        registry.register(Box::new(durations.clone())).expect("new");
        registry.register(Box::new(memory.clone())).expect("new");
        requests.with_label_values(&["web"]).inc_by(3);
        for duration in [0.05, 0.5, 0.6, 5.0] {
            durations.with_label_values(&["web"]).observe(duration);
        }
        memory.set(7);
        let told = request(&registry, 1000, &mut SeriesStarts::new(10));
        let route = vec![KeyValue::text("route", "web")];
        let of = |name: &str| told.iter().find(|metric| metric.name == name).expect("it is told").clone();
        let point = |value: f64, start, attributes| NumberPoint {
            start_time_unix_nano: start,
            time_unix_nano: 1000,
            attributes,
            as_double: Some(value),
        };
        let sum = of("gangway_requests_total");
        assert_eq!((&*sum.description, &*sum.unit), ("Requests.", ""));
        let expected = Sum {
            data_points: vec![point(3.0, 10, route.clone())],
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        };
        assert_eq!(sum.points, Some(Points::Sum(expected)));
        let gauge = of("gangway_memory_bytes");
        assert_eq!(gauge.unit, "By");
        assert_eq!(gauge.points, Some(Points::Gauge(Gauge { data_points: vec![point(7.0, 0, vec![])] })));
        let histogram = of("gangway_duration_seconds");
        assert_eq!(histogram.unit, "s");
        let Some(Points::Histogram(histogram)) = histogram.points else { panic!("{histogram:?}") };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, &point.bucket_counts, &point.explicit_bounds), (4, &vec![1, 2, 1], &vec![0.1, 1.0]));
        assert!(point.sum.is_some_and(|sum| (sum - 6.15).abs() < 1e-9) && point.attributes == route, "{point:?}");
    }

    #[test]
    fn a_counter_that_begins_anew_says_since_when() {
        let registry = Registry::new();
        let requests = IntCounterVec::new(Opts::new("requests_total", "Requests."), &["route"]).expect("good");
        registry.register(Box::new(requests.clone())).expect("new");
        let mut starts = SeriesStarts::new(10);
        let mut told = |now| {
            let metrics = request(&registry, now, &mut starts);
            let points = metrics.into_iter().flat_map(|metric| match metric.points {
                Some(Points::Sum(sum)) => sum.data_points,
                Some(Points::Gauge(_) | Points::Histogram(_)) | None => Vec::new(),
            });
            points.map(|point| (point.start_time_unix_nano, point.as_double.unwrap_or_default())).collect::<Vec<_>>()
        };
        requests.with_label_values(&["web"]).inc_by(5);
        assert_eq!(told(100), [(10, 5.0)]);
        requests.with_label_values(&["web"]).inc();
        assert_eq!(told(200), [(10, 6.0)]);
        requests.reset();
        requests.with_label_values(&["web"]).inc();
        assert_eq!(told(300), [(300, 1.0)]);
        requests.with_label_values(&["web"]).inc();
        assert_eq!(told(400), [(300, 2.0)]);
    }
}
