//! Decides about traces, and takes finished spans.

use prometheus::IntCounter;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::sample_ratio::SampleRatio;
use crate::span::Span;
use crate::trace_context::{SpanId, TraceContext, TraceId, TraceParent};

/// Spans that may wait to be sent. A span with all its texts takes less than 8 KiB, mostly one.
pub(crate) const QUEUE_MAX: usize = 2048;

/// Decides about traces, and takes finished spans. Cheap to clone; nothing waits.
#[derive(Clone, Debug)]
pub struct Tracer {
    sample: SampleRatio,
    queue: Sender<Span>,
    queue_full: IntCounter,
}

impl Tracer {
    pub(crate) fn new(sample: SampleRatio, queue_full: IntCounter) -> (Self, Receiver<Span>) {
        let (queue, spans) = channel(QUEUE_MAX);
        (Self { sample, queue, queue_full }, spans)
    }

    /// Where a request stands. `parent` is what a caller says that is believed: its trace goes on, and its decision whether
    /// the trace is recorded holds. Otherwise a trace begins.
    ///
    /// A request that is not recorded is no span: what follows is a child of its caller.
    pub fn begin(&self, parent: Option<TraceParent>, state: impl FnOnce() -> Box<str>) -> TraceContext {
        match parent {
            Some(parent) => {
                let span = if parent.is_sampled { SpanId::random() } else { parent.span };
                TraceContext { here: TraceParent { span, ..parent }, parent: Some(parent.span), state: state() }
            }
            None => {
                let trace = TraceId::random();
                let here = TraceParent { trace, span: SpanId::random(), is_sampled: self.sample.takes(trace) };
                TraceContext { here, parent: None, state: Box::default() }
            }
        }
    }

    /// Takes the spans of a request that has ended: all of them, or none where the queue is full. Those are counted.
    pub fn finish(&self, spans: Vec<Span>) {
        match self.queue.try_reserve_many(spans.len()) {
            Ok(places) => places.zip(spans).for_each(|(place, span)| place.send(span)),
            Err(_) => self.queue_full.inc_by(spans.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracer(ratio: f64) -> (Tracer, Receiver<Span>, IntCounter) {
        let queue_full = IntCounter::new("full", "Full.").expect("good");
        let (tracer, spans) = Tracer::new(SampleRatio::of(ratio).expect("a ratio"), queue_full.clone());
        (tracer, spans, queue_full)
    }

    #[test]
    fn the_decision_of_a_caller_holds_and_the_ratio_decides_about_others() {
        for ratio in [0.0, 1.0] {
            let (tracer, ..) = tracer(ratio);
            for is_sampled in [true, false] {
                let parent = TraceParent { trace: TraceId::random(), span: SpanId::random(), is_sampled };
                let begun = tracer.begin(Some(parent), || "a=1".into());
                assert_eq!((begun.here.trace, begun.here.is_sampled), (parent.trace, is_sampled));
                assert_eq!((begun.parent, &*begun.state), (Some(parent.span), "a=1"));
                assert_eq!(begun.here.span == parent.span, !is_sampled);
            }
            let begun = tracer.begin(None, || panic!("nobody is believed"));
            assert_eq!((begun.parent, begun.here.is_sampled, &*begun.state), (None, ratio > 0.5, ""));
        }
    }

    #[test]
    fn spans_that_find_the_queue_full_are_counted_and_those_of_a_request_stay_together() {
        let (tracer, mut spans, queue_full) = tracer(1.0);
        for _ in 0..QUEUE_MAX / 2 {
            tracer.finish(vec![Span::of_test(), Span::of_test()]);
        }
        assert_eq!(queue_full.get(), 0);
        tracer.finish(vec![Span::of_test()]);
        let _ = spans.try_recv().expect("full");
        tracer.finish(vec![Span::of_test(), Span::of_test()]);
        assert_eq!(queue_full.get(), 3);
        tracer.finish(vec![Span::of_test()]);
        assert_eq!((queue_full.get(), spans.len()), (3, QUEUE_MAX));
    }
}
