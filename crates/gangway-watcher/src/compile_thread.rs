//! The one thread that compiles tables and frees them.
//!
//! It is always the same thread, because the allocator keeps freed memory for the thread that freed it. Tables that are
//! compiled on changing threads would each time need fresh memory, and the freed memory would stay with every thread.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs on the thread, one after the other. The thread ends when this is dropped.
#[derive(Debug)]
pub(crate) struct CompileThread {
    /// `None` if the thread could not be started. Then jobs run on the blocking threads of the runtime.
    jobs: Option<Sender<Job>>,
}

impl CompileThread {
    pub(crate) fn start() -> Self {
        let (jobs, todo) = channel::<Job>();
        let started =
            thread::Builder::new().name("tables".to_owned()).spawn(move || todo.into_iter().for_each(|job| job()));
        if let Err(error) = &started {
            warn!(%error, "failed to start a thread for compiling tables");
        }
        Self { jobs: started.is_ok().then_some(jobs) }
    }

    /// Runs a job on the thread and waits for it on a blocking thread of the runtime. That way the runtime knows that
    /// work goes on, and the paused clock of a test does not run ahead.
    pub(crate) fn run<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let Some(jobs) = &self.jobs else { return spawn_blocking(act) };
        let (done, outcome) = channel();
        let job: Job = Box::new(move || drop(done.send(act())));
        drop(jobs.send(job));
        spawn_blocking(move || outcome.recv().expect("the thread lives as long as its jobs do"))
    }

    /// Drops a value on the thread, after the jobs before it.
    pub(crate) fn drop_later(&self, value: impl Send + 'static) {
        match &self.jobs {
            Some(jobs) => drop(jobs.send(Box::new(move || drop(value)))),
            None => drop(spawn_blocking(move || drop(value))),
        }
    }
}
