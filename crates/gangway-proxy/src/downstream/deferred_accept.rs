//! Accepts a connection together with the first bytes of its client.
//!
//! Clients speak first in all protocols that are served, and their first bytes mostly come right behind the handshake of
//! TCP. A connection that is accepted with them needs no registration with the runtime, and wakes its thread once. The
//! system keeps the others back, for [`DEFERRED_SECONDS`]: a client that connects ahead of its first request is served
//! as well.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::SetSockOpt;
use nix::sys::socket::sockopt::SetUsize;
use tokio::time::{Instant, sleep};

/// How long the system keeps a silent connection back. It then sends one more message of the handshake, and lets the
/// connection through when that is answered.
const DEFERRED_SECONDS: usize = 1;

/// By when a connection that was kept back is there after [`end`], with time for the answer of its client.
const DEFERRED_TIME: Duration = Duration::from_millis(1250);

/// How often is looked whether connections are kept back.
const LOOK: Duration = Duration::from_millis(50);

/// `TCP_DEFER_ACCEPT` of tcp(7), in seconds.
#[derive(Clone, Copy, Debug)]
struct DeferAccept;

nix::setsockopt_impl!(DeferAccept, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, usize, SetUsize);

/// Has the system keep silent connections back. Where a socket has no such option, as with Multipath TCP, none is.
pub(crate) fn begin(socket: &TcpListener) {
    set(socket, DEFERRED_SECONDS);
}

/// Ends it, before sockets are closed: a connection that is kept back would be reset under its first request. Lasts until
/// those that are kept back now can be accepted, or for [`DEFERRED_TIME`].
pub(crate) async fn end(sockets: &[Arc<TcpListener>]) {
    sockets.iter().for_each(|socket| set(socket, 0));
    let ports: Vec<_> = sockets.iter().filter_map(|socket| Some(socket.local_addr().ok()?.port())).collect();
    let until = Instant::now() + DEFERRED_TIME;
    while Instant::now() < until && is_any_deferred(&ports) {
        sleep(LOOK).await;
    }
}

fn set(socket: &TcpListener, seconds: usize) {
    if let Err(error) = DeferAccept.set(socket, &seconds) {
        tracing::debug!(%error, "connections are accepted before their first bytes");
    }
}

/// Whether a connection to one of these ports is kept back, or in its handshake. True where the system does not tell.
fn is_any_deferred(ports: &[u16]) -> bool {
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"].into_iter().any(|path| match std::fs::read_to_string(path) {
        Ok(connections) => connections.lines().any(|line| deferred_at(line).is_some_and(|port| ports.contains(&port))),
        // A system without IPv6.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(_) => true,
    })
}

/// The local port of a connection that is not there to be accepted yet, of a line of proc_net_tcp(5).
fn deferred_at(line: &str) -> Option<u16> {
    const SYN_RECEIVED: &str = "03";
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, _remote, state) = (words.next()?, words.next()?, words.next()?);
    let (_, port) = local.rsplit_once(':')?;
    if state == SYN_RECEIVED { u16::from_str_radix(port, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

    use super::*;

    /// A listener that keeps connections back, and its address.
    fn listener(address: SocketAddr) -> (Arc<TcpListener>, SocketAddr) {
        let listener = TcpListener::bind(address).expect("a free port");
        begin(&listener);
        let address = listener.local_addr().expect("it is bound");
        (Arc::new(listener), address)
    }

    fn loopback() -> (Arc<TcpListener>, SocketAddr) {
        listener(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    #[test]
    fn a_connection_comes_with_its_first_bytes_and_a_silent_one_all_the_same() {
        let (listener, at) = loopback();
        let mut client = TcpStream::connect(at).expect("it listens");
        listener.set_nonblocking(true).expect("it is open");
        assert_eq!(listener.accept().expect_err("nothing was sent").kind(), ErrorKind::WouldBlock);
        client.write_all(b"x").expect("it is connected");
        listener.set_nonblocking(false).expect("it is open");
        let (mut accepted, _) = listener.accept().expect("a client");
        accepted.read_exact(&mut [0]).expect("a byte was sent");
        let _silent = TcpStream::connect(at).expect("it listens");
        listener.accept().expect("it is let through");
    }

    #[tokio::test]
    async fn the_end_waits_for_those_that_are_kept_back_and_for_nobody_else() {
        for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))] {
            if TcpListener::bind(address).is_err() {
                // A system without IPv6.
                continue;
            }
            let (listener, at) = listener(address);
            listener.set_nonblocking(true).expect("it is open");
            let begun = Instant::now();
            let _silent = TcpStream::connect(at).expect("it listens");
            assert!(is_any_deferred(&[at.port()]));
            end(std::slice::from_ref(&listener)).await;
            listener.accept().expect("it is there");
            assert!(!is_any_deferred(&[at.port()]));
            assert!(begun.elapsed() > Duration::from_millis(500), "the system lets it through after a second");
            // From now on, connections are there at once.
            let _silent = TcpStream::connect(at).expect("it listens");
            listener.accept().expect("it is not kept back");
        }
    }

    #[test]
    fn only_connections_before_their_acceptance_count() {
        let line = |state| format!("   0: 0100007F:1F90 0100007F:C350 {state} 00000000:00000000 01:00000063 00000000");
        assert_eq!(deferred_at(&line("03")), Some(8080));
        assert_eq!(deferred_at(&line("01")), None);
        assert_eq!(deferred_at("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt"), None);
        let ipv6 = "  12: 00000000000000000000000001000000:01BB 00000000000000000000000001000000:C350 03 00000000:0";
        assert_eq!(deferred_at(ipv6), Some(443));
    }
}
