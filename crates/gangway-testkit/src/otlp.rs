//! A stand-in for an OpenTelemetry collector that takes OTLP over HTTP: it reads requests by the crate of the OpenTelemetry
//! project, and answers wrongly on request.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message;

use crate::scripted::{Asked, Scripted, reply};

/// A span that has come.
#[derive(Clone, Debug)]
pub struct SeenSpan {
    /// The ids, in hexadecimal digits; none of the parent where the trace begins.
    pub trace: String,
    /// Its own.
    pub id: String,
    /// Empty where the trace begins.
    pub parent: String,
    /// The `tracestate`.
    pub state: String,
    /// Its name.
    pub name: String,
    /// Whether it is of a server; otherwise it is of a client.
    pub is_server: bool,
    /// When it began and ended, in nanoseconds since the epoch.
    pub times: (u64, u64),
    /// Its attributes, as texts.
    pub attributes: BTreeMap<String, String>,
    /// Whether it ended with an error.
    pub is_error: bool,
    /// Who sent it.
    pub resource: BTreeMap<String, String>,
}

impl SeenSpan {
    /// An attribute. Empty if it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// One value of a metric that has come.
#[derive(Clone, Debug)]
pub struct SeenPoint {
    /// The name of the metric.
    pub name: String,
    /// Whether it is a sum that only grows, a gauge or a histogram.
    pub kind: &'static str,
    /// Its attributes, as texts.
    pub attributes: BTreeMap<String, String>,
    /// The number; of a histogram, how many values it has.
    pub value: f64,
    /// Who sent it.
    pub resource: BTreeMap<String, String>,
}

/// The collector. It ends when this is dropped.
pub struct Collector {
    /// The URL without a path.
    pub url: String,
    state: Arc<Mutex<State>>,
    service: Scripted,
}

#[derive(Default)]
struct State {
    spans: Vec<SeenSpan>,
    points: Vec<SeenPoint>,
    /// What it answers to everything, and takes nothing.
    wrong: Option<Vec<u8>>,
}

impl Collector {
    /// Starts one on a free port of loopback.
    pub async fn start() -> io::Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let answering = Arc::clone(&state);
        let service = Scripted::answering(move |asked| locked(&answering).answer(asked)).await?;
        Ok(Self { url: format!("http://{}", service.address), state, service })
    }

    /// Answers everything by these bytes from now on, and takes nothing; by none, as it should.
    pub fn answer_all_with(&self, wrong: Option<Vec<u8>>) {
        locked(&self.state).wrong = wrong;
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<SeenSpan> {
        locked(&self.state).spans.clone()
    }

    /// All values of metrics so far.
    pub fn points(&self) -> Vec<SeenPoint> {
        locked(&self.state).points.clone()
    }

    /// All requests so far, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.service.asked()
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Vec<u8> {
        if let Some(wrong) = &self.wrong {
            return wrong.clone();
        }
        let target = asked.head.split(' ').nth(1).unwrap_or_default();
        let is_protobuf = asked.field("content-type") == "application/x-protobuf";
        let is_gzip = asked.field("content-encoding") == "gzip";
        let mut body = Vec::new();
        if !is_protobuf || !is_gzip || GzDecoder::new(&*asked.body).read_to_end(&mut body).is_err() {
            return reply("415 Unsupported Media Type", &[], "");
        }
        let is_taken = match target.rsplit_once("/v1/").map(|(_, signal)| signal) {
            Some("traces") => ExportTraceServiceRequest::decode(&*body).map(|request| self.take_spans(request)),
            Some("metrics") => ExportMetricsServiceRequest::decode(&*body).map(|request| self.take_metrics(request)),
            _ => return reply("404 Not Found", &[], ""),
        };
        match is_taken {
            // An answer without fields has no bytes.
            Ok(()) => reply("200 OK", &[("Content-Type", "application/x-protobuf")], ""),
            Err(_) => reply("400 Bad Request", &[], ""),
        }
    }

    fn take_spans(&mut self, request: ExportTraceServiceRequest) {
        for of_resource in request.resource_spans {
            let resource = resource(of_resource.resource);
            let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
            self.spans.extend(spans.map(|span| seen_span(span, &resource)));
        }
    }

    fn take_metrics(&mut self, request: ExportMetricsServiceRequest) {
        for of_resource in request.resource_metrics {
            let resource = resource(of_resource.resource);
            let metrics = of_resource.scope_metrics.into_iter().flat_map(|of_scope| of_scope.metrics);
            self.points.extend(metrics.flat_map(|metric| seen_points(metric, &resource)));
        }
    }
}

fn seen_span(span: Span, resource: &BTreeMap<String, String>) -> SeenSpan {
    SeenSpan {
        trace: hexadecimal(&span.trace_id),
        id: hexadecimal(&span.span_id),
        parent: hexadecimal(&span.parent_span_id),
        is_server: span.kind == SpanKind::Server as i32,
        state: span.trace_state,
        name: span.name,
        times: (span.start_time_unix_nano, span.end_time_unix_nano),
        attributes: texts(span.attributes),
        is_error: span.status.is_some_and(|status| status.code == StatusCode::Error as i32),
        resource: resource.clone(),
    }
}

fn seen_points(metric: Metric, resource: &BTreeMap<String, String>) -> Vec<SeenPoint> {
    let name = metric.name;
    let seen = |kind, attributes, value| SeenPoint {
        name: name.clone(),
        kind,
        attributes: texts(attributes),
        value,
        resource: resource.clone(),
    };
    let number = |value| match value {
        Some(number_data_point::Value::AsDouble(number)) => number,
        Some(number_data_point::Value::AsInt(number)) => number as f64,
        None => f64::NAN,
    };
    match metric.data {
        Some(metric::Data::Gauge(gauge)) => {
            gauge.data_points.into_iter().map(|point| seen("gauge", point.attributes, number(point.value))).collect()
        }
        Some(metric::Data::Sum(sum)) => {
            let kind = if sum.is_monotonic && sum.aggregation_temporality == 2 { "counter" } else { "sum" };
            sum.data_points.into_iter().map(|point| seen(kind, point.attributes, number(point.value))).collect()
        }
        Some(metric::Data::Histogram(histogram)) => {
            let points = histogram.data_points.into_iter();
            points.map(|point| seen("histogram", point.attributes, point.count as f64)).collect()
        }
        Some(metric::Data::ExponentialHistogram(_) | metric::Data::Summary(_)) | None => Vec::new(),
    }
}

fn resource(resource: Option<Resource>) -> BTreeMap<String, String> {
    texts(resource.map(|resource| resource.attributes).unwrap_or_default())
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
