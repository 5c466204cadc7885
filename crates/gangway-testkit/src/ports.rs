//! Ports for programs of tests, and ports at which connections are refused.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::{TcpListener, TcpSocket};

/// Below those that the system gives to connections, one of which could take a port before its program listens.
const FIRST: u16 = 12_000;
const COUNT: u32 = 20_000;

/// A port that nobody listens on, for a program that will. Tests of this process and of others get different ones.
///
/// # Panics
///
/// Panics if no port is free.
pub async fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // Another process begins elsewhere.
        let number = std::process::id().wrapping_mul(977).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST + u16::try_from(number).expect("there are fewer ports");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// The address of such a port on the loopback.
///
/// # Panics
///
/// Panics if no port is free.
pub async fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free().await).into()
}

/// An address of the loopback that refuses connections. It is held, so that no other test can listen there meanwhile.
#[derive(Debug)]
pub struct ClosedPort(TcpSocket);

impl ClosedPort {
    /// Takes a port.
    ///
    /// # Panics
    ///
    /// Panics if no port is free.
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be had");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a loopback port is free");
        Self(socket)
    }

    /// The address of one that is held as long as the process lives.
    ///
    /// # Panics
    ///
    /// Panics if no port is free.
    pub fn kept() -> SocketAddr {
        Box::leak(Box::new(Self::new())).address()
    }

    /// Its address.
    ///
    /// # Panics
    ///
    /// Never: the socket is bound.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }
}

impl Default for ClosedPort {
    fn default() -> Self {
        Self::new()
    }
}
