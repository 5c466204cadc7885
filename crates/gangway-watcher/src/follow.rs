//! Follows one engine for ever.
//!
//! A session subscribes to events and reads everything. Then it reads again what events are about, once more soon after
//! that, and everything now and then. Any failure ends the session. The next one begins from nothing, and until then the
//! last reading stays in force.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use futures::future::{BoxFuture, Fuse, FusedFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

use crate::address::Engine;
use crate::backoff::{Backoff, jitter};
use crate::client::Client;
use crate::debounce::Debounce;
use crate::engine_error::{Cause, EngineError};
use crate::engine_log::EngineLog;
use crate::events::{EngineEvent, EventStream};
use crate::listing::{EngineTime, InspectedContainer};
use crate::own_ids::OwnIds;
use crate::own_location::Locator;
use crate::read_scope::ReadScope;
use crate::reading::{EngineCache, EngineReading, read};
use crate::report::{ContainersRead, EngineChange, EventTiming, Report};
use crate::stopping::{SignalMeaning, StopOrder, StopProgress, StoppingContainers, Tick, meaning};

/// Everything is read this long after the last reading even without an event, because an event can be lost. With the
/// time that a reading may take, this makes every 30 s.
const READ_EVERY: Duration = Duration::from_secs(25);

/// The delays of two more readings after one that answers an event. An event can arrive before the listing shows the
/// change: Docker 20.10 stores that a container is paused or renamed only after it has sent the event.
const READ_AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// An engine that was silent for this long is pinged. With the time that an answer may take, an engine that hangs is
/// noticed after 15 s.
const PING_AFTER: Duration = Duration::from_secs(5);

/// After a session of at least this length, the next attempt comes at once: its end was a hiccup. A stream that ends
/// again and again is retried less and less often, as is everything that fails.
const GOOD_SESSION: Duration = Duration::from_secs(5);

/// The number of events that are taken before anything else is done.
const EVENTS_AT_ONCE_MAX: usize = 1000;

/// The number of inspections of signalled containers that are under way at once. If there are more, a signal other than
/// the usual ones is ignored.
const INSPECTIONS_MAX: usize = 32;

/// Follows one engine for ever.
pub(crate) async fn follow(
    position: usize,
    engine: Engine,
    own_ids: OwnIds,
    reports: mpsc::Sender<Report>,
) -> Infallible {
    let locator = Locator { own_ids, may_be_remote: engine.connector.may_be_remote() };
    let name = engine.name.0.clone();
    let mut log = EngineLog::default();
    let mut follower = Follower {
        position,
        engine,
        locator,
        reports,
        stopping: StoppingContainers::default(),
        backoff: Backoff::default(),
        well_since: None,
    };
    loop {
        let Err(error) = follower.session(&mut log).await;
        let now = Instant::now();
        let text = error.to_string();
        let was_good = follower.well_since.take().is_some_and(|since| since + GOOD_SESSION <= now);
        if was_good {
            follower.backoff = Backoff::default();
        }
        if was_good && error.act == EventStream::ACT && matches!(error.cause, Cause::Ended | Cause::Broken(_)) {
            log.interrupted(now, &text).log(&name);
        } else {
            if let Some(line) = log.failed(now, &text) {
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
    locator: Locator,
    reports: mpsc::Sender<Report>,
    /// Outlives a session: a container does not stop leaving because the connection was lost.
    stopping: StoppingContainers,
    backoff: Backoff,
    /// When this session began to receive events.
    well_since: Option<Instant>,
}

type Pending<'a, T> = Fuse<BoxFuture<'a, T>>;

/// A reading that is over.
struct FinishedReading {
    reading: Result<EngineReading, EngineError>,
    /// The reading does not show what happened after this.
    begun: Tick,
    /// When the event that it answers arrived.
    answers: Option<Instant>,
}

/// An inspection that is over. It is `None` if the engine has no such container or refuses.
struct FinishedInspection {
    id: Box<str>,
    tick: Tick,
    inspected: Result<Option<InspectedContainer>, EngineError>,
}

/// The requests of a session that are under way, and when the next ones are due.
struct Session<'a> {
    client: &'a Client,
    version: &'a str,
    reading: Pending<'a, FinishedReading>,
    ping: Pending<'a, Result<(), EngineError>>,
    /// Inspections of containers that were sent a signal.
    inspections: FuturesUnordered<BoxFuture<'a, FinishedInspection>>,
    /// To be passed to the next reading. Empty while one is under way.
    cache: EngineCache,
    /// When the oldest event arrived that no reading answers yet, and what it and later ones are about.
    unanswered: Option<(Instant, ReadScope)>,
    next_reading: Instant,
    /// When all is read whatever the events are about.
    all_due: Instant,
    /// Number of readings since the last one that answered an event.
    readings_since_event: usize,
    last_sign_of_life: Instant,
    debounce: Debounce,
}

impl Follower {
    /// Follows the engine over one stream of events. Ends only in failure; the caller decides about trying again.
    async fn session(&mut self, log: &mut EngineLog) -> Result<Infallible, EngineError> {
        let client = Client::connect(&self.engine.connector).await?;
        let version = client.version.to_string();
        // Subscribe first, read second. The other way round, a container that starts between the two would
        // be in neither.
        let events = client.subscribe(&self.engine.events).await;
        let begun = self.stopping.tick();
        let first = read(&client, &self.engine.name, &self.locator, EngineCache::default(), ReadScope::All).await?;
        let trouble = events.as_ref().err().map(ToString::to_string);
        let count = first.containers.len();
        let cache = self.report_reading(first, begun, &version, trouble, None).await;
        // Events between two sessions were lost.
        self.stopping.recheck_all(Instant::now());
        // An engine that does not provide events is still read with every attempt.
        let mut events = events?;
        self.well_since = Some(Instant::now());
        if let Some(line) = log.well(Instant::now(), &version, count) {
            line.log(&self.engine.name.0);
        }
        let (name, locator) = (self.engine.name.clone(), self.locator.clone());
        let begin_reading = |cache: EngineCache, scope: ReadScope, begun: Tick, answers: Option<Instant>| {
            let reading = read(&client, &name, &locator, cache, scope);
            reading.map(move |reading| FinishedReading { reading, begun, answers }).boxed().fuse()
        };
        let mut session = Session::new(&client, &version, cache, Instant::now());
        loop {
            let now = Instant::now();
            if session.may_read(now) {
                let (cache, scope, answers) = session.take_next_reading(now);
                session.reading = begin_reading(cache, scope, self.stopping.tick(), answers);
            }
            if session.may_ping(now) {
                session.ping = client.ping().boxed().fuse();
            }
            let next_inspection = self.begin_inspections(&mut session, now);
            let wake = session.wake(next_inspection);
            tokio::select! {
                biased;
                event = events.next() => {
                    session.last_sign_of_life = Instant::now();
                    self.on_event(event?, &mut session).await;
                    for _ in 0..EVENTS_AT_ONCE_MAX {
                        let Some(event) = events.next().now_or_never() else { break };
                        self.on_event(event?, &mut session).await;
                    }
                }
                finished = &mut session.reading, if !session.reading.is_terminated() => {
                    self.on_reading(finished, &mut session).await?;
                }
                alive = &mut session.ping, if !session.ping.is_terminated() => {
                    alive?;
                    session.last_sign_of_life = Instant::now();
                }
                Some(finished) = session.inspections.next(), if !session.inspections.is_empty() => {
                    self.on_inspection(finished).await;
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Begins the inspections that are due, and returns when the next one is.
    fn begin_inspections(&mut self, session: &mut Session<'_>, now: Instant) -> Option<Instant> {
        let free = INSPECTIONS_MAX.saturating_sub(session.inspections.len());
        for (id, tick) in self.stopping.inspections_due(now, free) {
            session.inspect(id, tick);
        }
        if free > 0 { self.stopping.next_inspection() } else { None }
    }

    async fn on_event(&mut self, event: EngineEvent, session: &mut Session<'_>) {
        let now = Instant::now();
        let id = match event {
            EngineEvent::Ignored => return,
            // There is nothing to read yet: until the container is dead, every listing shows it as running.
            EngineEvent::Signalled { id, signal, at } => return self.on_signal(id, signal, at, session).await,
            EngineEvent::StopRequested { id, at } => {
                self.stopping.stop_requested(&id, StopOrder::Stop, at, now);
                self.report_stopping(id.clone(), now).await;
                Some(id)
            }
            // A death or a start is not reported by itself: only the reading that follows shows what became of it.
            EngineEvent::Died { id } => {
                self.stopping.died(&id);
                Some(id)
            }
            EngineEvent::Started { id } => {
                self.stopping.started(&id);
                Some(id)
            }
            EngineEvent::NetworkDisconnected { id } => {
                if let Some(id) = &id {
                    self.stopping.network_disconnected(id, now);
                }
                id
            }
            EngineEvent::Changed { id } => id,
        };
        session.debounce.event(now);
        let (_, scope) = session.unanswered.get_or_insert((now, ReadScope::none()));
        scope.add(id);
    }

    async fn on_signal(&mut self, id: Box<str>, signal: Option<u8>, at: Option<EngineTime>, session: &mut Session<'_>) {
        let now = Instant::now();
        match meaning(signal) {
            SignalMeaning::Stops(signal) => {
                self.stopping.stop_requested(&id, StopOrder::Signal(signal), at, now);
                self.report_stopping(id, now).await;
            }
            SignalMeaning::StopsIfOwn(signal) => {
                if session.inspections.len() < INSPECTIONS_MAX
                    && let Some(tick) = self.stopping.signalled(&id, signal, at, now)
                {
                    session.inspect(id, tick);
                }
            }
            SignalMeaning::Unknown => {}
        }
    }

    async fn on_reading(&mut self, finished: FinishedReading, session: &mut Session<'_>) -> Result<(), EngineError> {
        let FinishedReading { reading, begun, answers } = finished;
        let reading = reading?;
        let now = Instant::now();
        session.readings_since_event =
            if answers.is_some() { 0 } else { session.readings_since_event.saturating_add(1) };
        if reading.scope == ReadScope::All {
            session.all_due = now + READ_EVERY;
        }
        let again = READ_AGAIN.get(session.readings_since_event).copied();
        (session.last_sign_of_life, session.next_reading) = (now, now + again.unwrap_or(READ_EVERY));
        session.cache = self.report_reading(reading, begun, session.version, None, answers).await;
        Ok(())
    }

    /// Takes note of what an inspection says about a container that was sent a signal.
    async fn on_inspection(&mut self, FinishedInspection { id, tick, inspected }: FinishedInspection) {
        let now = Instant::now();
        let lingering = self.stopping.lingering();
        // If the request failed, the container is inspected again later.
        let Ok(inspected) = inspected else { return };
        match self.stopping.inspected(&id, tick, inspected.as_ref(), now) {
            StopProgress::Stopping => self.report_stopping(id, now).await,
            StopProgress::NotStopping => {
                debug!(engine = &*self.engine.name.0, id = &*id, "a container is not stopping after all");
                self.report(EngineChange::NotStopping { ids: vec![id] }).await;
            }
            StopProgress::PastGrace | StopProgress::Unchanged => {}
        }
        self.report_lingering(lingering).await;
    }

    async fn report_stopping(&mut self, id: Box<str>, received: Instant) {
        debug!(engine = &*self.engine.name.0, id = &*id, "a container was asked to stop");
        let cause = EventTiming { received, engine: Duration::ZERO };
        self.report(EngineChange::Stopping { ids: vec![id], cause }).await;
    }

    async fn report_lingering(&self, before: BTreeSet<Box<str>>) {
        let ids = self.stopping.lingering();
        if ids != before {
            self.report(EngineChange::Lingering { ids }).await;
        }
    }

    /// Reports a reading, and returns the cache for the next one.
    async fn report_reading(
        &mut self,
        reading: EngineReading,
        begun: Tick,
        version: &str,
        trouble: Option<String>,
        answers: Option<Instant>,
    ) -> EngineCache {
        let EngineReading { scope, mut containers, own, facts, own_mounts, took, cache } = reading;
        let lingering = self.stopping.lingering();
        self.stopping.apply_to(&mut containers, &scope, begun, Instant::now());
        let cause = answers.map(|received| EventTiming { received, engine: took });
        let version = version.to_owned();
        let read = ContainersRead { scope, containers, own, facts, own_mounts, version, trouble, cause };
        self.report(EngineChange::Read(read)).await;
        self.report_lingering(lingering).await;
        cache
    }

    async fn report(&self, change: EngineChange) {
        // Fails only if the compile loop has ended, and then this task is about to be dropped as well.
        let _ = self.reports.send(Report { engine: self.position, change }).await;
    }
}

impl<'a> Session<'a> {
    fn new(client: &'a Client, version: &'a str, cache: EngineCache, now: Instant) -> Self {
        Self {
            client,
            version,
            reading: Fuse::terminated(),
            ping: Fuse::terminated(),
            inspections: FuturesUnordered::new(),
            cache,
            unanswered: None,
            next_reading: now + READ_EVERY,
            all_due: now + READ_EVERY,
            readings_since_event: READ_AGAIN.len(),
            last_sign_of_life: now,
            debounce: Debounce::new(now),
        }
    }

    fn inspect(&mut self, id: Box<str>, tick: Tick) {
        let client = self.client;
        let inspection = async move {
            let inspected = client.inspect(&id).await;
            FinishedInspection { id, tick, inspected }
        };
        self.inspections.push(inspection.boxed());
    }

    /// Takes what the next reading needs: the cache, the scope, and when the event that it answers arrived.
    fn take_next_reading(&mut self, now: Instant) -> (EngineCache, ReadScope, Option<Instant>) {
        let (scope, answers) = match self.unanswered.take() {
            Some((received, scope)) => {
                self.debounce.begin(now);
                // Events that do not end must not put off what none of them is about.
                let scope = if self.all_due <= now { ReadScope::All } else { scope };
                (scope, Some(received))
            }
            None => (ReadScope::All, None),
        };
        (std::mem::take(&mut self.cache), scope, answers)
    }

    /// When a reading is due.
    fn reading_due(&self) -> Instant {
        // While events are gathered, a periodic reading would be one reading more of the same.
        if self.unanswered.is_some() { self.debounce.ready() } else { self.next_reading }
    }

    fn may_read(&self, now: Instant) -> bool {
        self.reading.is_terminated() && self.reading_due() <= now
    }

    fn may_ping(&self, now: Instant) -> bool {
        self.ping.is_terminated() && self.last_sign_of_life + PING_AFTER <= now
    }

    /// When there is something to do although nothing arrives.
    fn wake(&self, next_inspection: Option<Instant>) -> Instant {
        let reading = self.reading.is_terminated().then(|| self.reading_due());
        let ping = self.ping.is_terminated().then(|| self.last_sign_of_life + PING_AFTER);
        let wakes = [reading, ping, next_inspection];
        wakes.into_iter().flatten().min().unwrap_or(self.next_reading)
    }
}
