//! The names, bytes and times of the hand-over protocol.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UnixStream;

/// The version of the protocol. It is part of the socket's name, so instances of different versions do not find each
/// other.
const VERSION: u8 = 2;

/// The time for each step of the other side that needs no waiting.
pub(super) const STEP_TIME: Duration = Duration::from_secs(5);

/// Predecessor: a socket comes with this byte.
pub(super) const SOCKET: u8 = b's';
/// Predecessor: these were all sockets.
pub(super) const ALL: u8 = b'.';
/// Successor: it serves.
pub(super) const READY: u8 = b'r';
/// Predecessor: the successor is alone now.
pub(super) const LEAVING: u8 = b'l';
/// Predecessor, instead of leaving: the successor does not answer clients.
pub(super) const SILENT: u8 = b'q';
/// Predecessor, instead of leaving: another successor was faster.
pub(super) const ANOTHER: u8 = b'a';
/// Successor: it has handed over in turn, so the predecessor is not needed any more.
pub(super) const STAYS: u8 = b'y';

/// The name of the abstract socket for an address, without the zero byte that it begins with.
pub(super) fn socket_name(address: SocketAddr) -> String {
    format!("gangway/handover/{VERSION}/{address}")
}

/// The addresses under whose names an instance may be found that listens on this address, or on a part of it: `[::]`
/// means IPv4 too.
pub(super) fn overlapping(address: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let sister = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Some(Ipv6Addr::UNSPECIFIED.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => Some(Ipv4Addr::UNSPECIFIED.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    };
    std::iter::once(address).chain(sister.map(move |ip: IpAddr| SocketAddr::new(ip, address.port())))
}

/// The process at the other end, if it can be seen from here.
///
/// # Errors
///
/// It runs as another user.
pub(super) fn peer_process(stream: &UnixStream) -> io::Result<Option<i32>> {
    let peer = stream.peer_cred()?;
    let (user, own_user) = (peer.uid(), rustix::process::geteuid().as_raw());
    if user != own_user {
        return Err(io::Error::other(format!("it runs as user {user}, not as {own_user}")));
    }
    // A process of another container has no number here.
    Ok(peer.pid().filter(|process| *process != 0))
}

/// The error about a byte that the protocol does not allow at this point.
pub(super) fn unexpected(byte: u8) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it sent {:?}", char::from(byte)))
}
