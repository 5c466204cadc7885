//! Looks for events that nobody reports: tables, findings, figures, and the requests that somebody listens to.
//!
//! While nobody listens, it does nothing. Requests, and which findings are new, are looked at only for those who ask for them.

use std::cell::LazyCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gangway_diagnostic::{Diagnostic, DiagnosticChanges, Severity};
use gangway_model::{Compiled, ContainerState};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::answer::{Sources, diagnostics};
use crate::api::{DiagnosticCounts, DiagnosticEvent, FiguresEvent, MissedEvent, RouteNowView, TableEvent};
use crate::events::{EventKind, EventSink, event_text};
use crate::request_feed::{NewRequests, REQUESTS_AT_ONCE_MAX};
use crate::views::{self, rfc3339_millis};

/// How often it is looked for requests of routes that somebody listens to.
const LOOK_STEP: Duration = Duration::from_millis(500);

/// The steps after which figures are sent.
const FIGURES_STEPS: u32 = 4;

/// Routes in one event of figures: the busiest ones.
const FIGURES_MAX: usize = 500;

/// Findings that one look tells, of the new ones and of the resolved ones.
const DIAGNOSTICS_AT_ONCE_MAX: usize = 100;

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
        let compiled = self.sources.compiled.load_full();
        let found = diagnostics(&self.sources, &compiled);
        let count = |severity| found.iter().filter(|one| one.severity == severity).count();
        let counts = DiagnosticCounts { errors: count(Severity::Error), warnings: count(Severity::Warning) };
        if self.found.replace(counts) != Some(counts) {
            self.sink.send(EventKind::Diagnostics, "diagnostics", &counts);
        }
        let mut followed = self.sink.subscribers.locked();
        if followed.diagnostics.is_followed() {
            let is_running = |state| state == ContainerState::Running;
            let running = LazyCell::new(|| {
                let reports = compiled.containers.iter().filter(|report| is_running(report.state));
                reports.map(|report| &*report.name).collect::<HashSet<&str>>()
            });
            let runs = |name: &str| running.contains(name);
            let changes = followed.diagnostics.told.changes(Instant::now(), found.iter(), runs);
            self.sink.send_text(EventKind::DiagnosticChanges, diagnostics_text(&changes, &compiled));
        }
    }

    fn requests(&self) {
        let mut followed = self.sink.subscribers.locked();
        if followed.routes.is_empty() && !followed.requests.is_followed() {
            return;
        }
        let instance = &*self.sources.instance;
        let counts = instance.request_counts();
        for (route, of_route) in &mut followed.routes {
            let Some((_, count)) = counts.iter().find(|(id, _)| id == route) else { continue };
            let news = NewRequests::of_route(instance, route, *count, &mut of_route.told, REQUESTS_AT_ONCE_MAX);
            self.sink.send_text(EventKind::RequestsOf(Arc::clone(route)), requests_text(&news));
        }
        if followed.requests.is_followed() {
            let news = NewRequests::of_all(instance, &counts, &mut followed.requests.told);
            self.sink.send_text(EventKind::Requests, requests_text(&news));
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
        let followed: Vec<Arc<str>> = self.sink.subscribers.locked().routes.keys().cloned().collect();
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

fn requests_text(news: &NewRequests) -> String {
    let text: String = news.requests.iter().map(|request| event_text("request", request)).collect();
    text + &missed_text(&MissedEvent { requests: news.missed, ..MissedEvent::default() })
}

fn diagnostics_text(changes: &DiagnosticChanges, compiled: &Compiled) -> String {
    let mut text = String::new();
    for (news, of_kind) in [("found", &changes.found), ("resolved", &changes.resolved)] {
        for diagnostic in of_kind.iter().take(DIAGNOSTICS_AT_ONCE_MAX) {
            text += &event_text("diagnostic", &diagnostic_event(news, diagnostic, compiled));
        }
    }
    let more = |of_kind: &[Diagnostic]| of_kind.len().saturating_sub(DIAGNOSTICS_AT_ONCE_MAX) as u64;
    let diagnostics = more(&changes.found) + more(&changes.resolved);
    text + &missed_text(&MissedEvent { diagnostics, ..MissedEvent::default() })
}

fn diagnostic_event(news: &str, diagnostic: &Diagnostic, compiled: &Compiled) -> DiagnosticEvent {
    let diagnostic = views::diagnostic(diagnostic);
    let routes = compiled.table.routes().iter();
    let concerned = routes.filter(|route| views::is_about(&diagnostic, &route.name, &route.origin, &route.hosts));
    let routes = concerned.map(|route| route.id.to_string()).collect();
    DiagnosticEvent { at: rfc3339_millis(SystemTime::now()), news: news.to_owned(), routes, diagnostic }
}

/// The event that says how much is in no event; nothing if all is.
fn missed_text(missed: &MissedEvent) -> String {
    if missed.requests == 0 && missed.diagnostics == 0 {
        return String::new();
    }
    event_text("missed", &MissedEvent { at: rfc3339_millis(SystemTime::now()), ..missed.clone() })
}
