//! Keeps background tasks running: a task that panics is started again, and the restart is counted.

use std::convert::Infallible;
use std::time::Duration;

use prometheus::{IntCounterVec, Opts, Registry};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The pause before a task is started again. It is doubled each time up to [`PAUSE_MAX`], so that a bug that strikes
/// at once does not burn the CPU.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A task that ran for this long is considered healthy again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// Spawns tasks and counts the restarts of each.
#[derive(Clone, Debug)]
pub(super) struct Supervisor {
    restarts: IntCounterVec,
    ended: CancellationToken,
}

impl Supervisor {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("gangway_task_restarts_total", "Background tasks started again after a panic.");
        let restarts = IntCounterVec::new(opts, &["task"])?;
        registry.register(Box::new(restarts.clone()))?;
        Ok(Self { restarts, ended: CancellationToken::new() })
    }

    /// The counter of restarts, by task.
    pub(super) fn restarts(&self) -> IntCounterVec {
        self.restarts.clone()
    }

    /// Ends all tasks.
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    /// Like [`Supervisor::run`], for a task that is made from `state` each time.
    pub(super) fn run_with<S, F>(&self, name: &'static str, state: S, mut task: impl FnMut(&S) -> F + Send + 'static)
    where
        S: Send + 'static,
        F: Future<Output = Infallible> + Send + 'static,
    {
        self.run(name, move || task(&state));
    }

    /// Runs the future that `task` makes, and makes another one if it panics, until all tasks are ended.
    pub(super) fn run<F>(&self, name: &'static str, mut task: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = Infallible> + Send + 'static,
    {
        let restarts = self.restarts.with_label_values(&[name]);
        let ended = self.ended.clone();
        tokio::spawn(async move {
            let mut pause = PAUSE_FIRST;
            loop {
                let began = Instant::now();
                let round = tokio::spawn(ended.clone().run_until_cancelled_owned(task())).await;
                let error = match round {
                    Ok(Some(never)) => match never {},
                    Ok(None) => return,
                    Err(error) => error,
                };
                if error.is_cancelled() {
                    // The runtime is shutting down.
                    return;
                }
                restarts.inc();
                if began.elapsed() >= HEALTHY_AFTER {
                    pause = PAUSE_FIRST;
                }
                // The panic hook has logged the message of the panic.
                tracing::error!(task = name, ?pause, "a background task ended in a panic and is started again");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gangway_publish::seat;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_continues_where_it_ended() {
        let supervisor = Supervisor::new(&Registry::new()).expect("a new name");
        let (mut publishers, mut reader) = seat(0);
        let rounds = Arc::new(Semaphore::new(0));
        let allowed = Arc::clone(&rounds);
        supervisor.run("test", move || {
            let (mut publisher, allowed) = (publishers.take().expect("the last one is gone"), Arc::clone(&allowed));
            async move {
                let next = *publisher.reader().load() + 1;
                publisher.publish(next);
                allowed.acquire().await.expect("it is never closed").forget();
                panic!("on purpose");
            }
        });
        for round in 1..5 {
            reader.changed().await.expect("the seat is kept");
            assert_eq!(*reader.load(), round);
            assert_eq!(supervisor.restarts().with_label_values(&["test"]).get(), round - 1);
            rounds.add_permits(1);
        }
    }
}
