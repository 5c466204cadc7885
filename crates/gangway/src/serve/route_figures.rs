//! The figures and the last requests of each route, as the API shows them.
//!
//! The data plane only counts. A task reads its counters now and then, and so does each question, so that no figure is older
//! than the question.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gangway_admin::api::{FiguresResponse, PointView, RequestView};
use gangway_admin::{Figures, RequestCount, RouteCounts, rfc3339_millis};
use gangway_proxy::{DURATION_BOUNDS, RecentRequest, RouteCount, RouteRecords};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The time between two readings of the counters: the finest step of the figures.
const STEP: Duration = Duration::from_secs(5);

/// The number of steps after which places for requests are given anew.
const TIDY_STEPS: u32 = 12;

/// The figures of all routes. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct RouteFigures {
    records: RouteRecords,
    figures: Arc<Mutex<Figures>>,
    began: Instant,
}

impl RouteFigures {
    pub(super) fn new(records: RouteRecords) -> Self {
        Self { records, figures: Arc::new(Mutex::new(Figures::new(DURATION_BOUNDS))), began: Instant::now() }
    }

    /// Reads the counters, for ever.
    pub(super) async fn follow(self) -> Infallible {
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for _ in 0..TIDY_STEPS {
                steps.tick().await;
                drop(self.now());
            }
            self.records.tidy();
        }
    }

    pub(super) fn response(&self) -> FiguresResponse {
        let routes = self.now().views(self.began.elapsed());
        FiguresResponse { at: rfc3339_millis(SystemTime::now()), routes }
    }

    pub(super) fn day(&self, route: &str) -> Vec<PointView> {
        self.now().view(route, self.began.elapsed()).map(|view| view.day).unwrap_or_default()
    }

    /// The last requests of a route that have a greater number, newest first.
    pub(super) fn requests(&self, route: &str, number: u64) -> Vec<RequestView> {
        let requests = self.records.requests(route, number).unwrap_or_default();
        let now = SystemTime::now();
        requests.into_iter().map(|one| request(route, one, now)).collect()
    }

    /// The last requests of all routes, newest first.
    pub(super) fn latest_requests(&self, max: usize) -> Vec<RequestView> {
        let now = SystemTime::now();
        self.records.latest_requests(max).into_iter().map(|(route, one)| request(&route, one, now)).collect()
    }

    /// How many requests of each route have ended.
    pub(super) fn request_counts(&self) -> Vec<(Arc<str>, RequestCount)> {
        let counts = self.records.request_counts().into_iter();
        counts.map(|(route, count)| (route, RequestCount { number: count.number, ended: count.ended })).collect()
    }

    /// The figures with what was counted up to now.
    fn now(&self) -> MutexGuard<'_, Figures> {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = self.records.counts();
        figures.sample(self.began.elapsed(), counts.iter().map(|(id, count)| (&**id, counted(*count))));
        figures
    }
}

fn counted(RouteCount { under_way, by_class, by_duration }: RouteCount) -> RouteCounts {
    RouteCounts { under_way, statuses: by_class, durations: by_duration }
}

fn request(route: &str, request: RecentRequest, now: SystemTime) -> RequestView {
    RequestView {
        route: route.to_owned(),
        number: request.number,
        at: rfc3339_millis(now - request.ago),
        method: request.method,
        path: request.target,
        status: request.status,
        duration_ms: request.duration.as_secs_f64() * 1000.0,
        reason: request.reason.map(str::to_owned),
        endpoint: request.endpoint,
        protocol: request.protocol.to_owned(),
    }
}
