//! Listening sockets: opens them, or takes them over from another process.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use gangway_publish::Reader;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::sync::watch;

use crate::downstream::deferred_accept;
use crate::downstream::listener_profile::ListenerProfile;
use crate::settings::PassedSocket;
use crate::start_error::StartError;

/// Connections that the system queues until they are accepted.
pub(crate) const BACKLOG: i32 = 4096;

/// Bytes that wait in the system for the client to take more. The system's own bound is some megabytes. A client that
/// reads steadily but slowly would then seem to take nothing for minutes, and each slow client would occupy that much.
const UNSENT_MAX: u32 = 64 * 1024;

/// One open socket, and how its connections are served.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: std::net::TcpListener,
    /// Changes where the settings of the listener do.
    pub(crate) profile: Reader<Arc<ListenerProfile>>,
    /// True once the listener has no place in the settings any more.
    pub(crate) removed: watch::Receiver<bool>,
    /// Whether the process that passed the socket keeps it open, for the next process.
    pub(crate) is_held: bool,
}

/// The sockets at one address.
#[derive(Debug)]
pub(crate) struct OpenSockets {
    /// One for each shard at least.
    pub(crate) sockets: Vec<std::net::TcpListener>,
    /// Where they listen. A port that the system chose is filled in; an address of all families may have become two.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether the process that passed them keeps them open, for the next process.
    pub(crate) are_held: bool,
}

/// Opens an address once for each shard, or takes the sockets that were passed for it; the system spreads connections over
/// them.
pub(crate) fn open_address(
    address: SocketAddr,
    passed: &[PassedSocket],
    shards: usize,
) -> Result<OpenSockets, StartError> {
    let failed = |error| StartError::Bind { address, error };
    let found = passed_for(passed, address)?;
    let opened = if found.is_empty() { bind_shards(address, shards) } else { share(&found, address, shards) };
    let sockets = opened.map_err(failed)?;
    let mut addresses = Vec::new();
    for socket in &sockets {
        let actual = socket.local_addr().map_err(failed)?;
        if !addresses.contains(&actual) {
            addresses.push(actual);
        }
        set_options(socket).map_err(failed)?;
    }
    Ok(OpenSockets { sockets, addresses, are_held: found.iter().any(|passed| passed.is_held) })
}

/// Fails for a socket that its owner keeps open and that serves none of these addresses: its clients would wait for ever.
pub(crate) fn check_asked(passed: &[PassedSocket], asked: &[SocketAddr]) -> Result<(), StartError> {
    for PassedSocket { socket, .. } in passed.iter().filter(|passed| passed.is_held) {
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let address = socket.local_addr().map_err(|error| StartError::Bind { address: unknown, error })?;
        if !asked.iter().any(|asked| coverage(socket, *asked) != Coverage::Nothing) {
            return Err(StartError::Unasked { address });
        }
    }
    Ok(())
}

/// The sockets that were handed over and serve this address.
///
/// `[::]` means IPv6 and IPv4, so a socket at `0.0.0.0` serves a part of it. The other way round, a socket at `[::]`
/// serves more than `0.0.0.0`: systemd may pass one, for a socket unit says it, and from a predecessor it is an error,
/// for clients would reach by IPv6 what the settings keep to IPv4.
fn passed_for(passed: &[PassedSocket], address: SocketAddr) -> Result<Vec<&PassedSocket>, StartError> {
    let mut found = Vec::new();
    for socket in passed {
        match coverage(&socket.socket, address) {
            Coverage::Same | Coverage::Part => found.push(socket),
            Coverage::More if socket.is_held => found.push(socket),
            Coverage::More | Coverage::Nothing => {}
        }
    }
    let is_wider = |socket: &PassedSocket| coverage(&socket.socket, address) == Coverage::More;
    match passed.iter().find(|socket| is_wider(socket)) {
        Some(_) if found.is_empty() => Err(StartError::WiderThanAsked { address }),
        Some(_) | None => Ok(found),
    }
}

/// The part of an address that a listening socket serves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Coverage {
    Nothing,
    /// IPv4 only, of an address that means IPv6 too.
    Part,
    Same,
    /// IPv6 too, of an address that means IPv4 only.
    More,
}

fn coverage(socket: &std::net::TcpListener, address: SocketAddr) -> Coverage {
    let Ok(actual) = socket.local_addr() else { return Coverage::Nothing };
    if actual.port() != address.port() {
        return Coverage::Nothing;
    }
    let is_every = actual.ip().is_unspecified() && address.ip().is_unspecified();
    match (actual.ip(), address.ip()) {
        (actual, asked) if actual == asked => Coverage::Same,
        (IpAddr::V4(_), IpAddr::V6(_)) if is_every => Coverage::Part,
        (IpAddr::V6(_), IpAddr::V4(_)) if is_every && SockRef::from(socket).only_v6().is_ok_and(|only| !only) => {
            Coverage::More
        }
        (_, _) => Coverage::Nothing,
    }
}

/// All passed sockets, since clients wait at each of them, repeated until every shard has one. If they serve only IPv4
/// of an address that means IPv6 too, new sockets for IPv6 join them.
fn share(passed: &[&PassedSocket], address: SocketAddr, shards: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let share = |PassedSocket { socket, .. }: &PassedSocket| {
        socket.set_nonblocking(true)?;
        socket.try_clone()
    };
    let count = passed.len().max(shards);
    let mut shared = passed
        .iter()
        .cycle()
        .take(count)
        .map(|passed| share(passed))
        .collect::<io::Result<Vec<std::net::TcpListener>>>()?;
    if passed.iter().all(|passed| coverage(&passed.socket, address) == Coverage::Part) {
        match bind_each(address, Families::Ipv6, shards) {
            Ok(joined) => shared.extend(joined),
            // The kernel has no IPv6, so all its addresses are IPv4.
            Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(shared)
}

/// Sets when connections are accepted and what they inherit, which saves system calls for each of them.
fn set_options(socket: &std::net::TcpListener) -> io::Result<()> {
    deferred_accept::begin(socket);
    let socket = SockRef::from(socket);
    // A small answer must not wait for the acknowledgement of the previous one.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_MAX)
}

fn bind_shards(address: SocketAddr, shards: usize) -> io::Result<Vec<std::net::TcpListener>> {
    match bind_each(address, Families::Both, shards) {
        Err(error) if address.ip().is_unspecified() && error.raw_os_error() == Some(EAFNOSUPPORT) => {
            // The kernel has no IPv6, so all its addresses are IPv4.
            bind_each(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())), Families::Both, shards)
        }
        opened => opened,
    }
}

/// Opens an address once for each shard.
fn bind_each(address: SocketAddr, families: Families, shards: usize) -> io::Result<Vec<std::net::TcpListener>> {
    // This socket is opened without the sharing of the real ones, so it fails if another process listens there: two
    // processes that silently share a port would each get half of the requests.
    let probe = open(address, families, PortSharing::Exclusive)?;
    let chosen = probe.local_addr()?;
    drop(probe);
    (0..shards).map(|_| open(chosen, families, PortSharing::Shared)).collect()
}

/// The error `Address family not supported by protocol`, the same on all Linux architectures.
const EAFNOSUPPORT: i32 = 97;

#[derive(Clone, Copy, Eq, PartialEq)]
enum PortSharing {
    Exclusive,
    Shared,
}

/// The families of addresses that a socket at `[::]` serves.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Families {
    Both,
    Ipv6,
}

fn open(address: SocketAddr, families: Families, sharing: PortSharing) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(families == Families::Ipv6)?;
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
    use std::io::Write as _;
    use std::net::Ipv6Addr;

    use super::*;

    /// Opens an address, as a start does.
    fn open_first(address: SocketAddr, passed: &[PassedSocket], shards: usize) -> Result<OpenSockets, StartError> {
        let opened = open_address(address, passed, shards)?;
        check_asked(passed, &[address])?;
        Ok(opened)
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_even_though_ours_are_shared() {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let first = open_first(loopback, &[], 2).expect("a free port");
        let taken = open_first(first.addresses[0], &[], 2);
        assert!(matches!(taken, Err(StartError::Bind { error, .. }) if error.kind() == io::ErrorKind::AddrInUse));
    }

    #[test]
    fn a_socket_that_was_passed_is_used_for_its_address_and_for_no_other() {
        let elsewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let socket = Arc::new(std::net::TcpListener::bind(elsewhere).expect("a free port"));
        let address = socket.local_addr().expect("it is bound");
        let passed = |is_held| [PassedSocket { socket: Arc::clone(&socket), is_held }];
        let opened = open_first(address, &passed(true), 2).expect("it is at hand");
        assert_eq!((&opened.addresses[..], opened.sockets.len(), opened.are_held), (&[address][..], 2, true));
        let unasked = open_first(elsewhere, &passed(true), 1).expect_err("nobody asked for it");
        assert!(matches!(unasked, StartError::Unasked { address: found } if found == address));
        open_first(elsewhere, &passed(false), 1).expect("a predecessor may have listened elsewhere too");
    }

    /// The sockets of a predecessor that listens at this address, and their port.
    fn predecessor(address: IpAddr) -> (Vec<PassedSocket>, u16) {
        let old = open_first(SocketAddr::from((address, 0)), &[], 1).expect("a free port");
        let port = old.addresses[0].port();
        (passed_on(old), port)
    }

    fn passed_on(opened: OpenSockets) -> Vec<PassedSocket> {
        let passed = |socket| PassedSocket { socket: Arc::new(socket), is_held: false };
        opened.sockets.into_iter().map(passed).collect()
    }

    fn families(opened: &OpenSockets) -> Vec<bool> {
        opened.sockets.iter().map(|socket| socket.local_addr().expect("it is bound").is_ipv6()).collect()
    }

    #[test]
    fn a_successor_that_listens_on_both_families_is_not_kept_to_the_one_of_its_predecessor() {
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
            return;
        }
        let (passed, port) = predecessor(Ipv4Addr::UNSPECIFIED.into());
        let every = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let opened = open_first(every, &passed, 1).expect("IPv4 is at hand, IPv6 is free");
        assert_eq!(families(&opened), [false, true]);
        assert_eq!(opened.addresses, [SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), every]);
        std::net::TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("IPv6 is served");
        // And the next one takes both, or IPv4 alone.
        let passed = passed_on(opened);
        let opened = open_first(every, &passed, 1).expect("both are at hand");
        assert_eq!(families(&opened), [false, true]);
        let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let opened = open_first(ipv4, &passed, 1).expect("IPv4 is at hand");
        assert_eq!(families(&opened), [false]);
    }

    #[test]
    fn a_successor_that_listens_on_ipv4_does_not_serve_ipv6_because_its_predecessor_did() {
        if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
            return;
        }
        let (mut passed, port) = predecessor(Ipv6Addr::UNSPECIFIED.into());
        let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let wider = open_first(ipv4, &passed, 1).expect_err("the socket serves IPv6 too");
        assert!(matches!(wider, StartError::WiderThanAsked { address } if address == ipv4), "{wider}");
        passed[0].is_held = true;
        open_first(ipv4, &passed, 1).expect("a socket unit says so");
    }

    #[test]
    fn accepted_connections_inherit_what_was_set() {
        let opened = open_first(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &[], 1).expect("a free port");
        let mut client = std::net::TcpStream::connect(opened.addresses[0]).expect("it listens");
        client.write_all(b"x").expect("it is connected");
        let socket = &opened.sockets[0];
        socket.set_nonblocking(false).expect("a socket of ours");
        let (accepted, _) = socket.accept().expect("a client");
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().expect("it is TCP"));
        assert_eq!(accepted.tcp_notsent_lowat().expect("it is TCP"), UNSENT_MAX);
    }

    #[test]
    fn of_a_predecessor_with_more_threads_no_socket_is_left_out() {
        let old = open_first(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &[], 3).expect("a free port");
        let address = old.addresses[0];
        let opened = open_first(address, &passed_on(old), 2).expect("they are at hand");
        assert_eq!(opened.sockets.len(), 3);
    }
}
