//! The state of endpoints, which outlives every table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ahash::HashMap;
use gangway_model::{EndpointKey, Readiness};
use parking_lot::{Mutex, MutexGuard};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::upstream::known_addresses::KnownAddresses;

/// The longest idle time of an upstream connection. Node closes after five silent seconds, and a request that is sent
/// at that moment is lost.
pub(crate) const UPSTREAM_IDLE_MAX: Duration = Duration::from_secs(4);

/// After a failed connect, an endpoint is passed over for this long if there is another one. The time doubles with
/// each failure in a row, up to [`EJECTION_MAX`].
const EJECTION_FIRST: Duration = Duration::from_millis(500);
const EJECTION_MAX: Duration = Duration::from_secs(10);

/// How long requests that cannot be repeated stay away from kept connections of an endpoint, once it was seen to close
/// them unannounced.
const DISTRUST: Duration = Duration::from_secs(300);

/// The state of one endpoint.
#[derive(Debug)]
pub struct EndpointState {
    /// The number that it has among all endpoints of the process.
    id: u64,
    /// Requests, streams and WebSockets under way.
    in_flight: AtomicUsize,
    /// An [`EndpointHealth`] as a number.
    health: AtomicU8,
    /// Whether the engine called it ready in the last table.
    was_ready: AtomicBool,
    /// Whether the engine stops or restarts it, by the last table.
    leaves: AtomicBool,
    /// A [`Drain`] as a number.
    drain: AtomicU8,
    /// How often it has begun to leave.
    departures: AtomicU32,
    /// Client connections that became WebSockets or event streams of this endpoint. They may be silent for hours and
    /// would not notice its end.
    lasting: Mutex<Vec<AbortHandle>>,
    failures_in_a_row: AtomicU32,
    /// Milliseconds after `epoch` until which it is passed over.
    ejected_until: AtomicU64,
    /// Seconds that `Keep-Alive: timeout` announced; 0 if none were.
    keep_alive: AtomicU32,
    /// Whether it was seen to keep a connection open after a response.
    keeps_connections: AtomicBool,
    /// Milliseconds after `epoch` at which it was last seen to close a kept connection unannounced; 0 if never.
    closed_unannounced: AtomicU64,
    /// The addresses of its name, if it has one.
    pub(crate) addresses: KnownAddresses,
    /// The error of the last try to reach it; none once it was reached.
    trouble: Mutex<Option<Box<str>>>,
    /// Whether the log says that it cannot be used.
    is_reported_lost: AtomicBool,
    /// Whether a connection succeeded since it was last called ready.
    was_reached: AtomicBool,
    /// Milliseconds after `epoch` at which it was last called ready.
    ready_since: AtomicU64,
    epoch: Instant,
}

/// Whether an endpoint that the engine calls ready can serve requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum EndpointHealth {
    /// It serves requests.
    Healthy,
    /// It is new and was not reached yet.
    New,
    /// It could not be connected to, or fails its check.
    Failing,
    /// It has failed for longer than requests wait. Requests get its error at once instead of waiting.
    Down,
}

/// How the requests under way at an endpoint end that leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Drain {
    /// It does not leave.
    No,
    /// They have a limited time to end.
    Running,
    /// That time is over: they must end now.
    Over,
}

/// Counts one request under way until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<EndpointState>);

impl EndpointState {
    pub(crate) fn new(health: EndpointHealth) -> Self {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
            in_flight: AtomicUsize::new(0),
            health: AtomicU8::new(health as u8),
            was_ready: AtomicBool::new(true),
            leaves: AtomicBool::new(false),
            drain: AtomicU8::new(Drain::No as u8),
            departures: AtomicU32::new(0),
            lasting: Mutex::default(),
            failures_in_a_row: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            keep_alive: AtomicU32::new(0),
            keeps_connections: AtomicBool::new(false),
            closed_unannounced: AtomicU64::new(0),
            addresses: KnownAddresses::default(),
            trouble: Mutex::new(None),
            is_reported_lost: AtomicBool::new(false),
            was_reached: AtomicBool::new(false),
            ready_since: AtomicU64::new(0),
            epoch: Instant::now(),
        }
    }

    /// The number that it has among all endpoints of the process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The number of requests, streams and WebSockets under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn health(&self) -> EndpointHealth {
        match self.health.load(Ordering::Acquire) {
            0 => EndpointHealth::Healthy,
            1 => EndpointHealth::New,
            2 => EndpointHealth::Failing,
            _ => EndpointHealth::Down,
        }
    }

    /// Sets the result of a probe. A successful connection ends its ejection.
    pub(crate) fn set_health(&self, health: EndpointHealth) {
        self.health.store(health as u8, Ordering::Release);
        if health == EndpointHealth::Healthy {
            self.connected();
            *self.trouble_locked() = None;
        }
    }

    /// The error of the last try to reach it; none once it was reached.
    pub fn trouble(&self) -> Option<Box<str>> {
        self.trouble_locked().clone()
    }

    /// Sets the error of a try to reach it.
    pub(crate) fn note_trouble(&self, trouble: &str) {
        *self.trouble_locked() = Some(trouble.into());
    }

    /// Held for the length of a copy, and never on the path of a request that succeeds.
    fn trouble_locked(&self) -> MutexGuard<'_, Option<Box<str>>> {
        self.trouble.lock()
    }

    /// Notes that the log reports it as lost. Returns whether that is news.
    pub(crate) fn report_lost(&self) -> bool {
        !self.is_reported_lost.swap(true, Ordering::Relaxed)
    }

    /// Notes that the log reports it as usable again. Returns whether it was reported as lost before.
    pub(crate) fn report_back(&self) -> bool {
        self.is_reported_lost.swap(false, Ordering::Relaxed)
    }

    /// Notes what the engine says of it in the next table. An endpoint that becomes ready again must be reached
    /// again, since it may have been restarted.
    pub(crate) fn note_readiness(&self, readiness: Readiness) {
        let is_ready = readiness == Readiness::Ready;
        let was_ready = self.was_ready.swap(is_ready, Ordering::Relaxed);
        self.leaves.store(matches!(readiness, Readiness::Leaving | Readiness::Restarting), Ordering::Relaxed);
        if is_ready && !was_ready {
            self.set_health(EndpointHealth::New);
            self.was_reached.store(false, Ordering::Relaxed);
            self.ready_since.store(self.millis(), Ordering::Relaxed);
            self.drain.store(Drain::No as u8, Ordering::Relaxed);
            // Another program may run there now, with other habits.
            self.keeps_connections.store(false, Ordering::Relaxed);
            self.closed_unannounced.store(0, Ordering::Relaxed);
            self.keep_alive.store(0, Ordering::Relaxed);
        }
    }

    /// Whether it is being stopped. An endpoint that fails its health check is not.
    pub(crate) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }

    /// Notes that it leaves. Returns the number of this departure if it is new and requests are under way.
    pub(crate) fn begin_draining(&self) -> Option<u32> {
        let (no, running) = (Drain::No as u8, Drain::Running as u8);
        self.drain.compare_exchange(no, running, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        let departure = self.departures.fetch_add(1, Ordering::Relaxed) + 1;
        (self.in_flight() > 0).then_some(departure)
    }

    /// Ends the requests under way, unless the endpoint has come back since that departure.
    pub(crate) fn end_draining(&self, departure: u32) {
        let has_come_back = self.drain.load(Ordering::Relaxed) == Drain::No as u8;
        if has_come_back || self.departures.load(Ordering::Relaxed) != departure {
            return;
        }
        self.drain.store(Drain::Over as u8, Ordering::Relaxed);
        for connection in std::mem::take(&mut *self.lasting()) {
            connection.abort();
        }
    }

    /// Whether requests under way must end now.
    pub(crate) fn is_drained(&self) -> bool {
        self.drain.load(Ordering::Relaxed) == Drain::Over as u8
    }

    /// Notes a connection that ends together with the endpoint.
    pub(crate) fn end_with_endpoint(&self, connection: AbortHandle) {
        let mut lasting = self.lasting();
        if lasting.len() == lasting.capacity() {
            // Ended connections are removed only before the list grows, so that the cost stays constant for each new
            // one.
            lasting.retain(|known| !known.is_finished());
        }
        lasting.push(connection);
    }

    fn lasting(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.lasting.lock()
    }

    /// Notes that it could not be reached. Returns whether that is news.
    pub(crate) fn mark_unreachable(&self) -> bool {
        let (good, failing) = (EndpointHealth::Healthy as u8, EndpointHealth::Failing as u8);
        self.health.compare_exchange(good, failing, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether it is passed over now, because connecting failed or a check fails.
    pub fn is_ejected(&self) -> bool {
        if self.health.load(Ordering::Relaxed) != EndpointHealth::Healthy as u8 {
            return true;
        }
        let until = self.ejected_until.load(Ordering::Relaxed);
        until != 0 && self.millis() < until
    }

    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    pub(crate) fn connected(&self) {
        self.was_reached.store(true, Ordering::Relaxed);
        if self.failures_in_a_row.load(Ordering::Relaxed) != 0 {
            self.failures_in_a_row.store(0, Ordering::Relaxed);
            self.ejected_until.store(0, Ordering::Relaxed);
            *self.trouble_locked() = None;
        }
    }

    /// Since when it could have been reached but was not; none if it was.
    pub(crate) fn unreached_since(&self) -> Option<Instant> {
        let since = self.epoch + Duration::from_millis(self.ready_since.load(Ordering::Relaxed));
        (!self.was_reached.load(Ordering::Relaxed)).then_some(since)
    }

    pub(crate) fn connect_failed(&self) {
        let failures = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed).min(10);
        let pause = EJECTION_FIRST.saturating_mul(1 << failures).min(EJECTION_MAX);
        self.ejected_until
            .store(self.millis() + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.addresses.expire();
    }

    /// How long an idle connection to it is kept: four seconds, or one second less than announced.
    pub(crate) fn idle_timeout(&self) -> Duration {
        match self.keep_alive.load(Ordering::Relaxed) {
            0 => UPSTREAM_IDLE_MAX,
            announced => UPSTREAM_IDLE_MAX.min(Duration::from_secs(u64::from(announced).saturating_sub(1))),
        }
    }

    /// How long an idle connection that belongs to a client connection is kept: as long as the client connection may
    /// be idle, since the client would have to authenticate again, or one second less than announced.
    pub(crate) fn idle_timeout_of_own(&self, idle: Duration) -> Duration {
        match self.keep_alive.load(Ordering::Relaxed) {
            0 => idle,
            announced => idle.min(Duration::from_secs(u64::from(announced).saturating_sub(1))),
        }
    }

    /// Notes the seconds that a response's `Keep-Alive` field announced. Zero counts as one: the connection is closed at
    /// once either way.
    pub(crate) fn note_keep_alive_timeout(&self, seconds: u32) {
        let seconds = seconds.max(1);
        if self.keep_alive.load(Ordering::Relaxed) != seconds {
            self.keep_alive.store(seconds, Ordering::Relaxed);
        }
    }

    /// Notes that it kept a connection open after a response.
    pub(crate) fn note_kept_open(&self) {
        if !self.keeps_connections.load(Ordering::Relaxed) {
            self.keeps_connections.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that it closed a kept connection without an announcement. While it leaves, that says nothing about its
    /// habits.
    pub(crate) fn note_closed_unannounced(&self) {
        if !self.leaves() {
            self.closed_unannounced.store(self.millis().max(1), Ordering::Relaxed);
        }
    }

    /// Whether a request that cannot be repeated may use a kept connection. If the endpoint closes it at the same
    /// moment, the request is lost; so the endpoint must have been seen to keep connections, and not to close them
    /// unannounced lately.
    pub(crate) fn is_trusted_to_keep_connections(&self) -> bool {
        let closed = self.closed_unannounced.load(Ordering::Relaxed);
        let is_distrusted = || Duration::from_millis(self.millis().saturating_sub(closed)) < DISTRUST;
        self.keeps_connections.load(Ordering::Relaxed) && (closed == 0 || !is_distrusted())
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The states of all endpoints, by identity.
#[derive(Debug, Default)]
pub(crate) struct EndpointStates {
    by_key: HashMap<EndpointKey, Arc<EndpointState>>,
    /// States of endpoints that are gone, while requests are under way there: a container that was paused comes back
    /// to its state.
    departed: HashMap<EndpointKey, Arc<EndpointState>>,
}

impl EndpointStates {
    /// Returns the state for an endpoint of the next table: the known one, or a new one with this health. States that
    /// no endpoint asks for are forgotten with `self`.
    pub(crate) fn carry_over(&self, next: &mut Self, key: &EndpointKey, health: EndpointHealth) -> Arc<EndpointState> {
        let known = || self.by_key.get(key).or_else(|| self.departed.get(key)).cloned();
        let known = || known().unwrap_or_else(|| Arc::new(EndpointState::new(health)));
        let state = next.by_key.entry(key.clone()).or_insert_with(known);
        Arc::clone(state)
    }

    pub(crate) fn insert(&mut self, key: &EndpointKey, state: Arc<EndpointState>) {
        self.by_key.insert(key.clone(), state);
    }

    /// Keeps for the next table the states that are not in it and still have requests under way.
    pub(crate) fn depart(&self, next: &mut Self) {
        for (key, state) in self.by_key.iter().chain(&self.departed) {
            if state.in_flight() > 0 && !next.by_key.contains_key(key) {
                state.was_ready.store(false, Ordering::Relaxed);
                next.departed.insert(key.clone(), Arc::clone(state));
            }
        }
    }

    pub(crate) fn find(&self, key: &EndpointKey) -> Option<&Arc<EndpointState>> {
        self.by_key.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announced_timeout_shortens_the_idle_time_by_a_second() {
        let state = EndpointState::new(EndpointHealth::Healthy);
        assert_eq!(state.idle_timeout(), UPSTREAM_IDLE_MAX);
        state.note_keep_alive_timeout(3);
        assert_eq!(state.idle_timeout(), Duration::from_secs(2));
        state.note_keep_alive_timeout(60);
        assert_eq!(state.idle_timeout(), UPSTREAM_IDLE_MAX);
        state.note_keep_alive_timeout(0);
        assert_eq!(state.idle_timeout(), Duration::ZERO);
    }

    #[test]
    fn only_an_endpoint_that_keeps_connections_gets_on_them_what_cannot_be_repeated() {
        let state = EndpointState::new(EndpointHealth::Healthy);
        assert!(!state.is_trusted_to_keep_connections(), "nothing is known yet");
        state.note_kept_open();
        assert!(state.is_trusted_to_keep_connections());
        state.note_closed_unannounced();
        assert!(!state.is_trusted_to_keep_connections());
        state.note_readiness(Readiness::Restarting);
        state.note_closed_unannounced();
        state.note_readiness(Readiness::Ready);
        state.note_kept_open();
        assert!(state.is_trusted_to_keep_connections(), "the end of the former program says nothing about this one");
    }

    #[test]
    fn a_failed_endpoint_is_ejected_until_it_connects() {
        let state = EndpointState::new(EndpointHealth::Healthy);
        assert!(!state.is_ejected());
        state.connect_failed();
        state.note_trouble("connection refused");
        assert!(state.is_ejected() && state.trouble().as_deref() == Some("connection refused"));
        state.connected();
        assert!(!state.is_ejected() && state.trouble().is_none());
    }

    #[test]
    fn one_that_was_away_has_to_be_reached_anew() {
        let state = EndpointState::new(EndpointHealth::Healthy);
        state.note_readiness(Readiness::Ready);
        assert_eq!(state.health(), EndpointHealth::Healthy);
        state.note_readiness(Readiness::Leaving);
        state.note_readiness(Readiness::Ready);
        assert_eq!((state.health(), state.is_ejected()), (EndpointHealth::New, true));
        state.set_health(EndpointHealth::Healthy);
        assert!(state.mark_unreachable() && !state.mark_unreachable());
        assert_eq!(state.health(), EndpointHealth::Failing);
    }

    #[tokio::test]
    async fn what_lasts_is_ended_when_the_time_is_over_unless_it_came_back() {
        let state = Arc::new(EndpointState::new(EndpointHealth::Healthy));
        assert_eq!(state.begin_draining(), None, "nothing is under way");
        state.note_readiness(Readiness::Leaving);
        state.note_readiness(Readiness::Ready);
        let _request = state.begin();
        let lasting = tokio::spawn(std::future::pending::<()>());
        state.end_with_endpoint(lasting.abort_handle());
        let first = state.begin_draining().expect("it is news");
        assert_eq!(state.begin_draining(), None, "it is not");
        state.note_readiness(Readiness::Leaving);
        state.note_readiness(Readiness::Ready);
        state.end_draining(first);
        assert!(!state.is_drained() && !lasting.is_finished());
        let second = state.begin_draining().expect("it leaves once more");
        state.end_draining(first);
        assert!(!state.is_drained() && !lasting.is_finished(), "its time is not over yet");
        state.end_draining(second);
        assert!(state.is_drained() && lasting.await.is_err_and(|error| error.is_cancelled()));
    }

    #[test]
    fn one_that_comes_back_while_something_is_under_way_is_the_same() {
        let key = |container: &str| EndpointKey {
            container: container.into(),
            address: gangway_model::Address::Ip([172, 20, 0, 3].into(), 80),
        };
        let (first, mut with, mut without) = Default::default();
        let busy = EndpointStates::carry_over(&first, &mut with, &key("busy"), EndpointHealth::Healthy);
        let idle = EndpointStates::carry_over(&first, &mut with, &key("idle"), EndpointHealth::Healthy);
        let _request = busy.begin();
        with.depart(&mut without);
        assert!(without.find(&key("busy")).is_none());
        let departure = busy.begin_draining().expect("something is under way");
        let mut again = EndpointStates::default();
        let back = without.carry_over(&mut again, &key("busy"), EndpointHealth::Healthy);
        back.note_readiness(Readiness::Ready);
        back.end_draining(departure);
        assert!(Arc::ptr_eq(&busy, &back) && !back.is_drained());
        assert!(!Arc::ptr_eq(&idle, &without.carry_over(&mut again, &key("idle"), EndpointHealth::Healthy)));
    }

    #[test]
    fn requests_under_way_are_counted_until_they_end() {
        let state = Arc::new(EndpointState::new(EndpointHealth::Healthy));
        let request = state.begin();
        assert_eq!(state.in_flight(), 1);
        drop(request);
        assert_eq!(state.in_flight(), 0);
    }
}
