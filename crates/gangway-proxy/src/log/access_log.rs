//! The access log: one line a request, written by a thread of its own.
//!
//! A sink that does not take lines (a full pipe, a slow or full disk) never delays a request. Lines that find the
//! queue full, or cannot be written, are dropped and counted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use prometheus::IntCounter;

use crate::log::record::{LogRecord, caddy, combined, common, json, text, traefik};
use crate::log::sink::Sink;
use crate::log::traefik_line::NamedRecord;
use crate::settings::{AccessLogFormat, AccessLogTarget, TraefikLog};

/// Lines that may wait for the sink.
const QUEUE_MAX: usize = 8192;

/// Bytes of waiting lines: some seconds of a busy proxy, and little memory beside that of its connections.
const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes that are written at once.
const BATCH_MAX: usize = 64 * 1024;

/// How often an idle sink checks whether its file was moved away.
const ROTATION_PERIOD: Duration = Duration::from_secs(1);

/// A handle to the log. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog {
    queue: Option<SyncSender<SinkCommand>>,
    waiting_bytes: Arc<AtomicUsize>,
    format: AccessLogFormat,
    /// How lines are written instead, where this is set.
    traefik: Option<Arc<TraefikLog>>,
    /// How many requests there were, for the format that tells it.
    lines: Arc<AtomicU64>,
    dropped: IntCounter,
}

enum SinkCommand {
    Line(String),
    Reopen,
    Flush(SyncSender<()>),
}

impl AccessLog {
    /// Opens the sink and starts its thread.
    pub(crate) fn start(target: &AccessLogTarget, format: AccessLogFormat, dropped: IntCounter) -> io::Result<Self> {
        let (waiting_bytes, lines, traefik) = (Arc::new(AtomicUsize::new(0)), Arc::default(), None);
        let sink = match target {
            AccessLogTarget::Off => return Ok(Self { queue: None, waiting_bytes, format, traefik, lines, dropped }),
            AccessLogTarget::Stdout => Sink::Stdout,
            AccessLogTarget::File(path) => Sink::file(path.clone())?,
        };
        let (queue, messages) = sync_channel(QUEUE_MAX);
        let mut writing =
            SinkThread { sink, torn: false, waiting_bytes: Arc::clone(&waiting_bytes), dropped: dropped.clone() };
        std::thread::Builder::new().name("access-log".into()).spawn(move || writing.run(&messages))?;
        Ok(Self { queue: Some(queue), waiting_bytes, format, traefik, lines, dropped })
    }

    pub(crate) fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// The same log with lines as Traefik writes them.
    pub(crate) fn in_traefiks_form(self, traefik: Option<TraefikLog>) -> Self {
        Self { traefik: traefik.map(Arc::new), ..self }
    }

    /// How lines are written in Traefik's place, for [`AccessLog::write_named`]. None for [`AccessLog::write`].
    pub(crate) fn traefik(&self) -> Option<&TraefikLog> {
        self.traefik.as_deref()
    }

    /// Writes a line as Traefik does. `number` counts requests, with and without a line.
    pub(crate) fn write_named(&self, record: &NamedRecord<'_>, log: &TraefikLog) {
        let number = self.lines.fetch_add(1, Ordering::Relaxed) + 1;
        if record.is_logged(log) {
            self.queue(record.line(log, SystemTime::now(), number));
        }
    }

    pub(crate) fn write(&self, record: &LogRecord<'_>) {
        let line = match self.format {
            AccessLogFormat::Text => text(record, SystemTime::now()),
            AccessLogFormat::Json => json(record, SystemTime::now()),
            AccessLogFormat::Common => common(record, SystemTime::now()) + "\n",
            AccessLogFormat::Combined => combined(record, SystemTime::now()),
            AccessLogFormat::Traefik => {
                traefik(record, SystemTime::now(), self.lines.fetch_add(1, Ordering::Relaxed) + 1)
            }
            AccessLogFormat::Caddy => caddy(record, SystemTime::now()),
        };
        self.queue(line);
    }

    fn queue(&self, line: String) {
        let Some(queue) = &self.queue else { return };
        let len = line.len();
        let waiting = self.waiting_bytes.fetch_add(len, Ordering::Relaxed);
        if waiting > QUEUE_BYTES_MAX || queue.try_send(SinkCommand::Line(line)).is_err() {
            self.waiting_bytes.fetch_sub(len, Ordering::Relaxed);
            self.dropped.inc();
        }
    }

    /// Opens the file anew if it was moved away.
    pub(crate) fn reopen(&self) {
        self.tell(SinkCommand::Reopen);
    }

    /// Waits until all queued lines are written, but not for a sink that takes nothing.
    pub(crate) fn flush(&self) {
        let (done_tx, done) = sync_channel(1);
        self.tell(SinkCommand::Flush(done_tx));
        let _ = done.recv_timeout(Duration::from_secs(1));
    }

    fn tell(&self, message: SinkCommand) {
        if let Some(queue) = &self.queue {
            let _ = queue.try_send(message);
        }
    }
}

/// The thread that writes.
struct SinkThread {
    sink: Sink,
    /// Whether the last write failed, possibly within a line.
    torn: bool,
    waiting_bytes: Arc<AtomicUsize>,
    dropped: IntCounter,
}

impl SinkThread {
    fn run(&mut self, messages: &Receiver<SinkCommand>) {
        let mut batch = Vec::new();
        loop {
            match messages.recv_timeout(ROTATION_PERIOD) {
                Ok(message) => self.write(message, messages, &mut batch),
                Err(RecvTimeoutError::Timeout) => self.sink.follow_rotation(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Writes a line and the lines queued behind it, or executes another command.
    fn write(&mut self, first: SinkCommand, messages: &Receiver<SinkCommand>, batch: &mut Vec<u8>) {
        batch.clear();
        let mut lines = 0;
        let mut next = Some(first);
        // Commands keep their place between lines.
        let asked = loop {
            match next {
                Some(SinkCommand::Line(line)) => {
                    batch.extend_from_slice(line.as_bytes());
                    lines += 1;
                }
                other => break other,
            }
            if batch.len() >= BATCH_MAX {
                break None;
            }
            next = messages.try_recv().ok();
        };
        if lines > 0 {
            // One system call a batch, so that no line goes to a file that was moved away.
            self.sink.follow_rotation();
            self.write_batch(batch, lines);
        }
        match asked {
            Some(SinkCommand::Flush(done)) => drop(done.send(())),
            Some(SinkCommand::Reopen) => self.sink.follow_rotation(),
            Some(SinkCommand::Line(_)) | None => {}
        }
    }

    fn write_batch(&mut self, batch: &[u8], lines: u64) {
        // The rest of a torn line must not run into the next line.
        let mended = if self.torn { self.sink.write(b"\n") } else { Ok(()) };
        let outcome = mended.and_then(|()| self.sink.write(batch));
        self.torn = outcome.is_err();
        if self.torn {
            self.dropped.inc_by(lines);
        }
        self.waiting_bytes.fetch_sub(batch.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::tests::record;
    use crate::log::record::{LINE_MAX, TARGET_MAX};

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "dropped").expect("valid")
    }

    #[test]
    fn a_sink_that_takes_nothing_costs_lines_not_requests() {
        let dropped = counter();
        let log = |room: usize| {
            let (queue, never_read) = sync_channel(room);
            let waiting_bytes = Arc::new(AtomicUsize::new(0));
            (
                AccessLog {
                    queue: Some(queue),
                    waiting_bytes,
                    format: AccessLogFormat::Text,
                    traefik: None,
                    lines: Arc::default(),
                    dropped: dropped.clone(),
                },
                never_read,
            )
        };
        let (few, _never_read) = log(1);
        for _ in 0..3 {
            few.write(&record("/", ""));
        }
        assert_eq!(dropped.get(), 2);
        let (long, _never_read) = log(QUEUE_MAX);
        let target = format!("/{}", "x".repeat(TARGET_MAX));
        for _ in 0..QUEUE_MAX {
            long.write(&record(&target, ""));
        }
        assert!(long.waiting_bytes.load(Ordering::Relaxed) < QUEUE_BYTES_MAX + LINE_MAX, "memory has a bound too");
        assert!(dropped.get() > 2);
        long.flush();
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew_and_loses_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let log =
            AccessLog::start(&AccessLogTarget::File(path.clone()), AccessLogFormat::Json, counter()).expect("a file");
        let lines = |path: &std::path::Path| std::fs::read_to_string(path).expect("there").lines().count();
        log.write(&record("/1", ""));
        log.write(&record("/2", ""));
        log.flush();
        assert_eq!(lines(&path), 2);
        std::fs::rename(&path, &moved).expect("moved");
        log.write(&record("/3", ""));
        log.flush();
        assert_eq!((lines(&moved), lines(&path)), (2, 1), "the very next line stands in the new file");
        std::fs::rename(&path, &moved).expect("moved");
        log.reopen();
        log.write(&record("/4", ""));
        log.flush();
        assert_eq!((lines(&moved), lines(&path)), (1, 1));
        assert_eq!(log.waiting_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_moved_file_is_noticed_under_load_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let sink = Sink::file(path.clone()).expect("a file");
        let mut writing = SinkThread { sink, torn: false, waiting_bytes: Arc::default(), dropped: counter() };
        std::fs::remove_file(&path).expect("there");
        let (queue, messages) = sync_channel(2);
        queue.send(SinkCommand::Line("a\n".into())).expect("room");
        writing.waiting_bytes.store(4, Ordering::Relaxed);
        writing.write(SinkCommand::Line("b\n".into()), &messages, &mut Vec::new());
        assert_eq!(std::fs::read_to_string(&path).expect("made anew"), "b\na\n");
    }

    #[test]
    fn lines_that_a_full_disk_takes_not_are_counted() {
        let dropped = counter();
        let log = AccessLog::start(&AccessLogTarget::File("/dev/full".into()), AccessLogFormat::Text, dropped.clone());
        let log = log.expect("it opens");
        log.write(&record("/", ""));
        log.write(&record("/", ""));
        log.flush();
        assert_eq!(dropped.get(), 2);
    }
}
