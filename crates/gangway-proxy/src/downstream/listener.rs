//! Listening sockets: opens them, or takes them over from another process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::listen_addresses::{ListenAddresses, ListenerProtocol};
use crate::settings::PassedSocket;
use crate::start_error::StartError;

/// Connections that the system queues until they are accepted.
pub(crate) const BACKLOG: i32 = 4096;

/// Bytes that wait in the system for the client to take more. The system's own bound is some megabytes. A client that
/// reads steadily but slowly would then seem to take nothing for minutes, and each slow client would occupy that much.
const UNSENT_MAX: u32 = 64 * 1024;

/// One open socket and the protocol of its connections.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: std::net::TcpListener,
    pub(crate) protocol: ListenerProtocol,
    /// Whether the process that passed the socket keeps it open, for the next process.
    pub(crate) is_held: bool,
}

impl Listener {
    /// A copy of its socket.
    pub(crate) fn another(&self) -> io::Result<Arc<std::net::TcpListener>> {
        self.socket.try_clone().map(Arc::new)
    }
}

/// Opens every address once for each shard; the system spreads connections over them.
pub(crate) fn bind(
    http: &[SocketAddr],
    https: &[SocketAddr],
    passed: &[PassedSocket],
    shards: usize,
) -> Result<(Vec<Vec<Listener>>, ListenAddresses), StartError> {
    let failed = |address| move |error| StartError::Bind { address, error };
    let mut by_shard: Vec<Vec<Listener>> = (0..shards).map(|_| Vec::new()).collect();
    let mut listening = ListenAddresses::default();
    for (addresses, protocol) in [(http, ListenerProtocol::Plain), (https, ListenerProtocol::Tls)] {
        for &address in addresses {
            let found: Vec<&PassedSocket> =
                passed.iter().filter(|passed| listens_on(&passed.socket, address)).collect();
            let opened = if found.is_empty() { bind_shards(address, shards) } else { share(&found, shards) };
            let opened = opened.map_err(failed(address))?;
            let actual = opened[0].local_addr().map_err(failed(address))?;
            match protocol {
                ListenerProtocol::Plain => listening.http.push(actual),
                ListenerProtocol::Tls => listening.https.push(actual),
            }
            let is_held = found.iter().any(|passed| passed.is_held);
            for (at, socket) in opened.into_iter().enumerate() {
                set_options(&socket).map_err(failed(address))?;
                by_shard[at % shards].push(Listener { socket, protocol, is_held });
            }
        }
    }
    for PassedSocket { socket, .. } in passed.iter().filter(|passed| passed.is_held) {
        let address = socket.local_addr().map_err(failed(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))))?;
        if !http.iter().chain(https).any(|asked| listens_on(socket, *asked)) {
            return Err(StartError::Unasked { address });
        }
    }
    Ok((by_shard, listening))
}

/// Whether a socket that was handed over serves this address. The unspecified addresses of IPv4 and IPv6 count as the
/// same.
fn listens_on(socket: &std::net::TcpListener, address: SocketAddr) -> bool {
    socket.local_addr().is_ok_and(|actual| {
        let same_ip = actual.ip() == address.ip() || (actual.ip().is_unspecified() && address.ip().is_unspecified());
        same_ip && actual.port() == address.port()
    })
}

/// All passed sockets, since clients wait at each of them, repeated until every shard has one.
fn share(passed: &[&PassedSocket], shards: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let share = |PassedSocket { socket, .. }: &PassedSocket| {
        socket.set_nonblocking(true)?;
        socket.try_clone()
    };
    passed.iter().cycle().take(passed.len().max(shards)).map(|passed| share(passed)).collect()
}

/// Sets what accepted connections inherit, which saves system calls for each of them.
fn set_options(socket: &std::net::TcpListener) -> io::Result<()> {
    let socket = SockRef::from(socket);
    // A small answer must not wait for the acknowledgement of the previous one.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_MAX)
}

fn bind_shards(address: SocketAddr, shards: usize) -> io::Result<Vec<std::net::TcpListener>> {
    // This socket is opened without the sharing of the real ones, so it fails if another process listens there: two
    // processes that silently share a port would each get half of the requests.
    let probe = match open(address, PortSharing::Exclusive) {
        Err(error) if address.ip().is_unspecified() && error.raw_os_error() == Some(EAFNOSUPPORT) => {
            // The kernel has no IPv6, so all its addresses are IPv4.
            return bind_shards(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())), shards);
        }
        opened => opened?,
    };
    let chosen = probe.local_addr()?;
    drop(probe);
    (0..shards).map(|_| open(chosen, PortSharing::Shared)).collect()
}

/// The error `Address family not supported by protocol`, the same on all Linux architectures.
const EAFNOSUPPORT: i32 = 97;

#[derive(Clone, Copy, Eq, PartialEq)]
enum PortSharing {
    Exclusive,
    Shared,
}

fn open(address: SocketAddr, sharing: PortSharing) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` means IPv6 and IPv4.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    if sharing == PortSharing::Shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
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
    fn a_socket_that_was_passed_is_used_for_its_address_and_for_no_other() {
        let elsewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = Arc::new(std::net::TcpListener::bind(elsewhere).expect("a free port"));
        let address = socket.local_addr().expect("it is bound");
        let passed = |is_held| [PassedSocket { socket: Arc::clone(&socket), is_held }];
        let (shards, listening) = bind(&[address], &[], &passed(true), 2).expect("it is at hand");
        assert_eq!(listening.http, [address]);
        assert!(shards.iter().all(|listeners| matches!(&listeners[..], [listener] if listener.is_held)));
        let unasked = bind(&[elsewhere], &[], &passed(true), 1).expect_err("nobody asked for it");
        assert!(matches!(unasked, StartError::Unasked { address: found } if found == address));
        bind(&[elsewhere], &[], &passed(false), 1).expect("a predecessor may have listened elsewhere too");
    }

    #[test]
    fn accepted_connections_inherit_what_was_set() {
        let (shards, listening) =
            bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], &[], &[], 1).expect("a free port");
        let _client = std::net::TcpStream::connect(listening.http[0]).expect("it listens");
        let socket = &shards[0][0].socket;
        socket.set_nonblocking(false).expect("a socket of ours");
        let (accepted, _) = socket.accept().expect("a client");
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().expect("it is TCP"));
        assert_eq!(accepted.tcp_notsent_lowat().expect("it is TCP"), UNSENT_MAX);
    }

    #[test]
    fn of_a_predecessor_with_more_threads_no_socket_is_left_out() {
        let (old, listening) = bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], &[], &[], 3).expect("a free port");
        let sockets = old.into_iter().flatten().map(|listener| Arc::new(listener.socket));
        let passed: Vec<_> = sockets.map(|socket| PassedSocket { socket, is_held: false }).collect();
        let (shards, _) = bind(&listening.http, &[], &passed, 2).expect("they are at hand");
        assert_eq!(shards.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    }
}
