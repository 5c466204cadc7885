//! `GET /metrics`: the counters of the registry, and the state at the moment of asking.

use std::collections::{BTreeMap, BTreeSet};

use gangway_diagnostic::Diagnostic;
use gangway_model::{Compiled, Readiness};
use gangway_publish::Generation;
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

use crate::api::{EngineView, LatencyView};
use crate::instance::{CertificatesState, Instance, InstancePhase};
use crate::metric_family::{MetricFamilyBuilder, counter, gauge, single};
use crate::{process_metrics, views};

/// The sources of one answer.
pub(crate) struct MetricsInput<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) instance: &'a dyn Instance,
    pub(crate) compiled: &'a Compiled,
    pub(crate) generation: Generation,
    pub(crate) diagnostics: &'a [Diagnostic],
    pub(crate) version: &'a str,
    /// Those who listen to events.
    pub(crate) subscribers: usize,
    /// Whether the state stands under Traefik's names too.
    pub(crate) has_traefiks_names: bool,
}

/// Every metric that has a sample.
pub(crate) fn families(input: &MetricsInput<'_>) -> Vec<MetricFamily> {
    let mut families = input.registry.gather();
    families.extend(state(input));
    if input.has_traefiks_names {
        families.extend(state_under_traefiks_names(input));
    }
    // The encoder refuses a family without samples.
    families.retain(|family| !family.get_metric().is_empty());
    families
}

/// The whole answer in the text format of Prometheus.
pub(crate) fn text(families: &[MetricFamily]) -> String {
    TextEncoder::new().encode_to_string(families).unwrap_or_else(|error| {
        tracing::error!(%error, "failed to encode the metrics");
        String::new()
    })
}

/// What Traefik's metrics tell of the state, for the families that are asked for under its names.
fn state_under_traefiks_names(input: &MetricsInput<'_>) -> Vec<MetricFamily> {
    let mut up = gauge("traefik_service_server_up", "Whether a server of a service may get requests.");
    let endpoints = input.instance.endpoints();
    // Traefik knows it of those alone that it asks.
    for shared in input.compiled.shared.upstreams.iter().filter(|shared| shared.has_health_check) {
        for endpoint in &shared.endpoints {
            let is_ejected = endpoints.get(&endpoint.key).is_some_and(|now| now.is_ejected);
            let is_up = endpoint.readiness == Readiness::Ready && !is_ejected;
            let url = views::server_url(endpoint);
            up = up.with(&[("service", &shared.name), ("url", &url)], flag(is_up));
        }
    }
    let mut ends = gauge("traefik_tls_certs_not_after", "When a certificate ends, in seconds since the epoch.");
    let mut told = BTreeSet::new();
    for certificate in &input.instance.certificates().list {
        let not_after = certificate.not_after.as_deref().and_then(views::seconds_since_epoch);
        let Some(not_after) = not_after.filter(|_| told.insert((&certificate.name, &certificate.serial))) else {
            continue;
        };
        let labels = [("cn", &*certificate.name), ("sans", &*certificate.name), ("serial", &*certificate.serial)];
        ends = ends.with(&labels, not_after as f64);
    }
    let reloads = counter("traefik_config_reloads_total", "How often the table was replaced.");
    let help = "When what the table in force is made of was read, in seconds since the epoch.";
    vec![
        reloads.with(&[], number(input.generation.count())).finish(),
        single("traefik_config_last_reload_success", help, input.compiled.now as f64),
        up.finish(),
        ends.finish(),
    ]
}

/// The metrics that nothing counts: they are read from the published values for each answer.
fn state(input: &MetricsInput<'_>) -> Vec<MetricFamily> {
    let is_ready = input.instance.phase() == InstancePhase::Serving;
    let mut families = vec![
        gauge("gangway_build_info", "The version in use.").with(&[("version", input.version)], 1.0).finish(),
        single("gangway_ready", "Whether a table is in force.", flag(is_ready)),
        single("gangway_table_generation", "How often the table was replaced.", number(input.generation.count())),
        single("gangway_routes", "Routes in force.", size(input.compiled.table.routes().len())),
        single("gangway_containers", "Containers that were read.", size(input.compiled.containers.len())),
    ];
    families.extend(input.instance.config().map(|config| {
        single("gangway_config_in_force", "Whether the config file is in force as it stands.", flag(config.in_force))
    }));
    let help = "How long compiling the table in force took.";
    families.push(single("gangway_table_compile_seconds", help, input.compiled.compiling.as_secs_f64()));
    families.extend(endpoints(input));
    families.push(single("gangway_event_streams", "Streams of events that are open.", size(input.subscribers)));
    families.push(diagnostics(input.diagnostics));
    families.extend(engines(&input.instance.engines()));
    families.extend(certificates(&input.instance.certificates()));
    families.extend(process_metrics::families());
    families
}

/// The endpoints of each route by name. A container that has several addresses for a route is one of them.
fn endpoints(input: &MetricsInput<'_>) -> [MetricFamily; 2] {
    let states = input.instance.endpoints();
    let mut by_name: BTreeMap<(&str, &str), (bool, usize)> = BTreeMap::new();
    for route in input.compiled.table.routes() {
        for endpoint in &route.upstream.endpoints {
            let now = states.get(&endpoint.key);
            let is_ready = endpoint.readiness == Readiness::Ready && !now.is_some_and(|now| now.is_ejected);
            let known = by_name.entry((&route.id, &endpoint.name)).or_default();
            *known = (known.0 || is_ready, known.1 + now.map_or(0, |now| now.under_way));
        }
    }
    let mut ready = gauge("gangway_endpoint_ready", "Whether an endpoint of a route may get requests.");
    let mut under_way = gauge("gangway_endpoint_requests_under_way", "Requests under way at an endpoint of a route.");
    for ((route, endpoint), (is_ready, count)) in by_name {
        let labels = [("route", route), ("endpoint", endpoint)];
        ready = ready.with(&labels, flag(is_ready));
        under_way = under_way.with(&labels, size(count));
    }
    [ready.finish(), under_way.finish()]
}

fn diagnostics(diagnostics: &[Diagnostic]) -> MetricFamily {
    let mut counts = BTreeMap::new();
    for diagnostic in diagnostics {
        *counts.entry((diagnostic.code, diagnostic.severity)).or_insert(0u32) += 1;
    }
    let mut family = gauge("gangway_diagnostics", "Findings about labels, certificates and settings.");
    for ((code, severity), count) in counts {
        family = family.with(&[("code", &code.to_string()), ("severity", severity.as_str())], f64::from(count));
    }
    family.finish()
}

fn engines(engines: &[EngineView]) -> [MetricFamily; 7] {
    let of_each = |family: MetricFamilyBuilder, value: fn(&EngineView) -> f64| {
        engines.iter().fold(family, |family, engine| family.with(&[("engine", &engine.name)], value(engine))).finish()
    };
    [
        of_each(gauge("gangway_engine_up", "Whether the engine can be read."), |engine| flag(engine.trouble.is_none())),
        of_each(gauge("gangway_engine_containers", "Containers in the last good read."), |engine| {
            size(engine.containers)
        }),
        of_each(counter("gangway_engine_reads_total", "Full reads."), |engine| number(engine.reads)),
        of_each(counter("gangway_engine_read_failures_total", "Reads that failed."), |engine| number(engine.failures)),
        events(engines),
        of_each(counter("gangway_engine_reactions_total", "Tables that answer events."), |engine| {
            number(engine.reaction.count)
        }),
        latencies(engines),
    ]
}

fn events(engines: &[EngineView]) -> MetricFamily {
    let mut family = counter("gangway_engine_events_total", "Events that the engine has sent.");
    for EngineView { name, events, .. } in engines {
        for (action, count) in events {
            family = family.with(&[("engine", name), ("action", action)], number(*count));
        }
    }
    family.finish()
}

fn latencies(engines: &[EngineView]) -> MetricFamily {
    let help = "From an event to the table it led to, over the latest thousand.";
    let mut family = gauge("gangway_engine_reaction_seconds", help);
    for EngineView { name, reaction: LatencyView { whole, ours, .. }, .. } in engines {
        for (part, quantiles) in [("whole", whole), ("ours", ours)] {
            for (quantile, millis) in [("0.5", quantiles.median), ("0.99", quantiles.p99)] {
                let labels = [("engine", name.as_str()), ("part", part), ("quantile", quantile)];
                family = family.with(&labels, views::seconds_of_millis(millis));
            }
        }
    }
    family.finish()
}

fn certificates(state: &CertificatesState) -> Vec<MetricFamily> {
    let help = "When the certificate for a name ends, in seconds since the epoch.";
    let mut expiry = gauge("gangway_certificate_expiry_seconds", help);
    // Two files may hold a certificate for one name, and a series must not occur twice.
    let mut ends = BTreeMap::new();
    for certificate in &state.list {
        let not_after = certificate.not_after.as_deref().and_then(views::seconds_since_epoch);
        if let (Some(origin), Some(not_after)) = (certificate.origin.as_deref(), not_after) {
            let end = ends.entry((certificate.name.as_str(), origin)).or_insert(i64::MIN);
            *end = not_after.max(*end);
        }
    }
    for ((name, origin), end) in ends {
        expiry = expiry.with(&[("name", name), ("origin", origin)], end as f64);
    }
    let in_trouble = state.list.iter().filter(|certificate| certificate.trouble.is_some()).count();
    let help = "Names whose certificate is wrong or missing.";
    let mut families = vec![expiry.finish(), single("gangway_certificates_in_trouble", help, size(in_trouble))];
    families.extend(state.on_demand.map(|counts| {
        let help = "Decisions about certificates for hosts that no route names.";
        let outcomes = [
            ("allowed", counts.allowed),
            ("refused", counts.refused),
            ("unanswered", counts.unknown),
            ("overrun", counts.overrun),
        ];
        let family = counter("gangway_on_demand_total", help);
        outcomes
            .into_iter()
            .fold(family, |family, (outcome, count)| family.with(&[("outcome", outcome)], number(count)))
            .finish()
    }));
    families.push(single("gangway_volume_degraded", "Whether the volume cannot be written.", flag(state.degraded)));
    families
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn size(value: usize) -> f64 {
    value as f64
}

fn number(value: u64) -> f64 {
    value as f64
}
