//! Sockets that listen before we do: socket activation by systemd (`sd_listen_fds(3)`).
//!
//! Clients that come while we are not there wait in the socket instead of being refused.

use std::io;
use std::sync::Arc;

use gangway_proxy::PassedSocket;
use listenfd::ListenFd;

/// The sockets that whoever started us passed to this very process; mostly none.
pub(super) fn sockets() -> Result<Vec<PassedSocket>, InheritedError> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for at in 0..passed.len() {
        let socket = passed.take_tcp_listener(at).map_err(|error| InheritedError { at, error })?;
        sockets.extend(socket.map(|socket| PassedSocket { socket: Arc::new(socket), is_held: true }));
    }
    Ok(sockets)
}

/// Why a socket that was passed cannot be used. Reads well after "failed to".
#[derive(Debug, thiserror::Error)]
#[error(
    "use socket {} of those passed by LISTEN_FDS: {error}\n  help: only listening TCP sockets are of use \
     (ListenStream=80, ListenStream=443)", at + 1
)]
pub(super) struct InheritedError {
    at: usize,
    error: io::Error,
}
