//! Looks for events that nobody reports: tables, findings, figures, and the requests of routes that somebody listens to.
//!
//! While nobody listens, it does nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use gangway_diagnostic::Severity;
use tokio::time::{MissedTickBehavior, interval};

use crate::answer::{Sources, diagnostics};
use crate::api::{DiagnosticCounts, FiguresEvent, RouteNowView, TableEvent};
use crate::events::{EventKind, EventSink};

/// How often it is looked for requests of routes that somebody listens to.
const LOOK_STEP: Duration = Duration::from_millis(500);

/// The steps after which figures are sent.
const FIGURES_STEPS: u32 = 4;

/// Routes in one event of figures: the busiest ones.
const FIGURES_MAX: usize = 500;

/// Reports tables, findings, figures and requests to those who listen, for ever.
pub async fn feed_events(sources: Sources) -> Infallible {
    let sink = sources.events.clone();
    let mut compiled = sources.compiled.clone();
    let mut feed = Feed { sink: sink.clone(), sources, found: None };
    let mut steps = interval(LOOK_STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut step = 0;
    loop {
        if !sink.has_subscribers() {
            sink.subscribers.news.notified().await;
            feed.found = None;
        }
        tokio::select! {
            outcome = compiled.changed() => match outcome {
                Ok(_) => feed.table(),
                Err(_) => std::future::pending().await,
            },
            _ = steps.tick() => {
                feed.requests();
                step = (step + 1) % FIGURES_STEPS;
                if step == 0 {
                    feed.figures();
                    feed.diagnostics();
                }
            }
        }
    }
}

/// What looks for events.
struct Feed {
    sink: EventSink,
    sources: Sources,
    /// The counts of findings that were sent last.
    found: Option<DiagnosticCounts>,
}

impl Feed {
    fn table(&mut self) {
        let generation = self.sources.compiled.load_full().generation().count();
        self.sink.send(EventKind::Table, "table", &TableEvent { generation });
        self.diagnostics();
    }

    fn diagnostics(&mut self) {
        let found = diagnostics(&self.sources, &self.sources.compiled.load_full());
        let count = |severity| found.iter().filter(|one| one.severity == severity).count();
        let counts = DiagnosticCounts { errors: count(Severity::Error), warnings: count(Severity::Warning) };
        if self.found.replace(counts) != Some(counts) {
            self.sink.send(EventKind::Diagnostics, "diagnostics", &counts);
        }
    }

    fn requests(&self) {
        let followed: Vec<(Arc<str>, u64)> =
            self.sink.subscribers.locked().iter().map(|(route, followed)| (Arc::clone(route), followed.last)).collect();
        for (route, last) in followed {
            let newest_first = self.sources.instance.requests_after(&route, last);
            let Some(newest) = newest_first.first() else { continue };
            if let Some(followed) = self.sink.subscribers.locked().get_mut(&route) {
                followed.last = newest.number;
            }
            for request in newest_first.iter().rev() {
                self.sink.send(EventKind::RequestOf(Arc::clone(&route)), "request", request);
            }
        }
    }

    fn figures(&self) {
        let figures = self.sources.instance.figures();
        let now = figures.routes.into_iter().map(|one| RouteNowView {
            route: one.route,
            per_second: one.per_second,
            error_share: one.error_share,
            p50_ms: one.p50_ms,
            p99_ms: one.p99_ms,
            under_way: one.under_way,
        });
        let mut routes: Vec<RouteNowView> = now.collect();
        let followed: Vec<Arc<str>> = self.sink.subscribers.locked().keys().cloned().collect();
        for id in followed {
            let of_route = routes.iter().filter(|one| *one.route == *id).cloned().collect();
            let event = FiguresEvent { at: figures.at.clone(), routes: of_route };
            self.sink.send(EventKind::FiguresOf(id), "figures", &event);
        }
        routes.retain(|one| one.per_second > 0.0 || one.under_way > 0);
        routes.sort_by(|a, b| b.per_second.total_cmp(&a.per_second));
        routes.truncate(FIGURES_MAX);
        self.sink.send(EventKind::Figures, "figures", &FiguresEvent { at: figures.at, routes });
    }
}
