//! `GET /api/v1/events`: what happens, as it happens, as server-sent events.
//!
//! An [`EventSink`] takes events from all parts and never waits.
//!
//! An event is made once, whatever the number of subscribers. A subscriber that falls behind is dropped: it asks again, and
//! reads everything anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, sleep_until};

use crate::api::{ChangeView, LogView, TableEvent};

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
    /// The routes whose requests are followed.
    routes: Mutex<BTreeMap<Arc<str>, FollowedRoute>>,
    /// Notified when somebody begins to listen.
    pub(crate) news: Notify,
}

/// A route whose requests are followed.
#[derive(Debug)]
pub(crate) struct FollowedRoute {
    subscribers: usize,
    /// The number of the last request that was sent, or that was there before somebody subscribed.
    pub(crate) last: u64,
}

/// One event, ready to be sent.
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
    /// Of one route, for those who listen to it.
    FiguresOf(Arc<str>),
    RequestOf(Arc<str>),
}

/// What a subscriber wants to hear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The id of a route.
    pub(crate) route: Option<Arc<str>>,
    /// The number of the newest request of that route: events begin behind it.
    pub(crate) newest_request: u64,
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
        if self.has_subscribers()
            && let Ok(json) = serde_json::to_string(value)
        {
            // Without a subscriber by now, the event is nobody's.
            let _ = self.events.send(Event { kind, text: format!("event: {name}\ndata: {json}\n\n").into() });
        }
    }

    /// Begins to listen. None at the end of the process.
    pub(crate) fn subscribe(&self, wanted: Wanted, table: TableEvent) -> Option<Subscription> {
        let ended = self.ended.subscribe();
        if *ended.borrow() {
            return None;
        }
        let events = self.events.subscribe();
        if let Some(route) = &wanted.route {
            let mut routes = self.subscribers.locked();
            let fresh = || FollowedRoute { subscribers: 0, last: wanted.newest_request };
            routes.entry(Arc::clone(route)).or_insert_with(fresh).subscribers += 1;
        }
        self.subscribers.news.notify_one();
        let table = serde_json::to_string(&table).unwrap_or_default();
        let begin = Some(format!("{BEGIN}event: table\ndata: {table}\n\n").into());
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
    pub(crate) fn locked(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, FollowedRoute>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wanted {
    fn takes(&self, kind: &EventKind) -> bool {
        match kind {
            EventKind::Table | EventKind::Diagnostics | EventKind::Change => true,
            EventKind::Log => self.log,
            EventKind::Figures => self.route.is_none(),
            EventKind::FiguresOf(route) | EventKind::RequestOf(route) => self.route.as_ref() == Some(route),
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
        let Some(route) = &self.wanted.route else { return };
        let mut routes = self.subscribers.locked();
        if let Some(followed) = routes.get_mut(route) {
            followed.subscribers -= 1;
            if followed.subscribers == 0 {
                routes.remove(route);
            }
        }
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
        let mut all = sink.subscribe(Wanted::default(), TableEvent { generation: 3 }).expect("it is open");
        let mut log = sink.subscribe(Wanted { log: true, ..Wanted::default() }, TableEvent::default()).expect("open");
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
        let [mut slow, mut quick] = [(); 2]
            .map(|()| sink.subscribe(Wanted { log: true, ..Wanted::default() }, TableEvent::default()).expect("open"));
        let _ = (slow.next().await, quick.next().await);
        for _ in 0..=QUEUE_MAX {
            sink.log(&line(""));
            assert_ne!(text(quick.next().await), "end");
        }
        assert_eq!(text(slow.next().await), "end");
        sink.end();
        assert_eq!(text(quick.next().await), "end");
        assert!(sink.subscribe(Wanted::default(), TableEvent::default()).is_none());
    }

    #[tokio::test]
    async fn routes_are_followed_as_long_as_somebody_subscribes() {
        let sink = EventSink::default();
        let of_web = || Wanted { route: Some("web".into()), ..Wanted::default() };
        let [first, second] = [(); 2].map(|()| sink.subscribe(of_web(), TableEvent::default()).expect("open"));
        drop(first);
        assert_eq!(sink.subscribers.locked().len(), 1);
        drop(second);
        assert!(sink.subscribers.locked().is_empty() && !sink.has_subscribers());
    }
}
