//! The phases of the data plane, from start to end.

use tokio::sync::watch;

/// Phases follow each other in this order; some may be left out. Until [`Lifecycle::Left`], the data plane can
/// return to [`Lifecycle::Serving`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Lifecycle {
    /// The sockets listen; connections wait in the system's queues.
    Opening,
    /// Connections are accepted.
    Serving,
    /// No connection is accepted for now, until it is clear whether a successor accepts on the same sockets.
    Paused,
    /// A successor accepts connections. Existing connections go on, and clients are sent over with their next request.
    HandedOver,
    /// Like [`Lifecycle::HandedOver`], but final: only the successor has the sockets.
    Left,
    /// No process accepts connections.
    Stopped,
    /// Idle connections are closed, and WebSockets get a close frame.
    Closing,
    /// All remaining connections are cut.
    Aborting,
}

/// A receiver of the current phase.
pub(crate) type Phases = watch::Receiver<Lifecycle>;

/// Waits until this phase or a later one is reached; for ever if the sender is gone.
pub(crate) async fn reached(mut phases: Phases, phase: Lifecycle) {
    if phases.wait_for(|now| *now >= phase).await.is_err() {
        std::future::pending::<()>().await;
    }
}
