//! Sends batches of spans, and the metrics now and then, to a collector that may be slow, away or wrong.

use std::io::Write as _;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus::proto::MetricFamily;
use prost::Message;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::backoff::Backoff;
use crate::collector::Collector;
use crate::counters::SignalCounters;
use crate::export_error::ExportError;
use crate::metric_messages::{SeriesStarts, metrics_request};
use crate::resource::Sender;
use crate::span::Span;
use crate::span_messages::{trace_request, unix_nanoseconds};

/// How often metrics are sent.
pub const METRICS_EVERY: Duration = Duration::from_secs(60);

/// Spans of one request.
const BATCH_MAX: usize = 512;

/// How long a span waits for others.
const BATCH_WAIT: Duration = Duration::from_secs(5);

/// How often one request is sent. With the pauses between them, a batch is given up after half a minute.
const TRIES_MAX: usize = 6;

/// Whether this instance ends: what is left is sent at once, and nothing is waited for.
pub(crate) type Closing = watch::Receiver<bool>;

/// Sends spans until this instance ends and none is left.
pub(crate) async fn export_spans<C: Collector>(
    queue: &mut Receiver<Span>,
    sender: &Sender,
    exporter: &mut Exporter<C>,
    mut closing: Closing,
) {
    while let Some(spans) = next_batch(queue, &mut closing).await {
        let count = spans.len() as u64;
        exporter.note_queue();
        exporter.deliver(&trace_request(sender, spans), count, &mut closing).await;
    }
}

/// Sends the metrics now and then until this instance ends, and for the last time then.
pub(crate) async fn export_metrics<C: Collector>(
    families: &(impl Fn() -> Vec<MetricFamily> + Sync),
    sender: &Sender,
    exporter: &mut Exporter<C>,
    mut closing: Closing,
) {
    let mut starts = SeriesStarts::new(unix_nanoseconds(SystemTime::now()));
    let mut ticks = interval_at(Instant::now() + METRICS_EVERY, METRICS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            () = closed(&mut closing) => true,
        };
        let families = families();
        let points = families.iter().map(|family| family.get_metric().len() as u64).sum();
        let request = metrics_request(sender, &families, unix_nanoseconds(SystemTime::now()), &mut starts);
        exporter.deliver(&request, points, &mut closing).await;
        if is_last {
            return;
        }
    }
}

/// Waits until this instance ends.
async fn closed(closing: &mut Closing) {
    // An error means that nobody can say it any more.
    let _ = closing.wait_for(|is_closing| *is_closing).await;
}

/// Waits for spans, and then for more of them. None once this instance ends and none is left.
async fn next_batch(queue: &mut Receiver<Span>, closing: &mut Closing) -> Option<Vec<Span>> {
    let mut batch = Vec::new();
    let mut until = pin!(sleep(BATCH_WAIT));
    loop {
        let room = BATCH_MAX - batch.len();
        if room == 0 {
            return Some(batch);
        }
        let is_first = batch.is_empty();
        tokio::select! {
            biased;
            received = queue.recv_many(&mut batch, room) => {
                // Nobody can send any more.
                if received == 0 {
                    return Some(batch).filter(|batch| !batch.is_empty());
                }
                if is_first {
                    until.as_mut().reset(Instant::now() + BATCH_WAIT);
                }
            }
            () = closed(closing) => return Some(batch).filter(|batch| !batch.is_empty()),
            () = &mut until, if !is_first => return Some(batch),
        }
    }
}

/// Sends the requests of one signal, and says once how that goes.
#[derive(Debug)]
pub(crate) struct Exporter<C> {
    collector: C,
    /// What is sent, for people.
    signal: &'static str,
    counters: SignalCounters,
    trouble: Option<ExportError>,
    /// How many spans had found the queue full when the last batch was taken out of it.
    dropped: u64,
    /// Whether some did since the batch before that.
    is_losing: bool,
}

impl<C: Collector> Exporter<C> {
    pub(crate) fn new(collector: C, signal: &'static str, counters: SignalCounters) -> Self {
        Self { collector, signal, counters, trouble: None, dropped: 0, is_losing: false }
    }

    /// Sends a request with so many items, again while that may help. What is not taken in the end is counted.
    async fn deliver(&mut self, request: &impl Message, items: u64, closing: &mut Closing) {
        let request = compressed(&request.encode_to_vec());
        let mut backoff = Backoff::new();
        for tries in 1..=TRIES_MAX {
            let error = match self.collector.send(request.clone()).await {
                Ok(rejected) => {
                    self.taken(items, rejected);
                    return;
                }
                Err(error) => error,
            };
            let is_last = tries == TRIES_MAX || !error.may_pass() || *closing.borrow();
            let pause = backoff.pause(error.retry_after());
            self.not_taken(error);
            if is_last {
                break;
            }
            tokio::select! {
                () = sleep(pause) => {}
                // Once more, now.
                () = closed(closing) => {}
            }
        }
        self.counters.not_taken.inc_by(items);
    }

    fn taken(&mut self, items: u64, rejected: u64) {
        let rejected = rejected.min(items);
        self.counters.sent.inc_by(items - rejected);
        self.counters.rejected.inc_by(rejected);
        if self.trouble.take().is_some() {
            let dropped = self.counters.not_taken.get();
            tracing::info!(signal = self.signal, dropped, "the OpenTelemetry collector answers again");
        }
    }

    fn not_taken(&mut self, error: ExportError) {
        if !self.trouble.as_ref().is_some_and(|trouble| trouble.is_like(&error)) {
            tracing::warn!(%error, signal = self.signal, "failed to send to the OpenTelemetry collector; requests go on");
        }
        self.trouble = Some(error);
    }

    /// Says once that spans find the queue full, and once that they find room again.
    fn note_queue(&mut self) {
        let dropped = self.counters.queue_full.get();
        let is_losing = dropped > self.dropped;
        match (self.is_losing, is_losing) {
            (false, true) => tracing::warn!(dropped, "spans come faster than they are sent, and some are dropped"),
            (true, false) => tracing::info!(dropped, "no more spans are dropped"),
            (true, true) | (false, false) => {}
        }
        (self.dropped, self.is_losing) = (dropped, is_losing);
    }
}

fn compressed(request: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(request).and_then(|()| encoder.finish());
    written.expect("a vector takes everything").into()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use prometheus::Registry;

    use super::*;
    use crate::counters::Counters;
    use crate::messages::ExportTraceRequest;
    use crate::sample_ratio::SampleRatio;
    use crate::tracer::{QUEUE_MAX, Tracer};

    /// Answers what a test has written down, and takes everything after that.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Script>>);

    #[derive(Default)]
    struct Script {
        answers: VecDeque<Result<u64, ExportError>>,
        /// What it answers once those are used up.
        always: Option<ExportError>,
        /// How many spans each request had, and how long after the start it came.
        requests: Vec<(usize, Duration)>,
    }

    impl Collector for (Written, Instant) {
        async fn send(&self, request: Bytes) -> Result<u64, ExportError> {
            let mut plain = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&*request), &mut plain).expect("gzip");
            let request = ExportTraceRequest::decode(&*plain).expect("protobuf");
            let spans = request.resource_spans[0].scope_spans[0].spans.len();
            let mut script = self.0.0.lock().expect("whole");
            script.requests.push((spans, self.1.elapsed()));
            let always = script.always.clone();
            script.answers.pop_front().unwrap_or(always.map_or(Ok(0), Err))
        }
    }

    struct Exporting {
        tracer: Tracer,
        written: Written,
        counters: SignalCounters,
        closing: watch::Sender<bool>,
        task: tokio::task::JoinHandle<()>,
    }

    fn exporting(answers: impl IntoIterator<Item = Result<u64, ExportError>>) -> Exporting {
        let counters = Counters::register(&Registry::new()).expect("good names").traces;
        let (tracer, mut queue) = Tracer::new(SampleRatio::ALL, counters.queue_full.clone());
        let written = Written::default();
        written.0.lock().expect("whole").answers.extend(answers);
        let (closing, is_closing) = watch::channel(false);
        let mut exporter = Exporter::new((written.clone(), Instant::now()), "traces", counters.clone());
        let task = tokio::spawn(async move {
            export_spans(&mut queue, &Sender::new("test", "1"), &mut exporter, is_closing).await;
        });
        Exporting { tracer, written, counters, closing, task }
    }

    fn refused(status: u16) -> Result<u64, ExportError> {
        Err(ExportError::Refused { status, retry_after: None })
    }

    impl Exporting {
        fn finish(&self, spans: usize) {
            (0..spans).for_each(|_| self.tracer.finish(vec![Span::of_test()]));
        }

        fn requests(&self) -> Vec<(usize, Duration)> {
            self.written.0.lock().expect("whole").requests.clone()
        }

        /// Lets this much time pass.
        async fn after(&self, time: Duration) -> Vec<(usize, Duration)> {
            // The clock of these tests stands still but for this.
            let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
            self.requests()
        }

        /// Sent, found the queue full, not taken, rejected.
        fn counted(&self) -> [u64; 4] {
            let SignalCounters { sent, queue_full, not_taken, rejected } = &self.counters;
            [sent, queue_full, not_taken, rejected].map(prometheus::IntCounter::get)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn spans_go_together_and_none_waits_for_long() {
        let exporting = exporting([]);
        assert_eq!(exporting.after(BATCH_WAIT * 3).await, []);
        exporting.finish(2);
        let requests = exporting.after(BATCH_WAIT * 2).await;
        assert_eq!(requests, [(2, BATCH_WAIT * 4)], "they waited for others");
        exporting.finish(BATCH_MAX + 1);
        let requests = exporting.after(Duration::from_millis(1)).await;
        assert_eq!(requests.last().map(|(spans, _)| *spans), Some(BATCH_MAX), "a whole batch waits for nobody");
        exporting.after(BATCH_WAIT * 2).await;
        assert_eq!(exporting.counted(), [BATCH_MAX as u64 + 3, 0, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_tried_again_and_what_may_not_is_given_up() {
        for status in [429, 502, 503, 504] {
            let exporting = exporting([refused(status), refused(status), Ok(1)]);
            exporting.finish(3);
            let requests = exporting.after(Duration::from_secs(30)).await;
            assert_eq!((requests.len(), exporting.counted()), (3, [2, 0, 0, 1]), "{status}");
            let pause = requests[1].1 - requests[0].1;
            assert!(pause >= Duration::from_millis(500) && pause <= Duration::from_millis(1001), "{pause:?}");
        }
        for status in [400, 401, 404, 500, 302] {
            let exporting = exporting([refused(status)]);
            exporting.finish(3);
            let requests = exporting.after(Duration::from_secs(30)).await;
            assert_eq!((requests.len(), exporting.counted()), (1, [0, 0, 3, 0]), "{status}");
        }
        let wait = Duration::from_secs(17);
        let exporting = exporting([Err(ExportError::Refused { status: 429, retry_after: Some(wait) })]);
        exporting.finish(1);
        let requests = exporting.after(Duration::from_secs(60)).await;
        assert_eq!(requests[1].1 - requests[0].1, wait);
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_is_away_costs_a_bounded_number_of_spans_and_nobody_waits() {
        let exporting = exporting([]);
        exporting.written.0.lock().expect("whole").always = Some(ExportError::Unreachable("refused".to_owned()));
        exporting.finish(1);
        let requests = exporting.after(Duration::from_secs(90)).await;
        assert_eq!((requests.len(), exporting.counted()), (TRIES_MAX, [0, 0, 1, 0]));
        exporting.finish(BATCH_MAX);
        exporting.after(Duration::from_millis(1)).await;
        exporting.finish(QUEUE_MAX + 5);
        assert_eq!(exporting.counted()[1], 5, "the queue has a bound");
        exporting.written.0.lock().expect("whole").always = None;
        exporting.after(Duration::from_secs(60)).await;
        assert_eq!(exporting.counted(), [(BATCH_MAX + QUEUE_MAX) as u64, 5, 1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_everything_is_sent_at_once_and_tried_once_more() {
        let began = Instant::now();
        let exporting = exporting([refused(503), refused(503)]);
        exporting.finish(BATCH_MAX + 7);
        exporting.after(Duration::from_millis(1)).await;
        exporting.closing.send_replace(true);
        exporting.task.await.expect("it ends");
        let written = exporting.written.0.lock().expect("whole").requests.clone();
        assert_eq!(written.iter().map(|(spans, _)| *spans).collect::<Vec<_>>(), [BATCH_MAX, BATCH_MAX, 7]);
        assert!(began.elapsed() < Duration::from_millis(100));
        assert_eq!((exporting.counters.sent.get(), exporting.counters.not_taken.get()), (7, BATCH_MAX as u64));
    }

    #[tokio::test(start_paused = true)]
    async fn metrics_are_sent_every_minute_and_at_the_end() {
        let registry = Registry::new();
        let counters = Counters::register(&registry).expect("good names").metrics;
        let times = Arc::new(Mutex::new(Vec::new()));
        #[derive(Debug)]
        struct Times(Arc<Mutex<Vec<Duration>>>, Instant);
        impl Collector for Times {
            async fn send(&self, _request: Bytes) -> Result<u64, ExportError> {
                self.0.lock().expect("whole").push(self.1.elapsed());
                Ok(0)
            }
        }
        let mut exporter = Exporter::new(Times(Arc::clone(&times), Instant::now()), "metrics", counters.clone());
        let (closing, is_closing) = watch::channel(false);
        let families = move || registry.gather();
        let exporting = async {
            export_metrics(&families, &Sender::new("test", "1"), &mut exporter, is_closing).await;
        };
        let ending = async {
            let _ = tokio::time::timeout(METRICS_EVERY * 5 / 2, std::future::pending::<()>()).await;
            closing.send_replace(true);
        };
        tokio::join!(exporting, ending);
        let times = times.lock().expect("whole").clone();
        assert_eq!(times, [METRICS_EVERY, METRICS_EVERY * 2, METRICS_EVERY * 5 / 2]);
        assert!(counters.sent.get() > 0);
    }
}
