//! How far the data plane is, from its start to its end.

use tokio::sync::watch;

/// One follows the other; some are left out. Until [`Lifecycle::Left`], the way back to [`Lifecycle::Serving`] is open.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Lifecycle {
    /// Listening; connections wait in the system's queues.
    Opening,
    /// Connections are taken.
    Serving,
    /// None are taken for the moment: whether a successor takes them, at the same sockets, is being looked at.
    Paused,
    /// A successor takes them. What was begun here goes on, and clients are sent over as they ask next.
    HandedOver,
    /// The same for good: the sockets are the successor's alone.
    Left,
    /// Nobody takes them any more.
    Stopped,
    /// Connections that are idle are closed, and WebSockets told that we go away.
    Closing,
    /// What still goes on is cut.
    Aborting,
}

/// Where the phase is followed.
pub(crate) type Phases = watch::Receiver<Lifecycle>;

/// Waits until this phase has come, or a later one. For ever, where nobody is left who could tell.
pub(crate) async fn reached(mut phases: Phases, phase: Lifecycle) {
    if phases.wait_for(|now| *now >= phase).await.is_err() {
        std::future::pending::<()>().await;
    }
}
