//! What changed last, each change with the requests that it cost.
//!
//! The route log says what changed. The requests that were lost or had to wait are those since the route was calm last: some
//! fail before a change is known, and some wait until after it.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gangway_admin::api::{ChangeView, ChangesResponse};
use gangway_admin::{EventSink, rfc3339_millis};
use gangway_proxy::{RouteRecords, Troubles};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// The number of changes that are remembered.
const CHANGES_MAX: usize = 100;

/// Bytes of the description of one change.
const WHAT_MAX: usize = 512;

/// How often troubles are looked at.
const STEP: Duration = Duration::from_secs(1);

/// Requests count for a change up to this long after it.
const SETTLE_TIME: Duration = Duration::from_secs(10);

/// Trouble that lasts for longer before a change is not of that change.
const TROUBLE_TIME: Duration = Duration::from_secs(60);

/// Routes that one change names.
const ROUTES_MAX: usize = 64;

/// What a change is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'s> {
    /// The route of this id.
    Route(&'s str),
    /// A container that stands behind the routes of these ids.
    Container(&'s [Box<str>]),
}

impl<'s> Subject<'s> {
    /// The id of the route, if it is about one.
    pub(super) fn route(self) -> Option<&'s str> {
        match self {
            Self::Route(route) => Some(route),
            Self::Container(_) => None,
        }
    }

    fn routes(self) -> Vec<String> {
        match self {
            Self::Route(route) => vec![route.to_owned()],
            Self::Container(routes) => routes.iter().take(ROUTES_MAX).map(ToString::to_string).collect(),
        }
    }
}

/// The last changes. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    list: Arc<Mutex<ChangeList>>,
    records: RouteRecords,
    events: EventSink,
}

impl Changes {
    pub(super) fn new(records: RouteRecords, events: EventSink) -> Self {
        Self { list: Arc::default(), records, events }
    }

    /// Remembers a change.
    pub(super) fn note(&self, subject: Subject<'_>, what: &str) {
        let troubles = subject.route().map(|route| self.records.troubles(route)).unwrap_or_default();
        let change = self.lock().note(subject, what, troubles, Instant::now(), SystemTime::now());
        self.events.change(&change);
    }

    pub(super) fn response(&self) -> ChangesResponse {
        ChangesResponse { changes: self.lock().changes.iter().rev().map(|change| change.view.clone()).collect() }
    }

    /// Looks at the troubles of routes, for ever.
    pub(super) async fn follow(self) -> Infallible {
        let mut steps = interval(STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            steps.tick().await;
            let troubles = self.records.all_troubles();
            let changed = self.lock().look(&troubles, Instant::now());
            changed.iter().for_each(|change| self.events.change(change));
        }
    }

    fn lock(&self) -> MutexGuard<'_, ChangeList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct ChangeList {
    /// Oldest first.
    changes: VecDeque<Change>,
    routes: HashMap<Arc<str>, RouteCalm>,
}

#[derive(Debug)]
struct Change {
    view: ChangeView,
    at: Instant,
    /// The troubles of its route before it.
    before: Troubles,
}

/// When a route was calm last.
#[derive(Clone, Copy, Debug)]
struct RouteCalm {
    /// Its troubles then.
    before: Troubles,
    /// Its troubles as they were looked at last.
    last: Troubles,
    /// Since when there is trouble; none while it is calm.
    since: Option<Instant>,
}

impl Change {
    /// Takes in the troubles of its route. Returns whether that changes anything.
    fn count(&mut self, now: Troubles) -> bool {
        let lost = now.lost.saturating_sub(self.before.lost);
        let waited = now.waited.saturating_sub(self.before.waited);
        let is_news = (self.view.lost, self.view.waited) != (lost, waited);
        (self.view.lost, self.view.waited) = (lost, waited);
        is_news
    }
}

impl RouteCalm {
    fn look(&mut self, troubles: Troubles, now: Instant) {
        if troubles == self.last {
            *self = Self { before: troubles, last: troubles, since: None };
            return;
        }
        self.last = troubles;
        let since = *self.since.get_or_insert(now);
        if now >= since + TROUBLE_TIME {
            (self.before, self.since) = (troubles, Some(now));
        }
    }
}

impl ChangeList {
    fn note(
        &mut self,
        subject: Subject<'_>,
        what: &str,
        troubles: Troubles,
        now: Instant,
        time: SystemTime,
    ) -> ChangeView {
        let route = subject.route();
        // What came for an earlier change is that one's.
        let earlier = self.changes.iter().rev().find(|change| change.view.route.as_deref() == route);
        let counted = earlier.filter(|change| now < change.at + SETTLE_TIME).map(|change| Troubles {
            lost: change.before.lost + change.view.lost,
            waited: change.before.waited + change.view.waited,
            ..change.before
        });
        let calm = route.and_then(|route| self.routes.get(route)).map(|calm| calm.before);
        let before = counted.or(calm).unwrap_or_default();
        let what = what[..what.floor_char_boundary(WHAT_MAX)].to_owned();
        let (route, routes) = (route.map(str::to_owned), subject.routes());
        let view = ChangeView { at: rfc3339_millis(time), what, route, routes, lost: 0, waited: 0 };
        let mut change = Change { view, at: now, before };
        change.count(troubles);
        let view = change.view.clone();
        if self.changes.len() == CHANGES_MAX {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        view
    }

    /// Takes in the troubles of all routes. Returns the changes that cost more requests than was known.
    fn look(&mut self, troubles: &[(Arc<str>, Troubles)], now: Instant) -> Vec<ChangeView> {
        let mut news = Vec::new();
        let mut before = std::mem::take(&mut self.routes);
        for (route, troubles) in troubles {
            let known = before.remove(route);
            let mut calm = known.unwrap_or(RouteCalm { before: *troubles, last: *troubles, since: None });
            calm.look(*troubles, now);
            let mut of_route = self.changes.iter_mut().rev();
            let latest = of_route.find(|change| change.view.route.as_deref() == Some(&**route));
            if let Some(change) = latest.filter(|change| now < change.at + SETTLE_TIME)
                && change.count(*troubles)
            {
                news.push(change.view.clone());
            }
            self.routes.insert(Arc::clone(route), calm);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_web(lost: u64, waited: u64) -> [(Arc<str>, Troubles); 1] {
        [("web".into(), Troubles { lost, waited, retries: 0 })]
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_has_the_requests_that_it_cost_before_and_after_it_was_known() {
        let (mut list, begun) = (ChangeList::default(), Instant::now());
        let at = |second| begun + Duration::from_secs(second);
        for (second, lost, waited) in [(0, 5, 7), (1, 5, 7), (2, 6, 9)] {
            assert_eq!(list.look(&of_web(lost, waited), at(second)), []);
        }
        let noted =
            list.note(Subject::Route("web"), "`web-1` recreated", of_web(6, 10)[0].1, at(3), SystemTime::UNIX_EPOCH);
        assert_eq!((noted.lost, noted.waited, noted.at.as_str()), (1, 3, "1970-01-01T00:00:00.000Z"));
        let later = list.look(&of_web(6, 21), at(4));
        assert_eq!((later.len(), later[0].lost, later[0].waited), (1, 1, 14));
        assert_eq!(list.look(&of_web(6, 21), at(5)), [], "no news");
        assert_eq!(list.look(&of_web(9, 21), at(14)), [], "it is over");
        let next =
            list.note(Subject::Route("web"), "`web-1` recreated", of_web(9, 21)[0].1, at(200), SystemTime::UNIX_EPOCH);
        assert_eq!((next.lost, next.waited), (3, 0), "its route was not calm since");
        let behind = ["web".into()];
        let of_container = Subject::Container(&behind);
        let other =
            list.note(of_container, "container `x` has stopped", Troubles::default(), at(200), SystemTime::UNIX_EPOCH);
        assert_eq!((other.lost, other.waited, other.route.as_deref()), (0, 0, None));
        assert_eq!([&other.routes, &next.routes], [&["web"]; 2]);
        assert_eq!(list.changes.back().expect("noted").view, other);
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_that_lasts_is_of_no_change() {
        let (mut list, begun) = (ChangeList::default(), Instant::now());
        for second in 0..200 {
            list.look(&of_web(second, 0), begun + Duration::from_secs(second));
        }
        let now = begun + Duration::from_secs(200);
        let noted = list.note(Subject::Route("web"), "", of_web(200, 0)[0].1, now, SystemTime::UNIX_EPOCH);
        assert!(noted.lost <= 60, "{}", noted.lost);
    }

    #[test]
    fn changes_are_bounded() {
        let mut list = ChangeList::default();
        let now = Instant::now();
        for _ in 0..=CHANGES_MAX {
            list.note(Subject::Route("web"), &"ä".repeat(WHAT_MAX), Troubles::default(), now, SystemTime::UNIX_EPOCH);
        }
        assert_eq!(list.changes.len(), CHANGES_MAX);
        assert!(list.changes[0].view.what.len() <= WHAT_MAX);
    }
}
