//! `GET /api/v1/events`: what happens, as it happens, as server-sent events.
//!
//! An [`EventSink`] takes events from all parts and never waits.
//!
//! An event is made once, whatever the number of subscribers, and those of one look are sent as one. A subscriber that falls behind is dropped: it asks again, and
//! reads everything anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gangway_diagnostic::{Diagnostic, KnownDiagnostics};
use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, sleep_until};

use crate::api::{ChangeView, LogView, TableEvent};
use crate::instance::RequestCount;
use crate::request_feed::Told;

/// Events that a subscriber may fall behind.
const QUEUE_MAX: usize = 256;

/// A comment is sent after this long without an event, so that nobody between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a browser is to wait before it connects again, and what the answer begins with.
const BEGIN: &str = "retry: 2000\n\n";

/// Takes events, for those who listen. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventSink {
    events: broadcast::Sender<Event>,
    pub(crate) subscribers: Arc<Subscribers>,
    ended: Arc<watch::Sender<bool>>,
}

/// The subscribers.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    followed: Mutex<Followed>,
    /// Notified when somebody begins to listen.
    pub(crate) news: Notify,
}

/// What is looked at for subscribers alone.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// The routes whose requests are followed.
    pub(crate) routes: BTreeMap<Arc<str>, Follow<Told>>,
    /// The requests of all routes.
    pub(crate) requests: Follow<BTreeMap<Arc<str>, Told>>,
    pub(crate) diagnostics: Follow<KnownDiagnostics<Instant>>,
}

/// Something that is followed by some subscribers.
#[derive(Debug, Default)]
pub(crate) struct Follow<T> {
    subscribers: usize,
    /// What was sent, or was there before somebody subscribed.
    pub(crate) told: T,
}

/// What there is when a subscription begins: what is new is in no event before.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// How many requests of each route have ended.
    pub(crate) requests: Vec<(Arc<str>, RequestCount)>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// One event or several, ready to be sent.
#[derive(Clone, Debug)]
struct Event {
    kind: EventKind,
    text: Bytes,
}

/// What an event is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum EventKind {
    Table,
    Diagnostics,
    Change,
    Log,
    Figures,
    /// Requests of all routes.
    Requests,
    /// Findings that are new or resolved.
    DiagnosticChanges,
    /// Of one route, for those who listen to it.
    FiguresOf(Arc<str>),
    RequestsOf(Arc<str>),
}

/// What a subscriber wants to hear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The id of a route, of whose requests it wants to hear.
    pub(crate) route: Option<Arc<str>>,
    /// The requests of all routes.
    pub(crate) requests: bool,
    /// Each finding that is new or resolved.
    pub(crate) diagnostics: bool,
    pub(crate) log: bool,
}

/// A subscriber. Dropped, it is forgotten.
pub(crate) struct Subscription {
    wanted: Wanted,
    begin: Option<Bytes>,
    events: broadcast::Receiver<Event>,
    subscribers: Arc<Subscribers>,
    ended: watch::Receiver<bool>,
}

impl Default for EventSink {
    fn default() -> Self {
        let (events, subscribers) = (broadcast::Sender::new(QUEUE_MAX), Arc::default());
        Self { events, subscribers, ended: Arc::new(watch::Sender::new(false)) }
    }
}

impl EventSink {
    /// Reports a line of the log.
    pub fn log(&self, line: &LogView) {
        self.send(EventKind::Log, "log", line);
    }

    /// Reports a change of what is served.
    pub fn change(&self, change: &ChangeView) {
        self.send(EventKind::Change, "change", change);
    }

    /// Ends all streams, for good: the process is about to end.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Sends an event to those who want it, under the name by which a browser knows it.
    pub(crate) fn send(&self, kind: EventKind, name: &str, value: &impl Serialize) {
        if self.has_subscribers() {
            self.send_text(kind, event_text(name, value));
        }
    }

    /// Sends the text of one event or several, at once: however many they are, nobody falls behind because of their number.
    pub(crate) fn send_text(&self, kind: EventKind, text: String) {
        if !text.is_empty() {
            // Without a subscriber by now, the event is nobody's.
            let _ = self.events.send(Event { kind, text: text.into() });
        }
    }

    /// Begins to listen. None at the end of the process.
    pub(crate) fn subscribe(&self, wanted: Wanted, known: Known, table: TableEvent) -> Option<Subscription> {
        let ended = self.ended.subscribe();
        if *ended.borrow() {
            return None;
        }
        let events = self.events.subscribe();
        self.subscribers.locked().join(&wanted, known);
        self.subscribers.news.notify_one();
        let begin = Some((BEGIN.to_owned() + &event_text("table", &table)).into());
        Some(Subscription { wanted, begin, events, subscribers: Arc::clone(&self.subscribers), ended })
    }

    /// The number of those who listen.
    pub(crate) fn subscriber_count(&self) -> usize {
        self.events.receiver_count()
    }

    pub(crate) fn has_subscribers(&self) -> bool {
        self.subscriber_count() > 0
    }
}

impl Subscribers {
    pub(crate) fn locked(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed {
    fn join(&mut self, wanted: &Wanted, known: Known) {
        let Known { requests, diagnostics } = known;
        if let Some(route) = &wanted.route {
            let of_route = || requests.iter().find(|(id, _)| id == route).map(|(_, count)| *count).unwrap_or_default();
            self.routes.entry(Arc::clone(route)).or_default().join(of_route);
        }
        if wanted.requests {
            self.requests.join(|| requests.into_iter().collect());
        }
        if wanted.diagnostics {
            self.diagnostics.join(|| diagnostics.into_iter().collect());
        }
    }

    fn leave(&mut self, wanted: &Wanted) {
        if let Some(route) = &wanted.route
            && let Some(followed) = self.routes.get_mut(route)
        {
            followed.leave();
            if !followed.is_followed() {
                self.routes.remove(route);
            }
        }
        if wanted.requests {
            self.requests.leave();
        }
        if wanted.diagnostics {
            self.diagnostics.leave();
        }
    }
}

impl<T: Default> Follow<T> {
    pub(crate) fn is_followed(&self) -> bool {
        self.subscribers > 0
    }

    fn join(&mut self, known: impl FnOnce() -> T) {
        if self.subscribers == 0 {
            self.told = known();
        }
        self.subscribers += 1;
    }

    /// What was told is forgotten with the last subscriber.
    fn leave(&mut self) {
        self.subscribers -= 1;
        if self.subscribers == 0 {
            self.told = T::default();
        }
    }
}

/// An event as it is sent.
pub(crate) fn event_text(name: &str, value: &impl Serialize) -> String {
    serde_json::to_string(value).map(|json| format!("event: {name}\ndata: {json}\n\n")).unwrap_or_default()
}

impl Wanted {
    fn takes(&self, kind: &EventKind) -> bool {
        match kind {
            EventKind::Table | EventKind::Diagnostics | EventKind::Change => true,
            EventKind::Log => self.log,
            EventKind::Figures => self.route.is_none(),
            EventKind::Requests => self.requests,
            EventKind::DiagnosticChanges => self.diagnostics,
            EventKind::FiguresOf(route) | EventKind::RequestsOf(route) => self.route.as_ref() == Some(route),
        }
    }
}

impl Subscription {
    /// The next piece of the stream. None at its end: the process ends, or the subscriber has fallen behind.
    ///
    /// Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if let Some(begin) = self.begin.take() {
            return Some(begin);
        }
        let keep_alive = Instant::now() + KEEP_ALIVE;
        loop {
            tokio::select! {
                biased;
                _ = self.ended.wait_for(|ended| *ended) => return None,
                event = self.events.recv() => match event {
                    Ok(event) if self.wanted.takes(&event.kind) => return Some(event.text),
                    Ok(_) => {}
                    // It has fallen behind, or no sink exists any more.
                    Err(_) => return None,
                },
                () = sleep_until(keep_alive) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscribers.locked().leave(&self.wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Option<Bytes>) -> String {
        bytes.map_or_else(|| "end".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn line(message: &str) -> LogView {
        LogView { message: message.into(), ..LogView::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscriber_hears_what_it_wants_and_a_comment_now_and_then() {
        let sink = EventSink::default();
        let listen = |wanted, generation| sink.subscribe(wanted, Known::default(), TableEvent { generation });
        let mut all = listen(Wanted::default(), 3).expect("it is open");
        let mut log = listen(Wanted { log: true, ..Wanted::default() }, 0).expect("it is open");
        assert_eq!(text(all.next().await), "retry: 2000\n\nevent: table\ndata: {\"generation\":3}\n\n");
        let _ = log.next().await;
        sink.log(&line("hello\nworld"));
        sink.change(&ChangeView { what: "`web` recreated".into(), ..ChangeView::default() });
        let heard = text(log.next().await);
        assert!(heard.starts_with("event: log\ndata: {") && heard.contains("hello\\nworld"), "{heard}");
        assert_eq!(heard.lines().count(), 3);
        assert!(text(all.next().await).starts_with("event: change\ndata: {"), "no line of the log");
        assert_eq!(text(all.next().await), ":\n\n");
    }

    #[tokio::test]
    async fn one_that_falls_behind_is_dropped_and_all_are_at_the_end() {
        let sink = EventSink::default();
        let wanted = || Wanted { log: true, ..Wanted::default() };
        let listen = || sink.subscribe(wanted(), Known::default(), TableEvent::default());
        let [mut slow, mut quick] = [(); 2].map(|()| listen().expect("it is open"));
        let _ = (slow.next().await, quick.next().await);
        for _ in 0..=QUEUE_MAX {
            sink.log(&line(""));
            assert_ne!(text(quick.next().await), "end");
        }
        assert_eq!(text(slow.next().await), "end");
        sink.end();
        assert_eq!(text(quick.next().await), "end");
        assert!(listen().is_none());
    }

    #[tokio::test]
    async fn what_subscribers_want_is_followed_as_long_as_there_are_some() {
        let sink = EventSink::default();
        let of_web = || Wanted { route: Some("web".into()), diagnostics: true, ..Wanted::default() };
        let of_all = Wanted { requests: true, ..Wanted::default() };
        let known = |number| Known {
            requests: vec![("web".into(), RequestCount { number, ended: number })],
            diagnostics: Vec::new(),
        };
        let listen = |wanted, number| sink.subscribe(wanted, known(number), TableEvent::default()).expect("it is open");
        let (first, second, third) = (listen(of_web(), 3), listen(of_web(), 5), listen(of_all, 7));
        let told = |followed: &Followed| followed.routes.get("web").map(|of_web| of_web.told.number);
        drop(first);
        {
            let followed = sink.subscribers.locked();
            assert_eq!(told(&followed), Some(3), "what came before the second one is still to be told to the first");
            assert_eq!(followed.requests.told["web"].number, 7);
            assert!(followed.diagnostics.is_followed());
        }
        drop((second, third));
        let followed = sink.subscribers.locked();
        assert!(followed.routes.is_empty() && followed.requests.told.is_empty());
        assert!(!followed.requests.is_followed() && !followed.diagnostics.is_followed() && !sink.has_subscribers());
    }
}
