//! The log: on standard error, as text or JSON, never in the way of a request.
//!
//! Threads of the data plane log too, so lines go through a queue to a thread of their own. A sink that
//! takes none (a full pipe, a stopped terminal) costs lines, which are counted, and nothing else.

mod text;

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::panic;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use gangway_admin::masked;
use gangway_model::diagnostic::printable;
use gangway_model::{Diagnostic, Severity};
use gangway_publish::Reader;
use prometheus::{IntCounter, Registry};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::text::Text;
use super::start_error::StartError;
use crate::settings::reload::ConfigStatus;
use crate::settings::{LogFormat, LogLevel};

/// Lines that may wait for the sink.
const QUEUE_MAX: usize = 4096;

/// How long the last lines may take at the end.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// Findings that are logged at one change; `gangway status` shows all.
const FINDINGS_MAX: usize = 50;

/// The running log.
pub(super) struct Log {
    queue: Queue,
}

#[derive(Clone)]
struct Queue {
    lines_tx: SyncSender<Message>,
    dropped: IntCounter,
}

enum Message {
    Line(Vec<u8>),
    /// Answered when everything before it was written.
    Flush(SyncSender<()>),
}

impl Log {
    /// Takes what `tracing` and `log` say from now on.
    pub(super) fn start(level: LogLevel, format: LogFormat, registry: &Registry) -> Result<Self, StartError> {
        let dropped = IntCounter::new(
            "gangway_log_lines_dropped_total",
            "Lines of the log dropped because the sink was too slow.",
        )?;
        registry.register(Box::new(dropped.clone()))?;
        let panics = IntCounter::new("gangway_panics_total", "Requests and tasks that ended in a panic.")?;
        registry.register(Box::new(panics.clone()))?;
        let (lines_tx, lines) = sync_channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("log".to_owned());
        thread.spawn(move || write(&lines)).map_err(|error| StartError::Log(error.to_string()))?;
        let queue = Queue { lines_tx, dropped };
        let layer = tracing_subscriber::fmt::layer().with_writer(queue.clone());
        let layer = match format {
            LogFormat::Text => layer.event_format(Text::fit_for(&io::stderr())).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        };
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(targets(level)));
        subscriber.try_init().map_err(|error| StartError::Log(error.to_string()))?;
        panic::set_hook(Box::new(move |panic| {
            panics.inc();
            let message = panic.payload_as_str().unwrap_or("no message");
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let thread = std::thread::current();
            tracing::error!(message, place, thread = thread.name().unwrap_or("unnamed"), "a panic: please report it");
        }));
        Ok(Self { queue })
    }

    /// Waits, for a moment, until everything is written.
    pub(super) fn flush(&self) {
        let (done_tx, done) = sync_channel(1);
        if self.queue.lines_tx.try_send(Message::Flush(done_tx)).is_ok() {
            let _ = done.recv_timeout(FLUSH_TIME);
        }
    }
}

/// Ours as asked for, others' only where they warn. Pingora reports every request that fails; those
/// stand in the access log and the metrics, and whoever is on the web could fill a disk with them.
fn targets(level: LogLevel) -> Targets {
    let (ours, others, pingora) = match level {
        LogLevel::Error => (LevelFilter::ERROR, LevelFilter::ERROR, LevelFilter::OFF),
        LogLevel::Warn => (LevelFilter::WARN, LevelFilter::WARN, LevelFilter::OFF),
        LogLevel::Info => (LevelFilter::INFO, LevelFilter::WARN, LevelFilter::OFF),
        LogLevel::Debug => (LevelFilter::DEBUG, LevelFilter::INFO, LevelFilter::WARN),
        LogLevel::Trace => (LevelFilter::TRACE, LevelFilter::DEBUG, LevelFilter::DEBUG),
    };
    Targets::new().with_default(others).with_target("gangway", ours).with_target("pingora", pingora)
}

fn write(lines: &Receiver<Message>) {
    let mut sink = io::stderr();
    for message in lines {
        match message {
            Message::Line(line) => drop(sink.write_all(&line)),
            Message::Flush(done) => drop(done.try_send(())),
        }
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &Queue {
    /// Called with a whole event at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.lines_tx.try_send(Message::Line(line.to_owned())) {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs what is found about global settings, each finding once while it stands.
pub(super) async fn tell_findings(mut judged: Reader<ConfigStatus>) -> Infallible {
    let mut told: Vec<Diagnostic> = Vec::new();
    loop {
        let now = judged.load_full().diagnostics.clone();
        for new in now.iter().filter(|found| !told.contains(found)).take(FINDINGS_MAX) {
            let shown = masked(new);
            let label = shown.place.subject();
            let (code, at, message) =
                (shown.code.to_string(), shown.place.position().map(ToString::to_string), printable(&shown.message));
            match new.severity {
                Severity::Error => tracing::error!(code, label, at, diagnostic = %shown, "{message}"),
                Severity::Warning => tracing::warn!(code, label, at, diagnostic = %shown, "{message}"),
                Severity::Note => tracing::info!(code, label, at, diagnostic = %shown, "{message}"),
            }
        }
        for gone in told.iter().filter(|found| !now.contains(found)) {
            let shown = masked(gone);
            let label = shown.place.subject();
            tracing::info!(code = shown.code.to_string(), label, "resolved: {}", printable(&shown.message));
        }
        told = now;
        if judged.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Addresses in one field.
pub(super) fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
