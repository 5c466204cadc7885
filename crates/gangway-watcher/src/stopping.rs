//! What events said of containers that no listing shows: that they were told to end, and that a listing
//! which was begun earlier speaks of the past.
//!
//! A container that was sent its stop signal is `running` in every listing until it is dead, however long its
//! grace. It is marked, and the mark ends by evidence:
//!
//! 1. it died or started, by an event;
//! 2. a reading that was begun after the mark shows that it does not run;
//! 3. the engine says that it was started after it was told to end (events can be lost);
//! 4. it was told by a signal which is not the one that ends it, and has survived [`SURVIVED`];
//! 5. it has survived [`LEAVING_MAX`] and its own grace, so that whoever told it was not obeyed, or has
//!    changed their mind;
//! 6. the engine does not let us ask.
//!
//! Nothing else ends it: neither a reading that shows it running, nor a lost connection, nor time alone. All but
//! the first two are found out by asking, first after [`SURVIVED`] and at the beginning of each session.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gangway_model::snapshot::{Container, ContainerState, NetworkMode};
use tokio::time::Instant;

use crate::listing::{EngineTime, InspectedContainer};
use crate::reading::ReadScope;
use crate::unix_signal::{KILL, TERM};

/// Engines give a container 10 s unasked; who survives this was not ended by the signal or has a longer grace,
/// and the engine is asked which.
const SURVIVED: Duration = Duration::from_secs(15);

/// How often it is asked again.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// Nobody waits longer for a container that is to end, unless it says so itself: this bounds what a stop that
/// nobody obeyed can cost.
const LEAVING_MAX: Duration = Duration::from_secs(3600);

/// An engine needs a moment to end what has not ended in time.
const GRACE_MARGIN: Duration = Duration::from_secs(5);

/// Docker of today takes a container's networks away before it says that the container is dead; without a
/// network it is about to die for so long.
const UNPLUGGED: Duration = Duration::from_secs(1);

/// More than ever leave at once; what is beyond is found by reading, some milliseconds later.
const MARKS_MAX: usize = 10_000;

/// The order in which things were heard, and readings begun.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Tick(u64);

/// Why a container is thought to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StopOrder {
    /// It was sent this signal.
    Signal(u8),
    /// The engine called it a stop.
    Stop,
}

/// What a signal says about the future of a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SignalMeaning {
    /// It ends, unless it survives.
    Ends,
    /// It ends if that is the signal by which it is asked to.
    EndsIfItsOwn,
    /// Nobody can tell. Podman does not say which signal it was.
    Unknown,
}

/// What the events said of the containers of one engine.
#[derive(Debug, Default)]
pub(crate) struct StoppingContainers {
    marks: BTreeMap<Box<str>, StopMark>,
    clock: Tick,
}

#[derive(Debug, Default)]
struct StopMark {
    told: Option<StopRequest>,
    /// It was sent a signal, and the engine is being asked whether that is its own.
    asked: Option<StopRequest>,
    /// It died or started then: a reading that was begun before does not know.
    ended: Option<Tick>,
    /// It lost a network then.
    unplugged: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct StopRequest {
    order: StopOrder,
    tick: Tick,
    heard: Instant,
    /// By the engine's clock.
    at: Option<EngineTime>,
    /// When the engine is asked next what became of it.
    ask: Instant,
    /// Beyond its own grace, it serves where nobody else does.
    lingers: bool,
}

pub(crate) fn meaning(signal: Option<u8>) -> SignalMeaning {
    match signal {
        Some(TERM | KILL) => SignalMeaning::Ends,
        Some(_) => SignalMeaning::EndsIfItsOwn,
        None => SignalMeaning::Unknown,
    }
}

impl StoppingContainers {
    /// A reading begins, or something is heard.
    pub(crate) fn tick(&mut self) -> Tick {
        self.clock.0 += 1;
        self.clock
    }

    /// It was told to end.
    pub(crate) fn told(&mut self, id: &str, order: StopOrder, at: Option<EngineTime>, now: Instant) {
        let told = self.note(order, at, now);
        let Some(mark) = self.mark(id) else { return };
        // Of several orders, the first began the time of grace and the last is the surest.
        let heard = mark.told.map_or(now, |earlier| earlier.heard);
        let order =
            if mark.told.is_some_and(|earlier| earlier.order == StopOrder::Stop) { StopOrder::Stop } else { order };
        mark.told = Some(StopRequest { order, heard, ..told });
    }

    /// It was sent a signal that may be its own: the question that [`Self::answer`] expects an answer to.
    pub(crate) fn perhaps_told(&mut self, id: &str, signal: u8, at: Option<EngineTime>, now: Instant) -> Option<Tick> {
        let told = self.note(StopOrder::Signal(signal), at, now);
        self.mark(id)?.asked = Some(told);
        Some(told.tick)
    }

    fn note(&mut self, order: StopOrder, at: Option<EngineTime>, now: Instant) -> StopRequest {
        StopRequest { order, tick: self.tick(), heard: now, at, ask: now + SURVIVED, lingers: false }
    }

    /// It died: whatever was begun before speaks of the past.
    pub(crate) fn died(&mut self, id: &str) {
        let tick = self.tick();
        let Some(mark) = self.mark(id) else { return };
        *mark = StopMark { ended: Some(tick), ..StopMark::default() };
    }

    /// It started. If it died before, a reading that was begun since knows of one or of both; if it was not even told
    /// to end, none can bring back what is past.
    pub(crate) fn started(&mut self, id: &str) {
        let tick = self.tick();
        let Some(mark) = self.marks.get_mut(id) else { return };
        *mark = StopMark { ended: mark.ended.or(mark.told.map(|_| tick)), ..StopMark::default() };
    }

    /// It lost a network.
    pub(crate) fn unplugged(&mut self, id: &str, now: Instant) {
        if let Some(mark) = self.mark(id) {
            mark.unplugged = Some(now);
        }
    }

    fn mark(&mut self, id: &str) -> Option<&mut StopMark> {
        if self.marks.len() >= MARKS_MAX && !self.marks.contains_key(id) {
            return None;
        }
        Some(self.marks.entry(id.into()).or_default())
    }

    /// Adds what events said to what was read, and forgets what the reading has overtaken.
    pub(crate) fn correct(&mut self, containers: &mut [Container], extent: &ReadScope, begun: Tick, now: Instant) {
        let mut running = BTreeSet::new();
        for container in containers.iter_mut().filter(|container| container.state == ContainerState::Running) {
            running.insert(container.id.clone());
            if let Some(mark) = self.marks.get(&container.id) {
                container.leaving |= mark.told.is_some() || mark.is_past(begun) || mark.is_unplugged(container, now);
            }
        }
        self.marks.retain(|id, mark| {
            if extent.covers(id) {
                mark.ended = mark.ended.filter(|ended| *ended > begun);
                mark.told = mark.told.filter(|told| running.contains(id) || told.tick > begun);
            }
            mark.unplugged = mark.unplugged.filter(|since| now < *since + UNPLUGGED);
            mark.told.is_some() || mark.asked.is_some() || mark.ended.is_some() || mark.unplugged.is_some()
        });
    }

    /// Containers of which the engine has to be asked what became of them, at most so many.
    pub(crate) fn questions_due(&mut self, now: Instant, most: usize) -> Vec<(Box<str>, Tick)> {
        let due = self.marks.iter_mut().filter_map(|(id, mark)| Some((id, mark.told.as_mut()?)));
        let due = due.filter(|(_, told)| told.ask <= now).take(most);
        due.map(|(id, told)| {
            told.ask = now + ASK_EVERY;
            (id.clone(), told.tick)
        })
        .collect()
    }

    /// Something may have been missed: all have to be asked about.
    pub(crate) fn doubt_all(&mut self, now: Instant) {
        for told in self.marks.values_mut().filter_map(|mark| mark.told.as_mut()) {
            told.ask = now;
        }
    }

    pub(crate) fn next_question(&self) -> Option<Instant> {
        self.marks.values().filter_map(|mark| Some(mark.told?.ask)).min()
    }

    /// What the engine said of one, asked at that tick: what changes by it. `None` where it will not say.
    pub(crate) fn answer(
        &mut self,
        id: &str,
        tick: Tick,
        inspected: Option<&InspectedContainer>,
        now: Instant,
    ) -> StopProgress {
        let Some(mark) = self.marks.get_mut(id) else { return StopProgress::Nothing };
        if let Some(asked) = mark.asked.take_if(|asked| asked.tick == tick) {
            // It cannot have started anew since: that would have taken the question back.
            if inspected.is_some_and(|inspected| asked.order.ends(inspected)) {
                mark.told = Some(asked);
                return StopProgress::Leaves;
            }
            return StopProgress::Nothing;
        }
        let Some(told) = mark.told.as_mut().filter(|told| told.tick == tick) else { return StopProgress::Nothing };
        let Some(inspected) = inspected.filter(|inspected| told.is_still_under_way(inspected, now)) else {
            mark.told = None;
            return StopProgress::Stays;
        };
        let lingers = now >= told.heard + SURVIVED.max(inspected.stop_grace().unwrap_or_default() + GRACE_MARGIN);
        if std::mem::replace(&mut told.lingers, lingers) == lingers {
            StopProgress::Nothing
        } else {
            StopProgress::Lingers
        }
    }

    /// Those beyond their own grace.
    pub(crate) fn lingering(&self) -> BTreeSet<Box<str>> {
        let lingering = self.marks.iter().filter(|(_, mark)| mark.told.is_some_and(|told| told.lingers));
        lingering.map(|(id, _)| id.clone()).collect()
    }
}

/// What follows from an answer of the engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StopProgress {
    Nothing,
    /// It is leaving.
    Leaves,
    /// It is leaving no more.
    Stays,
    /// It goes on leaving, and is beyond its own grace.
    Lingers,
}

impl StopMark {
    /// Does a reading that was begun then speak of the past?
    fn is_past(&self, begun: Tick) -> bool {
        self.ended.is_some_and(|ended| ended > begun)
    }

    fn is_unplugged(&self, container: &Container, now: Instant) -> bool {
        let without = container.network == NetworkMode::Networks && container.attachments.is_empty();
        without && self.unplugged.is_some_and(|since| now < since + UNPLUGGED)
    }
}

impl StopRequest {
    fn is_still_under_way(&self, inspected: &InspectedContainer, now: Instant) -> bool {
        let restarted = self.at.zip(inspected.started()).is_some_and(|(told, started)| started > told);
        let longest = LEAVING_MAX.max(inspected.stop_grace().unwrap_or_default() + GRACE_MARGIN);
        inspected.runs() && !restarted && self.order.ends(inspected) && now < self.heard + longest
    }
}

impl StopOrder {
    /// Is that how this container is ended?
    fn ends(self, inspected: &InspectedContainer) -> bool {
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

    fn told(signal: u8, at: &str) -> (StoppingContainers, Tick, Instant) {
        let (mut leaving, now) = (StoppingContainers::default(), Instant::now());
        leaving.told("a", StopOrder::Signal(signal), EngineTime::parse(at), now);
        let asked = leaving.questions_due(now + SURVIVED, 9);
        (leaving, asked[0].1, now)
    }

    const LATER: &str = "2026-01-01T01:00:00+00:00";

    #[test]
    fn only_signals_that_end_a_container_make_it_leave() {
        assert_eq!(meaning(Some(15)), SignalMeaning::Ends);
        assert_eq!(meaning(Some(9)), SignalMeaning::Ends);
        assert_eq!(meaning(Some(1)), SignalMeaning::EndsIfItsOwn);
        assert_eq!(meaning(None), SignalMeaning::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn it_leaves_for_as_long_as_its_grace_and_serves_where_nobody_else_does() {
        let (mut leaving, tick, now) = told(15, LATER);
        let slow = running(&json!({ "StopTimeout": 60 }));
        assert_eq!(leaving.answer("a", tick, Some(&slow), now + SURVIVED), StopProgress::Nothing);
        assert_eq!(leaving.next_question(), Some(now + SURVIVED + ASK_EVERY));
        assert_eq!(leaving.answer("a", tick, Some(&slow), now + Duration::from_secs(75)), StopProgress::Lingers);
        assert_eq!(leaving.lingering(), ["a".into()].into());
        assert_eq!(leaving.answer("a", tick, Some(&slow), now + Duration::from_secs(3599)), StopProgress::Nothing);
        let (mut patient, tick, now) = told(15, LATER);
        let patient_one = running(&json!({ "StopTimeout": 7200 }));
        assert_eq!(patient.answer("a", tick, Some(&patient_one), now + LEAVING_MAX), StopProgress::Nothing);
        assert_eq!(leaving.answer("a", tick, Some(&slow), now + LEAVING_MAX), StopProgress::Stays);
        assert!(leaving.lingering().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_mark_ends_by_what_the_engine_says() {
        let stays = |signal: u8, at: &str, inspected: Option<&InspectedContainer>| {
            let (mut leaving, tick, now) = told(signal, at);
            leaving.answer("a", tick, inspected, now + SURVIVED) == StopProgress::Stays
        };
        let plain = running(&json!({}));
        assert!(
            !stays(15, LATER, Some(&plain)) && !stays(9, LATER, Some(&running(&json!({ "StopSignal": "SIGINT" }))))
        );
        assert!(stays(15, "2026-01-01T00:00:00.4Z", Some(&plain)), "started anew since");
        assert!(stays(15, LATER, Some(&running(&json!({ "StopSignal": "SIGQUIT" })))), "not its own");
        assert!(stays(15, LATER, Some(&inspected(&json!({ "Running": false }), &json!({})))), "it does not run");
        assert!(stays(15, LATER, None), "nobody may ask");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_says_nothing_of_one_that_started_anew() {
        let (mut leaving, now) = (StoppingContainers::default(), Instant::now());
        let quits = running(&json!({ "StopSignal": "SIGQUIT" }));
        let tick = leaving.perhaps_told("a", 3, None, now).unwrap();
        leaving.died("a");
        leaving.started("a");
        assert_eq!(leaving.answer("a", tick, Some(&quits), now), StopProgress::Nothing);
        let tick = leaving.perhaps_told("a", 3, None, now).unwrap();
        assert_eq!(leaving.answer("a", tick, Some(&quits), now), StopProgress::Leaves);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_connection_brings_all_questions_forward() {
        let (mut leaving, now) = (StoppingContainers::default(), Instant::now());
        for id in ["a", "b", "c"] {
            leaving.told(id, StopOrder::Stop, None, now);
        }
        assert!(leaving.questions_due(now, 9).is_empty());
        leaving.doubt_all(now);
        assert_eq!((leaving.questions_due(now, 2).len(), leaving.questions_due(now, 2).len()), (2, 1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut leaving, now) = (StoppingContainers::default(), Instant::now());
        for id in 0..MARKS_MAX + 5 {
            leaving.told(&id.to_string(), StopOrder::Stop, None, now);
        }
        assert_eq!(leaving.marks.len(), MARKS_MAX);
    }
}
