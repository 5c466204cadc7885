//! What surrounds the routers in Traefik: its pages, its access log and its metrics, as the static configuration asks for
//! them.

use std::time::Duration;

use gangway_admin::{EntryPointView, RedirectionView, TraefikPages};
use gangway_model::TraefikSettings;
use gangway_proxy::{FieldFate, FieldFates, NamedMetrics, TraefikLog, TraefikLogForm};
use gangway_traefik::{
    AccessLog, AccessLogFormat, EntryPointAddress, FieldMode, Prometheus, Redirection, StaticConfig,
};
use http::StatusCode;

use crate::settings::Surroundings;

/// Traefik's buckets where none are given, in seconds.
const BUCKETS: [f64; 4] = [0.1, 0.3, 1.2, 5.0];

/// All of it.
pub(super) fn surroundings(config: &StaticConfig, settings: &TraefikSettings) -> Surroundings {
    let entry_point = |(name, entry, address): (&_, &gangway_traefik::EntryPointConfig, EntryPointAddress)| {
        let listed = entry.trusted.iter().map(ToString::to_string);
        EntryPointView {
            name: ToString::to_string(name),
            address: address_text(address),
            is_default: entry.as_default,
            trusts_all: entry.trusts_all,
            trusted: listed.collect(),
            tls: entry.tls.clone(),
            middlewares: entry.middlewares.clone(),
            redirection: entry.redirection.as_ref().map(redirection),
            read_timeout: entry.read_timeout,
            write_timeout: entry.write_timeout,
            idle_timeout: entry.idle_timeout,
            request_accept_grace: entry.request_accept_grace,
            grace: entry.grace,
        }
    };
    let docker = config.docker.as_ref().map(|_| "Docker");
    let file = config.file.as_ref().map(|_| "File");
    let terminating = config.ping.as_ref().and_then(|ping| ping.terminating_status);
    Surroundings {
        pages: TraefikPages {
            internal: settings.internal.clone(),
            entry_points: config.http_entry_points().map(entry_point).collect(),
            providers: docker.into_iter().chain(file).collect(),
            has_access_log: config.access_log.is_some(),
            terminating_status: terminating.and_then(|status| StatusCode::from_u16(status).ok()),
        },
        log: config.access_log.as_ref().map(log),
        metrics: config.prometheus.as_ref().map(metrics),
    }
}

/// As written, with Traefik's defaults where nothing is.
fn redirection(written: &Redirection) -> RedirectionView {
    RedirectionView {
        to: written.to.clone(),
        scheme: written.scheme(),
        is_permanent: written.is_permanent(),
        priority: written.priority(),
    }
}

fn address_text(address: EntryPointAddress) -> String {
    match address.ip {
        Some(ip) => std::net::SocketAddr::new(ip, address.port).to_string(),
        None => format!(":{}", address.port),
    }
}

fn metrics(prometheus: &Prometheus) -> NamedMetrics {
    NamedMetrics {
        entry_points: prometheus.counts_entry_points,
        routers: prometheus.counts_routers,
        services: prometheus.counts_services,
        buckets: if prometheus.buckets.is_empty() { BUCKETS.to_vec() } else { prometheus.buckets.clone() },
    }
}

fn log(log: &AccessLog) -> TraefikLog {
    let fate = |mode: &FieldMode| match mode {
        FieldMode::Keep => FieldFate::Keep,
        FieldMode::Drop => FieldFate::Drop,
        FieldMode::Redact => FieldFate::Redact,
    };
    let fates = |default: Option<FieldMode>, usual, names: &std::collections::BTreeMap<Box<str>, FieldMode>| {
        let names = names.iter().map(|(name, mode)| (name.to_ascii_lowercase().into(), fate(mode)));
        FieldFates { default: default.as_ref().map_or(usual, fate), names: names.collect() }
    };
    TraefikLog {
        form: match log.format {
            AccessLogFormat::Common => TraefikLogForm::Common,
            AccessLogFormat::Json => TraefikLogForm::Json,
            AccessLogFormat::GenericClf => TraefikLogForm::GenericClf,
        },
        statuses: log.status_codes.iter().filter_map(|text| statuses(text)).collect(),
        retried: log.retry_attempts,
        min_duration: log.min_duration.filter(|min| *min > Duration::ZERO),
        fields: fates(log.default_mode, FieldFate::Keep, &log.fields),
        headers: fates(log.headers_default_mode, FieldFate::Drop, &log.headers),
        logs_internal: log.adds_internals,
    }
}

/// `200` or `200-299`.
fn statuses(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
}
