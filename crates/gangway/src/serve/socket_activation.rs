//! Socket activation by systemd (`sd_listen_fds(3)`): sockets that listen before Gangway starts.
//!
//! Clients that connect while Gangway is not running wait in the socket instead of being refused.

use std::io;
use std::sync::Arc;

use gangway_proxy::PassedSocket;
use listenfd::ListenFd;

/// The sockets that the parent process passed to exactly this process; mostly none.
pub(super) fn sockets() -> Result<Vec<PassedSocket>, SocketActivationError> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for at in 0..passed.len() {
        let socket = passed.take_tcp_listener(at).map_err(|error| SocketActivationError { at, error })?;
        sockets.extend(socket.map(|socket| PassedSocket { socket: Arc::new(socket), is_held: true }));
    }
    Ok(sockets)
}

/// A passed socket that cannot be used. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
#[error(
    "use socket {} of those passed by LISTEN_FDS: {error}\n  help: only listening TCP sockets can be used \
     (ListenStream=80, ListenStream=443)", at + 1
)]
pub(super) struct SocketActivationError {
    at: usize,
    error: io::Error,
}
