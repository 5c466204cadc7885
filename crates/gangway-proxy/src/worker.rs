//! One thread of the data plane: its own runtime, listeners and upstream connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;

use crate::downstream::accept::{Acceptor, accept};
use crate::downstream::arrivals::Arrivals;
use crate::downstream::connection_limits::ConnectionLimits;
use crate::downstream::front_door::FrontDoor;
use crate::downstream::listener::Listener;
use crate::exchange::worker::Worker;
use crate::lifecycle::{Lifecycle, Phases, reached};
use crate::shared::Shared;
use crate::upstream::connector::Connector;

/// The parts that a worker is made of.
#[derive(Clone)]
pub(crate) struct WorkerParts {
    pub(crate) shared: Shared,
    pub(crate) bounds: Arc<ConnectionLimits>,
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) acceptors: TaskTracker,
    pub(crate) taking: TaskTracker,
    pub(crate) connections: TaskTracker,
    pub(crate) phases: Phases,
    pub(crate) goaway: watch::Receiver<bool>,
}

/// Runs one worker until the data plane ends.
pub(crate) fn run(workers: usize, mut listeners: mpsc::UnboundedReceiver<Listener>, parts: WorkerParts) {
    let WorkerParts { shared, bounds, arrivals, acceptors, taking, connections, phases, goaway } = parts;
    let runtime = if workers == 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "failed to start a runtime of the data plane"),
    };
    runtime.block_on(async move {
        let shutting_down = Arc::clone(&shared.shutting_down);
        let (idle, open) = (Arc::clone(&shared.overload.idle), shared.overload.open.clone());
        tokio::spawn(shared.overload.freed.clone().give_back_for_ever());
        let connector = Connector::new(&shared.connector);
        let worker = Arc::new(Worker::new(shared, connector));
        let front_door = Arc::new(FrontDoor::new(worker, goaway, phases.clone()));
        let acceptor =
            Acceptor { front_door, bounds, idle, open, arrivals, taking, tracker: connections, phases: phases.clone() };
        tokio::spawn(async move {
            while let Some(listener) = listeners.recv().await {
                acceptors.spawn(accept(listener, acceptor.clone()));
            }
        });
        tokio::spawn(tick());
        send_over_when_handed_over(&shutting_down, phases.clone()).await;
        reached(phases, Lifecycle::Aborting).await;
    });
    // All that still runs has had its time.
    runtime.shutdown_background();
}

/// Keeps `shutting_down` true while clients are to be sent elsewhere with their next request; ends when connections
/// are to be closed.
async fn send_over_when_handed_over(shutting_down: &AtomicBool, mut phases: Phases) {
    loop {
        let now = *phases.borrow_and_update();
        shutting_down.store(now >= Lifecycle::HandedOver, Ordering::Release);
        if now >= Lifecycle::Closing {
            return;
        }
        if phases.changed().await.is_err() {
            // The sender is gone, so no phase will follow.
            std::future::pending::<()>().await;
        }
    }
}

/// Keeps a timer in the runtime that is due soon. Each request sets a timer that is due in an hour. If that were the
/// first timer to be due, the runtime would wake itself by a system call for each request.
async fn tick() {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
    }
}
