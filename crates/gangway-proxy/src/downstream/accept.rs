//! Accepts connections and hands them to the front door.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gangway_publish::Reader;
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::task::TaskTracker;

use crate::downstream::arrivals::{Arrivals, Arriving};
use crate::downstream::connection::canonical;
use crate::downstream::connection_limits::{ConnectionLimits, ConnectionPermit};
use crate::downstream::front_door::{Accepted, FrontDoor};
use crate::downstream::listener::{BACKLOG, Listener};
use crate::downstream::listener_profile::ListenerProfile;
use crate::downstream::peeked_tcp::PeekedTcp;
use crate::lifecycle::{Lifecycle, Phases, reached};
use crate::overload::idle_connections::{IdleConnections, IdleMark, Room};
use crate::overload::open_connections::{OpenConnection, OpenConnections};

/// The pause after a failed accept. The usual cause is a lack of file descriptors, and trying again at once would
/// burn the CPU that could free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Everything that serves the connections of a listener.
#[derive(Clone)]
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
    fn receive(&self, tcp: TcpStream, peer: SocketAddr, listener: &Arc<ListenerProfile>, place: OwnedSemaphorePermit) {
        if listener.demands_header_of(canonical(peer.ip())) {
            return self.receive_proxied(tcp, peer, listener, place);
        }
        let Some(place) = self.bounds.admit(place, peer, listener) else { return };
        // An address that speaks for many clients has no account.
        if place.account.is_some() && self.front_door.keeps_out(peer.ip()) {
            return self.bounds.count_refused("banned");
        }
        let Some(open) = self.open.begin() else { return self.bounds.count_refused("descriptors") };
        let arriving = self.arrivals.begin();
        let (mark, account) = (IdleMark::new(), place.account.clone());
        let listener = Arc::clone(listener);
        let accepted = Accepted { peer, listener, mark: Arc::clone(&mark), account: account.clone() };
        // On the heap: the runtime moves a task several times between its beginning and its end.
        let serving = Box::pin(serve(Arc::clone(&self.front_door), tcp, accepted, arriving, (place, open)));
        mark.set_task(self.tracker.spawn(serving).abort_handle());
        // A connection that is in the lists can be closed, so its task has to be known first.
        self.idle.add(&mark);
        if let Some(account) = account {
            account.add_connection(&mark);
        }
    }

    /// Spawns a task that asks a proxy whose connection it passes on, and serves it.
    fn receive_proxied(
        &self,
        tcp: TcpStream,
        proxy: SocketAddr,
        listener: &Arc<ListenerProfile>,
        place: OwnedSemaphorePermit,
    ) {
        let Some(open) = self.open.begin() else { return self.bounds.count_refused("descriptors") };
        let (arriving, mark) = (self.arrivals.begin(), IdleMark::new());
        let proxied = Proxied { tcp, proxy, listener: Arc::clone(listener), mark: Arc::clone(&mark) };
        let (front_door, bounds) = (Arc::clone(&self.front_door), Arc::clone(&self.bounds));
        let serving = Box::pin(serve_proxied(front_door, bounds, proxied, arriving, (place, open)));
        mark.set_task(self.tracker.spawn(serving).abort_handle());
        self.idle.add(&mark);
    }
}

/// A connection of a proxy that has not said yet whose connection it passes on.
struct Proxied {
    tcp: TcpStream,
    proxy: SocketAddr,
    listener: Arc<ListenerProfile>,
    mark: Arc<IdleMark>,
}

/// Serves a connection of a proxy. Its client counts from the moment at which it is known: by bounds, bans and accounts.
async fn serve_proxied(
    front_door: Arc<FrontDoor>,
    bounds: Arc<ConnectionLimits>,
    proxied: Proxied,
    arriving: Arriving,
    (place, open): (OwnedSemaphorePermit, OpenConnection),
) {
    let Proxied { tcp, proxy, listener, mark } = proxied;
    let mut conn = PeekedTcp::new(tcp);
    let peer = match front_door.client_of(&mut conn, proxy, &mark).await {
        Ok(Some(peer)) => peer,
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(%error, %proxy, "a proxy did not say whose connection it passes on");
            return bounds.count_refused("proxy-protocol");
        }
    };
    let Some(permit) = bounds.admit(place, peer, &listener) else { return };
    let account = permit.account.clone();
    if let Some(account) = &account {
        if front_door.keeps_out(peer.ip()) {
            return bounds.count_refused("banned");
        }
        account.add_connection(&mark);
    }
    front_door.serve(conn, Accepted { peer, listener, mark, account }, arriving).await;
    drop((permit, open));
}

/// Serves a connection, and holds its places meanwhile. It ends with its runtime at the latest, when all connections are
/// cut.
async fn serve(
    front_door: Arc<FrontDoor>,
    tcp: TcpStream,
    accepted: Accepted,
    arriving: Arriving,
    held: (ConnectionPermit, OpenConnection),
) {
    front_door.serve(PeekedTcp::new(tcp), accepted, arriving).await;
    drop(held);
}

/// Accepts connections in the phases that allow it, until none follows.
pub(crate) async fn accept(listener: Listener, reception: Acceptor) {
    let Listener { socket, profile, removed, is_held } = listener;
    #[expect(
        deprecated,
        reason = "the other one is unsafe; all it asks for is a descriptor that stays, as a listener's does"
    )]
    let socket = match AsyncFd::with_interest(socket, Interest::READABLE) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "failed to use a listener"),
    };
    while is_to_serve(reception.phases.clone(), removed.clone()).await {
        let _taking = reception.taking.token();
        accept_while_serving(&socket, (&profile, &removed), &reception).await;
    }
    if is_held || *reception.phases.borrow() == Lifecycle::Left {
        // Another process listens there as well and accepts the connections that wait in the system's queue.
        return;
    }
    // Connections that wait in the system's queue would be reset together with the socket.
    for _ in 0..BACKLOG {
        let (Ok((tcp, peer)), Some(place)) = (accept_one(socket.get_ref()), reception.bounds.place_at_once()) else {
            return;
        };
        reception.receive(tcp, peer, &Arc::clone(&profile.load()), place);
    }
}

/// Waits until connections are to be accepted. False if they never will be again.
async fn is_to_serve(mut phases: Phases, removed: watch::Receiver<bool>) -> bool {
    let serves = async {
        match phases.wait_for(|now| *now == Lifecycle::Serving || *now >= Lifecycle::Left).await.map(|now| *now) {
            Ok(now) => now == Lifecycle::Serving,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = is_removed(removed) => false,
        serves = serves => serves,
    }
}

/// Waits until the listener is removed.
async fn is_removed(mut removed: watch::Receiver<bool>) {
    if removed.wait_for(|is_removed| *is_removed).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn accept_while_serving(
    socket: &AsyncFd<TcpListener>,
    (profile, removed): (&Reader<Arc<ListenerProfile>>, &watch::Receiver<bool>),
    reception: &Acceptor,
) {
    let mut ended = pin!(async {
        tokio::select! {
            () = reached(reception.phases.clone(), Lifecycle::Paused) => {}
            () = is_removed(removed.clone()) => {}
        }
    });
    loop {
        while (reception.bounds.is_full() || reception.open.is_full()) && reception.idle.make_room() == Room::Awaited {
            // Their tasks begin meanwhile.
            tokio::task::yield_now().await;
        }
        // First the end of this phase: afterwards a waiting connection belongs to a successor. Then the place: while
        // there is none, connections wait in the system's queue and not in ours.
        let place = match reception.bounds.place_at_once() {
            Some(place) => place,
            None => tokio::select! {
                biased;
                () = &mut ended => return,
                place = reception.bounds.place() => place,
            },
        };
        let accepted = poll_fn(|cx| {
            if *reception.phases.borrow() >= Lifecycle::Paused || *removed.borrow() {
                return Poll::Ready(None);
            }
            match poll_accept(socket, cx) {
                Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
                Poll::Pending => ended.as_mut().poll(cx).map(|()| None),
            }
        });
        match accepted.await {
            Some(Ok((tcp, peer))) => reception.receive(tcp, peer, &Arc::clone(&profile.load()), place),
            Some(Err(error)) => {
                tracing::debug!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None => return,
        }
    }
}

fn poll_accept(socket: &AsyncFd<TcpListener>, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
    loop {
        let mut ready = ready!(socket.poll_read_ready(cx))?;
        // Otherwise it has found none.
        if let Ok(accepted) = ready.try_io(|socket| accept_one(socket.get_ref())) {
            return Poll::Ready(accepted);
        }
    }
}

/// Accepts a connection that waits in the system's queue. Its socket does not block.
fn accept_one(socket: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (accepted, peer) = acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer.and_then(|peer| peer.try_into().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((accepted.into(), peer))
}
