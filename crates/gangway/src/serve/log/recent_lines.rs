//! The last lines of the log in memory, for the API.
//!
//! They are the events that the log writes, and hold no more than that. Every text has a bound, and so has their number. A
//! line is added without waiting for the sink.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use gangway_admin::EventSink;
use gangway_admin::api::{LogResponse, LogView};
use gangway_admin::rfc3339_millis;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The number of lines.
const LINES_MAX: usize = 500;

/// Bytes of one message or one value. A whole diagnostic is shorter.
const TEXT_MAX: usize = 2048;

/// Fields of one line.
const FIELDS_MAX: usize = 16;

/// Bytes of all values of one line.
const LINE_MAX: usize = 4096;

/// The last lines. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentLines {
    lines: Arc<Mutex<VecDeque<LogView>>>,
    events: EventSink,
}

impl RecentLines {
    pub(super) fn new(events: EventSink) -> Self {
        Self { lines: Arc::default(), events }
    }

    /// All lines, oldest first.
    pub(crate) fn response(&self) -> LogResponse {
        LogResponse { lines: self.lock().iter().cloned().collect() }
    }

    fn push(&self, line: LogView) {
        self.events.log(&line);
        let mut lines = self.lock();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<LogView>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for RecentLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Line(LogView {
            at: rfc3339_millis(SystemTime::now()),
            level: metadata.level().to_string(),
            target: metadata.target().to_owned(),
            ..LogView::default()
        });
        event.record(&mut line);
        self.push(line.0);
    }
}

/// A line that is being made.
struct Line(LogView);

impl Line {
    fn add(&mut self, name: &str, value: String) {
        let LogView { message, fields, .. } = &mut self.0;
        let used: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
        let value = cut(value, TEXT_MAX.min(LINE_MAX.saturating_sub(used)));
        match name {
            "message" => *message = value,
            // What the `log` crate adds says where in the code the event is.
            _ if value.is_empty() || name.starts_with("log.") || fields.len() == FIELDS_MAX => {}
            _ => fields.push((name.to_owned(), value)),
        }
    }
}

/// The text, or its beginning where it is longer.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
        text.push('…');
    }
    text
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn logged(events: impl FnOnce()) -> Vec<LogView> {
        let recent = RecentLines::default();
        let subscriber = tracing_subscriber::registry().with(recent.clone());
        tracing::subscriber::with_default(subscriber, events);
        recent.response().lines
    }

    #[test]
    fn a_line_has_its_fields_in_order() {
        let lines = logged(|| {
            tracing::warn!(target: "gangway::test", route = "web", count = 3, empty = "", "requests {}", "failed");
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((line.level.as_str(), line.target.as_str()), ("WARN", "gangway::test"));
        assert_eq!(line.message, "requests failed");
        assert_eq!(line.fields, [("route".to_owned(), "web".to_owned()), ("count".to_owned(), "3".to_owned())]);
        assert!(line.at.ends_with('Z') && line.at.len() == 24, "{}", line.at);
    }

    #[test]
    fn lines_and_texts_are_bounded() {
        let long = "ä".repeat(TEXT_MAX);
        let lines = logged(|| {
            for number in 0..=LINES_MAX {
                tracing::info!(number, a = long, b = long, c = long, "{long}");
            }
        });
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines[0].fields[0], ("number".to_owned(), "1".to_owned()), "the oldest line has gone");
        let bytes: usize = lines[0].fields.iter().map(|(_, value)| value.len()).sum();
        assert!(bytes < LINE_MAX + 64 && lines[0].message.len() <= TEXT_MAX + '…'.len_utf8(), "{bytes}");
    }
}
