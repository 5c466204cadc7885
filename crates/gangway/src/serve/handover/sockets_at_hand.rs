//! The sockets that a successor gets.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use gangway_proxy::ListeningSockets;

/// The listening sockets for clients, which change with the config file, and the one of the admin listener.
#[derive(Clone, Debug)]
pub(crate) struct SocketsAtHand {
    pub(crate) listening: ListeningSockets,
    pub(crate) admin: Option<Arc<TcpListener>>,
}

impl SocketsAtHand {
    /// All of them. The copies are for passing on at once: one that stayed would go on queueing connections.
    pub(super) fn all(&self) -> Vec<Arc<TcpListener>> {
        self.listening.borrow().iter().chain(&self.admin).map(Arc::clone).collect()
    }

    /// Where they listen, and marks the change as seen.
    pub(super) fn addresses(&mut self) -> BTreeSet<SocketAddr> {
        let listening = self.listening.borrow_and_update();
        let addresses = listening.iter().chain(&self.admin).filter_map(|socket| socket.local_addr().ok());
        addresses.collect()
    }
}
