//! The log on standard error, as text or JSON. It never delays a request.
//!
//! Threads of the data plane log too, so lines go through a queue to a thread of their own. A sink that accepts no
//! lines (a full pipe, a stopped terminal) loses lines, which are counted, and blocks nothing.

mod recent_lines;
mod text_format;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::panic;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use gangway_admin::EventSink;
use gangway_model::{HTTP, HTTPS};
use gangway_proxy::ListenAddresses;
use prometheus::{IntCounter, Registry};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

pub(super) use self::recent_lines::RecentLines;
use self::text_format::TextFormat;
use crate::settings::{LogFormat, LogLevel};

/// The maximum number of lines that wait for the sink.
const QUEUE_MAX: usize = 4096;

/// The time for the last lines at the end.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// The running log.
pub(super) struct Log {
    queue: LogQueue,
    recent: RecentLines,
}

#[derive(Clone)]
struct LogQueue {
    lines_tx: SyncSender<LogMessage>,
    dropped: IntCounter,
}

enum LogMessage {
    Line(Vec<u8>),
    /// Answered when all lines before it are written.
    Flush(SyncSender<()>),
}

impl Log {
    /// Becomes the subscriber of `tracing` and `log`, and logs every panic.
    pub(super) fn start(
        level: LogLevel,
        format: LogFormat,
        registry: &Registry,
        events: EventSink,
    ) -> Result<Self, LogError> {
        let dropped = IntCounter::new(
            "gangway_log_lines_dropped_total",
            "Lines of the log dropped because the sink was too slow.",
        )?;
        registry.register(Box::new(dropped.clone()))?;
        let panics = IntCounter::new("gangway_panics_total", "Requests and tasks that ended in a panic.")?;
        registry.register(Box::new(panics.clone()))?;
        let (lines_tx, lines) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || write(&lines)).map_err(LogError::Thread)?;
        let queue = LogQueue { lines_tx, dropped };
        let layer = tracing_subscriber::fmt::layer().with_writer(queue.clone());
        let layer = match format {
            LogFormat::Text => layer.event_format(TextFormat::for_sink(&io::stderr())).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        };
        let recent = RecentLines::new(events);
        let subscriber = tracing_subscriber::registry()
            .with(layer.with_filter(targets(level)))
            .with(recent.clone().with_filter(targets(level)));
        subscriber.try_init()?;
        panic::set_hook(Box::new(move |panic| {
            panics.inc();
            let message = panic.payload_as_str().unwrap_or("no message");
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let thread = std::thread::current();
            tracing::error!(message, place, thread = thread.name().unwrap_or("unnamed"), "a panic: please report it");
        }));
        Ok(Self { queue, recent })
    }

    /// The last lines in memory.
    pub(super) fn recent(&self) -> RecentLines {
        self.recent.clone()
    }

    /// Waits until everything is written, for a second at most.
    pub(super) fn flush(&self) {
        let (done_tx, done) = sync_channel(1);
        if self.queue.lines_tx.try_send(LogMessage::Flush(done_tx)).is_ok() {
            let _ = done.recv_timeout(FLUSH_TIME);
        }
    }
}

/// Gangway's own events at the level asked for, those of libraries only where somebody looks for a fault. Libraries warn of
/// what a peer does (`h2` of streams that are reset, `rustls` of alerts), so clients could fill a disk with their lines.
/// What matters of it is in the access log, the metrics and our own events.
fn targets(level: LogLevel) -> Targets {
    let (gangway, libraries) = match level {
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::OFF),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::OFF),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::OFF),
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::WARN),
        LogLevel::Trace => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    Targets::new().with_default(libraries).with_target("gangway", gangway)
}

fn write(lines: &Receiver<LogMessage>) {
    let mut sink = io::stderr();
    for message in lines {
        match message {
            LogMessage::Line(line) => drop(sink.write_all(&line)),
            LogMessage::Flush(done) => drop(done.try_send(())),
        }
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &LogQueue {
    /// Is called with a whole event at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.lines_tx.try_send(LogMessage::Line(line.to_owned())) {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Addresses as one field.
pub(super) fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Listeners besides `http` and `https`, as one field.
pub(super) fn other_listeners(listening: &ListenAddresses) -> String {
    let others = listening.0.iter().filter(|listener| ![HTTP, HTTPS].contains(&&*listener.known.name));
    others
        .map(|listener| format!("{}={}", listener.known.name, list(&listener.addresses)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Why the log cannot start.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error("start its thread: {0}")]
    Thread(io::Error),
    #[error(transparent)]
    Subscriber(#[from] TryInitError),
    #[error("register a metric: {0}")]
    Metric(#[from] prometheus::Error),
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    /// Libraries that speak with peers, by their targets.
    const LIBRARIES: [&str; 5] =
        ["h2::proto::streams::recv", "rustls::common_state", "hyper::proto", "hickory_net", "log"];

    #[test]
    fn no_peer_has_libraries_write_lines_below_the_level_for_faults() {
        for level in [LogLevel::Error, LogLevel::Warn, LogLevel::Info] {
            let targets = targets(level);
            for library in LIBRARIES {
                assert!(!targets.would_enable(library, &Level::ERROR), "{library} at {level:?}");
            }
            assert!(targets.would_enable("gangway_proxy::overload::manager", &Level::ERROR));
        }
        assert!(targets(LogLevel::Info).would_enable("gangway::serve", &Level::INFO));
        for level in [LogLevel::Debug, LogLevel::Trace] {
            assert!(targets(level).would_enable(LIBRARIES[0], &Level::WARN), "{level:?}");
        }
    }
}
