//! Follows one engine for ever.
//!
//! Subscribe, read everything, read again what an event hints to have changed, and soon after it and now and
//! then everything. Whatever fails ends the session; the next one begins from nothing, and what was
//! read last stays in force meanwhile.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use futures::future::{BoxFuture, Fuse, FusedFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use gangway_model::snapshot::{Container, OwnPlace};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

use crate::address::Engine;
use crate::backoff::{Backoff, jitter};
use crate::client::{Cause, Client, EngineError};
use crate::debounce::Debounce;
use crate::engine_log::EngineLog;
use crate::events::{EngineEvent, EventStream};
use crate::listing::InspectedContainer;
use crate::own_location::{Locator, OwnIds};
use crate::own_mounts::OwnMount;
use crate::own_network::OwnNetwork;
use crate::reading::{EngineCache, EngineFacts, EngineReading, ReadScope, read};
use crate::stopping::{SignalMeaning, StopOrder, StopProgress, StoppingContainers, Tick, meaning};

/// Everything is read this long after the last time even if nothing was heard: an event can be lost. With
/// the time a reading may take, that makes every 30 s.
const READ_EVERY: Duration = Duration::from_secs(25);

/// An event can be told before the listing knows: Docker 20.10 writes down that a container is paused or
/// renamed only after it said so. Hence the reading that answers an event is followed by these.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// After so long without a sign of life the engine is asked for one. With the time an answer may take, a
/// silent engine is noticed after 15 s.
const PING_AFTER: Duration = Duration::from_secs(5);

/// A session that lasts this long was a good one: its end is a hiccup, and the next try comes at once. A
/// stream that ends again and again is tried again less and less often, as is everything that fails.
const GOOD_SESSION: Duration = Duration::from_secs(5);

/// Events that are taken in one go before anything else is done.
const GULP_MAX: usize = 1000;

/// Questions about containers that were sent a signal, under way at once; beyond, one that is not usual is not
/// understood.
const QUESTIONS_MAX: usize = 32;

/// What happened at one engine, for whoever compiles.
#[derive(Debug)]
pub(crate) struct Report {
    /// Which, by its position in the list.
    pub(crate) engine: usize,
    pub(crate) news: EngineChange,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum EngineChange {
    /// Everything was read, or what something happened to.
    Read {
        extent: ReadScope,
        containers: Vec<Container>,
        /// Only where everything was.
        own: Option<Box<(OwnPlace, OwnNetwork)>>,
        learnt: EngineFacts,
        own_mounts: Option<Vec<OwnMount>>,
        version: String,
        /// Why events cannot be heard although everything can be read.
        trouble: Option<String>,
        cause: Option<EventTiming>,
    },
    /// These containers were told to end, or have survived that.
    Leaving { ids: Vec<Box<str>>, leaving: bool, cause: Option<EventTiming> },
    /// These, of those that were told to end, are beyond their own grace.
    Lingering { ids: BTreeSet<Box<str>> },
    /// It cannot be read now.
    Failed { trouble: String },
}

/// What made us look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventTiming {
    /// When the oldest event that this answers arrived.
    pub(crate) heard: Instant,
    /// How much of the time since was the engine's.
    pub(crate) engine: Duration,
}

/// Follows one engine for ever.
pub(crate) async fn follow(
    position: usize,
    engine: Engine,
    traces: OwnIds,
    reports: mpsc::Sender<Report>,
) -> Infallible {
    let surroundings = Locator { traces, remote: engine.dialer.may_be_remote() };
    let name = engine.name.0.clone();
    let mut chronicle = EngineLog::default();
    let mut follower = Follower {
        position,
        engine,
        surroundings,
        reports,
        leaving: StoppingContainers::default(),
        backoff: Backoff::default(),
        well_since: None,
    };
    loop {
        let Err(error) = follower.session(&mut chronicle).await;
        let now = Instant::now();
        let text = error.to_string();
        let was_good = follower.well_since.take().is_some_and(|since| since + GOOD_SESSION <= now);
        if was_good {
            follower.backoff = Backoff::default();
        }
        if was_good && error.act == EventStream::ACT && matches!(error.cause, Cause::Ended | Cause::Broken(_)) {
            chronicle.interrupted(now, &text).log(&name);
        } else {
            if let Some(line) = chronicle.failed(now, &text) {
                line.log(&name);
            }
            follower.report(EngineChange::Failed { trouble: text }).await;
        }
        sleep(follower.backoff.wait(jitter())).await;
    }
}

struct Follower {
    position: usize,
    engine: Engine,
    surroundings: Locator,
    reports: mpsc::Sender<Report>,
    /// Outlives a session: a container does not stop leaving because we lost sight of it.
    leaving: StoppingContainers,
    backoff: Backoff,
    /// Since when this session hears events.
    well_since: Option<Instant>,
}

type Pending<'a, T> = Fuse<BoxFuture<'a, T>>;

/// A reading that is over.
struct FinishedReading {
    reading: Result<EngineReading, EngineError>,
    /// What was heard later, it does not know.
    begun: Tick,
    /// When the event that it answers arrived.
    heard: Option<Instant>,
}

/// Who was asked about, when, and what the engine said; none where there is no such container, or nobody may ask.
type Replied = (Box<str>, Tick, Result<Option<InspectedContainer>, EngineError>);

/// What goes on while a session lasts.
struct Session<'a> {
    /// A reading, with the arrival of the event it answers.
    reading: Pending<'a, FinishedReading>,
    ping: Pending<'a, Result<(), EngineError>>,
    /// What became of containers that were sent a signal?
    questions: FuturesUnordered<BoxFuture<'a, Replied>>,
    /// For the next reading, while none is under way.
    known: EngineCache,
    /// The oldest event that no reading answers yet, and what it and those after it happened to.
    unanswered: Option<(Instant, ReadScope)>,
    next_reading: Instant,
    /// Readings since the last one that answered an event.
    looks: usize,
    last_sign: Instant,
    pace: Debounce,
}

impl Follower {
    /// One connection's worth of following. Ends only in failure; the caller decides about trying again.
    async fn session(&mut self, chronicle: &mut EngineLog) -> Result<Infallible, EngineError> {
        let client = Client::connect(&self.engine.dialer).await?;
        let version = client.version.to_string();
        // Subscribe first, read second. The other way round, a container that starts between the two would
        // be in neither.
        let events = client.subscribe().await;
        let begun = self.leaving.tick();
        let first =
            read(&client, &self.engine.name, &self.surroundings, EngineCache::default(), ReadScope::All).await?;
        let trouble = events.as_ref().err().map(ToString::to_string);
        let count = first.containers.len();
        let known = self.finish(first, begun, &version, trouble, None).await;
        // What happened between two sessions was told to nobody.
        self.leaving.doubt_all(Instant::now());
        // An engine that keeps its events from us is still read with every try.
        let mut events = events?;
        self.well_since = Some(Instant::now());
        if let Some(line) = chronicle.well(Instant::now(), &version, count) {
            line.log(&self.engine.name.0);
        }

        let name = self.engine.name.clone();
        let surroundings = self.surroundings.clone();
        let begin = |known: EngineCache, extent: ReadScope, begun: Tick, heard: Option<Instant>| {
            let reading = read(&client, &name, &surroundings, known, extent);
            reading.map(move |reading| FinishedReading { reading, begun, heard }).boxed().fuse()
        };
        let now = Instant::now();
        let mut underway = Session {
            reading: Fuse::terminated(),
            ping: Fuse::terminated(),
            questions: FuturesUnordered::new(),
            known,
            unanswered: None,
            next_reading: now + READ_EVERY,
            looks: LOOK_AGAIN.len(),
            last_sign: now,
            pace: Debounce::new(now),
        };
        loop {
            let now = Instant::now();
            if underway.may_read(now) {
                let (extent, heard) = match underway.unanswered.take() {
                    Some((heard, extent)) => {
                        underway.pace.begin(now);
                        (extent, Some(heard))
                    }
                    None => (ReadScope::All, None),
                };
                let known = std::mem::take(&mut underway.known);
                underway.reading = begin(known, extent, self.leaving.tick(), heard);
            }
            if underway.may_ping(now) {
                underway.ping = client.ping().boxed().fuse();
            }
            let free = QUESTIONS_MAX.saturating_sub(underway.questions.len());
            for (id, tick) in self.leaving.questions_due(now, free) {
                underway.ask(&client, id, tick);
            }
            let wake = underway.wake(if free > 0 { self.leaving.next_question() } else { None });
            tokio::select! {
                biased;
                heard = events.next() => {
                    underway.last_sign = Instant::now();
                    self.take_in(&client, heard?, &mut underway).await;
                    for _ in 0..GULP_MAX {
                        let Some(heard) = events.next().now_or_never() else { break };
                        self.take_in(&client, heard?, &mut underway).await;
                    }
                }
                done = &mut underway.reading, if !underway.reading.is_terminated() => {
                    let FinishedReading { reading, begun, heard } = done;
                    let reading = reading?;
                    let now = Instant::now();
                    underway.looks = if heard.is_some() { 0 } else { underway.looks.saturating_add(1) };
                    let soon = LOOK_AGAIN.get(underway.looks).copied();
                    (underway.last_sign, underway.next_reading) = (now, now + soon.unwrap_or(READ_EVERY));
                    underway.known = self.finish(reading, begun, &version, None, heard).await;
                }
                alive = &mut underway.ping, if !underway.ping.is_terminated() => {
                    alive?;
                    underway.last_sign = Instant::now();
                }
                Some((id, tick, answer)) = underway.questions.next(), if !underway.questions.is_empty() => {
                    self.conclude(id, tick, answer).await;
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    async fn take_in<'a>(&mut self, client: &'a Client, heard: EngineEvent, underway: &mut Session<'a>) {
        let now = Instant::now();
        let concerned = match heard {
            EngineEvent::Noise => return,
            EngineEvent::Signalled { id, signal, at } => {
                match (meaning(signal), signal) {
                    (SignalMeaning::Ends, Some(signal)) => {
                        self.leaving.told(&id, StopOrder::Signal(signal), at, now);
                        self.leaves(id, now).await;
                    }
                    (SignalMeaning::EndsIfItsOwn, Some(signal)) if underway.questions.len() < QUESTIONS_MAX => {
                        if let Some(tick) = self.leaving.perhaps_told(&id, signal, at, now) {
                            underway.ask(client, id, tick);
                        }
                    }
                    _ => {}
                }
                // Nothing to read yet: until it is dead, every listing calls it running.
                return;
            }
            EngineEvent::Stopping { id, at } => {
                self.leaving.told(&id, StopOrder::Stop, at, now);
                self.leaves(id.clone(), now).await;
                Some(id)
            }
            // Neither is told to anyone by itself: only the reading that follows knows what became of it.
            EngineEvent::Died { id } => {
                self.leaving.died(&id);
                Some(id)
            }
            EngineEvent::Started { id } => {
                self.leaving.started(&id);
                Some(id)
            }
            EngineEvent::Unplugged { id } => {
                if let Some(id) = &id {
                    self.leaving.unplugged(id, now);
                }
                id
            }
            EngineEvent::Changed { id } => id,
        };
        underway.pace.heard(now);
        let (_, extent) = underway.unanswered.get_or_insert((now, ReadScope::none()));
        extent.add(concerned);
    }

    async fn leaves(&mut self, id: Box<str>, heard: Instant) {
        debug!(engine = &*self.engine.name.0, id = &*id, "told to end");
        let cause = Some(EventTiming { heard, engine: Duration::ZERO });
        self.report(EngineChange::Leaving { ids: vec![id], leaving: true, cause }).await;
    }

    /// Takes note of what the engine says of one that was sent a signal.
    async fn conclude(&mut self, id: Box<str>, tick: Tick, answer: Result<Option<InspectedContainer>, EngineError>) {
        let now = Instant::now();
        let lingering = self.leaving.lingering();
        // Who could not be asked is asked again.
        let Ok(inspected) = answer else { return };
        match self.leaving.answer(&id, tick, inspected.as_ref(), now) {
            StopProgress::Leaves => self.leaves(id, now).await,
            StopProgress::Stays => {
                debug!(engine = &*self.engine.name.0, id = &*id, "it was not ended after all");
                self.report(EngineChange::Leaving { ids: vec![id], leaving: false, cause: None }).await;
            }
            StopProgress::Lingers | StopProgress::Nothing => {}
        }
        self.tell_lingering(lingering).await;
    }

    async fn tell_lingering(&self, before: BTreeSet<Box<str>>) {
        let ids = self.leaving.lingering();
        if ids != before {
            self.report(EngineChange::Lingering { ids }).await;
        }
    }

    async fn finish(
        &mut self,
        reading: EngineReading,
        begun: Tick,
        version: &str,
        trouble: Option<String>,
        heard: Option<Instant>,
    ) -> EngineCache {
        let EngineReading { extent, mut containers, own, learnt, own_mounts, took, known } = reading;
        let lingering = self.leaving.lingering();
        self.leaving.correct(&mut containers, &extent, begun, Instant::now());
        let cause = heard.map(|heard| EventTiming { heard, engine: took });
        let version = version.to_owned();
        self.report(EngineChange::Read { extent, containers, own, learnt, own_mounts, version, trouble, cause }).await;
        self.tell_lingering(lingering).await;
        known
    }

    async fn report(&self, news: EngineChange) {
        // Fails only where nobody compiles any more, and then we are about to be dropped as well.
        let _ = self.reports.send(Report { engine: self.position, news }).await;
    }
}

impl<'a> Session<'a> {
    fn ask(&mut self, client: &'a Client, id: Box<str>, tick: Tick) {
        let question = async move {
            let answer = client.inspect(&id).await;
            (id, tick, answer)
        };
        self.questions.push(question.boxed());
    }

    fn may_read(&self, now: Instant) -> bool {
        // While events are gathered, looking again would be one reading more of the same.
        let due = if self.unanswered.is_some() { self.pace.ready() } else { self.next_reading };
        self.reading.is_terminated() && due <= now
    }

    fn may_ping(&self, now: Instant) -> bool {
        self.ping.is_terminated() && self.last_sign + PING_AFTER <= now
    }

    /// When there is something to do although nothing arrives.
    fn wake(&self, next_question: Option<Instant>) -> Instant {
        let due = if self.unanswered.is_some() { self.pace.ready() } else { self.next_reading };
        let reading = self.reading.is_terminated().then_some(due);
        let ping = self.ping.is_terminated().then(|| self.last_sign + PING_AFTER);
        let wakes = [reading, ping, next_question];
        wakes.into_iter().flatten().min().unwrap_or(self.next_reading)
    }
}
