//! Containers that were asked to stop, which no listing shows, and listings that are out of date.
//!
//! A container that got its stop signal is `running` in every listing until it is dead, however long its grace period
//! is. So it gets a mark, which ends on evidence only:
//!
//! 1. an event says that it died or started;
//! 2. a reading that was begun after the mark shows that it does not run;
//! 3. the engine says that it was started after it was asked to stop (events can be lost);
//! 4. the signal was not its stop signal, and it has survived [`FIRST_CHECK`];
//! 5. it has survived [`STOPPING_MAX`] and its grace period, so the request was not obeyed or has been withdrawn;
//! 6. the engine refuses to let us inspect it.
//!
//! The mark does not end because a reading shows the container running, because the connection is lost, or because time
//! passes. All but the first two kinds of evidence come from an inspection, first after [`FIRST_CHECK`] and at the
//! beginning of each session.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gangway_model::{Container, ContainerState, NetworkMode};
use tokio::time::Instant;

use crate::listing::{EngineTime, InspectedContainer};
use crate::read_scope::ReadScope;
use crate::unix_signal::{KILL, TERM};

/// A stopping container is inspected after this long. The default grace period of engines is 10 s. A container that
/// survives longer was not stopped by the signal or has a longer grace period, and the inspection tells which.
const FIRST_CHECK: Duration = Duration::from_secs(15);

/// The time between further inspections.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// A container counts as stopping for at most this long, unless its own grace period is longer. It bounds the cost of a
/// stop that was not obeyed.
const STOPPING_MAX: Duration = Duration::from_secs(3600);

/// The time that an engine needs to kill a container at the end of its grace period.
const GRACE_MARGIN: Duration = Duration::from_secs(5);

/// Current versions of Docker disconnect a container from its networks before they report it dead. For this long, a
/// container without a network counts as about to die.
const DISCONNECTED_MAX: Duration = Duration::from_secs(1);

/// More containers than ever stop at once. Any further ones are noticed by reading, some milliseconds later.
const MARKS_MAX: usize = 10_000;

/// A position in the order of events and readings.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Tick(u64);

/// How a container was asked to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StopOrder {
    /// It was sent this signal.
    Signal(u8),
    /// The engine reported a stop.
    Stop,
}

/// The meaning of a signal for a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SignalMeaning {
    /// This signal stops the container, unless it survives.
    Stops(u8),
    /// This signal stops the container if it is the stop signal of that container.
    StopsIfOwn(u8),
    /// The event does not say which signal it was, as with Podman.
    Unknown,
}

/// The result of an inspection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StopProgress {
    Unchanged,
    /// The signal was the stop signal of the container, so it is stopping.
    Stopping,
    /// The container is not stopping after all.
    NotStopping,
    /// The container is still stopping, and past its grace period.
    PastGrace,
}

/// The marks of one engine's containers.
#[derive(Debug, Default)]
pub(crate) struct StoppingContainers {
    marks: BTreeMap<Box<str>, StopMark>,
    clock: Tick,
}

#[derive(Debug, Default)]
struct StopMark {
    request: Option<StopRequest>,
    /// It was sent a signal, and an inspection is under way that tells whether that is its stop signal.
    undecided: Option<StopRequest>,
    /// When it died or started. A reading that was begun before does not show it.
    ended: Option<Tick>,
    /// When it was disconnected from a network.
    disconnected: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct StopRequest {
    order: StopOrder,
    tick: Tick,
    received: Instant,
    /// The time of the event by the engine's clock.
    at: Option<EngineTime>,
    next_inspection: Instant,
    /// It is past its grace period, and so serves where no other endpoint does.
    lingers: bool,
}

/// The meaning of a signal for the container that it was sent to.
pub(crate) fn meaning(signal: Option<u8>) -> SignalMeaning {
    match signal {
        Some(signal @ (TERM | KILL)) => SignalMeaning::Stops(signal),
        Some(signal) => SignalMeaning::StopsIfOwn(signal),
        None => SignalMeaning::Unknown,
    }
}

impl StoppingContainers {
    /// The position of a reading that begins now, or of an event that arrives now.
    pub(crate) fn tick(&mut self) -> Tick {
        self.clock.0 += 1;
        self.clock
    }

    /// Marks a container that was asked to stop.
    pub(crate) fn stop_requested(&mut self, id: &str, order: StopOrder, at: Option<EngineTime>, now: Instant) {
        let request = self.request(order, at, now);
        let Some(mark) = self.mark(id) else { return };
        // Of several requests, the first one begins the grace period, and a reported stop is the surest order.
        let received = mark.request.map_or(now, |earlier| earlier.received);
        let is_stop = mark.request.is_some_and(|earlier| earlier.order == StopOrder::Stop);
        let order = if is_stop { StopOrder::Stop } else { order };
        mark.request = Some(StopRequest { order, received, ..request });
    }

    /// Takes note of a signal that may be the container's stop signal. The container has to be inspected, and
    /// [`Self::inspected`] be called with the returned tick. `None` if there are too many marks.
    pub(crate) fn signalled(&mut self, id: &str, signal: u8, at: Option<EngineTime>, now: Instant) -> Option<Tick> {
        let request = self.request(StopOrder::Signal(signal), at, now);
        self.mark(id)?.undecided = Some(request);
        Some(request.tick)
    }

    fn request(&mut self, order: StopOrder, at: Option<EngineTime>, now: Instant) -> StopRequest {
        let next_inspection = now + FIRST_CHECK;
        StopRequest { order, tick: self.tick(), received: now, at, next_inspection, lingers: false }
    }

    /// Takes note that a container died. Readings that were begun before are out of date.
    pub(crate) fn died(&mut self, id: &str) {
        let tick = self.tick();
        let Some(mark) = self.mark(id) else { return };
        *mark = StopMark { ended: Some(tick), ..StopMark::default() };
    }

    /// Takes note that a container started.
    ///
    /// If it died before, a reading that was begun since then shows the death, the start, or both. If it was not even
    /// asked to stop, no reading can be out of date.
    pub(crate) fn started(&mut self, id: &str) {
        let tick = self.tick();
        let Some(mark) = self.marks.get_mut(id) else { return };
        *mark = StopMark { ended: mark.ended.or(mark.request.map(|_| tick)), ..StopMark::default() };
    }

    /// Takes note that a container was disconnected from a network.
    pub(crate) fn network_disconnected(&mut self, id: &str, now: Instant) {
        if let Some(mark) = self.mark(id) {
            mark.disconnected = Some(now);
        }
    }

    fn mark(&mut self, id: &str) -> Option<&mut StopMark> {
        if self.marks.len() >= MARKS_MAX && !self.marks.contains_key(id) {
            return None;
        }
        Some(self.marks.entry(id.into()).or_default())
    }

    /// Marks the containers of a reading as leaving, and removes the marks that the reading makes obsolete.
    pub(crate) fn apply_to(&mut self, containers: &mut [Container], scope: &ReadScope, begun: Tick, now: Instant) {
        let mut running = BTreeSet::new();
        for container in containers.iter_mut().filter(|container| container.state == ContainerState::Running) {
            running.insert(container.id.clone());
            if let Some(mark) = self.marks.get(&container.id) {
                container.leaving |=
                    mark.request.is_some() || mark.ended_after(begun) || mark.is_disconnected(container, now);
            }
        }
        self.marks.retain(|id, mark| {
            if scope.covers(id) {
                mark.ended = mark.ended.filter(|ended| *ended > begun);
                mark.request = mark.request.filter(|request| running.contains(id) || request.tick > begun);
            }
            mark.disconnected = mark.disconnected.filter(|since| now < *since + DISCONNECTED_MAX);
            let is_empty = mark.request.is_none()
                && mark.undecided.is_none()
                && mark.ended.is_none()
                && mark.disconnected.is_none();
            !is_empty
        });
    }

    /// At most `count_max` containers that have to be inspected now, each with the tick for [`Self::inspected`].
    pub(crate) fn inspections_due(&mut self, now: Instant, count_max: usize) -> Vec<(Box<str>, Tick)> {
        let requests = self.marks.iter_mut().filter_map(|(id, mark)| Some((id, mark.request.as_mut()?)));
        let due = requests.filter(|(_, request)| request.next_inspection <= now).take(count_max);
        due.map(|(id, request)| {
            request.next_inspection = now + CHECK_EVERY;
            (id.clone(), request.tick)
        })
        .collect()
    }

    /// Makes all inspections due now, because events may have been lost.
    pub(crate) fn recheck_all(&mut self, now: Instant) {
        for request in self.marks.values_mut().filter_map(|mark| mark.request.as_mut()) {
            request.next_inspection = now;
        }
    }

    /// When the next inspection is due.
    pub(crate) fn next_inspection(&self) -> Option<Instant> {
        self.marks.values().filter_map(|mark| Some(mark.request?.next_inspection)).min()
    }

    /// Takes note of the inspection that was due at that tick. It is `None` if the engine refuses.
    pub(crate) fn inspected(
        &mut self,
        id: &str,
        tick: Tick,
        inspected: Option<&InspectedContainer>,
        now: Instant,
    ) -> StopProgress {
        let Some(mark) = self.marks.get_mut(id) else { return StopProgress::Unchanged };
        if let Some(undecided) = mark.undecided.take_if(|undecided| undecided.tick == tick) {
            // The container cannot have been restarted since: that would have removed the undecided request.
            if inspected.is_some_and(|inspected| undecided.order.stops(inspected)) {
                mark.request = Some(undecided);
                return StopProgress::Stopping;
            }
            return StopProgress::Unchanged;
        }
        let Some(request) = mark.request.as_mut().filter(|request| request.tick == tick) else {
            return StopProgress::Unchanged;
        };
        let Some(inspected) = inspected.filter(|inspected| request.is_still_in_force(inspected, now)) else {
            mark.request = None;
            return StopProgress::NotStopping;
        };
        let grace = inspected.stop_grace().unwrap_or_default() + GRACE_MARGIN;
        let lingers = now >= request.received + FIRST_CHECK.max(grace);
        if std::mem::replace(&mut request.lingers, lingers) == lingers {
            StopProgress::Unchanged
        } else {
            StopProgress::PastGrace
        }
    }

    /// The stopping containers that are past their grace period.
    pub(crate) fn lingering(&self) -> BTreeSet<Box<str>> {
        let lingering = self.marks.iter().filter(|(_, mark)| mark.request.is_some_and(|request| request.lingers));
        lingering.map(|(id, _)| id.clone()).collect()
    }
}

impl StopMark {
    /// Whether the container died or started after that tick, so that a reading begun then is out of date.
    fn ended_after(&self, begun: Tick) -> bool {
        self.ended.is_some_and(|ended| ended > begun)
    }

    fn is_disconnected(&self, container: &Container, now: Instant) -> bool {
        let has_no_network = container.network == NetworkMode::Networks && container.attachments.is_empty();
        has_no_network && self.disconnected.is_some_and(|since| now < since + DISCONNECTED_MAX)
    }
}

impl StopRequest {
    fn is_still_in_force(&self, inspected: &InspectedContainer, now: Instant) -> bool {
        let restarted = self.at.zip(inspected.started()).is_some_and(|(requested, started)| started > requested);
        let longest = STOPPING_MAX.max(inspected.stop_grace().unwrap_or_default() + GRACE_MARGIN);
        inspected.runs() && !restarted && self.order.stops(inspected) && now < self.received + longest
    }
}

impl StopOrder {
    /// Whether the order stops this container.
    fn stops(self, inspected: &InspectedContainer) -> bool {
        match self {
            Self::Stop | Self::Signal(KILL) => true,
            Self::Signal(signal) => signal == inspected.stop_signal().unwrap_or(TERM),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inspected(state: &serde_json::Value, config: &serde_json::Value) -> InspectedContainer {
        serde_json::from_value(json!({ "State": state, "Config": config })).unwrap()
    }

    fn running(config: &serde_json::Value) -> InspectedContainer {
        inspected(&json!({ "Running": true, "StartedAt": "2026-01-01T00:00:00.5Z" }), config)
    }

    fn requested(signal: u8, at: &str) -> (StoppingContainers, Tick, Instant) {
        let (mut stopping, now) = (StoppingContainers::default(), Instant::now());
        stopping.stop_requested("a", StopOrder::Signal(signal), EngineTime::parse(at), now);
        let due = stopping.inspections_due(now + FIRST_CHECK, 9);
        (stopping, due[0].1, now)
    }

    const LATER: &str = "2026-01-01T01:00:00+00:00";

    #[test]
    fn only_signals_that_stop_a_container_count() {
        assert_eq!(meaning(Some(15)), SignalMeaning::Stops(15));
        assert_eq!(meaning(Some(9)), SignalMeaning::Stops(9));
        assert_eq!(meaning(Some(1)), SignalMeaning::StopsIfOwn(1));
        assert_eq!(meaning(None), SignalMeaning::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn a_container_is_stopping_for_its_grace_period_and_lingers_after_it() {
        let (mut stopping, tick, now) = requested(15, LATER);
        let slow = running(&json!({ "StopTimeout": 60 }));
        assert_eq!(stopping.inspected("a", tick, Some(&slow), now + FIRST_CHECK), StopProgress::Unchanged);
        assert_eq!(stopping.next_inspection(), Some(now + FIRST_CHECK + CHECK_EVERY));
        assert_eq!(stopping.inspected("a", tick, Some(&slow), now + Duration::from_secs(75)), StopProgress::PastGrace);
        assert_eq!(stopping.lingering(), ["a".into()].into());
        assert_eq!(
            stopping.inspected("a", tick, Some(&slow), now + Duration::from_secs(3599)),
            StopProgress::Unchanged
        );
        let (mut patient, tick, now) = requested(15, LATER);
        let patient_one = running(&json!({ "StopTimeout": 7200 }));
        assert_eq!(patient.inspected("a", tick, Some(&patient_one), now + STOPPING_MAX), StopProgress::Unchanged);
        assert_eq!(stopping.inspected("a", tick, Some(&slow), now + STOPPING_MAX), StopProgress::NotStopping);
        assert!(stopping.lingering().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_inspection_can_end_the_mark() {
        let goes_on = |signal: u8, at: &str, inspected: Option<&InspectedContainer>| {
            let (mut stopping, tick, now) = requested(signal, at);
            stopping.inspected("a", tick, inspected, now + FIRST_CHECK) == StopProgress::NotStopping
        };
        let plain = running(&json!({}));
        assert!(
            !goes_on(15, LATER, Some(&plain)) && !goes_on(9, LATER, Some(&running(&json!({ "StopSignal": "SIGINT" }))))
        );
        assert!(goes_on(15, "2026-01-01T00:00:00.4Z", Some(&plain)), "it was restarted since");
        assert!(goes_on(15, LATER, Some(&running(&json!({ "StopSignal": "SIGQUIT" })))), "not its stop signal");
        assert!(goes_on(15, LATER, Some(&inspected(&json!({ "Running": false }), &json!({})))), "it does not run");
        assert!(goes_on(15, LATER, None), "the engine refuses");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_inspection_says_nothing_about_a_restarted_container() {
        let (mut stopping, now) = (StoppingContainers::default(), Instant::now());
        let quits = running(&json!({ "StopSignal": "SIGQUIT" }));
        let tick = stopping.signalled("a", 3, None, now).unwrap();
        stopping.died("a");
        stopping.started("a");
        assert_eq!(stopping.inspected("a", tick, Some(&quits), now), StopProgress::Unchanged);
        let tick = stopping.signalled("a", 3, None, now).unwrap();
        assert_eq!(stopping.inspected("a", tick, Some(&quits), now), StopProgress::Stopping);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_lost_connection_all_are_inspected_at_once() {
        let (mut stopping, now) = (StoppingContainers::default(), Instant::now());
        for id in ["a", "b", "c"] {
            stopping.stop_requested(id, StopOrder::Stop, None, now);
        }
        assert!(stopping.inspections_due(now, 9).is_empty());
        stopping.recheck_all(now);
        assert_eq!((stopping.inspections_due(now, 2).len(), stopping.inspections_due(now, 2).len()), (2, 1));
    }

    #[test]
    fn the_number_of_marks_is_bounded() {
        let (mut stopping, now) = (StoppingContainers::default(), Instant::now());
        for id in 0..MARKS_MAX + 5 {
            stopping.stop_requested(&id.to_string(), StopOrder::Stop, None, now);
        }
        assert_eq!(stopping.marks.len(), MARKS_MAX);
    }
}
