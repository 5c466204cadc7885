//! Sockets: how they are opened, or taken over, and how connections are taken from them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::connections::Connections;
use crate::front_door::FrontDoor;
use crate::plane::StartError;

/// Connections the system keeps for us until we accept them.
const BACKLOG: i32 = 4096;

/// After a failed accept, mostly for want of file descriptors: trying again at once would only burn
/// the CPU that could free some.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The addresses that are listened on.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    /// Plain HTTP.
    pub http: Vec<SocketAddr>,
    /// HTTPS.
    pub https: Vec<SocketAddr>,
}

/// One open socket and what is spoken on it.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: std::net::TcpListener,
    pub(crate) protocol: ListenerProtocol,
    /// Who started us listens on it too, and our successor will.
    is_inherited: bool,
}

/// What a listener expects first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ListenerProtocol {
    /// A request.
    Plain,
    /// A TLS handshake.
    Tls,
}

impl ListenerProtocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "http",
            Self::Tls => "https",
        }
    }
}

/// Opens every address once a shard; the system spreads connections over them.
pub(crate) fn bind(
    http: &[SocketAddr],
    https: &[SocketAddr],
    inherited: &[Arc<std::net::TcpListener>],
    shards: usize,
) -> Result<(Vec<Vec<Listener>>, Listening), StartError> {
    let failed = |address| move |error| StartError::Bind { address, error };
    let mut by_shard: Vec<Vec<Listener>> = (0..shards).map(|_| Vec::new()).collect();
    let mut listening = Listening::default();
    for (addresses, protocol) in [(http, ListenerProtocol::Plain), (https, ListenerProtocol::Tls)] {
        for &address in addresses {
            let found = inherited.iter().find(|socket| listens_on(socket, address));
            let opened = found.map_or_else(|| bind_shards(address, shards), |socket| share(socket, shards));
            let opened = opened.map_err(failed(address))?;
            let actual = opened[0].local_addr().map_err(failed(address))?;
            match protocol {
                ListenerProtocol::Plain => listening.http.push(actual),
                ListenerProtocol::Tls => listening.https.push(actual),
            }
            for (shard, socket) in by_shard.iter_mut().zip(opened) {
                shard.push(Listener { socket, protocol, is_inherited: found.is_some() });
            }
        }
    }
    for socket in inherited {
        let address = socket.local_addr().map_err(failed(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))))?;
        if !http.iter().chain(https).any(|asked| listens_on(socket, *asked)) {
            return Err(StartError::Unasked { address });
        }
    }
    Ok((by_shard, listening))
}

/// Whether a socket that was handed over is one for this address; all addresses of one family and of both
/// count as the same.
fn listens_on(socket: &std::net::TcpListener, address: SocketAddr) -> bool {
    socket.local_addr().is_ok_and(|actual| {
        let same_ip = actual.ip() == address.ip() || (actual.ip().is_unspecified() && address.ip().is_unspecified());
        same_ip && actual.port() == address.port()
    })
}

/// The same socket for every shard: who handed it over listens on it too, so that no client is refused
/// between one of us and the next.
fn share(socket: &std::net::TcpListener, shards: usize) -> io::Result<Vec<std::net::TcpListener>> {
    socket.set_nonblocking(true)?;
    (0..shards).map(|_| socket.try_clone()).collect()
}

fn bind_shards(address: SocketAddr, shards: usize) -> io::Result<Vec<std::net::TcpListener>> {
    // Without the sharing that the real sockets use, this one fails where anybody listens: two
    // processes that silently share a port would each get half of the requests.
    let probe = match open(address, Sharing::Exclusive) {
        Err(error) if address.ip().is_unspecified() && error.raw_os_error() == Some(EAFNOSUPPORT) => {
            // A kernel without IPv6: every address there is, is IPv4.
            return bind_shards(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())), shards);
        }
        opened => opened?,
    };
    let chosen = probe.local_addr()?;
    drop(probe);
    (0..shards).map(|_| open(chosen, Sharing::Shared)).collect()
}

/// `Address family not supported by protocol`; the same on every Linux architecture.
const EAFNOSUPPORT: i32 = 97;

#[derive(Clone, Copy, Eq, PartialEq)]
enum Sharing {
    Exclusive,
    Shared,
}

fn open(address: SocketAddr, sharing: Sharing) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` means both families.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    if sharing == Sharing::Shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes connections until told to stop, each served by a task of its own.
pub(crate) async fn accept(
    listener: Listener,
    front_door: Arc<FrontDoor>,
    bounds: Arc<Connections>,
    tracker: TaskTracker,
    mut shutdown: watch::Receiver<bool>,
    abort: watch::Receiver<bool>,
) {
    let Listener { socket, protocol, is_inherited } = listener;
    let socket = match TcpListener::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "failed to use a listener"),
    };
    let serve = |tcp, peer, place| {
        let Some(place) = bounds.admit(place, peer, protocol) else { return };
        let front_door = Arc::clone(&front_door);
        let mut abort = abort.clone();
        let task = Arc::new(OnceLock::new());
        let own = Arc::clone(&task);
        let spawned = tracker.spawn(async move {
            let _place = place;
            tokio::select! {
                () = front_door.serve(tcp, peer, protocol, own) => {}
                _ = abort.wait_for(|stop| *stop) => {}
            }
        });
        // Long before anybody wants to end it.
        let _ = task.set(spawned.abort_handle());
    };
    loop {
        // The place first: without one, connections wait in the system's queue rather than in ours.
        let place = tokio::select! {
            place = bounds.place() => place,
            _ = shutdown.wait_for(|stop| *stop) => break,
        };
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = shutdown.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((tcp, peer)) => serve(tcp, peer, place),
            Err(error) => {
                tracing::debug!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if is_inherited {
        // Our successor takes what waits in the system's queue.
        return;
    }
    // What waits in the system's queue would be reset with the socket.
    let Ok(socket) = socket.into_std() else { return };
    for _ in 0..BACKLOG {
        let (Ok((tcp, peer)), Some(place)) = (socket.accept(), bounds.place_at_once()) else { return };
        match tcp.set_nonblocking(true).and_then(|()| TcpStream::from_std(tcp)) {
            Ok(tcp) => serve(tcp, peer, place),
            Err(error) => return tracing::debug!(%error, "failed to use a connection"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_an_error_even_though_ours_are_shared() {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (_first, listening) = bind(&[loopback], &[], &[], 2).expect("a free port");
        let taken = bind(&listening.http, &[], &[], 2);
        assert!(matches!(taken, Err(StartError::Bind { error, .. }) if error.kind() == io::ErrorKind::AddrInUse));
    }

    #[test]
    fn a_socket_that_was_handed_over_is_used_for_its_address_and_for_no_other() {
        let socket = Arc::new(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let address = socket.local_addr().expect("it is bound");
        let inherited = [Arc::clone(&socket)];
        let (shards, listening) = bind(&[address], &[], &inherited, 2).expect("it is at hand");
        assert_eq!(listening.http, [address]);
        assert!(shards.iter().flatten().all(|listener| listener.is_inherited) && shards.len() == 2);
        let elsewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let unasked = bind(&[elsewhere], &[], &inherited, 1).expect_err("nobody asked for it");
        assert!(matches!(unasked, StartError::Unasked { address: found } if found == address));
    }
}
