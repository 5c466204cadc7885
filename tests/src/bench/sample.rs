//! The outcome of a load on one proxy.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::process::tree;

/// The outcome of a load, with the processor time that the proxy took for it.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Requests with the expected answer; messages or events where the scene has those.
    pub requests: u64,
    /// The span of the load.
    pub span: Duration,
    /// User and system time of the proxy's processes within the span.
    pub cpu_seconds: f64,
    /// The time that each request took, in microseconds; empty where nothing is asked.
    pub micros: Vec<u32>,
}

/// Measures a span from its creation on.
#[derive(Debug)]
pub struct Watch {
    process: u32,
    before: HashMap<u32, u64>,
    begun: Instant,
}

impl Watch {
    /// Begins to measure this process and all that descend from it.
    pub fn begin(process: u32) -> Self {
        Self { process, before: cpu_nanos(process), begun: Instant::now() }
    }

    /// Ends the span.
    pub fn end(&self, requests: u64, micros: Vec<u32>) -> Sample {
        let span = self.begun.elapsed();
        let since = |(id, nanos): (u32, u64)| nanos.saturating_sub(self.before.get(&id).copied().unwrap_or_default());
        let nanos = cpu_nanos(self.process).into_iter().map(since).sum();
        Sample { requests, span, cpu_seconds: Duration::from_nanos(nanos).as_secs_f64(), micros }
    }
}

/// The time on a core, user's and system's, of each thread of a process and of all that descend from it.
///
/// The kernel's statistics of its scheduler are exact, where user and system time are in hundredths of a second.
fn cpu_nanos(process: u32) -> HashMap<u32, u64> {
    let threads = tree(process).into_iter().flat_map(|id| {
        let entries = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        entries.filter_map(move |entry| {
            let text = std::fs::read_to_string(entry.path().join("schedstat")).ok()?;
            let nanos = text.split_whitespace().next()?.parse().ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, nanos))
        })
    });
    threads.collect()
}

impl Sample {
    /// Processor seconds for 100,000 requests.
    pub fn cost(&self) -> f64 {
        self.cpu_seconds * 100_000.0 / self.count()
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.count() / self.span.as_secs_f64()
    }

    /// The milliseconds in which this share of the requests was answered, if each was timed.
    pub fn latency_millis(&self, share: f64) -> Option<f64> {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a length"
        )]
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.max(1) - 1).map(|micros| f64::from(*micros) / 1000.0)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
    fn count(&self) -> f64 {
        self.requests.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_all_threads_is_counted() {
        let watch = Watch::begin(std::process::id());
        let work = || (0..20_000_000_u64).fold(1, |sum: u64, value| std::hint::black_box(sum.wrapping_mul(value | 1)));
        std::thread::scope(|scope| {
            let other = scope.spawn(work);
            std::hint::black_box(work());
            // It is looked at before the thread ends, as threads of a proxy live on.
            while !other.is_finished() {
                std::thread::yield_now();
            }
        });
        let sample = watch.end(1, Vec::new());
        assert!(sample.cpu_seconds > 0.0 && sample.cpu_seconds <= sample.span.as_secs_f64() * 64.0, "{sample:?}");
    }

    #[test]
    fn cost_and_latency_are_of_the_requests_that_were_answered() {
        let sample = Sample {
            requests: 2000,
            span: Duration::from_secs(2),
            cpu_seconds: 0.5,
            micros: (1..=1000).rev().map(|value| value * 1000).collect(),
        };
        assert!((sample.cost() - 25.0).abs() < 1e-9);
        assert!((sample.rate() - 1000.0).abs() < 1e-9);
        assert_eq!(sample.latency_millis(0.5), Some(500.0));
        assert_eq!(sample.latency_millis(0.999), Some(999.0));
        assert_eq!(Sample::default().latency_millis(0.5), None);
    }
}
