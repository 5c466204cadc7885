//! The one thread on which tables are made and given back.
//!
//! Always the same, as an allocator keeps what a thread has given back for that thread: tables that are made here
//! and there would each time be made of fresh memory, and what is left behind would stay with each of the threads.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;

type Job = Box<dyn FnOnce() + Send>;

/// Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct CompileThread {
    /// None where the machine gives us no thread: then it is any of the runtime's.
    jobs: Option<Sender<Job>>,
}

impl CompileThread {
    pub(crate) fn start() -> Self {
        let (jobs, todo) = channel::<Job>();
        let started =
            thread::Builder::new().name("tables".to_owned()).spawn(move || todo.into_iter().for_each(|job| job()));
        if let Err(error) = &started {
            warn!(%error, "no thread of its own for making tables");
        }
        Self { jobs: started.is_ok().then_some(jobs) }
    }

    /// Does it there, and waits for it on a thread of the runtime, which so knows that somebody works: a clock that is
    /// paused in a test does not run ahead.
    pub(crate) fn run<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let Some(jobs) = &self.jobs else { return spawn_blocking(act) };
        let (done, outcome) = channel();
        let job: Job = Box::new(move || drop(done.send(act())));
        drop(jobs.send(job));
        spawn_blocking(move || outcome.recv().expect("the thread lives as long as its jobs do"))
    }

    /// Gives something back there, when it is its turn.
    pub(crate) fn drop_there(&self, value: impl Send + 'static) {
        match &self.jobs {
            Some(jobs) => drop(jobs.send(Box::new(move || drop(value)))),
            None => drop(spawn_blocking(move || drop(value))),
        }
    }
}
