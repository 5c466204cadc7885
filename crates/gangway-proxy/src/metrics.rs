//! Counters of the data plane, for Prometheus.
//!
//! The counters of a route are looked up when a table is activated, not for each request.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use tokio::time::Instant;

use crate::named_metrics::{NamedCounters, NamedMetrics};
use crate::route_history::{RecentRequest, RequestCount, RouteHistories, RouteHistory, Troubles};
use crate::route_metrics::{AllRouteMetrics, RouteCount, RouteMetrics};

/// What is counted and remembered of each route, for those who show it. Cheap to clone. No reading makes a request wait.
#[derive(Clone, Debug)]
pub struct RouteRecords {
    routes: AllRouteMetrics,
    histories: RouteHistories,
}

impl RouteRecords {
    /// The counters of the routes in force, by id. They begin anew when a route comes back.
    pub fn counts(&self) -> Vec<(Arc<str>, RouteCount)> {
        self.routes.counts()
    }

    /// The last requests of a route that have a number greater than `after`, newest first. None of a route that is not
    /// known.
    pub fn requests(&self, id: &str, after: u64) -> Option<Vec<RecentRequest>> {
        self.histories.requests(id, after)
    }

    /// The last requests of all routes, each with the id of its route: at most `max` of them, newest first.
    pub fn latest_requests(&self, max: usize) -> Vec<(Arc<str>, RecentRequest)> {
        self.histories.latest(max, Instant::now())
    }

    /// How many requests of each route have ended, by id. The numbers go on when a route comes back within a day.
    pub fn request_counts(&self) -> Vec<(Arc<str>, RequestCount)> {
        self.histories.counts()
    }

    /// How many requests of a route met trouble. The numbers go on when a route comes back within a day.
    pub fn troubles(&self, id: &str) -> Troubles {
        self.histories.find(id).map(|history| history.troubles()).unwrap_or_default()
    }

    /// The same of all routes that are remembered, by id.
    pub fn all_troubles(&self) -> Vec<(Arc<str>, Troubles)> {
        self.histories.all_troubles()
    }

    /// Gives the places for requests to the routes that have some. To be called now and then.
    pub fn tidy(&self) {
        self.histories.tidy(Instant::now());
    }
}

/// Every counter of the data plane. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    routes: AllRouteMetrics,
    histories: RouteHistories,
    no_route: IntCounter,
    refused: IntCounterVec,
    /// Open client connections, by listener.
    pub(crate) connections: IntGaugeVec,
    /// Connections turned away by a bound or a ban, by reason.
    pub(crate) connections_refused: IntCounterVec,
    /// TLS handshakes that failed, by reason.
    pub(crate) handshake_failures: IntCounterVec,
    /// TLS handshakes for hosts that no route claims, by outcome.
    pub(crate) unclaimed: IntCounterVec,
    /// Requests that were sent to an upstream again.
    pub(crate) retries: IntCounter,
    /// Requests that wait for an endpoint.
    pub(crate) waiting: IntGauge,
    /// Resident memory of the process, in bytes.
    pub(crate) memory: IntGauge,
    /// Connections and requests given up because memory or descriptors ran short, by what was given up.
    pub(crate) shed: IntCounterVec,
    /// Errors that people would have got a page for, by what became of it.
    pub(crate) error_pages: IntCounterVec,
    /// Requests of routes that keep answers, by what the cache did with them.
    pub(crate) cache_requests: IntCounterVec,
    /// Memory that all caches take, in bytes.
    pub(crate) cache_bytes: IntGauge,
    /// Access log lines that were dropped because the sink was too slow.
    pub(crate) access_log_dropped: IntCounter,
    /// Requests under Traefik's names, where they are counted.
    pub(crate) named: Option<NamedCounters>,
}

impl Metrics {
    /// Makes the counters and registers them.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histories = RouteHistories::default();
        let metrics = Self {
            routes: AllRouteMetrics::new(histories.clone())?,
            histories,
            no_route: IntCounter::new("gangway_requests_without_route_total", "Requests that no route takes.")?,
            refused: IntCounterVec::new(
                Opts::new("gangway_answers_total", "Answers of our own, by reason."),
                &["reason"],
            )?,
            connections: IntGaugeVec::new(
                Opts::new("gangway_connections", "Client connections now open."),
                &["listener"],
            )?,
            connections_refused: IntCounterVec::new(
                Opts::new("gangway_connections_refused_total", "Client connections turned away."),
                &["reason"],
            )?,
            handshake_failures: IntCounterVec::new(
                Opts::new("gangway_tls_handshake_failures_total", "TLS handshakes that failed."),
                &["reason"],
            )?,
            unclaimed: IntCounterVec::new(
                Opts::new("gangway_tls_unclaimed_hosts_total", "TLS handshakes for hosts that nobody claims."),
                &["outcome"],
            )?,
            retries: IntCounter::new("gangway_retries_total", "Requests sent again to an upstream.")?,
            waiting: IntGauge::new("gangway_requests_waiting", "Requests that wait for an endpoint.")?,
            memory: IntGauge::new("gangway_memory_bytes", "Resident memory of the process.")?,
            shed: IntCounterVec::new(
                Opts::new("gangway_shed_total", "Connections closed and requests refused for lack of memory."),
                &["what"],
            )?,
            error_pages: IntCounterVec::new(
                Opts::new("gangway_error_pages_total", "Errors for which the label `errors` names a page, by outcome."),
                &["outcome"],
            )?,
            cache_requests: IntCounterVec::new(
                Opts::new("gangway_cache_requests_total", "Requests of routes with the label `cache`, by outcome."),
                &["outcome"],
            )?,
            cache_bytes: IntGauge::new("gangway_cache_bytes", "Memory that kept answers take.")?,
            access_log_dropped: IntCounter::new(
                "gangway_access_log_dropped_total",
                "Access log lines dropped because the sink was too slow.",
            )?,
            named: None,
        };
        registry.register(Box::new(metrics.routes.clone()))?;
        registry.register(Box::new(metrics.no_route.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.connections_refused.clone()))?;
        registry.register(Box::new(metrics.handshake_failures.clone()))?;
        registry.register(Box::new(metrics.unclaimed.clone()))?;
        registry.register(Box::new(metrics.retries.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.memory.clone()))?;
        registry.register(Box::new(metrics.shed.clone()))?;
        registry.register(Box::new(metrics.error_pages.clone()))?;
        registry.register(Box::new(metrics.cache_requests.clone()))?;
        registry.register(Box::new(metrics.cache_bytes.clone()))?;
        registry.register(Box::new(metrics.access_log_dropped.clone()))?;
        Ok(metrics)
    }

    /// The same counters, and those that Traefik's metrics have.
    pub fn counting_names(self, registry: &Registry, settings: &NamedMetrics) -> Result<Self, prometheus::Error> {
        let named = NamedCounters::new(settings, self.connections.clone())?;
        registry.register(Box::new(named.clone()))?;
        Ok(Self { named: Some(named), ..self })
    }

    /// A view of what is counted and remembered of each route.
    pub fn route_records(&self) -> RouteRecords {
        RouteRecords { routes: self.routes.clone(), histories: self.histories.clone() }
    }

    pub(crate) fn history_of_route(&self, id: &str) -> Arc<RouteHistory> {
        self.histories.of(id)
    }

    pub(crate) fn for_route(&self, id: &str) -> Arc<RouteMetrics> {
        self.routes.of(id)
    }

    /// Removes the counters of routers and services that are not among these, each a router with its service.
    pub(crate) fn keep_names<'r>(&self, routers: impl Iterator<Item = (&'r str, &'r str)>) {
        if let Some(named) = &self.named {
            named.keep(routers);
        }
    }

    /// Removes the counters of a route that is gone: otherwise they would pile up as routes come and go.
    pub(crate) fn forget_route(&self, id: &str) {
        self.routes.forget(id);
    }

    pub(crate) fn no_route(&self) {
        self.no_route.inc();
    }

    pub(crate) fn own_answer(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }
}
