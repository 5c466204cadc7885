//! Accepts connections and hands them to the front door.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::TaskTracker;

use crate::downstream::arrivals::Arrivals;
use crate::downstream::connection_limits::ConnectionLimits;
use crate::downstream::front_door::{Accepted, FrontDoor};
use crate::downstream::listener::{BACKLOG, Listener};
use crate::lifecycle::{Lifecycle, Phases, reached};
use crate::listen_addresses::ListenerProtocol;
use crate::overload::idle_connections::IdleConnections;
use crate::overload::open_connections::OpenConnections;

/// The pause after a failed accept. The usual cause is a lack of file descriptors, and trying again at once would
/// burn the CPU that could free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Everything that serves the connections of a listener.
pub(crate) struct Acceptor {
    pub(crate) front_door: Arc<FrontDoor>,
    pub(crate) bounds: Arc<ConnectionLimits>,
    pub(crate) idle: Arc<IdleConnections>,
    pub(crate) open: OpenConnections,
    pub(crate) arrivals: Arc<Arrivals>,
    /// Holds a token of each listener that accepts connections now.
    pub(crate) taking: TaskTracker,
    /// Holds a token of each connection.
    pub(crate) tracker: TaskTracker,
    pub(crate) phases: Phases,
}

impl Acceptor {
    /// Spawns a task that serves a connection.
    fn receive(&self, tcp: TcpStream, peer: SocketAddr, protocol: ListenerProtocol, place: OwnedSemaphorePermit) {
        let Some(place) = self.bounds.admit(place, peer, protocol) else { return };
        let Some(open) = self.open.begin() else { return self.bounds.count_refused("descriptors") };
        let arriving = self.arrivals.begin();
        let front_door = Arc::clone(&self.front_door);
        let task = Arc::new(OnceLock::new());
        let accepted = Accepted { peer, protocol, task: Arc::clone(&task), account: place.account.clone() };
        let spawned = self.tracker.spawn(async move {
            let _held = (place, open);
            // It ends with its runtime at the latest, when all connections are cut.
            front_door.serve(tcp, accepted, arriving).await;
        });
        // Long before anything aborts the task.
        let _ = task.set(spawned.abort_handle());
    }
}

/// Accepts connections in the phases that allow it, until none follows.
pub(crate) async fn accept(listener: Listener, reception: Acceptor) {
    let Listener { socket, protocol, is_held } = listener;
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "failed to use a listener"),
    };
    while is_to_serve(reception.phases.clone()).await {
        let _taking = reception.taking.token();
        accept_while_serving(&socket, protocol, &reception).await;
    }
    if is_held || *reception.phases.borrow() == Lifecycle::Left {
        // Another process listens there as well and accepts the connections that wait in the system's queue.
        return;
    }
    // Connections that wait in the system's queue would be reset together with the socket.
    let Ok(socket) = socket.into_std() else { return };
    for _ in 0..BACKLOG {
        let (Ok((tcp, peer)), Some(place)) = (socket.accept(), reception.bounds.place_at_once()) else { return };
        match tcp.set_nonblocking(true).and_then(|()| TcpStream::from_std(tcp)) {
            Ok(tcp) => reception.receive(tcp, peer, protocol, place),
            Err(error) => return tracing::debug!(%error, "failed to use a connection"),
        }
    }
}

/// Waits until connections are to be accepted. False if they never will be again.
async fn is_to_serve(mut phases: Phases) -> bool {
    match phases.wait_for(|now| *now == Lifecycle::Serving || *now >= Lifecycle::Left).await.map(|now| *now) {
        Ok(now) => now == Lifecycle::Serving,
        Err(_) => std::future::pending().await,
    }
}

async fn accept_while_serving(socket: &TcpListener, protocol: ListenerProtocol, reception: &Acceptor) {
    let mut ended = pin!(reached(reception.phases.clone(), Lifecycle::Paused));
    loop {
        if reception.bounds.is_full() || reception.open.is_full() {
            // The one that is idle for longest gives up its place.
            reception.idle.close(1);
        }
        // First the end of this phase: afterwards a waiting connection belongs to a successor. Then the place: while
        // there is none, connections wait in the system's queue and not in ours.
        let place = tokio::select! {
            biased;
            () = &mut ended => return,
            place = reception.bounds.place() => place,
        };
        let accepted = tokio::select! {
            biased;
            () = &mut ended => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => reception.receive(tcp, peer, protocol, place),
            Err(error) => {
                tracing::debug!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
